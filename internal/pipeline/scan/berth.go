package scan

import (
	"cmp"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// FromBerth reads what a Berth tells.
func FromBerth(w platform.Findings) Report {
	r := Report{
		Digest: oci.Digest(w.ImageID.Digest), OS: cmp.Or(w.OS.PrettyName, strings.TrimSpace(w.OS.ID+" "+w.OS.VersionID)),
		ScannedAt: w.ScannedAt.Time, JudgedAt: w.JudgedAt.Time, Findings: []Finding{}, Missing: w.Missing, Unevaluated: w.Unevaluated,
		Problems: w.Problems, Places: true, Fixes: true,
	}
	for _, s := range w.Sources {
		r.Sources = append(r.Sources, Source{s.Name, s.ModifiedAt.Time, s.ImportedAt.Time, s.CheckedAt.Time})
	}
	if b := w.Base; b != nil {
		r.Base = &Base{b.Repository, oci.Digest(b.Digest), append([]string{}, b.Tags...), b.Layers}
	}
	for _, f := range w.Findings {
		r.Findings = append(r.Findings, fromBerth(f))
	}
	return r
}

func fromBerth(f platform.Finding) Finding {
	found := Finding{
		ID: f.Vulnerability, Advisories: f.Advisories, Mends: f.Mends, Severity: severity(f.Severity, f.Score), Said: f.Severity, Score: f.Score,
		Title: cmp.Or(f.Summary, f.Details), URI: f.URL, EPSS: f.EPSS, Percentile: f.Percentile, Ecosystem: f.Ecosystem, Source: f.Source,
		Packages: packages(f.Packages), FirstSeen: f.FirstSeenAt.Time, Exception: ExceptionOf(f.Exception),
	}
	if k := f.Exploited; k != nil {
		found.KEV = &KEV{k.Added, k.Due, k.Ransomware}
	}
	return found
}

func packages(all []platform.FoundPackage) []Package {
	out := []Package{}
	for _, p := range all {
		out = append(out, Package{
			Type: p.Type, Name: p.Name, Version: p.Version, Arch: p.Arch, FixedIn: p.FixedIn, Path: p.Path, Layer: p.Layer,
			LayerDigest: oci.Digest(p.LayerDigest), Instruction: p.Instruction, FromBase: p.FromBase,
		})
	}
	return out
}

// ExceptionOf reads what a Berth says of an exception, nil if there is none.
func ExceptionOf(e *platform.ServerException) *Exception {
	if e == nil {
		return nil
	}
	return &Exception{e.Status, e.Owner, e.Reason, e.Expires.Time}
}
