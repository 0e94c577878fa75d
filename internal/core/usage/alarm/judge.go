package alarm

import (
	"slices"
	"time"
)

// Sample is what a period came to.
type Sample struct {
	At      time.Time // when the period began
	Value   float64
	Missing bool
	Count   float64 // of the values in it
}

// Rule is the part of a configuration that decides.
type Rule struct {
	Periods   int // EvaluationPeriods: N
	Needed    int // DatapointsToAlarm: M of N
	Operator  string
	Threshold float64
	Missing   string // how missing points are treated
}

// Verdict is a state, and what it was decided by.
type Verdict struct {
	State State
	// Kept says that nothing was decided: the state is the one that the alarm had.
	Kept bool
	// Decisive are the points that speak for the state, oldest first. None: missing ones alone do.
	Decisive []Sample
	Seen     []Sample // all real points that counted, oldest first
	Filled   int      // missing points that were needed, and treated as the rule says
}

// extraPeriods is how many periods CloudWatch looks at beyond N, to find real points in the place of missing ones. Its documentation
// says that this differs, and shows two in its examples.
const extraPeriods = 2

// Judge decides an alarm's state by what its periods came to, oldest first, of which there are N and some before them. now is the state that
// it has, and keeps where the points do not decide.
//
// Real points are preferred to missing ones, even older ones. Missing points are filled in as far as there are fewer real ones than N.
// Where missing points are left out of account, an alarm goes off early if its oldest breaching point is at least M periods old and nothing
// better came since: M breaching points cannot be waited for when none come any more.
func Judge(r Rule, samples []Sample, now State) Verdict {
	var v Verdict
	var breaching, fine []Sample
	oldest := 0 // how many periods ago the oldest breaching point was that counts; the last period is 1
	for i := len(samples) - 1; i >= 0 && len(v.Seen) < r.Periods; i-- {
		s := samples[i]
		if s.Missing {
			continue
		}
		v.Seen = append(v.Seen, s)
		if crosses(r.Operator, s.Value, r.Threshold) {
			breaching, oldest = append(breaching, s), len(samples)-i
		} else {
			fine = append(fine, s)
		}
	}
	for _, newestFirst := range [][]Sample{v.Seen, breaching, fine} {
		slices.Reverse(newestFirst)
	}
	v.Filled = r.Periods - len(v.Seen)
	bad, stale := len(breaching), oldest >= r.Needed && len(fine) == 0
	if r.Missing == Breaching {
		bad += v.Filled
	}
	leftOut := r.Missing == Missing || r.Missing == Ignore
	switch {
	case bad >= r.Needed:
		v.State, v.Decisive = Alarming, breaching
	case !leftOut:
		v.State, v.Decisive = OK, fine
	case len(v.Seen) == 0 && r.Missing == Missing:
		v.State = InsufficientData
	case stale && bad > 0 && r.Missing == Missing:
		v.State, v.Decisive = Alarming, breaching
	case len(fine) > 0:
		v.State, v.Decisive = OK, fine
	default:
		v.State, v.Kept = now, true
	}
	return v
}

// The comparison operators of alarms with a fixed threshold.
const (
	greater        = "GreaterThanThreshold"
	greaterOrEqual = "GreaterThanOrEqualToThreshold"
	less           = "LessThanThreshold"
	lessOrEqual    = "LessThanOrEqualToThreshold"
)

// crosses tells whether a value breaches.
func crosses(operator string, value, threshold float64) bool {
	switch operator {
	case greater:
		return value > threshold
	case greaterOrEqual:
		return value >= threshold
	case less:
		return value < threshold
	default:
		return value <= threshold
	}
}
