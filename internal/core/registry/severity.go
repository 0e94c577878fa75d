package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// keyScanSeverity is the condition key of pulls, which ECR has not, of how bad the findings of the image are. It costs nothing where
// no policy that has a say mentions it.
const keyScanSeverity = "ecr:imagescanseverity"

// What it says besides a severity.
const (
	noFindings = "NONE"
	unscanned  = "UNSCANNED"
)

// Exposure is what is known of an image's findings that no exception covers.
type Exposure struct {
	Worst     string // CRITICAL to INFORMATIONAL; empty: there is none that is rated
	Findings  int    // of that severity
	Undefined int    // findings that nobody has rated
	Unscanned string // why not all is known, in words that follow "because"; empty: it is
}

// Exposures looks for what is known of images.
type Exposures interface {
	// Exposure tells what is known of an image now.
	Exposure(ctx context.Context, repo Repository, img Image) (Exposure, error)
}

// values are those of the condition key: the highest severity, or NONE; UNDEFINED besides where some are not rated, since these may be
// of any; UNSCANNED besides where more may be found.
func (e Exposure) values() []string {
	var values []string
	if e.Worst != "" {
		values = append(values, e.Worst)
	}
	if e.Undefined > 0 {
		values = append(values, "UNDEFINED")
	}
	if e.Unscanned != "" {
		values = append(values, unscanned)
	}
	if len(values) == 0 {
		values = append(values, noFindings)
	}
	return values
}

// words say it in a sentence about "it", the image.
func (e Exposure) words() string {
	var parts []string
	findings := func(n int, severity string) {
		if n == 1 {
			parts = append(parts, "has 1 finding of severity "+severity+" that no exception covers")
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf("has %d findings of severity %s that no exception covers", n, severity))
		}
	}
	findings(e.Findings, e.Worst)
	findings(e.Undefined, "UNDEFINED")
	if e.Unscanned != "" {
		parts = append(parts, "is not known to be without findings, because "+e.Unscanned)
	}
	if len(parts) == 0 {
		return "has no findings"
	}
	return strings.Join(parts, ", and ")
}

// exposureCache remembers exposures for a moment, by the image's id. The zero cache is ready.
type exposureCache struct {
	mu   sync.Mutex
	byID map[int64]remembered // guarded by mu
}

type remembered struct {
	exposure Exposure
	until    time.Time
}

func (c *exposureCache) find(id int64, now time.Time) (Exposure, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.byID[id]
	return r.exposure, ok && now.Before(r.until)
}

func (c *exposureCache) keep(id int64, e Exposure, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil || len(c.byID) >= maxRemembered {
		c.byID = map[int64]remembered{}
	}
	c.byID[id] = remembered{e, until}
}

// exposure tells what is known of an image that somebody pulls. What nobody can run has no findings of its own: an index, each of whose
// images is asked about when it is pulled, and an artifact. Something that a client takes for an image is unscanned where it was made so
// that nobody scans it.
func (r *Registry) exposure(ctx context.Context, repo Repository, img Image) (Exposure, error) {
	switch {
	case !runnable(img):
		return Exposure{}, nil
	case !img.Scannable():
		return Exposure{Unscanned: "it refers to another image, or says that it is an artifact, and such are not scanned"}, nil
	case r.exposures == nil:
		return Exposure{Unscanned: "this registry has no scanner"}, nil
	}
	now := r.now()
	if e, ok := r.exposed.find(img.ID, now); ok {
		return e, nil
	}
	e, err := r.exposures.Exposure(ctx, repo, img)
	if err != nil {
		return Exposure{}, fmt.Errorf("looking for the findings of %s@%s: %w", repo.Name, img.Digest, err)
	}
	r.exposed.keep(img.ID, e, now.Add(rememberFor))
	return e, nil
}

// runnable tells whether clients may take it for an image that can be run. Docker takes some other types of configurations for an image's,
// which registries once gave them, and of its own manifests podman looks at none.
func runnable(img Image) bool {
	switch img.ConfigMediaType {
	case "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json":
		return true
	case "application/octet-stream", "application/json", "text/html", "":
		return !oci.IsIndexType(img.MediaType)
	}
	return img.MediaType == oci.MediaTypeDockerManifest
}

// severity is the condition key of one question. It is looked up when a policy names it.
type severity struct {
	look  func() (Exposure, error)
	asked bool // somebody wanted to know
	best  bool // the question is what would be if there were no findings
	known bool
	found Exposure
	err   error
}

