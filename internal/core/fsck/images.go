package fsck

import (
	"context"
	"fmt"
	"strconv"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

const imagesAtOnce = 25 // whose manifests are in memory together

// images looks at some images: the database alone is asked.
func (w *worker) images(ctx context.Context) error {
	after := int64(0)
	if w.check.Cursor != "" {
		var err error
		if after, err = strconv.ParseInt(w.check.Cursor, 10, 64); err != nil {
			return fmt.Errorf("the check's place among images: %w", err)
		}
	}
	some, err := w.Contents.ImagesAfter(ctx, after, imagesAtOnce)
	if err != nil {
		return fmt.Errorf("listing images: %w", err)
	}
	for _, i := range some {
		w.image(ctx, i)
		w.check.Cursor = strconv.FormatInt(i.ID, 10)
		w.check.Progress.Images++
	}
	if len(some) < imagesAtOnce {
		return w.next(ctx, Store)
	}
	return nil
}

func (w *worker) image(ctx context.Context, i Image) {
	name := i.Repository + "@" + i.Digest.String()
	if !i.Digest.Matches(i.Manifest) {
		w.find(ctx, Finding{
			Kind: BadManifest, Name: name, Digest: i.Digest, Repository: i.Repository, Size: int64(len(i.Manifest)), Needs: []string{name},
			Detail: "its bytes have the digest " + sum(i.Digest.Algorithm(), i.Manifest).String(),
		})
	}
	if i.Copy {
		return
	}
	for _, d := range i.Layers {
		w.find(ctx, Finding{
			Kind: MissingLayer, Name: name + " " + d.String(), Digest: d, Repository: i.Repository, Needs: []string{name},
			Detail: "the repository does not have a layer that its image refers to",
		})
	}
	for _, d := range i.Images {
		w.find(ctx, Finding{
			Kind: MissingImage, Name: name + " " + d.String(), Digest: d, Repository: i.Repository, Needs: []string{name},
			Detail: "the repository does not have an image that its index refers to",
		})
	}
}

func sum(a oci.Algorithm, b []byte) oci.Digest {
	h := a.New()
	h.Write(b)
	return oci.FromSum(a, h.Sum(nil))
}
