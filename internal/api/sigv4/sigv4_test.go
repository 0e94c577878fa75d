package sigv4_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/api/sigv4"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

const secret = "abcdefghijklmnopqrstuvwxyz+/ABCDEFGH0123"

func at() time.Time { return time.Date(2026, 11, 24, 10, 15, 0, 0, time.UTC) }

func credentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: secret}
}

func hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// fataler is a test or a property's test.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// arrive sends r over the wire as far as a server's own parsing, which decides what a server sees.
func arrive(t fataler, r *http.Request) *http.Request {
	t.Helper()
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatalf("writing the request: %v", err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatalf("reading the request: %v", err)
	}
	return got
}

// verify does what a server does, and gives the body that it read.
func verify(v *sigv4.Verifier, r *http.Request, body []byte) error {
	q, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if err := q.CheckTime(at()); err != nil {
		return err
	}
	return v.Verify(r, q, secret, body)
}

// request is what a client might send.
type request struct {
	method  string
	url     string
	header  http.Header
	body    []byte
	region  string
	service string
}

func (q request) build(t fataler) *http.Request {
	t.Helper()
	r, err := http.NewRequest(q.method, q.url, bytes.NewReader(q.body))
	if err != nil {
		t.Fatalf("building the request: %v", err)
	}
	for name, values := range q.header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	return r
}

func drawRequest(t *rapid.T) request {
	token := rapid.StringMatching(`[A-Za-z][A-Za-z0-9_.~-]{0,8}`)
	value := rapid.StringMatching(`[ -~é世]{0,20}`)
	query := url.Values{}
	for range rapid.IntRange(0, 4).Draw(t, "parameters") {
		query.Set(token.Draw(t, "parameter"), value.Draw(t, "parameter value"))
	}
	q := request{
		method:  rapid.SampledFrom([]string{"GET", "POST", "PUT", "DELETE", "HEAD"}).Draw(t, "method"),
		header:  http.Header{},
		region:  rapid.SampledFrom([]string{"us-east-1", "eu-central-2", "somewhere"}).Draw(t, "region"),
		service: rapid.SampledFrom([]string{"ecr", "sts", "monitoring"}).Draw(t, "service"),
	}
	u := url.URL{
		Scheme:   rapid.SampledFrom([]string{"http", "https"}).Draw(t, "scheme"),
		Host:     rapid.SampledFrom([]string{"localhost:5080", "registry.example.com", "registry.example.com:80", "registry.example.com:443", "[::1]:5080"}).Draw(t, "host"),
		Path:     "/" + rapid.StringMatching(`([a-zA-Z0-9 $&+:=@%~é-]{1,5}/){0,3}[a-z]{0,3}`).Draw(t, "path"),
		RawQuery: query.Encode(),
	}
	if rapid.Bool().Draw(t, "plus or %20") {
		u.RawQuery = strings.ReplaceAll(u.RawQuery, "+", "%20")
	}
	q.url = u.String()
	if q.method == "POST" || q.method == "PUT" {
		q.body = rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "body")
	}
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		name := "X-" + rapid.StringMatching(`[A-Za-z]{1,6}`).Draw(t, "header")
		q.header[http.CanonicalHeaderKey(name)] = rapid.SliceOfN(rapid.StringMatching(`[ -~]{0,20}`), 1, 3).Draw(t, "header values")
	}
	if rapid.Bool().Draw(t, "target") {
		q.header["X-Amz-Target"] = []string{"AmazonEC2ContainerRegistry_V20150921.DescribeImages"}
	}
	return q
}

