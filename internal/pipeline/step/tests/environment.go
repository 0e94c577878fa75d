package tests

import (
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Withheld are the variables that a test does not get unless test_env names them: what proves to AWS, to the CI system or to a
// registry who the run is, and the files through which a step in GitHub Actions speaks for the ones after it. Those that a project's
// own tools need to get packages, such as NPM_TOKEN, are nobody's secrets by name, and stay. So does everything that is not in the list.
// A name that ends in a star stands for all that begin so.
func Withheld() []string {
	return []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_RUNTIME_TOKEN",
		"GITHUB_TOKEN", "GH_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GH_ENTERPRISE_TOKEN",
		"GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE",
		"CI_JOB_TOKEN", "CI_JOB_JWT", "CI_JOB_JWT_V1", "CI_JOB_JWT_V2", "CI_REGISTRY_PASSWORD", "CI_DEPLOY_PASSWORD", "CI_DEPENDENCY_PROXY_PASSWORD", "CI_REPOSITORY_URL",
		"SYSTEM_ACCESSTOKEN", "CIRCLE_OIDC_TOKEN", "CIRCLE_OIDC_TOKEN_V2", "BITBUCKET_STEP_OIDC_TOKEN", "BUILDKITE_AGENT_ACCESS_TOKEN",
		"DOCKER_AUTH_CONFIG", "BERTH_*",
	}
}

// Without gives an environment without what a test does not get either.
func Without(environ []string) []string {
	given, _ := environment(environ, nil)
	return given
}

// environment gives what a test gets of an environment, and the names of what it does not get.
func environment(environ []string, through []workspace.EnvName) (given, kept []string) {
	withheld := Withheld()
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		secret := slices.ContainsFunc(withheld, func(w string) bool { return named(name, w) })
		if secret && !slices.ContainsFunc(through, func(n workspace.EnvName) bool { return string(n) == name }) {
			kept = append(kept, name)
			continue
		}
		given = append(given, variable)
	}
	slices.Sort(kept)
	return given, slices.Compact(kept)
}

// named compares without regard to case, since some systems do.
func named(name, pattern string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
	}
	return strings.EqualFold(name, pattern)
}

// lookup gives the value of a variable: the last one counts.
func lookup(environ []string, name string) string {
	for _, variable := range slices.Backward(environ) {
		if n, value, _ := strings.Cut(variable, "="); strings.EqualFold(n, name) {
			return value
		}
	}
	return ""
}
