package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// candidate is an image that a tag may name, and the commit that it is for.
type candidate struct {
	shipped.Record
	image oci.Digest
}

// newer tells whether a record is of a newer commit than another: git decides where it knows both and one is in the history of the
// other. A run in a clone that is older than a commit knows nothing of it: what that commit's record says of its history is what that
// run's own git says. Where neither is in the history of the other, their times decide, among those of one branch. Commits of the same second are in the
// order of their hashes, so that all runs agree.
func newer(ctx context.Context, git Ancestry, a, than shipped.Record) (bool, error) {
	if a.Commit == than.Commit {
		return false, nil
	}
	after, err := isAncestor(ctx, git, than.Commit, a.Commit)
	if after || err != nil {
		return after, err
	}
	before, err := isAncestor(ctx, git, a.Commit, than.Commit)
	switch {
	case before || err != nil:
		return false, err
	case a.IsAfter(than.Commit):
		return true, nil
	case than.IsAfter(a.Commit):
		return false, nil
	case a.Branch != than.Branch:
		return false, nil
	case !a.Committed.Equal(than.Committed):
		return a.Committed.After(than.Committed), nil
	default:
		return a.Commit > than.Commit, nil
	}
}

func isAncestor(ctx context.Context, git Ancestry, older, newer string) (bool, error) {
	is, err := git.IsAncestor(ctx, older, newer)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking git about the order of %s and %s: %w", older, newer, err)
	}
	return is, nil
}

// newest gives the newest of candidates, ours unless another one is newer and counts.
func newest(ctx context.Context, git Ancestry, ours candidate, others []candidate, counts func(context.Context, candidate) (bool, error)) (candidate, error) {
	best := ours
	for _, c := range others {
		is, err := newer(ctx, git, c.Record, best.Record)
		if is && err == nil {
			is, err = counts(ctx, c)
		}
		if err != nil {
			return candidate{}, err
		}
		if is {
			best = c
		}
	}
	return best, nil
}
