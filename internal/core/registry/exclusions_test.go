package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	scannerRole = "arn:aws:iam::123456789012:role/security/scanner"
	scannerRun  = "arn:aws:sts::123456789012:assumed-role/scanner/nightly"
	dev         = "arn:aws:iam::123456789012:user/dev"
)

// as is a caller of that ARN who may do everything: until policies join, only root may.
func as(arn string) identity.Caller {
	return identity.Caller{Account: account, ARN: arn, Root: true}
}

func TestExclusionLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		e, err := b.ExcludePuller(t.Context(), root, scannerRole)
		if err != nil || e.PrincipalARN != scannerRole || !e.CreatedAt.Equal(b.now) {
			t.Errorf("ExcludePuller = %+v, %v", e, err)
		}
		_, err = b.ExcludePuller(t.Context(), root, scannerRole)
		wantFault(t, "the same again", err, fault.ExclusionExists)
		wantFault(t, "ending one that is not there", b.IncludePuller(t.Context(), root, dev), fault.ExclusionNotFound)
		for _, bad := range []string{
			"", "dev", "arn:aws:iam::123456789012:root", scannerRun, "arn:aws:iam::123:role/x", "arn:aws:iam::123456789012:role/", "arn:aws:iam::123456789012:role/a//b",
			"arn:aws:iam::123456789012:role/*", "arn:aws:iam::123456789012:role/" + strings.Repeat("a", 200), scannerRole + "\n",
		} {
			_, err := b.ExcludePuller(t.Context(), root, bad)
			wantFault(t, "excluding "+bad, err, fault.InvalidParameter)
			wantFault(t, "including "+bad, b.IncludePuller(t.Context(), root, bad), fault.InvalidParameter)
		}
		if err := b.IncludePuller(t.Context(), root, scannerRole); err != nil {
			t.Fatal(err)
		}
		if page, err := b.PullExclusions(t.Context(), root, 0, ""); err != nil || len(page.Items) != 0 {
			t.Errorf("PullExclusions = %+v, %v; want none", page, err)
		}
	})
}

func TestExclusionsPageAndEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		var want []string
		for i := range 100 {
			arn := fmt.Sprintf("arn:aws:iam::123456789012:user/u%03d", i)
			if _, err := b.ExcludePuller(t.Context(), root, arn); err != nil {
				t.Fatal(err)
			}
			want = append(want, arn)
		}
		_, err := b.ExcludePuller(t.Context(), root, dev)
		wantFault(t, "the 101st", err, fault.LimitExceeded)
		var got []string
		for token, pages := "", 0; pages == 0 || token != ""; pages++ {
			page, err := b.PullExclusions(t.Context(), root, 30, token)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Items {
				got = append(got, e.PrincipalARN)
			}
			token = page.Next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("PullExclusions in pages of 30 (-want +got):\n%s", diff)
		}
		if page, err := b.PullExclusions(t.Context(), root, 1000, ""); err != nil || len(page.Items) != 100 || page.Next != "" {
			t.Errorf("PullExclusions in one page: %d, next %q, %v", len(page.Items), page.Next, err)
		}
		_, err = b.PullExclusions(t.Context(), root, 0, "bad")
		wantFault(t, "a token that nobody gave", err, fault.PageTokenInvalid)
	})
}

func TestExcludedPullsLeaveThePullTimeAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "v1")
		ref := oci.Reference{Tag: "v1"}
		first := b.now
		pull := func(caller identity.Caller) {
			t.Helper()
			b.now = b.now.Add(time.Hour)
			if _, err := b.Image(t.Context(), caller, repo, ref); err != nil {
				t.Fatal(err)
			}
			b.now = b.now.Add(time.Hour)
			if r, err := b.PullImages(t.Context(), caller, repo, []registry.ImageID{{Tag: "v1"}}); err != nil || r[0].Err != nil {
				t.Fatal(r, err)
			}
		}
		check := func(after string, want time.Time) {
			t.Helper()
			if err := b.FlushPulls(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := b.StatImage(t.Context(), root, repo, oci.Reference{Digest: img.Digest})
			if err != nil || !got.LastPulledAt.Equal(want) {
				t.Errorf("after %s: last pulled %v, %v; want %v", after, got.LastPulledAt, err, want)
			}
		}
		exclude := func(arn string) {
			t.Helper()
			b.now = b.now.Add(time.Minute)
			if _, err := b.ExcludePuller(t.Context(), root, arn); err != nil {
				t.Fatal(err)
			}
		}
		pull(identity.Service(account, "replication"))
		check("a pull by the server itself", time.Time{})
		pull(as(scannerRun))
		counted := b.now
		exclude(scannerRole)
		check("a pull before the exclusion", counted)
		pull(as(scannerRun))
		pull(as(scannerRole))
		check("pulls by a role that is excluded", counted)
		pull(as("arn:aws:sts::123456789012:assumed-role/scanner-2/nightly"))
		counted = b.now
		pull(as(scannerRun))
		check("pulls by another role, then by the excluded one", counted)
		pull(as(dev))
		check("a pull by a user", b.now)
		counted = b.now
		exclude(dev)
		pull(as(dev))
		check("a pull by a user who is excluded", counted)
		pull(root)
		counted = b.now
		check("a pull by root", counted)
		if err := b.IncludePuller(t.Context(), root, dev); err != nil {
			t.Fatal(err)
		}
		pull(as(dev))
		check("a pull by a user who is excluded no more", b.now)
		if !first.Before(counted) {
			t.Error("the clock stood still")
		}
	})
}
