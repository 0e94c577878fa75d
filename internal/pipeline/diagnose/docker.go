package diagnose

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/dockercred"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
)

// local is what was found out about this machine.
type local struct {
	docker dockerFile
	engine engineInfo
}

// engineInfo is what the engine says of itself, in docker info's words.
type engineInfo struct {
	known    bool
	remote   bool // it is on another machine
	OSType   string
	Arch     string `json:"Architecture"`
	DataRoot string `json:"DockerRootDir"`
	Version  string `json:"ServerVersion"`
	Registry struct {
		CIDRs   []string `json:"InsecureRegistryCIDRs"`
		Indexes map[string]struct {
			Secure bool
		} `json:"IndexConfigs"`
	} `json:"RegistryConfig"`
	Errors []string `json:"ServerErrors"`
}

// dockerProgram looks whether docker is here.
func dockerProgram(ctx context.Context, _ *Env) Result {
	if _, err := exec.LookPath("docker"); err != nil {
		if _, err := exec.LookPath("buildah"); err == nil {
			return warn("", "docker is not on PATH; buildah is, with which berth ship builds").blocking()
		}
		return fail("curl -fsSL https://get.docker.com | sh", "docker is not on PATH")
	}
	version, err := ask(ctx, "docker", "--version")
	if err != nil {
		return fail("", "docker is here and does not run: %s", sentence(err))
	}
	return ok("%s", version)
}

// engine asks docker whether it reaches its engine.
func engine(ctx context.Context, e *Env) Result {
	host := e.get("DOCKER_HOST")
	text, err := ask(ctx, "docker", "info", "--format", "{{json .}}")
	var info engineInfo
	if json.Unmarshal([]byte(text), &info) == nil && len(info.Errors) > 0 { // older ones end with 0 all the same
		err = errors.New(info.Errors[0])
	}
	if err != nil {
		what, fix := engineTrouble(sentence(err))
		if host != "" {
			what, fix = what+"; DOCKER_HOST is set", cmp.Or(fix, "unset DOCKER_HOST")
		}
		return fail(fix, "%s", what)
	}
	info.known = true
	if u, err := url.Parse(host); err == nil && host != "" {
		info.remote = u.Scheme == "ssh" || u.Scheme == "tcp" && !registry.IsLoopback(u.Hostname())
	}
	e.here.engine = info
	return ok("the engine answers: version %s for %s/%s", orUnknown(info.Version), orUnknown(info.OSType), goArch(info.Arch))
}

func orUnknown(s string) string { return cmp.Or(s, "unknown") }

// engineTrouble words why docker does not reach its engine.
func engineTrouble(said string) (what, fix string) {
	said = strings.TrimPrefix(said, "docker: ")
	switch lower := strings.ToLower(said); {
	case strings.Contains(lower, "permission denied"):
		return "this user may not speak to docker's engine", "sudo usermod -aG docker $USER && newgrp docker"
	case strings.Contains(lower, "context") && strings.Contains(lower, "not found"):
		return "docker's context is not there: " + said, "docker context use default"
	case strings.Contains(lower, "cannot connect") || strings.Contains(lower, "is the docker daemon running") || strings.Contains(lower, "no such file"):
		return "docker's engine does not run, or not where docker looks for it", "sudo systemctl start docker"
	case strings.Contains(lower, "config"):
		return "docker cannot read its configuration", ""
	default:
		return "docker's engine does not answer: " + said, ""
	}
}

// goArch is an architecture by the name that images have it by.
func goArch(uname string) string {
	switch uname {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l", "armv6l":
		return "arm"
	case "":
		return runtime.GOARCH
	default:
		return uname
	}
}

// dockerConfig reads docker's configuration.
func dockerConfig(_ context.Context, e *Env) Result {
	if e.DockerConfig == "" {
		return fail("export HOME=~", "neither DOCKER_CONFIG nor HOME says where docker's configuration is")
	}
	text, err := os.ReadFile(e.DockerConfig)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ok("there is no %s, and docker needs none", e.DockerConfig)
	case errors.Is(err, fs.ErrPermission):
		return fail("sudo chown $USER "+quote(e.DockerConfig), "%s may not be read by this user", e.DockerConfig)
	case err != nil:
		return fail("ls -l "+quote(e.DockerConfig), "docker's configuration cannot be read: %s", sentence(err))
	}
	f, err := parseDockerFile(text)
	if err != nil {
		return fail("${EDITOR:-vi} "+quote(e.DockerConfig), "docker cannot read %s: %s", e.DockerConfig, sentence(err))
	}
	e.here.docker = f
	if info, err := os.Stat(e.DockerConfig); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 && hasSecrets(f) {
		return warn("chmod 600 "+quote(e.DockerConfig), "%s has logins in it, and other users may read it", e.DockerConfig)
	}
	var missing []string
	for _, host := range sortedKeys(f.CredHelpers) {
		if _, err := exec.LookPath("docker-credential-" + f.CredHelpers[host]); err != nil {
			missing = append(missing, "docker-credential-"+f.CredHelpers[host]+" for "+host)
		}
	}
	if len(missing) > 0 {
		return warn("", "%s names programs that are not on PATH: %s", e.DockerConfig, strings.Join(missing, ", "))
	}
	return ok("%s can be read", e.DockerConfig)
}

