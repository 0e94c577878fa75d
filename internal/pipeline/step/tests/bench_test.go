//go:build unix

package tests_test

import (
	"path/filepath"
	"testing"
)

// BenchmarkOutput has a test print 100,000 lines in which much looks like a place in a file.
func BenchmarkOutput(b *testing.B) {
	for b.Loop() {
		n := newBench(b, line("cat ../../printed; exit 1"))
		put(b, filepath.Join(n.Root, "printed"), lines("2026-11-26T12:00:00Z info: request %d handled at src/server.js:12:4 in 3 ms\n", 100_000))
		if _, err := n.run(b.Context()); err == nil {
			b.Fatal("it does not fail")
		}
	}
}
