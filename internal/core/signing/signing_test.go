package signing_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/signing"
)

func TestAPushIsSigned(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.configure(signing.Rule{Profile: release, Filters: []string{"*/prod"}})
		img, elsewhere := b.image(repo, "app", "v1"), b.image(other, "app", "v1")
		index := b.put(registry.Push{Repository: repo, Tags: []string{"multi"}}, map[string]any{
			"manifests": []oci.Descriptor{{MediaType: oci.MediaTypeOCIManifest, Digest: img.Digest, Size: img.ManifestSize}},
		})
		if _, err := b.events.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]signing.State{release: signing.Pending}, b.statuses(repo, img.Digest)); diff != "" {
			t.Errorf("statuses before signing (-want +got):\n%s", diff)
		}
		b.mustWork()
		for _, d := range []oci.Digest{img.Digest, index.Digest} {
			b.signed(repo, d, release)
			if diff := cmp.Diff(map[string]signing.State{release: signing.Done}, b.statuses(repo, d)); diff != "" {
				t.Errorf("statuses after signing (-want +got):\n%s", diff)
			}
			for _, kind := range []string{"application/vnd.dev.cosign.artifact.sig.v1+json", bundleType} {
				if r := b.referrers(repo, d, kind); len(r) != 1 {
					t.Errorf("%s has %d referrers of the type %s, want 1", d, len(r), kind)
				}
			}
		}
		b.unsigned(other, elsewhere.Digest)

		// The signatures' own pushes are events too, and end there.
		b.mustWork()
		for _, r := range b.referrers(repo, img.Digest, "") {
			b.unsigned(repo, r.Digest)
		}
		// Another key verifies nothing.
		b.configure(signing.Rule{Profile: audit})
		if err := b.verify(b.key(audit), repo, img.Digest); err == nil {
			t.Error("another profile's key verifies the signature")
		}
		if err := b.verifyBundle(b.key(audit), repo, img.Digest); err == nil {
			t.Error("another profile's key verifies the bundle")
		}
	})
}

// TestWhatIsNotSigned pushes what a profile signs not.
func TestWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		old := b.image(repo, "old", "v1")
		b.mustWork()
		b.configure(signing.Rule{Profile: release})
		again := b.image(repo, "old", "v2") // there already, with another tag
		subject := oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: old.Digest, Size: old.ManifestSize}
		config := b.layer(repo, "application/vnd.oci.empty.v1+json", "{}")
		sbom := b.put(registry.Push{Repository: repo}, map[string]any{"config": config, "layers": []oci.Descriptor{config}, "subject": subject})
		attestation := b.image(repo, "attestation", strings.Replace(signatureTag(old.Digest), ".sig", ".att", 1))
		for _, d := range []oci.Digest{again.Digest, sbom.Digest, attestation.Digest} {
			b.mustWork()
			if states := b.statuses(repo, d); len(states) > 0 {
				t.Errorf("%s has the statuses %v", d, states)
			}
		}
		if _, err := b.signer.DeleteConfiguration(t.Context(), root); err != nil {
			t.Fatal(err)
		}
		late := b.image(repo, "late", "v3")
		b.mustWork()
		b.unsigned(repo, late.Digest)
	})
}

func TestImagesFromElsewhereAreSigned(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, b *bench) {
		b.configure(signing.Rule{Profile: release})
		for _, source := range []event.Source{event.PullThrough, event.Replication} {
			layer := b.layer(repo, "application/vnd.oci.image.layer.v1.tar", string(source))
			img := b.put(registry.Push{Repository: repo, Source: source}, map[string]any{"config": layer, "layers": []oci.Descriptor{layer}})
			b.mustWork()
			b.signed(repo, img.Digest, release)
		}
	})
}

func TestSeveralProfiles(t *testing.T) {
	t.Parallel()
	for _, mutability := range []registry.Mutability{registry.Mutable, registry.Immutable} {
		t.Run(string(mutability), func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, b *bench) {
				const name = "team/app"
				b.create(name, mutability)
				b.configure(signing.Rule{Profile: release}, signing.Rule{Profile: audit}, signing.Rule{Profile: release, Filters: []string{name}})
				img := b.image(name, "app", "v1")
				b.mustWork()
				b.signed(name, img.Digest, release, audit)
				want := map[string]signing.State{release: signing.Done, audit: signing.Done}
				if diff := cmp.Diff(want, b.statuses(name, img.Digest)); diff != "" {
					t.Errorf("statuses (-want +got):\n%s", diff)
				}
				if r := b.referrers(name, img.Digest, ""); len(r) != 3 { // one of signatures, a bundle for each
					t.Errorf("there are %d referrers, want 3", len(r))
				}
			})
		})
	}
}

