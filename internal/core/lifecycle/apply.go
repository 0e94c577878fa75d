package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// applyClaim is longer than one run takes, and bounds how long a crash delays it.
	applyClaim = 5 * time.Minute
	// settle is how long after a change a policy is evaluated: many pushes at once are one occasion.
	settle = time.Minute
	// evaluateEvery is how often a policy is evaluated though nothing changed but the time.
	evaluateEvery = time.Hour
	// actionsAtOnce is how many images one transaction takes.
	actionsAtOnce = 25
	// actionsPerRun is how many images go before the policy is evaluated anew.
	actionsPerRun = 500
	// unsettled is how long a policy waits whose evaluation was overtaken while it was carried out.
	unsettled = 5 * time.Second
)

// Handle makes the policy of a repository in which something changed due (event.Handler).
func (s *Service) Handle(ctx context.Context, e event.Event) error {
	switch e.Kind {
	case event.ImagePushed, event.ImageDeleted, event.ImageUntagged, event.ImageArchived, event.ImageRestored:
		return s.Rows.Touch(ctx, e.RepositoryID, s.Now().Add(settle))
	case event.RepositoryCreated, event.RepositoryDeleted, event.ExceptionExpired, event.FindingsChanged, event.ImageScanned, event.ImagePulled,
		event.ImageReplicated, event.UpstreamSynced, event.EventsMissed, event.Served, event.Noticed:
	}
	return nil
}

// ApplyOnce carries out a policy that is due, up to some hundred images, and tells whether there may be more to
// do. What could not be done is tried again when the claim has lapsed.
func (s *Service) ApplyOnce(ctx context.Context) (more bool, err error) {
	now := s.Now()
	c, err := s.Rows.ClaimPolicy(ctx, now, now.Add(applyClaim))
	switch {
	case errors.Is(err, registry.ErrNoRow):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("looking for lifecycle policies that are due: %w", err)
	}
	e, err := s.evaluate(ctx, c)
	if err != nil {
		return false, fmt.Errorf("evaluating the lifecycle policy of %s: %w", c.Repository, err)
	}
	end, err := s.act(ctx, c, e)
	if err != nil {
		return false, fmt.Errorf("carrying out the lifecycle policy of %s: %w", c.Repository, err)
	}
	due := now.Add(map[outcome]time.Duration{carriedOut: evaluateEvery, unfinished: 0, overtaken: unsettled}[end])
	if err := s.Rows.FinishPolicy(ctx, c, now, due); err != nil {
		return false, fmt.Errorf("carrying out the lifecycle policy of %s: %w", c.Repository, err)
	}
	return true, nil
}

// doing is an image to which something is to happen.
type doing struct {
	image   *Image
	verdict *Verdict
}

// evaluation is what a policy says about all images of a repository.
type evaluation struct {
	policy   Policy
	images   []Image
	verdicts []Verdict
	at       time.Time
}

func (s *Service) evaluate(ctx context.Context, c Claim) (evaluation, error) {
	p, err := Parse(c.Text)
	if err != nil {
		return evaluation{}, fmt.Errorf("reading the policy: %w", err)
	}
	e := evaluation{policy: p}
	if e.images, err = s.Rows.Images(ctx, c.RepositoryID); err != nil {
		return evaluation{}, fmt.Errorf("reading the images: %w", err)
	}
	if err := s.withPins(ctx, c.Repository, e.images); err != nil {
		return evaluation{}, fmt.Errorf("reading the deployments: %w", err)
	}
	e.at = s.Now()
	e.verdicts = Evaluate(e.images, p, e.at)
	return e, nil
}

// doings gives what the policy demands, oldest image first; what follows an image comes right after it.
func (e evaluation) doings() []doing {
	many := 0
	acting := map[oci.Digest]bool{} // whether something happens to what others follow
	followers := map[oci.Digest][]int{}
	for i := range e.verdicts {
		if v := &e.verdicts[i]; v.Acts() {
			many++
			if v.Of != "" {
				followers[v.Of] = append(followers[v.Of], i)
			}
		}
	}
	for i := range e.verdicts {
		if _, followed := followers[e.images[i].Digest]; followed {
			acting[e.images[i].Digest] = e.verdicts[i].Acts()
		}
	}
	doings := make([]doing, 0, many)
	for _, i := range slices.Backward(youngestFirst(e.images)) {
		if v := &e.verdicts[i]; !v.Acts() || acting[v.Of] {
			continue // nothing happens to it, or its subject brings it
		}
		for queue := []int{i}; len(queue) > 0; queue = queue[1:] {
			next := queue[0]
			doings = append(doings, doing{&e.images[next], &e.verdicts[next]})
			queue = append(queue, followers[e.images[next].Digest]...)
		}
	}
	return doings
}

// outcome is how far a policy was carried out.
type outcome int

const (
	carriedOut outcome = iota
	unfinished         // there is more to do
	overtaken          // what was decided by number holds no more
)

