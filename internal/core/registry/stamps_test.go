package registry_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestTemplatesStampPolicies reads back both policies that a repository was made with.
func TestTemplatesStampPolicies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		const lifecycle = `{"rules":[]}`
		_, err := b.CreateTemplate(t.Context(), root, registry.Template{
			Prefix: "team", Uses: []registry.TemplateUse{registry.ForReplication}, RepositoryPolicy: pullPolicy, LifecyclePolicy: lifecycle,
		})
		if err != nil {
			t.Fatal(err)
		}
		made, err := b.EnsureRepository(t.Context(), root, "team/app", registry.ForReplication)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.RepositoryPolicy(t.Context(), root, "team/app"); err != nil || got != pullPolicy {
			t.Errorf("its policy is %q, %v, want %q", got, err, pullPolicy)
		}
		if got, err := b.db.Read().LifecyclePolicy(t.Context(), made.ID); err != nil || got.Text != lifecycle {
			t.Errorf("its lifecycle policy is %+v, %v, want %q", got, err, lifecycle)
		}
	})
}
