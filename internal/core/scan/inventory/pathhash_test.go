package inventory_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// TestPathHashStays: what is stored by one release is read by the next.
func TestPathHashStays(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]uint64{"": 0xe3b0c44298fc, "var/lib/dpkg/status": 0x1c866f1e2588} {
		if got := inventory.PathHash(path); got != want {
			t.Errorf("PathHash(%q) = %#x, want %#x", path, got, want)
		}
	}
}
