package app_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/berthtest"
	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/bench/wire"
	"github.com/hoopstat-haus/berth/internal/config"
)

// arrangements are what BenchmarkEverythingOn compares. Metering lives on what the audit log reads, and cannot be had without.
var arrangements = []string{"off", "audit", "all"} //nolint:gochecknoglobals // a table

// serveArranged is a server in a process of its own. It answers each line with the processor time that it has taken, in nanoseconds, and ends
// with its input.
func serveArranged(b *testing.B, data, arrangement string) {
	b.Helper()
	cfg, err := config.Load(config.Sources{Flags: map[string]string{
		"data": data, "listen": "127.0.0.1:0", "audit-log": strconv.FormatBool(arrangement != "off"), "metrics-repositories": "10",
	}})
	if err != nil {
		b.Fatal(err)
	}
	a, err := app.New(b.Context(), cfg, app.Deps{Logger: slog.New(slog.DiscardHandler), Now: time.Now, Uncounted: arrangement != "all"})
	if err != nil {
		b.Fatal(err)
	}
	_, _ = fmt.Fprintln(os.Stdout, "serving", a.URL())
	ctx, stop := context.WithCancel(b.Context())
	go func() {
		defer stop()
		for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
			var used syscall.Rusage
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used) // never fails
			_, _ = fmt.Fprintln(os.Stdout, "used", used.Utime.Nano()+used.Stime.Nano())
		}
	}()
	if err := a.Run(ctx); err != nil {
		b.Error(err)
	}
}

// arranged is such a server, and what was measured of it.
type arranged struct {
	cmd      *exec.Cmd
	ask      io.WriteCloser
	lines    *bufio.Scanner
	clients  []*wire.Conn
	manifest string
	blob     string
	used     []time.Duration // at the beginning of each round, and at the end
	took     []time.Duration // each round
}

// profiles is where the servers' profiles go, one for each arrangement; empty: nowhere.
func profiles() string { return os.Getenv("APP_BENCH_PROFILES") }

func startArranged(b *testing.B, arrangement string) *arranged {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	data := b.TempDir()
	s := &arranged{cmd: exec.CommandContext(b.Context(), self, "-test.run=^$", "-test.bench=^BenchmarkEverythingOn$", "-test.benchtime=1x", "-test.cpu=2")}
	if dir := profiles(); dir != "" {
		s.cmd.Args = append(s.cmd.Args, "-test.cpuprofile="+filepath.Join(dir, filepath.Base(b.Name())+"-"+arrangement+".prof"))
	}
	s.cmd.Env = append(os.Environ(), "APP_BENCH_SERVE="+data, "APP_BENCH_ARRANGEMENT="+arrangement)
	s.cmd.Cancel = func() error { return s.ask.Close() } // the profile is written at the end
	if s.ask, err = s.cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	s.lines = bufio.NewScanner(out)
	b.Cleanup(func() {
		_ = s.ask.Close()
		for s.lines.Scan() { // what the testing package says at its end
		}
		if err := s.cmd.Wait(); err != nil && b.Context().Err() == nil {
			b.Errorf("%s: %v", arrangement, err)
		}
	})
	s.prepare(b, data, s.hear(b, "serving "))
	return s
}

// hear gives the rest of the next line that begins so.
func (s *arranged) hear(b *testing.B, prefix string) string {
	b.Helper()
	for s.lines.Scan() {
		// The testing package has begun the line with the benchmark's name.
		if _, rest, ok := strings.Cut(s.lines.Text(), prefix); ok {
			return rest
		}
	}
	b.Fatalf("the server said nothing: %v", s.lines.Err())
	return ""
}

// prepare makes a repository with an image, and eight clients.
func (s *arranged) prepare(b *testing.B, data, url string) {
	b.Helper()
	key, err := app.ReadRootKey(data)
	if err != nil {
		b.Fatal(err)
	}
	root := &berthtest.Server{URL: url, Host: strings.TrimPrefix(url, "http://"), Account: key.Account, Region: key.Region, AccessKeyID: key.AccessKeyID, SecretAccessKey: key.SecretAccessKey}
	root.CreateRepository(b, "team/app")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+root.Password(b)))
	for range 8 {
		c, err := wire.Dial(b.Context(), root.Host, basic)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		s.clients = append(s.clients, c)
	}
	layer := strings.Repeat("x", 4096)
	s.blob = digestOf(layer)
	s.upload(b, s.clients[0], "{}")
	s.manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
		digestOf("{}") + `","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":%d}]}`
	s.push(b, s.clients[0], layer, "latest")
}

func do(b *testing.B, c *wire.Conn, r wire.Request, want int) {
	b.Helper()
	got, err := c.Do(r)
	if err != nil || got.Status != want {
		b.Errorf("%s %s: %d, %v", r.Method, r.Target, got.Status, err)
	}
}

