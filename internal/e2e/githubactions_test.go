package e2e_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/go-jose/go-jose/v4"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

const (
	actionsIssuer = "https://token.actions.githubusercontent.com"
	actionsMain   = "repo:my-org/hoopstat-haus:ref:refs/heads/main"
	actionsPull   = "repo:my-org/hoopstat-haus:pull_request"
)

// TestGitHubActionsSDKs makes the calls of GitHub's actions for AWS with the SDKs that they bundle, against a server whose
// GitHub is a pinned key. Like Terraform, node is never required.
func TestGitHubActionsSDKs(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not on PATH")
	}
	program := actionsProgram(t)
	s, token := startTrusting(t)
	account := actionsAccount(t, s)
	trusted := makeActionsRoles(t, s, account)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, text)
		return path
	}
	cmd := exec.CommandContext(t.Context(), node, program)
	cmd.Dir = filepath.Dir(program)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(berthproc.CleanEnvironment(t), "AWS_ENDPOINT_URL="+s.URL, "AWS_REGION="+s.Exports()["AWS_REGION"], "AWS_MAX_ATTEMPTS=1",
		"AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=127.0.0.1", "ACCOUNT="+account,
		"ROLE="+trusted.web, "TOKEN_FILE="+write("token", token(actionsMain)), "REFUSED_TOKEN_FILE="+write("pull-token", token(actionsPull)),
		"KEY_ID="+trusted.keyID, "KEY_SECRET="+trusted.secret, "KEY_ROLE="+trusted.keys)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node %s: %v\n%s%s", program, err, out, stderr.String())
	}
	var seen actionsSeen
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatalf("node printed %s: %v", out, err)
	}
	seen.check(t, s, account)
}

// startTrusting starts a server whose GitHub is a pinned key, and gives what that key signs.
func startTrusting(t *testing.T) (s *berthproc.Server, token func(subject string) string) {
	t.Helper()
	section, token := pinnedGitHub(t)
	settings := filepath.Join(t.TempDir(), "berth.yaml")
	writeFile(t, settings, section)
	return berthproc.Start(t, berthproc.Config{Args: []string{"--config", settings}}), token
}

// pinnedGitHub makes a key, and gives the section of the configuration by which it is GitHub's, and what it signs.
func pinnedGitHub(t *testing.T) (section string, token func(subject string) string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "jwks.json")
	writeFile(t, keys, string(set))
	return "oidc-providers:\n  " + actionsIssuer + ":\n    jwks-file: " + keys + "\n", func(subject string) string {
		claims, err := json.Marshal(map[string]any{
			"iss": actionsIssuer, "sub": subject, "aud": "sts.amazonaws.com", "jti": subject, "repository": "my-org/hoopstat-haus",
			"iat": time.Now().Unix(), "nbf": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
		})
		if err != nil {
			t.Error(err)
		}
		return oidctest.SignIDToken(key, "k1", "RS256", string(claims))
	}
}

// actionsSeen is what login.mjs prints.
type actionsSeen struct {
	Web       struct{ Arn, Subject, Provider, Who string }
	TokenFile string
	Refused   struct {
		Name, Message string
		Status        int
	}
	Tagged struct {
		Arn, Who string
		Packed   int
	}
	Logins []struct{ User, Password, ProxyEndpoint string }
}

func (seen *actionsSeen) check(t *testing.T, s *berthproc.Server, account string) {
	t.Helper()
	session := func(role, name string) string {
		return "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + name
	}
	if w := seen.Web; w.Who != session("web", "GitHubActions") || w.Arn != w.Who || w.Subject != actionsMain || w.Provider != actionsIssuer {
		t.Errorf("AssumeRoleWithWebIdentity: %+v", w)
	}
	if seen.TokenFile != session("web", "file") {
		t.Errorf("by AWS_WEB_IDENTITY_TOKEN_FILE: %s", seen.TokenFile)
	}
	if r := seen.Refused; r.Name != "AccessDenied" || r.Status != 403 || !strings.Contains(r.Message, "Not authorized to perform sts:AssumeRoleWithWebIdentity") ||
		!strings.Contains(r.Message, `"`+actionsPull+`"`) {
		t.Errorf("a pull request: %+v", r)
	}
	if g := seen.Tagged; g.Who != session("keys", "GitHubActions") || g.Arn != g.Who || g.Packed < 1 || g.Packed > 100 {
		t.Errorf("AssumeRole: %+v", g)
	}
	if len(seen.Logins) != 2 {
		t.Fatalf("%d logins, want 2", len(seen.Logins))
	}
	for _, l := range seen.Logins {
		if l.User != "AWS" || l.Password == "" || strings.ContainsAny(l.Password, ": \t\r\n") || len(l.Password) > 4096 {
			t.Errorf("the login is %s with a password of %d characters, which a client cannot take", l.User, len(l.Password))
		}
		if strings.TrimPrefix(strings.TrimPrefix(l.ProxyEndpoint, "http://"), "https://") != s.Host {
			t.Errorf("the endpoint is %s, want %s", l.ProxyEndpoint, s.Host)
		}
		s.Secret(l.Password)
		actionsLogin(t, s, l.User, l.Password)
	}
}

