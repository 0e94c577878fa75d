package ecr_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata") //nolint:gochecknoglobals // a flag

// TestWire holds the bytes of answers, which shell scripts and SDKs in other languages rely on: a story of
// requests, each with the status, the type and the body that came back.
func TestWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const named = `"repositoryName":"hoopstat-haus/prod"`
	arn := `"resourceArn":"arn:aws:ecr:us-east-1:000000000042:repository/hoopstat-haus/prod"`
	config, layer := `{"os":"linux"}`, "hello"
	manifest := fmt.Sprintf("{\n \"schemaVersion\":2,\"mediaType\":%q,\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":%q,\"size\":%d},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":%q,\"size\":%d}],\"annotations\":{\"a\":\"<b> & é\"}}\n",
		oci.MediaTypeOCIManifest, oci.FromBytes([]byte(config)), len(config), oci.FromBytes([]byte(layer)), len(layer))
	image := oci.FromBytes([]byte(manifest)).String()
	s.sizes.Store(image, len(manifest))
	list := s.index(image)
	listDigest := oci.FromBytes([]byte(list)).String()
	referrer := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/x.sbom","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":%d},"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":%d},"annotations":{"a":"b"}}`,
		oci.MediaTypeOCIManifest, oci.FromBytes([]byte(config)), len(config), oci.MediaTypeOCIIndex, listDigest, len(list))
	story := []struct{ name, op, body string }{
		{"create-repository", "CreateRepository", `{` + named + `,"tags":[{"Key":"team","Value":"haus"}],"aMemberOfTomorrow":{"x":[1]}}`},
		{"create-repository-again", "CreateRepository", `{` + named + `}`},
		{"create-repository-bad-name", "CreateRepository", `{"repositoryName":"Bad_Name"}`},
		{"describe-repositories", "DescribeRepositories", `{}`},
		{"describe-repositories-missing", "DescribeRepositories", `{"repositoryNames":["none-such"]}`},
		{"list-tags-for-resource", "ListTagsForResource", `{` + arn + `}`},
		{"untag-resource", "UntagResource", `{` + arn + `,"tagKeys":["team"]}`},
		{"list-tags-for-resource-none", "ListTagsForResource", `{` + arn + `}`},
		{"describe-images-none", "DescribeImages", `{` + named + `}`},
		{"list-images-none", "ListImages", `{` + named + `}`},
		{"put-image-layers-missing", "PutImage", `{` + named + `,"imageManifest":` + strconv.Quote(manifest) + `}`},
		{"", "layer", config},
		{"", "layer", layer},
		{"put-image", "PutImage", `{` + named + `,"imageTag":"v1","imageManifest":` + strconv.Quote(manifest) + `}`},
		{"put-image-again", "PutImage", `{` + named + `,"imageTag":"v1","imageManifest":` + strconv.Quote(manifest) + `}`},
		{"put-image-index", "PutImage", `{` + named + `,"imageManifest":` + strconv.Quote(list) + `}`},
		{"describe-images", "DescribeImages", `{` + named + `}`},
		{"describe-images-page", "DescribeImages", `{` + named + `,"maxResults":1}`},
		{"describe-images-missing", "DescribeImages", `{` + named + `,"imageIds":[{"imageTag":"v9"}]}`},
		{"list-images", "ListImages", `{` + named + `}`},
		{"batch-get-image", "BatchGetImage", `{` + named + `,"imageIds":[{"imageTag":"v1"},{"imageTag":"v9"}]}`},
		{"batch-delete-image-failing", "BatchDeleteImage", `{` + named + `,"imageIds":[{"imageDigest":"` + image + `"},{}]}`},
		{"batch-check-layer-availability", "BatchCheckLayerAvailability", `{` + named + `,"layerDigests":["` + oci.FromBytes([]byte(layer)).String() + `","` + image + `","x"]}`},
		{"get-download-url-missing", "GetDownloadUrlForLayer", `{` + named + `,"layerDigest":"` + image + `"}`},
		{"complete-layer-upload-missing", "CompleteLayerUpload", `{` + named + `,"uploadId":"` + noUpload + `","layerDigests":["` + image + `"]}`},
		{"put-image-referrer", "PutImage", `{` + named + `,"imageManifest":` + strconv.Quote(referrer) + `}`},
		{"list-image-referrers", "ListImageReferrers", `{` + named + `,"subjectId":{"imageDigest":"` + listDigest + `"},"filter":{"artifactTypes":["application/x.sbom"],"artifactStatus":"ANY"}}`},
		{"list-image-referrers-none", "ListImageReferrers", `{` + named + `,"subjectId":{"imageDigest":"` + image + `"}}`},
		{"update-image-storage-class-refused", "UpdateImageStorageClass", `{` + named + `,"imageId":{"imageTag":"v1"},"targetStorageClass":"ARCHIVE"}`},
		{"update-image-storage-class-missing", "UpdateImageStorageClass", `{` + named + `,"imageId":{"imageTag":"v9"},"targetStorageClass":"ARCHIVE"}`},
		{"update-image-storage-class", "UpdateImageStorageClass", `{` + named + `,"imageId":{"imageDigest":"` + listDigest + `"},"targetStorageClass":"ARCHIVE"}`},
		{"batch-get-image-archived", "BatchGetImage", `{` + named + `,"imageIds":[{"imageDigest":"` + listDigest + `"}]}`},
		{"describe-images-archived", "DescribeImages", `{` + named + `,"filter":{"imageStatus":"ARCHIVED"}}`},
		{"update-image-storage-class-back", "UpdateImageStorageClass", `{` + named + `,"imageId":{"imageDigest":"` + listDigest + `"},"targetStorageClass":"STANDARD"}`},
		{"delete-repository-not-empty", "DeleteRepository", `{` + named + `}`},
		{"batch-delete-image", "BatchDeleteImage", `{` + named + `,"imageIds":[{"imageTag":"v1"},{"imageDigest":"` + oci.FromBytes([]byte(list)).String() + `"}]}`},
		{"delete-repository", "DeleteRepository", `{` + named + `,"force":true}`},
		{"describe-registry", "DescribeRegistry", `{}`},
	}
	for _, step := range story {
		if step.op == "layer" {
			s.layer(t, step.body)
			continue
		}
		s.record(t, step.name, step.op, step.body)
	}
}

