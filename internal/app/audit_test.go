package app_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/storage/journal"
)

// audited reads the log's records as they are in the files.
func audited(t *testing.T, data string) []audit.Record {
	t.Helper()
	dir := journal.Directory(filepath.Join(data, "audit"))
	logs, err := dir.Logs()
	if err != nil {
		t.Fatal(err)
	}
	var records []audit.Record
	for _, log := range logs {
		for item, err := range dir.Records(log) {
			if err != nil {
				t.Fatal(err)
			}
			r, err := audit.Decode([]byte(string(item.Line)))
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, r)
		}
	}
	return records
}

// since gives a line for each record after the first n: who did what to what, how it came out, and what was pulled.
func since(t *testing.T, data string, n int) []string {
	t.Helper()
	var lines []string
	for _, r := range audited(t, data)[n:] {
		line := fmt.Sprintf("%s %s:%s", r.Principal[strings.LastIndexAny(r.Principal, ":/")+1:], r.Service(), r.Operation)
		if r.Repository != "" {
			line += " " + r.Repository
		}
		for _, id := range r.Images {
			line += " " + strings.TrimPrefix(string(id.Digest), "sha256:")[:min(4, max(0, len(id.Digest)-7))] + ":" + id.Tag
		}
		if r.Fault != "" {
			line += " " + r.Fault
		}
		if len(r.Pulled) > 0 {
			line += fmt.Sprintf(" pulled %d", len(r.Pulled))
		}
		lines = append(lines, line)
	}
	return lines
}