func (s *arranged) upload(b *testing.B, c *wire.Conn, content string) {
	b.Helper()
	do(b, c, wire.Request{Method: http.MethodPost, Target: "/v2/team/app/blobs/uploads/?digest=" + digestOf(content), Body: []byte(content)}, http.StatusCreated)
}

// push pushes a small image: whether the layer is there, the layer, the manifest.
func (s *arranged) push(b *testing.B, c *wire.Conn, content, tag string) {
	b.Helper()
	d := digestOf(content)
	do(b, c, wire.Request{Method: http.MethodHead, Target: "/v2/team/app/blobs/" + d}, http.StatusNotFound)
	s.upload(b, c, content)
	do(b, c, wire.Request{
		Method: http.MethodPut, Target: "/v2/team/app/manifests/" + tag, Type: "application/vnd.oci.image.manifest.v1+json",
		Body: fmt.Appendf(nil, s.manifest, d, len(content)),
	}, http.StatusCreated)
}

// pull gets a manifest and a small layer.
func (s *arranged) pull(b *testing.B, c *wire.Conn) {
	b.Helper()
	do(b, c, wire.Request{Method: http.MethodGet, Target: "/v2/team/app/manifests/latest"}, http.StatusOK)
	do(b, c, wire.Request{Method: http.MethodGet, Target: "/v2/team/app/blobs/" + s.blob}, http.StatusOK)
}

// look notes the processor time that the server has taken.
func (s *arranged) look(b *testing.B) {
	b.Helper()
	_, _ = fmt.Fprintln(s.ask)
	n, err := strconv.ParseInt(s.hear(b, "used "), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	s.used = append(s.used, time.Duration(n))
}

// round has the clients do a number of pieces of work.
func (s *arranged) round(pieces int, work func(s *arranged, c *wire.Conn)) {
	begin := time.Now()
	var clients sync.WaitGroup
	var begun atomic.Int64
	for _, c := range s.clients {
		clients.Go(func() {
			for begun.Add(1) <= int64(pieces) {
				work(s, c)
			}
		})
	}
	clients.Wait()
	s.took = append(s.took, time.Since(begin))
}

// compare has each server do short rounds in turns. A round's processor time ends where the next one of that server begins: what is read
// from the log, counted and handed on after the answers is part of what the requests cost.
func compare(b *testing.B, pieces, requests int, work func(s *arranged, c *wire.Conn)) {
	b.Helper()
	servers := make([]*arranged, len(arrangements))
	for i, a := range arrangements {
		servers[i] = startArranged(b, a)
		servers[i].round(pieces, work) // warm
	}
	time.Sleep(2 * time.Second) //nolint:forbidigo // what the beginning left behind is done by then; nothing is judged by it
	for _, s := range servers {
		s.took = nil
	}
	n := 0
	for ; b.Loop(); n++ {
		for i := range servers {
			s := servers[(i+n)%len(servers)]
			s.look(b)
			s.round(pieces, work)
		}
	}
	time.Sleep(2 * time.Second) //nolint:forbidigo // the last round has its rest to do, which is measured
	for _, s := range servers {
		s.look(b)
	}
	off := servers[0]
	for i, s := range servers {
		costs, cpu, wall := make([]float64, n), make([]float64, n), make([]float64, n)
		for j := range n {
			cost := s.used[j+1] - s.used[j]
			costs[j] = float64(cost.Microseconds()) / float64(pieces*requests)
			cpu[j] = 100 * float64(cost) / float64(off.used[j+1]-off.used[j])
			wall[j] = 100 * float64(off.took[j]) / float64(s.took[j])
		}
		b.ReportMetric(median(costs), arrangements[i]+"-µs-cpu/request")
		if i > 0 {
			b.ReportMetric(median(cpu), arrangements[i]+"-%cpu")
			b.ReportMetric(median(wall), arrangements[i]+"-%throughput")
		}
	}
}

func median(of []float64) float64 {
	slices.Sort(of)
	return (of[(len(of)-1)/2] + of[len(of)/2]) / 2
}

// BenchmarkEverythingOn compares servers that log, count and tell with one that does not, in turns. Processor time is the number to go by
// where others want the machine too. With APP_BENCH_PROFILES=dir the servers' profiles are put there.
func BenchmarkEverythingOn(b *testing.B) {
	if data := os.Getenv("APP_BENCH_SERVE"); data != "" {
		serveArranged(b, data, os.Getenv("APP_BENCH_ARRANGEMENT"))
		return
	}
	b.Run("pulls", func(b *testing.B) {
		compare(b, 2000, 2, func(s *arranged, c *wire.Conn) { s.pull(b, c) })
	})
	b.Run("pushes", func(b *testing.B) {
		var n atomic.Int64
		compare(b, 200, 3, func(s *arranged, c *wire.Conn) {
			k := n.Add(1)
			s.push(b, c, strings.Repeat("y", 1000)+strconv.FormatInt(k, 10), fmt.Sprintf("t%d", k))
		})
	})
}
