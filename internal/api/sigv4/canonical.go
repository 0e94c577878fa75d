package sigv4

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// appendCanonical appends the canonical request: method, path, query, headers, their names, payload hash.
func appendCanonical(b []byte, r *http.Request, q *Request, host, payload string) ([]byte, error) {
	b = append(b, r.Method...)
	b = append(b, '\n')
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	b = appendEscaped(b, path, true)
	b = append(b, '\n')
	b, err := appendCanonicalQuery(b, r.URL.RawQuery, q.Presigned)
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	for _, name := range q.SignedHeaders {
		b = append(b, name...)
		b = append(b, ':')
		if b, err = appendHeaderValue(b, r, name, host); err != nil {
			return nil, err
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	for i, name := range q.SignedHeaders {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	b = append(b, '\n')
	return append(b, payload...), nil
}

// appendHeaderValue appends the values of one signed header, joined by commas, spaces squeezed.
func appendHeaderValue(b []byte, r *http.Request, name, host string) ([]byte, error) {
	switch name {
	case "host":
		return appendSqueezed(b, host), nil
	case "content-length":
		// net/http owns this header. A client that signed it sent it.
		if r.ContentLength < 0 {
			return nil, missing(name)
		}
		return strconv.AppendInt(b, r.ContentLength, 10), nil
	}
	values, ok := r.Header[http.CanonicalHeaderKey(name)]
	if !ok {
		return nil, missing(name)
	}
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSqueezed(b, value)
	}
	return b, nil
}

func missing(name string) error {
	return fault.New(fault.SignatureMismatch, "The signature covers the header %s, which is not there. A proxy may have removed it.", name)
}

// appendSqueezed appends s without spaces at its ends, and runs of spaces as one.
func appendSqueezed(b []byte, s string) []byte {
	s = strings.TrimSpace(s)
	for i := range len(s) {
		if s[i] == ' ' && s[i-1] == ' ' {
			continue
		}
		b = append(b, s[i])
	}
	return b
}

// appendCanonicalQuery appends the query's parameters, each decoded as a form's and encoded in the one
// canonical way, in order of encoded name and value. The signature itself is left out of a pre-signed one.
func appendCanonicalQuery(b []byte, raw string, presigned bool) ([]byte, error) {
	if raw == "" {
		return b, nil
	}
	type parameter struct{ name, value string }
	var parameters []parameter
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, malformed("The query has a parameter that is not percent-encoded: %q.", clip(rawName))
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return nil, malformed("The query parameter %q is not percent-encoded.", clip(name))
		}
		if presigned && name == "X-Amz-Signature" {
			continue
		}
		parameters = append(parameters, parameter{escape(name), escape(value)})
	}
	slices.SortFunc(parameters, func(a, b parameter) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	for i, p := range parameters {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b, nil
}

func escape(s string) string {
	for i := range len(s) {
		if !unreserved(s[i]) {
			return string(appendEscaped(nil, s, false))
		}
	}
	return s
}

const upperHex = "0123456789ABCDEF"

// appendEscaped percent-encodes all but RFC 3986's unreserved characters, and the slash in paths.
func appendEscaped(b []byte, s string, path bool) []byte {
	for i := range len(s) {
		c := s[i]
		if unreserved(c) || path && c == '/' {
			b = append(b, c)
			continue
		}
		b = append(b, '%', upperHex[c>>4], upperHex[c&15])
	}
	return b
}

func unreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}
