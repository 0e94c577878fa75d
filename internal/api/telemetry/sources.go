package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Queue is what waits for one kind of work.
type Queue struct {
	Name   string
	Depth  int64
	Oldest time.Time // zero where nothing waits
}

// Load is how busy the database is.
type Load struct {
	Most, Busy       int // connections
	Waits            int64
	Waited           time.Duration
	Updates, Commits int64
}

// Holding is how much there is of what is kept.
type Holding struct{ Repositories, Images, Blobs, BlobBytes int64 }

// Sources are asked when somebody scrapes. What costs the database something is asked once in a while, and remembered.
type Sources struct {
	InFlight func() int // requests
	Load     func() Load
	Size     func(ctx context.Context) (int64, error) // bytes of the database
	Queues   func(ctx context.Context) ([]Queue, error)
	Garbage  func(ctx context.Context) (gc.Status, error)
	Scans    func(ctx context.Context) (map[registry.ScanStatus]int64, error)
	Holding  func(ctx context.Context) (Holding, error)
}

const (
	// sourceTimeout bounds how long a scrape waits for a source: Prometheus itself waits for 10 seconds.
	sourceTimeout = 5 * time.Second

	soon    = 10 * time.Second
	minutes = time.Minute
	seldom  = 10 * time.Minute // what looks at every row
)

// The metrics that come from sources.
const (
	inFlight       = "berth_http_requests_in_flight"
	connections    = "berth_database_connections"
	connectionWait = "berth_database_connection_waits_total"
	connectionTime = "berth_database_connection_wait_seconds_total"
	updates        = "berth_database_updates_total"
	commits        = "berth_database_commits_total"
	databaseSize   = "berth_database_size_bytes"
	queueDepth     = "berth_queue_depth"
	queueOldest    = "berth_queue_oldest_seconds"
	gcRemoved      = "berth_gc_removed_total"
	gcRemovedBytes = "berth_gc_removed_bytes_total"
	gcWaiting      = "berth_gc_waiting"
	gcWaitingBytes = "berth_gc_waiting_bytes"
	gcPaused       = "berth_gc_paused"
	gcProblems     = "berth_gc_problems"
	scanStates     = "berth_scan_images"
	repositories   = "berth_storage_repositories"
	images         = "berth_storage_images"
	blobCount      = "berth_storage_blobs"
	blobBytes      = "berth_storage_blob_bytes"
)

// sourceFamilies are what those are.
var sourceFamilies = []Family{
	{inFlight, "gauge", "Requests that are being answered.", nil},
	{connections, "gauge", "Connections to the database, by state: busy, and most, how many there may be. Of SQLite its readers.", []string{"state"}},
	{connectionWait, "counter", "How often somebody waited for a connection (PostgreSQL).", nil},
	{connectionTime, "counter", "For how long, in sum (PostgreSQL).", nil},
	{updates, "counter", "Updates that were committed.", nil},
	{commits, "counter", "Transactions that carried them: on SQLite, updates that come at the same time share one.", nil},
	{databaseSize, "gauge", "Bytes that the database takes.", nil},
	{queueDepth, "gauge", "How much waits for work in the background, of all replicas.", []string{"queue"}},
	{queueOldest, "gauge", "For how long what waits longest has waited; of replication and signing, for how long it has been due. 0: nothing waits.", []string{"queue"}},
	{gcRemoved, "counter", "What the garbage collector of this process took, by stage.", []string{"stage"}},
	{gcRemovedBytes, "counter", "Bytes of that. What the stage bytes took is what the blob store has less.", []string{"stage"}},
	{gcWaiting, "gauge", "What the garbage collector has before it, by stage and state: due, or later, unless it is needed by then.", []string{"stage", "state"}},
	{gcWaitingBytes, "gauge", "Bytes of that.", []string{"stage", "state"}},
	{gcPaused, "gauge", "1 while garbage collection is paused.", nil},
	{gcProblems, "gauge", "Stages of the garbage collector that failed when they last tried.", nil},
	{scanStates, "gauge", "Newest scans of images, by status.", []string{"status"}},
	{repositories, "gauge", "Repositories.", nil},
	{images, "gauge", "Images, those in the trash not counted.", nil},
	{blobCount, "gauge", "Blobs that rows name.", nil},
	{blobBytes, "gauge", "Bytes of the blobs that rows name, each once: what the blob store holds, but for uploads and garbage.", nil},
}

const sourceFailures = "berth_metrics_failures_total"

// describeSources notes them for the documentation.
func (t *Telemetry) describeSources() {
	t.families = append(t.families, sourceFamilies...)
	t.describe("counter", sourceFailures, "Metrics that a scrape could not have, since whoever knows them did not answer, by source.", []string{"source"})
}

// put hands a value to the scrape.
type put func(name string, value float64, labels ...string)

