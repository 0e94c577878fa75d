package lifecycle_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// deploy stores a record of an image's deployment, which has the record before of that name as its previous one, points its tag to it
// and gives its name.
func (b *bench) deploy(image, environment, app, previous string, outcome deployment.Outcome) string {
	b.t.Helper()
	name := fmt.Sprintf("record of %s after %s %s", image, previous, outcome)
	r := deployment.Record{
		ID: "deployment-of-" + image, App: app, Environment: environment, Action: deployment.Deploy, Outcome: outcome, Reason: "said so", Actor: "ada", At: b.now,
		Image: oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: digestOf(image), Size: 10},
	}
	if previous != "" {
		r.Previous = digestOf(previous)
	}
	b.update(func(ctx context.Context, tx registry.Tx) error {
		id, err := tx.InsertImage(ctx, b.repo.ID, registry.Image{
			Digest: digestOf(name), MediaType: oci.MediaTypeOCIManifest, ArtifactType: deployment.ArtifactType, Subject: r.Image.Digest,
			Annotations: r.Annotations(), PushedAt: b.now, Manifest: []byte(name),
		}, registry.References{})
		if err != nil {
			return err
		}
		return tx.SetTag(ctx, b.repo.ID, r.Tag(), id, b.now)
	})
	return name
}

// TestApplySparesWhatIsDeployed, of each application in each environment the newest two and all that belongs to them, and
// takes everything else.
func TestApplySparesWhatIsDeployed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		all := []string{"v1", "v2", "v3", "v4", "v5", "child", "index", "signature", "of-v2", "new"}
		for i, v := range all[:5] {
			b.image(v, 90-i, v)
		}
		b.image("child", 80)
		b.imageWith("index", 80, "", []string{"child"}, "multi")
		b.imageWith("signature", 80, "index", nil)
		b.imageWith("of-v2", 80, "v2", nil)
		b.image("new", 1, "new")
		first := b.deploy("v1", "prod", "web", "", deployment.Succeeded)
		second := b.deploy("v2", "prod", "web", first, deployment.Succeeded)
		failed := b.deploy("v3", "prod", "web", second, deployment.Failed)
		last := b.deploy("v4", "prod", "web", failed, deployment.Succeeded)
		api := b.deploy("index", "staging", "api", "", deployment.Succeeded)
		all = append(all, first, second, failed, last, api)
		b.put(document(rule(1, "any", count1, expire)))
		if n := b.apply(b.Service); n != 1 {
			t.Errorf("the policy was carried out %d times", n)
		}
		b.wantThere("after the policy", all, "v2", "of-v2", "v4", "child", "index", "signature", "new", second, failed, last, api)

		if err := b.registry.DeleteImage(t.Context(), root, repo, oci.Reference{Tag: "deploy-prod-web"}); err != nil {
			t.Fatal(err)
		}
		b.hand()
		b.now = b.now.AddDate(0, 0, 1)
		b.apply(b.Service)
		b.wantThere("without the deploy tag", all, "child", "index", "signature", "new", api, failed) // which counts for nothing
	})
}

// TestPreviewSparesWhatIsDeployed: the preview promises what is done.
func TestPreviewSparesWhatIsDeployed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.image("v1", 3, "v1")
		b.image("v2", 2, "v2")
		b.image("v3", 1, "v3")
		b.deploy("v1", "prod", "web", "", deployment.Succeeded)
		b.put(document(rule(1, "any", count1, expire)))
		if _, err := b.StartPreview(t.Context(), root, repo, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := b.PreviewOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := b.Preview(t.Context(), root, repo, lifecycle.PreviewQuery{})
		if err != nil || len(page.Results) != 1 || page.Results[0].Digest != digestOf("v2") {
			t.Errorf("the preview is %+v, %v, want v2 alone", page, err)
		}
	})
}
