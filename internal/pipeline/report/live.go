package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// redraws is how often a terminal is drawn at most.
const redraws = 100 * time.Millisecond

// What a terminal is told. Nothing is told that lasts, such as to hide its cursor: whenever the program ends, killed or
// not, the cursor is where the next line goes.
const (
	begin    = "\x1b[?2026h" // to show nothing before end, where it knows this
	end      = "\x1b[?2026l"
	erase    = "\r\x1b[2K" // the line; not the rest of the screen at once, which tmux keeps in its history
	up       = "\x1b[A"
	normal   = "\x1b[0m"
	dim      = "\x1b[2m"
	red      = "\x1b[31m"
	green    = "\x1b[32m"
	yellow   = "\x1b[33m"
	noColour = ""
)

// live draws a terminal: what has ended scrolls upwards, and below it is a line for each task that runs.
//
// Events change what is to be drawn, and one goroutine draws. So a terminal that is slow, or stopped with ^S, keeps no
// step waiting.
type live struct {
	o    Options
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	tasks  tasks
	above  []piece // that has not been drawn yet
	room   int     // of the column of names
	closed bool

	// The drawing goroutine's.
	out   *bufio.Writer
	drawn []row
	wide  int   // the terminal, at that time
	err   error // of all writes, when it is done
}

// piece is something that scrolls: text, or what a task printed.
type piece struct {
	text string // ends its line
	out  *spool
}

// row is a line for a task that runs.
type row struct{ head, tail string }

func newLive(o Options) *live {
	l := &live{o: o, stop: make(chan struct{}), done: make(chan struct{}), room: leastRoom, out: bufio.NewWriterSize(o.Out, flushedAfter)}
	go l.run()
	return l
}

func (l *live) run() {
	defer close(l.done)
	tick := time.NewTicker(redraws)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.draw()
		case <-l.stop:
			l.draw()
			l.err = l.out.Flush()
			return
		}
	}
}

// Close draws what has not been drawn, without the lines of tasks that run.
func (l *live) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		<-l.done
		return l.err
	}
	for len(l.tasks.order) > 0 {
		if t := l.tasks.order[0]; t.began {
			l.end(t, unfinished(t))
		} else {
			t.out.drop()
			l.tasks.end(t)
		}
	}
	l.closed = true
	l.mu.Unlock()
	close(l.stop)
	<-l.done
	return l.err
}

// Event notes what is to be drawn.
func (l *live) Event(e progress.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	k := key{e.Project, e.Step}
	switch e.Kind {
	case progress.Started:
		t := l.tasks.of(e)
		t.began, t.at, t.last = true, e.Time, clean(e.Text)
		l.room = fit(l.room, e)
	case progress.Output:
		l.output(e, k)
	case progress.Bytes:
		l.tasks.of(e).meter.add(e)
	case progress.Problem:
		l.say("!", yellow, e)
	case progress.Note:
		l.say("·", noColour, e)
	default:
		if e.Kind.Ends() {
			l.end(l.tasks.of(e), e)
		}
	}
}

func (l *live) output(e progress.Event, k key) {
	line := clean(e.Text)
	if k == whole {
		l.put("  | " + line)
		return
	}
	t := l.tasks.of(e)
	if strings.TrimSpace(line) != "" {
		t.last = line
	}
	if l.o.Stream {
		l.put(clean(name(e)) + " | " + line)
		return
	}
	t.out.add(inert("  | " + line))
}

func (l *live) end(t *task, e progress.Event) {
	l.tasks.end(t)
	if l.o.wanted(e.Kind) && !t.out.empty() {
		l.put(name(e) + " printed:")
		l.above = append(l.above, piece{out: t.out})
	} else {
		t.out.drop()
	}
	switch e.Kind {
	case progress.Done:
		l.say("✓", green, e)
	case progress.Failed:
		l.say("✗", red, e)
	case progress.Found:
		l.say("!", red, e)
	default:
		l.say("-", dim, e)
	}
}

// say lets what happened scroll, behind a mark.
func (l *live) say(mark, colour string, e progress.Event) {
	l.room = fit(l.room, e)
	l.above = append(l.above, piece{text: l.coloured(mark, colour) + " " + shown(sentence(e, l.room)) + "\n"})
}

// put lets a line scroll.
func (l *live) put(line string) { l.above = append(l.above, piece{text: shown(line) + "\n"}) }

func (l *live) coloured(text, colour string) string {
	if l.o.NoColor || colour == noColour || text == "" {
		return text
	}
	return colour + text + normal
}

// draw brings the terminal to what is to be seen.
func (l *live) draw() {
	wide, high := 0, 0
	if l.o.Size != nil {
		wide, high = l.o.Size()
	}
	if wide <= 0 {
		wide = 80
	}
	if high <= 0 {
		high = 24
	}
	l.mu.Lock()
	above := l.above
	l.above = nil
	rows := l.rows(wide, high, l.o.Now())
	l.mu.Unlock()

	if len(above) == 0 && slices.Equal(rows, l.drawn) && (wide == l.wide || len(rows) == 0) {
		return
	}
	l.raw(begin)
	l.raw(erase + strings.Repeat(up+erase, l.height(wide)))
	for _, p := range above {
		l.raw(p.text)
		if p.out != nil {
			_ = p.out.writeTo(l.out) // an error of the terminal is Close's, one of the temporary file leaves lines out
			p.out.drop()
		}
	}
	for _, r := range rows {
		l.raw(r.head + l.coloured(r.tail, dim) + "\n")
	}
	l.raw(end)
	l.drawn, l.wide = rows, wide
	_ = l.out.Flush() // bufio keeps the error for Close
}

func (l *live) raw(text string) { _, _ = io.WriteString(l.out, text) } // bufio keeps the error for Close

// height is how many lines of the terminal what was drawn takes now: one that became narrower wraps them.
func (l *live) height(wide int) int {
	n := 0
	for _, r := range l.drawn {
		n += max(1, (columns(r.head)+columns(r.tail)+wide-1)/wide)
	}
	return n
}

// rows are the lines of what runs, of which the terminal has room for one less than its height.
func (l *live) rows(wide, high int, now time.Time) []row {
	running := make([]*task, 0, len(l.tasks.order))
	for _, t := range l.tasks.order {
		if t.began {
			running = append(running, t)
		}
	}
	more := 0
	if most := max(1, high-1); len(running) > most {
		more = len(running) - (most - 1)
		running = running[:most-1]
	}
	rows := make([]row, 0, len(running)+1)
	for _, t := range running {
		rows = append(rows, l.row(t, wide-1, now)) // the last column stays empty: what happens after it differs between terminals
	}
	switch {
	case more > 0 && len(running) == 0:
		rows = append(rows, row{tail: cut(fmt.Sprintf("  %d running", more), wide-1)})
	case more > 0:
		rows = append(rows, row{tail: cut(fmt.Sprintf("  and %d more", more), wide-1)})
	}
	return rows
}

func (l *live) row(t *task, room int, now time.Time) row {
	names := max(leastRoom, min(l.room, room/3))
	head := "  " + pad(cut(clean(t.project), names), names) + " " + pad(clean(string(t.step)), stepRoom) + " " + pad(elapsed(now.Sub(t.at)), tookRoom) + " "
	tail := t.last
	if t.meter.done > 0 || t.meter.total > 0 {
		head += t.meter.String()
		if rate := t.meter.rate(now); rate > 0 {
			head += ", " + size(rate) + "/s"
		}
		tail = "  " + tail
	}
	head = cut(inert(head), room)
	return row{head, strings.TrimRight(cut(inert(tail), room-columns(head)), " ")}
}
