package advisory

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// Bounds of an entry; one beyond them is refused whole, since half of it would be another advisory.
const (
	MaxEntry    = 4 << 20 // bytes of JSON
	maxAffected = 20_000
	maxVersions = 200_000 // single ones, of all packages
	maxEvents   = 50_000  // of all packages
)

// ErrMalformed is the error of an entry that is none, or is beyond the bounds.
var ErrMalformed = errors.New("not an advisory")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// entry is an advisory in OSV's words (https://ossf.github.io/osv-schema/, 1.7), as far as it is of use.
type entry struct {
	ID               string          `json:"id"`
	Modified         string          `json:"modified"`
	Published        string          `json:"published"`
	Withdrawn        string          `json:"withdrawn"`
	Aliases          []string        `json:"aliases"`
	Upstream         []string        `json:"upstream"`
	Related          []string        `json:"related"`
	Summary          string          `json:"summary"`
	Details          string          `json:"details"`
	Severity         []entrySeverity `json:"severity"`
	Affected         []entryAffected `json:"affected"`
	References       []entryLink     `json:"references"`
	DatabaseSpecific json.RawMessage `json:"database_specific"`
}

type entrySeverity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type entryLink struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type entryAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity          []entrySeverity `json:"severity"`
	Ranges            []entryRange    `json:"ranges"`
	Versions          []string        `json:"versions"`
	EcosystemSpecific json.RawMessage `json:"ecosystem_specific"`
	DatabaseSpecific  json.RawMessage `json:"database_specific"`
}

type entryRange struct {
	Type   string `json:"type"`
	Events []struct {
		Introduced   string `json:"introduced"`
		Fixed        string `json:"fixed"`
		LastAffected string `json:"last_affected"`
		Limit        string `json:"limit"`
	} `json:"events"`
}

// specific are the publishers' own members in which they tell how bad it is.
type specific struct {
	Severity      any    `json:"severity"` // GHSA, Ubuntu: a word; others: anything
	Urgency       any    `json:"urgency"`  // Debian
	Informational any    `json:"informational"`
	URL           string `json:"url"`
}

// Parse reads one advisory of OSV's format. Ranges of git commits, and packages without a name, are left out. Errors are
// ErrMalformed; with one there is nothing in the advisory but its id, where that is known.
func Parse(b []byte) (Advisory, error) {
	if len(b) > MaxEntry {
		return Advisory{}, malformed("it has more than %d bytes", MaxEntry)
	}
	if !utf8.Valid(b) {
		return Advisory{}, malformed("it is not UTF-8")
	}
	var e entry
	if err := json.Unmarshal(b, &e); err != nil {
		return e.unread(), malformed("%v", err)
	}
	if !anyID.MatchString(e.ID) {
		return e.unread(), malformed("%.80q is not an id", e.ID)
	}
	a := Advisory{
		ID: e.ID, Aliases: e.aliases(), Summary: clean(e.Summary, MaxDetails), Details: clean(e.Details, MaxDetails),
		Published: when(e.Published), Modified: when(e.Modified), Withdrawn: e.Withdrawn != "",
		Vectors: vectors(e.Severity), Word: e.word(),
	}
	a.Related = e.related(a.Aliases)
	a.URL, a.References = e.links()
	if len(e.Affected) > maxAffected {
		return e.unread(), malformed("%s names more than %d packages", e.ID, maxAffected)
	}
	var versions, events int
	for i := range e.Affected {
		f, ok, err := e.Affected[i].read()
		if err != nil {
			return e.unread(), malformed("%s: %v", e.ID, err)
		}
		versions += len(f.Versions)
		for _, r := range f.Ranges {
			events += len(r.Events)
		}
		if versions > maxVersions || events > maxEvents {
			return e.unread(), malformed("%s names more than %d versions, or %d events", e.ID, maxVersions, maxEvents)
		}
		if ok {
			a.Affected = append(a.Affected, f)
		}
	}
	return a, nil
}

// unread is all that is taken of an entry that cannot be read.
func (e *entry) unread() Advisory { return Advisory{ID: e.ID} }

// when reads a time; real entries have some that are none, and are worth no less for it.
func when(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 1970 {
		return time.Time{}
	}
	return t.UTC()
}

// aliases are ids of the same vulnerability. A distribution's entry for one CVE has it in its own id, or as the only thing upstream.
func (e *entry) aliases() []string {
	ids := ids(e.Aliases)
	if m := cveSuffix.FindStringSubmatch(e.ID); m != nil {
		ids = append(ids, m[1])
	} else if len(e.Upstream) == 1 && IsCVE(e.Upstream[0]) {
		ids = append(ids, e.Upstream[0])
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), MaxAliases)]
}

// related are CVEs that are no aliases.
func (e *entry) related(aliases []string) []string {
	var cves []string
	for _, id := range append(slices.Clone(e.Related), e.Upstream...) {
		if IsCVE(id) && !slices.Contains(aliases, id) {
			cves = append(cves, id)
		}
	}
	slices.Sort(cves)
	cves = slices.Compact(cves)
	return cves[:min(len(cves), MaxAliases)]
}

