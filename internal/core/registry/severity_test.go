package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// exposures are what is known of images, by digest, and count how often somebody asks.
type exposures struct {
	of    map[oci.Digest]registry.Exposure
	asked int
	err   error
}

func (e *exposures) Exposure(_ context.Context, _ registry.Repository, img registry.Image) (registry.Exposure, error) {
	e.asked++
	return e.of[img.Digest], e.err
}

// eachGated is eachEnforced with findings.
func eachGated(t *testing.T, test func(t *testing.T, b *bench, e *exposures)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		b, e := newBench(t, db), &exposures{of: map[oci.Digest]registry.Exposure{}}
		now := func() time.Time { return b.now }
		directory := identity.NewDirectory(identity.Config{Store: db, Account: account, Now: now})
		service := access.New(access.Config{Store: db.Access(), Directory: directory, Account: account, Region: "us-east-1", Now: now})
		b.Registry = registry.New(registry.Config{
			Store: db, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: now, Access: service, TrashWindow: window, Scanner: true, Exposures: e,
		})
		test(t, b, e)
	})
}

const severities = `,"Resource":"*","Condition":{"%s":{"ecr:ImageScanSeverity":%s}}`

func onSeverity(operator, values string) string {
	return strings.Replace(strings.Replace(severities, "%s", operator, 1), "%s", values, 1)
}

// TestPullsByFindings: each severity with a policy that denies some, and one that allows some.
func TestPullsByFindings(t *testing.T) {
	t.Parallel()
	eachGated(t, func(t *testing.T, b *bench, e *exposures) {
		strict := b.user("strict", allows(`"Action":"ecr:*","Resource":"*"`), denies(`"Action":"ecr:*"`+onSeverity("StringEquals", `["CRITICAL","UNSCANNED"]`)))
		clean := b.user("clean", allows(`"Action":"ecr:*"`+onSeverity("StringEquals", `["NONE","LOW"]`)))
		for name, tt := range map[string]struct {
			known         registry.Exposure
			strict, clean bool
			words         string // of strict's or clean's denial
		}{
			"nothing":        {registry.Exposure{}, true, true, ""},
			"low":            {registry.Exposure{Worst: "LOW", Findings: 2}, true, true, ""},
			"low, undefined": {registry.Exposure{Worst: "LOW", Findings: 2, Undefined: 1}, true, false, "it has 2 findings of severity LOW that no exception covers, and has 1 finding of severity UNDEFINED that no"},
			"high":           {registry.Exposure{Worst: "HIGH", Findings: 1}, true, false, "it has 1 finding of severity HIGH that no exception covers. berth scan tells more; mend"},
			"critical":       {registry.Exposure{Worst: "CRITICAL", Findings: 3}, false, false, "let this image be pulled as it is (ecr:ImageScanSeverity): it has 3 findings of severity CRITICAL"},
			"unscanned":      {registry.Exposure{Unscanned: "its scan has not ended"}, false, false, "without findings, because its scan has not ended. berth scan tells more; wait for its scan"},
			"in part":        {registry.Exposure{Worst: "LOW", Findings: 1, Unscanned: "a layer is too large"}, false, false, "it has 1 finding of severity LOW that no exception covers, and is not known"},
		} {
			img := b.pushNew(name, strings.NewReplacer(" ", "-", ",", "").Replace(name))
			e.of[img.Digest] = tt.known
			id, ref := registry.ImageID{Digest: img.Digest.String()}, oci.Reference{Tag: strings.NewReplacer(" ", "-", ",", "").Replace(name)}
			m, err := oci.ParseManifest("", b.manifestOf(img))
			if err != nil {
				t.Fatal(err)
			}
			for who, want := range map[*identity.Caller]bool{&strict: tt.strict, &clean: tt.clean} {
				pulls := map[string]error{}
				_, pulls["Image"] = b.Image(t.Context(), *who, repo, ref)
				_, pulls["PullImages"] = b.PullImages(t.Context(), *who, repo, []registry.ImageID{id})
				_, pulls["Layer"] = b.Layer(t.Context(), *who, repo, m.Layers[0].Digest)
				_, pulls["ReferencedLayer"] = b.ReferencedLayer(t.Context(), *who, repo, m.Config.Digest)
				for what, err := range pulls {
					wantAllowed(t, what+" of "+name+" by "+who.ARN, err, want)
					if err != nil && what != "Layer" && what != "ReferencedLayer" && !strings.Contains(err.Error(), tt.words) {
						t.Errorf("%s of %s says %q, want %q in it", what, name, err, tt.words)
					}
				}
				_, err := b.StatImage(t.Context(), *who, repo, ref)
				wantAllowed(t, "StatImage of "+name, err, true)
				_, err = b.Referrers(t.Context(), *who, repo, img.Digest, registry.ReferrerFilter{}, 0, "")
				wantAllowed(t, "Referrers of "+name, err, true)
			}
			_, err = b.DescribeImages(t.Context(), strict, repo, []registry.ImageID{id})
			wantAllowed(t, "DescribeImages of "+name, err, true) // it has no such key
			_, err = b.Image(t.Context(), root, repo, ref)
			wantAllowed(t, "root's pull", err, true)
		}
	})
}

