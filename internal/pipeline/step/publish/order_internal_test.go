package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

var errGit = errors.New("git is ill")

// edges is a history: of each commit its ancestors; others are unknown.
type edges map[string][]string

func (e edges) IsAncestor(_ context.Context, older, newer string) (bool, error) {
	if older == "ill" || newer == "ill" {
		return false, errGit
	}
	_, a := e[older]
	above, b := e[newer]
	if !a || !b {
		return false, fmt.Errorf("%s: %w", newer, ErrUnknown)
	}
	return older == newer || slices.Contains(above, older), nil
}

func TestNewer(t *testing.T) {
	t.Parallel()
	git := edges{"a": nil, "b": {"a"}, "side": {"a"}}
	at := func(commit, branch string, second int64) shipped.Record {
		return shipped.Record{Commit: commit, Branch: branch, Committed: time.Unix(second, 0)}
	}
	long := func(digit string) string { return strings.Repeat(digit, 40) }
	after := func(r shipped.Record, commits ...string) shipped.Record {
		r.After = shipped.After(commits)
		return r
	}
	for name, c := range map[string]struct {
		a, than shipped.Record
		want    bool
		err     error
	}{
		"by history":                       {at("b", "main", 1), at("a", "main", 1), true, nil},
		"by history, the other way":        {at("a", "main", 1), at("b", "main", 1), false, nil},
		"by history, whatever the clock":   {at("b", "main", 1), at("a", "main", 9), true, nil},
		"by history, of another branch":    {at("b", "main", 1), at("a", "other", 1), true, nil},
		"the same":                         {at("a", "main", 9), at("a", "main", 1), false, nil},
		"neither above the other: by time": {at("side", "main", 9), at("b", "main", 1), true, nil},
		"two branches":                     {at("side", "side", 9), at("b", "main", 1), false, nil},
		"unknown, later":                   {at("x", "main", 9), at("b", "main", 1), true, nil},
		"unknown, earlier":                 {at("x", "main", 1), at("b", "main", 9), false, nil},
		"unknown, of another branch":       {at("x", "other", 9), at("b", "main", 1), false, nil},
		"unknown, the same second":         {at("x", "main", 1), at("b", "main", 1), true, nil},
		"the other is unknown, likewise":   {at("b", "main", 1), at("x", "main", 1), false, nil},
		"unknown, and said to be after":    {after(at(long("b"), "main", 1), long("a")), at(long("a"), "main", 9), true, nil},
		"unknown, and the other is after":  {at(long("a"), "main", 9), after(at(long("b"), "main", 1), long("c"), long("a")), false, nil},
		"after another":                    {after(at(long("b"), "main", 1), long("c")), at(long("a"), "main", 9), false, nil},
		"git fails":                        {at("ill", "main", 9), at("b", "main", 1), false, errGit},
	} {
		got, err := newer(t.Context(), git, c.a, c.than)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		got, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, c := range []struct {
		moments []time.Time
		want    string
	}{
		{[]time.Time{at("2026-11-26T12:00:00Z")}, "[26]"},
		{[]time.Time{at("2026-11-26T01:59:00Z")}, "[25 26]"},
		{[]time.Time{at("2026-11-26T22:01:00Z")}, "[26 27]"},
		{[]time.Time{at("2026-11-26T12:00:00Z"), at("2026-11-20T12:00:00Z")}, "[26 20]"},
		{[]time.Time{at("2026-11-26T12:00:00Z"), at("2026-11-26T10:00:00+09:00")}, "[26 25]"},
		{[]time.Time{at("2026-11-26T12:00:00Z"), at("2026-11-26T03:00:00Z")}, "[26]"},
	} {
		var got []int
		for _, d := range days(c.moments) {
			got = append(got, d.Day())
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("around %v: %v, want %s", c.moments, got, c.want)
		}
	}
}
