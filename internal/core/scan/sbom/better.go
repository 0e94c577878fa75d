package sbom

import (
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// Claim is the Format of packages that nothing in the image tells of: an SBOM that refers to it says that they are there, and their
// Path is the digest of that.
const Claim = "sbom"

// Better adds to what the layers tell what an SBOM knows better: packages of kinds of which the layers tell nothing at all, as those
// that were linked into one program, or came with a file system without a package database. Where the layers tell anything of a kind
// they are believed, since they are what runs. Claimed packages are of the image's top layer, for want of a better one.
//
// An operating system's packages are taken only for the system that the image says it is; where it says nothing, for what the SBOM
// says it is. vouched tells whether somebody has attached the SBOM who may answer for the image's findings.
func Better(ours inventory.Image, theirs Document, from oci.Digest, vouched bool, top int) inventory.Image {
	told := map[inventory.Type]bool{}
	system := false
	for _, f := range ours.Packages {
		told[f.Type] = true
		system = system || f.Type.System()
	}
	if ours.OS == (inventory.OS{}) && !system {
		ours.OS = theirs.OS
	}
	var added []inventory.Found
	for _, p := range theirs.Packages {
		if told[p.Type] || p.Type.System() && (system || !sameSystem(p.Type, ours.OS, theirs.OS)) {
			continue
		}
		f := inventory.Found{Package: p, Path: from.String(), Format: Claim, Layer: top, Unvouched: !vouched}
		f.Ecosystem, f.Release = inventory.Ecosystem(p.Type, ours.OS)
		added = append(added, f)
	}
	if len(added) == 0 || len(ours.Packages)+len(added) > inventory.MaxPackages {
		return ours
	}
	all := make([]inventory.Found, 0, len(ours.Packages)+len(added))
	ours.Packages = append(append(all, ours.Packages...), added...)
	inventory.Sort(ours.Packages)
	return ours
}

// sameSystem tells whether packages are of the same release of the same distribution.
func sameSystem(t inventory.Type, a, b inventory.OS) bool {
	if a.ID == b.ID && a.VersionID == b.VersionID {
		return true
	}
	ae, ar := inventory.Ecosystem(t, a)
	be, br := inventory.Ecosystem(t, b)
	return ae != "" && ae == be && ar == br
}
