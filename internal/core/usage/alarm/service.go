package alarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// maxAlarms is how many alarms an account may have: CloudWatch's quota, as it is before anybody asks for more.
const maxAlarms = 5000

// Config is what a Service is made of; all but Notify and Wake must be set.
type Config struct {
	Registry Asker
	Region   string
	Rows     Rows
	Points   Points
	// Known tells whether an action is a topic that a target of the configuration stands for.
	Known func(action string) bool
	Now   func() time.Time
	// Notify is called when there are new events in the outbox. It returns at once.
	Notify func()
	// Wake is called when an alarm is due at once. It returns at once.
	Wake func()
}

// Service keeps and watches alarms. Its methods may be called from many goroutines.
type Service struct {
	registry Asker
	account  string
	region   string
	rows     Rows
	points   Points
	known    func(string) bool
	now      func() time.Time
	notify   func()
	wake     func()
	self     identity.Caller
}

// New makes a service.
func New(c Config) *Service {
	s := &Service{
		registry: c.Registry, account: c.Registry.ID(), region: c.Region, rows: c.Rows, points: c.Points, known: c.Known,
		now:    func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) },
		notify: c.Notify, wake: c.Wake,
		self: identity.Service(c.Registry.ID(), "alarms"),
	}
	if s.notify == nil {
		s.notify = func() {}
	}
	if s.wake == nil {
		s.wake = func() {}
	}
	return s
}

// arn names an alarm.
func (s *Service) arn(name string) string { return policy.AlarmARN(s.region, s.account, name) }

// may answers nil when the caller may do the action on all of the alarms.
func (s *Service) may(ctx context.Context, caller identity.Caller, action policy.Action, names ...string) error {
	if len(names) == 0 {
		names = []string{"*"}
	}
	for _, name := range names {
		if err := s.registry.MayOn(ctx, caller, action, s.arn(name)); err != nil {
			return err
		}
	}
	return nil
}

// Put makes an alarm, or changes the one of that name, whose state stays as it is (cloudwatch:PutMetricAlarm). Tags are those of a new alarm;
// they change nothing where there is one. What is wrong with it is fault.InvalidParameter, what Berth would not do
// fault.SettingUnsupported.
func (s *Service) Put(ctx context.Context, caller identity.Caller, c Configuration, tags []Tag) error {
	if err := s.may(ctx, caller, policy.PutMetricAlarm, c.Name); err != nil {
		return err
	}
	if err := s.check(c); err != nil {
		return err
	}
	tags, err := mergeTags(nil, tags)
	if err != nil {
		return err
	}
	now := s.now()
	err = s.rows.Update(ctx, func(tx Tx) error {
		a, err := tx.LockAlarm(ctx, c.Name)
		text := configured{Version: "1.0", Type: "Update", Updated: &c}
		summary := fmt.Sprintf("Alarm %q updated", c.Name)
		switch {
		case errors.Is(err, registry.ErrNoRow):
			text = configured{Version: "1.0", Type: "Create", Created: &c}
			summary = fmt.Sprintf("Alarm %q created", c.Name)
			a = Alarm{Tags: tags, Situation: Situation{State: InsufficientData, Reason: initialReason, UpdatedAt: now, TransitionedAt: now}}
			if err := roomForOne(ctx, tx); err != nil {
				return err
			}
		case err != nil:
			return err
		}
		a.Configuration, a.ConfiguredAt = c, now
		if err := tx.PutAlarm(ctx, a, now); err != nil {
			return err
		}
		return s.remember(ctx, tx, c.Name, ConfigurationUpdate, summary, text)
	})
	if err != nil {
		return err
	}
	s.wake()
	return nil
}

func roomForOne(ctx context.Context, tx Tx) error {
	n, err := tx.CountAlarms(ctx)
	if err == nil && n >= maxAlarms {
		err = fault.New(fault.LimitExceeded, "The account has %d alarms already, which is as many as it may have", n)
	}
	return err
}

func (s *Service) remember(ctx context.Context, tx Tx, name string, kind Kind, summary string, data any) error {
	return tx.AddHistory(ctx, []Entry{{Name: name, At: s.now(), Kind: kind, Summary: summary, Data: text(data)}})
}

