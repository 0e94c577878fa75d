package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/lifecycle"
)

const (
	keepOne  = `{"rules":[{"rulePriority":1,"description":"one\n is enough","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	byPulls  = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"sinceImagePulled","countUnit":"days","countNumber":1},"action":{"type":"transition","targetStorageClass":"archive"}}]}`
	keepMany = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":100},"action":{"type":"expire"}}]}`
)

// fake is an ECR with images that all but the last expire. It answers in pages of two.
type fake struct {
	images  []types.ImageDetail
	bodies  map[string]string // manifests by digest
	busy    int               // how often a preview is in progress already
	pending int               // how often it is not done
	status  types.LifecyclePolicyPreviewStatus
	text    string // what the preview says it is of; empty: what was asked for
	put     string // the policy in force
	putErr  error
	started *string
	reads   []int // sizes of the batches
}

func (f *fake) StartLifecyclePolicyPreview(_ context.Context, in *ecr.StartLifecyclePolicyPreviewInput, _ ...func(*ecr.Options)) (*ecr.StartLifecyclePolicyPreviewOutput, error) {
	if f.busy--; f.busy >= 0 {
		return nil, &types.LifecyclePolicyPreviewInProgressException{}
	}
	f.started = in.LifecyclePolicyText
	if f.started == nil {
		if f.put == "" {
			return nil, &types.LifecyclePolicyNotFoundException{Message: aws.String("there is none")}
		}
		f.started = &f.put
	}
	return &ecr.StartLifecyclePolicyPreviewOutput{LifecyclePolicyText: f.started, Status: types.LifecyclePolicyPreviewStatusInProgress}, nil
}

func (f *fake) GetLifecyclePolicyPreview(_ context.Context, in *ecr.GetLifecyclePolicyPreviewInput, _ ...func(*ecr.Options)) (*ecr.GetLifecyclePolicyPreviewOutput, error) {
	out := &ecr.GetLifecyclePolicyPreviewOutput{LifecyclePolicyText: f.started, Status: types.LifecyclePolicyPreviewStatusComplete}
	if f.text != "" {
		out.LifecyclePolicyText = &f.text
	}
	if f.pending--; f.pending >= 0 {
		out.Status = types.LifecyclePolicyPreviewStatusInProgress
		return out, nil
	}
	if f.status != "" {
		out.Status = f.status
		return out, nil
	}
	all := f.images[:max(0, len(f.images)-1)]
	from := 0
	if in.NextToken != nil {
		if _, err := fmt.Sscan(*in.NextToken, &from); err != nil {
			return nil, err
		}
	}
	to := min(from+2, len(all))
	for _, img := range all[from:to] {
		out.PreviewResults = append(out.PreviewResults, types.LifecyclePolicyPreviewResult{
			ImageDigest: img.ImageDigest, AppliedRulePriority: aws.Int32(1), Action: &types.LifecyclePolicyRuleAction{Type: types.ImageActionTypeExpire},
		})
	}
	if to < len(all) {
		out.NextToken = aws.String(fmt.Sprint(to))
	}
	return out, nil
}

func (f *fake) DescribeImages(_ context.Context, in *ecr.DescribeImagesInput, _ ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error) {
	if in.Filter == nil || in.Filter.ImageStatus != types.ImageStatusFilterAny {
		return nil, errors.New("archived images are not asked for")
	}
	return &ecr.DescribeImagesOutput{ImageDetails: f.images}, nil
}

func (f *fake) BatchGetImage(_ context.Context, in *ecr.BatchGetImageInput, _ ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error) {
	f.reads = append(f.reads, len(in.ImageIds))
	out := &ecr.BatchGetImageOutput{}
	for _, id := range in.ImageIds {
		body, ok := f.bodies[*id.ImageDigest]
		if !ok {
			out.Failures = append(out.Failures, types.ImageFailure{ImageId: &id, FailureCode: types.ImageFailureCodeImageNotFound})
			continue
		}
		out.Images = append(out.Images, types.Image{ImageId: &id, ImageManifest: &body})
	}
	return out, nil
}

func (f *fake) GetLifecyclePolicy(context.Context, *ecr.GetLifecyclePolicyInput, ...func(*ecr.Options)) (*ecr.GetLifecyclePolicyOutput, error) {
	switch {
	case f.putErr != nil:
		return nil, f.putErr
	case f.put == "":
		return nil, &types.LifecyclePolicyNotFoundException{}
	}
	return &ecr.GetLifecyclePolicyOutput{LifecyclePolicyText: &f.put}, nil
}

// add pushes an image of a layer of that many bytes; all share a configuration of 100.
func (f *fake) add(size int, subject string) string {
	d := oci.FromBytes(fmt.Appendf(nil, "image %d %d", len(f.images), size)).String()
	config, layer := oci.FromBytes([]byte("config")), oci.FromBytes(fmt.Append(nil, size))
	if f.bodies == nil {
		f.bodies = map[string]string{}
	}
	f.bodies[d] = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a/b","digest":%q,"size":100},"layers":[{"mediaType":"a/b","digest":%q,"size":%d}]}`,
		oci.MediaTypeOCIManifest, config, layer, size)
	detail := types.ImageDetail{ImageDigest: &d, ImageSizeInBytes: aws.Int64(int64(size) + 100), ImagePushedAt: aws.Time(time.Unix(int64(len(f.images)), 0))}
	if subject != "" {
		detail.SubjectManifestDigest = &subject
	}
	f.images = append(f.images, detail)
	return d
}

