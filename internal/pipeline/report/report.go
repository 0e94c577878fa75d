// Package report shows people what a run of the pipeline does: on a terminal, in a plain log, in GitHub's and GitLab's.
// What came of a run, for programs and for the end of it, is a Summary.
//
// Everything that is shown may have been written by strangers: what a test prints, how a file is called. It is printed
// so that it can only be read. No control character of theirs gets to a terminal, and no line of theirs is an order to
// the CI system.
package report

import (
	"io"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// Show is whose output is printed. That of what failed always is.
type Show string

// What else is.
const (
	ShowFailed Show = "failed" // nothing else: what an empty one is too
	ShowAll    Show = "all"
)

// Options say where to and how.
type Options struct {
	Out io.Writer        // standard error
	Now func() time.Time // needed by a terminal: how long something runs

	Terminal bool                         // Out is one
	Term     string                       // what kind: $TERM
	NoColor  bool                         // $NO_COLOR is set, to anything
	Size     func() (columns, height int) // of the terminal, now; asked before each drawing, 0 if it cannot be told

	GitHub bool   // this is a job of GitHub Actions
	GitLab bool   // this is a job of GitLab CI
	Prefix string // where the workspace is in its repository, for annotations; "" if at its root

	Show   Show
	Stream bool // every line as it comes, with the project's name, instead of one project's after another's
}

// Reporter is a sink that has an end.
type Reporter interface {
	progress.Sink
	// Close says what has not been said, and leaves a terminal as it was. It gives the first error of a write. Events
	// after it are lost.
	Close() error
}

// For gives what fits.
func For(o Options) Reporter {
	switch {
	case o.GitHub:
		return newLines(o, github{prefix: o.Prefix})
	case o.Terminal && o.Term != "dumb":
		return newLive(o)
	case o.GitLab:
		return newLines(o, &gitlab{})
	default:
		return newLines(o, plain{})
	}
}

// key is which task.
type key struct {
	project string
	step    progress.Step
}

// whole is the run as a whole.
var whole key

// task is what is remembered of one that runs.
type task struct {
	key
	began    bool
	at       time.Time // it began
	out      *spool
	problems []progress.Event
	more     int       // problems beyond those
	said     time.Time // when a log was told last how far it is
	last     string    // line that was printed
	meter    meter
}

// tasks are those that run.
type tasks struct {
	all   map[key]*task
	order []*task // as they came
}

// of gives an event's task.
func (ts *tasks) of(e progress.Event) *task {
	k := key{e.Project, e.Step}
	t := ts.all[k]
	if t == nil {
		if ts.all == nil {
			ts.all = map[key]*task{}
		}
		t = &task{key: k, at: e.Time, said: e.Time, out: &spool{}}
		ts.all[k] = t
		ts.order = append(ts.order, t)
	}
	return t
}

// end forgets a task. Its spool is the caller's.
func (ts *tasks) end(t *task) {
	delete(ts.all, t.key)
	for i, other := range ts.order {
		if other == t {
			ts.order = append(ts.order[:i], ts.order[i+1:]...)
			return
		}
	}
}

// wanted tells whether what a task printed is shown.
func (o Options) wanted(kind progress.Kind) bool {
	return o.Show == ShowAll || kind == progress.Failed || kind == progress.Found
}

const notFinished = "not finished"

// unfinished is how a task ends that nobody ended.
func unfinished(t *task) progress.Event {
	return progress.Event{Project: t.project, Step: t.step, Kind: progress.Stopped, Text: notFinished}
}

// meter measures how fast bytes go, over the last few seconds.
type meter struct {
	done, total int64
	samples     []sample
}

type sample struct {
	at   time.Time
	done int64
}

const (
	sampleEvery = 500 * time.Millisecond
	sampleCount = 10
)

func (m *meter) add(e progress.Event) {
	m.done, m.total = e.Done, e.Total
	if n := len(m.samples); n > 0 && e.Time.Sub(m.samples[n-1].at) < sampleEvery {
		return
	}
	if len(m.samples) == sampleCount {
		m.samples = append(m.samples[:0], m.samples[1:]...)
	}
	m.samples = append(m.samples, sample{e.Time, e.Done})
}

// rate is bytes a second; 0 if it is not known yet.
func (m *meter) rate(now time.Time) int64 {
	if len(m.samples) == 0 {
		return 0
	}
	first := m.samples[0]
	since := now.Sub(first.at).Truncate(time.Second) // so that a screen is not drawn for each tenth
	if since <= 0 || m.done <= first.done {
		return 0
	}
	return int64(float64(m.done-first.done) / since.Seconds())
}

// String is how far it is: "45.2 MB of 100.0 MB, 45%".
func (m *meter) String() string {
	if m.total <= 0 {
		return size(m.done)
	}
	percent := int64(100 * (float64(m.done) / float64(m.total)))
	return size(m.done) + " of " + size(m.total) + ", " + percentText(percent)
}
