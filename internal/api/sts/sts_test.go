package sts_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/sts"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// caller lets everybody in as one principal.
type caller identity.Caller

func (c caller) Screen(*http.Request, string) error { return nil }

func (c caller) SigV4(*http.Request, []byte, string) (identity.Caller, error) {
	return identity.Caller(c), nil
}

func client(t *testing.T, who identity.Caller) *awssts.Client {
	t.Helper()
	handler, err := awswire.New(awswire.Config{Authenticator: caller(who), Services: []awswire.Service{sts.New(nil)}})
	if err != nil {
		t.Fatalf("awswire.New: %v", err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return awssts.New(awssts.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	})
}

// TestGetCallerIdentity asks as somebody whom no policy allows anything.
func TestGetCallerIdentity(t *testing.T) {
	t.Parallel()
	who := identity.Caller{
		Account: "000123456789", ARN: "arn:aws:iam::000123456789:user/ci", UserID: "AIDAEXAMPLE", AccessKeyID: "AKIAIOSFODNN7EXAMPLE",
	}
	got, err := client(t, who).GetCallerIdentity(t.Context(), &awssts.GetCallerIdentityInput{})
	if err != nil || *got.Account != who.Account || *got.Arn != who.ARN || *got.UserId != who.UserID {
		t.Errorf("GetCallerIdentity: %+v, %v; want %+v", got, err, who)
	}
}

// TestEveryOperationIsKnown goes through the SDK's client, so that an operation that Amazon adds is noticed.
func TestEveryOperationIsKnown(t *testing.T) {
	t.Parallel()
	service := sts.New(nil)
	known := map[string]bool{}
	for _, name := range service.Known {
		known[name] = true
	}
	c := reflect.TypeFor[*awssts.Client]()
	seen := 0
	for m := range c.Methods() {
		if m.Type.NumIn() != 4 || m.Type.NumOut() != 2 {
			continue
		}
		seen++
		if _, done := service.Operations[m.Name]; done == known[m.Name] {
			t.Errorf("%s: done here %v, known and not done %v; want one of the two", m.Name, done, known[m.Name])
		}
	}
	if want := len(service.Operations) + len(service.Known); seen != want {
		t.Errorf("the SDK has %d operations, the service names %d", seen, want)
	}
}

func TestOtherOperationsAreRefusedClearly(t *testing.T) {
	t.Parallel()
	_, err := client(t, identity.Caller{}).GetFederationToken(t.Context(), &awssts.GetFederationTokenInput{Name: aws.String("ci")})
	api, ok := errors.AsType[smithy.APIError](err)
	want := "The operation sts:GetFederationToken exists at Amazon and is not supported by this version of Berth."
	if !ok || api.ErrorCode() != "UnsupportedOperation" || api.ErrorMessage() != want {
		t.Errorf("GetFederationToken: %v, want UnsupportedOperation: %s", err, want)
	}
}

func TestEveryFaultIsInTheTable(t *testing.T) {
	t.Parallel()
	table := sts.New(nil).Exceptions
	for _, code := range slices.Concat(fault.OfIdentity(), fault.OfAny()) {
		e, ok := table(fault.New(code, "words"))
		if !ok || e.Code == "" || e.Message == "" || e.Status < 400 {
			t.Errorf("the fault %q becomes %+v, %v", code, e, ok)
		}
	}
	for _, err := range []error{context.Canceled, errors.New("anything"), fault.Code("new")} {
		if e, ok := table(err); ok {
			t.Errorf("%v, which is in no table, becomes %+v", err, e)
		}
	}
}
