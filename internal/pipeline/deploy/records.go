package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/artifact"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// RecordsAPI is what is asked of an ECR; *ecr.Client has it.
type RecordsAPI interface {
	shipped.API
	ListImages(context.Context, *ecr.ListImagesInput, ...func(*ecr.Options)) (*ecr.ListImagesOutput, error)
}

// Records reads and writes the deployment records of one repository. It may be used by many goroutines.
type Records struct {
	api        RecordsAPI
	repository string
	known      *shipped.Store
	pusher     artifact.Pusher
}

// NewRecords makes one. It asks for nothing yet. Without a remote it can only read.
func NewRecords(api RecordsAPI, remote artifact.Remote, repository string) *Records {
	return &Records{api, repository, shipped.New(api, repository), artifact.Pusher{Remote: remote, Repository: repository}}
}

// Entry is a record in the registry.
type Entry struct {
	deployment.Record
	Digest oci.Digest // of the record's own manifest
	// Until is, of a start, when its deployer will have given up, by its own clock; zero if it does not say. Of a failure it says that the
	// deployment was interrupted then, rather than that the image is bad.
	Until time.Time
}

// Interrupted tells whether it failed for no fault of the image's: who deployed was stopped, or the target did not answer.
func (e Entry) Interrupted() bool { return e.Outcome == deployment.Failed && !e.Until.IsZero() }

// annotationUntil stands beside the record's own annotations: how long the deployer of a start may be at work, or when it was stopped.
const annotationUntil = "vnd.berth.deploy.until"

// State is what the records say of an app in an environment.
type State struct {
	Newest  *Entry // nil: nothing was ever deployed
	Runs    *Entry // the newest success, nil if there is none: what runs, unless Broken says otherwise
	Pending *Entry // the newest, if it is a start without outcome
	Broken  *Entry // newer than Runs: neither ran as it should then, and nothing has succeeded since
}

// maxChain is how many records are followed.
const maxChain = 10_000

// errRecord is that what should be a record cannot be read as the one that it should be.
var errRecord = errors.New("no record of a deployment")

// Newest gives the newest record, and whether there is one.
func (r *Records) Newest(ctx context.Context, environment, app string) (Entry, bool, error) {
	tag := deployment.Tag(environment, app)
	m, there, err := r.known.ByTag(ctx, tag)
	if err != nil || !there {
		return Entry{}, false, err //nolint:wrapcheck // explained
	}
	e, err := readEntry(m)
	if err == nil && e.Tag() != tag {
		err = fmt.Errorf("it is of %s in %s", plan.Printable(e.App), plan.Printable(e.Environment))
	}
	if err != nil {
		return Entry{}, false, fmt.Errorf("tag %s of %s names %w: %w", tag, r.repository, errRecord, err)
	}
	return e, true, nil
}

// Walk visits the records, newest first, until there are no more, or one that is to be there is not, or the visitor has enough.
func (r *Records) Walk(ctx context.Context, environment, app string, visit func(Entry) (more bool)) error {
	e, there, err := r.Newest(ctx, environment, app)
	if err != nil || !there {
		return err
	}
	return r.walkFrom(ctx, e, visit)
}

func (r *Records) walkFrom(ctx context.Context, e Entry, visit func(Entry) (more bool)) error {
	for range maxChain {
		if !visit(e) || e.Previous == "" {
			return nil
		}
		m, there, err := r.known.ByDigest(ctx, e.Previous)
		if err != nil || !there { // Amazon's lifecycle policies delete old records; Berth's do not, of what is pinned
			return err //nolint:wrapcheck // explained
		}
		before, err := readEntry(m)
		if err != nil {
			return fmt.Errorf("what comes before %s, %s, is %w: %w", e.Digest, e.Previous, errRecord, err)
		}
		if before.Tag() != e.Tag() {
			return fmt.Errorf("what comes before %s, %s, is %w of this app in this environment", e.Digest, e.Previous, errRecord)
		}
		e = before
	}
	return nil
}

// State reads as much of the records as it takes to know what runs.
func (r *Records) State(ctx context.Context, environment, app string) (State, error) {
	e, there, err := r.Newest(ctx, environment, app)
	if err != nil || !there {
		return State{}, err
	}
	return r.stateFrom(ctx, e)
}

func (r *Records) stateFrom(ctx context.Context, newest Entry) (s State, err error) {
	s.Newest = &newest
	if newest.Outcome == deployment.Started {
		s.Pending = &newest
	}
	err = r.walkFrom(ctx, newest, func(e Entry) bool {
		switch {
		case e.Outcome == deployment.Succeeded:
			s.Runs = &e
		case e.Outcome == deployment.Broken && s.Broken == nil:
			s.Broken = &e
		}
		return s.Runs == nil
	})
	return s, err
}

// All gives the newest record of each app and environment of the repository, in order of their tags. What such a tag names and
// is no record is left out.
func (r *Records) All(ctx context.Context) ([]Entry, error) {
	var tags []string
	in := &ecr.ListImagesInput{RepositoryName: &r.repository, MaxResults: aws.Int32(1000), Filter: &types.ListImagesFilter{TagStatus: types.TagStatusTagged}}
	for pages := ecr.NewListImagesPaginator(r.api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, shipped.Explain(r.repository, "listing tags", "ecr:ListImages", err) //nolint:wrapcheck // explained
		}
		for _, id := range page.ImageIds {
			if _, _, ok := deployment.ParseTag(aws.ToString(id.ImageTag)); ok {
				tags = append(tags, *id.ImageTag)
			}
		}
	}
	found, err := r.known.ManifestsByTags(ctx, tags)
	if err != nil {
		return nil, err //nolint:wrapcheck // explained
	}
	var all []Entry
	for _, tag := range slices.Sorted(slices.Values(tags)) {
		if e, err := readEntry(found[tag]); err == nil && e.Tag() == tag {
			all = append(all, e)
		}
	}
	return all, nil
}

