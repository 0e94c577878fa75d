package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // AWS's thumbprints are SHA-1
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// issuer is an OIDC provider such as GitHub's, with a certificate of its own, at an address of this machine.
type issuer struct {
	url, thumbprint string
	key             *rsa.PrivateKey
}

// issuers counts the providers that were started: each has an address of its own, since Terraform takes no issuer with
// a port.
var issuers atomic.Int32

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	address := net.IPv4(127, 83, byte(os.Getpid()), byte(issuers.Add(1)))
	listener, err := net.Listen("tcp", net.JoinHostPort(address.String(), "443"))
	if err != nil {
		berthproc.Missing(t, "the OIDC provider cannot listen on port 443 of a loopback address: %v", err)
	}
	provider := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "2026", Algorithm: "RS256"}}}
	srv := httptest.NewUnstartedServer(provider)
	if err := srv.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	certificate := selfSigned(t, key, address)
	srv.Listener, srv.TLS = listener, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	url := "https://" + address.String()
	provider.SetIssuer(url)
	sum := sha1.Sum(certificate) //nolint:gosec // see above
	return &issuer{url: url, thumbprint: hex.EncodeToString(sum[:]), key: key}
}

// selfSigned makes a certificate for an address that vouches for itself.
func selfSigned(t *testing.T, key *rsa.PrivateKey, address net.IP) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "OIDC provider of a test"}, IPAddresses: []net.IP{address},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// token is what a job of GitHub Actions gets for itself.
func (i *issuer) token(t *testing.T, subject, audience string) string {
	t.Helper()
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": i.url, "sub": subject, "aud": audience, "iat": now.Unix(), "nbf": now.Unix() - 5, "exp": now.Add(5 * time.Minute).Unix(),
		"jti": fmt.Sprint(now.UnixNano()), "repository": "hoopstat/hoopstat-haus", "actor": "ada", "run_attempt": "1", "repository_id": "74",
	})
	if err != nil {
		t.Fatal(err)
	}
	return oidctest.SignIDToken(i.key, "2026", "RS256", string(claims))
}

const mainBranch = "repo:hoopstat/hoopstat-haus:ref:refs/heads/main"

// TestGuidesIdentity plays the guide's security half: Terraform makes the OIDC provider, the role and the user; a job of
// the main branch exchanges its token and pushes with docker; jobs of anybody else learn why not; the user pulls and can do nothing
// else. No key that lasts is in CI's hands at any time.
func TestGuidesIdentity(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	berthproc.Tool(t, "aws")
	if _, err := exec.LookPath("terraform"); err != nil || terraformMirror() == "" {
		t.Skip("the story begins with terraform and its AWS provider, which are not here")
	}
	d := newDocker(t)
	eachDatabase(t, func(t *testing.T, storage berthproc.Storage) {
		p := startIssuer(t)
		settings := filepath.Join(t.TempDir(), "berth.yaml")
		writeFile(t, settings, fmt.Sprintf("destinations:\n  - region: eu-west-1\n    url: http://127.0.0.1:9\n    access-key-id: AKIAIOSFODNN7EXAMPLE\n"+
			"    secret-access-key: none\noidc-providers:\n  %s:\n    allow-private: true\n", p.url))
		s := berthproc.Start(t, berthproc.Config{Storage: storage, Args: []string{"--config", settings, "--log-level", "debug"}})
		w := newWorkspace(t, s, terraformMirror())
		w.variables = []string{"oidc_issuer=" + p.url, fmt.Sprintf(`oidc_thumbprints=["%s"]`, p.thumbprint)}
		w.apply()
		w.settled("after the apply")
		story := &identityStory{t: t, s: s, issuer: p, docker: d, role: w.run("output", "-raw", "push_role_arn"), image: s.Host + "/" + guideRepo}
		story.push()
		story.others()
		story.puller(w)
	})
}

type identityStory struct {
	t           *testing.T
	s           *berthproc.Server
	issuer      *issuer
	docker      *docker
	role, image string
}

