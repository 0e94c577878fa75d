package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// How people write a time in flags, wherever one is asked for.
const (
	momentForms = "a date, a time, or how long ago, like 2026-11-27, 2026-11-27T15:04, 90m or 7d"
	momentHint  = "write it like 2026-11-27, 2026-11-27T15:04, 90m or 7d"
)

// moment reads a time since 1970, or how long ago it was. A time without a zone is in UTC. Nothing at all is the zero time.
func (p *program) moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, ok := readMoment(text, p.now())
	if !ok || at.Year() < 1970 {
		return time.Time{}, usageError{fmt.Errorf("--%s: %q is neither a time since 1970 nor how long ago", flag, text), momentHint}
	}
	return at.UTC(), nil
}

func readMoment(text string, now time.Time) (time.Time, bool) {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at, true
		}
	}
	const most = 36500 // days, which a Duration holds
	var ago time.Duration
	if days, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n > most {
			return time.Time{}, false
		}
		if ago, text = time.Duration(n)*day, rest; rest == "" {
			return now.Add(-ago), true
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || ago+d < 0 {
		return time.Time{}, false
	}
	return now.Add(-ago - d), true
}

// cent is the least amount that shows in cents.
const cent = 0.005

// money shows cents, and of less than a cent that it is something.
func money(v float64) string {
	switch {
	case v > 0 && v < 0.00005:
		return "<0.0001"
	case v > 0 && v < cent:
		return fmt.Sprintf("%.4f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// dollars is money in a sentence.
func dollars(v float64) string {
	if v > 0 && v < cent {
		return "less than a cent"
	}
	return "$" + money(v)
}
