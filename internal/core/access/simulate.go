package access

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Simulation is a set of questions that nobody asks in earnest (IAM API Reference, SimulatePrincipalPolicy): each action on each
// resource. Condition keys have the values that are given and are missing otherwise, also those that would follow from
// who asks.
type Simulation struct {
	Actions        []string
	Resources      []string // ARNs; none: *
	Policies       []string // documents, beside those of the principal
	Boundary       []string // at most one document, in the place of the principal's permissions boundary
	ResourcePolicy string   // a document for every resource
	ResourceOwner  string   // an account or its ARN; empty: the account that the resource's ARN names
	CallerARN      string   // of a user, for the resource policy; empty: the principal
	Context        []ContextEntry
}

// ContextEntry is a condition key and its values.
type ContextEntry struct {
	Key    string
	List   bool // it may have any number of values; otherwise it has one
	Values []string
}

// Simulated is how one question came out.
type Simulated struct {
	Action, Resource  string
	Outcome           policy.Outcome
	Matched           []MatchedStatement
	MissingKeys       []string
	Bounded           bool // there is a permissions boundary,
	AllowedByBoundary bool // and this is what it says
	Explanation       []string
}

// MatchedStatement is a statement that decided.
type MatchedStatement struct {
	PolicyID  string // its name, or which of the given ones it is: PolicyInputList.1
	Source    Source
	Statement int // the first is 1
	Sid       string
	Span      policy.Span // zero if unknown
}

// Source is where a policy of a simulation comes from.
type Source string

// The sources, in the protocol's words.
const (
	FromUser        Source = "user"
	FromGroup       Source = "group"
	FromRole        Source = "role"
	FromAWSManaged  Source = "aws-managed"
	FromUserManaged Source = "user-managed"
	FromResource    Source = "resource"
	FromInput       Source = "none"
)

// SimulatePrincipalPolicy answers what a user, group or role of the account may do.
func (s *Service) SimulatePrincipalPolicy(ctx context.Context, caller identity.Caller, principalARN string, sim Simulation, page Page) ([]Simulated, string, error) {
	p, err := s.onPrincipalARN(ctx, caller, policy.SimulatePrincipalPolicy, principalARN)
	if err != nil {
		return nil, "", err
	}
	run, err := s.newSimulator(ctx, sim, p)
	if err != nil {
		return nil, "", err
	}
	if err := run.addGrants(ctx, p); err != nil {
		return nil, "", err
	}
	return run.page(page)
}

// SimulateCustomPolicy answers what somebody may do who has the given policies.
func (s *Service) SimulateCustomPolicy(ctx context.Context, caller identity.Caller, sim Simulation, page Page) ([]Simulated, string, error) {
	if err := s.authorize(ctx, caller, policy.SimulateCustomPolicy, policy.AnyResource, nil); err != nil {
		return nil, "", err
	}
	if len(sim.Policies) == 0 {
		return nil, "", invalid("1 validation error detected: Value at 'policyInputList' failed to satisfy constraint: Member must not be null")
	}
	run, err := s.newSimulator(ctx, sim, Principal{})
	if err != nil {
		return nil, "", err
	}
	return run.page(page)
}

// onPrincipalARN finds the user, group or role with an ARN and asks for a permission on it.
func (s *Service) onPrincipalARN(ctx context.Context, caller identity.Caller, action policy.Action, arn string) (Principal, error) {
	resource, ours := strings.CutPrefix(arn, "arn:aws:iam::"+s.account+":")
	kind, rest, _ := strings.Cut(resource, "/")
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	if !ours || name == "" || Kind(kind).actions().put == "" {
		if err := s.authorize(ctx, caller, action, arn, nil); err != nil {
			return Principal{}, err
		}
		return Principal{}, invalid("Invalid Entity Arn: %s does not clearly define entity type and name.", arn)
	}
	p, _, err := s.onPrincipal(ctx, caller, action, Kind(kind), name)
	if err == nil && p.ARN != arn {
		err = notFound(kind, name)
	}
	if err != nil {
		return Principal{}, err
	}
	return p, nil
}

// simulator is a simulation made ready.
type simulator struct {
	s       *Service
	sim     Simulation
	q       policy.Question             // all but action, resource and its account
	sources map[*policy.Policy]sourceOf // of every policy in q
	owner   string
}

// sourceOf is where a policy comes from.
type sourceOf struct {
	id    string
	from  Source
	spans []policy.Span
}

var (
	simulatedAction = regexp.MustCompile(`^[a-zA-Z0-9-]+:[a-zA-Z0-9]+$`)
	accountOfARN    = regexp.MustCompile(`^(?:arn:aws:iam::)?([0-9]{12})(?::root)?$`)
	userARNRule     = regexp.MustCompile(`^arn:aws:iam::([0-9]{12}):user/(?:[\x21-\x7e]*/)?([\w+=,.@-]+)$`)
)

