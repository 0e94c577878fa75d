package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// berth calls one of Berth's own operations as root.
func (r *running) berth(t *testing.T, data, operation, body string, out any) {
	t.Helper()
	key, err := app.ReadRootKey(data)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, key.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "Berth_V20261124."+operation)
	sum := sha256.Sum256([]byte(body))
	root := aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: key.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(t.Context(), root, req, hex.EncodeToString(sum[:]), "ecr", key.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode == http.StatusOK {
		err = json.Unmarshal(answer, out)
	}
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %d %s (%v)", operation, res.StatusCode, answer, err)
	}
}

type masterKeyRotation struct {
	MasterKeyID string
	Rewrapped   int
	InUse       []struct {
		MasterKeyID string
		Secrets     int
	}
}

// strict counts requests, and reports those that fail: clients may try them again and say nothing.
type strict struct {
	t     *testing.T
	under http.RoundTripper
	sent  atomic.Int64
}

func (s *strict) RoundTrip(r *http.Request) (*http.Response, error) {
	s.sent.Add(1)
	res, err := s.under.RoundTrip(r)
	if r.URL.Scheme == "https" {
		return res, err // the client tries that first; the server has none
	}
	if err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		return res, err
	}
	asked := res.StatusCode == http.StatusUnauthorized && r.URL.Path == "/v2/" && r.Header.Get("Authorization") == ""
	looked := res.StatusCode == http.StatusNotFound && r.Method == http.MethodHead
	if res.StatusCode >= http.StatusBadRequest && !asked && !looked {
		s.t.Errorf("%s %s answers %s", r.Method, r.URL.Path, res.Status)
	}
	return res, nil
}

// traffic is clients of all kinds at work, each round after round.
type traffic struct {
	end    chan struct{}
	rounds []*atomic.Int64
	moved  chan struct{} // told after each round, if somebody waits
	all    sync.WaitGroup
}

func (tr *traffic) add(round func(i int) error, t *testing.T) {
	n := new(atomic.Int64)
	tr.rounds = append(tr.rounds, n)
	tr.all.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-tr.end:
				return
			default:
			}
			if err := round(i); err != nil {
				t.Errorf("round %d: %v", i, err)
				return
			}
			n.Add(1)
			select {
			case tr.moved <- struct{}{}:
			default:
			}
		}
	})
}

// goOn waits until every client has done two rounds more: the second began after the call.
func (tr *traffic) goOn(t *testing.T) {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for _, n := range tr.rounds {
		for goal := n.Load() + 2; n.Load() < goal; {
			select {
			case <-tr.moved:
			case <-limit.C:
				t.Fatal("the clients do not go on")
			}
		}
	}
}

// TestKeysRotateUnderTraffic rotates both keys of a server that is busy: no request fails.
func TestKeysRotateUnderTraffic(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := open(t, data, "us-east-1", "127.0.0.1:0", nil, "")
	watch := &strict{t: t, under: s.running.client.Transport}
	s.running.client = &http.Client{Transport: watch}
	s.client = s.ecr(t, data)
	if _, err := s.client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(replicated)}); err != nil {
		t.Fatal(err)
	}
	early := s.login(t) // goes on through everything
	with := remote.WithTransport(watch)
	image, err := random.Image(2000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(s.reference(t, "first"), image, early, with); err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	pull := func(login remote.Option) error {
		got, err := remote.Image(s.reference(t, "first"), login, with)
		if err != nil {
			return err
		}
		_, err = remote.Layer(s.reference(t, "first").Context().Digest(digest.String()), login, with)
		if err != nil {
			return err
		}
		_, err = got.RawConfigFile()
		return err
	}
	link := func() (string, error) {
		out, err := s.client.GetDownloadUrlForLayer(t.Context(), &ecr.GetDownloadUrlForLayerInput{
			RepositoryName: aws.String(replicated), LayerDigest: aws.String(digest.String()),
		})
		if err != nil {
			return "", err
		}
		return *out.DownloadUrl, nil
	}
	earlyLink, err := link()
	if err != nil {
		t.Fatal(err)
	}
	follow := func(url string) error {
		if status, body := s.get(t, url); status != http.StatusOK {
			return fmt.Errorf("a link answers %d %s", status, body)
		}
		return nil
	}

	clients := &traffic{end: make(chan struct{}), moved: make(chan struct{})}
	clients.add(func(int) error { return pull(early) }, t)
	clients.add(func(int) error { return pull(s.login(t)) }, t)
	clients.add(func(int) error { return follow(earlyLink) }, t)
	clients.add(func(int) error {
		fresh, err := link()
		if err != nil {
			return err
		}
		return follow(fresh)
	}, t)
	clients.add(func(i int) error {
		image, err := random.Image(500, 1)
		if err != nil {
			return err
		}
		return remote.Write(s.reference(t, fmt.Sprint("push-", i)), image, s.login(t), with)
	}, t)

	file := filepath.Join(data, "master.key")
	clients.goOn(t)
	for range 2 {
		s.berth(t, data, "RotateTokenKey", `{}`, new(map[string]any))
		clients.goOn(t)
		id, err := app.AddMasterKey(file)
		if err != nil {
			t.Fatal(err)
		}
		clients.goOn(t)
		var done masterKeyRotation
		s.berth(t, data, "RotateMasterKey", `{"masterKeyId":"`+id+`"}`, &done)
		if done.MasterKeyID != id || done.Rewrapped < 2 || len(done.InUse) != 1 || done.InUse[0].MasterKeyID != id {
			t.Errorf("RotateMasterKey: %+v, want all under %s", done, id)
		}
		clients.goOn(t)
	}
	close(clients.end)
	clients.all.Wait()
	if watch.sent.Load() < 50 {
		t.Errorf("only %d requests were sent", watch.sent.Load())
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	// The older keys go.
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if len(lines) != 3 {
		t.Fatalf("the key file has %d lines, want 3", len(lines))
	}
	if err := os.WriteFile(file, []byte(lines[0]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, data, "us-east-1", "127.0.0.1:0", nil, "")
	with = remote.WithTransport(s.running.client.Transport)
	for name, login := range map[string]remote.Option{"a token from before the rotations": early, "a new token": s.login(t)} {
		if err := pull(login); err != nil {
			t.Errorf("pull with %s after a restart with the newest key alone: %v", name, err)
		}
	}
}

func TestAddMasterKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "key"), filepath.Join(dir, "link")
	older := strings.Repeat("ab", 32)
	if err := os.WriteFile(file, []byte(older), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o440); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(file, 12345, 54321); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("key", link); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	id, err := app.AddMasterKey(link)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := identity.ParseMasterKey(string(raw))
	if err != nil || keys.ID() != id || !bytes.HasSuffix(raw, []byte("\n"+older+"\n")) || bytes.Count(raw, []byte("\n")) != 2 {
		t.Errorf("the file holds %d bytes, first key %s (%v); want the new key %s and the older one", len(raw), keys.ID(), err, id)
	}
	after, err := os.Lstat(file)
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // what os.Stat gives here
	if after.Mode() != before.Mode() || was.Uid != is.Uid || was.Gid != is.Gid {
		t.Errorf("the file is %v of %d:%d, and was %v of %d:%d", after.Mode(), is.Uid, is.Gid, before.Mode(), was.Uid, was.Gid)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link to the file is a link no more: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "none"), []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := app.AddMasterKey(filepath.Join(dir, "none")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("AddMasterKey to a file that is none: %v", err)
	}
}
