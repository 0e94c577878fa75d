package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Chosen is the image that a request means.
type Chosen struct {
	Named     string // as it was found, for people: tag web-latest, what runs in staging
	Digest    oci.Digest
	Size      int64    // bytes of configuration and layers, as the registry says
	Tags      []string // in order
	App       string   // that it says it is of, "" if it does not
	Commit    string   // "" if nobody knows
	Branch    string   // likewise
	Platforms []string

	descriptor oci.Descriptor
	listed     images.Image
}

// Errors of what was asked for, rather than of what was found.
var (
	ErrNoEnvironment = errors.New("no such environment")
	ErrNoApp         = errors.New("no such app")
	ErrNothing       = errors.New("nothing to deploy")
	ErrUsage         = errors.New("cannot be asked for")
)

// names checks what can be checked without asking anybody, and finds the environment.
func (r *run) names() error {
	if err := appNamed(r.App); err != nil {
		return err
	}
	var err error
	if r.environment, err = environmentOf(r.File, r.Request.Environment); err != nil {
		return err
	}
	if r.Action == deployment.Promote {
		if r.From = cmp.Or(r.From, r.environment.After); r.From == "" {
			return fmt.Errorf("%w: berth.yaml has no environment that comes before %s, so say from which", ErrUsage, r.environment.Name)
		}
		if _, err := environmentOf(r.File, r.From); err != nil {
			return err
		}
		if r.From == r.environment.Name {
			return fmt.Errorf("%w: %s is promoted to itself", ErrUsage, r.From)
		}
	}
	for _, name := range r.Ignore {
		if !slices.Contains(Ignorable(), name) {
			return fmt.Errorf("%w: no check of the name %q that can be ignored; there are %s", ErrUsage, name, strings.Join(Ignorable(), ", "))
		}
	}
	if len(r.Ignore) > 0 && strings.TrimSpace(r.Reason) == "" {
		return fmt.Errorf("%w: what is ignored needs a reason, which is recorded", ErrUsage)
	}
	return nil
}

// appNamed tells what is wrong with the name of an app, for which records could not be written: ErrNoApp.
func appNamed(app string) error {
	switch {
	case len(app) > deployment.MaxApp:
		return fmt.Errorf("%w: %q has %d characters, and the name of an app that is deployed at most %d", ErrNoApp, app, len(app), deployment.MaxApp)
	case deployment.CheckApp(app) != nil:
		return fmt.Errorf("%w: %q is no name of one, which is of letters, digits, dots, dashes and underscores, with a letter or digit at both ends", ErrNoApp, app)
	}
	return nil
}

func environmentOf(file *workspace.File, name string) (workspace.Environment, error) {
	var names []string
	for _, e := range file.Environments {
		if e.Name == name { // berth.yaml has none that records do not take
			return e, nil
		}
		names = append(names, e.Name)
	}
	return workspace.Environment{}, fmt.Errorf("%w: %q; %s has %s", ErrNoEnvironment, name, workspace.Name, cmp.Or(strings.Join(names, ", "), "none"))
}

// resolve finds the image that is meant.
func (r *run) resolve(ctx context.Context, state State) (Chosen, error) {
	ref, named, commit, err := r.reference(ctx, state)
	if err != nil {
		return Chosen{}, err
	}
	found, err := r.Images.Resolve(ctx, ref)
	if platform.Refused(err, images.NoImage) {
		return Chosen{Named: named, Digest: ref.Digest}, &Refusal{[]Problem{{Check: CheckImage, Text: fmt.Sprintf("%s is not in %s", named, r.File.Repository)}}}
	}
	if err != nil {
		return Chosen{}, fmt.Errorf("looking for %s: %w", named, err)
	}
	c := Chosen{Named: named, Digest: found.Digest, Size: found.Size, Tags: found.Tags, Commit: commit, listed: found}
	if found.Status != "" && found.Status != "ACTIVE" {
		return c, nil // its manifest is not to be had; check says so
	}
	m, there, err := r.known.ByDigest(ctx, found.Digest)
	switch {
	case err != nil:
		return c, err //nolint:wrapcheck // explained
	case !there:
		return c, fmt.Errorf("the manifest of %s is not given", found.Digest)
	}
	c.descriptor = oci.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Raw))}
	if says, ok := m.Image(); ok {
		c.App, c.Branch, c.Commit = says.App, says.Branch, cmp.Or(says.Revision, c.Commit, commitOf(r.File.Tags, r.App, found.Tags))
	}
	platforms, err := r.Images.Platforms(ctx, []images.Image{found})
	if err != nil {
		r.note("what %s is built for is not known: %v", named, err)
		return c, nil
	}
	c.Platforms = platforms[0]
	return c, nil
}

// reference is what is meant, in words too, and the commit if that was asked for.
func (r *run) reference(ctx context.Context, state State) (ref oci.Reference, named, commit string, err error) {
	switch {
	case r.Action == deployment.Promote:
		ref, named, err = r.promoted(ctx)
	case r.Action == deployment.Rollback:
		ref, named, err = r.rolledBack(ctx, state)
	case r.Digest != "":
		ref, err = r.Images.Reference(ctx, fullDigest(r.Digest))
		named = "image " + r.Digest
	case r.Tag != "":
		ref, err = images.ParseReference(r.Tag)
		named = "tag " + r.Tag
	case r.Commit != "":
		ref.Tag, commit, err = r.commitTag(ctx)
		named = "tag " + ref.Tag
	default:
		ref.Tag, err = movingTag(r.File.Tags, r.App)
		named = "tag " + ref.Tag
	}
	return ref, named, commit, err
}