// TestSignaturesOfOthers finds something under the signature tag.
func TestSignaturesOfOthers(t *testing.T) {
	t.Parallel()
	const configType = "application/vnd.oci.image.config.v1+json"
	theirs := func(b *bench, repository string) map[string]any { // as cosign 2 writes it: without a subject
		l := b.layer(repository, simpleSigning, `{"critical":{}}`)
		l.Annotations = map[string]string{"dev.cosignproject.cosign/signature": "c2lnbmVk"}
		return map[string]any{"config": b.layer(repository, configType, `{"rootfs":{}}`), "layers": []oci.Descriptor{l}}
	}
	tests := map[string]struct {
		mutability registry.Mutability
		found      func(b *bench, repository string) map[string]any
		extended   bool // theirs stays and ours joins, else the tag stays
	}{
		"cosign's":              {registry.Mutable, theirs, true},
		"cosign's, not movable": {registry.Immutable, theirs, false},
		"another kind of layer": {registry.Mutable, func(b *bench, repository string) map[string]any {
			return map[string]any{"config": b.layer(repository, configType, `{}`), "layers": []oci.Descriptor{b.layer(repository, "text/plain", "mine")}}
		}, false},
		"another kind of config": {registry.Mutable, func(b *bench, repository string) map[string]any {
			m := theirs(b, repository)
			m["config"] = b.layer(repository, "application/vnd.example.config", "{}")
			return m
		}, false},
		"with words of its own": {registry.Mutable, func(b *bench, repository string) map[string]any {
			m := theirs(b, repository)
			m["annotations"] = map[string]string{"note": "do not touch"}
			return m
		}, false},
		"about another image": {registry.Mutable, func(b *bench, repository string) map[string]any {
			m := theirs(b, repository)
			m["subject"] = oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: oci.FromBytes([]byte("x")), Size: 1}
			return m
		}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, b *bench) {
				const name = "team/app"
				b.create(name, tt.mutability)
				b.configure(signing.Rule{Profile: release})
				img := b.image(name, "app", "v1")
				tag := signatureTag(img.Digest)
				before := b.put(registry.Push{Repository: name, Tags: []string{tag}}, tt.found(b, name))
				b.mustWork()
				after, err := b.registry.StatImage(t.Context(), root, name, oci.Reference{Tag: tag})
				if err != nil {
					t.Fatal(err)
				}
				signatures := b.referrers(name, img.Digest, "application/vnd.dev.cosign.artifact.sig.v1+json")
				if len(signatures) != 1 {
					t.Fatalf("there are %d referrers with signatures, want 1", len(signatures))
				}
				if err := b.verifyAt(b.key(release), name, img.Digest, oci.Reference{Digest: signatures[0].Digest}); err != nil {
					t.Errorf("verifying the referrer: %v", err)
				}
				if moved := after.Digest != before.Digest; moved != tt.extended || moved && after.Digest != signatures[0].Digest {
					t.Errorf("the tag pointed to %s and points to %s, our signature is %s", before.Digest, after.Digest, signatures[0].Digest)
				}
				if err := b.verifyBundle(b.key(release), name, img.Digest); err != nil {
					t.Errorf("verifying the bundle: %v", err)
				}
				if m, err := b.manifest(name, oci.Reference{Tag: tag}); tt.extended && (err != nil || len(m.Layers) != 2 || m.Layers[0].Annotations == nil) {
					t.Errorf("the tag's layers are %+v, %v: want theirs, then ours", m.Layers, err)
				}
			})
		})
	}
}

// TestSigningAgainChangesNothing signs, loses the record of it and signs again: what a crash comes to between
// the signature and its row, and what a claim that lapsed too early does.
func TestSigningAgainChangesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		work := &failing{Work: b.db.Signing(), broken: true}
		c := b.config()
		c.Work = work
		b.signer = signing.New(c)
		b.events.Handlers["signing"] = b.signer
		b.configure(signing.Rule{Profile: release}, signing.Rule{Profile: audit})
		img := b.image(repo, "app", "v1")
		if err := b.work(); err == nil {
			t.Fatal("signing succeeds although its outcome could not be stored")
		}
		if diff := cmp.Diff(map[string]signing.State{release: signing.Pending, audit: signing.Pending}, b.statuses(repo, img.Digest)); diff != "" {
			t.Errorf("statuses after the crash (-want +got):\n%s", diff)
		}
		digests := func() (all []oci.Digest) {
			for _, r := range b.referrers(repo, img.Digest, "") {
				all = append(all, r.Digest)
			}
			return all
		}
		before := digests()
		work.broken = false
		if err := b.sign(); err != nil { // the claim has not lapsed: nothing is due
			t.Fatal(err)
		}
		if states := b.statuses(repo, img.Digest); states[release] != signing.Pending {
			t.Errorf("statuses are %v before the claim lapsed", states)
		}
		b.now = b.now.Add(3 * time.Minute)
		b.signer = signing.New(c) // a new process
		if err := b.sign(); err != nil {
			t.Fatal(err)
		}
		b.signed(repo, img.Digest, release, audit)
		if diff := cmp.Diff(before, digests()); diff != "" {
			t.Errorf("the second time left other referrers (-first +second):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]signing.State{release: signing.Done, audit: signing.Done}, b.statuses(repo, img.Digest)); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
}

// TestAnEventTwice hands the same push on twice.
func TestAnEventTwice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.configure(signing.Rule{Profile: release})
		img := b.image(repo, "app", "v1")
		events, err := b.db.Outbox().Claim(t.Context(), b.now, b.now, 10)
		if err != nil {
			t.Fatal(err)
		}
		b.mustWork()
		for _, e := range events {
			if err := b.signer.Handle(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if states := b.statuses(repo, img.Digest); states[release] != signing.Done {
			t.Errorf("statuses are %v after the event came again", states)
		}
		// One that comes when the image is gone leaves nothing.
		if _, err := b.registry.DeleteRepository(t.Context(), root, repo, true); err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if err := b.signer.Handle(t.Context(), e); err != nil {
				t.Errorf("a late event: %v", err)
			}
		}
		b.mustWork()
	})
}

