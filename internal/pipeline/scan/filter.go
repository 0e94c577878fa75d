package scan

import (
	"errors"
	"slices"
)

// Filter is which findings count.
type Filter struct {
	OnlyFixable bool // those that a newer version of the package mends
	IgnoreBase  bool // those that the base image does not bring
}

// Errors of a Filter that goes by what the registry does not tell. To pass everything over then would be worse than to refuse.
var (
	ErrNoFixes  = errors.New("the registry does not say which findings have a fix")
	ErrNoPlaces = errors.New("the registry does not say what comes from the base image")
)

// Keep gives the report with what counts. Of a finding about several packages those stay that
// count. What is not listed stays: nobody knows what it is.
func (f Filter) Keep(r Report) (Report, error) {
	switch {
	case len(r.Findings) == 0, f == (Filter{}):
		return r, nil
	case f.OnlyFixable && !r.Fixes:
		return r, ErrNoFixes
	case f.IgnoreBase && !r.Places:
		return r, ErrNoPlaces
	}
	kept := []Finding{}
	for _, found := range r.Findings {
		some := slices.DeleteFunc(slices.Clone(found.Packages), func(p Package) bool {
			return f.OnlyFixable && p.FixedIn == "" || f.IgnoreBase && p.FromBase
		})
		if len(some) == 0 {
			continue
		}
		found.Packages = some
		kept = append(kept, found)
	}
	r.Findings = kept
	return r, nil
}
