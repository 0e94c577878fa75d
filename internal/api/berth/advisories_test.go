package berth_test

import (
	"archive/tar"
	"net/http"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestAdvisories(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const text = `{"id":"GHSA-1","affected":[{"package":{"ecosystem":"npm","name":"p"},"versions":["1"]}]}`
	var archive strings.Builder
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "npm/all.jsonl", Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.registry.CreateRepository(t.Context(), s.root, registry.NewRepository{Name: repo, Mutability: registry.Mutable}); err != nil {
		t.Fatal(err)
	}
	d := oci.FromBytes([]byte(archive.String()))
	part := registry.Part{Size: int64(archive.Len()), Body: strings.NewReader(archive.String())}
	if _, err := s.registry.PutLayer(t.Context(), s.root, repo, d, part); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		operation, who, body string
		status               int
		words                string
	}{
		{"ListAdvisorySources", "user", `{}`, http.StatusBadRequest, "ecr:GetRegistryScanningConfiguration on resource: *"},
		{"UpdateAdvisories", "user", `{}`, http.StatusBadRequest, "ecr:PutRegistryScanningConfiguration on resource: *"},
		{"ImportAdvisories", "user", `{"repositoryName":"` + repo + `","digest":"` + d.String() + `"}`, http.StatusBadRequest, "ecr:PutRegistryScanningConfiguration on resource: *"},
		{"ListAdvisorySources", "root", `{}`, http.StatusOK, `{"everySeconds":0,"imports":[],"sources":[]}`},
		{"UpdateAdvisories", "root", `{}`, http.StatusBadRequest, `fetches no advisories`},
		{"ImportAdvisories", "root", `{}`, http.StatusBadRequest, `'repositoryName'`},
		{"ImportAdvisories", "root", `{"repositoryName":"` + repo + `"}`, http.StatusBadRequest, `'digest'`},
		{"ImportAdvisories", "root", `{"repositoryName":"` + repo + `","digest":"sha256:x"}`, http.StatusBadRequest, `hexadecimal digits`},
		{"ImportAdvisories", "root", `{"repositoryName":"` + repo + `","digest":"` + oci.FromBytes(nil).String() + `"}`, http.StatusBadRequest, oci.FromBytes(nil).String()},
		{"ImportAdvisories", "root", `{"repositoryName":"` + repo + `","digest":"` + d.String() + `","force":true}`, http.StatusOK, `"importId":1`},
	} {
		status, body := s.call(t.Context(), t, c.operation, c.who, c.body)
		if status != c.status || !strings.Contains(body, c.words) {
			t.Errorf("%s(%s) by %s: %d %s\nwant %d with %s", c.operation, c.body, c.who, status, body, c.status, c.words)
		}
	}
	if _, err := s.advisories.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	status, body := s.call(t.Context(), t, "ListAdvisorySources", "root", `{}`)
	for _, words := range []string{`"name":"npm"`, `"advisories":1`, `"added":1`, `"skipped":false`, `"actor":"arn:aws:iam::000000000042:root"`, `"checkedAt":`} {
		if status != http.StatusOK || !strings.Contains(body, words) {
			t.Errorf("after the import: %d %s, without %s", status, body, words)
		}
	}
}
