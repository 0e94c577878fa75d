// Package oci holds the words of the OCI specifications and of docker's: digests, references,
// descriptors and manifests. It parses and validates; it decides nothing and imports nothing of ours but
// the faults it reports.
//
// Manifests are kept as the bytes they came in, always: a parsed [Manifest] is a reading of them, never
// their replacement.
package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// Digest names content by its hash: "sha256:" and 64, or "sha512:" and 128 lower-case hexadecimal digits
// (image-spec, descriptor.md, "Digests"). A Digest that came from ParseDigest or FromBytes is valid.
type Digest string

// Algorithm is a hash that digests may use.
type Algorithm string

// The registered algorithms that registries must and should support.
const (
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
)

// ParseDigest checks s, or answers fault.DigestInvalid.
func ParseDigest(s string) (Digest, error) {
	alg, hexes, ok := strings.Cut(s, ":")
	if !ok {
		return "", fault.New(fault.DigestInvalid, "digest %q has no algorithm", clip(s))
	}
	size := Algorithm(alg).hexLen()
	if size == 0 {
		return "", fault.New(fault.DigestInvalid, "digest %q is of an algorithm other than sha256 and sha512", clip(s))
	}
	if len(hexes) != size || strings.Trim(hexes, "0123456789abcdef") != "" {
		return "", fault.New(fault.DigestInvalid, "digest %q is not %d lower-case hexadecimal digits", clip(s), size)
	}
	return Digest(s), nil
}

// FromBytes hashes b with sha256.
func FromBytes(b []byte) Digest {
	sum := sha256.Sum256(b)
	return FromSum(SHA256, sum[:])
}

// FromSum makes the digest of a finished hash.
func FromSum(a Algorithm, sum []byte) Digest {
	return Digest(string(a) + ":" + hex.EncodeToString(sum))
}

// Algorithm gives the part before the colon.
func (d Digest) Algorithm() Algorithm {
	alg, _, _ := strings.Cut(string(d), ":")
	return Algorithm(alg)
}

// Hex gives the part after the colon.
func (d Digest) Hex() string {
	_, h, _ := strings.Cut(string(d), ":")
	return h
}

// String gives the digest as it is written.
func (d Digest) String() string { return string(d) }

// Short is a digest as people compare it: the algorithm and the first 12 digits, as docker does for image ids.
func (d Digest) Short() string {
	const enough = 12
	algorithm, hex, ok := strings.Cut(string(d), ":")
	if !ok || len(hex) <= enough {
		return string(d)
	}
	return algorithm + ":" + hex[:enough]
}

// Matches tells whether b has this digest.
func (d Digest) Matches(b []byte) bool {
	h := d.Algorithm().New()
	h.Write(b)
	return FromSum(d.Algorithm(), h.Sum(nil)) == d
}

// New starts a hash of the algorithm, which must be one of the two.
func (a Algorithm) New() hash.Hash {
	if a == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

func (a Algorithm) hexLen() int {
	switch a {
	case SHA256:
		return 2 * sha256.Size
	case SHA512:
		return 2 * sha512.Size
	}
	return 0
}

// clip keeps a stranger's text short enough to be repeated in an error.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
