package ecr_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	gocmp "github.com/google/go-cmp/cmp"
)

// keepOne is a lifecycle policy as ECR gives it back.
const keepOne = `{"rules":[{"rulePriority":1,"description":"keep one","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`

func (s *server) putPolicy(tb testing.TB, text string) *awsecr.PutLifecyclePolicyOutput {
	tb.Helper()
	out, err := s.client.PutLifecyclePolicy(tb.Context(), &awsecr.PutLifecyclePolicyInput{RepositoryName: aws.String(repo), LifecyclePolicyText: aws.String(text)})
	if err != nil {
		tb.Fatalf("PutLifecyclePolicy: %v", err)
	}
	return out
}

// work does what the server does in the background.
func (s *server) work(tb testing.TB, do func(context.Context) (bool, error)) {
	tb.Helper()
	for more := true; more; {
		var err error
		if more, err = do(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestLifecyclePolicy(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	get := func() (*awsecr.GetLifecyclePolicyOutput, error) {
		return s.client.GetLifecyclePolicy(t.Context(), &awsecr.GetLifecyclePolicyInput{RepositoryName: aws.String(repo)})
	}
	const none = "Lifecycle policy does not exist for the repository with name 'hoopstat-haus/prod' in the registry with id '000000000042'"
	_, err := get()
	wantError(t, "GetLifecyclePolicy of none", err, "LifecyclePolicyNotFoundException", none)
	_, err = s.client.DeleteLifecyclePolicy(t.Context(), &awsecr.DeleteLifecyclePolicyInput{RepositoryName: aws.String(repo)})
	wantError(t, "DeleteLifecyclePolicy of none", err, "LifecyclePolicyNotFoundException", none)

	spread := strings.NewReplacer(`{`, "{ ", `,`, " ,\n ").Replace(keepOne)
	put := s.putPolicy(t, spread)
	if *put.LifecyclePolicyText != keepOne || *put.RegistryId != account || *put.RepositoryName != repo {
		t.Errorf("PutLifecyclePolicy: %s in %s of %s", *put.LifecyclePolicyText, *put.RepositoryName, *put.RegistryId)
	}
	got, err := get()
	if err != nil || *got.LifecyclePolicyText != keepOne || !got.LastEvaluatedAt.Equal(time.Unix(0, 0)) {
		t.Errorf("GetLifecyclePolicy: %+v (%v), want it evaluated at 0", got, err)
	}
	old := s.image(t, "old", "v1")
	kept := s.image(t, "new", "v2")
	s.work(t, s.policies.ApplyOnce)
	if got, err = get(); err != nil || got.LastEvaluatedAt.Year() != 2026 {
		t.Errorf("GetLifecyclePolicy after an evaluation: %+v (%v)", got, err)
	}
	images, err := s.client.ListImages(t.Context(), &awsecr.ListImagesInput{RepositoryName: aws.String(repo)})
	if err != nil || len(images.ImageIds) != 1 || *images.ImageIds[0].ImageDigest != kept {
		t.Errorf("after the policy there is %+v (%v), want %s without %s", images.ImageIds, err, kept, old)
	}
	gone, err := s.client.DeleteLifecyclePolicy(t.Context(), &awsecr.DeleteLifecyclePolicyInput{RepositoryName: aws.String(repo), RegistryId: aws.String(account)})
	if err != nil || *gone.LifecyclePolicyText != keepOne || !gone.LastEvaluatedAt.Equal(*got.LastEvaluatedAt) {
		t.Errorf("DeleteLifecyclePolicy: %+v (%v)", gone, err)
	}
	_, err = get()
	wantError(t, "GetLifecyclePolicy after DeleteLifecyclePolicy", err, "LifecyclePolicyNotFoundException", none)
}

// TestBerthsOwnLifecycleMembers: what ECR cannot say comes back as it was put, and its misuse is refused in ECR's way.
func TestBerthsOwnLifecycleMembers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	text := `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["*-*"],"countType":"imageCountMoreThan","countNumber":1},` +
		`"action":{"type":"expire"},"berth":{"countPer":{"tagsUpTo":"last","separator":"-"},"countImagesOnly":true}}]}`
	s.putPolicy(t, text)
	got, err := s.client.GetLifecyclePolicy(t.Context(), &awsecr.GetLifecyclePolicyInput{RepositoryName: aws.String(repo)})
	if err != nil || *got.LifecyclePolicyText != text {
		t.Errorf("GetLifecyclePolicy: %+v (%v), want %s", got, err, text)
	}
	_, err = s.client.PutLifecyclePolicy(t.Context(), &awsecr.PutLifecyclePolicyInput{
		RepositoryName: aws.String(repo), LifecyclePolicyText: aws.String(strings.Replace(text, `"tagStatus":"tagged","tagPatternList":["*-*"]`, `"tagStatus":"any"`, 1)),
	})
	wantError(t, "PutLifecyclePolicy", err, "InvalidParameterException", "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: "+
		"'Lifecycle policy validation failure: Must not specify berth.countPer unless tagStatus=TAGGED and countType=imageCountMoreThan.'")
	s.image(t, "a1", "app-a-1")
	b1, a2 := s.image(t, "b1", "app-b-1"), s.image(t, "a2", "app-a-2")
	s.work(t, s.policies.ApplyOnce)
	images, err := s.client.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String(repo)})
	if err != nil || len(images.ImageDetails) != 2 {
		t.Fatalf("after the policy there is %+v (%v), want %s and %s", images, err, b1, a2)
	}
	for _, i := range images.ImageDetails {
		if d := *i.ImageDigest; d != b1 && d != a2 {
			t.Errorf("%s is there, want %s and %s", d, b1, a2)
		}
	}
}

