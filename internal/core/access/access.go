// Package access is who there is in the account besides its root principal, and what they may do: users, groups and
// roles, their policies, the OIDC providers whose tokens are taken, and the sessions that roles are assumed in. It is
// IAM and STS behind their faces, and it answers every other room's question whether a caller may do something
// ([Service.Authorize]).
//
// What a principal may do is read in one piece ([Grants]), made ready, and remembered for a moment: a change made here
// counts at once, one made by another replica within [rememberFor].
package access

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// rememberFor bounds how long a change to a principal's policies that another replica made goes unnoticed here.
const rememberFor = 3 * time.Second

// Config is what a Service is made of. Every field must be set, but for Tokens and Decided.
type Config struct {
	Store     Store
	Directory *identity.Directory
	Account   string // 12 digits
	Region    string
	Now       func() time.Time
	// Tokens verifies web identity tokens. Nil: none is taken.
	Tokens TokenVerifier
	// Decided is told of decisions that allow something, and what they rest on. It must not wait. Nil: nobody wants to know.
	Decided func(ctx context.Context, d policy.Decision)
}

// Service is one account's. Its methods may be called from many goroutines.
type Service struct {
	store     Store
	directory *identity.Directory
	account   string
	region    string
	now       func() time.Time
	tokens    TokenVerifier
	decided   func(context.Context, policy.Decision) // or nil
	grants    grantCache
	uses      useRecorder
}

// New makes a Service.
func New(c Config) *Service {
	return &Service{
		store: c.Store, directory: c.Directory, account: c.Account, region: c.Region,
		now:    func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) },
		tokens: c.Tokens, decided: c.Decided,
	}
}

// Authorize answers nil when the caller may do what is asked, or fault.AccessDenied, whose message names principal,
// action, resource and reason as AWS's does.
func (s *Service) Authorize(ctx context.Context, caller identity.Caller, r policy.Request) error {
	if limitless(caller, r.Account) {
		return nil
	}
	q, err := s.question(ctx, caller, r)
	if err != nil {
		return err
	}
	d := policy.Decide(q)
	if d.Outcome == policy.Allowed {
		if s.decided != nil {
			s.decided(ctx, d)
		}
		return nil
	}
	return denied(caller, q, d)
}

// limitless tells those whom no policy limits: the root principal of the account that the resource is of, and the
// server itself.
func limitless(caller identity.Caller, account string) bool {
	return (caller.Root && limitlessSession(caller.Session) || caller.Service) && caller.Account == account
}

// limitlessSession tells whether a root principal's session was given no policies.
func limitlessSession(s *identity.Session) bool {
	return s == nil || s.Policy == "" && len(s.PolicyARNs) == 0
}

func denied(caller identity.Caller, q policy.Question, d policy.Decision) error {
	who := caller.ARN
	if caller.Anonymous() {
		who = "anonymous"
	}
	return fault.New(fault.AccessDenied, "%s", d.Denied(who, q.Action, q.Resource)).With(policy.Refused(who, q, d))
}

// authorize is Authorize for the operations of this room, about its own entities.
func (s *Service) authorize(ctx context.Context, caller identity.Caller, action policy.Action, resource string, request policy.Context) error {
	if userSession(caller.Session) {
		return fault.New(fault.AccessDenied, "The session that GetSessionToken gave to %s, without a second factor, cannot perform %s.", caller.ARN, action)
	}
	return s.Authorize(ctx, caller, policy.Request{Action: action, Resource: resource, Account: s.account, Context: request})
}

// changed is called after every write: what was remembered is read anew.
func (s *Service) changed() {
	s.grants.clear()
	s.directory.Forget()
}

// update runs a transaction, and forgets what it may have changed.
func (s *Service) update(ctx context.Context, f func(tx Tx) error) error {
	defer s.changed()
	return s.store.Update(ctx, f)
}
