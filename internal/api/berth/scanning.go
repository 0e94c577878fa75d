package berth

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
)

// Scans is what is known about the vulnerabilities of images; *scan.Service has it.
type Scans interface {
	// Report gives one page of an image's findings with all that a judgement of it goes by (ecr:DescribeImageScanFindings).
	Report(ctx context.Context, caller identity.Caller, repository string, id registry.ImageID, q scan.Query) (scan.Report, error)
	// Contents gives what an image has installed (ecr:DescribeImageScanFindings).
	Contents(ctx context.Context, caller identity.Caller, repository string, id registry.ImageID) (scan.Contents, error)
	// Hits gives one page of the images that have a vulnerability, of repositories that the caller may see, and where the next begins.
	Hits(ctx context.Context, caller identity.Caller, vulnerability, after string, limit int) ([]scan.Hit, string, error)
}

const (
	// maxBill bounds an SBOM in an answer, which is text in JSON. 50,000 packages take about 30 MB.
	maxBill = 48 << 20
	// maxVulnerability bounds the name of a vulnerability.
	maxVulnerability = 256
	// findingsPage is how many findings, and images, a page has where nobody says.
	findingsPage = 100
)

// DescribeFindingsInput asks for the findings of an image.
type DescribeFindingsInput struct {
	RepositoryName *string  // required
	ImageId        *ImageID //nolint:revive // named as on ECR's wire; required
	MaxResults     *int32   // 1 to 1000; 100 if absent
	NextToken      *string  // of the page before
}

// DescribeFindingsOutput is one page of findings, those that are to be looked at first first, and what they go by.
type DescribeFindingsOutput struct {
	RepositoryName *string
	ImageId        *ImageID //nolint:revive // named as on ECR's wire
	ScanStatus     *ScanStatus
	// OperatingSystem is absent of an image that has no os-release file.
	OperatingSystem     *OperatingSystem
	FindingCounts       map[string]int // by severity, without what an exception holds for
	SystemFindingCounts map[string]int // those of the operating system's packages
	FixableFindings     *int32
	ExploitedFindings   *int32
	Findings            []Finding
	ScannedAt           *time.Time // when its layers were read; absent before
	JudgedAt            *time.Time // when advisories were last matched with what it has
	AdvisorySources     []AdvisorySource
	MissingEcosystems   []string // of which it has packages, and of which no advisories were imported
	UnevaluatedPackages *int32   // whose version cannot be compared
	BaseImage           *BaseImage
	Problems            []string // what could not be read of it
	NextToken           *string  // absent on the last page
}

// ScanStatus is how far a scan has come, in ECR's words.
type ScanStatus struct {
	Status      *string
	Description *string
}

// OperatingSystem is what an image's os-release file says.
type OperatingSystem struct {
	Id         *string //nolint:revive // named as in os-release
	VersionId  *string //nolint:revive // likewise
	PrettyName *string
}

// BaseImage is the image that another is built on.
type BaseImage struct {
	RepositoryName *string
	ImageDigest    *string
	ImageTags      []string
	Layers         *int32 // how many of the image's layers are its, from the lowest
}

// Finding is a vulnerability in a package.
type Finding struct {
	Vulnerability     *string // the CVE where there is one
	Advisories        []string
	Mends             []string // CVEs, where it goes by the name of a distribution's erratum
	Severity          *string
	Score             *float64 // CVSS base; absent where nobody has scored it
	Vectors           []Vector
	PublisherSeverity *string
	Summary           *string
	Details           *string
	Url               *string //nolint:revive // named as on the wire
	References        []string
	PublishedAt       *time.Time
	ModifiedAt        *time.Time
	FirstSeenAt       *time.Time
	KnownExploited    *KnownExploited // absent where CISA does not list it
	EpssProbability   *float64        // absent where nobody has estimated it
	EpssPercentile    *float64
	Ecosystem         *string
	SourcePackage     *string // the name that advisories know it by
	Packages          []FoundPackage
	Fixable           *string // YES, NO or PARTIAL
	Exception         *FindingException
}

// Vector is a CVSS vector with its base score.
type Vector struct {
	Version *string
	Vector  *string
	Score   *float64
}

// KnownExploited is an entry of CISA's catalogue.
type KnownExploited struct {
	AddedOn    *string // a day: 2025-08-25
	DueOn      *string
	Ransomware *bool
}

// FoundPackage is an installed package that a finding is about.
type FoundPackage struct {
	Type          *string // as package URLs have it: deb, npm
	Name          *string
	Version       *string
	SourceVersion *string
	Arch          *string
	FixedIn       *string // absent where no version is known that mends it
	Path          *string // of the file that says that it is there
	LayerIndex    *int32  // 0 is the lowest
	LayerDigest   *string
	Instruction   *string // that made the layer; absent where the image's history does not say
	FromBase      *bool
}

// FindingException is why a finding stops nothing.
type FindingException struct {
	Status         *string // not_affected or fixed
	Owner          *string
	Reason         *string
	PackageName    *string // absent: any
	DocumentDigest *string // of the artifact that says it
	ExpiresAt      *time.Time
}

