package advisories

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ggcr "github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/artifact"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// Tag is what the newest archive in a repository has.
const Tag = "latest"

// Push pushes the archive in a file, in a repository that is made where it is missing, and gives the digest of the archive's blob.
func Push(ctx context.Context, client *registry.Client, repository, file string, now time.Time) (oci.Digest, error) {
	if err := ensure(ctx, client, repository); err != nil {
		return "", err
	}
	layer, err := openLayer(file)
	if err != nil {
		return "", err
	}
	pusher := artifact.Pusher{Remote: client, Repository: repository}
	const doing, action = "pushing advisories", "ecr:PutImage"
	err = pusher.Retry(ctx, func(p *remote.Pusher, repo name.Repository) error { return p.Upload(ctx, repo, layer) })
	if err != nil {
		return "", pusher.Explain(doing, action, err)
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": string(ggcr.OCIManifestSchema1), "artifactType": Type,
		"config":      map[string]any{"mediaType": shipped.EmptyType, "digest": oci.FromBytes([]byte(shipped.Empty)), "size": len(shipped.Empty)},
		"layers":      []any{map[string]any{"mediaType": Type, "digest": layer.digest, "size": layer.size}},
		"annotations": map[string]string{"org.opencontainers.image.created": now.UTC().Format(time.RFC3339)},
	})
	if err != nil {
		return "", err
	}
	if _, err := pusher.Put(ctx, manifest, Tag); err != nil {
		return "", pusher.Explain(doing, action, err)
	}
	return layer.digest, nil
}

// ensure makes the repository if it is missing.
func ensure(ctx context.Context, client *registry.Client, repository string) error {
	_, err := client.ECR.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &repository})
	if _, there := errors.AsType[*types.RepositoryAlreadyExistsException](err); there || err == nil {
		return nil
	}
	plain := platform.Plain(err)
	if _, denied := platform.Denied(plain); denied {
		return nil // whoever may not make it may still push into it, and is told by the push if it is missing
	}
	return fmt.Errorf("making the repository %s: %w", repository, plain)
}

// fileLayer is a file as a layer.
type fileLayer struct {
	file   string
	digest oci.Digest
	size   int64
}

var _ v1.Layer = fileLayer{}

func openLayer(file string) (_ fileLayer, err error) {
	f, err := os.Open(file)
	if err != nil {
		return fileLayer{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	hash := sha256.New()
	n, err := io.Copy(hash, f)
	if err != nil {
		return fileLayer{}, err
	}
	return fileLayer{file, oci.Digest("sha256:" + hex.EncodeToString(hash.Sum(nil))), n}, nil
}

// Digest implements v1.Layer.
func (l fileLayer) Digest() (v1.Hash, error) { return v1.NewHash(l.digest.String()) }

// DiffID implements v1.Layer.
func (l fileLayer) DiffID() (v1.Hash, error) { return l.Digest() }

// Compressed implements v1.Layer: the bytes as they are.
func (l fileLayer) Compressed() (io.ReadCloser, error) { return os.Open(l.file) }

// Uncompressed implements v1.Layer.
func (l fileLayer) Uncompressed() (io.ReadCloser, error) { return l.Compressed() }

// Size implements v1.Layer.
func (l fileLayer) Size() (int64, error) { return l.size, nil }

// MediaType implements v1.Layer.
func (l fileLayer) MediaType() (ggcr.MediaType, error) { return Type, nil }