// job is a runner of CI: it has no credentials but the token that its provider made for it, in a file.
func (g *identityStory) job(subject, audience string) *shell {
	g.t.Helper()
	token := g.issuer.token(g.t, subject, audience)
	g.s.Secret(token)
	file := filepath.Join(g.t.TempDir(), "token")
	writeFile(g.t, file, token)
	sh := &shell{t: g.t, dir: g.t.TempDir(), env: berthproc.CleanEnvironment(g.t)}
	sh.env = append(append(sh.env, g.docker.env...), "DOCKER_BUILDKIT=0", "DOCKER_CONFIG="+g.t.TempDir(), "AWS_PAGER=",
		"AWS_ENDPOINT_URL="+g.s.URL, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ROLE_ARN="+g.role, "AWS_ROLE_SESSION_NAME=GitHubActions", "AWS_WEB_IDENTITY_TOKEN_FILE="+file)
	return sh
}

// push is what the job of the main branch does.
func (g *identityStory) push() {
	g.t.Helper()
	ci := g.job(mainBranch, "sts.amazonaws.com")
	who := ci.run("aws", "sts", "get-caller-identity", "--query", "Arn", "--output", "text")
	if want := "arn:aws:sts::123456789012:assumed-role/hoopstat-haus-github-actions/GitHubActions"; who != want {
		g.t.Errorf("aws sts get-caller-identity: %s, want %s", who, want)
	}
	password := ci.run("aws", "ecr", "get-login-password")
	g.s.Secret(password)
	contains(g.t, "docker login", ci.feed(password, "docker", "login", "--username", "AWS", "--password-stdin", g.s.Host), "Login Succeeded")
	ci.buildImage(g.image+":"+latestTag, "identity of "+g.image)
	ci.run("docker", "push", g.image+":"+latestTag)
	ci.run("aws", "ecr", "describe-images", "--repository-name", guideRepo)
	said := ci.refused("", "aws", "ecr", "delete-repository", "--repository-name", guideRepo, "--force")
	contains(g.t, "delete-repository by CI", said, "AccessDeniedException",
		"User: arn:aws:sts::123456789012:assumed-role/hoopstat-haus-github-actions/GitHubActions is not authorized to perform: ecr:DeleteRepository"+
			" on resource: arn:aws:ecr:us-east-1:123456789012:repository/hoopstat-haus/prod because no identity-based policy allows the ecr:DeleteRepository action")
	said = ci.refused("", "aws", "iam", "create-access-key", "--user-name", "hoopstat-haus-puller")
	contains(g.t, "create-access-key by CI", said, "AccessDenied", "iam:CreateAccessKey")
	ci.run("docker", "tag", g.image+":"+latestTag, g.s.Host+"/another:v1")
	contains(g.t, "docker push to another repository", ci.refused("", "docker", "push", g.s.Host+"/another:v1"), "denied", "another")
}

// others are jobs that must not take the role, and are told why.
func (g *identityStory) others() {
	g.t.Helper()
	for name, job := range map[string]struct{ subject, audience, words string }{
		"a fork":              {"repo:mallory/hoopstat-haus:ref:refs/heads/main", "sts.amazonaws.com", "repo:mallory/hoopstat-haus:ref:refs/heads/main"},
		"another branch":      {"repo:hoopstat/hoopstat-haus:ref:refs/heads/feature", "sts.amazonaws.com", "repo:hoopstat/hoopstat-haus:ref:refs/heads/feature"},
		"a pull request":      {"repo:hoopstat/hoopstat-haus:pull_request", "sts.amazonaws.com", "repo:hoopstat/hoopstat-haus:pull_request"},
		"an immutable sub":    {"repo:hoopstat@1/hoopstat-haus@2:ref:refs/heads/main", "sts.amazonaws.com", "repo:hoopstat@1/hoopstat-haus@2:ref:refs/heads/main"},
		"the wrong audience":  {mainBranch, "https://github.com/hoopstat", "Incorrect token audience"},
		"a longer repository": {"repo:hoopstat/hoopstat-haus-evil:ref:refs/heads/main", "sts.amazonaws.com", "hoopstat-haus-evil"},
	} {
		said := g.job(job.subject, job.audience).refused("", "aws", "sts", "get-caller-identity")
		contains(g.t, "AssumeRoleWithWebIdentity by "+name, said, "AssumeRoleWithWebIdentity", job.words)
	}
	stranger := startIssuer(g.t)
	imposter := *g
	imposter.issuer = &issuer{url: g.issuer.url, key: stranger.key} // the right claims, signed by somebody else
	contains(g.t, "a forged token", imposter.job(mainBranch, "sts.amazonaws.com").refused("", "aws", "sts", "get-caller-identity"), "InvalidIdentityToken")
	imposter.issuer = stranger
	contains(g.t, "an unknown provider's token", imposter.job(mainBranch, "sts.amazonaws.com").refused("", "aws", "sts", "get-caller-identity"),
		"InvalidIdentityToken", "No OpenIDConnect provider found in your account for "+stranger.url)
}

// puller is the user whom Terraform made, with a key that the administrator makes.
func (g *identityStory) puller(w *workspace) {
	g.t.Helper()
	root := &shell{t: g.t, dir: g.t.TempDir(), env: w.env}
	var key struct {
		AccessKey struct{ AccessKeyID, SecretAccessKey string }
	}
	made := root.run("aws", "iam", "create-access-key", "--user-name", "hoopstat-haus-puller", "--output", "json")
	if err := json.Unmarshal([]byte(made), &key); err != nil || key.AccessKey.SecretAccessKey == "" {
		g.t.Fatalf("aws iam create-access-key printed %q: %v", made, err)
	}
	g.s.Secret(key.AccessKey.SecretAccessKey)
	host := &shell{t: g.t, dir: g.t.TempDir(), env: berthproc.CleanEnvironment(g.t)}
	host.env = append(append(host.env, g.docker.env...), "AWS_PAGER=", "DOCKER_CONFIG="+g.t.TempDir(),
		"AWS_ENDPOINT_URL="+g.s.URL, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID="+key.AccessKey.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+key.AccessKey.SecretAccessKey)
	password := host.run("aws", "ecr", "get-login-password")
	host.feed(password, "docker", "login", "--username", "AWS", "--password-stdin", g.s.Host)
	host.run("docker", "pull", g.image+":"+latestTag)
	host.run("docker", "tag", g.image+":"+latestTag, g.image+":mine")
	contains(g.t, "docker push by the puller", host.refused("", "docker", "push", g.image+":mine"), "denied", "hoopstat-haus-puller", "not authorized")
	for _, command := range []string{
		"ecr describe-repositories", "ecr batch-delete-image --repository-name hoopstat-haus/prod --image-ids imageTag=" + latestTag,
		"ecr set-repository-policy --repository-name hoopstat-haus/prod --policy-text {}", "iam list-users",
		"iam create-access-key --user-name hoopstat-haus-puller", "sts assume-role --role-arn " + g.role + " --role-session-name mine",
	} {
		contains(g.t, "aws "+command, host.refused("", "aws", strings.Fields(command)...), "AccessDenied", "machines/hoopstat-haus-puller")
	}
	if out, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate")); err != nil || strings.Contains(string(out), key.AccessKey.SecretAccessKey) {
		g.t.Errorf("Terraform's state: %v; want it there, without the user's secret", err)
	}
	// A key that is deleted ends its tokens.
	root.run("aws", "iam", "delete-access-key", "--user-name", "hoopstat-haus-puller", "--access-key-id", key.AccessKey.AccessKeyID)
	contains(g.t, "docker pull with a deleted key's token", host.refused("", "docker", "pull", g.image+":"+latestTag), "Reauthenticate")
}