func hasSecrets(f dockerFile) bool {
	for _, a := range f.Auths {
		if a.Auth != "" || a.Password != "" || a.IdentityToken != "" {
			return true
		}
	}
	return false
}

// dockerLogin looks whether docker has a login for the registry, and whether it is good.
func dockerLogin(ctx context.Context, e *Env) Result {
	host := e.registry.Host
	install := e.Self + " docker-credential install --server " + quote(host)
	how := e.here.docker.how(host)
	program := "docker-credential-" + how.Helper
	switch {
	case how.Helper == "" && how.Auth == nil:
		return fail(install, "docker is not logged in to %s, and no credential helper is named for it", host)
	case how.Helper == "":
		return e.storedLogin(ctx, *how.Auth, install)
	}
	if _, err := exec.LookPath(program); err != nil {
		return fail(install, "docker asks %s for the login to %s, and that is not on PATH", program, host)
	}
	switch {
	case program == dockercred.Program:
		helper := dockercred.New(dockercred.Config{DockerConfig: e.DockerConfig, Servers: e.Servers, Now: e.Now}) // keeps nothing
		login, err := helper.Get(ctx, host)
		if err != nil {
			return fail("export AWS_ENDPOINT_URL="+quote(e.at.Redacted()), "docker asks %s for the login to %s, and it has none: %s", program, host, sentence(err))
		}
		if status, err := knock(ctx, e.registry, login.Username, login.Secret); err != nil || status != http.StatusOK {
			return fail("", "the login of %s is not taken by %s", program, host)
		}
		return ok("docker logs in to %s by %s", host, program)
	case how.Helper == "ecr-login" && !registry.IsAmazons(host):
		return fail(install, "docker asks docker-credential-ecr-login for the login to %s, and that knows Amazon's names alone", host)
	case how.Own:
		return ok("docker logs in to %s by %s, which was not run", host, program)
	default:
		return warn(loginFix(host), "docker keeps its logins with %s, which was not asked; a login to %s ends after 12 hours", program, host)
	}
}

// loginFix is the guide's own way.
func loginFix(host string) string {
	return "aws ecr get-login-password | docker login --username AWS --password-stdin " + quote(host)
}

// storedLogin asks the registry whether a login of the file is good: it is sent nowhere else.
func (e *Env) storedLogin(ctx context.Context, a dockerAuth, install string) Result {
	host := e.registry.Host
	if a.IdentityToken != "" {
		return unseen("the login to %s is an identity token, which is exchanged at another server", host)
	}
	user, secret, err := a.login()
	if err != nil {
		return fail(install, "docker's entry for %s is of no use: %s", host, sentence(err))
	}
	if end, says := tokenEnd(secret); says && !end.After(e.Now()) {
		return fail(install, "docker's login to %s ended at %s: such a token is good for 12 hours", host, end.UTC().Format(time.RFC3339))
	}
	switch status, err := knock(ctx, e.registry, user, secret); {
	case err != nil:
		return unseen("the registry does not answer: %s", sentence(err))
	case status == http.StatusOK:
		return warn(install, "docker is logged in to %s with a token, which ends 12 hours after it was given; a credential helper logs in anew by itself", host)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fail(install, "docker's login to %s is refused: it ended (it is good for 12 hours), or is for another server", host)
	default:
		return fail("", "docker's login to %s could not be tried: the registry answers %d", host, status)
	}
}

// dockerRegistry looks whether the engine, which may be on another machine, would speak to the registry as it is.
func dockerRegistry(_ context.Context, e *Env) Result {
	host, info := e.registry.Host, e.here.engine
	loopback := registry.IsLoopback(e.registry.Hostname())
	switch {
	case loopback && info.remote:
		return fail("unset DOCKER_HOST", "the engine is on another machine, for which %s is itself", host)
	case e.registry.Scheme == "https" && e.get("SSL_CERT_FILE") != "" && !info.remote && !info.insecure(e.registry) && !hasCerts(host):
		return warn("sudo mkdir -p "+certsDir(host)+" && sudo cp "+quote(e.get("SSL_CERT_FILE"))+" "+certsDir(host)+"/ca.crt",
			"SSL_CERT_FILE may be what vouches for %s here, and the engine goes by the system and by %s", host, certsDir(host))
	case e.registry.Scheme == "https":
		return ok("the engine speaks TLS to %s", host)
	case loopback || info.insecure(e.registry):
		return ok("the engine takes plain HTTP from %s", host)
	}
	return fail(fmt.Sprintf(`add "insecure-registries": [%q] to /etc/docker/daemon.json, then: sudo systemctl restart docker`, host),
		"%s has no TLS, and the engine takes plain HTTP from its own machine alone", host)
}

// insecure tells whether the engine is told to take plain HTTP from a registry.
func (i engineInfo) insecure(at *url.URL) bool {
	if index, named := i.Registry.Indexes[at.Host]; named && !index.Secure {
		return true
	}
	ip := net.ParseIP(at.Hostname())
	return ip != nil && slices.ContainsFunc(i.Registry.CIDRs, func(cidr string) bool {
		_, network, err := net.ParseCIDR(cidr)
		return err == nil && network.Contains(ip)
	})
}

// certsDir is where docker looks for authorities of one registry.
func certsDir(host string) string { return filepath.Join("/etc/docker/certs.d", host) }

func hasCerts(host string) bool {
	found, err := filepath.Glob(filepath.Join(certsDir(host), "*.crt"))
	return err == nil && len(found) > 0
}
