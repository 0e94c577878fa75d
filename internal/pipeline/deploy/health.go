package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/process"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/tests"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

const (
	look        = 10 * time.Second // how long one look may take
	grace       = 10 * time.Second // how long a program has to end when it is asked to
	maxBody     = 64 << 10         // bytes of an answer that are read
	maxSaid     = 200              // characters of an answer, or of what a program prints, that are shown
	maxRedirect = 3
)

// Unhealthy is that what was started did not get healthy in time.
type Unhealthy struct {
	Within time.Duration
	Looks  int
	Last   error // what the last look saw
}

// Error says what the last look saw.
func (e *Unhealthy) Error() string {
	if e.Looks == 1 {
		return fmt.Sprintf("not healthy within %s, after one look: %v", e.Within, e.Last)
	}
	return fmt.Sprintf("not healthy within %s, after %d looks: %v", e.Within, e.Looks, e.Last)
}

// Unwrap gives that.
func (e *Unhealthy) Unwrap() error { return e.Last }

// Healthy makes the check of an image by what berth.yaml says. One that looks at nothing passes: the target's own notion is all there is
// then. A program gets the environment without what proves to others who we are, and where the image runs.
func Healthy(h workspace.Health, of Image, environ []string) Check {
	if h.IsZero() {
		return func(context.Context, Endpoint) error { return nil }
	}
	return func(ctx context.Context, at Endpoint) error {
		var looks []func(context.Context) error
		if h.HTTP != "" {
			address, err := h.HTTP.For(at.Host, at.Port)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrNoAddress, err)
			}
			looks = append(looks, func(ctx context.Context) error { return get(ctx, address, int(h.Status)) })
		}
		if !h.Command.IsZero() {
			given := append(tests.Without(environ), "BERTH_HOST="+at.Host, "BERTH_PORT="+strconv.Itoa(at.Port), "BERTH_CONTAINER="+at.Container,
				"BERTH_APP="+of.App, "BERTH_ENVIRONMENT="+of.Environment, "BERTH_DIGEST="+of.Digest.String())
			looks = append(looks, func(ctx context.Context) error { return execute(ctx, h.Command, given) })
		}
		return untilHealthy(ctx, h, looks)
	}
}

// untilHealthy looks until it was healthy as often in a row as it must, or the time is over.
func untilHealthy(ctx context.Context, h workspace.Health, looks []func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, time.Duration(h.Timeout))
	defer cancel()
	last := errors.New("there was no time to look")
	row := 0
	for n := 0; ; n++ {
		err := once(within, looks)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			if row++; row >= int(h.Successes) {
				return nil
			}
			last = fmt.Errorf("it was healthy %d times in a row, and must be %d times", row, h.Successes)
		case within.Err() != nil && n > 0: // the time was over while it looked: what it saw before says more
		default:
			last, row = err, 0
		}
		timer := time.NewTimer(time.Duration(h.Interval))
		select {
		case <-timer.C:
		case <-within.Done():
			timer.Stop()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &Unhealthy{time.Duration(h.Timeout), n + 1, last}
		}
	}
}

// once looks at all there is to look at.
func once(ctx context.Context, looks []func(context.Context) error) error {
	for _, l := range looks {
		ctx, cancel := context.WithTimeout(ctx, look)
		err := l(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// get asks for an answer with a status. It goes where the same server sends it, and nowhere else.
func get(ctx context.Context, address string, status int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("GET %s: %w", address, err)
	}
	req.Header.Set("User-Agent", "berth")
	transport := &http.Transport{DisableKeepAlives: true} // each look is a new one, at the place itself and not by a proxy
	client := &http.Client{Transport: transport, CheckRedirect: func(to *http.Request, via []*http.Request) error {
		if status >= http.StatusMultipleChoices && status < http.StatusBadRequest || !sameServer(to.URL, via[0].URL) || len(via) > maxRedirect {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	res, err := client.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return fmt.Errorf("GET %s: %w", address, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	good := res.StatusCode == status || status == 0 && res.StatusCode >= 200 && res.StatusCode < 300
	switch {
	case good && err != nil:
		return fmt.Errorf("GET %s answers %s, and the rest does not come: %w", address, res.Status, err)
	case good:
		return nil
	}
	said := ""
	if text := clipped(body); text != "" {
		said = ": " + text
	}
	if to := res.Header.Get("Location"); to != "" {
		said = ", and sends to " + clipped([]byte(to))
	}
	return fmt.Errorf("GET %s answers %s%s", address, plan.Printable(res.Status), said)
}

func sameServer(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// clipped is the beginning of a stranger's text, in one line.
func clipped(text []byte) string {
	line := plan.Printable(strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "?")), " "))
	if runes := []rune(line); len(runes) > maxSaid {
		return string(runes[:maxSaid]) + "…"
	}
	return line
}

// execute runs a program, and the end of the context ends with it all that it started.
func execute(ctx context.Context, command workspace.Command, environ []string) error {
	args := command.Args
	if len(args) == 0 {
		args = []string{"sh", "-c", command.Shell}
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // it is what berth.yaml says
	cmd.Env = environ
	var said tail
	cmd.Stdout, cmd.Stderr = &said, &said
	process.Session(cmd)
	cmd.Cancel = func() error { process.Terminate(cmd.Process); return nil }
	cmd.WaitDelay = grace
	err := cmd.Run()
	if cmd.Process != nil {
		process.Kill(cmd.Process)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("it took longer than %s", look)
	}
	if text := clipped(said.kept); text != "" {
		return fmt.Errorf("%s: %w: %s", plan.Printable(command.String()), err, text)
	}
	return fmt.Errorf("%s: %w", plan.Printable(command.String()), err)
}

// tail keeps the end of what a program prints.
type tail struct{ kept []byte }

// Write takes some.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - maxSaid; over > 0 {
		t.kept = slices.Delete(t.kept, 0, over)
	}
	return len(p), nil
}
