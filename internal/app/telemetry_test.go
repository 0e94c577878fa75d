package app_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// ask gives status and text of an answer.
func ask(t *testing.T, r *running, url string, prepare ...func(*http.Request)) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range prepare {
		p(req)
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestMetricsHaveAListenerOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := start(t, settings(t, t.TempDir(), "ops-listen=127.0.0.1:0"), deps())
	if status, text := ask(t, r, r.URL().String()+"/v2/"); status != http.StatusUnauthorized {
		t.Fatalf("GET /v2/ without credentials: %d %s", status, text)
	}
	ask(t, r, r.URL().String()+"/a/path/of/a/stranger")
	status, text := ask(t, r, "http://"+r.OpsAddress()+"/metrics")
	for _, want := range []string{
		`berth_http_requests_total{code="4xx",face="registry",operation="none"} 1`,
		`berth_http_requests_total{code="4xx",face="none",operation="none"} 1`,
		`berth_http_faults_total{face="registry",fault="credentials missing"} 1`,
		`berth_queue_depth{queue="outbox"} 0`, `berth_database_size_bytes `, `berth_gc_paused 0`, `berth_scan_images{status="COMPLETE"} 0`,
		`berth_storage_blobs 0`, `berth_http_requests_in_flight 0`, "go_goroutines ", "process_open_fds ", "berth_build_info{",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if status != http.StatusOK || strings.Contains(text, "stranger") || t.Failed() {
		t.Errorf("the answer is %d:\n%s", status, text)
	}
	for path, want := range map[string]string{"/healthz": "alive", "/readyz": "ready", "/debug/pprof/goroutine?debug=1": "goroutine profile"} {
		if status, text := ask(t, r, "http://"+r.OpsAddress()+path); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s answers %d %s", path, status, text)
		}
	}
	for _, path := range []string{"/debug/pprof/", "/v2/", "/metrics/"} {
		if status, _ := ask(t, r, r.URL().String()+path); status == http.StatusOK {
			t.Errorf("%s is served where everybody is", path)
		}
	}
	if status, _ := ask(t, r, "http://"+r.OpsAddress()+"/v2/"); status != http.StatusNotFound {
		t.Errorf("the listener for metrics answers /v2/ with %d", status)
	}
}

func TestMetricsNeedAPermissionWhereEverybodyIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, settings(t, dir), deps())
	if r.OpsAddress() != "" {
		t.Error("there is a listener for metrics that nobody asked for")
	}
	status, text := ask(t, r, r.URL().String()+"/metrics")
	if status != http.StatusUnauthorized || strings.Contains(text, "berth_http") {
		t.Errorf("without credentials: %d %s", status, text)
	}
	password := tokenOf(t, r.ecr(t, dir))
	token := func(req *http.Request) { req.SetBasicAuth("AWS", password) }
	if status, text := ask(t, r, r.URL().String()+"/metrics", token); status != http.StatusOK || !strings.Contains(text, "berth_build_info") {
		t.Errorf("with a token of root's: %d %s", status, text)
	}
	wrong := func(req *http.Request) { req.SetBasicAuth("AWS", "berth_wrong") }
	if status, _ := ask(t, r, r.URL().String()+"/metrics", wrong); status != http.StatusUnauthorized {
		t.Errorf("with a wrong token: %d", status)
	}
	if _, text := ask(t, r, r.URL().String()+"/metrics", token); !strings.Contains(text, `berth_credential_failures_total{kind="token",reason="`) {
		t.Errorf("the wrong token was not counted:\n%s", text)
	}
}

// tokenOf gives the password of an authorization token.
func tokenOf(t *testing.T, client *ecr.Client) string {
	t.Helper()
	out, err := client.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(string(pair), "AWS:")
}

