package workspace

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// On tells whether something is frozen at a moment, by the calendar and the clocks of its time zone. A time that a clock shows twice, as
// when it is put back, is frozen both times. A freeze that this program could not have read is on.
func (w Freeze) On(at time.Time) bool {
	zone, err := time.LoadLocation(cmp.Or(string(w.Timezone), "UTC"))
	if err != nil {
		return true
	}
	local := at.In(zone)
	if w.From != "" || w.Until != "" {
		day := Date(local.Format(time.DateOnly))
		return w.From <= day && (w.Until == "" || day <= w.Until)
	}
	if len(w.Days) > 0 && !slices.Contains(w.Days, weekdays()[local.Weekday()]) {
		return false
	}
	if w.Hours == "" {
		return true
	}
	from, until, _ := strings.Cut(string(w.Hours), "-")
	clock := local.Format("15:04")
	return from <= clock && clock < until
}

// Ends gives the first minute after a moment at which the freeze, which is on then, is not any more, in its time zone. Zero is that it never ends:
// it is on at all hours of all days.
func (w Freeze) Ends(at time.Time) time.Time {
	zone, err := time.LoadLocation(cmp.Or(string(w.Timezone), "UTC"))
	if err != nil {
		return time.Time{}
	}
	if w.Until != "" {
		last, err := time.ParseInLocation(time.DateOnly, string(w.Until), zone)
		if err != nil {
			return time.Time{}
		}
		return time.Date(last.Year(), last.Month(), last.Day()+1, 0, 0, 0, 0, zone)
	}
	minute := at.In(zone).Truncate(time.Minute)
	for range 8 * 24 * 60 { // a week of minutes, and a day that clocks may be put back in
		minute = minute.Add(time.Minute)
		if !w.On(minute) {
			return minute
		}
	}
	return time.Time{}
}