// fullDigest lets people leave out the algorithm.
func fullDigest(text string) string {
	if !strings.Contains(text, ":") {
		return "sha256:" + text
	}
	return text
}

// movingTag is the tag that goes to each new image of an app: the first that needs to know nothing but the app.
func movingTag(templates []workspace.Template, app string) (string, error) {
	for _, t := range templates {
		rest := strings.ReplaceAll(string(t), "{app}", "")
		if !strings.Contains(rest, "{") {
			return t.Expand(workspace.Values{App: app}) //nolint:wrapcheck // says which
		}
	}
	return "", fmt.Errorf("%w: no tag of %s goes to each new image of %s, so say which with --tag, --sha or --digest", ErrUsage, workspace.Name, app)
}

var hash = regexp.MustCompile(`^[0-9a-f]{7,40}$`)

// commitTag finds the tag that an app's image of a commit has.
func (r *run) commitTag(ctx context.Context) (tag, commit string, err error) {
	commit = strings.ToLower(r.Commit)
	if !hash.MatchString(commit) {
		return "", "", fmt.Errorf("%w: %q is no commit: 7 to 40 hexadecimal digits", ErrUsage, r.Commit)
	}
	if r.Clone != nil && len(commit) < 40 { // git knows which it is, and the registry may have several
		if whole, err := r.Clone.Commit(ctx, commit); err == nil {
			commit = whole
		}
	}
	listed, err := r.Images.List(ctx)
	if err != nil {
		return "", "", fmt.Errorf("listing images: %w", err)
	}
	tags, digests := []string{}, map[oci.Digest]bool{}
	for _, i := range listed {
		for _, tag := range i.Tags {
			of := commitOf(r.File.Tags, r.App, []string{tag})
			if of != "" && (strings.HasPrefix(of, commit) || strings.HasPrefix(commit, of)) {
				tags, digests[i.Digest] = append(tags, tag), true
			}
		}
	}
	switch len(digests) {
	case 0:
		return "", "", &Refusal{[]Problem{{Check: CheckImage, Text: fmt.Sprintf("no image of %s in %s has a tag with the commit %s", r.App, r.File.Repository, r.Commit)}}}
	case 1:
		return tags[0], commitOf(r.File.Tags, r.App, tags), nil
	}
	return "", "", fmt.Errorf("%w: several images of %s have a tag that begins with the commit %s: write more of it", ErrUsage, r.App, r.Commit)
}

// commitOf is the commit that tags have, "" if none has one.
func commitOf(templates []workspace.Template, app string, tags []string) string {
	best := ""
	for _, t := range templates {
		for _, tag := range tags {
			if c := t.Commit(app, tag); len(c) > len(best) {
				best = c
			}
		}
	}
	return best
}

// promoted is what runs in the other environment.
func (r *run) promoted(ctx context.Context) (oci.Reference, string, error) {
	s, err := r.records.State(ctx, r.From, r.App)
	named := "what runs in " + r.From
	switch {
	case err != nil:
		return oci.Reference{}, named, err
	case s.Runs == nil:
		return oci.Reference{}, named, &Refusal{[]Problem{{Check: CheckAfter, Text: fmt.Sprintf("nothing of %s has ever run in %s", r.App, r.From)}}}
	case s.Broken != nil:
		return oci.Reference{}, named, &Refusal{[]Problem{{Check: CheckAfter, Text: fmt.Sprintf("%s is broken in %s: %s", r.App, r.From, plan.Printable(s.Broken.Reason))}}}
	case s.Pending != nil:
		r.note("in %s somebody is at work: %s; what ran before that is promoted", r.From, s.Pending.sentence())
	}
	return oci.Reference{Digest: s.Runs.Image.Digest}, named, nil
}

// rolledBack is a version that ran here.
func (r *run) rolledBack(ctx context.Context, state State) (oci.Reference, string, error) {
	all, err := r.History(ctx, r.App, r.environment.Name, 0)
	if err != nil {
		return oci.Reference{}, "", err
	}
	back := cmp.Or(r.To, "1")
	n, notNumber := strconv.Atoi(back)
	if len(back) >= 6 { // as a digest may be all digits
		notNumber = strconv.ErrSyntax
	}
	for _, d := range all {
		byNumber := notNumber == nil && n > 0 && d.Back != nil && *d.Back == n
		byName := notNumber != nil && d.Outcome == deployment.Succeeded &&
			(d.ID == back || len(back) >= 6 && strings.HasPrefix(d.Image.Digest.String(), fullDigest(back)))
		if byNumber || byName {
			return oci.Reference{Digest: d.Image.Digest}, fmt.Sprintf("what %s of %s deployed", d.ID, d.At.Format(time.RFC3339)), nil
		}
	}
	switch {
	case state.Runs == nil:
		return oci.Reference{}, "", fmt.Errorf("%w: nothing of %s has ever run in %s", ErrNothing, r.App, r.environment.Name)
	case r.To == "":
		return oci.Reference{}, "", fmt.Errorf("%w: no other image of %s has run in %s before", ErrNothing, r.App, r.environment.Name)
	}
	return oci.Reference{}, "", fmt.Errorf("%w: no version %q of %s has run in %s", ErrNothing, r.To, r.App, r.environment.Name)
}

// Known tells what is wrong with the names of an app and an environment: ErrNoApp or ErrNoEnvironment.
func (d *Deployer) Known(app, environment string) error {
	if err := appNamed(app); err != nil {
		return err
	}
	_, err := environmentOf(d.File, environment)
	return err
}
