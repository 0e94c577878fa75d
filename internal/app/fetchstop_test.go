package app_test

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// TestStopWhileALayerIsFetched stops a server whose upstream stands still in the middle of a layer, with a client that
// reads along and one that left.
func TestStopWhileALayerIsFetched(t *testing.T) {
	t.Parallel()
	layer := strings.Repeat("layer", 100_000)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`,
		oci.MediaTypeOCIManifest, oci.FromBytes([]byte("{}")), oci.FromBytes([]byte(layer)), len(layer))
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/manifests/"):
			w.Header().Set("Content-Type", oci.MediaTypeOCIManifest)
			_, _ = io.WriteString(w, manifest)
		case strings.Contains(r.URL.Path, "/blobs/"):
			w.Header().Set("Content-Length", fmt.Sprint(len(layer)))
			_, _ = io.WriteString(w, layer[:len(layer)/2])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(upstream.Close)
	data := t.TempDir()
	r := start(t, settings(t, data, "shutdown-timeout=1s"), deps())
	api := r.ecr(t, data)
	copyOf(t, api, "up", upstream.URL, "", "")
	token, err := api.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	auth := "Basic " + *token.AuthorizationData[0].AuthorizationToken
	get := func(path string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL().String()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", auth)
		res, err := r.client.Do(req)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: %+v, %v", path, res, err)
		}
		return res
	}
	res := get("/v2/up/app/manifests/v1")
	_ = res.Body.Close()
	for range 2 {
		res = get("/v2/up/app/blobs/" + oci.FromBytes([]byte(layer)).String())
		defer res.Body.Close()
		if _, err := io.ReadFull(res.Body, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	_ = res.Body.Close() // the one that left
	begin := time.Now()
	if err := r.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("stopping took %s with a shutdown timeout of a second", took)
	}
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil && info.Size() >= int64(len(layer)/2) && !strings.Contains(path, "berth.db") {
				t.Errorf("half a layer stayed in %s", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
