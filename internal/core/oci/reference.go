package oci

import (
	"regexp"
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

var (
	// Wider than the pattern quoted in messages: the model of 2026 also takes "__" and runs of "-".
	repositoryName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tag            = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]*$`)
)

// ParseRepositoryName checks a repository's name, or answers fault.RepositoryNameInvalid in ECR's words.
func ParseRepositoryName(s string) (string, error) {
	switch {
	case len(s) < MinRepositoryName:
		return "", nameFault("Member must have length greater than or equal to 2")
	case len(s) > MaxRepositoryName:
		return "", nameFault("Member must have length less than or equal to 256")
	case !repositoryName.MatchString(s):
		return "", nameFault("must satisfy regular expression '" + RepositoryNamePattern + "'")
	}
	return s, nil
}

func nameFault(constraint string) error {
	f := fault.BadParameter("repositoryName", constraint)
	f.Code = fault.RepositoryNameInvalid
	return f
}

// ParseTag checks an image tag, or answers fault.TagInvalid in ECR's words.
func ParseTag(s string) (string, error) {
	if s == "" || len(s) > MaxTag || !tag.MatchString(s) {
		f := fault.BadParameter("imageTag", "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'")
		f.Code = fault.TagInvalid
		return "", f
	}
	return s, nil
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
