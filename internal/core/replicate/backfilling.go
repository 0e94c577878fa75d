package replicate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// listed bounds how many images, or repositories that are not selected, one step of preparing reads.
	listed = 500
	// window is how many results are in progress at a time, so that pushes do not wait behind a backfill.
	window = 1000
)

// BackfillOnce takes each backfill that goes on a step further, and tells whether there is more to do at once.
// Any number of processes may call it.
func (s *Service) BackfillOnce(ctx context.Context) (more bool, err error) {
	if err := s.Backfills.Purge(ctx, s.Now().Add(-keepBackfills)); err != nil {
		return false, fmt.Errorf("removing old backfills: %w", err)
	}
	running, err := s.Backfills.Running(ctx)
	if err != nil {
		return false, fmt.Errorf("listing backfills: %w", err)
	}
	var problems []error
	for _, b := range running {
		again, err := s.step(ctx, b)
		if err != nil {
			problems = append(problems, fmt.Errorf("backfill %s: %w", b.ID, err))
			continue
		}
		more = more || again
	}
	return more, errors.Join(problems...)
}

// step goes on with one. A backfill whose destination no rule names any more has failed.
func (s *Service) step(ctx context.Context, b Backfill) (more bool, err error) {
	c, err := readConfiguration(ctx, s.Database.Read())
	if err != nil {
		return false, err
	}
	switch {
	case !c.names(b.Destination):
		return false, s.change(ctx, b, func(tx BackfillTx, b *Backfill) error {
			b.Status, b.FailureCode, b.EndedAt = Failed, CodeNoRule, s.Now()
			if err := tx.DropUnsent(ctx, *b, s.Now()); err != nil {
				return err
			}
			return tx.SaveBackfill(ctx, *b)
		})
	case b.Status == Preparing:
		return true, s.prepare(ctx, c, b)
	case b.Status == Stopping:
		return false, s.change(ctx, b, func(tx BackfillTx, b *Backfill) error { return s.wind(ctx, tx, b) })
	default:
		return s.advance(ctx, b)
	}
}

// change runs f on a backfill unless somebody else has changed it since it was read.
func (s *Service) change(ctx context.Context, b Backfill, f func(tx BackfillTx, b *Backfill) error) error {
	return s.Backfills.Update(ctx, func(tx BackfillTx) error {
		now, err := tx.LockBackfill(ctx, b.ID)
		if err != nil {
			return err
		}
		if now.Status != b.Status || now.AfterRepository != b.AfterRepository || now.AfterImage != b.AfterImage {
			return nil
		}
		return f(tx, &now)
	})
}

// prepare lists some of the images that are to be sent.
func (s *Service) prepare(ctx context.Context, c Configuration, b Backfill) error {
	next := b
	results, done, err := s.list(ctx, c, &next)
	if err != nil {
		return err
	}
	return s.change(ctx, b, func(tx BackfillTx, b *Backfill) error {
		if err := tx.AddResults(ctx, b.Seq, results); err != nil {
			return err
		}
		b.AfterRepository, b.AfterImage = next.AfterRepository, next.AfterImage
		if done {
			counts, err := tx.ResultCounts(ctx, b.Seq)
			if err != nil {
				return err
			}
			b.Status, b.Total = InProgress, 0
			for _, n := range counts {
				b.Total += n
			}
		}
		return tx.SaveBackfill(ctx, *b)
	})
}

// list reads images from where b stands and moves it on. It tells whether there are no more.
func (s *Service) list(ctx context.Context, c Configuration, b *Backfill) (results []Result, done bool, err error) {
	q := s.Database.Read()
	repos, err := q.Repositories(ctx, b.AfterRepository, listed)
	if err != nil {
		return nil, false, fmt.Errorf("listing repositories: %w", err)
	}
	for _, repo := range repos {
		if slices.Contains(c.destinationsOf(repo.Name), b.Destination) {
			images, err := q.Images(ctx, repo.ID, registry.ImageQuery{AfterID: b.AfterImage, Limit: listed})
			if err != nil {
				return nil, false, fmt.Errorf("listing images of %s: %w", repo.Name, err)
			}
			for _, img := range images {
				results = append(results, resultsOf(repo, img)...)
				b.AfterImage = img.ID
			}
			if len(images) == listed {
				return results, false, nil
			}
		}
		b.AfterRepository, b.AfterImage = repo.Name, 0
		if len(results) >= listed {
			return results, false, nil
		}
	}
	return results, len(repos) < listed, nil
}

// resultsOf gives one result for each of an image's tags or, where it has none, one.
func resultsOf(repo registry.Repository, img registry.Image) []Result {
	tags := img.Tags
	if len(tags) == 0 {
		tags = []string{""}
	}
	var all []Result
	for _, t := range tags {
		index := img.MediaType == oci.MediaTypeOCIIndex || img.MediaType == oci.MediaTypeDockerList
		all = append(all, Result{Repository: repo.Name, Digest: img.Digest, Tag: t, Index: index})
	}
	return all
}

// advance wants some more of the images, or ends the backfill.
func (s *Service) advance(ctx context.Context, b Backfill) (more bool, err error) {
	sent := false
	err = s.change(ctx, b, func(tx BackfillTx, b *Backfill) error {
		sent = false
		counts, err := tx.ResultCounts(ctx, b.Seq)
		if err != nil {
			return err
		}
		if counts[Waiting]+counts[InProgress] == 0 {
			b.Status, b.EndedAt = Complete, s.Now()
			return tx.SaveBackfill(ctx, *b)
		}
		room := window - counts[InProgress]
		if room <= 0 || counts[Waiting] == 0 {
			return nil
		}
		waiting, err := tx.WaitingResults(ctx, b.Seq, room)
		if err != nil {
			return err
		}
		sent = true
		return tx.Send(ctx, b.Seq, waiting, wantsOf(*b, waiting), s.Now())
	})
	if sent && err == nil && s.Wake != nil {
		s.Wake()
	}
	return false, err
}

// wantsOf gathers results of one image.
func wantsOf(b Backfill, results []Result) []Want {
	var wants []Want
	at := map[string]int{}
	for _, r := range results {
		key := r.Repository + "@" + r.Digest.String()
		i, ok := at[key]
		if !ok {
			i = len(wants)
			at[key] = i
			wants = append(wants, Want{Repository: r.Repository, Digest: r.Digest, Destination: b.Destination, Backfill: true})
		}
		if r.Tag != "" {
			wants[i].Tags = append(wants[i].Tags, r.Tag)
		}
	}
	return wants
}
