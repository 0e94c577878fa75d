package metadb_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestGrantsAreOfOneMoment reads what a user may do while its boundary is put before a policy is attached, and taken away
// after it is detached: the policy is never there without the boundary.
func TestGrantsAreOfOneMoment(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		ctx, store := t.Context(), db.Access()
		p := access.Principal{ID: "AIDAAAAAAAAAAAAAAAAAA", Kind: access.User, Name: "ci", Path: "/", ARN: "arn:aws:iam::000000000042:user/ci", CreatedAt: time.UnixMilli(1)}
		const admin, limit = "arn:aws:iam::aws:policy/AdministratorAccess", "arn:aws:iam::000000000042:policy/limit"
		update := func(f func(tx access.Tx) error) {
			t.Helper()
			if err := store.Update(ctx, f); err != nil {
				t.Fatal(err)
			}
		}
		bounded := func(arn string) func(tx access.Tx) error {
			with := p
			with.Boundary = arn
			return func(tx access.Tx) error { return tx.UpdatePrincipal(ctx, with) }
		}
		update(func(tx access.Tx) error { return tx.InsertPrincipal(ctx, p) })
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					g, err := store.Read().Grants(ctx, p.ID)
					if err != nil {
						t.Errorf("Grants: %v", err)
						return
					}
					if g.Principal.Boundary == "" && slices.ContainsFunc(g.Policies, func(gp access.GrantedPolicy) bool { return gp.ARN == admin }) {
						t.Error("the policy is there without the boundary")
						return
					}
				}
			})
		}
		for range 100 {
			update(bounded(limit))
			update(func(tx access.Tx) error { return tx.Attach(ctx, p.ID, admin) })
			update(func(tx access.Tx) error { _, err := tx.Detach(ctx, p.ID, admin); return err })
			update(bounded(""))
		}
		close(stop)
		readers.Wait()
	})
}
