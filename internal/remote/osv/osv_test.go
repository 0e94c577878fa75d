package osv_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/remote/osv"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// mirror is a server of exports that a test changes.
type mirror struct {
	*httptest.Server

	mu    sync.Mutex
	files map[string]string // by path
	asked []string          // "status path"
}

func newMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{files: map[string]string{}}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.files[strings.TrimPrefix(r.URL.Path, "/")]
	tag := fmt.Sprintf(`"%d-%d"`, len(text), sum(text))
	status := http.StatusOK
	switch {
	case !ok:
		status = http.StatusNotFound
	case r.Header.Get("If-None-Match") == tag:
		status = http.StatusNotModified
	}
	m.asked = append(m.asked, fmt.Sprint(status, " ", r.URL.Path))
	if ok {
		w.Header().Set("ETag", tag)
	}
	w.WriteHeader(status)
	if status == http.StatusOK {
		_, _ = io.WriteString(w, text)
	}
}

func sum(text string) (n int) {
	for _, c := range []byte(text) {
		n = n*31 + int(c)
	}
	return n
}

// set publishes an ecosystem: ids and when each was changed, in minutes.
func (m *mirror) set(t *testing.T, ecosystem string, all map[string]int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var list, whole bytes.Buffer
	z := zip.NewWriter(&whole)
	for id, minute := range all {
		at := time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC).Format(time.RFC3339)
		fmt.Fprintf(&list, "%s,%s\n", at, id)
		text := fmt.Sprintf(`{"id":%q,"modified":%q,"affected":[{"package":{"ecosystem":%q,"name":"p"},"versions":["1"]}]}`, id, at, ecosystem)
		m.files[ecosystem+"/"+id+".json"] = text
		w, err := z.Create(id + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	m.files[ecosystem+"/modified_id.csv"], m.files[ecosystem+"/all.zip"] = list.String(), whole.String()
}

// requests gives what was asked since the last call, in order of path.
func (m *mirror) requests() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := m.asked
	m.asked = nil
	slices.Sort(asked)
	return slices.DeleteFunc(asked, func(s string) bool { return strings.HasPrefix(s, "404") && path.Dir(s) == "404 " })
}

// importFrom imports all that a mirror has.
func importFrom(t *testing.T, db *metadb.DB, m *osv.Mirror) ([]advisory.Outcome, error) {
	t.Helper()
	now := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	return advisory.Import(t.Context(), db.Advisories(), m, advisory.Options{Now: func() time.Time { return now }})
}

