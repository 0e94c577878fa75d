package sts_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/sts"
	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "000123456789"
	issuer  = "https://token.example"
)

// tokens takes the token "good", of one issuer.
type tokens struct{}

func (tokens) Issuer(token string) (string, error) {
	if token == "none" {
		return "", fault.New(fault.IdentityTokenInvalid, "The token is none.")
	}
	return issuer, nil
}

func (tokens) Verify(_ context.Context, p access.Provider, token string) (access.Claims, error) {
	switch token {
	case "late":
		return access.Claims{}, fault.New(fault.IdentityTokenExpired, "Token expired")
	case "else":
		return access.Claims{}, fault.New(fault.IdentityTokenRejected, "Not for us")
	case "mute":
		return access.Claims{}, fault.New(fault.IdentityProviderUnavailable, "No answer")
	}
	return access.Claims{
		Subject: "repo:org/app:ref:refs/heads/" + token, Audience: "sts.amazonaws.com", Issuer: p.Issuer,
		Values: map[string][]string{"sub": {"repo:org/app:ref:refs/heads/" + token}, "aud": {"sts.amazonaws.com"}},
	}, nil
}

// office is STS with an account behind it: a user ci that may take roles on, and roles.
type office struct {
	t         *testing.T
	url       string
	root, ci  identity.AccessKey
	directory *identity.Directory
	auth      *authn.Authenticator
	role, web string
}

