package distribution_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// do sends a request over a kept connection and drops the body.
func (s *server) do(b *testing.B, client *http.Client, req *http.Request, want int) http.Header {
	b.Helper()
	res, err := client.Do(req)
	if err != nil {
		b.Error(err)
		return http.Header{}
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != want {
		b.Errorf("%s %s: status %d, want %d; %v", req.Method, req.URL, res.StatusCode, want, err)
	}
	return res.Header
}

// kept is a client that keeps as many connections as there are goroutines.
func (s *server) kept() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
}

func BenchmarkHeadManifest(b *testing.B) {
	s := newServer(b)
	s.pushImage(b, repo, "latest", "hello")
	client := s.kept()
	b.ReportAllocs()
	b.SetParallelism(8) // 16 clients on two cores
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.do(b, client, s.request(b, http.MethodHead, "/v2/"+repo+"/manifests/latest", nil), http.StatusOK)
		}
	})
}

func BenchmarkGetManifest(b *testing.B) {
	s := newServer(b)
	s.pushImage(b, repo, "latest", "hello")
	client := s.kept()
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.do(b, client, s.request(b, http.MethodGet, "/v2/"+repo+"/manifests/latest", nil), http.StatusOK)
		}
	})
}

// BenchmarkPutSmallImage pushes an image of one new layer, a known config and a tag, as docker does it:
// HEAD, POST, PATCH, PUT, HEAD, PUT manifest.
func BenchmarkPutSmallImage(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s := newServer(b)
			config := s.pushBlob(b, repo, []byte("{}"))
			client := s.kept()
			var n atomic.Int64
			push := func() {
				layer := make([]byte, 4096)
				_, _ = rand.Read(layer)
				d := oci.FromBytes(layer)
				blobs := "/v2/" + repo + "/blobs/"
				s.do(b, client, s.request(b, http.MethodHead, blobs+d.String(), nil), http.StatusNotFound)
				upload := s.do(b, client, s.request(b, http.MethodPost, blobs+"uploads/", nil), http.StatusAccepted).Get("Location")
				s.do(b, client, s.request(b, http.MethodPatch, upload, bytes.NewReader(layer)), http.StatusAccepted)
				s.do(b, client, s.request(b, http.MethodPut, upload+"?digest="+d.String(), nil), http.StatusCreated)
				s.do(b, client, s.request(b, http.MethodHead, blobs+config.String(), nil), http.StatusOK)
				m := `{"schemaVersion":2,"config":` + descriptor("application/vnd.oci.image.config.v1+json", config, 2) +
					`,"layers":[` + descriptor("application/vnd.oci.image.layer.v1.tar", d, len(layer)) + `]}`
				tag := fmt.Sprintf("t%d", n.Add(1))
				s.do(b, client, s.request(b, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, strings.NewReader(m), "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
			}
			b.ReportAllocs()
			if clients == 1 {
				for b.Loop() {
					push()
				}
			} else {
				b.SetParallelism(clients / 2)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						push()
					}
				})
			}
			b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "images/s")
		})
	}
}

func BenchmarkPutTag(b *testing.B) {
	s := newServer(b)
	manifest, _ := s.pushImage(b, repo, "latest", "hello")
	client := s.kept()
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			at := fmt.Sprintf("/v2/%s/manifests/t%d", repo, n.Add(1))
			s.do(b, client, s.request(b, http.MethodPut, at, bytes.NewReader(manifest), "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
		}
	})
}

func BenchmarkListTags10k(b *testing.B) {
	s := newServer(b)
	s.tagMany(b, registry.MaxNames)
	client := s.kept()
	b.ReportAllocs()
	for b.Loop() {
		s.do(b, client, s.request(b, http.MethodGet, "/v2/"+repo+"/tags/list", nil), http.StatusOK)
	}
}

func BenchmarkGetBlob(b *testing.B) {
	s := newServer(b)
	for _, size := range []int{4 << 10, 64 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			d := s.pushBlob(b, repo, bytes.Repeat([]byte("x"), size))
			client := s.kept()
			b.SetBytes(int64(size))
			for b.Loop() {
				s.do(b, client, s.request(b, http.MethodGet, "/v2/"+repo+"/blobs/"+d.String(), nil), http.StatusOK)
			}
		})
	}
}
