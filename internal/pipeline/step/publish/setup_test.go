package publish_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	ggcr "github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hoopstat-haus/berth/berthtest"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/publish"
)

// notebook keeps what is said.
type notebook struct {
	mu     sync.Mutex
	events []progress.Event
}

func (n *notebook) Event(e progress.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
}

func (n *notebook) kind(k progress.Kind) []progress.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []progress.Event
	for _, e := range n.events {
		if e.Kind == k {
			all = append(all, e)
		}
	}
	return all
}

// place is a Berth with a client.
type place struct {
	*publish.Publisher
	berth  *berthtest.Server
	client *registry.Client
	known  *shipped.Store
	said   *notebook
	task   *progress.Task
}

const repository = "team/apps"

// clock has the time of the tests go by a second with each look.
func newPlace(t *testing.T, mutability types.ImageTagMutability) *place {
	t.Helper()
	berth := berthtest.New(t)
	for variable, value := range map[string]string{
		"AWS_ENDPOINT_URL": berth.URL, "AWS_ENDPOINT_URL_ECR": berth.URL, "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_REGION": berth.Region,
		"AWS_ACCESS_KEY_ID": berth.AccessKeyID, "AWS_SECRET_ACCESS_KEY": berth.SecretAccessKey,
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
		"AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(variable, value)
	}
	client, err := registry.New(t.Context(), registry.Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.ECR.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(repository), ImageTagMutability: mutability})
	if err != nil {
		t.Fatal(err)
	}
	said := &notebook{}
	p := &place{berth: berth, client: client, known: shipped.New(client.ECR, repository), said: said}
	p.task = &progress.Task{Project: "web", Step: progress.Push, Sink: said, Now: time.Now}
	p.Publisher = p.publisher(knowsAll{})
	return p
}

func (p *place) publisher(git publish.Ancestry) *publish.Publisher {
	return publish.New(publish.Config{API: p.client.ECR, Remote: p.client, Repository: repository, Ancestry: git, Now: time.Now})
}

// knowsAll is a history in which the commits' hashes are in the order of the commits.
type knowsAll struct{}

func (knowsAll) IsAncestor(_ context.Context, older, newer string) (bool, error) {
	return older <= newer, nil
}

// image makes one in OCI's types.
func image(t *testing.T, size int64) v1.Image {
	t.Helper()
	img, err := random.Image(size, 2)
	if err != nil {
		t.Fatal(err)
	}
	img = mutate.MediaType(mutate.ConfigMediaType(img, ggcr.OCIConfigJSON), ggcr.OCIManifestSchema1)
	annotated, ok := mutate.Annotations(img, map[string]string{shipped.AnnotationApp: "web", shipped.AnnotationBranch: "main"}).(v1.Image)
	if !ok {
		t.Fatal("no image")
	}
	return annotated
}

// index makes one of two images.
func index(t *testing.T) v1.ImageIndex {
	t.Helper()
	idx := mutate.IndexMediaType(empty.Index, ggcr.OCIImageIndex)
	for _, arch := range []string{"amd64", "arm64"} {
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{
			Add: image(t, 500), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	annotated, ok := mutate.Annotations(idx, map[string]string{shipped.AnnotationApp: "web", shipped.AnnotationInputs: someKey}).(v1.ImageIndex)
	if !ok {
		t.Fatal("no index")
	}
	return annotated
}

const someKey = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// push pushes an image with tags.
func (p *place) push(t *testing.T, built publish.Built, tags ...string) oci.Digest {
	t.Helper()
	pushed, err := p.Push(t.Context(), publish.PushInput{Image: built, Tags: tags}, p.task)
	if err != nil {
		t.Fatal(err)
	}
	return pushed.Digest
}

// named is what a tag names.
func (p *place) named(t *testing.T, tag string) oci.Digest {
	t.Helper()
	m, _, err := p.known.ByTag(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	return m.Digest
}

// move has a tag name an image, as anybody can.
func (p *place) move(t *testing.T, tag string, d oci.Digest) {
	t.Helper()
	m, there, err := p.known.ByDigest(t.Context(), d)
	if err != nil || !there {
		t.Fatal(there, err)
	}
	_, err = p.client.ECR.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: aws.String(repository), ImageManifest: &m.Raw, ImageTag: &tag})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *place) remove(t *testing.T, d oci.Digest) {
	t.Helper()
	_, err := p.client.ECR.BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{
		RepositoryName: aws.String(repository), ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(d.String())}},
	})
	if err != nil {
		t.Fatal(err)
	}
}
