package sts_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/sts"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

var (
	operationRow = regexp.MustCompile(`(?m)^\| (\w+) \| (yes|no) \|`)
	errorRow     = regexp.MustCompile(`(?m)^\| (\w+) \| (\d+) \|`)
)

// TestDocumentationIsTheCode holds docs/api/sts.md to the operations and to the table of faults.
func TestDocumentationIsTheCode(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../docs/api/sts.md")
	if err != nil {
		t.Fatal(err)
	}
	service := sts.New(nil)
	operations, got := map[string]string{}, map[string]string{}
	for name := range service.Operations {
		operations[name] = "yes"
	}
	for _, name := range service.Known {
		operations[name] = "no"
	}
	for _, m := range operationRow.FindAllStringSubmatch(string(raw), -1) {
		got[m[1]] = m[2]
	}
	if diff := cmp.Diff(operations, got); diff != "" {
		t.Errorf("docs/api/sts.md differs from the service (-service +page):\n%s", diff)
	}
	documented := map[string]int{}
	for _, m := range errorRow.FindAllStringSubmatch(string(raw), -1) {
		documented[m[1]], _ = strconv.Atoi(m[2])
	}
	answered := map[string]bool{}
	for _, code := range slices.Concat(fault.OfIdentity(), fault.OfAny()) {
		e, _ := service.Exceptions(fault.New(code, "words"))
		answered[e.Code] = true
		if status, ok := documented[e.Code]; ok && status != e.Status || !ok && !strings.Contains(string(raw), "`"+e.Code+"`") {
			t.Errorf("fault %q is %s with HTTP %d; docs/api/sts.md says %d", code, e.Code, e.Status, status)
		}
	}
	for code := range documented {
		if !answered[code] {
			t.Errorf("docs/api/sts.md tells of %s, which no fault becomes", code)
		}
	}
}
