// Package identitytest is for tests of whoever needs an identity.Directory and no database.
package identitytest

import (
	"context"
	"slices"
	"sync"

	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// Memory is an identity.Store that forgets when the test ends. The zero value is empty. Its fields are for the test to read and to set
// while nobody uses it.
type Memory struct {
	Keys    []identity.SealedKey
	Secrets map[string][]byte
	Lookups int   // calls of AccessKey
	Broken  error // what every call fails with, or nil

	mu sync.Mutex
}

// InsertAccessKey is of identity.Store.
func (m *Memory) InsertAccessKey(_ context.Context, key identity.SealedKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Keys = append(m.Keys, key)
	return m.Broken
}

// AccessKey is of identity.Store.
func (m *Memory) AccessKey(_ context.Context, id string) (identity.SealedKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Lookups++
	if m.Broken != nil {
		return identity.SealedKey{}, m.Broken
	}
	for _, k := range m.Keys {
		if k.ID == id {
			return k, nil
		}
	}
	return identity.SealedKey{}, identity.ErrNotFound
}

// RootAccessKeys is of identity.Store. All keys are root's.
func (m *Memory) RootAccessKeys(context.Context) ([]identity.SealedKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.Keys), m.Broken
}

// Secret is of identity.Store.
func (m *Memory) Secret(_ context.Context, name string, fallback []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Secrets == nil {
		m.Secrets = map[string][]byte{}
	}
	if _, ok := m.Secrets[name]; !ok {
		m.Secrets[name] = fallback
	}
	return m.Secrets[name], m.Broken
}

// PrincipalARN is of identity.Store. There are no users and roles.
func (m *Memory) PrincipalARN(context.Context, string) (string, error) {
	return "", identity.ErrNotFound
}

// Deactivate switches a key off.
func (m *Memory) Deactivate(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.Keys {
		if m.Keys[i].ID == id {
			m.Keys[i].Active = false
		}
	}
}

// Remove deletes a key.
func (m *Memory) Remove(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Keys = slices.DeleteFunc(m.Keys, func(k identity.SealedKey) bool { return k.ID == id })
}
