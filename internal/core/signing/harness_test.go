package signing_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/signing"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "123456789012"
	repo    = "hoopstat-haus/prod"
	other   = "hoopstat-haus/dev"
	host    = "registry.test:5080"

	release = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/release"
	audit   = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/audit"

	simpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

var root = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}

// bench is a registry that signs, on a real database and a real directory, with a clock that the test moves.
type bench struct {
	t        *testing.T
	registry *registry.Registry
	signer   *signing.Signer
	db       *metadb.DB
	blobs    *diskblob.Store
	master   identity.MasterKey
	events   event.Dispatcher
	now      time.Time
}

func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		test(t, newBench(t, db))
	})
}

func newBench(t *testing.T, db *metadb.DB) *bench {
	t.Helper()
	blobs, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, db: db, blobs: blobs, now: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)}
	b.registry = registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: b.clock, TrashWindow: time.Hour})
	b.master = masterKey(t)
	b.signer = signing.New(b.config())
	b.events = event.Dispatcher{Outbox: db.Outbox(), Handlers: map[string]event.Handler{"signing": b.signer}, Now: b.clock}
	for _, name := range []string{repo, other} {
		b.create(name, registry.Mutable)
	}
	return b
}

func (b *bench) clock() time.Time { return b.now }

func masterKey(t *testing.T) identity.MasterKey {
	t.Helper()
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	return master
}

// config is what the bench's signer is made of.
func (b *bench) config() signing.Config {
	return signing.Config{
		Registry: b.registry, Store: b.db, Keys: b.db.Signing(), Work: b.db.Signing(), Master: b.master, Host: host, Now: b.clock,
	}
}

// locked is a signer that cannot open the keys.
func (b *bench) locked() *signing.Signer {
	c := b.config()
	c.Master = masterKey(b.t)
	return signing.New(c)
}

func (b *bench) create(name string, m registry.Mutability) {
	b.t.Helper()
	if _, err := b.registry.CreateRepository(b.t.Context(), root, registry.NewRepository{Name: name, Mutability: m}); err != nil {
		b.t.Fatalf("CreateRepository(%s): %v", name, err)
	}
}

func (b *bench) configure(rules ...signing.Rule) {
	b.t.Helper()
	if _, err := b.signer.PutConfiguration(b.t.Context(), root, signing.Configuration{Rules: rules}); err != nil {
		b.t.Fatalf("PutConfiguration: %v", err)
	}
}

