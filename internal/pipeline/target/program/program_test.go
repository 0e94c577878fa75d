//go:build unix

package program_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/target/program"
)

func TestRun(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"true":                                  "",
		"echo one; echo two >&2; exit 3":        "sh ended with 3: two",
		"echo one; exit 4":                      "sh ended with 4: one",
		"exit 5":                                "sh ended with 5",
		"kill -9 $$":                            "sh ended with -1",
		"printf 'a\\033[2J' >&2; exit 1":        `sh ended with 1: "a\x1b[2J"`,
		"printf '::error::x\\n' >&2; exit 1":    `sh ended with 1: "::error::x"`,
		"head -c 100000 /dev/zero; echo; false": "sh ended with 1",
	} {
		var out bytes.Buffer
		got := ""
		if err := (program.Program{Args: []string{"sh", "-c", line}, Env: os.Environ(), Out: &out}).Run(t.Context()); err != nil {
			got = err.Error()
		}
		if got != want && !(strings.HasPrefix(line, "head") && strings.HasPrefix(got, want)) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
		if strings.HasPrefix(line, "echo one; echo two") && out.String() != "one\ntwo\n" && out.String() != "two\none\n" {
			t.Errorf("%s printed %q", line, out.String())
		}
	}
	if err := (program.Program{Args: []string{"no-such-program-here"}}).Run(t.Context()); err == nil {
		t.Error("a program that is not there runs")
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	got, err := program.Program{Args: []string{"sh", "-c", "echo ' answer '; echo complaint >&2"}, Env: os.Environ(), Out: &out}.Ask(t.Context())
	if err != nil || got != "answer" || out.String() != "complaint\n" {
		t.Errorf("Ask gives %q, %v, and printed %q", got, err, out.String())
	}
}

// lineOnce is told the first line that is written.
type lineOnce struct {
	once sync.Once
	line chan string
}

func (l *lineOnce) Write(p []byte) (int, error) {
	l.once.Do(func() { l.line <- strings.TrimSpace(string(p)) })
	return len(p), nil
}

// TestTheWholeGroupEnds ends a program that has started another, and that does not listen.
func TestTheWholeGroupEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	out, why := &lineOnce{line: make(chan string, 1)}, errors.New("enough")
	done := make(chan error)
	go func() {
		done <- program.Program{Args: []string{"sh", "-c", "sleep 1000 & echo $!; wait"}, Env: os.Environ(), Out: out}.Run(ctx)
	}()
	child, err := strconv.Atoi(<-out.line)
	if err != nil {
		t.Fatal(err)
	}
	cancel(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("Run gives %v, want %v", err, why)
	}
	// It was told before Run came back, and ends when its turn on a processor comes.
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat")
		if err != nil || strings.Contains(string(text), ") Z ") || syscall.Kill(child, 0) != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("what the program started runs still: %s", text)
		}
	}
}
