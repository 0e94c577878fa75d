package gate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// image is a manifest that no other is like.
func image(n int, layer string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%064d","size":1},"layers":[{"mediaType":%q,"digest":"sha256:%064d","size":1}]}`, n, layer, n)
}

func child(d oci.Digest, mediaType, platform, annotations string) string {
	system, architecture, _ := strings.Cut(platform, "/")
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1,"platform":{"os":%q,"architecture":%q},"annotations":{%s}}`, mediaType, d, system, architecture, annotations)
}

func index(children ...string) string {
	return `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeOCIIndex + `","manifests":[` + strings.Join(children, ",") + `]}`
}

const (
	layer       = "application/vnd.oci.image.layer.v1.tar+gzip"
	attestation = `"vnd.docker.reference.type":"attestation-manifest"`
)

// TestIndex: the images of an index are scanned, at any depth, and what is no attestation is not passed over by saying so.
func TestIndex(t *testing.T) {
	t.Parallel()
	s, _ := newServer()
	amd := s.add(image(1, layer), found("COMPLETE", `"findings":[`+cve("CVE-1", "HIGH", "a")+`,`+cve("CVE-2", "LOW", "b")+`]`))
	arm := s.add(image(2, layer), found("COMPLETE", `"findings":[`+cve("CVE-1", "CRITICAL", "a")+`]`))
	hidden := s.add(image(3, layer), found("COMPLETE", `"findings":[`+cve("CVE-3", "MEDIUM", "c")+`]`))
	real := s.add(image(4, "application/vnd.in-toto+json"))
	deep := s.add(index(child(arm, oci.MediaTypeOCIManifest, "linux/arm64", "")))
	d := s.add(index(child(amd, oci.MediaTypeOCIManifest, "linux/amd64", ""), child(deep, oci.MediaTypeOCIIndex, "linux/arm64", ""),
		child(real, oci.MediaTypeOCIManifest, "unknown/unknown", attestation), child(hidden, oci.MediaTypeOCIManifest, "unknown/unknown", attestation)))
	r, said, err := run(t, s, d, workspace.Gate{})
	var images []string
	for _, i := range r.Images {
		images = append(images, i.Platform+": "+gate.Count(i.Counts))
	}
	if diff := cmp.Diff([]string{"linux/amd64: 1 high, 1 low", "linux/arm64: 1 critical", "unknown/unknown: 1 medium"}, images); diff != "" {
		t.Errorf("%v; images (-want +got):\n%s", err, diff)
	}
	var got []string
	for _, f := range r.Findings {
		got = append(got, fmt.Sprintf("%s %s %s", f.ID, f.Severity, strings.Join(f.Platforms, " ")))
	}
	if diff := cmp.Diff([]string{"CVE-1 critical linux/amd64 linux/arm64", "CVE-3 medium unknown/unknown", "CVE-2 low linux/amd64"}, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if r.Verdict != gate.VerdictStopped || r.Stopping != 1 || !strings.Contains(said.text(), "linux/amd64,linux/arm64") {
		t.Errorf("%s by %d:\n%s", r.Verdict, r.Stopping, said.text())
	}
}

// TestIndexInParts: an index passes if all of its images do.
func TestIndexInParts(t *testing.T) {
	t.Parallel()
	s, _ := newServer()
	amd := s.add(image(1, layer), clean)
	arm := s.add(image(2, layer), status("UNSUPPORTED_IMAGE", ""))
	d := s.add(index(child(amd, oci.MediaTypeOCIManifest, "linux/amd64", ""), child(arm, oci.MediaTypeOCIManifest, "linux/arm64", "")))
	r, _, err := run(t, s, d, workspace.Gate{})
	if r.Verdict != gate.VerdictUnscanned || err == nil || err.Error() != "it was not scanned: linux/arm64: the scanner does not know such images" {
		t.Errorf("%s, %v", r.Verdict, err)
	}
	s.describe[amd] = []string{found("COMPLETE", `"findings":[`+cve("CVE-1", "CRITICAL", "a")+`]`)}
	if r, _, err := run(t, s, d, workspace.Gate{Unscanned: workspace.Pass}); r.Verdict != gate.VerdictStopped || err == nil {
		t.Errorf("with a finding: %s, %v", r.Verdict, err)
	}
	s.describe[amd], s.describe[arm] = []string{clean}, []string{refused("ImageNotFoundException")}
	if r, _, err := run(t, s, d, workspace.Gate{}); err == nil || r.Unscanned() != "linux/arm64: the index names it, and the repository does not have it" {
		t.Errorf("of an image that is not there: %v", err)
	}
	empty := s.add(index())
	if r, _, err := run(t, s, empty, workspace.Gate{}); r.Verdict != gate.VerdictUnscanned || err == nil || err.Error() != "it was not scanned: the index has no images" {
		t.Errorf("an empty index: %s, %v", r.Verdict, err)
	}
}
