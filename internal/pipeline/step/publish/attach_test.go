package publish_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/publish"
)

func someProvenance() publish.Provenance {
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	return publish.Provenance{
		App: "web", Commit: record(1).Commit, Branch: "main", Repository: "https://x-access-token:ghs_secret@github.com/acme/apps.git",
		Run: "https://bot:hunter2@ci.example/runs/7?token=hunter2", Workflow: "ship.yml", Actor: "ann", Builder: "https://github.com/actions/runner",
		Version: "0.3.0", Tool: "buildx 0.30.1", Started: at, Finished: at.Add(time.Minute),
	}
}

// TestProvenance: once for each run, of an image and of an index, with no secret in it.
func TestProvenance(t *testing.T) {
	p := newPlace(t, types.ImageTagMutabilityMutable)
	for name, d := range map[string]oci.Digest{"image": p.push(t, image(t, 100)), "index": p.push(t, index(t))} {
		first, err := p.AttachProvenance(t.Context(), d, someProvenance())
		if err != nil || first.There {
			t.Fatalf("%s: %+v, %v", name, first, err)
		}
		later := someProvenance()
		later.Finished = later.Finished.Add(time.Hour)
		if again, err := p.AttachProvenance(t.Context(), d, later); err != nil || !again.There || again.Digest != first.Digest {
			t.Errorf("%s, the same run again: %+v, %v", name, again, err)
		}
		later.Run = "https://ci.example/runs/8"
		if other, err := p.AttachProvenance(t.Context(), d, later); err != nil || other.There {
			t.Errorf("%s, another run: %+v, %v", name, other, err)
		}
		found, err := p.client.Referrers(t.Context(), repository, d)
		if err != nil || len(found) != 2 {
			t.Fatalf("%s: %d artifacts, want 2: %v", name, len(found), err)
		}
		i := slices.IndexFunc(found, func(one v1.Descriptor) bool { return one.Digest.String() == first.Digest.String() })
		if found[i].ArtifactType != "application/vnd.in-toto+json" || found[i].Annotations["vnd.berth.provenance.signed"] != "false" {
			t.Errorf("%s: it is listed as %+v", name, found[i])
		}
		text := p.content(t, first.Digest)
		if strings.Contains(text, "secret") || strings.Contains(text, "hunter2") || strings.Contains(found[i].Annotations["vnd.berth.ship.run"], "hunter2") {
			t.Errorf("%s: a secret is in %s", name, text)
		}
		want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"team/apps","digest":{"sha256":"` + d.Hex() + `"}}],` +
			`"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{"buildType":"https://github.com/hoopstat-haus/berth/ship/v1",` +
			`"externalParameters":{"app":"web","branch":"main","repository":"https://github.com/acme/apps.git","workflow":"ship.yml"},` +
			`"internalParameters":{"actor":"ann","tool":"buildx 0.30.1"},"resolvedDependencies":[{"uri":"git+https://github.com/acme/apps.git@refs/heads/main",` +
			`"digest":{"gitCommit":"` + record(1).Commit + `"}}]},"runDetails":{"builder":{"id":"https://github.com/actions/runner","version":{"berth":"0.3.0"}},` +
			`"metadata":{"finishedOn":"2026-11-26T12:01:00Z","invocationId":"https://ci.example/runs/7","startedOn":"2026-11-26T12:00:00Z"}}}}`
		if diff := cmp.Diff(want, text); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := p.AttachProvenance(t.Context(), oci.FromBytes([]byte("no")), someProvenance()); !errors.Is(err, publish.ErrNoImage) {
		t.Errorf("about an image that is not there: %v", err)
	}
}

// TestSBOM: by what it says, and the same one once.
func TestSBOM(t *testing.T) {
	p := newPlace(t, types.ImageTagMutabilityMutable)
	d := p.push(t, image(t, 100))
	spdx := []byte(`{"spdxVersion":"SPDX-2.3","packages":[]}`)
	for n := range 2 {
		got, err := p.AttachSBOM(t.Context(), d, spdx)
		if err != nil || got.There != (n == 1) {
			t.Errorf("time %d: %+v, %v", n, got, err)
		}
		if text := p.content(t, got.Digest); text != string(spdx) {
			t.Errorf("what was attached is %s", text)
		}
	}
	if _, err := p.AttachSBOM(t.Context(), d, []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6"}`)); err != nil {
		t.Error(err)
	}
	found, err := p.known.Attached(t.Context(), d)
	all := map[string]bool{}
	for _, a := range found {
		all[a.Type] = true
	}
	if want := []string{"application/spdx+json", "application/vnd.cyclonedx+json"}; err != nil || len(found) != 2 || !slices.Equal(slices.Sorted(maps.Keys(all)), want) {
		t.Errorf("attached are %+v, want %q: %v", found, want, err)
	}
}

func TestSBOMType(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"spdxVersion":"SPDX-2.3"}`: publish.SPDXType,
		`{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}`: publish.SPDXType,
		`{"bomFormat":"CycloneDX"}`:     publish.CycloneDXType,
		`{"spdxVersion":"2.3"}`:         "",
		`{"bomFormat":"cyclonedx"}`:     "",
		`{}`:                            "",
		`[]`:                            "",
		``:                              "",
		`SPDXVersion: SPDX-2.3`:         "",
		`<bom xmlns="cyclonedx"></bom>`: "",
	} {
		got, err := publish.SBOMType([]byte(text))
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, publish.ErrNoSBOM) {
			t.Errorf("%s is %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := publish.SBOMType(make([]byte, publish.MaxSBOM+1)); err == nil || errors.Is(err, publish.ErrNoSBOM) {
		t.Errorf("one too large: %v", err)
	}
}

func TestPlainURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://github.com/acme/apps":             "https://github.com/acme/apps",
		"https://user:token@github.com/acme/apps":  "https://github.com/acme/apps",
		"https://token@github.com/acme/apps?x=y#z": "https://github.com/acme/apps",
		"git@github.com:acme/apps.git":             "ssh://github.com/acme/apps.git",
		"ssh://git@github.com/acme/apps":           "ssh://github.com/acme/apps",
		"user:token@github.com:acme/apps":          "",
		"user:token@github.com/acme":               "",
		"run 12":                                   "run 12",
		"":                                         "",
		"https://a b@[::1":                         "",
	} {
		if got := publish.PlainURL(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// content reads what an artifact has for content.
func (p *place) content(t *testing.T, artifact oci.Digest) string {
	t.Helper()
	m, there, err := p.known.ByDigest(t.Context(), artifact)
	if err != nil || !there {
		t.Fatal(there, err)
	}
	var manifest struct{ Layers []oci.Descriptor }
	if err := json.Unmarshal([]byte(m.Raw), &manifest); err != nil {
		t.Fatal(err)
	}
	text, err := p.client.Blob(t.Context(), repository, manifest.Layers[0].Digest, publish.MaxSBOM)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
