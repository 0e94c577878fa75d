package sbom

// Claim is the Format of packages that nothing in the image tells of: an SBOM that refers to it says that they are there.
const Claim = "sbom"