// act does what is to be done until that was done to actionsPerRun images. What cannot be done does not count, so that it
// stands in nobody's way.
func (s *Service) act(ctx context.Context, c Claim, e evaluation) (outcome, error) {
	doings := e.doings()
	b := batches{Service: s, claim: c, at: e.at, ranks: e.ranks(doings)}
	for some := range slices.Chunk(doings, actionsAtOnce) {
		if b.done >= actionsPerRun {
			return unfinished, nil
		}
		var expiring, moving []doing
		for _, d := range some {
			if d.verdict.Action.Type == Expire {
				expiring = append(expiring, d)
			} else {
				moving = append(moving, d)
			}
		}
		if err := b.each(ctx, expiring, Expire, s.Registry.DeleteImagesIf); err != nil {
			return unfinished, err
		}
		if s.Archiver != nil { // otherwise such a policy was refused, or stored by a Berth that has an archive
			if err := b.each(ctx, moving, Transition, s.Archiver.ArchiveImagesIf); err != nil {
				return unfinished, err
			}
		}
		if b.overtaken {
			return overtaken, nil
		}
	}
	return carriedOut, nil
}

// batches does what was decided, some in a transaction.
type batches struct {
	*Service
	claim Claim
	at    time.Time // of the evaluation
	ranks ranks

	done      int
	overtaken bool
}

// conditionally is how the registry does something to images, if it is still to be done.
type conditionally func(ctx context.Context, caller identity.Caller, repository string, ds []oci.Digest, ask registry.Ask) ([]registry.Deleted, error)

// each does something to each image that is as it was when that was decided.
func (b *batches) each(ctx context.Context, doings []doing, action ActionType, do conditionally) error {
	if len(doings) == 0 {
		return nil
	}
	seen := make(map[oci.Digest]doing, len(doings))
	digests := make([]oci.Digest, 0, len(doings))
	for _, d := range doings {
		seen[d.image.Digest] = d
		digests = append(digests, d.image.Digest)
	}
	before := b.overtaken
	results, err := do(ctx, b.self, b.claim.Repository, digests, func(q registry.Queries) (registry.Still, error) {
		b.overtaken = before
		p, err := q.LifecyclePolicy(ctx, b.claim.RepositoryID)
		if err != nil && !errors.Is(err, registry.ErrNoRow) {
			return nil, err
		}
		same := err == nil && p.Text == b.claim.Text
		changed, err := b.ranks.changed(ctx, q, b.claim.RepositoryID, doings)
		return func(img registry.Image) (bool, string, error) {
			d := seen[img.Digest]
			if slices.ContainsFunc(b.ranks.lanes(d), func(l lane) bool { return changed[l] }) {
				b.overtaken = true
				return false, "", nil
			}
			goes, err := still(ctx, q, b.claim, d, img)
			return goes && same, d.verdict.Sentence(b.at), err
		}, err
	})
	if errors.Is(err, fault.RepositoryNotFound) {
		return nil // with all its images
	}
	problems, done := []error{err}, 0
	for _, r := range results {
		f, isFault := fault.Of(r.Err)
		switch {
		case r.Err == nil && len(r.Gone) > 0:
			done++
		case r.Err == nil:
			// It has changed.
		case isFault && slices.Contains([]fault.Code{fault.ImageNotFound, fault.ImageReferenced, fault.ImagePinned, fault.ImageArchived, fault.StorageClassRefused}, f.Code):
			// Gone already, or an index or a deployment holds it by now, or it is where it should be: not for us any more.
		default:
			problems = append(problems, fmt.Errorf("image %s: %w", r.ID.Digest, r.Err))
		}
	}
	if err == nil {
		b.done += done
		b.Logger.InfoContext(ctx, "lifecycle policy", "repository", b.claim.Repository, "action", action, "images", done, "left", len(doings)-done)
	}
	return errors.Join(problems...)
}

// still tells, inside the transaction that acts, whether what was decided about an image from what was seen of
// it then holds now: the image is the same.
func still(ctx context.Context, q registry.Queries, c Claim, d doing, now registry.Image) (bool, error) {
	img := asSeen(now)
	moving := d.verdict.Action.Type == Transition
	byPull := moving || d.verdict.Ground.Count == SincePulled
	if img.ID != d.image.ID || img.class() != d.image.class() || !slices.Equal(img.Tags, d.image.Tags) ||
		!img.ActivatedAt.Equal(d.image.ActivatedAt) || !img.ArchivedAt.Equal(d.image.ArchivedAt) ||
		byPull && !img.PulledAt.Equal(d.image.PulledAt) {
		return false, nil
	}
	of := oci.Digest("")
	switch {
	case d.verdict.Reason == Follows:
		of = d.verdict.Of
	case img.refers():
		of = img.Subject
	}
	if of == "" {
		return true, nil
	}
	subjects, err := q.ImagesByDigest(ctx, c.RepositoryID, []oci.Digest{of})
	if err != nil {
		return false, err
	}
	switch {
	case len(subjects) == 0:
		return true, nil // it has gone first, or never came
	case d.verdict.Reason != Follows:
		return false, nil // it has come meanwhile
	default:
		subject := asSeen(subjects[0])
		return moving && subject.class() == d.verdict.Action.Target, nil
	}
}

// asSeen is an image of the registry as a policy sees it; metadb's scanLifecycleImage agrees.
func asSeen(i registry.Image) Image {
	return Image{
		ID: i.ID, Digest: i.Digest, Tags: i.Tags, Class: ClassOf(i.Archived), Kind: KindOf(i.MediaType, i.ArtifactType, i.ConfigMediaType), PushedAt: i.PushedAt, PulledAt: i.LastPulledAt,
		ArchivedAt: i.ArchivedAt, ActivatedAt: i.ActivatedAt, Subject: i.Subject,
	}
}
