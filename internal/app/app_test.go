package app_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"go.uber.org/goleak"

	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settings are those of a server on a free port with the data directory, and more as name=value.
func settings(t *testing.T, data string, more ...string) config.Config {
	t.Helper()
	flags := map[string]string{"data": data, "listen": "127.0.0.1:0"}
	for _, pair := range more {
		name, value, _ := strings.Cut(pair, "=")
		flags[name] = value
	}
	cfg, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func deps() app.Deps { return app.Deps{Logger: slog.New(slog.DiscardHandler), Now: time.Now} }

// running is an App that serves, and how to stop it.
type running struct {
	*app.App
	client *http.Client
	stop   func() error // once or more
}

func start(t *testing.T, cfg config.Config, d app.Deps) *running {
	t.Helper()
	a, err := app.New(t.Context(), cfg, d)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	r := &running{App: a, client: &http.Client{Transport: transport}}
	r.stop = sync.OnceValue(func() error {
		cancel()
		transport.CloseIdleConnections()
		return <-ended
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func (r *running) get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return res.StatusCode, string(text)
}

// ecr is an SDK client with what the data directory says.
func (r *running) ecr(t *testing.T, data string) *ecr.Client {
	t.Helper()
	key, err := app.ReadRootKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return ecr.New(ecr.Options{
		BaseEndpoint: aws.String(key.URL), Region: key.Region, HTTPClient: r.client,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
	})
}

func TestStartServeStop(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "new", "data")
	r := start(t, settings(t, data), deps())
	if !r.CreatedRoot() {
		t.Error("the first start did not make a root key")
	}
	base := r.URL().String()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/v2/": 401, "/v2": 401, "/v2//a": 401, "/nothing": 404} {
		if status, body := r.get(t, base+path); status != want {
			t.Errorf("GET %s answers %d %q, want %d", path, status, body, want)
		}
	}
	repo, err := r.ecr(t, data).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("a/b")})
	if err != nil {
		t.Fatalf("CreateRepository: %v", err)
	}
	if got, want := aws.ToString(repo.Repository.RepositoryUri), r.URL().Host+"/a/b"; got != want {
		t.Errorf("repositoryUri is %s, want %s", got, want)
	}
	if err := r.stop(); err != nil {
		t.Errorf("Run ends with %v", err)
	}
	before, err := app.ReadRootKey(data)
	if err != nil {
		t.Fatal(err)
	}

	// The next start has another port and another region, and the same key and repositories.
	r = start(t, settings(t, data, "region=eu-west-1"), deps())
	if r.CreatedRoot() {
		t.Error("the second start made a root key")
	}
	after, err := app.ReadRootKey(data)
	if err != nil {
		t.Fatal(err)
	}
	if after.AccessKeyID != before.AccessKeyID || after.SecretAccessKey != before.SecretAccessKey {
		t.Errorf("the root key changed from %s to %s", before.AccessKeyID, after.AccessKeyID)
	}
	if after.URL != r.URL().String() || after.Region != "eu-west-1" {
		t.Errorf("the root key file says %s in %s, want %s in eu-west-1", after.URL, after.Region, r.URL())
	}
	if _, err := r.ecr(t, data).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"a/b"}}); err != nil {
		t.Errorf("DescribeRepositories after a restart: %v", err)
	}
}

