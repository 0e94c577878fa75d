package shipped_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// fake is an ECR that lists referrers in pages of two, and has no annotations in them unless told.
type fake struct {
	mu        sync.Mutex
	tags      map[string]oci.Digest
	manifests map[oci.Digest][2]string // media type, bytes
	referrers map[oci.Digest][]types.ImageReferrer
	asked     []int // identifiers in each request
	err       error
}

func (f *fake) BatchGetImage(_ context.Context, in *ecr.BatchGetImageInput, _ ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, len(in.ImageIds))
	out := &ecr.BatchGetImageOutput{}
	for _, id := range in.ImageIds {
		d := oci.Digest(aws.ToString(id.ImageDigest))
		if id.ImageTag != nil {
			d = f.tags[*id.ImageTag]
		}
		m, ok := f.manifests[d]
		if !ok {
			out.Failures = append(out.Failures, types.ImageFailure{ImageId: &id, FailureCode: types.ImageFailureCodeImageNotFound})
			continue
		}
		out.Images = append(out.Images, types.Image{
			ImageId: &types.ImageIdentifier{ImageDigest: aws.String(d.String()), ImageTag: id.ImageTag}, ImageManifestMediaType: &m[0], ImageManifest: &m[1],
		})
	}
	return out, f.err
}

func (f *fake) ListImageReferrers(_ context.Context, in *ecr.ListImageReferrersInput, _ ...func(*ecr.Options)) (*ecr.ListImageReferrersOutput, error) {
	all, from := f.referrers[oci.Digest(*in.SubjectId.ImageDigest)], 0
	if in.NextToken != nil {
		if _, err := fmt.Sscan(*in.NextToken, &from); err != nil {
			return nil, err
		}
	}
	out := &ecr.ListImageReferrersOutput{Referrers: all[from:min(from+2, len(all))]}
	if from+2 < len(all) {
		out.NextToken = aws.String(fmt.Sprint(from + 2))
	}
	return out, f.err
}

// put adds a manifest with a tag.
func (f *fake) put(tag, mediaType, text string) oci.Digest {
	d := oci.FromBytes([]byte(text))
	if f.tags == nil {
		f.tags, f.manifests, f.referrers = map[string]oci.Digest{}, map[oci.Digest][2]string{}, map[oci.Digest][]types.ImageReferrer{}
	}
	f.manifests[d] = [2]string{mediaType, text}
	if tag != "" {
		f.tags[tag] = d
	}
	return d
}

const (
	someCommit = "0123456789abcdef0123456789abcdef01234567"
	someKey    = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	config     = `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}`
)

func ociManifest(annotations string) string {
	return `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeOCIManifest + `",` + config + `,"layers":[],"annotations":{` + annotations + `}}`
}

