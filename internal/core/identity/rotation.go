package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// The permissions that the rotations ask for.
const (
	actionRotateMasterKey = "berth:RotateMasterKey"
	actionRotateTokenKey  = "berth:RotateTokenKey"
)

const (
	// resealBatch bounds a transaction.
	resealBatch = 100
	// maxAttempts bounds how often a change is tried again that another one was quicker than.
	maxAttempts = 50
)

// errNoVault is what a Directory that was made for looking up alone answers.
var errNoVault = errors.New("this directory has no vault to change keys in")

// MasterKeyRotation is what a rotation of the master key came to.
type MasterKeyRotation struct {
	KeyID     string      // of the key that everything is to be sealed under
	Rewrapped int         // rows that this rotation sealed anew
	InUse     []SealedUse // by which keys rows are sealed now
}

// SealedUse counts the rows that one key sealed.
type SealedUse struct {
	KeyID string
	Rows  int
	Known bool // this server has the key
}

// RotateMasterKey reads the master key's source again, makes its first key the one that all replicas seal under, and
// seals every row anew that another key sealed (berth:RotateMasterKey). Rows go in small transactions; where a rotation
// ended half way, another goes on. Rows whose key is not known stay as they are.
//
// Every replica must be able to read the new key before. With want, a key's id, the rotation is refused unless that is
// the first key.
func (d *Directory) RotateMasterKey(ctx context.Context, caller Caller, want string) (MasterKeyRotation, error) {
	if err := d.authorize(caller, actionRotateMasterKey); err != nil {
		return MasterKeyRotation{}, err
	}
	if d.vault == nil || d.master.ring == nil {
		return MasterKeyRotation{}, errNoVault
	}
	if err := d.master.ring.reread(nil); err != nil {
		return MasterKeyRotation{}, err
	}
	first := d.master.ring.state.Load().keys[0].id
	if want != "" && want != first.String() {
		return MasterKeyRotation{}, fault.BadParameter("masterKeyId", "the first master key of the server that was asked is "+first.String())
	}
	rewrapped, err := d.rotateTo(ctx, first)
	if err != nil {
		return MasterKeyRotation{}, err
	}
	inUse, err := d.sealedUses(ctx)
	return MasterKeyRotation{KeyID: first.String(), Rewrapped: rewrapped, InUse: inUse}, err
}

// rotateTo has all replicas seal under a key, and seals what there is under it.
func (d *Directory) rotateTo(ctx context.Context, to keyID) (int, error) {
	total := 0
	for range maxAttempts {
		marker, err := d.mark(ctx, to)
		if err != nil {
			return total, err
		}
		n, err := d.reseal(ctx, marker)
		total += n
		if !errors.Is(err, ErrChanged) {
			return total, err
		}
	}
	return total, fmt.Errorf("rotating to master key %s: %w", to, ErrChanged)
}

// mark says in the database which key is to seal, and gives what now says it.
func (d *Directory) mark(ctx context.Context, to keyID) ([]byte, error) {
	if err := d.master.ring.sealUnder(to); err != nil {
		return nil, err
	}
	for range maxAttempts {
		old, err := d.vault.FindSecret(ctx, MasterKeySecret)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("reading which master key seals: %w", err)
		}
		if id, err := sealedUnder(old); err == nil && id == to {
			return old, nil
		}
		marker, err := d.master.Seal(secretName(MasterKeySecret), []byte("this key seals"))
		if err != nil {
			return nil, err
		}
		err = d.vault.ReplaceSecret(ctx, MasterKeySecret, old, marker)
		if err == nil {
			return marker, nil
		}
		if !errors.Is(err, ErrChanged) {
			return nil, fmt.Errorf("storing which master key seals: %w", err)
		}
	}
	return nil, fmt.Errorf("storing which master key seals: %w", ErrChanged)
}

