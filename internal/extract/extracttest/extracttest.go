// Package extracttest gives tests an extractor with real children: the test's own program, started again.
//
// The package of such a test has
//
//	func TestMain(m *testing.M) { os.Exit(extracttest.Main(m)) }
package extracttest

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
	"github.com/hoopstat-haus/berth/internal/extract"
	"github.com/hoopstat-haus/berth/internal/extract/formats"
)

// Main is a child where the program was started as one, and runs the tests otherwise. It gives the exit code. The child reads formats
// if there are some, else all that there are.
func Main(m *testing.M, own ...layer.Format) int {
	request, child := extract.Child(os.Args)
	if !child {
		return m.Run()
	}
	if len(own) == 0 {
		own = formats.All()
	}
	if err := extract.RunWith(context.Background(), request, os.Stdin, own); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// New gives an extractor that the test closes.
func New(tb testing.TB, c extract.Config) *extract.Extractor {
	tb.Helper()
	if c.TempDir == "" {
		c.TempDir = tb.TempDir()
	}
	x, err := extract.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := x.Close(); err != nil {
			tb.Error(err)
		}
	})
	return x
}
