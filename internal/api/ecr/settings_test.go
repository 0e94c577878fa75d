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

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

const pullPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`

// TestSettingsWire holds the bytes of answers about settings, as TestWire does of the others.
func TestSettingsWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	s.image(t, "img", "v1")
	const named = `"repositoryName":"hoopstat-haus/prod"`
	for _, step := range []struct{ name, op, body string }{
		{"get-repository-policy-none", "GetRepositoryPolicy", `{` + named + `}`},
		{"set-repository-policy-malformed", "SetRepositoryPolicy", `{` + named + `,"policyText":"{\"Version\":\"2012-10-17\"}"}`},
		{"set-repository-policy", "SetRepositoryPolicy", `{` + named + `,"policyText":"{\n \"Statement\": {\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"ecr:*\"}}"}`},
		{"get-repository-policy", "GetRepositoryPolicy", `{` + named + `}`},
		{"get-registry-policy-none", "GetRegistryPolicy", `{}`},
		{"get-account-setting", "GetAccountSetting", `{"name":"BLOB_MOUNTING"}`},
		{"put-account-setting-bad", "PutAccountSetting", `{"name":"BASIC_SCAN_TYPE_VERSION","value":"CLAIR"}`},
		{"get-registry-scanning-configuration", "GetRegistryScanningConfiguration", `{}`},
		{"put-registry-scanning-configuration", "PutRegistryScanningConfiguration", `{"scanType":"BASIC","rules":[{"scanFrequency":"SCAN_ON_PUSH","repositoryFilters":[{"filter":"prod","filterType":"WILDCARD"}]}]}`},
		{"batch-get-repository-scanning-configuration", "BatchGetRepositoryScanningConfiguration", `{"repositoryNames":["hoopstat-haus/prod","none"]}`},
		{"describe-image-scan-findings-none", "DescribeImageScanFindings", `{` + named + `,"imageId":{"imageTag":"v1"}}`},
		{"start-image-scan", "StartImageScan", `{` + named + `,"imageId":{"imageTag":"v1"}}`},
		{"describe-image-scan-findings", "DescribeImageScanFindings", `{` + named + `,"imageId":{"imageTag":"v1"}}`},
		{"register-pull-time-update-exclusion", "RegisterPullTimeUpdateExclusion", `{"principalArn":"arn:aws:iam::000000000042:role/scanner"}`},
		{"register-pull-time-update-exclusion-again", "RegisterPullTimeUpdateExclusion", `{"principalArn":"arn:aws:iam::000000000042:role/scanner"}`},
		{"list-pull-time-update-exclusions", "ListPullTimeUpdateExclusions", `{}`},
		{"deregister-pull-time-update-exclusion", "DeregisterPullTimeUpdateExclusion", `{"principalArn":"arn:aws:iam::000000000042:role/scanner"}`},
	} {
		s.record(t, step.name, step.op, step.body)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	ctx := t.Context()
	_, err := s.client.DeleteRepositoryPolicy(ctx, &awsecr.DeleteRepositoryPolicyInput{RepositoryName: aws.String(repo)})
	wantError(t, "DeleteRepositoryPolicy of none", err, "RepositoryPolicyNotFoundException",
		"Repository policy does not exist for the repository with name 'hoopstat-haus/prod' in the registry with id '000000000042'")
	set := func(text string, force bool) error {
		_, err := s.client.SetRepositoryPolicy(ctx, &awsecr.SetRepositoryPolicyInput{RepositoryName: aws.String(repo), PolicyText: aws.String(text), Force: force})
		return err
	}
	wantError(t, "a policy with a Resource", set(strings.Replace(pullPolicy, `"Action"`, `"Resource":"*","Action"`, 1), false), "InvalidParameterException", "'Invalid repository policy provided: statement 1 must not have a Resource")
	wantError(t, "a long policy", set(pullPolicy+strings.Repeat(" ", 10241), false), "InvalidParameterException", "may have 10240")
	deny := strings.NewReplacer("Allow", "Deny", "BatchGetImage", "*").Replace(pullPolicy)
	wantError(t, "a policy that locks out", set(deny, false), "InvalidParameterException", "set force")
	if err := set(deny, true); err != nil {
		t.Errorf("the same by force: %v", err)
	}
	out, err := s.client.DeleteRepositoryPolicy(ctx, &awsecr.DeleteRepositoryPolicyInput{RepositoryName: aws.String(repo), RegistryId: aws.String(account)})
	if err != nil || *out.PolicyText != deny || *out.RegistryId != account || *out.RepositoryName != repo {
		t.Errorf("DeleteRepositoryPolicy = %+v, %v", out, err)
	}

	_, err = s.client.DeleteRegistryPolicy(ctx, &awsecr.DeleteRegistryPolicyInput{})
	wantError(t, "DeleteRegistryPolicy of none", err, "RegistryPolicyNotFoundException", "Registry policy does not exist in the registry with id '000000000042'")
	_, err = s.client.PutRegistryPolicy(ctx, &awsecr.PutRegistryPolicyInput{PolicyText: aws.String(pullPolicy)})
	wantError(t, "a registry's policy without Resource", err, "InvalidParameterException", "'Invalid registry policy provided: statement 1 has no Resource")
	text := strings.Replace(pullPolicy, `"Action"`, `"Resource":"arn:aws:ecr:us-east-1:000000000042:repository/*","Action"`, 1)
	put, err := s.client.PutRegistryPolicy(ctx, &awsecr.PutRegistryPolicyInput{PolicyText: aws.String(text)})
	if err != nil || *put.PolicyText != text || *put.RegistryId != account {
		t.Errorf("PutRegistryPolicy = %+v, %v", put, err)
	}
	got, err := s.client.GetRegistryPolicy(ctx, &awsecr.GetRegistryPolicyInput{})
	if err != nil || *got.PolicyText != text || *got.RegistryId != account {
		t.Errorf("GetRegistryPolicy = %+v, %v", got, err)
	}
	gone, err := s.client.DeleteRegistryPolicy(ctx, &awsecr.DeleteRegistryPolicyInput{})
	if err != nil || *gone.PolicyText != text {
		t.Errorf("DeleteRegistryPolicy = %+v, %v", gone, err)
	}
}

func TestAccountSettings(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct{ name, value string }{{"BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE"}, {"REGISTRY_POLICY_SCOPE", "V2"}, {"BLOB_MOUNTING", "DISABLED"}} {
		put, err := s.client.PutAccountSetting(t.Context(), &awsecr.PutAccountSettingInput{Name: aws.String(c.name), Value: aws.String(c.value)})
		if err != nil || *put.Name != c.name || *put.Value != c.value {
			t.Errorf("PutAccountSetting(%s, %s) = %+v, %v", c.name, c.value, put, err)
		}
		got, err := s.client.GetAccountSetting(t.Context(), &awsecr.GetAccountSettingInput{Name: aws.String(c.name)})
		if err != nil || *got.Name != c.name || *got.Value != c.value {
			t.Errorf("GetAccountSetting(%s) = %+v, %v", c.name, got, err)
		}
	}
	_, err := s.client.GetAccountSetting(t.Context(), &awsecr.GetAccountSettingInput{Name: aws.String("COLOUR")})
	wantError(t, "GetAccountSetting(COLOUR)", err, "ValidationException", "COLOUR")
	_, err = s.client.PutAccountSetting(t.Context(), &awsecr.PutAccountSettingInput{Name: aws.String("REGISTRY_POLICY_SCOPE"), Value: aws.String("V1")})
	wantError(t, "PutAccountSetting(REGISTRY_POLICY_SCOPE, V1)", err, "ValidationException", "'REGISTRY_POLICY_SCOPE' cannot be 'V1', but V2")
}

func scanRule(f types.ScanFrequency, filters ...string) types.RegistryScanningRule {
	r := types.RegistryScanningRule{ScanFrequency: f, RepositoryFilters: []types.ScanningRepositoryFilter{}}
	for _, filter := range filters {
		r.RepositoryFilters = append(r.RepositoryFilters, types.ScanningRepositoryFilter{Filter: aws.String(filter), FilterType: types.ScanningRepositoryFilterTypeWildcard})
	}
	return r
}

func TestRegistryScanningConfiguration(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	rules := []types.RegistryScanningRule{scanRule(types.ScanFrequencyScanOnPush, "*"), scanRule(types.ScanFrequencyContinuousScan, "haus", "none")}
	put, err := s.client.PutRegistryScanningConfiguration(t.Context(), &awsecr.PutRegistryScanningConfigurationInput{ScanType: types.ScanTypeEnhanced, Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	want := &types.RegistryScanningConfiguration{ScanType: types.ScanTypeEnhanced, Rules: rules}
	same := cmpopts.IgnoreUnexported(types.RegistryScanningConfiguration{}, types.RegistryScanningRule{}, types.ScanningRepositoryFilter{}, types.RepositoryScanningConfiguration{})
	if diff := gocmp.Diff(want, put.RegistryScanningConfiguration, same); diff != "" {
		t.Errorf("PutRegistryScanningConfiguration (-want +got):\n%s", diff)
	}
	got, err := s.client.GetRegistryScanningConfiguration(t.Context(), &awsecr.GetRegistryScanningConfigurationInput{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got.ScanningConfiguration, same); diff != "" || *got.RegistryId != account {
		t.Errorf("GetRegistryScanningConfiguration of %s (-want +got):\n%s", *got.RegistryId, diff)
	}
	one, err := s.client.BatchGetRepositoryScanningConfiguration(t.Context(), &awsecr.BatchGetRepositoryScanningConfigurationInput{RepositoryNames: []string{repo, "none"}})
	if err != nil {
		t.Fatal(err)
	}
	wantOne := []types.RepositoryScanningConfiguration{{
		RepositoryArn: aws.String("arn:aws:ecr:us-east-1:000000000042:repository/" + repo), RepositoryName: aws.String(repo),
		ScanFrequency: types.ScanFrequencyContinuousScan, ScanOnPush: true, AppliedScanFilters: rules[1].RepositoryFilters[:1],
	}}
	if diff := gocmp.Diff(wantOne, one.ScanningConfigurations, same); diff != "" {
		t.Errorf("BatchGetRepositoryScanningConfiguration (-want +got):\n%s", diff)
	}
	if len(one.Failures) != 1 || *one.Failures[0].RepositoryName != "none" || one.Failures[0].FailureCode != types.ScanningConfigurationFailureCodeRepositoryNotFound {
		t.Errorf("BatchGetRepositoryScanningConfiguration failed for %+v", one.Failures)
	}
}

func TestScanningConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	tooMany := `{"rules":[{"scanFrequency":"MANUAL","repositoryFilters":[` +
		strings.Repeat(`{"filter":"a","filterType":"WILDCARD"},`, 100) + `{"filter":"a","filterType":"WILDCARD"}]}]}`
	for body, want := range map[string]string{
		`{"scanType":"ODD"}`: `InvalidParameterException`,
		`{"rules":[{"scanFrequency":"CONTINUOUS_SCAN","repositoryFilters":[]}]}`:                              `ValidationException`,
		`{"scanType":"ENHANCED","rules":[{"scanFrequency":"MANUAL","repositoryFilters":[]}]}`:                 `ValidationException`,
		`{"rules":[{"scanFrequency":"DAILY","repositoryFilters":[]}]}`:                                        `rules.1.member.scanFrequency`,
		`{"rules":[{"repositoryFilters":[]}]}`:                                                                `rules.1.member.scanFrequency`,
		`{"rules":[{"scanFrequency":"MANUAL"}]}`:                                                              `rules.1.member.repositoryFilters`,
		`{"rules":[{"scanFrequency":"MANUAL","repositoryFilters":[{"filter":"a"}]}]}`:                         `repositoryFilters.1.member.filterType`,
		`{"rules":[{"scanFrequency":"MANUAL","repositoryFilters":[{"filter":"a","filterType":"PREFIX"}]}]}`:   `repositoryFilters.1.member.filterType`,
		`{"rules":[{"scanFrequency":"MANUAL","repositoryFilters":[{"filterType":"WILDCARD"}]}]}`:              `repositoryFilters.1.member.filter`,
		`{"rules":[{"scanFrequency":"MANUAL","repositoryFilters":[{"filter":"A","filterType":"WILDCARD"}]}]}`: `repositoryFilters.1.member.filter`,
		tooMany: `less than or equal to 100`,
	} {
		if got := s.post(t, s.rootKey, "PutRegistryScanningConfiguration", body); got.status != 400 || !strings.Contains(got.body, want) {
			t.Errorf("PutRegistryScanningConfiguration(%.120s): %d %s, want 400 with %s", body, got.status, got.body, want)
		}
	}
	for names, want := range map[string]string{
		`[]`:        `greater than or equal to 1`,
		`["Upper"]`: `InvalidParameterException`,
		`[` + strings.Repeat(`"aa",`, 25) + `"aa"]`: `less than or equal to 25`,
	} {
		if got := s.post(t, s.rootKey, "BatchGetRepositoryScanningConfiguration", `{"repositoryNames":`+names+`}`); got.status != 400 || !strings.Contains(got.body, want) {
			t.Errorf("BatchGetRepositoryScanningConfiguration(%s): %d %s, want 400 with %s", names, got.status, got.body, want)
		}
	}
}

// TestScanWaiter runs the SDK's own waiter right after a push: it hears of the failure, and not that there is no scan.
func TestScanWaiter(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t, func(in *awsecr.CreateRepositoryInput) {
		in.ImageScanningConfiguration = &types.ImageScanningConfiguration{ScanOnPush: true}
	})
	digest := s.image(t, "img", "v1")
	in := &awsecr.DescribeImageScanFindingsInput{RepositoryName: aws.String(repo), ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}}
	err := awsecr.NewImageScanCompleteWaiter(s.client).Wait(t.Context(), in, 10*time.Second)
	if err == nil || !strings.Contains(err.Error(), "transitioned to Failure") {
		t.Errorf("the waiter says %v, want that the scan failed", err)
	}
	out, err := s.client.DescribeImageScanFindings(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if *out.ImageId.ImageDigest != digest || *out.ImageId.ImageTag != "v1" || out.ImageScanStatus.Status != types.ScanStatusFailed ||
		!strings.Contains(*out.ImageScanStatus.Description, "no scanner") || out.ImageScanFindings != nil {
		t.Errorf("DescribeImageScanFindings = %+v %+v, want a scan that failed for want of a scanner, without findings", out, out.ImageScanStatus)
	}
}

func TestScanErrors(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	digest := s.image(t, "img", "v1")
	list := s.put(t, s.index(digest), "list")
	for _, c := range []struct {
		op, body, code, words string
	}{
		{"DescribeImageScanFindings", `"imageId":{"imageTag":"v1"}`, "ScanNotFoundException", "Image scan does not exist for the image with '{imageDigest:'" + digest + "', imageTag:'v1'}' in the repository with name 'hoopstat-haus/prod' in the registry with id '000000000042'"},
		{"DescribeImageScanFindings", `"imageId":{"imageDigest":"` + digest + `"}`, "ScanNotFoundException", "imageTag:'null'}'"},
		{"DescribeImageScanFindings", `"imageId":{"imageTag":"v9"}`, "ImageNotFoundException", "The image with imageId {imageDigest:'null', imageTag:'v9'} does not exist within the repository"},
		{"DescribeImageScanFindings", `"imageId":{"imageTag":"v1"},"maxResults":1001`, "InvalidParameterException", "maxResults"},
		{"DescribeImageScanFindings", `"imageId":{"imageTag":"v1"},"nextToken":"x"`, "InvalidParameterException", "nextToken"},
		{"StartImageScan", `"imageId":{"imageTag":"v9"}`, "ImageNotFoundException", "imageTag:'v9'"},
		{"StartImageScan", `"imageId":{}`, "InvalidParameterException", "both tag and digest cannot be null"},
		{"StartImageScan", `"imageId":{"imageTag":""}`, "InvalidParameterException", "imageTag"},
		{"StartImageScan", `"imageId":{"imageDigest":"` + list + `"}`, "UnsupportedImageTypeException", "it is an index"},
	} {
		got := s.post(t, s.rootKey, c.op, `{"repositoryName":"hoopstat-haus/prod",`+c.body+`}`)
		if got.status != 400 || !strings.Contains(got.body, `"__type":"`+c.code+`"`) || !strings.Contains(got.body, c.words) {
			t.Errorf("%s(%s): %d %s\nwant 400 %s %s", c.op, c.body, got.status, got.body, c.code, c.words)
		}
	}
	_, err := s.client.PutRegistryScanningConfiguration(t.Context(), &awsecr.PutRegistryScanningConfigurationInput{ScanType: types.ScanTypeEnhanced})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.client.StartImageScan(t.Context(), &awsecr.StartImageScanInput{RepositoryName: aws.String(repo), ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}})
	wantError(t, "StartImageScan while scanning is enhanced", err, "ValidationException", "ENHANCED")
}

func TestPullTimeUpdateExclusions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	s.image(t, "img", "v1")
	arn := "arn:aws:iam::" + account + ":role/ci/scanner"
	out, err := s.client.RegisterPullTimeUpdateExclusion(t.Context(), &awsecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: aws.String(arn)})
	if err != nil || *out.PrincipalArn != arn || out.CreatedAt == nil {
		t.Fatalf("RegisterPullTimeUpdateExclusion = %+v, %v", out, err)
	}
	_, err = s.client.RegisterPullTimeUpdateExclusion(t.Context(), &awsecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: aws.String("arn:aws:iam::" + account + ":root")})
	wantError(t, "excluding root", err, "InvalidParameterException", "principalArn")
	_, err = s.client.DeregisterPullTimeUpdateExclusion(t.Context(), &awsecr.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: aws.String(userARN)})
	wantError(t, "ending an exclusion that is not there", err, "ExclusionNotFoundException", userARN)

	// A session of the role pulls, as docker and this API do; until policies join, only root may.
	session := identity.Caller{Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/scanner/run", Root: true}
	pulled := func() *time.Time {
		t.Helper()
		if _, err := s.registry.Image(t.Context(), session, repo, oci.Reference{Tag: "v1"}); err != nil {
			t.Fatal(err)
		}
		if err := s.registry.FlushPulls(t.Context()); err != nil {
			t.Fatal(err)
		}
		out, err := s.client.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String(repo)})
		if err != nil {
			t.Fatal(err)
		}
		return out.ImageDetails[0].LastRecordedPullTime
	}
	if at := pulled(); at != nil {
		t.Errorf("an excluded role's pull was recorded: %v", at)
	}
	list, err := s.client.ListPullTimeUpdateExclusions(t.Context(), &awsecr.ListPullTimeUpdateExclusionsInput{})
	if err != nil || len(list.PullTimeUpdateExclusions) != 1 || list.PullTimeUpdateExclusions[0] != arn || list.NextToken != nil {
		t.Errorf("ListPullTimeUpdateExclusions = %+v, %v", list, err)
	}
	if _, err := s.client.DeregisterPullTimeUpdateExclusion(t.Context(), &awsecr.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: aws.String(arn)}); err != nil {
		t.Fatal(err)
	}
	if at := pulled(); at == nil {
		t.Error("the role's pull was not recorded once it was excluded no more")
	}
}
