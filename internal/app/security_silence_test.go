package app_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

var requestIDs = regexp.MustCompile(`[0-9a-f]{32}`)

// TestRefusalsDoNotTellWhatThereIs asks for what there is and for what there is not, by callers who may not know. But for the
// name that they gave themselves, the answers are the same.
func TestRefusalsDoNotTellWhatThereIs(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	ctx := t.Context()
	manifest, layer := c.repository("team/here", "a layer")
	key := c.user("here", allowing("*", "*"))
	c.role("here", allowing("*", "*"))
	c.must(c.iam().CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("here")}))
	c.must(c.iam().CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("here"), PolicyDocument: aws.String(allowing("*", "*"))}))
	c.must(c.iam().CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: aws.String("https://here.example.com"), ClientIDList: []string{"a"}, ThumbprintList: []string{strings.Repeat("a", 40)},
	}))
	upload := func() string {
		_, header, _ := c.docker(c.password(c.root), http.MethodPost, "/v2/team/here/blobs/uploads/", "")
		return header.Get("Docker-Upload-Uuid")
	}()
	nobody, session := c.user("nobody", ""), c.assume(c.user("sam", allowing("sts:AssumeRole", "arn:aws:iam::123456789012:role/idle")), c.role("idle", allowing("s3:*", "*")))
	guest := c.password(c.user("guest", allowing("ecr:GetAuthorizationToken", "*")))

	// What there is, and what there is not in its place.
	const none = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	gone := strings.NewReplacer("here", "gone", manifest, none, layer, none, key.AccessKeyID, "AKIAAAAAAAAAAAAAAAAA", upload, "0f8fad5b-d9cb-469f-a165-70867728950e")
	alike := strings.NewReplacer("here", "NAME", "gone", "NAME", manifest, "DIGEST", layer, "DIGEST", none, "DIGEST",
		key.AccessKeyID, "KEY", "AKIAAAAAAAAAAAAAAAAA", "KEY", upload, "UPLOAD", "0f8fad5b-d9cb-469f-a165-70867728950e", "UPLOAD")
	same := func(what string, ask func(name func(string) string) (int, http.Header, string)) {
		t.Helper()
		status, header, answer := ask(func(s string) string { return s })
		other, otherHeader, silence := ask(gone.Replace)
		say := func(s string) string { return requestIDs.ReplaceAllString(alike.Replace(s), "ID") }
		if status < 400 || status >= 500 {
			t.Errorf("%s: %d %s: this caller is not to have it", what, status, answer)
		}
		if status != other || say(answer) != say(silence) {
			t.Errorf("%s:\nthere is one:  %d %s\nthere is none: %d %s", what, status, answer, other, silence)
		}
		for name := range header {
			got, want := say(header.Get(name)), say(otherHeader.Get(name))
			switch name {
			case "Content-Length", "Date", "X-Amzn-Requestid":
			case "X-Berth-Authorization-Message": // sealed: its length is all that it tells
				if len(got) != len(want) || len(got) == 0 {
					t.Errorf("%s: the sealed message has %d bytes where there is one and %d where there is none", what, len(got), len(want))
				}
			default:
				if got != want {
					t.Errorf("%s: the header %s is %q where there is one and %q where there is none", what, name, got, want)
				}
			}
		}
	}
	for who, key := range map[string]aws.Credentials{"a user": nobody, "a session": session, "a stranger": {}} {
		for _, call := range [][2]string{
			{ecrTarget + "DescribeRepositories", `{"repositoryNames":["team/here"]}`},
			{ecrTarget + "DescribeImages", `{"repositoryName":"team/here","imageIds":[{"imageTag":"v1"}]}`},
			{ecrTarget + "BatchGetImage", `{"repositoryName":"team/here","imageIds":[{"imageDigest":"` + manifest + `"}]}`},
			{ecrTarget + "CreateRepository", `{"repositoryName":"team/here"}`},
			{ecrTarget + "DeleteRepository", `{"repositoryName":"team/here","force":true}`},
			{ecrTarget + "GetDownloadUrlForLayer", `{"repositoryName":"team/here","layerDigest":"` + layer + `"}`},
			{ecrTarget + "BatchCheckLayerAvailability", `{"repositoryName":"team/here","layerDigests":["` + layer + `"]}`},
			{ecrTarget + "GetRepositoryPolicy", `{"repositoryName":"team/here"}`},
			{ecrTarget + "CompleteLayerUpload", `{"repositoryName":"team/here","uploadId":"` + upload + `","layerDigests":["` + layer + `"]}`},
			{ecrTarget + "ListTagsForResource", `{"resourceArn":"arn:aws:ecr:us-east-1:123456789012:repository/team/here"}`},
			{berthTarget + "ListTagHistory", `{"repositoryName":"team/here","imageTag":"v1"}`},
			{berthTarget + "ListTrash", `{"repositoryName":"team/here"}`},
			{berthTarget + "RestoreImages", `{"repositoryName":"team/here","imageIds":[{"imageTag":"v1"}]}`},
			{berthTarget + "PurgeImages", `{"repositoryName":"team/here","imageDigests":["` + manifest + `"]}`},
			{berthTarget + "GetTrashUsage", `{"repositoryName":"team/here"}`},
			{berthTarget + "GetUsage", `{"repositoryName":"team/here","startTime":1700000000}`},
		} {
			same(who+": "+call[0], func(name func(string) string) (int, http.Header, string) { return c.call(key, call[0], name(call[1])) })
		}
		for _, form := range [][]string{
			{"iam", "GetUser", "UserName", "here"},
			{"iam", "DeleteUser", "UserName", "here"},
			{"iam", "CreateUser", "UserName", "here"},
			{"iam", "ListAccessKeys", "UserName", "here"},
			{"iam", "ListGroupsForUser", "UserName", "here"},
			{"iam", "GetUserPolicy", "UserName", "here", "PolicyName", "may"},
			{"iam", "GetRole", "RoleName", "here"},
			{"iam", "ListRolePolicies", "RoleName", "here"},
			{"iam", "GetGroup", "GroupName", "here"},
			{"iam", "GetPolicy", "PolicyArn", "arn:aws:iam::123456789012:policy/here"},
			{"iam", "GetOpenIDConnectProvider", "OpenIDConnectProviderArn", "arn:aws:iam::123456789012:oidc-provider/here.example.com"},
			{"iam", "GetAccessKeyLastUsed", "AccessKeyId", key.AccessKeyID + "x"},
			{"sts", "GetAccessKeyInfo", "AccessKeyId", key.AccessKeyID},
			{"sts", "AssumeRole", "RoleArn", "arn:aws:iam::123456789012:role/here", "RoleSessionName", "session"},
			{"sts", "AssumeRoleWithWebIdentity", "RoleArn", "arn:aws:iam::123456789012:role/here", "RoleSessionName", "session", "WebIdentityToken", "e30.e30.e30"},
		} {
			same(who+": "+form[0]+":"+form[1], func(name func(string) string) (int, http.Header, string) {
				members := []string{}
				for i, word := range form[2:] {
					if i%2 == 1 {
						word = name(word)
					}
					members = append(members, word)
				}
				return c.form(key, form[0], form[1], members...)
			})
		}
	}
	docker := func(who string, send func(method, path string) (int, http.Header, string)) {
		for _, path := range []string{
			"GET /v2/team/here/tags/list", "GET /v2/team/here/manifests/v1", "HEAD /v2/team/here/manifests/" + manifest, "GET /v2/team/here/blobs/" + layer,
			"POST /v2/team/here/blobs/uploads/", "GET /v2/team/here/blobs/uploads/" + upload, "DELETE /v2/team/here/manifests/v1",
			"GET /v2/team/here/referrers/" + manifest, "PUT /v2/team/here/manifests/v1", "POST /v2/team/here/blobs/uploads/?mount=" + layer + "&from=team/here",
		} {
			method, path, _ := strings.Cut(path, " ")
			same(who+": "+method+" "+path, func(name func(string) string) (int, http.Header, string) { return send(method, name(path)) })
		}
	}
	with := func(password string) func(method, path string) (int, http.Header, string) {
		return func(method, path string) (int, http.Header, string) { return c.docker(password, method, path, "") }
	}
	docker("a guest", with(guest))
	docker("a stranger", with(""))
	// Where something is public, strangers get further, and to a token of their own.
	c.repository("open/app", "for everybody")
	c.must(c.ecrAs(c.root).SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("open/app"), PolicyText: aws.String(aResource)}))
	if status, _, answer := c.docker("", http.MethodGet, "/v2/open/app/manifests/v1", ""); status != http.StatusOK {
		t.Fatalf("what is public: %d %s", status, answer)
	}
	status, header, answer := c.docker("", http.MethodGet, "/v2/token?service=ecr.amazonaws.com&scope=repository:team/here:pull,push", "")
	var token struct{ Token string }
	if err := json.Unmarshal([]byte(answer), &token); err != nil || status != http.StatusOK || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("a token for a stranger: %d %s %v", status, answer, header)
	}
	docker("a stranger among what is public", with(""))
	docker("a guest among what is public", with(guest))
	docker("a stranger with a token", func(method, path string) (int, http.Header, string) {
		return c.signed(aws.Credentials{}, "", method, path, "", "Authorization", "Bearer "+token.Token)
	})
	for _, path := range []string{"GET /v2/_catalog", "POST /v2/open/app/blobs/uploads/", "PUT /v2/open/app/manifests/v1", "DELETE /v2/open/app/manifests/v1"} {
		method, path, _ := strings.Cut(path, " ")
		for name, authorization := range map[string]string{"no credentials": "", "a token for nobody": "Bearer " + token.Token, "a token for nobody as a password": basicToken(token.Token)} {
			if status, _, answer := c.signed(aws.Credentials{}, "", method, path, "", "Authorization", authorization); status != http.StatusUnauthorized && status != http.StatusForbidden {
				t.Errorf("%s %s with %s: %d %s", method, path, name, status, answer)
			}
		}
	}
}