// newSimulator reads all that was given. P is the principal whose policies are simulated, if any.
func (s *Service) newSimulator(ctx context.Context, sim Simulation, p Principal) (*simulator, error) {
	r := &simulator{s: s, sim: sim, sources: map[*policy.Policy]sourceOf{}}
	if len(sim.Resources) == 0 {
		r.sim.Resources = []string{policy.AnyResource}
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := r.readAsker(ctx, p); err != nil {
		return nil, err
	}
	var err error
	if r.q.Context, err = simulatedContext(sim.Context); err != nil {
		return nil, err
	}
	for i, text := range sim.Policies {
		made, err := r.input(policy.IdentityBased, "PolicyInputList."+strconv.Itoa(i+1), FromInput, text)
		if err != nil {
			return nil, err
		}
		r.q.Identity = append(r.q.Identity, made)
	}
	for _, text := range sim.Boundary {
		if r.q.Boundary, err = r.input(policy.PermissionsBoundary, "PermissionsBoundaryPolicyInputList.1", FromInput, text); err != nil {
			return nil, err
		}
	}
	if sim.ResourcePolicy != "" {
		made, err := r.input(policy.ResourceBased, "ResourcePolicy", FromResource, sim.ResourcePolicy)
		if err != nil {
			return nil, err
		}
		r.q.Resources = []*policy.Policy{made}
	}
	return r, nil
}

// check holds the simple values to their rules.
func (r *simulator) check() error {
	if len(r.sim.Actions) == 0 {
		return invalid("1 validation error detected: Value at 'actionNames' failed to satisfy constraint: Member must not be null")
	}
	for _, a := range r.sim.Actions {
		if !simulatedAction.MatchString(a) {
			return invalid("Invalid Entry: the action %q is not one such as ecr:PutImage.", a)
		}
	}
	for _, resource := range r.sim.Resources {
		if resource != policy.AnyResource && (strings.Count(resource, ":") < 5 || !strings.HasPrefix(resource, "arn:")) {
			return invalid("Invalid Entry: the resource %q is not an ARN.", resource)
		}
	}
	if len(r.sim.Boundary) > 1 {
		return invalid("1 validation error detected: Value at 'permissionsBoundaryPolicyInputList' failed to satisfy constraint: Member must have length less than or equal to 1")
	}
	if r.sim.ResourceOwner != "" {
		m := accountOfARN.FindStringSubmatch(r.sim.ResourceOwner)
		if m == nil {
			return invalid("Invalid Entry: the resource owner %q is not an account.", r.sim.ResourceOwner)
		}
		r.owner = m[1]
	}
	return nil
}

// simulatedName is the name of sessions, and of users who are not there.
const simulatedName = "simulated"

// readAsker settles as whom the questions are asked.
func (r *simulator) readAsker(ctx context.Context, p Principal) error {
	s := r.s
	switch {
	case r.sim.CallerARN != "":
		m := userARNRule.FindStringSubmatch(r.sim.CallerARN)
		if m == nil {
			return invalid("Invalid Entry: the caller %q is not the ARN of a user.", r.sim.CallerARN)
		}
		r.q.Asker = policy.Asker{ARN: r.sim.CallerARN, Account: m[1]}
		if m[1] == s.account {
			found, err := findPrincipal(ctx, s.store.Read(), User, m[2])
			if err != nil {
				return err
			}
			r.q.Asker.UserID = found.ID
		}
	case p.Kind == User:
		r.q.Asker = policy.Asker{ARN: p.ARN, Account: s.account, UserID: p.ID}
	case p.Kind == Role:
		r.q.Asker = policy.Asker{
			ARN:     "arn:aws:sts::" + s.account + ":assumed-role/" + p.Name + "/" + simulatedName,
			Account: s.account, RoleARN: p.ARN, UserID: p.ID + ":" + simulatedName,
		}
	case r.sim.ResourcePolicy != "":
		return invalid("A resource policy is about somebody: CallerArn must be given.")
	default:
		r.q.Asker = policy.Asker{ARN: s.arn("user", "/", simulatedName), Account: s.account}
	}
	return nil
}

// input makes a policy of the simulation's own ready.
func (r *simulator) input(kind policy.Kind, id string, from Source, text string) (*policy.Policy, error) {
	d, err := policy.ParseDocument(text)
	if err == nil && kind != policy.ResourceBased {
		err = d.OfIdentity()
	}
	if err != nil {
		return nil, invalid("%s: %s", id, err)
	}
	made := policy.Compile(kind, id, d)
	r.sources[made] = sourceOf{id: id, from: from, spans: policy.Positions(text)}
	return made, nil
}

// addGrants joins what the principal has been granted.
func (r *simulator) addGrants(ctx context.Context, p Principal) error {
	g, err := r.s.store.Read().Grants(ctx, p.ID)
	if err != nil {
		return fmt.Errorf("reading what %s may do: %w", p.ARN, err)
	}
	p = g.Principal // its boundary and what it grants are of one moment
	for _, gp := range g.Policies {
		made, err := compile(policy.IdentityBased, gp.name(p), gp.ARN, gp.Document)
		if err != nil {
			return err
		}
		src := sourceOf{id: gp.Inline, from: Source(p.Kind), spans: policy.Positions(gp.document())}
		switch {
		case gp.ARN != "":
			src.id, src.from = managedSource(gp.ARN)
		case gp.Of != "":
			src.from = FromGroup
		}
		r.sources[made] = src
		r.q.Identity = append(r.q.Identity, made)
	}
	if p.Boundary == "" || len(r.sim.Boundary) > 0 {
		return nil
	}
	text := g.BoundaryDocument
	if text == "" {
		text = awsDocument(p.Boundary)
	}
	if r.q.Boundary, err = compile(policy.PermissionsBoundary, p.Boundary, p.Boundary, text); err != nil {
		return err
	}
	id, from := managedSource(p.Boundary)
	r.sources[r.q.Boundary] = sourceOf{id: id, from: from, spans: policy.Positions(text)}
	return nil
}

// document is the policy's text, also of AWS's own.
func (gp GrantedPolicy) document() string {
	if gp.Document == "" {
		return awsDocument(gp.ARN)
	}
	return gp.Document
}

func managedSource(arn string) (id string, from Source) {
	_, id = splitPolicyARN(arn)
	if strings.HasPrefix(arn, awsPrefix) {
		return id, FromAWSManaged
	}
	return id, FromUserManaged
}

// simulatedContext has the keys that are given.
func simulatedContext(entries []ContextEntry) (policy.Context, error) {
	values := map[string][]string{}
	for _, e := range entries {
		key := fold(e.Key)
		if key == "" {
			return nil, invalid("Invalid Entry: a context entry has no key.")
		}
		if !e.List && len(e.Values) != 1 {
			return nil, invalid("Invalid Entry: the context key %s has %d values, and its type has one.", e.Key, len(e.Values))
		}
		if _, twice := values[key]; twice {
			return nil, invalid("Invalid Entry: the context key %s is given twice.", e.Key)
		}
		values[key] = e.Values
	}
	return func(key string) ([]string, bool) {
		found, ok := values[key]
		return found, ok
	}, nil
}

// page asks the questions of one page. The marker tells the number of the question before.
func (r *simulator) page(page Page) ([]Simulated, string, error) {
	after, limit, err := page.start()
	if err != nil {
		return nil, "", err
	}
	first := 0
	if after != "" {
		if first, err = strconv.Atoi(after); err != nil || first < 0 {
			return nil, "", invalid("Invalid Marker.")
		}
	}
	var asked []Simulated
	total := len(r.sim.Actions) * len(r.sim.Resources)
	for i := first; i < total && len(asked) <= limit; i++ {
		asked = append(asked, r.ask(policy.Action(r.sim.Actions[i/len(r.sim.Resources)]), r.sim.Resources[i%len(r.sim.Resources)]))
	}
	results, marker := pageOf(asked, limit, func(Simulated) string { return strconv.Itoa(first + limit) })
	return results, marker, nil
}

// ask asks one question.
func (r *simulator) ask(action policy.Action, resource string) Simulated {
	q := r.q
	q.Action, q.Resource, q.Account = action, resource, r.ownerOf(resource)
	d := policy.Decide(q)
	result := Simulated{
		Action: string(action), Resource: resource, Outcome: d.Outcome, MissingKeys: slices.Clone(d.MissingKeys), Explanation: policy.Explain(q, d),
	}
	if q.Boundary != nil {
		alone := q // what the boundary would allow by itself
		alone.Identity, alone.Boundary, alone.Sessions, alone.Resources = []*policy.Policy{q.Boundary}, nil, nil, nil
		alone.Account = alone.Asker.Account
		result.Bounded, result.AllowedByBoundary = true, policy.Decide(alone).Outcome == policy.Allowed
	}
	for _, m := range d.Because {
		src := r.sources[m.Policy]
		matched := MatchedStatement{PolicyID: src.id, Source: src.from, Statement: m.Statement, Sid: m.Sid}
		if m.Statement <= len(src.spans) {
			matched.Span = src.spans[m.Statement-1]
		}
		result.Matched = append(result.Matched, matched)
	}
	return result
}

// ownerOf is the account that a resource belongs to.
func (r *simulator) ownerOf(resource string) string {
	if r.owner != "" {
		return r.owner
	}
	if parts := strings.SplitN(resource, ":", 6); len(parts) == 6 && len(parts[4]) == 12 {
		return parts[4]
	}
	return r.q.Asker.Account
}