// actionsLogin asks what docker login asks.
func actionsLogin(t *testing.T, s *berthproc.Server, user, password string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v2/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, password)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("GET /v2/ with the password: %s, %v", res.Status, err)
	}
}

func actionsAccount(t *testing.T, s *berthproc.Server) string {
	t.Helper()
	who, err := s.STS().GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	return *who.Account
}

// actionsRoles is what the workflow is given.
type actionsRoles struct{ web, keys, keyID, secret string }

// makeActionsRoles makes the provider, the role for its tokens, and the user and role for lasting keys.
func makeActionsRoles(t *testing.T, s *berthproc.Server, account string) actionsRoles {
	t.Helper()
	id, secret := s.Keys()
	c, ctx := iam.New(iam.Options{
		BaseEndpoint: aws.String(s.URL), Region: s.Exports()["AWS_REGION"], Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
	}), t.Context()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	provider, err := c.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: aws.String(actionsIssuer), ClientIDList: []string{"sts.amazonaws.com"},
	})
	must("CreateOpenIDConnectProvider", err)
	trust := func(principal, actions, condition string) *string {
		return aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":` + actions + condition + `}]}`)
	}
	web, err := c.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("web"), Path: aws.String("/github/"),
		AssumeRolePolicyDocument: trust(`{"Federated":"`+*provider.OpenIDConnectProviderArn+`"}`, `"sts:AssumeRoleWithWebIdentity"`,
			`,"Condition":{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com","token.actions.githubusercontent.com:sub":"`+actionsMain+`"}}`),
	})
	must("CreateRole web", err)
	keys, err := c.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("keys"), AssumeRolePolicyDocument: trust(`{"AWS":"`+account+`"}`, `["sts:AssumeRole","sts:TagSession"]`, ""),
	})
	must("CreateRole keys", err)
	allow := func(action string) *string {
		return aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"*"}]}`)
	}
	_, err = c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("web"), PolicyName: aws.String("push"), PolicyDocument: allow("ecr:*")})
	must("PutRolePolicy", err)
	_, err = c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ci")})
	must("CreateUser", err)
	_, err = c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("ci"), PolicyName: aws.String("assume"), PolicyDocument: allow("sts:*")})
	must("PutUserPolicy", err)
	key, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("ci")})
	must("CreateAccessKey", err)
	return actionsRoles{*web.Role.Arn, *keys.Role.Arn, *key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey}
}

// actionsProgram installs the SDKs, as the lock file pins them, into the user's cache, and puts login.mjs beside them.
func actionsProgram(t *testing.T) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("npm is not on PATH")
	}
	const source = "testdata/githubactions"
	lock, err := os.ReadFile(source + "/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := os.Getenv("BERTH_TEST_GITHUB_ACTIONS_SDKS") // where they are installed already
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(cache, "berth-tests", "github-actions-sdks")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	have, _ := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@aws-sdk", "client-sts")); err != nil || !bytes.Equal(have, lock) {
		for _, name := range []string{"package.json", "package-lock.json"} {
			text, err := os.ReadFile(filepath.Join(source, name))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, name), string(text))
		}
		cmd := exec.CommandContext(t.Context(), npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			berthproc.Missing(t, "npm ci cannot install the SDKs: %v\n%s", err, out)
		}
	}
	text, err := os.ReadFile(source + "/login.mjs")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "login.mjs")
	writeFile(t, program, string(text))
	return program
}
