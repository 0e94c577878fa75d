package access

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// useRecorder gathers in memory when keys and roles were used, so that a request writes nothing: the newest use of each is
// written from time to time. A crash loses at most what came since the last write; AWS's own records are minutes behind. The zero
// recorder is empty and ready.
type useRecorder struct {
	mu    sync.Mutex
	keys  map[string]Use // by access key id; guarded by mu
	roles map[string]Use // by unique id; guarded by mu
}

func (u *useRecorder) note(into *map[string]Use, id string, use Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if *into == nil {
		*into = map[string]Use{}
	}
	if use.At.After((*into)[id].At) {
		(*into)[id] = use
	}
}

func (u *useRecorder) take() (keys, roles map[string]Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	keys, roles = u.keys, u.roles
	u.keys, u.roles = nil, nil
	return keys, roles
}

// Used notes that a caller came with a proven credential, to a service and region: a lasting key was used, or a role.
// What is not kept anywhere has no record: the sessions of users, and the server at its own work. It neither waits nor fails.
func (s *Service) Used(caller identity.Caller, service, region string) {
	if region == "" {
		region = s.region
	}
	use := Use{At: s.now(), Region: region, Service: service}
	switch {
	case caller.Session == nil && caller.AccessKeyID != "":
		s.uses.note(&s.uses.keys, caller.AccessKeyID, use)
	case caller.Session != nil && caller.Session.RoleARN != "":
		s.uses.note(&s.uses.roles, caller.PrincipalID(), use)
	}
}

// FlushUses writes the uses that were noted since the last call. Whoever runs the account calls it from time to time
// and once when stopping. After an error they are kept for the next call.
func (s *Service) FlushUses(ctx context.Context) error {
	keys, roles := s.uses.take()
	if len(keys)+len(roles) == 0 {
		return nil
	}
	// Not update: nobody's permissions change.
	err := s.store.Update(ctx, func(tx Tx) error {
		// In order, as everybody writes them.
		for _, id := range slices.Sorted(maps.Keys(keys)) {
			if err := tx.RecordKeyUse(ctx, id, keys[id]); err != nil {
				return err
			}
		}
		for _, id := range slices.Sorted(maps.Keys(roles)) {
			if err := tx.RecordRoleUse(ctx, id, roles[id].At, roles[id].Region); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		for id, use := range keys {
			s.uses.note(&s.uses.keys, id, use)
		}
		for id, use := range roles {
			s.uses.note(&s.uses.roles, id, use)
		}
		return fmt.Errorf("recording the last use of %d keys and %d roles: %w", len(keys), len(roles), err)
	}
	return nil
}
