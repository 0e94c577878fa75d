package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Failure codes that this side finds. Others are the destination's exceptions without "Exception" at their end.
const (
	CodeNoRule       = "DestinationNotConfigured" // no rule names the destination any more
	CodeTooDeep      = "ImageNestedTooDeep"
	CodeTagImmutable = "ImageTagAlreadyExists"
	CodeImageGone    = "ImageNotFound"
	CodeArchived     = "ImageArchived"
	CodeIncomplete   = "ImageIncomplete" // of a backfill's: parts of the image are not here
)

const (
	// claim is how long a row stays with a sender that has died.
	claim = 30 * time.Second
	// Retries of one image, and of a destination that does not answer.
	firstRetry, lastRetry = time.Second, 10 * time.Minute
	firstRest, lastRest   = time.Second, time.Minute
	// lastLook is how seldom an image is looked at in the end whose parts do not come.
	lastLook = time.Hour
	// maxDepth bounds how deep indexes in indexes, or referrers of referrers, are followed.
	maxDepth = 16
)

// SendOnce sends an image that is due, and tells whether there may be more. Any number of goroutines and
// processes may call it. An image that cannot be sent is no error of the call: see Config.Report.
func (s *Service) SendOnce(ctx context.Context) (more bool, err error) {
	now := s.Now()
	row, err := s.Store.Claim(ctx, now, now.Add(claim), s.rests.at(now))
	switch {
	case errors.Is(err, registry.ErrNoRow):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("taking an image to replicate: %w", err)
	}
	if s.Wake != nil {
		s.Wake() // there may be one for somebody else, too
	}
	sent := &shipment{Service: s, row: row}
	err = s.attempt(ctx, sent)
	sent.stopped = err != nil && ctx.Err() != nil
	return true, s.settle(context.WithoutCancel(ctx), sent, err)
}

// attempt keeps the claim for as long as it works on it, even if it panics: then the row is somebody else's soon.
func (s *Service) attempt(ctx context.Context, sent *shipment) error {
	ctx, stop := context.WithCancel(ctx)
	var renewal sync.WaitGroup
	renewal.Go(func() { s.renew(ctx, sent.row) })
	defer renewal.Wait()
	defer stop() // first
	return sent.run(ctx)
}

// renew keeps a claim until ctx ends.
func (s *Service) renew(ctx context.Context, row Row) {
	tick := time.NewTicker(claim / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = s.Store.Extend(ctx, row.ID, s.Now().Add(claim)) // if it lapses, the image is sent twice
		}
	}
}

// errGone says that there is no image to send any more.
var errGone = errors.New("the image is gone")

// errIncomplete says that a part of the image is not here: of those in a copy of an upstream registry's repository only
// what somebody pulled is.
var errIncomplete = errors.New("it is not here, and is waited for")

// settle records what came of an attempt.
func (s *Service) settle(ctx context.Context, sent *shipment, err error) error {
	now, row := s.Now(), sent.row
	o := Settlement{Status: Complete, Dropped: sent.dropped, Now: now}
	refused, final := errors.AsType[*Refused](err)
	switch {
	case errors.Is(err, errGone):
		return s.Store.Forget(ctx, row, now)
	case err == nil:
		if sent.idle {
			o.Status, o.FailureCode = row.Status, row.FailureCode
		}
	case final:
		o.Status, o.FailureCode, o.SubFailures = Failed, refused.Code, sent.subFailures
	case sent.stopped: // another goes on at once
		o.Status, o.Attempts, o.DueAt = InProgress, row.Attempts, now
	case errors.Is(err, errIncomplete):
		o.Status, o.Attempts, o.DueAt = InProgress, row.Attempts+1, now.Add(event.Backoff(row.Attempts, firstRetry, lastLook))
		o.Incomplete, o.FailureCode = true, CodeIncomplete
	default:
		o.Status, o.Attempts, o.DueAt = InProgress, row.Attempts+1, now.Add(event.Backoff(row.Attempts, firstRetry, lastRetry))
	}
	if sent.asked && !sent.stopped {
		s.rests.note(row.Destination, sent.away, now)
	}
	said := o.Incomplete && row.Attempts > 0 // once is enough: it is how such images are
	if err != nil && s.Report != nil && !sent.stopped && !said {
		s.Report(ctx, row, err)
	}
	if o.Status != InProgress && !sent.idle {
		o.Event = ended(row, o)
	}
	if err := s.Store.Settle(ctx, row, o); err != nil {
		return fmt.Errorf("recording what came of replicating %s: %w", row.Digest, err)
	}
	return sent.sendMovedTags(ctx)
}

