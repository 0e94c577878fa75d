package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// TemplateUse is an occasion on which a repository is made that nobody created by name.
type TemplateUse string

// The occasions.
const (
	ForPullThrough TemplateUse = "pull-through" // its images come from an upstream registry
	ForReplication TemplateUse = "replication"  // another registry sends images
	ForPush        TemplateUse = "push"         // somebody pushes to it
)

// RootPrefix is the prefix of the template for repositories that no other one is for.
const RootPrefix = "ROOT"

// Template says how repositories are made that nobody creates by name: which settings they get. It changes
// nothing about repositories that are there.
type Template struct {
	// Prefix is the first parts of the names that it is for, or RootPrefix. As it was given: a slash at its
	// end means nothing.
	Prefix           string
	Description      string
	Uses             []TemplateUse
	Mutability       Mutability // empty: Mutable
	Exclusions       []string
	ResourceTags     []ResourceTag
	RepositoryPolicy string // JSON; empty: none
	LifecyclePolicy  string // JSON; empty: none
	// RoleARN is kept for whoever asks; repositories are made in the name of the one who needs them.
	RoleARN   string
	CreatedAt time.Time `json:"-"` // both have columns of their own
	UpdatedAt time.Time `json:"-"`
}

// Key is what a template goes by.
func (t Template) Key() string { return strings.TrimSuffix(t.Prefix, "/") }

// TemplateChange says what to change about a template. What is nil or empty stays, but for texts and lists
// that are there and empty: they take away what there was.
type TemplateChange struct {
	Prefix           string
	Description      *string
	Uses             []TemplateUse
	Mutability       Mutability
	Exclusions       []string
	ResourceTags     []ResourceTag
	RepositoryPolicy *string
	LifecyclePolicy  *string
	RoleARN          *string
}

// TemplateQueries reads creation templates.
type TemplateQueries interface {
	// TemplatesOf finds those that go by one of the keys, in order of key.
	TemplatesOf(ctx context.Context, keys []string) ([]Template, error)
	// Templates lists in order of key, those after the given key, at most limit.
	Templates(ctx context.Context, after string, limit int) ([]Template, error)
}

// TemplateWrites changes creation templates.
type TemplateWrites interface {
	// LockTemplate finds one by its key, or ErrNoRow, and keeps other transactions that call it waiting.
	LockTemplate(ctx context.Context, key string) (Template, error)
	// InsertTemplate adds one, or answers ErrConflict when there is one that goes by the same key.
	InsertTemplate(ctx context.Context, t Template) error
	// UpdateTemplate stores all of it but when it was made.
	UpdateTemplate(ctx context.Context, t Template) error
	// DeleteTemplate removes one.
	DeleteTemplate(ctx context.Context, key string) error
}

// CreateTemplate adds one (ecr:CreateRepositoryCreationTemplate; ecr:SetRepositoryPolicy, ecr:PutLifecyclePolicy
// and ecr:TagResource too, on what it is for, where it stamps such). It answers fault.TemplateExists when the
// prefix is taken.
func (r *Registry) CreateTemplate(ctx context.Context, caller identity.Caller, t Template) (Template, error) {
	if err := r.authorize(ctx, caller, policy.CreateRepositoryCreationTemplate, policy.AnyResource); err != nil {
		return Template{}, err
	}
	t.CreatedAt = r.now()
	t.UpdatedAt = t.CreatedAt
	if err := r.mayStamp(ctx, caller, t); err != nil {
		return Template{}, err
	}
	t, err := r.completeTemplate(t)
	if err != nil {
		return Template{}, err
	}
	err = r.store.Update(ctx, func(tx Tx) error { return tx.InsertTemplate(ctx, t) })
	if errors.Is(err, ErrConflict) {
		return Template{}, fault.New(fault.TemplateExists,
			"The repository creation template with prefix '%s' already exists in the registry with id '%s'", t.Key(), r.account)
	}
	return t, err
}