func newOffice(t *testing.T) *office {
	t.Helper()
	db := metadbtest.New(t)
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t}
	o.directory = identity.NewDirectory(identity.Config{Store: db, Master: master, Account: account, Now: time.Now})
	if o.root, _, err = o.directory.EnsureRoot(t.Context()); err != nil {
		t.Fatal(err)
	}
	store := db.Access()
	house := access.New(access.Config{Store: store, Directory: o.directory, Account: account, Region: "eu-central-1", Now: time.Now, Tokens: tokens{}})
	provider, err := house.CreateProvider(t.Context(), o.root.Principal, access.NewProvider{Issuer: issuer, ClientIDs: []string{"sts.amazonaws.com"}})
	if err != nil {
		t.Fatal(err)
	}
	const iam = "arn:aws:iam::" + account + ":"
	user := identity.Caller{Account: account, ARN: iam + "user/ci", UserID: "AIDACIAAAAAAAAAAAAAAA"}
	key, sealed, err := o.directory.NewKey(user)
	if err != nil {
		t.Fatal(err)
	}
	o.ci, o.role, o.web = key, iam+"role/push", iam+"role/web/web"
	trust := func(principal, actions, condition string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":` + actions + condition + `}]}`
	}
	err = store.Update(t.Context(), func(tx access.Tx) error {
		ctx, now := t.Context(), time.Now()
		for _, p := range []access.Principal{
			{ID: user.UserID, Kind: access.User, Name: "ci", Path: "/", ARN: user.ARN, CreatedAt: now},
			{
				ID: "AROAPUSHAAAAAAAAAAAAA", Kind: access.Role, Name: "push", Path: "/", ARN: o.role, CreatedAt: now, MaxSession: time.Hour,
				Trust: trust(`{"AWS":"`+account+`"}`, `["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`, ""),
			},
			{
				ID: "AROAWEBAAAAAAAAAAAAAA", Kind: access.Role, Name: "web", Path: "/web/", ARN: o.web, CreatedAt: now, MaxSession: time.Hour,
				Trust: trust(`{"Federated":"`+provider.ARN+`"}`, `"sts:AssumeRoleWithWebIdentity"`,
					`,"Condition":{"StringEquals":{"token.example:sub":"repo:org/app:ref:refs/heads/main"}}`),
			},
		} {
			if err := tx.InsertPrincipal(ctx, p); err != nil {
				return err
			}
		}
		document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}`
		if err := tx.PutInlinePolicy(ctx, user.UserID, access.InlinePolicy{Name: "p", Document: document}); err != nil {
			return err
		}
		return tx.InsertKey(ctx, sealed)
	})
	if err != nil {
		t.Fatal(err)
	}
	o.auth = authn.New(authn.Config{Directory: o.directory, Now: time.Now})
	handler, err := awswire.New(awswire.Config{Authenticator: o.auth, Services: []awswire.Service{sts.New(house)}, Denials: house})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

// as gives a client with those credentials.
func (o *office) as(id, secret, session string) *awssts.Client {
	return awssts.New(awssts.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(o.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, session),
	})
}

func (o *office) key(k identity.AccessKey) *awssts.Client { return o.as(k.ID, k.Secret, "") }

func (o *office) session(c *types.Credentials) *awssts.Client {
	return o.as(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

func (o *office) who(c *awssts.Client) string {
	o.t.Helper()
	out, err := c.GetCallerIdentity(o.t.Context(), &awssts.GetCallerIdentityInput{})
	if err != nil {
		o.t.Errorf("GetCallerIdentity: %v", err)
		return ""
	}
	return *out.Arn
}

func wants(t *testing.T, what string, err error, code string, status int, words ...string) {
	t.Helper()
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	if !asBoth(err, &api, &response) || api.ErrorCode() != code || response.HTTPStatusCode() != status {
		t.Errorf("%s: %v, want %s %d", what, err, code, status)
		return
	}
	for _, w := range words {
		if !strings.Contains(api.ErrorMessage(), w) {
			t.Errorf("%s: %s, want %q in it", what, api.ErrorMessage(), w)
		}
	}
}

// asBoth finds the modelled error and the response that it came with.
func asBoth(err error, api *smithy.APIError, response **smithyhttp.ResponseError) bool {
	return errors.As(err, api) && errors.As(err, response)
}

func TestAssumeRoleByTheSDK(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	ci := o.key(o.ci)
	in := &awssts.AssumeRoleInput{
		RoleArn: &o.role, RoleSessionName: aws.String("run-17"), DurationSeconds: aws.Int32(900), SourceIdentity: aws.String("alice"),
		Policy: aws.String(`{"Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}`),
		Tags:   []types.Tag{{Key: aws.String("Repository"), Value: aws.String("org/app")}}, TransitiveTagKeys: []string{"Repository"},
	}
	out, err := ci.AssumeRole(t.Context(), in)
	if err != nil {
		t.Fatalf("AssumeRole: %v", err)
	}
	const arn = "arn:aws:sts::" + account + ":assumed-role/push/run-17"
	if *out.AssumedRoleUser.Arn != arn || *out.AssumedRoleUser.AssumedRoleId != "AROAPUSHAAAAAAAAAAAAA:run-17" || aws.ToString(out.SourceIdentity) != "alice" {
		t.Errorf("the session: %+v, %v", *out.AssumedRoleUser.Arn, aws.ToString(out.SourceIdentity))
	}
	if p := aws.ToInt32(out.PackedPolicySize); p < 1 || p > 100 || *out.SessionTokenUtilization != p || int(*out.SessionTokenSize) != len(*out.Credentials.SessionToken) { //nolint:staticcheck // deprecated, and what clients of today read
		t.Errorf("the room: packed %d, %d of %d", p, *out.SessionTokenSize, *out.SessionTokenUtilization)
	}
	if left := time.Until(*out.Credentials.Expiration); left < 14*time.Minute || left > 15*time.Minute {
		t.Errorf("it lasts %v", left)
	}
	if got := o.who(o.session(out.Credentials)); got != arn {
		t.Errorf("it is %s, want %s", got, arn)
	}
	_, err = o.as(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, "").GetCallerIdentity(t.Context(), nil)
	wants(t, "without its token", err, "InvalidClientTokenId", http.StatusForbidden)
	_, err = o.as(o.ci.ID, o.ci.Secret, *out.Credentials.SessionToken).GetCallerIdentity(t.Context(), nil)
	wants(t, "its token with another key", err, "InvalidClientTokenId", http.StatusForbidden)
	_, err = o.as(*out.Credentials.AccessKeyId, "x"+*out.Credentials.SecretAccessKey, *out.Credentials.SessionToken).GetCallerIdentity(t.Context(), nil)
	wants(t, "another secret", err, "SignatureDoesNotMatch", http.StatusForbidden)

	for what, c := range map[string]struct {
		change func(in *awssts.AssumeRoleInput)
		code   string
		status int
	}{
		"MFA":                {func(in *awssts.AssumeRoleInput) { in.SerialNumber = aws.String("arn:aws:iam::1:mfa/x") }, "ValidationError", 400},
		"a stretched token":  {func(in *awssts.AssumeRoleInput) { in.MinimumSessionTokenSize = aws.Int32(2000) }, "ValidationError", 400},
		"no policy":          {func(in *awssts.AssumeRoleInput) { in.Policy = aws.String("{}") }, "MalformedPolicyDocument", 400},
		"too short":          {func(in *awssts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(0) }, "ValidationError", 400},
		"too long":           {func(in *awssts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(3601) }, "ValidationError", 400},
		"a role there isn't": {func(in *awssts.AssumeRoleInput) { in.RoleArn = aws.String(o.role + "x") }, "AccessDenied", 403},
		"no managed policy": {func(in *awssts.AssumeRoleInput) {
			in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::" + account + ":policy/none")}}
		}, "MalformedPolicyDocument", 400},
	} {
		changed := *in
		c.change(&changed)
		_, err := ci.AssumeRole(t.Context(), &changed)
		wants(t, what, err, c.code, c.status)
	}
	_, err = o.key(o.root).AssumeRole(t.Context(), in)
	wants(t, "root", err, "AccessDenied", http.StatusForbidden, "Roles may not be assumed by root accounts.")
}