func ask(policy string) lifecycle.Request {
	r := lifecycle.Request{Repository: "a/b", Timeout: time.Minute, Reading: lifecycle.Auto}
	if policy != "" {
		r.Policy = &policy
	}
	return r
}

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{busy: 2, pending: 3}
		first := f.add(1000, "")
		f.add(2000, first)
		odd := f.add(4000, "")
		f.bodies[odd] = `{"schemaVersion":1,"fsLayers":[]}`
		for range 150 {
			f.add(1000, "")
		}
		delete(f.bodies, *f.images[10].ImageDigest) // gone meanwhile
		old := f.add(7, "")
		f.images[len(f.images)-1].ImageStatus = types.ImageStatusArchived
		last := f.add(8000, "")
		p, err := lifecycle.Run(t.Context(), f, ask(keepOne))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(f.reads, []int{100, 54}) {
			t.Errorf("images were read in batches of %v, want 100 and then all but %s", f.reads, old)
		}
		manifests := int64(0)
		for d, body := range f.bodies {
			if d != odd && d != last && d != old {
				manifests += int64(len(body))
			}
		}
		if want := manifests + 1000 + 2000 + 4100; p.Freed != want || p.FreedArchive != 107 {
			t.Errorf("it frees %d and %d in the archive, want %d and 107", p.Freed, p.FreedArchive, want)
		}
		if p.Images != 154 || p.Expiring != 153 || p.Unreadable != 1 || p.Exact() || p.WhyUnread != "" {
			t.Errorf("of %d images %d expire, %d are unreadable, exact %t (%s)", p.Images, p.Expiring, p.Unreadable, p.Exact(), p.WhyUnread)
		}
		if got, want := p.Affected[0].Reason, "any image, all but the newest (one is enough)"; got != want {
			t.Errorf("the first goes because of %q, want %q", got, want)
		}
		if got, want := p.Affected[1].Reason, "goes with "+first[:len("sha256:")+12]+", to which it refers"; got != want {
			t.Errorf("the second goes because of %q, want %q", got, want)
		}
	})
}

// TestReading: reading manifests counts as pulls, which a policy may go by.
func TestReading(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fake    fake
		policy  string
		reading lifecycle.Reading
		why     string // empty: they are read
	}{
		"no policy in force":          {fake{}, keepOne, lifecycle.Auto, ""},
		"the one in force":            {fake{put: keepOne}, "", lifecycle.Auto, ""},
		"another in force":            {fake{put: keepMany}, keepOne, lifecycle.Auto, ""},
		"by pulls":                    {fake{}, byPulls, lifecycle.Auto, "the policy goes by pulls"},
		"by pulls, in force":          {fake{put: byPulls}, "", lifecycle.Auto, "the policy goes by pulls"},
		"another by pulls":            {fake{put: byPulls}, keepOne, lifecycle.Auto, "the policy in force goes by pulls"},
		"another nobody may read":     {fake{putErr: errors.New("not for you")}, keepOne, lifecycle.Auto, "is not known: not for you"},
		"by pulls, read all the same": {fake{put: byPulls}, byPulls, lifecycle.Always, ""},
		"never":                       {fake{}, keepOne, lifecycle.Never, "as was asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := tt.fake
			f.add(10, "")
			f.add(20, "")
			r := ask(tt.policy)
			r.Reading = tt.reading
			p, err := lifecycle.Run(t.Context(), &f, r)
			if err != nil {
				t.Fatal(err)
			}
			if (len(f.reads) == 0) != (tt.why != "") || !strings.HasSuffix(p.WhyUnread, tt.why) || p.Exact() != (tt.why == "") {
				t.Errorf("read in %v because of %q (exact: %t), want %q", f.reads, p.WhyUnread, p.Exact(), tt.why)
			}
		})
	}
}

func TestRunWithoutEffectReadsNothing(t *testing.T) {
	t.Parallel()
	f := &fake{}
	f.add(10, "")
	p, err := lifecycle.Run(t.Context(), f, ask(keepOne))
	if err != nil || p.Images != 1 || len(p.Affected) != 0 || len(f.reads) != 0 || !p.Exact() {
		t.Errorf("of %d images %d go, exact %t, after reading %v: %v", p.Images, len(p.Affected), p.Exact(), f.reads, err)
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fake   fake
		policy string
		want   error
		words  string
	}{
		"no policy":     {fake{}, "", nil, "LifecyclePolicyNotFoundException: there is none"},
		"never done":    {fake{pending: 1e6}, keepOne, lifecycle.ErrNotDone, ""},
		"never started": {fake{busy: 1e6}, keepOne, lifecycle.ErrNotDone, ""},
		"failed":        {fake{status: types.LifecyclePolicyPreviewStatusFailed}, keepOne, nil, "the preview ended as FAILED"},
		"expired":       {fake{status: types.LifecyclePolicyPreviewStatusExpired}, keepOne, nil, "the preview ended as EXPIRED"},
		"overtaken":     {fake{text: keepMany}, keepOne, lifecycle.ErrOvertaken, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, begun := tt.fake, time.Now()
				_, err := lifecycle.Run(t.Context(), &f, ask(tt.policy))
				if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && (err == nil || err.Error() != tt.words) {
					t.Errorf("Run: %v, want %v%s", err, tt.want, tt.words)
				}
				if took := time.Since(begun); took > time.Minute {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// TestSamePolicyInOtherLetters: a server may give back the text as it stores it.
func TestSamePolicyInOtherLetters(t *testing.T) {
	t.Parallel()
	f := &fake{text: keepOne}
	f.add(10, "")
	if _, err := lifecycle.Run(t.Context(), f, ask(strings.ReplaceAll(keepOne, ",", " , "))); err != nil {
		t.Error(err)
	}
}
