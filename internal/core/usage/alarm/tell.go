package alarm

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// maxSubject is how long the subject of a message to an SNS topic may be.
const maxSubject = 100

// notice is what an alarm that came into a state tells the targets of its actions.
func (s *Service) notice(a Alarm, from State) *event.Notice {
	subject := fmt.Sprintf("%s: %q in %s", a.State, a.Name, s.region)
	if r := []rune(subject); len(r) > maxSubject {
		subject = string(r[:maxSubject-1]) + "…"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "The alarm %q is in the state %s since %s; it was in %s.\n\n%s\n", a.Name, a.State, a.TransitionedAt.UTC().Format(time.RFC3339), from, a.Reason)
	if a.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", a.Description)
	}
	fmt.Fprintf(&b, "\nIt watches: %s\n%s\n", a.watched(), a.ARN)
	return &event.Notice{Targets: a.actions(a.State), Subject: subject, Text: b.String(), Detail: s.detail(a, from)}
}

// watched says in a line what an alarm is about.
func (c Configuration) watched() string {
	what := ""
	for _, q := range c.Queries {
		if q.ReturnData {
			what = q.Expression
			if what == "" {
				what = q.Statistic + " of " + metricWords(q.Metric)
			}
		}
	}
	if len(c.Queries) == 0 {
		what = c.Statistic + " of " + metricWords(c.Metric)
	}
	return fmt.Sprintf("%s, %s %s in %d of %s of %s", what, comparisons[c.Operator], number(c.Threshold), c.needed(), plural(c.EvaluationPeriods, "period"), c.period())
}

func metricWords(m usage.Metric) string {
	if len(m.Dimensions) == 0 {
		return m.Namespace + " " + m.Name
	}
	var of []string
	for _, d := range m.Dimensions {
		of = append(of, d.Name+" "+d.Value)
	}
	return m.Namespace + " " + m.Name + " of " + strings.Join(of, ", ")
}

// The message that Amazon SNS carries for a CloudWatch alarm.
type snsMessage struct {
	AlarmName               string
	AlarmDescription        *string
	AWSAccountId            string //nolint:revive // named as there
	ConfiguredAt            string `json:"AlarmConfigurationUpdatedTimestamp"`
	NewStateValue           State
	NewStateReason          string
	StateChangeTime         string
	Region                  string
	AlarmArn                string
	OldStateValue           State
	OKActions               []string
	AlarmActions            []string
	InsufficientDataActions []string
	Trigger                 snsTrigger
}

type snsTrigger struct {
	MetricName         string         `json:",omitempty"`
	Namespace          string         `json:",omitempty"`
	StatisticType      string         `json:",omitempty"`
	Statistic          string         `json:",omitempty"` // SUM, AVERAGE …
	Unit               *string        `json:"Unit"`
	Dimensions         []snsDimension `json:",omitempty"`
	Metrics            []snsQuery     `json:",omitempty"`
	Period             int
	EvaluationPeriods  int
	DatapointsToAlarm  int `json:",omitempty"`
	ComparisonOperator string
	Threshold          float64
	TreatMissingData   string
	LowSampleCount     string `json:"EvaluateLowSampleCountPercentile"`
}

type snsDimension struct {
	Value string `json:"value"`
	Name  string `json:"name"`
}

type snsQuery struct {
	ID         string `json:"Id"`
	Label      string `json:",omitempty"`
	Expression string `json:",omitempty"`
	MetricStat *struct {
		Metric struct {
			Dimensions []snsDimension `json:",omitempty"`
			MetricName string
			Namespace  string
		}
		Period int
		Stat   string
		Unit   string `json:",omitempty"`
	} `json:",omitempty"`
	ReturnData bool
}

func dimensions(m usage.Metric) []snsDimension {
	var all []snsDimension
	for _, d := range m.Dimensions {
		all = append(all, snsDimension{Value: d.Value, Name: d.Name})
	}
	return all
}

// detail is the notice for programs: what Amazon SNS would carry.
func (s *Service) detail(a Alarm, from State) string {
	list := func(actions []string) []string { return append([]string{}, actions...) } // never null
	m := snsMessage{
		AlarmName: a.Name, AWSAccountId: s.account, ConfiguredAt: a.ConfiguredAt.UTC().Format(wireTime), NewStateValue: a.State, NewStateReason: a.Reason,
		StateChangeTime: a.TransitionedAt.UTC().Format(wireTime), Region: s.region, AlarmArn: a.ARN, OldStateValue: from,
		OKActions: list(a.OKActions), AlarmActions: list(a.AlarmActions), InsufficientDataActions: list(a.InsufficientDataActions),
		Trigger: snsTrigger{
			Period: int(a.period() / time.Second), EvaluationPeriods: a.EvaluationPeriods, DatapointsToAlarm: a.DatapointsToAlarm,
			ComparisonOperator: a.Operator, Threshold: a.Threshold, TreatMissingData: a.missing(),
		},
	}
	if a.Description != "" {
		m.AlarmDescription = &a.Description
	}
	t := &m.Trigger
	if len(a.Queries) == 0 {
		t.MetricName, t.Namespace, t.StatisticType, t.Statistic = a.Metric.Name, a.Metric.Namespace, "Statistic", strings.ToUpper(a.Statistic)
		t.Dimensions = dimensions(a.Metric)
	}
	if a.Unit != "" {
		t.Unit = &a.Unit
	}
	for _, q := range a.Queries {
		t.Metrics = append(t.Metrics, q.sns())
	}
	return text(m)
}

func (q Query) sns() snsQuery {
	out := snsQuery{ID: q.ID, Label: q.Label, Expression: q.Expression, ReturnData: q.ReturnData}
	if q.Expression == "" {
		out.MetricStat = new(struct {
			Metric struct {
				Dimensions []snsDimension `json:",omitempty"`
				MetricName string
				Namespace  string
			}
			Period int
			Stat   string
			Unit   string `json:",omitempty"`
		})
		m := out.MetricStat
		m.Metric.Dimensions, m.Metric.MetricName, m.Metric.Namespace = dimensions(q.Metric), q.Metric.Name, q.Metric.Namespace
		m.Period, m.Stat, m.Unit = q.Period, q.Statistic, q.Unit
	}
	return out
}

// The texts of a history's lines have CloudWatch's members.
type (
	configured struct {
		Version string         `json:"version"`
		Type    string         `json:"type"` // Create, Update or Delete
		Created *Configuration `json:"createdAlarm,omitempty"`
		Updated *Configuration `json:"updatedAlarm,omitempty"`
		Deleted *Configuration `json:"deletedAlarm,omitempty"`
	}
	stateText struct {
		Value  State           `json:"stateValue"`
		Reason string          `json:"stateReason"`
		Data   json.RawMessage `json:"stateReasonData,omitempty"`
	}
	changed struct {
		Version string    `json:"version"`
		Old     stateText `json:"oldState"`
		New     stateText `json:"newState"`
	}
	acted struct {
		Version        string `json:"version"`
		ActionState    string `json:"actionState"`
		StateUpdated   string `json:"stateUpdateTimestamp"`
		NotifiedTarget string `json:"notificationResource"`
		Error          string `json:"error,omitempty"`
	}
)

func stateTextOf(s Situation) stateText {
	t := stateText{Value: s.State, Reason: s.Reason}
	if json.Valid([]byte(s.ReasonData)) {
		t.Data = json.RawMessage(s.ReasonData)
	}
	return t
}
