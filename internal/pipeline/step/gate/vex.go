package gate

import (
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// documented notes at an image's findings what the workspace's OpenVEX documents say of them.
func documented(in Input, image oci.Digest, all []Finding) {
	if len(in.Gate.Statements) == 0 {
		return
	}
	at := vex.Target{Repository: in.Repository, Digests: []oci.Digest{image, in.Digest}}
	for i, f := range all {
		if f.Unlisted > 0 || f.ID == "" {
			continue
		}
		if s := covering(in.Gate.Statements, at, f); s != nil {
			all[i].Document = &workspace.Exception{ID: f.ID, Package: f.Package, Owner: s.Owner, Reason: s.Reason, Expires: lastDay(s.Expires, in.Today)}
		}
	}
}

// covering gives the statement by which a finding stops nothing, or nil. Each version of each package that the finding is about must be
// covered: it is the statement that ends first of those that do so for longest.
func covering(statements []vex.Statement, at vex.Target, f Finding) *vex.Statement {
	names := f.Names
	if len(names) == 0 {
		names = []string{f.Package}
	}
	var first *vex.Statement
	for _, name := range names {
		for version := range strings.SplitSeq(f.Version, ", ") {
			at.Package, at.Source = vex.Package{Name: name, Version: version}, f.Package
			var last *vex.Statement
			for i := range statements {
				if s := &statements[i]; s.Covers([]string{f.ID}, at) && (last == nil || s.Expires.After(last.Expires)) {
					last = s
				}
			}
			if last == nil {
				return nil
			}
			if first == nil || last.Expires.Before(first.Expires) {
				first = last
			}
		}
	}
	return first
}

// lastDay is the last day on which a statement counts. One that ends within a day counts until then: after that its last day was before.
func lastDay(expires, now time.Time) workspace.Date {
	day := expires.Add(-time.Nanosecond).UTC()
	if yesterday := now.UTC().AddDate(0, 0, -1); !now.Before(expires) && day.After(yesterday) {
		day = yesterday
	}
	return workspace.Date(day.Format(time.DateOnly))
}

// sooner gives what a document says of a finding in two images: it holds if it does for both, as long as for the one where it ends first.
func sooner(a, b *workspace.Exception) *workspace.Exception {
	switch {
	case a == nil || b == nil:
		return nil
	case b.Expires < a.Expires:
		return b
	}
	return a
}
