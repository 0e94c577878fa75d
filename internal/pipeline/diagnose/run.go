package diagnose

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/process"
)

// grace is how long a program has to end by itself when its time is over.
const grace = time.Second

// maxOutput is how much of a program's output is read.
const maxOutput = 1 << 20

// ask runs a program for what it prints. An error is what it complains of.
func ask(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C") // its words are read
	process.Group(cmd)
	cmd.Cancel = func() error { process.Kill(cmd.Process); return nil } // they only look at something
	cmd.WaitDelay = grace
	var out, complaints limited
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	text := strings.TrimSpace(out.String())
	if err == nil {
		return text, nil
	}
	if ctx.Err() != nil {
		return text, errors.New(name + " did not end")
	}
	said := strings.TrimSpace(complaints.String())
	if said == "" {
		said = err.Error()
	}
	if said, _, _ = strings.Cut(said, "\n"); len(said) > 300 {
		said = said[:300]
	}
	return text, errors.New(name + ": " + said)
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if left := maxOutput - l.Len(); left > 0 {
		_, _ = l.Buffer.Write(p[:min(left, len(p))]) // a buffer takes all
	}
	return len(p), nil
}
