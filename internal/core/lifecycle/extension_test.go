package lifecycle_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// filed stores what cosign tags beside an image.
func (b *bench) filed(name string, days int, about string) {
	b.t.Helper()
	b.image(name, days, "sha256-"+digestOf(about).Hex()+".sig")
}

// TestExtensionsAreCarriedOut puts Berth's own members through storage, preview and deed.
func TestExtensionsAreCarriedOut(t *testing.T) {
	t.Parallel()
	text := document(
		extended(rule(1, "tagged", `"tagPatternList":["*-*"],`+count1, expire), `{"countPer":{"tagsUpTo":"last","separator":"-"},"countImagesOnly":true}`),
		extended(rule(2, "any", `"countType":"sinceImagePulled","countUnit":"days","countNumber":30`, expire), `{"expireByPull":true}`))
	each(t, func(t *testing.T, b *bench) {
		all := []string{"a1", "a1-sig", "a2", "a2-sig", "b1", "cache", "idle", "busy"}
		b.image("a1", 9, "app-a-1")
		b.filed("a1-sig", 9, "a1")
		b.image("a2", 8, "app-a-2", "app-a-latest")
		b.filed("a2-sig", 60, "a2")
		b.image("b1", 20, "app-b-1")
		b.cache("cache", 1, "app-a-cache")
		b.image("idle", 31)
		busy := b.image("busy", 90)
		b.pull(busy, 29)
		b.put(text)
		wantSame(t, "Policy", b.policy().Text, text)
		b.start(nil)
		b.previewOnce(b.Service)
		got := map[oci.Digest]int32{}
		for _, r := range b.preview(previewAll).Results {
			got[r.Digest] = r.Rule
		}
		wantSame(t, "the preview's rules", got, map[oci.Digest]int32{digestOf("a1"): 1, digestOf("a1-sig"): 1, digestOf("idle"): 2})
		b.apply(b.Service)
		b.wantThere("after the deed", all, "a2", "a2-sig", "b1", "cache", "busy")
	})
}

// TestExtensionsLookAgain: what was pulled a moment ago stays, and so does what belongs to what stays.
func TestExtensionsLookAgain(t *testing.T) {
	t.Parallel()
	policies := map[string]string{
		"pulled": document(extended(rule(1, "any", `"countType":"sinceImagePulled","countUnit":"days","countNumber":30`, expire), `{"expireByPull":true}`)),
		"tagged": document(extended(rule(1, "any", count1, expire), `{"countImagesOnly":true}`)),
	}
	for name, meddle := range map[string]func(b *bench, img registry.Image){
		"pulled": func(b *bench, img registry.Image) { b.pull(img, 0) },
		"tagged": func(b *bench, img registry.Image) {
			b.update(func(ctx context.Context, tx registry.Tx) error {
				return tx.SetTag(ctx, b.repo.ID, "production", img.ID, b.now)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, b *bench) {
				b.image("older", 50)
				old := b.image("old", 40)
				b.filed("old-sig", 1, "old")
				b.image("new", 1)
				b.put(policies[name])
				m := &meddler{Registry: b.registry, meddle: func() { meddle(b, old) }}
				if more, err := b.with(func(c *lifecycle.Config) { c.Registry = m }).ApplyOnce(t.Context()); err != nil || !more {
					t.Fatalf("ApplyOnce: %v, %v", more, err)
				}
				b.wantThere(name, []string{"older", "old", "old-sig", "new"}, "old", "old-sig", "new")
			})
		})
	}
}

// cache stores what BuildKit makes of its cache.
func (b *bench) cache(name string, days int, tag string) {
	b.t.Helper()
	b.update(func(ctx context.Context, tx registry.Tx) error {
		id, err := tx.InsertImage(ctx, b.repo.ID, registry.Image{
			Digest: digestOf(name), MediaType: oci.MediaTypeOCIManifest, ConfigMediaType: "application/vnd.buildkit.cacheconfig.v0",
			PushedAt: b.now.AddDate(0, 0, -days), Manifest: []byte("manifest of " + name),
		}, registry.References{})
		if err != nil {
			return err
		}
		return tx.SetTag(ctx, b.repo.ID, tag, id, b.now)
	})
}

// pull records that an image was pulled so many days ago.
func (b *bench) pull(img registry.Image, days int) {
	b.t.Helper()
	b.update(func(ctx context.Context, tx registry.Tx) error {
		return tx.RecordPulls(ctx, map[int64]time.Time{img.ID: b.now.AddDate(0, 0, -days)})
	})
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	const manifest, config = oci.MediaTypeOCIManifest, "application/vnd.oci.image.config.v1+json"
	for i, tt := range []struct {
		mediaType, artifactType, configType string
		want                                lifecycle.Kind
	}{
		{manifest, config, config, lifecycle.KindImage},
		{manifest, "", "", lifecycle.KindImage},
		{oci.MediaTypeDockerManifest, "application/vnd.docker.container.image.v1+json", "application/vnd.docker.container.image.v1+json", lifecycle.KindImage},
		{manifest, "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.config.v1+json", lifecycle.KindImage},
		{manifest, "", "application/vnd.buildkit.cacheconfig.v0", lifecycle.KindBuildCache},
		{manifest, "application/vnd.docker.attestation.manifest.v1+json", "application/vnd.oci.empty.v1+json", lifecycle.KindAttestation},
		{manifest, "application/vnd.in-toto+json", "application/vnd.oci.empty.v1+json", lifecycle.KindAttestation},
		{manifest, "application/vnd.dev.cosign.artifact.sig.v1+json", config, lifecycle.KindSignature},
		{manifest, "application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.oci.empty.v1+json", lifecycle.KindSignature},
		{manifest, "application/vnd.berth.deployment.v1+json", "application/vnd.oci.empty.v1+json", lifecycle.KindDeployment},
		{manifest, "application/vnd.cncf.notary.signature", "application/vnd.oci.empty.v1+json", lifecycle.KindSignature},
		{oci.MediaTypeOCIIndex, "", "", lifecycle.KindIndex},
		{oci.MediaTypeDockerList, "application/vnd.in-toto+json", "", lifecycle.KindIndex},
	} {
		if got := lifecycle.KindOf(tt.mediaType, tt.artifactType, tt.configType); got != tt.want {
			t.Errorf("%d: KindOf(%+v) is %q", i, tt, got)
		}
	}
}

// TestSentenceBearsTheLargestNumbers: two thousand million days are more than a time.Duration holds.
func TestSentenceBearsTheLargestNumbers(t *testing.T) {
	t.Parallel()
	v := lifecycle.Verdict{Rule: 1, Reason: lifecycle.Shielded, Ground: lifecycle.Ground{Count: lifecycle.SincePushed, Number: 2147483647, Since: noon.Add(-time.Hour)}}
	const want = "Rule 1 is for what was pushed more than 2147483647 days ago, and this is too young by 2147483646 days 23 hours."
	if got := v.Sentence(noon); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestTheDocumentedPolicy: the example in docs/design/lifecycle.md is accepted.
func TestTheDocumentedPolicy(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/design/lifecycle.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	text, _, ok := strings.Cut(rest, "```")
	if p, err := lifecycle.Parse(text); !ok || err != nil || len(p.Rules) != 2 || p.Rules[0].Berth == nil || p.Rules[1].Berth == nil {
		t.Errorf("the page's policy: %+v (%v)", p, err)
	}
}