// Templates lists them in order of prefix, or those of the prefixes alone
// (ecr:DescribeRepositoryCreationTemplates). A prefix without a template is left out. A limit of 0 means
// DefaultPage.
func (r *Registry) Templates(ctx context.Context, caller identity.Caller, prefixes []string, limit int, token string) (Page[Template], error) {
	if err := r.authorize(ctx, caller, policy.DescribeRepositoryCreationTemplates, policy.AnyResource); err != nil {
		return Page[Template]{}, err
	}
	c, err := parseCursor("templates", token)
	if err != nil {
		return Page[Template]{}, err
	}
	for _, p := range prefixes {
		if err := checkPrefix("prefixes", p); err != nil {
			return Page[Template]{}, err
		}
	}
	limit = pageLimit(limit, DefaultPage)
	var rows []Template
	if len(prefixes) == 0 {
		rows, err = r.store.Read().Templates(ctx, c.Name, limit+1)
	} else {
		rows, err = r.store.Read().TemplatesOf(ctx, templateKeys(prefixes))
		rows = slices.DeleteFunc(rows, func(t Template) bool { return t.Key() <= c.Name })
	}
	if err != nil {
		return Page[Template]{}, fmt.Errorf("listing creation templates: %w", err)
	}
	return cut(rows, limit, "templates", func(t Template) cursor { return cursor{Name: t.Key()} }), nil
}

func templateKeys(prefixes []string) []string {
	keys := make([]string, 0, len(prefixes))
	for _, p := range prefixes {
		keys = append(keys, Template{Prefix: p}.Key())
	}
	return keys
}

// UpdateTemplate changes what is named and leaves the rest (ecr:UpdateRepositoryCreationTemplate, and what
// CreateTemplate asks for what it stamps anew), or answers fault.TemplateNotFound. Filters go with a
// mutability that has none.
func (r *Registry) UpdateTemplate(ctx context.Context, caller identity.Caller, change TemplateChange) (Template, error) {
	if err := r.authorize(ctx, caller, policy.UpdateRepositoryCreationTemplate, policy.AnyResource); err != nil {
		return Template{}, err
	}
	if err := checkPrefix("prefix", change.Prefix); err != nil {
		return Template{}, err
	}
	stamped, err := r.stampedBy(ctx, change)
	if err != nil {
		return Template{}, err
	}
	if err := r.mayStamp(ctx, caller, stamped); err != nil {
		return Template{}, err
	}
	var t Template
	err = r.store.Update(ctx, func(tx Tx) error {
		old, err := r.lockTemplate(ctx, tx, change.Prefix)
		if err != nil {
			return err
		}
		if t, err = r.completeTemplate(change.apply(old)); err != nil {
			return err
		}
		t.UpdatedAt = r.now()
		return tx.UpdateTemplate(ctx, t)
	})
	return t, err
}

// stampedBy gives a template with what repositories get by a change that did not get it before: what the change says, and
// where it adds occasions all that the template has.
func (r *Registry) stampedBy(ctx context.Context, change TemplateChange) (Template, error) {
	t := Template{Prefix: change.Prefix}
	if change.Uses != nil {
		found, err := r.store.Read().TemplatesOf(ctx, []string{t.Key()})
		if err != nil {
			return Template{}, fmt.Errorf("reading the creation template of %s: %w", t.Key(), err)
		}
		if len(found) == 1 && !containsAll(found[0].Uses, change.Uses) {
			t = found[0]
		}
	}
	return change.apply(t), nil
}

func containsAll[T comparable](all, some []T) bool {
	return !slices.ContainsFunc(some, func(v T) bool { return !slices.Contains(all, v) })
}

// apply gives the template with the changes.
func (c TemplateChange) apply(t Template) Template {
	set := func(text, to *string) {
		if to != nil {
			*text = *to
		}
	}
	set(&t.Description, c.Description)
	set(&t.RepositoryPolicy, c.RepositoryPolicy)
	set(&t.LifecyclePolicy, c.LifecyclePolicy)
	set(&t.RoleARN, c.RoleARN)
	if c.Uses != nil {
		t.Uses = c.Uses
	}
	if c.ResourceTags != nil {
		t.ResourceTags = c.ResourceTags
	}
	switch {
	case c.Exclusions != nil:
		t.Exclusions = c.Exclusions
	case c.Mutability == Mutable, c.Mutability == Immutable:
		t.Exclusions = nil
	}
	t.Mutability = cmp.Or(c.Mutability, t.Mutability)
	return t
}

