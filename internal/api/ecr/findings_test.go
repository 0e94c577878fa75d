package ecr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// debianReader is an extractor to which every layer is one of Debian with a few packages.
type debianReader struct{}

func (debianReader) Revision() int { return 1 }

func (debianReader) Extract(_ context.Context, _ oci.Descriptor, r io.Reader) (inventory.Layer, error) {
	raw, err := io.ReadAll(r)
	deb := func(name, source, version string) inventory.Package {
		return inventory.Package{Type: inventory.Deb, Name: name, Version: version, Source: source, SourceVersion: version, Arch: "amd64"}
	}
	return inventory.Layer{
		DiffID:   oci.FromBytes(raw),
		Releases: []inventory.Release{{Path: "etc/os-release", OS: inventory.OS{ID: "debian", VersionID: "12"}}},
		Files: []inventory.File{
			{Path: "app/node_modules/left-pad/package.json", Format: "node", Packages: []inventory.Package{
				{Type: inventory.NPM, Name: "left-pad", Version: "1.0.0", Source: "left-pad", SourceVersion: "1.0.0"},
			}},
			{Path: "var/lib/dpkg/status", Format: "dpkg", Packages: []inventory.Package{
				deb("curl", "curl", "1:7.88.1-10+deb12u1"), deb("libssl3", "openssl", "3.0.1-1"), deb("openssl", "openssl", "3.0.1-1"),
			}},
		},
	}, err
}

// advisories is an origin.
type advisories map[string][]advisory.Advisory

func (a advisories) String() string { return "test" }

func (a advisories) Read(_ context.Context, _ map[string]advisory.Source, each func(advisory.Feed) error) error {
	for _, source := range slices.Sorted(maps.Keys(a)) {
		entries := func(yield func(advisory.Advisory, error) bool) {
			for _, one := range a[source] {
				if !yield(one, nil) {
					return
				}
			}
		}
		if err := each(advisory.Feed{Source: source, Entries: entries}); err != nil {
			return err
		}
	}
	return nil
}

