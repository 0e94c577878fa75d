package awswire_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// send sends a request as it is, signed for a service unless that is "".
func (h *house) send(t *testing.T, method, url string, header http.Header, body string, service ...string) (code int, answer http.Header, text string) {
	t.Helper()
	if strings.HasPrefix(url, "/") {
		url = h.URL + url
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	for _, service := range service {
		sum := sha256.Sum256([]byte(body))
		c := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
		if err := v4.NewSigner().SignHTTP(t.Context(), c, r, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	res, err := h.Client().Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return res.StatusCode, res.Header, string(got)
}

func target(operation string) http.Header {
	return http.Header{"X-Amz-Target": {"AmazonEC2ContainerRegistry_V20150921." + operation}, "Content-Type": {"application/x-amz-json-1.1"}}
}

func form() http.Header {
	return http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}
}

// echo answers a policy text with itself.
func echo(_ context.Context, _ awswire.Call, in *ecr.SetRepositoryPolicyInput) (*ecr.SetRepositoryPolicyOutput, error) {
	return &ecr.SetRepositoryPolicyOutput{PolicyText: in.PolicyText}, nil
}

func whoami(_ context.Context, c awswire.Call, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{Account: &c.Caller.Account}, nil
}

func toys(t testing.TB) *house {
	t.Helper()
	return serve(t,
		toyECR(map[string]awswire.Operation{
			"SetRepositoryPolicy": awswire.Op(echo).MaxBody(200 << 10),
			"DeleteRepository": awswire.Op(func(context.Context, awswire.Call, *ecr.DeleteRepositoryInput) (*ecr.DeleteRepositoryOutput, error) {
				return nil, nil
			}),
		}),
		toySTS(map[string]awswire.Operation{"GetCallerIdentity": awswire.Op(whoami).MaxBody(64 << 10)}),
	)
}

func TestJSONOnTheWire(t *testing.T) {
	t.Parallel()
	h := toys(t)
	code, header, body := h.send(t, "POST", "/", target("SetRepositoryPolicy"), `{"policyText":"<é>"}`, "ecr")
	if code != 200 || body != `{"policyText":"<é>"}` || header.Get("Content-Type") != "application/x-amz-json-1.1" || len(header.Get("X-Amzn-Requestid")) != 36 {
		t.Errorf("an answer: %d %v\n%s", code, header, body)
	}
	code, _, body = h.send(t, "POST", "/", target("DeleteRepository"), "", "ecr")
	if code != 200 || body != "{}" {
		t.Errorf("an empty body answered by nothing: %d %s, want {}", code, body)
	}
	code, header, body = h.send(t, "POST", "/", target("SetRepositoryPolicy"), `{"policyText":1}`, "ecr")
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if code != 400 || e.Type != "SerializationException" || header.Get("X-Amzn-Errortype") != e.Type || !strings.Contains(e.Message, "policyText: expected a string") {
		t.Errorf("an error: %d %v\n%s", code, header, body)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := toys(t)
	none := []string(nil)
	tests := map[string]struct {
		method, url string
		header      http.Header
		body        string
		service     []string
		code        int
		want        string
	}{
		"unknown operation":         {"POST", "/", target("MakeCoffee"), "{}", []string{"ecr"}, 400, `"UnknownOperationException"`},
		"unknown operation unsgnd":  {"POST", "/", target("MakeCoffee"), "{}", none, 400, `"UnknownOperationException"`},
		"unknown target":            {"POST", "/", http.Header{"X-Amz-Target": {"AWSEvents.PutRule"}}, "{}", []string{"events"}, 400, `No service here answers to X-Amz-Target \"AWSEvents.PutRule\"`},
		"target without dot":        {"POST", "/", http.Header{"X-Amz-Target": {"x"}}, "{}", none, 400, `"UnknownOperationException"`},
		"unsupported":               {"POST", "/", target("StartImageScan"), "{}", []string{"ecr"}, 400, "ecr:StartImageScan exists at Amazon and is not supported"},
		"GET with a target":         {"GET", "/", target("SetRepositoryPolicy"), "", []string{"ecr"}, 400, "called with POST, not GET"},
		"unsigned":                  {"POST", "/", target("SetRepositoryPolicy"), "{}", none, 400, `"MissingAuthenticationTokenException"`},
		"signed for another":        {"POST", "/", target("SetRepositoryPolicy"), "{}", []string{"sts"}, 400, `"InvalidSignatureException"`},
		"broken JSON":               {"POST", "/", target("SetRepositoryPolicy"), `{"policyText":`, []string{"ecr"}, 400, `"SerializationException"`},
		"too large":                 {"POST", "/", target("SetRepositoryPolicy"), strings.Repeat(" ", 200<<10+1), []string{"ecr"}, 413, `"RequestEntityTooLargeException"`},
		"large, unsigned":           {"POST", "/", target("SetRepositoryPolicy"), strings.Repeat(" ", 200<<10), none, 400, `"MissingAuthenticationTokenException"`},
		"unknown encoding":          {"POST", "/", encoded(target("SetRepositoryPolicy"), "br"), "{}", []string{"ecr"}, 400, `Content-Encoding \"br\"`},
		"no gzip":                   {"POST", "/", encoded(target("SetRepositoryPolicy"), "gzip"), "{}", []string{"ecr"}, 400, "not gzip"},
		"cut gzip":                  {"POST", "/", encoded(target("SetRepositoryPolicy"), "gzip"), zip("{}")[:12], []string{"ecr"}, 400, "not whole gzip"},
		"a gzip bomb":               {"POST", "/", encoded(target("SetRepositoryPolicy"), "gzip"), zip(strings.Repeat(" ", 200<<10+1)), []string{"ecr"}, 413, `"RequestEntityTooLargeException"`},
		"unknown action":            {"POST", "/", form(), "Action=MakeCoffee&Version=2011-06-15", []string{"sts"}, 400, "<Code>InvalidAction</Code>"},
		"unknown version":           {"POST", "/", form(), "Action=GetCallerIdentity&Version=2010-05-08", []string{"iam"}, 400, "Could not find operation GetCallerIdentity for version 2010-05-08"},
		"no action":                 {"POST", "/", form(), "", none, 400, "Could not find operation NO_VALUE for version NO_VALUE"},
		"unsupported action":        {"POST", "/", form(), "Action=AssumeRole&Version=2011-06-15", []string{"sts"}, 400, "<Code>UnsupportedOperation</Code><Message>The operation sts:AssumeRole exists at Amazon"},
		"unsigned action":           {"POST", "/", form(), "Action=GetCallerIdentity&Version=2011-06-15", none, 403, "<Code>MissingAuthenticationToken</Code>"},
		"a broken form":             {"POST", "/", form(), "Action=%zz", none, 400, "<Code>MalformedInput</Code>"},
		"an action said twice":      {"POST", "/", form(), "Action=A&Action=B", none, 400, "<Code>MalformedInput</Code>"},
		"a large form":              {"POST", "/", form(), "Action=GetCallerIdentity&Version=2011-06-15&X=" + strings.Repeat("x", 64<<10), []string{"sts"}, 413, "<Code>RequestEntityTooLarge</Code>"},
		"a form without its limit":  {"POST", "/", form(), strings.Repeat("x", 1<<20+1), none, 413, "<Code>RequestEntityTooLarge</Code>"},
		"a browser":                 {"GET", "/", nil, "", none, 200, "This is Berth"},
		"a browser lost":            {"GET", "/favicon.ico", nil, "", none, 404, "nothing at this path"},
		"a POST of something":       {"POST", "/", http.Header{"Content-Type": {"application/json"}}, "{}", none, 400, "no AWS request"},
		"a pre-signed URL, altered": {"GET", "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Signature=x", nil, "", none, 400, "<Code>IncompleteSignature</Code>"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, header, body := h.send(t, test.method, test.url, test.header, test.body, test.service...)
			if code != test.code || !strings.Contains(body, test.want) || header.Get("X-Amzn-Requestid") == "" {
				t.Errorf("status %d, want %d; body, which should hold %q:\n%s\nheaders %v", code, test.code, test.want, body, header)
			}
		})
	}
	t.Cleanup(func() {
		if log := h.log.String(); log != "" {
			t.Errorf("clients' errors were logged as the server's:\n%s", log)
		}
	})
}

func encoded(h http.Header, encoding string) http.Header {
	h.Set("Content-Encoding", encoding)
	return h
}

func zip(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

// TestNothingOnTheWayKeepsAnswers: answers carry keys and tokens, and errors say who may what.
func TestNothingOnTheWayKeepsAnswers(t *testing.T) {
	t.Parallel()
	h := toys(t)
	for what, c := range map[string]struct {
		method, url string
		header      http.Header
		body        string
		service     []string
		code        int
	}{
		"an answer in JSON":           {"POST", "/", target("SetRepositoryPolicy"), `{"policyText":"p"}`, []string{"ecr"}, 200},
		"an answer in XML":            {"POST", "/", form(), "Action=GetCallerIdentity&Version=2011-06-15", []string{"sts"}, 200},
		"a refusal in JSON":           {"POST", "/", target("SetRepositoryPolicy"), "{}", nil, 400},
		"a refusal in XML":            {"POST", "/", form(), "Action=GetCallerIdentity&Version=2011-06-15", nil, 403},
		"a body that is too large":    {"POST", "/", form(), strings.Repeat("x", 1<<20+1), nil, 413},
		"an answer to a URL":          {"GET", "/?Action=GetCallerIdentity&Version=2011-06-15", nil, "", nil, 403},
		"the words for whoever looks": {"GET", "/", nil, "", nil, 200},
	} {
		code, header, _ := h.send(t, c.method, c.url, c.header, c.body, c.service...)
		if got := header.Values("Cache-Control"); code != c.code || len(got) != 1 || got[0] != "no-store" {
			t.Errorf("%s: %d with Cache-Control %q, want %d with no-store", what, code, got, c.code)
		}
	}
}

func TestGzipIsSignedAsItIsSent(t *testing.T) {
	t.Parallel()
	h := toys(t)
	header := target("SetRepositoryPolicy")
	header.Set("Content-Encoding", "gzip")
	code, _, body := h.send(t, "POST", "/", header, zip(`{"policyText":"zipped"}`), "ecr")
	if code != 200 || body != `{"policyText":"zipped"}` {
		t.Errorf("a gzip request: %d %s", code, body)
	}
}

func TestQueryOnTheWire(t *testing.T) {
	t.Parallel()
	h := toys(t)
	code, header, body := h.send(t, "POST", "/", form(), "Action=GetCallerIdentity&Version=2011-06-15", "sts")
	want := `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
		`<Account>000123456789</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>` + header.Get("X-Amzn-Requestid") +
		"</RequestId></ResponseMetadata></GetCallerIdentityResponse>\n"
	if code != 200 || body != want || header.Get("Content-Type") != "text/xml" {
		t.Errorf("an answer: %d %v\n got %s\nwant %s", code, header, body, want)
	}
	code, header, body = h.send(t, "POST", "/", form(), "Action=MakeCoffee&Version=2011-06-15", "sts")
	want = `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>InvalidAction</Code>` +
		`<Message>Could not find operation MakeCoffee for version 2011-06-15</Message></Error><RequestId>` +
		header.Get("X-Amzn-Requestid") + "</RequestId></ErrorResponse>\n"
	if code != 400 || body != want {
		t.Errorf("an error: %d\n got %s\nwant %s", code, body, want)
	}
}

func TestTheRequestIsDescribedToTheOperation(t *testing.T) {
	t.Parallel()
	var call awswire.Call
	service := toyECR(map[string]awswire.Operation{
		"DescribeRegistry": awswire.Op(func(_ context.Context, c awswire.Call, _ *ecr.DescribeRegistryInput) (*ecr.DescribeRegistryOutput, error) {
			call = c
			return &ecr.DescribeRegistryOutput{}, nil
		}).Unsigned(),
	})
	service.Protocol = awswire.JSON10
	handler, err := awswire.New(awswire.Config{
		Authenticator: &keyring{}, Services: []awswire.Service{service},
		RequestID: func(r *http.Request) string { return "id of " + r.Host },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, secure := range []bool{true, false} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://registry.example.com/", strings.NewReader("{}"))
		r.URL.Scheme = ""
		if secure {
			r.URL.Scheme = "https" // as a middleware does that trusts a proxy
		}
		r.Header = target("DescribeRegistry")
		r.Header.Set("User-Agent", "aws-cli")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		want := awswire.Call{
			Caller:    identity.Caller{Origin: identity.Origin{Address: "192.0.2.1", Secure: secure, UserAgent: "aws-cli"}},
			RequestID: "id of registry.example.com", Host: "registry.example.com", Secure: secure, UserAgent: "aws-cli",
		}
		if call != want || (call.Scheme() == "https") != secure {
			t.Errorf("the operation saw %+v, want %+v", call, want)
		}
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-amz-json-1.0" || w.Header().Get("X-Amzn-Requestid") != want.RequestID {
			t.Errorf("the answer: %d %v %s", w.Code, w.Header(), w.Body)
		}
	}
}

// TestACutBody announces more than it sends, as a client does that dies.
func TestACutBody(t *testing.T) {
	t.Parallel()
	h := toys(t)
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonEC2ContainerRegistry_V20150921.DeleteRepository\r\nContent-Length: 100\r\n\r\n{")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400") || !strings.Contains(string(answer), "ended before its announced length") {
		t.Errorf("a cut body: %v\n%s", err, answer)
	}
}

func TestAClientThatLeavesIsNotLogged(t *testing.T) {
	t.Parallel()
	entered, done := make(chan struct{}), make(chan struct{})
	h := serve(t, toyECR(map[string]awswire.Operation{
		"DescribeRegistry": awswire.Op(func(ctx context.Context, _ awswire.Call, _ *ecr.DescribeRegistryInput) (*ecr.DescribeRegistryOutput, error) {
			defer close(done)
			close(entered)
			<-ctx.Done()
			return nil, errors.Join(errors.New("reading"), ctx.Err())
		}),
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := h.ecr().DescribeRegistry(ctx, &ecr.DescribeRegistryInput{}); !errors.Is(err, context.Canceled) {
		t.Errorf("DescribeRegistry: %v, want to be canceled", err)
	}
	<-done
	h.Close() // waits for the handler
	if log := h.log.String(); strings.Contains(log, "request failed") {
		t.Errorf("the client's leaving was logged:\n%s", log)
	}
}

func TestContradictoryServicesAreFoundEarly(t *testing.T) {
	t.Parallel()
	type odd struct{ F func() }
	op := func(f func(context.Context, awswire.Call, *odd) (*odd, error)) map[string]awswire.Operation {
		return map[string]awswire.Operation{"X": awswire.Op(f)}
	}
	for name, services := range map[string][]awswire.Service{
		"no protocol":        {{Name: "a", TargetPrefix: "A"}},
		"no target":          {{Name: "a", Protocol: awswire.JSON11}},
		"no version":         {{Name: "a", Protocol: awswire.Query, Namespace: "x"}},
		"a target twice":     {toyECR(nil), toyECR(nil)},
		"a service twice":    {toySTS(nil), toySTS(nil)},
		"an operation unset": {toyECR(map[string]awswire.Operation{"X": {}})},
		"a type":             {toyECR(op(nil))},
	} {
		if _, err := awswire.New(awswire.Config{Authenticator: &keyring{}, Services: services}); err == nil {
			t.Errorf("New took services with %s", name)
		}
	}
	if _, err := awswire.New(awswire.Config{}); err == nil {
		t.Error("New took no authenticator")
	}
}
