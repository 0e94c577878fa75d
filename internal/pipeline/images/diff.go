package images

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Diff is how two images differ. Configurations are compared for each platform that both have.
type Diff struct {
	A, B      Details
	OnlyA     []string // platforms
	OnlyB     []string
	Pairs     []Pair
	Different bool // the digests are others
}

// Pair is how two images for one platform differ.
type Pair struct {
	Platform string
	A, B     oci.Digest

	Common, Removed, Added                []Layer
	CommonBytes, RemovedBytes, AddedBytes int64

	// Changes are of entrypoint, cmd, user, workdir, stopsignal and healthcheck, ports, volumes, variables, and labels.
	Changes []Change

	Packages    []Change // by what the SBOMs say
	NotPackages string   // why packages were not compared; empty where they were
}

// Change is something that both images have, and has another value, or only one of them.
type Change struct {
	What     string // such as user, label, variable, package
	Name     string // of the variable, label, package
	From, To *string
}

// Compare compares two images of one repository or of two.
func Compare(ctx context.Context, c *Client, a Name, d *Client, b Name) (Diff, error) {
	left, err := c.Show(ctx, a.Reference)
	if err != nil {
		return Diff{}, &AskedError{a, err}
	}
	right, err := d.Show(ctx, b.Reference)
	if err != nil {
		return Diff{}, &AskedError{b, err}
	}
	diff := Diff{A: left, B: right, Different: left.Digest != right.Digest}
	used := map[int]bool{}
	for _, v := range left.Variants {
		i := slices.IndexFunc(right.Variants, func(w Variant) bool { return v.Platform == w.Platform })
		if len(left.Variants) == 1 && len(right.Variants) == 1 {
			i = 0 // the platform is a difference like any other then
		}
		if i < 0 || used[i] {
			diff.OnlyA = append(diff.OnlyA, v.Platform)
			continue
		}
		used[i] = true
		w := right.Variants[i]
		pair := pairOf(v, w)
		pair.Packages, pair.NotPackages = comparePackages(ctx, c, left, v, d, right, w)
		diff.Pairs = append(diff.Pairs, pair)
	}
	for i, w := range right.Variants {
		if !used[i] {
			diff.OnlyB = append(diff.OnlyB, w.Platform)
		}
	}
	return diff, nil
}

// AskedError says about which image something could not be found out.
type AskedError struct {
	Name Name
	Err  error
}

// Error names the image.
func (e *AskedError) Error() string { return e.Name.String() + ": " + e.Err.Error() }

// Unwrap gives the reason.
func (e *AskedError) Unwrap() error { return e.Err }

func pairOf(v, w Variant) Pair {
	p := Pair{Platform: cmp.Or(v.Platform, w.Platform), A: v.Digest, B: w.Digest}
	theirs := map[oci.Digest]int{}
	for _, l := range w.Layers {
		theirs[l.Digest]++
	}
	for _, l := range v.Layers {
		if theirs[l.Digest] > 0 {
			theirs[l.Digest]--
			p.Common, p.CommonBytes = append(p.Common, l), p.CommonBytes+l.Size
		} else {
			p.Removed, p.RemovedBytes = append(p.Removed, l), p.RemovedBytes+l.Size
		}
	}
	for _, l := range slices.Backward(w.Layers) { // what is left over of several equal ones comes last
		if theirs[l.Digest] > 0 {
			theirs[l.Digest]--
			p.Added, p.AddedBytes = append(p.Added, l), p.AddedBytes+l.Size
		}
	}
	slices.Reverse(p.Added)
	p.compare("platform", v.Platform, w.Platform)
	if v.Config != nil && w.Config != nil {
		p.configs(*v.Config, *w.Config)
	}
	return p
}

func (p *Pair) configs(a, b Config) {
	for _, of := range []struct {
		what string
		a, b []string
	}{{"entrypoint", a.Entrypoint, b.Entrypoint}, {"cmd", a.Cmd, b.Cmd}, {"healthcheck", a.Healthcheck, b.Healthcheck}} {
		p.compare(of.what, strings.Join(of.a, " "), strings.Join(of.b, " "))
	}
	p.compare("user", a.User, b.User)
	p.compare("workdir", a.WorkingDir, b.WorkingDir)
	p.compare("stopsignal", a.StopSignal, b.StopSignal)
	p.Changes = slices.Concat(p.Changes, changes("port", set(a.Ports), set(b.Ports)), changes("volume", set(a.Volumes), set(b.Volumes)),
		changes("variable", a.Env, b.Env), changes("label", a.Labels, b.Labels))
}

func (p *Pair) compare(what, a, b string) {
	if a != b {
		p.Changes = append(p.Changes, Change{What: what, From: &a, To: &b})
	}
}

func set(all []string) map[string]string {
	s := map[string]string{}
	for _, one := range all {
		s[one] = ""
	}
	return s
}

// changes compares two maps, in the order of their keys.
func changes(what string, a, b map[string]string) []Change {
	var found []Change
	both := maps.Clone(a)
	if both == nil {
		both = map[string]string{}
	}
	maps.Copy(both, b)
	for _, name := range slices.Sorted(maps.Keys(both)) {
		from, was := a[name]
		to, is := b[name]
		c := Change{What: what, Name: name}
		if was {
			c.From = &from
		}
		if is {
			c.To = &to
		}
		if was != is || from != to {
			found = append(found, c)
		}
	}
	return found
}
