package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// rerun is a store that loses a conflict at the end of every transaction, and tries it again.
type rerun struct{ registry.Store }

// Update implements registry.Store.
func (s rerun) Update(ctx context.Context, f func(registry.Tx) error) error {
	conflict := errors.New("conflict")
	_ = s.Store.Update(ctx, func(tx registry.Tx) error { return errors.Join(f(tx), conflict) })
	return s.Store.Update(ctx, f)
}

// TestATransactionThatIsTriedAgain makes a repository that is there, after a conflict: the second try is about the same
// name as the first.
func TestATransactionThatIsTriedAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		r := registry.New(registry.Config{Store: rerun{b.db}, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: func() time.Time { return b.now }})
		_, err := r.CreateRepository(t.Context(), root, registry.NewRepository{Name: repo})
		wantFault(t, "a name that is taken", err, fault.RepositoryExists)
		page, err := r.Repositories(t.Context(), root, 0, "")
		if err != nil || len(page.Items) != 1 {
			t.Errorf("repositories: %+v, %v", page.Items, err)
		}
	})
}
