package app_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob/s3test"
)

// refused starts a server that must not start.
func refused(t *testing.T, cfg config.Config, want error) error {
	t.Helper()
	a, err := app.New(t.Context(), cfg, deps())
	if err == nil {
		t.Fatal(errors.Join(errors.New("New works"), a.Close()))
	}
	if !errors.Is(err, want) {
		t.Errorf("New: got error %v, want %v", err, want)
	}
	return err
}

// TestBlobDirectoryInUse keeps two servers with data of their own off one directory of layers.
func TestBlobDirectoryInUse(t *testing.T) {
	t.Parallel()
	one, two := t.TempDir(), t.TempDir()
	first := start(t, settings(t, one), deps())
	if err := os.Symlink(filepath.Join(one, "blobs"), filepath.Join(two, "blobs")); err != nil {
		t.Fatal(err)
	}
	_ = refused(t, settings(t, two), diskblob.ErrInUse)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	start(t, settings(t, two), deps())
}

// TestOtherBlobDirectory does not serve a database with layers that are not its own.
func TestOtherBlobDirectory(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	blobs := filepath.Join(data, "blobs")
	for range 2 {
		if err := start(t, settings(t, data), deps()).stop(); err != nil {
			t.Fatal(err)
		}
	}
	id, err := os.ReadFile(filepath.Join(blobs, "store-id"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(blobs, blobs+".away"); err != nil { // a volume that is not mounted, say
		t.Fatal(err)
	}
	err = refused(t, settings(t, data), app.ErrOtherBlobs)
	other, readErr := os.ReadFile(filepath.Join(blobs, "store-id"))
	if readErr != nil {
		t.Fatal(readErr)
	}
	for _, want := range []string{string(bytes.TrimSpace(id)), string(bytes.TrimSpace(other)), blobs, "store-id"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("New: got error %v, want it to name %s", err, want)
		}
	}
	// An operator who knows better has the last word.
	if err := os.WriteFile(filepath.Join(blobs, "store-id"), id, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, settings(t, data), deps())
}

// inBucket are the settings of a server with its layers in a bucket. Credentials have no flag for both
// halves, so the environment brings them.
func inBucket(t *testing.T, data, prefix string, bucket s3blob.Config) config.Config {
	t.Helper()
	variables := map[string]string{
		"BERTH_DATA": data, "BERTH_LISTEN": "127.0.0.1:0", "BERTH_BLOBS": "s3://" + bucket.Bucket + "/" + prefix,
		"BERTH_S3_ENDPOINT": bucket.Endpoint, "BERTH_S3_REGION": bucket.Region, "BERTH_S3_PATH_STYLE": "true",
		"BERTH_S3_ACCESS_KEY_ID": bucket.AccessKeyID, "BERTH_S3_SECRET_ACCESS_KEY": bucket.SecretAccessKey,
	}
	cfg, err := config.Load(config.Sources{Environment: func(name string) (string, bool) {
		v, ok := variables[name]
		return v, ok
	}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestOtherBucket does not serve a database with another bucket or prefix than before, and says it when the
// bucket's server does not guard what is there.
func TestOtherBucket(t *testing.T) {
	t.Parallel()
	bucket := s3test.Bucket(t)
	target, err := url.Parse(bucket.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	var log bytes.Buffer
	logging := app.Deps{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), Now: time.Now}
	if err := start(t, inBucket(t, data, "a", bucket), logging).stop(); err != nil {
		t.Fatal(err)
	}
	_ = refused(t, inBucket(t, data, "b", bucket), app.ErrOtherBlobs)
	if log.Len() > 0 {
		t.Errorf("a start with a bucket that honours If-None-Match logs %s", &log)
	}

	heedless := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusPreconditionFailed {
				r.StatusCode, r.Body, r.ContentLength = http.StatusOK, http.NoBody, 0
				r.Header.Set("Content-Length", "0")
			}
			return nil
		},
		Transport: &http.Transport{DisableKeepAlives: true},
	})
	t.Cleanup(heedless.Close)
	bucket.Endpoint = heedless.URL
	if err := start(t, inBucket(t, data, "a", bucket), logging).stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "ignores If-None-Match") {
		t.Errorf("a start with a bucket that does not honour If-None-Match logs %q, want a warning", &log)
	}
}
