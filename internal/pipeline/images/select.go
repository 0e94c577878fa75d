package images

import (
	"context"
	"fmt"
	"path"

	"golang.org/x/sync/errgroup"
)

// Filter says which images are meant.
type Filter struct {
	Tag      string                // a pattern such as web-*; empty: any
	App      func(tag string) bool // nil: any
	Untagged bool                  // only those that have no tag
	Runnable bool                  // not what is only said about images: signatures, SBOMs, records; but those that have a tag
	Limit    int                   // 0: all
}

// Check tells what is wrong with a filter.
func (f Filter) Check() error {
	if _, err := path.Match(f.Tag, ""); err != nil {
		return fmt.Errorf("%q is no pattern: * stands for any text, ? for one character, [a-z] for one of several", f.Tag)
	}
	return nil
}

// Select gives the images that a filter means, in the same order. An image with one tag that fits is meant with all its tags.
func (f Filter) Select(all []Image) []Image {
	var some []Image
	for _, i := range all {
		if f.Limit > 0 && len(some) == f.Limit {
			break
		}
		if f.means(i) {
			some = append(some, i)
		}
	}
	return some
}

func (f Filter) means(i Image) bool {
	if f.Runnable && len(i.Tags) == 0 && i.IsArtifact() {
		return false
	}
	if f.Untagged {
		return len(i.Tags) == 0
	}
	if f.Tag == "" && f.App == nil {
		return true
	}
	for _, tag := range i.Tags {
		fits, err := path.Match(f.Tag, tag) // a tag has no slash
		if (f.Tag == "" || fits && err == nil) && (f.App == nil || f.App(tag)) {
			return true
		}
	}
	return false
}

// Platforms gives what images are built for, in the same order. It reads their manifests, which the registry counts as pulls,
// and the configurations of those that are no index.
func (c *Client) Platforms(ctx context.Context, some []Image) ([][]string, error) {
	found := make([][]string, len(some))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for n, i := range some {
		if i.Status != "" && i.Status != "ACTIVE" {
			continue // archived ones are not to be read
		}
		group.Go(func() error {
			m, err := c.manifest(ctx, i.Digest)
			if err != nil {
				return err
			}
			variants, _, _, err := c.variants(ctx, m)
			if err != nil {
				return err
			}
			if !i.IsIndex() {
				if err := c.configure(ctx, variants); err != nil {
					return err
				}
			}
			for _, v := range variants {
				if v.Platform != "" {
					found[n] = append(found[n], v.Platform)
				}
			}
			return nil
		})
	}
	return found, group.Wait() //nolint:wrapcheck // says what was asked
}
