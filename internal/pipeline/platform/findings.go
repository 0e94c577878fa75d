package platform

import (
	"context"
	"errors"
)

// Findings is all that a Berth tells of an image's vulnerabilities (DescribeFindings). Texts in it are strangers'.
type Findings struct {
	ImageID ImageID `json:"imageId"`
	Status  struct {
		Status      string `json:"status"`
		Description string `json:"description"`
	} `json:"scanStatus"`
	OS struct {
		PrettyName string `json:"prettyName"`
		ID         string `json:"id"`
		VersionID  string `json:"versionId"`
	} `json:"operatingSystem"`
	Findings    []Finding   `json:"findings"`
	ScannedAt   Moment      `json:"scannedAt"`
	JudgedAt    Moment      `json:"judgedAt"`
	Sources     []SourceAge `json:"advisorySources"`
	Missing     []string    `json:"missingEcosystems"`
	Unevaluated int         `json:"unevaluatedPackages"`
	Base        *BaseImage  `json:"baseImage"`
	Problems    []string    `json:"problems"`
}

// SourceAge is where advisories come from, and how old they are.
type SourceAge struct {
	Name       string `json:"name"`
	Origin     string `json:"origin"`
	Advisories int64  `json:"advisories"`
	ModifiedAt Moment `json:"modifiedAt"`
	ImportedAt Moment `json:"importedAt"`
	CheckedAt  Moment `json:"checkedAt"`
}

// BaseImage is the image that another is built on.
type BaseImage struct {
	Repository string   `json:"repositoryName"`
	Digest     string   `json:"imageDigest"`
	Tags       []string `json:"imageTags"`
	Layers     int      `json:"layers"`
}

// Finding is a vulnerability in a package of an image.
type Finding struct {
	Vulnerability string           `json:"vulnerability"`
	Advisories    []string         `json:"advisories"`
	Mends         []string         `json:"mends"`
	Severity      string           `json:"severity"`
	Score         float64          `json:"score"`
	Summary       string           `json:"summary"`
	Details       string           `json:"details"`
	URL           string           `json:"url"`
	PublishedAt   Moment           `json:"publishedAt"`
	FirstSeenAt   Moment           `json:"firstSeenAt"`
	Exploited     *KnownExploited  `json:"knownExploited"`
	EPSS          float64          `json:"epssProbability"`
	Percentile    float64          `json:"epssPercentile"`
	Ecosystem     string           `json:"ecosystem"`
	Source        string           `json:"sourcePackage"`
	Packages      []FoundPackage   `json:"packages"`
	Exception     *ServerException `json:"exception"`
}

// KnownExploited is an entry of CISA's catalogue.
type KnownExploited struct {
	Added      string `json:"addedOn"`
	Due        string `json:"dueOn"`
	Ransomware bool   `json:"ransomware"`
}

// FoundPackage is an installed package that a finding is about.
type FoundPackage struct {
	Type        string `json:"type"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	Arch        string `json:"arch"`
	FixedIn     string `json:"fixedIn"`
	Path        string `json:"path"`
	Layer       *int   `json:"layerIndex"`
	LayerDigest string `json:"layerDigest"`
	Instruction string `json:"instruction"`
	FromBase    bool   `json:"fromBase"`
}

// ServerException is why the registry holds that a finding stops nothing.
type ServerException struct {
	Status   string `json:"status"`
	Owner    string `json:"owner"`
	Reason   string `json:"reason"`
	Document string `json:"documentDigest"`
	Expires  Moment `json:"expiresAt"` // zero: never
}

// maxFindings is how many findings of an image are read: packages in one are 50,000 at most, and no image that works has so many
// findings.
const maxFindings = 200_000

// findingsPage keeps an answer with the longest texts within what is read of one.
const findingsPage = 500

// errEndless says that a server's pages have no end.
var errEndless = errors.New("the server gives more findings than an image can have")

// Findings reads all findings of an image. Where Unknown is true of the error, the server is no Berth, or an older one.
func (c *Client) Findings(ctx context.Context, repository string, id ImageID) (Findings, error) {
	in := struct {
		RepositoryName string  `json:"repositoryName"`
		ImageID        ImageID `json:"imageId"`
		MaxResults     int     `json:"maxResults"`
		NextToken      string  `json:"nextToken,omitempty"`
	}{RepositoryName: repository, ImageID: id, MaxResults: findingsPage}
	var all Findings
	for {
		var page struct {
			Findings
			NextToken string `json:"nextToken"`
		}
		if err := c.call(ctx, "DescribeFindings", in, &page); err != nil {
			return all, err
		}
		found := append(all.Findings, page.Findings.Findings...)
		if all.ImageID.Digest == "" || page.NextToken == "" {
			all = page.Findings
		}
		all.Findings = found
		switch {
		case page.NextToken == "":
			return all, nil
		case page.NextToken == in.NextToken || len(found) > maxFindings:
			return all, errEndless
		}
		in.NextToken = page.NextToken
	}
}

// VulnerableImage is an image that has a vulnerability.
type VulnerableImage struct {
	Repository string           `json:"repositoryName"`
	Digest     string           `json:"imageDigest"`
	Tags       []string         `json:"imageTags"`
	Severity   string           `json:"severity"`
	Packages   []FoundPackage   `json:"packages"` // without paths and layers
	Runs       []string         `json:"runs"`     // environment/app
	Exception  *ServerException `json:"exception"`
}

// VulnerableImages lists the images that have a vulnerability, of repositories that the caller may see, at most limit (0: all).
func (c *Client) VulnerableImages(ctx context.Context, vulnerability string, limit int) ([]VulnerableImage, error) {
	in := struct {
		Vulnerability string `json:"vulnerability"`
		MaxResults    int    `json:"maxResults"`
		NextToken     string `json:"nextToken,omitempty"`
	}{Vulnerability: vulnerability, MaxResults: 1000}
	var all []VulnerableImage
	for {
		var page struct {
			Images    []VulnerableImage `json:"vulnerableImages"`
			NextToken string            `json:"nextToken"`
		}
		if err := c.call(ctx, "ListVulnerableImages", in, &page); err != nil {
			return all, err
		}
		all = append(all, page.Images...)
		switch {
		case limit > 0 && len(all) >= limit:
			return all[:limit], nil
		case page.NextToken == "" || page.NextToken == in.NextToken:
			return all, nil
		}
		in.NextToken = page.NextToken
	}
}

// SBOM gives what an image has installed as a document in one of the formats: spdx, cyclonedx.
func (c *Client) SBOM(ctx context.Context, repository string, id ImageID, format string) ([]byte, error) {
	in := struct {
		RepositoryName string  `json:"repositoryName"`
		ImageID        ImageID `json:"imageId"`
		Format         string  `json:"format"`
	}{repository, id, format}
	var out struct {
		Document string `json:"document"`
	}
	err := c.callUpTo(ctx, maxSBOMAnswer, "GetSbom", in, &out)
	return []byte(out.Document), err
}

// maxSBOMAnswer has room for the largest SBOM that a Berth gives, 48 MiB, with its quotes escaped.
const maxSBOMAnswer = 128 << 20
