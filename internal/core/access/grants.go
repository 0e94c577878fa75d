package access

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// maxRemembered bounds the cache's memory.
const maxRemembered = 4096

// granted is Grants made ready.
type granted struct {
	principal Principal
	tags      map[string]string // by the key in lower case
	policies  []*policy.Policy
	boundary  *policy.Policy // nil: none is set
	gone      bool           // there is no such principal: nothing is granted
	until     time.Time
	era       uint64 // in which they were read
	// made are the policies by what they were made of: most are the same when grants are read anew.
	made map[GrantedPolicy]*policy.Policy
}

// grantCache remembers what principals may do, by their unique ids. The zero
// cache is empty and ready.
type grantCache struct {
	mu   sync.RWMutex
	era  uint64              // counts the clearings; guarded by mu
	byID map[string]*granted // guarded by mu
	// given are session policies made ready, by ARN or text, which no ARN is. Guarded by mu.
	given map[string]givenPolicy
}

// givenPolicy is a session policy made ready.
type givenPolicy struct {
	policy *policy.Policy
	until  time.Time // zero for a text, which never changes
}

func (c *grantCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.era++ // what is remembered counts no more; most of what it is made of is needed again
	c.given = nil
}

func (c *grantCache) findGiven(key string, now time.Time) (p *policy.Policy, era uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if g, ok := c.given[key]; ok && (g.until.IsZero() || now.Before(g.until)) {
		return g.policy, c.era
	}
	return nil, c.era
}

// keepGiven remembers p, unless the cache was cleared since p was read.
func (c *grantCache) keepGiven(key string, p givenPolicy, era uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if era != c.era {
		return
	}
	if c.given == nil || len(c.given) >= maxRemembered {
		c.given = map[string]givenPolicy{}
	}
	c.given[key] = p
}

// find gives what is remembered of a principal, and whether it still counts.
func (c *grantCache) find(id string, now time.Time) (g *granted, counts bool, era uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	g = c.byID[id]
	return g, g != nil && g.era == c.era && now.Before(g.until), c.era
}

// keep remembers g, unless the cache was cleared since g was read.
func (c *grantCache) keep(id string, g *granted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.era != c.era {
		return
	}
	if c.byID == nil || len(c.byID) >= maxRemembered {
		c.byID = map[string]*granted{}
	}
	c.byID[id] = g
}

// grantsOf reads what a principal may do.
func (s *Service) grantsOf(ctx context.Context, id string) (*granted, error) {
	now := s.now()
	old, counts, era := s.grants.find(id, now)
	if counts {
		return old, nil
	}
	read, err := s.store.Read().Grants(ctx, id)
	var g *granted
	switch {
	case errors.Is(err, ErrNoRow):
		g = &granted{gone: true}
	case err != nil:
		return nil, fmt.Errorf("reading what %s may do: %w", id, err)
	default:
		if g, err = prepare(read, old); err != nil {
			return nil, err
		}
	}
	g.until, g.era = now.Add(rememberFor), era
	s.grants.keep(id, g)
	return g, nil
}

