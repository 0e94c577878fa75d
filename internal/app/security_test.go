package app_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/hoopstat-haus/berth/internal/app"
)

// The tests of docs/design/security.md that need a whole server: what crosses the boundaries between its parts.

// later is a clock of the machine's that can be put forward.
type later struct {
	mu sync.Mutex
	by time.Duration // guarded by mu
}

func (l *later) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Add(l.by)
}

func (l *later) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.by += d
}

// castle is a server with principals, and what they do there.
type castle struct {
	*running
	t    *testing.T
	data string
	root aws.Credentials
	time *later
}

func newCastle(t *testing.T, more ...string) *castle {
	t.Helper()
	return newCastleWith(t, deps(), more...)
}

func newCastleWith(t *testing.T, d app.Deps, more ...string) *castle {
	t.Helper()
	data, clock := filepath.Join(t.TempDir(), "data"), &later{}
	d.Now = clock.now
	c := &castle{t: t, data: data, time: clock, running: start(t, settings(t, data, more...), d)}
	key, err := app.ReadRootKey(data)
	if err != nil {
		t.Fatal(err)
	}
	c.root = aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: key.SecretAccessKey}
	return c
}

const castleAccount = "123456789012"

// signed sends a request as it stands, signed at the server's time unless the credentials are empty.
func (c *castle) signed(key aws.Credentials, service, method, path, body string, headers ...string) (status int, header http.Header, answer string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.URL().String()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if key.AccessKeyID != "" {
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(c.t.Context(), key, req, hex.EncodeToString(sum[:]), service, "us-east-1", c.time.now()); err != nil {
			c.t.Fatal(err)
		}
	}
	return c.send(req)
}

