// Package progress is what a run of the pipeline says while it works: which step of which project began, what it
// printed, how many bytes went, how it ended. Steps say it to a Task; whoever shows it is a Sink, of which there may be
// several at once: a terminal, a plain log, GitHub's summary.
//
// What is said here is for people. What came of a run, for programs, is what the steps return.
package progress

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// Step is what is done with a project.
type Step string

// The steps, in their order.
const (
	Test    Step = "test"
	Build   Step = "build"
	Push    Step = "push"
	Scan    Step = "scan"
	Release Step = "release" // the tags that move
	Deploy  Step = "deploy"
)

// Kind is what happened.
type Kind string

// The kinds. A task begins with Started and ends with one of Done, Failed, Stopped; what was not begun is Skipped.
const (
	Started Kind = "started"
	Output  Kind = "output"  // a line that a program printed
	Bytes   Kind = "bytes"   // how far it is
	Note    Kind = "note"    // worth knowing
	Problem Kind = "problem" // a reason why it will fail, or should be looked at
	Done    Kind = "done"
	Failed  Kind = "failed"
	Found   Kind = "found"   // a check worked, and found what it looks for
	Stopped Kind = "stopped" // by whoever started the run
	Skipped Kind = "skipped"
)

// Ends tells whether nothing of the task comes after it.
func (k Kind) Ends() bool {
	switch k {
	case Done, Failed, Found, Stopped, Skipped:
		return true
	default:
		return false
	}
}

// Event is one thing that happened.
type Event struct {
	Time    time.Time
	Project string // "" if it is the whole run's
	Step    Step   // "" likewise
	Kind    Kind
	Text    string        // one line, which may hold anything that a program prints
	Took    time.Duration // of those that end a task
	Done    int64         // bytes, of Bytes
	Total   int64         // bytes, 0 if nobody knows
	Path    string        // of Problem: the file it is in, from the workspace's root, if it is in one
	Line    int           // in the file, from 1
}

// Sink is told what happens, by many goroutines at once. It does not keep them waiting for long.
type Sink interface {
	Event(e Event)
}

// Sinks are several that are told the same.
type Sinks []Sink

// Event tells each.
func (s Sinks) Event(e Event) {
	for _, one := range s {
		one.Event(e)
	}
}

// Task is what a step says of one project. Its methods may be called by several goroutines.
type Task struct {
	Project string
	Step    Step
	Sink    Sink
	Now     func() time.Time

	began time.Time
}

// Begin says that the task has begun.
func (t *Task) Begin(text string) {
	t.began = t.Now()
	t.Say(Event{Kind: Started, Text: text})
}

// End says how it ended.
func (t *Task) End(kind Kind, text string) {
	e := Event{Kind: kind, Text: text}
	if !t.began.IsZero() {
		e.Took = t.Now().Sub(t.began)
	}
	t.Say(e)
}

// Note says what is worth knowing.
func (t *Task) Note(text string) { t.Say(Event{Kind: Note, Text: text}) }

// Bytes says how far it is; a total of 0 is that nobody knows.
func (t *Task) Bytes(done, total int64) { t.Say(Event{Kind: Bytes, Done: done, Total: total}) }

// Say says what happened, with the task's names and the time.
func (t *Task) Say(e Event) {
	e.Time, e.Project, e.Step = t.Now(), t.Project, t.Step
	t.Sink.Event(e)
}

// maxLine is how long a line gets before it is cut in two: nobody reads longer ones, and a program that prints no ends of
// lines is not kept in memory.
const maxLine = 16 << 10

// Writer gives where a program prints to: each line becomes an event. Close says what came without a line's end.
// It may be used by a program's two outputs at once.
func (t *Task) Writer() io.WriteCloser { return &lines{task: t} }

type lines struct {
	task *Task

	mu      sync.Mutex
	pending []byte
}

// Write takes what a program prints.
func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(text)
	for len(text) > 0 {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if room := maxLine - len(l.pending); len(line) > room {
			line, rest, whole = text[:room], text[room:], true
		}
		l.pending = append(l.pending, line...)
		if text = rest; whole {
			l.flush()
		}
	}
	return n, nil
}

// Close says what is left.
func (l *lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) > 0 {
		l.flush()
	}
	return nil
}

func (l *lines) flush() {
	line := bytes.TrimSuffix(l.pending, []byte("\r"))
	if i := bytes.LastIndexByte(line, '\r'); i >= 0 { // a program that draws over its line: what was left in the end
		line = line[i+1:]
	}
	l.task.Say(Event{Kind: Output, Text: string(line)})
	l.pending = l.pending[:0]
}
