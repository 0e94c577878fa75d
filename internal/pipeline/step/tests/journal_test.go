package tests_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/step/tests"
)

// recordIn has this program be a run that records what passes until it is killed: the directory of the journal, and the run's name.
const recordIn = "BERTH_TEST_RECORD_IN"

func TestMain(m *testing.M) {
	if dir, name, ok := strings.Cut(os.Getenv(recordIn), "\n"); ok {
		os.Exit(recordMany(dir, name))
	}
	os.Exit(m.Run())
}

// noon is when everything happens.
var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func key(name string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", name, i))
	return hex.EncodeToString(sum[:])
}

// recordMany says each key that it has recorded. All of twelve runs are fewer than a journal keeps.
func recordMany(dir, name string) int {
	j, note := tests.OpenJournal(dir)
	for i := 0; note == "" && i < 80; i++ {
		if err := j.Record(key(name, i), name, noon); err != nil {
			note = err.Error()
			break
		}
		_, _ = fmt.Fprintln(os.Stdout, key(name, i))
	}
	if note != "" {
		fmt.Fprintln(os.Stderr, note)
		return 1
	}
	return 0
}

// open opens a journal that nothing is wrong with.
func open(t *testing.T, dir string) *tests.Journal {
	t.Helper()
	j, note := tests.OpenJournal(dir)
	if note != "" {
		t.Fatalf("OpenJournal says %q", note)
	}
	return j
}

func TestJournal(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "git", "berth")
	j := open(t, dir)
	if j.Passed(key("a", 1)) || j.Passed("") {
		t.Error("a test passed that nobody ran")
	}
	if err := j.Record(key("a", 1), "money", noon); err != nil {
		t.Fatal(err)
	}
	for name, j := range map[string]*tests.Journal{"the one that recorded it": j, "another": open(t, dir)} {
		if !j.Passed(key("a", 1)) || j.Passed(key("a", 2)) || j.Passed(strings.ToUpper(key("a", 1))) {
			t.Errorf("%s does not know what passed", name)
		}
	}
	for _, wrong := range []string{"", "..", "../../x", "a/b", "xyz", "ABC", "a\n", strings.Repeat("a", 129)} {
		if err := j.Record(wrong, "money", noon); err == nil || j.Passed(wrong) {
			t.Errorf("the key %q is taken", wrong)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the directory has %v, %v, want the journal and its lock", entries, err)
	}
}

// TestOldestAreForgotten records more than are kept, in an order that is not that of their times.
func TestOldestAreForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString(`{"version":1,"passed":{`)
	for i := range 1000 {
		fmt.Fprintf(&b, `"%s":{"project":"p","at":%q},`, key("p", i), noon.Add(time.Duration(i)*time.Minute).Format(time.RFC3339))
	}
	put(t, filepath.Join(dir, "tests.json"), strings.TrimSuffix(b.String(), ",")+"}}")
	j := open(t, dir)
	if err := j.Record(key("new", 0), "p", noon.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := j.Record(key("old", 0), "p", noon.Add(-time.Hour)); err != nil { // of a clock that is late
		t.Fatal(err)
	}
	again := open(t, dir)
	if !again.Passed(key("new", 0)) || again.Passed(key("p", 0)) || !again.Passed(key("p", 1)) || again.Passed(key("old", 0)) {
		t.Error("others than the oldest are forgotten")
	}
	if !j.Passed(key("old", 0)) {
		t.Error("a run forgets what it recorded itself")
	}
}

// TestDamaged has files that are no journals. Each is said, and gives way to a good one.
func TestDamaged(t *testing.T) {
	t.Parallel()
	good := key("good", 0)
	for name, tt := range map[string]struct {
		text string
		says string
		kept bool // what makes sense in it
	}{
		"empty":           {"", "unexpected end", false},
		"cut off":         {`{"version":1,"passed":{"` + good + `":{"proj`, "unexpected end", false},
		"another thing":   {"<html>", "invalid character", false},
		"another shape":   {`[1,2]`, "cannot unmarshal", false},
		"another version": {`{"version":2,"passed":{}}`, "it is of version 2", false},
		"odd entries":     {`{"version":1,"passed":{"` + good + `":{"project":"p","at":"2026-11-26T12:00:00Z"},"../x":{},"ab":null,"cd":{"at":"noon"},"ef":7}}`, "4 of its entries", true},
		"large":           {strings.Repeat(" ", 5<<20) + "{}", "larger than 4 MiB", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			put(t, filepath.Join(dir, "tests.json"), tt.text)
			put(t, filepath.Join(dir, "tests.json.new"), "left by one that was killed, and longer than what comes now "+strings.Repeat("x", 1000))
			j, note := tests.OpenJournal(dir)
			if !strings.Contains(note, tt.says) || j.Passed(good) != tt.kept || j.Passed("ab") || j.Passed("cd") || j.Passed("ef") {
				t.Errorf("OpenJournal says %q, want %q", note, tt.says)
			}
			if err := j.Record(key("a", 0), "money", noon); err != nil {
				t.Fatal(err)
			}
			if again := open(t, dir); !again.Passed(key("a", 0)) || again.Passed(good) != tt.kept {
				t.Error("what was recorded then is not there")
			}
			text, err := os.ReadFile(filepath.Join(dir, "tests.json"))
			if err != nil || !json.Valid(text) {
				t.Errorf("the file is %.200q, %v", text, err)
			}
		})
	}
}

// TestNoFile has something in the journal's place that cannot be written over.
func TestNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "tests.json", "file"), "")
	j, note := tests.OpenJournal(dir)
	if !strings.Contains(note, "is no file") {
		t.Errorf("OpenJournal says %q", note)
	}
	if err := j.Record(key("a", 0), "money", noon); err == nil || !j.Passed(key("a", 0)) {
		t.Errorf("Record = %v, want an error, and what passed to be known to this run", err)
	}
}

// TestRunsAtOnce has goroutines record in journals of their own, and none lose what another recorded.
func TestRunsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const runs, each = 8, 10
	var wg sync.WaitGroup
	for run := range runs {
		j := open(t, dir)
		for i := range each { // and several of one run at once
			wg.Go(func() {
				if err := j.Record(key(fmt.Sprint(run), i), "p", noon); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	j := open(t, dir)
	for run := range runs {
		for i := range each {
			if !j.Passed(key(fmt.Sprint(run), i)) {
				t.Errorf("what run %d recorded as number %d is lost", run, i)
			}
		}
	}
}

// TestKilled kills processes that record all the time. What each said that it had recorded is there, and the next can go on.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var recorded []string
	var wg sync.WaitGroup
	for run := range 4 {
		for round := range 3 {
			cmd := exec.CommandContext(t.Context(), program)
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s\nrun %d.%d", recordIn, dir, run, round))
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				defer func() { _ = cmd.Wait() }() // it was killed, mostly
				lines := bufio.NewScanner(out)
				for n := 0; lines.Scan(); n++ {
					mu.Lock()
					recorded = append(recorded, lines.Text())
					mu.Unlock()
					if n == 5+run+3*round {
						_ = cmd.Process.Kill() // in the middle of the next one; what it said until then is read to the end
					}
				}
			})
		}
	}
	wg.Wait()
	j := open(t, dir)
	if len(recorded) < 12*5 {
		t.Errorf("%d were recorded, want more", len(recorded))
	}
	for _, key := range recorded {
		if !j.Passed(key) {
			t.Errorf("%s was recorded and is lost, of %d", key, len(recorded))
		}
	}
}

func put(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
