package gate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// listed collects what the pages of an answer list.
type listed struct {
	findings []Finding
	words    map[string]int   // how many findings each severity has, in the registry's words
	counts   map[string]int32 // how many it says there are
}

func (l *listed) add(page *types.ImageScanFindings) {
	if l.words == nil {
		l.words = map[string]int{}
	}
	for _, f := range page.Findings {
		l.words[strings.ToUpper(string(f.Severity))]++
		l.findings = append(l.findings, basic(f))
	}
	for _, f := range page.EnhancedFindings {
		l.words[strings.ToUpper(aws.ToString(f.Severity))]++
		if aws.ToString(f.Status) != "CLOSED" { // it was there once
			l.findings = append(l.findings, enhanced(f)...)
		}
	}
	if page.FindingSeverityCounts != nil {
		l.counts = page.FindingSeverityCounts
	}
}

// all gives the findings, and those that are counted only.
func (l *listed) all() []Finding {
	all := l.findings
	for _, word := range slices.Sorted(maps.Keys(l.counts)) {
		if more := int(l.counts[word]) - l.words[strings.ToUpper(word)]; more > 0 {
			all = append(all, Finding{Severity: severity(word), Said: word, Unlisted: more})
		}
	}
	return all
}

// basic reads a finding of basic scanning. It does not say what fixes it.
func basic(f types.ImageScanFinding) Finding {
	said := map[string]string{}
	for _, a := range f.Attributes {
		said[aws.ToString(a.Key)] = aws.ToString(a.Value)
	}
	var scores []float64
	for _, key := range []string{"CVSS4_SCORE", "CVSS3_SCORE", "CVSS2_SCORE"} {
		if score, err := strconv.ParseFloat(said[key], 64); err == nil {
			scores = append(scores, score)
		}
	}
	return Finding{
		ID: aws.ToString(f.Name), Package: said["package_name"], Version: said["package_version"],
		Severity: severity(string(f.Severity), scores...), Said: string(f.Severity), Title: aws.ToString(f.Description), URI: aws.ToString(f.Uri),
	}
}

// enhanced reads a finding of Amazon Inspector: one of ours for each package. Whether somebody has suppressed it there does not
// matter: an exception has an owner, a reason and a last day.
func enhanced(f types.EnhancedImageScanFinding) []Finding {
	one := Finding{ID: aws.ToString(f.Title), Said: aws.ToString(f.Severity), Title: aws.ToString(f.Title)}
	scores := []float64{f.Score}
	d := f.PackageVulnerabilityDetails
	if d != nil {
		if id := aws.ToString(d.VulnerabilityId); id != "" {
			one.ID = id
		}
		one.URI = aws.ToString(d.SourceUrl)
		for _, c := range d.Cvss {
			scores = append(scores, c.BaseScore)
		}
	}
	one.Severity = severity(one.Said, scores...)
	if d == nil || len(d.VulnerablePackages) == 0 {
		return []Finding{one}
	}
	var all []Finding
	for _, p := range d.VulnerablePackages {
		of := one
		of.Package, of.Version, of.FixedIn = aws.ToString(p.Name), version(p), aws.ToString(p.FixedInVersion)
		if strings.EqualFold(of.FixedIn, "NotAvailable") {
			of.FixedIn = ""
		}
		all = append(all, of)
	}
	return all
}

// version words a version as the package manager does.
func version(p types.VulnerablePackage) string {
	text := aws.ToString(p.Version)
	if epoch := aws.ToInt32(p.Epoch); epoch != 0 {
		text = fmt.Sprintf("%d:%s", epoch, text)
	}
	if release := aws.ToString(p.Release); release != "" {
		text += "-" + release
	}
	return text
}

// severity reads ECR's word. Where that says nothing, the highest of the CVSS scores does, by version 3's names for them.
func severity(word string, scores ...float64) workspace.Severity {
	s := workspace.Severity(strings.ToLower(word))
	if slices.Contains(Severities(), s) && s != Unrated {
		return s
	}
	switch score := slices.Max(append(scores, 0)); {
	case score >= 9: //nolint:mnd // CVSS v3.1, section 5
		return workspace.Critical
	case score >= 7: //nolint:mnd // likewise
		return workspace.High
	case score >= 4: //nolint:mnd // likewise
		return workspace.Medium
	case score > 0:
		return workspace.Low
	default:
		return Unrated
	}
}

// merge makes one list of those of several images: what several have is in it once, at its worst.
func merge(gate workspace.Gate, images [][]Finding) []Finding {
	type key struct {
		id, name, version string
		unlisted          workspace.Severity
	}
	at := map[key]int{}
	var all []Finding
	for _, findings := range images {
		for _, f := range findings {
			k := key{id: f.ID, name: f.Package, version: f.Version}
			if f.Unlisted > 0 {
				k.unlisted = f.Severity
			}
			i, known := at[k]
			if !known {
				at[k] = len(all)
				all = append(all, f)
				continue
			}
			all[i] = worse(gate, all[i], f)
		}
	}
	return all
}

// worse makes one of two findings of the same.
func worse(gate workspace.Gate, a, b Finding) Finding {
	if compare(gate, b, a) < 0 {
		a, b = b, a
	}
	a.Unlisted = max(a.Unlisted, b.Unlisted)
	if b.FixedIn != "" && !slices.Contains(strings.Split(a.FixedIn, ", "), b.FixedIn) {
		a.FixedIn = strings.TrimPrefix(a.FixedIn+", "+b.FixedIn, ", ")
	}
	a.Platforms = slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Platforms, b.Platforms))))
	return a
}