func vulnerable(id, ecosystem, release, name, fixed string, aliases ...string) advisory.Advisory {
	events := []advisory.Event{{Introduced: "0"}}
	if fixed != "" {
		events = append(events, advisory.Event{Fixed: fixed})
	}
	v, _ := advisory.ParseVector("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
	return advisory.Advisory{
		ID: id, Aliases: aliases, Summary: "About " + id, URL: "https://advisories.example/" + id, Vectors: []advisory.Vector{v},
		Affected: []advisory.Affected{{Ecosystem: ecosystem, Release: release, Name: name, Ranges: []advisory.Range{{Events: events}}}},
	}
}

// scanningWith is a server that has a scanner, and advisories.
func scanningWith(t *testing.T, all advisories) (s *server, work func()) {
	t.Helper()
	blobs, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	db := metadbtest.New(t)
	s = newScanningServer(t, db, blobs, false, debianReader{})
	clock := func() time.Time { return time.Date(2026, 11, 24, 13, 0, 0, 0, time.UTC) }
	if _, err := advisory.Import(t.Context(), db.Advisories(), all, advisory.Options{Now: clock}); err != nil {
		t.Fatal(err)
	}
	if _, err := scan.NewJudge(scan.JudgeConfig{Store: db.Judging(), Now: clock}).JudgeOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, func() {
		t.Helper()
		for more := true; more; {
			requested, err := s.scans.RequestOnce(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if more, err = s.scans.ScanOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			more = more || requested
		}
	}
}

// scannable pushes an image whose configuration is true.
func (s *server) scannable(t *testing.T, tag string) string {
	t.Helper()
	layer := s.layer(t, "a layer of "+tag)
	config, err := json.Marshal(map[string]any{"rootfs": map[string]any{"diff_ids": []string{oci.FromBytes([]byte("a layer of " + tag)).String()}}})
	if err != nil {
		t.Fatal(err)
	}
	return s.put(t, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`,
		oci.MediaTypeOCIManifest, s.layer(t, string(config)), len(config), layer, len("a layer of "+tag)), tag)
}

func attributesOf(f types.ImageScanFinding) map[string]string {
	all := map[string]string{}
	for _, a := range f.Attributes {
		all[*a.Key] = *a.Value
	}
	return all
}

func TestBasicFindings(t *testing.T) {
	t.Parallel()
	s, work := scanningWith(t, advisories{
		"Debian": {
			vulnerable("DEBIAN-CVE-2026-1001", "Debian", "12", "openssl", "3.0.2-1", "CVE-2026-1001"),
			vulnerable("DEBIAN-CVE-2026-1002", "Debian", "12", "curl", "", "CVE-2026-1002"),
		},
		"npm": {vulnerable("GHSA-aaaa-bbbb-cccc", "npm", "", "left-pad", "1.0.1", "CVE-2026-1003")},
	})
	s.create(t, func(in *awsecr.CreateRepositoryInput) {
		in.ImageScanningConfiguration = &types.ImageScanningConfiguration{ScanOnPush: true}
	})
	digest := s.scannable(t, "v1")
	in := &awsecr.DescribeImageScanFindingsInput{RepositoryName: aws.String(repo), ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}}
	out, err := s.client.DescribeImageScanFindings(t.Context(), in)
	if err != nil || out.ImageScanStatus.Status != types.ScanStatusPending || out.ImageScanFindings != nil {
		t.Fatalf("right after the push: %+v, %v", out, err)
	}
	work()
	if err := awsecr.NewImageScanCompleteWaiter(s.client).Wait(t.Context(), in, 10*time.Second); err != nil {
		t.Errorf("the waiter: %v", err)
	}
	out, err = s.client.DescribeImageScanFindings(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	found := out.ImageScanFindings
	if *out.ImageId.ImageDigest != digest || found == nil || len(found.Findings) != 2 || found.EnhancedFindings != nil {
		t.Fatalf("DescribeImageScanFindings = %+v, %+v", out, found)
	}
	if diff := gocmp.Diff(map[string]int32{"CRITICAL": 2}, found.FindingSeverityCounts); diff != "" || found.ImageScanCompletedAt.IsZero() || found.VulnerabilitySourceUpdatedAt.IsZero() {
		t.Errorf("counts, at %v of %v (-want +got):\n%s", found.ImageScanCompletedAt, found.VulnerabilitySourceUpdatedAt, diff)
	}
	first := found.Findings[0] // the one that can be mended
	want := map[string]string{
		"package_name": "openssl", "package_version": "3.0.1-1", "fixed_in_versions": "3.0.2-1", "CVSS3_SCORE": "9.8",
		"CVSS3_VECTOR": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
	}
	if diff := gocmp.Diff(want, attributesOf(first)); diff != "" || *first.Name != "CVE-2026-1001" || first.Severity != types.FindingSeverityCritical ||
		*first.Uri != "https://advisories.example/DEBIAN-CVE-2026-1001" || *first.Description != "About DEBIAN-CVE-2026-1001" {
		t.Errorf("the first finding is %+v (-want +got):\n%s", first, diff)
	}
	in.MaxResults = aws.Int32(1)
	pages := awsecr.NewDescribeImageScanFindingsPaginator(s.client, in)
	n := 0
	for ; pages.HasMorePages(); n++ {
		page, err := pages.NextPage(t.Context())
		if err != nil || len(page.ImageScanFindings.Findings) != 1 || *page.ImageScanFindings.Findings[0].Name != *found.Findings[n].Name {
			t.Fatalf("page %d: %+v, %v", n, page, err)
		}
	}
	if n != 2 {
		t.Errorf("%d pages, want 2", n)
	}
	described, err := s.client.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String(repo)})
	if err != nil {
		t.Fatal(err)
	}
	d := described.ImageDetails[0]
	if d.ImageScanStatus.Status != types.ScanStatusComplete || !maps.Equal(d.ImageScanFindingsSummary.FindingSeverityCounts, found.FindingSeverityCounts) {
		t.Errorf("DescribeImages: %+v %+v", d.ImageScanStatus, d.ImageScanFindingsSummary)
	}
}

func TestEnhancedFindings(t *testing.T) {
	t.Parallel()
	s, work := scanningWith(t, advisories{
		"Debian": {vulnerable("DEBIAN-CVE-2026-1002", "Debian", "12", "curl", "", "CVE-2026-1002")},
		"npm":    {vulnerable("GHSA-aaaa-bbbb-cccc", "npm", "", "left-pad", "1.0.1", "CVE-2026-1003")},
		"kev":    {{ID: "CVE-2026-1002", KEV: &advisory.KEV{Added: "2026-05-01", Due: "2026-06-01"}}},
	})
	s.create(t)
	digest := s.scannable(t, "v1")
	_, err := s.client.PutRegistryScanningConfiguration(t.Context(), &awsecr.PutRegistryScanningConfigurationInput{
		ScanType: types.ScanTypeEnhanced, Rules: []types.RegistryScanningRule{{
			ScanFrequency:     types.ScanFrequencyContinuousScan,
			RepositoryFilters: []types.ScanningRepositoryFilter{{Filter: aws.String("*"), FilterType: types.ScanningRepositoryFilterTypeWildcard}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	work() // the image was there before
	out, err := s.client.DescribeImageScanFindings(t.Context(), &awsecr.DescribeImageScanFindingsInput{
		RepositoryName: aws.String(repo), ImageId: &types.ImageIdentifier{ImageDigest: aws.String(digest)},
	})
	if err != nil || out.ImageScanStatus.Status != types.ScanStatusActive || out.ImageScanFindings.Findings != nil || len(out.ImageScanFindings.EnhancedFindings) != 2 {
		t.Fatalf("DescribeImageScanFindings = %+v %+v, %v", out, out.ImageScanStatus, err)
	}
	curl, pad := out.ImageScanFindings.EnhancedFindings[0], out.ImageScanFindings.EnhancedFindings[1]
	p := curl.PackageVulnerabilityDetails.VulnerablePackages[0]
	got := []string{
		*curl.Severity, *curl.Status, *curl.ExploitAvailable, *curl.FixAvailable, *curl.PackageVulnerabilityDetails.VulnerabilityId, *curl.PackageVulnerabilityDetails.Source,
		*p.Name, fmt.Sprint(*p.Epoch), *p.Version, *p.Release, *p.Arch, *p.PackageManager, *p.FixedInVersion,
	}
	want := []string{"CRITICAL", "ACTIVE", "YES", "NO", "CVE-2026-1002", "DEBIAN_CVE", "curl", "1", "7.88.1", "10+deb12u1", "amd64", "OS", "NotAvailable"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("the finding of an OS package (-want +got):\n%s", diff)
	}
	p = pad.PackageVulnerabilityDetails.VulnerablePackages[0]
	if *pad.FixAvailable != "YES" || *pad.PackageVulnerabilityDetails.Source != "GITHUB" || *p.PackageManager != "NODEPKG" || *p.FixedInVersion != "1.0.1" ||
		*p.SourceLayerHash != oci.FromBytes([]byte("a layer of v1")).String() || pad.Score != 9.8 || *pad.ScoreDetails.Cvss.Version != "3.1" ||
		!strings.HasPrefix(*pad.FindingArn, "arn:aws:inspector2:us-east-1:000000000042:finding/") || *pad.Resources[0].Details.AwsEcrContainerImage.ImageHash != digest {
		t.Errorf("the finding of a language's package: %+v %+v", pad, p)
	}
}