// TestAgreesWithTheSDKsSigner lets the signer of aws-sdk-go-v2, which shares no code with this package,
// sign requests of all kinds.
func TestAgreesWithTheSDKsSigner(t *testing.T) {
	t.Parallel()
	var v sigv4.Verifier
	signer := v4.NewSigner()
	rapid.Check(t, func(t *rapid.T) {
		q := drawRequest(t)
		r := q.build(t)
		if rapid.Bool().Draw(t, "declares the hash") {
			r.Header.Set("X-Amz-Content-Sha256", hash(q.body))
		}
		presign := rapid.Bool().Draw(t, "presign")
		if presign {
			values := r.URL.Query()
			values.Set("X-Amz-Expires", strconv.Itoa(rapid.IntRange(1, 604800).Draw(t, "expires")))
			r.URL.RawQuery = values.Encode()
			// The signer moves x-amz-* headers into the query, for it is all that a URL carries.
			signed, header, err := signer.PresignHTTP(t.Context(), credentials(), r, hash(q.body), q.service, q.region, at())
			if err != nil {
				t.Fatalf("PresignHTTP: %v", err)
			}
			q.url, q.header = signed, header
			delete(q.header, "Host")
			r = q.build(t)
		} else if err := signer.SignHTTP(t.Context(), credentials(), r, hash(q.body), q.service, q.region, at()); err != nil {
			t.Fatalf("SignHTTP: %v", err)
		}
		got := arrive(t, r)
		if err := verify(&v, got, q.body); err != nil {
			parsed, _ := sigv4.Parse(got)
			canonical, _ := sigv4.Canonical(got, parsed, q.body)
			t.Fatalf("verify: %v\ncanonical request:\n%s", err, canonical)
		}
	})
}

// signed is a typical ECR request, signed.
func signed(t *testing.T, body []byte) *http.Request {
	t.Helper()
	q := request{method: http.MethodPost, url: "http://localhost:5080/", body: body, header: http.Header{
		"Content-Type": {"application/x-amz-json-1.1"},
		"X-Amz-Target": {"AmazonEC2ContainerRegistry_V20150921.DescribeImages"},
	}}
	r := q.build(t)
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials(), r, hash(body), "ecr", "us-east-1", at()); err != nil {
		t.Fatalf("SignHTTP: %v", err)
	}
	return arrive(t, r)
}

func presigned(t *testing.T, expires int) *http.Request {
	t.Helper()
	q := request{method: http.MethodGet, url: "http://localhost:5080/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=" + strconv.Itoa(expires)}
	u, _, err := v4.NewSigner().PresignHTTP(t.Context(), credentials(), q.build(t), hash(nil), "sts", "us-east-1", at())
	if err != nil {
		t.Fatalf("PresignHTTP: %v", err)
	}
	q.url = u
	return arrive(t, q.build(t))
}

func replaceAuth(old, replacement string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, replacement, 1))
	}
}

