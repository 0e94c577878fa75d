package report_test

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// screen is a terminal: what a program wrote is what somebody would see. It knows what we use and takes all else for a
// mistake.
type screen struct {
	mu         sync.Mutex
	wide, high int
	lines      []line // all that ever were; the screen is the last ones
	row, col   int    // the cursor, row from the first of lines
	full       bool   // the last column was written: the next character is on the next line
	style      string
	writes     int
	unknown    []string
}

type line struct {
	cells   []cell
	wrapped bool // it goes on in the next one
}

type cell struct {
	text  string // "" behind a wide character
	style string
}

func newScreen(wide, high int) *screen {
	return &screen{wide: wide, high: high, lines: make([]line, 1)}
}

func (s *screen) size() (wide, high int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wide, s.high
}

// Write does what a terminal does.
func (s *screen) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	for rest := string(text); rest != ""; {
		switch r, n := utf8.DecodeRuneInString(rest); {
		case r == '\x1b':
			rest = s.sequence(rest)
		case r == '\n':
			s.down()
			s.col = 0
			rest = rest[1:]
		case r == '\r':
			s.col, s.full = 0, false
			rest = rest[1:]
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError && n == 1:
			s.unknown = append(s.unknown, fmt.Sprintf("%q", rest[:n]))
			rest = rest[n:]
		default:
			s.print(r)
			rest = rest[n:]
		}
	}
	return len(text), nil
}

func (s *screen) sequence(rest string) string {
	end := strings.IndexFunc(rest[1:], func(r rune) bool { return r >= '@' && r != '[' }) + 2
	switch sequence := rest[:end]; {
	case sequence == "\x1b[?2026h", sequence == "\x1b[?2026l":
	case sequence == "\x1b[2K":
		s.lines[s.row] = line{}
	case sequence == "\x1b[A":
		s.row, s.full = max(s.row-1, len(s.lines)-s.high, 0), false
	case strings.HasSuffix(sequence, "m"):
		s.style = map[string]string{"\x1b[0m": "", "\x1b[2m": "dim", "\x1b[31m": "red", "\x1b[32m": "green", "\x1b[33m": "yellow"}[sequence]
	default:
		s.unknown = append(s.unknown, fmt.Sprintf("%q", sequence))
	}
	return rest[end:]
}

func (s *screen) down() {
	s.row++
	s.full = false
	if s.row == len(s.lines) {
		s.lines = append(s.lines, line{})
	}
}

func (s *screen) print(r rune) {
	n := 1
	if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
		n = 2
	}
	if s.full || s.col+n > s.wide {
		s.lines[s.row].wrapped = true
		s.down()
		s.col = 0
	}
	l := &s.lines[s.row]
	for len(l.cells) < s.col+n {
		l.cells = append(l.cells, cell{text: " "})
	}
	l.cells[s.col] = cell{string(r), s.style}
	if n == 2 {
		l.cells[s.col+1] = cell{"", s.style}
	}
	if s.col += n; s.col == s.wide {
		s.col--
		s.full = true
	}
}

// resize changes the width, and wraps lines anew as terminals do. The cursor, at a line's beginning, stays with its line.
func (s *screen) resize(wide, high int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wide, s.high = wide, high
	var lines []line
	row := 0
	for i := 0; i < len(s.lines); i++ {
		if i == s.row {
			row = len(lines)
		}
		cells := s.lines[i].cells
		for s.lines[i].wrapped {
			i++
			cells = append(cells, s.lines[i].cells...)
		}
		for len(cells) > wide {
			lines = append(lines, line{cells[:wide:wide], true})
			cells = cells[wide:]
		}
		lines = append(lines, line{cells, false})
	}
	s.lines, s.row = lines, row
}

// all is everything that was ever seen, down to the cursor at least. Dim text is in «».
func (s *screen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	seen := len(s.lines)
	for seen > s.row+1 && len(s.lines[seen-1].cells) == 0 {
		seen--
	}
	for i, l := range s.lines[:seen] {
		if i > 0 {
			b.WriteByte('\n')
		}
		style := ""
		for _, c := range append(l.cells, cell{}) {
			if style != c.style {
				b.WriteString(map[bool]string{true: "»"}[style == "dim"] + map[bool]string{true: "«"}[c.style == "dim"])
				style = c.style
			}
			b.WriteString(c.text)
		}
	}
	return b.String()
}
