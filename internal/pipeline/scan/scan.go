// Package scan is what a registry says of the vulnerabilities of an image, in one shape for all: a Berth tells layers, base image,
// exploitation and how old its advisories are (Berth's DescribeFindings), Amazon's ECR the findings of basic and of enhanced scanning
// (DescribeImageScanFindings). What a registry does not tell is absent, and counts as not known, never as good.
//
// It asks nothing itself, and changes nothing: reading, order, what an upgrade would remove, what the base image brings, SARIF. Texts are
// strangers', as the registry gave them: whoever prints them makes them printable.
package scan

import (
	"cmp"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Unrated is the severity of a finding that nobody has rated: ECR's UNDEFINED and UNTRIAGED without a score, and words that nobody
// knows.
const Unrated workspace.Severity = "unrated"

// Severities are those that findings have, worst first, with Unrated at the end.
func Severities() []workspace.Severity {
	return []workspace.Severity{workspace.Critical, workspace.High, workspace.Medium, workspace.Low, workspace.Informational, Unrated}
}

// Report is what a registry says of one image. Its JSON is a contract: docs/operate/scan-report.md.
type Report struct {
	Digest    oci.Digest `json:"imageDigest"`
	Platform  string     `json:"platform,omitempty"` // such as linux/arm64, of an index's; empty otherwise
	OS        string     `json:"os,omitempty"`       // as the image calls it
	ScannedAt time.Time  `json:"scannedAt,omitzero"` // when its layers were read, or, of basic scanning at Amazon, all was done
	JudgedAt  time.Time  `json:"judgedAt,omitzero"`  // when advisories were last matched with what it has
	Findings  []Finding  `json:"findings"`
	// Unlisted are those that the registry counts and does not list.
	Unlisted    []Unlisted `json:"unlisted,omitempty"`
	Sources     []Source   `json:"advisorySources,omitempty"`
	Missing     []string   `json:"missingEcosystems,omitempty"`   // there are packages of, and no advisories
	Unevaluated int        `json:"unevaluatedPackages,omitempty"` // whose version could not be compared
	Base        *Base      `json:"baseImage,omitempty"`
	Problems    []string   `json:"problems,omitempty"` // what could not be read of it
	// Places tells whether layers and base images are known; Fixes whether it is known which findings have a fix.
	Places bool `json:"placesKnown"`
	Fixes  bool `json:"fixesKnown"`
}

// Unlisted is a number of findings of which nothing but the severity is told.
type Unlisted struct {
	Severity workspace.Severity `json:"severity"`
	Said     string             `json:"registrySeverity"`
	Count    int                `json:"count"`
}

// Finding is a vulnerability in an image: in one package as advisories know it, by whatever names it is installed. Where a registry does
// not tell which package that is, in those that it names.
type Finding struct {
	ID         string             `json:"id"`
	Advisories []string           `json:"advisories,omitempty"`
	Mends      []string           `json:"mends,omitempty"` // CVEs, where it goes by the name of a distribution's erratum
	Severity   workspace.Severity `json:"severity"`
	Said       string             `json:"registrySeverity"` // the registry's word
	Score      float64            `json:"cvssScore,omitempty"`
	Title      string             `json:"title,omitempty"`
	URI        string             `json:"uri,omitempty"`
	KEV        *KEV               `json:"knownExploited,omitempty"`
	Exploit    bool               `json:"exploitAvailable,omitempty"` // Amazon Inspector knows of one
	EPSS       float64            `json:"epss,omitempty"`             // probability of exploitation within 30 days
	Percentile float64            `json:"epssPercentile,omitempty"`
	Ecosystem  string             `json:"ecosystem,omitempty"`
	Source     string             `json:"sourcePackage,omitempty"` // the name that advisories know; empty where it is not told
	Packages   []Package          `json:"packages"`
	FirstSeen  time.Time          `json:"firstSeenAt,omitzero"`
	Exception  *Exception         `json:"registryException,omitempty"` // that the registry itself holds to
}

// KEV says that CISA knows of attacks.
type KEV struct {
	Added      string `json:"addedOn,omitempty"`
	Due        string `json:"dueOn,omitempty"`
	Ransomware bool   `json:"ransomware,omitempty"`
}

// Package is an installed package.
type Package struct {
	Type        string     `json:"type,omitempty"` // deb, npm …, or the registry's word
	Name        string     `json:"name"`
	Version     string     `json:"version,omitempty"`
	Arch        string     `json:"arch,omitempty"`
	FixedIn     string     `json:"fixedIn,omitempty"`
	Path        string     `json:"path,omitempty"`
	Layer       *int       `json:"layer,omitempty"` // 0 is the lowest
	LayerDigest oci.Digest `json:"layerDigest,omitempty"`
	Instruction string     `json:"instruction,omitempty"` // that made the layer
	FromBase    bool       `json:"fromBase,omitempty"`
}

// Exception is why the registry holds that a finding stops nothing.
type Exception struct {
	Status  string    `json:"status,omitempty"` // OpenVEX: not_affected, fixed
	Owner   string    `json:"owner,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Expires time.Time `json:"expiresAt,omitzero"` // zero: never, or it is not told
}

// Source is where advisories come from.
type Source struct {
	Name       string    `json:"name"`
	ModifiedAt time.Time `json:"modifiedAt,omitzero"` // the newest change by its publisher
	ImportedAt time.Time `json:"importedAt,omitzero"`
	CheckedAt  time.Time `json:"checkedAt,omitzero"` // when it was last asked for news
}

// Base is the image that an image is built on.
type Base struct {
	Repository string     `json:"repositoryName"`
	Digest     oci.Digest `json:"imageDigest"`
	Tags       []string   `json:"imageTags"`
	Layers     int        `json:"layers"` // how many of the image's layers are its
}

// Name is what people know it by.
func (b Base) Name() string {
	if len(b.Tags) > 0 {
		return b.Repository + ":" + b.Tags[0]
	}
	return b.Repository + "@" + b.Digest.Short()
}

// Fixable tells whether a newer version of any of its packages is known to mend it.
func (f Finding) Fixable() bool {
	return slices.ContainsFunc(f.Packages, func(p Package) bool { return p.FixedIn != "" })
}

// Exploited tells whether it is known to be exploited, or how that is done is known.
func (f Finding) Exploited() bool { return f.KEV != nil || f.Exploit }

// FromBase tells whether all of it comes from the base image.
func (f Finding) FromBase() bool {
	return len(f.Packages) > 0 && !slices.ContainsFunc(f.Packages, func(p Package) bool { return !p.FromBase })
}

// PackageName is the package's name: that of the source, or of the first.
func (f Finding) PackageName() string {
	switch {
	case f.Source != "":
		return f.Source
	case len(f.Packages) > 0:
		return f.Packages[0].Name
	}
	return ""
}

// Urgency is how soon somebody should look at a finding.
type Urgency struct {
	Suppressed, Exploited, Fixable bool
	Severity                       workspace.Severity
	EPSS                           float64
	Name                           string
}

// Compare puts first what is to be looked at first: what is known to be exploited, what can be fixed, the worst, the likeliest to be
// exploited; by name otherwise. What is suppressed comes last.
func (u Urgency) Compare(v Urgency) int {
	return cmp.Or(
		first(!u.Suppressed, !v.Suppressed), first(u.Exploited, v.Exploited), first(u.Fixable, v.Fixable),
		cmp.Compare(Rank(u.Severity), Rank(v.Severity)), cmp.Compare(v.EPSS, u.EPSS), cmp.Compare(u.Name, v.Name),
	)
}

// first sorts what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// Rank is lower for what is worse. What nobody has rated ranks as low as it gets: it is a gate's to say what it counts as.
func Rank(s workspace.Severity) int {
	if i := slices.Index(Severities(), s); i >= 0 {
		return i
	}
	return len(Severities())
}

// Urgency of the finding.
func (f Finding) Urgency() Urgency {
	return Urgency{f.Exception != nil, f.Exploited(), f.Fixable(), f.Severity, f.EPSS, f.ID + " " + f.PackageName()}
}

// Sort puts findings in the order of their urgency.
func Sort(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int { return a.Urgency().Compare(b.Urgency()) })
}

// Counts are how many findings there are of each severity, with those that are not listed, and without those that an exception of the
// registry holds for.
func (r Report) Counts() map[workspace.Severity]int {
	counts := map[workspace.Severity]int{}
	for _, f := range r.Findings {
		if f.Exception == nil {
			counts[f.Severity]++
		}
	}
	for _, u := range r.Unlisted {
		counts[u.Severity] += u.Count
	}
	return counts
}
