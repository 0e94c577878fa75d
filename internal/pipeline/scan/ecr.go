package scan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Pages collects what the pages of an answer to DescribeImageScanFindings list.
type Pages struct {
	report   Report
	words    map[string]int   // how many findings each severity has, in the registry's words
	counts   map[string]int32 // how many it says there are
	enhanced bool
}

// Add takes a page.
func (l *Pages) Add(page *types.ImageScanFindings) {
	if l.words == nil {
		l.words = map[string]int{}
	}
	if at := aws.ToTime(page.ImageScanCompletedAt); !at.IsZero() {
		l.report.ScannedAt = at
	}
	for _, f := range page.Findings {
		l.words[strings.ToUpper(string(f.Severity))]++
		l.report.Findings = append(l.report.Findings, basic(f))
	}
	for _, f := range page.EnhancedFindings {
		l.enhanced = true
		l.words[strings.ToUpper(aws.ToString(f.Severity))]++
		if aws.ToString(f.Status) != "CLOSED" { // it was there once
			l.report.Findings = append(l.report.Findings, enhanced(f))
		}
	}
	if page.FindingSeverityCounts != nil {
		l.counts = page.FindingSeverityCounts
	}
}

// Report gives what they say in all.
func (l *Pages) Report() Report {
	r := l.report
	r.Fixes = l.enhanced || slices.ContainsFunc(r.Findings, Finding.Fixable)
	for _, word := range slices.Sorted(maps.Keys(l.counts)) {
		if more := int(l.counts[word]) - l.words[strings.ToUpper(word)]; more > 0 {
			r.Unlisted = append(r.Unlisted, Unlisted{severity(word), word, more})
		}
	}
	return r
}

// basic reads a finding of basic scanning. Amazon does not say what fixes it.
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
	found := Finding{
		ID: aws.ToString(f.Name), Severity: severity(string(f.Severity), scores...), Said: string(f.Severity), Score: slices.Max(append(scores, 0)),
		Title: aws.ToString(f.Description), URI: aws.ToString(f.Uri), Packages: []Package{},
	}
	if name := said["package_name"]; name != "" {
		found.Packages = []Package{{Name: name, Version: said["package_version"], FixedIn: said["fixed_in_versions"]}}
	}
	if why, ok := said["berth:exception"]; ok {
		found.Exception = &Exception{Reason: why}
	}
	return found
}

// enhanced reads a finding of Amazon Inspector. Whether somebody has suppressed it there does not matter: an exception has an owner, a
// reason and a last day.
func enhanced(f types.EnhancedImageScanFinding) Finding {
	found := Finding{ID: aws.ToString(f.Title), Said: aws.ToString(f.Severity), Title: aws.ToString(f.Title), FirstSeen: aws.ToTime(f.FirstObservedAt), Packages: []Package{}}
	scores := []float64{f.Score}
	found.Exploit = strings.EqualFold(aws.ToString(f.ExploitAvailable), "YES")
	if d := f.PackageVulnerabilityDetails; d != nil {
		if id := aws.ToString(d.VulnerabilityId); id != "" {
			found.ID = id
		}
		found.URI, found.Advisories = aws.ToString(d.SourceUrl), d.RelatedVulnerabilities
		if system := len(d.VulnerablePackages) > 0 && aws.ToString(d.VulnerablePackages[0].PackageManager) == "OS"; system && !isCVE(found.ID) {
			// What an erratum mends is none of its names: an exception for one CVE is none for all.
			found.Advisories, found.Mends = nil, nil
			for _, id := range d.RelatedVulnerabilities {
				if isCVE(id) {
					found.Mends = append(found.Mends, id)
				} else {
					found.Advisories = append(found.Advisories, id)
				}
			}
		}
		for _, c := range d.Cvss {
			scores = append(scores, c.BaseScore)
		}
		for _, p := range d.VulnerablePackages {
			one := Package{
				Type: aws.ToString(p.PackageManager), Name: aws.ToString(p.Name), Version: version(p), Arch: aws.ToString(p.Arch),
				FixedIn: aws.ToString(p.FixedInVersion), Path: aws.ToString(p.FilePath), LayerDigest: oci.Digest(aws.ToString(p.SourceLayerHash)),
			}
			if strings.EqualFold(one.FixedIn, "NotAvailable") {
				one.FixedIn = ""
			}
			found.Packages = append(found.Packages, one)
		}
	}
	found.Severity, found.Score = severity(found.Said, scores...), slices.Max(scores)
	return found
}

func isCVE(id string) bool { return strings.HasPrefix(id, "CVE-") }

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
