package ecr_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/ecr"
	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "000000000042" // leading zeros stay
	region  = "us-east-1"
	host    = "registry.test:5080"
	repo    = "hoopstat-haus/prod"
)

// server is the face over a real registry on real storage, with clients of it.
type server struct {
	sizes sync.Map // of manifests by digest

	url      string
	service  awswire.Service
	registry *registry.Registry
	policies *lifecycle.Service
	signing  signingParts
	caches   *pullthrough.Cache
	auth     *authn.Authenticator
	rootKey  aws.Credentials
	lowKey   aws.Credentials
	client   *awsecr.Client // may do everything
	nobody   *awsecr.Client // has good credentials, and is allowed nothing

	replication *replicate.Service
	scans       *scan.Service
}

func newScans(db *metadb.DB, r *registry.Registry, extractor scan.Extractor, now func() time.Time) *scan.Service {
	return scan.New(scan.Config{
		Registry: r, Store: db, Work: db.Scans(), Layers: db.Judging(), Inventory: db.Judging(), Names: db.Judging(), Extractor: extractor, Now: now,
		Saver:      scan.NewJudge(scan.JudgeConfig{Store: db.Judging(), Now: now}),
		Advisories: db.ScanReports(), Reads: db.ScanReports(), Exceptions: db.ScanExceptions(),
	})
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	blobs, err := diskblob.Open(tb.TempDir())
	if err != nil {
		tb.Fatalf("diskblob.Open: %v", err)
	}
	return newServerOn(tb, blobs, false)
}

func newServerOn(tb testing.TB, blobs blob.Store, redirect bool) *server {
	tb.Helper()
	return newServerOver(tb, metadbtest.New(tb), blobs, redirect)
}

func newServerOver(tb testing.TB, db *metadb.DB, blobs blob.Store, redirect bool) *server {
	tb.Helper()
	return newScanningServer(tb, db, blobs, redirect, nil)
}

// newScanningServer is a server that has a scanner, where there is an extractor.
func newScanningServer(tb testing.TB, db *metadb.DB, blobs blob.Store, redirect bool, extractor scan.Extractor) *server {
	tb.Helper()
	now := ticking(time.Date(2026, 11, 24, 12, 0, 0, 250_000_000, time.UTC))
	s := &server{registry: registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: region, Now: now, TrashWindow: 7 * 24 * time.Hour, PinnedDeployments: 5, Scanner: extractor != nil})}
	s.auth = s.authenticator(tb, db)
	// A clock of its own, as the caches have.
	s.scans = newScans(db, s.registry, extractor, ticking(time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC)))
	s.policies = lifecycle.New(lifecycle.Config{Registry: s.registry, Archiver: s.registry, Store: db, Rows: db.Lifecycle(), Now: now})
	s.signing = newSigningParts(tb, db, s.registry, now)
	s.replication = replicate.New(replicate.Config{
		Registry: s.registry, Database: db, Store: db.Replications(), Backfills: db.Backfills(), Region: region, Now: now,
		Remotes: map[replicate.Destination]replicate.Remote{{Region: "eu-west-1", RegistryID: account}: nowhere{}},
	})
	// A clock of its own: how often the cache looks at the time is no business of the registry's answers.
	s.caches = newCaches(tb, s.registry, db, ticking(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)))
	s.service = ecr.New(ecr.Config{
		Registry: s.registry, Lifecycle: s.policies, Signing: s.signing.signer, Replication: s.replication, PullThrough: s.caches, Scans: s.scans,
		Tokens: s.auth, Links: s.auth, Redirect: redirect,
		ProxyEndpoint: "http://" + host, RepositoryHost: host,
	})
	handler, err := awswire.New(awswire.Config{Authenticator: s.auth, Services: []awswire.Service{s.service}})
	if err != nil {
		tb.Fatalf("awswire.New: %v", err)
	}
	listener := httptest.NewServer(handler)
	tb.Cleanup(listener.Close)
	s.url = listener.URL
	s.client, s.nobody = s.connect(s.rootKey), s.connect(s.lowKey)
	return s
}

func (s *server) connect(key aws.Credentials) *awsecr.Client {
	return awsecr.New(awsecr.Options{
		BaseEndpoint: aws.String(s.url),
		Region:       region,
		Credentials:  credentials.StaticCredentialsProvider{Value: key},
		Retryer:      aws.NopRetryer{},
	})
}

// ticking is a clock that goes on by a second each time somebody looks.
func ticking(at time.Time) func() time.Time {
	var mu sync.Mutex
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(time.Second)
		return at
	}
}

// answer is what came back for a raw request.
type answer struct {
	status int
	header http.Header
	body   string
}

