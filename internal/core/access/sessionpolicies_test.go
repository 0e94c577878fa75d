package access_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// counting counts how often a managed policy is read.
type counting struct {
	access.Store
	reads atomic.Int64
}

type countingQueries struct {
	access.Queries
	reads *atomic.Int64
}

func (c *counting) Read() access.Queries { return countingQueries{c.Store.Read(), &c.reads} }

func (q countingQueries) ManagedPolicy(ctx context.Context, arn string) (access.ManagedPolicy, error) {
	q.reads.Add(1)
	return q.Queries.ManagedPolicy(ctx, arn)
}

// TestSessionPolicies has a session that its policies limit: what is remembered of them is read anew when it may have changed.
func TestSessionPolicies(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		store := &counting{Store: o.db.Access()}
		o.Service, _ = o.replica(store)
		role := o.role("r")
		o.must("PutInlinePolicy", o.PutInlinePolicy(ctx, o.root, access.Role, "r", access.InlinePolicy{Name: "all", Document: granting("ecr:*")}))
		arn := o.policy("p", granting(policy.PutImage))
		session := func(document string, arns ...string) identity.Caller {
			return identity.Caller{
				Account: officeAccount, ARN: "arn:aws:sts::" + officeAccount + ":assumed-role/r/s", UserID: role.ID + ":s",
				Session: &identity.Session{Name: "s", RoleARN: role.ARN, Policy: document, PolicyARNs: arns},
			}
		}
		byARN := session("", arn)
		for range 3 {
			if !o.may(byARN, policy.PutImage, "*") || o.may(byARN, policy.DescribeRegistry, "*") {
				t.Error("the session's managed policy does not limit it")
			}
		}
		if n := store.reads.Load(); n != 1 {
			t.Errorf("the policy was read %d times", n)
		}
		for range 2 {
			byText := session(granting(policy.DescribeRegistry))
			if o.may(byText, policy.PutImage, "*") || !o.may(byText, policy.DescribeRegistry, "*") {
				t.Error("the session's own policy does not limit it")
			}
		}
		both := session(granting(policy.DescribeRegistry), arn, pullOnly, arnPrefix+"policy/none")
		for action, want := range map[policy.Action]bool{policy.PutImage: true, policy.DescribeRegistry: true, policy.BatchGetImage: true, policy.ListImages: false} {
			if got := o.may(both, action, "*"); got != want {
				t.Errorf("%s with several policies: %v, want %v", action, got, want)
			}
		}

		_, err := o.CreatePolicyVersion(ctx, o.root, arn, granting(policy.DescribeRegistry), true)
		o.must("CreatePolicyVersion", err)
		if o.may(byARN, policy.PutImage, "*") || !o.may(byARN, policy.DescribeRegistry, "*") {
			t.Error("a change that was made here does not count at once")
		}
		other, _ := o.replica(o.db.Access())
		o.must("SetDefaultPolicyVersion", other.SetDefaultPolicyVersion(ctx, o.root, arn, 1))
		o.sleep(4 * time.Second)
		if !o.may(byARN, policy.PutImage, "*") || o.may(byARN, policy.DescribeRegistry, "*") {
			t.Error("a change that was made elsewhere does not count in time")
		}
	})
}
