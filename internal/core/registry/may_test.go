package registry_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestTagsFrom pushes on the condition that a tag is where it was.
func TestTagsFrom(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		first := b.pushNew("first", "a")
		nothing, other := oci.Digest(""), oci.FromBytes([]byte("other"))
		for i, tt := range []struct {
			tag  string
			from *oci.Digest
			ok   bool
		}{
			{"a", &nothing, false},
			{"a", &other, false},
			{"b", &other, false},
			{"a", &first.Digest, true},
			{"a", &first.Digest, false},
			{"b", &nothing, true},
			{"b", nil, true},
		} {
			manifest := b.manifest(repo, `{}`, fmt.Sprint("layer ", i))
			pushed, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: manifest, Tags: []string{tt.tag}, TagsFrom: tt.from})
			switch {
			case tt.ok && (err != nil || b.tagTarget(tt.tag) != pushed.Image.Digest):
				t.Errorf("%+v: %v", tt, err)
			case !tt.ok && !errors.Is(err, registry.ErrConflict):
				t.Errorf("%+v: %v, want a conflict", tt, err)
			}
			_, err = b.StatImage(t.Context(), root, repo, oci.Reference{Digest: oci.FromBytes(manifest)})
			if stored := err == nil; stored != tt.ok {
				t.Errorf("%+v: the image is stored: %v", tt, stored)
			}
		}
	})
}

func TestMay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		for _, repository := range []string{"", repo} {
			if err := b.May(t.Context(), root, policy.GetSigningConfiguration, repository); err != nil {
				t.Errorf("root on %q: %v", repository, err)
			}
			wantFault(t, "nobody on "+repository, b.May(t.Context(), identity.Caller{}, policy.GetSigningConfiguration, repository), fault.AccessDenied)
		}
		wantFault(t, "root on no name", b.May(t.Context(), root, policy.GetSigningConfiguration, "A"), fault.RepositoryNameInvalid)
	})
}
