package formats_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestFewOfScalibr: of osv-scalibr only what stands alone is linked. What its extractors are built upon is large, and unpacks disk images,
// reads Git's directories and speaks gRPC.
func TestFewOfScalibr(t *testing.T) {
	t.Parallel()
	const module = "github.com/google/osv-scalibr/"
	allowed := map[string]bool{"semantic": true}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/berth", "./internal/extract/...")
	list.Dir = "../../.."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for pkg := range strings.Lines(string(out)) {
		found = found || strings.HasSuffix(strings.TrimSpace(pkg), "internal/extract/formats")
		if name, ok := strings.CutPrefix(strings.TrimSpace(pkg), module); ok && !allowed[name] {
			t.Errorf("%s%s is linked", module, name)
		}
	}
	if !found {
		t.Error("not even this package is linked: this test looks in the wrong place")
	}
}
