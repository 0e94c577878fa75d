// Package shipped is what a registry knows of what berth ship has made: the format of annotations on images, of the
// records that are attached to them, and of the boards on which runs that move a tag say so; and how they are read.
//
// All of it is text that whoever may push can write. What is not as it should be is as if it were not there.
package shipped

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"golang.org/x/sync/errgroup"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// Annotations of an image's manifest or index.
const (
	AnnotationApp      = "vnd.berth.image.app"
	AnnotationBranch   = "vnd.berth.image.branch"
	AnnotationInputs   = "vnd.berth.image.inputs" // the image key
	AnnotationTests    = "vnd.berth.image.tests"  // the test keys, the app's own first, with a space between
	AnnotationRevision = "org.opencontainers.image.revision"
	AnnotationCreated  = "org.opencontainers.image.created" // RFC 3339
)

// ErrNoRepository says that the registry has no repository of that name.
var ErrNoRepository = errors.New("there is no such repository")

// API is what is asked of an ECR; *ecr.Client has it.
type API interface {
	BatchGetImage(context.Context, *ecr.BatchGetImageInput, ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error)
	ListImageReferrers(context.Context, *ecr.ListImageReferrersInput, ...func(*ecr.Options)) (*ecr.ListImageReferrersOutput, error)
}

// Store reads one repository. It may be used by many goroutines.
type Store struct {
	api        API
	repository string
}

// New makes one. It asks for nothing yet.
func New(api API, repository string) *Store { return &Store{api, repository} }

// Image is one that has a tag, as its manifest or index says. Of Docker's own format, which has no annotations, only the first
// four are known.
type Image struct {
	Digest    oci.Digest
	MediaType string
	Size      int64    // bytes of configuration and layers; of an index what its manifests have themselves
	Tags      []string // in order, those that were asked for
	App       string
	Branch    string
	Inputs    string   // the image key, hexadecimal
	Tests     []string // the test keys that passed, the app's own first
	Revision  string   // the commit that it was built for
	Created   time.Time
}

// Manifest is one as the registry keeps it.
type Manifest struct {
	Digest    oci.Digest
	MediaType string
	Raw       string // byte for byte
}

const (
	batch    = 100 // images that one BatchGetImage takes
	parallel = 4   // requests at a time
)

// ByTags finds the images that some tags name. A tag that is not there, or names what is no image, is not in the answer. The
// registry counts it as a pull of each image.
func (s *Store) ByTags(ctx context.Context, tags []string) (map[string]Image, error) {
	read, err := s.ManifestsByTags(ctx, tags)
	if err != nil {
		return nil, err
	}
	images, tagged := map[oci.Digest]*Image{}, map[oci.Digest][]string{}
	for tag, m := range read {
		if _, read := images[m.Digest]; !read {
			images[m.Digest] = readImage(m.Digest, m.MediaType, m.Raw)
		}
		tagged[m.Digest] = append(tagged[m.Digest], tag)
	}
	answer := map[string]Image{}
	for d, img := range images {
		if img == nil {
			continue
		}
		img.Tags = slices.Sorted(slices.Values(tagged[d]))
		for _, tag := range img.Tags {
			answer[tag] = *img
		}
	}
	return answer, nil
}

// ByTag gives the manifest that a tag names now, and whether there is one.
func (s *Store) ByTag(ctx context.Context, tag string) (Manifest, bool, error) {
	return s.one(ctx, types.ImageIdentifier{ImageTag: &tag})
}

// ByDigest gives a manifest, and whether there is one.
func (s *Store) ByDigest(ctx context.Context, d oci.Digest) (Manifest, bool, error) {
	return s.one(ctx, types.ImageIdentifier{ImageDigest: aws.String(d.String())})
}

func (s *Store) one(ctx context.Context, id types.ImageIdentifier) (Manifest, bool, error) {
	found, err := s.get(ctx, []types.ImageIdentifier{id})
	if err != nil || len(found) == 0 {
		return Manifest{}, false, err
	}
	return manifestOf(found[0]), true, nil
}

func manifestOf(got types.Image) Manifest {
	return Manifest{oci.Digest(aws.ToString(got.ImageId.ImageDigest)), aws.ToString(got.ImageManifestMediaType), aws.ToString(got.ImageManifest)}
}

// get reads manifests, a hundred a request and a few requests at a time. What is not there is left out.
func (s *Store) get(ctx context.Context, ids []types.ImageIdentifier) ([]types.Image, error) {
	var mu sync.Mutex
	var all []types.Image
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for some := range slices.Chunk(ids, batch) {
		group.Go(func() error {
			out, err := s.api.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: &s.repository, ImageIds: some, AcceptedMediaTypes: oci.ManifestTypes()})
			if err != nil {
				return s.explain("reading manifests", "ecr:BatchGetImage", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, got := range out.Images {
				if got.ImageId != nil {
					all = append(all, got)
				}
			}
			return nil
		})
	}
	return all, group.Wait() //nolint:wrapcheck // explained above
}

