package metadb_test

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func TestAnnotated(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, elsewhere := addRepository(t, db, "app"), addRepository(t, db, "elsewhere")
		plain, record := newImage("plain"), newImage("record")
		record.Subject, record.Annotations = plain.Digest, map[string]string{"a": "<b> & é"}
		plain, record = addImage(t, db, r.ID, plain, registry.References{}), addImage(t, db, r.ID, record, registry.References{})
		addImage(t, db, elsewhere.ID, newImage("other"), registry.References{})
		got, err := db.Read().Annotated(t.Context(), r.ID, []oci.Digest{record.Digest, plain.Digest, newImage("other").Digest, newImage("none").Digest})
		slices.SortFunc(got, func(a, b registry.Image) int { return cmp.Compare(a.ID, b.ID) })
		plain.Manifest, record.Manifest = nil, nil
		if diff := gocmp.Diff([]registry.Image{plain, record}, got); diff != "" || err != nil {
			t.Errorf("Annotated: %v (-want +got):\n%s", err, diff)
		}
		got, err = db.Read().Annotated(t.Context(), r.ID, []oci.Digest{record.Digest})
		if diff := gocmp.Diff([]registry.Image{record}, got); diff != "" || err != nil {
			t.Errorf("Annotated of one: %v (-want +got):\n%s", err, diff)
		}
		if got, err = db.Read().Annotated(t.Context(), r.ID, nil); err != nil || len(got) > 0 {
			t.Errorf("Annotated of none: %v, %v", got, err)
		}
	})
}

func TestReferring(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, elsewhere := addRepository(t, db, "app"), addRepository(t, db, "elsewhere")
		record := newImage("record")
		record.Annotations = map[string]string{"a": "b"}
		record.Subject = digest("subject") // which need not be there
		addImage(t, db, r.ID, record, registry.References{})
		for what, c := range map[string]struct {
			repository int64
			subjects   []string
			kind       string
			want       bool
		}{
			"the one alone":      {r.ID, []string{"subject"}, record.ArtifactType, true},
			"the one":            {r.ID, []string{"another", "subject"}, record.ArtifactType, true},
			"another kind":       {r.ID, []string{"subject"}, "application/x.signature", false},
			"another subject":    {r.ID, []string{"another"}, record.ArtifactType, false},
			"another one alone":  {r.ID, []string{"another"}, record.ArtifactType, false},
			"no subject":         {r.ID, nil, record.ArtifactType, false},
			"another repository": {elsewhere.ID, []string{"subject"}, record.ArtifactType, false},
		} {
			got, err := db.Read().Referring(t.Context(), c.repository, newReferences(c.subjects...).Blobs, c.kind)
			if err != nil || (len(got) == 1 && got[0].Digest == record.Digest && got[0].Annotations["a"] == "b") != c.want || len(got) > 1 {
				t.Errorf("%s: %+v, %v, want it: %v", what, got, err, c.want)
			}
		}
	})
}
