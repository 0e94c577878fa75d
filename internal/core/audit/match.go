package audit

import (
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Matches tells whether a record is one that the query selects, its paging apart.
func (q *Query) Matches(r *Record) bool {
	switch {
	case !q.Since.IsZero() && r.At.Before(q.Since), !q.Until.IsZero() && !r.At.Before(q.Until),
		q.Repository != "" && r.Repository != q.Repository,
		q.Image != "" && !r.about(q.Image),
		q.Principal != "" && !slices.Contains(r.principals(), q.Principal),
		q.Operation != "" && r.Operation != q.Operation,
		q.AccessKeyID != "" && r.AccessKeyID != q.AccessKeyID,
		q.RequestID != "" && r.RequestID != q.RequestID && r.EventID != q.RequestID,
		q.DeniedOnly && !r.Denied(),
		q.ReadOnly != nil && r.ReadOnly != *q.ReadOnly,
		q.Source != "" && r.Source != q.Source,
		q.OfRepositories && r.Repository == "":
		return false
	}
	return true
}

// about tells whether a record names or gave away an image, by digest or tag.
func (r *Record) about(image string) bool {
	for _, id := range r.Images {
		if string(id.Digest) == image || id.Tag == image {
			return true
		}
	}
	for _, d := range r.Pulled {
		if string(d) == image {
			return true
		}
	}
	return false
}

// principals lists by what a caller is found: its ARN, its role's, its name, whom its web identity's issuer says it is.
func (r *Record) principals() []string {
	all := []string{r.Principal}
	for _, p := range []string{r.ARN, lastPart(r.Principal), r.Subject, r.SourceIdentity} {
		if p != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// A term is what records are found by, hashed: two that have one hash cost a look at a block for nothing. The kinds of terms are
// told apart by what they begin with.
const (
	termPrincipal  = "p\x00"
	termDenied     = "d\x00" // denials of a principal, or of anybody
	termRepository = "r\x00"
	termImage      = "i\x00"
	termOperation  = "o\x00"
	termKey        = "k\x00"
)

func term(kind, value string) int64 {
	var buf [256]byte                                                      // most are shorter, and take no memory of their own
	return int64(xxhash.Sum64(append(append(buf[:0], kind...), value...))) //nolint:gosec // the same bits
}

// terms gives all that a record is found by, but its request's id, which is in no other record.
func (r *Record) terms(add func(int64)) {
	denied := r.Denied()
	for _, p := range r.principals() {
		add(term(termPrincipal, p))
		if denied {
			add(term(termDenied, p))
		}
	}
	if denied {
		add(term(termDenied, ""))
	}
	if r.Repository != "" {
		add(term(termRepository, r.Repository))
	}
	for _, id := range r.Images {
		if id.Digest != "" {
			add(term(termImage, string(id.Digest)))
		}
		if id.Tag != "" {
			add(term(termImage, r.Repository+":"+id.Tag))
		}
	}
	for _, d := range r.Pulled {
		add(term(termImage, string(d)))
	}
	add(term(termOperation, r.Operation))
	if r.AccessKeyID != "" {
		add(term(termKey, r.AccessKeyID))
	}
}

// terms gives what a block must have to be looked into.
func (q *Query) terms() []int64 {
	var all []int64
	switch {
	case q.DeniedOnly:
		all = append(all, term(termDenied, q.Principal))
	case q.Principal != "":
		all = append(all, term(termPrincipal, q.Principal))
	}
	if q.Repository != "" {
		all = append(all, term(termRepository, q.Repository))
	}
	if strings.Contains(q.Image, ":") { // a digest
		all = append(all, term(termImage, q.Image))
	} else if q.Image != "" && q.Repository != "" {
		all = append(all, term(termImage, q.Repository+":"+q.Image))
	}
	if q.Operation != "" {
		all = append(all, term(termOperation, q.Operation))
	}
	if q.AccessKeyID != "" {
		all = append(all, term(termKey, q.AccessKeyID))
	}
	return all
}
