package gc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

const (
	// mostAtOnce bounds a transaction, and so how long pushes may wait for it.
	mostAtOnce = 200
	// removers is how many bytes of a batch are removed at the same time: in a bucket each takes a request, and pushes need
	// the bucket, too.
	removers = 4
	// storeRest is how long the blob store is left alone after it failed for everything that was asked.
	storeRest = time.Minute
)

// SweepOnce takes one bounded batch of what is due in each stage, and tells whether it took any: then there may be more. Several
// replicas may sweep at once. While the collector is paused it does nothing.
//
// A stage that fails leaves its things due, and does not keep the others from theirs.
func (s *Service) SweepOnce(ctx context.Context) (more bool, err error) {
	pause, err := s.paused(ctx)
	if err != nil || pause != nil {
		return false, err
	}
	if held, err := s.clockHolds(ctx); err != nil || held {
		return false, err
	}
	due, err := s.Rows.Due(ctx, s.deadlines())
	if err != nil {
		return false, fmt.Errorf("looking for what is due: %w", err)
	}
	work := [stages]func(context.Context, *pace) (Amount, error){
		Trash: s.purgeTrash, Uploads: s.expireUploads, Layers: s.unlinkLayers, Blobs: s.deleteBlobs, Bytes: s.removeBytes,
	}
	var problems []error
	came := outcomes{}
	for stage, do := range work {
		if !due[stage] {
			continue
		}
		began := s.Now()
		taken, err := do(ctx, s.pace())
		s.count(Stage(stage), taken, s.Now().Sub(began))
		more = more || taken.Things > 0
		came.add(Stage(stage).String(), taken.Things > 0, err, s.Now())
		if err != nil {
			problems = append(problems, fmt.Errorf("sweeping %s: %w", Stage(stage), err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	s.tell(ctx)
	if err := s.note(ctx, came); err != nil {
		problems = append(problems, err)
	}
	return more, errors.Join(problems...)
}

func (s *Service) deadlines() Deadlines {
	d := Deadlines{Now: s.Now()}
	if s.UploadTTL > 0 {
		d.Uploads = d.Now.Add(-s.UploadTTL)
	}
	return d
}

func (s *Service) count(stage Stage, a Amount, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[stage].Things += a.Things
	s.done[stage].Bytes += a.Bytes
	if a.Things > 0 {
		s.busy += took
	}
}

// update is one transaction of the sweep, after which the writer is left to others for a while. f tells how many things it took.
func (s *Service) update(ctx context.Context, p *pace, f func(Tx) (int, error)) error {
	began := s.Now()
	things := 0
	err := s.Rows.Update(ctx, func(tx Tx) (err error) {
		things, err = f(tx)
		return err
	})
	if err != nil {
		return err
	}
	return p.rest(ctx, things, s.Now().Sub(began))
}

// purgeTrash ends what can be restored no more. Its blobs are looked at at once: their layers had their grace when the image went.
func (s *Service) purgeTrash(ctx context.Context, p *pace) (taken Amount, err error) {
	err = s.update(ctx, p, func(tx Tx) (int, error) {
		taken = Amount{}
		now := s.Now()
		ids, err := tx.TrashDue(ctx, now, p.batch())
		if err != nil || len(ids) == 0 {
			return 0, err
		}
		taken.Things = int64(len(ids))
		return len(ids), tx.PurgeTrash(ctx, ids, now)
	})
	return taken, err
}

// expireUploads ends uploads to which nothing was added for long. A request that adds to one at this moment finds its row gone.
func (s *Service) expireUploads(ctx context.Context, p *pace) (taken Amount, err error) {
	err = s.update(ctx, p, func(tx Tx) (int, error) {
		taken = Amount{}
		d := s.deadlines()
		ended, err := tx.ExpireUploads(ctx, d.Uploads, p.batch())
		if err != nil || len(ended) == 0 {
			return 0, err
		}
		taken = amountOf(ended)
		return len(ended), tx.Discard(ctx, ended, d.Now)
	})
	return taken, err
}

// unlinkLayers looks at layers, repository by repository, with the repository locked.
func (s *Service) unlinkLayers(ctx context.Context, p *pace) (taken Amount, err error) {
	due, err := s.Rows.LayersDue(ctx, s.Now(), p.batch())
	if err != nil {
		return Amount{}, err
	}
	byRepository := map[int64][]oci.Digest{}
	var order []int64
	for _, l := range due {
		if byRepository[l.RepositoryID] == nil {
			order = append(order, l.RepositoryID)
		}
		byRepository[l.RepositoryID] = append(byRepository[l.RepositoryID], l.Digest)
	}
	var problems []error
	for _, id := range order {
		looked := 0
		err := s.update(ctx, p, func(tx Tx) (_ int, err error) {
			looked, err = s.unlinkLayersOf(ctx, tx, id, byRepository[id])
			return looked, err
		})
		if err != nil {
			problems = append(problems, fmt.Errorf("layers of repository %d: %w", id, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		taken.Things += int64(looked)
	}
	return taken, errors.Join(problems...)
}

// unlinkLayersOf takes the layers that no image refers to. One that an image does refer to is shown if it was hidden: an image in
// a copy of an upstream registry's repository comes without looking for its layers.
func (s *Service) unlinkLayersOf(ctx context.Context, tx Tx, repositoryID int64, ds []oci.Digest) (looked int, err error) {
	there, err := tx.LockRepository(ctx, repositoryID)
	if err != nil || !there {
		return 0, err // its layers went with it
	}
	now := s.Now()
	layers, err := tx.LayersOf(ctx, repositoryID, ds, now)
	if err != nil {
		return 0, err
	}
	var used, free []oci.Digest
	for _, l := range layers {
		if l.Used {
			used = append(used, l.Digest)
		} else {
			free = append(free, l.Digest)
		}
	}
	if len(used) > 0 {
		if err := tx.SettleLayers(ctx, repositoryID, used); err != nil {
			return 0, err
		}
	}
	if len(free) > 0 {
		if err := tx.UnlinkLayers(ctx, repositoryID, free, now); err != nil {
			return 0, err
		}
	}
	return len(layers), nil
}

// deleteBlobs looks at blobs. They are locked first: only then does it mean something that nothing refers to them.
func (s *Service) deleteBlobs(ctx context.Context, p *pace) (taken Amount, err error) {
	err = s.update(ctx, p, func(tx Tx) (int, error) {
		taken = Amount{}
		now := s.Now()
		due, err := tx.BlobsDue(ctx, now, p.batch())
		if err != nil || len(due) == 0 {
			return 0, err
		}
		digests := make([]oci.Digest, len(due))
		for i, b := range due {
			digests[i] = b.Digest
		}
		needed, err := tx.BlobsNeeded(ctx, digests)
		if err != nil {
			return 0, err
		}
		if len(needed) > 0 {
			if err := tx.SettleBlobs(ctx, needed); err != nil {
				return 0, err
			}
		}
		var gone []oci.Digest
		var garbage []blob.Upload
		for _, b := range due {
			if !slices.Contains(needed, b.Digest) {
				gone = append(gone, b.Digest)
				garbage = append(garbage, blob.Upload{Key: b.Key, Size: b.Size})
			}
		}
		taken.Things = int64(len(due))
		if len(gone) == 0 {
			return len(due), nil
		}
		if err := tx.DeleteBlobs(ctx, gone); err != nil {
			return 0, err
		}
		return len(due), tx.Discard(ctx, garbage, now.Add(s.bytesStay()))
	})
	return taken, err
}

// removeBytes takes what is due from the blob store. What cannot be removed keeps its row, and comes up again after a while.
func (s *Service) removeBytes(ctx context.Context, p *pace) (taken Amount, err error) {
	if s.storeRests() {
		return Amount{}, nil
	}
	var claimed []blob.Upload
	err = s.update(ctx, p, func(tx Tx) (_ int, err error) {
		now := s.Now()
		claimed, err = tx.ClaimGarbage(ctx, now, now.Add(s.again()), p.batch())
		return 0, err // counted when they are gone
	})
	if err != nil || len(claimed) == 0 {
		return Amount{}, err
	}
	began := s.Now()
	gone, problem := s.remove(ctx, claimed)
	if len(gone) == 0 {
		s.letStoreRest()
		return Amount{}, problem
	}
	p.spent(s.Now().Sub(began))
	keys := make([]blob.Key, len(gone))
	for i, u := range gone {
		keys[i] = u.Key
	}
	began = s.Now()
	remember := context.WithoutCancel(ctx)
	if err := s.Rows.Update(remember, func(tx Tx) error { return tx.ForgetGarbage(remember, keys) }); err != nil {
		return Amount{}, errors.Join(problem, err) // they are removed once more
	}
	return amountOf(gone), errors.Join(problem, p.rest(ctx, len(gone), s.Now().Sub(began)))
}

// remove takes bytes from the store and gives what is gone, and one of the errors of the others.
func (s *Service) remove(ctx context.Context, garbage []blob.Upload) (gone []blob.Upload, problem error) {
	var mu sync.Mutex
	var running sync.WaitGroup
	next := make(chan blob.Upload)
	for range min(removers, len(garbage)) {
		running.Go(func() {
			for u := range next {
				err := s.removeOne(ctx, u)
				mu.Lock()
				if err == nil {
					gone = append(gone, u)
				} else if problem == nil {
					problem = fmt.Errorf("removing the bytes under key %s: %w", u.Key, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, u := range garbage {
		if ctx.Err() != nil {
			break
		}
		next <- u
	}
	close(next)
	running.Wait()
	return gone, problem
}

// removeOne ends what the store knows of an upload, and removes the object. Only what was an upload has notes of the store's.
func (s *Service) removeOne(ctx context.Context, u blob.Upload) error {
	if len(u.State) > 0 {
		if err := s.Blobs.Abort(ctx, u); err != nil {
			return err
		}
	}
	return s.Blobs.Delete(ctx, u.Key)
}

func (s *Service) storeRests() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Now().Before(s.resting)
}

func (s *Service) letStoreRest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resting = s.Now().Add(min(storeRest, s.again()))
}

func amountOf(us []blob.Upload) Amount {
	a := Amount{Things: int64(len(us))}
	for _, u := range us {
		a.Bytes += u.Size
	}
	return a
}