// ended is the event of an image that is there, or that the destination does not want.
func ended(row Row, o Settlement) *event.Event {
	return &event.Event{
		Kind: event.ImageReplicated, At: o.Now, Repository: row.Repository, Digest: row.Digest, Tags: row.Tags, Reason: o.FailureCode,
		Copy: &event.Copy{Region: row.Destination.Region, Account: row.Destination.RegistryID, Failed: o.Status == Failed},
	}
}

// shipment is one attempt at a row.
type shipment struct {
	*Service
	row    Row
	remote Remote

	stopped     bool // by this server's end
	idle        bool // there was nothing to do
	asked       bool // the destination was spoken to
	away        bool // and did not answer
	tags        []string
	dropped     []string
	subFailures []string
}

func (p *shipment) run(ctx context.Context) error {
	q := p.Database.Read()
	repo, err := q.Repository(ctx, p.row.Repository)
	var img registry.Image
	if err == nil {
		img, err = q.ImageIn(ctx, p.row.Repository, oci.Reference{Digest: p.row.Digest})
	}
	switch {
	case errors.Is(err, registry.ErrNoRow):
		return errGone
	case err != nil:
		return fmt.Errorf("looking for the image: %w", err)
	}
	if p.row.Status != InProgress { // somebody only asked to look whether it is still there
		p.idle = true
		return nil
	}
	if img.Archived {
		return &Refused{CodeArchived, "the image is archived; it is sent when it is restored"}
	}
	c, err := readConfiguration(ctx, q)
	if err != nil {
		return err
	}
	if !slices.Contains(c.destinationsOf(p.row.Repository), p.row.Destination) {
		return &Refused{CodeNoRule, "no rule of the replication configuration names the destination any more"}
	}
	if p.remote = p.Remotes[p.row.Destination]; p.remote == nil {
		p.asked, p.away = true, true // its images wait together
		return fmt.Errorf("the configuration file does not name the destination %s any more", p.row.Destination)
	}
	if err := p.image(ctx, p.row.Digest, 0); err != nil {
		return err
	}
	return p.referrers(ctx, repo)
}

// image sends one with all that it is made of. Only the image that the row is about gets tags.
func (p *shipment) image(ctx context.Context, d oci.Digest, depth int) error {
	if depth > maxDepth {
		return &Refused{CodeTooDeep, "the image is an index of indexes too many"}
	}
	img, err := p.Database.Read().ManifestIn(ctx, p.row.Repository, oci.Reference{Digest: d})
	if depth > 0 && errors.Is(err, registry.ErrNoRow) {
		return fmt.Errorf("image %s: %w", d, errIncomplete)
	}
	if err != nil {
		return fmt.Errorf("reading image %s: %w", d, err)
	}
	m, err := oci.ParseManifest(img.MediaType, img.Manifest)
	if err != nil {
		return fmt.Errorf("reading image %s: %w", d, err)
	}
	images, layers := parts(m)
	lack, err := p.remote.Prepare(ctx, p.row.Repository, d, layers)
	if err := p.heard(err); err != nil {
		return err
	}
	if lack.Image {
		// What a destination says that it lacks is no reason to send it anything else.
		lacking := slices.DeleteFunc(layers, func(l oci.Digest) bool { return !slices.Contains(lack.Layers, l) })
		if err := p.parts(ctx, m, images, lacking, depth); err != nil {
			return err
		}
	}
	if depth > 0 && !lack.Image {
		return nil
	}
	return p.manifest(ctx, img, depth == 0)
}

// parts tells the images that a manifest is made of from the layers.
func parts(m oci.Manifest) (images, layers []oci.Digest) {
	for _, b := range m.Blobs() {
		layers = append(layers, b.Digest)
	}
	for _, c := range m.Children {
		if oci.IsManifestType(c.MediaType) {
			images = append(images, c.Digest)
		} else { // BuildKit's older cache format has layers in an index
			layers = append(layers, c.Digest)
		}
	}
	slices.Sort(layers)
	return images, slices.Compact(layers)
}