func TestOnlyWhatHasChangedIsFetched(t *testing.T) {
	t.Parallel()
	server, db := newMirror(t), metadbtest.New(t)
	all := map[string]int{}
	for i := range 30 {
		all[fmt.Sprint("GHSA-", i)] = i
	}
	server.set(t, "npm", all)
	server.files["kev.json"] = `{"vulnerabilities":[{"cveID":"CVE-2025-1111","dateAdded":"2025-08-25","dueDate":"2025-09-15"}]}`
	m, err := osv.New(osv.Config{URL: server.URL + "/", Ecosystems: []string{"npm", "Go"}, Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	step := func(name string, want ...string) []advisory.Outcome {
		t.Helper()
		out, err := importFrom(t, db, m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, server.requests()); diff != "" {
			t.Errorf("%s asked (-want +got):\n%s", name, diff)
		}
		return out
	}
	out := step("first", "200 /kev.json", "200 /npm/all.zip", "200 /npm/modified_id.csv", "404 /Go/all.zip", "404 /Go/modified_id.csv")
	if len(out) != 2 || out[0].Added != 30 || out[1].Source.Advisories != 0 && out[1].Added != 1 {
		t.Errorf("first: %+v", out)
	}
	step("the same", "304 /kev.json", "304 /npm/modified_id.csv", "404 /Go/all.zip", "404 /Go/modified_id.csv")

	all["GHSA-3"], all["GHSA-new"] = 40, 41
	delete(all, "GHSA-7")
	server.set(t, "npm", all)
	out = step("two changes", "200 /npm/GHSA-3.json", "200 /npm/GHSA-new.json", "200 /npm/modified_id.csv", "304 /kev.json", "404 /Go/all.zip", "404 /Go/modified_id.csv")
	if o := out[0]; o.Added != 1 || o.Changed != 1 || o.Removed != 1 || o.Source.Revision != 3 {
		t.Errorf("two changes: %+v", o)
	}
	for i := range 2500 {
		all[fmt.Sprint("GHSA-many-", i)] = 50
	}
	server.set(t, "npm", all)
	out = step("many changes", "200 /npm/all.zip", "200 /npm/modified_id.csv", "304 /kev.json", "404 /Go/all.zip", "404 /Go/modified_id.csv")
	if o := out[0]; o.Added != 2500 || o.Removed != 0 {
		t.Errorf("many changes: %+v", o)
	}
}

func TestAMirrorThatIsBroken(t *testing.T) {
	t.Parallel()
	server := newMirror(t)
	all := map[string]int{}
	for i := range 30 {
		all[fmt.Sprint("GHSA-", i)] = i
	}
	server.set(t, "npm", all)
	m, err := osv.New(osv.Config{URL: server.URL, Ecosystems: []string{"npm"}, Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	good := server.files["npm/modified_id.csv"]
	for name, breakIt := range map[string]func(){
		"an empty list":      func() { server.files["npm/modified_id.csv"] = "" },
		"a page of errors":   func() { server.files["npm/modified_id.csv"] = "<html>\n<body>no" },
		"half a list":        func() { server.files["npm/modified_id.csv"] = good[:len(good)/3] },
		"gone":               func() { delete(server.files, "npm/modified_id.csv"); delete(server.files, "npm/all.zip") },
		"the zip is cut off": func() { delete(server.files, "npm/modified_id.csv"); server.files["npm/all.zip"] = "PK" },
		"an entry of another": func() {
			server.files["npm/modified_id.csv"] = good + "2026-01-01T09:00:00Z,../Go/GO-1\n"
			server.files["npm/GO-1.json"] = `{"id":"X"}`
		},
		"an entry that is bad": func() {
			server.files["npm/modified_id.csv"] = good + "2026-01-01T09:00:00Z,GHSA-bad\n"
			server.files["npm/GHSA-bad.json"] = strings.Repeat("x", 5<<20)
		},
	} {
		db := metadbtest.New(t)
		server.set(t, "npm", all)
		if _, err := importFrom(t, db, m); err != nil {
			t.Fatal(err)
		}
		server.mu.Lock()
		breakIt()
		server.mu.Unlock()
		out, err := importFrom(t, db, m)
		if rejected := len(out) == 1 && out[0].Rejected == 1; err == nil && !rejected {
			t.Errorf("%s: imported %+v", name, out)
		}
		hashes, err := db.Advisories().AdvisoryHashes(t.Context(), "npm", nil, "", 1000)
		if err != nil || len(hashes) != 30 {
			t.Errorf("%s: %d advisories are left of 30, %v", name, len(hashes), err)
		}
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, c := range []osv.Config{
		{URL: ""}, {URL: "ftp://example.com"}, {URL: "/dir"}, {URL: "https://example.com/?x=1"}, {URL: "https://example.com", Ecosystems: []string{"../x"}},
		{URL: "https://example.com", Ecosystems: []string{"Debian:12"}},
	} {
		if _, err := osv.New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	// Where machines have their credentials nothing is fetched.
	m, err := osv.New(osv.Config{URL: "http://169.254.169.254/latest", Ecosystems: []string{"npm"}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	err = m.Read(t.Context(), nil, func(advisory.Feed) error { return errors.New("fetched") })
	if err == nil || !strings.Contains(err.Error(), "credentials") {
		t.Errorf("the address of metadata: %v", err)
	}
}
