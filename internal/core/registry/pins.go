package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// maxChain is how many records of one application in one environment are looked at, and more where none of these tells what runs: no
// number of deployments that failed unpins that.
const maxChain = 1000

// Pin is a deployment that keeps an image where it is.
type Pin struct {
	App, Environment string
	Kind             PinKind
	Place            int       // Deployed: 1 runs, 2 ran before that …, by different images
	Since            time.Time // of the record, by the clock of whoever deployed
}

// PinKind is why a deployment keeps an image.
type PinKind string

// The kinds of pins.
const (
	Deployed   PinKind = "deployed"   // it runs, or ran and can be rolled back to
	Deploying  PinKind = "deploying"  // its deployment has started and is the newest
	Unsettled  PinKind = "unsettled"  // its deployment broke, and none has succeeded since
	DeployedBy PinKind = "deployedBy" // it is a record in the chain that leads to one of these
)

// String says in a clause why the image stays.
func (p Pin) String() string {
	where := p.Environment + " as " + p.App
	since := p.Since.UTC().Format(time.RFC3339)
	switch {
	case p.Kind == Deployed && p.Place == 1:
		return "it runs in " + where + " since " + since
	case p.Kind == Deployed:
		return fmt.Sprintf("it is the %s newest of %s in %s", ordinal(p.Place), p.App, p.Environment)
	case p.Kind == Deploying:
		return "it is being deployed to " + where + " since " + since
	case p.Kind == Unsettled:
		return "its deployment to " + where + " broke at " + since
	default:
		return "it records what runs in " + where
	}
}

func ordinal(n int) string {
	suffix := "th"
	if tens := n / 10 % 10; tens != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprint(n, suffix)
}

// Pins are a repository's images to which its deployments lead directly, with the deployments. What these images are made of, and
// what has them as its subject, is pinned with them.
type Pins map[oci.Digest][]Pin

// Pinned tells what the repository's deployments keep (ecr:DescribeImages).
func (r *Registry) Pinned(ctx context.Context, caller identity.Caller, repository string) (Pins, error) {
	if err := r.onRepository(ctx, caller, repository, policy.DescribeImages); err != nil {
		return nil, err
	}
	q := r.store.Read()
	repo, err := r.repository(ctx, q, repository)
	if err != nil {
		return nil, err
	}
	if r.pinDepth <= 0 {
		return nil, nil
	}
	chains, err := chainsOf(ctx, q, repo)
	if err != nil {
		return nil, err
	}
	pins := Pins{}
	return pins, r.follow(ctx, q, repo, chains, pins)
}

// chain is the way from a deploy tag to what it pins.
type chain struct {
	tag, environment, app string
	next                  oci.Digest
	seen                  int // records
	deployed              []oci.Digest
}

