package advisory_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

const (
	npmOne = `{"id":"GHSA-1","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"a"},"versions":["1"]}]}`
	npmTwo = `{"id":"GHSA-2","modified":"2026-01-02T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"b"},"versions":["1"]}]}`
	kev    = `{"vulnerabilities":[{"cveID":"CVE-2025-1111","dateAdded":"2025-08-25","dueDate":"2025-09-15","knownRansomwareCampaignUse":"Known"},{"cveID":"no","dateAdded":"x"}]}`
	cvss   = `{"CVE-2025-1111":{"vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N","source":"x"}}`
)

func zipOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// layout is a small mirror.
func layout(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"npm/all.zip":                   string(zipOf(t, map[string]string{"GHSA-1.json": npmOne, "GHSA-2.json": npmTwo, "README": "x"})),
		"Debian:12/all.zip":             "not read",
		"GIT/all.zip":                   "not read",
		"kev.json":                      kev,
		"cvss-by-cve.json":              cvss,
		"epss_scores-2026-11-25.csv.gz": "not read",
		"epss_scores-2026-11-26.csv.gz": string(gz(t, []byte("#model_version:v1\ncve,epss,percentile\nCVE-2025-1111,0.12345,0.98765\nnonsense\n"))),
		"somewhere/else/deep/all.zip":   "not read",
		"../../etc/passwd":              "not read",
		"AlmaLinux/modified_id.csv":     "not read",
		"Alpine/all.jsonl":              `{"id":"ALPINE-CVE-2025-1111","affected":[{"package":{"ecosystem":"Alpine:v3.20","name":"a"},"versions":["1"]}]}` + "\n\n",
	}
}

// readAll gives what an origin says, a line for each entry.
func readAll(t *testing.T, origin advisory.Origin) (map[string][]string, error) {
	t.Helper()
	got := map[string][]string{}
	err := origin.Read(t.Context(), nil, func(f advisory.Feed) error {
		got[f.Source] = []string{}
		for a, err := range f.Entries {
			switch {
			case errors.Is(err, advisory.ErrMalformed):
				got[f.Source] = append(got[f.Source], "malformed")
			case err != nil:
				return err
			case a.KEV != nil:
				got[f.Source] = append(got[f.Source], a.ID+" "+a.KEV.Due)
			default:
				got[f.Source] = append(got[f.Source], a.ID)
			}
		}
		return nil
	})
	return got, err
}

func wanted() map[string][]string {
	return map[string][]string{
		"npm": {"GHSA-1", "GHSA-2"}, "kev": {"CVE-2025-1111 2025-09-15", "malformed"}, "cvss": {"CVE-2025-1111"}, "epss": {"CVE-2025-1111", "malformed"},
		"Alpine": {"ALPINE-CVE-2025-1111"},
	}
}

func TestDir(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{}
	for name, text := range layout(t) {
		if !strings.HasPrefix(name, "..") {
			tree[name] = &fstest.MapFile{Data: []byte(text), ModTime: time.Unix(1e9, 0)}
		}
	}
	got, err := readAll(t, advisory.Dir{FS: tree, Name: "d"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted(), got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if got, err := readAll(t, advisory.Dir{FS: tree, Name: "d", Ecosystems: []string{"Alpine"}}); err != nil || len(got) != 4 {
		t.Errorf("one ecosystem: %v, %v", got, err)
	}
	if _, err := readAll(t, advisory.Dir{FS: fstest.MapFS{}, Name: "d"}); err == nil {
		t.Error("an empty directory is none")
	}
	// What is as it was is not read again.
	var first, again []advisory.Feed
	note := func(to *[]advisory.Feed) func(advisory.Feed) error {
		return func(f advisory.Feed) error { *to = append(*to, f); return nil }
	}
	if err := (advisory.Dir{FS: tree, Name: "d"}).Read(t.Context(), nil, note(&first)); err != nil {
		t.Fatal(err)
	}
	known := map[string]advisory.Source{}
	for _, f := range first {
		known[f.Source] = advisory.Source{Name: f.Source, Origin: "d", Validator: f.Validator}
	}
	if err := (advisory.Dir{FS: tree, Name: "d"}).Read(t.Context(), known, note(&again)); err != nil {
		t.Fatal(err)
	}
	for _, f := range again {
		if !f.Unchanged {
			t.Errorf("%s is read again", f.Source)
		}
	}
}

func tarOf(t *testing.T, first string, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	names := slices.Sorted(maps.Keys(files))
	if first != "" {
		names = append([]string{"manifest.json"}, names...)
		files = maps.Clone(files)
		files["manifest.json"] = first
	}
	for _, name := range names {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(files[name])), Mode: 0o644})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func archive(text []byte) advisory.Archive {
	return advisory.Archive{Name: "a", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }}
}

func TestArchive(t *testing.T) {
	t.Parallel()
	files := layout(t)
	delete(files, "epss_scores-2026-11-25.csv.gz")
	manifest := advisory.Manifest{CreatedAt: time.Unix(1e9, 0).UTC(), Files: map[string]advisory.ManifestFile{}}
	for name, text := range files {
		sum := sha256.Sum256([]byte(text))
		manifest.Files[name] = advisory.ManifestFile{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text))}
	}
	said, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	plain := tarOf(t, string(said), files)
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"tar": plain, "gzip": gz(t, plain), "zstd": encoder.EncodeAll(plain, nil), "without a manifest": tarOf(t, "", files),
		"with another manifest": tarOf(t, `[{"ecosystem":"npm"}]`, files),
	} {
		got, err := readAll(t, archive(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(wanted(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	changed := maps.Clone(files)
	changed["kev.json"] = strings.Replace(kev, "2025-08-25", "2025-08-26", 1)
	added := maps.Clone(files)
	added["Go/all.jsonl"] = npmOne
	twice := maps.Clone(files)
	twice["npm/all.jsonl"] = npmOne
	for name, text := range map[string][]byte{
		"a file that is not what the manifest says": tarOf(t, string(said), changed),
		"a file that is not in the manifest":        tarOf(t, string(said), added),
		"a source that is there twice":              tarOf(t, "", twice),
		"cut off":                                   plain[:len(plain)/2],
		"cut off, compressed":                       gz(t, plain)[:300],
		"no tar":                                    []byte(strings.Repeat("x", 2000)),
		"nothing":                                   {},
		"nothing of ours":                           tarOf(t, "", map[string]string{"README": "x"}),
	} {
		if _, err := readAll(t, archive(text)); !errors.Is(err, advisory.ErrArchive) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzArchive(f *testing.F) {
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0})
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(_ *testing.T, text []byte) {
		_ = archive(text).Read(context.Background(), nil, func(feed advisory.Feed) error {
			for _, err := range feed.Entries {
				if err != nil && !errors.Is(err, advisory.ErrMalformed) {
					return err
				}
			}
			return nil
		})
	})
}
