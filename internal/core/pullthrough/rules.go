package pullthrough

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Root as a prefix stands for no prefix: here, for repositories that no other rule is about.
const Root = "ROOT"

// DefaultTTL is how long a tag is served without asking the upstream, as in ECR.
const DefaultTTL = 24 * time.Hour

// MaxTTL bounds what a rule may say. It is longer than anybody waits for an image.
const MaxTTL = 10 * 365 * 24 * time.Hour

// maxRules is ECR's quota.
const maxRules = 50

// Kind is ECR's name for a kind of upstream registry.
type Kind string

// DockerHub is the one kind that is treated in a way of its own: its official images are in library/.
const DockerHub Kind = "docker-hub"

// Rule says that repositories under a prefix are copies of an upstream registry's.
type Rule struct {
	Prefix         string // of repositories here, without a slash at the end, or Root
	Upstream       string // as it was given: host, host:port, or either with http:// or https:// before it
	Kind           Kind   // empty when nobody said and the host does not tell
	UpstreamPrefix string // of repositories there; Root, or nothing, for all of them
	Credential     string // the ARN of a secret; empty: the upstream is asked without credentials
	TTL            time.Duration
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// ErrRuleExists and ErrTooManyRules are what a [Store] answers when it does not add a rule.
var (
	ErrRuleExists   = errors.New("there is a rule of that prefix")
	ErrTooManyRules = errors.New("there are too many rules")
)

// CreateRule adds a rule (ecr:CreatePullThroughCacheRule). Prefix, Upstream, Kind, UpstreamPrefix and
// Credential are read of r; the rest follows.
func (c *Cache) CreateRule(ctx context.Context, caller identity.Caller, r Rule) (Rule, error) {
	if err := c.registry.May(ctx, caller, policy.CreatePullThroughCacheRule, ""); err != nil {
		return Rule{}, err
	}
	var err error
	if r.Prefix, err = prefix("ecrRepositoryPrefix", r.Prefix); err != nil {
		return Rule{}, err
	}
	if r.UpstreamPrefix != "" {
		if r.UpstreamPrefix, err = prefix("upstreamRepositoryPrefix", r.UpstreamPrefix); err != nil {
			return Rule{}, err
		}
	}
	if r.Kind, err = settleKind(r.Upstream, r.Kind); err != nil {
		return Rule{}, err
	}
	if _, err := c.credentials(r.Credential); err != nil {
		return Rule{}, err
	}
	r.TTL, r.CreatedAt = DefaultTTL, c.now()
	r.UpdatedAt = r.CreatedAt
	switch err := c.store.InsertRule(ctx, r, maxRules); {
	case errors.Is(err, ErrRuleExists):
		return Rule{}, fault.New(fault.PullThroughRuleExists,
			"The pull through cache rule with ecrRepositoryPrefix '%s' already exists in the registry with id '%s'", r.Prefix, c.registry.ID())
	case errors.Is(err, ErrTooManyRules):
		return Rule{}, fault.New(fault.LimitExceeded,
			"The registry with id '%s' already has the maximum allowed number of pull through cache rules: %d", c.registry.ID(), maxRules)
	case err != nil:
		return Rule{}, err
	}
	c.rules.forget()
	return r, nil
}

// prefix reads one of the two prefixes: Root, or 2 to 30 characters of a repository's name.
func prefix(parameter, s string) (string, error) {
	s = strings.TrimSuffix(s, "/")
	switch {
	case s == Root:
		return s, nil
	case len(s) < 2:
		return "", fault.BadParameter(parameter, "Member must have length greater than or equal to 2")
	case len(s) > 30:
		return "", fault.BadParameter(parameter, "Member must have length less than or equal to 30")
	case !isName(s):
		return "", fault.BadParameter(parameter,
			"must satisfy regular expression '^((?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*/?|ROOT)$'")
	}
	return s, nil
}

// Rules lists rules in order of prefix (ecr:DescribePullThroughCacheRules): the named ones, each of which must
// be there, or a page of all. A limit of 0 means registry.DefaultPage.
func (c *Cache) Rules(ctx context.Context, caller identity.Caller, prefixes []string, limit int, token string) (registry.Page[Rule], error) {
	if err := c.registry.May(ctx, caller, policy.DescribePullThroughCacheRules, ""); err != nil {
		return registry.Page[Rule]{}, err
	}
	rules, err := c.store.Rules(ctx)
	if err != nil {
		return registry.Page[Rule]{}, err
	}
	slices.SortFunc(rules, func(a, b Rule) int { return strings.Compare(a.Prefix, b.Prefix) })
	if len(prefixes) > 0 {
		for _, p := range prefixes {
			if !slices.ContainsFunc(rules, func(r Rule) bool { return r.Prefix == strings.TrimSuffix(p, "/") }) {
				return registry.Page[Rule]{}, c.ruleNotFound(p)
			}
		}
		named := func(r Rule) bool {
			return slices.Contains(prefixes, r.Prefix) || slices.Contains(prefixes, r.Prefix+"/")
		}
		return registry.Page[Rule]{Items: slices.DeleteFunc(rules, func(r Rule) bool { return !named(r) })}, nil
	}
	return page(rules, limit, token)
}

// page cuts sorted rules. Its token holds the prefix of the last one that was listed.
func page(rules []Rule, limit int, token string) (registry.Page[Rule], error) {
	const mark = "rules/"
	if token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		after, ok := strings.CutPrefix(string(last), mark)
		if err != nil || !ok {
			bad := fault.BadParameter("nextToken", "must be a token that the same listing returned")
			bad.Code = fault.PageTokenInvalid
			return registry.Page[Rule]{}, bad
		}
		rules = slices.DeleteFunc(rules, func(r Rule) bool { return r.Prefix <= after })
	}
	if limit <= 0 {
		limit = registry.DefaultPage
	}
	if len(rules) <= limit {
		return registry.Page[Rule]{Items: rules}, nil
	}
	next := base64.RawURLEncoding.EncodeToString([]byte(mark + rules[limit-1].Prefix))
	return registry.Page[Rule]{Items: rules[:limit], Next: next}, nil
}

