package policy

import (
	"regexp"
	"slices"
	"strings"
)

// variableRule finds policy variables: ${aws:username}, and with a default ${aws:PrincipalTag/team, 'none'}.
var variableRule = regexp.MustCompile(`\$\{\s*([A-Za-z0-9][^,}]*?)\s*(?:,[^}]*)?\}`)

// Keys lists the condition keys that the document asks for, in conditions and as variables: each once, in the spelling of its
// first place, in order.
func (d Document) Keys() []string {
	var keys []string
	seen := map[string]bool{}
	add := func(key string) {
		if folded := strings.ToLower(key); !seen[folded] {
			seen[folded] = true
			keys = append(keys, key)
		}
	}
	variables := func(texts []string) {
		if d.Version != Version2012 {
			return // the older language has none
		}
		for _, text := range texts {
			for _, m := range variableRule.FindAllStringSubmatch(text, -1) {
				add(m[1])
			}
		}
	}
	for _, s := range d.Statements {
		variables(s.Resources)
		variables(s.NotResources)
		for _, c := range s.Conditions {
			add(c.Key)
			variables(c.Values)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return keys
}
