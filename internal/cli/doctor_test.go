package cli_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/rogpeppe/go-internal/testscript"
)

// Commands for berth doctor:
//
//	clockfront D       put a server in front of AWS_ENDPOINT_URL whose clock is D off
//	tlsfront KIND      put a server with TLS in front of it, and write its authority's certificate to ca.pem; its own is good,
//	                   expired, or for another host (misnamed)
//	idtokens AUD SUB   be GitHub's token service for a job with that subject, and write its keys to jwks.json
//	iam WHAT NAME FILE make a provider or a role, or set a policy, at AWS_ENDPOINT_URL
//	renamefront URL    put a server in front of it that names that registry as its own
//	plainfront         put a server in front of AWS_ENDPOINT_URL that answers nothing but 404

// front makes a server that passes everything on to AWS_ENDPOINT_URL, and takes its place.
func front(ts *testscript.TestScript, change func(*http.Response) error) *httptest.Server {
	at, err := url.Parse(ts.Getenv("AWS_ENDPOINT_URL"))
	ts.Check(err)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(at) // the Host header stays as it was signed
			r.Out.Host = r.In.Host
		},
		ModifyResponse: change,
		Transport:      &http.Transport{DisableKeepAlives: true},
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	server := httptest.NewUnstartedServer(proxy)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it are what this is for
	ts.Defer(server.Close)
	return server
}

func clockFront(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: clockfront DURATION")
	}
	off, err := time.ParseDuration(args[0])
	ts.Check(err)
	server := front(ts, func(r *http.Response) error {
		r.Header.Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		return nil
	})
	server.Start()
	ts.Setenv("AWS_ENDPOINT_URL", server.URL)
}

func plainFront(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: plainfront")
	}
	server := httptest.NewServer(http.NotFoundHandler())
	ts.Defer(server.Close)
	ts.Setenv("AWS_ENDPOINT_URL", server.URL)
}

func tlsFront(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: tlsfront good|expired|misnamed")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
	}
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, &key.PublicKey, key)
	ts.Check(err)
	authority, err = x509.ParseCertificate(root)
	ts.Check(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "registry of a test"}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(60 * 24 * time.Hour),
	}
	switch args[0] {
	case "expired":
		leaf.NotAfter = time.Now().Add(-time.Hour)
	case "misnamed":
		leaf.DNSNames = []string{"registry.example.com"}
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	raw, err := x509.CreateCertificate(rand.Reader, leaf, authority, &own.PublicKey, key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root}), 0o600))
	server := front(ts, nil)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{raw, root}, PrivateKey: own}}}
	server.StartTLS()
	ts.Setenv("AWS_ENDPOINT_URL", strings.Replace(server.URL, "127.0.0.1", "localhost", 1))
}

func idTokens(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: idtokens AUDIENCE SUBJECT")
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	ts.Check(err)
	encode := base64.RawURLEncoding.EncodeToString
	object := func(v any) []byte {
		text, err := json.Marshal(v)
		ts.Check(err)
		return text
	}
	exponent := big.NewInt(int64(key.E)).Bytes()
	ts.Check(os.WriteFile(ts.MkAbs("jwks.json"), object(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": encode(key.N.Bytes()), "e": encode(exponent),
	}}}), 0o600))
	now := time.Now()
	signed := encode(object(map[string]any{"alg": "RS256", "kid": "1", "typ": "JWT"})) + "." + encode(object(map[string]any{
		"iss": "https://token.actions.githubusercontent.com", "aud": args[0], "sub": args[1],
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}))
	hash := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, hash[:])
	ts.Check(err)
	answer := object(map[string]string{"value": signed + "." + encode(signature)})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer of-the-runner" || r.URL.Query().Get("audience") == "" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_, _ = io.Copy(w, bytes.NewReader(answer))
	}))
	ts.Defer(server.Close)
	ts.Setenv("GITHUB_ACTIONS", "true")
	ts.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", server.URL+"/token?api-version=2.0")
	ts.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-runner")
}

// iamDo changes what IAM knows, as the AWS CLI would in thirty times the time.
func iamDo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: iam provider CLIENT | client CLIENT | role NAME FILE | trust NAME FILE | userpolicy USER FILE | repopolicy REPO FILE")
	}
	at := ts.Getenv("AWS_ENDPOINT_URL")
	login := credentials.NewStaticCredentialsProvider(ts.Getenv("AWS_ACCESS_KEY_ID"), ts.Getenv("AWS_SECRET_ACCESS_KEY"), "")
	people := iam.New(iam.Options{BaseEndpoint: &at, Region: "us-east-1", Credentials: login})
	registry := ecr.New(ecr.Options{BaseEndpoint: &at, Region: "us-east-1", Credentials: login})
	name, text := &args[1], new(string)
	if len(args) > 2 {
		*text = ts.ReadFile(args[2])
	}
	ctx, issuer := context.Background(), "token.actions.githubusercontent.com"
	var err error
	switch args[0] {
	case "provider":
		_, err = people.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://" + issuer), ClientIDList: args[1:]})
	case "client":
		_, err = people.AddClientIDToOpenIDConnectProvider(ctx, &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String("arn:aws:iam::123456789012:oidc-provider/" + issuer), ClientID: name})
	case "role":
		_, err = people.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: text})
	case "trust":
		_, err = people.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: text})
	case "userpolicy":
		_, err = people.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("most"), PolicyDocument: text})
	case "repopolicy":
		_, err = registry.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: text})
	default:
		ts.Fatalf("iam does not know %s", args[0])
	}
	ts.Check(err)
}

// renameFront puts a server in front that names another registry as its own.
func renameFront(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: renamefront URL")
	}
	server := front(ts, func(r *http.Response) error {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return err //nolint:wrapcheck // the proxy answers 502
		}
		text = regexp.MustCompile(`("proxyEndpoint":)"[^"]*"`).ReplaceAll(text, []byte(`$1"`+args[0]+`"`))
		r.Body = io.NopCloser(bytes.NewReader(text))
		r.Header.Set("Content-Length", strconv.Itoa(len(text)))
		return nil
	})
	server.Start()
	ts.Setenv("AWS_ENDPOINT_URL", server.URL)
}
