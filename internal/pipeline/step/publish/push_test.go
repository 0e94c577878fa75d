package publish_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/publish"
)

// TestPush: an image and an index, pushed twice, into repositories of both kinds.
func TestPush(t *testing.T) {
	for _, mutability := range []types.ImageTagMutability{types.ImageTagMutabilityMutable, types.ImageTagMutabilityImmutable} {
		t.Run(string(mutability), func(t *testing.T) {
			p := newPlace(t, mutability)
			for name, built := range map[string]publish.Built{"image": image(t, 100_000), "index": index(t)} {
				for _, again := range []bool{false, true} {
					pushed, err := p.Push(t.Context(), publish.PushInput{Image: built, Tags: []string{name + "-1", name + "-2"}}, p.task)
					if err != nil {
						t.Fatalf("pushing the %s: %v", name, err)
					}
					want := []publish.Set{{Tag: name + "-1", There: again}, {Tag: name + "-2", There: again}}
					if !slices.Equal(pushed.Tags, want) || p.named(t, name+"-2") != pushed.Digest {
						t.Errorf("the tags of the %s are %+v, want %+v, all of %s", name, pushed.Tags, want, pushed.Digest)
					}
				}
				_, err := p.Push(t.Context(), publish.PushInput{Image: image(t, 10), Tags: []string{"free-" + name, name + "-1"}}, p.task)
				if taken, ok := errors.AsType[*publish.TagTaken](err); !ok || taken.Tag != name+"-1" || taken.Raced {
					t.Errorf("other content under a tag that stays: %v", err)
				}
				if d := p.named(t, "free-"+name); d != "" {
					t.Errorf("a push that could not be whole has set a tag to %s", d)
				}
			}
			for _, e := range p.said.kind(progress.Bytes) {
				if e.Done > e.Total || e.Total == 0 {
					t.Errorf("%d of %d bytes", e.Done, e.Total)
				}
			}
			if len(p.said.kind(progress.Bytes)) == 0 {
				t.Error("nothing was said of bytes")
			}
		})
	}
}

// TestByTags reads what was pushed, of many tags at once.
func TestByTags(t *testing.T) {
	p := newPlace(t, types.ImageTagMutabilityMutable)
	one, two := p.push(t, image(t, 100), "a"), p.push(t, index(t), "b")
	var tags []string
	for n := range 999 { // as many as an image may have, with the one
		tags = append(tags, fmt.Sprintf("web-%03d", n))
	}
	if _, err := p.Retag(t.Context(), publish.RetagInput{Digest: one, Tags: tags}); err != nil {
		t.Fatal(err)
	}
	found, err := p.known.ByTags(t.Context(), append(tags, "b", "b", "none", "nor-this"))
	if err != nil || len(found) != 1000 {
		t.Fatalf("%d tags were found, want 1000: %v", len(found), err)
	}
	if img := found["web-007"]; img.Digest != one || img.App != "web" || img.Branch != "main" || img.Inputs != "" || !slices.Equal(img.Tags, tags) {
		t.Errorf("web-007 is %+v", img)
	}
	if img := found["b"]; img.Digest != two || img.Inputs != someKey || img.MediaType != oci.MediaTypeOCIIndex {
		t.Errorf("b is %+v", img)
	}
	if _, err = p.Retag(t.Context(), publish.RetagInput{Digest: one, Tags: []string{"one-more"}}); err == nil || !strings.Contains(err.Error(), "more than 1000 tags") {
		t.Errorf("the tag after the thousandth: %v", err)
	}
	_, err = shipped.New(p.client.ECR, "team/none").ByTags(t.Context(), []string{"a"})
	if !errors.Is(err, shipped.ErrNoRepository) || !strings.Contains(err.Error(), "team/none") {
		t.Errorf("in a repository that is not there: %v", err)
	}
}

