package advisories_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/hoopstat-haus/berth/internal/pipeline/advisories"
)

const entry = `{"id":"GHSA-1","affected":[{"package":{"ecosystem":"npm","name":"a"},"versions":["1"]}]}`

// unpack gives an archive's files, and holds them against its manifest.
func unpack(t *testing.T, archive []byte) (files map[string]string, partial bool, created time.Time) {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files = map[string]string{}
	var manifest struct {
		CreatedAt time.Time
		Partial   bool
		Files     map[string]struct {
			SHA256 string
			Size   int64
		}
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "manifest.json" {
			if len(files) > 0 {
				t.Error("the manifest is not the first file")
			}
			if err := json.Unmarshal(text, &manifest); err != nil {
				t.Fatal(err)
			}
			continue
		}
		sum := sha256.Sum256(text)
		if said := manifest.Files[h.Name]; said.SHA256 != hex.EncodeToString(sum[:]) || said.Size != int64(len(text)) {
			t.Errorf("the manifest says of %s %+v", h.Name, said)
		}
		files[h.Name] = string(text)
	}
	if len(files) != len(manifest.Files) {
		t.Errorf("the manifest has %d files, the archive %d", len(manifest.Files), len(files))
	}
	return files, manifest.Partial, manifest.CreatedAt
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func zipped(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
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
	return b.String()
}

func TestPack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	old := now.Add(-48 * time.Hour).Truncate(time.Second)
	mirror := filepath.Join(dir, "mirror")
	npm := zipped(t, map[string]string{"GHSA-1.json": "{\n \"id\": \"GHSA-1\",\n \"affected\": [{\"package\": {\"ecosystem\": \"npm\", \"name\": \"a\"}, \"versions\": [\"1\"]}]\n}"})
	for name, text := range map[string]string{
		"npm/all.zip": npm, "Debian:12/all.zip": "not taken", "GIT/all.zip": "not taken", "kev.json": "{}", "README": "not taken",
		"epss_scores-2026-01-01.csv.gz": "not taken", "epss_scores-2026-01-02.csv.gz": "scores", "Alpine/all.jsonl": entry,
	} {
		write(t, filepath.Join(mirror, name), text)
		if err := os.Chtimes(filepath.Join(mirror, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "npm.zip"), npm)
	write(t, filepath.Join(dir, "one.json"), entry)
	pack := func(at string) []byte {
		t.Helper()
		var b bytes.Buffer
		if _, err := advisories.Pack(filepath.Join(dir, at), &b, dir, now); err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		return b.Bytes()
	}
	files, partial, created := unpack(t, pack("mirror"))
	want := map[string]string{"npm/all.jsonl": entry + "\n", "kev.json": "{}", "epss_scores-2026-01-02.csv.gz": "scores", "Alpine/all.jsonl": entry}
	if diff := cmp.Diff(want, files); diff != "" || partial {
		t.Errorf("a directory (-want +got):\n%s", diff)
	}
	if !created.Equal(old) {
		t.Errorf("a copy of %s is of %s", old, created)
	}
	files, partial, _ = unpack(t, pack("npm.zip"))
	if diff := cmp.Diff(map[string]string{"npm/all.jsonl": entry + "\n"}, files); diff != "" || partial {
		t.Errorf("a zip (-want +got):\n%s", diff)
	}
	files, partial, _ = unpack(t, pack("one.json"))
	if diff := cmp.Diff(map[string]string{"npm/all.jsonl": entry + "\n"}, files); diff != "" || !partial {
		t.Errorf("one advisory (-want +got):\n%s", diff)
	}
	write(t, filepath.Join(dir, "made.tar.zst"), string(pack("mirror")))
	if again := pack("made.tar.zst"); !bytes.Equal(again, pack("mirror")) {
		t.Error("an archive is another after it was taken, or twice made is not the same")
	}
	for _, at := range []string{"missing", ".", "bad.zip", "empty.zip", "bad.json"} {
		write(t, filepath.Join(dir, "bad.zip"), "PK")
		write(t, filepath.Join(dir, "empty.zip"), zipped(t, map[string]string{"README": ""}))
		write(t, filepath.Join(dir, "bad.json"), "{")
		if _, err := advisories.Pack(filepath.Join(dir, at), io.Discard, dir, now); err == nil {
			t.Errorf("%s is packed", at)
		}
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/mirror/Rocky Linux/all.zip":
			_, _ = io.WriteString(w, "a zip")
		case "/mirror/kev.json":
			_, _ = io.WriteString(w, "kev")
		case "/broken/npm/all.zip":
			w.WriteHeader(http.StatusBadGateway)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	dir, said := t.TempDir(), 0
	say := func(string) { said++ }
	if err := advisories.Fetch(t.Context(), server.URL+"/mirror/", []string{"Rocky Linux", "npm"}, dir, say); err != nil || said != 2 {
		t.Fatalf("Fetch: %v, %d files", err, said)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "Rocky Linux", "all.zip")); err != nil || string(text) != "a zip" {
		t.Errorf("fetched %q, %v", text, err)
	}
	for at, ecosystem := range map[string]string{"/broken": "npm", "/nothing": "npm", "/mirror": "../up"} {
		if err := advisories.Fetch(t.Context(), server.URL+at, []string{ecosystem}, t.TempDir(), say); err == nil {
			t.Errorf("%s of %s is fetched", ecosystem, at)
		}
	}
}
