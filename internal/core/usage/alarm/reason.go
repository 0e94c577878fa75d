package alarm

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// initialReason is that of an alarm that was not looked at yet. CloudWatch has the same, and programs look for it.
const initialReason = "Unchecked: Initial alarm creation"

// shownPoints is how many points a reason names at most.
const shownPoints = 10

// comparisons are the operators in words, as they follow "was" or "were".
var comparisons = map[string]string{
	greater:        "greater than",
	greaterOrEqual: "greater than or equal to",
	less:           "less than",
	lessOrEqual:    "less than or equal to",
}

// reason says why, in a sentence that begins as CloudWatch's do: programs look for the beginning.
func (v Verdict) reason(r Rule, from State) string {
	if v.State == InsufficientData {
		return fmt.Sprintf("Insufficient Data: %s unknown.", were(r.Periods, "datapoint"))
	}
	if len(v.Seen) == 0 {
		as := "NonBreaching"
		if v.State == Alarming {
			as = "Breaching"
		}
		return fmt.Sprintf("Threshold Crossed: no datapoints were received for %s and %s treated as [%s].",
			plural(r.Periods, "period"), were(v.Filled, "missing datapoint"), as)
	}
	crossed, least := "", r.Needed
	if v.State == OK {
		crossed, least = "not ", r.Periods-r.Needed+1
	}
	out := fmt.Sprintf("%d out of the last %d datapoints", len(v.Decisive), r.Periods)
	sentence := fmt.Sprintf("Threshold Crossed: %s %s %s %s%s the threshold (%s)", out, points(v.Decisive), wasOrWere(len(v.Decisive)), crossed,
		comparisons[r.Operator], number(r.Threshold))
	if v.Filled > 0 {
		sentence += fmt.Sprintf(", and %s%s", were(v.Filled, "datapoint"), filledWords[r.Missing])
	}
	return fmt.Sprintf("%s (minimum %s for %s -> %s transition).", sentence, plural(least, "datapoint"), from, v.State)
}

// filledWords say of missing points what they were treated as.
var filledWords = map[string]string{
	Missing: " missing", Ignore: " missing", Breaching: " missing and treated as [Breaching]", NotBreaching: " missing and treated as [NonBreaching]",
}

func wasOrWere(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func were(n int, word string) string { return plural(n, word) + " " + wasOrWere(n) }

// points shows points, the newest first, with their times.
func points(samples []Sample) string {
	var shown []string
	for i := len(samples) - 1; i >= 0 && len(shown) < shownPoints; i-- {
		shown = append(shown, fmt.Sprintf("%s (%s)", number(samples[i].Value), samples[i].At.UTC().Format("02/01/06 15:04:05")))
	}
	if more := len(samples) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("and %d older", more))
	}
	return "[" + strings.Join(shown, ", ") + "]"
}

// number spells a number as JSON and people do, with a point where it is whole.
func number(f float64) string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if math.Abs(f) >= 1e15 || f != 0 && math.Abs(f) < 1e-6 {
		s = strconv.FormatFloat(f, 'g', -1, 64)
	}
	if !strings.ContainsAny(s, ".eIN") {
		s += ".0"
	}
	return s
}

// wireTime is how CloudWatch spells times in its JSON texts.
const wireTime = "2006-01-02T15:04:05.000-0700"

// seenPoint is a point in a reason's data.
type seenPoint struct {
	Timestamp   string   `json:"timestamp"`
	SampleCount float64  `json:"sampleCount,omitempty"`
	Value       *float64 `json:"value,omitempty"`
}

// data is the reason for programs: members and version are CloudWatch's.
func (v Verdict) data(c Configuration, queried time.Time) string {
	d := struct {
		Version   string      `json:"version"`
		QueryDate string      `json:"queryDate"`
		StartDate string      `json:"startDate,omitempty"`
		Unit      string      `json:"unit,omitempty"`
		Statistic string      `json:"statistic,omitempty"`
		Period    int         `json:"period"`
		Recent    []float64   `json:"recentDatapoints"`
		Threshold float64     `json:"threshold"`
		Evaluated []seenPoint `json:"evaluatedDatapoints"`
	}{
		Version: "1.0", QueryDate: queried.UTC().Format(wireTime), Unit: c.Unit, Statistic: c.Statistic, Period: int(c.period() / time.Second),
		Recent: []float64{}, Threshold: c.Threshold, Evaluated: []seenPoint{},
	}
	for i, s := range v.Seen {
		if i == 0 {
			d.StartDate = s.At.UTC().Format(wireTime)
		}
		d.Recent = append(d.Recent, s.Value)
	}
	for i := len(v.Seen) - 1; i >= 0 && len(d.Evaluated) < shownPoints; i-- {
		s := v.Seen[i]
		d.Evaluated = append(d.Evaluated, seenPoint{Timestamp: s.At.UTC().Format(wireTime), SampleCount: s.Count, Value: &s.Value})
	}
	return text(d)
}

// text encodes what has nothing that cannot be encoded.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "{}" // numbers that are none were refused or left out before
	}
	return string(b)
}
