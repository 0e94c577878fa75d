package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// TestMayOnlyLogIn has a user who may fetch a password, and with it do nothing but be told that it holds.
func TestMayOnlyLogIn(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	manifest, layer := c.repository("team/app", "what is not for everybody")
	password := c.password(c.user("guest", allowing("ecr:GetAuthorizationToken", "*")))
	if status, _, answer := c.docker(password, http.MethodGet, "/v2/", ""); status != http.StatusOK {
		t.Fatalf("the password does not hold: %d %s", status, answer)
	}
	const upload = "0f8fad5b-d9cb-469f-a165-70867728950e"
	for _, tt := range [][2]string{
		{"GET", "/v2/_catalog"},
		{"GET", "/v2/team/app/tags/list"},
		{"GET", "/v2/team/app/referrers/" + manifest},
		{"GET", "/v2/team/app/manifests/v1"},
		{"HEAD", "/v2/team/app/manifests/" + manifest},
		{"PUT", "/v2/team/app/manifests/v2"},
		{"DELETE", "/v2/team/app/manifests/" + manifest},
		{"DELETE", "/v2/team/app/manifests/v1"},
		{"GET", "/v2/team/app/blobs/" + layer},
		{"HEAD", "/v2/team/app/blobs/" + layer},
		{"DELETE", "/v2/team/app/blobs/" + layer},
		{"POST", "/v2/team/app/blobs/uploads/"},
		{"POST", "/v2/team/app/blobs/uploads/?digest=" + layer},
		{"POST", "/v2/mine/blobs/uploads/?mount=" + layer + "&from=team/app"},
		{"POST", "/v2/mine/blobs/uploads/?mount=" + layer},
		{"GET", "/v2/team/app/blobs/uploads/" + upload},
		{"PATCH", "/v2/team/app/blobs/uploads/" + upload},
		{"PUT", "/v2/team/app/blobs/uploads/" + upload + "?digest=" + layer},
		{"DELETE", "/v2/team/app/blobs/uploads/" + upload},
	} {
		if status, _, answer := c.docker(password, tt[0], tt[1], "x"); status != http.StatusForbidden {
			t.Errorf("%s %s: %d %s, want 403", tt[0], tt[1], status, answer)
		}
	}
}

// TestALayerOfAnotherTeams has two teams with a repository each. One knows the digest of the other's layer, and gets at it
// in no way; its own answers do not tell whether there is such a layer.
func TestALayerOfAnotherTeams(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	_, layer := c.repository("theirs/app", "the other team's secret")
	c.repository("ours/app", "ours")
	never := digestOf("what nobody ever pushed")
	key := c.user("us", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"},`+
		`{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:us-east-1:123456789012:repository/ours/*"}]}`)
	password := c.password(key)
	for name, path := range map[string]string{
		"by its path":                "GET /v2/theirs/app/blobs/%s",
		"in a repository of our own": "GET /v2/ours/app/blobs/%s",
		"whether it is there":        "HEAD /v2/ours/app/blobs/%s",
		"mounted":                    "POST /v2/ours/app/blobs/uploads/?mount=%s&from=theirs/app",
		"mounted from anywhere":      "POST /v2/ours/app/blobs/uploads/?mount=%s",
		"mounted into a new one":     "POST /v2/ours/new/blobs/uploads/?mount=%s&from=theirs/app",
	} {
		method, path, _ := strings.Cut(path, " ")
		ask := func(digest string) (int, string) {
			status, _, answer := c.docker(password, method, fmt.Sprintf(path, digest), "")
			return status, strings.ReplaceAll(answer, digest, "DIGEST")
		}
		status, answer := ask(layer)
		none, silence := ask(never)
		if status != none || answer != silence {
			t.Errorf("%s: there is one: %d %s; there is none: %d %s", name, status, answer, none, silence)
		}
		if status < 400 && status != http.StatusAccepted { // 202 begins an upload: bring it yourself
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	image := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
		digestOf("{}") + `","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + layer + `","size":23}]}`
	_, err := c.ecrAs(key).PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: aws.String("ours/app"), ImageManifest: &image, ImageTag: aws.String("v2")})
	c.refused("an image that names it", err, "LayersNotFound")
	_, err = c.ecrAs(key).GetDownloadUrlForLayer(t.Context(), &ecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String("ours/app"), LayerDigest: &layer})
	c.refused("a link to it in ours", err, "LayersNotFound")
	link, err := c.ecrAs(c.root).GetDownloadUrlForLayer(t.Context(), &ecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String("theirs/app"), LayerDigest: &layer})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := c.get(t, *link.DownloadUrl); status != http.StatusOK || body != "the other team's secret" {
		t.Fatalf("a link that the other team made: %d %s", status, body)
	}
	// The link of our own layer is signed for its path alone.
	ours := digestOf("ours")
	own, err := c.ecrAs(key).GetDownloadUrlForLayer(t.Context(), &ecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String("ours/app"), LayerDigest: &ours})
	if err != nil {
		t.Fatal(err)
	}
	for _, bent := range []string{
		strings.Replace(*own.DownloadUrl, "ours/app/blobs/"+ours, "theirs/app/blobs/"+layer, 1),
		strings.Replace(*own.DownloadUrl, ours, layer, 1),
		strings.Replace(*own.DownloadUrl, "/v2/ours/app", "/v2/ours/app/../../theirs/app", 1),
		strings.Replace(*own.DownloadUrl, "/v2/ours/app", "/v2/ours/app%2F..%2F..%2Ftheirs/app", 1),
	} {
		if status, body := c.get(t, bent); status < 400 || status >= 500 {
			t.Errorf("%s: %d %s", bent, status, body)
		}
	}
}

