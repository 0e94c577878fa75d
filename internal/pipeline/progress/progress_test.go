package progress_test

import (
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// notebook is a sink that keeps everything.
type notebook struct {
	mu     sync.Mutex
	events []progress.Event
}

func (n *notebook) Event(e progress.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
}

func (n *notebook) texts(kind progress.Kind) []string {
	var all []string
	for _, e := range n.events {
		if e.Kind == kind {
			all = append(all, e.Text)
		}
	}
	return all
}

func TestWriter(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 40_000)
	for name, c := range map[string]struct {
		writes, want []string
	}{
		"lines":         {[]string{"a\nb\n"}, []string{"a", "b"}},
		"in pieces":     {[]string{"a", "b", "\nc", "\n"}, []string{"ab", "c"}},
		"without end":   {[]string{"a\nb"}, []string{"a", "b"}},
		"empty lines":   {[]string{"\n\n"}, []string{"", ""}},
		"windows":       {[]string{"a\r\nb\r\n"}, []string{"a", "b"}},
		"drawn over":    {[]string{"10%\r50%\r100%\n"}, []string{"100%"}},
		"no end at all": {[]string{long}, []string{long[:16<<10], long[:16<<10], long[:40_000-32<<10]}},
		"nothing":       {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n notebook
			task := progress.Task{Project: "web", Step: progress.Test, Sink: &n, Now: time.Now}
			w := task.Writer()
			for _, text := range c.writes {
				if _, err := io.WriteString(w, text); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if got := n.texts(progress.Output); !slices.Equal(got, c.want) {
				t.Errorf("wrote %.80q, and the lines were %.200q, want %.200q", c.writes, got, c.want)
			}
		})
	}
}

func TestTask(t *testing.T) {
	t.Parallel()
	var n, other notebook
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	task := progress.Task{Project: "web", Step: progress.Push, Sink: progress.Sinks{&n, &other}, Now: func() time.Time { return now }}
	task.End(progress.Skipped, "unchanged")
	task.Begin("pushing")
	now = now.Add(3 * time.Second)
	task.Bytes(10, 20)
	task.End(progress.Done, "pushed")
	want := []progress.Event{
		{Time: now.Add(-3 * time.Second), Project: "web", Step: progress.Push, Kind: progress.Skipped, Text: "unchanged"},
		{Time: now.Add(-3 * time.Second), Project: "web", Step: progress.Push, Kind: progress.Started, Text: "pushing"},
		{Time: now, Project: "web", Step: progress.Push, Kind: progress.Bytes, Done: 10, Total: 20},
		{Time: now, Project: "web", Step: progress.Push, Kind: progress.Done, Text: "pushed", Took: 3 * time.Second},
	}
	if !slices.Equal(n.events, want) || !slices.Equal(other.events, want) {
		t.Errorf("said %+v\nand %+v\nwant %+v", n.events, other.events, want)
	}
}
