package ecr_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// page reads a page of the documentation.
func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../../docs/api/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var row = regexp.MustCompile(`(?m)^\| (\w+) \| (yes|no) \|`)

func TestDocumentationNamesEveryOperation(t *testing.T) {
	t.Parallel()
	service := newServer(t).service
	want := map[string]string{}
	for op := range service.Operations {
		want[op] = "yes"
	}
	for _, op := range service.Known {
		want[op] = "no"
	}
	got := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(page(t, "ecr.md"), -1) {
		if got[m[1]] != "" {
			t.Errorf("docs/api/ecr.md has %s twice", m[1])
		}
		got[m[1]] = m[2]
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("docs/api/ecr.md differs from the service (-service +page):\n%s", diff)
	}
}

var code = regexp.MustCompile(`(?m)^\| (\w+Exception) \|`)

// TestDocumentedErrors compares the page's list with the exceptions that the tests of this package see.
func TestDocumentedErrors(t *testing.T) {
	t.Parallel()
	service := newServer(t).service
	var got []string
	for _, m := range code.FindAllStringSubmatch(page(t, "ecr.md"), -1) {
		got = append(got, m[1])
	}
	if !slices.IsSorted(got) {
		t.Errorf("docs/api/ecr.md: the errors are not in order: %v", got)
	}
	for code, e := range exceptionsByFault(service) {
		if e.Status == 400 && !slices.Contains(got, e.Code) {
			t.Errorf("docs/api/ecr.md does not tell of %s, which fault %q becomes", e.Code, code)
		}
	}
}
