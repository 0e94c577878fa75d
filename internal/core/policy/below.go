package policy

import "strings"

// A question may be about resources that are not there yet: everything below a prefix, such as the repositories that a
// creation template is for. What a policy allows for one of them it may deny for another, so that a Deny counts when it is
// about any of them, and an Allow when it is about all.

// fitsBelow is fitsResource for such a question.
func (s *statement) fitsBelow(d *deciding) bool {
	for i := range s.resources {
		touches, covers := s.resources[i].below(d)
		if s.deny != s.notResource && touches || s.deny == s.notResource && covers {
			return !s.notResource
		}
	}
	return s.notResource
}

// below tells whether the pattern fits something of what the question is about, and whether it fits all of it. Where that
// depends on a variable without a value, it may fit something and does not fit all.
func (r *resource) below(d *deciding) (touches, covers bool) {
	switch {
	case r.any:
		return true, true
	case r.never:
		return true, false
	case !d.isARN || !strings.HasPrefix(d.q.Resource, r.pattern.head):
		return false, false
	}
	doubt := false
	last := arnParts - 1
	for i := r.pattern.from; i < last; i++ {
		switch r.pattern.parts[i].match(d, d.resource[i]) {
		case no:
			return false, false
		case unknown:
			doubt = true
		case yes:
		}
	}
	pattern, lacking := r.pattern.parts[last].whole(d)
	touches, covers = overlap(pattern, strings.TrimSuffix(d.resource[last], "*"))
	return touches, covers && !doubt && lacking == nil
}

// whole is the pattern's text, with the variables' values in their places.
func (g *glob) whole(d *deciding) (text string, lacking *variable) {
	switch g.how {
	case byNothing:
		return string([]byte{anyRun}), nil
	case byPrefix:
		return g.text + string([]byte{anyRun}), nil
	case byParts:
		expanded, lacking := d.expand(g.parts)
		return g.text + string(expanded), lacking
	case byEquality, byMatching:
	}
	return g.text, nil
}

// overlap tells whether a pattern with made wildcards fits some text that goes on after the prefix, and whether it fits
// every one. It follows all ways through the pattern at once, so that no pattern takes long.
func overlap(pattern, prefix string) (touches, covers bool) {
	ways := make([][]bool, len(prefix)+1) // by how much of the prefix is read: where in the pattern one may be
	for i := range ways {
		ways[i] = make([]bool, len(pattern)+1)
	}
	ways[0][0] = true
	for i, here := range ways {
		for p := range len(pattern) {
			if !here[p] {
				continue
			}
			if pattern[p] == anyRun {
				here[p+1] = true
			}
			if i == len(prefix) {
				continue
			}
			next := i + width(prefix[i:])
			switch pattern[p] {
			case anyRun:
				ways[next][p] = true
			case anyChar:
				ways[next][p+1] = true
			case prefix[i]:
				ways[i+1][p+1] = true
			}
		}
	}
	for p, there := range ways[len(prefix)][:len(pattern)] {
		if there {
			touches = true
			covers = covers || strings.Count(pattern[p:], string([]byte{anyRun})) == len(pattern)-p
		}
	}
	return touches, covers
}
