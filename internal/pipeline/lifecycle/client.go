package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// ImagesAPI is what is asked of an ECR to know all of a repository's images; *ecr.Client has it.
type ImagesAPI interface {
	DescribeImages(context.Context, *ecr.DescribeImagesInput, ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error)
	BatchGetImage(context.Context, *ecr.BatchGetImageInput, ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error)
}

// API is what is asked of an ECR; *ecr.Client has it.
type API interface {
	ImagesAPI
	StartLifecyclePolicyPreview(context.Context, *ecr.StartLifecyclePolicyPreviewInput, ...func(*ecr.Options)) (*ecr.StartLifecyclePolicyPreviewOutput, error)
	GetLifecyclePolicyPreview(context.Context, *ecr.GetLifecyclePolicyPreviewInput, ...func(*ecr.Options)) (*ecr.GetLifecyclePolicyPreviewOutput, error)
	GetLifecyclePolicy(context.Context, *ecr.GetLifecyclePolicyInput, ...func(*ecr.Options)) (*ecr.GetLifecyclePolicyOutput, error)
}

// Codes of the server's answers about which there is something to say.
const (
	NoPolicy     = "LifecyclePolicyNotFoundException"
	NoRepository = "RepositoryNotFoundException"
	inProgress   = "LifecyclePolicyPreviewInProgressException"
)

var (
	// ErrNotDone says that the preview was not done in time.
	ErrNotDone = errors.New("the preview is not done")
	// ErrOvertaken says that somebody has started another preview of the repository, which has one only.
	ErrOvertaken = errors.New("another preview of the repository was started meanwhile")
)

// Reading says whether manifests may be read. That counts as a pull of each image, and a policy may go by pulls.
type Reading string

// When manifests are read.
const (
	Auto   Reading = "auto"   // unless the policy that is previewed, or the one in force, goes by pulls
	Always Reading = "always" // also then
	Never  Reading = "never"
)

// Request says what to preview.
type Request struct {
	Repository string
	Policy     *string       // nil: the repository's own
	Timeout    time.Duration // for the preview to be done
	Kept       bool          // tell also what stays, and why
	Reading    Reading
}

// Preview is what a policy would do to a repository.
type Preview struct {
	Affected []Affected // in the order in which it would happen
	Totals
	Unreadable int    // images whose manifest was asked for and makes no sense, or was not given
	WhyUnread  string // why no manifest was asked for; empty where they were
	Kept       []Kept // what stays, oldest first
	KeptKnown  bool   // the server tells what stays
	text       string // the policy
}

// Run has a policy previewed and counts what comes of it.
func Run(ctx context.Context, api API, r Request) (Preview, error) {
	text, results, err := decisions(ctx, api, r)
	if err != nil {
		return Preview{}, err
	}
	rules, err := ReadRules(text)
	if err != nil {
		return Preview{}, err
	}
	images, err := describe(ctx, api, r.Repository)
	if err != nil {
		return Preview{}, fmt.Errorf("listing the images: %w", err)
	}
	p := Preview{text: text}
	if len(results) > 0 {
		if p.WhyUnread = whyNot(ctx, api, r, rules); p.WhyUnread == "" {
			if images, p.Unreadable, err = read(ctx, api, r.Repository, images); err != nil {
				return Preview{}, fmt.Errorf("reading the manifests: %w", err)
			}
		}
	}
	byDigest, decided, actions := map[oci.Digest]Image{}, map[oci.Digest]Decision{}, map[oci.Digest]Action{}
	for _, img := range images {
		byDigest[img.Digest] = img
	}
	for _, d := range results {
		decided[d.Digest], actions[d.Digest] = d, d.Action
	}
	for _, d := range results {
		if img, ok := byDigest[d.Digest]; ok { // or it is gone meanwhile
			p.Affected = append(p.Affected, Affected{img, d, rules.reason(img, d, decided)})
		}
	}
	p.Totals = Weigh(images, actions)
	return p, nil
}

