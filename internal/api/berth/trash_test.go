package berth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// ask calls an operation that must work, and reads the answer.
func (s *server) ask(t *testing.T, operation, body string) map[string]any {
	t.Helper()
	status, answer := s.call(t.Context(), t, operation, "root", body)
	var out map[string]any
	if err := json.Unmarshal([]byte(answer), &out); err != nil || status != http.StatusOK {
		t.Fatalf("%s(%s): %d %s (%v)", operation, body, status, answer, err)
	}
	return out
}

func wantAnswer(t *testing.T, what string, got map[string]any, want string) {
	t.Helper()
	var wanted map[string]any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestTrashOnTheWire deletes an image, looks at it in the trash, restores and purges it.
func TestTrashOnTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, second := s.story(t) // both are in the trash, and their repository is gone
	out := s.ask(t, "ListTrash", `{"repositoryName":"hoopstat-haus/prod","maxResults":1}`)
	images, _ := out["trashedImages"].([]any)
	if len(images) != 1 || out["nextToken"] == nil {
		t.Fatalf("ListTrash: %v", out)
	}
	img, _ := images[0].(map[string]any)
	for _, m := range []string{"imagePushedAt", "deletedAt", "restorableUntil"} {
		if at, _ := img[m].(float64); at < 1.7e9 {
			t.Errorf("ListTrash: %s is %v", m, img[m])
		}
		delete(img, m)
	}
	wantAnswer(t, "ListTrash", img, fmt.Sprintf(`{"imageDigest":%q,"imageTags":["app-latest"],"imageManifestMediaType":%q,"artifactMediaType":"application/json",
		"imageSizeInBytes":14,"deletedBy":"arn:aws:iam::000000000042:root","reason":"Its repository was deleted."}`, second, oci.MediaTypeOCIManifest))
	next, _ := out["nextToken"].(string)
	out = s.ask(t, "ListTrash", `{"repositoryName":"hoopstat-haus/prod","nextToken":"`+next+`"}`)
	if images, _ := out["trashedImages"].([]any); len(images) != 1 || out["nextToken"] != nil || !strings.Contains(fmt.Sprint(images[0]), first.String()) {
		t.Errorf("ListTrash, the second page: %v", out)
	}

	if status, body := s.call(t.Context(), t, "RestoreImages", "root", `{"repositoryName":"hoopstat-haus/prod","imageIds":[{"imageTag":"app-latest"}]}`); status != http.StatusBadRequest || !strings.Contains(body, "RepositoryNotFoundException") {
		t.Errorf("into no repository: %d %s", status, body)
	}
	s.create(t)
	out = s.ask(t, "RestoreImages", fmt.Sprintf(`{"repositoryName":"hoopstat-haus/prod","imageIds":[{"imageTag":"app-latest"},{"imageDigest":%q}]}`, oci.FromBytes(nil)))
	wantAnswer(t, "RestoreImages", out, fmt.Sprintf(`{
		"restoredImages":[{"imageId":{"imageTag":"app-latest"},"imageDigest":%q,"alreadyThere":false,"restoredTags":["app-latest"],"keptTags":[],"alongDigests":[],"left":[]}],
		"failures":[{"imageId":{"imageDigest":%[2]q},"failureCode":"ImageNotFound",
			"failureReason":"The image with digest '%[2]s' is neither in the repository with name 'hoopstat-haus/prod' nor in its trash"}]}`, second, oci.FromBytes(nil)))
	wantAnswer(t, "GetTrashUsage", s.ask(t, "GetTrashUsage", `{"repositoryName":"hoopstat-haus/prod"}`), `{"trashedImages":1,"trashBytes":14,"windowSeconds":604800,"ownWindow":false}`)
	wantAnswer(t, "PutTrashWindow", s.ask(t, "PutTrashWindow", `{"repositoryName":"hoopstat-haus/prod","windowSeconds":60}`), `{"trashedImages":1,"trashBytes":14,"windowSeconds":60,"ownWindow":true}`)
	wantAnswer(t, "PutTrashWindow to the default", s.ask(t, "PutTrashWindow", `{"repositoryName":"hoopstat-haus/prod"}`), `{"trashedImages":1,"trashBytes":14,"windowSeconds":604800,"ownWindow":false}`)

	out = s.ask(t, "PurgeImages", fmt.Sprintf(`{"repositoryName":"hoopstat-haus/prod","imageDigests":[%q,%q]}`, first, second))
	wantAnswer(t, "PurgeImages", out, fmt.Sprintf(`{"purgedImages":1,"failures":[{"imageId":{"imageDigest":%[1]q},"failureCode":"ImageNotFound",
		"failureReason":"The image with digest '%[1]s' is not in the trash of the repository with name 'hoopstat-haus/prod'"}]}`, second))
	wantAnswer(t, "PurgeImages of all", s.ask(t, "PurgeImages", `{"repositoryName":"hoopstat-haus/prod","all":true}`), `{"purgedImages":0,"failures":[]}`)
	wantAnswer(t, "GetTrashUsage of all", s.ask(t, "GetTrashUsage", `{}`), `{"trashedImages":0,"trashBytes":0,"windowSeconds":604800,"ownWindow":false}`)
}

func TestTrashRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	many := `["` + strings.Repeat(oci.FromBytes(nil).String()+`","`, 100) + oci.FromBytes(nil).String() + `"]`
	for _, c := range []struct{ operation, who, body, code, words string }{
		{"ListTrash", "root", `{}`, "InvalidParameterException", "'repositoryName'"},
		{"ListTrash", "root", `{"repositoryName":"App"}`, "InvalidParameterException", "'repositoryName'"},
		{"ListTrash", "root", `{"repositoryName":"app","maxResults":0}`, "InvalidParameterException", "'maxResults'"},
		{"ListTrash", "root", `{"repositoryName":"app","nextToken":"x"}`, "InvalidParameterException", "'nextToken'"},
		{"ListTrash", "user", `{"repositoryName":"app"}`, "AccessDeniedException", "ecr:ListImages"},
		{"RestoreImages", "root", `{"repositoryName":"app"}`, "InvalidParameterException", "'imageIds'"},
		{"RestoreImages", "root", `{"imageIds":[{"imageTag":"v1"}]}`, "InvalidParameterException", "'repositoryName'"},
		{"RestoreImages", "root", `{"repositoryName":"app","imageIds":[{"imageTag":"v1"}]}`, "RepositoryNotFoundException", "'app'"},
		{"RestoreImages", "user", `{"repositoryName":"app","imageIds":[{"imageTag":"v1"}]}`, "AccessDeniedException", "ecr:PutImage"},
		{"PurgeImages", "root", `{"repositoryName":"app"}`, "InvalidParameterException", "'imageDigests'"},
		{"PurgeImages", "root", `{"repositoryName":"app","imageDigests":["x"]}`, "InvalidParameterException", "'imageDigests'"},
		{"PurgeImages", "root", `{"repositoryName":"app","imageDigests":` + many + `}`, "InvalidParameterException", "'imageDigests'"},
		{"PurgeImages", "root", `{"repositoryName":"app","all":true,"imageDigests":["x"]}`, "InvalidParameterException", "'imageDigests'"},
		{"PurgeImages", "user", `{"repositoryName":"app","all":true}`, "AccessDeniedException", "ecr:BatchDeleteImage"},
		{"PutTrashWindow", "root", `{"repositoryName":"app","windowSeconds":-1}`, "InvalidParameterException", "'windowSeconds'"},
		{"PutTrashWindow", "root", `{"repositoryName":"app","windowSeconds":9223372036854775807}`, "InvalidParameterException", "'windowSeconds'"},
		{"PutTrashWindow", "root", `{"repositoryName":"app","windowSeconds":1}`, "RepositoryNotFoundException", "'app'"},
		{"PutTrashWindow", "user", `{"repositoryName":"app"}`, "AccessDeniedException", "ecr:PutLifecyclePolicy"},
		{"GetTrashUsage", "root", `{"repositoryName":"App"}`, "InvalidParameterException", "'repositoryName'"},
		{"GetTrashUsage", "user", `{}`, "AccessDeniedException", "ecr:DescribeRepositories"},
	} {
		status, body := s.call(t.Context(), t, c.operation, c.who, c.body)
		if status != http.StatusBadRequest || !strings.Contains(body, `"__type":"`+c.code+`"`) || !strings.Contains(body, c.words) {
			t.Errorf("%s(%.80s) by %s: %d %s\nwant 400 %s about %s", c.operation, c.body, c.who, status, body, c.code, c.words)
		}
	}
	for id, code := range map[string]string{
		`{}`: "InvalidParameter", `{"imageDigest":"x"}`: "InvalidParameter", `{"imageTag":"v1"}`: "ImageNotFound",
		`{"imageTag":"v1","imageDigest":"` + oci.FromBytes(nil).String() + `"}`: "ImageTagDoesNotMatchDigest",
	} {
		out := s.ask(t, "RestoreImages", `{"repositoryName":"hoopstat-haus/prod","imageIds":[`+id+`]}`)
		if !strings.Contains(fmt.Sprint(out["failures"]), "failureCode:"+code+" ") {
			t.Errorf("RestoreImages(%s): %v, want %s", id, out, code)
		}
	}
}
