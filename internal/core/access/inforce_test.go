package access_test

import (
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// TestSessionPoliciesAmidNewVersions asks in a session that a managed policy limits while the policy has new versions put in
// force and the one before deleted: each of them allows it.
func TestSessionPoliciesAmidNewVersions(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		limit := o.policy("limit", granting("ecr:*"))
		r := o.role("r")
		o.must("AttachPolicy", o.AttachPolicy(ctx, o.root, access.Role, "r", "arn:aws:iam::aws:policy/AdministratorAccess"))
		session := identity.Caller{
			Account: officeAccount, ARN: "arn:aws:sts::" + officeAccount + ":assumed-role/r/s1", UserID: r.ID + ":s1",
			Session: &identity.Session{RoleARN: r.ARN, PolicyARNs: []string{limit}, Expires: time.Now().Add(time.Hour)},
		}
		stop := make(chan struct{})
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					err := o.Authorize(ctx, session, policy.Request{Action: policy.PutImage, Resource: "*", Account: officeAccount})
					if err != nil {
						t.Errorf("Authorize: %v", err)
						return
					}
				}
			})
		}
		for range 100 {
			v, err := o.CreatePolicyVersion(ctx, o.root, limit, granting("ecr:*"), true)
			o.must("CreatePolicyVersion", err)
			o.must("DeletePolicyVersion", o.DeletePolicyVersion(ctx, o.root, limit, v.Number-1))
		}
		close(stop)
		asking.Wait()
	})
}