// record holds the answer to a request to its golden file.
func (s *server) record(t *testing.T, name, op, body string) {
	t.Helper()
	got := s.post(t, s.rootKey, op, body)
	text := fmt.Sprintf("%s %s\n\n%d\nContent-Type: %s\nX-Amzn-Errortype: %s\n\n%s\n\nThe same, indented:\n%s\n",
		op, body, got.status, got.header.Get("Content-Type"), got.header.Get("X-Amzn-Errortype"), got.body, indented(t, got.body))
	if got.header.Get("X-Amzn-Requestid") == "" {
		t.Errorf("%s: the answer has no X-Amzn-Requestid", name)
	}
	golden(t, name, text)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "wire", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if diff := gocmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (-golden +got):\n%s", path, diff)
	}
}

// TestManifestBytesThroughTheWire puts characters that encoders like to rewrite through PutImage and back.
func TestManifestBytesThroughTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	plain := s.manifest(t, `{}`)
	for name, note := range map[string]string{
		"angle brackets":     "<script>&amp;",
		"other alphabets":    "żółć 船 🚢",
		"line separators":    "\u2028\u2029",
		"escapes as written": `\u003c\/\n\"`,
		"tabs and returns":   "\t\r\n",
		"a delete":           "\x7f",
	} {
		manifest := strings.Replace(plain, "<a&b>", strings.ReplaceAll(note, "\r\n", ""), 1) + strings.Repeat("\r\n", strings.Count(note, "\r\n"))
		if name == "tabs and returns" {
			manifest = strings.Replace(plain, "<a&b>", "", 1) + note
		}
		d := s.put(t, manifest, "")
		if want := oci.FromBytes([]byte(manifest)).String(); d != want {
			t.Errorf("PutImage with %s made %s, want %s", name, d, want)
		}
		got := s.get(t, id("", d))
		if diff := gocmp.Diff(manifest, *got.Images[0].ImageManifest); diff != "" {
			t.Errorf("BatchGetImage with %s (-put +got):\n%s", name, diff)
		}
	}
}
