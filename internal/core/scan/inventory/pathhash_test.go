package inventory_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// TestPathHashStays: what is stored by one release is read by the next.
func TestPathHashStays(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]uint64{"": 0xef46db3751d8, "var/lib/dpkg/status": 0xde5420cb9776} {
		if got := inventory.PathHash(path); got != want {
			t.Errorf("PathHash(%q) = %#x, want %#x", path, got, want)
		}
	}
}
