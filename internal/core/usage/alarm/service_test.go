package alarm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
)

// TestAnAlarmsLife goes through all states, and tells whoever is to be told, once.
func TestAnAlarmsLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		c := basic("pulls")
		c.Description = "Many pulls."
		b.put(c, alarm.Tag{Key: "team", Value: "ops"})
		if a := b.alarm("pulls"); a.State != alarm.InsufficientData || a.Reason != "Unchecked: Initial alarm creation" || a.ARN != "arn:aws:cloudwatch:us-east-1:123456789012:alarm:pulls" {
			t.Errorf("a new alarm: %+v", a)
		}
		b.evaluate()
		b.wantState("pulls", alarm.InsufficientData)
		b.count(pulls, 0, 3)
		b.minute()
		b.wantState("pulls", alarm.OK)
		b.count(pulls, 0, 20)
		b.minute()
		b.wantState("pulls", alarm.OK) // one of two
		b.count(pulls, 0, 5)
		b.count(pulls, 0, 6) // in one minute
		b.minute()
		a := b.alarm("pulls")
		want := alarm.Situation{
			State: alarm.Alarming,
			Reason: "Threshold Crossed: 2 out of the last 2 datapoints [11.0 (27/11/26 12:02:00), 20.0 (27/11/26 12:01:00)] were greater than the threshold (10.0) " +
				"(minimum 2 datapoints for OK -> ALARM transition).",
			ReasonData: `{"version":"1.0","queryDate":"2026-11-27T12:03:30.000+0000","startDate":"2026-11-27T12:01:00.000+0000","statistic":"Sum","period":60,` +
				`"recentDatapoints":[20,11],"threshold":10,"evaluatedDatapoints":[{"timestamp":"2026-11-27T12:02:00.000+0000","sampleCount":2,"value":11},` +
				`{"timestamp":"2026-11-27T12:01:00.000+0000","sampleCount":1,"value":20}]}`,
			UpdatedAt: b.now, TransitionedAt: b.now,
		}
		if diff := cmp.Diff(want, a.Situation); diff != "" {
			t.Errorf("the situation (-want +got):\n%s", diff)
		}
		told := b.notices()
		if len(told) != 2 || !slices.Equal(told[0].Targets, []string{calm}) || !slices.Equal(told[1].Targets, []string{topic}) {
			t.Fatalf("told: %+v", told)
		}
		checkNotice(t, told[1].Subject, told[1].Text, told[1].Detail)
		for range 5 {
			b.minute()
		}
		b.wantState("pulls", alarm.InsufficientData)
		if told := b.notices(); len(told) != 0 { // there are no such actions
			t.Errorf("told: %+v", told)
		}
		wantHistory := []string{
			`ConfigurationUpdate: Alarm "pulls" created`,
			"StateUpdate: Alarm updated from INSUFFICIENT_DATA to OK", "Action: Handed on to action " + calm,
			"StateUpdate: Alarm updated from OK to ALARM", "Action: Handed on to action " + topic,
			"StateUpdate: Alarm updated from ALARM to INSUFFICIENT_DATA",
		}
		if diff := cmp.Diff(wantHistory, b.history("pulls")); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// checkNotice holds a notice to what SNS would carry.
