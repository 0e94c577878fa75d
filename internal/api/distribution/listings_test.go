package distribution_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// tagMany sets n tags, t00000, t00001 and so on, a thousand to an image, which is the most that one has.
func (s *server) tagMany(tb testing.TB, n int) []string {
	tb.Helper()
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("t%05d", i)
	}
	for part := range slices.Chunk(tags, 1000) {
		manifest := s.makeManifest(tb, repo, "hello "+part[0], "")
		push := registry.Push{Repository: repo, Manifest: manifest, MediaType: oci.MediaTypeOCIManifest, Tags: part}
		if _, err := s.registry.PutImage(tb.Context(), root, push); err != nil {
			tb.Fatalf("PutImage with %d tags: %v", len(part), err)
		}
	}
	return tags
}

func TestListTags(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := "/v2/" + repo + "/tags/list"
	res := s.call(t, http.MethodGet, at, nil)
	wantStatus(t, res, http.StatusOK)
	wantHeader(t, res, "Content-Type", "application/json")
	wantHeader(t, res, "Link", "")
	if want := `{"name":"` + repo + `","tags":[]}` + "\n"; string(res.body) != want {
		t.Errorf("without tags: %s, want %s", res.body, want)
	}

	s.tagMany(t, 5)
	for _, tt := range []struct{ query, tags, link string }{
		{"", `"t00000","t00001","t00002","t00003","t00004"`, ""},
		{"?n=", `"t00000","t00001","t00002","t00003","t00004"`, ""},
		{"?n=5", `"t00000","t00001","t00002","t00003","t00004"`, ""},
		{"?n=2", `"t00000","t00001"`, `<` + at + `?n=2&last=t00001>; rel="next"`},
		{"?n=2&last=t00001", `"t00002","t00003"`, `<` + at + `?n=2&last=t00003>; rel="next"`},
		{"?n=2&last=t00003", `"t00004"`, ""},
		{"?last=t00002", `"t00003","t00004"`, ""},
		{"?last=t000025", `"t00003","t00004"`, ""}, // need not be there
		{"?last=zzz", ``, ""},
		{"?n=0", ``, ""},
		{"?n=0&last=t00001", ``, ""},
		{"?n=10001", `"t00000","t00001","t00002","t00003","t00004"`, ""},
		{"?n=99999999999999999999", `"t00000","t00001","t00002","t00003","t00004"`, ""},
	} {
		res := s.call(t, http.MethodGet, at+tt.query, nil)
		wantStatus(t, res, http.StatusOK)
		wantHeader(t, res, "Link", tt.link)
		if want := `{"name":"` + repo + `","tags":[` + tt.tags + "]}\n"; string(res.body) != want {
			t.Errorf("%s gives %s, want %s", tt.query, res.body, want)
		}
	}
	res = s.call(t, http.MethodHead, at, nil)
	wantStatus(t, res, http.StatusOK)
}

// TestListMoreTagsThanAtOnce: who does not ask for less gets ten thousand and a Link to the rest.
func TestListMoreTagsThanAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	want := s.tagMany(t, registry.MaxNames+3)
	for _, first := range []string{"", "?n=20000"} {
		var got []string
		pages := 0
		for next := "/v2/" + repo + "/tags/list" + first; next != ""; pages++ {
			res := s.call(t, http.MethodGet, next, nil)
			wantStatus(t, res, http.StatusOK)
			var list struct{ Tags []string }
			if err := json.Unmarshal(res.body, &list); err != nil {
				t.Fatal(err)
			}
			got = append(got, list.Tags...)
			next = nextLink(t, res)
		}
		if d := cmp.Diff(want, got); d != "" || pages != 2 {
			t.Errorf("%q: %d tags in %d pages, want %d in 2", first, len(got), pages, len(want))
		}
	}
}

func TestListRepositories(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.createRepository(t, "a/b")
	s.createRepository(t, "zz")
	for _, tt := range []struct{ query, names, link string }{
		{"", `"a/b","` + repo + `","zz"`, ""},
		{"?n=1", `"a/b"`, `</v2/_catalog?n=1&last=a%2Fb>; rel="next"`},
		{"?n=1&last=a%2Fb", `"` + repo + `"`, `</v2/_catalog?n=1&last=hoopstat-haus%2Fprod>; rel="next"`},
		{"?n=1&last=hoopstat-haus%2Fprod", `"zz"`, ""},
		{"?n=0", "", ""},
		{"?n=10000000", `"a/b","` + repo + `","zz"`, ""},
		{"?last=zz", "", ""},
	} {
		res := s.call(t, http.MethodGet, "/v2/_catalog"+tt.query, nil)
		wantStatus(t, res, http.StatusOK)
		wantHeader(t, res, "Content-Type", "application/json")
		wantHeader(t, res, "Link", tt.link)
		if want := `{"repositories":[` + tt.names + "]}\n"; string(res.body) != want {
			t.Errorf("%s gives %s, want %s", tt.query, res.body, want)
		}
	}
}
