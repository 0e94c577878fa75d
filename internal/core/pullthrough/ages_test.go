package pullthrough_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestTagsGrowOld is about when the upstream is asked, and how.
func TestTagsGrowOld(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		first := digestOf(t, b.upstream.image("v1"))
		b.pull(here, tagged("v1"))
		b.upstream.forget()

		second := digestOf(t, b.upstream.image("v1"))
		b.pass(24*time.Hour - time.Second)
		if got := b.pull(here, tagged("v1")).Digest; got != first || b.upstream.asked("", there) != 0 {
			t.Errorf("before its time: %s after %d requests, want the stored %s and none", got, b.upstream.asked("", there), first)
		}
		b.pass(time.Second)
		if got := b.pull(here, tagged("v1")).Digest; got != second {
			t.Errorf("after its time: %s, want the new %s", got, second)
		}
		b.upstream.forget()
		b.pass(24 * time.Hour)
		b.pull(here, tagged("v1"))
		b.pull(here, tagged("v1"))
		if head, get := b.upstream.asked("HEAD", there), b.upstream.asked("GET", there); head != 1 || get != 0 {
			t.Errorf("nothing new: %d HEADs and %d GETs, want 1 and none", head, get)
		}
		b.pull(here, oci.Reference{Digest: first})
		if n := b.upstream.asked("GET", there); n != 0 {
			t.Errorf("a digest that is stored was asked for %d times", n)
		}
		history, err := b.registry.TagHistory(t.Context(), root, here, "v1", 10, "")
		if err != nil || len(history.Items) != 2 || history.Items[0].To != second || history.Items[0].Actor != "berth:pull-through" {
			t.Errorf("history: %+v, %v", history.Items, err)
		}

		if _, err := b.SetTTL(t.Context(), root, "up", 0); err != nil {
			t.Fatal(err)
		}
		b.upstream.forget()
		b.pull(here, tagged("v1"))
		b.pull(here, tagged("v1"))
		if n := b.upstream.asked("HEAD", there); n != 2 {
			t.Errorf("with a TTL of 0: %d HEADs for 2 pulls", n)
		}
	})
}

// TestWhatIsPushedHereStays moves no tag that somebody set here, and none of an immutable repository.
func TestWhatIsPushedHereStays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		first := digestOf(t, b.upstream.image("v1"))
		second := b.upstream.image("v2")
		b.pull(here, tagged("v1"))
		manifest := b.pull(here, tagged("v2")).Manifest
		if _, err := b.PutImage(t.Context(), root, registry.Push{Repository: here, Manifest: manifest, Tags: []string{"v1", "mine"}}); err != nil {
			t.Fatalf("retagging: %v", err)
		}
		b.upstream.image("mine")
		b.pass(48 * time.Hour)
		for _, tag := range []string{"v1", "mine"} {
			if got := b.pull(here, tagged(tag)).Digest; got != digestOf(t, second) {
				t.Errorf("%s is %s, want what was pushed here", tag, got)
			}
		}
		if _, err := b.registry.PutTagMutability(t.Context(), root, here, registry.Immutable, nil); err != nil {
			t.Fatal(err)
		}
		b.upstream.image("v2")
		if got := b.pull(here, tagged("v2")).Digest; got != digestOf(t, second) {
			t.Errorf("an immutable tag is %s, want %s as it was (v1 was %s)", got, digestOf(t, second), first)
		}
	})
}

