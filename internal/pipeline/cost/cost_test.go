package cost_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/usage/price"
	"github.com/hoopstat-haus/berth/internal/pipeline/cost"
	"github.com/hoopstat-haus/berth/internal/pipeline/lifecycle"
)

func digest(n int) oci.Digest { return oci.Digest(fmt.Sprintf("sha256:%064x", n)) }

// TestSharedLayers weighs two apps on one base, one of them an index with a signature.
func TestSharedLayers(t *testing.T) {
	t.Parallel()
	base := lifecycle.Blob{Digest: digest(100), Size: 1000}
	image := func(n int, own int64, tags ...string) lifecycle.Image {
		return lifecycle.Image{
			Digest: digest(n), Tags: tags, Size: 1000 + own, Read: true, ManifestSize: 10,
			Blobs: []lifecycle.Blob{base, {Digest: digest(200 + n), Size: own}},
		}
	}
	index := lifecycle.Image{Digest: digest(9), Tags: []string{"api-latest"}, Read: true, ManifestSize: 10, Children: []oci.Digest{digest(3)}}
	signature := lifecycle.Image{Digest: digest(8), Size: 5, Read: true, Subject: digest(9), Blobs: []lifecycle.Blob{{Digest: digest(300), Size: 5}}}
	got := cost.Weigh("a", []lifecycle.Image{
		image(1, 50, "web-latest", "web-abc1234"), image(2, 70, "web-abc1235"), image(3, 90), index, signature, image(4, 20),
		{Digest: digest(5), Tags: []string{"web-abc1236"}, Size: 500, Archived: true},
		{Digest: digest(6), Tags: []string{"v1"}, Size: 40}, // not read
	})
	third := 1000.0 / 3
	want := []cost.Holding{
		{Repository: "a", App: "web", Images: 3, Logical: 2620, Stored: third + 50 + 70 + 20, Archived: 500},
		{Repository: "a", App: "api", Images: 3, Logical: 1095, Stored: third + 90 + 20 + 5},
		{Repository: "a", App: "", Images: 2, Logical: 1060, Stored: third + 20 + 10 + 40, Unread: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("weighing (-want +got):\n%s", diff)
	}
}

// TestEachByteIsPaidOnce adds up the apps' shares.
func TestEachByteIsPaidOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var images []lifecycle.Image
		distinct := map[oci.Digest]int64{}
		for n := range rapid.IntRange(0, 8).Draw(t, "images") {
			img := lifecycle.Image{Digest: digest(n), Read: true, ManifestSize: 7}
			if app := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "app"); app != "" {
				img.Tags = []string{app + "-latest"}
			}
			if n > 0 && rapid.Bool().Draw(t, "index") {
				img.Children = []oci.Digest{digest(rapid.IntRange(0, n-1).Draw(t, "child"))}
			}
			for _, l := range rapid.SliceOfDistinct(rapid.IntRange(20, 25), rapid.ID[int]).Draw(t, "layers") {
				img.Blobs = append(img.Blobs, lifecycle.Blob{Digest: digest(l), Size: int64(l)})
				distinct[digest(l)] = int64(l)
			}
			distinct[img.Digest] = 7
			images = append(images, img)
		}
		var want, got float64
		for _, size := range distinct {
			want += float64(size)
		}
		count := 0
		for _, h := range cost.Weigh("r", images) {
			got += h.Stored
			count += h.Images
		}
		if math.Abs(got-want) > 1e-6 || count != len(images) {
			t.Fatalf("%d images with %v bytes are paid as %d with %v", len(images), want, count, got)
		}
	})
}

func TestCosts(t *testing.T) {
	t.Parallel()
	m := price.MonthOf(time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC))
	costs := cost.Costs(price.ECR(), m, []cost.Holding{{Stored: 10 * price.GB}, {Stored: 5 * price.GB, Archived: 5 * price.GB}})
	for i, c := range costs {
		if math.Abs(c.Total()-1) > 1e-9 {
			t.Errorf("holding %d costs %v, want a dollar", i, c.Total())
		}
	}
}
