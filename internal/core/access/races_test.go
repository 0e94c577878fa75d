package access_test

import (
	"context"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// lateStore is a store whose readings of grants come late: something happens between the reading and its arrival.
type lateStore struct {
	access.Store
	before func()
}

func (s *lateStore) Read() access.Queries { return &lateQueries{s.Store.Read(), s} }

type lateQueries struct {
	access.Queries
	store *lateStore
}

func (q *lateQueries) Grants(ctx context.Context, id string) (access.Grants, error) {
	g, err := q.Queries.Grants(ctx, id)
	if before := q.store.before; before != nil {
		q.store.before = nil
		before()
	}
	return g, err
}

// TestGrantsReadBeforeAChangeAreNotRemembered takes a permission away while it is being read: the question that was under way
// may still be answered by it, and none that is asked after the change was answered.
func TestGrantsReadBeforeAChangeAreNotRemembered(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:ecr:us-east-1:" + houseAccount + ":repository/app"
	for name, change := range map[string]func(ctx context.Context, s *access.Service, root identity.Caller) error{
		"the policy goes": func(ctx context.Context, s *access.Service, root identity.Caller) error {
			return s.DeleteInlinePolicy(ctx, root, access.User, "eve", "pa")
		},
		"a deny comes": func(ctx context.Context, s *access.Service, root identity.Caller) error {
			return s.PutInlinePolicy(ctx, root, access.User, "eve", access.InlinePolicy{Name: "deny", Document: statement("Deny", "ecr:*")})
		},
		"a boundary comes": func(ctx context.Context, s *access.Service, root identity.Caller) error {
			return s.PutUserPermissionsBoundary(ctx, root, "eve", "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachHouse(t, func(t *testing.T, h *house) {
				t.Helper()
				eve := h.user("eve", statement("Allow", "ecr:*"))
				store := &lateStore{Store: h.db.Access()}
				s, _ := h.replica(store)
				store.before = func() { h.ok("changing", change(t.Context(), s, h.root)) }
				ask := func() error {
					return s.Authorize(t.Context(), eve, policy.Request{Action: policy.PutImage, Resource: arn, Account: houseAccount})
				}
				h.ok("the question that was under way", ask())
				wantCode(t, "the next", ask(), fault.AccessDenied, "ecr:PutImage")
			})
		})
	}
}
