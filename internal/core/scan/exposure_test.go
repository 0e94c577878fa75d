package scan_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
)

// TestPullGate: an image that nobody has scanned, then one with a critical finding, is not pulled where a policy says so, until an
// exception covers the finding, and not when that has expired.
func TestPullGate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		now := b.clock
		directory := identity.NewDirectory(identity.Config{Store: b.db, Account: account, Now: now})
		asks := access.New(access.Config{Store: b.db.Access(), Directory: directory, Account: account, Region: "us-east-1", Now: now})
		blobs, err := diskblob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		gated := registry.New(registry.Config{Store: b.db, Blobs: blobs, Account: account, Region: "us-east-1", Now: now, Access: asks, Scanner: true, Exposures: b.service})
		node := identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":user/node", UserID: "AIDANODE0000000000000"}
		err = b.db.Access().Update(t.Context(), func(tx access.Tx) error {
			p := access.Principal{ID: node.UserID, Kind: access.User, Name: "node", Path: "/", ARN: node.ARN, CreatedAt: now()}
			if err := tx.InsertPrincipal(t.Context(), p); err != nil {
				return err
			}
			return tx.PutInlinePolicy(t.Context(), node.UserID, access.InlinePolicy{Name: "own", Document: `{"Version":"2012-10-17","Statement":[
				{"Effect":"Allow","Action":"ecr:*","Resource":"*"},
				{"Effect":"Deny","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"*","Condition":{"StringEquals":{"ecr:ImageScanSeverity":["CRITICAL","UNSCANNED"]}}}]}`})
		})
		if err != nil {
			t.Fatal(err)
		}
		b.advise("Debian",
			below("DEBIAN-CVE-2026-0001", "Debian", "12", "openssl", "3.0.2", criticalVector, "CVE-2026-0001"),
			below("DEBIAN-CVE-2026-0002", "Debian", "12", "openssl", "", mediumVector, "CVE-2026-0002"))
		img := b.image("one", b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}}))
		pull := func(what, refused string) {
			t.Helper()
			b.wait(time.Minute) // past what is remembered
			_, err := gated.Image(t.Context(), node, repo, oci.Reference{Tag: "one"})
			switch {
			case refused == "" && err != nil:
				t.Errorf("%s: %v", what, err)
			case refused != "" && (!errors.Is(err, fault.AccessDenied) || !strings.Contains(err.Error(), refused)):
				t.Errorf("%s: %v, want it refused, with %q", what, err, refused)
			}
		}
		exposed := func(want registry.Exposure) {
			t.Helper()
			got, err := b.service.Exposure(t.Context(), b.repository(), img)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v; exposed (-want +got):\n%s", err, diff)
			}
		}
		pull("before the scan", "because its scan has not ended")
		b.work()
		exposed(registry.Exposure{Worst: "CRITICAL", Findings: 1})
		pull("with a critical finding", "it has 1 finding of severity CRITICAL that no exception covers")

		exceptions := scan.NewExceptions(scan.ExceptionsConfig{Registry: b.registry, Store: b.db, Rows: b.db.ScanExceptions(), Now: now, Notify: func() {}})
		text, err := vex.Write(vex.Draft{
			Vulnerability: "CVE-2026-0001", Repository: repo, Digest: img.Digest, Packages: []string{"pkg:deb/debian/openssl"}, Owner: "alice", Reason: "never called",
			Made: now(), Expires: now().Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		document := b.blob(vex.MediaType, text)
		pushed, err := b.registry.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: b.json(map[string]any{
			"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "artifactType": vex.MediaType,
			"config": b.blob("application/vnd.oci.empty.v1+json", []byte("{}")), "layers": []oci.Descriptor{document},
			"subject": oci.Descriptor{MediaType: img.MediaType, Digest: img.Digest, Size: img.ManifestSize},
		})})
		if err != nil {
			t.Fatal(err)
		}
		err = exceptions.Handle(t.Context(), event.Event{
			Kind: event.ImagePushed, Repository: repo, Digest: pushed.Image.Digest, ArtifactType: vex.MediaType, Subject: img.Digest, Actor: root.ARN,
		})
		if err != nil {
			t.Fatal(err)
		}
		exposed(registry.Exposure{Worst: "MEDIUM", Findings: 1})
		pull("with an exception", "")
		r := b.report("one", scan.Query{})
		if len(r.Findings) != 2 || r.Findings[1].Exception == nil || r.Findings[1].Exception.Owner != "alice" {
			t.Errorf("what is excepted is not shown as that: %+v", r.Findings)
		}
		b.wait(2 * time.Hour)
		pull("when it has expired", "of severity CRITICAL")
	})
}