// TestBadLifecyclePolicies: AWS's message each, and the old policy stays.
func TestBadLifecyclePolicies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	s.putPolicy(t, keepOne)
	const frame = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: "
	with := func(old, replaced string) string { return strings.Replace(keepOne, old, replaced, 1) }
	for text, words := range map[string]string{
		"":                                    invalid("lifecyclePolicyText", "Member must have length greater than or equal to 100"),
		keepOne + strings.Repeat(" ", 30_720): invalid("lifecyclePolicyText", "Member must have length less than or equal to 30720"),
		with(`{"rules"`, `"rules"`):           frame + "Could not map policyString into LifecyclePolicy.'",
		with(`"description":"keep one",`, `"description":null,`):             frame + `instance type (null) does not match any allowed primitive type (allowed: ["string"])'`,
		with(`"countNumber":1`, `"countNumber":0`):                           frame + "numeric instance is lower than the required minimum (minimum: 1, found: 0)'",
		with(`"type":"expire"`, `"type":"expire","targetStorageClass":null`): frame + "instance failed to match exactly one schema (matched 0 out of 2)'",
		with(`"tagStatus":"any"`, `"tagStatus":"tagged"`):                    frame + "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.'",
	} {
		_, err := s.client.PutLifecyclePolicy(t.Context(), &awsecr.PutLifecyclePolicyInput{RepositoryName: aws.String(repo), LifecyclePolicyText: aws.String(text)})
		wantError(t, "PutLifecyclePolicy of "+text[:min(len(text), 200)], err, "InvalidParameterException", words)
		_, err = s.client.StartLifecyclePolicyPreview(t.Context(), &awsecr.StartLifecyclePolicyPreviewInput{RepositoryName: aws.String(repo), LifecyclePolicyText: aws.String(text)})
		wantError(t, "StartLifecyclePolicyPreview of "+text[:min(len(text), 200)], err, "InvalidParameterException", words)
	}
	got, err := s.client.GetLifecyclePolicy(t.Context(), &awsecr.GetLifecyclePolicyInput{RepositoryName: aws.String(repo)})
	if err != nil || *got.LifecyclePolicyText != keepOne {
		t.Errorf("the policy is %+v (%v), want the old one", got, err)
	}
}

func (s *server) startPreview(tb testing.TB, text *string) {
	tb.Helper()
	out, err := s.client.StartLifecyclePolicyPreview(tb.Context(), &awsecr.StartLifecyclePolicyPreviewInput{RepositoryName: aws.String(repo), LifecyclePolicyText: text})
	if err != nil {
		tb.Fatalf("StartLifecyclePolicyPreview: %v", err)
	}
	if out.Status != types.LifecyclePolicyPreviewStatusInProgress || *out.RegistryId != account || *out.RepositoryName != repo {
		tb.Errorf("StartLifecyclePolicyPreview: %+v", out)
	}
	if text != nil && *out.LifecyclePolicyText != *text {
		tb.Errorf("StartLifecyclePolicyPreview echoes %q, want %q", *out.LifecyclePolicyText, *text)
	}
}

