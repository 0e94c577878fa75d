package berth_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestLifecyclePreviewResultsOnTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if _, err := s.registry.CreateRepository(t.Context(), s.root, registry.NewRepository{Name: repo}); err != nil {
		t.Fatal(err)
	}
	images := []oci.Digest{s.push(t, "one"), s.push(t, "two"), s.push(t, "three")}
	ask := func(who, members, want string) (answer struct {
		Status    string           `json:"status"`
		Results   []map[string]any `json:"results"`
		NextToken string           `json:"nextToken"`
	},
	) {
		t.Helper()
		status, body := s.call(t.Context(), t, "ListLifecyclePreviewResults", who, `{"repositoryName":"`+repo+`"`+members+`}`)
		if (want == "") != (status == http.StatusOK) || !strings.Contains(body, want) {
			t.Fatalf("%s by %s: %d %s, want %q", members, who, status, body, want)
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	ask("root", "", "LifecyclePolicyPreviewNotFoundException")
	ask("user", "", "ecr:GetLifecyclePolicyPreview on resource: ")
	ask("root", `,"filter":"some"`, "'filter'")
	ask("root", `,"maxResults":1001`, "'maxResults'")

	policy := `{"rules":[{"rulePriority":3,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	if _, err := s.policies.StartPreview(t.Context(), s.root, repo, &policy); err != nil {
		t.Fatal(err)
	}
	if got := ask("root", "", ""); got.Status != "IN_PROGRESS" || got.Results == nil || len(got.Results) > 0 {
		t.Errorf("a preview that was started is %+v", got)
	}
	if _, err := s.policies.PreviewOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask("root", `,"nextToken":"x"`, "'nextToken'")
	want := func(filter string, digests ...oci.Digest) (results []map[string]any) {
		t.Helper()
		for token := ""; ; {
			got := ask("root", `,"maxResults":1,"filter":"`+filter+`"`+token, "")
			results = append(results, got.Results...)
			if got.NextToken == "" {
				break
			}
			token = `,"nextToken":"` + got.NextToken + `"`
		}
		if len(results) != len(digests) {
			t.Fatalf("%s: %v, want %v", filter, results, digests)
		}
		for i, d := range digests {
			if results[i]["imageDigest"] != d.String() {
				t.Errorf("%s: number %d is %v, want %s", filter, i, results[i], d)
			}
		}
		return results
	}
	want("all", images...)
	acted := want("acted", images[0], images[1])
	if r := acted[0]; r["action"] != "EXPIRE" || r["reason"] != "selected" || r["rulePriority"] != 3.0 ||
		r["sentence"] != "Rule 3 keeps the youngest 1, and this is number 3." || r["storageClass"] != "STANDARD" {
		t.Errorf("what goes: %v", r)
	}
	kept := want("kept", images[2])[0]
	if _, ok := kept["action"]; ok || kept["reason"] != "shielded" || kept["rulePriority"] != 3.0 || kept["sentence"] != "Rule 3 keeps the youngest 1, and this is number 1." {
		t.Errorf("what stays: %v", kept)
	}
	if _, ok := kept["imagePushedAt"].(float64); !ok {
		t.Errorf("imagePushedAt is %v", kept["imagePushedAt"])
	}
}