// TestRetag: of an image that is there, and of one that is not.
func TestRetag(t *testing.T) {
	p := newPlace(t, types.ImageTagMutabilityImmutable)
	d, other := p.push(t, image(t, 100), "web-1"), p.push(t, image(t, 100), "web-2")
	pushed, err := p.Retag(t.Context(), publish.RetagInput{Digest: d, Tags: []string{"web-1", "web-3"}})
	if err != nil || p.named(t, "web-3") != d || !pushed.Tags[0].There || pushed.Tags[1].There {
		t.Errorf("Retag: %+v, %v", pushed, err)
	}
	_, err = p.Retag(t.Context(), publish.RetagInput{Digest: other, Tags: []string{"web-3"}})
	if taken, ok := errors.AsType[*publish.TagTaken](err); !ok || taken.Has != d || taken.Want != other {
		t.Errorf("a tag that another image has: %v", err)
	}
	if _, err = p.Retag(t.Context(), publish.RetagInput{Digest: oci.FromBytes([]byte("no"))}); !errors.Is(err, publish.ErrNoImage) {
		t.Errorf("an image that is not there: %v", err)
	}
}

// TestManyAtOnce: runs that push other content of one commit at the same time. One has the tag in the end, and only that one's release goes well.
func TestManyAtOnce(t *testing.T) {
	for _, mutability := range []types.ImageTagMutability{types.ImageTagMutabilityMutable, types.ImageTagMutabilityImmutable} {
		t.Run(string(mutability), func(t *testing.T) {
			p := newPlace(t, mutability)
			const runs = 6
			var built [runs]publish.Built
			var digests [runs]oci.Digest
			var errs [runs]error
			for n := range built {
				built[n] = image(t, 1000)
			}
			var all sync.WaitGroup
			for n := range built {
				all.Go(func() {
					pushed, err := p.publisher(knowsAll{}).Push(t.Context(), publish.PushInput{Image: built[n], Tags: []string{"web-1"}}, p.task)
					digests[n], errs[n] = pushed.Digest, err
				})
			}
			all.Wait()
			winner, well := p.named(t, "web-1"), 0
			for n := range built {
				if errs[n] == nil {
					_, errs[n] = p.Release(t.Context(), publish.ReleaseInput{Image: digests[n], Record: record(1), Stay: []string{"web-1"}}, p.task)
				}
				if errs[n] == nil {
					well++
					if digests[n] != winner {
						t.Errorf("the run of %s went well, and the tag names %s", digests[n], winner)
					}
				} else if _, ok := errors.AsType[*publish.TagTaken](errs[n]); !ok {
					t.Errorf("a run failed by %v", errs[n])
				}
			}
			if well != 1 {
				t.Errorf("%d runs went well, want 1", well)
			}
		})
	}
}

// stopping ends its context in the middle of a push: when so many bytes are said.
type stopping struct{ stop context.CancelCauseFunc }

var errStopped = errors.New("stopped by a test")

func (s stopping) Event(e progress.Event) {
	if e.Kind == progress.Bytes {
		s.stop(errStopped)
	}
}

// TestStopped: a push that is stopped leaves no manifest and no tag.
func TestStopped(t *testing.T) {
	p := newPlace(t, types.ImageTagMutabilityMutable)
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	task := &progress.Task{Sink: stopping{stop}, Now: p.task.Now}
	_, err := p.Push(ctx, publish.PushInput{Image: image(t, 8<<20), Tags: []string{"web-1"}}, task)
	if !errors.Is(err, errStopped) {
		t.Errorf("Push: %v, want what stopped it", err)
	}
	out, err := p.client.ECR.ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: aws.String(repository)})
	if err != nil || len(out.ImageIds) != 0 {
		t.Errorf("the repository has %d images: %v", len(out.ImageIds), err)
	}
}

// TestPushAttach: what is attached is there before a tag is, so that nobody finds an image without it.
func TestPushAttach(t *testing.T) {
	p := newPlace(t, types.ImageTagMutabilityMutable)
	broken := errors.New("broken")
	built := image(t, 100)
	var seen []oci.Digest
	for _, fails := range []error{broken, nil} {
		_, err := p.Push(t.Context(), publish.PushInput{Image: built, Tags: []string{"a"}, Attach: func(d oci.Digest) error {
			seen = append(seen, d)
			if _, there, err := p.known.ByDigest(t.Context(), d); err != nil || !there {
				t.Errorf("the image is not there: %v", err)
			}
			if named := p.named(t, "a"); named != "" {
				t.Errorf("the tag is there already, and names %s", named)
			}
			return fails
		}}, p.task)
		if !errors.Is(err, fails) {
			t.Errorf("Push: %v, want %v", err, fails)
		}
	}
	if named := p.named(t, "a"); len(seen) != 2 || named != seen[1] {
		t.Errorf("attached to %v; the tag names %s", seen, named)
	}
}