// post signs and sends a body as it stands.
func (s *server) post(t *testing.T, key aws.Credentials, operation, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+operation)
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), key, req, hex.EncodeToString(sum[:]), "ecr", region, time.Now()); err != nil {
		t.Fatalf("signing: %v", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading answer to %s: %v", operation, err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(got)}
}

// create makes the usual repository.
func (s *server) create(tb testing.TB, change ...func(*awsecr.CreateRepositoryInput)) types.Repository {
	tb.Helper()
	in := &awsecr.CreateRepositoryInput{RepositoryName: aws.String(repo)}
	for _, c := range change {
		c(in)
	}
	out, err := s.client.CreateRepository(tb.Context(), in)
	if err != nil {
		tb.Fatalf("CreateRepository(%s): %v", aws.ToString(in.RepositoryName), err)
	}
	return *out.Repository
}

// layer uploads content through ECR's layer API and gives its digest.
func (s *server) layer(tb testing.TB, content string) string {
	tb.Helper()
	id := s.startUpload(tb)
	if content != "" {
		s.uploadPart(tb, id, 0, content)
	}
	d := oci.FromBytes([]byte(content)).String()
	_, err := s.client.CompleteLayerUpload(tb.Context(), &awsecr.CompleteLayerUploadInput{
		RepositoryName: aws.String(repo), UploadId: aws.String(id), LayerDigests: []string{d},
	})
	if _, exists := errors.AsType[*types.LayerAlreadyExistsException](err); err != nil && !exists {
		tb.Fatalf("CompleteLayerUpload(%s): %v", d, err)
	}
	return d
}

func (s *server) startUpload(tb testing.TB) string {
	tb.Helper()
	out, err := s.client.InitiateLayerUpload(tb.Context(), &awsecr.InitiateLayerUploadInput{RepositoryName: aws.String(repo)})
	if err != nil {
		tb.Fatalf("InitiateLayerUpload: %v", err)
	}
	return *out.UploadId
}

func (s *server) uploadPart(tb testing.TB, id string, first int64, content string) {
	tb.Helper()
	out, err := s.client.UploadLayerPart(tb.Context(), partInput(id, first, content))
	if err != nil {
		tb.Fatalf("UploadLayerPart at %d: %v", first, err)
	}
	if want := first + int64(len(content)) - 1; *out.LastByteReceived != want {
		tb.Errorf("UploadLayerPart: lastByteReceived %d, want %d (inclusive)", *out.LastByteReceived, want)
	}
}

func partInput(id string, first int64, content string) *awsecr.UploadLayerPartInput {
	return &awsecr.UploadLayerPartInput{
		RepositoryName: aws.String(repo), UploadId: aws.String(id),
		PartFirstByte: aws.Int64(first), PartLastByte: aws.Int64(first + int64(len(content)) - 1), LayerPartBlob: []byte(content),
	}
}

// manifest makes an image manifest of layers that it uploads.
func (s *server) manifest(tb testing.TB, config string, layers ...string) string {
	tb.Helper()
	text := func(mediaType, content string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, s.layer(tb, content), len(content))
	}
	var list []string
	for _, l := range layers {
		list = append(list, text("application/vnd.oci.image.layer.v1.tar+gzip", l))
	}
	// White space and < stand in it, to be kept as they are.
	return fmt.Sprintf("{\n  \"schemaVersion\": 2,\n  \"mediaType\": %q,\n  \"config\": %s,\n  \"layers\": [%s],\n  \"annotations\": {\"note\": \"<a&b>\"}\n}\n",
		oci.MediaTypeOCIManifest, text("application/vnd.oci.image.config.v1+json", config), strings.Join(list, ","))
}

// put pushes a manifest, tagged unless the tag is empty, and gives its digest.
func (s *server) put(tb testing.TB, manifest, tag string) string {
	tb.Helper()
	out, err := s.client.PutImage(tb.Context(), putInput(manifest, tag))
	if err != nil {
		tb.Fatalf("PutImage(%s): %v", tag, err)
	}
	s.sizes.Store(*out.Image.ImageId.ImageDigest, len(manifest))
	return *out.Image.ImageId.ImageDigest
}

func putInput(manifest, tag string) *awsecr.PutImageInput {
	in := &awsecr.PutImageInput{RepositoryName: aws.String(repo), ImageManifest: aws.String(manifest)}
	if tag != "" {
		in.ImageTag = aws.String(tag)
	}
	return in
}

// image makes and pushes a small image of its own.
func (s *server) image(tb testing.TB, seed, tag string) string {
	tb.Helper()
	return s.put(tb, s.manifest(tb, `{"seed":"`+seed+`"}`, "layer of "+seed), tag)
}

// index makes an index of images that put pushed, or of others.
func (s *server) index(children ...string) string {
	var list []string
	for _, c := range children {
		size, _ := s.sizes.LoadOrStore(c, 1)
		list = append(list, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, oci.MediaTypeOCIManifest, c, size))
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, oci.MediaTypeOCIIndex, strings.Join(list, ","))
}

// wantError checks an error's code and words, and that it is the SDK's own type where it has one.
func wantError(t *testing.T, what string, err error, code, words string) {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		t.Errorf("%s: error %v, want %s", what, err, code)
		return
	}
	if api.ErrorCode() != code {
		t.Errorf("%s: %s (%s), want %s", what, api.ErrorCode(), api.ErrorMessage(), code)
	}
	if !strings.Contains(api.ErrorMessage(), words) {
		t.Errorf("%s: message\n got %s\nwant %s", what, api.ErrorMessage(), words)
	}
	if _, generic := errors.AsType[*smithy.GenericAPIError](err); generic && modelled(code) {
		t.Errorf("%s: %s arrived as no type of the SDK", what, code)
	}
}

// modelled tells whether ECR's model has an error of that code.
func modelled(code string) bool {
	switch code {
	case "AccessDeniedException", "UnsupportedOperationException", "UnknownOperationException", "SerializationException", "RequestEntityTooLargeException":
		return false
	}
	return true
}

// invalid is ECR's sentence about a parameter.
func invalid(parameter, constraint string) string {
	return fmt.Sprintf("Invalid parameter at '%s' failed to satisfy constraint: '%s'", parameter, constraint)
}

// indented makes JSON readable without changing what it says or the order it says it in.
func indented(t *testing.T, body string) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(body), "", "  "); err != nil {
		t.Fatalf("the answer is not JSON: %v\n%s", err, body)
	}
	return out.String()
}
