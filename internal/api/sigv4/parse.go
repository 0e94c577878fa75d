package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// maxSignedHeaders bounds the work a stranger can ask for. SDKs sign about ten.
const maxSignedHeaders = 64

// defaultExpires is the life, in seconds, of a pre-signed URL that does not state one. aws-sdk-go-v2 makes
// such URLs for GetCallerIdentity, and STS lets them live for 15 minutes.
const defaultExpires = "900"

// Parse reads what a request claims about its signature. It answers [fault.CredentialsMissing] when there
// is none and [fault.CredentialsMalformed] when it cannot be read or is there twice.
func Parse(r *http.Request) (*Request, error) {
	header, inHeader := r.Header["Authorization"]
	inQuery := strings.Contains(r.URL.RawQuery, "X-Amz-Signature=") || strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=")
	switch {
	case inHeader && inQuery:
		return nil, malformed("The request carries credentials in the Authorization header and in the query. Only one is allowed.")
	case len(header) > 1:
		return nil, malformed("The request carries more than one Authorization header.")
	case inHeader:
		return parseHeader(r, header[0])
	case inQuery:
		return parseQuery(r)
	default:
		return nil, fault.New(fault.CredentialsMissing, "Missing Authentication Token: the request is not signed.")
	}
}

func malformed(format string, args ...any) error {
	return fault.New(fault.CredentialsMalformed, format, args...)
}

func parseHeader(r *http.Request, header string) (*Request, error) {
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		scheme, _, _ := strings.Cut(header, " ")
		return nil, malformed("The Authorization header must use %s; it uses %q.", algorithm, clip(scheme))
	}
	var credential, signedHeaders, signature string
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, malformed("The Authorization header has a part without '=': %q.", clip(part))
		}
		var field *string
		switch name {
		case "Credential":
			field = &credential
		case "SignedHeaders":
			field = &signedHeaders
		case "Signature":
			field = &signature
		default:
			return nil, malformed("The Authorization header has the unknown part %q.", clip(name))
		}
		if *field != "" {
			return nil, malformed("The Authorization header has %q twice.", name)
		}
		*field = value
	}
	q := &Request{SessionToken: r.Header.Get("X-Amz-Security-Token")}
	if err := q.setTime(headerTime(r)); err != nil {
		return nil, err
	}
	if err := q.set(credential, signedHeaders, signature); err != nil {
		return nil, err
	}
	return q, q.checkSigned(r)
}

// headerTime finds the request's time: X-Amz-Date, or Date where a client cannot set that one.
func headerTime(r *http.Request) (text string, t time.Time, err error) {
	if text = r.Header.Get("X-Amz-Date"); text != "" {
		t, err = time.Parse(timeFormat, text)
		return text, t, err
	}
	if text = r.Header.Get("Date"); text == "" {
		return "", time.Time{}, nil
	}
	if t, err = http.ParseTime(text); err != nil {
		t, err = time.Parse(timeFormat, text)
	}
	return text, t.UTC(), err
}

func parseQuery(r *http.Request) (*Request, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, malformed("The query of the pre-signed URL cannot be read.")
	}
	if _, ok := query["X-Amz-Expires"]; !ok {
		query.Set("X-Amz-Expires", defaultExpires)
	}
	values := map[string]string{}
	for _, name := range []string{
		"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
	} {
		v := query[name]
		if len(v) != 1 {
			return nil, malformed("A pre-signed URL must have the query parameter %s exactly once.", name)
		}
		values[name] = v[0]
	}
	if values["X-Amz-Algorithm"] != algorithm {
		return nil, malformed("X-Amz-Algorithm must be %s.", algorithm)
	}
	expires, err := strconv.Atoi(values["X-Amz-Expires"])
	if err != nil || expires < 1 || expires > int(MaxExpires/time.Second) {
		return nil, malformed("X-Amz-Expires must be between 1 and %d seconds.", int(MaxExpires/time.Second))
	}
	q := &Request{
		Presigned:    true,
		Expires:      time.Duration(expires) * time.Second,
		SessionToken: query.Get("X-Amz-Security-Token"),
	}
	t, err := time.Parse(timeFormat, values["X-Amz-Date"])
	if err := q.setTime(values["X-Amz-Date"], t, err); err != nil {
		return nil, err
	}
	if err := q.set(values["X-Amz-Credential"], values["X-Amz-SignedHeaders"], values["X-Amz-Signature"]); err != nil {
		return nil, err
	}
	return q, q.checkSigned(r)
}