// prepare makes grants ready to decide by. Old are those of the same principal from before, or nil.
func prepare(read Grants, old *granted) (*granted, error) {
	p := read.Principal
	g := &granted{principal: p, tags: map[string]string{}, made: make(map[GrantedPolicy]*policy.Policy, len(read.Policies))}
	if old == nil || old.principal.Name != p.Name { // explanations name it
		old = &granted{}
	}
	for _, t := range read.Tags {
		g.tags[fold(t.Key)] = t.Value
	}
	for _, gp := range read.Policies {
		made := old.made[gp]
		if made == nil {
			var err error
			if made, err = compile(policy.IdentityBased, gp.name(p), gp.ARN, gp.Document); err != nil {
				return nil, err
			}
		}
		g.made[gp] = made
		g.policies = append(g.policies, made)
	}
	if p.Boundary != "" {
		var err error
		if g.boundary, err = compile(policy.PermissionsBoundary, p.Boundary, p.Boundary, read.BoundaryDocument); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// name is how explanations call the policy.
func (gp GrantedPolicy) name(p Principal) string {
	if gp.ARN != "" {
		return gp.ARN
	}
	if gp.Of != "" {
		return fmt.Sprintf("the inline policy %s of group %s", gp.Inline, gp.Of)
	}
	return fmt.Sprintf("the inline policy %s of %s %s", gp.Inline, p.Kind, p.Name)
}

// compile makes a stored document ready. One that cannot be read is an error and not an absence, since it may deny
// something. What has no document is one of AWS's managed policies, or a policy that is gone, which grants nothing.
func compile(kind policy.Kind, name, arn, document string) (*policy.Policy, error) {
	if document == "" {
		document = awsDocument(arn)
	}
	if document == "" {
		return policy.Compile(kind, name, policy.Document{Version: policy.Version2012}), nil
	}
	d, err := policy.ParseDocument(document)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return policy.Compile(kind, name, d), nil
}

// question puts a request together with what its asker may do.
func (s *Service) question(ctx context.Context, caller identity.Caller, r policy.Request) (policy.Question, error) {
	q := policy.Question{
		Asker:     policy.Asker{ARN: caller.ARN, Account: caller.Account, UserID: caller.UserID},
		Action:    r.Action,
		Resource:  r.Resource,
		Account:   r.Account,
		Below:     r.Below,
		Resources: r.Resources,
	}
	g := &granted{}
	if id := caller.PrincipalID(); id != "" {
		var err error
		if g, err = s.grantsOf(ctx, id); err != nil {
			return policy.Question{}, err
		}
		q.Identity, q.Boundary = g.policies, g.boundary
		if g.gone { // and with it what limited it, so that resources have nothing to give to it either
			q.Resources = nil
		}
	}
	if caller.Session != nil {
		q.Asker.RoleARN = caller.Session.RoleARN
		var err error
		if q.Sessions, err = s.sessionPolicies(ctx, caller.Session); err != nil {
			return policy.Question{}, err
		}
	}
	q.Context = s.contextOf(caller, g, r)
	return q, nil
}

// sessionPolicies makes the policies ready that a session was given; nil when it was given none.
func (s *Service) sessionPolicies(ctx context.Context, session *identity.Session) ([]*policy.Policy, error) {
	if limitlessSession(session) {
		return nil, nil
	}
	made := make([]*policy.Policy, 0, 1+len(session.PolicyARNs))
	if session.Policy != "" {
		p, era := s.grants.findGiven(session.Policy, time.Time{})
		if p == nil {
			var err error
			if p, err = compile(policy.SessionPolicy, "the session's own policy", "", session.Policy); err != nil {
				return nil, err
			}
			s.grants.keepGiven(session.Policy, givenPolicy{policy: p}, era)
		}
		made = append(made, p)
	}
	for _, arn := range session.PolicyARNs {
		p, err := s.sessionPolicy(ctx, arn)
		if err != nil {
			return nil, err
		}
		made = append(made, p)
	}
	return made, nil
}

// sessionPolicy makes a managed policy ready that a session was given.
func (s *Service) sessionPolicy(ctx context.Context, arn string) (*policy.Policy, error) {
	now := s.now()
	p, era := s.grants.findGiven(arn, now)
	if p != nil {
		return p, nil
	}
	document, err := s.documentInForce(ctx, arn)
	if err != nil {
		return nil, err
	}
	if p, err = compile(policy.SessionPolicy, arn, arn, document); err != nil {
		return nil, err
	}
	s.grants.keepGiven(arn, givenPolicy{p, now.Add(rememberFor)}, era)
	return p, nil
}

// documentInForce gives the default version of a managed policy; nothing for one that there is not.
func (s *Service) documentInForce(ctx context.Context, arn string) (string, error) {
	if document := awsDocument(arn); document != "" {
		return document, nil
	}
	const tries = 10
	for range tries {
		document, found, err := readInForce(ctx, s.store.Read(), arn)
		if err != nil || found {
			return document, err
		}
	}
	return "", fmt.Errorf("policy %s lacks its version in force", arn)
}

// readInForce is one try at documentInForce. It finds nothing where another version was put in force between its two looks, and
// that one deleted.
func readInForce(ctx context.Context, q PolicyQueries, arn string) (document string, found bool, err error) {
	p, err := q.ManagedPolicy(ctx, arn)
	if errors.Is(err, ErrNoRow) {
		return "", true, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("reading policy %s: %w", arn, err)
	}
	versions, err := q.PolicyVersions(ctx, arn)
	if err != nil {
		return "", false, fmt.Errorf("reading the versions of policy %s: %w", arn, err)
	}
	for _, v := range versions {
		if v.Number == p.InForce {
			return v.Document, true, nil
		}
	}
	return "", false, nil
}
