package ship

import (
	"context"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// wouldDo says what a run would do.
func (d *doing) wouldDo(ctx context.Context, works []*work) error {
	for _, w := range works {
		say := func(step progress.Step, text string) { d.task(w.Name, step).End(progress.Skipped, text) }
		switch {
		case w.test:
			say(progress.Test, "would be run")
		case w.passed != "":
			say(progress.Test, w.passed)
		}
		found := d.found(w)
		if w.ships && found != "" {
			done, err := d.shipped(ctx, w, found)
			if err != nil {
				return err
			}
			if done {
				say(progress.Push, "it was shipped before, for this commit")
				continue
			}
		}
		switch {
		case !w.ships:
			continue
		case found != "":
			say(progress.Push, "would tag "+found.String()+", which is of the same inputs")
		default:
			say(progress.Build, "would be built")
		}
		if !d.NoPush {
			say(progress.Release, "would be released as "+strings.Join(slices.Concat(w.tags.stay, w.tags.move), ", "))
		}
	}
	return nil
}
