package cloudwatch_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/cloudwatch"
	"github.com/hoopstat-haus/berth/internal/api/sigv4"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "000000000042"
	region  = "us-east-1"
	repo    = "hoopstat-haus/prod"
)

// noon is what the server's clock says.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// keyring knows two access keys: of somebody who may do everything, and of somebody who may do nothing.
type keyring struct{ verifier sigv4.Verifier }

var (
	rootKey = aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "abcdefghijklmnopqrstuvwxyz+/ABCDEFGH0123"}
	lowKey  = aws.Credentials{AccessKeyID: "AKIAIOSFODNN7NOBODY1", SecretAccessKey: "0123abcdefghijklmnopqrstuvwxyz+/ABCDEFGH"}
	root    = identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account, Root: true}
	nobody  = identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":user/nobody", UserID: "AIDAIOSFODNN7NOBODY1"}
)

func (k *keyring) Screen(*http.Request, string) error { return nil }

func (k *keyring) SigV4(r *http.Request, body []byte, service string) (identity.Caller, error) {
	q, err := sigv4.Parse(r)
	if err != nil {
		return identity.Caller{}, err
	}
	if err := errors.Join(q.CheckTime(time.Now()), q.CheckService(service)); err != nil {
		return identity.Caller{}, err
	}
	for caller, key := range map[*identity.Caller]aws.Credentials{&root: rootKey, &nobody: lowKey} {
		if key.AccessKeyID == q.AccessKeyID {
			return *caller, k.verifier.Verify(r, q, key.SecretAccessKey, body)
		}
	}
	return identity.Caller{}, fault.New(fault.AccessKeyUnknown, "The security token included in the request is invalid.")
}

// server is the face over real usage on a real database, with clients of it.
type server struct {
	url     string
	service awswire.Service
	usage   *usage.Service
	client  *cw.Client // may do everything
	nobody  *cw.Client // has good credentials, and is allowed nothing
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	blobs, err := diskblob.Open(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	db, now := metadbtest.New(tb), func() time.Time { return noon }
	r := registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: region, Now: now, TrashWindow: 24 * time.Hour})
	rows := db.Usage()
	s := &server{usage: usage.New(usage.Config{Registry: r, Store: rows, Upkeep: rows, Images: rows, Now: now})}
	s.service = cloudwatch.New(cloudwatch.Config{Usage: s.usage, Now: now})
	handler, err := awswire.New(awswire.Config{Authenticator: &keyring{}, Services: []awswire.Service{s.service}})
	if err != nil {
		tb.Fatalf("awswire.New: %v", err)
	}
	listener := httptest.NewServer(handler)
	tb.Cleanup(listener.Close)
	s.url = listener.URL
	s.client, s.nobody = s.connect(rootKey), s.connect(lowKey)
	return s
}

func (s *server) connect(key aws.Credentials) *cw.Client {
	return cw.New(cw.Options{
		BaseEndpoint: aws.String(s.url), Region: region, Retryer: aws.NopRetryer{}, Credentials: credentials.StaticCredentialsProvider{Value: key},
	})
}

// count adds values to one of the registry's own metrics, as the registry does.
func (s *server) count(tb testing.TB, m usage.Metric, unit string, points ...usage.Point) {
	tb.Helper()
	datums := make([]usage.Datum, len(points))
	for i, p := range points {
		datums[i] = usage.Datum{Metric: m, Unit: unit, Point: p}
	}
	if err := s.usage.Put(tb.Context(), identity.Service(account, "usage"), datums); err != nil {
		tb.Fatalf("Put: %v", err)
	}
}

// ones are n values of 1 at a time.
func ones(at time.Time, n float64) usage.Point {
	return usage.Point{At: at, Count: n, Sum: n, Min: 1, Max: 1}
}

func pulls(repository string) usage.Metric {
	return usage.NewMetric(usage.NamespaceECR, usage.RepositoryPullCount, usage.Dimension{Name: usage.DimensionRepository, Value: repository})
}

// wirePulls is pulls as requests have it.
func wirePulls(repository string) *types.Metric {
	return &types.Metric{
		Namespace: aws.String("AWS/ECR"), MetricName: aws.String("RepositoryPullCount"),
		Dimensions: []types.Dimension{{Name: aws.String("RepositoryName"), Value: &repository}},
	}
}

// post signs and sends a body in JSON, and gives the code and message of an error.
func (s *server) post(t *testing.T, key aws.Credentials, operation, body string) (status int, code, message string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "GraniteServiceVersion20100801."+operation)
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), key, req, hex.EncodeToString(sum[:]), "monitoring", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Message string `json:"message"` // or Message
	}
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatalf("%s answered %s: %v", operation, text, err)
	}
	code, _, _ = strings.Cut(resp.Header.Get("X-Amzn-Query-Error"), ";")
	return resp.StatusCode, code, e.Message
}

// wantError checks an error's code and words.
func wantError(t *testing.T, what string, err error, code, words string) {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), words) {
		t.Errorf("%s: error %v, want %s: %s", what, err, code, words)
	}
}
