package oci_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

const (
	configType = "application/vnd.oci.image.config.v1+json"
	layerType  = "application/vnd.oci.image.layer.v1.tar+gzip"
	dockerV2   = oci.MediaTypeDockerManifest
	ociV1      = oci.MediaTypeOCIManifest
	ociIndex   = oci.MediaTypeOCIIndex
)

// digest makes one that is easy to tell from others.
func digest(c string) oci.Digest { return oci.Digest("sha256:" + strings.Repeat(c, 64)) }

func desc(mediaType, c string, size int) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest(c), size)
}

// image and index make manifests with more members put in front.
func image(more string) string {
	return `{` + more + `"schemaVersion":2,"config":` + desc(configType, "c", 7023) + `,"layers":[` +
		desc(layerType, "1", 32654) + `,` + desc(layerType, "2", 16724) + `]}`
}

func index(more string) string {
	return `{` + more + `"schemaVersion":2,"manifests":[` + desc(ociV1, "a", 7143) + `,` + desc(ociV1, "b", 7682) + `]}`
}

func mediaTypeMember(mt string) string { return fmt.Sprintf(`"mediaType":%q,`, mt) }

func TestParseManifest(t *testing.T) {
	t.Parallel()
	config := oci.Descriptor{MediaType: configType, Digest: digest("c"), Size: 7023}
	layers := []oci.Descriptor{{MediaType: layerType, Digest: digest("1"), Size: 32654}, {MediaType: layerType, Digest: digest("2"), Size: 16724}}
	children := []oci.Descriptor{{MediaType: ociV1, Digest: digest("a"), Size: 7143}, {MediaType: ociV1, Digest: digest("b"), Size: 7682}}
	plain := func(mediaType string) oci.Manifest {
		return oci.Manifest{MediaType: mediaType, ArtifactType: configType, Config: config, Layers: layers}
	}
	subject := oci.Descriptor{MediaType: ociV1, Digest: digest("5"), Size: 5}
	for name, tt := range map[string]struct {
		declared, raw string
		want          oci.Manifest
	}{
		"OCI image":                              {ociV1, image(mediaTypeMember(ociV1)), plain(ociV1)},
		"media type only declared":               {dockerV2, image(""), plain(dockerV2)},
		"media type only in the body":            {"", image(mediaTypeMember(dockerV2)), plain(dockerV2)},
		"no media type, an image by its members": {"", image(""), plain(ociV1)},
		"no media type, an index by its members": {"", index(""), oci.Manifest{MediaType: ociIndex, Children: children}},
		"OCI index":                              {ociIndex, index(mediaTypeMember(ociIndex)), oci.Manifest{MediaType: ociIndex, Children: children}},
		"docker's list": {
			oci.MediaTypeDockerList, index(mediaTypeMember(oci.MediaTypeDockerList)),
			oci.Manifest{MediaType: oci.MediaTypeDockerList, Children: children},
		},
		"empty index": {ociIndex, `{"schemaVersion":2,"manifests":[]}`, oci.Manifest{MediaType: ociIndex, Children: []oci.Descriptor{}}},
		"artifact with subject": {
			ociV1, image(`"artifactType":"application/vnd.example.sbom.v1","annotations":{"org.example/a":"1"},"subject":` + desc(ociV1, "5", 5) + `,`),
			oci.Manifest{
				MediaType: ociV1, ArtifactType: "application/vnd.example.sbom.v1", Config: config, Layers: layers, Subject: subject,
				Annotations: map[string]string{"org.example/a": "1"},
			},
		},
		"index with subject and type": {
			ociIndex, index(`"artifactType":"application/x","subject":` + desc(ociV1, "5", 5) + `,`),
			oci.Manifest{MediaType: ociIndex, ArtifactType: "application/x", Children: children, Subject: subject},
		},
		"members of others, in any shape": {ociV1, image(`"org.example":{"deep":[1e999,{"Digest":1,"digest":2}],"n":null},`), plain(ociV1)},
		"white space around":              {ociV1, " \n\t" + image("") + "\r\n", plain(ociV1)},
		"annotations that differ in case": {
			ociV1, image(`"annotations":{"a":"1","A":"2"},`),
			oci.Manifest{
				MediaType: ociV1, ArtifactType: configType, Config: config, Layers: layers,
				Annotations: map[string]string{"a": "1", "A": "2"},
			},
		},
		"an empty subject is none": {ociV1, image(`"subject":null,`), plain(ociV1)},
		"descriptors with data, platform and urls": {
			ociIndex,
			`{"schemaVersion":2,"manifests":[{"mediaType":"` + ociV1 + `","size":2,"digest":"` + emptyJSONSHA256 + `","data":"e30=",` +
				`"platform":{"os":"linux","architecture":"arm","variant":"v7"},"urls":["https://example.com/x"]}]}`,
			oci.Manifest{MediaType: ociIndex, Children: []oci.Descriptor{
				{MediaType: ociV1, Digest: emptyJSONSHA256, Size: 2, URLs: []string{"https://example.com/x"}},
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := oci.ParseManifest(tt.declared, []byte(tt.raw))
			if err != nil {
				t.Fatalf("ParseManifest(%q, %s): %v", tt.declared, tt.raw, err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("ParseManifest(%q, %s) (-want +got)\n%s", tt.declared, tt.raw, d)
			}
		})
	}
}

func TestParseManifestRefuses(t *testing.T) {
	t.Parallel()
	badDigest := strings.Replace(image(""), digest("1").String(), "sha256:short", 1)
	for name, tt := range map[string]struct {
		declared, raw string
		code          fault.Code
	}{
		"nothing":                  {ociV1, "", fault.ManifestNotJSON},
		"text":                     {ociV1, "hello", fault.ManifestNotJSON},
		"cut short":                {ociV1, image("")[:100], fault.ManifestNotJSON},
		"two documents":            {ociV1, image("") + image(""), fault.ManifestNotJSON},
		"a byte order mark":        {ociV1, "\ufeff" + image(""), fault.ManifestNotJSON},
		"not UTF-8":                {ociV1, image("\"x\":\"\xff\xfe\","), fault.ManifestNotJSON},
		"nested without end":       {ociV1, `{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}", fault.ManifestNotJSON},
		"null":                     {ociV1, "null", fault.ManifestInvalid},
		"an array":                 {ociV1, "[]", fault.ManifestInvalid},
		"a number":                 {ociV1, "2", fault.ManifestInvalid},
		"an empty object":          {ociV1, "{}", fault.ManifestInvalid},
		"layers of another shape":  {ociV1, `{"schemaVersion":2,"layers":"x"}`, fault.ManifestInvalid},
		"annotations with numbers": {ociV1, image(`"annotations":{"a":1},`), fault.ManifestInvalid},
		"schema version 1":         {ociV1, strings.Replace(image(""), `"schemaVersion":2`, `"schemaVersion":1`, 1), fault.ManifestInvalid},
		"no schema version":        {ociV1, strings.Replace(image(""), `"schemaVersion":2,`, ``, 1), fault.ManifestInvalid},
		"docker's schema 1": {
			"application/vnd.docker.distribution.manifest.v1+prettyjws",
			`{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[{"blobSum":"` + emptySHA256 + `"}]}`, fault.ManifestTypeUnsupported,
		},
		"another type":               {"application/json", image(""), fault.ManifestTypeUnsupported},
		"another type in the body":   {"", image(mediaTypeMember("text/plain")), fault.ManifestTypeUnsupported},
		"the types disagree":         {dockerV2, image(mediaTypeMember(ociV1)), fault.ManifestInvalid},
		"an index sent as an image":  {ociV1, index(""), fault.ManifestInvalid},
		"an image sent as an index":  {ociIndex, image(""), fault.ManifestInvalid},
		"both image and index":       {ociV1, image(`"manifests":[],`), fault.ManifestInvalid},
		"both index and image":       {ociIndex, index(`"layers":[],`), fault.ManifestInvalid},
		"an index with a config":     {ociIndex, index(`"config":` + desc(configType, "c", 1) + `,`), fault.ManifestInvalid},
		"an index without manifests": {ociIndex, `{"schemaVersion":2}`, fault.ManifestInvalid},
		"no config":                  {ociV1, `{"schemaVersion":2,"layers":[]}`, fault.ManifestInvalid},
		"a bad layer digest":         {ociV1, badDigest, fault.ManifestInvalid},
		"a bad child digest":         {ociIndex, `{"schemaVersion":2,"manifests":[{"digest":"x"}]}`, fault.ManifestInvalid},
		"a subject without digest":   {ociV1, image(`"subject":{},`), fault.ManifestInvalid},
		"a negative size":            {ociV1, strings.Replace(image(""), "32654", "-1", 1), fault.ManifestInvalid},
		"a size that is no integer":  {ociV1, strings.Replace(image(""), "32654", "1.5", 1), fault.ManifestInvalid},
		"a size past 64 bits":        {ociV1, strings.Replace(image(""), "32654", "99999999999999999999", 1), fault.ManifestInvalid},
		"config twice":               {ociV1, image(`"config":` + desc(configType, "d", 1) + `,`), fault.ManifestInvalid},
		"layers twice, escaped":      {ociV1, image(`"l\u0061yers":[],`), fault.ManifestInvalid},
		"a member in capitals":       {ociV1, image(`"Manifests":[],`), fault.ManifestInvalid},
		"a member with a long s":     {ociV1, image("\"\u017fubject\":" + desc(ociV1, "5", 5) + ","), fault.ManifestInvalid},
		"a digest twice": {
			ociV1, strings.Replace(image(""), `"size":32654`, `"size":32654,"digest":"`+emptySHA256+`"`, 1), fault.ManifestInvalid,
		},
		"a digest in capitals": {
			ociV1, strings.Replace(image(""), `"size":32654`, `"size":32654,"DIGEST":"`+emptySHA256+`"`, 1), fault.ManifestInvalid,
		},
		"an annotation twice":        {ociV1, image(`"annotations":{"a":"1","a":"2"},`), fault.ManifestInvalid},
		"somebody's member twice":    {ociV1, image(`"x":{"y":1,"y":2},`), fault.ManifestInvalid},
		"an artifact type of NUL":    {ociV1, image(`"artifactType":"a\u0000b",`), fault.ManifestInvalid},
		"an artifact type too long":  {ociV1, image(`"artifactType":"` + strings.Repeat("a", 256) + `",`), fault.ManifestInvalid},
		"a config type of NUL":       {ociV1, strings.Replace(image(""), configType, `a\u0000b`, 1), fault.ManifestInvalid},
		"one byte more than allowed": {ociV1, padded(oci.MaxManifestBytes + 1), fault.ManifestTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := oci.ParseManifest(tt.declared, []byte(tt.raw))
			if !errors.Is(err, tt.code) {
				t.Fatalf("ParseManifest: %v; want the fault %q", err, tt.code)
			}
			if d := cmp.Diff(oci.Manifest{}, got); d != "" {
				t.Errorf("a refused manifest came out all the same:\n%s", d)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("the error repeats %d bytes", len(err.Error()))
			}
		})
	}
}

// padded is an image manifest of exactly n bytes.
func padded(n int) string {
	plain := image("")
	return plain + strings.Repeat(" ", n-len(plain))
}

func TestParseManifestTakesTheLargest(t *testing.T) {
	t.Parallel()
	if _, err := oci.ParseManifest(ociV1, []byte(padded(oci.MaxManifestBytes))); err != nil {
		t.Errorf("a manifest of %d bytes: %v", oci.MaxManifestBytes, err)
	}
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	const foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	const nondistributable = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
	m, err := oci.ParseManifest(ociV1, []byte(`{"schemaVersion":2,"config":`+desc(configType, "c", 1)+`,"layers":[`+
		strings.Join([]string{
			desc(layerType, "1", 1), desc(foreign, "2", 1), desc(nondistributable, "3", 1), desc(layerType, "1", 1),
			desc(configType, "c", 1), desc(layerType, "3", 1),
		}, ",")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []oci.Digest
	for _, b := range m.Blobs() {
		got = append(got, b.Digest)
	}
	// The third is needed after all: its second descriptor says that it is an ordinary layer.
	if d := cmp.Diff([]oci.Digest{digest("c"), digest("1"), digest("3")}, got); d != "" {
		t.Errorf("Blobs (-want +got)\n%s", d)
	}
	list, err := oci.ParseManifest(ociIndex, []byte(index("")))
	if err != nil {
		t.Fatal(err)
	}
	if blobs := list.Blobs(); !list.IsIndex() || len(blobs) != 0 {
		t.Errorf("an index has IsIndex %v and blobs %v", list.IsIndex(), blobs)
	}
}

func FuzzParseManifest(f *testing.F) {
	for _, raw := range []string{
		image(""), index(""), image(mediaTypeMember(dockerV2)), index(mediaTypeMember(oci.MediaTypeDockerList)),
		image(`"artifactType":"application/x","subject":` + desc(ociV1, "5", 5) + `,"annotations":{"a":"b"},`),
		image(`"config":{},`), image(`"Config":{},`), `{"schemaVersion":2,"manifests":[]}`, `{"schemaVersion":1,"fsLayers":[]}`, "{}", "[]", "null", "",
		`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + emptyJSONSHA256 + `","size":2,"data":"e30="},"layers":[]}`,
	} {
		f.Add(ociV1, []byte(raw))
		f.Add("", []byte(raw))
	}
	faults := []fault.Code{fault.ManifestInvalid, fault.ManifestNotJSON, fault.ManifestTooLarge, fault.ManifestTypeUnsupported}
	f.Fuzz(func(t *testing.T, declared string, raw []byte) {
		m, err := oci.ParseManifest(declared, raw)
		if err != nil {
			for _, c := range faults {
				if errors.Is(err, c) {
					return
				}
			}
			t.Fatalf("ParseManifest(%q, %q): %v is none of its faults", declared, raw, err)
		}
		if m.IsIndex() != (m.Config.Digest == "") {
			t.Fatalf("ParseManifest(%q, %q) took what is neither or both: %+v", declared, raw, m)
		}
		again, err := oci.ParseManifest(m.MediaType, raw)
		if d := cmp.Diff(m, again); err != nil || d != "" {
			t.Fatalf("read again under its own type: %v\n%s", err, d)
		}
		for _, d := range append(append(m.Blobs(), m.Children...), m.Layers...) {
			if _, err := oci.ParseDigest(d.Digest.String()); err != nil || d.Size < 0 {
				t.Fatalf("ParseManifest(%q, %q) took the descriptor %+v", declared, raw, d)
			}
		}
	})
}

func BenchmarkParseManifest(b *testing.B) {
	many := make([]string, 20_000)
	for i := range many {
		many[i] = desc(layerType, "1", i)
	}
	huge := `{"schemaVersion":2,"config":` + desc(configType, "c", 1) + `,"layers":[` + strings.Join(many, ",") + `]}`
	for name, raw := range map[string]string{"small": image(""), fmt.Sprintf("%dKiB", len(huge)>>10): huge} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := oci.ParseManifest(ociV1, []byte(raw)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
