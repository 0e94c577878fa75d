package lifecycle_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/lifecycle"
)

// image reads "name [tag] [archived] [unread] layer:bytes… >child… ^subject". Its manifest has 1 byte.
func image(text string) lifecycle.Image {
	words := strings.Fields(text)
	img := lifecycle.Image{Digest: oci.Digest(words[0]), Read: true, ManifestSize: 1}
	for _, w := range words[1:] {
		child, isChild := strings.CutPrefix(w, ">")
		name, size, isLayer := strings.Cut(w, ":")
		switch {
		case isChild:
			img.Children = append(img.Children, oci.Digest(child))
		case isLayer:
			img.Blobs = append(img.Blobs, lifecycle.Blob{Digest: oci.Digest(name), Size: int64(len(size))})
			img.Size += int64(len(size))
		case w == "archived":
			img.Archived = true
		case w == "unread":
			img.Read = false
		default:
			img.Tags = append(img.Tags, w)
		}
	}
	if img.Archived || !img.Read {
		img.Read, img.ManifestSize, img.Blobs = false, 0, nil
	}
	return img
}

func TestWeigh(t *testing.T) {
	t.Parallel()
	const expire, archive = lifecycle.Expire, lifecycle.Archive
	type decided = map[oci.Digest]lifecycle.Action
	for name, tt := range map[string]struct {
		images  []string // a layer's size is the length of what follows its colon
		decided decided
		want    lifecycle.Totals
	}{
		"nothing": {want: lifecycle.Totals{}},
		"a shared layer stays": {
			[]string{"a v1 base:xxxx own:xx", "b v2 base:xxxx"},
			decided{"a": expire},
			lifecycle.Totals{Images: 2, Expiring: 1, Stored: 8, Freed: 3},
		},
		"what two that go share counts once": {
			[]string{"a v1 base:xxxx own:xx", "b v2 base:xxxx", "c v3 other:x"},
			decided{"a": expire, "b": expire},
			lifecycle.Totals{Images: 3, Expiring: 2, Stored: 10, Freed: 8},
		},
		"a layer that is there twice": {
			[]string{"a v1 base:xxxx base:xxxx"},
			decided{"a": expire},
			lifecycle.Totals{Images: 1, Expiring: 1, Stored: 5, Freed: 5},
		},
		"to the archive with what only archived ones need": {
			[]string{"a v1 base:xxxx own:xx", "b v2 base:xxxx", "c v3 own:xx gone:x"},
			decided{"a": archive, "c": expire},
			lifecycle.Totals{Images: 3, Expiring: 1, Archiving: 1, Stored: 10, Freed: 2, Moved: 3},
		},
		"an index leaves its images": {
			[]string{"i v1 >a >b", "j v2 >b", "a own:xx", "b other:xxx", "c alone:x"},
			decided{"i": expire},
			lifecycle.Totals{Images: 5, Expiring: 1, Stored: 11, Freed: 1, Left: 1, LeftBytes: 3},
		},
		"an index of an index, listed last": {
			[]string{"b deep:xxx", "a >b", "i v1 >a"},
			decided{"i": expire},
			lifecycle.Totals{Images: 3, Expiring: 1, Stored: 6, Freed: 1, Left: 2, LeftBytes: 5},
		},
		"a tagged image is not left": {
			[]string{"i v1 >a", "a v1-arm own:xx"},
			decided{"i": expire},
			lifecycle.Totals{Images: 2, Expiring: 1, Stored: 4, Freed: 1},
		},
		"an index takes its images to the archive": {
			[]string{"i v1 >a >b >c", "j v2 >b", "k v3 >c", "a own:xx", "b other:xxx", "c third:x"},
			decided{"i": archive, "k": expire},
			lifecycle.Totals{Images: 6, Expiring: 1, Archiving: 1, Stored: 12, Freed: 1, Moved: 6},
		},
		"from the archive": {
			[]string{"a v1 archived own:xx", "b v2 archived own:xx", "c v3 own:xx"},
			decided{"a": expire},
			lifecycle.Totals{Images: 3, Expiring: 1, Stored: 3, FreedArchive: 2},
		},
		"manifests that were not read": {
			[]string{"a v1 unread base:xxxx own:xx", "b v2 unread base:xxxx", "c v3 third:x"},
			decided{"a": expire},
			lifecycle.Totals{Images: 3, Expiring: 1, Stored: 12, Freed: 6, Unread: 2},
		},
		"gone meanwhile": {
			[]string{"a v1 own:xx"},
			decided{"z": expire},
			lifecycle.Totals{Images: 1, Stored: 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var images []lifecycle.Image
			for _, text := range tt.images {
				images = append(images, image(text))
			}
			got := lifecycle.Weigh(images, tt.decided)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Weigh (-want +got):\n%s", diff)
			}
			if got.Exact() != (tt.want.Unread == 0) {
				t.Errorf("Exact is %t with %d unread", got.Exact(), got.Unread)
			}
		})
	}
}

func TestSaves(t *testing.T) {
	t.Parallel()
	const gb = 1 << 30
	for _, tt := range []struct {
		totals lifecycle.Totals
		prices lifecycle.Prices
		want   float64
	}{
		{lifecycle.Totals{Freed: 20 * gb}, lifecycle.Prices{Standard: 0.10, Archive: 0.10}, 2},
		{lifecycle.Totals{Moved: 20 * gb}, lifecycle.Prices{Standard: 0.10, Archive: 0.10}, 0},
		{lifecycle.Totals{Moved: 100 * gb, FreedArchive: 100 * gb}, lifecycle.Prices{Standard: 0.10, Archive: 0.07}, 10},
		{lifecycle.Totals{Freed: gb / 2}, lifecycle.Prices{}, 0},
	} {
		if got := tt.totals.Saves(tt.prices); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%+v at %+v saves %v, want %v", tt.totals, tt.prices, got, tt.want)
		}
	}
}
