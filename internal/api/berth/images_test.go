package berth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestDeletingWhatIsDeployed by the operation that can.
func TestDeletingWhatIsDeployed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if _, err := s.registry.CreateRepository(t.Context(), s.root, registry.NewRepository{Name: repo}); err != nil {
		t.Fatal(err)
	}
	older, image := s.push(t, "older"), s.push(t, "newer")
	body := registry.Part{Size: 2, Body: strings.NewReader(deployment.Empty)}
	if _, err := s.registry.PutLayer(t.Context(), s.root, repo, deployment.EmptyDescriptor().Digest, body); err != nil {
		t.Fatal(err)
	}
	whole, err := s.registry.Image(t.Context(), s.root, repo, oci.Reference{Digest: image})
	if err != nil {
		t.Fatal(err)
	}
	record := deployment.Record{
		ID: "4f1c9a7be2d05836", App: "web", Environment: "prod", Action: deployment.Deploy, Outcome: deployment.Succeeded, Actor: "ada",
		Image: oci.Descriptor{MediaType: whole.MediaType, Digest: image, Size: whole.ManifestSize}, At: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
	}
	for _, environment := range []string{"staging", "prod"} {
		record.Environment = environment
		manifest, err := record.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.registry.PutImage(t.Context(), s.root, registry.Push{Repository: repo, Manifest: manifest, Tags: []string{record.Tag()}}); err != nil {
			t.Fatal(err)
		}
	}
	const named = `"repositoryName":"hoopstat-haus/prod"`
	pin := func(environment string) string {
		return `{"app":"web","environment":"` + environment + `","imageDigest":"` + image.String() + `","kind":"deployed","place":1,"since":1795514400}`
	}
	id := func(d oci.Digest) string { return `{"imageDigest":"` + d.String() + `"}` }
	for _, c := range []struct{ operation, who, body, want string }{
		{"ListPinnedImages", "root", `{` + named + `}`, `{"pinnedImages":[` + pin("prod") + `,` + pin("staging") + `]}`},
		{"ListPinnedImages", "root", `{` + named + `,"imageDigest":"` + older.String() + `"}`, `{"pinnedImages":[]}`},
		{"ListPinnedImages", "root", `{` + named + `,"imageDigest":"x"}`, "'imageDigest'"},
		{"ListPinnedImages", "root", `{}`, "'repositoryName'"},
		{"ListPinnedImages", "root", `{"repositoryName":"none"}`, "RepositoryNotFoundException"},
		{"ListPinnedImages", "user", `{` + named + `}`, "ecr:DescribeImages"},
		{"DeleteImages", "user", `{` + named + `,"imageIds":[{"imageTag":"v1"}],"force":true}`, "ecr:BatchDeleteImage"},
		{"DeleteImages", "root", `{"imageIds":[{"imageTag":"v1"}]}`, "'repositoryName'"},
		{"DeleteImages", "root", `{` + named + `}`, "'imageIds'"},
		{"DeleteImages", "root", `{` + named + `,"imageIds":[` + strings.Repeat(`{"imageTag":"v1"},`, 100) + `{"imageTag":"v1"}]}`, "'imageIds'"},
		{"DeleteImages", "root", `{` + named + `,"imageIds":[null]}`, "imageIds[0]"},
		{"DeleteImages", "root", `{"repositoryName":"none","imageIds":[{"imageTag":"v1"}]}`, "RepositoryNotFoundException"},
		{
			"DeleteImages", "root", `{` + named + `,"imageIds":[` + id(older) + `,` + id(image) + `,{"imageTag":"v9"}],"force":false}`,
			`{"failures":[{"failureCode":"ImagePinned","failureReason":"Requested image is deployed and is not deleted: it runs in prod as web since 2026-11-24T10:00:00Z; ` +
				`it runs in staging as web since 2026-11-24T10:00:00Z","imageId":` + id(image) + `},` +
				`{"failureCode":"ImageNotFound","failureReason":"Requested image not found","imageId":{"imageTag":"v9"}}],"imageIds":[` + id(older) + `]}`,
		},
		{
			"DeleteImages", "root", `{` + named + `,"imageIds":[` + id(image) + `],"force":true}`,
			`{"failures":[],"imageIds":[{"imageDigest":"` + image.String() + `","imageTag":"app-latest"}]}`,
		},
	} {
		status, body := s.call(t.Context(), t, c.operation, c.who, c.body)
		if ok := strings.HasPrefix(c.want, "{"); ok && (status != http.StatusOK || body != c.want) || !ok && (status != http.StatusBadRequest || !strings.Contains(body, c.want)) {
			t.Errorf("%s(%.200s) by %s: %d %s\nwant %s", c.operation, c.body, c.who, status, body, c.want)
		}
	}
}
