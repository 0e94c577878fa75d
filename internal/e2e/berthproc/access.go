package berthproc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Exports runs what users type, eval "$(berth env)", in a shell, and gives the AWS variables it set.
func (s *Server) Exports() map[string]string {
	s.t.Helper()
	if s.exports != nil {
		return s.exports
	}
	script := `eval "$("$0" env --data "$1" --url "$2")" && env`
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", script, Binary(s.t), s.Data, s.URL)
	cmd.Env = s.env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("berth env --data %s: %v\n%s%s", s.Data, err, out, errs.String())
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if k, v, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok && strings.HasPrefix(k, "AWS_") {
			exports[k] = v
		}
	}
	for _, want := range []string{"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"} {
		if exports[want] == "" {
			s.t.Fatalf("berth env --data %s does not set %s: %q", s.Data, want, out)
		}
	}
	s.exports = exports
	s.Secret(exports["AWS_SECRET_ACCESS_KEY"])
	return exports
}

// Keys gives the root access key and its secret.
func (s *Server) Keys() (id, secret string) {
	s.t.Helper()
	e := s.Exports()
	return e["AWS_ACCESS_KEY_ID"], e["AWS_SECRET_ACCESS_KEY"]
}

// Environment is a clean environment for clients with what `berth env` exports, and with docker's login
// already done in files that docker, crane, oras, regctl and skopeo read.
func (s *Server) Environment(t testing.TB) []string {
	t.Helper()
	env := CleanEnvironment(t)
	for k, v := range s.Exports() {
		env = append(env, k+"="+v)
	}
	dir := t.TempDir()
	auth := base64.StdEncoding.EncodeToString([]byte("AWS:" + s.Password()))
	logins, err := json.Marshal(map[string]any{"auths": map[string]any{s.Host: map[string]string{"auth": auth}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, logins, 0o600); err != nil {
		t.Fatal(err)
	}
	return append(env, "DOCKER_CONFIG="+dir, "REGISTRY_AUTH_FILE="+file, "AWS_PAGER=", "REGCTL_CONFIG="+filepath.Join(dir, "regctl.json"))
}

// ECR is an SDK client with the root key.
func (s *Server) ECR(options ...func(*ecr.Options)) *ecr.Client {
	s.t.Helper()
	return ecr.New(ecr.Options{
		BaseEndpoint: aws.String(s.URL), Region: s.Exports()["AWS_REGION"], Credentials: s.provider(),
	}, options...)
}

// STS is an SDK client with the root key.
func (s *Server) STS(options ...func(*sts.Options)) *sts.Client {
	s.t.Helper()
	return sts.New(sts.Options{
		BaseEndpoint: aws.String(s.URL), Region: s.Exports()["AWS_REGION"], Credentials: s.provider(),
	}, options...)
}

func (s *Server) provider() aws.CredentialsProvider {
	id, secret := s.Keys()
	return credentials.NewStaticCredentialsProvider(id, secret, "")
}

// Password is what `aws ecr get-login-password` prints.
func (s *Server) Password() string {
	s.t.Helper()
	out, err := s.ECR().GetAuthorizationToken(s.t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		s.t.Fatalf("GetAuthorizationToken: %v", err)
	}
	if n := len(out.AuthorizationData); n != 1 {
		s.t.Fatalf("GetAuthorizationToken gave %d tokens, want 1", n)
	}
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		s.t.Fatalf("GetAuthorizationToken: the token is not base64: %v", err)
	}
	user, password, _ := strings.Cut(string(raw), ":")
	if user != "AWS" || password == "" || strings.Contains(password, ":") {
		s.t.Fatalf("GetAuthorizationToken: the token is for user %q, want AWS and a password without a colon", user)
	}
	return password
}

// CreateRepositories creates them with the settings of the zero input.
func (s *Server) CreateRepositories(names ...string) {
	s.t.Helper()
	client := s.ECR()
	for _, name := range names {
		if _, err := client.CreateRepository(s.t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name}); err != nil {
			s.t.Fatalf("CreateRepository(%s): %v", name, err)
		}
	}
}
