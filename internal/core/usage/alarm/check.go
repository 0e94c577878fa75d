package alarm

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// CloudWatch's limits (PutMetricAlarm, SetAlarmState, DeleteAlarms).
const (
	maxName        = 255
	maxDescription = 1024
	maxActions     = 5 // of a state
	maxActionText  = 1024
	maxDimensions  = 30
	maxQueries     = 20
	maxExpression  = 2048
	maxLabel       = 1024 // Berth's own
	maxReason      = 1023
	maxReasonData  = 4000
	maxNames       = 100
	day            = 24 * 60 * 60
	longestWindow  = 7 * day
)

// units are CloudWatch's.
var units = strings.Fields(`Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits Megabits Gigabits Terabits
	Percent Count Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second Bits/Second Kilobits/Second
	Megabits/Second Gigabits/Second Terabits/Second Count/Second None`)

var queryID = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]{0,254}$`)

func bad(parameter, format string, args ...any) error {
	return fault.BadParameter(parameter, fmt.Sprintf(format, args...))
}

// check tells what is wrong with a configuration.
func (s *Service) check(c Configuration) error {
	for _, problem := range []func() error{
		func() error { return checkText("AlarmName", c.Name, 1, maxName) },
		func() error { return checkDescription(c.Description) },
		c.checkRule,
		c.checkWatched,
		c.checkWindow,
		func() error { return s.checkActions(c) },
	} {
		if err := problem(); err != nil {
			return err
		}
	}
	return nil
}

// checkText holds a text to lengths, in characters, and has no control characters in it.
func checkText(parameter, value string, least, most int) error {
	n := utf8.RuneCountInString(value)
	switch {
	case n < least:
		return bad(parameter, "Member must have length greater than or equal to %d", least)
	case n > most:
		return bad(parameter, "Member must have length less than or equal to %d", most)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return bad(parameter, "Member must not have control characters")
	}
	return nil
}

func checkDescription(text string) error {
	readable := strings.NewReplacer("\n", " ", "\t", " ", "\r", " ").Replace(text)
	return checkText("AlarmDescription", readable, 0, maxDescription)
}

func (s *Service) checkActions(c Configuration) error {
	for i, actions := range [][]string{c.OKActions, c.AlarmActions, c.InsufficientDataActions} {
		parameter := []string{"OKActions", "AlarmActions", "InsufficientDataActions"}[i]
		if len(actions) > maxActions {
			return bad(parameter, "Member must have length less than or equal to %d", maxActions)
		}
		for i, a := range actions {
			if err := checkText(fmt.Sprintf("%s.member.%d", parameter, i+1), a, 1, maxActionText); err != nil {
				return err
			}
			if !s.known(a) {
				return fault.New(fault.SettingUnsupported, "The action '%s' in %s leads to nobody: no target in the section 'targets' of the registry's configuration "+
					"has it among its topics", a, parameter)
			}
		}
	}
	return nil
}

func (c Configuration) checkRule() error {
	switch {
	case strings.Contains(c.Operator, "LowerOrGreaterThan") || strings.HasSuffix(c.Operator, "LowerThreshold") || strings.HasSuffix(c.Operator, "UpperThreshold"):
		return fault.New(fault.SettingUnsupported, "The comparison operator %s needs anomaly detection, which Berth does not do", printable(c.Operator))
	case comparisons[c.Operator] == "":
		return bad("ComparisonOperator", "Member must satisfy enum value set: [GreaterThanOrEqualToThreshold, GreaterThanThreshold, LessThanOrEqualToThreshold, LessThanThreshold]")
	case c.EvaluationPeriods < 1:
		return bad("EvaluationPeriods", "Member must have value greater than or equal to 1")
	case c.DatapointsToAlarm < 0:
		return bad("DatapointsToAlarm", "Member must have value greater than or equal to 1")
	case c.DatapointsToAlarm > c.EvaluationPeriods:
		return bad("DatapointsToAlarm", "Member must not be greater than EvaluationPeriods, %d", c.EvaluationPeriods)
	case math.IsNaN(c.Threshold) || math.IsInf(c.Threshold, 0):
		return bad("Threshold", "Member must be a number")
	case !slices.Contains([]string{"", Missing, Ignore, Breaching, NotBreaching}, c.TreatMissing):
		return bad("TreatMissingData", "Member must satisfy enum value set: [breaching, notBreaching, ignore, missing]")
	}
	return nil
}

// checkWatched checks what is watched: a metric or some queries.
func (c Configuration) checkWatched() error {
	if len(c.Queries) == 0 {
		return checkStat("", c.Metric, c.Statistic, c.Unit, c.Period)
	}
	if c.Metric.Name != "" || c.Metric.Namespace != "" || c.Statistic != "" || c.Period != 0 || c.Unit != "" || len(c.Metric.Dimensions) > 0 {
		return bad("Metrics", "Member must not be given together with MetricName, Namespace, Dimensions, Period, Unit or Statistic")
	}
	if len(c.Queries) > maxQueries {
		return bad("Metrics", "Member must have length less than or equal to %d", maxQueries)
	}
	returned, ids, expressions := 0, map[string]bool{}, 0
	for i, q := range c.Queries {
		at := fmt.Sprintf("Metrics.member.%d.", i+1)
		if err := q.check(at); err != nil {
			return err
		}
		if ids[q.ID] {
			return bad(at+"Id", "Member must be unique within the alarm")
		}
		ids[q.ID] = true
		if q.ReturnData {
			returned++
		}
		if q.Expression != "" {
			expressions++
		} else if q.Period != int(c.period().Seconds()) {
			return bad(at+"MetricStat.Period", "Member must be the same for all metrics of an alarm")
		}
	}
	switch {
	case returned != 1:
		return bad("Metrics", "Exactly one element of the metrics list must return data")
	case expressions == len(c.Queries):
		return bad("Metrics", "An expression needs a metric to be about: SEARCH and SELECT are not watched")
	}
	return c.checkExpressions()
}

func (q Query) check(at string) error {
	if err := checkText(at+"Label", q.Label, 0, maxLabel); err != nil {
		return err
	}
	switch {
	case !queryID.MatchString(q.ID):
		return bad(at+"Id", "Member must begin with a lower-case letter and have letters, digits and underscores, at most 255")
	case q.Expression == "":
		return checkStat(at+"MetricStat.", q.Metric, q.Statistic, q.Unit, q.Period)
	case q.Metric.Name != "" || q.Statistic != "":
		return bad(at+"Expression", "Member must not be given together with MetricStat")
	case q.Period != 0:
		return fault.New(fault.SettingUnsupported, "A period of an expression's own ('%sPeriod') is not watched: give periods to the metrics", at)
	}
	return checkText(at+"Expression", q.Expression, 1, maxExpression)
}

// checkStat checks a metric and how its points are read.
func checkStat(at string, m usage.Metric, statistic, unit string, period int) error {
	if err := checkMetric(at, m); err != nil {
		return err
	}
	switch {
	case statistic == "":
		return bad(at+"Statistic", "Member must not be null")
	case !slices.Contains([]string{sampleCount, average, sum, minimum, maximum}, statistic):
		return fault.New(fault.SettingUnsupported, "The statistic '%s' is not kept: there are SampleCount, Average, Sum, Minimum and Maximum", printable(statistic))
	case unit != "" && !slices.Contains(units, unit):
		return bad(at+"Unit", "Member must satisfy enum value set: [%s]", strings.Join(units, ", "))
	case period == 10 || period == 20 || period == 30:
		return fault.New(fault.SettingUnsupported, "A period of %d seconds needs a high-resolution metric, which Berth does not keep: a minute is the finest", period)
	case period < 60 || period%60 != 0 || period > longestWindow:
		return bad(at+"Period", "Member must be a multiple of 60, from 60 to %d", longestWindow)
	}
	return nil
}

func checkMetric(at string, m usage.Metric) error {
	if err := checkText(at+"Namespace", m.Namespace, 1, maxName); err != nil {
		return err
	}
	if strings.HasPrefix(m.Namespace, ":") {
		return bad(at+"Namespace", "Member must satisfy regular expression pattern: [^:].*")
	}
	if err := checkText(at+"MetricName", m.Name, 1, maxName); err != nil {
		return err
	}
	if len(m.Dimensions) > maxDimensions {
		return bad(at+"Dimensions", "Member must have length less than or equal to %d", maxDimensions)
	}
	for i, d := range m.Dimensions {
		member := fmt.Sprintf("%sDimensions.member.%d.", at, i+1)
		if err := checkText(member+"Name", d.Name, 1, maxName); err != nil {
			return err
		}
		if err := checkText(member+"Value", d.Value, 1, maxDescription); err != nil {
			return err
		}
		if i > 0 && m.Dimensions[i-1].Name == d.Name {
			return bad(at+"Dimensions", "Member must not name a dimension twice")
		}
	}
	return nil
}

// checkWindow bounds how far back an alarm looks.
func (c Configuration) checkWindow() error {
	period := int(c.period().Seconds())
	most, what := day, "a day"
	if period >= 60*60 {
		most, what = longestWindow, "seven days"
	}
	if c.EvaluationPeriods > most/period {
		return bad("EvaluationPeriods", "Metrics cannot be checked across more than %s (EvaluationPeriods * Period must be <= %d)", what, most)
	}
	return nil
}

func checkNames(parameter string, names []string) error {
	if len(names) == 0 {
		return bad(parameter, "Member must not be null")
	}
	if len(names) > maxNames {
		return bad(parameter, "Member must have length less than or equal to %d", maxNames)
	}
	for i, name := range names {
		if err := checkText(fmt.Sprintf("%s.member.%d", parameter, i+1), name, 1, maxName); err != nil {
			return err
		}
	}
	return nil
}

func checkState(name string, state State, reason, data string) error {
	if err := checkText("AlarmName", name, 1, maxName); err != nil {
		return err
	}
	if !slices.Contains([]State{OK, Alarming, InsufficientData}, state) {
		return bad("StateValue", "Member must satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]")
	}
	if err := checkText("StateReason", reason, 0, maxReason); err != nil {
		return err
	}
	var object map[string]any
	switch {
	case len(data) > maxReasonData:
		return bad("StateReasonData", "Member must have length less than or equal to %d", maxReasonData)
	case !utf8.ValidString(data), data != "" && json.Unmarshal([]byte(data), &object) != nil:
		return bad("StateReasonData", "Member must be a JSON object")
	}
	return nil
}

// printable shows what somebody sent without what does something to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s[:min(len(s), maxName)])
}
