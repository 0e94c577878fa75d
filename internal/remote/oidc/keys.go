package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

const (
	// freshFor is how long an issuer's keys are used before they are asked for again.
	freshFor = time.Hour
	// keptFor is how long they are used while the issuer does not answer.
	keptFor = 24 * time.Hour
	// missPause is the least time between two fetches for a key that is not there: anybody can make up a kid.
	missPause = time.Minute
	// failPause is the least time between two fetches when one failed, with keys to go on with; emptyPause, without.
	failPause  = time.Minute
	emptyPause = 10 * time.Second
	// fetchWithin is how long discovery and keys may take together.
	fetchWithin = 15 * time.Second

	maxKeys = 100
	// maxTries is how many keys are tried on one token that names none.
	maxTries = 16
	// minRSA and maxRSA bound a modulus in bits: shorter is weak (RFC 7518 §3.3), longer is work that others choose for us.
	minRSA, maxRSA = 2048, 8192
)

// algorithms are those that tokens may be signed with. They are AWS's too.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// fits tells whether a key is for signatures of an algorithm, by its kind and by what it says of itself.
func fits(k jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
	if k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != string(algorithm) {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return algorithm == jose.RS256 && bits >= minRSA && bits <= maxRSA
	case *ecdsa.PublicKey:
		return algorithm == jose.ES256 && key.Curve == elliptic.P256()
	}
	return false
}

// parseKeys reads a JSON Web Key Set (RFC 7517 §5). Keys that no token could be verified with are left out.
func parseKeys(set []byte) ([]jose.JSONWebKey, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	// The standard library's reader goes first: it has a limit on depth.
	if err := json.Unmarshal(set, &raw); err != nil {
		return nil, errors.New("not a JSON Web Key Set")
	}
	if len(raw.Keys) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, text := range raw.Keys {
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(text); err == nil && (fits(k, jose.RS256) || fits(k, jose.ES256)) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no key for RS256 or ES256")
	}
	return keys, nil
}

// source is where an issuer's keys come from.
//
// They are fetched when the first token comes and again once they are an hour old; while that fails, they are used for a
// day. A token of a key that is not there has them fetched again at once, but not twice in a minute. Whoever comes while a
// fetch goes on waits for that one.
type source struct {
	issuer string
	now    func() time.Time
	logger *slog.Logger
	// fetch is nil where the keys are pinned.
	fetch func(context.Context) ([]jose.JSONWebKey, error)

	mu         sync.Mutex
	keys       []jose.JSONWebKey
	generation int       // counts the times that keys came
	came       time.Time // when they did
	failed     time.Time // when they last did not; zero if they came since
	err        error     // why
	missed     time.Time // when they were last fetched for a key that was not there
	going      *flight
}

// flight is a fetch that goes on.
type flight struct {
	done chan struct{}
	err  error // once done
}

// current gives keys that are young enough, and their generation.
func (s *source) current(ctx context.Context) ([]jose.JSONWebKey, int, error) {
	if s.fetch == nil {
		return s.keys, 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	age, pause := s.now().Sub(s.came), emptyPause
	usable := s.keys != nil && age < keptFor
	if usable {
		pause = failPause
	}
	switch {
	case usable && age < freshFor:
		return s.keys, s.generation, nil
	case s.going == nil && s.err != nil && s.now().Sub(s.failed) < pause:
		if usable {
			return s.keys, s.generation, nil
		}
		return nil, 0, s.err
	}
	if err := s.refresh(ctx); err != nil && (!usable || ctx.Err() != nil) {
		return nil, 0, err
	}
	return s.keys, s.generation, nil
}

// again gives keys that are newer than those of a generation, or none where it is too early to ask.
func (s *source) again(ctx context.Context, generation int) ([]jose.JSONWebKey, error) {
	if s.fetch == nil {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		if s.going == nil {
			now := s.now()
			if !s.missed.IsZero() && now.Sub(s.missed) < missPause {
				return nil, nil
			}
			s.missed = now
		}
		if err := s.refresh(ctx); err != nil {
			return nil, err
		}
	}
	return s.keys, nil
}

// refresh waits for a fetch: the one that goes on, or a new one. The fetch is not the caller's, who may leave. It is
// called with the lock held, and holds it again when it returns.
func (s *source) refresh(ctx context.Context) error {
	f := s.going
	if f == nil {
		f = &flight{done: make(chan struct{})}
		s.going = f
		go s.run(context.WithoutCancel(ctx), f)
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the keys of %s: %w", s.issuer, ctx.Err())
	}
}

func (s *source) run(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	keys, err := s.fetchSafely(ctx)
	if err != nil {
		s.logger.WarnContext(ctx, "an identity provider's keys did not come", "issuer", s.issuer, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed, s.err = s.now(), err
	} else {
		s.keys, s.came, s.failed, s.err = keys, s.now(), time.Time{}, nil
		s.generation++
	}
	s.going, f.err = nil, err
	close(f.done)
}

// fetchSafely keeps a panic over what a stranger's server sends from ending the process: no request's own protection is
// around a fetch.
func (s *source) fetchSafely(ctx context.Context) (keys []jose.JSONWebKey, err error) {
	defer func() {
		if r := recover(); r != nil {
			keys, err = nil, fault.Wrap(fault.IdentityProviderUnavailable, fmt.Errorf("panic: %v", r), noKey+"the answers of %s cannot be read", s.issuer)
		}
	}()
	return s.fetch(ctx)
}
