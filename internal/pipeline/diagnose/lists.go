package diagnose

import "slices"

// Everything is what is looked at where nothing in particular is asked.
func Everything() []Check {
	return slices.Concat(server(), []Check{
		{Name: "workspace", Run: workspaceFile},
		{Name: "repository", Needs: []string{"identity"}, After: []string{"workspace"}, Run: repository},
	}, docker(), machine(), []Check{{Name: "aws-cli", Run: awsCLI}})
}

// Push is what is looked at where a push to a repository does not work.
func Push() []Check {
	return slices.Concat(server(), []Check{
		{Name: "repository", Needs: []string{"identity"}, Run: repository},
		{Name: "repository-policy", Needs: []string{"repository"}, Run: repositoryPolicy},
		{Name: "tag-mutability", Needs: []string{"repository"}, Run: tagMutability},
	}, permissions(pushActions), docker(), machine())
}

// Pull is what is looked at where a pull of an image does not work.
func Pull() []Check {
	return slices.Concat(server(), []Check{
		{Name: "repository", Needs: []string{"identity"}, Run: repository},
		{Name: "repository-policy", Needs: []string{"repository"}, Run: repositoryPolicy},
		{Name: "image", Needs: []string{"repository"}, Run: image},
	}, permissions(pullActions), docker(), []Check{
		{Name: "platform", Needs: []string{"image"}, After: []string{"engine"}, Run: platformFits},
		{Name: "disk", After: []string{"engine"}, Run: disk},
	})
}

// OIDC is what is looked at where a job of a CI system cannot take on its role.
func OIDC() []Check {
	return slices.Concat(reaching(), []Check{
		{Name: "id-token", Run: idToken},
		{Name: "claims", Needs: []string{"id-token"}, Run: claims},
		{Name: "role", Run: roleNamed},
		{Name: "assume", Needs: []string{"clock", "claims", "role"}, Run: assume},
	}, lookers(who()), []Check{
		{Name: "provider", Needs: []string{"identity", "claims"}, Run: provider},
		{Name: "trust", Needs: []string{"identity", "claims", "role"}, Run: trust},
	})
}

// reaching is the way to the server.
func reaching() []Check {
	return []Check{
		{Name: "configuration", Run: configuration},
		{Name: "endpoint", Needs: []string{"configuration"}, Run: endpoint},
		{Name: "dns", Needs: []string{"endpoint"}, Run: dns},
		{Name: "connection", Needs: []string{"dns"}, Run: connection},
		{Name: "tls", Needs: []string{"connection"}, Run: tlsOfEndpoint},
		{Name: "clock", Needs: []string{"tls"}, Run: clock},
	}
}

// who is as whom.
func who() []Check {
	return []Check{
		{Name: "credentials", Needs: []string{"configuration"}, Run: credentials},
		{Name: "identity", Needs: []string{"clock", "credentials"}, Run: identity},
	}
}

func server() []Check {
	return slices.Concat(reaching(), who(), []Check{
		{Name: "token", Needs: []string{"identity"}, Run: token},
		{Name: "registry", Needs: []string{"token"}, Run: registryAnswers},
	})
}

func docker() []Check {
	return []Check{
		{Name: "docker", Run: dockerProgram},
		{Name: "engine", Needs: []string{"docker"}, Run: engine},
		{Name: "docker-config", Run: dockerConfig},
		{Name: "docker-login", Needs: []string{"docker-config", "registry"}, After: []string{"docker"}, Run: dockerLogin},
		{Name: "docker-registry", Needs: []string{"engine", "registry"}, Run: dockerRegistry},
	}
}

func machine() []Check {
	return []Check{
		{Name: "builder", After: []string{"docker"}, Run: builder},
		{Name: "git", Run: gitProgram},
		{Name: "commit", Needs: []string{"git"}, Run: commit},
		{Name: "disk", After: []string{"engine"}, Run: disk},
	}
}