func (b *bench) layer(repository, mediaType, content string) oci.Descriptor {
	b.t.Helper()
	d := oci.FromBytes([]byte(content))
	part := registry.Part{Start: registry.Anywhere, Size: int64(len(content)), Body: bytes.NewReader([]byte(content))}
	if _, err := b.registry.PutLayer(b.t.Context(), root, repository, d, part); err != nil {
		b.t.Fatalf("PutLayer: %v", err)
	}
	return oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

// image pushes an image of its own content.
func (b *bench) image(repository, seed string, tags ...string) registry.Image {
	b.t.Helper()
	return b.put(registry.Push{Repository: repository, Tags: tags}, map[string]any{
		"config": b.layer(repository, "application/vnd.oci.image.config.v1+json", "config of "+seed),
		"layers": []oci.Descriptor{b.layer(repository, "application/vnd.oci.image.layer.v1.tar", "layer of "+seed)},
	})
}

// put pushes a manifest of those members.
func (b *bench) put(p registry.Push, members map[string]any) registry.Image {
	b.t.Helper()
	members["schemaVersion"] = 2
	members["mediaType"] = oci.MediaTypeOCIManifest
	if _, index := members["manifests"]; index {
		members["mediaType"] = oci.MediaTypeOCIIndex
	}
	raw, err := json.Marshal(members)
	if err != nil {
		b.t.Fatal(err)
	}
	p.Manifest = raw
	pushed, err := b.registry.PutImage(b.t.Context(), root, p)
	if err != nil {
		b.t.Fatalf("PutImage: %v", err)
	}
	return pushed.Image
}

// work hands on the events and signs what is due.
func (b *bench) work() error {
	b.t.Helper()
	if _, err := b.events.Once(b.t.Context()); err != nil {
		b.t.Fatalf("handing on events: %v", err)
	}
	return b.sign()
}

func (b *bench) sign() error {
	b.t.Helper()
	more, err := b.signer.Once(b.t.Context())
	if more {
		b.t.Error("Once has more to do")
	}
	return err
}

func (b *bench) mustWork() {
	b.t.Helper()
	if err := b.work(); err != nil {
		b.t.Fatalf("signing: %v", err)
	}
}

// statuses gives state by profile.
func (b *bench) statuses(repository string, d oci.Digest) map[string]signing.State {
	b.t.Helper()
	_, list, err := b.signer.Statuses(b.t.Context(), root, repository, registry.ImageID{Digest: d.String()})
	if err != nil {
		b.t.Fatalf("Statuses: %v", err)
	}
	states := map[string]signing.State{}
	for _, s := range list {
		states[s.Profile] = s.State
	}
	return states
}

func (b *bench) key(profile string) *ecdsa.PublicKey {
	b.t.Helper()
	k, err := b.signer.PublicKey(b.t.Context(), root, profile)
	if err != nil {
		b.t.Fatalf("PublicKey(%s): %v", profile, err)
	}
	block, rest := pem.Decode([]byte(k.PEM))
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 {
		b.t.Fatalf("PublicKey(%s) gives %q", profile, k.PEM)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		b.t.Fatal(err)
	}
	return parsed.(*ecdsa.PublicKey) //nolint:forcetypeassert // a panic is as good
}

// referrers lists the images about d, of one artifact type or, where it is empty, of any.
func (b *bench) referrers(repository string, d oci.Digest, artifactType string) []registry.Image {
	b.t.Helper()
	page, err := b.registry.Referrers(b.t.Context(), root, repository, d, registry.ReferrerFilter{}, 0, "")
	if err != nil {
		b.t.Fatalf("Referrers: %v", err)
	}
	return slices.DeleteFunc(page.Items, func(i registry.Image) bool { return artifactType != "" && i.ArtifactType != artifactType })
}

func (b *bench) read(repository string, d oci.Digest) []byte {
	b.t.Helper()
	c, err := b.registry.Layer(b.t.Context(), root, repository, d)
	if err != nil {
		b.t.Fatalf("Layer(%s): %v", d, err)
	}
	rc, err := c.Open(b.t.Context(), 0, -1)
	if err != nil {
		b.t.Fatal(err)
	}
	defer rc.Close()
	raw, err := io.ReadAll(io.LimitReader(rc, c.Size))
	if err != nil || !d.Matches(raw) {
		b.t.Fatalf("reading %s: %v, %q", d, err, raw)
	}
	return raw
}

func signatureTag(d oci.Digest) string { return "sha256-" + d.Hex() + ".sig" }

// verify does what cosign 2 does by default: the manifest under the signature tag has a layer whose annotation
// is a signature by the key of the layer's bytes, and these name the image.
func (b *bench) verify(key *ecdsa.PublicKey, repository string, d oci.Digest) error {
	b.t.Helper()
	return b.verifyAt(key, repository, d, oci.Reference{Tag: signatureTag(d)})
}

func (b *bench) verifyAt(key *ecdsa.PublicKey, repository string, d oci.Digest, at oci.Reference) error {
	b.t.Helper()
	m, err := b.manifest(repository, at)
	if err != nil {
		return err
	}
	for _, l := range m.Layers {
		if l.MediaType != simpleSigning {
			return fmt.Errorf("a layer is %s", l.MediaType)
		}
		raw := b.read(repository, l.Digest)
		var said struct {
			Critical struct {
				Identity struct {
					Reference string `json:"docker-reference"`
				} `json:"identity"`
				Image struct {
					Digest string `json:"docker-manifest-digest"`
				} `json:"image"`
				Type string `json:"type"`
			} `json:"critical"`
			Optional map[string]any `json:"optional"`
		}
		if err := json.Unmarshal(raw, &said); err != nil {
			return err
		}
		signature, err := base64.StdEncoding.DecodeString(l.Annotations["dev.cosignproject.cosign/signature"])
		if err != nil {
			return err
		}
		sum := sha256.Sum256(raw)
		if said.Critical.Image.Digest == d.String() && said.Critical.Type == "cosign container image signature" &&
			said.Critical.Identity.Reference == host+"/"+repository && ecdsa.VerifyASN1(key, sum[:], signature) {
			return nil
		}
	}
	return errors.New("no matching signatures")
}

func (b *bench) manifest(repository string, at oci.Reference) (oci.Manifest, error) {
	img, err := b.registry.Image(b.t.Context(), root, repository, at)
	if err != nil {
		return oci.Manifest{}, err
	}
	return oci.ParseManifest(img.MediaType, img.Manifest)
}

// verifyBundle does what cosign 3 does by default: a referrer is a bundle whose DSSE envelope is signed by the
// key, over an in-toto statement about the image.
func (b *bench) verifyBundle(key *ecdsa.PublicKey, repository string, d oci.Digest) error {
	b.t.Helper()
	for _, r := range b.referrers(repository, d, bundleType) {
		m, err := b.manifest(repository, oci.Reference{Digest: r.Digest})
		if err != nil {
			return err
		}
		if len(m.Layers) != 1 || m.Layers[0].MediaType != bundleType {
			return fmt.Errorf("a bundle has the layers %+v", m.Layers)
		}
		var bundle struct {
			MediaType string
			Envelope  struct {
				PayloadType string
				Payload     []byte
				Signatures  []struct{ Sig []byte }
			} `json:"dsseEnvelope"`
		}
		if err := json.Unmarshal(b.read(repository, m.Layers[0].Digest), &bundle); err != nil {
			return err
		}
		e := bundle.Envelope
		sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(e.Payload), e.Payload))
		var statement struct {
			Type          string `json:"_type"`
			PredicateType string
			Subject       []struct{ Digest map[string]string }
		}
		if err := json.Unmarshal(e.Payload, &statement); err != nil {
			return err
		}
		if bundle.MediaType == bundleType && e.PayloadType == "application/vnd.in-toto+json" && len(e.Signatures) == 1 &&
			ecdsa.VerifyASN1(key, sum[:], e.Signatures[0].Sig) && statement.Type == "https://in-toto.io/Statement/v1" &&
			len(statement.Subject) == 1 && statement.Subject[0].Digest["sha256"] == d.Hex() {
			return nil
		}
	}
	return errors.New("no matching bundle")
}

