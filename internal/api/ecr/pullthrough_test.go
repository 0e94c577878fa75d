package ecr_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/remote/ociclient"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

const secretARN = "arn:aws:secretsmanager:us-east-1:000000000042:secret:ecr-pullthroughcache/hub-AbC123"

func newCaches(tb testing.TB, r *registry.Registry, db *metadb.DB, now func() time.Time) *pullthrough.Cache {
	tb.Helper()
	client := ociclient.New(ociclient.Config{Now: now})
	c := pullthrough.New(pullthrough.Config{
		Registry: r, Store: db.PullThrough(), Upstream: client, Now: now, Logger: slog.New(slog.DiscardHandler),
		Spool:   func() (pullthrough.Spool, error) { return os.CreateTemp(tb.TempDir(), "") },
		Secrets: map[string]pullthrough.Credentials{"ecr-pullthroughcache/hub": {Username: "user", Password: "token"}},
	})
	tb.Cleanup(func() {
		c.Close()
		client.Close()
	})
	return c
}

func ruleInput(prefix, upstream string) *awsecr.CreatePullThroughCacheRuleInput {
	return &awsecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String(prefix), UpstreamRegistryUrl: aws.String(upstream)}
}

// TestPullThroughCacheRules takes a rule through its life.
func TestPullThroughCacheRules(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ctx := t.Context()
	in := ruleInput("hub", "registry-1.docker.io")
	in.CredentialArn = aws.String(secretARN)
	created, err := s.client.CreatePullThroughCacheRule(ctx, in)
	if err != nil {
		t.Fatalf("CreatePullThroughCacheRule: %v", err)
	}
	if created.UpstreamRegistry != types.UpstreamRegistryDockerHub || created.UpstreamRepositoryPrefix != nil ||
		aws.ToString(created.CredentialArn) != secretARN || aws.ToString(created.RegistryId) != account {
		t.Errorf("created %+v, want kind docker-hub, no upstream prefix (Terraform would plan to take it away), the ARN and the registry", created)
	}
	_, err = s.client.CreatePullThroughCacheRule(ctx, ruleInput("hub", "quay.io"))
	wantError(t, "the prefix again", err, "PullThroughCacheRuleAlreadyExistsException", "'hub'")
	if _, err := s.client.CreatePullThroughCacheRule(ctx, ruleInput("ROOT", "http://127.0.0.1:5000")); err != nil {
		t.Errorf("any registry, as ROOT: %v", err)
	}
	list, err := s.client.DescribePullThroughCacheRules(ctx, &awsecr.DescribePullThroughCacheRulesInput{MaxResults: aws.Int32(1)})
	if err != nil || len(list.PullThroughCacheRules) != 1 || aws.ToString(list.PullThroughCacheRules[0].EcrRepositoryPrefix) != "ROOT" || list.NextToken == nil {
		t.Fatalf("first page is %+v, %v; want ROOT and a token", list, err)
	}
	list, err = s.client.DescribePullThroughCacheRules(ctx, &awsecr.DescribePullThroughCacheRulesInput{NextToken: list.NextToken})
	if err != nil || len(list.PullThroughCacheRules) != 1 || aws.ToString(list.PullThroughCacheRules[0].EcrRepositoryPrefix) != "hub" || list.NextToken != nil {
		t.Errorf("second page is %+v, %v; want hub and no token", list, err)
	}
	updated, err := s.client.UpdatePullThroughCacheRule(ctx, &awsecr.UpdatePullThroughCacheRuleInput{
		EcrRepositoryPrefix: aws.String("ROOT"), CredentialArn: aws.String(strings.TrimSuffix(secretARN, "-AbC123")),
	})
	if err != nil || updated.UpdatedAt == nil || aws.ToString(updated.CredentialArn)+"-AbC123" != secretARN {
		t.Errorf("UpdatePullThroughCacheRule: %+v, %v", updated, err)
	}
	deleted, err := s.client.DeletePullThroughCacheRule(ctx, &awsecr.DeletePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("hub")})
	if err != nil || aws.ToString(deleted.UpstreamRegistryUrl) != "registry-1.docker.io" || !deleted.CreatedAt.Equal(*created.CreatedAt) {
		t.Errorf("DeletePullThroughCacheRule: %+v, %v", deleted, err)
	}
	_, err = s.client.DeletePullThroughCacheRule(ctx, &awsecr.DeletePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("hub")})
	wantError(t, "deleting again", err, "PullThroughCacheRuleNotFoundException", "'hub'")
	_, err = s.client.DescribePullThroughCacheRules(ctx, &awsecr.DescribePullThroughCacheRulesInput{EcrRepositoryPrefixes: []string{"ROOT", "hub"}})
	wantError(t, "describing it", err, "PullThroughCacheRuleNotFoundException", "'hub'")
}

