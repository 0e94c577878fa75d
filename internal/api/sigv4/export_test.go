package sigv4

import "net/http"

// Canonical is the canonical request that the signature of q covers.
func Canonical(r *http.Request, q *Request, body []byte) (string, error) {
	payload, err := payloadHash(r, body)
	if err != nil {
		return "", err
	}
	b, err := appendCanonical(nil, r, q, r.Host, payload)
	return string(b), err
}

// CanonicalQuery is the canonical form of a query.
func CanonicalQuery(raw string) (string, error) {
	b, err := appendCanonicalQuery(nil, raw, false)
	return string(b), err
}

// Squeezed is the canonical form of a header's value.
func Squeezed(s string) string { return string(appendSqueezed(nil, s)) }
