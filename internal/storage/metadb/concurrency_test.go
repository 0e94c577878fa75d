package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestLockRepositoryTakesTurns moves a tag from image to image like a counter: an update lost, or two that
// started from the same image, would break the chain.
func TestLockRepositoryTakesTurns(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		const workers, moves = 8, 10
		r := addRepository(t, db, "app")
		images := make([]registry.Image, workers*moves+1)
		place := map[string]int{}
		for i := range images {
			images[i] = addImage(t, db, r.ID, newImage(fmt.Sprint(i)), registry.References{})
			place[images[i].Digest.String()] = i
		}
		setTag(t, db, r.ID, "counter", images[0].ID)
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				for range moves {
					err := db.Update(t.Context(), func(tx registry.Tx) error {
						repo, err := tx.LockRepository(t.Context(), "app")
						if err != nil {
							return err
						}
						at, err := tx.ImageByTag(t.Context(), repo.ID, "counter")
						if err != nil {
							return err
						}
						next := images[place[at.Digest.String()]+1]
						return errors.Join(
							tx.SetTag(t.Context(), repo.ID, "counter", next.ID, noon()),
							tx.RecordTagChanges(t.Context(), []registry.TagChange{{Repository: "app", Tag: "counter", From: at.Digest, To: next.Digest}}),
						)
					})
					if err != nil {
						t.Errorf("Update: %v", err)
					}
				}
			})
		}
		all.Wait()
		img, err := db.Read().ImageByTag(t.Context(), r.ID, "counter")
		want(t, "where the tag is after all moves", img.Digest, err, images[len(images)-1].Digest)
		history, err := db.Read().TagHistory(t.Context(), "app", "counter", 0, 1000)
		want(t, "moves in the history", len(history), err, workers*moves)
		for i, c := range history {
			if wanted := images[len(images)-1-i].Digest; c.To != wanted {
				t.Fatalf("move %d from the end went to %s, want %s", i, c.To, wanted)
			}
		}
	})
}

func TestOneOfManyInsertsWins(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		var won, lost atomic.Int64
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				err := db.Update(t.Context(), func(tx registry.Tx) error {
					_, err := tx.InsertRepository(t.Context(), registry.Repository{Name: "app"})
					return err
				})
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, registry.ErrConflict):
					lost.Add(1)
				default:
					t.Errorf("Update: %v", err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || lost.Load() != 15 {
			t.Errorf("of 16 inserts of one name %d succeeded and %d answered ErrConflict, want 1 and 15", won.Load(), lost.Load())
		}
	})
}

// TestManyLinkTheSameBlob has many clients finish an upload of the same bytes at once, each into a copy of
// its own: all must agree on one copy.
func TestManyLinkTheSameBlob(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		const clients = 16
		repos := []registry.Repository{addRepository(t, db, "a"), addRepository(t, db, "b")}
		keys := make([]blob.Key, clients)
		firsts := make([]atomic.Int64, len(repos))
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				l := newLayer("content")
				l.Key = blob.Key(fmt.Sprintf("copy %d", i))
				var had bool
				err := db.Update(t.Context(), func(tx registry.Tx) (err error) {
					l, had, err = tx.LinkLayer(t.Context(), repos[i%2].ID, l)
					return err
				})
				if err != nil {
					t.Errorf("LinkLayer: %v", err)
				}
				keys[i] = l.Key
				if !had {
					firsts[i%2].Add(1)
				}
			})
		}
		all.Wait()
		for i, r := range repos {
			l, err := db.Read().Layer(t.Context(), r.ID, digest("content"))
			if err != nil {
				t.Fatalf("Layer: %v", err)
			}
			for client, key := range keys {
				if key != l.Key {
					t.Errorf("client %d was told key %q, and the layer of %s has %q", client, key, r.Name, l.Key)
				}
			}
			want(t, "clients told that they were the first in "+r.Name, firsts[i].Load(), nil, 1)
		}
	})
}

// TestReadersSeeWhatWasCommitted reads after each update, from as many goroutines as there are.
func TestReadersSeeWhatWasCommitted(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		var all sync.WaitGroup
		for w := range 8 {
			all.Go(func() {
				for i := range 20 {
					name := fmt.Sprintf("r%d-%d", w, i)
					addRepository(t, db, name)
					if _, err := db.Read().Repository(t.Context(), name); err != nil {
						t.Errorf("Repository(%s) right after its insertion: %v", name, err)
					}
				}
			})
		}
		all.Wait()
	})
}