// TestWhoDidWhatIsLogged does what people do, and reads what each request has left by the time of its answer.
func TestWhoDidWhatIsLogged(t *testing.T) {
	t.Parallel()
	all, file := issuers(t, "https://github.example.com")
	github := all[0]
	c := newCastle(t, "config="+file)
	ctx := t.Context()
	manifest, layer := c.repository("team/app", "a layer")
	m := manifest[7:11]
	c.must(c.iam().CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: &github.url, ClientIDList: []string{"sts.amazonaws.com"}, ThumbprintList: []string{strings.Repeat("a", 40)},
	}))
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":` +
		`"arn:aws:iam::123456789012:oidc-provider/github.example.com"},"Condition":{"StringLike":{"github.example.com:sub":"repo:org/app:*"}}}]}`
	c.must(c.iam().CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("deploy"), AssumeRolePolicyDocument: &trust}))
	may := `{"Version":"2012-10-17","Statement":[{"Sid":"Pull","Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"*"},
		{"Sid":"NoDelete","Effect":"Deny","Action":"ecr:BatchDeleteImage","Resource":"*"}]}`
	c.must(c.iam().PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("deploy"), PolicyName: aws.String("may"), PolicyDocument: &may}))

	before := len(audited(t, c.data))
	token := github.token(t, nil)
	out, err := c.stsAs(aws.Credentials{}).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String("arn:aws:iam::123456789012:role/deploy"), RoleSessionName: aws.String("run-7"), WebIdentityToken: &token,
	})
	if err != nil {
		t.Fatal(err)
	}
	job := sessionOf(out.Credentials)
	password := c.password(job)
	docker := func(password, method, path string, want int) {
		t.Helper()
		if status, _, answer := c.docker(password, method, path, ""); status != want {
			t.Fatalf("%s %s: %d %s", method, path, status, answer)
		}
	}
	docker("", http.MethodGet, "/v2/", 401) // a challenge: nothing was asked for yet
	docker("", http.MethodGet, "/healthz", 200)
	docker("wrong", http.MethodGet, "/v2/", 401)
	docker(password, http.MethodGet, "/v2/", 200)
	docker(password, http.MethodHead, "/v2/team/app/manifests/v1", 200)
	docker(password, http.MethodGet, "/v2/team/app/manifests/v1", 200)
	docker(password, http.MethodGet, "/v2/team/app/manifests/"+manifest, 200)
	docker(password, http.MethodGet, "/v2/team/app/blobs/"+layer, 200)
	docker(password, http.MethodGet, "/v2/team/app/manifests/none", 404)
	docker(password, http.MethodDelete, "/v2/team/app/manifests/v1", 403)
	docker(password, http.MethodGet, "/v2/team/app/tags/list", 403)
	docker(password, http.MethodGet, "/v2/token", 200)
	docker(password, http.MethodGet, "/v2/nonsense", 404)
	client := c.ecrAs(job)
	_, err = client.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: aws.String("team/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}})
	c.must(nil, err)
	_, err = client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("team/app")})
	c.refused("DescribeImages", err, "AccessDenied")
	wrong := job
	wrong.SecretAccessKey += "x"
	_, err = c.ecrAs(wrong).DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("team/app")})
	c.refused("a wrong secret", err, "InvalidSignature")
	_, err = c.ecrAs(c.root).PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("team/app"), ImageManifest: aws.String("no")})
	c.refused("PutImage", err, "InvalidParameter")

	want := []string{
		"anonymous sts:AssumeRoleWithWebIdentity",
		"deploy ecr:GetAuthorizationToken",
		"anonymous berth:Login TokenInvalidException",
		"deploy berth:Login",
		"deploy ecr:BatchGetImage team/app " + m + ":v1",
		"deploy ecr:BatchGetImage team/app " + m + ":v1 pulled 1",
		"deploy ecr:BatchGetImage team/app " + m + ": pulled 1",
		"deploy ecr:GetDownloadUrlForLayer team/app",
		"deploy ecr:BatchGetImage team/app :none ImageNotFoundException",
		"deploy ecr:BatchDeleteImage team/app :v1 AccessDeniedException",
		"deploy ecr:ListImages team/app AccessDeniedException",
		"deploy ecr:GetAuthorizationToken",
		"deploy ecr:BatchGetImage team/app " + m + ":v1 pulled 1",
		"deploy ecr:DescribeImages team/app AccessDeniedException",
		"anonymous ecr:DescribeImages InvalidSignatureException",
		"root ecr:PutImage team/app InvalidParameterException",
	}
	if diff := cmp.Diff(want, since(t, c.data, before)); diff != "" {
		t.Fatalf("the log (-want +got):\n%s", diff)
	}
	const subject = "repo:org/app:ref:refs/heads/main"
	records := audited(t, c.data)[before:]
	pull, deletion, listing, begun := records[5], records[9], records[10], records[0]
	if begun.Subject != subject || begun.UserName != subject || !strings.Contains(string(begun.Line), `"type":"WebIdentityUser"`) {
		t.Errorf("the session began with %s", begun.Line)
	}
	if pull.Subject != subject || pull.ARN != "arn:aws:sts::123456789012:assumed-role/deploy/run-7" || pull.AccessKeyID != job.AccessKeyID ||
		!strings.HasSuffix(pull.Provider, "oidc-provider/github.example.com") || pull.Address != "127.0.0.1" || pull.Status != 200 || pull.BytesOut < 100 {
		t.Errorf("the pull is %s", pull.Line)
	}
	for what, got := range map[string][2]string{
		"the pull":     {pull.DecidedBy, "statement 1 (Pull) of the identity-based policy the inline policy may of role deploy"},
		"the deletion": {deletion.DecidedBy, "Statement 2 (NoDelete)"},
		"the listing":  {listing.DecidedBy, "No identity-based policy allows ecr:ListImages"},
	} {
		if !strings.Contains(got[0], got[1]) {
			t.Errorf("%s was decided by %q, want %q", what, got[0], got[1])
		}
	}
	for _, r := range records {
		if strings.Contains(string(r.Line), token) || strings.Contains(string(r.Line), job.SecretAccessKey) || strings.Contains(string(r.Line), password) {
			t.Errorf("the log has a secret: %s", r.Line)
		}
	}
}
