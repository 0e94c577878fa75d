package berth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/berth"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/fsck"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/signing"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/remote/ociclient"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "000000000042"
	repo    = "hoopstat-haus/prod"
	tag     = "app-latest"
)

// named takes each request for its sender's word; signatures are tested with authn and with the ECR face.
type named map[string]identity.Caller

func (named) Screen(*http.Request, string) error { return nil }

func (n named) SigV4(r *http.Request, _ []byte, service string) (identity.Caller, error) {
	if service != "ecr" {
		return identity.Caller{}, fmt.Errorf("signed for %s", service)
	}
	return n[r.Header.Get("Authorization")], nil
}

type server struct {
	url        string
	registry   *registry.Registry
	signer     *signing.Signer
	caches     *pullthrough.Cache
	keys       *identity.Directory
	garbage    *gc.Service
	checks     *fsck.Service
	policies   *lifecycle.Service
	advisories *scan.Advisories
	scans      *knowledge
	blobs      *diskblob.Store
	root       identity.Caller
	usage      *usage.Service
	db         *metadb.DB
	now        func() time.Time
}

// service is what is tested.
func (s *server) service() awswire.Service {
	return berth.New(berth.Config{
		Registry: s.registry, Signer: s.signer, Caches: s.caches, Keys: s.keys, Garbage: s.garbage, Checks: s.checks, Policies: s.policies,
		Advisories: s.advisories, Attacher: newAttacher(s.db, s.registry, s.now), Scans: s.scans,
		Usage: s.usage, Now: s.now,
	})
}

func newServer(t *testing.T) *server {
	t.Helper()
	blobs, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatalf("diskblob.Open: %v", err)
	}
	var mu sync.Mutex
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	tick := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(time.Minute)
		return at
	}
	db := metadbtest.New(t)
	s := &server{
		db: db, now: tick, blobs: blobs, scans: newKnowledge(),
		registry: registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: tick, TrashWindow: 7 * 24 * time.Hour, PinnedDeployments: 5}),
		root:     identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":root", Root: true},
	}
	used := db.Usage()
	s.usage = usage.New(usage.Config{Registry: s.registry, Store: used, Upkeep: used, Images: used, Gauging: used, Now: tick})
	s.signer = newSigner(t, db, s.registry, tick)
	s.caches = pullthrough.New(pullthrough.Config{
		Registry: s.registry, Store: db.PullThrough(), Upstream: ociclient.New(ociclient.Config{Now: tick}), Now: tick,
	})
	t.Cleanup(s.caches.Close)
	s.keys = newKeys(t, db, tick)
	s.garbage = gc.New(gc.Config{Rows: db.Garbage(), Blobs: blobs, Walker: blobs, Now: tick, May: s.registry.May, Rate: 1000})
	rows := db.Checks()
	s.checks = fsck.New(fsck.Config{
		Registry: s.registry, Checks: rows, Contents: rows, Repairs: rows, Blobs: blobs, Now: tick, Logger: slog.New(slog.DiscardHandler),
	})
	s.advisories = scan.NewAdvisories(scan.AdvisoriesConfig{Registry: s.registry, Store: db.Advisories(), Imports: db.Advisories(), Now: tick})
	s.policies = lifecycle.New(lifecycle.Config{Registry: s.registry, Store: db, Rows: db.Lifecycle(), Now: tick})
	callers := named{"root": s.root, "user": {Account: account, ARN: "arn:aws:iam::" + account + ":user/passer-by"}}
	h, err := awswire.New(awswire.Config{Authenticator: callers, Services: []awswire.Service{s.service()}})
	if err != nil {
		t.Fatalf("awswire.New: %v", err)
	}
	listener := httptest.NewServer(h)
	t.Cleanup(listener.Close)
	s.url = listener.URL
	return s
}

