package scan

import (
	"context"
	"sync"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// keyed lets one at a time work on each blob. The zero value is ready.
type keyed struct {
	mu    sync.Mutex
	turns map[oci.Digest]*turn
}

type turn struct {
	mine    chan struct{} // holds one element while nobody has the turn
	waiting int           // including whoever has it
}

// lock waits for the turn with a digest, and gives what ends it.
func (k *keyed) lock(ctx context.Context, d oci.Digest) (unlock func(), err error) {
	k.mu.Lock()
	if k.turns == nil {
		k.turns = map[oci.Digest]*turn{}
	}
	t := k.turns[d]
	if t == nil {
		t = &turn{mine: make(chan struct{}, 1)}
		t.mine <- struct{}{}
		k.turns[d] = t
	}
	t.waiting++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if t.waiting--; t.waiting == 0 {
			delete(k.turns, d)
		}
	}
	select {
	case <-t.mine:
		return func() {
			t.mine <- struct{}{}
			leave()
		}, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