func TestLifecyclePolicyPreview(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	get := func(change func(*awsecr.GetLifecyclePolicyPreviewInput)) (*awsecr.GetLifecyclePolicyPreviewOutput, error) {
		in := &awsecr.GetLifecyclePolicyPreviewInput{RepositoryName: aws.String(repo)}
		change(in)
		return s.client.GetLifecyclePolicyPreview(t.Context(), in)
	}
	all := func(*awsecr.GetLifecyclePolicyPreviewInput) {}
	_, err := get(all)
	wantError(t, "GetLifecyclePolicyPreview of none", err, "LifecyclePolicyPreviewNotFoundException", "Lifecycle policy preview does not exist")
	_, err = s.client.StartLifecyclePolicyPreview(t.Context(), &awsecr.StartLifecyclePolicyPreviewInput{RepositoryName: aws.String(repo)})
	wantError(t, "StartLifecyclePolicyPreview without a policy", err, "LifecyclePolicyNotFoundException", "Lifecycle policy does not exist")

	s.putPolicy(t, keepOne)
	tagged, untagged := s.image(t, "one", "v1"), s.image(t, "two", "")
	s.image(t, "three", "v3")
	s.startPreview(t, nil)
	_, err = s.client.StartLifecyclePolicyPreview(t.Context(), &awsecr.StartLifecyclePolicyPreviewInput{RepositoryName: aws.String(repo)})
	wantError(t, "StartLifecyclePolicyPreview again", err, "LifecyclePolicyPreviewInProgressException", "in progress")
	out, err := get(all)
	if err != nil || out.Status != types.LifecyclePolicyPreviewStatusInProgress || out.PreviewResults == nil || out.Summary != nil {
		t.Errorf("GetLifecyclePolicyPreview in progress: %+v (%v)", out, err)
	}
	s.work(t, s.policies.PreviewOnce)
	waiter := awsecr.NewLifecyclePolicyPreviewCompleteWaiter(s.client)
	if err := waiter.Wait(t.Context(), &awsecr.GetLifecyclePolicyPreviewInput{RepositoryName: aws.String(repo)}, time.Minute); err != nil {
		t.Errorf("the SDK's waiter: %v", err)
	}
	out, err = get(all)
	if err != nil || len(out.PreviewResults) != 2 || *out.Summary.ExpiringImageTotalCount != 2 || out.Summary.TransitioningImageTotalCounts != nil || out.NextToken != nil {
		t.Fatalf("GetLifecyclePolicyPreview: %+v (%v)", out, err)
	}
	first := out.PreviewResults[0]
	if *first.ImageDigest != tagged || !slices.Equal(first.ImageTags, []string{"v1"}) || *first.AppliedRulePriority != 1 || first.ImagePushedAt.Year() != 2026 ||
		first.Action.Type != types.ImageActionTypeExpire || first.Action.TargetStorageClass != "" || first.StorageClass != types.LifecyclePolicyStorageClassStandard {
		t.Errorf("the first result is %+v", first)
	}
	for what, c := range map[string]struct {
		change func(*awsecr.GetLifecyclePolicyPreviewInput)
		want   []string
	}{
		"tagged": {func(in *awsecr.GetLifecyclePolicyPreviewInput) {
			in.Filter = &types.LifecyclePolicyPreviewFilter{TagStatus: types.TagStatusTagged}
		}, []string{tagged}},
		"untagged": {func(in *awsecr.GetLifecyclePolicyPreviewInput) {
			in.Filter = &types.LifecyclePolicyPreviewFilter{TagStatus: types.TagStatusUntagged}
		}, []string{untagged}},
		"ids": {func(in *awsecr.GetLifecyclePolicyPreviewInput) {
			in.ImageIds = []types.ImageIdentifier{{ImageDigest: aws.String(untagged)}, {ImageTag: aws.String("v3")}}
		}, []string{untagged}},
		"the first page": {func(in *awsecr.GetLifecyclePolicyPreviewInput) { in.MaxResults = aws.Int32(1) }, []string{tagged}},
	} {
		out, err := get(c.change)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		got := []string{}
		for _, r := range out.PreviewResults {
			got = append(got, *r.ImageDigest)
		}
		if diff := gocmp.Diff(c.want, got); diff != "" || *out.Summary.ExpiringImageTotalCount != 2 {
			t.Errorf("%s (-want +got):\n%s\nsummary %+v", what, diff, out.Summary)
		}
	}
	ids := []types.ImageIdentifier{{ImageTag: aws.String("v1")}}
	for what, c := range map[string]struct {
		change func(*awsecr.GetLifecyclePolicyPreviewInput)
		words  string
	}{
		"ids and maxResults": {func(in *awsecr.GetLifecyclePolicyPreviewInput) { in.ImageIds, in.MaxResults = ids, aws.Int32(1) }, "maxResults"},
		"ids and nextToken":  {func(in *awsecr.GetLifecyclePolicyPreviewInput) { in.ImageIds, in.NextToken = ids, aws.String("x") }, "nextToken"},
		"101 results":        {func(in *awsecr.GetLifecyclePolicyPreviewInput) { in.MaxResults = aws.Int32(101) }, invalid("maxResults", "Member must have value less than or equal to 100")},
		"no results":         {func(in *awsecr.GetLifecyclePolicyPreviewInput) { in.MaxResults = aws.Int32(0) }, "maxResults"},
		"another token":      {func(in *awsecr.GetLifecyclePolicyPreviewInput) { in.NextToken = aws.String("x") }, "nextToken"},
		"no ids":             {func(in *awsecr.GetLifecyclePolicyPreviewInput) { in.ImageIds = []types.ImageIdentifier{} }, "imageIds"},
		"101 ids":            {func(in *awsecr.GetLifecyclePolicyPreviewInput) { in.ImageIds = slices.Repeat(ids, 101) }, "imageIds"},
		"another tag status": {func(in *awsecr.GetLifecyclePolicyPreviewInput) {
			in.Filter = &types.LifecyclePolicyPreviewFilter{TagStatus: "SOME"}
		}, "tagStatus"},
	} {
		_, err := get(c.change)
		wantError(t, what, err, "InvalidParameterException", c.words)
	}
}

