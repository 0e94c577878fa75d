package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/pipeline/schedule"
)

var errBroken = errors.New("broken")

// diamond is a library, two that depend on it, and an app that depends on both; and one that stands alone.
var diamond = []schedule.Node{
	{Name: "lib"},
	{Name: "left", After: []string{"lib"}},
	{Name: "right", After: []string{"lib", "elsewhere"}},
	{Name: "app", After: []string{"left", "right", "left"}},
	{Name: "alone"},
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	done := schedule.Outcome{State: schedule.Done}
	failed := schedule.Outcome{State: schedule.Failed, Err: errBroken}
	because := func(name string) schedule.Outcome {
		return schedule.Outcome{State: schedule.Skipped, Because: name}
	}
	for name, tt := range map[string]struct {
		nodes  []schedule.Node
		broken []string
		want   map[string]schedule.Outcome
	}{
		"nothing":       {nil, nil, map[string]schedule.Outcome{}},
		"all well":      {diamond, nil, map[string]schedule.Outcome{"lib": done, "left": done, "right": done, "app": done, "alone": done}},
		"first fails":   {diamond, []string{"lib"}, map[string]schedule.Outcome{"lib": failed, "left": because("lib"), "right": because("lib"), "app": because("lib"), "alone": done}},
		"one fails":     {diamond, []string{"right"}, map[string]schedule.Outcome{"lib": done, "left": done, "right": failed, "app": because("right"), "alone": done}},
		"both fail":     {diamond, []string{"left", "right"}, map[string]schedule.Outcome{"lib": done, "left": failed, "right": failed, "app": because("left"), "alone": done}},
		"last fails":    {diamond, []string{"app"}, map[string]schedule.Outcome{"lib": done, "left": done, "right": done, "app": failed, "alone": done}},
		"depends on it": {[]schedule.Node{{"a", []string{"a"}}}, nil, map[string]schedule.Outcome{"a": done}},
		"the nearest": {
			[]schedule.Node{{"far", nil}, {"between", []string{"far"}}, {"near", nil}, {"app", []string{"between", "near"}}},
			[]string{"far", "near"},
			map[string]schedule.Outcome{"far": failed, "between": because("far"), "near": failed, "app": because("near")},
		},
		"a cycle": {
			[]schedule.Node{{"a", []string{"c"}}, {"b", []string{"a"}}, {"c", []string{"b"}}},
			[]string{"b"},
			map[string]schedule.Outcome{"a": done, "b": failed, "c": because("b")},
		},
	} {
		for _, jobs := range []int{-1, 1, 2, 100} {
			t.Run(fmt.Sprintf("%s/%d", name, jobs), func(t *testing.T) {
				t.Parallel()
				got := schedule.Run(t.Context(), tt.nodes, jobs, func(_ context.Context, name string) error {
					if slices.Contains(tt.broken, name) {
						return errBroken
					}
					return nil
				})
				if diff := cmp.Diff(tt.want, got, cmpopts.EquateErrors()); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestOrder runs one at a time: those that may begin do so in the order given, also when another has just made them ready.
func TestOrder(t *testing.T) {
	t.Parallel()
	var got []string
	schedule.Run(t.Context(), []schedule.Node{{"d", nil}, {"a", []string{"d"}}, {"c", nil}, {"b", []string{"a"}}, {"e", nil}}, 1, func(_ context.Context, name string) error {
		got = append(got, name)
		return nil
	})
	if want := []string{"d", "a", "c", "b", "e"}; !slices.Equal(got, want) {
		t.Errorf("began in the order %q, want %q", got, want)
	}
}

// TestPanics has one panic and one end its goroutine, while a third goes on.
func TestPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := schedule.Run(t.Context(), []schedule.Node{{"bang", nil}, {"gone", nil}, {"slow", nil}, {"after", []string{"bang"}}}, 3, func(_ context.Context, name string) error {
			switch name {
			case "bang":
				panic(errBroken)
			case "gone":
				runtime.Goexit()
			}
			<-time.After(time.Hour)
			return nil
		})
		p, ok := errors.AsType[*schedule.Panic](got["bang"].Err)
		if !ok || got["bang"].State != schedule.Failed || !errors.Is(p, errBroken) || len(p.Stack) == 0 || p.Error() != "panicked: broken" {
			t.Errorf("one that panicked is %+v", got["bang"])
		}
		if got["gone"].State != schedule.Failed || got["gone"].Err == nil {
			t.Errorf("one that ended its goroutine is %+v", got["gone"])
		}
		if got["slow"].State != schedule.Done || got["after"] != (schedule.Outcome{State: schedule.Skipped, Because: "bang"}) {
			t.Errorf("the others are %+v", got)
		}
	})
}

// TestStopped ends the context while two run: one minds, one is done all the same, a third has failed before.
func TestStopped(t *testing.T) {
	t.Parallel()
	why := errors.New("^C")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { stop(why) })
		got := schedule.Run(ctx, []schedule.Node{
			{"broken", nil},
			{"minds", nil},
			{"finishes", nil},
			{"later", nil},
			{"after broken", []string{"broken", "minds"}},
			{"after minds", []string{"minds"}},
			{"after finishes", []string{"finishes"}},
		}, 3, func(ctx context.Context, name string) error {
			switch name {
			case "broken":
				return errBroken
			case "minds":
				<-ctx.Done()
				return errors.New("signal: terminated")
			case "finishes":
				<-time.After(time.Hour)
				return nil
			case "later":
				<-ctx.Done()
				return ctx.Err()
			}
			t.Errorf("%s began after the end", name)
			return nil
		})
		states := map[string]schedule.State{}
		for name, o := range got {
			states[name] = o.State
		}
		want := map[string]schedule.State{
			"broken": schedule.Failed, "minds": schedule.Stopped, "finishes": schedule.Done, "later": schedule.Stopped,
			"after broken": schedule.Skipped, "after minds": schedule.Stopped, "after finishes": schedule.Stopped,
		}
		if diff := cmp.Diff(want, states); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		if !errors.Is(got["after finishes"].Err, why) {
			t.Errorf("one that did not begin has the error %v, want the context's cause", got["after finishes"].Err)
		}
	})
}

