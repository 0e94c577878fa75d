package ecr_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/signing"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

const (
	release = "arn:aws:signer:us-east-1:000000000042:/signing-profiles/release"
	audit   = "arn:aws:signer:us-east-1:000000000042:/signing-profiles/audit"
)

// signingParts is a signer and, for the test to run, the outbox that tells it of pushes. locked is another, who
// cannot open the keys.
type signingParts struct {
	signer *signing.Signer
	locked *signing.Signer
	events event.Dispatcher
}

func newSigningParts(tb testing.TB, db *metadb.DB, r *registry.Registry, now func() time.Time) signingParts {
	tb.Helper()
	signer := func() *signing.Signer {
		master, err := identity.GenerateMasterKey()
		if err != nil {
			tb.Fatal(err)
		}
		return signing.New(signing.Config{Registry: r, Store: db, Keys: db.Signing(), Work: db.Signing(), Master: master, Host: host, Now: now})
	}
	p := signingParts{signer: signer(), locked: signer()}
	p.events = event.Dispatcher{Outbox: db.Outbox(), Handlers: map[string]event.Handler{"signing": p.signer}, Now: now}
	return p
}

func filters(texts ...string) []types.SigningRepositoryFilter {
	var list []types.SigningRepositoryFilter
	for _, text := range texts {
		list = append(list, types.SigningRepositoryFilter{Filter: aws.String(text), FilterType: types.SigningRepositoryFilterTypeWildcardMatch})
	}
	return list
}

var ignoreSDK = cmpopts.IgnoreUnexported(types.SigningConfiguration{}, types.SigningRule{}, types.SigningRepositoryFilter{}, types.ImageSigningStatus{}, types.ImageIdentifier{})

func TestSigningConfiguration(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const none = "The signing configuration does not exist in the registry with id '" + account + "'"
	_, err := s.client.GetSigningConfiguration(t.Context(), &awsecr.GetSigningConfigurationInput{})
	wantError(t, "GetSigningConfiguration of none", err, "SigningConfigurationNotFoundException", none)
	_, err = s.client.DeleteSigningConfiguration(t.Context(), &awsecr.DeleteSigningConfigurationInput{})
	wantError(t, "DeleteSigningConfiguration of none", err, "SigningConfigurationNotFoundException", none)

	want := &types.SigningConfiguration{Rules: []types.SigningRule{
		{SigningProfileArn: aws.String(release), RepositoryFilters: filters("*/prod", "team/*")},
		{SigningProfileArn: aws.String(audit)},
	}}
	put, err := s.client.PutSigningConfiguration(t.Context(), &awsecr.PutSigningConfigurationInput{SigningConfiguration: want})
	if err != nil {
		t.Fatalf("PutSigningConfiguration: %v", err)
	}
	if diff := gocmp.Diff(want, put.SigningConfiguration, ignoreSDK); diff != "" {
		t.Errorf("PutSigningConfiguration (-want +got):\n%s", diff)
	}
	got, err := s.client.GetSigningConfiguration(t.Context(), &awsecr.GetSigningConfigurationInput{})
	if err != nil || aws.ToString(got.RegistryId) != account {
		t.Fatalf("GetSigningConfiguration: %v, registry %v", err, got)
	}
	if diff := gocmp.Diff(want, got.SigningConfiguration, ignoreSDK); diff != "" {
		t.Errorf("GetSigningConfiguration (-want +got):\n%s", diff)
	}
	deleted, err := s.client.DeleteSigningConfiguration(t.Context(), &awsecr.DeleteSigningConfigurationInput{})
	if err != nil || aws.ToString(deleted.RegistryId) != account {
		t.Fatalf("DeleteSigningConfiguration: %v, registry %v", err, deleted)
	}
	if diff := gocmp.Diff(want, deleted.SigningConfiguration, ignoreSDK); diff != "" {
		t.Errorf("DeleteSigningConfiguration (-want +got):\n%s", diff)
	}
	_, err = s.client.GetSigningConfiguration(t.Context(), &awsecr.GetSigningConfigurationInput{})
	wantError(t, "GetSigningConfiguration afterwards", err, "SigningConfigurationNotFoundException", none)
	if a := s.post(t, s.rootKey, "PutSigningConfiguration", `{"signingConfiguration":{"rules":[]}}`); a.body != `{"signingConfiguration":{"rules":[]}}` {
		t.Errorf("PutSigningConfiguration without rules: %s", a.body)
	}
}

func TestSigningConfigurationRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const at = "signingConfiguration.rules.1.member."
	for body, words := range map[string]string{
		`{}`:                          invalid("signingConfiguration", "Member must not be null"),
		`{"signingConfiguration":{}}`: invalid("signingConfiguration.rules", "Member must not be null"),
		`{"signingConfiguration":{"rules":[{}]}}`:                                                                                                         invalid(at+"signingProfileArn", "Member must not be null"),
		`{"signingConfiguration":{"rules":[{"signingProfileArn":"release"}]}}`:                                                                            at + "signingProfileArn",
		`{"signingConfiguration":{"rules":[{"signingProfileArn":"` + release + `","repositoryFilters":[{"filter":"a"}]}]}}`:                               invalid(at+"repositoryFilters.1.member.filterType", "Member must not be null"),
		`{"signingConfiguration":{"rules":[{"signingProfileArn":"` + release + `","repositoryFilters":[{"filterType":"WILDCARD_MATCH"}]}]}}`:              invalid(at+"repositoryFilters.1.member.filter", "Member must not be null"),
		`{"signingConfiguration":{"rules":[{"signingProfileArn":"` + release + `","repositoryFilters":[{"filter":"a","filterType":"PREFIX"}]}]}}`:         invalid(at+"repositoryFilters.1.member.filterType", "Member must satisfy enum value set: [WILDCARD_MATCH]"),
		`{"signingConfiguration":{"rules":[{"signingProfileArn":"` + release + `","repositoryFilters":[{"filter":"A","filterType":"WILDCARD_MATCH"}]}]}}`: at + "repositoryFilters.1.member.filter",
	} {
		if a := s.post(t, s.rootKey, "PutSigningConfiguration", body); !strings.Contains(a.body, `"InvalidParameterException"`) || !strings.Contains(a.body, words) {
			t.Errorf("PutSigningConfiguration(%s): %s, want words about %s", body, a.body, words)
		}
	}
	_, err := s.client.GetSigningConfiguration(t.Context(), &awsecr.GetSigningConfigurationInput{})
	wantError(t, "GetSigningConfiguration after refusals", err, "SigningConfigurationNotFoundException", "")
}

