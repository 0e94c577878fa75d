package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func rule(f registry.ScanFrequency, filters ...string) registry.ScanRule {
	return registry.ScanRule{Frequency: f, Filters: filters}
}

func (b *bench) scanning(s registry.Scanning) {
	b.t.Helper()
	if err := b.PutScanning(b.t.Context(), root, s); err != nil {
		b.t.Fatalf("PutScanning(%+v): %v", s, err)
	}
}

// TestScanFilters is the matrix of the user guide, "Filter wildcards".
func TestScanFilters(t *testing.T) {
	t.Parallel()
	names := []string{"prod", "repo-prod", "prod-repo", "repo-prod-repo", "prodrepo"}
	for filter, want := range map[string][]string{
		"prod":      names,
		"*prod":     {"prod", "repo-prod"},
		"prod*":     {"prod", "prod-repo", "prodrepo"},
		"*prod*":    names,
		"prod*repo": {"prod-repo", "prodrepo"},
		"*":         names,
		"repo-prod": {"repo-prod", "repo-prod-repo"},
		"other":     nil,
	} {
		var got []string
		for _, name := range names {
			s := registry.Scanning{Kind: registry.Basic, Rules: []registry.ScanRule{rule(registry.ScanOnPush, filter)}}
			if s.Of(registry.Repository{Name: name}).OnPush {
				got = append(got, name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the filter %s matches (-want +got):\n%s", filter, diff)
		}
	}
}

func TestScanningOfARepository(t *testing.T) {
	t.Parallel()
	both := []registry.ScanRule{rule(registry.ScanOnPush, "*", "app"), rule(registry.ScanContinuous, "prod")}
	for _, c := range []struct {
		s    registry.Scanning
		repo registry.Repository
		want registry.RepositoryScanning
	}{
		{registry.Scanning{Kind: registry.Basic}, registry.Repository{Name: "app"}, registry.RepositoryScanning{Frequency: registry.ScanManual}},
		{registry.Scanning{Kind: registry.Basic}, registry.Repository{Name: "app", ScanOnPush: true}, registry.RepositoryScanning{Frequency: registry.ScanOnPush, OnPush: true}},
		{registry.Scanning{Kind: registry.Enhanced}, registry.Repository{Name: "app", ScanOnPush: true}, registry.RepositoryScanning{Frequency: registry.ScanManual}},
		{
			registry.Scanning{Kind: registry.Enhanced, Rules: both},
			registry.Repository{Name: "my-app"},
			registry.RepositoryScanning{Frequency: registry.ScanOnPush, OnPush: true, Filters: []string{"*", "app"}},
		},
		{
			registry.Scanning{Kind: registry.Enhanced, Rules: both},
			registry.Repository{Name: "prod/app"},
			registry.RepositoryScanning{Frequency: registry.ScanContinuous, OnPush: true, Filters: []string{"prod"}},
		},
		{
			registry.Scanning{Kind: registry.Basic, Rules: []registry.ScanRule{rule(registry.ScanManual, "*")}},
			registry.Repository{Name: "app"},
			registry.RepositoryScanning{Frequency: registry.ScanManual},
		},
	} {
		c.want.Repository = c.repo
		if diff := cmp.Diff(c.want, c.s.Of(c.repo)); diff != "" {
			t.Errorf("%+v of %+v (-want +got):\n%s", c.s, c.repo, diff)
		}
	}
}

func TestScanningConfiguration(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		got, err := b.Scanning(t.Context(), root)
		if diff := cmp.Diff(registry.Scanning{Kind: registry.Basic}, got); err != nil || diff != "" {
			t.Errorf("Scanning at first: %v (-want +got):\n%s", err, diff)
		}
		want := registry.Scanning{Kind: registry.Enhanced, Rules: []registry.ScanRule{
			rule(registry.ScanContinuous, slices.Repeat([]string{"prod*"}, 100)...), rule(registry.ScanOnPush, strings.Repeat("a", 255)),
		}}
		b.scanning(want)
		for name, bad := range map[string]registry.Scanning{
			"no kind":                  {},
			"continuous when basic":    {Kind: registry.Basic, Rules: []registry.ScanRule{rule(registry.ScanContinuous, "*")}},
			"manual when enhanced":     {Kind: registry.Enhanced, Rules: []registry.ScanRule{rule(registry.ScanManual, "*")}},
			"a frequency of no name":   {Kind: registry.Basic, Rules: []registry.ScanRule{rule("DAILY", "*")}},
			"three rules":              {Kind: registry.Basic, Rules: slices.Repeat([]registry.ScanRule{rule(registry.ScanOnPush, "*")}, 3)},
			"101 filters":              {Kind: registry.Basic, Rules: []registry.ScanRule{rule(registry.ScanOnPush, slices.Repeat([]string{"a"}, 101)...)}},
			"an empty filter":          {Kind: registry.Basic, Rules: []registry.ScanRule{rule(registry.ScanOnPush, "")}},
			"a filter in capitals":     {Kind: registry.Basic, Rules: []registry.ScanRule{rule(registry.ScanOnPush, "Prod")}},
			"a filter with two dashes": {Kind: registry.Basic, Rules: []registry.ScanRule{rule(registry.ScanOnPush, "a--b")}},
			"a long filter":            {Kind: registry.Basic, Rules: []registry.ScanRule{rule(registry.ScanOnPush, strings.Repeat("a", 256))}},
		} {
			err := b.PutScanning(t.Context(), root, bad)
			f, ok := fault.Of(err)
			if !ok || f.Code != fault.RegistrySettingInvalid && f.Code != fault.InvalidParameter {
				t.Errorf("%s: %v, want a fault", name, err)
			}
		}
		got, err = b.Scanning(t.Context(), root)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Scanning after all that: %v (-want +got):\n%s", err, diff)
		}
		b.create(registry.NewRepository{Name: "prod"})
		found, missing, err := b.RepositoryScannings(t.Context(), root, []string{"prod", "none", repo})
		if err != nil || len(found) != 2 || found[0].Frequency != registry.ScanContinuous || found[1].Repository.Name != repo || !slices.Equal(missing, []string{"none"}) {
			t.Errorf("RepositoryScannings = %+v, %v, %v", found, missing, err)
		}
	})
}