// TestFailure signs with a key that cannot be opened, until it counts as failed.
func TestFailure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.configure(signing.Rule{Profile: release})
		good := b.signer
		b.signer = b.locked()
		img := b.image(repo, "app", "v1")
		if err := b.work(); !errors.Is(err, identity.ErrWrongMasterKey) {
			t.Errorf("the first attempt: %v", err)
		}
		if err := b.sign(); err != nil {
			t.Errorf("there was a second attempt at once: %v", err)
		}
		attempts := 1
		for ; b.statuses(repo, img.Digest)[release] == signing.Pending && attempts < 20; attempts++ {
			b.now = b.now.Add(10 * time.Minute)
			if err := b.sign(); err == nil {
				t.Error("an attempt succeeds")
			}
		}
		_, list, err := b.signer.Statuses(t.Context(), root, repo, registry.ImageID{Tag: "v1"})
		if err != nil {
			t.Fatal(err)
		}
		want := []signing.Status{{
			Profile: release, State: signing.Failed, Attempts: 12, Code: signing.CodeKey,
			Reason: "The signing profile's key cannot be opened with the registry's master key",
		}}
		for i := range list {
			list[i].DueAt = time.Time{}
		}
		if diff := cmp.Diff(want, list); diff != "" || attempts != 12 {
			t.Errorf("after %d attempts (-want +got):\n%s", attempts, diff)
		}
		// With the right key again the next image is signed.
		b.signer = good
		next := b.image(repo, "next", "v2")
		b.mustWork()
		b.signed(repo, next.Digest, release)
	})
}

// TestAStopIsNoFailure ends the context while an image is signed.
func TestAStopIsNoFailure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.configure(signing.Rule{Profile: release})
		img := b.image(repo, "app", "v1")
		if _, err := b.events.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		c := b.config()
		c.Work = stopper{b.db.Signing(), cancel}
		if _, err := signing.New(c).Once(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Once: %v", err)
		}
		b.now = b.now.Add(3 * time.Minute)
		b.mustWork()
		_, list, err := b.signer.Statuses(t.Context(), root, repo, registry.ImageID{Digest: img.Digest.String()})
		if err != nil || len(list) != 1 || list[0].State != signing.Done || list[0].Attempts != 0 {
			t.Errorf("statuses %+v, %v: want one that is done, without a failed attempt", list, err)
		}
	})
}

// stopper stops the server when something was claimed.
type stopper struct {
	signing.Work
	stop context.CancelFunc
}

func (s stopper) ClaimSigning(ctx context.Context, now, again time.Time) (signing.Task, bool, error) {
	t, found, err := s.Work.ClaimSigning(ctx, now, again)
	s.stop()
	return t, found, err
}

func TestNobodyIsAllowedNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.configure(signing.Rule{Profile: release})
		b.image(repo, "app", "v1")
		for who, caller := range map[string]identity.Caller{
			"nobody":                 {},
			"another account's root": {Account: "999999999999", ARN: "arn:aws:iam::999999999999:root", Root: true},
		} {
			ctx := t.Context()
			_, putting := b.signer.PutConfiguration(ctx, caller, signing.Configuration{})
			_, getting := b.signer.Configuration(ctx, caller)
			_, deleting := b.signer.DeleteConfiguration(ctx, caller)
			_, key := b.signer.PublicKey(ctx, caller, "release")
			_, _, asking := b.signer.Statuses(ctx, caller, repo, registry.ImageID{Tag: "v1"})
			for what, err := range map[string]error{
				"PutConfiguration": putting, "Configuration": getting, "DeleteConfiguration": deleting, "PublicKey": key, "Statuses": asking,
			} {
				if !errors.Is(err, fault.AccessDenied) {
					t.Errorf("%s by %s: %v", what, who, err)
				}
			}
		}
	})
}
