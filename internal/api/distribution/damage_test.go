package distribution_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fsck"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestDamagedLayer flips a byte on the disk: the check finds it, a pull is told so, and docker's way to push heals it.
func TestDamagedLayer(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		dir := t.TempDir()
		s := serverOn(t, db, dir)
		s.createRepository(t, repo)
		content := []byte("bytes that will be damaged")
		manifest := s.makeManifest(t, repo, string(content), "")
		wantStatus(t, s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/v1", manifest, "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
		d := s.pushBlob(t, repo, content)
		rows := db.Checks()
		row, err := rows.FindBlob(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "blobs", string(row.Key[:2]), string(row.Key))
		flip(t, file)

		checks := fsck.New(fsck.Config{
			Registry: s.registry, Checks: rows, Contents: rows, Repairs: rows, Blobs: s.disk, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		})
		if _, err := checks.Start(t.Context(), root, fsck.Order{Repair: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := checks.Once(t.Context()); err != nil {
			t.Fatal(err)
		}

		path := "/v2/" + repo + "/blobs/" + d.String()
		wantStatus(t, s.call(t, http.MethodHead, path, nil), http.StatusNotFound)
		for _, headers := range [][]string{nil, {"Range", "bytes=0-3"}} {
			res := s.call(t, http.MethodGet, path, nil, headers...)
			if res.status != http.StatusInternalServerError || !bytes.Contains(res.body, []byte("are lost or damaged: push the layer again")) {
				t.Errorf("GET of a damaged layer: %d %s", res.status, res.body)
			}
		}
		if log := s.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, d.String()) {
			t.Errorf("the log does not tell of the damaged layer:\n%s", log)
		}

		start := s.call(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil)
		wantStatus(t, start, http.StatusAccepted)
		at := strings.TrimPrefix(start.header.Get("Location"), s.URL)
		wantStatus(t, s.call(t, http.MethodPatch, at, content, "Content-Type", "application/octet-stream"), http.StatusAccepted)
		wantStatus(t, s.call(t, http.MethodPut, at+"?digest="+d.String(), nil), http.StatusCreated)
		wantStatus(t, s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/v1", manifest, "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
		wantStatus(t, s.call(t, http.MethodHead, path, nil), http.StatusOK)
		if res := s.call(t, http.MethodGet, path, nil); res.status != http.StatusOK || !bytes.Equal(res.body, content) {
			t.Errorf("GET after the push: %d %s", res.status, res.body)
		}
		if healed, err := rows.FindBlob(t.Context(), d); err != nil || !healed.DamagedAt.IsZero() || healed.Key == row.Key {
			t.Errorf("the row after the push: %+v, %v", healed, err)
		}

		// Bytes that are gone, and no check has been there yet.
		healed, err := rows.FindBlob(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "blobs", string(healed.Key[:2]), string(healed.Key))); err != nil {
			t.Fatal(err)
		}
		if res := s.call(t, http.MethodGet, path, nil); res.status != http.StatusInternalServerError {
			t.Errorf("GET of a layer whose bytes are gone: %d %s", res.status, res.body)
		}
	})
}

func flip(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}