func (b *bench) scan(img registry.Image) (registry.Scan, error) {
	s, err := b.ImageScan(b.t.Context(), root, repo, registry.ImageID{Digest: img.Digest.String()})
	return s.Scan, err
}

// TestPushRequestsScan looks for the scan right after the push: `aws ecr wait image-scan-complete` gives up when there
// is none yet.
func TestPushRequestsScan(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		before := b.pushNew("before", "v0")
		if _, err := b.PutScanOnPush(t.Context(), root, repo, true); err != nil {
			t.Fatal(err)
		}
		_, err := b.scan(before)
		wantFault(t, "the scan of an image that was there before", err, fault.ScanNotFound)

		img := b.pushNew("one", "v1")
		s, err := b.scan(img)
		if err != nil || s.Kind != registry.Basic || s.Status != registry.ScanFailed || !strings.Contains(s.Description, "no scanner") || !s.RequestedAt.Equal(b.now) {
			t.Errorf("the scan of a pushed image = %+v, %v; want one that failed for want of a scanner", s, err)
		}
		b.push(repo, b.manifestOf(before), "again")
		_, err = b.scan(before)
		wantFault(t, "the scan of an image that got a tag", err, fault.ScanNotFound)

		list := b.push(repo, b.index(b.manifestOf(img)), "list").Image
		_, err = b.scan(list)
		wantFault(t, "the scan of an index", err, fault.ScanNotFound)
		if !strings.Contains(err.Error(), img.Digest.String()) {
			t.Errorf("the scan of an index: %v, want words that name its images", err)
		}

		if _, err := b.DeleteRepository(t.Context(), root, repo, true); err != nil {
			t.Errorf("deleting a repository with scans: %v", err)
		}
	})
}

func TestRulesSayWhatIsScanned(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.scanning(registry.Scanning{Kind: registry.Basic, Rules: []registry.ScanRule{rule(registry.ScanOnPush, "hoopstat-*")}})
		basic := b.pushNew("basic", "v1")
		if s, err := b.scan(basic); err != nil || s.Kind != registry.Basic {
			t.Errorf("the scan by a rule = %+v, %v", s, err)
		}
		b.scanning(registry.Scanning{Kind: registry.Enhanced, Rules: []registry.ScanRule{rule(registry.ScanContinuous, "haus/prod")}})
		_, err := b.scan(basic)
		wantFault(t, "a basic scan while scanning is enhanced", err, fault.ScanNotFound)
		if s, err := b.scan(b.pushNew("enhanced", "v2")); err != nil || s.Kind != registry.Enhanced || s.Status != registry.ScanFailed {
			t.Errorf("the enhanced scan = %+v, %v", s, err)
		}
		b.scanning(registry.Scanning{Kind: registry.Basic})
		if s, err := b.scan(basic); err != nil || s.Kind != registry.Basic {
			t.Errorf("the basic scan once scanning is basic again = %+v, %v", s, err)
		}
		_, err = b.scan(b.pushNew("unruled", "v3"))
		wantFault(t, "the scan of an image that no rule covers", err, fault.ScanNotFound)
	})
}

