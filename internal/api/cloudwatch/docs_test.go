package cloudwatch_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/cloudwatch"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

var (
	row      = regexp.MustCompile(`(?m)^\| (\w+) \| (yes|no) \|`)
	errorRow = regexp.MustCompile(`(?m)^\| (\w+) \| (\d+)[^|]* \| (\w+) \| `)
)

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/api/cloudwatch.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocumentationNamesEveryOperation(t *testing.T) {
	t.Parallel()
	service := cloudwatch.New(cloudwatch.Config{})
	want, got := map[string]string{}, map[string]string{}
	for op := range service.Operations {
		want[op] = "yes"
	}
	for _, op := range service.Known {
		want[op] = "no"
	}
	for _, m := range row.FindAllStringSubmatch(page(t), -1) {
		if got[m[1]] != "" {
			t.Errorf("docs/api/cloudwatch.md has %s twice", m[1])
		}
		got[m[1]] = m[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/api/cloudwatch.md differs from the service (-service +page):\n%s", diff)
	}
}

// TestDocumentationNamesEveryError holds the page to what the service's own table makes of faults.
func TestDocumentationNamesEveryError(t *testing.T) {
	t.Parallel()
	service, documented := cloudwatch.New(cloudwatch.Config{}), map[string]bool{}
	for _, m := range errorRow.FindAllStringSubmatch(page(t), -1) {
		documented[strings.Join(m[1:], " ")] = true
	}
	for _, code := range fault.All() {
		e, ok := service.Exceptions(fault.New(code, "words"))
		if !ok {
			continue
		}
		name := e.Query
		if name == "" {
			name = e.Code
		}
		if line := fmt.Sprintf("%s %d %s", name, e.Status, e.Code); !documented[line] {
			t.Errorf("docs/api/cloudwatch.md has no row %s, which %q becomes", line, code)
		}
	}
	if len(documented) < 9 {
		t.Errorf("docs/api/cloudwatch.md has %d rows of errors, want 9: %v", len(documented), documented)
	}
}
