package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// TestReplicas runs two servers on one database and one bucket: what one acknowledges the other has, one's
// password opens the other, and an upload goes on wherever its next piece arrives.
func TestReplicas(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	config := berthproc.Config{Storage: bucketStorage(t), Env: []string{"BERTH_MASTER_KEY=" + strings.Repeat("5a", 32)}}
	first := berthproc.Start(t, config)
	second := berthproc.Start(t, config)
	first.CreateRepositories("replicas/one")
	r := &replicas{t: t, a: newClient(t, first), b: newClient(t, second)}
	r.b.auth = r.a.auth // the first's password

	d := oci.FromBytes(r.a.pushImage(t, "replicas/one", "v1", 1))
	if err := r.b.verifyImage(t.Context(), "replicas/one", d); err != nil {
		t.Errorf("pushed to one, pulled from the other: %v", err)
	}
	r.alternate()
	r.race(first.ECR())

	first.Kill()
	if err := r.b.verifyImage(t.Context(), "replicas/one", d); err != nil {
		t.Errorf("after the one was killed: %v", err)
	}
}

type replicas struct {
	t    *testing.T
	a, b *client
}

// alternate uploads one layer in pieces, each to the other server than the piece before.
func (r *replicas) alternate() {
	r.t.Helper()
	const piece = 700_000
	content := noise(3, 8*piece)
	location := r.a.must(r.t, http.StatusAccepted, http.MethodPost, "/v2/replicas/one/blobs/uploads/", nil).Header.Get("Location")
	for i := range 8 {
		c := []*client{r.a, r.b}[i%2]
		location = c.must(r.t, http.StatusAccepted, http.MethodPatch, location, content[i*piece:(i+1)*piece],
			"Content-Range", fmt.Sprintf("%d-%d", i*piece, (i+1)*piece-1)).Header.Get("Location")
	}
	d := oci.FromBytes(content)
	r.a.must(r.t, http.StatusCreated, http.MethodPut, join(location, "digest="+string(d)), nil)
	if err := r.b.verifyBlob(r.t.Context(), "replicas/one", d); err != nil {
		r.t.Errorf("an upload in turns: %v", err)
	}
}

// race pushes different images under one immutable tag to both servers at once: exactly one wins.
func (r *replicas) race(api *ecr.Client) {
	r.t.Helper()
	repo := "replicas/one"
	_, err := api.PutImageTagMutability(r.t.Context(), &ecr.PutImageTagMutabilityInput{
		RepositoryName: &repo, ImageTagMutability: types.ImageTagMutabilityImmutable,
	})
	ok(r.t, 0, err)
	const contenders = 12
	manifests := make([][]byte, contenders)
	for i := range manifests {
		config := r.a.pushBlob(r.t, repo, fmt.Appendf(nil, `{"contender":%d}`, i))
		manifests[i] = imageOf(config)
	}
	for round := range 5 {
		tag := fmt.Sprintf("race-%d", round)
		var winners atomic.Int64
		var winner atomic.Pointer[oci.Digest]
		var group sync.WaitGroup
		for i, m := range manifests {
			c := []*client{r.a, r.b}[i%2]
			group.Go(func() {
				got, err := c.send(r.t.Context(), http.MethodPut, "/v2/"+repo+"/manifests/"+tag, bytes.NewReader(m), "Content-Type", oci.MediaTypeOCIManifest)
				d := oci.FromBytes(m)
				switch {
				case err != nil:
					r.t.Errorf("pushing under an immutable tag: %v", err)
				case got.Status == http.StatusCreated:
					winners.Add(1)
					winner.Store(&d)
				case got.Status != http.StatusBadRequest || !strings.Contains(string(got.Body), "because the repository is immutable"):
					r.t.Errorf("pushing under an immutable tag answered %v, want 201 or that it is immutable", got)
				}
			})
		}
		group.Wait()
		if winners.Load() != 1 {
			r.t.Errorf("%d of %d pushes under one immutable tag were acknowledged, want 1", winners.Load(), contenders)
			continue
		}
		for _, c := range []*client{r.a, r.b} {
			got := c.must(r.t, http.StatusOK, http.MethodHead, "/v2/"+repo+"/manifests/"+tag, nil, "Accept", "*/*")
			if d := got.Header.Get("Docker-Content-Digest"); d != string(*winner.Load()) {
				r.t.Errorf("tag %s is at %s, want the acknowledged %s", tag, d, *winner.Load())
			}
		}
	}
}