// Watch says where to ask. It is called once.
func (t *Telemetry) Watch(s Sources) {
	bad := prometheus.NewCounterVec(prometheus.CounterOpts{Name: sourceFailures, Help: "See the documentation."}, []string{"source"})
	t.gathered.MustRegister(bad)
	add := func(name string, every time.Duration, read func(ctx context.Context, p put) error) {
		t.gathered.MustRegister(&asked{t: t, name: name, every: every, read: read, failures: bad.WithLabelValues(name)})
	}
	add("process", 0, func(_ context.Context, p put) error {
		l := s.Load()
		p(inFlight, float64(s.InFlight()))
		p(connections, float64(l.Busy), "busy")
		p(connections, float64(l.Most), "most")
		p(connectionWait, float64(l.Waits))
		p(connectionTime, l.Waited.Seconds())
		p(updates, float64(l.Updates))
		p(commits, float64(l.Commits))
		return nil
	})
	add("size", minutes, func(ctx context.Context, p put) error {
		n, err := s.Size(ctx)
		p(databaseSize, float64(n))
		return err
	})
	add("queues", soon, func(ctx context.Context, p put) error { return t.queues(ctx, s, p) })
	add("garbage", minutes, func(ctx context.Context, p put) error { return garbage(ctx, s, p) })
	add("scans", minutes, func(ctx context.Context, p put) error {
		all, err := s.Scans(ctx)
		for _, status := range []registry.ScanStatus{
			registry.ScanPending, registry.ScanInProgress, registry.ScanComplete, registry.ScanFailed, registry.ScanUnsupported,
		} {
			p(scanStates, float64(all[status]), string(status))
		}
		return err
	})
	add("holding", seldom, func(ctx context.Context, p put) error {
		h, err := s.Holding(ctx)
		p(repositories, float64(h.Repositories))
		p(images, float64(h.Images))
		p(blobCount, float64(h.Blobs))
		p(blobBytes, float64(h.BlobBytes))
		return err
	})
}

func (t *Telemetry) queues(ctx context.Context, s Sources, p put) error {
	all, err := s.Queues(ctx)
	for _, q := range all {
		var age float64
		if !q.Oldest.IsZero() {
			age = max(t.since(q.Oldest), 0)
		}
		p(queueDepth, float64(q.Depth), q.Name)
		p(queueOldest, age, q.Name)
	}
	return err
}

func garbage(ctx context.Context, s Sources, p put) error {
	st, err := s.Garbage(ctx)
	for _, stage := range st.Stages {
		name := stage.Stage.String()
		p(gcRemoved, float64(stage.Done.Things), name)
		p(gcRemovedBytes, float64(stage.Done.Bytes), name)
		p(gcWaiting, float64(stage.Due.Things), name, "due")
		p(gcWaitingBytes, float64(stage.Due.Bytes), name, "due")
		p(gcWaiting, float64(stage.Later.Things), name, "later")
		p(gcWaitingBytes, float64(stage.Later.Bytes), name, "later")
	}
	var paused float64
	if st.Paused != nil {
		paused = 1
	}
	p(gcPaused, paused)
	p(gcProblems, float64(len(st.Problems)))
	return err
}

// asked is one source as a collector.
type asked struct {
	t        *Telemetry
	name     string
	every    time.Duration // how long an answer is remembered
	read     func(ctx context.Context, p put) error
	failures prometheus.Counter

	mu   sync.Mutex // held while asking, so that scrapes at the same time ask once
	at   time.Time
	last []prometheus.Metric
}

// descriptions of the sources' metrics, by name.
var descriptions = func() map[string]*prometheus.Desc {
	all := map[string]*prometheus.Desc{}
	for _, f := range sourceFamilies {
		all[f.Name] = prometheus.NewDesc(f.Name, f.Help, f.Labels, nil)
	}
	return all
}()

// types of the sources' metrics, by name.
var types = func() map[string]prometheus.ValueType {
	all := map[string]prometheus.ValueType{}
	for _, f := range sourceFamilies {
		all[f.Name] = prometheus.GaugeValue
		if f.Type == "counter" {
			all[f.Name] = prometheus.CounterValue
		}
	}
	return all
}()

// Describe implements prometheus.Collector. It describes nothing: what comes may differ.
func (s *asked) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector. Where the source does not answer its metrics are missing, rather than old.
func (s *asked) Collect(to chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.t.config.Now()
	if s.at.IsZero() || now.Sub(s.at) >= s.every {
		ctx, cancel := context.WithTimeout(context.Background(), sourceTimeout)
		defer cancel()
		s.at, s.last = now, nil
		var fresh []prometheus.Metric
		err := s.read(ctx, func(name string, value float64, labels ...string) {
			fresh = append(fresh, prometheus.MustNewConstMetric(descriptions[name], types[name], value, labels...))
		})
		if err != nil {
			s.failures.Inc()
			s.at = time.Time{} // the next scrape asks again
			s.t.config.Logger.LogAttrs(ctx, slog.LevelWarn, "metrics are missing", slog.String("source", s.name), slog.Any("error", err))
		} else {
			s.last = fresh
		}
	}
	for _, m := range s.last {
		to <- m
	}
}
