package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
)

var errAway = errors.New("connection refused")

func TestAPushIsReplicatedByTheRulesThatSelectIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		old := b.image(repo, "old", "v0")
		b.hear(b.side) // before there was a rule
		b.create(b.side, "hoopstat-haus-other")
		b.create(b.side, "elsewhere/app")
		c := replicate.Configuration{Rules: []replicate.Rule{
			{Destinations: []replicate.Destination{eu}, Prefixes: []string{"hoopstat-haus/"}},
			{Destinations: []replicate.Destination{eu, ap}, Prefixes: []string{"hoopstat", "team"}},
		}}
		if err := b.service.PutConfiguration(t.Context(), root, c); err != nil {
			t.Fatal(err)
		}
		d := b.image(repo, "new", "v1", "latest")
		other := b.image("hoopstat-haus-other", "other", "v1")
		b.image("elsewhere/app", "third", "v1")
		b.settle()
		b.wantContent(b.eu.side, repo, is("latest", d), is("v1", d))
		b.wantContent(b.ap.side, repo, is("latest", d), is("v1", d))
		b.wantContent(b.ap.side, "hoopstat-haus-other", is("v1", other))
		b.wantContent(b.ap.side, "elsewhere/app")
		b.wantStatus(d, "ap-east-1=COMPLETE, eu-west-1=COMPLETE")
		b.wantStatus(old, "")
		img, err := b.eu.Image(t.Context(), root, repo, oci.Reference{Tag: "v1"})
		if err != nil || !d.Matches(img.Manifest) {
			t.Errorf("the manifest at the destination is %s, %v", img.Manifest, err)
		}
		if img, err := b.StatImage(t.Context(), root, repo, oci.Reference{Digest: d}); err != nil || !img.LastPulledAt.IsZero() {
			t.Errorf("replication counts as a pull: %v, %v", img.LastPulledAt, err)
		}
	})
}

func TestNothingIsLostWhileADestinationIsAway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu, ap})
		b.eu.down = errAway
		first := b.image(repo, "first", "v1")
		b.settle()
		b.wantStatus(first, "ap-east-1=COMPLETE, eu-west-1=IN_PROGRESS")
		var second oci.Digest
		for minute := range 60 {
			b.now = b.now.Add(time.Minute)
			if minute == 30 {
				second = b.image(repo, "second", "v1", "v2")
			}
			b.settle()
		}
		// Each image waits up to ten minutes more each time, so there were few attempts.
		if len(b.failed) > 30 {
			t.Errorf("%d attempts in an hour", len(b.failed))
		}
		b.wantStatus(first, "ap-east-1=COMPLETE, eu-west-1=IN_PROGRESS")
		b.eu.down = nil
		b.now = b.now.Add(10 * time.Minute)
		b.settle()
		b.wantStatus(first, "ap-east-1=COMPLETE, eu-west-1=COMPLETE")
		b.wantStatus(second, "ap-east-1=COMPLETE, eu-west-1=COMPLETE")
		b.wantContent(b.eu.side, repo, first.String(), is("v1", second), is("v2", second))
	})
}

func TestADestinationThatIsAwayDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.eu.down = errAway
		b.rules([]replicate.Destination{eu})
		for _, n := range []string{"a", "b", "c", "d"} {
			b.image(repo, n, n)
		}
		b.settle()
		if len(b.failed) != 1 {
			t.Errorf("%d images were tried at a destination that does not answer, want 1: the others wait with it", len(b.failed))
		}
		b.rules([]replicate.Destination{ap})
		d := b.image(repo, "e", "e")
		b.settle()
		b.wantStatus(d, "ap-east-1=COMPLETE")
	})
}

func TestWhatIsRefusedForGoodHasFailed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		d := b.image(repo, "one", "v1")
		b.eu.refused[d] = &replicate.Refused{Code: "AccessDenied", Message: "no"}
		b.settle()
		b.wantStatus(d, "eu-west-1=FAILED AccessDenied")
		b.now = b.now.Add(24 * time.Hour)
		b.settle()
		if len(b.failed) != 1 {
			t.Errorf("%d attempts at what was refused for good", len(b.failed))
		}
		delete(b.eu.refused, d)
		b.put(repo, b.manifest(repo, "one", ""), "v2")
		b.settle()
		b.wantStatus(d, "eu-west-1=COMPLETE")
		b.wantContent(b.eu.side, repo, is("v2", d)) // v1's time was over
		b.hear(b.side)
		entries, err := b.side.db.Feed().After(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, e := range entries {
			if e.Kind == event.ImageReplicated && e.Repository == repo && e.Digest == d {
				told = append(told, fmt.Sprint(e.Tags, " ", e.Copy.Region, " ", e.Copy.Account, " ", e.Copy.Failed, " ", e.Reason))
			}
		}
		want := []string{"[v1] eu-west-1 " + account + " true AccessDenied", "[v2] eu-west-1 " + account + " false "}
		if !slices.Equal(told, want) {
			t.Errorf("told: %q, want %q", told, want)
		}
	})
}

