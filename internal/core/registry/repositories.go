package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Page sizes of listings (ECR API: default 100, most 1,000). Lists of bare names may be longer.
const (
	DefaultPage = 100
	MaxPage     = 1000
	MaxNames    = 10_000
)

// maxResourceTags is ECR's quota of resource tags on a repository.
const maxResourceTags = 50

// NewRepository describes a repository to create.
type NewRepository struct {
	Name         string
	Mutability   Mutability // empty: Mutable
	Exclusions   []string
	ScanOnPush   bool
	ResourceTags []ResourceTag
}

// CreateRepository makes one (ecr:CreateRepository; ecr:TagResource too where it comes with tags). It
// answers fault.RepositoryExists when the name is taken.
func (r *Registry) CreateRepository(ctx context.Context, caller identity.Caller, n NewRepository) (Repository, error) {
	actions := []policy.Action{policy.CreateRepository}
	if len(n.ResourceTags) > 0 {
		actions = append(actions, policy.TagResource)
	}
	if err := r.onRepositoryWith(ctx, caller, n.Name, requestTags(n.ResourceTags), actions...); err != nil {
		return Repository{}, err
	}
	if n.Mutability == "" {
		n.Mutability = Mutable
	}
	if err := checkMutability(n.Mutability, n.Exclusions); err != nil {
		return Repository{}, err
	}
	tags, err := mergeResourceTags(nil, n.ResourceTags)
	if err != nil {
		return Repository{}, err
	}
	defer r.sides.forget(n.Name)
	wanted := Repository{Name: n.Name, CreatedAt: r.now(), Mutability: n.Mutability, Exclusions: n.Exclusions, ScanOnPush: n.ScanOnPush}
	var repo Repository
	err = r.change(ctx, func(tx Tx) (err error) { // which may run more than once
		repo, err = r.insertRepository(ctx, tx, caller, wanted, tags)
		return err
	})
	return repo, err
}

// insertRepository adds one with its resource tags, or answers fault.RepositoryExists.
func (r *Registry) insertRepository(ctx context.Context, tx Tx, caller identity.Caller, repo Repository, tags []ResourceTag) (Repository, error) {
	id, err := tx.InsertRepository(ctx, repo)
	if errors.Is(err, ErrConflict) {
		return Repository{}, fault.New(fault.RepositoryExists,
			"The repository with name '%s' already exists in the registry with id '%s'", repo.Name, r.account)
	}
	if err != nil {
		return Repository{}, fmt.Errorf("inserting repository %s: %w", repo.Name, err)
	}
	repo.ID = id
	if len(tags) > 0 {
		if err := tx.SetResourceTags(ctx, id, tags); err != nil {
			return Repository{}, fmt.Errorf("setting resource tags of %s: %w", repo.Name, err)
		}
	}
	return repo, r.tell(ctx, tx, event.Event{Kind: event.RepositoryCreated, Actor: caller.ARN, Repository: repo.Name, RepositoryID: id})
}

// Repository gets one by name (ecr:DescribeRepositories).
func (r *Registry) Repository(ctx context.Context, caller identity.Caller, name string) (Repository, error) {
	if err := r.onRepository(ctx, caller, name, policy.DescribeRepositories); err != nil {
		return Repository{}, err
	}
	return r.repository(ctx, r.store.Read(), name)
}

// Repositories lists them in order of name (ecr:DescribeRepositories). A limit of 0 means DefaultPage.
func (r *Registry) Repositories(ctx context.Context, caller identity.Caller, limit int, token string) (Page[Repository], error) {
	if err := r.authorize(ctx, caller, policy.DescribeRepositories, r.ARN("*")); err != nil {
		return Page[Repository]{}, err
	}
	c, err := parseCursor("repositories", token)
	if err != nil {
		return Page[Repository]{}, err
	}
	limit = pageLimit(limit, DefaultPage)
	rows, err := r.store.Read().Repositories(ctx, c.Name, limit+1)
	if err != nil {
		return Page[Repository]{}, fmt.Errorf("listing repositories: %w", err)
	}
	return cut(rows, limit, "repositories", func(x Repository) cursor { return cursor{Name: x.Name} }), nil
}