func TestStoppedBefore(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	got := schedule.Run(ctx, diamond, 2, func(_ context.Context, name string) error {
		t.Errorf("%s began", name)
		return nil
	})
	for name, o := range got {
		if o.State != schedule.Stopped || !errors.Is(o.Err, context.Canceled) {
			t.Errorf("%s is %+v", name, o)
		}
	}
	if len(got) != len(diamond) {
		t.Errorf("%d outcomes of %d nodes", len(got), len(diamond))
	}
}

func TestTwoOfOneName(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("two nodes of one name are taken")
		}
	}()
	schedule.Run(t.Context(), []schedule.Node{{"a", nil}, {"a", nil}}, 1, func(context.Context, string) error { return nil })
}

// TestProperties runs random graphs, with random times on a clock of their own, random failures, and an end at a random time.
func TestProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := aCase(rt)
		synctest.Test(t, func(t *testing.T) { c.run(t.Context()) })
		for _, problem := range c.problems() {
			rt.Error(problem)
		}
	})
}

// trial is one run with what was seen of it.
type trial struct {
	nodes  []schedule.Node
	jobs   int
	takes  map[string]time.Duration
	breaks map[string]bool
	stop   time.Duration // 0: never

	mu       sync.Mutex
	running  int
	began    []string
	finished map[string]bool
	wrong    []string
	outcomes map[string]schedule.Outcome
}

func aCase(rt *rapid.T) *trial {
	n := rapid.IntRange(0, 12).Draw(rt, "nodes")
	c := &trial{jobs: rapid.IntRange(1, 4).Draw(rt, "jobs"), takes: map[string]time.Duration{}, breaks: map[string]bool{}, finished: map[string]bool{}}
	if rapid.Bool().Draw(rt, "stops") {
		c.stop = time.Duration(rapid.IntRange(1, 20).Draw(rt, "stop"))*time.Second + time.Millisecond // nothing ends at the same time
	}
	for i := range n {
		node := schedule.Node{Name: fmt.Sprint(i)}
		for range rapid.IntRange(0, 3).Draw(rt, "edges") {
			node.After = append(node.After, fmt.Sprint(rapid.IntRange(0, n).Draw(rt, "after"))) // n is none
		}
		c.nodes = append(c.nodes, node)
		c.takes[node.Name] = time.Duration(rapid.IntRange(0, 5).Draw(rt, "seconds")) * time.Second
		c.breaks[node.Name] = rapid.IntRange(0, 4).Draw(rt, "breaks") == 0
	}
	return c
}