// SetCredential names another secret for a rule (ecr:UpdatePullThroughCacheRule).
func (c *Cache) SetCredential(ctx context.Context, caller identity.Caller, prefix, arn string) (Rule, error) {
	if err := c.registry.May(ctx, caller, policy.UpdatePullThroughCacheRule, ""); err != nil {
		return Rule{}, err
	}
	if _, err := c.credentials(arn); err != nil {
		return Rule{}, err
	}
	return c.changeRule(ctx, prefix, func(r *Rule) { r.Credential = arn })
}

// SetTTL sets for how long tags under a rule are served without asking the upstream
// (ecr:UpdatePullThroughCacheRule). 0 asks on each pull.
func (c *Cache) SetTTL(ctx context.Context, caller identity.Caller, prefix string, ttl time.Duration) (Rule, error) {
	if err := c.registry.May(ctx, caller, policy.UpdatePullThroughCacheRule, ""); err != nil {
		return Rule{}, err
	}
	if ttl < 0 || ttl > MaxTTL {
		return Rule{}, fault.BadParameter("ttlSeconds", "must be from 0 seconds to ten years")
	}
	return c.changeRule(ctx, prefix, func(r *Rule) { r.TTL = ttl })
}

func (c *Cache) changeRule(ctx context.Context, prefix string, change func(*Rule)) (Rule, error) {
	r, err := c.store.ChangeRule(ctx, strings.TrimSuffix(prefix, "/"), func(r *Rule) {
		change(r)
		r.UpdatedAt = c.now()
	})
	if errors.Is(err, registry.ErrNoRow) {
		return Rule{}, c.ruleNotFound(prefix)
	}
	c.rules.forget()
	return r, err
}

// DeleteRule removes a rule (ecr:DeletePullThroughCacheRule). What was stored under it stays and is served;
// what was not is not fetched any more.
func (c *Cache) DeleteRule(ctx context.Context, caller identity.Caller, prefix string) (Rule, error) {
	if err := c.registry.May(ctx, caller, policy.DeletePullThroughCacheRule, ""); err != nil {
		return Rule{}, err
	}
	r, err := c.store.DeleteRule(ctx, strings.TrimSuffix(prefix, "/"))
	if errors.Is(err, registry.ErrNoRow) {
		return Rule{}, c.ruleNotFound(prefix)
	}
	c.rules.forget()
	return r, err
}

// ValidateRule asks a rule's upstream whether it is there and takes the credentials
// (ecr:ValidatePullThroughCacheRule). An empty failure means that it does.
func (c *Cache) ValidateRule(ctx context.Context, caller identity.Caller, prefix string) (r Rule, failure string, err error) {
	if err := c.registry.May(ctx, caller, policy.ValidatePullThroughCacheRule, ""); err != nil {
		return Rule{}, "", err
	}
	rules, err := c.store.Rules(ctx)
	if err != nil {
		return Rule{}, "", err
	}
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.Prefix == strings.TrimSuffix(prefix, "/") })
	if i < 0 {
		return Rule{}, "", c.ruleNotFound(prefix)
	}
	r = rules[i]
	at, err := c.endpoint(r)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		err = c.ask(at, func() error { return c.upstream.Ping(ctx, at) })
	}
	if f, ok := fault.Of(err); ok {
		return r, f.Message, nil
	}
	return r, "", err
}

func (c *Cache) ruleNotFound(prefix string) error {
	return fault.New(fault.PullThroughRuleNotFound,
		"The pull through cache rule with ecrRepositoryPrefix '%s' does not exist in the registry with id '%s'", prefix, c.registry.ID())
}

// name gives what a repository is called upstream, and whether the rule is about it.
func (r Rule) name(repository string) (string, bool) {
	rest, ok := repository, true
	if r.Prefix != Root {
		rest, ok = strings.CutPrefix(repository, r.Prefix+"/")
	}
	if !ok {
		return "", false
	}
	if r.UpstreamPrefix != "" && r.UpstreamPrefix != Root {
		rest = r.UpstreamPrefix + "/" + rest
	}
	if r.Kind == DockerHub && !strings.Contains(rest, "/") {
		rest = "library/" + rest // where Docker Hub has what others write without a namespace
	}
	return rest, true
}
