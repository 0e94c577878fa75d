package usage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
)

var _ event.Batcher = (*Service)(nil)

// Handle counts what an event says, once, however often it comes. See HandleAll.
func (s *Service) Handle(ctx context.Context, e event.Event) error {
	return s.HandleAll(ctx, []event.Event{e})
}

// HandleAll counts what events say, in one transaction: those of a moment are mostly about the same few metrics.
//
// A push is what somebody pushed: [event.Push]. What the registry fetched from an upstream, got from another registry, signed, described
// or restored is no push. It counts where it shows: in the gauges of what is stored, and, where it came by a request, in calls and bytes.
// An event of the kind ImagePulled is not counted: Served has the same pulls.
func (s *Service) HandleAll(ctx context.Context, events []event.Event) error {
	f, err := s.factsOf(ctx, events)
	if err != nil {
		return err
	}
	var counted []Counted
	for _, e := range events {
		c := tally{at: e.At, repository: e.Repository}
		if err := s.tell(ctx, &c, e, f); err != nil {
			return err
		}
		if len(c.datums) > 0 {
			counted = append(counted, Counted{e.ID, c.datums})
		}
	}
	if len(counted) == 0 {
		return nil
	}
	if _, err := s.store.Count(ctx, Batch{Events: counted, At: s.now()}); err != nil {
		return fmt.Errorf("counting: %w", err)
	}
	return nil
}

// facts is what is looked up for some events together.
type facts struct {
	labels map[ImageRef]Labeled // of images that were pushed
	roles  map[string]string    // principals by the ARNs of sessions
}

func (s *Service) factsOf(ctx context.Context, events []event.Event) (f facts, err error) {
	f.roles = map[string]string{}
	var pushed []ImageRef
	for _, e := range events {
		switch {
		case e.Kind == event.ImagePushed && e.Source == event.Push:
			pushed = append(pushed, ImageRef{e.Repository, e.Digest})
		case e.Kind != event.ImageDeleted:
			continue
		}
		if _, ok := f.roles[e.Actor]; ok {
			continue
		}
		if f.roles[e.Actor], err = s.principal(ctx, e.Actor); err != nil {
			return f, err
		}
	}
	if f.labels, err = s.images.Labels(ctx, pushed); err != nil {
		return f, fmt.Errorf("whose images were pushed: %w", err)
	}
	return f, nil
}

// tell notes what an event says.
func (s *Service) tell(ctx context.Context, c *tally, e event.Event, f facts) error {
	c.principal = f.roles[e.Actor]
	switch e.Kind { //nolint:exhaustive // the others count nothing
	case event.ImagePushed:
		if e.Source != event.Push {
			return nil
		}
		c.app = f.labels[ImageRef{e.Repository, e.Digest}].App()
		if c.app == "" { // it may be gone already, or the tags have moved on
			c.app = Labels{Tags: e.Tags}.App()
		}
		c.count(PushCount, 1)
	case event.ImageDeleted:
		c.app = Labels{Tags: e.Tags}.App()
		c.count(DeleteCount, 1)
	case event.ImageScanned:
		c.principal = ""
		c.count(ScanCount, 1)
		c.add(NamespaceBerth, ScanCount, "Count", ones(1), Dimension{DimensionRepository, e.Repository}, Dimension{DimensionScanStatus, e.ScanStatus})
	case event.Served:
		return s.served(ctx, c, e.Traffic)
	}
	return nil
}

// principal gives the ARN that stands for whoever did something: a role's for its sessions.
func (s *Service) principal(ctx context.Context, arn string) (string, error) {
	account, rest, ok := strings.Cut(strings.TrimPrefix(arn, "arn:aws:sts::"), ":assumed-role/")
	if !ok {
		return arn, nil
	}
	name, _, _ := strings.Cut(rest, "/")
	role, err := s.images.RoleARN(ctx, name)
	if err != nil {
		return "", fmt.Errorf("which role %s is: %w", arn, err)
	}
	if role == "" { // it is gone, and its path with it
		role = "arn:aws:iam::" + account + ":role/" + name
	}
	return role, nil
}

// tally gathers what is to be counted for a repository and what is known beside it.
type tally struct {
	at                         time.Time
	repository, app, principal string
	datums                     []Datum
}

// ones is a value of 1, n times.
func ones(n int64) Point { return Point{Count: float64(n), Sum: float64(n), Min: 1, Max: 1} }