func (f face) describeFindings(ctx context.Context, call awswire.Call, in *DescribeFindingsInput) (*DescribeFindingsOutput, error) {
	repository, id, err := scannedImage(in.RepositoryName, in.ImageId)
	if err != nil {
		return nil, err
	}
	limit, err := findingsLimit(in.MaxResults)
	if err != nil {
		return nil, err
	}
	r, err := f.scans.Report(ctx, call.Caller, repository, id, scan.Query{After: aws.ToString(in.NextToken), Limit: limit})
	if err != nil {
		return nil, err
	}
	out := &DescribeFindingsOutput{
		RepositoryName: &repository, ImageId: &ImageID{ImageDigest: aws.String(r.Image.Digest.String()), ImageTag: optional(id.Tag)},
		ScanStatus:    &ScanStatus{Status: aws.String(string(r.Status.Status)), Description: optional(r.Status.Description)},
		FindingCounts: wireCount(r.Counts.All), SystemFindingCounts: wireCount(r.Counts.System),
		FixableFindings: number(r.Counts.Fixable), ExploitedFindings: number(r.Counts.Exploited), Findings: []Finding{},
		ScannedAt: known(r.ScannedAt), JudgedAt: known(r.JudgedAt), AdvisorySources: []AdvisorySource{},
		MissingEcosystems: append([]string{}, r.Missing...), UnevaluatedPackages: number(r.Unevaluated), BaseImage: wireBase(r.Base),
		Problems: append([]string{}, r.Problems...), NextToken: optional(r.Next),
	}
	if r.OS.ID != "" {
		out.OperatingSystem = &OperatingSystem{Id: &r.OS.ID, VersionId: optional(r.OS.VersionID), PrettyName: optional(r.OS.PrettyName)}
	}
	for _, s := range r.Sources {
		out.AdvisorySources = append(out.AdvisorySources, advisorySource(s))
	}
	for _, found := range r.Findings {
		out.Findings = append(out.Findings, wireFinding(found))
	}
	return out, nil
}

// ListVulnerableImagesInput asks which images have a vulnerability.
type ListVulnerableImagesInput struct {
	Vulnerability *string // required: a CVE, or another name that an advisory has
	MaxResults    *int32  // 1 to 1000; 100 if absent
	NextToken     *string // of the page before
}

// ListVulnerableImagesOutput is one page of them.
type ListVulnerableImagesOutput struct {
	VulnerableImages []VulnerableImage
	NextToken        *string // absent on the last page
}

// VulnerableImage is an image that has a vulnerability.
type VulnerableImage struct {
	RepositoryName *string
	ImageDigest    *string
	ImageTags      []string
	Severity       *string
	Packages       []FoundPackage // without paths and layers
	Runs           []string       // environment and app of each deployment that runs it: prod/web
	Exception      *FindingException
}

func (f face) listVulnerableImages(ctx context.Context, call awswire.Call, in *ListVulnerableImagesInput) (*ListVulnerableImagesOutput, error) {
	if in.Vulnerability == nil {
		return nil, missing("vulnerability")
	}
	if n := len(*in.Vulnerability); n == 0 || n > maxVulnerability {
		return nil, fault.BadParameter("vulnerability", "Member must have length from 1 to 256")
	}
	limit, err := findingsLimit(in.MaxResults)
	if err != nil {
		return nil, err
	}
	hits, next, err := f.scans.Hits(ctx, call.Caller, *in.Vulnerability, aws.ToString(in.NextToken), limit)
	if err != nil {
		return nil, err
	}
	out := &ListVulnerableImagesOutput{VulnerableImages: []VulnerableImage{}, NextToken: optional(next)}
	for _, h := range hits {
		out.VulnerableImages = append(out.VulnerableImages, VulnerableImage{
			RepositoryName: &h.Repository, ImageDigest: aws.String(h.Digest.String()), ImageTags: append([]string{}, h.Tags...),
			Severity: aws.String(string(h.Severity)), Packages: wirePackages(h.Packages, false), Runs: append([]string{}, h.Runs...),
			Exception: wireException(h.Exception),
		})
	}
	return out, nil
}

// GetSbomInput asks for an SBOM of an image.
type GetSbomInput struct {
	RepositoryName *string  // required
	ImageId        *ImageID //nolint:revive // named as on ECR's wire; required
	Format         *string  // spdx or cyclonedx; spdx if absent
}

// GetSbomOutput is that SBOM.
type GetSbomOutput struct {
	ImageDigest *string
	MediaType   *string
	Document    *string // JSON, as text
}

func (f face) getSBOM(ctx context.Context, call awswire.Call, in *GetSbomInput) (*GetSbomOutput, error) {
	repository, id, err := scannedImage(in.RepositoryName, in.ImageId)
	if err != nil {
		return nil, err
	}
	format := sbom.FormatSPDX
	if in.Format != nil {
		format = sbom.Format(*in.Format)
	}
	if !slices.Contains(sbom.Formats(), format) {
		return nil, fault.BadParameter("format", fmt.Sprintf("Member must be one of %v", sbom.Formats()))
	}
	contents, err := f.scans.Contents(ctx, call.Caller, repository, id)
	if err != nil {
		return nil, err
	}
	var text bounded
	if err := sbom.Write(&text, format, contents); err != nil {
		return nil, err
	}
	return &GetSbomOutput{ImageDigest: aws.String(contents.Image.Digest.String()), MediaType: aws.String(format.MediaType()), Document: aws.String(string(text))}, nil
}

// bounded keeps what is written, up to maxBill.
type bounded []byte

// Write keeps it.
func (b *bounded) Write(p []byte) (int, error) {
	if len(*b)+len(p) > maxBill {
		return 0, fault.New(fault.LimitExceeded, "The SBOM of this image is larger than %d MiB.", maxBill>>20)
	}
	*b = append(*b, p...)
	return len(p), nil
}
