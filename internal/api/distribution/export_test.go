package distribution

import (
	"net/http"
	"net/url"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// What the tests see of the inside.

// Parsed is a request in words.
type Parsed struct {
	Kind, Name, Tag, Digest, UploadID string
}

var kindNames = map[kind]string{
	kindUnknown: "unknown", kindBase: "base", kindCatalog: "catalog", kindToken: "token", kindBlob: "blob", kindUploads: "uploads",
	kindUpload: "upload", kindManifest: "manifest", kindTags: "tags", kindReferrers: "referrers",
}

// Parse is parse, in words.
func Parse(u *url.URL) (Parsed, error) {
	r, err := parse(u)
	p := Parsed{Kind: kindNames[r.Kind], Name: r.Name, Tag: r.Ref.Tag, Digest: r.Ref.Digest.String(), UploadID: r.UploadID}
	if r.Digest != "" {
		p.Digest = r.Digest.String()
	}
	return p, err
}

// ParsePath is parsePath, for counting allocations.
func ParsePath(path string) error {
	_, err := parsePath(path)
	return err
}

// ParseRange is parseRange.
func ParseRange(header string, size int64) (offset, length int64, partial bool, err error) {
	s, partial, err := parseRange(header, size)
	return s.offset, s.length, partial, err
}

// ParseContentRange is parseContentRange.
func ParseContentRange(header string) (offset, length int64, err error) {
	s, err := parseContentRange(header)
	return s.offset, s.length, err
}

// AppendJSONString is appendJSONString.
func AppendJSONString(b []byte, s string) []byte { return appendJSONString(b, s) }

// MatchesETag is matchesETag.
func MatchesETag(list string, d oci.Digest) bool { return matchesETag(list, d) }

// AnswerTo gives status and code of a fault, and whether the table has it.
func AnswerTo(c fault.Code) (status int, code string, ok bool) {
	a, ok := answers[c]
	return a.status, a.code, ok
}

// TableSize tells how many faults the table has.
func TableSize() int { return len(answers) }

// Routes lists every method of every kind, as the table has them.
func Routes() map[string][]string {
	m := map[string][]string{}
	for _, r := range routes {
		m[kindNames[r.kind]] = append(m[kindNames[r.kind]], r.method)
	}
	return m
}

// MaxTagParameters is maxTagParameters.
const MaxTagParameters = maxTagParameters

var _ http.Handler = (*face)(nil)
