package images_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
)

// fake is an ECR that answers in pages of two and without order. What it does not do is a nil call.
type fake struct {
	images.API
	details []types.ImageDetail
	deletes []int // sizes of the batches
}

func (f *fake) DescribeImages(_ context.Context, in *ecr.DescribeImagesInput, _ ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error) {
	var all []types.ImageDetail
	for _, d := range f.details {
		asked := in.ImageIds == nil || slices.ContainsFunc(in.ImageIds, func(id types.ImageIdentifier) bool {
			return aws.ToString(id.ImageDigest) == *d.ImageDigest || slices.Contains(d.ImageTags, aws.ToString(id.ImageTag))
		})
		if asked {
			all = append(all, d)
		}
	}
	if len(all) == 0 && in.ImageIds != nil {
		return nil, &types.ImageNotFoundException{Message: aws.String("there is none")}
	}
	from := 0
	if in.NextToken != nil {
		if _, err := fmt.Sscan(*in.NextToken, &from); err != nil {
			return nil, err
		}
	}
	out := &ecr.DescribeImagesOutput{ImageDetails: all[from:min(from+2, len(all))]}
	if from+2 < len(all) {
		out.NextToken = aws.String(fmt.Sprint(from + 2))
	}
	return out, nil
}

func (f *fake) BatchDeleteImage(_ context.Context, in *ecr.BatchDeleteImageInput, _ ...func(*ecr.Options)) (*ecr.BatchDeleteImageOutput, error) {
	f.deletes = append(f.deletes, len(in.ImageIds))
	return &ecr.BatchDeleteImageOutput{Failures: []types.ImageFailure{{
		ImageId: &in.ImageIds[0], FailureCode: types.ImageFailureCodeImageReferencedByManifestList, FailureReason: aws.String("no"),
	}}}, nil
}

func (f *fake) Blob(context.Context, string, oci.Digest, int64) ([]byte, error) {
	return nil, errors.New("there are no blobs")
}

func (f *fake) Referrers(context.Context, string, oci.Digest) ([]v1.Descriptor, error) {
	return nil, errors.New("there are no referrers")
}

// push adds an image; n is also when.
func (f *fake) push(n int, tags ...string) oci.Digest {
	d := oci.FromBytes(fmt.Append(nil, n))
	f.details = append(f.details, types.ImageDetail{
		ImageDigest: aws.String(d.String()), ImageTags: tags, ImagePushedAt: aws.Time(time.Unix(int64(n), 0)),
	})
	return d
}

func client(f *fake) *images.Client {
	return &images.Client{API: f, Distribution: f, Repository: "a/b"}
}

func TestListAndSelect(t *testing.T) {
	t.Parallel()
	f := &fake{}
	f.push(3, "web-1")
	f.push(1, "web-2", "api-2")
	f.push(5)
	f.push(2, "web-admin-3")
	f.push(4, "api-4")
	all, err := client(f).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	web := func(tag string) bool { return strings.HasPrefix(tag, "web-") }
	for _, tt := range []struct {
		filter images.Filter
		want   []int64
	}{
		{images.Filter{}, []int64{5, 4, 3, 2, 1}},
		{images.Filter{Limit: 2}, []int64{5, 4}},
		{images.Filter{Untagged: true}, []int64{5}},
		{images.Filter{Tag: "api-*"}, []int64{4, 1}},
		{images.Filter{App: web}, []int64{3, 2, 1}},
		{images.Filter{App: web, Tag: "*-[12]"}, []int64{3, 1}},
		{images.Filter{App: web, Limit: 1}, []int64{3}},
		{images.Filter{Tag: "api-2", App: web}, nil}, // no one tag is both
	} {
		var got []int64
		for _, i := range tt.filter.Select(all) {
			got = append(got, i.PushedAt.Unix())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Select(%+v) (-want +got):\n%s", tt.filter, diff)
		}
	}
	about := []images.Image{
		{ArtifactType: "application/vnd.oci.image.config.v1+json", Size: 1},
		{ArtifactType: "application/vnd.in-toto+json", Size: 2},
		{ArtifactType: "application/vnd.in-toto+json", Tags: []string{"a"}, Size: 3},
		{Subject: "sha256:a", Size: 4},
		{Size: 5},
	}
	var sizes []int64
	for _, i := range (images.Filter{Runnable: true}).Select(about) {
		sizes = append(sizes, i.Size)
	}
	if diff := cmp.Diff([]int64{1, 3, 5}, sizes); diff != "" {
		t.Errorf("without what is about images (-want +got):\n%s", diff)
	}
	if err := (images.Filter{Tag: "["}).Check(); err == nil {
		t.Error("[ passes for a pattern")
	}
}

