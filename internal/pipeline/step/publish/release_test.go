package publish_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/publish"
)

func record(age int) shipped.Record {
	return shipped.Record{
		App: "web", Commit: fmt.Sprintf("%040x", age), Committed: time.Unix(int64(1_700_000_000+age), 0).UTC(), Branch: "main",
		Run: fmt.Sprintf("https://ci.example/runs/%d", age), Actor: "ann", Gate: "passed",
	}
}

func (p *place) release(t *testing.T, d oci.Digest, age int) publish.Release {
	t.Helper()
	done, err := p.Release(t.Context(), publish.ReleaseInput{Image: d, Record: record(age), Tags: []string{"web-latest"}}, p.task)
	if err != nil {
		t.Fatalf("releasing %d: %v", age, err)
	}
	return done.Tags[0]
}

// TestRelease: one run after the other.
func TestRelease(t *testing.T) {
	p := newPlace(t, types.ImageTagMutabilityMutable)
	one, two := p.push(t, image(t, 100), "web-1"), p.push(t, index(t), "web-2")
	for _, c := range []struct {
		image   oci.Digest
		age     int
		outcome publish.Outcome
		from    oci.Digest
		to      oci.Digest
	}{
		{one, 1, publish.Moved, "", one},
		{one, 1, publish.There, one, one},
		{two, 3, publish.Moved, one, two},
		{one, 2, publish.Stayed, two, two},
		{two, 4, publish.There, two, two}, // the same image for a later commit
		{one, 3, publish.Stayed, two, two},
		{one, 5, publish.Moved, two, one}, // and back, by a later one
		{two, 4, publish.Stayed, one, one},
	} {
		got := p.release(t, c.image, c.age)
		if got.Outcome != c.outcome || got.From != c.from || got.To != c.to || p.named(t, "web-latest") != c.to {
			t.Errorf("releasing %s for %d: %+v, want %+v", c.image, c.age, got, c)
		}
	}
	records, err := p.known.Records(t.Context(), one)
	if err != nil || len(records) != 4 {
		t.Errorf("%d records of the first image, want 4: one for each commit: %v", len(records), err)
	}
	if notes := p.said.kind(progress.Note); !strings.Contains(notes[3].Text, "https://ci.example/runs/3") {
		t.Errorf("what is said of a tag that stayed does not name the run: %q", notes[3].Text)
	}
}

// TestReleaseAfterACrash: a run moved the tag back to an older image and ended before it looked. The next one heals it.
func TestReleaseAfterACrash(t *testing.T) {
	p := newPlace(t, types.ImageTagMutabilityMutable)
	one, two, three := p.push(t, image(t, 100)), p.push(t, image(t, 100)), p.push(t, image(t, 100))
	p.release(t, two, 2)
	p.release(t, three, 3)
	if _, err := p.Retag(t.Context(), publish.RetagInput{Digest: two, Tags: []string{"web-2"}}); err != nil {
		t.Fatal(err)
	}
	p.move(t, "web-latest", two)
	if got := p.release(t, one, 1); got.Outcome != publish.Healed || got.To != three || got.By.Commit != record(3).Commit {
		t.Errorf("releasing an older commit: %+v, want %s", got, three)
	}
	p.move(t, "web-latest", two)
	p.remove(t, three)
	if got := p.release(t, one, 1); got.Outcome != publish.Stayed || got.To != two {
		t.Errorf("releasing when the newest is deleted: %+v, want %s", got, two)
	}
}

// TestReleaseInImmutable: such a tag cannot move, and that is what is said.
func TestReleaseInImmutable(t *testing.T) {
	p := newPlace(t, types.ImageTagMutabilityImmutable)
	one, two := p.push(t, image(t, 100)), p.push(t, image(t, 100))
	p.release(t, one, 1)
	_, err := p.Release(t.Context(), publish.ReleaseInput{Image: two, Record: record(2), Tags: []string{"web-latest"}}, p.task)
	if !errors.Is(err, publish.ErrImmutable) {
		t.Errorf("Release: %v, want %v", err, publish.ErrImmutable)
	}
}

// knows is a clone that has the commits up to its own, as one that was made before the later ones were pushed.
type knows struct{ newest string }

func (k knows) IsAncestor(_ context.Context, older, newer string) (bool, error) {
	if older > k.newest || newer > k.newest {
		return false, fmt.Errorf("%s: %w", newer, publish.ErrUnknown)
	}
	return older <= newer, nil
}

// TestReleasesAtOnce: many runs, each of a commit of its own, at the same time. The newest has the tag in the end.
func TestReleasesAtOnce(t *testing.T) {
	p := newPlace(t, types.ImageTagMutabilityMutable)
	const runs = 8
	var images [runs]oci.Digest
	for n := range images {
		images[n] = p.push(t, image(t, 100), fmt.Sprintf("web-%d", n))
	}
	for round := range 3 {
		var all sync.WaitGroup
		for n, d := range images {
			all.Go(func() {
				in := publish.ReleaseInput{Image: d, Record: record(round*runs + n), Stay: []string{fmt.Sprintf("web-%d", n)}, Tags: []string{"web-latest"}}
				if _, err := p.publisher(knows{in.Record.Commit}).Release(t.Context(), in, p.task); err != nil {
					t.Errorf("round %d, run %d: %v", round, n, err)
				}
			})
		}
		all.Wait()
		if d := p.named(t, "web-latest"); d != images[runs-1] {
			t.Errorf("round %d: the tag names %s, want %s", round, d, images[runs-1])
		}
	}
}

// TestVouched: a claim and a record of a newer commit count only if the tags that its run sets name the image.
func TestVouched(t *testing.T) {
	p := newPlace(t, types.ImageTagMutabilityMutable)
	one, two, bad := p.push(t, image(t, 100), "web-1"), p.push(t, image(t, 100), "web-2"), p.push(t, image(t, 100), "pull-9")
	p.release(t, bad, 9) // somebody claims, and has the tag name his image
	p.release(t, bad, 7) // of which no tag can be made
	p.move(t, "web-latest", one)
	release := func(d oci.Digest, age int) publish.Release {
		done, err := p.Release(t.Context(), publish.ReleaseInput{
			Image: d, Record: record(age), Stay: []string{fmt.Sprintf("web-%d", age)}, Tags: []string{"web-latest"},
			Vouch: func(of shipped.Record) []string {
				var n int
				if _, err := fmt.Sscanf(of.Commit, "%x", &n); err != nil {
					t.Error(err)
				}
				if n == 7 {
					return nil
				}
				return []string{fmt.Sprintf("web-%d", n)}
			},
		}, p.task)
		if err != nil {
			t.Fatal(err)
		}
		return done.Tags[0]
	}
	if got := release(two, 2); got.Outcome != publish.Moved || got.To != two {
		t.Errorf("releasing beside a claim that nobody vouches for: %+v", got)
	}
	if got := release(one, 1); got.Outcome != publish.Stayed || got.To != two {
		t.Errorf("releasing an older commit: %+v", got)
	}
	p.move(t, "web-latest", one)
	if got := release(one, 1); got.Outcome != publish.Healed || got.To != two {
		t.Errorf("releasing an older commit beside a claim that is vouched for: %+v", got)
	}
}