func TestPullThroughCacheRuleRefusals(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, tt := range map[string]struct {
		change      func(*awsecr.CreatePullThroughCacheRuleInput)
		code, words string
	}{
		"short prefix": {func(i *awsecr.CreatePullThroughCacheRuleInput) { i.EcrRepositoryPrefix = aws.String("a") }, "InvalidParameterException", "greater than or equal to 2"},
		"long prefix": {func(i *awsecr.CreatePullThroughCacheRuleInput) {
			i.EcrRepositoryPrefix = aws.String(strings.Repeat("a", 31))
		}, "InvalidParameterException", "less than or equal to 30"},
		"odd prefix":     {func(i *awsecr.CreatePullThroughCacheRuleInput) { i.EcrRepositoryPrefix = aws.String("Hub") }, "InvalidParameterException", "regular expression"},
		"a path":         {func(i *awsecr.CreatePullThroughCacheRuleInput) { i.UpstreamRegistryUrl = aws.String("quay.io/org") }, "UnsupportedUpstreamRegistryException", "a host alone"},
		"another scheme": {func(i *awsecr.CreatePullThroughCacheRuleInput) { i.UpstreamRegistryUrl = aws.String("ftp://quay.io") }, "UnsupportedUpstreamRegistryException", "http or https"},
		"credentials": {func(i *awsecr.CreatePullThroughCacheRuleInput) {
			i.UpstreamRegistryUrl = aws.String("https://a:b@quay.io")
		}, "UnsupportedUpstreamRegistryException", "a host alone"},
		"a cloud's own": {func(i *awsecr.CreatePullThroughCacheRuleInput) {
			i.UpstreamRegistryUrl = aws.String("http://169.254.169.254")
		}, "UnsupportedUpstreamRegistryException", "no registry has"},
		"another kind": {func(i *awsecr.CreatePullThroughCacheRuleInput) { i.UpstreamRegistry = types.UpstreamRegistryQuay }, "UnsupportedUpstreamRegistryException", "not 'quay'"},
		"unknown kind": {func(i *awsecr.CreatePullThroughCacheRuleInput) { i.UpstreamRegistry = "harbor" }, "InvalidParameterException", "enum value set"},
		"a role": {func(i *awsecr.CreatePullThroughCacheRuleInput) {
			i.CustomRoleArn = aws.String("arn:aws:iam::000000000042:role/pull")
		}, "InvalidParameterException", "customRoleArn"},
		"no such secret": {func(i *awsecr.CreatePullThroughCacheRuleInput) {
			i.CredentialArn = aws.String(strings.Replace(secretARN, "hub", "nub", 1))
		}, "SecretNotFoundException", "ecr-pullthroughcache/nub"},
		"no ARN": {func(i *awsecr.CreatePullThroughCacheRuleInput) {
			i.CredentialArn = aws.String("ecr-pullthroughcache/hub")
		}, "InvalidParameterException", "credentialArn"},
	} {
		in := ruleInput("hub", "registry-1.docker.io")
		tt.change(in)
		_, err := s.client.CreatePullThroughCacheRule(t.Context(), in)
		wantError(t, name, err, tt.code, tt.words)
	}
	for i := range 50 {
		if _, err := s.client.CreatePullThroughCacheRule(t.Context(), ruleInput("hub"+string(rune('a'+i/26))+string(rune('a'+i%26)), "quay.io")); err != nil {
			t.Fatalf("rule %d: %v", i+1, err)
		}
	}
	_, err := s.client.CreatePullThroughCacheRule(t.Context(), ruleInput("hub", "quay.io"))
	wantError(t, "rule 51", err, "LimitExceededException", "50")
}

// TestValidatePullThroughCacheRule asks a registry that takes one password.
func TestValidatePullThroughCacheRule(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "user" || p != "token" {
			w.Header().Set("WWW-Authenticate", `Basic realm="upstream"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(upstream.Close)
	with := ruleInput("with", upstream.URL)
	with.CredentialArn = aws.String(secretARN)
	for _, in := range []*awsecr.CreatePullThroughCacheRuleInput{with, ruleInput("without", upstream.URL), ruleInput("away", "http://127.0.0.1:1")} {
		if _, err := s.client.CreatePullThroughCacheRule(t.Context(), in); err != nil {
			t.Fatalf("CreatePullThroughCacheRule: %v", err)
		}
	}
	for prefix, failure := range map[string]string{"with": "", "without": "asks for credentials", "away": "cannot be reached"} {
		out, err := s.client.ValidatePullThroughCacheRule(t.Context(), &awsecr.ValidatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String(prefix)})
		if err != nil {
			t.Errorf("ValidatePullThroughCacheRule(%s): %v", prefix, err)
			continue
		}
		if out.IsValid != (failure == "") || !strings.Contains(aws.ToString(out.Failure), failure) {
			t.Errorf("ValidatePullThroughCacheRule(%s): valid %t, %q; want %q", prefix, out.IsValid, aws.ToString(out.Failure), failure)
		}
	}
}
