package ecr_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"
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

var errorRow = regexp.MustCompile(`(?m)^\| (\w+Exception) \| ([\d, ]+) \| (.+) \|$`)

// documentedError is a row of the page's list of errors.
type documentedError struct {
	statuses []string
	never    bool // Berth has no reason to answer it, and the row says why
}

func documentedErrors(t *testing.T) map[string]documentedError {
	t.Helper()
	_, section, ok := strings.Cut(page(t, "ecr.md"), "\n## Errors\n")
	rows := errorRow.FindAllStringSubmatch(section, -1)
	const head = 2 // lines: the columns' names and the rule under them
	if lines := strings.Count(section, "\n| ") - head; !ok || len(rows) != lines {
		t.Errorf("docs/api/ecr.md: %d of %d lines of the list of errors read as | code | statuses | words |", len(rows), lines)
	}
	found := map[string]documentedError{}
	var order []string
	for _, m := range rows {
		order = append(order, m[1])
		found[m[1]] = documentedError{statuses: strings.Split(m[2], ", "), never: strings.HasPrefix(m[3], "never: ")}
	}
	if !slices.IsSorted(order) || len(order) != len(found) {
		t.Errorf("docs/api/ecr.md: the errors are not in order, or one is there twice: %v", order)
	}
	return found
}

// sdkErrors maps the errors of ECR's model to whether they are the server's fault: the SDK's own list.
func sdkErrors() map[string]bool {
	all := map[string]bool{}
	for _, entry := range awsecr.TypeRegistry.Entries {
		if err, ok := entry.New().(smithy.APIError); ok {
			all[err.ErrorCode()] = err.ErrorFault() == smithy.FaultServer
		}
	}
	return all
}

// TestDocumentationNamesEveryError holds the page's list of errors to the SDK's list, and to what Berth
// answers: a new SDK's error, one that is answered and not told of, and one that is told of and never
// answered all show.
func TestDocumentationNamesEveryError(t *testing.T) {
	t.Parallel()
	service := newServer(t).service
	documented := documentedErrors(t)
	for name, server := range sdkErrors() {
		row, ok := documented[name]
		if !ok {
			t.Errorf("docs/api/ecr.md does not tell of %s, which the SDK has", name)
		} else if server != strings.HasPrefix(row.statuses[0], "5") {
			t.Errorf("docs/api/ecr.md: %s is HTTP %v, and by the SDK the server's fault: %v", name, row.statuses, server)
		}
	}
	answered := codesInSource(t)
	for fault, e := range exceptionsByFault(service) {
		answered[e.Code] = true
		if row := documented[e.Code]; !slices.Contains(row.statuses, strconv.Itoa(e.Status)) {
			t.Errorf("docs/api/ecr.md: fault %q becomes %s with HTTP %d; the page says %v", fault, e.Code, e.Status, row.statuses)
		}
	}
	for name, row := range documented {
		switch {
		case row.never && answered[name]:
			t.Errorf("docs/api/ecr.md says that %s is never answered, and the code has it", name)
		case !row.never && !answered[name]:
			t.Errorf("docs/api/ecr.md says when %s is answered, and no code does", name)
		}
	}
	for name := range answered {
		if _, ok := documented[name]; !ok {
			t.Errorf("docs/api/ecr.md does not tell of %s, which the code has", name)
		}
	}
}

var codeLiteral = regexp.MustCompile(`"([A-Z]\w+Exception)"`)

// codesInSource finds the exceptions that this package names.
func codesInSource(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source: %v", err)
	}
	found := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range codeLiteral.FindAllSubmatch(text, -1) {
			found[string(m[1])] = true
		}
	}
	return found
}