// DeleteTemplate removes one and returns what it was (ecr:DeleteRepositoryCreationTemplate), or answers
// fault.TemplateNotFound. Repositories that it made stay as they are.
func (r *Registry) DeleteTemplate(ctx context.Context, caller identity.Caller, prefix string) (Template, error) {
	if err := r.authorize(ctx, caller, policy.DeleteRepositoryCreationTemplate, policy.AnyResource); err != nil {
		return Template{}, err
	}
	if err := checkPrefix("prefix", prefix); err != nil {
		return Template{}, err
	}
	var t Template
	err := r.store.Update(ctx, func(tx Tx) (err error) {
		if t, err = r.lockTemplate(ctx, tx, prefix); err != nil {
			return err
		}
		return tx.DeleteTemplate(ctx, t.Key())
	})
	return t, err
}

func (r *Registry) lockTemplate(ctx context.Context, tx Tx, prefix string) (Template, error) {
	key := Template{Prefix: prefix}.Key()
	t, err := tx.LockTemplate(ctx, key)
	if errors.Is(err, ErrNoRow) {
		return Template{}, fault.New(fault.TemplateNotFound,
			"The repository creation template with prefix '%s' does not exist in the registry with id '%s'", key, r.account)
	}
	if err != nil {
		return Template{}, fmt.Errorf("reading the creation template of %s: %w", key, err)
	}
	return t, nil
}

// EnsureCreateOnPush sees to it that repositories are made by pushes to them, wherever no template says
// otherwise: the template of RootPrefix is made, or applied to pushes besides what it is for already
// (ecr:CreateRepositoryCreationTemplate, ecr:UpdateRepositoryCreationTemplate).
func (r *Registry) EnsureCreateOnPush(ctx context.Context, caller identity.Caller) error {
	for _, a := range []policy.Action{policy.CreateRepositoryCreationTemplate, policy.UpdateRepositoryCreationTemplate} {
		if err := r.authorize(ctx, caller, a, policy.AnyResource); err != nil {
			return err
		}
	}
	err := r.store.Update(ctx, func(tx Tx) error {
		t, err := tx.LockTemplate(ctx, RootPrefix)
		if errors.Is(err, ErrNoRow) {
			at := r.now()
			err := tx.InsertTemplate(ctx, Template{
				Prefix: RootPrefix, Uses: []TemplateUse{ForPush}, Mutability: Mutable, CreatedAt: at, UpdatedAt: at,
			})
			if errors.Is(err, ErrConflict) { // another replica, which does the same
				return nil
			}
			return err
		}
		if err != nil || slices.Contains(t.Uses, ForPush) {
			return err
		}
		t.Uses, t.UpdatedAt = append(t.Uses, ForPush), r.now()
		return tx.UpdateTemplate(ctx, t)
	})
	if err != nil {
		return fmt.Errorf("preparing the template for pushes to repositories that are missing: %w", err)
	}
	return nil
}

// Bounds of templates (ECR API model).
const (
	maxPrefix          = 256
	maxDescription     = 256
	maxPolicyText      = 10_240
	maxLifecycleText   = 30_720
	maxRoleARN         = 2048
	templatePrefixRule = `((?:[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*/)*[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*/?|ROOT)`
	roleARNRule        = `arn:aws[-a-z0-9]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@\-_/]*`
)

var (
	templatePrefix = regexp.MustCompile(`^` + templatePrefixRule + `$`)
	roleARN        = regexp.MustCompile(`^` + roleARNRule + `$`)
)

func checkPrefix(parameter, prefix string) error {
	if err := atMost(parameter, prefix, maxPrefix); err != nil {
		return err
	}
	if !templatePrefix.MatchString(prefix) {
		return fault.BadParameter(parameter, "must satisfy regular expression '"+templatePrefixRule+"'")
	}
	return nil
}

func atMost(parameter, text string, most int) error {
	if utf8.RuneCountInString(text) > most {
		return fault.BadParameter(parameter, fmt.Sprintf("Member must have length less than or equal to %d", most))
	}
	return nil
}