func TestPlanRemoval(t *testing.T) {
	t.Parallel()
	f := &fake{}
	one, two := f.push(1, "a", "b"), f.push(2, "c")
	plan, err := client(f).PlanRemoval(t.Context(), []string{"a", "a", two.String()[:20]})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan) != 2 || plan[0].Goes() || plan[0].Image.Digest != one || !plan[1].Goes() || plan[1].Image.Digest != two || plan[1].NotKnown == nil {
		t.Errorf("the plan is %+v", plan)
	}
	failed, err := client(f).Remove(t.Context(), plan)
	if err != nil || len(failed) != 1 || !plan[0].Failed(failed[0]) || plan[1].Failed(failed[0]) {
		t.Errorf("Remove: %+v, %v, want a failure of the first", failed, err)
	}
	if plan, err = client(f).PlanRemoval(t.Context(), []string{"a", "b"}); err != nil || len(plan) != 1 || !plan[0].Goes() {
		t.Errorf("with both of its tags an image stays: %+v, %v", plan, err)
	}
	if plan, err = client(f).PlanRemoval(t.Context(), []string{one.String(), "a"}); err != nil || len(plan) != 1 || !plan[0].Goes() || len(plan[0].Tags) != 2 {
		t.Errorf("by digest and tag an image stays: %+v, %v", plan, err)
	}
	var many []string
	for n := range 250 {
		many = append(many, f.push(n+10, fmt.Sprint("t", n)).String())
	}
	if plan, err = client(f).PlanRemoval(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	f.deletes = nil
	if _, err := client(f).Remove(t.Context(), plan); err != nil || !slices.Equal(f.deletes, []int{100, 100, 50}) {
		t.Errorf("250 images are deleted in batches of %v: %v", f.deletes, err)
	}
	for _, name := range []string{"none", "sha256:000000", "-x", "sha256:0"} {
		if plan, err := client(f).PlanRemoval(t.Context(), []string{name}); err == nil {
			t.Errorf("PlanRemoval of %s: %+v", name, plan)
		}
	}
}

func TestParseName(t *testing.T) {
	t.Parallel()
	d := oci.FromBytes(nil).String()
	for name, want := range map[string]string{
		"a/b:v1": "a/b:v1", "aa:v1": "aa:v1", "a/b@" + d: "a/b@" + d,
		"a/b": "", "a/b:": "", "a/b@v1": "", "A:v1": "", "a:b/c": "", "localhost:5080/a:v1": "", "registry.example.com/a:v1": "", "localhost/a:v1": "",
	} {
		got, err := images.ParseName(name)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("ParseName(%q) = %s, %v, want %q", name, got, err, want)
		}
	}
}

func TestInstruction(t *testing.T) {
	t.Parallel()
	for createdBy, want := range map[string]string{
		"":                                 "",
		`/bin/sh -c #(nop)  CMD ["/app"]`:  `CMD ["/app"]`,
		"/bin/sh -c apt-get update":        "RUN apt-get update",
		"RUN /bin/sh -c make # buildkit":   "RUN make",
		"/bin/bash -o pipefail -c make":    "RUN make",
		"COPY . /app # buildkit":           "COPY . /app",
		"|1 TOKEN=hunter2 /bin/sh -c make": "RUN make",
		"RUN |2 A=1 TOKEN=hunter2 /bin/sh -c make # buildkit": "RUN make",
		"RUN |1 TOKEN=hunter2 make":                           "RUN (a command with build arguments)",
		"bazel build ...":                                     "bazel build ...",
	} {
		if got := images.Instruction(createdBy); got != want {
			t.Errorf("Instruction(%q) = %q, want %q", createdBy, got, want)
		}
	}
}

func TestKind(t *testing.T) {
	t.Parallel()
	bundle := "application/vnd.dev.sigstore.bundle.v0.3+json"
	for _, tt := range []struct{ artifactType, predicate, want string }{
		{"application/vnd.dev.cosign.artifact.sig.v1+json", "", "signature"},
		{"application/vnd.cncf.notary.signature", "", "signature"},
		{bundle, "https://sigstore.dev/cosign/sign/v1", "signature"},
		{bundle, "https://slsa.dev/provenance/v1", "attestation"},
		{bundle, "https://spdx.dev/Document/v2.3", "sbom"},
		{bundle, "", "signature"},
		{"application/spdx+json", "", "sbom"},
		{"application/vnd.cyclonedx+json", "", "sbom"},
		{"application/vnd.in-toto+json", "", "attestation"},
		{"application/vnd.berth.deployment.v1+json", "", "deployment"},
		{"application/vnd.example", "", ""},
	} {
		annotations := map[string]string{}
		if tt.predicate != "" {
			annotations["dev.sigstore.bundle.predicateType"] = tt.predicate
		}
		if got := images.Kind(tt.artifactType, annotations); got != tt.want {
			t.Errorf("%s of %q is %q, want %q", tt.artifactType, tt.predicate, got, tt.want)
		}
	}
}

func TestParseSBOM(t *testing.T) {
	t.Parallel()
	want := map[string]string{"a": "1, 2", "g/b": "3"}
	spdx := `{"spdxVersion":"SPDX-2.3","packages":[{"name":"a","versionInfo":"2"},{"name":"a","versionInfo":"1"},{"name":"a","versionInfo":"1"},
		{"name":"g/b","versionInfo":"3"},{"name":"img","primaryPackagePurpose":"CONTAINER"},{"name":"f","primaryPackagePurpose":"FILE"}]}`
	cyclone := `{"bomFormat":"CycloneDX","components":[{"name":"a","version":"1"},{"name":"a","version":"2"},{"group":"g","name":"b","version":"3"},{"name":"f","type":"file"}]}`
	for _, text := range []string{spdx, cyclone, `{"_type":"https://in-toto.io/Statement/v1","predicate":` + spdx + `}`} {
		got, err := images.ParseSBOM([]byte(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("parsing %.30s: %v (-want +got):\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"", "{}", `{"predicate":{}}`, "[]"} {
		if got, err := images.ParseSBOM([]byte(text)); err == nil {
			t.Errorf("%q is an SBOM of %v", text, got)
		}
	}
}