// TestAnnotations: what is not as it should be is not there.
func TestAnnotations(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	long := strings.Repeat("x", 256)
	for name, c := range map[string]struct {
		annotations string
		want        shipped.Image
	}{
		"all": {
			`"vnd.berth.image.app":"web","vnd.berth.image.branch":"feature/ä","vnd.berth.image.inputs":"` + someKey + `","vnd.berth.image.tests":"` + someKey[:32] +
				`","org.opencontainers.image.revision":"` + someCommit + `","org.opencontainers.image.created":"2026-11-26T13:00:00+01:00"`,
			shipped.Image{App: "web", Branch: "feature/ä", Inputs: someKey, Tests: []string{someKey[:32]}, Revision: someCommit, Created: created},
		},
		"none": {"", shipped.Image{}},
		"bad keys and commits": {
			`"vnd.berth.image.inputs":"` + strings.ToUpper(someKey) + `","vnd.berth.image.tests":"abc","org.opencontainers.image.revision":"main","org.opencontainers.image.created":"yesterday"`,
			shipped.Image{},
		},
		"what moves a cursor": {`"vnd.berth.image.app":"we\u001b[2Jb","vnd.berth.image.branch":"ma\nin"`, shipped.Image{}},
		"long":                {`"vnd.berth.image.app":"` + long + `","vnd.berth.image.branch":"` + long[1:] + `"`, shipped.Image{Branch: long[1:]}},
		"spaces at an end":    {`"vnd.berth.image.app":" web"`, shipped.Image{}},
	} {
		f := &fake{}
		c.want.Digest = f.put("t", oci.MediaTypeOCIManifest, ociManifest(c.annotations))
		c.want.MediaType, c.want.Size, c.want.Tags = oci.MediaTypeOCIManifest, 2, []string{"t"}
		found, err := shipped.New(f, "a/b").ByTags(t.Context(), []string{"t"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, found["t"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestByTags: in batches, what is no image left out, Docker's with what is known of it.
func TestByTags(t *testing.T) {
	t.Parallel()
	f := &fake{}
	d := f.put("docker", oci.MediaTypeDockerManifest, `{"schemaVersion":2,"mediaType":"`+oci.MediaTypeDockerManifest+`","config":{"mediaType":"application/vnd.docker.container.image.v1+json",`+
		`"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[],"annotations":{"vnd.berth.image.app":"web"}}`)
	f.put("broken", oci.MediaTypeOCIManifest, `{"schemaVersion":2`)
	tags := []string{"docker", "broken", "docker"}
	for n := range 198 {
		tags = append(tags, fmt.Sprint("none-", n))
	}
	found, err := shipped.New(f, "a/b").ByTags(t.Context(), tags)
	if err != nil || len(found) != 1 {
		t.Fatalf("found %+v: %v", found, err)
	}
	want := shipped.Image{Digest: d, MediaType: oci.MediaTypeDockerManifest, Size: 2, Tags: []string{"docker"}}
	if diff := cmp.Diff(want, found["docker"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if slices.Sort(f.asked); !slices.Equal(f.asked, []int{100, 100}) {
		t.Errorf("asked for %v at a time, want two times 100", f.asked)
	}
	if found, err = shipped.New(f, "a/b").ByTags(t.Context(), nil); err != nil || len(found) != 0 || len(f.asked) != 2 {
		t.Errorf("of no tags: %v, %v", found, err)
	}
}

// TestRecords: of several pages, with annotations in the list or in the manifest, bad ones left out.
func TestRecords(t *testing.T) {
	t.Parallel()
	f := &fake{}
	image := f.put("t", oci.MediaTypeOCIManifest, ociManifest(""))
	first := shipped.Record{
		App: "web", Commit: someCommit, Committed: time.Unix(1_700_000_000, 0).UTC(), Branch: "main", Run: "https://ci.example/7", Actor: "ann",
		Gate: "passed", Written: time.Unix(1_700_000_100, 0).UTC(), After: shipped.After([]string{strings.Repeat("12", 20), strings.Repeat("34", 20)}),
	}
	second := shipped.Record{App: "web", Commit: strings.Repeat("ab", 32), Committed: first.Committed, Written: first.Written.Add(time.Second)}
	refer := func(artifactType string, annotations map[string]string, listed bool) {
		var pairs []string
		for name, value := range annotations {
			pairs = append(pairs, fmt.Sprintf("%q:%q", name, value))
		}
		text := ociManifest(strings.Join(pairs, ","))
		r := types.ImageReferrer{Digest: aws.String(f.put("", oci.MediaTypeOCIManifest, text).String()), ArtifactType: &artifactType}
		if listed {
			r.Annotations = annotations
		}
		f.referrers[image] = append(f.referrers[image], r)
	}
	refer(shipped.RecordType, second.Annotations(), true)
	refer("application/spdx+json", nil, true)
	refer(shipped.RecordType, first.Annotations(), false)
	for name, bad := range map[string]string{
		"vnd.berth.ship.commit": "HEAD", "vnd.berth.ship.app": "", "vnd.berth.ship.committed": "1700000000", shipped.AnnotationCreated: "0001-01-01T00:00:00Z",
	} {
		a := first.Annotations()
		a[name] = bad
		refer(shipped.RecordType, a, true)
	}
	store := shipped.New(f, "a/b")
	got, err := store.Records(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]shipped.Record{first, second}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for code, want := range map[string]error{"RepositoryNotFoundException": shipped.ErrNoRepository, "ImageNotFoundException": nil} {
		f.err = &smithy.GenericAPIError{Code: code, Message: "no"}
		if got, err := store.Records(t.Context(), image); !errors.Is(err, want) || len(got) != 0 {
			t.Errorf("%s: %v, %v", code, got, err)
		}
	}
}

// TestClaim: what is written is what is read.
func TestClaim(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0).UTC()
	claim := shipped.Claim{Tag: "web-latest", Image: oci.FromBytes(nil), Record: shipped.Record{App: "web", Commit: someCommit, Committed: at, Branch: "main", Written: at}}
	got, ok := shipped.ParseClaim(claim.Annotations())
	if diff := cmp.Diff(claim, got); diff != "" || !ok {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
	for name, bad := range map[string]string{"vnd.berth.ship.tag": "not a tag", "vnd.berth.ship.image": "sha256:0", "vnd.berth.ship.commit": ""} {
		a := claim.Annotations()
		a[name] = bad
		if _, ok := shipped.ParseClaim(a); ok {
			t.Errorf("with %s %q it is a claim", name, bad)
		}
	}
}

// TestBoard: all runs of all versions must make the same one.
func TestBoard(t *testing.T) {
	t.Parallel()
	raw, d := shipped.Board("web-latest", time.Date(2026, 11, 26, 23, 59, 59, 0, time.UTC))
	const want = `{"annotations":{"vnd.berth.ship.day":"2026-11-26","vnd.berth.ship.tag":"web-latest"},"artifactType":"application/vnd.berth.board.v1+json",` +
		`"config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","size":2},` +
		`"layers":[{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","size":2}],` +
		`"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}`
	if string(raw) != want || !d.Matches([]byte(want)) {
		t.Errorf("the board is %s, want %s", raw, want)
	}
	if _, next := shipped.Board("web-latest", time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)); next == d {
		t.Error("two days have one board")
	}
}

func TestAfter(t *testing.T) {
	t.Parallel()
	var commits []string
	for n := range 60 {
		commits = append(commits, fmt.Sprintf("%012x%028d", n+1, 0))
	}
	r := shipped.Record{App: "web", Commit: someCommit, Committed: time.Unix(1, 0), Written: time.Unix(2, 0), After: shipped.After(commits)}
	read, ok := shipped.ParseRecord(r.Annotations())
	if !ok || read.After == "" {
		t.Fatalf("what was written is read as %+v", read)
	}
	for n, c := range commits {
		if got := read.IsAfter(c); got != (n < 50) {
			t.Errorf("IsAfter of commit %d: %v", n, got)
		}
	}
	if read.IsAfter("") || (shipped.Record{}).IsAfter(commits[0]) {
		t.Error("a record is after nothing, or one without a history after something")
	}
}