func TestAlteredRequestsAreRefused(t *testing.T) {
	t.Parallel()
	body := []byte(`{"repositoryName":"a"}`)
	var v sigv4.Verifier
	if err := verify(&v, signed(t, body), body); err != nil {
		t.Fatalf("the unaltered request: %v", err)
	}
	mismatch, broken := fault.SignatureMismatch, fault.CredentialsMalformed
	tests := map[string]struct {
		alter func(*http.Request)
		want  fault.Code
	}{
		"method":         {func(r *http.Request) { r.Method = "PUT" }, mismatch},
		"path":           {func(r *http.Request) { r.URL.Path = "/x" }, mismatch},
		"query":          {func(r *http.Request) { r.URL.RawQuery = "a=b" }, mismatch},
		"host":           {func(r *http.Request) { r.Host = "localhost:5081" }, mismatch},
		"content-length": {func(r *http.Request) { r.ContentLength++ }, mismatch},
		"chunked":        {func(r *http.Request) { r.ContentLength = -1 }, mismatch},
		"target": {func(r *http.Request) {
			r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository")
		}, mismatch},
		"target removed":           {func(r *http.Request) { r.Header.Del("X-Amz-Target") }, mismatch},
		"target twice":             {func(r *http.Request) { r.Header.Add("X-Amz-Target", "x") }, mismatch},
		"x-amz- header added":      {func(r *http.Request) { r.Header.Set("X-Amz-Other", "x") }, broken},
		"token added":              {func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") }, broken},
		"content type":             {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, mismatch},
		"time":                     {func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261124T101501Z") }, mismatch},
		"time of another day":      {func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261125T101500Z") }, broken},
		"time removed":             {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, broken},
		"time in another form":     {func(r *http.Request) { r.Header.Set("X-Amz-Date", "2026-11-24T10:15:00Z") }, broken},
		"region":                   {replaceAuth("us-east-1", "us-west-1"), mismatch},
		"service":                  {replaceAuth("/ecr/", "/sts/"), mismatch},
		"no service":               {replaceAuth("/ecr/", "//"), broken},
		"terminator":               {replaceAuth("aws4_request", "aws5_request"), broken},
		"algorithm":                {replaceAuth("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), broken},
		"basic":                    {func(r *http.Request) { r.SetBasicAuth("AWS", "x") }, broken},
		"signature cut":            {func(r *http.Request) { a := r.Header["Authorization"]; a[0] = a[0][:len(a[0])-1] }, broken},
		"signature in upper case":  {replaceAuth("Signature=", "Signature=A"), broken},
		"host not signed":          {replaceAuth("host;", ""), broken},
		"headers not in order":     {replaceAuth("content-length;content-type", "content-type;content-length"), broken},
		"a header signed twice":    {replaceAuth("host;", "host;host;"), broken},
		"an upper-case header":     {replaceAuth("host;", "Host;"), broken},
		"target not signed":        {replaceAuth(";x-amz-target", ""), broken},
		"an absent header signed":  {replaceAuth(";x-amz-target", ";x-amz-target;x-other"), mismatch},
		"no signed headers":        {replaceAuth("SignedHeaders=", "SignedHeaders=,Signature="), broken},
		"two credentials":          {replaceAuth("SignedHeaders=", "Credential=a/b/c/d/e, SignedHeaders="), broken},
		"unknown part":             {replaceAuth("SignedHeaders=", "Other=1, SignedHeaders="), broken},
		"credentials in the query": {func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=x" }, broken},
		"two authorizations":       {func(r *http.Request) { r.Header.Add("Authorization", "Basic QVdTOng=") }, broken},
		"unsigned payload":         {func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, broken},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signed(t, body)
			test.alter(r)
			if err := verify(&v, r, body); !errors.Is(err, test.want) {
				t.Errorf("verify: %v, want the fault %q", err, test.want)
			}
		})
	}
}

func TestAnotherBodyIsRefused(t *testing.T) {
	t.Parallel()
	var v sigv4.Verifier
	r := signed(t, []byte(`{"repositoryName":"a"}`))
	if err := verify(&v, r, []byte(`{"repositoryName":"b"}`)); !errors.Is(err, fault.SignatureMismatch) {
		t.Errorf("verify over another body: %v, want SignatureMismatch", err)
	}
	r.Header.Del("Authorization")
	if err := verify(&v, r, nil); !errors.Is(err, fault.CredentialsMissing) {
		t.Errorf("verify without a signature: %v, want CredentialsMissing", err)
	}
}

// TestAnyBitOfTheSignatureCounts flips each bit of a signature in turn.
func TestAnyBitOfTheSignatureCounts(t *testing.T) {
	t.Parallel()
	var v sigv4.Verifier
	r := signed(t, nil)
	head, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	raw, err := hex.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) * 8 {
		raw[i/8] ^= 1 << (i % 8)
		r.Header.Set("Authorization", head+"Signature="+hex.EncodeToString(raw))
		if err := verify(&v, r, nil); !errors.Is(err, fault.SignatureMismatch) {
			t.Errorf("bit %d flipped: %v, want SignatureMismatch", i, err)
		}
		raw[i/8] ^= 1 << (i % 8)
	}
}

func TestPayloadDeclarations(t *testing.T) {
	t.Parallel()
	body := []byte("x")
	for _, declared := range []string{"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", hash([]byte("y")), "", strings.ToUpper(hash(body))} {
		q := request{method: http.MethodPost, url: "http://localhost:5080/", body: body, header: http.Header{"X-Amz-Content-Sha256": {declared}}}
		r := q.build(t)
		if err := v4.NewSigner().SignHTTP(t.Context(), credentials(), r, declared, "ecr", "us-east-1", at()); err != nil {
			t.Fatalf("SignHTTP: %v", err)
		}
		var v sigv4.Verifier
		if err := verify(&v, arrive(t, r), body); !errors.Is(err, fault.SignatureMismatch) {
			t.Errorf("properly signed with x-amz-content-sha256: %q: %v, want SignatureMismatch", declared, err)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	second := time.Second
	tests := []struct {
		name    string
		expires int // of a pre-signed URL, 0 for a header
		offset  time.Duration
		want    string // the message's start, "" if accepted
	}{
		{"on time", 0, 0, ""},
		{"five minutes late", 0, 5 * time.Minute, ""},
		{"five minutes early", 0, -5 * time.Minute, ""},
		{"replayed", 0, 5*time.Minute + second, "Signature expired: 20261124T101500Z is now earlier than 20261124T101501Z (20261124T102001Z - 5 min.)"},
		{"a fast clock", 0, -5*time.Minute - second, "Signature not yet current: 20261124T101500Z is still later than 20261124T101459Z (20261124T100959Z + 5 min.)"},
		{"a URL at once", 60, 0, ""},
		{"a URL in its last second", 60, 59 * second, ""},
		{"a URL past its end", 60, 60 * second, "Signature expired: the pre-signed URL was valid until 20261124T101600Z"},
		{"a URL of a week", 604800, 7*24*time.Hour - second, ""},
		{"a URL from the future", 604800, -5*time.Minute - second, "Signature not yet current"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := signed(t, nil)
			if test.expires > 0 {
				r = presigned(t, test.expires)
			}
			q, err := sigv4.Parse(r)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			err = q.CheckTime(at().Add(test.offset))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("CheckTime: %v, want none", err)
			case test.want != "" && (!errors.Is(err, fault.SignatureExpired) || !strings.HasPrefix(err.Error(), test.want)):
				t.Errorf("CheckTime: %v\nwant %s…", err, test.want)
			}
		})
	}
}

func TestPresignedLimits(t *testing.T) {
	t.Parallel()
	for _, expires := range []string{"0", "-1", "604801", "x", "", "9999999999999999999"} {
		r := presigned(t, 60)
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "X-Amz-Expires=60", "X-Amz-Expires="+expires, 1)
		if _, err := sigv4.Parse(r); !errors.Is(err, fault.CredentialsMalformed) {
			t.Errorf("Parse with X-Amz-Expires=%s: %v, want CredentialsMalformed", expires, err)
		}
	}
	r := presigned(t, 60)
	r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "&X-Amz-Expires=60", "", 1)
	if q, err := sigv4.Parse(r); err != nil || q.Expires != 15*time.Minute {
		t.Errorf("Parse without X-Amz-Expires: %+v, %v, want 15 minutes", q, err)
	}
	var v sigv4.Verifier
	for _, change := range [][2]string{{"&X-Amz-Expires=60", ""}, {"X-Amz-Expires=60", "X-Amz-Expires=61"}, {"GetCallerIdentity", "GetSessionToken"}} {
		r := presigned(t, 60)
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, change[0], change[1], 1)
		if err := verify(&v, r, nil); !errors.Is(err, fault.SignatureMismatch) {
			t.Errorf("%s changed into %s: %v, want SignatureMismatch", change[0], change[1], err)
		}
	}
	for _, name := range []string{"X-Amz-Signature", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"} {
		r := presigned(t, 60)
		r.URL.RawQuery += "&" + name + "=x"
		if _, err := sigv4.Parse(r); !errors.Is(err, fault.CredentialsMalformed) {
			t.Errorf("Parse with %s twice: %v, want CredentialsMalformed", name, err)
		}
	}
}

