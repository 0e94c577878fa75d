package deploy_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ggcr "github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// plain is a registry that takes any manifest for any tag, as Amazon's does with tags that move.
type plain struct {
	ecr.Client // whose other operations nobody asks for here
	repo       name.Repository
	looks      func() // called before each look at what a tag names
}

func newPlain(t *testing.T) *plain {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	repo, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://")+"/"+repository, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return &plain{repo: repo, looks: func() {}}
}

func (p *plain) Remote(ctx context.Context, _ string) (name.Repository, []remote.Option, error) {
	return p.repo, []remote.Option{remote.WithContext(ctx)}, nil
}

func (p *plain) BatchGetImage(ctx context.Context, in *ecr.BatchGetImageInput, _ ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error) {
	out := &ecr.BatchGetImageOutput{}
	for _, id := range in.ImageIds {
		var ref name.Reference
		if id.ImageTag != nil {
			p.looks()
			ref = p.repo.Tag(*id.ImageTag)
		} else {
			ref = p.repo.Digest(*id.ImageDigest)
		}
		got, err := remote.Get(ref, remote.WithContext(ctx))
		if err != nil {
			continue
		}
		text, digest, mediaType := string(got.Manifest), got.Digest.String(), string(got.MediaType)
		out.Images = append(out.Images, types.Image{
			ImageManifest: &text, ImageManifestMediaType: &mediaType, ImageId: &types.ImageIdentifier{ImageDigest: &digest, ImageTag: id.ImageTag},
		})
	}
	return out, nil
}

// TestElsewhere: a registry that checks nothing is read again, before and after, so that one who comes second knows.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]int{"before the first look": 1, "before the second look": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlain(t)
			i := image(t, 1, nil)
			if err := remote.Write(p.repo.Tag("one"), i); err != nil {
				t.Fatal(err)
			}
			text, err := i.RawManifest()
			if err != nil {
				t.Fatal(err)
			}
			one := oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: oci.FromBytes(text), Size: int64(len(text))}
			records := deploy.NewRecords(p, p, repository)
			first, err := records.Write(t.Context(), record("first", one, deployment.Succeeded, ""), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			theirs := record("theirs", one, deployment.Started, first.Digest)
			theirs.Actor = "bob"
			n := 0
			p.looks = func() {
				if n++; n == look {
					p.looks = func() {}
					put(t, p, theirs) // whoever it is had looked before we did
				}
			}
			_, err = records.Write(t.Context(), record("ours", one, deployment.Started, first.Digest), time.Time{})
			conflict, ok := errors.AsType[*deploy.Conflict](err)
			if !ok || conflict.Newest == nil || conflict.Newest.Actor != "bob" || conflict.Said != "" {
				t.Errorf("the one who comes second is told %v", err)
			}
		})
	}
}

func put(t *testing.T, p *plain, r deployment.Record) {
	t.Helper()
	text, err := r.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Put(p.repo.Tag(r.Tag()), manifest(text)); err != nil {
		t.Fatal(err)
	}
}

// manifest is one as remote takes it.
type manifest []byte

func (m manifest) RawManifest() ([]byte, error) { return m, nil }

func (m manifest) MediaType() (ggcr.MediaType, error) { return ggcr.OCIManifestSchema1, nil }
