package lifecycle

import (
	"context"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Unique gives how many bytes a repository has for one image alone, with those of an index that belong to no other; exact is false
// where it is an upper bound. It reads the manifests of all images, which the registry counts as pulls.
func Unique(ctx context.Context, api API, repository string, d oci.Digest) (bytes int64, exact bool, err error) {
	images, err := Images(ctx, api, repository)
	if err != nil {
		return 0, false, err
	}
	t := Weigh(images, map[oci.Digest]Action{d: Expire})
	return t.Freed + t.FreedArchive + t.LeftBytes, t.Exact(), nil
}

// Images gives all images of a repository with what their manifests say, archived ones and those that cannot be read without. It reads the
// manifests, which the registry counts as pulls.
func Images(ctx context.Context, api ImagesAPI, repository string) ([]Image, error) {
	images, err := describe(ctx, api, repository)
	if err != nil {
		return nil, fmt.Errorf("listing the images: %w", err)
	}
	if images, _, err = read(ctx, api, repository, images); err != nil {
		return nil, fmt.Errorf("reading the manifests: %w", err)
	}
	return images, nil
}