// TestSystemsWithoutAdvisories: packages of an operating system that nobody publishes advisories of are not known to be without findings,
// whatever else the image has that somebody does.
func TestSystemsWithoutAdvisories(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.scanning(registry.Enhanced, registry.ScanOnPush)
		b.advise("npm", below("GHSA-aaaa-bbbb-cccc", "npm", "", "left-pad", "1.0.0", criticalVector))
		own := inventory.File{Path: "app/node_modules/left-pad/package.json", Format: "node", Packages: []inventory.Package{
			{Type: inventory.NPM, Name: "left-pad", Version: "2.0.0", Source: "left-pad", SourceVersion: "2.0.0"},
		}}
		files := []inventory.File{dpkg("openssl", "3.0.1"), own}
		img := b.image("one", b.layer(content{OS: &inventory.OS{ID: "homemade", VersionID: "1"}, Files: files}))
		alone := b.image("two", b.layer(content{Files: []inventory.File{own}}))
		b.work()
		for _, tt := range []struct {
			img  registry.Image
			want registry.Exposure
		}{
			{img, registry.Exposure{Unscanned: "nobody publishes advisories of its operating system's packages"}},
			{alone, registry.Exposure{}},
		} {
			got, err := b.service.Exposure(t.Context(), b.repository(), tt.img)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v; exposed (-want +got):\n%s", err, diff)
			}
		}
		if r := b.report("one", scan.Query{}); r.Status.Status != registry.ScanComplete || !strings.Contains(r.Status.Description, "its operating system's packages") {
			t.Errorf("the scan is %s, %q; want COMPLETE, and what is not known", r.Status.Status, r.Status.Description)
		}
	})
}

