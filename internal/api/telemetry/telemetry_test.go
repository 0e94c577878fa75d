package telemetry_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/api/telemetry"
	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet(c telemetry.Config) *telemetry.Telemetry {
	c.Now, c.Logger = time.Now, slog.New(slog.DiscardHandler)
	return telemetry.New(c)
}

// scrape gives the metrics as Prometheus gets them.
func scrape(tb testing.TB, tm *telemetry.Telemetry) string {
	tb.Helper()
	w := httptest.NewRecorder()
	tm.Handler().ServeHTTP(w, httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/metrics", http.NoBody))
	return w.Body.String()
}

// has checks that a scrape has all of the lines.
func has(t *testing.T, tm *telemetry.Telemetry, lines ...string) {
	t.Helper()
	text := scrape(t, tm)
	for _, want := range lines {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if t.Failed() {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "berth_") {
				t.Log(strings.TrimSuffix(line, "\n"))
			}
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	tm := quiet(telemetry.Config{})
	tm.Operations("ecr", []string{"PutImage", "ListImages"})
	for _, s := range []middleware.Served{
		{Face: "ecr", Operation: "PutImage", Status: 200, In: 100, Out: 7, Duration: 3 * time.Millisecond},
		{Face: "ecr", Operation: "PutImage", Status: 400, Fault: string(fault.TagImmutable), In: 11},
		{Face: "ecr", Operation: "", Status: 400},
		{Face: "ecr", Operation: "whatever a client made up", Status: 999, Fault: "internal"},
		{Face: "", Status: 100},
	} {
		tm.Served(t.Context(), s)
	}
	has(
		t, tm,
		`berth_http_requests_total{code="2xx",face="ecr",operation="PutImage"} 1`, `berth_http_requests_total{code="4xx",face="ecr",operation="PutImage"} 1`,
		`berth_http_requests_total{code="5xx",face="ecr",operation="PutImage"} 0`, `berth_http_requests_total{code="4xx",face="ecr",operation="none"} 1`,
		`berth_http_requests_total{code="5xx",face="none",operation="none"} 1`, `berth_http_requests_total{code="2xx",face="none",operation="none"} 1`,
		`berth_http_request_bytes_total{face="ecr",operation="PutImage"} 111`, `berth_http_response_bytes_total{face="ecr",operation="PutImage"} 7`,
		`berth_http_faults_total{face="ecr",fault="tag immutable"} 1`,
		`berth_http_request_duration_seconds_bucket{face="ecr",operation="PutImage",le="0.005"} 2`,
	)
	if text := scrape(t, tm); strings.Contains(text, "ListImages") || strings.Contains(text, "made up") {
		t.Error("there are series for what nobody asked for, or for a client's words")
	}
}

// TestCountingIsCheap: what counting adds to a request makes no garbage.
func TestCountingIsCheap(t *testing.T) {
	tm := quiet(telemetry.Config{})
	tm.Operations("ecr", []string{"PutImage"})
	s := middleware.Served{Face: "ecr", Operation: "PutImage", Status: 200, In: 100, Out: 7, Duration: 3 * time.Millisecond}
	if n := testing.AllocsPerRun(100, func() { tm.Served(t.Context(), s) }); n > 0 {
		t.Errorf("counting a request allocates %v times", n)
	}
}

func BenchmarkServed(b *testing.B) {
	tm := quiet(telemetry.Config{})
	tm.Operations("ecr", []string{"PutImage"})
	s := middleware.Served{Face: "ecr", Operation: "PutImage", Status: 200, In: 100, Out: 7, Duration: 3 * time.Millisecond}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		tm.Served(ctx, s)
	}
}

func BenchmarkRead(b *testing.B) {
	d := quiet(telemetry.Config{}).Database()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		d.Read(ctx)(nil)
	}
}

func BenchmarkScrape(b *testing.B) {
	tm := quiet(telemetry.Config{})
	tm.Operations("ecr", []string{"PutImage"})
	tm.Served(b.Context(), middleware.Served{Face: "ecr", Operation: "PutImage", Status: 200})
	for b.Loop() {
		scrape(b, tm)
	}
}