// TestLifecyclePreviewPaginator: the SDK walks through the pages, and each image comes once.
func TestLifecyclePreviewPaginator(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	var want []string
	for i := range 7 {
		want = append(want, s.image(t, fmt.Sprint(i), ""))
	}
	s.startPreview(t, aws.String(keepOne))
	s.work(t, s.policies.PreviewOnce)
	pages := awsecr.NewGetLifecyclePolicyPreviewPaginator(s.client, &awsecr.GetLifecyclePolicyPreviewInput{RepositoryName: aws.String(repo), MaxResults: aws.Int32(2)})
	var got []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.PreviewResults {
			got = append(got, *r.ImageDigest)
		}
	}
	if diff := gocmp.Diff(want[:6], got); diff != "" {
		t.Errorf("the pages (-want +got):\n%s", diff)
	}
}

// TestCLIWaitsForAPreview is the guide's way to look before deleting.
func TestCLIWaitsForAPreview(t *testing.T) {
	s := newServer(t)
	aws := newCLI(t, s)
	s.create(t)
	s.image(t, "one", "v1")
	s.image(t, "two", "v2")
	aws.ok(t, "ecr", "put-lifecycle-policy", "--repository-name", repo, "--lifecycle-policy-text", keepOne)
	aws.ok(t, "ecr", "start-lifecycle-policy-preview", "--repository-name", repo)
	s.work(t, s.policies.PreviewOnce)
	aws.ok(t, "ecr", "wait", "lifecycle-policy-preview-complete", "--repository-name", repo)
	if out := aws.ok(t, "ecr", "get-lifecycle-policy-preview", "--repository-name", repo, "--query", "previewResults[].[imageTags[0],action.type]", "--output", "text"); strings.TrimSpace(out) != "v1\tEXPIRE" {
		t.Errorf("get-lifecycle-policy-preview printed %q", out)
	}
}

var pushTime = regexp.MustCompile(`("imagePushedAt"):1[0-9]{9}\.25`)

// TestLifecycleWire holds the bytes of answers, as TestWire does.
func TestLifecycleWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	s.image(t, "one", "v1")
	s.image(t, "two", "")
	s.image(t, "three", "v3")
	const named = `"repositoryName":"hoopstat-haus/prod"`
	for _, step := range []struct{ name, op, body string }{
		{"get-lifecycle-policy-none", "GetLifecyclePolicy", `{` + named + `}`},
		{"put-lifecycle-policy-bad", "PutLifecyclePolicy", `{` + named + `,"lifecyclePolicyText":` + strconv.Quote(strings.Replace(keepOne, `"any"`, `null`, 1)) + `}`},
		{"put-lifecycle-policy", "PutLifecyclePolicy", `{` + named + `,"lifecyclePolicyText":` + strconv.Quote("\n"+keepOne) + `}`},
		{"get-lifecycle-policy", "GetLifecyclePolicy", `{` + named + `}`},
		{"start-lifecycle-policy-preview", "StartLifecyclePolicyPreview", `{` + named + `}`},
		{"start-lifecycle-policy-preview-again", "StartLifecyclePolicyPreview", `{` + named + `}`},
		{"get-lifecycle-policy-preview-in-progress", "GetLifecyclePolicyPreview", `{` + named + `}`},
		{"", "work", ""},
		{"get-lifecycle-policy-preview", "GetLifecyclePolicyPreview", `{` + named + `}`},
		{"delete-lifecycle-policy", "DeleteLifecyclePolicy", `{` + named + `}`},
	} {
		if step.op == "work" {
			s.work(t, s.policies.PreviewOnce)
			continue
		}
		got := s.post(t, s.rootKey, step.op, step.body)
		body := pushTime.ReplaceAllString(got.body, "$1:0.25") // the clock goes on each time that something looks
		golden(t, step.name, fmt.Sprintf("%s %s\n\n%d\nX-Amzn-Errortype: %s\n\n%s\n\nThe same, indented:\n%s\n",
			step.op, step.body, got.status, got.header.Get("X-Amzn-Errortype"), body, indented(t, body)))
	}
}
