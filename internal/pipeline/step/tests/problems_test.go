//go:build unix

package tests_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/tests"
)

// TestProblems has tests fail with what real tools print. DIR is the project's directory.
func TestProblems(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		prints string
		want   []string
	}{
		"go test": {
			"--- FAIL: TestAdd (0.00s)\n    money_test.go:12: Add = 3, want 4\n        more\n    --- FAIL: TestAdd/sub (0.00s)\n        money_test.go:20: odd\nFAIL\nFAIL\texample.com/web/money\t0.012s\nok  \texample.com/web\t0.1s\n",
			[]string{"apps/web/money/money_test.go:12 Add = 3, want 4", "apps/web/money/money_test.go:20 odd"},
		},
		"go test -v": {
			"=== RUN   TestA\n    main_test.go:3: a log\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n    main_test.go:9: broken\n--- FAIL: TestB (0.00s)\n=== RUN   TestC\n    main_test.go:5: a log\n--- SKIP: TestC (0.00s)\nFAIL\nFAIL\texample.com/web\t0.012s\n",
			[]string{"apps/web/main_test.go:9 broken"},
		},
		"go test, which was ended":  {"--- FAIL: TestB (0.00s)\n    main_test.go:9: broken\n", []string{"apps/web/main_test.go:9 broken"}},
		"go test of a good package": {"--- PASS: TestB (0.00s)\n    main_test.go:9: a log\nok  \texample.com/web\t0.012s\n", nil},
		"go build": {
			"# example.com/web\n./main.go:5:2: undefined: x\nvet: money/money.go:7:1: expected declaration\nFAIL\texample.com/web [build failed]\n",
			[]string{"apps/web/main.go:5 undefined: x", "apps/web/money/money.go:7 expected declaration"},
		},
		"tsc": {"src/a.ts(3,5): error TS2322: Type 'x' is not assignable.\n", []string{"apps/web/src/a.ts:3 TS2322: Type 'x' is not assignable."}},
		"tsc in colour": {
			"\x1b[96msrc/a.ts\x1b[0m:\x1b[93m3\x1b[0m:\x1b[93m5\x1b[0m - \x1b[91merror\x1b[0m\x1b[90m TS2322: \x1b[0mType 'x' is not assignable.\n",
			[]string{"apps/web/src/a.ts:3 error TS2322: Type 'x' is not assignable."},
		},
		"eslint": {
			"\nDIR/src/a.ts\n  3:5   error    'x' is defined but never used  no-unused-vars\n  4:5   warning  odd  some-rule\n  9:1   error    Parsing error\n\nDIR/elsewhere.ts\n  1:1  error  x  y\n",
			[]string{"apps/web/src/a.ts:3 'x' is defined but never used", "apps/web/src/a.ts:9 Parsing error"},
		},
		"eslint of another format": {"DIR/src/a.ts:3:5: 'x' is defined but never used. [Error/no-unused-vars]\n", []string{"apps/web/src/a.ts:3 'x' is defined but never used. [Error/no-unused-vars]"}},
		"pytest": {
			"    def test_a():\n>       assert 1 == 2\nE       assert 1 == 2\nE         more\n\ntest_a.py:4: AssertionError\n=== short test summary info ===\nFAILED test_a.py::test_a - assert 1 == 2\n",
			[]string{"apps/web/test_a.py:4 assert 1 == 2"},
		},
		"unittest": {
			"Traceback (most recent call last):\n  File \"DIR/test_a.py\", line 8, in test_a\n    self.check()\n  File \"DIR/helper.py\", line 3, in check\n    ~~~^^\n  File \"/usr/lib/python3/unittest/case.py\", line 30, in fail\n    raise\nAssertionError: 1 != 2\n",
			[]string{"apps/web/helper.py:3 AssertionError: 1 != 2"},
		},
		"rustc": {
			"warning: unused variable: `x`\n --> src/lib.rs:1:1\n\nerror[E0308]: mismatched types\n --> src/lib.rs:2:18\n  |\nnote: here\n --> src/lib.rs:9:1\n",
			[]string{"apps/web/src/lib.rs:2 error[E0308]: mismatched types"},
		},
		"cargo test": {
			"thread 'tests::adds' panicked at src/lib.rs:10:9:\nassertion `left == right` failed\n  left: 1\n right: 2\n",
			[]string{"apps/web/src/lib.rs:10 assertion `left == right` failed"},
		},
		"cargo test of a workspace": {"thread 'tests::adds' (12) panicked at apps/web/src/lib.rs:10:9:\nodd\n", []string{"apps/web/src/lib.rs:10 odd"}},
		"node": {
			"✖ doubles (1.2ms)\n  AssertionError [ERR_ASSERTION]: this test fails\n  \n  5 !== 6\n  \n      at TestContext.<anonymous> (file://DIR/index.test.js:8:10)\n      at Test.runInAsyncScope (node:async_hooks:206:9)\n      at again (DIR/src/a.ts:1:1)\n",
			[]string{"apps/web/index.test.js:8 AssertionError [ERR_ASSERTION]: this test fails"},
		},
		"node's TAP": {
			"not ok 1 - doubles\n  ---\n  location: 'DIR/index.test.js:7:1'\n  failureType: 'testCodeFailure'\n  error: |-\n    this test fails\n    \n    5 !== 6\n  ...\nnot ok 2 - more\n  ---\n  location: 'DIR/index.test.js:9:1'\n  error: 'in one line'\n",
			[]string{"apps/web/index.test.js:7 this test fails", "apps/web/index.test.js:9 in one line"},
		},
		"jest": {
			"  ● sums › adds\n\n    expect(received).toBe(expected)\n\n      at Object.toBe (node_modules/x/index.js:3:3)\n      at Object.<anonymous> (index.test.js:5:17)\n",
			[]string{"apps/web/index.test.js:5 sums › adds"},
		},
		"vitest": {"AssertionError: expected 1 to be 2\n ❯ src/a.ts:8:10\n", []string{"apps/web/src/a.ts:8 AssertionError: expected 1 to be 2"}},
		"what it has not": {
			"missing.go:3: x\n/etc/passwd:1: x\n../web2/main.go:3: x\n../../root.go:1: x\n12:30:01 log: x\nsrc:1: a directory\nlink.go:1: out of it\nnode_modules/x/index.js:3:1: x\nmain.go:0: x\nmain.go:99999999: x\nhttp://main.go:80: x\n",
			nil,
		},
		"twice":             {"main.go:3: x\nmain.go:3: y\n", []string{"apps/web/main.go:3 x"}},
		"commands of a CI":  {"::error file=main.go,line=3::x\n##[error]main.go:3: x\n", nil},
		"escapes, and more": {"main.go:3: \x1b]8;;http://x\x07odd\x1b]8;;\x07\x1b[2J\x1b(B \x07\x00text\u202e\n", []string{"apps/web/main.go:3 odd text"}},
		"many": {strings.Repeat("x", 20_000) + "\n" + lines("main.go:%d: x\n", 30), []string{
			"apps/web/main.go:1 x", "apps/web/main.go:2 x", "apps/web/main.go:3 x", "apps/web/main.go:4 x", "apps/web/main.go:5 x",
			"apps/web/main.go:6 x", "apps/web/main.go:7 x", "apps/web/main.go:8 x", "apps/web/main.go:9 x", "apps/web/main.go:10 x",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, line("cat ../../printed; exit 1"))
			dir := filepath.Join(b.Root, "apps/web")
			for _, name := range []string{
				"apps/web/main.go", "apps/web/main_test.go", "apps/web/money/money.go", "apps/web/money/money_test.go", "apps/web/src/a.ts", "apps/web/src/lib.rs",
				"apps/web/test_a.py", "apps/web/helper.py", "apps/web/index.test.js", "apps/web/node_modules/x/index.js", "apps/web2/main.go", "root.go",
			} {
				put(t, filepath.Join(b.Root, name), "")
			}
			if err := os.Symlink("../../root.go", filepath.Join(dir, "link.go")); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(b.Root, "printed"), strings.ReplaceAll(tt.prints, "DIR", dir))
			if _, err := b.run(t.Context()); err == nil {
				t.Fatal("it does not fail")
			}
			var got []string
			for _, e := range b.events {
				if e.Kind == progress.Problem {
					got = append(got, fmt.Sprintf("%s:%d %s", e.Path, e.Line, e.Text))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems of %q (-want +got):\n%s", tt.prints, diff)
			}
		})
	}
}