func checkNotice(t *testing.T, subject, text, detail string) {
	t.Helper()
	if subject != `ALARM: "pulls" in us-east-1` || !strings.Contains(text, "Many pulls.") || !strings.Contains(text, "Sum of Berth PullCount of RepositoryName hoopstat-haus/prod") {
		t.Errorf("subject %q, text\n%s", subject, text)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(detail), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"AlarmName": "pulls", "AWSAccountId": account, "NewStateValue": "ALARM", "OldStateValue": "OK", "Region": "us-east-1", "AlarmDescription": "Many pulls.",
		"StateChangeTime": "2026-11-27T12:03:30.000+0000", "AlarmArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:pulls",
		"AlarmActions": []any{topic}, "OKActions": []any{calm}, "InsufficientDataActions": []any{},
		"Trigger": map[string]any{
			"MetricName": "PullCount", "Namespace": "Berth", "StatisticType": "Statistic", "Statistic": "SUM", "Unit": nil, "Period": 60.0,
			"Dimensions":        []any{map[string]any{"name": "RepositoryName", "value": "hoopstat-haus/prod"}},
			"EvaluationPeriods": 2.0, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 10.0, "TreatMissingData": "missing", "EvaluateLowSampleCountPercentile": "",
		},
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestWindowsSlide: a period of five minutes ends with the last full minute, and so does one of six hours.
func TestWindowsSlide(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, b *bench) {
		for _, period := range []int{300, 21600, 2 * 86400} {
			c := basic(fmt.Sprint("of ", period))
			c.Period, c.EvaluationPeriods, c.TreatMissing = period, 1, alarm.NotBreaching
			b.put(c)
		}
		b.minute()
		b.count(pulls, 0, 11)
		b.now = b.now.Add(30 * time.Second) // 12:02:00: the minute is over, and waited for
		b.evaluate()
		b.wantState("of 300", alarm.OK)
		b.now = b.now.Add(10 * time.Second)
		b.evaluate()
		b.wantState("of 300", alarm.Alarming)
		b.wantState("of 21600", alarm.Alarming)
		b.wantState("of 172800", alarm.OK) // looked at once an hour
		b.now = b.now.Add(time.Hour)
		b.evaluate()
		b.wantState("of 300", alarm.OK)
		b.wantState("of 21600", alarm.Alarming)
		b.wantState("of 172800", alarm.Alarming)
	})
}

func TestSetState(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.put(basic("pulls"))
		b.count(pulls, 0, 1)
		b.minute()
		b.wantState("pulls", alarm.OK)
		b.notices()
		if err := b.alarms.SetState(t.Context(), root, "pulls", alarm.Alarming, "a try", `{"a":1}`); err != nil {
			t.Fatal(err)
		}
		if a := b.alarm("pulls"); a.State != alarm.Alarming || a.Reason != "a try" || a.ReasonData != `{"a":1}` || !a.TransitionedAt.Equal(b.now) {
			t.Errorf("set: %+v", a)
		}
		if told := b.notices(); len(told) != 1 || told[0].Targets[0] != topic {
			t.Errorf("told: %+v", told)
		}
		before := b.alarm("pulls")
		b.now = b.now.Add(5 * time.Second)
		if err := b.alarms.SetState(t.Context(), root, "pulls", alarm.Alarming, "another try", ""); err != nil {
			t.Fatal(err)
		}
		if a := b.alarm("pulls"); !a.TransitionedAt.Equal(before.TransitionedAt) || !a.UpdatedAt.Equal(b.now) || a.Reason != "another try" {
			t.Errorf("set again: %+v", a)
		}
		if told := b.notices(); len(told) != 0 {
			t.Errorf("the same state is told again: %+v", told)
		}
		b.minute()
		b.wantState("pulls", alarm.OK)
		b.wantFault("of none", b.alarms.SetState(t.Context(), root, "none", alarm.OK, "", ""), fault.EntityNotFound)
		b.wantFault("an unknown state", b.alarms.SetState(t.Context(), root, "pulls", "RED", "", ""), fault.InvalidParameter)
		b.wantFault("data that is none", b.alarms.SetState(t.Context(), root, "pulls", alarm.OK, "", "[1]"), fault.InvalidParameter)
		b.wantFault("a long reason", b.alarms.SetState(t.Context(), root, "pulls", alarm.OK, strings.Repeat("a", 1024), ""), fault.InvalidParameter)
	})
}

