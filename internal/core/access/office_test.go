package access_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	officeAccount = houseAccount
	arnPrefix     = "arn:aws:iam::" + officeAccount + ":"
	pullOnly      = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
)

// office is a house in which principals and policies are put by hand.
type office struct{ *house }

func newOffice(t *testing.T, db *metadb.DB) *office {
	t.Helper()
	return &office{newHouse(t, db)}
}

// eachOffice runs the test on every kind of database.
func eachOffice(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		test(t, newOffice(t, db))
	})
}

// principal puts a user or group there, and gives it as a caller.
func (o *office) principal(kind access.Kind, name string, groups ...string) identity.Caller {
	o.t.Helper()
	unique := strings.ToUpper(strings.Repeat(name, 17)[:max(17, len(name))]) // of a long name its end
	id := map[access.Kind]string{access.User: "AIDA", access.Group: "AGPA"}[kind] + unique[len(unique)-17:]
	p := access.Principal{
		ID: id, Kind: kind, Name: name, Path: "/", ARN: arnPrefix + string(kind) + "/" + name, CreatedAt: time.UnixMilli(1),
	}
	err := o.db.Access().Update(o.t.Context(), func(tx access.Tx) error {
		if err := tx.InsertPrincipal(o.t.Context(), p); err != nil {
			return err
		}
		for _, g := range groups {
			found, err := tx.Principal(o.t.Context(), access.Group, g)
			if err != nil {
				return err
			}
			if err := tx.AddMember(o.t.Context(), found.ID, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		o.t.Fatalf("adding %s %s: %v", kind, name, err)
	}
	return identity.Caller{Account: officeAccount, ARN: p.ARN, UserID: id}
}

// role makes a role that the account trusts.
func (o *office) role(name string) access.Principal {
	o.t.Helper()
	p, err := o.CreateRole(o.t.Context(), o.root, access.NewRole{Name: name, Trust: trusting(`"AWS":"` + officeAccount + `"`)})
	if err != nil {
		o.t.Fatalf("CreateRole(%s): %v", name, err)
	}
	return p
}

// policy makes a managed policy, and gives its ARN.
func (o *office) policy(name, document string) string {
	o.t.Helper()
	p, err := o.CreatePolicy(o.t.Context(), o.root, access.NewPolicy{Name: name, Document: document})
	if err != nil {
		o.t.Fatalf("CreatePolicy(%s): %v", name, err)
	}
	return p.ARN
}

// may tells whether a caller may do something, as Authorize has it.
func (o *office) may(caller identity.Caller, action policy.Action, resource string) bool {
	o.t.Helper()
	err := o.Authorize(o.t.Context(), caller, policy.Request{Action: action, Resource: resource, Account: officeAccount})
	if err != nil && !errors.Is(err, fault.AccessDenied) {
		o.t.Fatalf("Authorize: %v", err)
	}
	return err == nil
}

func (o *office) must(what string, err error) {
	o.t.Helper()
	o.ok(what, err)
}

// wantFault is wantCode by its other name.
func wantFault(t *testing.T, what string, err error, code fault.Code, words string) {
	t.Helper()
	wantCode(t, what, err, code, words)
}

// trusting makes a trust policy for principals.
func trusting(principals string) string {
	return trustingWhen(principals, "")
}

// trustingWhen makes a trust policy for principals under a condition.
func trustingWhen(principals, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{` + principals + `},"Action":"sts:AssumeRole"` + condition + `}]}`
}

// granting makes a document of one statement that allows an action on everything.
func granting(action policy.Action) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + string(action) + `","Resource":"*"}}`
}

// long makes a document of that many characters, white space apart.
func long(t *testing.T, n int) string {
	t.Helper()
	const before, after = `{"Version":"2012-10-17","Id":"`, `","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	if n < len(before)+len(after) {
		t.Fatalf("no document has %d characters", n)
	}
	return before + strings.Repeat("x", n-len(before)-len(after)) + after
}
