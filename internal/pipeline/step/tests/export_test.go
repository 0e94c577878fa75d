package tests

import (
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// Problems are the places in what a test printed, of a project in a directory.
func Problems(dir, rel, printed string) []progress.Event {
	f := newFinder(dir, rel)
	defer f.close()
	for line := range strings.SplitSeq(printed, "\n") {
		f.line(clean(line))
	}
	return f.problems()
}
