package authn

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

const (
	linkKey       = "X-Berth-Key" // absent for key 0
	linkExpires   = "X-Berth-Expires"
	linkSignature = "X-Berth-Signature"
)

// SignLink makes the query that lets anybody GET or HEAD a path of this registry until ttl is over. The
// path is the decoded one, as in URL.Path.
func (a *Authenticator) SignLink(ctx context.Context, path string, ttl time.Duration) (query string, err error) {
	k, err := a.newest(ctx)
	if err != nil {
		return "", err
	}
	expires := strconv.FormatInt(a.now().Add(ttl).Unix(), 10)
	sum := k.linkMAC(path, expires)
	query = linkExpires + "=" + expires + "&" + linkSignature + "=" + base64.RawURLEncoding.EncodeToString(sum)
	if k.id != 0 {
		query += "&" + linkKey + "=" + k.name
	}
	return query, nil
}

// HasLink tells whether a request comes with a download link's query, sound or not.
func HasLink(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, linkSignature+"=")
}

// VerifyLink checks a request that came by a link. The faults are [fault.CredentialsMissing],
// [fault.CredentialsMalformed], [fault.SignatureMismatch] and [fault.SignatureExpired].
func (a *Authenticator) VerifyLink(r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return fault.New(fault.SignatureMismatch, "A download link is for GET and HEAD, not %s.", r.Method)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.New(fault.CredentialsMalformed, "The query of the download link cannot be read.")
	}
	expires, signature := query[linkExpires], query[linkSignature]
	if len(expires) == 0 && len(signature) == 0 {
		return fault.New(fault.CredentialsMissing, "The request is not a download link.")
	}
	if len(expires) != 1 || len(signature) != 1 {
		return fault.New(fault.CredentialsMalformed, "A download link has %s and %s once each.", linkExpires, linkSignature)
	}
	id, err := linkKeyID(query[linkKey])
	if err != nil {
		return err
	}
	k, err := a.named(r.Context(), id)
	if err != nil {
		return err
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(signature[0])
	if err != nil || k == nil || !hmac.Equal(sum, k.linkMAC(r.URL.Path, expires[0])) {
		return fault.New(fault.SignatureMismatch, "The download link was changed, or another registry made it.")
	}
	seconds, err := strconv.ParseInt(expires[0], 10, 64)
	if err != nil {
		return fault.New(fault.CredentialsMalformed, "A download link's %s is a number of seconds.", linkExpires)
	}
	if end := time.Unix(seconds, 0).UTC(); !a.now().Before(end) {
		return fault.New(fault.SignatureExpired, "The download link expired at %s. Ask for a new one.", end.Format(time.RFC3339))
	}
	return nil
}

// linkKeyID reads which key a link is signed with.
func linkKeyID(values []string) (uint32, error) {
	if len(values) == 0 {
		return 0, nil
	}
	id, ok := parseKeyID(values[0])
	if !ok || len(values) > 1 {
		return 0, fault.New(fault.CredentialsMalformed, "A download link has %s once at most, with a key's number.", linkKey)
	}
	return id, nil
}

// linkMAC is the signature over what a link allows. A line break cannot move a byte from the path into the
// time: the time comes first and holds digits only when it was signed.
func (k *keys) linkMAC(path, expires string) []byte {
	h := hmac.New(sha256.New, k.links)
	h.Write([]byte(expires + "\n" + path))
	return h.Sum(nil)
}