func TestActionsOff(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.put(basic("pulls"))
		if err := b.alarms.SetActions(t.Context(), root, []string{"pulls", "none"}, false); err != nil {
			t.Fatal(err)
		}
		b.count(pulls, 0, 1)
		b.minute()
		b.wantState("pulls", alarm.OK)
		if told := b.notices(); len(told) != 0 {
			t.Errorf("told: %+v", told)
		}
		if h := b.history("pulls"); h[1] != `ConfigurationUpdate: Actions of alarm "pulls" disabled` || h[3] != "Action: Actions are disabled: nothing was sent to "+calm {
			t.Errorf("history: %v", h)
		}
		if err := b.alarms.SetActions(t.Context(), root, []string{"pulls"}, true); err != nil || !b.alarm("pulls").ActionsEnabled {
			t.Errorf("enabling: %v", err)
		}
	})
}

// TestReplicas: an alarm is looked at by one of them, and what was decided of an alarm that changed meanwhile is not stored.
func TestReplicas(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		for i := range 150 {
			b.put(basic(fmt.Sprintf("pulls-%03d", i)))
		}
		b.count(pulls, 0, 1)
		b.now = b.now.Add(time.Minute)
		other := alarm.New(b.config)
		for more := true; more; {
			one, err := b.alarms.EvaluateOnce(t.Context())
			two, err2 := other.EvaluateOnce(t.Context())
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			more = one || two
		}
		if told := b.notices(); len(told) != 100 {
			t.Errorf("told %d in the first hundred", len(told))
		}
		if told := b.notices(); len(told) != 50 {
			t.Errorf("told %d in the rest", len(told))
		}

		late := b.config
		late.Points = changing{b, func() {
			b.put(alarm.Configuration{
				Name: "pulls-000", Metric: pulls, Statistic: "Sum", Period: 60, EvaluationPeriods: 1, Threshold: 1000, Operator: "GreaterThanThreshold",
			})
		}}
		b.count(pulls, 0, 50)
		b.count(pulls, time.Minute, 50)
		b.now = b.now.Add(time.Minute)
		if _, err := alarm.New(late).EvaluateOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.wantState("pulls-000", alarm.OK)
		b.wantState("pulls-001", alarm.Alarming)
	})
}

// changing lets something happen before it gives the first points.
type changing struct {
	*bench
	first func()
}

func (c changing) Points(ctx context.Context, caller identity.Caller, m []usage.Metric, from, to time.Time, period time.Duration) ([][]usage.Point, error) {
	c.first()
	return c.usage.Points(ctx, caller, m, from, to, period)
}

func TestTheClockIsPutBack(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, b *bench) {
		b.put(basic("pulls"))
		b.minute()
		b.now = b.now.Add(-3 * time.Hour)
		b.count(pulls, time.Minute, 1)
		b.evaluate()
		b.wantState("pulls", alarm.OK)
		b.now = b.now.Add(-30 * time.Second) // within what is usual
		b.evaluate()
		b.minute()
		b.wantState("pulls", alarm.OK)
	})
}

func TestPointsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.put(basic("pulls"))
		broken := b.config
		broken.Points = failing{}
		if _, err := alarm.New(broken).EvaluateOnce(t.Context()); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
			t.Errorf("EvaluateOnce: %v", err)
		}
		b.count(pulls, 0, 1)
		b.minute()
		b.wantState("pulls", alarm.OK)
	})
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		pushes := usage.NewMetric("Berth", "PushCount", usage.Dimension{Name: "RepositoryName", Value: "hoopstat-haus/prod"})
		c := basic("ratio")
		c.Metric, c.Statistic, c.Period, c.EvaluationPeriods = usage.Metric{}, "", 0, 1
		c.Queries = []alarm.Query{
			{ID: "e1", Expression: "100 * m1 / (m1 + FILL(m2, 0))", Label: "share of pushes", ReturnData: true},
			{ID: "m1", Metric: pushes, Statistic: "Sum", Period: 300},
			{ID: "m2", Metric: pulls, Statistic: "Sum", Period: 300},
		}
		b.put(c)
		b.count(pushes, 0, 1)
		b.count(pulls, 0, 99)
		b.minute()
		b.wantState("ratio", alarm.OK)
		b.now = b.now.Add(20 * time.Minute)
		b.count(pushes, 0, 1)
		b.minute()
		if a := b.alarm("ratio"); a.State != alarm.Alarming || !strings.Contains(a.Reason, "[100.0 (27/11/26 12:17:00)] was greater than the threshold (10.0)") {
			t.Errorf("%+v", a.Situation)
		}
		for want, e := range map[string]string{
			"SEARCH": "SEARCH('{Berth} PullCount', 'Sum', 300)", "time series": "5", "'e1'": "m1 +", "ANOMALY_DETECTION_BAND": "ANOMALY_DETECTION_BAND(m1)",
			"time series ": "METRICS()", "m3": "m3 + m1",
		} {
			c.Queries[0].Expression = e
			if err := b.alarms.Put(t.Context(), root, c, nil); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
				t.Errorf("the expression %s: %v, want words about %s", e, err, want)
			}
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("a", n) }
	many := func(n int) []string {
		var all []string
		for range n {
			all = append(all, topic)
		}
		return all
	}
	tests := []struct {
		change func(*alarm.Configuration)
		code   fault.Code
		words  string // empty: nothing is wrong
	}{
		{func(c *alarm.Configuration) { c.Name = long(255) }, "", ""},
		{func(c *alarm.Configuration) { c.Name = long(256) }, fault.InvalidParameter, "AlarmName"},
		{func(c *alarm.Configuration) { c.Name = "" }, fault.InvalidParameter, "AlarmName"},
		{func(c *alarm.Configuration) { c.Name = "a\x1bb" }, fault.InvalidParameter, "control characters"},
		{func(c *alarm.Configuration) { c.Name = "a\x00" }, fault.InvalidParameter, "control characters"},
		{func(c *alarm.Configuration) { c.Name = "\xff" }, fault.InvalidParameter, "control characters"},
		{func(c *alarm.Configuration) { c.Description = "two\nlines" }, "", ""},
		{func(c *alarm.Configuration) { c.Description = long(1025) }, fault.InvalidParameter, "AlarmDescription"},
		{func(c *alarm.Configuration) { c.AlarmActions = many(5) }, "", ""},
		{func(c *alarm.Configuration) { c.AlarmActions = many(6) }, fault.InvalidParameter, "AlarmActions"},
		{func(c *alarm.Configuration) {
			c.InsufficientDataActions = []string{"arn:aws:sns:us-east-1:123456789012:other"}
		}, fault.SettingUnsupported, "section 'targets'"},
		{func(c *alarm.Configuration) { c.OKActions = []string{"arn:aws:automate:us-east-1:ec2:stop"} }, fault.SettingUnsupported, "section 'targets'"},
		{func(c *alarm.Configuration) { c.Operator = "Greater" }, fault.InvalidParameter, "ComparisonOperator"},
		{func(c *alarm.Configuration) { c.Operator = "GreaterThanUpperThreshold" }, fault.SettingUnsupported, "anomaly detection"},
		{func(c *alarm.Configuration) { c.EvaluationPeriods = 0 }, fault.InvalidParameter, "EvaluationPeriods"},
		{func(c *alarm.Configuration) { c.DatapointsToAlarm = 3 }, fault.InvalidParameter, "DatapointsToAlarm"},
		{func(c *alarm.Configuration) { c.DatapointsToAlarm = -1 }, fault.InvalidParameter, "DatapointsToAlarm"},
		{func(c *alarm.Configuration) { c.Threshold = math.NaN() }, fault.InvalidParameter, "Threshold"},
		{func(c *alarm.Configuration) { c.Threshold = math.Inf(1) }, fault.InvalidParameter, "Threshold"},
		{func(c *alarm.Configuration) { c.TreatMissing = "zero" }, fault.InvalidParameter, "TreatMissingData"},
		{func(c *alarm.Configuration) { c.Statistic = "p99" }, fault.SettingUnsupported, "p99"},
		{func(c *alarm.Configuration) { c.Statistic = "\x1b[31m" }, fault.SettingUnsupported, "statistic '\uFFFD[31m'"},
		{func(c *alarm.Configuration) { c.Statistic = "" }, fault.InvalidParameter, "Statistic"},
		{func(c *alarm.Configuration) { c.Unit = "Pulls" }, fault.InvalidParameter, "Unit"},
		{func(c *alarm.Configuration) { c.Unit = "Count" }, "", ""},
		{func(c *alarm.Configuration) { c.Period = 7 }, fault.InvalidParameter, "Period"},
		{func(c *alarm.Configuration) { c.Period = 90 }, fault.InvalidParameter, "Period"},
		{func(c *alarm.Configuration) { c.Period = 0 }, fault.InvalidParameter, "Period"},
		{func(c *alarm.Configuration) { c.Period = 10 }, fault.SettingUnsupported, "high-resolution"},
		{func(c *alarm.Configuration) { c.Period = 30 }, fault.SettingUnsupported, "high-resolution"},
		{func(c *alarm.Configuration) { c.Period, c.EvaluationPeriods = 60, 1440 }, "", ""},
		{func(c *alarm.Configuration) { c.Period, c.EvaluationPeriods = 60, 1441 }, fault.InvalidParameter, "a day"},
		{func(c *alarm.Configuration) { c.Period, c.EvaluationPeriods = 3600, 168 }, "", ""},
		{func(c *alarm.Configuration) { c.Period, c.EvaluationPeriods = 3600, 169 }, fault.InvalidParameter, "seven days"},
		{func(c *alarm.Configuration) { c.Period, c.EvaluationPeriods = 60, math.MaxInt32 }, fault.InvalidParameter, "a day"},
		{func(c *alarm.Configuration) { c.Metric.Namespace = ":a" }, fault.InvalidParameter, "Namespace"},
		{func(c *alarm.Configuration) { c.Metric.Name = "a\nb" }, fault.InvalidParameter, "MetricName"},
		{func(c *alarm.Configuration) {
			c.Metric = usage.NewMetric("a", "b", usage.Dimension{Name: "x", Value: "1"}, usage.Dimension{Name: "x", Value: "2"})
		}, fault.InvalidParameter, "Dimensions"},
		{func(c *alarm.Configuration) {
			c.Queries = []alarm.Query{{ID: "m1", Metric: pulls, Statistic: "Sum", Period: 60, ReturnData: true}}
		}, fault.InvalidParameter, "together with MetricName"},
	}
	each(t, func(t *testing.T, b *bench) {
		for i, tt := range tests {
			c := basic(fmt.Sprint("alarm ", i))
			tt.change(&c)
			err := b.alarms.Put(t.Context(), root, c, nil)
			if tt.words == "" && err != nil || tt.words != "" && (!errors.Is(err, tt.code) || !strings.Contains(err.Error(), tt.words)) {
				t.Errorf("test %d: %v, want %s with %q", i, err, tt.code, tt.words)
			}
		}
	})
}

// TestNobodyIsAllowedNothing calls every operation that takes a caller as one who may do nothing.
func TestNobodyIsAllowedNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		v, asked := reflect.ValueOf(b.alarms), 0
		for i := range v.NumMethod() {
			m := v.Type().Method(i)
			if m.Type.NumIn() < 3 || m.Type.In(2) != reflect.TypeFor[identity.Caller]() {
				continue
			}
			asked++
			args := []reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:user/nobody"})}
			for n := 3; n < m.Type.NumIn(); n++ {
				args = append(args, reflect.Zero(m.Type.In(n)))
			}
			out := v.Method(i).Call(args)
			if err, _ := reflect.TypeAssert[error](out[len(out)-1]); !errors.Is(err, fault.AccessDenied) {
				t.Errorf("%s by nobody: %v", m.Name, err)
			}
		}
		if asked != 10 {
			t.Errorf("%d operations were asked for", asked)
		}
	})
}