func TestARuleThatIsGoneSendsNothingMore(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		b.eu.down = errAway
		d := b.image(repo, "one", "v1")
		b.settle()
		b.rules(nil)
		b.eu.down = nil
		b.now = b.now.Add(time.Hour)
		b.settle()
		b.wantStatus(d, "eu-west-1=FAILED "+replicate.CodeNoRule)
		b.wantContent(b.eu.side, repo)
	})
}

func TestAnIndexComesAfterItsImagesAndAReferrerAfterItsSubject(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		// What was there before the rule is not sent for its own sake, but as part of what is.
		one, two := b.image(repo, "one"), b.image(repo, "two")
		subject := b.image(repo, "subject")
		signature := b.put(repo, b.manifest(repo, "signature of one", one))
		b.hear(b.side)
		b.rules([]replicate.Destination{eu})
		list := b.index(repo, []oci.Digest{one, two}, "multi")
		referrer := b.put(repo, b.manifest(repo, "sbom", subject))
		b.put(repo, b.manifest(repo, "one", ""), "prod")
		b.settle()
		b.wantContent(b.eu.side, repo, is("multi", list), is("prod", one), two.String(), subject.String(), referrer.String(), signature.String())
		at := func(d oci.Digest) int { return slices.Index(b.eu.calls, "image "+d.String()) }
		for _, o := range [][2]oci.Digest{{one, list}, {two, list}, {subject, referrer}, {one, signature}} {
			if at(o[0]) < 0 || at(o[0]) > at(o[1]) {
				t.Errorf("image %s was not sent before %s: %v", o[0], o[1], b.eu.calls)
			}
		}
	})
}

func TestLayersThatAreThereAreNotSentAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		b.create(b.side, "team/copy")
		b.image(repo, "one", "v1")
		b.settle()
		b.eu.calls = nil
		d := b.image("team/copy", "one", "v1") // the same layers in another repository: mounted
		b.settle()
		b.wantContent(b.eu.side, "team/copy", is("v1", d))
		if want := []string{"image " + d.String()}; !slices.Equal(b.eu.calls, want) {
			t.Errorf("sent %v, want %v", b.eu.calls, want)
		}
	})
}

func TestReplicationDoesNotChain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		b.eu.service = b.newService(b.eu.side, "eu-west-1", map[replicate.Destination]replicate.Remote{ap: b.ap})
		all := replicate.Configuration{Rules: []replicate.Rule{{Destinations: []replicate.Destination{ap}}}}
		if err := b.eu.service.PutConfiguration(t.Context(), root, all); err != nil {
			t.Fatal(err)
		}
		d := b.image(repo, "one", "v1")
		b.settle()
		own := b.eu.image(repo, "two", "v2")
		b.hear(b.eu.side)
		b.send(b.eu.side)
		b.wantContent(b.eu.side, repo, is("v1", d), is("v2", own))
		b.wantContent(b.ap.side, repo, is("v2", own))
	})
}

func TestAnImmutableTagStaysAndTheImageArrives(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		if _, err := b.eu.CreateRepository(t.Context(), root, registry.NewRepository{Name: repo, Mutability: registry.Immutable}); err != nil {
			t.Fatal(err)
		}
		theirs := b.eu.image(repo, "theirs", "v1")
		d := b.image(repo, "ours", "v1", "v2")
		b.settle()
		b.wantContent(b.eu.side, repo, is("v1", theirs), is("v2", d))
		b.wantStatus(d, "eu-west-1=COMPLETE")
		alone := b.image(repo, "more", "v1")
		b.settle()
		b.wantContent(b.eu.side, repo, is("v1", theirs), is("v2", d), alone.String())
	})
}

func TestThePresentStateIsSent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		b.eu.down = errAway
		old, gone := b.image(repo, "old", "v1", "stays"), b.image(repo, "gone", "x")
		b.settle()
		b.now = b.now.Add(time.Minute)
		newer := b.image(repo, "newer", "v1")
		if _, err := b.DeleteImages(t.Context(), root, repo, []registry.ImageID{{Digest: gone.String()}}); err != nil {
			t.Fatal(err)
		}
		b.eu.down = nil
		b.now = b.now.Add(time.Hour)
		b.settle()
		b.wantContent(b.eu.side, repo, is("stays", old), is("v1", newer))
		if rows, err := b.db.Replications().Rows(t.Context(), repo, gone); err != nil || len(rows) != 0 {
			t.Errorf("the deleted image still has the rows %+v, %v", rows, err)
		}
		// Deletions are not replicated, and take the status with them.
		if _, err := b.DeleteRepository(t.Context(), root, repo, true); err != nil {
			t.Fatal(err)
		}
		b.settle()
		b.wantContent(b.eu.side, repo, is("stays", old), is("v1", newer))
		if rows, err := b.db.Replications().Rows(t.Context(), repo, newer); err != nil || len(rows) != 0 {
			t.Errorf("the deleted repository still has the rows %+v, %v", rows, err)
		}
	})
}

