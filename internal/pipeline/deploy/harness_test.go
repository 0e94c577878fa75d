package deploy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hoopstat-haus/berth/berthtest"
	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

const repository = "team/prod"

// at is when the tests are.
var at = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC) // a Tuesday

// berth is a real Berth with one repository.
type berth struct {
	t      *testing.T
	server *berthtest.Server
	ecr    *ecr.Client
	login  remote.Option
}

func newBerth(t *testing.T) *berth {
	t.Helper()
	server := berthtest.New(t)
	server.CreateRepository(t, repository)
	return &berth{t, server, ecr.NewFromConfig(server.AWSConfig()), remote.WithAuth(&authn.Basic{Username: berthtest.Username, Password: server.Password(t)})}
}

// Remote is what registry.Client gives.
func (b *berth) Remote(ctx context.Context, repository string) (name.Repository, []remote.Option, error) {
	repo, err := name.NewRepository(b.server.Host+"/"+repository, name.Insecure)
	return repo, []remote.Option{b.login, remote.WithContext(ctx)}, err
}

func (b *berth) records() *deploy.Records { return deploy.NewRecords(b.ecr, b, repository) }

// image is one for linux/amd64, another one for each n.
func image(t *testing.T, n int, annotations map[string]string) v1.Image {
	t.Helper()
	i, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{
		OS: "linux", Architecture: "amd64", Config: v1.Config{Labels: map[string]string{"n": fmt.Sprint(n)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return mutate.Annotations(mutate.ConfigMediaType(i, types.OCIConfigJSON), annotations).(v1.Image)
}

// commit is the n-th commit.
func commit(n int) string { return fmt.Sprintf("%08x%032x", n+0xabc0000, n) }

// ship pushes the n-th image of web, of main, with its tags.
func (b *berth) ship(n int) oci.Descriptor {
	b.t.Helper()
	return b.push(image(b.t, n, map[string]string{
		"vnd.berth.image.app": "web", "vnd.berth.image.branch": "main", "org.opencontainers.image.revision": commit(n),
	}), "web-"+commit(n), "web-latest")
}

func (b *berth) push(i v1.Image, tags ...string) oci.Descriptor {
	b.t.Helper()
	repo, options, err := b.Remote(b.t.Context(), repository)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, tag := range tags {
		if err := remote.Write(repo.Tag(tag), i, options...); err != nil {
			b.t.Fatal(err)
		}
	}
	text, err := i.RawManifest()
	if err != nil {
		b.t.Fatal(err)
	}
	return oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: oci.FromBytes(text), Size: int64(len(text))}
}

// record is a record of web in prod.
func record(id string, of oci.Descriptor, outcome deployment.Outcome, previous oci.Digest) deployment.Record {
	r := deployment.Record{
		ID: "deployment-" + id, App: "web", Environment: "prod", Image: of, Action: deployment.Deploy, Outcome: outcome, Actor: "ada", At: at, Previous: previous,
	}
	if outcome == deployment.Failed || outcome == deployment.Broken {
		r.Reason = "it was tried"
	}
	return r
}
