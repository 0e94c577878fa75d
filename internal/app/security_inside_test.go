package app_test

import (
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// inside is a service of the inside that nobody is to reach through Berth. It tells who comes, in order.
func inside(t *testing.T) (address string, visits <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	came := make(chan string, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case came <- conn.RemoteAddr().String():
			default: // there were more than enough
			}
			conn.Close()
		}
	}()
	return l.Addr().String(), came
}

// TestNoProviderInsideIsAsked has identity providers at a service of the inside: for their keys, which strangers' tokens make
// Berth fetch, and for their certificates.
func TestNoProviderInsideIsAsked(t *testing.T) {
	t.Parallel()
	address, visits := inside(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	all, file := issuers(t, "https://github.example.com")
	c := newCastle(t, "config="+file)
	ctx := t.Context()
	for _, host := range []string{address, "localhost:" + port, "[::ffff:127.0.0.1]:" + port, "127.1:" + port, "2130706433:" + port, "0.0.0.0:" + port, "169.254.169.254"} {
		url := "https://" + host
		made, err := c.iam().CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: &url, ClientIDList: []string{"sts.amazonaws.com"}, ThumbprintList: []string{strings.Repeat("a", 40)}})
		if err == nil {
			trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"` + *made.OpenIDConnectProviderArn + `"}}]}`
			c.must(c.iam().CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: &trust}))
			_, err = c.stsAs(aws.Credentials{}).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
				RoleArn: aws.String("arn:aws:iam::123456789012:role/r"), RoleSessionName: aws.String("job"), WebIdentityToken: aws.String(issuer{url, all[0].key}.token(t, nil)),
			})
			if err == nil {
				t.Errorf("a token of %s is taken", url)
			}
			c.must(c.iam().DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("r")}))
		}
		// Without a thumbprint the provider is asked for its certificate.
		_, _ = c.iam().CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String(url + "/x"), ClientIDList: []string{"sts.amazonaws.com"}})
	}
	// Whoever came before is told of before this visit of our own.
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if first := <-visits; first != conn.LocalAddr().String() {
		t.Errorf("the inside was asked by %s", first)
	}
}

// TestHostsThatClientsMakeUp puts more than a host where the challenge repeats it: no client is told of a realm, scheme or header
// of its author's choosing.
func TestHostsThatClientsMakeUp(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	c.repository("open/app", "for everybody") // from then on challenges name a scope, too
	c.must(c.ecrAs(c.root).SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("open/app"), PolicyText: aws.String(aResource)}))
	challenged := 0
	realm := regexp.MustCompile(`^(Basic|Bearer) realm="http://[^"\\\s]*",service="ecr\.amazonaws\.com"(,scope="[^"\\]*")?$`)
	for _, host := range []string{
		`good.example`, `a",realm="https://evil.example`, `a\",realm="x`, "a\tb", "a b", "a\x00b", "a\x7fb", "\u00e9.example", "a\rX-Evil: 1", "a\nX-Evil: 1", "a\r\nX-Evil: 1",
		`a,Basic realm=x`, `evil.example/..`, `user@evil.example`, `[::1"]`, ``, strings.Repeat("a", 5000),
	} {
		for _, request := range []string{
			"GET /v2/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "GET http://" + host + "/v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /v2/team/app/manifests/v1 HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "GET /v2/a%22,x=%22/manifests/v1 HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		} {
			status, header := c.raw(request)
			if header.Get("X-Evil") != "" || status >= 500 {
				t.Errorf("%.200q: %d %v", request, status, header)
			}
			if status != http.StatusUnauthorized {
				continue
			}
			challenged++
			if challenge := header.Get("Www-Authenticate"); !realm.MatchString(challenge) {
				t.Errorf("%.200q is challenged with %s", request, challenge)
			}
		}
	}
	if challenged < 5 {
		t.Errorf("%d requests were challenged", challenged)
	}
}
