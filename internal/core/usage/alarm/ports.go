package alarm

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// Rows is where alarms and their history are.
type Rows interface {
	// Alarm finds one by its name, or answers registry.ErrNoRow.
	Alarm(ctx context.Context, name string) (Alarm, error)
	// Alarms lists in order of name, those after the given name, at most limit.
	Alarms(ctx context.Context, after string, limit int) ([]Alarm, error)
	// ClaimAlarms takes at most limit alarms that are due, and makes them due again a whole number of their own intervals after last. Due is
	// also what is further off than any alarm is ever put: the clock was put back.
	ClaimAlarms(ctx context.Context, now, last time.Time, limit int) ([]Alarm, error)
	// History lists lines.
	History(ctx context.Context, q HistoryRows) ([]Entry, error)
	// PruneHistory removes at most limit lines from before a time, and tells how many.
	PruneHistory(ctx context.Context, before time.Time, limit int) (int64, error)
	// Update runs f in a transaction. f uses nothing but that.
	Update(ctx context.Context, f func(Tx) error) error
}

// Tx changes alarms.
type Tx interface {
	// LockAlarm is Rows.Alarm; nobody else changes the alarm before the transaction ends.
	LockAlarm(ctx context.Context, name string) (Alarm, error)
	// CountAlarms tells how many there are.
	CountAlarms(ctx context.Context) (int, error)
	// PutAlarm stores an alarm in the place of the one of that name, if there is one, with one revision more than it says. Due is when it is
	// looked at next; the zero time leaves that as it is.
	PutAlarm(ctx context.Context, a Alarm, due time.Time) error
	// DeleteAlarm removes one.
	DeleteAlarm(ctx context.Context, name string) error
	// AddHistory adds lines; ids are its own.
	AddHistory(ctx context.Context, entries []Entry) error
	// RecordEvents adds to the outbox.
	RecordEvents(ctx context.Context, events []event.Event) error
}

// HistoryRows says which lines of the history.
type HistoryRows struct {
	Name     string    // of the alarm; empty: any
	Kind     Kind      // empty: any
	From, To time.Time // From included, To not
	Rising   bool      // oldest first
	Beyond   int64     // after, or before, the line of that id; 0: from the beginning
	Limit    int
}

// Points gives the points of metrics: usage.Service.
type Points interface {
	// Points gives what came in each period from a time to another (included; excluded), in order, of each metric. Periods without values
	// are left out. A metric's unit leaves out values of others.
	Points(ctx context.Context, caller identity.Caller, metrics []usage.Metric, from, to time.Time, period time.Duration) ([][]usage.Point, error)
}

// Asker asks for permissions: registry.Registry.
type Asker interface {
	// MayOn answers nil when the caller may do the action on the resource of that name.
	MayOn(ctx context.Context, caller identity.Caller, action policy.Action, resource string) error
	// ID gives the account.
	ID() string
}
