package access

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// How long a role's session lasts (IAM User Guide, "Methods to assume a role").
const (
	minSession     = 15 * time.Minute
	defaultSession = time.Hour
	// maxChained is for sessions that a role's session began.
	maxChained = time.Hour
)

// The quotas on what a session is given (IAM User Guide, "IAM and AWS STS quotas").
const (
	maxSessionPolicy   = 2048 // characters, of the policy and the ARNs together
	maxSessionPolicies = 10
	maxExternalID      = 1224
)

var (
	roleARNRule        = regexp.MustCompile(`^arn:aws:iam::[0-9]{12}:role/[\x21-\x7e]{1,600}$`)
	sessionNameRule    = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalIDRule     = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
	sourceIdentityRule = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
)

// RoleRequest is what every way to take a role on is asked for.
type RoleRequest struct {
	Role       string        // its ARN, with the path
	Name       string        // of the session
	Duration   time.Duration // 0: an hour
	Policy     string        // a document that limits the session, or empty
	PolicyARNs []string      // managed policies that do
}

// AssumeRequest asks for a role's session on the strength of the caller's own credentials.
type AssumeRequest struct {
	RoleRequest

	Tags           []Tag
	TransitiveTags []string // keys of Tags
	ExternalID     string
	SourceIdentity string
}

// RoleSession is a session that has begun.
type RoleSession struct {
	identity.Credentials

	Principal identity.Caller // whom the credentials stand for
	Limited   bool            // whether it has policies or tags
}

// AssumeRole begins a session of a role. Its trust policy and the caller's own policies must allow it, and with tags and a
// source identity sts:TagSession and sts:SetSourceIdentity as well. From a session of a role, its transitive tags and its source
// identity go on.
func (s *Service) AssumeRole(ctx context.Context, caller identity.Caller, r AssumeRequest) (RoleSession, error) {
	if caller.Root || caller.Service {
		return RoleSession{}, fault.New(fault.AccessDenied, "Roles may not be assumed by root accounts.")
	}
	if err := r.check(); err != nil {
		return RoleSession{}, err
	}
	given, err := given(caller.Session, r)
	if err != nil {
		return RoleSession{}, err
	}
	role, tags, trust, err := s.trustOf(ctx, r.Role)
	if err != nil {
		return RoleSession{}, err
	}
	request := policy.Request{
		Resource: r.Role, Account: s.account, Resources: []*policy.Policy{trust},
		Context: assumeContext(r.Name, r.ExternalID, given.SourceIdentity, r.TransitiveTags, tagContext(tags, r.Tags)),
	}
	for _, request.Action = range neededFor(policy.AssumeRole, given) {
		if err := s.Authorize(ctx, caller, request); err != nil {
			return RoleSession{}, s.quietly(ctx, caller, request, err)
		}
	}
	chained := caller.Session != nil && caller.Session.RoleARN != ""
	return s.begin(ctx, role, r.RoleRequest, given, chained)
}

