package oci_test

import (
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func TestAppOf(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{
		"web-latest": "web", "data-fetcher-abc1234": "data-fetcher", "web-0123456789abcdef0123456789abcdef01234567": "web",
		"latest": "", "v1.2.3": "", "web-abc123": "", "web-ABC1234": "", "-latest": "", "web-": "", "web-v1": "",
		"deploy-prod-decade7": "", "sha256-" + strings.Repeat("a", 64): "", "sha256-" + strings.Repeat("a", 64) + ".sig": "",
		"web-" + strings.Repeat("a", 65): "",
	} {
		got, ok := oci.AppOf(tag)
		if ok != (want != "") || ok && got != want {
			t.Errorf("AppOf(%q) = %q, %v, want %q", tag, got, ok, want)
		}
	}
}
