package gc_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
)

// unlisted is a blob store that does not tell what it holds while broken.
type unlisted struct {
	blob.Walker
	broken atomic.Bool
}

func (u *unlisted) Walk(ctx context.Context, after string, limit int) ([]blob.Found, string, error) {
	if u.broken.Load() {
		return nil, "", errors.New("AccessDenied: no s3:ListBucket\n\x1b[31mon this bucket")
	}
	return u.Walker.Walk(ctx, after, limit)
}

func (b *bench) wantProblems(when string, want ...gc.Problem) {
	b.t.Helper()
	st, err := gc.New(b.config).Status(b.t.Context(), root) // any replica's
	if err != nil {
		b.t.Fatal(err)
	}
	if len(st.Problems) != len(want) {
		b.t.Fatalf("%s the problems are %+v, want %+v", when, st.Problems, want)
	}
	for i, p := range st.Problems {
		if p.Stage != want[i].Stage || !p.At.Equal(want[i].At) || !strings.Contains(p.Text, want[i].Text) {
			b.t.Errorf("%s problem %d is %+v, want %+v", when, i, p, want[i])
		}
	}
}

// TestALastProblemIsKept until the stage that had it has done its work again, and is the newest but for a minute.
func TestALastProblemIsKept(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		store := &fails{Store: b.blobs}
		sick := errors.New("the bucket answers 503")
		b.config.Blobs = store
		b.gc = gc.New(b.config)
		b.remove(repo, b.image(repo, "config", "layer", "v1"))
		b.pass(day)
		b.sweep()
		b.wantProblems("before there is one")
		b.pass(time.Hour)
		store.broken.Store(&sick)
		fail := func() time.Time {
			t.Helper()
			if _, err := b.gc.SweepOnce(t.Context()); !errors.Is(err, sick) {
				t.Fatalf("SweepOnce: %v, want %v", err, sick)
			}
			return b.now()
		}
		first := fail()
		b.wantProblems("after the first", gc.Problem{Stage: "bytes", At: first, Text: "503"})

		b.pass(time.Second)
		b.sweep()
		b.wantProblems("while the store is left alone", gc.Problem{Stage: "bytes", At: first, Text: "503"})
		b.pass(15 * time.Minute)
		b.wantProblems("when it happens again", gc.Problem{Stage: "bytes", At: fail(), Text: "503"})
		store.broken.Store(nil)
		b.pass(15 * time.Minute)
		b.sweep()
		b.wantFiles("in the end", 0)
		b.wantProblems("when the store works")
	})
}

// TestAProblemAmongOthers is not forgotten because other things go.
func TestAProblemAmongOthers(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		store := &picky{Store: b.blobs}
		b.config.Blobs = store
		b.gc = gc.New(b.config)
		b.remove(repo, b.image(repo, "config", "layer", "v1"))
		b.pass(day)
		b.sweep()
		b.pass(time.Hour)
		store.left.Store(1)
		if _, err := b.gc.SweepOnce(t.Context()); err == nil {
			t.Fatal("nothing failed")
		}
		at := b.now()
		b.remove(repo, b.image(repo, "config2", "layer2", "v2"))
		b.wantFiles("now", 3)
		b.pass(time.Minute)
		b.wantProblems("at first", gc.Problem{Stage: "bytes", At: at, Text: "permission denied"})
		b.pass(day)
		b.sweep() // the one that is left goes
		b.wantFiles("a day later", 2)
		b.wantProblems("when it went")
	})
}

// picky does not remove so many things.
type picky struct {
	blob.Store
	left atomic.Int64
}

func (p *picky) Delete(ctx context.Context, key blob.Key) error {
	if p.left.Add(-1) >= 0 {
		return errors.New("permission denied")
	}
	return p.Store.Delete(ctx, key)
}

func TestALastProblemOfTheWalk(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		walker := &unlisted{Walker: b.blobs}
		b.config.Walker = walker
		b.gc = gc.New(b.config)
		b.layer(repo, "layer")
		walker.broken.Store(true)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.gc.WalkOnce(ended); err == nil {
			t.Fatal("WalkOnce did not notice that it is to end")
		}
		b.wantProblems("when somebody only stopped it")
		if _, err := b.gc.WalkOnce(t.Context()); err == nil {
			t.Fatal("WalkOnce did not fail")
		}
		b.wantProblems("with an unreadable store", gc.Problem{
			Stage: "walk", At: b.now(), Text: "AccessDenied: no s3:ListBucket  [31mon this bucket",
		})
		walker.broken.Store(false)
		b.pass(time.Second)
		b.walk()
		b.wantProblems("when it can be read again")
	})
}