// quietly gives a refusal to assume a role the words that do not tell whether there is the role: where the caller's own side
// does not allow it, that is the reason, whatever the role's trust policy says or would say. What the refusal has sealed stays.
func (s *Service) quietly(ctx context.Context, caller identity.Caller, r policy.Request, refusal error) error {
	f, ok := fault.Of(refusal)
	if !ok || f.Code != fault.AccessDenied {
		return refusal
	}
	everybody, err := compile(policy.RoleTrust, r.Resource, "", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Principal":{"AWS":"`+s.account+`"}}}`)
	if err != nil {
		return err
	}
	r.Resources = []*policy.Policy{everybody}
	q, err := s.question(ctx, caller, r)
	if err != nil {
		return err
	}
	d := policy.Decide(q)
	if d.Outcome == policy.Allowed {
		return refusal // by the trust policy alone
	}
	return fault.New(fault.AccessDenied, "%s", d.Denied(caller.ARN, r.Action, r.Resource)).With(f.Detail)
}

// check holds what was asked for to its form.
func (r *AssumeRequest) check() error {
	if err := r.RoleRequest.check(); err != nil {
		return err
	}
	switch {
	case r.ExternalID != "" && (len(r.ExternalID) > maxExternalID || !externalIDRule.MatchString(r.ExternalID)):
		return invalid("The external id must have 2 to 1224 letters, digits and _ + = , . @ : / -.")
	case r.SourceIdentity != "":
		return checkSourceIdentity(r.SourceIdentity)
	}
	return nil
}

func (r *RoleRequest) check() error {
	switch {
	case !roleARNRule.MatchString(r.Role):
		return invalid("%s is invalid", shortText(r.Role))
	case !sessionNameRule.MatchString(r.Name):
		return invalid("1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: " +
			"Member must satisfy regular expression pattern: [\\w+=,.@-]* and have a length of 2 to 64")
	case r.Duration != 0 && r.Duration < minSession:
		return invalid("1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint: "+
			"Member must have value greater than or equal to %d", int(minSession/time.Second))
	case len(r.PolicyARNs) > maxSessionPolicies:
		return invalid("A session has at most %d managed policies.", maxSessionPolicies)
	}
	size := utf8.RuneCountInString(r.Policy)
	for _, arn := range r.PolicyARNs {
		size += len(arn)
	}
	if size > maxSessionPolicy {
		return invalid("The session's policies have %d characters, and may have %d.", size, maxSessionPolicy)
	}
	if r.Policy == "" {
		return nil
	}
	d, err := policy.ParseDocument(r.Policy)
	if err == nil {
		err = d.OfIdentity()
	}
	if f, ok := fault.Of(err); ok {
		return fault.New(fault.PolicyMalformed, "The session policy is not accepted: %s", f.Message)
	}
	return err
}

func checkSourceIdentity(id string) error {
	if !sourceIdentityRule.MatchString(id) || strings.HasPrefix(fold(id), "aws:") {
		return invalid("The source identity must have 2 to 64 letters, digits and _ + = , . @ -.")
	}
	return nil
}

// given puts together what a session is given: what was asked for, and what goes on from the caller's.
func given(before *identity.Session, r AssumeRequest) (identity.Session, error) {
	given := identity.Session{SourceIdentity: r.SourceIdentity}
	if err := checkTags(r.Tags); err != nil {
		return given, err
	}
	tags := map[string]string{}
	if before != nil && before.RoleARN != "" {
		for _, key := range before.TransitiveTags {
			if slices.ContainsFunc(r.Tags, func(t Tag) bool { return fold(t.Key) == fold(key) }) {
				return given, invalid("The session tag %s can't be set: it conflicts with a transitive tag of the calling session.", key)
			}
			tags[key] = before.Tags[key]
		}
		given.TransitiveTags = slices.Clone(before.TransitiveTags)
		if before.SourceIdentity != "" && r.SourceIdentity != "" && r.SourceIdentity != before.SourceIdentity {
			return given, invalid("The source identity can't be changed: the calling session has one already.")
		}
		if before.SourceIdentity != "" {
			given.SourceIdentity = before.SourceIdentity
		}
	}
	return given, addTags(&given, tags, r.Tags, r.TransitiveTags)
}

// addTags gives a session tags besides those that it has.
func addTags(to *identity.Session, have map[string]string, tags []Tag, transitive []string) error {
	for _, key := range transitive {
		i := slices.IndexFunc(tags, func(t Tag) bool { return fold(t.Key) == fold(key) })
		if i < 0 {
			return invalid("The specified transitive tag key %q must be included in the requested tags.", shortText(key))
		}
		if !slices.Contains(to.TransitiveTags, tags[i].Key) {
			to.TransitiveTags = append(to.TransitiveTags, tags[i].Key)
		}
	}
	for _, t := range tags {
		have[t.Key] = t.Value
	}
	if len(have) > maxTags {
		return invalid("A session has at most %d tags.", maxTags)
	}
	if len(have) > 0 {
		to.Tags = have
	}
	return nil
}

// neededFor lists the actions that must be allowed to begin such a session by that one.
func neededFor(action policy.Action, given identity.Session) []policy.Action {
	needed := []policy.Action{action}
	if len(given.Tags) > 0 {
		needed = append(needed, policy.TagSession)
	}
	if given.SourceIdentity != "" {
		needed = append(needed, policy.SetSourceIdentity)
	}
	return needed
}

// trustOf finds a role by its ARN, with its tags and its trust policy made ready. A role that there is not trusts nobody,
// so that whoever asks for one hears the same as of one that does not trust them; its Principal is zero.
func (s *Service) trustOf(ctx context.Context, arn string) (Principal, []Tag, *policy.Policy, error) {
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	q := s.store.Read()
	role, err := q.Principal(ctx, Role, name)
	if err != nil && !errors.Is(err, ErrNoRow) {
		return Principal{}, nil, nil, fmt.Errorf("reading role %s: %w", name, err)
	}
	if err != nil || role.ARN != arn {
		nothing, err := compile(policy.RoleTrust, arn, "", "")
		return Principal{}, nil, nothing, err
	}
	tags, err := q.Tags(ctx, role.ID)
	if err != nil {
		return Principal{}, nil, nil, fmt.Errorf("reading the tags of role %s: %w", name, err)
	}
	trust, err := compile(policy.RoleTrust, arn, "", role.Trust)
	return role, tags, trust, err
}

// assumeContext gives the condition keys of STS besides those about tags (Service Authorization Reference, "Condition
// keys for AWS Security Token Service").
func assumeContext(session, externalID, sourceIdentity string, transitive []string, tags policy.Context) policy.Context {
	one := func(value string) ([]string, bool) { return []string{value}, value != "" }
	return func(key string) ([]string, bool) {
		switch key {
		case "sts:rolesessionname":
			return one(session)
		case "sts:externalid":
			return one(externalID)
		case "sts:sourceidentity":
			return one(sourceIdentity)
		case "sts:transitivetagkeys":
			return transitive, len(transitive) > 0
		}
		return tags(key)
	}
}

// begin makes the session of a role that was found to be allowed.
func (s *Service) begin(ctx context.Context, role Principal, r RoleRequest, given identity.Session, chained bool) (RoleSession, error) {
	duration, err := sessionDuration(role, r.Duration, chained)
	if err != nil {
		return RoleSession{}, err
	}
	for _, arn := range r.PolicyARNs {
		document, err := s.documentInForce(ctx, arn)
		if err != nil {
			return RoleSession{}, err
		}
		if document == "" {
			return RoleSession{}, fault.New(fault.PolicyMalformed, "The session policy %s does not exist.", shortText(arn))
		}
	}
	now := s.now().Truncate(time.Second)
	given.Name, given.RoleARN = r.Name, role.ARN
	given.IssuedAt, given.Expires = now, now.Add(duration)
	given.Policy, given.PolicyARNs = r.Policy, slices.Clone(r.PolicyARNs)
	principal := identity.Caller{
		Account: s.account,
		ARN:     "arn:aws:sts::" + s.account + ":assumed-role/" + role.Name + "/" + r.Name,
		UserID:  role.ID + ":" + r.Name,
		Session: &given,
	}
	return s.issue(ctx, principal)
}

// sessionDuration tells how long a session lasts for which that was asked.
func sessionDuration(role Principal, asked time.Duration, chained bool) (time.Duration, error) {
	longest := max(role.MaxSession, defaultSession)
	switch {
	case asked == 0:
		return defaultSession, nil
	case chained && asked > maxChained:
		return 0, invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	case asked > longest:
		return 0, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return asked, nil
}

// issue makes the credentials of a session.
func (s *Service) issue(ctx context.Context, principal identity.Caller) (RoleSession, error) {
	session := principal.Session
	credentials, err := s.directory.NewSession(ctx, principal)
	if errors.Is(err, identity.ErrSessionTooLarge) {
		return RoleSession{}, fault.Wrap(fault.SessionTooLarge, err,
			"Packed policy consumes %d%% of allotted space, please use smaller policy.", Percent(credentials.Packed))
	}
	if err != nil {
		return RoleSession{}, err
	}
	principal.AccessKeyID = credentials.AccessKeyID
	return RoleSession{
		Credentials: credentials, Principal: principal,
		Limited: !limitlessSession(session) || len(session.Tags) > 0,
	}, nil
}

// Percent gives a share in whole percents, rounded up.
func Percent(share float64) int {
	percent := int(share * 100)
	if float64(percent) < share*100 {
		percent++
	}
	return percent
}

// tagsOf lists tags in order of key.
func tagsOf(tags map[string]string) []Tag {
	var list []Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, Tag{Key: key, Value: tags[key]})
	}
	return list
}