// signed checks that both generations of cosign accept the profiles' signatures of an image.
func (b *bench) signed(repository string, d oci.Digest, profiles ...string) {
	b.t.Helper()
	for _, p := range profiles {
		if err := b.verify(b.key(p), repository, d); err != nil {
			b.t.Errorf("verifying %s@%s with %s as cosign 2 does: %v", repository, d, p, err)
		}
		if err := b.verifyBundle(b.key(p), repository, d); err != nil {
			b.t.Errorf("verifying %s@%s with %s as cosign 3 does: %v", repository, d, p, err)
		}
	}
}

func (b *bench) unsigned(repository string, d oci.Digest) {
	b.t.Helper()
	if states := b.statuses(repository, d); len(states) > 0 {
		b.t.Errorf("%s@%s has the statuses %v", repository, d, states)
	}
	if r := b.referrers(repository, d, ""); len(r) > 0 {
		b.t.Errorf("%s@%s has the referrers %+v", repository, d, r)
	}
}

// failing is work whose rows cannot be settled while broken: what a crash after signing comes to.
type failing struct {
	signing.Work
	broken bool
}

func (f *failing) SettleSigning(ctx context.Context, imageID int64, s signing.Status) error {
	if f.broken {
		return errors.New("the power is gone")
	}
	return f.Work.SettleSigning(ctx, imageID, s)
}
