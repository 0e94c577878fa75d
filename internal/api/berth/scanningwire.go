package berth

import (
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
)

// scannedImage reads which image a request is about, by tag, digest or both.
func scannedImage(repository *string, id *ImageID) (string, registry.ImageID, error) {
	name, err := repositoryOf(repository)
	switch {
	case err != nil:
		return "", registry.ImageID{}, err
	case id == nil:
		return "", registry.ImageID{}, missing("imageId")
	}
	return name, registry.ImageID{Digest: aws.ToString(id.ImageDigest), Tag: aws.ToString(id.ImageTag)}, nil
}

func findingsLimit(maxResults *int32) (int, error) {
	limit, err := pageLimit(maxResults)
	if err == nil && limit == 0 {
		limit = findingsPage
	}
	return limit, err
}

func wireFinding(f scan.Finding) Finding {
	out := Finding{
		Vulnerability: &f.Vulnerability, Advisories: append([]string{}, f.Advisories...), Mends: append([]string{}, f.Mends...), Severity: aws.String(string(f.Severity)),
		Score: measure(f.Score), Vectors: []Vector{}, PublisherSeverity: optional(f.Word), Summary: optional(f.Summary), Details: optional(f.Details),
		Url: optional(f.URL), References: append([]string{}, f.References...), PublishedAt: known(f.Published), ModifiedAt: known(f.Modified),
		FirstSeenAt: known(f.FirstSeen), EpssProbability: measure(f.EPSS), EpssPercentile: measure(f.Percentile), Ecosystem: optional(f.Ecosystem),
		SourcePackage: optional(f.Source), Packages: wirePackages(f.Packages, true), Fixable: aws.String(string(f.Fixable)), Exception: wireException(f.Exception),
	}
	for _, v := range f.Vectors {
		out.Vectors = append(out.Vectors, Vector{Version: &v.Version, Vector: &v.Vector, Score: &v.Score})
	}
	if k := f.KEV; k != nil {
		out.KnownExploited = &KnownExploited{AddedOn: optional(k.Added), DueOn: optional(k.Due), Ransomware: &k.Ransomware}
	}
	return out
}

// wirePackages has where a package was found only if that is known.
func wirePackages(all []scan.Affected, placed bool) []FoundPackage {
	out := []FoundPackage{}
	for _, p := range all {
		w := FoundPackage{
			Type: aws.String(string(p.Type)), Name: &p.Name, Version: &p.Version, SourceVersion: optional(p.SourceVersion), Arch: optional(p.Arch), FixedIn: optional(p.Fixed),
		}
		if placed {
			w.Path, w.LayerIndex, w.LayerDigest = optional(p.Path), number(p.Layer), optional(p.LayerDigest.String())
			w.Instruction, w.FromBase = optional(p.Instruction), &p.FromBase
		}
		out = append(out, w)
	}
	return out
}

func wireException(e *scan.Exception) *FindingException {
	if e == nil {
		return nil
	}
	return &FindingException{
		Status: optional(e.Status), Owner: optional(e.Owner), Reason: optional(e.Reason), PackageName: optional(e.Package),
		DocumentDigest: optional(e.Document.String()), ExpiresAt: known(e.ExpiresAt),
	}
}

func wireBase(b *scan.Base) *BaseImage {
	if b == nil {
		return nil
	}
	return &BaseImage{RepositoryName: &b.Repository, ImageDigest: aws.String(b.Digest.String()), ImageTags: append([]string{}, b.Tags...), Layers: number(b.Layers)}
}

func wireCount(c scan.Count) map[string]int {
	out := map[string]int{}
	for severity, n := range c {
		if n > 0 {
			out[string(severity)] = n
		}
	}
	return out
}

// number is a count on the wire: of findings, packages, layers.
func number(n int) *int32 {
	return aws.Int32(int32(min(n, 1<<31-1))) //nolint:gosec // bounded
}

// measure leaves out a figure that nobody has given.
func measure(x float64) *float64 {
	if x == 0 {
		return nil
	}
	return &x
}