// follow goes along chains, many at once, and notes what they pin: a statement for each step, not for each record. What a chain
// lost is its end.
func (r *Registry) follow(ctx context.Context, q Queries, repo Repository, all []*chain, pins Pins) error {
	const atOnce = 500 // what their records say is in memory
	for chains := range slices.Chunk(all, atOnce) {
		if err := r.followSome(ctx, q, repo, chains, pins); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) followSome(ctx context.Context, q Queries, repo Repository, chains []*chain, pins Pins) error {
	for len(chains) > 0 {
		next := make([]oci.Digest, len(chains))
		for i, c := range chains {
			next[i] = c.next
		}
		rows, err := q.Annotated(ctx, repo.ID, next)
		if err != nil {
			return fmt.Errorf("reading deployment records of %s: %w", repo.Name, err)
		}
		records := make(map[oci.Digest]deployment.Record, len(rows))
		for _, row := range rows {
			if record, ok := recordOf(row); ok {
				records[row.Digest] = record
			}
		}
		chains = slices.DeleteFunc(chains, func(c *chain) bool {
			record, ok := records[c.next]
			return !ok || record.Tag() != c.tag || !c.step(pins, record, r.pinDepth)
		})
	}
	return nil
}

// recordOf reads the record that an image with its annotations is, or tells that it is none.
func recordOf(img Image) (deployment.Record, bool) {
	if img.ArtifactType != deployment.ArtifactType {
		return deployment.Record{}, false
	}
	record, err := deployment.Read(img.Subject, img.Annotations)
	return record, err == nil
}

// chainsOf finds the beginnings of the chains. Where nothing is deployed, it is one look into the index of tags.
func chainsOf(ctx context.Context, q TagQueries, repo Repository) ([]*chain, error) {
	var chains []*chain
	for after := deployment.TagPrefix; ; {
		tags, err := q.Tags(ctx, repo.ID, AnyStatus, after, MaxPage)
		if err != nil {
			return nil, fmt.Errorf("listing deploy tags of %s: %w", repo.Name, err)
		}
		for _, t := range tags {
			if !strings.HasPrefix(t.Name, deployment.TagPrefix) {
				return chains, nil
			}
			after = t.Name
			if environment, app, ok := deployment.ParseTag(t.Name); ok {
				chains = append(chains, &chain{tag: t.Name, environment: environment, app: app, next: t.Digest})
			}
		}
		if len(tags) < MaxPage {
			return chains, nil
		}
	}
}

// step notes what a record pins, and tells whether the one before it is to be looked at.
func (c *chain) step(pins Pins, record deployment.Record, depth int) bool {
	c.seen++
	pin := Pin{App: c.app, Environment: c.environment, Since: record.At}
	add := func(d oci.Digest, kind PinKind) {
		pin.Kind = kind
		pins[d] = append(pins[d], pin)
	}
	add(c.next, DeployedBy)
	image := record.Image.Digest
	switch record.Outcome {
	case deployment.Started:
		if c.seen == 1 {
			add(image, Deploying)
		}
	case deployment.Broken:
		if len(c.deployed) == 0 {
			add(image, Unsettled)
		}
	case deployment.Succeeded:
		if !slices.Contains(c.deployed, image) {
			c.deployed = append(c.deployed, image)
			pin.Place = len(c.deployed)
			add(image, Deployed)
		}
	case deployment.Failed:
	}
	c.next = record.Previous
	return c.next != "" && len(c.deployed) < depth && (c.seen < maxChain || len(c.deployed) == 0)
}

// keeper tells, within one transaction, what deployments keep.
type keeper struct {
	registry *Registry
	tx       Tx
	repo     Repository
	pins     Pins                // of the deploy tags that were read
	read     map[string]bool     // deploy tags
	asked    map[oci.Digest]bool // images whose deploy tags were read
	without  map[string]bool     // deploy tags that are going
}

func (r *Registry) keeper(tx Tx, repo Repository) *keeper {
	k := &keeper{registry: r, tx: tx, repo: repo, without: map[string]bool{}}
	k.changed()
	return k
}

// changed says that deploy tags are going, or a record that pins. Then the chains are to be read again.
func (k *keeper) changed(tags ...string) {
	for _, t := range tags {
		k.without[t] = true
	}
	k.pins, k.read, k.asked = Pins{}, map[string]bool{}, map[oci.Digest]bool{}
}

// of gives the pins of whatever deployments ever had one of the images as their subject; none of the others can be of these images. Where
// nothing of the kind was deployed, that is one look-up.
func (k *keeper) of(ctx context.Context, images []oci.Digest) (Pins, error) {
	if k.registry.pinDepth <= 0 {
		return nil, nil
	}
	images = slices.DeleteFunc(slices.Clone(images), func(d oci.Digest) bool { return k.asked[d] })
	if len(images) == 0 {
		return k.pins, nil
	}
	for _, d := range images {
		k.asked[d] = true
	}
	records, err := k.tx.Referring(ctx, k.repo.ID, images, deployment.ArtifactType)
	if err != nil {
		return nil, fmt.Errorf("looking for deployments: %w", err)
	}
	var chains []*chain
	for _, row := range records {
		record, ok := recordOf(row)
		tag := record.Tag()
		if !ok || k.read[tag] || k.without[tag] {
			continue
		}
		k.read[tag] = true
		newest, err := k.tx.ImageIn(ctx, k.repo.Name, oci.Reference{Tag: tag})
		switch {
		case err == nil:
			chains = append(chains, &chain{tag: tag, environment: record.Environment, app: record.App, next: newest.Digest})
		case !errors.Is(err, ErrNoRow):
			return nil, fmt.Errorf("looking for tag %s: %w", tag, err)
		}
	}
	return k.pins, k.registry.follow(ctx, k.tx, k.repo, chains, k.pins)
}

// ask reads for many images at once what spares would read for each.
func (k *keeper) ask(ctx context.Context, images []Image) error {
	var about []oci.Digest
	for _, img := range images {
		about = append(about, img.Digest)
		if img.ArtifactType == deployment.ArtifactType {
			about = append(about, img.Subject)
		}
	}
	_, err := k.of(ctx, about)
	return err
}

// spares tells whether an image that belongs to another one, which goes, is itself deployed, or a record by which deployments pin
// anything.
func (k *keeper) spares(ctx context.Context, img Image) (bool, error) {
	about := []oci.Digest{img.Digest}
	if img.ArtifactType == deployment.ArtifactType {
		about = append(about, img.Subject)
	}
	pins, err := k.of(ctx, about)
	return len(pins[img.Digest]) > 0, err
}

// check answers fault.ImagePinned, with the deployments, when some keep an image: for its own sake, for that of an index that it
// is in, or for what it is about.
func (k *keeper) check(ctx context.Context, img Image, wouldBe string) error {
	if k.registry.pinDepth <= 0 {
		return nil
	}
	family, err := k.family(ctx, img)
	if err != nil {
		return err
	}
	pins, err := k.of(ctx, family)
	if err != nil {
		return err
	}
	for _, d := range family {
		if len(pins[d]) == 0 {
			continue
		}
		what := "Requested image"
		if d != img.Digest {
			what += " belongs to " + d.String() + ", which"
		}
		return fault.New(fault.ImagePinned, "%s is deployed and is not %s: %s", what, wouldBe, WhyPinned(pins[d]))
	}
	return nil
}

// isDeployTag tells whether a tag of an image is one that makes a chain of records begin there.
func isDeployTag(img Image, tag string) bool {
	_, _, ok := deployment.ParseTag(tag)
	return ok && img.ArtifactType == deployment.ArtifactType
}

// WhyPinned says in clauses why an image stays, a screenful at most.
func WhyPinned(pins []Pin) string {
	const most = 10
	inOrder := slices.SortedStableFunc(slices.Values(pins), func(a, b Pin) int {
		return cmp.Or(cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.App, b.App), cmp.Compare(a.Place, b.Place))
	})
	var all []string
	for _, p := range inOrder {
		if s := p.String(); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(all, "; ")
}

// family gives an image and everything for whose sake it stays, nearest first: the indexes that refer to it, its subject, what
// its tags say that it is filed under, and all of these of those.
func (k *keeper) family(ctx context.Context, img Image) ([]oci.Digest, error) {
	family, known := []oci.Digest{img.Digest}, map[oci.Digest]bool{"": true, img.Digest: true}
	for level := []Image{img}; len(level) > 0; {
		var next []oci.Digest
		add := func(d oci.Digest) {
			if !known[d] {
				known[d] = true
				family = append(family, d)
				next = append(next, d)
			}
		}
		for _, l := range level {
			holders, err := k.tx.IndexesOf(ctx, k.repo.ID, l.Digest)
			if err != nil {
				return nil, fmt.Errorf("looking for indexes of %s: %w", l.Digest, err)
			}
			for _, h := range holders {
				add(h)
			}
			add(l.Subject)
			for _, t := range l.Tags {
				if of, ok := oci.CompanionOf(t); ok {
					add(of)
				}
			}
		}
		level = nil
		for _, d := range next { // each with its tags
			l, err := k.tx.ImageByDigest(ctx, k.repo.ID, d)
			if err == nil {
				level = append(level, l)
			} else if !errors.Is(err, ErrNoRow) {
				return nil, fmt.Errorf("looking for image %s: %w", d, err)
			}
		}
	}
	return family, nil
}

// retire deletes the tag of deployments from the record that it points to, and the record too if that had no other tag and
// nothing else keeps it. The pins of that application and environment end.
func (d deletion) retire(ctx context.Context, img Image, tag string) ([]ImageID, error) {
	d.keeper.changed(tag)
	gone, err := d.image(ctx, img)
	if !errors.Is(err, fault.ImagePinned) {
		return gone, err
	}
	return []ImageID{{Tag: tag, Digest: img.Digest.String()}}, d.untag(ctx, img, tag)
}
