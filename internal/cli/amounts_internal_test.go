package cli

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.FixedZone("", 3600))
	p := &program{now: func() time.Time { return now }}
	for text, want := range map[string]time.Time{
		"24h": now.Add(-day), "30d": now.Add(-30 * day), "1d12h": now.Add(-36 * time.Hour), "90m": now.Add(-90 * time.Minute), "0d": now, "0s": now,
		"2026-11-01":       time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		"2028-02-29":       time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC),
		"2026-11-27T15:04": time.Date(2026, 11, 27, 15, 4, 0, 0, time.UTC), "2026-11-27 15:04": time.Date(2026, 11, 27, 15, 4, 0, 0, time.UTC),
		"2026-11-27T10:00:00+01:00": time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC),
		"-1h":                       {}, "-1d": {}, "+1d": {}, "d": {}, "d1h": {}, "1d-1h": {}, "1w": {}, "1.5d": {}, "1d 1h": {}, "12": {}, "now": {},
		"1960-01-01": {}, "21000d": {}, "36501d": {}, "99999999999d": {}, "36500d2562047h": {}, "2027-02-29": {},
	} {
		got, err := p.moment("since", text)
		if want.IsZero() != (err != nil) || err == nil && (!got.Equal(want) || got.Location() != time.UTC) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	if got, err := p.moment("since", ""); err != nil || !got.IsZero() {
		t.Errorf("nothing: %v, %v", got, err)
	}
}

func TestMoney(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64][2]string{
		0: {"0.00", "$0.00"}, 0.00001: {"<0.0001", "less than a cent"}, 0.0042: {"0.0042", "less than a cent"}, 0.005: {"0.01", "$0.01"}, 1234.5: {"1234.50", "$1234.50"},
	} {
		if got := [2]string{money(v), dollars(v)}; got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}