// parts sends what an image needs to be there first.
func (p *shipment) parts(ctx context.Context, m oci.Manifest, images, layers []oci.Digest, depth int) error {
	for _, child := range images {
		if err := p.image(ctx, child, depth+1); err != nil {
			if refused, ok := errors.AsType[*Refused](err); ok && !slices.Contains(p.subFailures, refused.Code) {
				p.subFailures = append(p.subFailures, refused.Code)
			}
			return err
		}
	}
	if s := m.Subject.Digest; s != "" && depth < maxDepth {
		_, err := p.Database.Read().ImageIn(ctx, p.row.Repository, oci.Reference{Digest: s})
		if err == nil {
			err = p.image(ctx, s, depth+1)
		}
		if err != nil && !errors.Is(err, registry.ErrNoRow) { // a subject need not be there
			return err
		}
	}
	for _, l := range layers {
		if err := p.layer(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (p *shipment) layer(ctx context.Context, d oci.Digest) error {
	caller := identity.Service(p.Registry.ID(), "replication")
	content, err := p.Registry.Layer(ctx, caller, p.row.Repository, d)
	if errors.Is(err, fault.LayerNotFound) {
		return fmt.Errorf("layer %s: %w", d, errIncomplete)
	}
	if err != nil {
		return fmt.Errorf("reading layer %s: %w", d, err)
	}
	body, err := content.Open(ctx, 0, -1)
	if err != nil {
		return fmt.Errorf("reading layer %s: %w", d, err)
	}
	defer body.Close()
	return p.heard(p.remote.PutLayer(ctx, p.row.Repository, d, content.Size, io.LimitReader(body, content.Size)))
}

// manifest sends a manifest with the row's tags that still point to it. Senders of one process take turns from
// reading where tags point to the end of the call, so that a tag that moved is not moved back by who read it earlier.
func (p *shipment) manifest(ctx context.Context, img registry.Image, tagged bool) error {
	out := Image{Repository: p.row.Repository, Digest: img.Digest, MediaType: img.MediaType, Manifest: img.Manifest}
	if !tagged {
		_, err := p.remote.PutImage(ctx, out)
		return p.heard(err)
	}
	if len(p.row.Tags) > 0 {
		defer p.turns.take(p.row.Destination.String() + "/" + p.row.Repository)()
	}
	var err error
	if out.Tags, err = p.present(ctx, true); err != nil {
		return err
	}
	p.tags = out.Tags
	p.dropped, err = p.remote.PutImage(ctx, out)
	return p.heard(err)
}

// present lists those of the row's tags that point to its image, or those that do not.
func (p *shipment) present(ctx context.Context, here bool) ([]string, error) {
	var tags []string
	for _, t := range p.row.Tags {
		img, err := p.Database.Read().ImageIn(ctx, p.row.Repository, oci.Reference{Tag: t})
		if err != nil && !errors.Is(err, registry.ErrNoRow) {
			return nil, fmt.Errorf("looking for tag %s: %w", t, err)
		}
		if (img.Digest == p.row.Digest) == here {
			tags = append(tags, t)
		}
	}
	return tags, nil
}

// sendMovedTags sends tags that were moved on while they were sent once more, for where they are now: another
// process may have sent the newer ones before ours arrived. Only images that are, or were, on their way to the
// destination are concerned.
func (p *shipment) sendMovedTags(ctx context.Context) error {
	if len(p.tags) == 0 {
		return nil
	}
	moved, err := p.present(ctx, false)
	if err != nil {
		return err
	}
	var wants []Want
	for _, t := range moved {
		img, err := p.Database.Read().ImageIn(ctx, p.row.Repository, oci.Reference{Tag: t})
		if err != nil || !slices.Contains(p.tags, t) {
			continue // gone: deletions are not replicated
		}
		rows, err := p.Store.Rows(ctx, p.row.Repository, img.Digest)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(rows, func(r Row) bool { return r.Destination == p.row.Destination }) {
			wants = append(wants, Want{Repository: p.row.Repository, Digest: img.Digest, Tags: []string{t}, Destination: p.row.Destination})
		}
	}
	return p.Store.Want(ctx, wants, p.Now())
}

// referrers wants those of the image that were never sent: they may be older than the rule.
func (p *shipment) referrers(ctx context.Context, repo registry.Repository) error {
	for after, more := int64(0), true; more; {
		images, rest, err := p.Database.Read().Referrers(ctx, repo.ID, p.row.Digest, registry.ReferrerQuery{AfterID: after, Limit: registry.MaxPage})
		if err != nil {
			return fmt.Errorf("listing referrers: %w", err)
		}
		var wants []Want
		for _, img := range images {
			wants = append(wants, Want{Repository: repo.Name, Digest: img.Digest, Destination: p.row.Destination, IfNew: true})
			after = img.ID
		}
		if err := p.Store.Want(ctx, wants, p.Now()); err != nil {
			return err
		}
		more = rest
	}
	return nil
}

// heard notes whether the destination answered.
func (p *shipment) heard(err error) error {
	_, refused := errors.AsType[*Refused](err)
	_, ours := fault.Of(err) // a layer that cannot be read here
	p.asked, p.away = true, err != nil && !refused && !ours
	return err
}