func TestSigningStatus(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	_, err := s.client.PutSigningConfiguration(t.Context(), &awsecr.PutSigningConfigurationInput{SigningConfiguration: &types.SigningConfiguration{
		Rules: []types.SigningRule{{SigningProfileArn: aws.String(release), RepositoryFilters: filters("*/prod")}, {SigningProfileArn: aws.String(audit)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	image := s.image(t, "signed", "v1")
	status := func(id types.ImageIdentifier, want ...types.ImageSigningStatus) {
		t.Helper()
		out, err := s.client.DescribeImageSigningStatus(t.Context(), &awsecr.DescribeImageSigningStatusInput{RepositoryName: aws.String(repo), ImageId: &id})
		if err != nil {
			t.Fatalf("DescribeImageSigningStatus: %v", err)
		}
		if aws.ToString(out.RegistryId) != account || aws.ToString(out.RepositoryName) != repo {
			t.Errorf("DescribeImageSigningStatus is about %s in %s", aws.ToString(out.RepositoryName), aws.ToString(out.RegistryId))
		}
		if diff := gocmp.Diff(&types.ImageIdentifier{ImageDigest: aws.String(image), ImageTag: id.ImageTag}, out.ImageId, ignoreSDK); diff != "" {
			t.Errorf("imageId (-want +got):\n%s", diff)
		}
		if diff := gocmp.Diff(want, out.SigningStatuses, ignoreSDK, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("signingStatuses (-want +got):\n%s", diff)
		}
	}
	is := func(profile string, s types.SigningStatus) types.ImageSigningStatus {
		return types.ImageSigningStatus{SigningProfileArn: aws.String(profile), Status: s}
	}
	byTag, byDigest := types.ImageIdentifier{ImageTag: aws.String("v1")}, types.ImageIdentifier{ImageDigest: aws.String(image)}
	status(byTag)
	if a := s.post(t, s.rootKey, "DescribeImageSigningStatus", `{"repositoryName":"`+repo+`","imageId":{"imageTag":"v1"}}`); a.body != `{"imageId":{"imageDigest":"`+image+`","imageTag":"v1"},"registryId":"`+account+`","repositoryName":"`+repo+`","signingStatuses":[]}` {
		t.Errorf("DescribeImageSigningStatus before there is any: %s", a.body)
	}
	if _, err := s.signing.events.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	status(byTag, is(audit, types.SigningStatusInProgress), is(release, types.SigningStatusInProgress))
	if _, err := s.signing.signer.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	status(byDigest, is(audit, types.SigningStatusComplete), is(release, types.SigningStatusComplete))
	if _, err := s.client.DeleteSigningConfiguration(t.Context(), &awsecr.DeleteSigningConfigurationInput{}); err != nil {
		t.Fatal(err)
	}
	status(byDigest, is(audit, types.SigningStatusComplete), is(release, types.SigningStatusComplete))
	ids, err := s.client.ListImages(t.Context(), &awsecr.ListImagesInput{RepositoryName: aws.String(repo)})
	if err != nil || len(ids.ImageIds) != 4 { // v1, the signatures under their tag, a bundle of each profile
		t.Errorf("ListImages: %v, %d ids, want 4", err, len(ids.ImageIds))
	}
}

func TestSigningStatusFailed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	_, err := s.client.PutSigningConfiguration(t.Context(), &awsecr.PutSigningConfigurationInput{SigningConfiguration: &types.SigningConfiguration{
		Rules: []types.SigningRule{{SigningProfileArn: aws.String(release)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.image(t, "unsigned", "v1")
	if _, err := s.signing.events.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	in := &awsecr.DescribeImageSigningStatusInput{RepositoryName: aws.String(repo), ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}}
	var got types.ImageSigningStatus
	for range 10_000 { // the clock goes on by a second each time somebody looks
		_, _ = s.signing.locked.Once(t.Context())
		out, err := s.client.DescribeImageSigningStatus(t.Context(), in)
		if err != nil || len(out.SigningStatuses) != 1 {
			t.Fatalf("DescribeImageSigningStatus: %v", err)
		}
		if got = out.SigningStatuses[0]; got.Status != types.SigningStatusInProgress {
			break
		}
	}
	want := types.ImageSigningStatus{
		SigningProfileArn: aws.String(release), Status: types.SigningStatusFailed, FailureCode: aws.String("SigningKeyUnavailable"),
		FailureReason: aws.String("The signing profile's key cannot be opened with the registry's master key"),
	}
	if diff := gocmp.Diff(want, got, ignoreSDK); diff != "" {
		t.Errorf("signingStatuses[0] (-want +got):\n%s", diff)
	}
}

func TestSigningStatusRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	none := oci.FromBytes([]byte("none")).String()
	for _, c := range []struct {
		repository string
		id         *types.ImageIdentifier
		code       string
		words      string
	}{
		{repo, &types.ImageIdentifier{}, "InvalidParameterException", "both tag and digest cannot be null"},
		{repo, &types.ImageIdentifier{ImageDigest: aws.String(none)}, "ImageNotFoundException", "The image with imageId {imageDigest:'" + none + "', imageTag:'null'} does not exist"},
		{repo, &types.ImageIdentifier{ImageTag: aws.String("v9")}, "ImageNotFoundException", "imageTag:'v9'"},
		{"none", &types.ImageIdentifier{ImageTag: aws.String("v1")}, "RepositoryNotFoundException", "The repository with name 'none' does not exist"},
	} {
		_, err := s.client.DescribeImageSigningStatus(t.Context(), &awsecr.DescribeImageSigningStatusInput{RepositoryName: aws.String(c.repository), ImageId: c.id})
		wantError(t, "DescribeImageSigningStatus", err, c.code, c.words)
	}
}
