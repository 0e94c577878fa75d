package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// TestExpiredPassword uses a password from 13 hours ago: every client shows the sentence that says what to do.
func TestExpiredPassword(t *testing.T) { //nolint:tparallel // the subtests share a server and take moments
	t.Parallel()
	berthproc.Gate(t)
	s := berthproc.Start(t, berthproc.Config{})
	s.CreateRepositories("old/password")
	id, secret := s.Keys()
	s.Stop()
	token := oldToken(t, s.Data, aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, time.Now().Add(-13*time.Hour))
	s.Restart()

	const sentence = "Your authorization token has expired. Reauthenticate and try again."
	c := newClient(t, s)
	c.auth = "Basic " + token
	for _, path := range []string{"/v2/", "/v2/old/password/tags/list", "/v2/old/password/manifests/v1"} {
		r := c.must(t, http.StatusForbidden, http.MethodGet, path, nil)
		contains(t, "GET "+path, string(r.Body), "DENIED", sentence)
	}

	sh := newShell(t, s)
	logins, err := json.Marshal(map[string]any{"auths": map[string]any{s.Host: map[string]string{"auth": token}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), logins, 0o600); err != nil {
		t.Fatal(err)
	}
	sh.env = append(sh.env, "DOCKER_CONFIG="+dir, "REGISTRY_AUTH_FILE="+filepath.Join(dir, "config.json"))
	t.Run("crane", func(t *testing.T) {
		berthproc.Tool(t, "crane")
		contains(t, "crane ls", sh.refused("", "crane", "ls", s.Host+"/old/password"), sentence)
	})
	t.Run("skopeo", func(t *testing.T) {
		berthproc.Tool(t, "skopeo")
		said := sh.refused("", "skopeo", "inspect", "--tls-verify=false", "docker://"+s.Host+"/old/password:v1")
		contains(t, "skopeo inspect", said, sentence)
	})
	t.Run("docker", func(t *testing.T) {
		sh.env = append(sh.env, newDocker(t).env...)
		contains(t, "docker pull", sh.refused("", "docker", "pull", s.Host+"/old/password:v1"), sentence)
	})
}

// oldToken asks a server for an authorization token as of then. It runs in this process, since that is the
// only way to give it another clock, on the data of a server that is down.
func oldToken(t *testing.T, data string, key aws.Credentials, then time.Time) string {
	t.Helper()
	cfg, err := config.Load(config.Sources{Flags: map[string]string{"data": data, "listen": "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	past, err := app.New(t.Context(), cfg, app.Deps{
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return then.Add(time.Since(began)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- past.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server of %v: %v", then, err)
		}
	}()

	body := []byte("{}")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, past.URL().String()+"/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, key, req, hex.EncodeToString(sum[:]), "ecr", "us-east-1", then); err != nil {
		t.Fatal(err)
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		AuthorizationData []struct{ AuthorizationToken string }
	}
	if err := json.Unmarshal(raw, &out); err != nil || len(out.AuthorizationData) != 1 {
		t.Fatalf("GetAuthorizationToken %v ago answered %s %s", time.Since(then), resp.Status, raw)
	}
	token := out.AuthorizationData[0].AuthorizationToken
	if _, err := base64.StdEncoding.DecodeString(token); err != nil {
		t.Fatalf("the token of %v is not base64: %v", then, err)
	}
	return token
}