// TestATagThatMovesWhileItIsSent plays the other process that reads the tag late and arrives early.
func TestATagThatMovesWhileItIsSent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		old := b.image(repo, "old", "v1")
		b.hear(b.side)
		another := b.newService(b.side, "us-east-1", map[replicate.Destination]replicate.Remote{eu: b.eu})
		var newer oci.Digest
		b.eu.before = func(img replicate.Image) {
			if img.Digest != old {
				return
			}
			b.eu.before = nil
			newer = b.image(repo, "newer", "v1")
			b.hear(b.side)
			if _, err := another.SendOnce(t.Context()); err != nil {
				t.Error(err)
			}
		}
		b.settle()
		b.wantContent(b.eu.side, repo, old.String(), is("v1", newer))
	})
}

// TestAPushDuringASendIsSentToo has a tag come in for an image that is just being sent.
func TestAPushDuringASendIsSentToo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		d := b.image(repo, "one", "v1")
		b.hear(b.side)
		b.eu.before = func(replicate.Image) {
			b.eu.before = nil
			b.put(repo, b.manifest(repo, "one", ""), "v2")
			b.hear(b.side)
			if more, err := b.service.SendOnce(t.Context()); more || err != nil {
				t.Errorf("an image that is being sent is taken again: %v, %v", more, err)
			}
		}
		b.settle()
		b.wantContent(b.eu.side, repo, is("v1", d), is("v2", d))
		b.wantStatus(d, "eu-west-1=COMPLETE")
	})
}

// TestASenderThatDiedIsFollowed has a sender vanish after the first layer, with its claim.
func TestASenderThatDiedIsFollowed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		d := b.image(repo, "one", "v1")
		b.hear(b.side)
		row, err := b.db.Replications().Claim(t.Context(), b.now, b.now.Add(time.Minute), nil)
		if err != nil {
			t.Fatal(err)
		}
		half := oci.FromBytes([]byte("layer of one"))
		if _, err := b.eu.Prepare(t.Context(), repo, row.Digest, []oci.Digest{half}); err != nil {
			t.Fatal(err)
		}
		if err := b.eu.PutLayer(t.Context(), repo, half, 12, strings.NewReader("layer of one")); err != nil {
			t.Fatal(err)
		}
		b.send(b.side)
		b.wantStatus(d, "eu-west-1=IN_PROGRESS")
		b.now = b.now.Add(time.Minute)
		b.send(b.side)
		b.wantStatus(d, "eu-west-1=COMPLETE")
		if n := len(b.eu.calls); n != 3 { // the half, the other blob, the manifest
			t.Errorf("sent %v, want the layer that was there no second time", b.eu.calls)
		}
	})
}

// TestAServerThatStopsLeavesTheRest cancels a send: nothing is counted against the image.
func TestAServerThatStopsLeavesTheRest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		d := b.image(repo, "one", "v1")
		b.hear(b.side)
		ctx, stop := context.WithCancel(t.Context())
		b.eu.before = func(replicate.Image) {
			stop()
			b.eu.down = ctx.Err()
		}
		if _, err := b.service.SendOnce(ctx); err != nil {
			t.Fatal(err)
		}
		b.eu.before, b.eu.down = nil, nil
		b.send(b.side)
		b.wantStatus(d, "eu-west-1=COMPLETE")
		if len(b.failed) != 0 {
			t.Errorf("a stop was reported as failure: %v", b.failed)
		}
	})
}

func TestWhoMayDoNothingIsRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		nobody := root
		nobody.Root, nobody.ARN = false, "arn:aws:iam::123456789012:user/eve"
		_, status := b.service.Configuration(t.Context(), nobody)
		_, _, image := b.service.ImageStatus(t.Context(), nobody, repo, registry.ImageID{Tag: "v1"})
		for what, err := range map[string]error{
			"Configuration": status, "ImageStatus": image,
			"PutConfiguration": b.service.PutConfiguration(t.Context(), nobody, replicate.Configuration{}),
			"StartBackfill":    second(b.service.StartBackfill(t.Context(), nobody, eu)),
			"StopBackfill":     second(b.service.StopBackfill(t.Context(), nobody, "x")),
			"ListBackfills":    second(b.service.ListBackfills(t.Context(), nobody, 1, "")),
			"BackfillResults":  third(b.service.BackfillResults(t.Context(), nobody, "x", "", 1, "")),
		} {
			if !errors.Is(err, fault.AccessDenied) {
				t.Errorf("%s by a caller who may do nothing: %v", what, err)
			}
		}
	})
}

func TestARestoredImageIsSentWithItsTags(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		d := b.image(repo, "one", "v1", "v2")
		b.hear(b.side)
		b.rules([]replicate.Destination{eu})
		if err := b.service.Handle(t.Context(), event.Event{Kind: event.ImageRestored, Repository: repo, Digest: d}); err != nil {
			t.Fatal(err)
		}
		b.send(b.side)
		b.wantContent(b.eu.side, repo, is("v1", d), is("v2", d))
	})
}

func second[A any](_ A, err error) error { return err }

func third[A, B any](_ A, _ B, err error) error { return err }
