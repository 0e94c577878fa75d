package berth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// replica is an image of one blob, as another registry has it.
func replica(config string) (manifest, digest, layer string) {
	l := oci.FromBytes([]byte(config)).String()
	m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/json","digest":%q,"size":%d},"layers":[],"annotations":{"a":"<b> é"}}`,
		oci.MediaTypeOCIManifest, l, len(config))
	return m, oci.FromBytes([]byte(m)).String(), l
}

func replicateInput(manifest, digest, tags string) string {
	return `{"repositoryName":"hoopstat-haus/prod","imageManifest":` + strconv.Quote(manifest) + `,"imageManifestMediaType":"` + oci.MediaTypeOCIManifest +
		`","imageDigest":"` + digest + `","imageTags":[` + tags + `]}`
}

func TestAReplicaArrives(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const config = `{"os":"linux"}`
	manifest, digest, layer := replica(config)
	prepare := `{"repositoryName":"hoopstat-haus/prod","imageDigest":"` + digest + `","layerDigests":["` + layer + `"]}`
	want := func(op, input, answer string) {
		t.Helper()
		if status, body := s.call(t.Context(), t, op, "root", input); status != http.StatusOK || body != answer {
			t.Errorf("%s: %d %s, want %s", op, status, body, answer)
		}
	}
	want("PrepareReplication", prepare, `{"imageMissing":true,"missingLayers":["`+layer+`"]}`)
	if status, body := s.call(t.Context(), t, "ReplicateImage", "root", replicateInput(manifest, digest, `"v1"`)); status != http.StatusBadRequest || !strings.Contains(body, "LayersNotFoundException") {
		t.Errorf("an image before its layers: %d %s", status, body)
	}
	put := registry.Part{Size: int64(len(config)), Body: strings.NewReader(config)}
	if _, err := s.registry.PutLayer(t.Context(), s.root, repo, oci.Digest(layer), put); err != nil {
		t.Fatal(err)
	}
	want("PrepareReplication", prepare, `{"imageMissing":true,"missingLayers":[]}`)
	want("ReplicateImage", replicateInput(manifest, digest, `"v1","v2"`), `{"droppedTags":[],"imageDigest":"`+digest+`"}`)
	want("PrepareReplication", prepare, `{"imageMissing":false,"missingLayers":[]}`)
	want("ReplicateImage", replicateInput(manifest, digest, `"v1"`), `{"droppedTags":[],"imageDigest":"`+digest+`"}`)

	if _, err := s.registry.PutTagMutability(t.Context(), s.root, repo, registry.Immutable, nil); err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(manifest, "<b>", "<c>", 1)
	otherDigest := oci.FromBytes([]byte(other)).String()
	want("ReplicateImage", replicateInput(other, otherDigest, `"v1","v3"`), `{"droppedTags":["v1"],"imageDigest":"`+otherDigest+`"}`)

	events, err := s.db.Outbox().Claim(t.Context(), s.now(), s.now(), 100)
	if err != nil {
		t.Fatal(err)
	}
	var sources []string
	for _, e := range events {
		if e.Kind == event.ImagePushed {
			sources = append(sources, string(e.Source)+" "+strings.Join(e.Tags, " "))
		}
	}
	if diff := cmp.Diff([]string{"replication v1 v2", "replication v3"}, sources); diff != "" {
		t.Errorf("events of pushes (-want +got):\n%s", diff)
	}
}

func TestReplicasThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	manifest, digest, _ := replica(`{}`)
	for _, c := range []struct{ op, who, body, code, words string }{
		{"PrepareReplication", "root", `{"imageDigest":"` + digest + `"}`, "InvalidParameterException", "'repositoryName'"},
		{"PrepareReplication", "root", `{"repositoryName":"app"}`, "InvalidParameterException", "'imageDigest'"},
		{"PrepareReplication", "root", `{"repositoryName":"app","imageDigest":"x"}`, "InvalidParameterException", "'imageDigest'"},
		{"PrepareReplication", "root", `{"repositoryName":"App","imageDigest":"` + digest + `"}`, "InvalidParameterException", "'repositoryName'"},
		{"PrepareReplication", "root", `{"repositoryName":"app","imageDigest":"` + digest + `","layerDigests":["x"]}`, "InvalidParameterException", "'layerDigests'"},
		{"PrepareReplication", "user", `{"repositoryName":"app","imageDigest":"` + digest + `"}`, "AccessDeniedException", "ecr:ReplicateImage on resource: arn:aws:ecr:us-east-1:000000000042:repository/app"},
		{"ReplicateImage", "root", `{"repositoryName":"app","imageDigest":"` + digest + `"}`, "InvalidParameterException", "'imageManifest'"},
		{"ReplicateImage", "root", `{"repositoryName":"app","imageDigest":"` + digest + `","imageManifest":"{}"}`, "InvalidParameterException", "'imageManifestMediaType'"},
		{"ReplicateImage", "root", replicateInput(manifest, digest, ""), "RepositoryNotFoundException", "hoopstat-haus/prod"},
		{"ReplicateImage", "root", replicateInput(manifest+" ", digest, ""), "InvalidParameterException", "does not have the digest"},
		{"ReplicateImage", "root", replicateInput(manifest, digest, `"a/b"`), "InvalidParameterException", "imageTag"},
		{"ReplicateImage", "user", replicateInput(manifest, digest, ""), "AccessDeniedException", "ecr:ReplicateImage"},
	} {
		status, body := s.call(t.Context(), t, c.op, c.who, c.body)
		var said struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal([]byte(body), &said); err != nil || status != http.StatusBadRequest || said.Type != c.code || !strings.Contains(said.Message, c.words) {
			t.Errorf("%s(%s) by %s: %d %s\nwant 400 %s about %s", c.op, c.body, c.who, status, body, c.code, c.words)
		}
	}
}