func TestWhatLiesInTheDataDirectory(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	start(t, settings(t, data), deps())
	for path, want := range map[string]fs.FileMode{
		"": fs.ModeDir | 0o700, "berth.db": 0o600, "berth.lock": 0o600, "master.key": 0o600, "root-key.json": 0o600, "blobs": fs.ModeDir | 0o700,
	} {
		info, err := os.Stat(filepath.Join(data, path))
		if err != nil || info.Mode() != want {
			t.Errorf("data/%s is %v, %v, want mode %v", path, info.Mode(), err, want)
		}
	}
	key, err := app.ReadRootKey(data)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "root-key.json" {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(key.SecretAccessKey)) {
			t.Errorf("%s holds the root key's secret in the clear", path)
		}
		if leftover := strings.HasPrefix(d.Name(), ".new-"); leftover {
			t.Errorf("%s was left behind", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOneServerPerDataDirectory(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := start(t, settings(t, data), deps())
	if _, err := app.New(t.Context(), settings(t, data), deps()); !errors.Is(err, app.ErrDataLocked) {
		t.Errorf("a second New on the data directory: %v, want %v", err, app.ErrDataLocked)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	start(t, settings(t, data), deps()) // free again
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := start(t, settings(t, data), deps())
	other := t.TempDir()
	if _, err := app.New(t.Context(), settings(t, other, "listen="+r.URL().Host), deps()); err == nil {
		t.Fatal("New on an address in use works")
	}
	start(t, settings(t, other), deps()) // the failed one gave everything up
}

func TestLocalhostIsBothLoopbacks(t *testing.T) {
	t.Parallel()
	r := start(t, settings(t, t.TempDir(), "listen=localhost:0"), deps())
	if got := r.URL().Hostname(); got != "localhost" {
		t.Errorf("URL is %s, want localhost", r.URL())
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, r.URL().Port()))
		if err != nil {
			if host == "::1" && !hasIPv6(t) {
				continue
			}
			t.Errorf("%s: %v", host, err)
			continue
		}
		conn.Close()
	}
}

func hasIPv6(t *testing.T) bool {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func TestMasterKeys(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("ab", 32)
	write := func(t *testing.T, text string, mode fs.FileMode) (data, file string) {
		t.Helper()
		data = t.TempDir()
		file = filepath.Join(data, "master.key")
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return data, file
	}
	fails := func(t *testing.T, data, want string, more ...string) error {
		t.Helper()
		a, err := app.New(t.Context(), settings(t, data, more...), deps())
		if err == nil {
			t.Fatal(errors.Join(errors.New("New works"), a.Close()))
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want it to say %q", err, want)
		}
		if strings.Contains(err.Error(), key) {
			t.Errorf("New repeats the key: %v", err)
		}
		return err
	}
	t.Run("readable by all", func(t *testing.T) {
		t.Parallel()
		data, _ := write(t, key, 0o644)
		_ = fails(t, data, "chmod 600")
	})
	t.Run("readable by a group", func(t *testing.T) {
		t.Parallel()
		data, _ := write(t, key+"\n", 0o440)
		start(t, settings(t, data), deps())
	})
	t.Run("nonsense", func(t *testing.T) {
		t.Parallel()
		data, _ := write(t, key+"x", 0o600)
		_ = fails(t, data, "a master key is 32 bytes")
	})
	t.Run("elsewhere", func(t *testing.T) {
		t.Parallel()
		_, file := write(t, key, 0o600)
		data := t.TempDir()
		start(t, settings(t, data, "master-key-file="+file), deps())
		if _, err := os.Stat(filepath.Join(data, "master.key")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a key was made beside the one that is named: %v", err)
		}
	})
	t.Run("lost", func(t *testing.T) {
		t.Parallel()
		data := t.TempDir()
		r := start(t, settings(t, data), deps())
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(data, "master.key")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := fails(t, data, "sealed under another master key"); !errors.Is(err, identity.ErrWrongMasterKey) {
			t.Errorf("New: %v, want %v", err, identity.ErrWrongMasterKey)
		}
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the wrong key that was made stays: %v", err)
		}
	})
}

// TestStopFinishesRequests stops a server while a layer is being pushed, slowly.
func TestStopFinishesRequests(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := start(t, settings(t, data), deps())
	client := r.ecr(t, data)
	if _, err := client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("slow")}); err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("a layer that takes its time "), 4096)
	body, write := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		status, err := r.pushLayer(t, client, "slow", content, body)
		if err == nil && status != http.StatusCreated {
			err = fmt.Errorf("answered %d", status)
		}
		answered <- err
	}()
	if _, err := write.Write(content[:len(content)/2]); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	waitUntilClosed(t, r.URL().Host)
	select {
	case err := <-stopped:
		t.Fatalf("the server stopped (%v) while a push was under way", err)
	default:
	}
	if _, err := write.Write(content[len(content)/2:]); err != nil {
		t.Fatal(err)
	}
	write.Close()
	if err := <-answered; err != nil {
		t.Errorf("the push that was under way: %v, want 201", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run ends with %v", err)
	}
}

// TestStopDoesNotWaitForEver cuts a push that does not go on, and still closes in order.
func TestStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := start(t, settings(t, data, "shutdown-timeout=50ms"), deps())
	client := r.ecr(t, data)
	if _, err := client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("stuck")}); err != nil {
		t.Fatal(err)
	}
	body, write := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		_, err := r.pushLayer(t, client, "stuck", make([]byte, 1<<20), body)
		answered <- err
	}()
	if _, err := write.Write(make([]byte, 64<<10)); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Errorf("Run ends with %v, want a stop that cuts requests to be a stop as asked for", err)
	}
	write.Close()
	if err := <-answered; err != nil {
		t.Logf("the push that was cut: %v", err) // an answer that refuses it is as good
	}
	start(t, settings(t, data), deps())
}

// pushLayer pushes in one request, as POST with a digest.
func (r *running) pushLayer(t *testing.T, client *ecr.Client, repo string, content []byte, body io.Reader) (int, error) {
	t.Helper()
	token, err := client.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return 0, err
	}
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(token.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		return 0, err
	}
	user, password, _ := strings.Cut(string(raw), ":")
	url := fmt.Sprintf("%s/v2/%s/blobs/uploads/?digest=%s", r.URL(), repo, oci.FromBytes(content))
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, url, body)
	if err != nil {
		return 0, err
	}
	req.SetBasicAuth(user, password)
	req.ContentLength = int64(len(content))
	req.Header.Set("Expect", "100-continue") // so that the body is only read once a handler wants it
	res, err := r.client.Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// waitUntilClosed waits until nobody listens any more.
func waitUntilClosed(t *testing.T, host string) {
	t.Helper()
	for {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			return
		}
		conn.Close()
		select {
		case <-t.Context().Done():
			t.Fatal("the server goes on listening")
		case <-time.After(time.Millisecond):
		}
	}
}