func (q *Request) setTime(text string, t time.Time, err error) error {
	if text == "" {
		return malformed("The request is signed and has neither an X-Amz-Date nor a Date header.")
	}
	if err != nil || t.IsZero() {
		return malformed("The request's date must look like 20260102T150405Z; it is %q.", clip(text))
	}
	q.Time = t
	return nil
}

// set reads the three parts of a signature.
func (q *Request) set(credential, signedHeaders, signature string) error {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || slices.Contains(parts, "") || parts[4] != terminator {
		return malformed("The Credential must have the form KEY/20260102/REGION/SERVICE/%s; it is %q.", terminator, clip(credential))
	}
	q.AccessKeyID, q.Date, q.Region, q.Service = parts[0], parts[1], parts[2], parts[3]
	if q.Date != q.Time.Format("20060102") {
		return malformed("The date of the Credential, %q, is not the day of the request, %s.", clip(q.Date), q.Time.Format("20060102"))
	}
	if strings.ContainsAny(credential, "\n\r") {
		return malformed("The Credential holds a line break.")
	}
	if len(signature) != 2*sha256.Size || strings.ToLower(signature) != signature {
		return malformed("The Signature must be 64 lower-case hexadecimal digits.")
	}
	if _, err := hex.Decode(q.signature[:], []byte(signature)); err != nil {
		return malformed("The Signature must be 64 lower-case hexadecimal digits.")
	}
	if strings.Count(signedHeaders, ";") >= maxSignedHeaders {
		return malformed("More than %d headers are signed.", maxSignedHeaders)
	}
	q.SignedHeaders = strings.Split(signedHeaders, ";")
	for i, name := range q.SignedHeaders {
		if !headerName(name) {
			return malformed("SignedHeaders must be lower-case header names; %q is none.", clip(name))
		}
		if i > 0 && q.SignedHeaders[i-1] >= name {
			return malformed("SignedHeaders must be in alphabetical order, each once; %q is not.", clip(name))
		}
	}
	return nil
}

// headerName tells whether name is an HTTP header's, in lower case.
func headerName(name string) bool {
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', strings.IndexByte("-_.!#$%&'*+^`|~", c) >= 0:
		default:
			return false
		}
	}
	return name != ""
}

// checkSigned holds the request to signing what decides its meaning: the host, and the headers that AWS
// gives a meaning, X-Amz-Target above all. A captured request could be turned into another one otherwise.
func (q *Request) checkSigned(r *http.Request) error {
	if !slices.Contains(q.SignedHeaders, "host") {
		return malformed("The host header must be signed.")
	}
	for name := range r.Header {
		// The content distribution network in front of a server adds this one.
		if !strings.HasPrefix(name, "X-Amz-") || name == "X-Amz-Cf-Id" {
			continue
		}
		if lower := strings.ToLower(name); !slices.Contains(q.SignedHeaders, lower) {
			return malformed("The header %s is there and is not signed.", lower)
		}
	}
	// The only header other than x-amz-date that may say the time.
	if !q.Presigned && r.Header.Get("X-Amz-Date") == "" && !slices.Contains(q.SignedHeaders, "date") {
		return malformed("The date header must be signed.")
	}
	return nil
}

// clip keeps strangers' bytes in messages short.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
