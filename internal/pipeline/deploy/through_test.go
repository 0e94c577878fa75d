package deploy_test

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// pushIndex pushes an index of images and indexes, under a tag.
func (f *fixture) pushIndex(tag string, of ...mutate.Appendable) (v1.ImageIndex, oci.Descriptor) {
	f.t.Helper()
	var all []mutate.IndexAddendum
	for _, one := range of {
		all = append(all, mutate.IndexAddendum{Add: one})
	}
	index := mutate.AppendManifests(empty.Index, all...)
	repo, options, err := f.Remote(f.t.Context(), repository)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := remote.WriteIndex(repo.Tag(tag), index, options...); err != nil {
		f.t.Fatal(err)
	}
	text, err := index.RawManifest()
	if err != nil {
		f.t.Fatal(err)
	}
	return index, oci.Descriptor{MediaType: oci.MediaTypeOCIIndex, Digest: oci.FromBytes(text), Size: int64(len(text))}
}

// TestThrough: what an index lists runs where the index does, and as long as it does.
func TestThrough(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	digest := func(i v1.Image) oci.Digest {
		d, err := i.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return oci.Digest(d.String())
	}
	amd, arm, inner := image(t, 1, nil), image(t, 2, nil), image(t, 3, nil)
	nested, _ := f.pushIndex("nested", inner, arm)
	_, first := f.pushIndex("first", amd, arm)
	_, second := f.pushIndex("second", amd, nested)
	through := func(d oci.Digest) string {
		all, err := f.records().Through(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, p := range all[d] {
			name := map[oci.Digest]string{first.Digest: "first", second.Digest: "second"}[p.Index]
			said = append(said, p.Environment+"/"+p.App+" by "+p.Actor+" through "+name)
		}
		return strings.Join(said, ", ")
	}
	if got := through(digest(arm)); got != "" {
		t.Errorf("before anything runs: %s", got)
	}
	f.must(deploy.Request{Environment: "staging", Tag: "first"})
	f.must(deploy.Request{Environment: "staging", App: "shop", Tag: "second"})
	for d, want := range map[oci.Digest]string{
		digest(amd):   "staging/shop by ada through second, staging/web by ada through first",
		digest(arm):   "staging/shop by ada through second, staging/web by ada through first", // it is in the nested one
		digest(inner): "staging/shop by ada through second",
		first.Digest:  "", // that runs itself
	} {
		if got := through(d); got != want {
			t.Errorf("%s runs in %q, want %q", d, got, want)
		}
	}
	f.ship(4)
	f.must(deploy.Request{Environment: "staging"}) // of web
	if got, want := through(digest(arm)), "staging/shop by ada through second"; got != want {
		t.Errorf("after another was deployed it runs in %q, want %q", got, want)
	}
}
