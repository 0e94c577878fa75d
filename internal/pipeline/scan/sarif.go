package scan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// SARIF is a log in the Static Analysis Results Interchange Format 2.1.0
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html), with what GitHub's code scanning reads of it.
type SARIF struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []SARIFRun `json:"runs"`
}

// SARIFRun is a run of a tool (3.14).
type SARIFRun struct {
	Tool struct {
		Driver sarifDriver `json:"driver"`
	} `json:"tool"`
	Automation sarifAutomation   `json:"automationDetails"`
	Results    []sarifResult     `json:"results"`
	Properties map[string]string `json:"properties,omitempty"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version,omitempty"`
	URI     string      `json:"informationUri"`
	Rules   []sarifRule `json:"rules"`
}

type sarifAutomation struct {
	ID string `json:"id"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifRule struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Short      sarifText      `json:"shortDescription"`
	Full       sarifText      `json:"fullDescription"`
	HelpURI    string         `json:"helpUri,omitempty"`
	Help       sarifText      `json:"help"`
	Default    sarifLevel     `json:"defaultConfiguration"`
	Properties map[string]any `json:"properties"`
}

type sarifLevel struct {
	Level string `json:"level"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations"`
	Fingerprints map[string]string  `json:"partialFingerprints"`
	Suppressions []sarifSuppression `json:"suppressions"` // empty: none; absent would be: not known (3.27.23)
	Properties   map[string]any     `json:"properties,omitempty"`
}

type sarifLocation struct {
	Physical sarifPhysical  `json:"physicalLocation"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	Artifact struct {
		URI string `json:"uri"`
	} `json:"artifactLocation"`
	Region struct {
		StartLine int `json:"startLine"`
	} `json:"region"`
}

type sarifLogical struct {
	Name      string `json:"name"`
	Qualified string `json:"fullyQualifiedName"`
	Kind      string `json:"kind"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Justification string `json:"justification,omitempty"`
}

const (
	sarifSchema  = "https://json.schemastore.org/sarif-2.1.0.json"
	sarifVersion = "2.1.0"
	sarifAbout   = "https://github.com/hoopstat-haus/berth"
	// maxSARIF is how many results of a run GitHub takes (https://docs.github.com/code-security, SARIF support); the most urgent go in.
	maxSARIF = 25_000
	// maxText is how much of a text goes in, in characters.
	maxText = 1000
)

// SARIFOf is what a SARIF log is made of.
type SARIFOf struct {
	Image   string // as it was asked for; what findings without a file are located at
	Version string // of this program
	Reports []Report
	// Excepted tells why a finding in a package stops nothing; empty where it does.
	Excepted func(f Finding, p Package) string
}

// NewSARIF makes a log with a result for each finding in each package, located at the file that says that the package is there, or at
// the image. Rules are named by vulnerability, so they are the same in each run; so are a result's fingerprints, for as long as the
// package is found where it was, in whatever version.
func NewSARIF(of SARIFOf) SARIF {
	var run SARIFRun
	run.Tool.Driver = sarifDriver{Name: "berth", Version: of.Version, URI: sarifAbout, Rules: []sarifRule{}}
	run.Automation.ID, run.Results = "berth-scan/"+of.Image+"/", []sarifResult{}
	rules, seen := map[string]int{}, map[string]bool{}
	for _, r := range of.Reports {
		findings := slices.Clone(r.Findings)
		Sort(findings)
		for _, f := range findings {
			f.ID = cmp.Or(f.ID, "unnamed")
			packages := f.Packages
			if len(packages) == 0 {
				packages = []Package{{}}
			}
			for _, p := range packages {
				result := of.result(r, f, p)
				if print := result.Fingerprints[fingerprintKey]; seen[print] || len(run.Results) == maxSARIF {
					continue
				} else {
					seen[print] = true
				}
				at, ok := rules[f.ID]
				if !ok {
					at, rules[f.ID] = len(rules), len(rules)
					run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule(f))
				}
				result.RuleIndex = at
				run.Results = append(run.Results, result)
			}
		}
	}
	return SARIF{sarifSchema, sarifVersion, []SARIFRun{run}}
}

