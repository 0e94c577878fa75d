package alarm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// The limits of tags.
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

// Tags lists an alarm's tags in order of key, by its ARN (cloudwatch:ListTagsForResource).
func (s *Service) Tags(ctx context.Context, caller identity.Caller, arn string) ([]Tag, error) {
	name, err := s.mayTag(ctx, caller, policy.ListTagsForAlarm, arn)
	if err != nil {
		return nil, err
	}
	a, err := s.rows.Alarm(ctx, name)
	return a.Tags, notThere(err, name)
}

// Tag adds tags to an alarm, in the place of those of the same keys (cloudwatch:TagResource).
func (s *Service) Tag(ctx context.Context, caller identity.Caller, arn string, tags []Tag) error {
	name, err := s.mayTag(ctx, caller, policy.TagAlarm, arn)
	if err != nil {
		return err
	}
	return s.retag(ctx, name, func(old []Tag) ([]Tag, error) { return mergeTags(old, tags) })
}

// Untag removes tags from an alarm by their keys (cloudwatch:UntagResource).
func (s *Service) Untag(ctx context.Context, caller identity.Caller, arn string, keys []string) error {
	name, err := s.mayTag(ctx, caller, policy.UntagAlarm, arn)
	if err != nil {
		return err
	}
	return s.retag(ctx, name, func(old []Tag) ([]Tag, error) {
		return slices.DeleteFunc(slices.Clone(old), func(t Tag) bool { return slices.Contains(keys, t.Key) }), nil
	})
}

// mayTag asks the permission first, on what was named, and then reads the name.
func (s *Service) mayTag(ctx context.Context, caller identity.Caller, action policy.Action, arn string) (string, error) {
	if err := s.registry.MayOn(ctx, caller, action, arn); err != nil {
		return "", err
	}
	name, ok := strings.CutPrefix(arn, s.arn(""))
	if !ok || checkText("", name, 1, maxName) != nil {
		return "", bad("ResourceARN", "Member must be the ARN of an alarm of this account, such as %s", s.arn("NAME"))
	}
	return name, nil
}

func (s *Service) retag(ctx context.Context, name string, change func([]Tag) ([]Tag, error)) error {
	return s.rows.Update(ctx, func(tx Tx) error {
		a, err := s.lock(ctx, tx, name)
		if err != nil {
			return err
		}
		if a.Tags, err = change(a.Tags); err != nil {
			return err
		}
		return tx.PutAlarm(ctx, a, time.Time{})
	})
}

// mergeTags adds tags to those that are there, and checks them.
func mergeTags(old, tags []Tag) ([]Tag, error) {
	merged := slices.Clone(old)
	seen := map[string]bool{}
	for i, t := range tags {
		at := fmt.Sprintf("Tags.member.%d.", i+1)
		if err := checkText(at+"Key", t.Key, 1, maxTagKey); err != nil {
			return nil, err
		}
		if err := checkText(at+"Value", t.Value, 0, maxTagValue); err != nil {
			return nil, err
		}
		switch {
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return nil, bad(at+"Key", "Member must not begin with aws:, which is reserved")
		case seen[t.Key]:
			return nil, bad("Tags", "Member must not have a key twice")
		}
		seen[t.Key] = true
		merged = append(slices.DeleteFunc(merged, func(o Tag) bool { return o.Key == t.Key }), t)
	}
	if len(merged) > maxTags {
		return nil, fault.New(fault.InvalidParameter, "An alarm has at most %d tags", maxTags)
	}
	slices.SortFunc(merged, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return merged, nil
}
