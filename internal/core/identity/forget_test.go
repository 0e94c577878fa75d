package identity_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/identity/identitytest"
)

// slow is a store that lets something happen between a key's being read and its being returned.
type slow struct {
	*identitytest.Memory
	meanwhile func()
}

func (s *slow) AccessKey(ctx context.Context, id string) (identity.SealedKey, error) {
	key, err := s.Memory.AccessKey(ctx, id)
	s.meanwhile()
	return key, err
}

// TestAKeySwitchedOffWhileItIsReadIsNotRemembered has a key switched off after a look-up read it and before that
// remembered it.
func TestAKeySwitchedOffWhileItIsReadIsNotRemembered(t *testing.T) {
	t.Parallel()
	store := &slow{Memory: &identitytest.Memory{}, meanwhile: func() {}}
	d := newDirectory(store, newMaster(t), newClock(), nil)
	root, _, err := d.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store.meanwhile = func() {
		store.Deactivate(root.ID)
		d.Forget()
	}
	if _, err := d.AccessKey(t.Context(), root.ID); err != nil {
		t.Fatalf("AccessKey, which read before the change: %v", err)
	}
	store.meanwhile = func() {}
	if _, err := d.AccessKey(t.Context(), root.ID); !errors.Is(err, fault.AccessKeyUnknown) {
		t.Errorf("AccessKey after the change: %v, want %v", err, fault.AccessKeyUnknown)
	}
}
