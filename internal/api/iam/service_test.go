package iam_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// sdkOperations lists what the SDK's client can call.
func sdkOperations() map[string]reflect.Method {
	found := map[string]reflect.Method{}
	for m := range reflect.TypeFor[*awsiam.Client]().Methods() {
		if m.Name != "Options" {
			found[m.Name] = m
		}
	}
	return found
}

func TestEveryOperationIsKnown(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	got := slices.Sorted(maps.Keys(s.service.Operations))
	got = slices.Sorted(slices.Values(append(got, s.service.Known...)))
	if diff := cmp.Diff(slices.Sorted(maps.Keys(sdkOperations())), got); diff != "" {
		t.Errorf("everyOperation differs from the SDK (-sdk +ours):\n%s", diff)
	}
	_, err := s.client.CreateAccountAlias(t.Context(), &awsiam.CreateAccountAliasInput{AccountAlias: aws.String("x")})
	wantError(t, "what is not done", err, "UnsupportedOperation", "iam:CreateAccountAlias")
}

// TestEveryFaultIsAnError holds that no fault of this face's becomes an internal failure.
func TestEveryFaultIsAnError(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, code := range slices.Concat(fault.OfIdentity(), fault.OfAny()) {
		e, ok := s.service.Exceptions(fmt.Errorf("doing: %w", fault.Wrap(code, errors.New("secret cause"), "words")))
		if !ok || e.Code == "" || e.Message != "words" {
			t.Errorf("fault %q becomes %+v (%v): add it to exceptions", code, e, ok)
		}
		server := code == fault.StorageFull || code == fault.Unavailable
		if got := e.Status >= http.StatusInternalServerError; got != server || e.Status < http.StatusBadRequest {
			t.Errorf("fault %q becomes HTTP %d", code, e.Status)
		}
	}
	if e, ok := s.service.Exceptions(errors.New("disk on fire")); ok {
		t.Errorf("an error that is no fault became %+v", e)
	}
}

// valid gives values for the members that the SDK wants, by name, such that nothing but permission is lacking.
func valid() map[string]any {
	return map[string]any{
		"UserName": "xx", "GroupName": "xx", "AccessKeyId": "AKIAAAAAAAAAAAAAAAAA", "Status": types.StatusTypeActive,
		"Tags": []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}, "TagKeys": []string{"a"},
		"RoleName": "xx", "AssumeRolePolicyDocument": trustRoot, "Description": "x", "PermissionsBoundary": pullOnlyARN,
		"PolicyName": "xx", "PolicyDocument": allowECR, "PolicyArn": bureauARN + "policy/xx", "VersionId": "v1",
		"PolicySourceArn": bureauARN + "user/xx", "ActionNames": []string{"ecr:PutImage"}, "PolicyInputList": []string{allowECR},
		"OpenIDConnectProviderArn": bureauARN + "oidc-provider/x.example", "ClientID": "x", "Url": "https://x.example",
		"ThumbprintList": []string{"0000000000000000000000000000000000000000"},
	}
}

// TestACallerAllowedNothingIsRefusedEverything calls every operation by one who may nothing.
func TestACallerAllowedNothingIsRefusedEverything(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	eve := reflect.ValueOf(s.connect(s.user(t, "eve", "")))
	methods, values := sdkOperations(), valid()
	for op := range s.service.Operations {
		in := reflect.New(methods[op].Type.In(2).Elem())
		for name, v := range values {
			member := in.Elem().FieldByName(name)
			if text, ok := v.(string); ok {
				v = &text
			}
			if member.IsValid() && member.Type() == reflect.TypeOf(v) {
				member.Set(reflect.ValueOf(v))
			}
		}
		out := eve.MethodByName(op).Call([]reflect.Value{reflect.ValueOf(t.Context()), in})
		err, _ := reflect.TypeAssert[error](out[1])
		wantError(t, op, err, "AccessDenied", "User: arn:aws:iam::"+account+":user/eve is not authorized to perform: iam:")
	}
}

var row = regexp.MustCompile(`(?m)^\| (\w+) \| (yes|no) \|`)

// TestDocumentationNamesEveryOperation holds docs/api/iam.md to the code: every operation that is done has a row, and
// none that is not claims to be.
func TestDocumentationNamesEveryOperation(t *testing.T) {
	t.Parallel()
	service := newServer(t).service
	text, err := os.ReadFile("../../../docs/api/iam.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := row.FindAllStringSubmatch(string(text), -1)
	if lines := strings.Count(string(text), " | yes |") + strings.Count(string(text), " | no |"); len(rows) != lines {
		t.Errorf("docs/api/iam.md: %d of %d rows read as | Operation | yes or no | …", len(rows), lines)
	}
	got := map[string]bool{}
	for _, m := range rows {
		op, done := m[1], m[2] == "yes"
		if got[op] {
			t.Errorf("docs/api/iam.md has %s twice", op)
		}
		got[op] = true
		if _, ok := service.Operations[op]; ok != done || !ok && !slices.Contains(service.Known, op) {
			t.Errorf("docs/api/iam.md says %q of %s, which is done: %v", m[2], op, ok)
		}
	}
	for op := range service.Operations {
		if !got[op] {
			t.Errorf("docs/api/iam.md has no row for %s", op)
		}
	}
}