func rule(f Finding) sarifRule {
	title := clip(cmp.Or(f.Title, f.ID))
	r := sarifRule{
		ID: f.ID, Name: "KnownVulnerability", Short: sarifText{f.ID}, Full: sarifText{title}, Default: sarifLevel{level(f.Severity)},
		Help: sarifText{strings.TrimSpace(title + "\n" + f.URI)}, Properties: map[string]any{"tags": []string{"security", "vulnerability", string(f.Severity)}},
	}
	if u, err := url.Parse(f.URI); err == nil && u.IsAbs() && (u.Scheme == "https" || u.Scheme == "http") {
		r.HelpURI = u.String()
	}
	if s := securitySeverity(f); s != "" {
		r.Properties["security-severity"] = s
	}
	return r
}

// level is SARIF's word for a severity. What nobody has rated is a warning: it may be anything.
func level(s workspace.Severity) string {
	switch s {
	case workspace.Critical, workspace.High:
		return "error"
	case workspace.Medium, Unrated:
		return "warning"
	default:
		return "note"
	}
}

// securitySeverity is the score by which GitHub sorts: that of the finding, where it fits what the registry calls it, else the lowest
// of those that do.
func securitySeverity(f Finding) string {
	within := map[workspace.Severity][2]float64{ // as GitHub words scores
		workspace.Critical: {9, 10}, workspace.High: {7, 8.9}, workspace.Medium: {4, 6.9}, workspace.Low: {0.1, 3.9},
	}[f.Severity]
	if within[1] == 0 {
		return ""
	}
	return strconv.FormatFloat(min(max(f.Score, within[0]), within[1]), 'f', 1, 64)
}

// fingerprintKey names how the fingerprint is made; another way gets another number (3.27.17).
const fingerprintKey = "vulnerabilityInPackage/v1"

func (of SARIFOf) result(r Report, f Finding, p Package) sarifResult {
	what := strings.TrimSpace(p.Name + " " + p.Version)
	text := f.ID
	if what != "" {
		text += " in " + what
	}
	if p.FixedIn != "" {
		text += ", fixed in " + p.FixedIn
	}
	if f.KEV != nil {
		text += ", known to be exploited"
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q", f.ID, p.Type, p.Name, p.Path, r.Platform))
	result := sarifResult{
		RuleID: f.ID, Level: level(f.Severity), Message: sarifText{clip(text + ". " + f.Title)}, Suppressions: []sarifSuppression{},
		Fingerprints: map[string]string{fingerprintKey: hex.EncodeToString(sum[:])},
		Properties:   map[string]any{"imageDigest": r.Digest.String(), "severity": f.Severity, "fixable": p.FixedIn != ""},
	}
	for name, value := range map[string]string{"platform": r.Platform, "layerDigest": p.LayerDigest.String(), "instruction": clip(p.Instruction)} {
		if value != "" {
			result.Properties[name] = value
		}
	}
	if r.Places {
		result.Properties["fromBase"] = p.FromBase
	}
	var at sarifLocation
	at.Physical.Artifact.URI, at.Physical.Region.StartLine = location(cmp.Or(p.Path, of.Image)), 1
	if p.Name != "" {
		at.Logical = []sarifLogical{{Name: p.Name, Qualified: what, Kind: "package"}}
	}
	result.Locations = []sarifLocation{at}
	why := ""
	if of.Excepted != nil {
		why = of.Excepted(f, p)
	}
	if why != "" {
		result.Suppressions = append(result.Suppressions, sarifSuppression{"external", clip(why)})
	}
	return result
}

// location is a path as a relative URI: a colon in its first part would read as a scheme.
func location(path string) string {
	u := url.URL{Path: strings.TrimLeft(path, "/")}
	return strings.TrimPrefix(strings.ReplaceAll(u.EscapedPath(), ":", "%3A"), "./")
}

// clip bounds a stranger's text.
func clip(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD")
	if all := []rune(text); len(all) > maxText {
		return string(all[:maxText-1]) + "…"
	}
	return text
}
