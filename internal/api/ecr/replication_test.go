package ecr_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
)

// nowhere is a destination that takes nothing.
type nowhere struct{}

var errNowhere = &replicate.Refused{Code: "AccessDenied", Message: "not here"}

func (nowhere) Prepare(context.Context, string, oci.Digest, []oci.Digest) (replicate.Lack, error) {
	return replicate.Lack{}, errNowhere
}

func (nowhere) PutLayer(context.Context, string, oci.Digest, int64, io.Reader) error {
	return errNowhere
}

func (nowhere) PutImage(context.Context, replicate.Image) ([]string, error) { return nil, errNowhere }

func destination(region, id string) types.ReplicationDestination {
	return types.ReplicationDestination{Region: aws.String(region), RegistryId: aws.String(id)}
}

func prefix(p string) types.RepositoryFilter {
	return types.RepositoryFilter{Filter: aws.String(p), FilterType: types.RepositoryFilterTypePrefixMatch}
}

func (s *server) putRules(t *testing.T, rules ...types.ReplicationRule) (*types.ReplicationConfiguration, error) {
	t.Helper()
	out, err := s.client.PutReplicationConfiguration(t.Context(), &awsecr.PutReplicationConfigurationInput{
		ReplicationConfiguration: &types.ReplicationConfiguration{Rules: rules},
	})
	if err != nil {
		return nil, err
	}
	return out.ReplicationConfiguration, nil
}

// rules reads a configuration into something to compare.
func rules(c *types.ReplicationConfiguration) string {
	var b strings.Builder
	for _, r := range c.Rules {
		b.WriteString("(")
		for _, d := range r.Destinations {
			b.WriteString(*d.Region + "/" + *d.RegistryId + " ")
		}
		for _, f := range r.RepositoryFilters {
			b.WriteString(string(f.FilterType) + "=" + *f.Filter + " ")
		}
		b.WriteString(")")
	}
	return b.String()
}

func TestReplicationConfiguration(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	described := func() string {
		out, err := s.client.DescribeRegistry(t.Context(), &awsecr.DescribeRegistryInput{})
		if err != nil {
			t.Fatal(err)
		}
		return rules(out.ReplicationConfiguration)
	}
	if got := described(); got != "" {
		t.Errorf("a new registry replicates %s", got)
	}
	rule := types.ReplicationRule{
		Destinations:      []types.ReplicationDestination{destination("eu-west-1", account)},
		RepositoryFilters: []types.RepositoryFilter{prefix("hoopstat-haus"), prefix("team/app-")},
	}
	out, err := s.putRules(t, rule, types.ReplicationRule{Destinations: rule.Destinations})
	if err != nil {
		t.Fatalf("PutReplicationConfiguration: %v", err)
	}
	const want = "(eu-west-1/" + account + " PREFIX_MATCH=hoopstat-haus PREFIX_MATCH=team/app- )(eu-west-1/" + account + " )"
	if got := rules(out); got != want {
		t.Errorf("PutReplicationConfiguration answers %s, want %s", got, want)
	}
	if got := described(); got != want {
		t.Errorf("DescribeRegistry gives %s, want %s", got, want)
	}
	if got := s.post(t, s.rootKey, "PutReplicationConfiguration", `{"replicationConfiguration":{"rules":[]}}`); got.body != `{"replicationConfiguration":{"rules":[]}}` {
		t.Errorf("PutReplicationConfiguration without rules: %s", got.body)
	}
	if got := described(); got != "" {
		t.Errorf("after the rules were taken back, the registry replicates %s", got)
	}
}

func TestReplicationConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	there := []types.ReplicationDestination{destination("eu-west-1", account)}
	var many []types.ReplicationDestination
	for i := range 26 {
		many = append(many, destination(fmt.Sprintf("eu-west-%d", i), account))
	}
	const bad = "InvalidParameterException"
	tests := map[string]struct {
		rules      []types.ReplicationRule
		code, says string
	}{
		"this registry":      {[]types.ReplicationRule{{Destinations: []types.ReplicationDestination{destination(region, account)}}}, bad, "is this one"},
		"unknown":            {[]types.ReplicationRule{{Destinations: []types.ReplicationDestination{destination("eu-west-9", account)}}}, "ValidationException", "knows no registry " + account + " in the region eu-west-9"},
		"another account":    {[]types.ReplicationRule{{Destinations: []types.ReplicationDestination{destination("eu-west-1", "999999999999")}}}, "ValidationException", "knows no registry 999999999999"},
		"no account":         {[]types.ReplicationRule{{Destinations: []types.ReplicationDestination{destination("eu-west-1", "12")}}}, bad, "'registryId'"},
		"no region":          {[]types.ReplicationRule{{Destinations: []types.ReplicationDestination{destination("EU", account)}}}, bad, "'region'"},
		"eleven rules":       {slices.Repeat([]types.ReplicationRule{{Destinations: there}}, 11), bad, "at most 10 rules"},
		"many destinations":  {[]types.ReplicationRule{{Destinations: slices.Repeat(there, 101)}}, bad, "at most 100 destinations"},
		"unique ones":        {[]types.ReplicationRule{{Destinations: many[:20]}, {Destinations: many[10:]}}, bad, "at most 25 different destinations"},
		"many filters":       {[]types.ReplicationRule{{Destinations: there, RepositoryFilters: slices.Repeat([]types.RepositoryFilter{prefix("ab")}, 101)}}, bad, "at most 100 repository filters"},
		"a short filter":     {[]types.ReplicationRule{{Destinations: there, RepositoryFilters: []types.RepositoryFilter{prefix("a")}}}, bad, "'filter'"},
		"a wild filter":      {[]types.ReplicationRule{{Destinations: there, RepositoryFilters: []types.RepositoryFilter{prefix("ab*")}}}, bad, "'filter'"},
		"another filterType": {[]types.ReplicationRule{{Destinations: there, RepositoryFilters: []types.RepositoryFilter{{Filter: aws.String("ab"), FilterType: "GLOB"}}}}, bad, "'filterType'"},
	}
	for name, tt := range tests {
		_, err := s.putRules(t, tt.rules...)
		wantError(t, name, err, tt.code, tt.says)
	}
	out, err := s.client.DescribeRegistry(t.Context(), &awsecr.DescribeRegistryInput{})
	if err != nil || len(out.ReplicationConfiguration.Rules) != 0 {
		t.Errorf("something of what was refused is stored: %v, %v", out, err)
	}
}

func TestImageReplicationStatus(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	d := s.image(t, "one", "v1")
	ask := func(id types.ImageIdentifier) (*awsecr.DescribeImageReplicationStatusOutput, error) {
		return s.client.DescribeImageReplicationStatus(t.Context(), &awsecr.DescribeImageReplicationStatusInput{RepositoryName: aws.String(repo), ImageId: &id})
	}
	got := s.post(t, s.rootKey, "DescribeImageReplicationStatus", `{"repositoryName":"hoopstat-haus/prod","imageId":{"imageTag":"v1"}}`)
	if want := `{"imageId":{"imageDigest":"` + d + `","imageTag":"v1"},"replicationStatuses":[],"repositoryName":"hoopstat-haus/prod"}`; got.body != want {
		t.Errorf("status of an image that goes nowhere: %s, want %s", got.body, want)
	}
	rule := types.ReplicationRule{Destinations: []types.ReplicationDestination{destination("eu-west-1", account)}}
	if _, err := s.putRules(t, rule); err != nil {
		t.Fatal(err)
	}
	if err := s.replication.Handle(t.Context(), event.Event{Kind: event.ImagePushed, Source: event.Push, Repository: repo, Digest: oci.Digest(d), Tags: []string{"v1"}}); err != nil {
		t.Fatal(err)
	}
	out, err := ask(types.ImageIdentifier{ImageDigest: aws.String(d)})
	if err != nil || len(out.ReplicationStatuses) != 1 {
		t.Fatalf("DescribeImageReplicationStatus: %+v, %v", out, err)
	}
	if st := out.ReplicationStatuses[0]; st.Status != types.ReplicationStatusInProgress || *st.Region != "eu-west-1" || *st.RegistryId != account || st.FailureCode != nil {
		t.Errorf("status %+v, want IN_PROGRESS to eu-west-1", st)
	}
	_, err = ask(types.ImageIdentifier{ImageTag: aws.String("v9")})
	wantError(t, "an image that is not there", err, "ImageNotFoundException", "imageTag:'v9'")
	_, err = ask(types.ImageIdentifier{})
	wantError(t, "no image", err, "InvalidParameterException", "both tag and digest cannot be null")
}