// TestAnUploadOfAnotherPrincipals is begun by one, and gone on with, looked at and ended by another who may push there too.
func TestAnUploadOfAnotherPrincipals(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	c.repository("team/app", "a layer")
	push := allowing("ecr:*", "*")
	ada, bob := c.password(c.user("ada", push)), c.password(c.user("bob", push))
	status, header, answer := c.docker(ada, http.MethodPost, "/v2/team/app/blobs/uploads/", "")
	if status != http.StatusAccepted {
		t.Fatalf("beginning: %d %s", status, answer)
	}
	path := "/v2/team/app/blobs/uploads/" + header.Get("Docker-Upload-Uuid")
	if status, _, answer := c.docker(ada, http.MethodPatch, path, "half of "); status != http.StatusAccepted {
		t.Fatalf("going on: %d %s", status, answer)
	}
	for _, try := range []string{"GET ", "PATCH ", "PUT ?digest=" + digestOf("half of it"), "DELETE "} {
		method, query, _ := strings.Cut(try, " ")
		if status, _, answer := c.docker(bob, method, path+query, "it"); status != http.StatusNotFound {
			t.Errorf("%s by another: %d %s, want 404", method, status, answer)
		}
	}
	if status, _, answer := c.docker(ada, http.MethodPut, path+"?digest="+digestOf("half of it"), "it"); status != http.StatusCreated {
		t.Errorf("ending, by whose it is: %d %s", status, answer)
	}
}