// TestReadMetricsIsAPermission asks as a user who may not, and then may.
func TestReadMetricsIsAPermission(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, settings(t, dir), deps())
	people := r.iam(t, dir)
	if _, err := people.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("prometheus")}); err != nil {
		t.Fatal(err)
	}
	key, err := people.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("prometheus")})
	if err != nil {
		t.Fatal(err)
	}
	signed := func(req *http.Request) {
		sum := sha256.Sum256(nil)
		keys := aws.Credentials{AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}
		if err := v4.NewSigner().SignHTTP(t.Context(), keys, req, hex.EncodeToString(sum[:]), "ecr", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	allow := func(actions string) {
		_, err := people.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{
			UserName: aws.String("prometheus"), PolicyName: aws.String("p"),
			PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + actions + `,"Resource":"*"}]}`),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	allow(`["ecr:*","iam:*"]`)
	status, text := ask(t, r, r.URL().String()+"/metrics", signed)
	if status != http.StatusForbidden || !strings.Contains(text, "berth:ReadMetrics") || strings.Contains(text, "berth_http") {
		t.Errorf("without the permission: %d %s", status, text)
	}
	allow(`["berth:ReadMetrics"]`)
	if status, text := ask(t, r, r.URL().String()+"/metrics", signed); status != http.StatusOK ||
		!strings.Contains(text, `berth_http_requests_total{code="2xx",face="iam",operation="CreateUser"} 1`) ||
		!strings.Contains(text, `berth_http_requests_total{code="4xx",face="ops",operation="GET /metrics"} 1`) {
		t.Errorf("with the permission: %d %s", status, text)
	}
}

// spansOf takes spans, and gives their names with those of their parents.
type spansOf struct {
	mu    sync.Mutex
	names map[string]string // guarded by mu: of spans, by id
	of    [][2]string       // guarded by mu: name, and the parent's id
}

func (s *spansOf) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var body struct {
		ResourceSpans []struct {
			ScopeSpans []struct {
				Spans []struct{ Name, SpanID, ParentSpanID string }
			}
		}
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range body.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				s.names[span.SpanID] = span.Name
				s.of = append(s.of, [2]string{span.Name, span.ParentSpanID})
			}
		}
	}
}

// TestAPushIsTraced pushes to a server with everything on, and finds the way of the push in the spans, in the metrics, and no metric that
// the documentation lacks.
func TestAPushIsTraced(t *testing.T) {
	t.Parallel()
	spans := &spansOf{names: map[string]string{}}
	collector := httptest.NewServer(spans)
	defer collector.Close()
	dir := t.TempDir()
	r := start(t, settings(t, dir, "ops-listen=127.0.0.1:0", "metrics-repositories=5", "otlp-endpoint="+collector.URL), deps())
	client := r.ecr(t, dir)
	if _, err := client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("hoopstat-haus/prod")}); err != nil {
		t.Fatal(err)
	}
	if status, err := r.pushLayer(t, client, "hoopstat-haus/prod", []byte("a layer"), strings.NewReader("a layer")); err != nil || status != http.StatusCreated {
		t.Fatalf("pushing a layer: %d, %v", status, err)
	}
	text := ""
	for limit := time.Now().Add(30 * time.Second); !strings.Contains(text, `berth_events_total{kind="repository.created"} 1`); <-time.After(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("the event of the new repository was not handed on:\n%s", text)
		}
		_, text = ask(t, r, "http://"+r.OpsAddress()+"/metrics")
	}
	for _, want := range []string{
		`berth_http_requests_total{code="2xx",face="ecr",operation="CreateRepository"} 1`,
		`berth_blob_written_bytes_total 7`, `berth_storage_blob_bytes 7`, `berth_storage_repositories 1`, `berth_job_runs_total{job_name="outbox",result="done"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	page, err := os.ReadFile("../../docs/operate/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	types := regexp.MustCompile(`(?m)^# TYPE (berth_[a-z_]+) ([a-z]+)$`).FindAllStringSubmatch(text, -1)
	for _, m := range types {
		if !strings.Contains(string(page), "| `"+m[1]+"` | "+m[2]+" |") {
			t.Errorf("the %s %s is not documented", m[2], m[1])
		}
	}
	if len(types) < 25 {
		t.Errorf("only %d metrics were found:\n%s", len(types), text)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, s := range spans.of {
		found[s[0]+" < "+spans.names[s[1]]] = true
	}
	for _, want := range []string{
		"ecr CreateRepository < ", "database update < ecr CreateRepository", "blob append < registry POST uploads", "job outbox < ",
		"database update < job outbox", "event signing < job outbox",
	} {
		if !found[want] {
			t.Errorf("there is no span %q", want)
		}
	}
	if t.Failed() {
		t.Log(found)
	}
}
