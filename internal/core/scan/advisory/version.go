package advisory

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/osv-scalibr/semantic"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// ErrIncomparable is the error of a version that its ecosystem's rules say nothing about: it is neither affected nor safe.
var ErrIncomparable = errors.New("the version cannot be compared")

func incomparable(ecosystem, v string) error {
	return fmt.Errorf("%w: %.80q of %s", ErrIncomparable, v, ecosystem)
}

// Version is a version of an ecosystem that many others are compared with: it is parsed once, when that is needed. It is not for
// several goroutines.
type Version struct {
	ecosystem string
	text      string
	plain     bool             // plain versions are compared by their numbers
	parsed    semantic.Version // nil: not needed yet

	own    *ownRules // nil: semantic compares
	split  answer    // whether own has split it
	pieces [3]string
}

// ownRules compares versions of which there are so many that it must not take memory: most packages of most images are a distribution's.
type ownRules struct {
	split   func(v string) ([3]string, bool)
	compare func(a, b string) int // of one piece
}

var (
	debianRules = &ownRules{splitDebian, comparePart}
	rpmRules    = &ownRules{splitRPM, compareRPM}
)

// cut splits a version by its rules, once.
func (v *Version) cut() error {
	if v.split == notAsked {
		var ok bool
		if v.pieces, ok = v.own.split(v.text); ok {
			v.split = yes
		} else {
			v.split = no
		}
	}
	if v.split == no {
		return incomparable(v.ecosystem, v.text)
	}
	return nil
}

// compareOwn compares two of the same own rules.
func (v *Version) compareOwn(other *Version) (int, error) {
	if err := v.cut(); err != nil {
		return 0, err
	}
	if err := other.cut(); err != nil {
		return 0, err
	}
	for i := range v.pieces {
		if n := v.own.compare(v.pieces[i], other.pieces[i]); n != 0 {
			return n, nil
		}
	}
	return 0, nil
}

// alike are ecosystems whose versions the parsers do not know by name, and those that have packages of the same kind: without them nothing
// of these distributions could be compared.
var alike = map[string]string{"Azure Linux": "Red Hat", "CleanStart": "Alpine", "Echo": "Debian", "Photon OS": "Red Hat"}

// NewVersion makes one of any text.
func NewVersion(ecosystem, version string) *Version {
	if other, ok := alike[ecosystem]; ok {
		ecosystem = other
	}
	v := &Version{ecosystem: ecosystem, text: strings.TrimSpace(version)}
	switch ecosystem {
	case "Debian", "Ubuntu":
		v.own = debianRules
	case "AlmaLinux", "Mageia", "openEuler", "openSUSE", "Red Hat", "Rocky Linux", "SUSE":
		v.own = rpmRules
	case "npm", "Go", "crates.io", "PyPI", "RubyGems", "NuGet", "Packagist", "Maven":
		v.plain = true
	}
	return v
}

// compare tells how the version stands to another: below 0, 0, above 0.
func (v *Version) compare(other string) (_ int, err error) {
	if v.own != nil {
		return v.compareOwn(&Version{ecosystem: v.ecosystem, text: strings.TrimSpace(other), own: v.own})
	}
	if v.plain {
		text, other := v.text, other
		if v.ecosystem == "Go" {
			text, other = strings.TrimPrefix(text, "v"), strings.TrimPrefix(other, "v")
		}
		if n, ok := compareNumbers(text, other); ok {
			return n, nil
		}
	}
	if !isVersion(v.ecosystem, other) {
		return 0, incomparable(v.ecosystem, other)
	}
	// Whatever a parser makes of a stranger's text, it must not end the server.
	defer func() {
		if recover() != nil {
			err = incomparable(v.ecosystem, v.text+" and "+other)
		}
	}()
	if v.parsed == nil {
		if !isVersion(v.ecosystem, v.text) {
			return 0, incomparable(v.ecosystem, v.text)
		}
		if v.parsed, err = semantic.Parse(v.text, v.ecosystem); err != nil {
			v.parsed = nil
			return 0, incomparable(v.ecosystem, v.text)
		}
	}
	n, err := v.parsed.CompareStr(other)
	if err != nil {
		return 0, incomparable(v.ecosystem, other)
	}
	return n, nil
}

