package signing

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// claim is longer than signing an image takes, and bounds how long a crash delays it.
	claim = 2 * time.Minute
	// batch is how many images a piece of the job signs at most.
	batch      = 20
	firstRetry = time.Second
	lastRetry  = 10 * time.Minute
	// maxAttempts is how often signing is tried, over about half an hour.
	maxAttempts = 12
)

// Why a signature failed for good.
const (
	CodeKey      = "SigningKeyUnavailable" // the profile's key is not there, or sealed under another master key
	CodeStorage  = "StorageUnavailable"    // the blob store or the database is full or does not answer
	CodeRefused  = "SignatureRefused"      // the repository does not take the signature
	CodeInternal = "InternalError"
)

var _ event.Handler = (*Signer)(nil)

// Handle makes rows for a push of a new image whose repository falls to a profile. What was there before a
// configuration, and what is pushed again, is not signed; nor are signatures, attestations and whatever else
// refers to an image, nor what came back from the trash with its signature.
func (s *Signer) Handle(ctx context.Context, e event.Event) error {
	if e.Kind != event.ImagePushed || !e.New || e.Source == event.Signing || e.Subject != "" || slices.ContainsFunc(e.Tags, companion.MatchString) {
		return nil
	}
	c, err := s.read(ctx, s.store.Read())
	if errors.Is(err, fault.SigningConfigurationNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	profiles := c.profiles(e.Repository)
	if len(profiles) == 0 {
		return nil
	}
	if e.Source == event.Restore {
		if signed, err := s.signed(ctx, e); err != nil || signed {
			return err
		}
	}
	if err := s.work.PlanSigning(ctx, e.RepositoryID, e.Digest, profiles, s.now()); err != nil {
		return fmt.Errorf("planning to sign %s@%s: %w", e.Repository, e.Digest, err)
	}
	s.notify()
	return nil
}

// signed tells whether an image has a signature.
func (s *Signer) signed(ctx context.Context, e event.Event) (bool, error) {
	referrers, err := s.store.Read().Followers(ctx, e.RepositoryID, []oci.Digest{e.Digest})
	if err != nil {
		return false, fmt.Errorf("looking for signatures of %s@%s: %w", e.Repository, e.Digest, err)
	}
	return slices.ContainsFunc(referrers, func(i registry.Image) bool {
		return i.ArtifactType == bundleType || i.ArtifactType == signatureArtifact
	}), nil
}

// Once signs a batch of images that are due, and tells whether there may be more. A signature that fails is
// tried again later, and the errors say which.
func (s *Signer) Once(ctx context.Context) (more bool, err error) {
	var problems []error
	for range batch {
		now := s.now()
		task, found, err := s.work.ClaimSigning(ctx, now, now.Add(claim))
		if err != nil {
			return false, errors.Join(append(problems, fmt.Errorf("looking for what to sign: %w", err))...)
		}
		if !found {
			return false, errors.Join(problems...)
		}
		problems = append(problems, s.do(ctx, task))
	}
	return true, errors.Join(problems...)
}

// do signs one image with the profiles that are due.
func (s *Signer) do(ctx context.Context, t Task) error {
	var problems []error
	keys := map[string]*ecdsa.PrivateKey{}
	var signing []Status
	for _, p := range t.Pending {
		key, err := s.key(ctx, p.Profile)
		if err != nil {
			problems = append(problems, s.settle(ctx, t, p, err))
			continue
		}
		keys[p.Profile] = key
		signing = append(signing, p)
	}
	if len(signing) == 0 {
		return errors.Join(problems...)
	}
	err := s.attach(ctx, t, signing, keys)
	for _, p := range signing {
		problems = append(problems, s.settle(ctx, t, p, err))
	}
	return errors.Join(problems...)
}

// settle stores what became of a signature, and gives the error for the log.
func (s *Signer) settle(ctx context.Context, t Task, p Status, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // the server stops: the claim lapses, and another run goes on
	}
	switch {
	case err == nil:
		p.State = Done
	case p.Attempts+1 >= maxAttempts:
		p.State, p.Attempts = Failed, p.Attempts+1
		p.Code, p.Reason = reason(err)
	default:
		p.DueAt = s.now().Add(event.Backoff(p.Attempts, firstRetry, lastRetry))
		p.Attempts++
	}
	storing := s.work.SettleSigning(ctx, t.ImageID, p)
	if err != nil {
		err = fmt.Errorf("signing %s@%s with %s, attempt %d: %w", t.Repository, t.Digest, p.Profile, p.Attempts, err)
	}
	return errors.Join(err, storing)
}

// reason says why a signature failed for good, in words that may be shown.
func reason(err error) (code, words string) {
	f, isFault := fault.Of(err)
	switch {
	case keyUnusable(err):
		return CodeKey, "The signing profile's key cannot be opened with the registry's master key"
	case errors.Is(err, fault.StorageFull), errors.Is(err, fault.Unavailable), errors.Is(err, blob.ErrFull), errors.Is(err, blob.ErrUnavailable):
		return CodeStorage, "The registry's storage is full or does not answer"
	case isFault:
		return CodeRefused, f.Message
	}
	return CodeInternal, "The signature could not be made; the server's log says why"
}