func (c *trial) run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if c.stop > 0 {
		defer time.AfterFunc(c.stop, stop).Stop()
	}
	c.outcomes = schedule.Run(ctx, c.nodes, c.jobs, func(ctx context.Context, name string) error {
		c.begin(ctx, name)
		defer c.end(name)
		select {
		case <-time.After(c.takes[name]):
		case <-ctx.Done():
			return ctx.Err()
		}
		if c.breaks[name] {
			return errBroken
		}
		return nil
	})
}

func (c *trial) begin(ctx context.Context, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running++; c.running > c.jobs {
		c.wrong = append(c.wrong, fmt.Sprintf("%d run at once, with %d jobs", c.running, c.jobs))
	}
	if slices.Contains(c.began, name) {
		c.wrong = append(c.wrong, name+" began twice")
	}
	if ctx.Err() != nil {
		c.wrong = append(c.wrong, name+" began after the end")
	}
	for _, before := range c.waitsFor(name) {
		if !c.finished[before] || c.breaks[before] {
			c.wrong = append(c.wrong, name+" began before "+before+" was done")
		}
	}
	c.began = append(c.began, name)
}

func (c *trial) end(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	c.finished[name] = true
}

// waitsFor gives what a node comes after, of those in front of it.
func (c *trial) waitsFor(name string) []string {
	i := slices.IndexFunc(c.nodes, func(n schedule.Node) bool { return n.Name == name })
	var before []string
	for _, n := range c.nodes[:i] {
		if slices.Contains(c.nodes[i].After, n.Name) {
			before = append(before, n.Name)
		}
	}
	return before
}

// problems compares what came out with what must.
func (c *trial) problems() []string {
	wrong := c.wrong
	if c.running != 0 {
		wrong = append(wrong, "some still run")
	}
	if len(c.outcomes) != len(c.nodes) {
		wrong = append(wrong, fmt.Sprintf("outcomes of %q, for %d nodes", slices.Sorted(maps.Keys(c.outcomes)), len(c.nodes)))
	}
	for _, n := range c.nodes {
		o, nearest := c.outcomes[n.Name], c.nearest(n.Name)
		began := slices.Contains(c.began, n.Name)
		ok := false
		switch o.State {
		case schedule.Done:
			ok = began && !c.breaks[n.Name] && o.Err == nil
		case schedule.Failed:
			ok = began && c.breaks[n.Name] && errors.Is(o.Err, errBroken)
		case schedule.Skipped:
			ok = !began && nearest != "" && o.Because == nearest && o.Err == nil
		case schedule.Stopped:
			ok = c.stop > 0 && nearest == "" && errors.Is(o.Err, context.Canceled)
		}
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s is %+v; begun: %t, nearest that failed: %q", n.Name, o, began, nearest))
		}
	}
	return wrong
}

// nearest looks for the nearest failed one breadth first, and is another way to it than the scheduler's.
func (c *trial) nearest(name string) string {
	seen := map[string]bool{}
	for level := c.waitsFor(name); len(level) > 0; {
		var next []string
		best := len(c.nodes)
		for _, n := range level {
			if c.outcomes[n].State == schedule.Failed {
				best = min(best, slices.IndexFunc(c.nodes, func(other schedule.Node) bool { return other.Name == n }))
			}
			for _, before := range c.waitsFor(n) {
				if !seen[before] {
					seen[before] = true
					next = append(next, before)
				}
			}
		}
		if best < len(c.nodes) {
			return c.nodes[best].Name
		}
		level = next
	}
	return ""
}