// followMaster seals under the key that the database names from here on, and gives what names it. Before the first
// rotation none does, and the root keys tell which key is in use.
func (d *Directory) followMaster(ctx context.Context) (marker []byte, err error) {
	if d.vault == nil {
		return nil, nil
	}
	marker, err = d.vault.FindSecret(ctx, MasterKeySecret)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading which master key seals: %w", err)
	}
	if _, err := d.master.Open(secretName(MasterKeySecret), marker); err != nil {
		return nil, err
	}
	id, err := sealedUnder(marker)
	if err != nil {
		return nil, err
	}
	return marker, d.master.ring.sealUnder(id)
}

// FollowMasterKey takes over the key that a rotation on any replica chose, and seals anew what was sealed under another
// since: by a replica that had not heard of it yet, or before a rotation that ended half way. It is background work,
// to be done every few seconds on every replica.
func (d *Directory) FollowMasterKey(ctx context.Context) (more bool, err error) {
	marker, err := d.followMaster(ctx)
	if err != nil || marker == nil {
		return false, err
	}
	_, err = d.reseal(ctx, marker)
	if errors.Is(err, ErrChanged) {
		return true, nil
	}
	return false, err
}

// reseal seals every row anew that another key sealed than the marker. A row that changed meanwhile is left to the
// next run: whoever changed it sealed it under this key, or will find out about it. The error is ErrChanged when the
// marker is another now.
func (d *Directory) reseal(ctx context.Context, marker []byte) (int, error) {
	total, after := 0, ""
	for {
		rows, err := d.vault.SealedOtherwise(ctx, marker[:sealHeader], after, resealBatch)
		if err != nil {
			return total, fmt.Errorf("listing what older master keys sealed: %w", err)
		}
		if len(rows) == 0 {
			return total, nil
		}
		after = rows[len(rows)-1].Name
		var anew []Resealing
		for _, r := range rows {
			if r.Name == secretName(MasterKeySecret) {
				continue // it only ever changes by a rotation
			}
			plain, err := d.master.Open(r.Name, r.Sealed)
			if err != nil {
				continue // nobody here can open it; the rotation counts it
			}
			sealed, err := d.sealAs(marker, r.Name, plain)
			if err != nil {
				return total, err
			}
			anew = append(anew, Resealing{Name: r.Name, Old: r.Sealed, New: sealed})
		}
		if len(anew) == 0 {
			continue
		}
		n, err := d.vault.Reseal(ctx, marker, anew)
		total += n
		if err != nil {
			return total, fmt.Errorf("storing what was sealed anew: %w", err)
		}
	}
}

// sealAs seals under the marker's key, which need not be the one that seals by the time.
func (d *Directory) sealAs(marker []byte, name string, plain []byte) ([]byte, error) {
	id, err := sealedUnder(marker)
	if err != nil {
		return nil, err
	}
	key, err := d.master.ring.find(id)
	if err != nil {
		return nil, err
	}
	return key.seal(name, plain)
}

func (d *Directory) sealedUses(ctx context.Context) ([]SealedUse, error) {
	counts, err := d.vault.SealHeaders(ctx, sealHeader)
	if err != nil {
		return nil, fmt.Errorf("counting what is sealed: %w", err)
	}
	state := d.master.ring.state.Load()
	var uses []SealedUse
	for header, n := range counts {
		id, err := sealedUnder([]byte(header))
		if err != nil {
			continue // not sealed: the layers' id rests with the secrets and is none
		}
		_, known := state.find(id)
		uses = append(uses, SealedUse{KeyID: id.String(), Rows: n, Known: known})
	}
	slices.SortFunc(uses, func(a, b SealedUse) int { return strings.Compare(a.KeyID, b.KeyID) })
	return uses, nil
}

// authorize lets the account's root principal and the server itself change keys. A session of the root principal's does not
// do: as with IAM, that takes the lasting key or a second factor, which there is none of.
func (d *Directory) authorize(caller Caller, action string) error {
	if (caller.Root || caller.Service) && caller.Session == nil && caller.Account == d.account {
		return nil
	}
	who := caller.ARN
	if who == "" {
		who = "anonymous"
	}
	return fault.New(fault.AccessDenied,
		"User: %s is not authorized to perform: %s on resource: * because no identity-based policy allows the %s action", who, action, action)
}