func TestCheckService(t *testing.T) {
	t.Parallel()
	q, err := sigv4.Parse(signed(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	for service, ok := range map[string]bool{"ecr": true, "": true, "sts": false} {
		if err := q.CheckService(service); (err == nil) != ok {
			t.Errorf("CheckService(%q) of a request for ecr: %v", service, err)
		}
	}
}

func TestCanonicalQuery(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                "",
		"a":               "a=",
		"a=":              "a=",
		"b=2&a=1":         "a=1&b=2",
		"a=2&a=1":         "a=1&a=2",
		"a=x+y":           "a=x%20y",
		"a=x%20y":         "a=x%20y",
		"a=x%2By":         "a=x%2By",
		"a=%7e~":          "a=~~",
		"a=b=c":           "a=b%3Dc",
		"&&a=1&":          "a=1",
		"B=1&a=1&A=1":     "A=1&B=1&a=1",
		"%C3%A9=1&z=1":    "%C3%A9=1&z=1",
		"a=/:@!$'()*,;?":  "a=%2F%3A%40%21%24%27%28%29%2A%2C%3B%3F",
		"a=%E4%B8%96&b=%": "",
	} {
		got, err := sigv4.CanonicalQuery(raw)
		if got != want || (err != nil) != strings.HasSuffix(raw, "%") {
			t.Errorf("CanonicalQuery(%q) = %q, %v; want %q", raw, got, err, want)
		}
	}
}

func TestSpacesAreSqueezed(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", " a ": "a", "a   b  c": "a b c", "   ": "", `"a  b"`: `"a b"`} {
		if got := sigv4.Squeezed(in); got != want {
			t.Errorf("Squeezed(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCanonicalQuery(f *testing.F) {
	for _, seed := range []string{"", "a=b", "b&a", "a=+%2B", "%zz", "a=1&a=0;x", "Action=ListUsers&Version=2010-05-08", "é=世"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := sigv4.CanonicalQuery(raw)
		if err != nil {
			return
		}
		again, err := sigv4.CanonicalQuery(got)
		if err != nil || again != got {
			t.Errorf("the canonical form of %q is %q, and of that %q, %v", raw, got, again, err)
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	for _, p := range published {
		f.Add(p.authorization, "20150830T123600Z")
	}
	f.Add("AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=", "")
	f.Add("Basic QVdTOng=", "20150830T123600Z")
	f.Fuzz(func(t *testing.T, authorization, date string) {
		r := &http.Request{
			Method: http.MethodGet, Host: "example.com", URL: &url.URL{Path: "/"}, Body: io.NopCloser(strings.NewReader("")),
			Header: http.Header{"Authorization": {authorization}, "X-Amz-Date": {date}},
		}
		q, err := sigv4.Parse(r)
		if err != nil {
			if _, ok := fault.Of(err); !ok {
				t.Errorf("Parse: %v is no fault", err)
			}
			return
		}
		// What was accepted says the same when it is written again.
		want := fmt.Sprintf("%s/%s/%s/%s/aws4_request", q.AccessKeyID, q.Date, q.Region, q.Service)
		if !strings.Contains(authorization, want) || !strings.Contains(authorization, strings.Join(q.SignedHeaders, ";")) {
			t.Errorf("Parse(%q) read %q, %q", authorization, want, q.SignedHeaders)
		}
		var v sigv4.Verifier
		if err := v.Verify(r, q, secret, nil); err == nil {
			t.Errorf("Verify accepted %q", authorization)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	body := []byte(`{"repositoryName":"hoopstat-haus/prod","maxResults":100}`)
	q := request{method: http.MethodPost, url: "http://localhost:5080/", body: body, header: http.Header{
		"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {"AmazonEC2ContainerRegistry_V20150921.DescribeImages"},
	}}
	r := q.build(b)
	if err := v4.NewSigner().SignHTTP(b.Context(), credentials(), r, hash(body), "ecr", "us-east-1", at()); err != nil {
		b.Fatal(err)
	}
	r = arrive(b, r)
	var v sigv4.Verifier
	b.ReportAllocs()
	for b.Loop() {
		if err := verify(&v, r, body); err != nil {
			b.Fatal(err)
		}
	}
}