func TestRepositoriesAreNamedAsFarAsWanted(t *testing.T) {
	t.Parallel()
	for most, want := range map[int][]string{
		0: nil,
		2: {
			`berth_repository_pushes_total{repository="a"} 2`, `berth_repository_pushes_total{repository="b"} 1`,
			`berth_repository_pushes_total{repository="other"} 2`, `berth_repository_pulls_total{repository="b"} 5`,
		},
	} {
		tm := quiet(telemetry.Config{Repositories: most})
		h := tm.Handlers(nil)["metrics"]
		for _, name := range []string{"a", "b", "c", "d", "a"} {
			if err := h.Handle(t.Context(), event.Event{Kind: event.ImagePushed, Repository: name}); err != nil {
				t.Fatal(err)
			}
		}
		_ = h.Handle(t.Context(), event.Event{Kind: event.ImagePulled, Repository: "b", Count: 5})
		has(t, tm, append(want, `berth_events_total{kind="image.pushed"} 5`)...)
		if most == 0 && strings.Contains(scrape(t, tm), "repository=") {
			t.Error("repositories are named though nobody wants it")
		}
	}
}

// failing is a part that fails to handle events.
type failing struct{}

func (failing) Handle(context.Context, event.Event) error { return errors.New("not now") }

func TestWorkIsCounted(t *testing.T) {
	t.Parallel()
	tm := quiet(telemetry.Config{})
	var fail error
	job := tm.Job("gc", func(context.Context) (bool, error) { return true, fail })
	if more, err := job(t.Context()); !more || err != nil {
		t.Errorf("the job gives %t, %v", more, err)
	}
	fail = errors.New("no")
	if _, err := job(t.Context()); !errors.Is(err, fail) {
		t.Errorf("the job's error is %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = job(ended) // told to stop, it is not at fault
	panics := tm.Job("broken", func(context.Context) (bool, error) { panic("broken") })
	func() {
		defer func() { _ = recover() }()
		_, _ = panics(t.Context())
	}()
	handlers := tm.Handlers(map[string]event.Handler{"signing": failing{}})
	for _, h := range handlers {
		_ = h.Handle(t.Context(), event.Event{Kind: event.ImageScanned, ScanStatus: "FAILED"})
	}
	tm.Credentials(telemetry.Token, fault.New(fault.TokenInvalid, "no"))
	tm.Credentials(telemetry.Token, fault.New(fault.CredentialsMissing, "none"))
	tm.Credentials(telemetry.Token, nil)
	has(
		t, tm,
		`berth_job_runs_total{job_name="gc",result="done"} 2`, `berth_job_runs_total{job_name="gc",result="failed"} 1`, `berth_job_runs_total{job_name="broken",result="failed"} 1`,
		`berth_job_duration_seconds_count{job_name="gc"} 3`, `berth_event_failures_total{handler="signing"} 1`, `berth_scans_total{status="FAILED"} 1`,
		`berth_credential_failures_total{kind="token",reason="token invalid"} 1`,
	)
	if strings.Contains(scrape(t, tm), "credentials missing") {
		t.Error("requests without credentials count as failures")
	}
}

// medium is a blob store that fails as it is told.
type medium struct {
	blob.Store
	err error
}

func (m medium) Append(_ context.Context, u blob.Upload, r io.Reader) (blob.Upload, error) {
	n, err := io.Copy(io.Discard, r)
	if err == nil {
		err = m.err
	}
	u.Size += n
	return u, err
}

func (m medium) Open(context.Context, blob.Key, int64, int64) (io.ReadCloser, error) {
	return nil, m.err
}
func (m medium) Size(context.Context, blob.Key) (int64, error) { return 0, m.err }

// broken is a client that goes away.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the client has gone") }

func TestStorageIsCounted(t *testing.T) {
	t.Parallel()
	tm := quiet(telemetry.Config{})
	ctx := t.Context()
	good, gone, busy, away := tm.Blobs(medium{}), tm.Blobs(medium{err: blob.ErrNotFound}), tm.Blobs(medium{err: blob.ErrBusy}), tm.Blobs(medium{err: blob.ErrUnavailable})
	if u, err := good.Append(ctx, blob.Upload{Size: 5}, strings.NewReader("seven b")); err != nil || u.Size != 12 {
		t.Errorf("Append gives %+v, %v", u, err)
	}
	_, _ = good.Append(ctx, blob.Upload{}, broken{})
	_, _ = busy.Append(ctx, blob.Upload{}, strings.NewReader(""))
	_, _ = gone.Size(ctx, "")
	_, _ = gone.Open(ctx, "", 0, -1)
	_, _ = away.Size(ctx, "")
	d := tm.Database()
	for _, err := range []error{nil, fault.New(fault.Unavailable, "gone"), fault.New(fault.TagImmutable, "a refusal"), registry.ErrNoRow} {
		d.Read(ctx)(err)
		_, began, done := d.Update(ctx)
		began()
		done(err)
	}
	has(
		t, tm,
		`berth_blob_written_bytes_total 7`, `berth_blob_errors_total{operation="open",reason="not_found"} 1`, `berth_blob_errors_total{operation="size",reason="unavailable"} 1`,
		`berth_blob_operation_duration_seconds_count{operation="append"} 3`,
		`berth_database_operation_duration_seconds_count{operation="read"} 4`, `berth_database_operation_duration_seconds_count{operation="update"} 4`,
		`berth_database_update_wait_seconds_count 4`, `berth_database_errors_total{operation="update",reason="unavailable"} 1`,
		`berth_database_errors_total{operation="read",reason="unavailable"} 1`,
	)
	if text := scrape(t, tm); strings.Contains(text, `berth_blob_errors_total{operation="append"`) {
		t.Error("a client that goes away, or two at one upload, count against the store")
	}
	if _, ok := good.(blob.Walker); ok {
		t.Error("a store that cannot tell what it holds can when it is counted")
	}
}

// TestSources asks those that answer, and remembers what they said.
func TestSources(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)
	tm := telemetry.New(telemetry.Config{Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)})
	var broken error
	asked := 0
	tm.Watch(telemetry.Sources{
		InFlight: func() int { return 3 },
		Load:     func() telemetry.Load { return telemetry.Load{Most: 20, Busy: 2, Updates: 9, Commits: 4} },
		Size:     func(context.Context) (int64, error) { return 4096, broken },
		Queues: func(context.Context) ([]telemetry.Queue, error) {
			asked++
			return []telemetry.Queue{{Name: "outbox", Depth: 2, Oldest: now.Add(-time.Minute)}, {Name: "scans"}, {Name: "signing", Depth: 1, Oldest: now.Add(time.Hour)}}, nil
		},
		Garbage: func(context.Context) (gc.Status, error) {
			st := gc.Status{Paused: &gc.Pause{}, Stages: make([]gc.StageStatus, gc.NumStages)}
			st.Stages[gc.Bytes] = gc.StageStatus{Stage: gc.Bytes, Done: gc.Amount{Things: 5, Bytes: 500}, Waiting: gc.Waiting{Due: gc.Amount{Things: 1, Bytes: 10}}}
			return st, nil
		},
		Scans: func(context.Context) (map[registry.ScanStatus]int64, error) {
			return map[registry.ScanStatus]int64{registry.ScanFailed: 2}, nil
		},
		Holding: func(context.Context) (telemetry.Holding, error) {
			return telemetry.Holding{Repositories: 1, Images: 2, Blobs: 3, BlobBytes: 4}, nil
		},
	})
	lines := []string{
		`berth_http_requests_in_flight 3`, `berth_database_connections{state="most"} 20`, `berth_database_commits_total 4`,
		`berth_queue_depth{queue="outbox"} 2`, `berth_queue_oldest_seconds{queue="outbox"} 60`, `berth_queue_oldest_seconds{queue="scans"} 0`,
		`berth_queue_oldest_seconds{queue="signing"} 0`, // due in the future: a clock that jumped back
		`berth_gc_removed_bytes_total{stage="bytes"} 500`, `berth_gc_waiting{stage="bytes",state="due"} 1`, `berth_gc_paused 1`,
		`berth_scan_images{status="FAILED"} 2`, `berth_scan_images{status="PENDING"} 0`, `berth_storage_blob_bytes 4`,
	}
	has(t, tm, append(lines, `berth_database_size_bytes 4096`)...)
	has(t, tm, lines...)
	if asked != 1 {
		t.Errorf("two scrapes at a time ask %d times", asked)
	}
	now, broken = now.Add(time.Hour), errors.New("the database is away")
	has(t, tm, `berth_metrics_failures_total{source="size"} 1`, `berth_storage_images 2`)
	if strings.Contains(scrape(t, tm), "berth_database_size_bytes 4096") {
		t.Error("what nobody knows any more is told as if it were new")
	}
}

// gathering takes events together.
type gathering struct{ failing }

func (gathering) HandleAll(context.Context, []event.Event) error { return nil }

// TestHandlersThatTakeManyStillDo: one that is wrapped must not be handed each event by itself, which costs it a transaction each.
func TestHandlersThatTakeManyStillDo(t *testing.T) {
	t.Parallel()
	tm := quiet(telemetry.Config{})
	handlers := tm.Handlers(map[string]event.Handler{"signing": failing{}, "usage": gathering{}})
	if _, ok := handlers["signing"].(event.Batcher); ok {
		t.Error("a handler of single events has become one of many")
	}
	b, ok := handlers["usage"].(event.Batcher)
	if !ok {
		t.Fatal("the handler of many events has become one of single events")
	}
	if err := b.HandleAll(t.Context(), make([]event.Event, 3)); err != nil {
		t.Fatal(err)
	}
	has(t, tm, `berth_event_handling_duration_seconds_count{handler="usage"} 1`)
}