// Compare compares two versions by the rules of their ecosystem: below 0 where a is the older. Errors are ErrIncomparable.
func Compare(ecosystem, a, b string) (int, error) {
	return NewVersion(ecosystem, a).compare(b)
}

// compareNumbers compares versions such as 1.22.3, of as many numbers each, at most three, about which all ecosystems that are asked
// by it agree; false: not both are such. Most are, and parsing any version takes a hundred times as long.
func compareNumbers(a, b string) (int, bool) {
	order := 0
	for range 3 {
		i, j := digits(a), digits(b)
		if i == 0 || j == 0 || i > 1 && a[0] == '0' || j > 1 && b[0] == '0' {
			return 0, false
		}
		if order == 0 {
			if order = i - j; order == 0 {
				order = strings.Compare(a[:i], b[:j])
			}
		}
		if a, b = a[i:], b[j:]; a == "" && b == "" {
			return order, true
		}
		if a == "" || b == "" || a[0] != '.' || b[0] != '.' {
			return 0, false
		}
		a, b = a[1:], b[1:]
	}
	return 0, false
}

// isVersion tells versions from words in their place, such as (devel), latest or a git address: parsers that take everything for
// a version read those as older than all, and so as vulnerable.
func isVersion(ecosystem, v string) bool {
	if v == "" || len(v) > inventory.MaxVersion {
		return false
	}
	switch ecosystem {
	case "AlmaLinux", "Mageia", "openEuler", "openSUSE", "Red Hat", "Rocky Linux", "SUSE", "Maven":
		return strings.ContainsFunc(v, func(r rune) bool { return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
	}
	v = strings.TrimSpace(v)
	if len(v) > 1 && (v[0] == 'v' || v[0] == 'V') {
		v = v[1:]
	}
	return v != "" && digit(v[0])
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// splitDebian splits a version into epoch, upstream and revision, at its first colon and its last dash, as deb-version(7) says.
func splitDebian(v string) (pieces [3]string, ok bool) {
	if v == "" || len(v) > inventory.MaxVersion {
		return pieces, false
	}
	epoch, upstream, revision := "", v, ""
	if before, after, ok := strings.Cut(v, ":"); ok {
		if epoch, upstream = before, after; epoch == "" || digits(epoch) < len(epoch) {
			return pieces, false
		}
	}
	if i := strings.LastIndexByte(upstream, '-'); i >= 0 {
		if upstream, revision = upstream[:i], upstream[i+1:]; revision == "" {
			return pieces, false
		}
	}
	if upstream == "" {
		return pieces, false
	}
	for j := range len(v) {
		if c := v[j]; !digit(c) && !letter(c) && !strings.ContainsRune(".+-~:", rune(c)) {
			return pieces, false
		}
	}
	return [3]string{epoch, upstream, revision}, true
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// comparePart compares runs of other characters, by weight, and runs of digits, as numbers, in turns.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !digit(a[0]) || b != "" && !digit(b[0]) {
			if x, y := weight(a), weight(b); x != y {
				return x - y
			}
			a, b = a[1:], b[1:] // the same character, since an end or a digit weighs like no other
		}
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		i, j := digits(a), digits(b)
		if i != j {
			return i - j
		}
		if n := strings.Compare(a[:i], b[:j]); n != 0 {
			return n
		}
		a, b = a[i:], b[j:]
	}
	return 0
}

// digits counts those that a text begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return n
}

// weight of what a text begins with: a tilde before the end, that before letters, those before the rest.
func weight(s string) int {
	switch {
	case s == "" || digit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case letter(s[0]):
		return int(s[0])
	}
	return int(s[0]) + 256
}