// completeTemplate holds a template to its rules and gives it in the form that is kept.
func (r *Registry) completeTemplate(t Template) (Template, error) {
	if err := checkPrefix("prefix", t.Prefix); err != nil {
		return Template{}, err
	}
	if err := atMost("description", t.Description, maxDescription); err != nil {
		return Template{}, err
	}
	uses, err := checkUses(t.Uses)
	if err != nil {
		return Template{}, err
	}
	t.Uses = uses
	t.Mutability = cmp.Or(t.Mutability, Mutable)
	if err := checkMutability(t.Mutability, t.Exclusions); err != nil {
		return Template{}, err
	}
	if t.ResourceTags, err = mergeResourceTags(nil, t.ResourceTags); err != nil {
		return Template{}, err
	}
	if err := r.checkRole(t.RoleARN); err != nil {
		return Template{}, err
	}
	return t, r.checkPolicyTexts(t)
}

// mayStamp asks whether the caller may do to each repository that a template is for what the template
// will do: whoever may not set a policy cannot have a template set it.
func (r *Registry) mayStamp(ctx context.Context, caller identity.Caller, t Template) error {
	where := r.ARN(t.Key() + "/*")
	if t.Key() == RootPrefix {
		where = r.ARN("*")
	}
	for _, s := range []struct {
		stamps bool
		action policy.Action
	}{
		{t.RepositoryPolicy != "", policy.SetRepositoryPolicy},
		{t.LifecyclePolicy != "", policy.PutLifecyclePolicy},
		{len(t.ResourceTags) > 0, policy.TagResource},
	} {
		if !s.stamps {
			continue
		}
		q := question{action: s.action, resource: where, below: true}
		if s.action == policy.TagResource {
			q.request = requestTags(t.ResourceTags)
		}
		if err := r.ask(ctx, caller, q); err != nil {
			return err
		}
	}
	return nil
}

// checkUses gives each occasion once.
func checkUses(uses []TemplateUse) ([]TemplateUse, error) {
	const parameter = "appliedFor"
	if len(uses) == 0 {
		return nil, fault.BadParameter(parameter, "Member must have length greater than or equal to 1")
	}
	var out []TemplateUse
	for _, u := range uses {
		switch u {
		case ForPullThrough, ForReplication, ForPush:
		default:
			return nil, fault.BadParameter(parameter, "Member must satisfy enum value set: [REPLICATION, PULL_THROUGH_CACHE, CREATE_ON_PUSH]")
		}
		if !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out, nil
}

func (r *Registry) checkRole(arn string) error {
	const parameter = "customRoleArn"
	if arn == "" {
		return nil
	}
	if err := atMost(parameter, arn, maxRoleARN); err != nil {
		return err
	}
	if !roleARN.MatchString(arn) {
		return fault.BadParameter(parameter, "must satisfy regular expression '"+roleARNRule+"'")
	}
	if !strings.Contains(arn, "::"+r.account+":") {
		return fault.BadParameter(parameter, "must be a role of the registry's own account, "+r.account)
	}
	return nil
}

// checkPolicyTexts refuses what could not be stamped on a repository later. See stampPolicies.
func (r *Registry) checkPolicyTexts(t Template) error {
	if err := atMost("repositoryPolicy", t.RepositoryPolicy, maxPolicyText); err != nil {
		return err
	}
	if err := atMost("lifecyclePolicy", t.LifecyclePolicy, maxLifecycleText); err != nil {
		return err
	}
	if t.RepositoryPolicy != "" {
		if _, err := readRepositoryPolicy(t.RepositoryPolicy); err != nil {
			return err
		}
	}
	if t.LifecyclePolicy == "" {
		return nil
	}
	_, err := r.lifecycleText(t.LifecyclePolicy)
	return err
}

// lifecycleText gives a lifecycle policy as it is stored with a repository. The template keeps the text as it came.
func (r *Registry) lifecycleText(text string) (string, error) {
	if r.readLifecycle != nil {
		return r.readLifecycle(text)
	}
	if !isObject(text) {
		return "", fault.BadParameter("lifecyclePolicy", "Lifecycle policy validation failure: it is not a JSON object")
	}
	return text, nil
}

func isObject(text string) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}
