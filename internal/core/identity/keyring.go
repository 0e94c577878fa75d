package identity

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// rereadAfter is how long to leave the source of the master key alone after a look at it that did not help.
const rereadAfter = time.Second

// ring is the keys of a master key. Its state is replaced as a whole, so that those who seal and open need no lock.
type ring struct {
	state atomic.Pointer[ringState]

	mu     sync.Mutex // guards what follows; held while the source is read
	source func() (MasterKey, error)
	now    func() time.Time
	readAt time.Time
}

// ringState never changes once it is stored.
type ringState struct {
	keys    []sealer // the first is the one that a rotation goes to
	sealing sealer   // one of them
}

func newRing(keys []sealer) MasterKey {
	r := &ring{}
	r.state.Store(&ringState{keys: keys, sealing: keys[0]})
	return MasterKey{r}
}

// Follow tells where the key comes from, so that keys that are added there later are found without a restart: when
// something was sealed under a key that is not at hand, the source is read again, once a second at most.
//
// Keys that are no longer there stay until the process ends, since others may still seal under them. It is to be
// called before the key is in use.
func (m MasterKey) Follow(source func() (MasterKey, error), now func() time.Time) {
	m.ring.source, m.ring.now = source, now
}

// find gives the key of that id, looking for it in the source if need be. The error is ErrWrongMasterKey.
func (r *ring) find(id keyID) (sealer, error) {
	if key, ok := r.state.Load().find(id); ok {
		return key, nil
	}
	reading := r.reread(&id)
	s := r.state.Load()
	if key, ok := s.find(id); ok {
		return key, nil
	}
	err := fmt.Errorf("%w: it wants key %s, %s", ErrWrongMasterKey, id, s.have())
	if reading != nil {
		err = fmt.Errorf("%w; %w", err, reading)
	}
	return sealer{}, err
}

// have tells which keys are configured.
func (s *ringState) have() string {
	if len(s.keys) == 1 {
		return "the configured one is master key " + s.keys[0].id.String()
	}
	var ids []string
	for _, k := range s.keys {
		ids = append(ids, k.id.String())
	}
	return "the configured ones are master keys " + strings.Join(ids, ", ")
}

func (s *ringState) find(id keyID) (sealer, bool) {
	for _, k := range s.keys {
		if k.id == id {
			return k, true
		}
	}
	return sealer{}, false
}

// reread takes over what the source has now. With an id it does so only when that key is missing still and the source
// was not read a moment ago.
func (r *ring) reread(missing *keyID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.source == nil {
		return nil
	}
	old, now := r.state.Load(), r.now()
	if missing != nil {
		_, found := old.find(*missing)
		if since := now.Sub(r.readAt); found || (since >= 0 && since < rereadAfter) {
			return nil
		}
	}
	r.readAt = now
	read, err := r.source()
	if err != nil {
		return err
	}
	if read.ring == nil {
		return errors.New("the source of the master key has none")
	}
	state := &ringState{keys: append([]sealer{}, read.ring.state.Load().keys...), sealing: old.sealing}
	for _, k := range old.keys {
		if _, there := state.find(k.id); !there {
			state.keys = append(state.keys, k)
		}
	}
	r.state.Store(state)
	return nil
}

// sealUnder makes the key of that id the one that seals. The error is ErrWrongMasterKey.
func (r *ring) sealUnder(id keyID) error {
	if r.state.Load().sealing.id == id {
		return nil
	}
	key, err := r.find(id)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Store(&ringState{keys: r.state.Load().keys, sealing: key})
	return nil
}
