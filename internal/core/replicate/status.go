package replicate

import (
	"context"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// ImageStatus finds an image and tells how its replication goes: a row for each destination that it was, or is
// being, sent to (ecr:DescribeImageReplicationStatus).
func (s *Service) ImageStatus(ctx context.Context, caller identity.Caller, repository string, id registry.ImageID) (registry.Image, []Row, error) {
	img, err := s.Registry.ReplicationImage(ctx, caller, repository, id)
	if err != nil {
		return registry.Image{}, nil, err
	}
	rows, err := s.Store.Rows(ctx, repository, img.Digest)
	if err != nil {
		return registry.Image{}, nil, fmt.Errorf("reading the replication status of %s: %w", img.Digest, err)
	}
	return img, rows, nil
}

// Handle implements event.Handler: what was pushed or restored is wanted at each destination that a rule
// names, and what is gone is no longer.
func (s *Service) Handle(ctx context.Context, e event.Event) error {
	switch e.Kind {
	case event.ImagePushed, event.ImageRestored:
		if e.Source == event.Replication {
			return nil // once is enough: another registry's images are its own to send
		}
		return s.want(ctx, e)
	case event.ImageDeleted:
		return s.Store.LookAgain(ctx, e.Repository, e.Digest, s.Now())
	case event.RepositoryDeleted:
		return s.Store.LookAgain(ctx, e.Repository, "", s.Now())
	default: // nothing else changes what is to be sent
	}
	return nil
}

func (s *Service) want(ctx context.Context, e event.Event) error {
	c, err := readConfiguration(ctx, s.Database.Read())
	if err != nil {
		return err
	}
	destinations := c.destinationsOf(e.Repository)
	if len(destinations) == 0 {
		return nil
	}
	tags := e.Tags
	if e.Kind == event.ImageRestored { // as if it were pushed anew, with the tags it has
		if tags, err = s.tagsOf(ctx, e); err != nil {
			return err
		}
	}
	var wants []Want
	for _, d := range destinations {
		wants = append(wants, Want{Repository: e.Repository, Digest: e.Digest, Tags: tags, Destination: d})
	}
	if err := s.Store.Want(ctx, wants, s.Now()); err != nil {
		return err
	}
	if s.Wake != nil {
		s.Wake()
	}
	return nil
}

// tagsOf lists the tags of an event's image as they are now.
func (s *Service) tagsOf(ctx context.Context, e event.Event) ([]string, error) {
	q := s.Database.Read()
	repo, err := q.Repository(ctx, e.Repository)
	var img registry.Image
	if err == nil {
		img, err = q.ImageByDigest(ctx, repo.ID, e.Digest)
	}
	if err != nil && !errors.Is(err, registry.ErrNoRow) {
		return nil, fmt.Errorf("reading the tags of %s: %w", e.Digest, err)
	}
	return img.Tags, nil
}
