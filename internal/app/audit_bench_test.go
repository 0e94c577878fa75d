package app_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/berthtest"
)

// rival is one of the servers that are compared.
type rival struct {
	*berthtest.Server
	client   *http.Client
	password string
	manifest string
	spent    time.Duration
}

func newRival(b *testing.B, log string) *rival {
	b.Helper()
	s := berthtest.New(b, func(settings map[string]string) { settings["audit-log"] = log })
	r := &rival{Server: s, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}, password: s.Password(b)}
	b.Cleanup(r.client.CloseIdleConnections)
	client := ecr.NewFromConfig(s.AWSConfig())
	if _, err := client.CreateRepository(b.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/app")}); err != nil {
		b.Fatal(err)
	}
	config := r.layer(b, "{}")
	r.manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
		config + `","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":%d}]}`
	r.push(b, "first", "latest")
	return r
}

func (r *rival) do(b *testing.B, method, path, body string, want int) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, r.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		b.Error(err)
		return
	}
	req.SetBasicAuth("AWS", r.password)
	if method == http.MethodPut {
		req.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	}
	res, err := r.client.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != want {
		b.Errorf("%s %s: %d, %v", method, path, res.StatusCode, err)
	}
}

func (r *rival) layer(b *testing.B, content string) string {
	b.Helper()
	d := digestOf(content)
	r.do(b, http.MethodPost, "/v2/team/app/blobs/uploads/?digest="+d, content, http.StatusCreated)
	return d
}

// push pushes a small image, as docker does it but for the shape of the upload.
func (r *rival) push(b *testing.B, content, tag string) {
	b.Helper()
	d := digestOf(content)
	if tag != "latest" {
		r.do(b, http.MethodHead, "/v2/team/app/blobs/"+d, "", http.StatusNotFound)
	}
	r.layer(b, content)
	r.do(b, http.MethodPut, "/v2/team/app/manifests/"+tag, fmt.Sprintf(r.manifest, d, len(content)), http.StatusCreated)
}

// rounds has eight clients do a number of pieces of work on each server in turns, and tells how much of the throughput without a log is left with
// it.
func rounds(b *testing.B, each int, work func(r *rival, n int64)) {
	b.Helper()
	off, on := newRival(b, "false"), newRival(b, "true")
	var n atomic.Int64
	round := func(r *rival) {
		begin := time.Now()
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for range each / 8 {
					work(r, n.Add(1))
				}
			})
		}
		clients.Wait()
		r.spent += time.Since(begin)
	}
	round(off) // warm
	round(on)
	off.spent, on.spent = 0, 0
	done := 0
	for i := 0; b.Loop(); i++ {
		first, second := off, on
		if i%2 == 1 {
			first, second = on, off
		}
		round(first)
		round(second)
		done += each / 8 * 8
	}
	b.ReportMetric(float64(done)/on.spent.Seconds(), "with/s")
	b.ReportMetric(float64(done)/off.spent.Seconds(), "without/s")
	b.ReportMetric(100*off.spent.Seconds()/on.spent.Seconds(), "%left")
}

// BenchmarkAuditLog compares servers with and without the log, side by side.
func BenchmarkAuditLog(b *testing.B) {
	b.Run("pulls", func(b *testing.B) {
		rounds(b, 400, func(r *rival, _ int64) { r.do(b, http.MethodGet, "/v2/team/app/manifests/latest", "", http.StatusOK) })
	})
	b.Run("pushes", func(b *testing.B) {
		rounds(b, 80, func(r *rival, n int64) {
			r.push(b, strings.Repeat("x", 1000)+fmt.Sprint(n), fmt.Sprintf("t%d", n))
		})
	})
}
