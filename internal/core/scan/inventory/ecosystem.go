package inventory

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// languages are the ecosystems of packages that belong to no distribution, as OSV names them (osv-schema, "Defined Ecosystems").
var languages = map[Type]string{
	PyPI: "PyPI", NPM: "npm", Go: "Go", Maven: "Maven", Gem: "RubyGems", Cargo: "crates.io", NuGet: "NuGet", Composer: "Packagist",
}

// distribution is one whose advisories OSV has.
type distribution struct {
	packages  Type
	ecosystem string
	// release gives what the ecosystem's name goes on with after a colon; empty: not known of this version. nil: it has one release
	// only, and the name is all.
	release func(OS) string
}

// distributions are those that OSV has, by the ID of os-release in lower case.
//
// Amazon Linux, Fedora, CentOS, Oracle Linux and Arch are not among them: nobody publishes their advisories in OSV's ecosystems, so
// their packages are in the inventory, and no more.
var distributions = map[string]distribution{
	"debian": {Deb, "Debian", version(major)},
	"ubuntu": {Deb, "Ubuntu", version(ubuntu)},
	"echo":   {Deb, "Echo", nil},

	"alpine":                       {APK, "Alpine", version(alpine)},
	"alpaquita":                    {APK, "Alpaquita", version(same)},
	"bellsoft-hardened-containers": {APK, "BellSoft Hardened Containers", version(same)},
	"chainguard":                   {APK, "Chainguard", nil},
	"cleanstart":                   {APK, "CleanStart", nil},
	"clnstrt":                      {APK, "CleanStart", nil},
	"minimos":                      {APK, "MinimOS", nil},
	"wolfi":                        {APK, "Wolfi", nil},

	"almalinux":           {RPM, "AlmaLinux", version(major)},
	"azurelinux":          {RPM, "Azure Linux", version(major)},
	"mageia":              {RPM, "Mageia", version(same)},
	"mariner":             {RPM, "Azure Linux", version(major)},
	"openeuler":           {RPM, "openEuler", openEuler},
	"opensuse-leap":       {RPM, "openSUSE", version(func(v string) string { return "Leap " + v })},
	"opensuse-tumbleweed": {RPM, "openSUSE", func(OS) string { return "Tumbleweed" }},
	"photon":              {RPM, "Photon OS", version(same)},
	"rhel":                {RPM, "Red Hat", version(major)},
	"rocky":               {RPM, "Rocky Linux", version(major)},
	"sled":                {RPM, "SUSE", version(same)},
	"sles":                {RPM, "SUSE", version(same)},
	"sles_sap":            {RPM, "SUSE", version(same)},
}

// Ecosystem gives where advisories of packages of a type are published: OSV's ecosystem without release, and the release. The ecosystem
// is empty where there are none: of an unknown distribution, of one without a version that is known, and of packages of another
// distribution's kind.
func Ecosystem(t Type, os OS) (ecosystem, release string) {
	if !t.System() {
		return languages[t], ""
	}
	d, ok := distributions[strings.ToLower(os.ID)]
	switch {
	case !ok || d.packages != t:
		return "", ""
	case d.release == nil:
		return d.ecosystem, ""
	}
	if release = d.release(os); release == "" {
		return "", ""
	}
	return d.ecosystem, release
}

// Ecosystems lists all that Ecosystem may give, in order.
func Ecosystems() []string {
	all := slices.Collect(maps.Values(languages))
	for _, d := range distributions {
		all = append(all, d.ecosystem)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Distribution tells whether an ecosystem is a distribution's.
func Distribution(ecosystem string) bool {
	for _, d := range distributions {
		if d.ecosystem == ecosystem {
			return true
		}
	}
	return false
}

// Supported tells whether advisories are published for the packages of an operating system.
func Supported(os OS) bool {
	ecosystem, _ := Ecosystem(distributions[strings.ToLower(os.ID)].packages, os)
	return ecosystem != "" && os.ID != ""
}

var (
	redHat = regexp.MustCompile(`^enterprise_linux:([0-9]+)(:|$)`)
	suse   = regexp.MustCompile(`^Linux Enterprise [A-Za-z ]+ ([0-9]+)(?:\.([0-9]+)| SP([0-9]+))?(?:-[A-Z-]+)?$`)
)

// ReleaseOf gives the release that is meant by what an advisory writes after the colon of an ecosystem's name, as [Ecosystem] writes it:
// Red Hat and SUSE publish by product, so enterprise_linux:9::appstream is 9, and Linux Enterprise Server 15 SP5 is 15.5. What it
// does not know it gives as it is.
func ReleaseOf(ecosystem, written string) string {
	switch ecosystem {
	case "AlmaLinux", "Azure Linux", "Debian", "Rocky Linux":
		return major(written)
	case "Red Hat":
		if m := redHat.FindStringSubmatch(written); m != nil {
			return m[1]
		}
	case "SUSE":
		if m := suse.FindStringSubmatch(written); m != nil {
			if minor := m[2] + m[3]; minor != "" {
				return m[1] + "." + minor
			}
			return m[1]
		}
	}
	return written
}

// version makes a release of os-release's VERSION_ID; without one there is none.
func version(release func(string) string) func(OS) string {
	return func(os OS) string {
		if os.VersionID == "" {
			return ""
		}
		return release(os.VersionID)
	}
}

func same(v string) string { return v }

func major(v string) string {
	m, _, _ := strings.Cut(v, ".")
	return m
}

// alpine: 3.20.3 is of v3.20; what is not released yet (3.21_alpha20240807) is of no branch that advisories are published for.
func alpine(v string) string {
	m, rest, _ := strings.Cut(v, ".")
	minor, _, _ := strings.Cut(rest, ".")
	if m == "" || minor == "" || strings.Trim(m+minor, "0123456789") != "" {
		return ""
	}
	return "v" + m + "." + minor
}

// ubuntu: releases with long-term support say so. Those of Ubuntu Pro (Pro:22.04:LTS) are of packages that an image has only by
// subscription, and are left out.
func ubuntu(v string) string {
	year, month, _ := strings.Cut(v, ".")
	if month == "04" && year != "" && strings.Contains("02468", year[len(year)-1:]) {
		return v + ":LTS"
	}
	return v
}

// openEuler: 24.03 (LTS-SP1) is 24.03-LTS-SP1; only the name for people has all of it.
func openEuler(os OS) string {
	v, variant, _ := strings.Cut(os.PrettyName, " (")
	v = v[strings.LastIndexByte(v, ' ')+1:]
	if os.VersionID == "" || v != os.VersionID {
		return os.VersionID
	}
	if variant = strings.TrimSuffix(variant, ")"); variant != "" {
		return v + "-" + variant
	}
	return v
}
