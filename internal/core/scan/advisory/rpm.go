package advisory

import "strings"

// splitRPM splits a version as RPM does: epoch:version-release. An epoch has nothing but digits; the release keeps its dash, so that no
// release is older than any.
func splitRPM(v string) (parts [3]string, ok bool) {
	if !isVersion("Red Hat", v) {
		return parts, false
	}
	epoch := "0"
	if before, after, colon := strings.Cut(v, ":"); colon && digits(before) == len(before) {
		v = after
		if before != "" {
			epoch = before
		}
	}
	parts = [3]string{epoch, v, ""}
	if i := strings.IndexByte(v, '-'); i >= 0 {
		parts[1], parts[2] = v[:i], v[i:]
	}
	return parts, true
}

// compareRPM compares one part of a version as rpmvercmp does (https://rpm-software-management.github.io/rpm/manual/version.html), without
// taking memory: runs of digits and of letters in turns, a tilde before the end, and a caret after it, but before all else.
func compareRPM(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return -1
	case b == "":
		return 1
	}
	for {
		a, b = a[separators(a):], b[separators(b):]
		if n, decided, mark := compareMarks(a, b); decided {
			return n
		} else if mark {
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			return len(a) - len(b)
		}
		number := digit(a[0])
		run := letters
		if number {
			run = digits
		}
		i, j := run(a), run(b)
		if j == 0 { // a number is newer than a word
			if number {
				return 1
			}
			return -1
		}
		x, y := a[:i], b[:j]
		if number {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
		}
		if n := strings.Compare(x, y); n != 0 {
			return n
		}
		a, b = a[i:], b[j:]
	}
}

// compareMarks compares what begins with a tilde or a caret: decided where one of the two does, mark where both do.
func compareMarks(a, b string) (n int, decided, mark bool) {
	for _, c := range [...]byte{'~', '^'} {
		x, y := a != "" && a[0] == c, b != "" && b[0] == c
		switch {
		case x && y:
			return 0, false, true
		case !x && !y:
			continue
		}
		n = -1 // the one that has it is older
		if c == '^' && (x && b == "" || y && a == "") {
			n = 1 // but where the other ends
		}
		if y {
			n = -n
		}
		return n, true, false
	}
	return 0, false, false
}

// separators counts what a text begins with that says nothing.
func separators(s string) int {
	n := 0
	for n < len(s) && !digit(s[n]) && !letter(s[n]) && s[n] != '~' && s[n] != '^' {
		n++
	}
	return n
}

// letters counts those that a text begins with.
func letters(s string) int {
	n := 0
	for n < len(s) && letter(s[n]) {
		n++
	}
	return n
}
