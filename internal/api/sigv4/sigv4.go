// Package sigv4 verifies AWS Signature Version 4, in the Authorization header and in pre-signed URLs.
//
// [Parse] reads what a request claims; the caller looks up the secret of the access key that it names; a
// [Verifier] then computes the signature afresh and compares. The rules beyond the algorithm: the host and
// every x-amz-* header must be signed, the payload's hash is always checked, the request's time may be five
// minutes off, and a pre-signed URL lives from one second to seven days. Any region is accepted.
//
// The canonical form is that of every service but S3: the path as it came is percent-encoded once more.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"

	// MaxSkew is how far a request's time may be from the server's.
	MaxSkew = 5 * time.Minute
	// MaxExpires is how long a pre-signed URL may live.
	MaxExpires = 7 * 24 * time.Hour

	// maxCachedKeys bounds the cache of signing keys. There is one for each access key, day, region and
	// service in use.
	maxCachedKeys = 1024
)

// Request is what a signed request claims, before any of it is proven.
type Request struct {
	AccessKeyID   string
	Date          string // of the credential scope: 20260102
	Region        string
	Service       string
	Time          time.Time
	Presigned     bool
	Expires       time.Duration // of a pre-signed URL
	SignedHeaders []string      // lower case, in order
	SessionToken  string        // "" for the long-lived keys

	signature [sha256.Size]byte
}

// CheckTime answers [fault.SignatureExpired] when the request's time is not now, give or take [MaxSkew], or
// a pre-signed URL's life is over.
func (q *Request) CheckTime(now time.Time) error {
	now = now.UTC()
	if latest := now.Add(MaxSkew); q.Time.After(latest) {
		return fault.New(fault.SignatureExpired, "Signature not yet current: %s is still later than %s (%s + 5 min.)",
			q.Time.Format(timeFormat), latest.Format(timeFormat), now.Format(timeFormat))
	}
	if q.Presigned {
		if end := q.Time.Add(q.Expires); !now.Before(end) {
			return fault.New(fault.SignatureExpired, "Signature expired: the pre-signed URL was valid until %s, and it is %s",
				end.Format(timeFormat), now.Format(timeFormat))
		}
		return nil
	}
	if earliest := now.Add(-MaxSkew); q.Time.Before(earliest) {
		return fault.New(fault.SignatureExpired, "Signature expired: %s is now earlier than %s (%s - 5 min.)",
			q.Time.Format(timeFormat), earliest.Format(timeFormat), now.Format(timeFormat))
	}
	return nil
}

// CheckService answers [fault.SignatureMismatch] when the request is signed for another service than the
// one it reached. An empty service accepts any.
func (q *Request) CheckService(service string) error {
	if service != "" && q.Service != service {
		return fault.New(fault.SignatureMismatch, "Credential should be scoped to correct service: '%s'. It is scoped to '%s'.", service, q.Service)
	}
	return nil
}

// Verifier verifies signatures. The zero Verifier is ready to use, by any number of goroutines.
type Verifier struct {
	mu   sync.Mutex
	keys map[keyScope][sha256.Size]byte // derived signing keys; guarded by mu
}

type keyScope struct {
	secret, date, region, service string
}

// Verify computes the signature that r should carry, given the secret of the access key that it names, and
// compares it with the one it carries. body is what came on the wire. It answers [fault.SignatureMismatch]
// when they differ. The request's time is not looked at: see [Request.CheckTime].
func (v *Verifier) Verify(r *http.Request, q *Request, secret string, body []byte) error {
	payload, err := payloadHash(r, body)
	if err != nil {
		return err
	}
	hosts := []string{r.Host}
	if bare, ok := withoutDefaultPort(r.Host); ok {
		// Signers leave the scheme's own port out; some clients and proxies put it into the Host header.
		hosts = append(hosts, bare)
	}
	var space [2048]byte
	for _, host := range hosts {
		canonical, err := appendCanonical(space[:0], r, q, host, payload)
		if err != nil {
			return err
		}
		want := v.sign(q, secret, canonical)
		if subtle.ConstantTimeCompare(want[:], q.signature[:]) == 1 {
			return nil
		}
	}
	return fault.New(fault.SignatureMismatch, "The request signature we calculated does not match the signature you provided. "+
		"Check your AWS Secret Access Key and signing method, and that no proxy changes the request or its Host header.")
}

// withoutDefaultPort takes the port of http or https off a host.
func withoutDefaultPort(host string) (string, bool) {
	if bare, ok := strings.CutSuffix(host, ":443"); ok {
		return bare, true
	}
	return strings.CutSuffix(host, ":80")
}

// sign computes the signature over a canonical request.
func (v *Verifier) sign(q *Request, secret string, canonical []byte) [sha256.Size]byte {
	var space [256]byte
	text := append(space[:0], algorithm+"\n"...)
	text = q.Time.AppendFormat(text, timeFormat)
	text = append(text, '\n')
	text = append(text, q.Date...)
	text = append(text, '/')
	text = append(text, q.Region...)
	text = append(text, '/')
	text = append(text, q.Service...)
	text = append(text, "/"+terminator+"\n"...)
	hash := sha256.Sum256(canonical)
	text = hex.AppendEncode(text, hash[:])
	key := v.signingKey(keyScope{secret: secret, date: q.Date, region: q.Region, service: q.Service})
	return mac(key[:], text)
}

// signingKey derives the key for a scope, four HMACs deep, or remembers it.
func (v *Verifier) signingKey(s keyScope) [sha256.Size]byte {
	v.mu.Lock()
	key, ok := v.keys[s]
	v.mu.Unlock()
	if ok {
		return key
	}
	key = mac([]byte("AWS4"+s.secret), []byte(s.date))
	key = mac(key[:], []byte(s.region))
	key = mac(key[:], []byte(s.service))
	key = mac(key[:], []byte(terminator))
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys == nil || len(v.keys) >= maxCachedKeys {
		v.keys = map[keyScope][sha256.Size]byte{}
	}
	// The strings of the scope are parts of the request's header, which need not be kept alive whole.
	s.date, s.region, s.service = strings.Clone(s.date), strings.Clone(s.region), strings.Clone(s.service)
	v.keys[s] = key
	return key
}

func mac(key, text []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	h.Sum(sum[:0])
	return sum
}

// payloadHash gives the payload's hash as it stands in the canonical request. A header that declares it
// must tell the truth; leaving the payload out of the signature is refused.
func payloadHash(r *http.Request, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	computed := hex.EncodeToString(sum[:])
	declared, ok := r.Header["X-Amz-Content-Sha256"]
	if !ok {
		return computed, nil
	}
	if len(declared) != 1 {
		return "", fault.New(fault.CredentialsMalformed, "The x-amz-content-sha256 header must be given once.")
	}
	switch {
	case declared[0] == computed:
		return computed, nil
	case declared[0] == "UNSIGNED-PAYLOAD", strings.HasPrefix(declared[0], "STREAMING-"):
		return "", fault.New(fault.SignatureMismatch, "The payload must be signed; x-amz-content-sha256: %s is not accepted here.", declared[0])
	default:
		return "", fault.New(fault.SignatureMismatch, "The provided x-amz-content-sha256 header does not match the hash of the request's body.")
	}
}
