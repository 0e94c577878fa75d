package cli

import (
	"testing"
	"time"
)

func TestFollowingGoesByTheServersClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	for name, test := range map[string]struct{ newest, from, want time.Time }{
		"nothing yet":              {time.Time{}, time.Time{}, at(-followSkew - followOverlap)},
		"a clock that is ahead":    {at(-3 * time.Minute), time.Time{}, at(-3*time.Minute - followOverlap)},
		"a clock that is behind":   {at(time.Hour), time.Time{}, at(-followOverlap)},
		"a newest that is old":     {at(-24 * time.Hour), time.Time{}, at(-followSkew - followOverlap)},
		"what was not asked for":   {at(-time.Minute), at(-30 * time.Second), at(-30 * time.Second)},
		"from when it was to show": {time.Time{}, at(-time.Minute), at(-time.Minute)},
	} {
		if got := followFrom(now, test.newest, test.from); !got.Equal(test.want) {
			t.Errorf("%s: from %v, want %v", name, got, test.want)
		}
	}
}
