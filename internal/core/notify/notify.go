// Package notify tells people and other programs what they are to be told: an [event.Noticed] becomes a delivery for each target that it is
// for, and a job for each target delivers.
//
// Targets are named in the configuration file; an ARN of a topic that the file maps to a target stands for it. A delivery is a row of its own,
// by event and target, so that an event that comes twice is told once, and so that a target which does not answer delays none but its own. What
// could not be delivered is tried again, for a day, and then given up; the log and [Service.Deliveries] say so. A message may come twice
// where a receiver took it and the server died before it wrote that down: its id is the same then.
package notify

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// The permissions, asked on the registry as a whole.
const (
	ListNoticeTargets policy.Action = "berth:ListNoticeTargets"
	TestNoticeTarget  policy.Action = "berth:TestNoticeTarget"
	ListNotices       policy.Action = "berth:ListNotices"
)

// Message is a notice on its way to a target.
type Message struct {
	ID      string // the same when it is sent again
	At      time.Time
	Subject string // one line
	Text    string // some lines
	Detail  string // the same for programs: a JSON object, or empty
	Test    bool   // somebody tries whether the target works
}

// Sender brings messages to a target. Its errors may be [event.Refused] and [event.Later].
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Target is one of the configuration's.
type Target struct {
	Name   string
	Kind   string   // webhook, email or slack
	Where  string   // for people to read: without what is secret
	Topics []string // ARNs that stand for it
	Sender Sender
}

// State is how far a delivery is.
type State string

// The states.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Failed    State = "failed"
)

// Delivery is a notice for a target, and what became of it.
type Delivery struct {
	ID        int64
	EventID   int64 // of the outbox
	Target    string
	Notice    event.Notice
	State     State
	CreatedAt time.Time
	DueAt     time.Time // Pending: of the next attempt
	Attempts  int       // so far
	EndedAt   time.Time // or zero
	Problem   string    // of the last attempt; empty where there was none
}

// Rows is where deliveries are.
type Rows interface {
	// PlanDeliveries adds deliveries, but for those of an event and target that there are already.
	PlanDeliveries(ctx context.Context, deliveries []Delivery) error
	// ClaimDelivery takes the delivery to a target that has been due longest, and makes it due again at the given time, in case whoever took
	// it does not come back. Due is also what is further off than latest: the clock was put back.
	ClaimDelivery(ctx context.Context, target string, now, again, latest time.Time) (Delivery, bool, error)
	// SettleDelivery stores what became of a pending one.
	SettleDelivery(ctx context.Context, d Delivery) error
	// OverdueDeliveries lists pending ones that were made before a time, oldest first.
	OverdueDeliveries(ctx context.Context, before time.Time, limit int) ([]Delivery, error)
	// Deliveries lists, newest first, those with ids under the given one, at most limit. Empty target and state are any.
	Deliveries(ctx context.Context, target string, state State, under int64, limit int) ([]Delivery, error)
	// PruneDeliveries removes at most limit that ended before a time, and tells how many.
	PruneDeliveries(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Config is what a Service is made of; all but Notify must be set.
type Config struct {
	// May answers nil when the caller may do the action on the registry as a whole: registry.Registry.May.
	May     func(ctx context.Context, caller identity.Caller, action policy.Action, repository string) error
	Rows    Rows
	Targets []Target
	Now     func() time.Time
	Logger  *slog.Logger
	// Notify is called when a target has something to be sent. It returns at once.
	Notify func(target string)
}

// Service tells. Its methods may be called from many goroutines.
type Service struct {
	may     func(ctx context.Context, caller identity.Caller, action policy.Action, repository string) error
	rows    Rows
	targets []Target          // in order of name
	names   map[string]string // of targets and of topics, to those of targets
	now     func() time.Time
	logger  *slog.Logger
	notify  func(string)
}

// New makes a service.
func New(c Config) *Service {
	s := &Service{
		may: c.May, rows: c.Rows, targets: slices.Clone(c.Targets), names: map[string]string{}, logger: c.Logger, notify: c.Notify,
		now: func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) },
	}
	slices.SortFunc(s.targets, func(a, b Target) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range s.targets {
		s.names[t.Name] = t.Name
		for _, topic := range t.Topics {
			s.names[topic] = t.Name
		}
	}
	if s.notify == nil {
		s.notify = func(string) {}
	}
	return s
}

// Known tells whether a name is that of a target, or of a topic that stands for one.
func (s *Service) Known(name string) bool { return s.names[name] != "" }

// KnownTopic tells whether a name is that of a topic that stands for a target.
func (s *Service) KnownTopic(name string) bool {
	return strings.HasPrefix(name, "arn:") && s.Known(name)
}

var _ event.Handler = (*Service)(nil)

// Handle makes deliveries of a notice. A target that there is not has one that failed, so that the listing tells.
func (s *Service) Handle(ctx context.Context, e event.Event) error {
	if e.Kind != event.Noticed || e.Notice == nil {
		return nil
	}
	now := s.now()
	var deliveries []Delivery
	seen := map[string]bool{}
	for _, name := range e.Notice.Targets {
		d := Delivery{EventID: e.ID, Target: s.names[name], Notice: *e.Notice, State: Pending, CreatedAt: now, DueAt: now}
		if d.Target == "" {
			d.Target, d.State, d.EndedAt, d.Problem = name, Failed, now, notConfigured
			s.logger.LogAttrs(ctx, slog.LevelWarn, "a notice has nobody to go to", slog.String("target", name), slog.String("subject", e.Notice.Subject))
		}
		if !seen[d.Target] {
			seen[d.Target] = true
			deliveries = append(deliveries, d)
		}
	}
	if len(deliveries) == 0 {
		return nil
	}
	if err := s.rows.PlanDeliveries(ctx, deliveries); err != nil {
		return fmt.Errorf("planning to deliver a notice: %w", err)
	}
	for _, d := range deliveries {
		s.notify(d.Target)
	}
	return nil
}

const notConfigured = "the configuration's section targets has neither a target nor a topic of that name"

// target finds one by its name or a topic of it.
func (s *Service) target(name string) (Target, error) {
	i := slices.IndexFunc(s.targets, func(t Target) bool { return t.Name == s.names[name] })
	if i < 0 {
		return Target{}, fault.New(fault.EntityNotFound, "The configuration's section 'targets' has no target of that name")
	}
	return s.targets[i], nil
}