func TestStartScan(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "v1")
		start := func(id registry.ImageID) (registry.Scan, error) {
			_, s, err := b.StartScan(t.Context(), root, repo, id)
			return s, err
		}
		for range 2 {
			b.now = b.now.Add(time.Hour)
			s, err := start(registry.ImageID{Tag: "v1"})
			if err != nil || s.Status != registry.ScanFailed || !s.RequestedAt.Equal(b.now) {
				t.Errorf("StartScan = %+v, %v", s, err)
			}
			got, err := b.scan(img)
			if diff := cmp.Diff(s, got); err != nil || diff != "" {
				t.Errorf("ImageScan: %v (-started +got):\n%s", err, diff)
			}
		}
		list := b.push(repo, b.index(b.manifestOf(img)), "list").Image
		config := b.layer(repo, "{}")
		config.MediaType = "application/vnd.example.thing.config.v1+json"
		artifact := b.push(repo, b.json(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": config, "layers": []any{}}), "art").Image
		config.MediaType = "application/vnd.oci.image.config.v1+json"
		subject := oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: img.Digest, Size: img.ManifestSize}
		attached := b.push(repo, b.json(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": config, "layers": []any{}, "subject": subject})).Image
		for _, i := range []registry.Image{list, artifact, attached} {
			_, err := start(registry.ImageID{Digest: i.Digest.String()})
			wantFault(t, "scanning a "+i.MediaType+" of "+i.ArtifactType, err, fault.ImageNotScannable)
		}
		for id, code := range map[registry.ImageID]fault.Code{
			{Tag: "v9"}: fault.ImageNotFound,
			{}:          fault.ImageIDMissing,
			{Tag: "v1", Digest: list.Digest.String()}: fault.ImageNotFound,
		} {
			_, err := start(id)
			wantFault(t, fmt.Sprintf("scanning %+v", id), err, code)
			_, err = b.ImageScan(t.Context(), root, repo, id)
			wantFault(t, fmt.Sprintf("the scan of %+v", id), err, code)
		}
		b.scanning(registry.Scanning{Kind: registry.Enhanced})
		_, err := start(registry.ImageID{Tag: "v1"})
		wantFault(t, "a scan by hand while scanning is enhanced", err, fault.RegistrySettingInvalid)
	})
}

// TestOneScanADay holds images to ECR's quota, where whoever runs the registry wants that.
func TestOneScanADay(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		b := newBench(t, db)
		blobs, err := diskblob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		b.Registry = registry.New(registry.Config{
			Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Scanner: true, Now: func() time.Time { return b.now },
			Scans: registry.ScanSettings{Daily: true, Wanted: func() { asked++ }},
		})
		img := b.pushNew("img", "v1")
		start := func() error {
			_, _, err := b.StartScan(t.Context(), root, repo, registry.ImageID{Tag: "v1"})
			return err
		}
		end := func(status registry.ScanStatus) {
			err := db.Update(t.Context(), func(tx registry.Tx) error {
				s, err := tx.Scan(t.Context(), img.ID, registry.Basic)
				s.Status = status
				return errors.Join(err, tx.PutScan(t.Context(), s))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(start(), start()); err != nil { // the second is the first, which is under way
			t.Fatal(err)
		}
		end(registry.ScanFailed)
		if err := start(); err != nil {
			t.Errorf("after one that failed: %v", err)
		}
		end(registry.ScanComplete)
		b.now = b.now.Add(24*time.Hour - time.Microsecond)
		wantFault(t, "two scans within 24 hours", start(), fault.LimitExceeded)
		b.now = b.now.Add(time.Microsecond)
		if err := start(); err != nil {
			t.Errorf("after 24 hours: %v", err)
		}
		if asked != 4 {
			t.Errorf("whoever scans was woken %d times, want 4", asked)
		}
	})
}

// TestScansWaitForAScanner is what a scanner will find.
func TestScansWaitForAScanner(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		b := newBench(t, db)
		blobs, err := diskblob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		b.Registry = registry.New(registry.Config{
			Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Scanner: true,
			Now: func() time.Time { return b.now },
		})
		b.scanning(registry.Scanning{Kind: registry.Basic, Rules: []registry.ScanRule{rule(registry.ScanOnPush, "*")}})
		img := b.pushNew("img", "v1")
		want := b.now
		b.now = b.now.Add(time.Hour)
		_, s, err := b.StartScan(t.Context(), root, repo, registry.ImageID{Tag: "v1"})
		if err != nil || s.Status != registry.ScanPending || s.ImageID != img.ID || !s.RequestedAt.Equal(want) {
			t.Errorf("StartScan of a pending image = %+v, %v; want the scan that is pending since %v", s, err, want)
		}
	})
}