// Delete removes alarms, all or none (cloudwatch:DeleteAlarms). fault.EntityNotFound names those that are not there.
func (s *Service) Delete(ctx context.Context, caller identity.Caller, names []string) error {
	if err := s.may(ctx, caller, policy.DeleteAlarms, names...); err != nil {
		return err
	}
	if err := checkNames("AlarmNames", names); err != nil {
		return err
	}
	names = slices.Compact(slices.Sorted(slices.Values(names))) // everybody locks in one order
	return s.rows.Update(ctx, func(tx Tx) error {
		for _, name := range names {
			a, err := s.lock(ctx, tx, name)
			if err != nil {
				return err
			}
			if err := tx.DeleteAlarm(ctx, name); err != nil {
				return err
			}
			text := configured{Version: "1.0", Type: "Delete", Deleted: &a.Configuration}
			if err := s.remember(ctx, tx, name, ConfigurationUpdate, fmt.Sprintf("Alarm %q deleted", name), text); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Service) lock(ctx context.Context, tx Tx, name string) (Alarm, error) {
	a, err := tx.LockAlarm(ctx, name)
	a.ARN = s.arn(name)
	return a, notThere(err, name)
}

func notThere(err error, name string) error {
	if errors.Is(err, registry.ErrNoRow) {
		return fault.New(fault.EntityNotFound, "There is no alarm with the name '%s'", name)
	}
	return err
}

// SetActions has the actions of alarms done, or not done (cloudwatch:EnableAlarmActions, cloudwatch:DisableAlarmActions). Names that no alarm
// has are passed over.
func (s *Service) SetActions(ctx context.Context, caller identity.Caller, names []string, enabled bool) error {
	action, word := policy.EnableAlarmActions, "enabled"
	if !enabled {
		action, word = policy.DisableAlarmActions, "disabled"
	}
	if err := s.may(ctx, caller, action, names...); err != nil {
		return err
	}
	if err := checkNames("AlarmNames", names); err != nil {
		return err
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	return s.rows.Update(ctx, func(tx Tx) error {
		for _, name := range names {
			a, err := tx.LockAlarm(ctx, name)
			if errors.Is(err, registry.ErrNoRow) || err == nil && a.ActionsEnabled == enabled {
				continue
			}
			if err != nil {
				return err
			}
			a.ActionsEnabled, a.ConfiguredAt = enabled, s.now()
			if err := tx.PutAlarm(ctx, a, time.Time{}); err != nil {
				return err
			}
			text := configured{Version: "1.0", Type: "Update", Updated: &a.Configuration}
			if err := s.remember(ctx, tx, name, ConfigurationUpdate, fmt.Sprintf("Actions of alarm %q %s", name, word), text); err != nil {
				return err
			}
		}
		return nil
	})
}

// SetState puts an alarm into a state until it is looked at next, within a minute as a rule (cloudwatch:SetAlarmState). The actions of a
// state that it was not in are done. Data is a JSON object, or empty.
func (s *Service) SetState(ctx context.Context, caller identity.Caller, name string, state State, reason, data string) error {
	if err := s.may(ctx, caller, policy.SetAlarmState, name); err != nil {
		return err
	}
	if err := checkState(name, state, reason, data); err != nil {
		return err
	}
	err := s.rows.Update(ctx, func(tx Tx) error {
		a, err := s.lock(ctx, tx, name)
		if err != nil {
			return err
		}
		return s.enter(ctx, tx, caller, a, Situation{State: state, Reason: reason, ReasonData: data})
	})
	if err == nil {
		s.notify()
	}
	return err
}

// enter puts an alarm into a state, writes it into the history, and tells the targets of its actions.
func (s *Service) enter(ctx context.Context, tx Tx, actor identity.Caller, a Alarm, next Situation) error {
	before := a.Situation
	next.UpdatedAt, next.TransitionedAt = s.now(), before.TransitionedAt
	if next.State == before.State {
		a.Situation = next
		return tx.PutAlarm(ctx, a, time.Time{})
	}
	next.TransitionedAt = next.UpdatedAt
	a.Situation = next
	if err := tx.PutAlarm(ctx, a, time.Time{}); err != nil {
		return err
	}
	entries := []Entry{{
		Name: a.Name, At: next.UpdatedAt, Kind: StateUpdate, Summary: fmt.Sprintf("Alarm updated from %s to %s", before.State, next.State),
		Data: text(changed{Version: "1.0", Old: stateTextOf(before), New: stateTextOf(next)}),
	}}
	entries = append(entries, s.actions(a)...)
	if err := tx.AddHistory(ctx, entries); err != nil {
		return err
	}
	if !a.ActionsEnabled || len(a.actions(a.State)) == 0 {
		return nil
	}
	return tx.RecordEvents(ctx, []event.Event{{Kind: event.Noticed, At: next.UpdatedAt, Actor: actor.ARN, Notice: s.notice(a, before.State)}})
}

// actions writes lines about the actions of the state that an alarm has come into: what became of a notice, its deliveries say.
func (s *Service) actions(a Alarm) []Entry {
	var entries []Entry
	for _, action := range a.actions(a.State) {
		data := acted{Version: "1.0", ActionState: "Handed on", StateUpdated: a.UpdatedAt.Format(wireTime), NotifiedTarget: action}
		summary := "Handed on to action " + action
		switch {
		case !a.ActionsEnabled:
			data.ActionState, summary = "Disabled", "Actions are disabled: nothing was sent to "+action
		case !s.known(action):
			data.ActionState, data.Error = "Failed", "no target of the configuration stands for it"
			summary = "Failed to execute action " + action + ": no target of the configuration stands for it"
		}
		entries = append(entries, Entry{Name: a.Name, At: a.UpdatedAt, Kind: Action, Summary: summary, Data: text(data)})
	}
	return entries
}