// TestFindingsOfOthers: what is no image, and layers that several images have.
func TestFindingsOfOthers(t *testing.T) {
	t.Parallel()
	eachGated(t, func(t *testing.T, b *bench, e *exposures) {
		strict := b.user("strict", allows(`"Action":"ecr:*","Resource":"*"`), denies(`"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]`+onSeverity("StringNotEquals", `"NONE"`)))
		bad := b.push(repo, b.manifest(repo, `{"bad":1}`, "shared", "bad"), "bad").Image
		good := b.push(repo, b.manifest(repo, `{"good":1}`, "shared"), "good").Image
		e.of[bad.Digest] = registry.Exposure{Worst: "HIGH", Findings: 1}
		b.push(repo, b.index(b.manifestOf(bad)), "index")
		artifact := b.layer(repo, "{}")
		artifact.MediaType = "application/vnd.oci.empty.v1+json"
		b.push(repo, b.json(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "artifactType": "a/b", "config": artifact, "layers": []oci.Descriptor{artifact}}), "artifact")
		hiding := map[string]any{}
		hiding["schemaVersion"], hiding["mediaType"] = 2, oci.MediaTypeOCIManifest
		config := b.layer(repo, `{"hiding":1}`)
		config.MediaType = "application/vnd.oci.image.config.v1+json"
		hiding["config"], hiding["layers"] = config, []oci.Descriptor{b.layer(repo, "hidden")}
		hiding["subject"] = oci.Descriptor{MediaType: good.MediaType, Digest: good.Digest, Size: good.ManifestSize}
		b.push(repo, b.json(hiding), "hiding")
		for tag, want := range map[string]bool{"bad": false, "good": true, "index": true, "artifact": true, "hiding": false} {
			_, err := b.Image(t.Context(), strict, repo, oci.Reference{Tag: tag})
			wantAllowed(t, "pull of "+tag, err, want)
		}
		for content, want := range map[string]bool{"shared": true, "bad": false, "hidden": false, "{}": true} {
			_, err := b.Layer(t.Context(), strict, repo, oci.FromBytes([]byte(content)))
			wantAllowed(t, "layer "+content, err, want)
		}
		b.create(registry.NewRepository{Name: other})
		if _, mounted, err := b.MountLayer(t.Context(), strict, other, oci.FromBytes([]byte("bad")), repo); mounted || err != nil {
			t.Errorf("a layer that may not be pulled is mounted: %v, %v", mounted, err)
		}
		b.layer(repo, "alone")
		_, err := b.Layer(t.Context(), strict, repo, oci.FromBytes([]byte("alone")))
		wantAllowed(t, "a layer that no image has", err, false)
		e.of[bad.Digest] = registry.Exposure{}
		_, err = b.Image(t.Context(), strict, repo, oci.Reference{Tag: "bad"})
		wantAllowed(t, "a pull within what is remembered", err, false)
		b.now = b.now.Add(time.Minute)
		_, err = b.Image(t.Context(), strict, repo, oci.Reference{Tag: "bad"})
		wantAllowed(t, "a pull when the findings are gone", err, true)
		b.now = b.now.Add(time.Minute)
		e.err = errors.New("no disk")
		if _, err := b.Image(t.Context(), strict, repo, oci.Reference{Tag: "good"}); !errors.Is(err, e.err) {
			t.Errorf("a pull when nobody knows: %v", err)
		}
		if _, err := b.Layer(t.Context(), strict, repo, oci.FromBytes([]byte("shared"))); !errors.Is(err, e.err) {
			t.Errorf("a layer when nobody knows: %v", err)
		}
	})
}