// push points the tag to an image of its own.
func (s *server) push(t *testing.T, seed string) oci.Digest {
	t.Helper()
	config := []byte(`{"seed":"` + seed + `"}`)
	d := oci.FromBytes(config)
	body := registry.Part{Size: int64(len(config)), Body: strings.NewReader(string(config))}
	if _, err := s.registry.PutLayer(t.Context(), s.root, repo, d, body); err != nil {
		t.Fatalf("PutLayer: %v", err)
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/json","digest":%q,"size":%d},"layers":[]}`, oci.MediaTypeOCIManifest, d, len(config))
	pushed, err := s.registry.PutImage(t.Context(), s.root, registry.Push{Repository: repo, Manifest: []byte(manifest), Tags: []string{tag}})
	if err != nil {
		t.Fatalf("PutImage: %v", err)
	}
	return pushed.Image.Digest
}

func (s *server) post(ctx context.Context, t *testing.T, who, body string) (int, string) {
	t.Helper()
	return s.call(ctx, t, "ListTagHistory", who, body)
}

func (s *server) call(ctx context.Context, t *testing.T, operation, who, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", berth.TargetPrefix+"."+operation)
	req.Header.Set("Authorization", who)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return resp.StatusCode, string(got)
}

func (s *server) create(t *testing.T) {
	t.Helper()
	if _, err := s.registry.CreateRepository(t.Context(), s.root, registry.NewRepository{Name: repo}); err != nil {
		t.Fatalf("CreateRepository: %v", err)
	}
}

// story makes a tag, moves it, deletes it with its repository, and gives the two digests.
func (s *server) story(t *testing.T) (first, second oci.Digest) {
	t.Helper()
	s.create(t)
	first, second = s.push(t, "one"), s.push(t, "two")
	if _, err := s.registry.DeleteRepository(t.Context(), s.root, repo, true); err != nil {
		t.Fatalf("DeleteRepository: %v", err)
	}
	return first, second
}

func TestListTagHistoryOnTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, second := s.story(t)
	status, body := s.post(t.Context(), t, "root", `{"repositoryName":"hoopstat-haus/prod","imageTag":"app-latest"}`)
	type change struct {
		ImageTag, FromDigest, ToDigest, Actor string
		ChangedAt                             float64
	}
	var got struct{ TagHistory []change }
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK {
		t.Fatalf("ListTagHistory: %d %s (%v)", status, body, err)
	}
	var last float64
	for i := len(got.TagHistory) - 1; i >= 0; i-- {
		if c := &got.TagHistory[i]; c.ChangedAt <= last {
			t.Errorf("ListTagHistory: change %d at %v is not after the one before, at %v", i, c.ChangedAt, last)
		} else {
			last, c.ChangedAt = c.ChangedAt, 0
		}
	}
	want := []change{ // newest first
		{ImageTag: tag, FromDigest: second.String(), Actor: s.root.ARN},
		{ImageTag: tag, FromDigest: first.String(), ToDigest: second.String(), Actor: s.root.ARN},
		{ImageTag: tag, ToDigest: first.String(), Actor: s.root.ARN},
	}
	if diff := cmp.Diff(want, got.TagHistory); diff != "" {
		t.Errorf("ListTagHistory (-want +got):\n%s", diff)
	}
	if strings.Contains(body, "null") || strings.Contains(body, "nextToken") {
		t.Errorf("ListTagHistory: %s has members that should be absent", body)
	}
	status, body = s.post(t.Context(), t, "root", `{"repositoryName":"hoopstat-haus/prod","imageTag":"never-was"}`)
	if status != http.StatusOK || body != `{"tagHistory":[]}` {
		t.Errorf("ListTagHistory of a tag that never was: %d %s, want an empty list", status, body)
	}
}

func TestListTagHistoryPagesToTheEnd(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, second := s.story(t)
	var got []string
	next := ""
	for range 10 {
		status, body := s.post(t.Context(), t, "root", `{"repositoryName":"hoopstat-haus/prod","imageTag":"app-latest","maxResults":1`+next+`}`)
		var page struct {
			TagHistory []struct{ ToDigest string }
			NextToken  string
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK || len(page.TagHistory) != 1 {
			t.Fatalf("ListTagHistory in pages of 1: %d %s (%v)", status, body, err)
		}
		got = append(got, page.TagHistory[0].ToDigest)
		if page.NextToken == "" {
			break
		}
		next = `,"nextToken":"` + page.NextToken + `"`
	}
	if diff := cmp.Diff([]string{"", second.String(), first.String()}, got); diff != "" {
		t.Errorf("ListTagHistory in pages of 1: digests (-want +got):\n%s", diff)
	}
}

func TestListTagHistoryRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct{ who, body, code, words string }{
		{"root", `{"imageTag":"v1"}`, "InvalidParameterException", "'repositoryName'"},
		{"root", `{"repositoryName":"app"}`, "InvalidParameterException", "'imageTag'"},
		{"root", `{"repositoryName":"App","imageTag":"v1"}`, "InvalidParameterException", "'repositoryName'"},
		{"root", `{"repositoryName":"app","imageTag":"v/1"}`, "InvalidParameterException", "'imageTag'"},
		{"root", `{"repositoryName":"app","imageTag":"v1","maxResults":0}`, "InvalidParameterException", "'maxResults'"},
		{"root", `{"repositoryName":"app","imageTag":"v1","maxResults":1001}`, "InvalidParameterException", "'maxResults'"},
		{"root", `{"repositoryName":"app","imageTag":"v1","nextToken":"x"}`, "InvalidParameterException", "'nextToken'"},
		{"root", `{"repositoryName":`, "SerializationException", ""},
		{"user", `{"repositoryName":"app","imageTag":"v1"}`, "AccessDeniedException", "ecr:ListImages on resource: arn:aws:ecr:us-east-1:000000000042:repository/app"},
	} {
		status, body := s.post(t.Context(), t, c.who, c.body)
		if status != http.StatusBadRequest || !strings.Contains(body, `"__type":"`+c.code+`"`) || !strings.Contains(body, c.words) {
			t.Errorf("ListTagHistory(%s) by %s: %d %s\nwant 400 %s about %s", c.body, c.who, status, body, c.code, c.words)
		}
	}
}

func TestEveryFaultIsAnException(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	service := s.service()
	for _, code := range slices.Concat(fault.OfRegistry(), fault.OfAny()) {
		if e, ok := service.Exceptions(fault.New(code, "words")); !ok || e.Code == "" {
			t.Errorf("fault %q becomes %+v, %v", code, e, ok)
		}
	}
	if e, ok := service.Exceptions(io.ErrUnexpectedEOF); ok {
		t.Errorf("an error that is no fault became %+v", e)
	}
}