func (s *Store) explain(doing, action string, err error) error {
	return Explain(s.repository, doing, action, err)
}

// Explain words an error of the registry's API: what was being done, and which permission is missing if one is.
func Explain(repository, doing, action string, err error) error {
	err = platform.Plain(err)
	if platform.Refused(err, "RepositoryNotFoundException") {
		return fmt.Errorf("%s: %w: %s", doing, ErrNoRepository, repository)
	}
	if sentence, denied := platform.Denied(err); denied {
		return fmt.Errorf("%s in %s needs %s, which the registry does not allow: %s: %w", doing, repository, action, sentence, err)
	}
	return fmt.Errorf("%s in %s: %w", doing, repository, err)
}

// readImage reads a manifest; nil is one that makes no sense.
func readImage(d oci.Digest, mediaType, raw string) *Image {
	m, err := oci.ParseManifest(mediaType, []byte(raw))
	if err != nil {
		return nil
	}
	img := &Image{Digest: d, MediaType: m.MediaType}
	for _, b := range m.Blobs() {
		img.Size += b.Size
	}
	for _, child := range m.Children {
		img.Size += child.Size
	}
	if m.MediaType != oci.MediaTypeOCIManifest && m.MediaType != oci.MediaTypeOCIIndex {
		return img
	}
	a := m.Annotations
	img.App, img.Branch = word(a[AnnotationApp], maxName), word(a[AnnotationBranch], maxName)
	img.Inputs, img.Tests = key(a[AnnotationInputs]), keys(a[AnnotationTests])
	img.Revision, img.Created = commit(a[AnnotationRevision]), moment(a[AnnotationCreated])
	return img
}

// Attached is an artifact that refers to an image.
type Attached struct {
	Digest      oci.Digest
	Type        string
	Annotations map[string]string
}

// Attached lists what refers to a digest, of some types or of any. The digest itself need not be there.
func (s *Store) Attached(ctx context.Context, d oci.Digest, artifactTypes ...string) ([]Attached, error) {
	in := &ecr.ListImageReferrersInput{
		RepositoryName: &s.repository, SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(d.String())}, MaxResults: aws.Int32(50),
	}
	if len(artifactTypes) > 0 {
		in.Filter = &types.ListImageReferrersFilter{ArtifactTypes: artifactTypes}
	}
	var all []Attached
	for {
		out, err := s.api.ListImageReferrers(ctx, in)
		if platform.Refused(platform.Plain(err), "ImageNotFoundException") {
			return nil, nil
		}
		if err != nil {
			return nil, s.explain("listing what refers to "+d.String(), "ecr:BatchGetImage", err)
		}
		for _, r := range out.Referrers {
			a := Attached{oci.Digest(aws.ToString(r.Digest)), aws.ToString(r.ArtifactType), r.Annotations}
			if len(artifactTypes) == 0 || slices.Contains(artifactTypes, a.Type) {
				all = append(all, a)
			}
		}
		if aws.ToString(out.NextToken) == "" {
			break
		}
		in.NextToken = out.NextToken
	}
	if err := s.annotate(ctx, all); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Attached) int { return cmp.Compare(a.Digest, b.Digest) })
	return all, nil
}

// annotate reads the annotations of those that were listed without any from their manifests.
func (s *Store) annotate(ctx context.Context, all []Attached) error {
	bare := map[string]int{}
	for i, a := range all {
		if len(a.Annotations) == 0 {
			bare[a.Digest.String()] = i
		}
	}
	var ids []types.ImageIdentifier
	for _, d := range slices.Sorted(maps.Keys(bare)) {
		ids = append(ids, types.ImageIdentifier{ImageDigest: aws.String(d)})
	}
	found, err := s.get(ctx, ids)
	if err != nil {
		return err
	}
	for _, got := range found {
		var m struct {
			Annotations map[string]string `json:"annotations"`
		}
		if i, ok := bare[aws.ToString(got.ImageId.ImageDigest)]; ok && json.Unmarshal([]byte(aws.ToString(got.ImageManifest)), &m) == nil {
			all[i].Annotations = m.Annotations
		}
	}
	return nil
}

// word gives text that is one line which can be printed, or nothing.
func word(text string, most int) string {
	if len(text) > most || text != strings.TrimSpace(text) || strings.ContainsFunc(text, unprintable) {
		return ""
	}
	return text
}