// decisions starts a preview, waits until it is done, and gives all that it decides, with the policy's text.
func decisions(ctx context.Context, api API, r Request) (string, []Decision, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, r.Timeout, ErrNotDone)
	defer cancel()
	in := &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: &r.Repository, LifecyclePolicyText: r.Policy}
	started, err := until(waiting, func() (*ecr.StartLifecyclePolicyPreviewOutput, bool, error) {
		out, err := api.StartLifecyclePolicyPreview(waiting, in)
		if err = platform.Plain(err); platform.Refused(err, inProgress) {
			return nil, false, nil // somebody else's
		}
		return out, true, err
	})
	if err != nil {
		return "", nil, err
	}
	text := aws.ToString(started.LifecyclePolicyText)
	page, err := until(waiting, func() (*ecr.GetLifecyclePolicyPreviewOutput, bool, error) {
		out, err := api.GetLifecyclePolicyPreview(waiting, &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: &r.Repository})
		if err != nil {
			return nil, true, platform.Plain(err)
		}
		return out, out.Status != types.LifecyclePolicyPreviewStatusInProgress, nil
	})
	if err != nil {
		return "", nil, err
	}
	var all []Decision
	for {
		if page.Status != types.LifecyclePolicyPreviewStatusComplete {
			return "", nil, fmt.Errorf("the preview ended as %s", page.Status)
		}
		if err := sameText(text, aws.ToString(page.LifecyclePolicyText)); err != nil {
			return "", nil, err
		}
		for _, result := range page.PreviewResults {
			all = append(all, decision(result))
		}
		if aws.ToString(page.NextToken) == "" {
			return text, all, nil
		}
		page, err = api.GetLifecyclePolicyPreview(ctx, &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: &r.Repository, NextToken: page.NextToken})
		if err != nil {
			return "", nil, platform.Plain(err)
		}
	}
}

func sameText(started, got string) error {
	if started == got {
		return nil
	}
	ours, err := ReadRules(started)
	if err != nil {
		return err
	}
	theirs, err := ReadRules(got)
	if err != nil || !ours.same(theirs) {
		return ErrOvertaken
	}
	return nil
}

func decision(result types.LifecyclePolicyPreviewResult) Decision {
	d := Decision{Digest: oci.Digest(aws.ToString(result.ImageDigest)), Rule: aws.ToInt32(result.AppliedRulePriority), Action: Expire}
	if result.Action != nil && result.Action.Type == types.ImageActionTypeTransition {
		d.Action = Archive
	}
	return d
}

const (
	firstPause = 50 * time.Millisecond
	mostPause  = 5 * time.Second
)

// until asks again, ever more seldom, until there is an answer or the context ends. Its cause is the error then.
func until[T any](ctx context.Context, ask func() (answer T, done bool, err error)) (T, error) {
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		answer, done, err := ask()
		switch {
		case ctx.Err() != nil && (err != nil || !done):
			return answer, context.Cause(ctx)
		case err != nil || done:
			return answer, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer, context.Cause(ctx)
		}
	}
}

// describe lists all images, also archived ones.
func describe(ctx context.Context, api ImagesAPI, repository string) ([]Image, error) {
	var images []Image
	in := &ecr.DescribeImagesInput{
		RepositoryName: &repository, MaxResults: aws.Int32(1000),
		Filter: &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
	}
	for pages := ecr.NewDescribeImagesPaginator(api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, platform.Plain(err)
		}
		for _, d := range page.ImageDetails {
			img := Image{
				Digest: oci.Digest(aws.ToString(d.ImageDigest)), Tags: d.ImageTags, PushedAt: aws.ToTime(d.ImagePushedAt),
				Archived: d.ImageStatus == types.ImageStatusArchived || d.ImageStatus == types.ImageStatusActivating, Size: aws.ToInt64(d.ImageSizeInBytes),
				Subject: oci.Digest(aws.ToString(d.SubjectManifestDigest)),
			}
			switch aws.ToString(d.ImageManifestMediaType) {
			case oci.MediaTypeOCIIndex, oci.MediaTypeDockerList:
				img.Size = 0 // it has no layers; what it refers to counts for itself
			}
			images = append(images, img)
		}
	}
	return images, nil
}

