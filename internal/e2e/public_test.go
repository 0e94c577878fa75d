package e2e_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

const publicPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",` +
	`"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:BatchCheckLayerAvailability"]}]}`

// TestPublicRepository pulls what a repository's policy gives to everybody, without logging in, and pushes only after.
func TestPublicRepository(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	berthproc.Tool(t, "aws")
	d := newDocker(t)
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.Start(t, berthproc.Config{Storage: storage})
		s.CreateRepositories("public/app", "secret/app")
		sh := newShell(t, s)
		sh.env = append(append(sh.env, d.env...), "DOCKER_BUILDKIT=0", "DOCKER_CONFIG="+t.TempDir(), "REGISTRY_AUTH_FILE="+filepath.Join(t.TempDir(), "none.json"))
		public, secret := s.Host+"/public/app:v1", s.Host+"/secret/app:v1"
		sh.buildImage(public, "1 of "+public)
		sh.run("docker", "tag", public, secret)
		login := func() { sh.feed(s.Password(), "docker", "login", "--username", "AWS", "--password-stdin", s.Host) }
		login()
		sh.run("docker", "push", public)
		sh.run("docker", "push", secret)
		sh.run("docker", "logout", s.Host)
		contains(t, "docker pull without a login", sh.refused("", "docker", "pull", public), "no basic auth credentials")

		sh.run("aws", "ecr", "set-repository-policy", "--repository-name", "public/app", "--policy-text", publicPolicy)
		sh.run("docker", "rmi", "--force", public, secret)
		sh.run("docker", "pull", public)
		for _, name := range []string{secret, s.Host + "/none/such:v1"} {
			contains(t, "docker pull of another without a login", sh.refused("", "docker", "pull", name), "does not exist or may require 'docker login'")
		}
		other := s.Host + "/public/app:v2"
		sh.run("docker", "tag", public, other)
		sh.refused("", "docker", "push", other)
		pullWithOthers(sh, public)

		said := sh.refused("not-a-password", "docker", "login", "--username", "AWS", "--password-stdin", s.Host)
		contains(t, "docker login with a wrong password", said, "unauthorized")
		login()
		sh.run("docker", "push", other)
		sh.run("docker", "rmi", "--force", public, other)
		sh.run("docker", "pull", secret)
		sh.run("docker", "pull", public)
		sh.run("docker", "logout", s.Host)
		sh.run("aws", "ecr", "delete-repository-policy", "--repository-name", "public/app")
		contains(t, "docker pull of what is public no more", sh.refused("", "docker", "pull", public), "no basic auth credentials")
	})
}

// pullWithOthers pulls without credentials with such programs as there are.
func pullWithOthers(sh *shell, image string) {
	sh.t.Helper()
	for program, args := range map[string][]string{
		"crane":  {"manifest", "--insecure", image},
		"skopeo": {"copy", "--src-tls-verify=false", "docker://" + image, "dir:" + sh.t.TempDir()},
		"oras":   {"manifest", "fetch", "--plain-http", image},
	} {
		if _, err := exec.LookPath(program); err == nil {
			sh.run(program, args...)
		}
	}
}
