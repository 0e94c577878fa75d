package scan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Hit is an image that has a vulnerability.
type Hit struct {
	Repository string             `json:"repositoryName"`
	Digest     oci.Digest         `json:"imageDigest"`
	Tags       []string           `json:"imageTags"`
	Severity   workspace.Severity `json:"severity"`
	Packages   []Package          `json:"packages"`
	Runs       []string           `json:"runs"` // environment/app of each deployment
	Exception  *Exception         `json:"registryException,omitempty"`
}

// HitsOf reads what a Berth tells.
func HitsOf(all []platform.VulnerableImage) []Hit {
	hits := []Hit{}
	for _, w := range all {
		hits = append(hits, Hit{
			w.Repository, oci.Digest(w.Digest), append([]string{}, w.Tags...), severity(w.Severity), packages(w.Packages),
			append([]string{}, w.Runs...), ExceptionOf(w.Exception),
		})
	}
	return hits
}

// WalkAPI is what Walk asks of an ECR; *ecr.Client has it.
type WalkAPI interface {
	DescribeRepositories(context.Context, *ecr.DescribeRepositoriesInput, ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error)
	DescribeImages(context.Context, *ecr.DescribeImagesInput, ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error)
	DescribeImageScanFindings(context.Context, *ecr.DescribeImageScanFindingsInput, ...func(*ecr.Options)) (*ecr.DescribeImageScanFindingsOutput, error)
}

// Walked is what came of a walk.
type Walked struct {
	Hits         []Hit `json:"images"`
	Repositories int   `json:"repositories"` // that were looked through
	Looked       int   `json:"looked"`       // images whose findings were read
	Unscanned    int   `json:"unscanned"`    // images that have no findings to read
	Whole        bool  `json:"whole"`        // there was nothing more to look at
}

// Walk looks for a vulnerability in the findings of one image after the other, since Amazon's ECR has no question for it: all
// repositories, the newest images of each first, and at most so many images (0: all). The vulnerability may be an alias.
func Walk(ctx context.Context, api WalkAPI, vulnerability string, most int) (Walked, error) {
	w := walk{api: api, vulnerability: vulnerability, most: most, Walked: Walked{Hits: []Hit{}, Whole: true}}
	for pages := ecr.NewDescribeRepositoriesPaginator(api, &ecr.DescribeRepositoriesInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return w.Walked, fmt.Errorf("listing repositories: %w", platform.Plain(err))
		}
		for _, r := range page.Repositories {
			if w.full() {
				return w.Walked, nil
			}
			if err := w.repository(ctx, aws.ToString(r.RepositoryName)); err != nil {
				return w.Walked, err
			}
		}
	}
	return w.Walked, nil
}

type walk struct {
	Walked
	api           WalkAPI
	vulnerability string
	most          int
}

// full tells whether no more is to be looked at, though there is more.
func (w *walk) full() bool {
	if w.most > 0 && w.Looked+w.Unscanned >= w.most {
		w.Whole = false
		return true
	}
	return false
}

func (w *walk) repository(ctx context.Context, name string) error {
	w.Repositories++
	var all []types.ImageDetail
	for pages := ecr.NewDescribeImagesPaginator(w.api, &ecr.DescribeImagesInput{RepositoryName: &name}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		switch err := platform.Plain(err); {
		case platform.Refused(err, "RepositoryNotFoundException"): // it has gone since
			return nil
		case err != nil:
			return fmt.Errorf("listing the images of %s: %w", name, err)
		}
		all = append(all, page.ImageDetails...)
	}
	slices.SortStableFunc(all, func(a, b types.ImageDetail) int {
		return aws.ToTime(b.ImagePushedAt).Compare(aws.ToTime(a.ImagePushedAt))
	})
	for _, image := range all {
		if oci.IsIndexType(aws.ToString(image.ImageManifestMediaType)) {
			continue // its images are listed, too
		}
		if w.full() {
			return nil
		}
		if err := w.image(ctx, name, image); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) image(ctx context.Context, repository string, image types.ImageDetail) error {
	in := &ecr.DescribeImageScanFindingsInput{RepositoryName: &repository, ImageId: &types.ImageIdentifier{ImageDigest: image.ImageDigest}, MaxResults: aws.Int32(1000)} //nolint:mnd // at most
	var all Pages
	for {
		out, err := w.api.DescribeImageScanFindings(ctx, in)
		switch err := platform.Plain(err); {
		case platform.Refused(err, "ScanNotFoundException"), platform.Refused(err, "UnsupportedImageTypeException"),
			platform.Refused(err, "ImageArchivedException"), platform.Refused(err, "ImageNotFoundException"):
			w.Unscanned++
			return nil
		case err != nil:
			return fmt.Errorf("reading the findings of %s@%s: %w", repository, aws.ToString(image.ImageDigest), err)
		}
		if out.ImageScanFindings == nil {
			w.Unscanned++
			return nil
		}
		all.Add(out.ImageScanFindings)
		next := aws.ToString(out.NextToken)
		if next == "" {
			break
		}
		if next == aws.ToString(in.NextToken) {
			return errors.New("the server gives the same page of findings again and again")
		}
		in.NextToken = &next
	}
	w.Looked++
	for _, f := range all.Report().Findings {
		if f.Is(w.vulnerability) {
			w.Hits = append(w.Hits, Hit{
				repository, oci.Digest(aws.ToString(image.ImageDigest)), append([]string{}, image.ImageTags...), f.Severity, f.Packages, []string{}, f.Exception,
			})
		}
	}
	return nil
}

// Is tells whether a finding has that name, or an alias.
func (f Finding) Is(name string) bool {
	return slices.ContainsFunc(slices.Concat([]string{f.ID}, f.Advisories, f.Mends), func(a string) bool { return strings.EqualFold(a, name) })
}

// maxNamed is how many CVEs of an erratum its heading names.
const maxNamed = 3

// Heading is the title, of an erratum with the CVEs that it mends.
func (f Finding) Heading() string {
	if len(f.Mends) == 0 {
		return f.Title
	}
	cves := strings.Join(f.Mends[:min(len(f.Mends), maxNamed)], ", ")
	if more := len(f.Mends) - maxNamed; more > 0 {
		cves += fmt.Sprintf(" and %d more", more)
	}
	return strings.TrimSuffix(cves+": "+f.Title, ": ")
}