func TestAssumeRoleWithWebIdentityByTheSDK(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	// As CI has it: no keys at all.
	nobody := awssts.New(awssts.Options{Region: "us-east-1", BaseEndpoint: aws.String(o.url), RetryMaxAttempts: 1})
	ask := func(role, token string) (*awssts.AssumeRoleWithWebIdentityOutput, error) {
		return nobody.AssumeRoleWithWebIdentity(t.Context(), &awssts.AssumeRoleWithWebIdentityInput{
			RoleArn: &role, RoleSessionName: aws.String("GitHubActions"), WebIdentityToken: &token,
		})
	}
	out, err := ask(o.web, "main")
	if err != nil {
		t.Fatalf("AssumeRoleWithWebIdentity: %v", err)
	}
	if *out.Provider != issuer || *out.Audience != "sts.amazonaws.com" || *out.SubjectFromWebIdentityToken != "repo:org/app:ref:refs/heads/main" || out.PackedPolicySize != nil { //nolint:staticcheck // as above
		t.Errorf("AssumeRoleWithWebIdentity: %s %s %s", *out.Provider, *out.Audience, *out.SubjectFromWebIdentityToken)
	}
	c := o.session(out.Credentials)
	if got := o.who(c); got != "arn:aws:sts::"+account+":assumed-role/web/GitHubActions" {
		t.Errorf("the session is %s", got)
	}
	for token, want := range map[string]struct {
		code   string
		status int
	}{
		"pull": {"AccessDenied", 403}, "none": {"InvalidIdentityToken", 400}, "late": {"ExpiredTokenException", 400},
		"else": {"IDPRejectedClaim", 403}, "mute": {"IDPCommunicationError", 400}, "abc": {"ValidationError", 400},
	} {
		_, err := ask(o.web, token)
		wants(t, token, err, want.code, want.status)
	}
	_, err = ask(o.web, "pull")
	wants(t, "another branch", err, "AccessDenied", 403, `token.example:sub is "repo:org/app:ref:refs/heads/pull"`, `:aud is "sts.amazonaws.com"`)

	// The refusal's header holds what the client is not told, for who may know.
	var response *smithyhttp.ResponseError
	if !asBoth(err, new(smithy.APIError), &response) {
		t.Fatalf("no response: %v", err)
	}
	text := response.Response.Header.Get("X-Berth-Authorization-Message")
	decode := &awssts.DecodeAuthorizationMessageInput{EncodedMessage: &text}
	decoded, err := o.key(o.ci).DecodeAuthorizationMessage(t.Context(), decode)
	if err != nil || !json.Valid([]byte(*decoded.DecodedMessage)) || !strings.Contains(*decoded.DecodedMessage, "refs/heads/main") {
		t.Errorf("DecodeAuthorizationMessage of %q: %v, %+v", text, err, decoded)
	}
	_, err = c.DecodeAuthorizationMessage(t.Context(), decode)
	wants(t, "decoding without permission", err, "AccessDenied", 403)
	_, err = o.key(o.ci).DecodeAuthorizationMessage(t.Context(), &awssts.DecodeAuthorizationMessageInput{EncodedMessage: aws.String("x")})
	wants(t, "decoding nothing", err, "InvalidAuthorizationMessageException", 400)
}

func TestSessionTokensByTheSDK(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	out, err := o.key(o.ci).GetSessionToken(t.Context(), &awssts.GetSessionTokenInput{DurationSeconds: aws.Int32(3600)})
	if err != nil {
		t.Fatalf("GetSessionToken: %v", err)
	}
	c := o.session(out.Credentials)
	if got := o.who(c); got != o.ci.Principal.ARN {
		t.Errorf("the session is %s", got)
	}
	_, err = c.GetSessionToken(t.Context(), &awssts.GetSessionTokenInput{})
	wants(t, "from a session", err, "AccessDenied", 403, "Cannot call GetSessionToken with session credentials")
	_, err = o.key(o.ci).GetSessionToken(t.Context(), &awssts.GetSessionTokenInput{SerialNumber: aws.String("GAHT12345678"), TokenCode: aws.String("123456")})
	wants(t, "MFA", err, "ValidationError", 400, "multi-factor")
	info, err := o.key(o.ci).GetAccessKeyInfo(t.Context(), &awssts.GetAccessKeyInfoInput{AccessKeyId: out.Credentials.AccessKeyId})
	if err != nil || *info.Account != account {
		t.Errorf("GetAccessKeyInfo: %+v, %v", info, err)
	}
	// A password for docker that a session asked for ends with the session.
	key, err := o.directory.SessionKey(t.Context(), *out.Credentials.AccessKeyId, *out.Credentials.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	password, expires, err := o.auth.IssueToken(t.Context(), key.Principal)
	if err != nil || !expires.Equal(*out.Credentials.Expiration) || strings.ContainsAny(password, ": \n") {
		t.Errorf("IssueToken: %v, ends at %v, the session at %v", err, expires, out.Credentials.Expiration)
	}
}
