package load_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/hoopstat-haus/berth/internal/bench/load"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func TestContentIsWhatItSays(t *testing.T) {
	t.Parallel()
	content, err := load.NewContent(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	sum := func(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
	unique := func(kind string, n uint64, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s %d has digest %s, want %s", kind, n, got, want)
		}
		if seen[got] {
			t.Errorf("%s %d is not new: %s", kind, n, got)
		}
		seen[got] = true
	}
	for n := range uint64(300) {
		image := content.Image(n)
		unique("small layer", n, image.LayerDigest, sum(image.Layer))
		unique("configuration", n, image.ConfigDigest, sum(image.Config))
		unique("manifest", n, image.ManifestDigest, sum(image.Manifest))
		layer, err := content.Layer(n)
		if err != nil {
			t.Fatal(err)
		}
		if layer.Size() != 1<<20 {
			t.Errorf("layer %d has %d bytes, want a MiB", n, layer.Size())
		}
		unique("large layer", n, layer.Digest, sum(slices.Concat(layer.Body, layer.Tail)))
	}
}

func TestManifestIsValid(t *testing.T) {
	t.Parallel()
	content, err := load.NewContent(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	image := content.Image(7)
	if _, err := oci.ParseManifest("", image.Manifest); err != nil {
		t.Errorf("ParseManifest of %s: %v", image.Manifest, err)
	}
}

func TestCountTags(t *testing.T) {
	t.Parallel()
	tests := map[string]int{
		`{"name":"bench/list","tags":["a","b","c"]}` + "\n":          3,
		`{"name": "bench/list", "tags": [ "a" ], "next": ["x","y"]}`: 1,
		`{"name":"bench/list","tags":[]}`:                            0,
		`{"name":"bench/list","tags":null}`:                          0,
		``:                                                           0,
	}
	for page, want := range tests {
		if got := load.CountTags([]byte(page)); got != want {
			t.Errorf("CountTags(%s) = %d, want %d", page, got, want)
		}
	}
}

func TestNextPage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		link, want string
		fails      bool
	}{
		{link: `</v2/a/tags/list?last=x&n=1000>; rel="next"`, want: "/v2/a/tags/list?last=x&n=1000"},
		{link: `<http://localhost:1/v2/a/tags/list?last=x>; rel=next`, want: "/v2/a/tags/list?last=x"},
		{link: `</v2/a/tags/list>; rel="prev"`, fails: true},
		{link: `/v2/a/tags/list; rel="next"`, fails: true},
		{link: `<>; rel="next"`, fails: true},
	}
	for _, test := range tests {
		got, err := load.NextPage(test.link)
		if (err != nil) != test.fails || got != test.want {
			t.Errorf("NextPage(%s) = %q, %v; want %q, error %t", test.link, got, err, test.want, test.fails)
		}
	}
}
