package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// fleet is what is in the guide's repository, and what should become of it.
type fleet struct {
	goes []oci.Digest // what the policy should take
	aged []oci.Digest // untagged images that are to be older than a day
	left int          // untagged images that only an index refers to that goes

	signed map[string]oci.Digest // by tag
}

// fill pushes 25 releases and everything else that CI leaves in a repository.
func (g *cleanup) fill() *fleet {
	g.t.Helper()
	f := &fleet{signed: map[string]oci.Digest{}}
	g.sh.run("cosign", "generate-key-pair", "--output-key-prefix", "own")
	old, base := g.layer(1, 500_001), g.layer(2, 700_003) // what releases up to v12, and all else, build upon
	shared := g.layer(3, 90_007)                          // of v10, and of a platform of v20
	var leftovers []oci.Digest
	for n := 1; n <= 25; n++ {
		tag := fmt.Sprintf("v%d", n)
		below := base
		if n <= 12 {
			below = old
		}
		var d oci.Digest
		switch n {
		case 6: // its platforms are left
			d, _ = g.platforms(tag, g.layer(60, 40_009), g.layer(61, 50_021))
			f.left = 2
		case 10:
			d = g.image(tag, n, below, shared)
		case 20: // its platforms are old and untagged, and stay
			var children []oci.Digest
			d, children = g.platforms(tag, shared, g.layer(62, 60_013))
			f.aged = append(f.aged, children...)
		default:
			d = g.image(tag, n, below, g.layer(uint64(1000+n), 30_000+101*n))
		}
		if n <= 15 {
			f.goes = append(f.goes, d)
		}
	}
	// A release that has a tag of another kind is a release. Applications' tags alone are no releases.
	g.tag("v9", shaTag)
	for n := range 4 {
		g.image(fmt.Sprintf("another-app-%07x", 0xabcdef+n), 200+n, base, g.layer(uint64(200+n), 20_000+7*n))
		leftovers = append(leftovers, g.image(latestTag, 300+n, base, g.layer(uint64(300+n), 25_000+7*n)))
	}
	leftovers = leftovers[:3] // {app}-latest points to the last one, and has left the others
	f.aged = append(f.aged, leftovers[:2]...)
	f.goes = append(f.goes, leftovers[:2]...)
	// Signatures go with what they refer to; those that cosign files under tags are tagged images to this policy.
	for _, tag := range []string{"v5", "v25"} {
		f.signed[tag] = g.resolve(guideRepo, tag)
		referrers := g.sign(tag)
		if f.aged = append(f.aged, referrers...); tag == "v5" {
			f.goes = append(f.goes, referrers...)
		}
	}
	return f
}

// verify has cosign look at the signatures of what stays, and at the tags of what does not.
func (f *fleet) verify(g *cleanup) {
	g.t.Helper()
	image := g.s.Host + "/" + guideRepo + ":v25"
	for _, mode := range [][]string{nil, {"--new-bundle-format=false"}} {
		args := append([]string{"verify", "--key", "own.pub", "--insecure-ignore-tlog"}, mode...)
		verified(g.t, g.sh.run("cosign", append(args, image)...), string(f.signed["v25"]))
	}
	g.resolve(guideRepo, "sha256-"+f.signed["v5"].Hex()+".sig")
	g.gone(guideRepo, shaTag) // v9 is gone with all of its tags
}

func (g *cleanup) layer(seed uint64, size int) oci.Descriptor {
	g.t.Helper()
	return g.c.pushBlob(g.t, guideRepo, noise(seed, size))
}

func (g *cleanup) put(ref, mediaType string, manifest []byte) oci.Digest {
	g.t.Helper()
	d := oci.FromBytes(manifest)
	if ref == "" {
		ref = string(d)
	}
	g.c.must(g.t, http.StatusCreated, http.MethodPut, "/v2/"+guideRepo+"/manifests/"+ref, manifest, "Content-Type", mediaType)
	return d
}