// RepositoryNames lists names in order, those after the given one (ecr:DescribeRepositories), and tells
// whether there are more. The limit is at most MaxNames.
func (r *Registry) RepositoryNames(ctx context.Context, caller identity.Caller, after string, limit int) (names []string, more bool, err error) {
	if err := r.authorize(ctx, caller, policy.DescribeRepositories, r.ARN("*")); err != nil {
		return nil, false, err
	}
	limit = min(limit, MaxNames)
	rows, err := r.store.Read().Repositories(ctx, after, limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("listing repositories: %w", err)
	}
	for _, row := range rows[:min(limit, len(rows))] {
		names = append(names, row.Name)
	}
	return names, len(rows) > limit, nil
}

// DeleteRepository removes one and returns what it was (ecr:DeleteRepository). One with images needs force,
// or the answer is fault.RepositoryNotEmpty. Its tags' history stays.
func (r *Registry) DeleteRepository(ctx context.Context, caller identity.Caller, name string, force bool) (Repository, error) {
	if err := r.onRepository(ctx, caller, name, policy.DeleteRepository); err != nil {
		return Repository{}, err
	}
	defer r.sides.forget(name)
	var repo Repository
	var orphans []Upload
	err := r.change(ctx, func(tx Tx) (err error) {
		if repo, err = r.lockRepository(ctx, tx, name); err != nil {
			return err
		}
		has, err := tx.HasImages(ctx, repo.ID)
		if err != nil {
			return fmt.Errorf("looking for images in %s: %w", name, err)
		}
		if has && !force {
			return fault.New(fault.RepositoryNotEmpty,
				"The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", name, r.account)
		}
		if err := r.recordTagsGone(ctx, tx, caller, repo); err != nil {
			return err
		}
		if window := r.trashWindow(repo); window > 0 && has {
			t := Trashing{At: r.now(), PurgeAt: r.now().Add(window), Actor: caller.ARN, Reason: "Its repository was deleted."}
			if err := tx.TrashImages(ctx, repo, 0, t); err != nil {
				return fmt.Errorf("moving the images of %s to the trash: %w", name, err)
			}
		}
		if orphans, err = tx.DeleteRepository(ctx, repo.ID, r.now()); err != nil {
			return err
		}
		for _, u := range orphans {
			if err := tx.Discard(ctx, u.Blob, r.now()); err != nil {
				return err
			}
		}
		return r.tell(ctx, tx, event.Event{Kind: event.RepositoryDeleted, Actor: caller.ARN, Repository: name, RepositoryID: repo.ID})
	})
	if err != nil {
		return Repository{}, err
	}
	for _, u := range orphans {
		// At once; if not, when the garbage is removed.
		_ = r.blobs.Abort(context.WithoutCancel(ctx), u.Blob)
	}
	return repo, nil
}

// recordTagsGone writes the end of each of a repository's tags into their history.
func (r *Registry) recordTagsGone(ctx context.Context, tx Tx, caller identity.Caller, repo Repository) error {
	at := r.now()
	for after := ""; ; {
		tags, err := tx.Tags(ctx, repo.ID, AnyStatus, after, MaxPage)
		if err != nil {
			return fmt.Errorf("listing tags of %s: %w", repo.Name, err)
		}
		if len(tags) == 0 {
			return nil
		}
		changes := make([]TagChange, 0, len(tags))
		for _, t := range tags {
			changes = append(changes, TagChange{Repository: repo.Name, Tag: t.Name, From: t.Digest, At: at, Actor: caller.ARN})
		}
		if err := tx.RecordTagChanges(ctx, changes); err != nil {
			return fmt.Errorf("recording tag history of %s: %w", repo.Name, err)
		}
		after = tags[len(tags)-1].Name
	}
}

// PutTagMutability replaces mutability and exclusions together (ecr:PutImageTagMutability). Tags that
// exist are not judged anew.
func (r *Registry) PutTagMutability(ctx context.Context, caller identity.Caller, name string, m Mutability, exclusions []string) (Repository, error) {
	if err := r.onRepository(ctx, caller, name, policy.PutImageTagMutability); err != nil {
		return Repository{}, err
	}
	if err := checkMutability(m, exclusions); err != nil {
		return Repository{}, err
	}
	return r.changeRepository(ctx, name, func(repo *Repository) { repo.Mutability, repo.Exclusions = m, exclusions })
}

// PutScanOnPush sets whether pushed images are scanned (ecr:PutImageScanningConfiguration).
func (r *Registry) PutScanOnPush(ctx context.Context, caller identity.Caller, name string, on bool) (Repository, error) {
	if err := r.onRepository(ctx, caller, name, policy.PutImageScanningConfig); err != nil {
		return Repository{}, err
	}
	return r.changeRepository(ctx, name, func(repo *Repository) { repo.ScanOnPush = on })
}