// Conflict is that somebody else has written the record that was to be written next.
type Conflict struct {
	Newest *Entry // what is there instead; nil: nothing, the tag was deleted
	Said   string // by the registry, "" if it let both write
}

// Error says who.
func (c *Conflict) Error() string {
	text := "somebody else was quicker"
	if c.Newest != nil {
		text += ": " + c.Newest.sentence()
	}
	if c.Said != "" {
		text += "; the registry says: " + plan.Printable(c.Said)
	}
	return text
}

// sentence says who does what.
func (e Entry) sentence() string {
	return fmt.Sprintf("%s of %s in %s by %s, %s, at %s", e.Action, plan.Printable(e.App), plan.Printable(e.Environment), plan.Printable(e.Actor),
		e.Outcome, e.At.Format(time.RFC3339))
}

// Write writes a record, whose Previous is the newest one that was read. The error is a *Conflict if that is not the newest any more. A Berth
// is sure of that; elsewhere the tag is read again before and after, which finds most races and cannot find all.
func (r *Records) Write(ctx context.Context, record deployment.Record, until time.Time) (Entry, error) {
	text, err := manifest(record, until)
	if err != nil {
		return Entry{}, err
	}
	e, d := Entry{Record: record, Until: until}, oci.FromBytes(text)
	e.Digest = d
	if at, newest, err := r.at(ctx, e); err != nil {
		return Entry{}, err
	} else if at != record.Previous && at != d {
		return Entry{}, &Conflict{newest, ""}
	}
	_, failed := r.pusher.Put(ctx, text, record.Tag())
	if failed != nil && !refusedTag(failed) {
		return Entry{}, r.pusher.Explain("writing a deployment record", "ecr:PutImage", failed) //nolint:wrapcheck // explained
	}
	at, newest, err := r.at(ctx, e)
	switch {
	case err != nil && failed == nil:
		return Entry{}, fmt.Errorf("whether the record is the newest cannot be read: %w", err)
	case err == nil && at == d:
		return e, nil
	case failed == nil && at == record.Previous:
		return Entry{}, fmt.Errorf("the registry took the record %s, and its tag %s does not name it", d, record.Tag())
	case err != nil || at == record.Previous: // not for a race: the repository's tags are immutable
		return Entry{}, r.pusher.Explain("writing a deployment record", "ecr:PutImage", failed) //nolint:wrapcheck // explained
	default:
		return Entry{}, &Conflict{newest, saying(failed)}
	}
}

// at gives what the record's tag names now, "" if nothing.
func (r *Records) at(ctx context.Context, e Entry) (oci.Digest, *Entry, error) {
	newest, there, err := r.Newest(ctx, e.Environment, e.App)
	if err != nil || !there {
		return "", nil, err
	}
	return newest.Digest, &newest, nil
}

// refusedTag tells whether the registry did not let the tag move.
func refusedTag(err error) bool {
	refused, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return false
	}
	return refused.StatusCode == http.StatusConflict || slices.ContainsFunc(refused.Errors, func(d transport.Diagnostic) bool { return d.Code == "TAG_INVALID" })
}

// saying is the registry's sentence.
func saying(err error) string {
	refused, ok := errors.AsType[*transport.Error](err)
	if !ok || len(refused.Errors) == 0 {
		return ""
	}
	return refused.Errors[0].Message
}

// manifest is the record's, with until when its deployer may be at work.
func manifest(record deployment.Record, until time.Time) ([]byte, error) {
	text, err := record.Manifest()
	if err != nil || until.IsZero() {
		return text, err //nolint:wrapcheck // says what is wrong
	}
	var m map[string]json.RawMessage
	var annotations map[string]string
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("writing a deployment record: %w", err)
	}
	if err := json.Unmarshal(m["annotations"], &annotations); err != nil {
		return nil, fmt.Errorf("writing a deployment record: %w", err)
	}
	annotations[annotationUntil] = until.UTC().Format(time.RFC3339)
	if m["annotations"], err = json.Marshal(annotations); err != nil {
		return nil, fmt.Errorf("writing a deployment record: %w", err)
	}
	if text, err = json.Marshal(m); err != nil {
		return nil, fmt.Errorf("writing a deployment record: %w", err)
	}
	return text, nil
}

func readEntry(m shipped.Manifest) (Entry, error) {
	parsed, err := oci.ParseManifest(m.MediaType, []byte(m.Raw))
	if err != nil {
		return Entry{}, err //nolint:wrapcheck // says what is wrong
	}
	record, err := deployment.Parse(parsed)
	if err != nil {
		return Entry{}, err //nolint:wrapcheck // likewise
	}
	e := Entry{Record: record, Digest: m.Digest}
	if until, err := time.Parse(time.RFC3339, strings.TrimSpace(parsed.Annotations[annotationUntil])); err == nil {
		e.Until = until.UTC()
	}
	return e, nil
}

// What records are found by, of those that refer to an image.
const (
	annotationApp         = "vnd.berth.deployment.app"
	annotationEnvironment = "vnd.berth.deployment.environment"
)

func validNames(environment, app string) bool {
	return deployment.CheckEnvironment(environment) == nil && deployment.CheckApp(app) == nil
}