func (s *severity) values() ([]string, bool) {
	s.asked = true
	if s.best {
		return []string{noFindings}, true
	}
	if !s.known {
		s.known = true
		s.found, s.err = s.look()
	}
	return s.found.values(), s.err == nil
}

// harmless is the key of what tells of an image and gives none of it: a HEAD, so that clients go on to the GET, whose answer has words;
// and the list of what refers to an image, so that its signatures and findings can be looked at.
func harmless() *severity { return &severity{best: true} }

// pulledKeys are those of a pull of an image.
func (r *Registry) pulledKeys(ctx context.Context, repository string, id ImageID) *imageKeys {
	keys := r.readKeys(ctx, repository, id)
	keys.severity = &severity{look: func() (Exposure, error) {
		d, err := r.decided(ctx, keys, repository, id)
		if err != nil || d == "" {
			return Exposure{Unscanned: "it is not there"}, err
		}
		q := r.store.Read()
		repo, err := q.Repository(ctx, repository)
		if err == nil {
			var img Image
			if img, err = q.ImageIn(ctx, repository, oci.Reference{Digest: d}); err == nil {
				return r.exposure(ctx, repo, img)
			}
		}
		if errors.Is(err, ErrNoRow) {
			return Exposure{Unscanned: "it is not there"}, nil
		}
		return Exposure{}, fmt.Errorf("looking for image %s of %s: %w", d, repository, err)
	}}
	return keys
}

// statKeys are those of a question for an image that gives nothing of it.
func (r *Registry) statKeys(ctx context.Context, repository string, id ImageID) *imageKeys {
	keys := r.readKeys(ctx, repository, id)
	keys.severity = harmless()
	return keys
}

// gated words a denial that the image's findings are the reason of: without them the answer would be another one.
func (r *Registry) gated(ctx context.Context, caller identity.Caller, name, what string, keys *imageKeys, action policy.Action, denial error) error {
	s := keys.severity
	if s == nil || !s.asked || s.best || !errors.Is(denial, fault.AccessDenied) {
		return denial
	}
	best := *keys
	best.severity = harmless()
	if r.onRepositoryWith(ctx, caller, name, best.context, action) != nil {
		return denial
	}
	f, ok := fault.Of(denial)
	if !ok {
		return denial
	}
	todo := "mend what they are in, or have somebody who answers for them attach an exception (berth vex add --attach)"
	if s.found.Worst == "" && s.found.Undefined == 0 {
		todo = "wait for its scan, or ask for one"
	}
	return fault.Wrap(f.Code, denial, "%s. A policy does not let %s be pulled as it is (ecr:ImageScanSeverity): it %s. berth scan tells more; %s.",
		strings.TrimSuffix(f.Message, "."), what, s.found.words(), todo).With(f.Detail)
}

// maxLayerImages bounds how many images are asked about for a layer.
const maxLayerImages = 100

// onLayer is onRepository for what reads a layer. Many images may share it: where a policy asks for findings, it may be read if one of the
// newest of them may be pulled. One that no image has is unscanned.
func (r *Registry) onLayer(ctx context.Context, caller identity.Caller, name string, d oci.Digest, action policy.Action) error {
	keys := &imageKeys{severity: harmless()}
	if err := r.onRepositoryWith(ctx, caller, name, keys.severityOnly, action); err != nil || !keys.severity.asked {
		return err
	}
	repo, err := r.repository(ctx, r.store.Read(), name)
	if err != nil {
		return err
	}
	images, err := r.store.Read().ImagesWithLayer(ctx, repo.ID, d, maxLayerImages)
	if err != nil {
		return fmt.Errorf("looking for images of layer %s: %w", d, err)
	}
	looks := []func() (Exposure, error){func() (Exposure, error) { return Exposure{Unscanned: "no image has the layer yet"}, nil }}
	if len(images) > 0 {
		looks = nil
	}
	for _, img := range images {
		looks = append(looks, func() (Exposure, error) { return r.exposure(ctx, repo, img) })
	}
	var denial error
	for i, look := range looks {
		keys := &imageKeys{severity: &severity{look: look}}
		err := r.onRepositoryWith(ctx, caller, name, keys.severityOnly, action)
		if keys.severity.err != nil {
			return keys.severity.err
		}
		if err == nil {
			return nil
		}
		if i == 0 {
			denial = r.gated(ctx, caller, name, "the newest image with this layer", keys, action, err)
		}
	}
	return denial
}

// severityOnly gives the key of findings, and no other.
func (k *imageKeys) severityOnly(key string) ([]string, bool) {
	if key != keyScanSeverity {
		return nil, false
	}
	return k.severity.values()
}
