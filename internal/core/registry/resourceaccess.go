package registry

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// rememberFor bounds how long a change to policies and resource tags that another replica made goes unnoticed here.
const rememberFor = 3 * time.Second

// maxRemembered bounds the memory of what repositories let others do.
const maxRemembered = 4096

// AccessQueries reads what decides about permissions on the registry's side.
type AccessQueries interface {
	// ResourceAccess reads the registry's policy, and the policy and the tags of a repository. What there is not is empty.
	ResourceAccess(ctx context.Context, repository string) (ResourceAccess, error)
	// OpenPolicies tells whether a repository's policy may allow something to everybody.
	OpenPolicies(ctx context.Context) (bool, error)
	// ImageNames lists the tags of an image and of the indexes that contain it, at whatever depth.
	ImageNames(ctx context.Context, repository string, d oci.Digest) ([]string, error)
}

// ResourceAccess is what a repository and its registry say about who may do what.
type ResourceAccess struct {
	RegistryPolicy   string
	RepositoryPolicy string
	Tags             []ResourceTag
}

// side is the resource's side of a question, made ready. It is shared and never changed.
type side struct {
	policies []*policy.Policy
	tags     map[string][]string // by the key in lower case: keys that differ in case alone are one to a condition
	until    time.Time
}

// compiled is a policy made ready, and the text it was made from: texts change more rarely than they are read.
type compiled struct {
	text   string
	policy *policy.Policy
	open   bool
}

// sideCache remembers sides by their repository's name; the empty name stands for what is no repository. The zero cache
// is empty and ready.
type sideCache struct {
	mu       sync.RWMutex
	era      uint64           // counts the changes made here; guarded by mu
	byName   map[string]*side // guarded by mu
	registry compiled         // the newest that was made ready; guarded by mu
	open     bool             // whether some policy is open, until openTill; guarded by mu
	openTill time.Time        // guarded by mu
}

// forget drops what is known of a repository, after it was made, changed or deleted here.
func (c *sideCache) forget(repository string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.era++
	delete(c.byName, repository)
	c.openTill = time.Time{}
}

// clear drops everything, after the registry's policy was changed here.
func (c *sideCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.era++
	c.byName = nil
	c.openTill = time.Time{}
}

func (c *sideCache) find(repository string, now time.Time) (s *side, era uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.byName[repository]; s != nil && now.Before(s.until) {
		return s, c.era
	}
	return nil, c.era
}

// keep remembers a side, unless something was changed since it was read.
func (c *sideCache) keep(repository string, s *side, era uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if era != c.era {
		return
	}
	if c.byName == nil || len(c.byName) >= maxRemembered {
		c.byName = map[string]*side{}
	}
	c.byName[repository] = s
}

// registryPolicy makes the registry's policy ready, or finds that it is.
func (c *sideCache) registryPolicy(text string) (compiled, error) {
	c.mu.RLock()
	made := c.registry
	c.mu.RUnlock()
	if made.text == text {
		return made, nil
	}
	made, err := compile("the registry's policy", text)
	if err != nil {
		return compiled{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.registry = made
	return made, nil
}

// compile makes a stored policy ready. One that cannot be read is an error and not an absence, since it may deny
// something. A statement without Resource is about the repository whose policy it is in.
func compile(name, text string) (compiled, error) {
	if text == "" {
		return compiled{}, nil
	}
	d, err := policy.ParseDocument(text)
	if err != nil {
		return compiled{}, fmt.Errorf("reading %s: %w", name, unreadable{err})
	}
	return compiled{text: text, policy: policy.Compile(policy.ResourceBased, name, d), open: d.Open()}, nil
}

// unreadable hides the fault of a stored text from the caller, whose fault it is not.
type unreadable struct{ cause error }

// Error gives the cause's words.
func (u unreadable) Error() string { return u.cause.Error() }

// side reads what a repository and the registry let others do; without a name, the registry alone.
func (r *Registry) side(ctx context.Context, repository string) (*side, error) {
	now := r.now()
	s, era := r.sides.find(repository, now)
	if s != nil {
		return s, nil
	}
	read, err := r.store.Read().ResourceAccess(ctx, repository)
	if err != nil {
		return nil, fmt.Errorf("reading the policies of repository %q: %w", repository, err)
	}
	s = &side{until: now.Add(rememberFor), tags: foldTags(read.Tags)}
	whole, err := r.sides.registryPolicy(read.RegistryPolicy)
	if err != nil {
		return nil, err
	}
	own, err := compile("the policy of repository "+repository, read.RepositoryPolicy)
	if err != nil {
		return nil, err
	}
	for _, p := range []*policy.Policy{own.policy, whole.policy} {
		if p != nil {
			s.policies = append(s.policies, p)
		}
	}
	r.sides.keep(repository, s, era)
	return s, nil
}

// Open tells whether some policy may allow something to everybody, so that clients may come without credentials.
func (r *Registry) Open(ctx context.Context) (bool, error) {
	c, now := &r.sides, r.now()
	c.mu.RLock()
	open, known, era := c.open, now.Before(c.openTill), c.era
	c.mu.RUnlock()
	if known {
		return open, nil
	}
	q := r.store.Read()
	read, err := q.ResourceAccess(ctx, "")
	if err != nil {
		return false, fmt.Errorf("reading the registry's policy: %w", err)
	}
	whole, err := c.registryPolicy(read.RegistryPolicy)
	if err != nil {
		return false, err
	}
	if open = whole.open; !open {
		if open, err = q.OpenPolicies(ctx); err != nil {
			return false, fmt.Errorf("looking for open policies: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if era == c.era {
		c.open, c.openTill = open, now.Add(rememberFor)
	}
	return open, nil
}

func foldTags(tags []ResourceTag) map[string][]string {
	folded := make(map[string][]string, len(tags))
	for _, t := range tags {
		key := strings.ToLower(t.Key)
		folded[key] = append(folded[key], t.Value)
	}
	return folded
}

// context gives the condition keys about the resource's tags, and then those of the request.
func (s *side) context(request policy.Context) policy.Context {
	return func(key string) ([]string, bool) {
		for _, prefix := range []string{"aws:resourcetag/", "ecr:resourcetag/"} {
			if tag, ok := strings.CutPrefix(key, prefix); ok {
				values, ok := s.tags[tag]
				return values, ok
			}
		}
		if request == nil {
			return nil, false
		}
		return request(key)
	}
}

// requestTags gives the condition keys about the tags that a request puts on a repository. Without tags there are none.
func requestTags(tags []ResourceTag) policy.Context {
	values := foldTags(tags)
	keys := make([]string, 0, len(tags))
	for _, t := range tags {
		keys = append(keys, t.Key)
	}
	named := requestTagKeys(keys)
	return func(key string) ([]string, bool) {
		if tag, ok := strings.CutPrefix(key, "aws:requesttag/"); ok {
			v, ok := values[tag]
			return v, ok
		}
		return named(key)
	}
}

// requestTagKeys is requestTags for a request that names tags by their keys alone.
func requestTagKeys(keys []string) policy.Context {
	return func(key string) ([]string, bool) {
		return keys, key == "aws:tagkeys" && len(keys) > 0
	}
}