// TestAPageTokenIsNoKey hands a listing's token to somebody who may not list, and to another listing.
func TestAPageTokenIsNoKey(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	ctx := t.Context()
	for _, name := range []string{"team/a", "team/b", "team/c"} {
		c.must(c.ecrAs(c.root).CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name}))
		c.user(strings.ReplaceAll(name, "/", "-"), "")
	}
	repositories, err := c.ecrAs(c.root).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	users, err := c.iam().ListUsers(ctx, &iam.ListUsersInput{MaxItems: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	nobody := c.user("nobody", "")
	for name, try := range map[string]func(key aws.Credentials) error{
		"repositories": func(key aws.Credentials) error {
			_, err := c.ecrAs(key).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{NextToken: repositories.NextToken})
			return err
		},
		"users": func(key aws.Credentials) error {
			_, err := c.iamAs(key).ListUsers(ctx, &iam.ListUsersInput{Marker: users.Marker})
			return err
		},
	} {
		if err := try(c.root); err != nil {
			t.Errorf("%s, by whose it is: %v", name, err)
		}
		c.refused(name+", by another", try(nobody), "AccessDenied")
	}
	_, err = c.ecrAs(c.root).ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("team/a"), NextToken: repositories.NextToken})
	c.refused("another listing", err, "InvalidParameter")
	_, err = c.iam().ListGroups(ctx, &iam.ListGroupsInput{Marker: users.Marker})
	if _, ok := errors.AsType[*iamtypes.ServiceFailureException](err); ok {
		t.Errorf("a marker of another listing: %v", err)
	}
}