// add notes values, if the metric's names can be: a name that cannot is no reason to count nothing else.
func (c *tally) add(namespace, name, unit string, p Point, dimensions ...Dimension) {
	p.At = c.at
	d := Datum{Metric: NewMetric(namespace, name, dimensions...), Unit: unit, Point: p}
	if d.check("") == nil {
		c.datums = append(c.datums, d)
	}
}

// count notes that something happened n times: to the repository, and to the app and by the principal where they are known.
func (c *tally) count(name string, n int64) { c.each(name, "Count", ones(n)) }

func (c *tally) each(name, unit string, p Point) {
	if c.repository == "" || p.Count == 0 {
		return
	}
	repository := Dimension{DimensionRepository, c.repository}
	c.add(NamespaceBerth, name, unit, p, repository)
	if c.app != "" {
		c.add(NamespaceBerth, name, unit, p, repository, Dimension{DimensionApp, c.app})
	}
	if c.principal != "" {
		c.add(NamespaceBerth, name, unit, p, repository, Dimension{DimensionPrincipal, c.principal})
	}
}

// serviceNames are how CloudWatch writes the services whose calls AWS/Usage counts.
var serviceNames = map[string]string{ //nolint:gochecknoglobals // a table
	"ecr": "ECR", "sts": "STS", "iam": "IAM", "monitoring": "CloudWatch", "cloudtrail": "CloudTrail",
}

// served notes what was asked for: calls by operation, and by repository pulls and bytes. A name that was asked for in vain makes no
// metric: anybody could make as many as they can think of names.
func (s *Service) served(ctx context.Context, c *tally, traffic []event.Traffic) error {
	var images []ImageRef
	var names []string
	for _, t := range traffic {
		if t.Digest != "" && t.Pulls > 0 {
			images = append(images, ImageRef{t.Repository, t.Digest})
		}
		if t.Repository != "" {
			names = append(names, t.Repository)
		}
	}
	labels, err := s.images.Labels(ctx, images)
	if err != nil {
		return fmt.Errorf("whose images were pulled: %w", err)
	}
	known, err := s.images.RepositoriesNamed(ctx, names)
	if err != nil {
		return fmt.Errorf("which repositories are there: %w", err)
	}
	sent := c.at
	for _, t := range traffic {
		image := labels[ImageRef{t.Repository, t.Digest}]
		c.at, c.repository, c.app, c.principal = t.Minute, t.Repository, image.App(), t.Principal
		if c.at.IsZero() {
			c.at = sent
		}
		c.call(t)
		if t.Fault != "" && !known[t.Repository] {
			continue
		}
		c.pulled(t, image)
		c.each(BytesIn, "Bytes", bytes(t.BytesIn, t.Calls))
		c.each(BytesOut, "Bytes", bytes(t.BytesOut, t.Calls))
	}
	return nil
}

// bytes is so many, in so many requests. Of these only the mean is known.
func bytes(n, requests int64) Point {
	if n <= 0 {
		return Point{}
	}
	requests = max(requests, 1)
	mean := float64(n) / float64(requests)
	return Point{Count: float64(requests), Sum: float64(n), Min: mean, Max: mean}
}

// call notes calls of the API.
func (c *tally) call(t event.Traffic) {
	service := serviceNames[t.Service]
	if t.Calls <= 0 || t.Operation == "" || service == "" {
		return
	}
	c.add(NamespaceUsage, CallCount, "Count", ones(t.Calls),
		Dimension{"Class", "None"}, Dimension{"Resource", t.Operation}, Dimension{"Service", service}, Dimension{"Type", "API"})
}

// pulled notes pulls of an image. The indexes that it is in are credited beside it: which of them it was reached through, a client does
// not say.
func (c *tally) pulled(t event.Traffic, image Labeled) {
	if t.Pulls <= 0 || t.Repository == "" {
		return
	}
	repository := Dimension{DimensionRepository, t.Repository}
	c.add(NamespaceECR, RepositoryPullCount, "Count", ones(t.Pulls), repository)
	c.count(PullCount, t.Pulls)
	if t.Digest == "" {
		return
	}
	c.add(NamespaceBerth, PullCount, "Count", ones(t.Pulls), repository, Dimension{DimensionImage, t.Digest.String()})
	for _, d := range image.Indexes {
		c.add(NamespaceBerth, PullCount, "Count", ones(t.Pulls), repository, Dimension{DimensionImage, d.String()})
	}
}
