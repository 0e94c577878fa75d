package scan

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// CleanStore is what cleaning needs. Whoever cleans is the holder, as whoever judges: never both. What removes something makes the
// epoch rise with it, so that a Save that relies on what is gone begins again.
type CleanStore interface {
	// BeginCleaning tells up to where there are sets and packages once all saves under way have been seen to, and the epoch since
	// then; false: a judgement is under way.
	BeginCleaning(ctx context.Context, holder string) (CleanStart, bool, error)
	// CleanSets removes sets that no image has and that were judged before a time, at most limit, and tells how many.
	CleanSets(ctx context.Context, holder string, until, before time.Time, limit int) (int64, error)
	// PackageIDsAfter lists ids of packages, those after one and up to another, at most limit.
	PackageIDsAfter(ctx context.Context, after, upto int64, limit int) ([]int64, error)
	// CleanPackages removes the packages that are named when the members of all sets with higher ids than one are known.
	CleanPackages(ctx context.Context, holder string, until time.Time, set int64, unused func(members [][]byte) ([]int64, error)) error
	// LayersUsed hands over, packed, the layers of images after one, at most limit, and tells the last image; 0: there are no more.
	LayersUsed(ctx context.Context, after int64, limit int, f func(layers []byte) error) (int64, error)
	// LayerIDsBefore lists the ids of layers that were read before a time, those after one, at most limit.
	LayerIDsBefore(ctx context.Context, before time.Time, after int64, limit int) ([]int64, error)
	// CleanLayers removes the layers that are named when those of all images that were saved at an epoch or later are known.
	CleanLayers(ctx context.Context, holder string, until time.Time, epoch int64, unused func(layers [][]byte) ([]int64, error)) error
}

// CleanStart is from where on what is new is looked at apart.
type CleanStart struct{ Epoch, Set, Package int64 }

const (
	// cleanAfter is how long what nobody has stays: an image that is pushed again finds it.
	cleanAfter = 24 * time.Hour
	// cleanBatch is how many rows are removed in a transaction.
	cleanBatch = 1000
)

// CleanOnce removes sets that no image has, packages that are in no set, and layers that no image has, unless somebody judges. It
// looks at all of them, and is for once in an hour or so.
func (j *Judge) CleanOnce(ctx context.Context) (more bool, err error) {
	now := j.now()
	c := &cleaning{Judge: j, holder: rand.Text(), before: now.Add(-cleanAfter)}
	if ok, err := j.store.Claim(ctx, c.holder, now, now.Add(lease)); err != nil || !ok {
		return false, err
	}
	defer func() { err = errors.Join(err, j.store.Release(context.WithoutCancel(ctx), c.holder)) }()
	var idle bool
	if c.start, idle, err = j.store.BeginCleaning(ctx, c.holder); err != nil || !idle {
		return false, err
	}
	for _, clean := range []func(context.Context) error{c.sets, c.packages, c.layers} {
		if err := clean(ctx); err != nil {
			if errors.Is(err, ErrNotHolder) {
				return false, nil
			}
			return false, err
		}
	}
	return false, nil
}

type cleaning struct {
	*Judge
	holder string
	before time.Time
	start  CleanStart
}

func (c *cleaning) until() time.Time { return c.now().Add(lease) }

func (c *cleaning) sets(ctx context.Context) error {
	for n := int64(cleanBatch); n == cleanBatch; {
		var err error
		if n, err = c.store.CleanSets(ctx, c.holder, c.until(), c.before, cleanBatch); err != nil {
			return err
		}
	}
	return nil
}

// packages goes by a list of those that are in use: sets do not change, but come and go. Those that come while it is made are looked
// at in the transaction that removes.
func (c *cleaning) packages(ctx context.Context) error {
	used := match.NewIDs()
	for after := int64(0); ; {
		sets, err := c.store.SetsAfter(ctx, after, c.start.Set, setsBatch)
		if err != nil {
			return err
		}
		if len(sets) == 0 {
			break
		}
		for _, s := range sets {
			if err := used.AddMembers(s.Members); err != nil {
				return err
			}
		}
		after = sets[len(sets)-1].ID
	}
	for after := int64(0); ; {
		ids, err := c.store.PackageIDsAfter(ctx, after, c.start.Package, cleanBatch)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		if ids = used.Without(ids); len(ids) == 0 {
			continue
		}
		err = c.store.CleanPackages(ctx, c.holder, c.until(), c.start.Set, func(members [][]byte) ([]int64, error) { return unused(used, ids, members) })
		if err != nil {
			return err
		}
	}
}

func unused(used *match.IDs, ids []int64, members [][]byte) ([]int64, error) {
	for _, m := range members {
		if err := used.AddMembers(m); err != nil {
			return nil, err
		}
	}
	return used.Without(ids), nil
}

func (c *cleaning) layers(ctx context.Context) error {
	used := match.NewIDs()
	for after, err := int64(0), error(nil); ; {
		if after, err = c.store.LayersUsed(ctx, after, packagesBatch, used.AddMembers); err != nil {
			return err
		}
		if after == 0 {
			break
		}
	}
	for after := int64(0); ; {
		ids, err := c.store.LayerIDsBefore(ctx, c.before, after, cleanBatch)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		if ids = used.Without(ids); len(ids) == 0 {
			continue
		}
		err = c.store.CleanLayers(ctx, c.holder, c.until(), c.start.Epoch, func(layers [][]byte) ([]int64, error) { return unused(used, ids, layers) })
		if err != nil {
			return err
		}
	}
}
