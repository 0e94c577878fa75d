// Package lifecycle expires and archives images as a repository's lifecycle policy says.
//
// [Parse] reads a policy as strictly as ECR, and [Evaluate] says what it means for each image, and why; both
// are pure. A [Service] answers ECR's operations: it keeps policies, and previews of what a policy would do,
// which [Service.PreviewOnce] works out. [Service.ApplyOnce] carries policies out.
//
// # Life of an expiry
//
// A policy is due when it is stored, a minute after something changed in its repository, and every hour in any
// case, since images grow old. Whoever claims it, for a few minutes and alone, evaluates it on all images of the
// repository and deletes what is to go, oldest first and a few in each transaction. That transaction looks
// again: the policy must still be the same, and the image must still have the tags and times by which it was
// chosen, or it stays for the next evaluation. After some hundred images the policy is evaluated anew, so that
// a decision is never old.
//
// A crash leaves the claim to lapse, and whole images deleted or not. Images are deleted through the registry,
// in the name of berth:lifecycle, with tag history and events.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Registry is what is asked of the registry itself: *registry.Registry.
type Registry interface {
	// ID gives the registry's account.
	ID() string
	// May answers nil when the caller may do something to a repository of that name.
	May(ctx context.Context, caller identity.Caller, action policy.Action, repository string) error
	// RepositoryNotFound words the fault for a repository that a registry does not have.
	RepositoryNotFound(name, registryID string) error
	// Pinned tells what the repository's deployments keep.
	Pinned(ctx context.Context, caller identity.Caller, repository string) (registry.Pins, error)
	// DeleteImagesIf deletes those of the images about which what ask gives says so in the deleting transaction.
	DeleteImagesIf(ctx context.Context, caller identity.Caller, repository string, ds []oci.Digest,
		ask registry.Ask) ([]registry.Deleted, error)
}

// Archiver moves images to the archive storage class.
type Archiver interface {
	// ArchiveImagesIf archives those of the images about which what ask gives says so in the transaction that does it, as
	// DeleteImagesIf deletes; Gone of what it archived is not empty.
	ArchiveImagesIf(ctx context.Context, caller identity.Caller, repository string, ds []oci.Digest,
		ask registry.Ask) ([]registry.Deleted, error)
}

// Config is what a Service needs; Archiver, NotifyPreview and Logger may be nil.
type Config struct {
	Registry Registry
	Store    registry.Store
	Rows     Store
	Now      func() time.Time
	// Archiver carries out transitions to the archive. Without one, policies that have any are refused: nothing
	// is stored that is not done.
	Archiver Archiver
	// NotifyPreview is called when there is a preview to work out. It returns at once.
	NotifyPreview func()
	// Logger hears of each transaction that expires or archives images.
	Logger *slog.Logger
}

// Service keeps policies and previews, and carries policies out. Its methods may be called from many
// goroutines.
type Service struct {
	Config
	self identity.Caller
}

// New makes a service.
func New(c Config) *Service {
	now := c.Now
	c.Now = func() time.Time { return now().UTC().Truncate(time.Microsecond) }
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{Config: c, self: identity.Service(c.Registry.ID(), "lifecycle")}
}

// Check reads a policy that is to be stored, and gives the text to store. It answers fault.InvalidParameter, and
// fault.SettingUnsupported for what this registry would not carry out.
func (s *Service) Check(text string) (string, error) {
	p, err := s.parse(text)
	if err != nil {
		return "", err
	}
	return p.Text(), nil
}

func (s *Service) parse(text string) (Policy, error) {
	p, err := Parse(text)
	if err == nil && s.Archiver == nil && p.transitions() {
		return Policy{}, fault.New(fault.SettingUnsupported,
			"Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'this registry has no archive storage class to transition images to'")
	}
	return p, err
}

// PutPolicy stores a repository's policy in the place of what there was, and gives the stored text
// (ecr:PutLifecyclePolicy).
func (s *Service) PutPolicy(ctx context.Context, caller identity.Caller, repository, text string) (string, error) {
	if err := s.Registry.May(ctx, caller, policy.PutLifecyclePolicy, repository); err != nil {
		return "", err
	}
	stored, err := s.Check(text)
	if err != nil {
		return "", err
	}
	err = s.Store.Update(ctx, func(tx registry.Tx) error {
		repo, err := s.repository(ctx, tx, repository)
		if err != nil {
			return err
		}
		return tx.PutLifecyclePolicy(ctx, repo.ID, stored, s.Now())
	})
	return stored, err
}

// Policy gives a repository's policy (ecr:GetLifecyclePolicy), or fault.LifecyclePolicyNotFound.
func (s *Service) Policy(ctx context.Context, caller identity.Caller, repository string) (registry.LifecyclePolicy, error) {
	if err := s.Registry.May(ctx, caller, policy.GetLifecyclePolicy, repository); err != nil {
		return registry.LifecyclePolicy{}, err
	}
	q := s.Store.Read()
	repo, err := s.repository(ctx, q, repository)
	if err != nil {
		return registry.LifecyclePolicy{}, err
	}
	return s.policyOf(ctx, q, repo)
}

// DeletePolicy takes a repository's policy away and gives it (ecr:DeleteLifecyclePolicy).
func (s *Service) DeletePolicy(ctx context.Context, caller identity.Caller, repository string) (registry.LifecyclePolicy, error) {
	if err := s.Registry.May(ctx, caller, policy.DeleteLifecyclePolicy, repository); err != nil {
		return registry.LifecyclePolicy{}, err
	}
	var was registry.LifecyclePolicy
	err := s.Store.Update(ctx, func(tx registry.Tx) error {
		repo, err := tx.LockRepository(ctx, repository)
		if err != nil {
			return s.repositoryError(err, repository)
		}
		if was, err = s.policyOf(ctx, tx, repo); err != nil {
			return err
		}
		return tx.DeleteLifecyclePolicy(ctx, repo.ID)
	})
	return was, err
}

func (s *Service) policyOf(ctx context.Context, q registry.LifecycleQueries, repo registry.Repository) (registry.LifecyclePolicy, error) {
	p, err := q.LifecyclePolicy(ctx, repo.ID)
	switch {
	case errors.Is(err, registry.ErrNoRow):
		return p, fault.New(fault.LifecyclePolicyNotFound,
			"Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", repo.Name, s.Registry.ID())
	case err != nil:
		return p, fmt.Errorf("reading the lifecycle policy of %s: %w", repo.Name, err)
	}
	return p, nil
}

func (s *Service) repository(ctx context.Context, q registry.RepositoryQueries, name string) (registry.Repository, error) {
	repo, err := q.Repository(ctx, name)
	return repo, s.repositoryError(err, name)
}

func (s *Service) repositoryError(err error, name string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, registry.ErrNoRow):
		return s.Registry.RepositoryNotFound(name, s.Registry.ID())
	default:
		return fmt.Errorf("reading repository %s: %w", name, err)
	}
}