func TestReadsDoNotSeeWhatIsNotCommitted(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			if _, err := tx.InsertRepository(ctx, registry.Repository{Name: "soon"}); err != nil {
				return err
			}
			if _, err := tx.Repository(ctx, "soon"); err != nil {
				t.Errorf("Repository in the transaction that inserted it: %v", err)
			}
			if _, err := db.Read().Repository(ctx, "soon"); !errors.Is(err, registry.ErrNoRow) {
				t.Errorf("Repository outside of the transaction that inserts it: %v, want ErrNoRow", err)
			}
			return nil
		})
	})
}

func TestFailedUpdateLeavesNothing(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		mine := errors.New("my own")
		err := db.Update(t.Context(), func(tx registry.Tx) error {
			id, err := tx.InsertRepository(t.Context(), registry.Repository{Name: "lost"})
			if err != nil {
				return err
			}
			if _, _, err := tx.LinkLayer(t.Context(), id, newLayer("lost")); err != nil {
				return err
			}
			return fmt.Errorf("no: %w", mine)
		})
		if !errors.Is(err, mine) {
			t.Errorf("Update: %v, want the function's own error", err)
		}
		if _, err := db.Read().Repository(t.Context(), "lost"); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("Repository of a failed update: %v, want ErrNoRow", err)
		}
	})
}

func TestPanicInUpdateIsRolledBack(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		func() {
			defer func() {
				want(t, "what was recovered", recover(), nil, any("mine"))
			}()
			_ = db.Update(t.Context(), func(tx registry.Tx) error {
				_, _ = tx.InsertRepository(t.Context(), registry.Repository{Name: "lost"})
				panic("mine")
			})
		}()
		if _, err := db.Read().Repository(t.Context(), "lost"); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("Repository of an update that panicked: %v, want ErrNoRow", err)
		}
		addRepository(t, db, "goes on")
	})
}

func TestCancelledContextStopsAtOnce(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := db.Update(ctx, func(registry.Tx) error {
			t.Errorf("the function of an update whose context was over ran")
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Update: %v, want context.Canceled", err)
		}
		if _, err := db.Read().Repository(ctx, "any"); !errors.Is(err, context.Canceled) {
			t.Errorf("Repository: %v, want context.Canceled", err)
		}
	})
}

// TestPullTimesFromManyReplicas records pulls of the same images in any order: the newest stays.
func TestPullTimesFromManyReplicas(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		const recorders, rounds = 6, 10
		r := addRepository(t, db, "app")
		var images []registry.Image
		for i := range 20 {
			images = append(images, addImage(t, db, r.ID, newImage(fmt.Sprint(i)), registry.References{}))
		}
		var all sync.WaitGroup
		for w := range recorders {
			all.Go(func() {
				for round := range rounds {
					pulls := map[int64]time.Time{}
					for i, img := range images {
						pulls[img.ID] = noon().Add(time.Duration((w*7+round*13+i)%(recorders*rounds)) * time.Second)
					}
					pulls[images[w].ID] = noon().Add(time.Hour + time.Duration(round)*time.Second)
					if err := db.Update(t.Context(), func(tx registry.Tx) error { return tx.RecordPulls(t.Context(), pulls) }); err != nil {
						t.Errorf("RecordPulls: %v", err)
					}
				}
			})
		}
		all.Wait()
		for w := range recorders {
			img, err := db.Read().ImageByDigest(t.Context(), r.ID, images[w].Digest)
			want(t, "LastPulledAt", img.LastPulledAt, err, noon().Add(time.Hour+(rounds-1)*time.Second))
		}
	})
}

// TestUpdateThatIgnoresAFailure reports success after a statement failed, which both databases refuse.
func TestUpdateThatIgnoresAFailure(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		err := db.Update(t.Context(), func(tx registry.Tx) error {
			if _, err := tx.InsertRepository(t.Context(), registry.Repository{Name: "lost"}); err != nil {
				return err
			}
			_ = tx.SetTag(t.Context(), r.ID, "t", 4711, noon())
			return nil
		})
		if !errors.Is(err, registry.ErrConflict) {
			t.Errorf("Update that ignored a failed SetTag: %v, want SetTag's ErrConflict", err)
		}
		if _, err := db.Read().Repository(t.Context(), "lost"); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("Repository of that update: %v, want ErrNoRow", err)
		}
	})
}
