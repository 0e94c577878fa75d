package images

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Name is an image as people name it: REPOSITORY:TAG or REPOSITORY@DIGEST.
type Name struct {
	Repository string
	oci.Reference
}

// String is how it was written.
func (n Name) String() string {
	if n.Tag != "" {
		return n.Repository + ":" + n.Tag
	}
	return n.Repository + "@" + n.Digest.String()
}

// ErrAddressed says that a name begins with a registry's address, which is said otherwise.
var ErrAddressed = errors.New("it begins with a registry's address")

// ParseName reads a name.
func ParseName(s string) (Name, error) {
	repository, rest, digested := strings.Cut(s, "@")
	if !digested {
		i := strings.LastIndex(s, ":")
		if i < 0 || strings.Contains(s[i:], "/") {
			return Name{}, fmt.Errorf("%q names no image: there is neither a tag nor a digest", s)
		}
		repository, rest = s[:i], s[i+1:]
	}
	if host, _, ok := strings.Cut(repository, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		return Name{}, fmt.Errorf("%q names no image: %w", s, ErrAddressed)
	}
	if _, err := oci.ParseRepositoryName(repository); err != nil {
		return Name{}, fmt.Errorf("%q names no image: %w", s, err)
	}
	ref, err := ParseReference(rest)
	if err == nil && digested && ref.Digest == "" {
		err = errors.New("what follows @ is no digest")
	}
	if err != nil {
		return Name{}, fmt.Errorf("%q names no image: %w", s, err)
	}
	return Name{repository, ref}, nil
}

// ParseReference reads a tag or a digest.
func ParseReference(s string) (oci.Reference, error) {
	ref, err := oci.ParseReference(s)
	if err != nil {
		return oci.Reference{}, fmt.Errorf("%q is neither a tag nor a digest: %w", s, err)
	}
	return ref, nil
}

// shortest is how many digits of a digest are enough to ask for it.
const shortest = 6

// Reference reads a tag or a digest, of which the beginning is enough, as lists show it.
func (c *Client) Reference(ctx context.Context, s string) (oci.Reference, error) {
	_, hex, digested := strings.Cut(s, ":")
	if whole := 64; !digested || len(hex) < shortest || len(hex) >= whole {
		return ParseReference(s)
	}
	all, err := c.List(ctx)
	if err != nil {
		return oci.Reference{}, err
	}
	var found oci.Digest
	for _, i := range all {
		switch {
		case !strings.HasPrefix(i.Digest.String(), s):
		case found != "":
			return oci.Reference{}, fmt.Errorf("several images begin with %s", s)
		default:
			found = i.Digest
		}
	}
	if found == "" {
		return oci.Reference{}, fmt.Errorf("no image begins with %s", s)
	}
	return oci.Reference{Digest: found}, nil
}
