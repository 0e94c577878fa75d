package policy_test

import (
	"encoding/base64"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// The naive evaluator: the rules of docs/design/policy.md once more, without a thought for speed, over documents as they
// are. It shares no code with the package. See TestAgreesWithNaive.

// maybe is what came of a comparison.
type maybe int

const (
	isNot maybe = iota
	is
	cannotTell
)

// request is a question with documents.
type request struct {
	asker            policy.Asker
	action, resource string
	account          string
	values           map[string][]string // lower-case keys; empty ones count as absent

	identity, resources []policy.Document
	boundary            *policy.Document
	sessions            []policy.Document // nil: none
}

// sentence is the naive answer.
type sentence struct {
	outcome policy.Outcome
	lacking policy.Kind
	denies  int // how many statements deny
}

func (r request) decide() sentence {
	denies, allows := 0, map[string]map[string]bool{}
	hear := func(side string, docs []policy.Document) {
		for _, d := range docs {
			for _, s := range d.Statements {
				ways := r.ways(side, d, s)
				if len(ways) == 0 {
					continue
				}
				if s.Effect == policy.Deny {
					denies++
					continue
				}
				if allows[side] == nil {
					allows[side] = map[string]bool{}
				}
				for _, w := range ways {
					allows[side][w] = true
				}
			}
		}
	}
	hear("identity", r.identity)
	if r.boundary != nil {
		hear("boundary", []policy.Document{*r.boundary})
	}
	hear("session", r.sessions)
	hear("resource", r.resources)
	if denies > 0 {
		return sentence{outcome: policy.ExplicitDeny, denies: denies}
	}
	lacking := r.lacking(allows["identity"] != nil, r.boundary == nil || allows["boundary"] != nil, r.sessions == nil || allows["session"] != nil, allows["resource"])
	if lacking == "" {
		return sentence{outcome: policy.Allowed}
	}
	return sentence{outcome: policy.ImplicitDeny, lacking: lacking}
}

func (r request) lacking(identity, boundary, session bool, given map[string]bool) policy.Kind {
	first := func(checks ...any) policy.Kind { // ok, kind, ok, kind …
		for i := 0; i < len(checks); i += 2 {
			if checks[i] != true {
				return checks[i+1].(policy.Kind)
			}
		}
		return ""
	}
	low := strings.ToLower(r.action)
	taking := slices.Contains([]string{"sts:assumerole", "sts:assumerolewithwebidentity", "sts:assumerolewithsaml", "sts:tagsession", "sts:setsourceidentity"}, low)
	some := given != nil
	byResource := policy.ResourceBased
	if taking {
		byResource = policy.RoleTrust
	}
	switch {
	case r.asker.Federated != "":
		return first(some, byResource)
	case r.asker.ARN == "":
		return first(some && !taking, byResource)
	case taking && !some:
		return policy.RoleTrust
	case r.asker.Account != r.account:
		return first(identity, policy.IdentityBased, boundary, policy.PermissionsBoundary, session, policy.SessionPolicy, some, byResource)
	case given["self"]:
		return ""
	case given["user"]:
		return first(session, policy.SessionPolicy)
	case given["role"]:
		return first(boundary, policy.PermissionsBoundary, session, policy.SessionPolicy)
	}
	return first(identity, policy.IdentityBased, boundary, policy.PermissionsBoundary, session, policy.SessionPolicy)
}

// ways tells how a statement that is about the request names the asker.
func (r request) ways(side string, d policy.Document, s policy.Statement) []string {
	ways := []string{"self"}
	if side == "resource" || len(s.Principals)+len(s.NotPrincipals) > 0 {
		ways = r.principalWays(s)
	}
	if !r.actionFits(s) || len(ways) == 0 || !r.resourceFits(side, d, s) {
		return nil
	}
	for _, c := range s.Conditions {
		if !r.met(d, s.Effect == policy.Deny, c) {
			return nil
		}
	}
	return ways
}

func (r request) actionFits(s policy.Statement) bool {
	one := func(p string) bool {
		return like(symbols(strings.ToLower(p), true), []rune(strings.ToLower(r.action)))
	}
	if len(s.NotActions) > 0 {
		return !slices.ContainsFunc(s.NotActions, one)
	}
	return slices.ContainsFunc(s.Actions, one)
}

func (r request) principalWays(s policy.Statement) []string {
	deny := s.Effect == policy.Deny
	if len(s.NotPrincipals) == 0 {
		var ways []string
		for _, p := range s.Principals {
			if w := r.wayOf(p, deny); w != "" {
				ways = append(ways, w)
			}
		}
		return ways
	}
	named := map[string]bool{}
	everyone := false
	for _, p := range s.NotPrincipals {
		named[r.wayOf(p, deny)] = true
		everyone = everyone || p.ID == "*"
	}
	delete(named, "")
	spared := len(named) > 0
	if deny {
		spared = everyone || named["self"] || named["user"]
		if r.asker.RoleARN != "" && !everyone {
			spared = named["self"] && named["role"]
		}
	} else if r.asker.Federated != "" {
		spared = true
	}
	if spared {
		return nil
	}
	return []string{"self"}
}

func (r request) wayOf(p policy.Principal, deny bool) string {
	a := r.asker
	switch {
	case a.Federated != "":
		if p.Type == "Federated" && p.ID == a.Federated || deny && p.ID == "*" {
			return "self"
		}
		return ""
	case p.ID == "*":
		return "self"
	case p.Type != "AWS" || a.ARN == "":
		return ""
	case p.ID == a.Account || p.ID == "arn:aws:iam::"+a.Account+":root":
		if strings.HasSuffix(a.ARN, ":root") {
			return "user"
		}
		return "account"
	case a.RoleARN == "" && (p.ID == a.ARN || p.ID == a.UserID):
		return "user"
	case a.RoleARN != "" && (p.ID == a.RoleARN || strings.HasPrefix(a.UserID, p.ID+":")):
		return "role"
	case a.RoleARN != "" && p.ID == a.ARN:
		return "self"
	}
	return ""
}

func (r request) resourceFits(side string, d policy.Document, s policy.Statement) bool {
	patterns, not := s.Resources, false
	if len(s.NotResources) > 0 {
		patterns, not = s.NotResources, true
	}
	if len(patterns) == 0 {
		return side == "resource"
	}
	doubt := false
	for _, p := range patterns {
		switch r.arnLike(d, p, r.resource, true) {
		case is:
			return !not
		case cannotTell:
			doubt = true
		case isNot:
		}
	}
	return not && (!doubt || s.Effect == policy.Deny)
}

// arnLike compares an ARN part by part. Resources' missing parts are anything.
func (r request) arnLike(d policy.Document, pattern, got string, complete bool) maybe {
	if pattern == "*" {
		return is
	}
	if !strings.HasPrefix(got, "arn:") || strings.Count(got, ":") < 5 {
		return isNot
	}
	if !strings.HasPrefix(pattern, "arn:") && d.Version != policy.Version2012 {
		return cannotTell // no ARN, and no variable either: such a document is refused
	}
	all := r.substitute(d, symbols(pattern, true))
	fields := [][]symbol{nil}
	for _, s := range all {
		if s.r == ':' && s.kind == letter && !s.fromVariable && len(fields) < 6 {
			fields = append(fields, nil)
			continue
		}
		fields[len(fields)-1] = append(fields[len(fields)-1], s)
	}
	if len(fields) < 6 && !complete {
		return sure(all, like(all, []rune(got)))
	}
	for len(fields) < 6 {
		fields = append(fields, []symbol{{kind: anything}})
	}
	for i, part := range strings.SplitN(got, ":", 6) {
		if !like(fields[i], []rune(part)) {
			return isNot
		}
	}
	return sure(all, true)
}

// sure turns a match that rests on a variable without a value into one that nobody can tell.
func sure(pattern []symbol, matches bool) maybe {
	switch {
	case !matches:
		return isNot
	case slices.ContainsFunc(pattern, func(s symbol) bool { return s.hole }):
		return cannotTell
	}
	return is
}

func (r request) met(d policy.Document, deny bool, c policy.Condition) bool {
	op, all := strings.CutPrefix(c.Operator, "ForAllValues:")
	op, any := strings.CutPrefix(op, "ForAnyValue:")
	got := r.values[strings.ToLower(c.Key)]
	if op == "Null" {
		return slices.ContainsFunc(c.Values, func(v string) bool { return strings.EqualFold(v, "true") == (len(got) == 0) })
	}
	op, ifExists := strings.CutSuffix(op, "IfExists")
	positive := strings.Replace(op, "Not", "", 1)
	negated := positive != op
	if len(got) == 0 {
		return ifExists || all || negated && !any
	}
	count := 0
	for _, g := range got {
		found, doubt := false, false
		for _, w := range c.Values {
			switch r.compare(d, positive, w, g) {
			case is:
				found = true
			case cannotTell:
				doubt = true
			case isNot:
			}
		}
		if !negated && found || negated && !found && (!doubt || deny) {
			count++
		}
	}
	if any || !all && deny {
		return count > 0
	}
	return count == len(got)
}

// compare compares one value of a policy with one of the request.
func (r request) compare(d policy.Document, op, want, got string) maybe {
	truth := func(b bool) maybe {
		if b {
			return is
		}
		return isNot
	}
	switch op {
	case "StringEquals", "StringLike":
		p := r.substitute(d, symbols(want, op == "StringLike"))
		return sure(p, like(p, []rune(got)))
	case "StringEqualsIgnoreCase":
		p := r.substitute(d, symbols(want, false))
		if v := sure(p, true); v == cannotTell {
			return v
		}
		text := ""
		for _, s := range p {
			text += string(s.r)
		}
		return truth(strings.EqualFold(text, got))
	case "Bool":
		if !strings.EqualFold(got, "true") && !strings.EqualFold(got, "false") {
			return cannotTell
		}
		return truth(strings.EqualFold(want, got))
	case "BinaryEquals":
		w, _ := base64.StdEncoding.DecodeString(want)
		g, err := base64.StdEncoding.DecodeString(got)
		if err != nil {
			return cannotTell
		}
		return truth(string(w) == string(g))
	case "IpAddress":
		if !strings.Contains(want, "/") {
			want += map[bool]string{true: "/128", false: "/32"}[strings.Contains(want, ":")]
		}
		_, network, _ := net.ParseCIDR(want)
		ip := net.ParseIP(got)
		if ip == nil {
			return cannotTell
		}
		return truth(network.Contains(ip))
	case "ArnEquals", "ArnLike":
		if !strings.HasPrefix(got, "arn:") || strings.Count(got, ":") < 5 {
			return cannotTell
		}
		return r.arnLike(d, want, got, false)
	}
	order, ok := 0, false
	if rest, numeric := strings.CutPrefix(op, "Numeric"); numeric {
		op = rest
		w, _ := new(big.Rat).SetString(want)
		var g *big.Rat
		if g, ok = new(big.Rat).SetString(got); ok {
			order = g.Cmp(w)
		}
	} else {
		op = strings.TrimPrefix(op, "Date")
		w, _ := naiveDate(want)
		var g time.Time
		g, ok = naiveDate(got)
		order = g.Compare(w)
	}
	if !ok {
		return cannotTell
	}
	return truth(order == 0 && strings.HasSuffix(op, "Equals") || order < 0 && strings.HasPrefix(op, "Less") || order > 0 && strings.HasPrefix(op, "Greater"))
}

func naiveDate(s string) (time.Time, bool) {
	layout := map[int]string{4: "2006", 7: "2006-01", 10: "2006-01-02"}[len(s)]
	if !strings.Contains(s, "-") && len(s) != 4 {
		n, ok := new(big.Int).SetString(s, 10)
		if !ok {
			return time.Time{}, false
		}
		return time.Unix(n.Int64(), 0), true
	}
	switch {
	case layout == "" && strings.Count(s, ":") == 1:
		layout = "2006-01-02T15:04Z"
	case layout == "":
		layout = time.RFC3339
	}
	t, err := time.Parse(layout, s)
	return t, err == nil
}

// symbol is a letter of a pattern, or what stands for others.
type symbol struct {
	kind         int
	r            rune
	fromVariable bool
	hole         bool // a variable without a value, which might be anything
}

const (
	letter = iota
	anything
	anyOne
)

func symbols(s string, wildcards bool) []symbol {
	var all []symbol
	for _, r := range s {
		switch {
		case wildcards && r == '*':
			all = append(all, symbol{kind: anything, r: r})
		case wildcards && r == '?':
			all = append(all, symbol{kind: anyOne, r: r})
		default:
			all = append(all, symbol{r: r})
		}
	}
	return all
}

// substitute puts in variables' values, letter by letter.
func (r request) substitute(d policy.Document, pattern []symbol) []symbol {
	if d.Version != policy.Version2012 {
		return pattern
	}
	var out []symbol
	for i := 0; i < len(pattern); i++ {
		if pattern[i].r != '$' || i+1 == len(pattern) || pattern[i+1].r != '{' {
			out = append(out, pattern[i])
			continue
		}
		name := ""
		for i += 2; pattern[i].r != '}'; i++ {
			name += string(pattern[i].r)
		}
		key, fallback, hasFallback := strings.Cut(name, ",")
		values := r.values[strings.ToLower(key)]
		switch {
		case name == "*" || name == "?" || name == "$":
			values = []string{name}
		case len(values) == 0 && hasFallback:
			values = []string{strings.Trim(fallback, " '")}
		case len(values) != 1:
			out = append(out, symbol{kind: anything, hole: true})
			continue
		}
		for _, v := range values[0] {
			out = append(out, symbol{r: v, fromVariable: true})
		}
	}
	return out
}

// like matches by trying everything.
func like(p []symbol, s []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0].kind == anything:
		return like(p[1:], s) || len(s) > 0 && like(p, s[1:])
	case len(s) == 0:
		return false
	}
	return (p[0].kind == anyOne || p[0].r == s[0]) && like(p[1:], s[1:])
}
