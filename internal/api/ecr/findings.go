package ecr

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// Scans is what is known about the vulnerabilities of images; *scan.Service has it.
type Scans interface {
	// Report gives one page of an image's findings (ecr:DescribeImageScanFindings).
	Report(ctx context.Context, caller identity.Caller, repository string, id registry.ImageID, q scan.Query) (scan.Report, error)
	// Summaries tells of the scans of images of one repository, by their ids (ecr:DescribeImages); those without a scan are left out.
	Summaries(ctx context.Context, caller identity.Caller, repository string, images []registry.Image) (map[int64]scan.Summary, error)
}

// maxAttribute is how long the value of a finding's attribute may be, in characters (ECR: Attribute).
const maxAttribute = 256

// describeImageScanFindings answers with findings for a scan that has failed midway, too: what was read until then counts. Before an
// image was read there are none, and no empty list either, which would read as if nothing had been found.
func (f face) describeImageScanFindings(ctx context.Context, call awswire.Call, in *wire.DescribeImageScanFindingsInput) (*wire.DescribeImageScanFindingsOutput, error) {
	name, id, err := f.oneImage(in.RepositoryName, in.RegistryId, in.ImageId)
	if err != nil {
		return nil, err
	}
	limit, token, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	report, err := f.Scans.Report(ctx, call.Caller, name, id, scan.Query{After: token, Limit: limit, OfKind: true})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeImageScanFindingsOutput{
		RegistryId: aws.String(f.Registry.ID()), RepositoryName: aws.String(name),
		ImageId: wireScannedID(report.Image, id), ImageScanStatus: wireScanStatus(report.Status), NextToken: nextToken(report.Next),
	}
	if !tells(report.Status, report.Read) {
		return out, nil
	}
	found := &types.ImageScanFindings{
		ImageScanCompletedAt: optionalTime(report.JudgedAt), VulnerabilitySourceUpdatedAt: optionalTime(report.Updated()),
		FindingSeverityCounts: wireCounts(report.Status.Kind, report.Counts),
	}
	if report.Status.Kind == registry.Enhanced {
		found.EnhancedFindings = []types.EnhancedImageScanFinding{}
		for _, finding := range report.Findings {
			found.EnhancedFindings = append(found.EnhancedFindings, f.enhancedFinding(report, finding))
		}
	} else {
		found.Findings = []types.ImageScanFinding{}
		for _, finding := range report.Findings {
			found.Findings = append(found.Findings, basicFinding(finding))
		}
	}
	out.ImageScanFindings = found
	return out, nil
}

// tells whether a scan has anything to tell: one under way has not, even where an earlier one has.
func tells(s registry.Scan, read bool) bool {
	return read && (s.Status == registry.ScanComplete || s.Status == registry.ScanActive || s.Status == registry.ScanFailed)
}

// scannedDetails are the details of images with what is known of their scans.
func (f face) scannedDetails(ctx context.Context, caller identity.Caller, repository string, images []registry.Image) ([]types.ImageDetail, error) {
	details := f.imageDetails(repository, images)
	summaries, err := f.Scans.Summaries(ctx, caller, repository, images)
	if err != nil {
		return nil, err
	}
	for i, img := range images {
		s, ok := summaries[img.ID]
		if !ok {
			continue
		}
		details[i].ImageScanStatus = wireScanStatus(s.Status)
		if tells(s.Status, s.Read) {
			details[i].ImageScanFindingsSummary = &types.ImageScanFindingsSummary{
				FindingSeverityCounts: wireCounts(s.Status.Kind, s.Counts),
				ImageScanCompletedAt:  optionalTime(s.JudgedAt), VulnerabilitySourceUpdatedAt: optionalTime(s.Updated),
			}
		}
	}
	return details, nil
}

// wireCounts gives the severities that there are findings of.
func wireCounts(kind registry.ScanKind, c scan.Counts) map[string]int32 {
	counts := c.System
	if kind == registry.Enhanced {
		counts = c.All
	}
	out := map[string]int32{}
	for severity, n := range counts {
		if n > 0 {
			out[severityWord(kind, severity)] = int32(min(n, 1<<31-1)) //nolint:gosec // it fits
		}
	}
	return out
}

// severityWord gives the word of a kind: what nobody has rated is another one in enhanced findings.
func severityWord(kind registry.ScanKind, s advisory.Severity) string {
	if s == advisory.Undefined && kind == registry.Enhanced {
		return "UNTRIAGED"
	}
	return string(s)
}

func basicFinding(f scan.Finding) types.ImageScanFinding {
	out := types.ImageScanFinding{
		Name: aws.String(f.Vulnerability), Severity: types.FindingSeverity(f.Severity),
		Description: optional(cmp.Or(f.Summary, f.Details)), Uri: optional(f.URL),
	}
	add := func(key, value string) {
		if value != "" {
			out.Attributes = append(out.Attributes, types.Attribute{Key: aws.String(key), Value: aws.String(clipped(value))})
		}
	}
	if len(f.Packages) > 0 {
		add("package_version", f.Packages[0].SourceVersion)
	}
	add("package_name", f.Source)
	for _, v := range []string{"2", "3", "4"} {
		i := slices.IndexFunc(f.Vectors, func(c advisory.Vector) bool { return strings.HasPrefix(c.Version, v+".") })
		if i >= 0 {
			add("CVSS"+v+"_VECTOR", f.Vectors[i].Vector)
			add("CVSS"+v+"_SCORE", strconv.FormatFloat(f.Vectors[i].Score, 'f', 1, 64))
		}
	}
	add("fixed_in_versions", strings.Join(fixes(f), ", "))
	if f.KEV != nil {
		add("known_exploited_since", f.KEV.Added)
	}
	if x := f.Exception; x != nil {
		add("suppressed", x.Status)
		add("suppressed_by", x.Owner)
		add("suppressed_reason", x.Reason)
		if !x.ExpiresAt.IsZero() {
			add("suppressed_until", x.ExpiresAt.UTC().Format(time.RFC3339))
		}
	}
	return out
}

// fixes lists the versions that mend a finding, each once.
func fixes(f scan.Finding) []string {
	var all []string
	for _, p := range f.Packages {
		if p.Fixed != "" && !slices.Contains(all, p.Fixed) {
			all = append(all, p.Fixed)
		}
	}
	return all
}

// clipped keeps a value within what an attribute may have.
func clipped(s string) string {
	r := []rune(s)
	if len(r) <= maxAttribute {
		return s
	}
	return string(r[:maxAttribute-1]) + "…"
}

// remedy says what to do about a finding.
func remedy(f scan.Finding) string {
	if all := fixes(f); len(all) > 0 {
		return fmt.Sprintf("Upgrade %s to %s or later.", f.Source, strings.Join(all, ", "))
	}
	return "None provided: no version is known that is not affected."
}
