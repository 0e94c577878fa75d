package access

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// How long a user's session lasts: 12 hours unless asked otherwise; the root principal's an hour at most.
const (
	defaultUserSession = 12 * time.Hour
	maxUserSession     = 36 * time.Hour
	maxRootSession     = time.Hour
)

// StartSession begins a session of the caller's own, a user or the root principal. As at AWS no permission is asked for,
// and whoever has such a session can call neither IAM nor, but for AssumeRole and GetCallerIdentity, STS: that takes a
// second factor there, which Berth does not have. A duration of 0 is the longest that is usual.
func (s *Service) StartSession(ctx context.Context, caller identity.Caller, duration time.Duration) (RoleSession, error) {
	switch {
	case caller.Anonymous() || caller.Service:
		return RoleSession{}, fault.New(fault.AccessDenied, "%s", policy.Denied(caller.ARN, "sts:GetSessionToken", policy.AnyResource))
	case caller.Session != nil:
		return RoleSession{}, fault.New(fault.AccessDenied, "Cannot call GetSessionToken with session credentials")
	case duration != 0 && (duration < minSession || duration > maxUserSession):
		return RoleSession{}, invalid("1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint: "+
			"Member must have value of %d to %d", int(minSession/time.Second), int(maxUserSession/time.Second))
	}
	if duration == 0 {
		duration = defaultUserSession
	}
	if caller.Root {
		duration = min(duration, maxRootSession)
	}
	now := s.now().Truncate(time.Second)
	principal := identity.Caller{
		Account: caller.Account, ARN: caller.ARN, UserID: caller.UserID, Root: caller.Root,
		Session: &identity.Session{IssuedAt: now, Expires: now.Add(duration)},
	}
	return s.issue(ctx, principal)
}

// userSession tells a session that is no role's.
func userSession(session *identity.Session) bool { return session != nil && session.RoleARN == "" }

var keyIDRule = regexp.MustCompile(`^A[KS]IA[A-Z2-7]{16}$`)

// AccessKeyAccount tells which account an access key is of. Temporary keys are kept nowhere, so that of those the form is
// all that can be known.
func (s *Service) AccessKeyAccount(ctx context.Context, caller identity.Caller, id string) (account string, err error) {
	if err := s.authorize(ctx, caller, policy.GetAccessKeyInfo, policy.AnyResource, nil); err != nil {
		return "", err
	}
	if !keyIDRule.MatchString(id) {
		return "", invalid("%q is no access key id.", shortText(id))
	}
	if strings.HasPrefix(id, "ASIA") {
		return s.account, nil
	}
	_, err = s.store.Read().KeyInfo(ctx, id)
	if errors.Is(err, ErrNoRow) {
		return "", invalid("There is no access key %s.", id)
	}
	if err != nil {
		return "", fmt.Errorf("reading access key %s: %w", id, err)
	}
	return s.account, nil
}
