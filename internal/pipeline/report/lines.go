package report

import (
	"bufio"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// lines is a log: what happens is a line each, and what a task printed comes in one piece when it ends.
type lines struct {
	o       Options
	dialect dialect

	mu     sync.Mutex
	out    *bufio.Writer
	tasks  tasks
	room   int // of the column of names
	closed bool
}

// dialect is what a log's reader understands beyond lines. What it gives is printed as it is.
type dialect interface {
	// open and shut are around what a task printed.
	open(ended progress.Event) string
	shut(ended progress.Event) string
	// indent is before each line that a program printed.
	indent() string
	// annotate is what is said in place of a line of the log, or "".
	annotate(e progress.Event, ended progress.Kind) string
}

// plain is the dialect of a log that is only read.
type plain struct{}

func (plain) open(e progress.Event) string                         { return shown(name(e)+" printed:") + "\n" }
func (plain) shut(progress.Event) string                           { return "" }
func (plain) indent() string                                       { return "  | " }
func (plain) annotate(progress.Event, progress.Kind) (line string) { return "" }

const (
	leastRoom    = 8  // of the column of names
	mostRoom     = 32 // likewise
	stepRoom     = 7
	kindRoom     = 7
	tookRoom     = 6
	maxProblems  = 50               // that are kept of a task
	bytesTold    = 30 * time.Second // how often a log is told how far a task is
	flushedAfter = 64 << 10         // bytes in the writer's buffer
)

func newLines(o Options, d dialect) *lines {
	return &lines{o: o, dialect: d, out: bufio.NewWriterSize(o.Out, flushedAfter), room: leastRoom}
}

// Event prints what happened, or keeps it until its task ends.
func (l *lines) Event(e progress.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.event(e)
	_ = l.out.Flush() // bufio keeps the error for Close
}

func (l *lines) event(e progress.Event) {
	k := key{e.Project, e.Step}
	switch e.Kind {
	case progress.Started:
		t := l.tasks.of(e)
		t.began, t.at, t.said = true, e.Time, e.Time
		l.say(e)
	case progress.Output:
		switch line := clean(e.Text); {
		case l.o.Stream && k != whole:
			l.put(clean(name(e)) + " | " + line)
		case k == whole:
			l.put(l.dialect.indent() + line)
		default:
			l.tasks.of(e).out.add(inert(l.dialect.indent() + line))
		}
	case progress.Bytes:
		t := l.tasks.of(e)
		t.meter.add(e)
		if e.Time.Sub(t.said) >= bytesTold {
			t.said = e.Time
			e.Text = t.meter.String()
			l.say(e)
		}
	case progress.Problem:
		l.problem(e, k)
	case progress.Note:
		l.raw(l.dialect.annotate(e, ""))
		l.say(e)
	default:
		if e.Kind.Ends() {
			l.end(l.tasks.of(e), e)
		}
	}
}

// problem prints a problem, and keeps it for an annotation until it is known whether it made the task fail.
func (l *lines) problem(e progress.Event, k key) {
	l.say(e)
	if k == whole {
		l.raw(l.dialect.annotate(e, progress.Failed))
		return
	}
	if t := l.tasks.of(e); len(t.problems) < maxProblems {
		t.problems = append(t.problems, e)
	} else {
		t.more++
	}
}

func (l *lines) end(t *task, e progress.Event) {
	if l.o.wanted(e.Kind) && !t.out.empty() {
		l.raw(l.dialect.open(e))
		_ = t.out.writeTo(l.out) // an error of the log is Close's, one of the temporary file leaves lines out
		l.raw(l.dialect.shut(e))
	}
	t.out.drop()
	for _, p := range t.problems {
		l.raw(l.dialect.annotate(p, e.Kind))
	}
	if t.more > 0 {
		l.put(fmt.Sprintf("%s: and %s", clean(name(e)), counted(t.more, "more problem")))
	}
	l.raw(l.dialect.annotate(e, e.Kind))
	l.say(e)
	l.tasks.end(t)
}

// Close ends what has not ended.
func (l *lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.out.Flush() // the error again, if there was one
	}
	for len(l.tasks.order) > 0 {
		t := l.tasks.order[0]
		if t.began {
			l.end(t, unfinished(t))
			continue
		}
		t.out.drop()
		l.tasks.end(t)
	}
	l.closed = true
	return l.out.Flush()
}

// say prints what happened in columns: whose, which step, what, how long it took, and the text.
func (l *lines) say(e progress.Event) {
	l.room = fit(l.room, e)
	l.put(sentence(e, l.room))
}

// fit is how wide the column of names is to be, now that there is this one too.
func fit(room int, e progress.Event) int { return min(mostRoom, max(room, columns(clean(e.Project)))) }

func sentence(e progress.Event, room int) string {
	text := clean(e.Text)
	if e.Path != "" {
		text = location(e) + ": " + text
	}
	kind := string(e.Kind)
	if e.Kind == progress.Bytes {
		kind = "at"
	}
	if e.Project == "" && e.Step == "" {
		return strings.TrimRight(kind+": "+text, " :")
	}
	if e.Took > 0 {
		text = pad(took(e.Took), tookRoom) + " " + text
	}
	line := pad(clean(e.Project), room) + " " + pad(clean(string(e.Step)), stepRoom) + " " + pad(clean(kind), kindRoom) + " " + text
	return strings.TrimRight(line, " ")
}

// put prints a line.
func (l *lines) put(line string) { l.raw(shown(line) + "\n") }

// raw prints what is printable.
func (l *lines) raw(text string) { _, _ = l.out.WriteString(text) } // bufio keeps the error for Close

// name is whose an event is: "web test".
func name(e progress.Event) string { return strings.TrimSpace(e.Project + " " + string(e.Step)) }

// title is what ended, and how: "web test failed in 3.2s: exit status 1".
func title(e progress.Event) string {
	text := name(e) + " " + string(e.Kind)
	if e.Took > 0 {
		text += " in " + took(e.Took)
	}
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// location is where a problem is: "apps/web/main.go:3".
func location(e progress.Event) string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d", clean(e.Path), e.Line)
	}
	return clean(e.Path)
}

func percentText(percent int64) string { return fmt.Sprintf("%d%%", min(100, max(0, percent))) }
