package advisory

// Version is one version of a package, parsed once, that many advisories are asked about.
type Version struct{ installed }

// NewVersion makes one.
func NewVersion(ecosystem, version string) *Version {
	return &Version{newInstalled(ecosystem, version)}
}

// CoversVersion is Covers.
func (f *Affected) CoversVersion(v *Version) (bool, error) { return f.covers(&v.installed) }
