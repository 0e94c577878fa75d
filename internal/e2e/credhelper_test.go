package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// TestCredentialHelper pushes and pulls with docker, which nobody logs in: it runs docker-credential-berth, which has
// AWS credentials to go by.
func TestCredentialHelper(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	d := newDocker(t)
	s := berthproc.Start(t, berthproc.Config{})
	s.CreateRepositories("team/app")

	bin, config, home := t.TempDir(), t.TempDir(), t.TempDir()
	sh := newShell(t, s)
	sh.env = append(append(sh.env, d.env...), "DOCKER_BUILDKIT=0", "DOCKER_CONFIG="+config, "REGISTRY_AUTH_FILE=", "HOME="+home,
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	berth := berthproc.Binary(t)
	out, errs, err := sh.try("", berth, "docker-credential", "install", "--server", s.Host, "--link", bin)
	if err != nil || strings.Contains(errs, "hint") {
		t.Fatalf("berth docker-credential install: %v\n%s%s", err, out, errs)
	}

	image := s.Host + "/team/app:v1"
	sh.buildImage(image, "1 of "+image)
	contains(t, "docker push", sh.run("docker", "push", image), "digest: sha256:")
	sh.run("docker", "rmi", image)
	sh.run("docker", "pull", "--quiet", image)
	if info, err := os.Stat(filepath.Join(home, ".cache", "berth", "tokens.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of tokens: %v, %v; want mode 0600", info, err)
	}

	// By its own name, since docker's configuration names it. So do clients that are not docker.
	sh.env = slices.DeleteFunc(sh.env, func(v string) bool { return strings.HasPrefix(v, "AWS_ENDPOINT_URL") })
	sh.run("docker", "pull", "--quiet", image)
	if _, err := exec.LookPath("crane"); err == nil {
		contains(t, "crane ls", sh.run("crane", "ls", s.Host+"/team/app"), "v1")
	}
	if _, err := exec.LookPath("skopeo"); err == nil {
		contains(t, "skopeo list-tags", sh.run("skopeo", "list-tags", "--tls-verify=false", "docker://"+s.Host+"/team/app"), `"v1"`)
	}

	// docker login hands the helper a login to store, and docker logout one to forget.
	contains(t, "docker login", sh.feed(s.Password(), "docker", "login", "--username", "AWS", "--password-stdin", s.Host), "Login Succeeded")
	sh.run("docker", "logout", s.Host)
	sh.run("docker", "pull", "--quiet", image)

	// Whoever has no credentials is told so by the helper, and pulls as anybody.
	sh.env = slices.DeleteFunc(sh.env, func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	sh.env = append(sh.env, "AWS_EC2_METADATA_DISABLED=true")
	said := sh.refused("", "docker", "pull", image)
	contains(t, "docker pull without credentials", said, s.Host+": used without a login: there are no AWS credentials", "no basic auth credentials")
}

// TestPersonsWayIn makes a user who may pull and nothing else, and has docker be that user, whom nobody logs in.
func TestPersonsWayIn(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	d := newDocker(t)
	s := berthproc.Start(t, berthproc.Config{})
	s.CreateRepositories("team/app")
	berth, bin, config := berthproc.Binary(t), t.TempDir(), t.TempDir()
	sh := newShell(t, s)
	sh.env = append(append(sh.env, d.env...), "DOCKER_BUILDKIT=0", "DOCKER_CONFIG="+config, "HOME="+t.TempDir(),
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	sh.run(berth, "docker-credential", "install", "--link", bin) // for the server of AWS_ENDPOINT_URL
	image := s.Host + "/team/app:v1"
	sh.buildImage(image, "1 of "+image)
	sh.run("docker", "push", image)

	sh.run(berth, "admin", "create-user", "ada", "--policy", "pull")
	var key struct{ AccessKeyID, SecretAccessKey string }
	if out := sh.run(berth, "admin", "create-key", "ada", "--output", "json"); json.Unmarshal([]byte(out), &key) != nil {
		t.Fatalf("berth admin create-key printed %q", out)
	}
	ada := &shell{t: t, dir: sh.dir, env: append(slices.Clone(sh.env), "AWS_ACCESS_KEY_ID="+key.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+key.SecretAccessKey)}
	ada.run("docker", "pull", "--quiet", image)
	ada.run("docker", "tag", image, s.Host+"/team/app:v2")
	contains(t, "docker push by whoever may pull", ada.refused("", "docker", "push", s.Host+"/team/app:v2"),
		"User: arn:aws:iam::123456789012:user/ada is not authorized to perform: ecr:", "because no identity-based policy allows the ecr:")
	contains(t, "berth admin by whoever may pull", ada.refused("", berth, "admin", "create-user", "eve", "--policy", "full"),
		"AccessDenied: User: arn:aws:iam::123456789012:user/ada is not authorized to perform: iam:CreateUser",
		"policy simulate --principal arn:aws:iam::123456789012:user/ada --action iam:CreateUser")

	// The token that the helper keeps opens nothing once the key is gone.
	sh.run(berth, "admin", "disable-key", "ada", key.AccessKeyID)
	ada.refused("", "docker", "pull", image)
	sh.run(berth, "admin", "enable-key", "ada", key.AccessKeyID)
	ada.run("docker", "pull", "--quiet", image)
	sh.run(berth, "admin", "delete-user", "ada", "--force")
	ada.refused("", "docker", "pull", image)
}
