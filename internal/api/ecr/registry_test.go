package ecr_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
)

func TestGetAuthorizationToken(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	out, err := s.client.GetAuthorizationToken(t.Context(), &awsecr.GetAuthorizationTokenInput{})
	if err != nil || len(out.AuthorizationData) != 1 {
		t.Fatalf("GetAuthorizationToken = %+v, %v; want one entry", out, err)
	}
	data := out.AuthorizationData[0]
	if *data.ProxyEndpoint != "http://"+host {
		t.Errorf("GetAuthorizationToken: proxyEndpoint %s, want http://%s", *data.ProxyEndpoint, host)
	}
	if life := time.Until(*data.ExpiresAt); life < 11*time.Hour || life > 13*time.Hour {
		t.Errorf("GetAuthorizationToken: expires in %v, want 12 hours", life)
	}
	token, err := base64.StdEncoding.DecodeString(*data.AuthorizationToken)
	user, password, ok := strings.Cut(string(token), ":")
	if err != nil || !ok || user != "AWS" || password == "" || strings.ContainsAny(password, ": \n\t") {
		t.Errorf("GetAuthorizationToken: the token is %q, want AWS:<password without colon or white space>", token)
	}
	// The token is what docker sends, as it is.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Basic "+*data.AuthorizationToken)
	caller, err := s.auth.Basic(r)
	if err != nil || caller.AccessKeyID != s.rootKey.AccessKeyID {
		t.Errorf("the registry takes its token for %+v, %v; want the caller with key %s", caller, err, s.rootKey.AccessKeyID)
	}
}

func TestGetAuthorizationTokenForRegistries(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	get := func(ids ...string) (*awsecr.GetAuthorizationTokenOutput, error) {
		return s.client.GetAuthorizationToken(t.Context(), &awsecr.GetAuthorizationTokenInput{RegistryIds: ids}) //nolint:staticcheck // clients still send it
	}
	out, err := get(account)
	if err != nil || len(out.AuthorizationData) != 1 {
		t.Errorf("GetAuthorizationToken(%s) = %+v, %v; want one entry", account, out, err)
	}
	_, err = get(account, "123456789012")
	wantError(t, "GetAuthorizationToken for another registry", err, "InvalidParameterException", "not 123456789012")
	_, err = get("42")
	wantError(t, "GetAuthorizationToken for registry 42", err, "InvalidParameterException", "'registryIds'")
	_, err = get(slices.Repeat([]string{account}, 11)...)
	wantError(t, "GetAuthorizationToken for 11 registries", err, "InvalidParameterException", invalid("registryIds", "Member must have length less than or equal to 10"))
	_, err = get([]string{}...)
	wantError(t, "GetAuthorizationToken for no registries", err, "InvalidParameterException", "'registryIds'")
}

func TestDescribeRegistry(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	out, err := s.client.DescribeRegistry(t.Context(), &awsecr.DescribeRegistryInput{})
	if err != nil {
		t.Fatalf("DescribeRegistry: %v", err)
	}
	if aws.ToString(out.RegistryId) != account || out.ReplicationConfiguration == nil || out.ReplicationConfiguration.Rules == nil {
		t.Errorf("DescribeRegistry = %+v, want registry %s with an empty list of rules", out, account)
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	wrong, unknown := s.rootKey, s.rootKey
	wrong.SecretAccessKey += "x"
	unknown.AccessKeyID = "AKIAUNKNOWNUNKNOWN00"
	for name, c := range map[string]struct {
		key         aws.Credentials
		code, words string
	}{
		"a wrong secret": {wrong, "InvalidSignatureException", ""},
		"an unknown key": {unknown, "UnrecognizedClientException", "The security token included in the request is invalid."},
	} {
		got := s.post(t, c.key, "DescribeRegistry", `{}`)
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, `"__type":"`+c.code+`"`) || !strings.Contains(got.body, c.words) {
			t.Errorf("DescribeRegistry with %s: %d %s, want 400 %s", name, got.status, got.body, c.code)
		}
	}
	_, err := s.nobody.GetAuthorizationToken(t.Context(), &awsecr.GetAuthorizationTokenInput{})
	wantError(t, "GetAuthorizationToken by a caller allowed nothing", err, "AccessDeniedException", "ecr:GetAuthorizationToken on resource: * because")
}
