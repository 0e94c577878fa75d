package app_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

// serveUntilKilled is the other process of TestNoAnsweredPullIsLost.
func serveUntilKilled(t *testing.T, data string) {
	t.Helper()
	a, err := app.New(t.Context(), settings(t, data), deps())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintln(os.Stdout, "serving", a.URL())
	_ = a.Run(t.Context())
}

// killed is a server in a process of its own.
type killed struct {
	cmd *exec.Cmd
	url string
}

func startToKill(t *testing.T, data string) *killed {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := &killed{cmd: exec.CommandContext(t.Context(), self, "-test.run=^TestNoAnsweredPullIsLost$")}
	k.cmd.Env = append(os.Environ(), "APP_TEST_SERVE="+data)
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "serving "); ok {
			k.url = url
			return k
		}
	}
	t.Fatalf("the server said nothing: %v", lines.Err())
	return nil
}

func (k *killed) kill() {
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait() // it says that it was killed
}

// pullUntil pulls until the server is gone, and gives the ids of the requests that were answered as a whole.
func pullUntil(ctx context.Context, url, password string) map[string]bool {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	answered := map[string]bool{}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v2/team/app/manifests/v1", http.NoBody)
		if err != nil {
			return answered
		}
		req.SetBasicAuth("AWS", password)
		res, err := client.Do(req)
		if err != nil {
			return answered
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			return answered
		}
		if res.StatusCode == http.StatusOK && len(body) > 0 {
			answered[res.Header.Get("X-Amzn-Requestid")] = true
		}
	}
}

// TestNoAnsweredPullIsLost kills a server again and again while clients pull: what was answered is in the log, in its files and in the database,
// once each.
func TestNoAnsweredPullIsLost(t *testing.T) {
	if data := os.Getenv("APP_TEST_SERVE"); data != "" {
		serveUntilKilled(t, data)
		return
	}
	t.Parallel()
	c := newCastle(t)
	c.repository("team/app", "a layer")
	password := c.password(c.root)
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	answered := map[string]bool{}
	for round := range 5 {
		k := startToKill(t, c.data)
		var mu sync.Mutex
		var pulling sync.WaitGroup
		for range 4 {
			pulling.Go(func() {
				ids := pullUntil(t.Context(), k.url, password)
				mu.Lock()
				defer mu.Unlock()
				for id := range ids {
					answered[id] = true
				}
			})
		}
		<-time.After(time.Duration(300+round*350) * time.Millisecond) // within a batch, between batches
		k.kill()
		pulling.Wait()
	}
	if len(answered) < 50 {
		t.Fatalf("only %d pulls were answered", len(answered))
	}
	last := start(t, settings(t, c.data), deps())
	if err := last.stop(); err != nil { // it reads what the others left
		t.Fatal(err)
	}
	times := map[string]int{}
	var all int
	for _, r := range audited(t, c.data) {
		if len(r.Pulled) > 0 {
			times[r.RequestID]++
			all++
		}
	}
	db, err := metadb.OpenSQLite(t.Context(), filepath.Join(c.data, "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	searchable := map[string]int{}
	blocks, err := db.Audit().Blocks(t.Context(), audit.BlockQuery{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		b, err := db.Audit().Block(t.Context(), b.ID)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := b.Lines()
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if r, err := audit.Decode(line); err == nil && len(r.Pulled) > 0 {
				searchable[r.RequestID]++
			}
		}
	}
	for id := range answered {
		if times[id] != 1 || searchable[id] != 1 {
			t.Errorf("the pull %s is %d times in the files and %d times in the database", id, times[id], searchable[id])
		}
	}
	if len(searchable) != all {
		t.Errorf("there are %d pulls in the files and %d in the database", all, len(searchable))
	}
	t.Logf("%d pulls were answered, %d are logged", len(answered), all)
}
