package distribution_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/api/distribution"
)

func TestEveryRouteHasAName(t *testing.T) {
	t.Parallel()
	all := distribution.Operations()
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) || !slices.Contains(all, "GET manifest") || !slices.Contains(all, "POST uploads") {
		t.Errorf("the operations are %q", all)
	}
	for _, name := range all {
		if strings.HasSuffix(name, " ") {
			t.Errorf("the operation %q lacks what it is about", name)
		}
	}
}