// TestUpstreamInTrouble serves what is stored, says what is wrong otherwise, and leaves the upstream alone as long as
// it asked for.
func TestUpstreamInTrouble(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := digestOf(t, b.upstream.image("v1"))
		b.upstream.image("v2")
		b.pull(here, tagged("v1"))
		answer := func(status int, header ...string) {
			b.upstream.forget()
			b.pass(25 * time.Hour)
			b.upstream.doWrong(func(w http.ResponseWriter, _ *http.Request) bool {
				if len(header) > 0 {
					w.Header().Set(header[0], header[1])
				}
				w.WriteHeader(status)
				return true
			})
		}
		for _, c := range []struct {
			status int
			header []string
			want   fault.Code
		}{
			{http.StatusInternalServerError, nil, fault.UpstreamUnavailable},
			{http.StatusForbidden, nil, fault.UpstreamDenied},
			{http.StatusServiceUnavailable, []string{"Retry-After", "100"}, fault.UpstreamUnavailable},
			{http.StatusTooManyRequests, nil, fault.UpstreamBusy},
			{http.StatusTooManyRequests, []string{"Retry-After", "300"}, fault.UpstreamBusy},
			{http.StatusTooManyRequests, []string{"Retry-After", b.now().Add(5 * 26 * time.Hour).UTC().Format(http.TimeFormat)}, fault.UpstreamBusy},
		} {
			answer(c.status, c.header...)
			if got := b.pull(here, tagged("v1")).Digest; got != img {
				t.Errorf("%d: %s, want the stored %s", c.status, got, img)
			}
			if c.header == nil && c.status != http.StatusTooManyRequests {
				_, err := b.Image(t.Context(), root, here, tagged("v2"))
				wantFault(t, "what is not stored", err, c.want)
			}
		}
		// The last answer asked for a pause of hours; an hour is the longest that is kept.
		b.upstream.doWrong(nil)
		b.upstream.forget()
		_, err := b.Image(t.Context(), root, here, tagged("v2"))
		wantFault(t, "in the pause", err, fault.UpstreamBusy)
		if f, _ := fault.Of(err); f != nil {
			if wait, ok := f.Detail.(fault.Wait); !ok || wait.For <= 0 || wait.For > time.Hour {
				t.Errorf("the pause is %+v, want up to an hour", f.Detail)
			}
		}
		if n := b.upstream.asked("", ""); n != 0 {
			t.Errorf("the upstream was asked %d times in its pause", n)
		}
		b.pass(time.Hour)
		b.pull(here, tagged("v2"))
	})
}

// TestSlowUpstream answers with what is stored while the upstream still thinks.
func TestSlowUpstream(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	b := newBench(t, metadbtest.New(t), u)
	b.rule(pullthrough.Rule{Prefix: "up", Upstream: u.url, Credential: secretARN})
	first := digestOf(t, u.image("v1"))
	b.pull(here, tagged("v1"))
	second := digestOf(t, u.image("v1"))
	b.pass(25 * time.Hour)
	think := make(chan struct{})
	u.doWrong(func(http.ResponseWriter, *http.Request) bool { <-think; return false })
	if got := b.pull(here, tagged("v1")).Digest; got != first {
		t.Errorf("while the upstream thinks: %s, want the stored %s", got, first)
	}
	close(think)
	deadline := time.Now().Add(30 * time.Second)
	for b.pull(here, tagged("v1")).Digest != second {
		if time.Now().After(deadline) {
			t.Fatal("what the upstream said at last was forgotten")
		}
	}
}

// TestReferrersComeAlong asks what refers to an image of the upstream.
func TestReferrersComeAlong(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.upstream.image("v1")
		subject, err := remote.Head(b.upstream.ref("v1"), b.upstream.auth())
		if err != nil {
			t.Fatal(err)
		}
		base, err := random.Image(100, 1)
		if err != nil {
			t.Fatal(err)
		}
		signature, ok := mutate.Subject(base, *subject).(v1.Image)
		if !ok {
			t.Fatal("an image with a subject is no image")
		}
		if err := remote.Write(b.upstream.ref("signature"), signature, b.upstream.auth()); err != nil {
			t.Fatalf("pushing a referrer: %v", err)
		}
		list := func() int {
			t.Helper()
			page, err := b.Referrers(t.Context(), root, here, digestOf(t, img), registry.ReferrerFilter{}, 0, "")
			if err != nil && !errors.Is(err, fault.RepositoryNotFound) {
				t.Fatalf("Referrers: %v", err)
			}
			return len(page.Items)
		}
		if n := list(); n != 0 {
			t.Errorf("%d referrers of what was never pulled", n)
		}
		b.pull(here, tagged("v1"))
		if n := list(); n != 1 {
			t.Errorf("%d referrers, want 1", n)
		}
		b.upstream.forget()
		if n := list(); n != 1 || b.upstream.asked("", there) != 0 {
			t.Errorf("again: %d referrers after %d requests, want 1 after none", n, b.upstream.asked("", there))
		}
	})
}
