// Package alarm watches metrics and tells when they cross a threshold, by CloudWatch's rules.
//
// An alarm looks at the last periods of one metric, or of an expression over several, every minute, and is in one of three states.
// [Judge] decides which, and knows neither clock nor database: the rules are those of the page "Configuring how CloudWatch alarms treat
// missing data" of the Amazon CloudWatch User Guide. [Service] keeps alarms, and [Service.EvaluateOnce] is the job that looks at those
// that are due, on any number of replicas. A change of state is stored together with its line in the alarm's history and with an
// [event.Noticed] for each target that the alarm's actions name: all of them or none.
//
// Windows slide: the last period ends with the last full minute, whatever the length of the period, as in CloudWatch. docs/operate/alarms.md
// is for users.
package alarm

import (
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// State is what an alarm says.
type State string

// The states, in CloudWatch's words.
const (
	OK               State = "OK"
	Alarming         State = "ALARM"
	InsufficientData State = "INSUFFICIENT_DATA"
)

// How missing points are treated.
const (
	Missing      = "missing" // also where an alarm does not say
	Ignore       = "ignore"
	Breaching    = "breaching"
	NotBreaching = "notBreaching"
)

// Configuration is what somebody wants to be watched, in CloudWatch's words (PutMetricAlarm). Either Metric, Statistic and Period are set,
// or Queries.
type Configuration struct {
	Name           string
	Description    string `json:",omitempty"`
	ActionsEnabled bool
	// What is done when the alarm comes into a state: ARNs of topics that the configuration's targets stand for.
	OKActions, AlarmActions, InsufficientDataActions []string `json:",omitempty"`

	Metric    usage.Metric
	Statistic string `json:",omitempty"` // SampleCount, Average, Sum, Minimum or Maximum
	Unit      string `json:",omitempty"` // or any
	Period    int    `json:",omitempty"` // in seconds

	Queries []Query `json:",omitempty"`

	EvaluationPeriods int
	DatapointsToAlarm int `json:",omitempty"` // 0: as many as EvaluationPeriods
	Threshold         float64
	Operator          string // GreaterThanThreshold …
	TreatMissing      string `json:",omitempty"` // one of the constants; empty: Missing
}

// Query is a metric, or an expression over others, of an alarm that watches an expression.
type Query struct {
	ID         string
	Label      string `json:",omitempty"`
	ReturnData bool   // it is what is watched; of one alone

	Expression string `json:",omitempty"` // or the rest
	Period     int    `json:",omitempty"` // in seconds; of all the same
	Metric     usage.Metric
	Statistic  string `json:",omitempty"`
	Unit       string `json:",omitempty"`
}

// Alarm is a configuration with what came of it.
type Alarm struct {
	Configuration
	ARN          string
	ConfiguredAt time.Time // when it was made or changed last
	Situation
	Tags []Tag

	// Revision counts the changes, so that what was decided by a reading before one is not stored after it.
	Revision int64
}

// Situation is a state, since when, and why.
type Situation struct {
	State          State
	Reason         string    // a sentence
	ReasonData     string    // a JSON object, or empty
	UpdatedAt      time.Time // when state or reason were set last
	TransitionedAt time.Time // when it came into the state from another
}

// Tag is a key and a value that somebody hung on an alarm.
type Tag struct{ Key, Value string }

// Kind says what a line of an alarm's history is about.
type Kind string

// The kinds, in CloudWatch's words.
const (
	ConfigurationUpdate Kind = "ConfigurationUpdate"
	StateUpdate         Kind = "StateUpdate"
	Action              Kind = "Action"
)

// Entry is a line of an alarm's history. It stays when the alarm is deleted, for 30 days.
type Entry struct {
	ID      int64
	Name    string // of the alarm
	At      time.Time
	Kind    Kind
	Summary string
	Data    string // a JSON object
}

// period is the length of the alarm's periods.
func (c Configuration) period() time.Duration {
	p := c.Period
	for _, q := range c.Queries {
		p = max(p, q.Period)
	}
	return time.Duration(p) * time.Second
}

// needed is how many breaching points make an alarm.
func (c Configuration) needed() int {
	if c.DatapointsToAlarm == 0 {
		return c.EvaluationPeriods
	}
	return c.DatapointsToAlarm
}

// missing is how missing points are treated.
func (c Configuration) missing() string {
	if c.TreatMissing == "" {
		return Missing
	}
	return c.TreatMissing
}

// actions lists what is done when the alarm comes into a state.
func (c Configuration) actions(s State) []string {
	switch s {
	case OK:
		return c.OKActions
	case Alarming:
		return c.AlarmActions
	default:
		return c.InsufficientDataActions
	}
}

// Every is how often the alarm is looked at. One that looks back at more than a day is looked at once an hour, as in CloudWatch.
func (c Configuration) Every() time.Duration {
	if time.Duration(c.EvaluationPeriods)*c.period() > 24*time.Hour {
		return time.Hour
	}
	return time.Minute
}