func (b *bench) repository() registry.Repository {
	b.t.Helper()
	r, err := b.db.Read().Repository(b.t.Context(), repo)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// TestClaimsDoNotLift: an SBOM of somebody who may push, and no more, makes no image known to be without findings; one that somebody has
// attached who may answer for its findings does, until it is deleted.
func TestClaimsDoNotLift(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		directory := identity.NewDirectory(identity.Config{Store: b.db, Account: account, Now: b.clock})
		asks := access.New(access.Config{Store: b.db.Access(), Directory: directory, Account: account, Region: "us-east-1", Now: b.clock})
		blobs, err := diskblob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		asked := registry.New(registry.Config{Store: b.db, Blobs: blobs, Account: account, Region: "us-east-1", Now: b.clock, Access: asks, Scanner: true})
		pusher := identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":user/pusher", UserID: "AIDAPUSHER000000000000"}
		err = b.db.Access().Update(t.Context(), func(tx access.Tx) error {
			p := access.Principal{ID: pusher.UserID, Kind: access.User, Name: "pusher", Path: "/", ARN: pusher.ARN, CreatedAt: b.clock()}
			if err := tx.InsertPrincipal(t.Context(), p); err != nil {
				return err
			}
			return tx.PutInlinePolicy(t.Context(), pusher.UserID, access.InlinePolicy{Name: "own", Document: `{"Version":"2012-10-17","Statement":[
				{"Effect":"Allow","Action":["ecr:PutImage","ecr:BatchCheckLayerAvailability"],"Resource":"*"}]}`})
		})
		if err != nil {
			t.Fatal(err)
		}
		c := b.config()
		var attacher *sbom.Attacher
		c.Claims = func(ctx context.Context, r registry.Repository, d oci.Digest, found inventory.Image, top int) (inventory.Image, error) {
			return attacher.Claimed(ctx, r, d, found, top)
		}
		b.service = scan.New(c)
		attacher = sbom.New(sbom.Config{Registry: b.registry, Store: b.db, Inventory: b.service, Now: b.clock})
		b.events.Handlers = map[string]event.Handler{"sbom": attacher}
		settle := func() {
			t.Helper()
			for range 3 {
				b.work()
				if _, err := b.events.Once(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.scanning(registry.Enhanced, registry.ScanOnPush)
		b.advise("npm", below("GHSA-aaaa-bbbb-cccc", "npm", "", "left-pad", "1.0.0", criticalVector))
		b.advise("Go", below("GO-2026-0002", "Go", "", "example.com/module", "1.5.0", criticalVector, "CVE-2026-0002"))
		img := b.image("one", b.layer(content{}))
		settle()
		attach := func(by *registry.Registry, caller identity.Caller, text string) registry.Image {
			t.Helper()
			document, config := b.blob(sbom.TypeCycloneDX, []byte(text)), b.blob("application/vnd.oci.empty.v1+json", []byte("{}"))
			pushed, err := by.PutImage(t.Context(), caller, registry.Push{Repository: repo, Manifest: b.json(map[string]any{
				"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "artifactType": sbom.TypeCycloneDX, "config": config, "layers": []oci.Descriptor{document},
				"subject": oci.Descriptor{MediaType: img.MediaType, Digest: img.Digest, Size: img.ManifestSize},
			})})
			if err != nil {
				t.Fatal(err)
			}
			settle()
			return pushed.Image
		}
		exposed := func(what string, worst, unscanned string) {
			t.Helper()
			got, err := b.service.Exposure(t.Context(), b.repository(), img)
			if err != nil || got.Worst != worst || (got.Unscanned == "") != (unscanned == "") || !strings.Contains(got.Unscanned, unscanned) {
				t.Errorf("%s: %+v, %v; want %q, and unscanned because %q", what, got, err, worst, unscanned)
			}
		}
		const clean, bad = `{"components":[{"purl":"pkg:npm/left-pad@2.0.0"}]}`, `{"components":[{"purl":"pkg:golang/example.com/module@v1.4.0"}]}`
		exposed("without any", "", "does not know such images")
		attach(asked, pusher, clean)
		exposed("with anybody's", "", "an SBOM")
		if r := b.report("one", scan.Query{}); r.Status.Status != registry.ScanComplete {
			t.Errorf("what is claimed is not looked at: %+v", r.Status)
		}
		attach(asked, pusher, bad)
		exposed("with anybody's that makes it worse", "CRITICAL", "an SBOM")
		first := attach(b.registry, root, bad)
		exposed("with one that is vouched for", "CRITICAL", "")
		again := attach(b.registry, root, clean)
		exposed("with more of that", "CRITICAL", "")
		if !again.Vouched {
			t.Error("root's push does not vouch")
		}
		for _, d := range []registry.Image{first, again} {
			if err := b.registry.DeleteImage(t.Context(), root, repo, oci.Reference{Digest: d.Digest}); err != nil {
				t.Fatal(err)
			}
		}
		settle()
		exposed("when they are taken away", "", "does not know such images")
	})
}

// TestVersionsThatCannotBeCompared: what nobody can judge is not known to be without findings.
func TestVersionsThatCannotBeCompared(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.advise("Debian", below("DEBIAN-CVE-2026-0001", "Debian", "12", "openssl", "3.0.2", criticalVector, "CVE-2026-0001"))
		img := b.image("one", b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "a:1", "curl", "7")}}))
		b.work()
		want := registry.Exposure{Unscanned: "the version of 1 of its packages could not be compared with advisories"}
		got, err := b.service.Exposure(t.Context(), b.repository(), img)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v; exposed (-want +got):\n%s", err, diff)
		}
		if r := b.report("one", scan.Query{}); r.Unevaluated != 1 || !strings.Contains(r.Status.Description, "could not be compared") {
			t.Errorf("%d, %q", r.Unevaluated, r.Status.Description)
		}
	})
}
