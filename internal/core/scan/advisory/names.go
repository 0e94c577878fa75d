package advisory

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// SplitEcosystem splits what OSV calls an ecosystem in its name and the release, as images have it (inventory.ReleaseOf):
// Ubuntu:22.04:LTS is Ubuntu and 22.04:LTS, Red Hat:enterprise_linux:9::baseos is Red Hat and 9. What stands behind Maven's colon is a server that has the packages, not a release of them.
func SplitEcosystem(s string) (ecosystem, release string) {
	ecosystem, release, _ = strings.Cut(s, ":")
	if ecosystem == "Maven" {
		release = ""
	}
	return ecosystem, inventory.ReleaseOf(ecosystem, release)
}

// dashes are what PEP 503 takes for one dash.
var dashes = regexp.MustCompile(`[-_.]+`)

// Name writes a package's name as its ecosystem compares names, so that one that is installed and one in an advisory are the same
// text: PyPI by PEP 503, NuGet, Packagist, Hex and Pub without regard to case. npm, Go, Maven and the rest are taken as they are.
func Name(ecosystem, name string) string {
	switch ecosystem {
	case "PyPI":
		return strings.ToLower(dashes.ReplaceAllString(name, "-"))
	case "NuGet", "Packagist", "Hex", "Pub":
		return strings.ToLower(name)
	}
	return name
}

var (
	cveID     = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)
	cveSuffix = regexp.MustCompile(`^[A-Z]+-(CVE-[0-9]{4}-[0-9]{4,19})$`) // DEBIAN-CVE-2024-1234
	anyID     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:+-]{0,199}$`)
)

// IsCVE tells whether an id is one of CVE's.
func IsCVE(id string) bool { return cveID.MatchString(id) }

// Mends are the CVEs that an erratum mends: what a distribution publishes under a name of its own speaks of several, as a rule, and so
// of none by an alias. What other publishers relate to is something else.
func (a Advisory) Mends() []string {
	name := a.Vulnerability()
	if IsCVE(name) || strings.HasPrefix(name, "GHSA-") ||
		!slices.ContainsFunc(a.Affected, func(f Affected) bool { return inventory.Distribution(f.Ecosystem) }) {
		return nil
	}
	return a.Related
}

// Vulnerability is the name that findings by this advisory have: the CVE among its id and aliases, else a GHSA, else its id. Where
// there are several, the first of the alphabet.
func (a Advisory) Vulnerability() string {
	cve, ghsa := "", ""
	for _, id := range append([]string{a.ID}, a.Aliases...) {
		switch {
		case IsCVE(id) && (cve == "" || id < cve):
			cve = id
		case strings.HasPrefix(id, "GHSA-") && (ghsa == "" || id < ghsa):
			ghsa = id
		}
	}
	switch {
	case cve != "":
		return cve
	case ghsa != "":
		return ghsa
	}
	return a.ID
}
