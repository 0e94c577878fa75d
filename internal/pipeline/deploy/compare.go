package deploy

import (
	"context"
	"errors"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/git"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
)

// Clone is a clone of the sources; *git.Repo is one.
type Clone interface {
	// Commit gives a commit's whole hash.
	Commit(ctx context.Context, revision string) (string, error)
	// Log gives the commits that are in the history of one commit and not in that of another, newest first, at most so many.
	Log(ctx context.Context, since, until string, limit int) ([]git.LogEntry, error)
}

// Changes are how an image differs from what runs.
type Changes struct {
	From, To   Chosen
	Added      []git.LogEntry // commits, newest first
	Removed    []git.LogEntry
	NotCommits string // why they are not known, "" if they are
	Diff       *images.Diff
	NotDiff    string // likewise
}

// maxCommits is how many commits are listed.
const maxCommits = 50

// compare finds out how the image differs from what runs. What cannot be known is no error.
func (r *run) compare(ctx context.Context, state State) *Changes {
	if state.Runs == nil {
		return nil
	}
	to := r.result.Image
	c := &Changes{From: Chosen{Digest: state.Runs.Image.Digest, Commit: state.Runs.Commit}, To: to}
	if c.From.Digest == to.Digest {
		return c
	}
	if err := r.compareCommits(ctx, c); err != nil {
		c.NotCommits = err.Error()
	}
	name := func(d oci.Digest) images.Name {
		return images.Name{Repository: r.File.Repository, Reference: oci.Reference{Digest: d}}
	}
	diff, err := images.Compare(ctx, r.Images, name(c.From.Digest), r.Images, name(to.Digest))
	if err != nil {
		c.NotDiff = err.Error()
		return c
	}
	c.Diff = &diff
	return c
}

func (r *run) compareCommits(ctx context.Context, c *Changes) (err error) {
	switch {
	case r.Clone == nil:
		return errors.New("there is no clone of the sources here")
	case c.From.Commit == "" || c.To.Commit == "":
		return errors.New("the images do not both say of which commit they are")
	}
	if c.Added, err = r.Clone.Log(ctx, c.From.Commit, c.To.Commit, maxCommits); err != nil {
		return err //nolint:wrapcheck // says what it was about
	}
	c.Removed, err = r.Clone.Log(ctx, c.To.Commit, c.From.Commit, maxCommits)
	return err //nolint:wrapcheck // likewise
}
