// Package schedule runs work that depends on other work: each piece after those that it comes after, several at once,
// and what fails stops its dependants alone.
package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
)

// Node is a piece of work.
type Node struct {
	Name  string
	After []string // what must be done before; names that are not among the nodes are no matter
}

// State is how a node ended.
type State string

// The states.
const (
	Done    State = "done"
	Failed  State = "failed"  // it was begun, and gave an error or panicked
	Skipped State = "skipped" // not begun, since something that it comes after failed
	Stopped State = "stopped" // the context ended before it began, or before it was done
)

// Outcome is what came of a node.
type Outcome struct {
	State State
	// Err is of Failed what the node gave, a *Panic if it panicked; of Stopped the same if it was begun, and the
	// context's cause if it was not.
	Err error
	// Because is, of Skipped, the node that failed: the nearest, and of two equally near ones the earlier in the order given.
	Because string
}

// Panic is that a node panicked.
type Panic struct {
	Value any
	Stack []byte
}

// Error gives what it panicked with. The stack is for whoever asks.
func (p *Panic) Error() string { return fmt.Sprintf("panicked: %v", p.Value) }

// Unwrap gives the value if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// errExited is that a node ended its goroutine.
var errExited = errors.New("ended its goroutine")

// Run runs the nodes, at most so many at once (one if jobs is less), and gives what came of each, by name. Of those that may begin, the
// earlier in the order given begins first. A node waits for those alone that it comes after and that are in front of it in that order:
// an order in which a cycle's nodes come one after the other (plan.Graph's) has them run so, and no order ever waits for itself.
//
// When the context ends nothing new begins, and those that run have that context. Run returns when all that it began have. It panics if
// two nodes have one name.
func Run(ctx context.Context, nodes []Node, jobs int, do func(ctx context.Context, name string) error) map[string]Outcome {
	r := newRun(nodes)
	running := 0
	ended := make(chan result)
	for {
		for len(r.ready) > 0 {
			i := r.ready[0]
			if ctx.Err() != nil {
				r.ready = r.ready[1:]
				r.settle(i, Outcome{State: Stopped, Err: context.Cause(ctx)})
				continue
			}
			if running >= max(jobs, 1) {
				break
			}
			r.ready = r.ready[1:]
			running++
			go func() {
				res := result{i, Outcome{State: Failed, Err: errExited}}
				defer func() { ended <- res }() // whatever it does, it ended
				res.outcome = one(ctx, nodes[i].Name, do)
			}()
		}
		if running == 0 {
			return r.outcomes()
		}
		res := <-ended
		running--
		r.settle(res.node, res.outcome)
	}
}

// one runs a node.
func one(ctx context.Context, name string, do func(ctx context.Context, name string) error) (o Outcome) {
	defer func() {
		if v := recover(); v != nil {
			o = Outcome{State: Failed, Err: &Panic{v, debug.Stack()}}
		}
	}()
	switch err := do(ctx, name); {
	case err == nil:
		return Outcome{State: Done}
	case ctx.Err() != nil: // whatever it says, a program that was ended for example
		return Outcome{State: Stopped, Err: err}
	default:
		return Outcome{State: Failed, Err: err}
	}
}

type result struct {
	node    int
	outcome Outcome
}

// run is how far nodes are. They are known by their place in the order given.
type run struct {
	nodes []*node
	ready []int // may begin, in order
}

type node struct {
	name       string
	after      []int // what it waits for
	dependants []int
	waits      int // how many of after have not ended
	outcome    Outcome
	cause      int // of a failed and a skipped one: which node failed
	distance   int // and how far away that is
}

func newRun(nodes []Node) *run {
	r := &run{}
	place := make(map[string]int, len(nodes))
	for i, n := range nodes {
		if _, ok := place[n.Name]; ok {
			panic("schedule: two nodes of the name " + n.Name)
		}
		place[n.Name] = i
		one := &node{name: n.Name}
		for _, name := range n.After {
			before, ok := place[name] // those behind it are not there yet
			if !ok || before == i || slices.Contains(one.after, before) {
				continue
			}
			one.after = append(one.after, before)
			r.nodes[before].dependants = append(r.nodes[before].dependants, i)
		}
		one.waits = len(one.after)
		r.nodes = append(r.nodes, one)
		if one.waits == 0 {
			r.ready = append(r.ready, i)
		}
	}
	return r
}

// settle notes what came of a node, and what that means for those that wait for it.
func (r *run) settle(i int, o Outcome) {
	n := r.nodes[i]
	n.outcome = o
	if o.State == Failed {
		n.cause, n.distance = i, 0
	}
	for _, d := range n.dependants {
		waiting := r.nodes[d]
		if waiting.waits--; waiting.waits > 0 {
			continue // also if this one failed: another may be nearer
		}
		if why, ok := r.blocked(waiting); ok {
			r.settle(d, why)
			continue
		}
		at, _ := slices.BinarySearch(r.ready, d)
		r.ready = slices.Insert(r.ready, at, d)
	}
}

// blocked tells what comes of a node that is not to begin, since not all is done that it comes after.
func (r *run) blocked(n *node) (Outcome, bool) {
	var failed []*node // or skipped
	var stopped *node
	for _, i := range n.after {
		switch before := r.nodes[i]; before.outcome.State {
		case Failed, Skipped:
			failed = append(failed, before)
		case Stopped:
			stopped = before
		case Done:
		}
	}
	if len(failed) > 0 {
		nearest := slices.MinFunc(failed, func(a, b *node) int {
			return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.cause, b.cause))
		})
		n.cause, n.distance = nearest.cause, nearest.distance+1
		return Outcome{State: Skipped, Because: r.nodes[n.cause].name}, true
	}
	if stopped != nil {
		return Outcome{State: Stopped, Err: stopped.outcome.Err}, true
	}
	return Outcome{}, false
}

func (r *run) outcomes() map[string]Outcome {
	all := make(map[string]Outcome, len(r.nodes))
	for _, n := range r.nodes {
		all[n.name] = n.outcome
	}
	return all
}
