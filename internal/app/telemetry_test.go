package app_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
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
