package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// maxPullExclusions bounds the list, so that it can be read whole each time pulls are recorded.
const maxPullExclusions = 100

const (
	excludable      = `^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*$`
	maxPrincipalARN = 200
)

var excludableRule = regexp.MustCompile(excludable)

// PullExclusion is a principal whose pulls leave images' last pull times alone.
type PullExclusion struct {
	PrincipalARN string
	CreatedAt    time.Time
}

// PullExclusionQueries reads exclusions from pull times.
type PullExclusionQueries interface {
	// PullExclusions lists in order of ARN, those after the given one, at most limit.
	PullExclusions(ctx context.Context, after string, limit int) ([]PullExclusion, error)
}

// PullExclusionWrites changes exclusions from pull times.
type PullExclusionWrites interface {
	// InsertPullExclusion adds one, or answers ErrConflict when it is there.
	InsertPullExclusion(ctx context.Context, e PullExclusion) error
	// DeletePullExclusion removes one and tells whether it was there.
	DeletePullExclusion(ctx context.Context, principalARN string) (bool, error)
}

func checkExcludable(principalARN string) error {
	switch {
	case len(principalARN) > maxPrincipalARN:
		return fault.BadParameter("principalArn", fmt.Sprintf("Member must have length less than or equal to %d", maxPrincipalARN))
	case !excludableRule.MatchString(principalARN):
		return fault.BadParameter("principalArn", "must satisfy regular expression '"+excludable+"'")
	}
	return nil
}

// ExcludePuller keeps a user's or role's pulls out of images' last pull times from now on
// (ecr:RegisterPullTimeUpdateExclusion), or answers fault.ExclusionExists.
func (r *Registry) ExcludePuller(ctx context.Context, caller identity.Caller, principalARN string) (PullExclusion, error) {
	if err := r.authorize(ctx, caller, policy.RegisterPullTimeUpdateExclusion, policy.AnyResource); err != nil {
		return PullExclusion{}, err
	}
	if err := checkExcludable(principalARN); err != nil {
		return PullExclusion{}, err
	}
	e := PullExclusion{PrincipalARN: principalARN, CreatedAt: r.now()}
	return e, r.store.Update(ctx, func(tx Tx) error {
		err := tx.InsertPullExclusion(ctx, e)
		if errors.Is(err, ErrConflict) {
			return fault.New(fault.ExclusionExists,
				"A pull time update exclusion for the principal '%s' already exists in the registry with id '%s'", principalARN, r.account)
		}
		if err != nil {
			return fmt.Errorf("excluding %s: %w", principalARN, err)
		}
		all, err := tx.PullExclusions(ctx, "", maxPullExclusions+1)
		if err == nil && len(all) > maxPullExclusions {
			return fault.New(fault.LimitExceeded, "a registry has at most %d pull time update exclusions", maxPullExclusions)
		}
		return err
	})
}

// IncludePuller ends an exclusion (ecr:DeregisterPullTimeUpdateExclusion), or answers fault.ExclusionNotFound.
func (r *Registry) IncludePuller(ctx context.Context, caller identity.Caller, principalARN string) error {
	if err := r.authorize(ctx, caller, policy.DeregisterPullTimeUpdateExclusion, policy.AnyResource); err != nil {
		return err
	}
	if err := checkExcludable(principalARN); err != nil {
		return err
	}
	return r.store.Update(ctx, func(tx Tx) error {
		was, err := tx.DeletePullExclusion(ctx, principalARN)
		if err == nil && !was {
			return fault.New(fault.ExclusionNotFound,
				"There is no pull time update exclusion for the principal '%s' in the registry with id '%s'", principalARN, r.account)
		}
		return err
	})
}

// PullExclusions lists the exclusions in order of ARN (ecr:ListPullTimeUpdateExclusions). A limit of 0 means DefaultPage.
func (r *Registry) PullExclusions(ctx context.Context, caller identity.Caller, limit int, token string) (Page[PullExclusion], error) {
	if err := r.authorize(ctx, caller, policy.ListPullTimeUpdateExclusions, policy.AnyResource); err != nil {
		return Page[PullExclusion]{}, err
	}
	const listing = "pull-exclusions"
	c, err := parseCursor(listing, token)
	if err != nil {
		return Page[PullExclusion]{}, err
	}
	limit = min(pageLimit(limit, DefaultPage), maxPullExclusions)
	rows, err := r.store.Read().PullExclusions(ctx, c.Name, limit+1)
	if err != nil {
		return Page[PullExclusion]{}, fmt.Errorf("listing pull time update exclusions: %w", err)
	}
	return cut(rows, limit, listing, func(e PullExclusion) cursor { return cursor{Name: e.PrincipalARN} }), nil
}