// TestFindingsCostNothing where no policy asks for them.
func TestFindingsCostNothing(t *testing.T) {
	t.Parallel()
	eachGated(t, func(t *testing.T, b *bench, e *exposures) {
		img := b.pushNew("a", "v1")
		plain := b.user("plain", allows(`"Action":"ecr:*","Resource":"*"`))
		for range 3 {
			if _, err := b.Image(t.Context(), plain, repo, oci.Reference{Tag: "v1"}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Layer(t.Context(), plain, repo, oci.FromBytes([]byte("layer of a"))); err != nil {
				t.Fatal(err)
			}
		}
		if e.asked != 0 {
			t.Errorf("findings of %s were asked for %d times", img.Digest, e.asked)
		}
	})
}

// TestFindingsOfUncommonImages: types of configurations that clients run nonetheless are no way around a policy.
func TestFindingsOfUncommonImages(t *testing.T) {
	t.Parallel()
	eachGated(t, func(t *testing.T, b *bench, _ *exposures) {
		strict := b.user("strict", allows(`"Action":"ecr:*","Resource":"*"`), denies(`"Action":"ecr:BatchGetImage"`+onSeverity("StringEquals", `["CRITICAL","UNSCANNED"]`)))
		push := func(mediaType, configType, tag string) {
			config := b.layer(repo, `{"of":"`+tag+`"}`)
			config.MediaType = configType
			layer := b.layer(repo, "content of "+tag)
			layer.MediaType = "application/vnd.docker.image.rootfs.diff.tar.gzip"
			b.push(repo, b.json(map[string]any{"schemaVersion": 2, "mediaType": mediaType, "config": config, "layers": []oci.Descriptor{layer}}), tag)
		}
		for tag, tt := range map[string]struct {
			mediaType, config string
			want              bool
		}{
			"octets":       {oci.MediaTypeDockerManifest, "application/octet-stream", false},
			"json":         {oci.MediaTypeOCIManifest, "application/json", false},
			"html":         {oci.MediaTypeOCIManifest, "text/html", false},
			"docker-other": {oci.MediaTypeDockerManifest, "application/vnd.example.config.v1+json", false},
			"chart":        {oci.MediaTypeOCIManifest, "application/vnd.cncf.helm.config.v1+json", true},
		} {
			push(tt.mediaType, tt.config, tag)
			_, err := b.Image(t.Context(), strict, repo, oci.Reference{Tag: tag})
			wantAllowed(t, "pull of "+tag, err, tt.want)
		}
	})
}

// moving moves a tag while somebody asks what is known of the image that it points to.
type moving struct {
	*exposures
	move func()
}

func (m *moving) Exposure(ctx context.Context, repo registry.Repository, img registry.Image) (registry.Exposure, error) {
	m.move()
	return m.exposures.Exposure(ctx, repo, img)
}

// TestFindingsOfMovedTags: what is pulled is what was decided about, though its tag has moved in between.
func TestFindingsOfMovedTags(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		b, e := newBench(t, db), &moving{exposures: &exposures{of: map[oci.Digest]registry.Exposure{}}, move: func() {}}
		now := func() time.Time { return b.now }
		directory := identity.NewDirectory(identity.Config{Store: db, Account: account, Now: now})
		service := access.New(access.Config{Store: db.Access(), Directory: directory, Account: account, Region: "us-east-1", Now: now})
		b.Registry = registry.New(registry.Config{
			Store: db, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: now, Access: service, TrashWindow: window, Scanner: true, Exposures: e,
		})
		strict := b.user("strict", allows(`"Action":"ecr:*","Resource":"*"`), denies(`"Action":"ecr:BatchGetImage"`+onSeverity("StringNotEquals", `"NONE"`)))
		bad, good := b.pushNew("bad", "bad"), b.pushNew("good", "good")
		e.of[bad.Digest] = registry.Exposure{Worst: "CRITICAL", Findings: 1}
		b.push(repo, b.manifestOf(good), "latest")
		e.move = func() { b.push(repo, b.manifestOf(bad), "latest") }
		img, err := b.Image(t.Context(), strict, repo, oci.Reference{Tag: "latest"})
		if err != nil || img.Digest != good.Digest {
			t.Errorf("Image gives %s (%v), and %s was decided about", img.Digest, err, good.Digest)
		}
		b.now = b.now.Add(time.Minute)
		e.move = func() {}
		b.push(repo, b.manifestOf(good), "latest")
		e.move = func() { b.push(repo, b.manifestOf(bad), "latest") }
		images, err := b.PullImages(t.Context(), strict, repo, []registry.ImageID{{Tag: "latest"}})
		if err != nil || len(images) != 1 || images[0].Image.Digest != good.Digest || images[0].ID.Tag != "latest" {
			t.Errorf("PullImages gives another than %s (%v), which was decided about", good.Digest, err)
		}
	})
}