func (r *Registry) changeRepository(ctx context.Context, name string, change func(*Repository)) (Repository, error) {
	var repo Repository
	err := r.store.Update(ctx, func(tx Tx) (err error) {
		if repo, err = r.lockRepository(ctx, tx, name); err != nil {
			return err
		}
		change(&repo)
		return tx.UpdateRepository(ctx, repo)
	})
	return repo, err
}

// ResourceTags lists a repository's resource tags in order of key (ecr:ListTagsForResource).
func (r *Registry) ResourceTags(ctx context.Context, caller identity.Caller, name string) ([]ResourceTag, error) {
	if err := r.onRepository(ctx, caller, name, policy.ListTagsForResource); err != nil {
		return nil, err
	}
	repo, err := r.repository(ctx, r.store.Read(), name)
	if err != nil {
		return nil, err
	}
	return r.store.Read().ResourceTags(ctx, repo.ID)
}

// TagResource sets resource tags, keeping those of other keys (ecr:TagResource).
func (r *Registry) TagResource(ctx context.Context, caller identity.Caller, name string, tags []ResourceTag) error {
	if err := r.onRepositoryWith(ctx, caller, name, requestTags(tags), policy.TagResource); err != nil {
		return err
	}
	return r.changeResourceTags(ctx, name, func(old []ResourceTag) ([]ResourceTag, error) { return mergeResourceTags(old, tags) })
}

// UntagResource removes resource tags by key; keys that are not there are ignored (ecr:UntagResource).
func (r *Registry) UntagResource(ctx context.Context, caller identity.Caller, name string, keys []string) error {
	if err := r.onRepositoryWith(ctx, caller, name, requestTagKeys(keys), policy.UntagResource); err != nil {
		return err
	}
	return r.changeResourceTags(ctx, name, func(old []ResourceTag) ([]ResourceTag, error) {
		return slices.DeleteFunc(old, func(t ResourceTag) bool { return slices.Contains(keys, t.Key) }), nil
	})
}

func (r *Registry) changeResourceTags(ctx context.Context, name string, change func([]ResourceTag) ([]ResourceTag, error)) error {
	defer r.sides.forget(name)
	return r.store.Update(ctx, func(tx Tx) error {
		repo, err := r.lockRepository(ctx, tx, name)
		if err != nil {
			return err
		}
		old, err := tx.ResourceTags(ctx, repo.ID)
		if err != nil {
			return fmt.Errorf("reading resource tags of %s: %w", name, err)
		}
		tags, err := change(old)
		if err != nil {
			return err
		}
		return tx.SetResourceTags(ctx, repo.ID, tags)
	})
}

// mergeResourceTags adds tags to old ones and holds the result to ECR's limits: keys of 1 to 128
// characters that do not begin with aws:, values of at most 256, 50 in all.
func mergeResourceTags(old, tags []ResourceTag) ([]ResourceTag, error) {
	merged := map[string]string{}
	for _, t := range old {
		merged[t.Key] = t.Value
	}
	given := map[string]bool{}
	for _, t := range tags {
		keyLen, valueLen := utf8.RuneCountInString(t.Key), utf8.RuneCountInString(t.Value)
		switch {
		case keyLen < 1 || keyLen > 128:
			return nil, fault.New(fault.ResourceTagInvalid, "a tag's key must have 1 to 128 characters, and %q has %d", t.Key, keyLen)
		case valueLen > 256:
			return nil, fault.New(fault.ResourceTagInvalid, "the value of tag %q must have at most 256 characters, and has %d", t.Key, valueLen)
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return nil, fault.New(fault.ResourceTagInvalid, "tag keys that begin with aws: are reserved, and %q does", t.Key)
		case given[t.Key]:
			return nil, fault.New(fault.ResourceTagInvalid, "tag key %q is given twice", t.Key)
		}
		given[t.Key] = true
		merged[t.Key] = t.Value
	}
	if len(merged) > maxResourceTags {
		return nil, fault.New(fault.TooManyResourceTags, "a repository has at most %d tags, and this would make %d", maxResourceTags, len(merged))
	}
	out := make([]ResourceTag, 0, len(merged))
	for _, k := range slices.Sorted(maps.Keys(merged)) {
		out = append(out, ResourceTag{Key: k, Value: merged[k]})
	}
	return out, nil
}
