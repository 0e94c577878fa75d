package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
)

// TestAffectedAgreesWithClosure compares with the plainest way to say it: whoever reaches a project that changed is
// affected, and comes after all that it reaches and that do not reach it.
func TestAffectedAgreesWithClosure(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(rt, "projects")
		edges := make([][]bool, n)
		files := tree{}
		var yaml strings.Builder
		yaml.WriteString("repository: prod\napps: [p/*]\nprojects:\n")
		for i := range n {
			edges[i] = make([]bool, n)
			var on []string
			for j := range n {
				if i != j && rapid.IntRange(0, 3).Draw(rt, fmt.Sprintf("edge %d %d", i, j)) == 0 {
					edges[i][j] = true
					on = append(on, name(j))
				}
			}
			fmt.Fprintf(&yaml, "  %s: {depends_on: [%s]}\n", name(i), strings.Join(on, ", "))
			files["p/"+name(i)+"/x"] = ""
		}
		files["berth.yaml"] = yaml.String()
		changed := rapid.SliceOfDistinct(rapid.IntRange(0, n-1), rapid.ID[int]).Draw(rt, "changed")
		var paths []string
		for _, i := range changed {
			paths = append(paths, "p/"+name(i)+"/x")
		}

		reaches := closure(edges)
		g := read(t, files)
		got := g.Affected(plan.Question{Paths: paths})
		var names, want []string
		for _, a := range got {
			names = append(names, a.Name)
			checkReasons(rt, edges, a, changed, reaches)
		}
		for i := range n {
			if slices.ContainsFunc(changed, func(c int) bool { return c == i || reaches[i][c] }) {
				want = append(want, name(i))
			}
		}
		slices.Sort(names)
		if diff := cmp.Diff(want, names); diff != "" {
			rt.Fatalf("%s\nchanged %v, affected (-want +got):\n%s", yaml.String(), changed, diff)
		}
		checkOrder(rt, g, reaches)
	})
}

func name(i int) string { return string(rune('a' + i)) }

func number(name string) int { return int(name[0] - 'a') }

// closure is Warshall's.
func closure(edges [][]bool) [][]bool {
	n := len(edges)
	all := make([][]bool, n)
	for i := range edges {
		all[i] = slices.Clone(edges[i])
	}
	for k := range n {
		for i := range n {
			for j := range n {
				all[i][j] = all[i][j] || all[i][k] && all[k][j]
			}
		}
	}
	return all
}

// checkReasons follows each reason from the project to the one that changed.
func checkReasons(rt *rapid.T, edges [][]bool, a plan.Affected, changed []int, reaches [][]bool) {
	of := map[int]bool{}
	for _, r := range a.Reasons {
		if r.Cause != plan.Depends {
			continue
		}
		at := number(a.Name)
		for _, next := range append(slices.Clone(r.Via), r.Of) {
			if !edges[at][number(next)] {
				rt.Fatalf("%s: %s: there is no dependency of %s on %s", a.Name, r, name(at), next)
			}
			at = number(next)
		}
		of[at] = true
	}
	for _, c := range changed {
		if i := number(a.Name); i != c && reaches[i][c] != of[c] {
			rt.Fatalf("%s: a reason of %s is %v, want %v", a.Name, name(c), of[c], reaches[i][c])
		}
	}
}

func checkOrder(rt *rapid.T, g *plan.Graph, reaches [][]bool) {
	order, cycles := g.Order()
	at := map[int]int{}
	for i, p := range order {
		at[number(p.Name)] = i
	}
	inCycle := map[string]bool{}
	for _, c := range cycles {
		for _, each := range c {
			inCycle[each] = true
		}
	}
	for i := range reaches {
		if inCycle[name(i)] != reaches[i][i] {
			rt.Fatalf("%s is in a cycle: %v, want %v", name(i), inCycle[name(i)], reaches[i][i])
		}
		for j := range reaches {
			if reaches[i][j] && !reaches[j][i] && at[i] < at[j] {
				rt.Fatalf("%s comes before %s, which it depends on", name(i), name(j))
			}
		}
	}
}
