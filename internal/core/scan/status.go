package scan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// More words of ECR, and ours in their manner.
const (
	wordsActive   = "Continuous scan is selected for image."
	wordsUnlisted = "Nobody publishes advisories of its operating system's packages: nothing is known of these."
	notWhole      = "The image was not read as a whole: "
	wordsArchived = "The image is archived: restore it to see what is known of its vulnerabilities."
)

// staleAdvisories is how old advisories are of which a status says so.
const staleAdvisories = 14 * 24 * time.Hour

// contents is what a status goes by beside the scan itself.
type contents struct {
	known      bool   // there is an inventory
	problem    string // why that is not all that the image has
	uncompared int    // of its packages: their versions
	os         inventory.OS
	set        SetEcosystems
	sources    map[string]advisory.Source
	unheard    string // the system's ecosystem and release, where its source speaks of no such release (see releases)
}

// without gives the contents without the packages of some ecosystems.
func (c contents) without(ecosystems []string) contents {
	c.set.Names = slices.DeleteFunc(slices.Clone(c.set.Names), func(name string) bool { return slices.Contains(ecosystems, name) })
	return c
}

// effective gives the status of a scan as it is now: the stored one tells whether the image was read, and what that is worth depends
// on which advisories there are (docs/design/scanning.md, "Status").
func effective(s registry.Scan, img registry.Image, frequency registry.ScanFrequency, c contents, now time.Time) registry.Scan {
	switch {
	case img.Archived:
		s.Status, s.Description = registry.ScanArchived, wordsArchived
		return s
	case s.Status != registry.ScanComplete:
		return s
	case !c.known:
		s.Status, s.Description = registry.ScanFailed, "What the image has installed is not known any more: ask for another scan."
		return s
	}
	if c.problem != "" { // another scan, of another kind maybe, has read less than this one
		s.Status, s.Description = registry.ScanFailed, notWhole+c.problem
		return s
	}
	needed := c.set.Names
	if s.Kind == registry.Basic {
		system := systemEcosystem(c.os)
		if system == "" || !slices.Contains(c.set.Names, system) {
			s.Status, s.Description = registry.ScanUnsupported, unsupported(c.os)
			return s
		}
		needed = []string{system}
	} else if len(needed) == 0 {
		s.Status, s.Description = registry.ScanUnsupported, unsupportedAll(c)
		return s
	}
	missing := missingOf(needed, c.unheard, c.sources)
	if len(missing) == len(needed) {
		s.Status = registry.ScanFailed
		s.Description = fmt.Sprintf("No advisories of %s have been imported: the image was read, and nothing is known of its vulnerabilities.", strings.Join(missing, ", "))
		if slices.ContainsFunc(needed, func(e string) bool { return unjudged(c.sources[e]) }) {
			s.Status = registry.ScanInProgress // whoever waits for the end of the scan waits for this too
			s.Description = fmt.Sprintf("Advisories of %s were imported a moment ago, and no image is judged by them yet: look again soon.", strings.Join(missing, ", "))
		}
		return s
	}
	if frequency == registry.ScanContinuous {
		s.Status, s.Description = registry.ScanActive, wordsActive
	}
	if len(missing) > 0 {
		s.Description += fmt.Sprintf(" No advisories of %s have been imported: nothing is known of these packages.", strings.Join(missing, ", "))
	}
	if s.Kind == registry.Enhanced && c.set.Unlisted {
		s.Description += " " + wordsUnlisted
	}
	if c.uncompared > 0 {
		s.Description += fmt.Sprintf(" The versions of %d packages could not be compared with advisories.", c.uncompared)
	}
	if stale := staleOf(needed, c.sources, now); stale != "" {
		s.Description += " " + stale
	}
	return s
}

// systemEcosystem is where the advisories of an operating system's own packages are published, or empty.
func systemEcosystem(os inventory.OS) string {
	for _, t := range []inventory.Type{inventory.Deb, inventory.APK, inventory.RPM} {
		if ecosystem, _ := inventory.Ecosystem(t, os); ecosystem != "" {
			return ecosystem
		}
	}
	return ""
}

func unsupported(os inventory.OS) string {
	switch {
	case os.ID == "":
		return wordsUnsupported + " The image has none."
	case systemEcosystem(os) == "":
		return wordsUnsupported + fmt.Sprintf(" It is %s.", plain(strings.TrimSpace(os.ID+" "+os.VersionID), 100))
	}
	return wordsUnsupported + " The image has no package that its operating system knows."
}

func unsupportedAll(c contents) string {
	if !c.set.Packages {
		return wordsUnsupported + " Nothing that is known how to read was found in the image."
	}
	return wordsUnsupported + " Nobody publishes advisories of the packages that the image has."
}

// missingOf lists the ecosystems whose packages are judged by nothing: there are no advisories, or no judgement by them has ended yet,
// or none are of the system's release, which then is named too.
func missingOf(ecosystems []string, unheard string, sources map[string]advisory.Source) []string {
	var missing []string
	for _, e := range ecosystems {
		source, ok := sources[e]
		switch {
		case !ok, unjudged(source):
			missing = append(missing, e)
		case strings.HasPrefix(unheard, e+":"):
			missing = append(missing, unheard)
		}
	}
	return missing
}

// unjudged tells whether a source has been imported for the first time, and images that were there do not know it yet.
func unjudged(s advisory.Source) bool { return s.Revision > 0 && s.JudgedRev == 0 }

// staleOf says of which ecosystems the advisories have not been looked at for long.
func staleOf(ecosystems []string, sources map[string]advisory.Source, now time.Time) string {
	var stale []string
	for _, e := range ecosystems {
		s, ok := sources[e]
		looked := s.ImportedAt
		if s.CheckedAt.After(looked) {
			looked = s.CheckedAt
		}
		if age := now.Sub(looked); ok && age > staleAdvisories {
			stale = append(stale, fmt.Sprintf("those of %s are %d days old", e, int(age.Hours()/24)))
		}
	}
	if len(stale) == 0 {
		return ""
	}
	return "Its advisories are out of date: " + strings.Join(stale, ", ") + "."
}
