package oci

import (
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// RepositoryNamePattern is ECR's grammar of repository names, as its API model states it.
const RepositoryNamePattern = `(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*`

// Bounds of names (ECR API model; distribution-spec "Pulling manifests" for tags).
const (
	MinRepositoryName = 2
	MaxRepositoryName = 256
	MaxTag            = 128
)

// ParseRepositoryName checks a repository's name, or answers fault.RepositoryNameInvalid in ECR's words.
func ParseRepositoryName(s string) (string, error) {
	switch {
	case len(s) < MinRepositoryName:
		return "", nameFault("Member must have length greater than or equal to 2")
	case len(s) > MaxRepositoryName:
		return "", nameFault("Member must have length less than or equal to 256")
	case !isRepositoryName(s):
		return "", nameFault("must satisfy regular expression '" + RepositoryNamePattern + "'")
	}
	return s, nil
}

// isRepositoryName is the pattern [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* for each part between slashes, by hand:
// each request asks it twice. It is wider than the pattern that messages quote, for ECR's model of 2026 takes
// "__" and runs of "-" too.
func isRepositoryName(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || !isNameChar(part[0]) || !isNameChar(part[len(part)-1]) {
			return false
		}
		for i := 0; i < len(part); i++ {
			if isNameChar(part[i]) {
				continue
			}
			from := i // of a separator, which ends before the part does
			for !isNameChar(part[i+1]) {
				i++
			}
			switch sep := part[from : i+1]; {
			case sep == ".", sep == "_", sep == "__":
			case strings.Trim(sep, "-") == "":
			default:
				return false
			}
		}
	}
	return true
}

func isNameChar(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// isTag is the pattern [a-zA-Z0-9_][a-zA-Z0-9._-]*.
func isTag(s string) bool {
	for i := range len(s) {
		c := s[i]
		word := isNameChar(c) || 'A' <= c && c <= 'Z' || c == '_'
		if !word && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return s != ""
}

func nameFault(constraint string) error {
	f := fault.BadParameter("repositoryName", constraint)
	f.Code = fault.RepositoryNameInvalid
	return f
}

// ParseTag checks an image tag, or answers fault.TagInvalid in ECR's words.
func ParseTag(s string) (string, error) {
	if len(s) > MaxTag || !isTag(s) {
		f := fault.BadParameter("imageTag", "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'")
		f.Code = fault.TagInvalid
		return "", f
	}
	return s, nil
}

// CompanionOf gives the digest of which a tag is made: sha256-<hex>, under which the distribution spec files
// referrers where there is no API for them, or that with .sig, .att or .sbom, under which cosign files what it makes.
func CompanionOf(tag string) (Digest, bool) {
	algorithm, rest, ok := strings.Cut(tag, "-")
	if !ok || algorithm != "sha256" && algorithm != "sha512" {
		return "", false
	}
	hex, kind, filed := strings.Cut(rest, ".")
	if filed && kind != "sig" && kind != "att" && kind != "sbom" {
		return "", false
	}
	d, err := ParseDigest(algorithm + ":" + hex)
	return d, err == nil
}

// Reference is what stands after /manifests/: a tag or a digest, one of the two.
type Reference struct {
	Tag    string
	Digest Digest
}

// ParseReference tells a digest from a tag: only a digest has a colon.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Reference{Digest: d}, err
	}
	t, err := ParseTag(s)
	return Reference{Tag: t}, err
}

// String gives the reference as it stands in a path.
func (r Reference) String() string {
	if r.Tag != "" {
		return r.Tag
	}
	return r.Digest.String()
}

// AppOf gives the application that a tag names by the usual convention, {app}-{commit} or {app}-latest, and whether it names one. A commit is
// 7 to 64 digits of lower-case hex. A tag that is made of a digest, or says where something is deployed, names none.
func AppOf(tag string) (string, bool) {
	if _, filed := CompanionOf(tag); filed {
		return "", false
	}
	at := strings.LastIndexByte(tag, '-')
	if at <= 0 {
		return "", false
	}
	app, rest := tag[:at], tag[at+1:]
	if strings.HasPrefix(tag, "deploy-") {
		return "", false
	}
	return app, rest == "latest" || len(rest) >= 7 && len(rest) <= 64 && strings.Trim(rest, "0123456789abcdef") == ""
}
