package report

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"
)

var (
	// sequences are what terminals take for orders: colours, movements, titles, links.
	sequences = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-~])`)

	// orders are what GitHub's runner and Azure's and TeamCity's agents take for orders, wherever in a line it is.
	orders = regexp.MustCompile(`##(\w*)\[`)
)

const (
	replaced = "\uFFFD" // for what cannot be printed
	tabStop  = 8
)

// clean is text as one line of characters that do nothing but be read. Colours and cursor movements are taken out, tabs
// become spaces, and so do ends of lines; other control characters, and bytes that are no UTF-8, become U+FFFD.
// Characters without a width that change how others are read, such as those of bidirectional text, are left out.
func clean(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0 {
		return text
	}
	text = sequences.ReplaceAllString(strings.ToValidUTF8(text, replaced), "")
	var b strings.Builder
	column := 0
	for _, r := range text {
		switch {
		case r == '\t':
			n := tabStop - column%tabStop
			b.WriteString(strings.Repeat(" ", n))
			column += n
		case unicode.IsSpace(r):
			b.WriteByte(' ')
			column++
		case unicode.Is(unicode.Cf, r):
		case !unicode.IsPrint(r):
			b.WriteString(replaced)
			column++
		default:
			b.WriteRune(r)
			column += runeWidth(r)
		}
	}
	return b.String()
}

// inert is a line that no CI system takes for an order: GitHub's runner obeys lines that begin with "::", spaces
// excepted, and lines that have "##[" anywhere. A space goes in between, so that people still see what was meant.
//
// GitHub has "::stop-commands::" for this, with a token that ends it. That asks of everything between the two that it
// does not learn the token, and our own lines of groups and errors would need it ended and begun again.
func inert(line string) string {
	if begin := strings.TrimLeft(line, " "); strings.HasPrefix(begin, "::") {
		line = line[:len(line)-len(begin)] + ": " + begin[1:]
	}
	if !strings.Contains(line, "##") {
		return line
	}
	return orders.ReplaceAllString(line, "## ${1}[")
}

// shown is a line as it may be printed anywhere.
func shown(line string) string { return inert(clean(line)) }

// runeWidth is how many columns of a terminal a character takes.
func runeWidth(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// columns is how many columns of a terminal a text takes.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

// cut is as much of the text as has room in so many columns. What is cut off leaves a "…".
func cut(text string, room int) string {
	if room <= 0 {
		return ""
	}
	n, last := 0, 0 // last is where to cut so that the sign has room
	for i, r := range text {
		if n <= room-1 {
			last = i
		}
		if n += runeWidth(r); n > room {
			return text[:last] + "…"
		}
	}
	return text
}

// pad is the text, with spaces up to so many columns.
func pad(text string, room int) string {
	return text + strings.Repeat(" ", max(0, room-columns(text)))
}

// took is a duration as people say it: 0.4s, 12s, 1m02s, 2h05m.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return "0.0s"
	case d < 10*time.Second-50*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute-500*time.Millisecond:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour-500*time.Millisecond:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	default:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
}

// elapsed is took for what still runs: whole seconds, so that a screen is not drawn for each tenth.
func elapsed(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%ds", max(0, d/time.Second))
	}
	return took(d.Truncate(time.Second))
}

// size is a number of bytes as people say it: 412 B, 1.2 kB, 45.2 MB.
func size(bytes int64) string {
	if bytes < 1000 {
		return fmt.Sprintf("%d B", max(0, bytes))
	}
	value, units := float64(bytes), "kMGTPE"
	for i := range len(units) {
		if value /= 1000; value < 999.95 || i == len(units)-1 {
			return fmt.Sprintf("%.1f %cB", value, units[i])
		}
	}
	return ""
}

// counted is "1 image", "2 images".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