// TestWhoMayALittleGetsNoMore has callers with one power over accounts each, who use it for what it is not for.
func TestWhoMayALittleGetsNoMore(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	ctx := t.Context()
	c.user("admin", allowing("*", "*"))
	admin := aws.String("admin")
	eve := aws.String("eve")
	key := c.iamAs(c.user("eve", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:CreateAccessKey","iam:ListAccessKeys","iam:DeleteAccessKey","iam:GetUser"],`+
		`"Resource":"arn:aws:iam::123456789012:user/${aws:username}"}]}`))
	if _, err := key.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: eve}); err != nil {
		t.Fatalf("a key of her own: %v", err)
	}
	everything := allowing("*", "*")
	for what, try := range map[string]func() (any, error){
		"a key of another's": func() (any, error) { return key.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: admin}) },
		"a key of another's, the name in capitals": func() (any, error) {
			return key.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("ADMIN")})
		},
		"a key of nobody's": func() (any, error) {
			return key.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("nobody")})
		},
		"another's keys": func() (any, error) { return key.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: admin}) },
		"a policy for herself": func() (any, error) {
			return key.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: eve, PolicyName: aws.String("p"), PolicyDocument: &everything})
		},
		"a managed policy for herself": func() (any, error) {
			return key.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: eve, PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryFullAccess")})
		},
		"another's name": func() (any, error) {
			return key.UpdateUser(ctx, &iam.UpdateUserInput{UserName: eve, NewUserName: aws.String("admin2")})
		},
		"a role that trusts her": func() (any, error) {
			return key.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("hers"), AssumeRolePolicyDocument: aws.String(aTrust)})
		},
		"a wildcard for a name": func() (any, error) {
			return key.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("e*")})
		},
	} {
		_, err := try()
		if what == "a wildcard for a name" && err != nil {
			continue // no name at all
		}
		c.refused(what, err, "AccessDenied")
	}
	// Somebody's own key, deleted by naming a user who may be named.
	adminKeys, err := c.iam().ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: admin})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = key.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: eve, AccessKeyId: adminKeys.AccessKeyMetadata[0].AccessKeyId}); err == nil {
		t.Error("another's key is deleted by saying that it is one's own")
	}
	if left, err := c.iam().ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: admin}); err != nil || len(left.AccessKeyMetadata) != 1 {
		t.Errorf("the other has the keys %+v, %v", left, err)
	}
}

// TestALimitedSessionStaysLimited begins sessions with less than their role or user has, and tries to get the rest.
func TestALimitedSessionStaysLimited(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	c.repository("team/app", "a layer")
	ctx := t.Context()
	role := c.role("deploy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:*","iam:*","sts:*"],"Resource":"*"}]}`)
	sam := c.user("sam", allowing("sts:AssumeRole", role))
	limited := c.assume(sam, role, func(in *sts.AssumeRoleInput) { in.Policy = aws.String(allowing("ecr:DescribeRepositories", "*")) })
	listed := func(key aws.Credentials) error {
		_, err := c.ecrAs(key).ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("team/app")})
		return err
	}
	if _, err := c.ecrAs(limited).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{}); err != nil {
		t.Fatalf("what the session may: %v", err)
	}
	c.refused("what its role may", listed(limited), "AccessDenied")
	_, err := c.stsAs(limited).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("again")})
	c.refused("its own role once more", err, "AccessDenied")
	_, err = c.stsAs(limited).GetSessionToken(ctx, &sts.GetSessionTokenInput{})
	c.refused("GetSessionToken by a session", err, "AccessDenied")
	_, err = c.ecrAs(limited).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	c.refused("a password", err, "AccessDenied")
	_, err = c.iamAs(limited).UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("deploy"), PolicyDocument: aws.String(aTrust)})
	c.refused("its role's trust", err, "AccessDenied")

	// What a password stands for is the session and its limits.
	logins := c.assume(sam, role, func(in *sts.AssumeRoleInput) { in.Policy = aws.String(allowing("ecr:GetAuthorizationToken", "*")) })
	if status, _, answer := c.docker(c.password(logins), http.MethodGet, "/v2/team/app/tags/list", ""); status != http.StatusForbidden {
		t.Errorf("a limited session's password lists tags: %d %s", status, answer)
	}

	// A managed policy that limits a session and is deleted limits it still.
	policy, err := c.iam().CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("limit"), PolicyDocument: aws.String(allowing("ecr:DescribeRepositories", "*"))})
	if err != nil {
		t.Fatal(err)
	}
	managed := c.assume(sam, role, func(in *sts.AssumeRoleInput) { in.PolicyArns = append(in.PolicyArns, descriptor(*policy.Policy.Arn)) })
	c.must(c.iam().DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: policy.Policy.Arn}))
	c.refused("what its role may, without the policy that limited it", listed(managed), "AccessDenied")

	// A session of a user may not make itself lasting keys, nor a session that lasts longer.
	out, err := c.stsAs(c.user("ada", allowing("*", "*"))).GetSessionToken(ctx, &sts.GetSessionTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	user := sessionOf(out.Credentials)
	if err := listed(user); err != nil {
		t.Fatalf("what the user's session may: %v", err)
	}
	_, err = c.iamAs(user).CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("ada")})
	c.refused("a lasting key by a user's session", err, "AccessDenied")
	_, err = c.stsAs(user).GetSessionToken(ctx, &sts.GetSessionTokenInput{})
	c.refused("a session by a user's session", err, "AccessDenied")
}