func (c *castle) send(req *http.Request) (status int, header http.Header, answer string) {
	c.t.Helper()
	res, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

const (
	ecrTarget   = "AmazonEC2ContainerRegistry_V20150921."
	berthTarget = "Berth_V20261124."
)

// call calls an operation of a JSON service.
func (c *castle) call(key aws.Credentials, target, body string) (status int, header http.Header, answer string) {
	c.t.Helper()
	return c.signed(key, "ecr", http.MethodPost, "/", body, "X-Amz-Target", target, "Content-Type", "application/x-amz-json-1.1")
}

// form calls an operation of IAM or STS.
func (c *castle) form(key aws.Credentials, service, action string, members ...string) (status int, header http.Header, answer string) {
	c.t.Helper()
	form := url.Values{"Action": {action}, "Version": {map[string]string{"iam": "2010-05-08", "sts": "2011-06-15"}[service]}}
	for i := 0; i < len(members); i += 2 {
		form.Set(members[i], members[i+1])
	}
	return c.signed(key, service, http.MethodPost, "/", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// docker sends a request to the registry face, with a password unless that is empty.
func (c *castle) docker(password, method, path, body string) (status int, header http.Header, answer string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.URL().String()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if password != "" {
		req.SetBasicAuth("AWS", password)
	}
	return c.send(req)
}

// password is what the holder of a key logs in with, or why there is none.
func (c *castle) password(key aws.Credentials) string {
	c.t.Helper()
	status, _, answer := c.call(key, ecrTarget+"GetAuthorizationToken", "{}")
	var out struct {
		AuthorizationData []struct{ AuthorizationToken []byte }
	}
	if status != http.StatusOK || json.Unmarshal([]byte(answer), &out) != nil || len(out.AuthorizationData) != 1 {
		c.t.Fatalf("GetAuthorizationToken: %d %s", status, answer)
	}
	_, password, _ := strings.Cut(string(out.AuthorizationData[0].AuthorizationToken), ":")
	return password
}

func (c *castle) iam() *iam.Client { return c.iamAs(c.root) }

func (c *castle) iamAs(key aws.Credentials) *iam.Client {
	return iam.New(iam.Options{BaseEndpoint: aws.String(c.URL().String()), Region: "us-east-1", HTTPClient: c.client, Credentials: static(key), Retryer: aws.NopRetryer{}})
}

func (c *castle) stsAs(key aws.Credentials) *sts.Client {
	return sts.New(sts.Options{BaseEndpoint: aws.String(c.URL().String()), Region: "us-east-1", HTTPClient: c.client, Credentials: static(key), Retryer: aws.NopRetryer{}})
}

func (c *castle) ecrAs(key aws.Credentials) *ecr.Client {
	return ecr.New(ecr.Options{BaseEndpoint: aws.String(c.URL().String()), Region: "us-east-1", HTTPClient: c.client, Credentials: static(key), Retryer: aws.NopRetryer{}})
}

func static(key aws.Credentials) aws.CredentialsProvider {
	if key.AccessKeyID == "" {
		return aws.AnonymousCredentials{}
	}
	return credentials.StaticCredentialsProvider{Value: key}
}

// must fails the test where the steps that lead up to an attack fail.
func (c *castle) must(_ any, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// allowing is a policy of one statement; further members of the statement may follow.
func allowing(action, resource string, more ...string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"` + strings.Join(more, "") + `}]}`
}

// user makes one with a key, and with a policy unless that is empty.
func (c *castle) user(name, policy string) aws.Credentials {
	c.t.Helper()
	c.must(c.iam().CreateUser(c.t.Context(), &iam.CreateUserInput{UserName: &name}))
	if policy != "" {
		c.must(c.iam().PutUserPolicy(c.t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("may"), PolicyDocument: &policy}))
	}
	made, err := c.iam().CreateAccessKey(c.t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		c.t.Fatal(err)
	}
	return keyOf(made.AccessKey)
}

func keyOf(k *iamtypes.AccessKey) aws.Credentials {
	return aws.Credentials{AccessKeyID: *k.AccessKeyId, SecretAccessKey: *k.SecretAccessKey}
}

// role makes one that everybody of the account may take on whose own policies allow it, and gives its ARN.
func (c *castle) role(name, policy string) string {
	c.t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::` + castleAccount + `:root"}}]}`
	made, err := c.iam().CreateRole(c.t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		c.t.Fatal(err)
	}
	c.must(c.iam().PutRolePolicy(c.t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("may"), PolicyDocument: &policy}))
	return *made.Role.Arn
}

// assume takes a role on.
func (c *castle) assume(key aws.Credentials, role string, set ...func(*sts.AssumeRoleInput)) aws.Credentials {
	c.t.Helper()
	in := &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("session")}
	for _, f := range set {
		f(in)
	}
	out, err := c.stsAs(key).AssumeRole(c.t.Context(), in)
	if err != nil {
		c.t.Fatal(err)
	}
	return sessionOf(out.Credentials)
}

func sessionOf(s *ststypes.Credentials) aws.Credentials {
	return aws.Credentials{AccessKeyID: *s.AccessKeyId, SecretAccessKey: *s.SecretAccessKey, SessionToken: *s.SessionToken}
}

// refused checks that an operation was refused by the code of an AWS exception, with or without the suffix of JSON's.
func (c *castle) refused(what string, err error, code string) {
	c.t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || strings.TrimSuffix(api.ErrorCode(), "Exception") != code {
		c.t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// repository makes one with an image of one layer, by the root principal, and gives the digests of both.
func (c *castle) repository(name, content string) (manifest, layer string) {
	c.t.Helper()
	c.must(c.ecrAs(c.root).CreateRepository(c.t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name}))
	password := c.password(c.root)
	push := func(bytes string) string {
		digest := digestOf(bytes)
		if status, _, answer := c.docker(password, http.MethodPost, "/v2/"+name+"/blobs/uploads/?digest="+digest, bytes); status != http.StatusCreated {
			c.t.Fatalf("pushing a layer to %s: %d %s", name, status, answer)
		}
		return digest
	}
	layer = push(content)
	config := push("{}")
	image := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
		config + `","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + layer + `","size":` + jsonNumber(len(content)) + `}]}`
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPut, c.URL().String()+"/v2/"+name+"/manifests/v1", bytes.NewReader([]byte(image)))
	if err != nil {
		c.t.Fatal(err)
	}
	req.SetBasicAuth("AWS", password)
	req.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	if status, _, answer := c.send(req); status != http.StatusCreated {
		c.t.Fatalf("pushing an image to %s: %d %s", name, status, answer)
	}
	return digestOf(image), layer
}

func digestOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func jsonNumber(n int) string {
	b, _ := json.Marshal(n) //nolint:errchkjson // a number
	return string(b)
}

// basicToken is the Authorization header of docker's.
func basicToken(password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+password))
}

var _ = context.Background

func descriptor(arn string) ststypes.PolicyDescriptorType {
	return ststypes.PolicyDescriptorType{Arn: &arn}
}
