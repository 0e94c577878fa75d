// Package publish brings an image into a registry: the push, tags that stay with one commit's image, tags that move to the newest
// one, and what is attached to the image: the record that it was shipped, its provenance, its SBOM.
//
// The registry is any that speaks ECR's API. It has no operation that looks at a tag and sets it at once, so what is
// promised about tags rests on what each run writes before, and looks at after; docs/design/ship.md argues it.
package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/artifact"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// API is what is asked of an ECR; *ecr.Client has it.
type API interface {
	shipped.API
	PutImage(context.Context, *ecr.PutImageInput, ...func(*ecr.Options)) (*ecr.PutImageOutput, error)
}

// Ancestry knows the history of commits, as far as the clone has it.
type Ancestry interface {
	// IsAncestor tells whether the old commit is in the history of the new one. The error wraps ErrUnknown if the clone has not both.
	IsAncestor(ctx context.Context, older, newer string) (bool, error)
}

// ErrUnknown says that a commit is not in the clone.
var ErrUnknown = errors.New("the commit is not in this clone")

// Config is what a Publisher needs.
type Config struct {
	API        API
	Remote     artifact.Remote
	Repository string
	Ancestry   Ancestry
	Now        func() time.Time
}

// Publisher works on one repository. It may be used by many goroutines.
type Publisher struct {
	Config
	known  *shipped.Store
	pusher artifact.Pusher
}

// New makes one. It asks for nothing yet.
func New(c Config) *Publisher {
	return &Publisher{c, shipped.New(c.API, c.Repository), artifact.Pusher{Remote: c.Remote, Repository: c.Repository}}
}

// TagTaken says that a tag that stays names another image.
type TagTaken struct {
	Tag       string
	Has, Want oci.Digest
	Raced     bool // it was free when we looked, and somebody else set it at the same time
}

// Error says so.
func (e *TagTaken) Error() string {
	if e.Raced {
		return fmt.Sprintf("tag %s was set by another run at the same time: it names %s, not %s; it is never moved", e.Tag, e.Has, e.Want)
	}
	return fmt.Sprintf("tag %s already names another image, %s, not %s; it is never moved", e.Tag, e.Has, e.Want)
}

// ErrNoImage says that the image that is to be tagged is not in the repository.
var ErrNoImage = errors.New("the image is not in the repository")

// ErrImmutable says that the repository lets no tag move that is to be moved.
var ErrImmutable = errors.New("the repository's tags are immutable")

const (
	alreadyThere = "ImageAlreadyExistsException"
	tagImmutable = "ImageTagAlreadyExistsException"
)

// put has a tag name an image that is there: its manifest is put once more, byte for byte. It is no error if the tag does already.
func (p *Publisher) put(ctx context.Context, m shipped.Manifest, tag string) error {
	in := &ecr.PutImageInput{
		RepositoryName: &p.Repository, ImageManifest: &m.Raw, ImageTag: &tag, ImageDigest: aws.String(m.Digest.String()),
	}
	if m.MediaType != "" {
		in.ImageManifestMediaType = &m.MediaType
	}
	_, err := p.API.PutImage(ctx, in)
	err = platform.Plain(err)
	if err == nil || platform.Refused(err, alreadyThere) {
		return nil
	}
	if platform.Refused(err, tagImmutable) {
		return fmt.Errorf("tag %s: %w: %w", tag, ErrImmutable, err)
	}
	return shipped.Explain(p.Repository, "setting tag "+tag, "ecr:PutImage", err) //nolint:wrapcheck // explained
}