// whyNot gives the reason not to read manifests, or nothing.
func whyNot(ctx context.Context, api API, r Request, previewed Rules) string {
	const counts = "which counts as pulling them"
	switch {
	case r.Reading == Always:
		return ""
	case r.Reading == Never:
		return "as was asked for"
	case previewed.byPulls():
		return counts + ", and the policy goes by pulls"
	case r.Policy == nil:
		return ""
	}
	out, err := api.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: &r.Repository})
	if err = platform.Plain(err); platform.Refused(err, NoPolicy) {
		return ""
	}
	var rules Rules
	if err == nil {
		rules, err = ReadRules(aws.ToString(out.LifecyclePolicyText))
	}
	switch {
	case err != nil:
		return counts + ", and whether the policy in force goes by pulls is not known: " + err.Error()
	case rules.byPulls():
		return counts + ", and the policy in force goes by pulls"
	}
	return ""
}

// batch is how many images one BatchGetImage takes.
const batch = 100

// manifestTypes are what is asked for, so that nothing is converted.
var manifestTypes = []string{
	oci.MediaTypeOCIManifest, oci.MediaTypeOCIIndex, oci.MediaTypeDockerManifest, oci.MediaTypeDockerList,
	"application/vnd.docker.distribution.manifest.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws",
}

// read reads the manifests of images that are not archived. It gives the images without those that are gone meanwhile, and how many
// were not readable.
func read(ctx context.Context, api ImagesAPI, repository string, images []Image) (readable []Image, unreadable int, err error) {
	at := map[oci.Digest]int{}
	var ids []types.ImageIdentifier
	for i, img := range images {
		at[img.Digest] = i
		if !img.Archived {
			ids = append(ids, types.ImageIdentifier{ImageDigest: aws.String(string(img.Digest))})
		}
	}
	gone := map[oci.Digest]bool{}
	for len(ids) > 0 {
		some := ids[:min(batch, len(ids))]
		ids = ids[len(some):]
		out, err := api.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: &repository, ImageIds: some, AcceptedMediaTypes: manifestTypes})
		if err != nil {
			return nil, 0, platform.Plain(err)
		}
		for _, f := range out.Failures {
			if f.FailureCode == types.ImageFailureCodeImageNotFound && f.ImageId != nil {
				gone[oci.Digest(aws.ToString(f.ImageId.ImageDigest))] = true
			}
		}
		for _, got := range out.Images {
			if got.ImageId == nil {
				continue
			}
			if i, ok := at[oci.Digest(aws.ToString(got.ImageId.ImageDigest))]; ok {
				images[i].take(aws.ToString(got.ImageManifestMediaType), aws.ToString(got.ImageManifest))
			}
		}
	}
	for _, img := range images {
		if gone[img.Digest] {
			continue
		}
		if !img.Read && !img.Archived {
			unreadable++
		}
		readable = append(readable, img)
	}
	return readable, unreadable, nil
}

// take notes what a manifest says, if it says anything.
func (img *Image) take(mediaType, manifest string) {
	m, err := oci.ParseManifest(mediaType, []byte(manifest))
	if err != nil {
		return
	}
	img.Read, img.ManifestSize = true, int64(len(manifest))
	for _, b := range m.Blobs() {
		img.Blobs = append(img.Blobs, Blob{b.Digest, b.Size})
	}
	for _, c := range m.Children {
		img.Children = append(img.Children, c.Digest)
	}
	if m.Subject.Digest != "" {
		img.Subject = m.Subject.Digest
	}
}
