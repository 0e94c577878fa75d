package ecr

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// enhancedFinding is a finding as Amazon Inspector has it, which ECR's enhanced scanning hands on (ECR: EnhancedImageScanFinding).
func (f face) enhancedFinding(r scan.Report, finding scan.Finding) types.EnhancedImageScanFinding {
	status := "ACTIVE"
	if finding.Exception != nil {
		status = "SUPPRESSED"
	}
	exploited := "NO"
	if finding.KEV != nil {
		exploited = "YES"
	}
	first := finding.FirstSeen
	if pushed := r.Image.PushedAt; pushed.After(first) {
		first = pushed
	}
	return types.EnhancedImageScanFinding{
		AwsAccountId: aws.String(f.Registry.ID()), FindingArn: aws.String(f.findingARN(r, finding)),
		Type: aws.String("PACKAGE_VULNERABILITY"), Status: aws.String(status),
		Title:       aws.String(finding.Vulnerability + " - " + finding.Source),
		Description: optional(cmp.Or(finding.Summary, finding.Details)),
		Severity:    aws.String(severityWord(registry.Enhanced, finding.Severity)),
		Score:       finding.Score, ScoreDetails: scoreDetails(finding),
		FixAvailable: aws.String(string(finding.Fixable)), ExploitAvailable: aws.String(exploited),
		FirstObservedAt: optionalTime(first), LastObservedAt: optionalTime(r.JudgedAt), UpdatedAt: optionalTime(r.JudgedAt),
		PackageVulnerabilityDetails: vulnerabilityDetails(finding),
		Remediation:                 &types.Remediation{Recommendation: &types.Recommendation{Text: aws.String(remedy(finding)), Url: optional(finding.URL)}},
		Resources:                   []types.Resource{f.resource(r)},
	}
}

// findingARN names a finding for good: by the image, the vulnerability and the package.
func (f face) findingARN(r scan.Report, finding scan.Finding) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{r.Repository, r.Image.Digest.String(), finding.Vulnerability, finding.Ecosystem, finding.Source}, "\n")))
	registryARN := strings.TrimSuffix(f.Registry.ARN(""), ":repository/")
	return strings.Replace(registryARN, ":ecr:", ":inspector2:", 1) + ":finding/" + hex.EncodeToString(sum[:16])
}

func (f face) resource(r scan.Report) types.Resource {
	container := &types.AwsEcrContainerImageDetails{
		ImageHash: aws.String(r.Image.Digest.String()), ImageTags: r.Image.Tags, PushedAt: optionalTime(r.Image.PushedAt),
		Registry: aws.String(f.Registry.ID()), RepositoryName: aws.String(r.Repository), LastInUseAt: optionalTime(r.Image.LastPulledAt),
	}
	if r.OS.ID != "" {
		container.Platform = aws.String(strings.ToUpper(strings.TrimSuffix(r.OS.ID+"_"+strings.ReplaceAll(r.OS.VersionID, ".", "_"), "_")))
	}
	return types.Resource{
		Id:   aws.String(f.Registry.ARN(r.Repository) + "/" + r.Image.Digest.String()),
		Type: aws.String("AWS_ECR_CONTAINER_IMAGE"), Details: &types.ResourceDetails{AwsEcrContainerImage: container},
	}
}

// scoreDetails tells which vector a score is of.
func scoreDetails(f scan.Finding) *types.ScoreDetails {
	i := slices.IndexFunc(f.Vectors, func(v advisory.Vector) bool { return v.Score == f.Score })
	if i < 0 || f.Score == 0 {
		return nil
	}
	v := f.Vectors[i]
	return &types.ScoreDetails{Cvss: &types.CvssScoreDetails{
		Score: v.Score, ScoringVector: aws.String(v.Vector), Version: aws.String(v.Version), ScoreSource: aws.String(publisher(f)),
		Adjustments: []types.CvssScoreAdjustment{},
	}}
}

// publisher names where a finding is from, in the manner of Inspector: DEBIAN_CVE, GITHUB, NVD.
func publisher(f scan.Finding) string {
	switch system := len(f.Packages) > 0 && f.Packages[0].Type.System(); {
	case system:
		name, _, _ := strings.Cut(f.Ecosystem, ":")
		return strings.ToUpper(strings.ReplaceAll(name, " ", "_")) + "_CVE"
	case slices.ContainsFunc(f.Advisories, func(id string) bool { return strings.HasPrefix(id, "GHSA-") }):
		return "GITHUB"
	}
	return "OSV"
}

func vulnerabilityDetails(f scan.Finding) *types.PackageVulnerabilityDetails {
	d := &types.PackageVulnerabilityDetails{
		VulnerabilityId: aws.String(f.Vulnerability), Source: aws.String(publisher(f)), SourceUrl: optional(f.URL),
		VendorSeverity: optional(f.Word), VendorCreatedAt: optionalTime(f.Published), VendorUpdatedAt: optionalTime(f.Modified),
		ReferenceUrls: orEmpty(f.References), RelatedVulnerabilities: []string{}, Cvss: []types.CvssScore{}, VulnerablePackages: []types.VulnerablePackage{},
	}
	for _, id := range append(slices.Clone(f.Advisories), f.Mends...) {
		if id != f.Vulnerability {
			d.RelatedVulnerabilities = append(d.RelatedVulnerabilities, id)
		}
	}
	for _, v := range f.Vectors {
		d.Cvss = append(d.Cvss, types.CvssScore{
			BaseScore: v.Score, ScoringVector: aws.String(v.Vector), Version: aws.String(v.Version), Source: aws.String(publisher(f)),
		})
	}
	for _, p := range f.Packages {
		d.VulnerablePackages = append(d.VulnerablePackages, vulnerablePackage(p))
	}
	return d
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// packageManagers are Inspector's words.
var packageManagers = map[inventory.Type]string{
	inventory.Deb: "OS", inventory.APK: "OS", inventory.RPM: "OS",
	inventory.PyPI: "PYTHONPKG", inventory.NPM: "NODEPKG", inventory.Go: "GOBINARY", inventory.Maven: "JAR", inventory.Gem: "GEMSPEC",
	inventory.Cargo: "CARGO", inventory.NuGet: "DOTNET_CORE", inventory.Composer: "COMPOSER",
}

func vulnerablePackage(p scan.Affected) types.VulnerablePackage {
	v := types.VulnerablePackage{
		Name: aws.String(p.Name), Version: aws.String(p.Version), Arch: optional(p.Arch),
		PackageManager: optional(packageManagers[p.Type]), FilePath: optional(p.Path), SourceLayerHash: optional(p.LayerDigest.String()),
		FixedInVersion: aws.String(cmp.Or(p.Fixed, "NotAvailable")),
	}
	if p.Type == inventory.Deb || p.Type == inventory.RPM {
		epoch, version, release := versionParts(p.Version)
		v.Epoch, v.Version, v.Release = aws.Int32(epoch), aws.String(version), optional(release)
	}
	return v
}

// versionParts takes a distribution's version apart: epoch:version-release.
func versionParts(s string) (epoch int32, version, release string) {
	if before, after, ok := strings.Cut(s, ":"); ok {
		if n, err := strconv.ParseInt(before, 10, 32); err == nil {
			epoch, s = int32(n), after
		}
	}
	if i := strings.LastIndexByte(s, '-'); i > 0 {
		return epoch, s[:i], s[i+1:]
	}
	return epoch, s, ""
}