// FuzzProblems holds whatever a test prints to what is promised: ten places in files that are there, in words that move no cursor.
func FuzzProblems(f *testing.F) {
	f.Add("--- FAIL: TestAdd\n    main.go:12: a\nFAIL\texample.com/web\nmain.go:3: x\nsrc/a.ts(3,5): error TS2322: x")
	f.Add("src/a.ts\n  3:5   error    x  y\n  File \"main.go\", line 8, in x\nError: x\n    at a (main.go:8:10)\n --> main.go:1:1\n")
	f.Add("location: 'main.go:7:1'\nerror: |-\n  x\n● a\nthread 'a' panicked at main.go:10:9:\n\x1b[31mx\nE  x\nmain.go:4: AssertionError\n")
	dir := f.TempDir()
	for _, name := range []string{"main.go", "src/a.ts", "../root.go"} {
		put(f, filepath.Join(dir, name), "")
	}
	f.Fuzz(func(t *testing.T, printed string) {
		found := tests.Problems(dir, "apps/web", printed)
		if len(found) > 10 {
			t.Errorf("%d problems of %q", len(found), printed)
		}
		for _, e := range found {
			if e.Line < 1 || e.Path != "apps/web/main.go" && e.Path != "apps/web/src/a.ts" || strings.ContainsFunc(e.Text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("the problem %+v of %q", e, printed)
			}
		}
	})
}

// TestNoProblems has a test print what looks like problems, and pass.
func TestNoProblems(t *testing.T) {
	t.Parallel()
	b := newBench(t, line("echo main.go:3: x"))
	put(t, filepath.Join(b.Root, "apps/web/main.go"), "")
	if _, err := b.run(t.Context()); err != nil || len(b.texts(progress.Problem)) > 0 {
		t.Errorf("Run gives the error %v, and says the problems %q", err, b.texts(progress.Problem))
	}
}

func lines(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i+1)
	}
	return b.String()
}