func (g *cleanup) image(tag string, n int, layers ...oci.Descriptor) oci.Digest {
	g.t.Helper()
	config := g.c.pushBlob(g.t, guideRepo, fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{"Env":["N=%d"]}}`, n))
	return g.put(tag, oci.MediaTypeOCIManifest, imageOf(config, layers...))
}

// platforms pushes an image for two platforms, with a layer each.
func (g *cleanup) platforms(tag string, amd, arm oci.Descriptor) (index oci.Digest, children []oci.Digest) {
	g.t.Helper()
	var manifests []map[string]any
	for arch, layer := range map[string]oci.Descriptor{"amd64": amd, "arm64": arm} {
		config := g.c.pushBlob(g.t, guideRepo, fmt.Appendf(nil, `{"architecture":%q,"os":"linux","config":{"Env":["TAG=%s"]}}`, arch, tag))
		m := imageOf(config, layer)
		children = append(children, g.put("", oci.MediaTypeOCIManifest, m))
		manifests = append(manifests, map[string]any{
			"mediaType": oci.MediaTypeOCIManifest, "digest": oci.FromBytes(m), "size": len(m),
			"platform": map[string]string{"os": "linux", "architecture": arch},
		})
	}
	b, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIIndex, "manifests": manifests})
	if err != nil {
		g.t.Fatal(err)
	}
	return g.put(tag, oci.MediaTypeOCIIndex, b), children
}

// tag gives an image another tag.
func (g *cleanup) tag(from, to string) {
	g.t.Helper()
	r := g.c.must(g.t, http.StatusOK, http.MethodGet, "/v2/"+guideRepo+"/manifests/"+from, nil, "Accept", "*/*")
	g.put(to, r.Header.Get("Content-Type"), r.Body)
}

// sign has cosign sign an image as it does by default and under a tag, and gives what refers to the image.
func (g *cleanup) sign(tag string) (referrers []oci.Digest) {
	g.t.Helper()
	d := g.resolve(guideRepo, tag)
	image := g.s.Host + "/" + guideRepo + "@" + string(d)
	for _, mode := range [][]string{nil, {"--new-bundle-format=false"}} {
		args := append([]string{"sign", "--yes", "--key", "own.key", "--tlog-upload=false", "--use-signing-config=false"}, mode...)
		g.sh.run("cosign", append(args, image)...)
	}
	r := g.c.must(g.t, http.StatusOK, http.MethodGet, "/v2/"+guideRepo+"/referrers/"+string(d), nil)
	var index struct{ Manifests []oci.Descriptor }
	if err := json.Unmarshal(r.Body, &index); err != nil || len(index.Manifests) != 1 {
		g.t.Fatalf("what refers to %s: %v, want one signature", tag, r)
	}
	return []oci.Digest{index.Manifests[0].Digest}
}

func (g *cleanup) resolve(repo, tag string) oci.Digest {
	g.t.Helper()
	r := g.c.must(g.t, http.StatusOK, http.MethodHead, "/v2/"+repo+"/manifests/"+tag, nil, "Accept", "*/*")
	return oci.Digest(r.Header.Get("Docker-Content-Digest"))
}

func (g *cleanup) gone(repo, ref string) {
	g.t.Helper()
	r, err := g.c.send(g.t.Context(), http.MethodGet, "/v2/"+repo+"/manifests/"+ref, nil, "Accept", "*/*")
	if err := answered(r, err, http.StatusNotFound); err != nil {
		g.t.Errorf("manifest %s of %s, which is gone: %v", ref, repo, err)
	}
}

// contents is what is in a repository.
type contents map[oci.Digest]content

type content struct {
	tags  []string // in order
	size  int64    // of the manifest
	blobs map[oci.Digest]int64
}

func (c content) tagged(tags ...string) content {
	c.tags = tags
	return c
}

// contentsTags asks which images there are under which tags.
func (g *cleanup) contentsTags(repo string) map[oci.Digest][]string {
	g.t.Helper()
	found := map[oci.Digest][]string{}
	pages := ecr.NewListImagesPaginator(g.s.ECR(), &ecr.ListImagesInput{RepositoryName: &repo})
	for pages.HasMorePages() {
		page, err := pages.NextPage(g.t.Context())
		if err != nil {
			g.t.Fatalf("ListImages(%s): %v", repo, err)
		}
		for _, id := range page.ImageIds {
			d := oci.Digest(aws.ToString(id.ImageDigest))
			if found[d] = append([]string(nil), found[d]...); id.ImageTag != nil {
				found[d] = append(found[d], *id.ImageTag)
				slices.Sort(found[d])
			}
		}
	}
	return found
}

// contents also reads the manifests.
func (g *cleanup) contents(repo string) contents {
	g.t.Helper()
	all := contents{}
	for d, tags := range g.contentsTags(repo) {
		r := g.c.must(g.t, http.StatusOK, http.MethodGet, "/v2/"+repo+"/manifests/"+string(d), nil, "Accept", "*/*")
		m, err := oci.ParseManifest("", r.Body)
		if err != nil {
			g.t.Fatalf("manifest %s of %s: %v", d, repo, err)
		}
		c := content{tags: tags, size: int64(len(r.Body)), blobs: map[oci.Digest]int64{}}
		for _, b := range m.Blobs() {
			c.blobs[b.Digest] = b.Size
		}
		all[d] = c
	}
	return all
}

// whole pulls all images with everything below them.
func (g *cleanup) whole(repo string, all contents) {
	g.t.Helper()
	for d, c := range all {
		if err := g.c.verifyImage(g.t.Context(), repo, d); err != nil {
			g.t.Errorf("%s:%v, which stays: %v", repo, c.tags, err)
		}
	}
}

func (all contents) without(ds []oci.Digest) contents {
	rest := maps.Clone(all)
	for _, d := range ds {
		delete(rest, d)
	}
	return rest
}

func (all contents) tags() map[oci.Digest][]string {
	tags := map[oci.Digest][]string{}
	for d, c := range all {
		tags[d] = c.tags
	}
	return tags
}

// bytes counts what is stored for them, everything once.
func (all contents) bytes() (sum int64) {
	blobs := map[oci.Digest]int64{}
	for _, c := range all {
		sum += c.size
		maps.Copy(blobs, c.blobs)
	}
	for _, size := range blobs {
		sum += size
	}
	return sum
}