func ids(all []string) []string {
	var good []string
	for _, id := range all {
		if anyID.MatchString(id) {
			good = append(good, id)
		}
	}
	return good
}

// links picks where to read more.
func (e *entry) links() (string, []string) {
	var all []string
	best := ""
	for _, r := range e.References {
		if !linkable(r.URL) {
			continue
		}
		if best == "" && r.Type == "ADVISORY" {
			best = r.URL
		}
		if len(all) < MaxReferences && !slices.Contains(all, r.URL) {
			all = append(all, r.URL)
		}
	}
	if own := read(e.DatabaseSpecific).URL; best == "" && linkable(own) {
		best = own
	}
	if best == "" {
		best = "https://osv.dev/vulnerability/" + url.PathEscape(e.ID)
	}
	return best, all
}

func linkable(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= 2048 && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && !strings.ContainsFunc(s, unprintable)
}

func unprintable(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }

// word is the publisher's own word of how bad it is.
func (e *entry) word() string {
	s := read(e.DatabaseSpecific)
	switch {
	case asWord(s.Severity) != "":
		return asWord(s.Severity)
	case asWord(s.Informational) != "":
		return "informational"
	}
	if w := distributionWord(e.Severity); w != "" {
		return w
	}
	return errataWord(e)
}

// read reads a publisher's own members; they may be anything, and then say nothing.
func read(raw json.RawMessage) specific {
	var s specific
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return specific{}
	}
	return s
}

// asWord is a single short word, or nothing.
func asWord(v any) string {
	s, ok := v.(string)
	if !ok || len(s) > 40 || strings.ContainsFunc(s, unprintable) {
		return ""
	}
	return strings.TrimSpace(s)
}

// distributionWord is Ubuntu's word, which stands where scores do.
func distributionWord(all []entrySeverity) string {
	for _, s := range all {
		if !strings.HasPrefix(s.Type, "CVSS") && asWord(s.Score) != "" {
			return asWord(s.Score)
		}
	}
	return ""
}

// errataWord is what an erratum of Red Hat or its kin begins its title with (Important: …). One that mends bugs or adds something,
// and names no CVE, is about no vulnerability.
func errataWord(e *entry) string {
	kind, _, _ := strings.Cut(e.ID, "-")
	if len(kind) != 4 {
		return ""
	}
	switch kind[2:] {
	case "SA":
		if word, _, ok := strings.Cut(e.Summary, ":"); ok {
			return asWord(word)
		}
	case "BA", "EA":
		if len(e.Related) == 0 && len(e.Upstream) == 0 && len(e.Aliases) == 0 {
			return "informational"
		}
	}
	return ""
}

// read gives what is affected, and whether there is anything that a package could be compared with.
func (e *entryAffected) read() (Affected, bool, error) {
	f := Affected{Name: e.Package.Name, Versions: e.Versions, Vectors: vectors(e.Severity)}
	f.Ecosystem, f.Release = SplitEcosystem(e.Package.Ecosystem)
	if f.Ecosystem == "" || f.Name == "" || f.Ecosystem == "GIT" {
		return Affected{}, false, nil
	}
	f.Name = Name(f.Ecosystem, f.Name)
	if !plain(f.Ecosystem, 100) || !plain(f.Release, 200) || !plain(f.Name, inventory.MaxName) {
		return Affected{}, false, fmt.Errorf("%.80q of %.80q is not a package", f.Name, e.Package.Ecosystem)
	}
	for _, v := range f.Versions {
		if !plain(v, 4*inventory.MaxVersion) {
			return Affected{}, false, fmt.Errorf("%.80q is not a version", v)
		}
	}
	for _, r := range e.Ranges {
		if r.Type == "GIT" {
			continue
		}
		var events []Event
		for _, v := range r.Events {
			// An event has one member; entries of old have several in one.
			for _, event := range []Event{{Introduced: v.Introduced}, {Fixed: v.Fixed}, {LastAffected: v.LastAffected}, {Limit: v.Limit}} {
				version := event.version()
				if !plain(version, 4*inventory.MaxVersion) {
					return Affected{}, false, fmt.Errorf("%.80q is not an event of a range", version)
				}
				if version != "" {
					events = append(events, event)
				}
			}
		}
		if len(events) > 0 {
			sortEvents(f.Ecosystem, events)
			f.Ranges = append(f.Ranges, Range{Events: events})
		}
	}
	f.Word = e.word()
	return f, len(f.Versions) > 0 || len(f.Ranges) > 0, nil
}

func (e *entryAffected) word() string {
	own, database := read(e.EcosystemSpecific), read(e.DatabaseSpecific)
	for _, v := range []any{own.Urgency, own.Severity, database.Severity} {
		if w := asWord(v); w != "" {
			return w
		}
	}
	if asWord(database.Informational) != "" {
		return "informational"
	}
	return distributionWord(e.Severity)
}

// plain tells whether a text is short, and has nothing in it that would do something to a terminal.
func plain(s string, most int) bool { return len(s) <= most && !strings.ContainsFunc(s, unprintable) }

// clean takes what is not to be printed out of a text, and ends it after so many bytes.
func clean(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return strings.Map(func(r rune) rune {
		if unprintable(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
}
