package pullthrough

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// rulesLife is how long the rules are remembered: another replica's new rule counts here after it.
const rulesLife = 5 * time.Second

// ruleBook remembers the rules, so that a pull that none is about costs a look into memory.
type ruleBook struct{ known atomic.Pointer[rulesAt] }

type rulesAt struct {
	at    time.Time
	rules []Rule // the longest prefix first, Root last
}

func (b *ruleBook) forget() { b.known.Store(nil) }

// origin is where a repository's images come from.
type origin struct {
	rule       Rule
	repository string // here
	name       string // there
}

// origin finds the rule about a repository: that of the longest prefix.
func (c *Cache) origin(ctx context.Context, repository string) (origin, bool, error) {
	known := c.rules.known.Load()
	if now := c.now(); known == nil || now.Sub(known.at) >= rulesLife {
		rules, err := c.store.Rules(ctx)
		if err != nil {
			return origin{}, false, fmt.Errorf("reading pull-through cache rules: %w", err)
		}
		length := func(r Rule) int {
			if r.Prefix == Root {
				return 0
			}
			return len(r.Prefix)
		}
		slices.SortFunc(rules, func(a, b Rule) int { return cmp.Compare(length(b), length(a)) })
		before := known
		known = &rulesAt{at: now, rules: rules}
		c.rules.known.CompareAndSwap(before, known) // unless somebody changed the rules meanwhile
	}
	for _, r := range known.rules {
		if name, ok := r.name(repository); ok {
			return origin{rule: r, repository: repository, name: name}, true, nil
		}
	}
	return origin{}, false, nil
}
