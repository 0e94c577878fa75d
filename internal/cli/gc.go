package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// gcPoll is how often a command that awaits the sweep asks how far it is.
const gcPoll = time.Second

func (p *program) gcCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove what nothing needs any more, and find out what that is",
		Long: "Gc has a running Berth begin at once with what is due to be removed, and waits until nothing is. Berth does so\n" +
			"by itself within seconds; what is kept for a time, such as images in the trash, is not due before that time.",
		Example: "berth gc\nberth gc --dry-run --output json\nberth gc explain sha256:8f14…\nberth gc pause",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.gc(cmd) },
	}
	cmd.Flags().Bool("dry-run", false, "only show what would be removed now, and what will be due later")
	cmd.Flags().Int("limit", 50, "with --dry-run: how many blobs to list, 0 for all")
	cmd.AddCommand(p.gcStatusCommand(), p.gcExplainCommand(), p.gcPauseCommand(), p.gcResumeCommand())
	for _, c := range append(cmd.Commands(), cmd) {
		c.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
		addOutput(c)
	}
	return cmd
}

func (p *program) gc(cmd *cobra.Command) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	dry, err := cmd.Flags().GetBool("dry-run")
	if err != nil {
		return err
	}
	if !dry && cmd.Flags().Changed("limit") {
		return usageError{errors.New("--limit goes with --dry-run"), ""}
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	if dry {
		return p.gcDryRun(cmd, client)
	}
	st, err := p.awaitSweep(cmd.Context(), client)
	if err != nil {
		return fmt.Errorf("collecting garbage: %w", err)
	}
	return p.print(cmd, st, func(w io.Writer) error { return writeGarbage(w, st) })
}

// awaitSweep waits until nothing is due. On a terminal it says how far the sweep is on one line that changes, elsewhere
// on a line now and then.
func (p *program) awaitSweep(ctx context.Context, client *platform.Client) (platform.Garbage, error) {
	st, err := client.StartGarbage(ctx)
	terminal := isTerminal(p.stderr)
	every := 10 // polls between plain lines
	for polls := 0; err == nil && st.Due() > 0; polls++ {
		if st.PausedBy != "" {
			return st, hintedError{fmt.Errorf("%d things are due, and %s has paused the garbage collector", st.Due(), st.PausedBy), p.name + " gc resume"}
		}
		switch line := progressLine(st); {
		case terminal:
			fmt.Fprintf(p.stderr, "\r\x1b[Kberth: %s", line)
		case polls%every == 0:
			p.say("%s", line)
		}
		timer := time.NewTimer(gcPoll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return st, ctx.Err()
		case <-timer.C:
		}
		st, err = client.GarbageStatus(ctx)
	}
	if terminal {
		fmt.Fprint(p.stderr, "\r\x1b[K")
	}
	return st, err
}

func progressLine(st platform.Garbage) string {
	line := fmt.Sprintf("%d things are due", st.Due())
	if st.ThingsPerSecond > 0 && st.RemainingSeconds != nil && *st.RemainingSeconds > 0 {
		line += fmt.Sprintf(", %.0f go each second: %s to go", st.ThingsPerSecond, time.Duration(*st.RemainingSeconds)*time.Second)
	}
	return line
}

// isTerminal tells whether somebody watches.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isCharDevice(f)
}

// isCharDevice tells whether a file is a terminal, as far as that can be told without asking the kernel for more: /dev/null, which
// cron and systemd hand to what they run, is a device of the same sort.
func isCharDevice(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

func (p *program) gcDryRun(cmd *cobra.Command, client *platform.Client) error {
	limit, err := cmd.Flags().GetInt("limit")
	if err != nil {
		return err
	}
	if limit < 0 {
		return usageError{fmt.Errorf("--limit: %d is negative", limit), ""}
	}
	found, err := client.ListGarbage(cmd.Context(), limit)
	if err != nil {
		return fmt.Errorf("asking what would be removed: %w", err)
	}
	return p.print(cmd, found, func(w io.Writer) error {
		if err := writeTable(w, stageRows(found.Stages, false)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "\n%s would go now, %s\n", plural(int(found.FreedThings), "blob", "blobs"), humanBytes(found.FreedBytes))
		for _, b := range found.Blobs {
			if err == nil {
				_, err = fmt.Fprintf(w, "%s  %s\n", b.Digest, humanBytes(b.Size))
			}
		}
		return err
	})
}

func (p *program) gcStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what waits to be removed, and how far the garbage collector is",
		Long: "Status shows what is due now and later in each stage, whether the garbage collector is paused, what failed when it was\n" +
			"last tried, and how far the daily search for bytes is that no row of the database names. What was done is counted by\n" +
			"the server that answers, since it started.",
		Example: "berth gc status\nberth gc status --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := p.platform(cmd)
			if err != nil {
				return err
			}
			st, err := client.GarbageStatus(cmd.Context())
			if err != nil {
				return fmt.Errorf("asking how far the garbage collector is: %w", err)
			}
			return p.print(cmd, st, func(w io.Writer) error { return writeGarbage(w, st) })
		},
	}
}

func writeGarbage(w io.Writer, st platform.Garbage) error {
	err := writeTable(w, stageRows(st.Stages, true))
	say := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	if st.PausedBy != "" {
		say("paused since %s by %s", moment(st.PausedAt), st.PausedBy)
	}
	for _, problem := range st.Problems {
		if problem.Stage == "clock" {
			say("a server leaves everything where it is: %s", plan.Printable(problem.Problem))
			continue
		}
		say("%s failed at %s and is tried again: %s", stageName(problem.Stage), moment(problem.At), plan.Printable(problem.Problem))
	}
	walk := st.Walk
	if walk.Held {
		say("too many things in the blob store have no row (%d of %d, %s): none is removed. Is the database older than the store, or another's?\n"+
			"If they may go: gc resume --strays", walk.FoundThings, walk.SeenThings, humanBytes(walk.FoundBytes))
	}
	switch {
	case walk.BeganAt == nil:
		say("the blob store has not been searched for bytes without a row yet")
	case walk.Part != "":
		say("searching for bytes without a row since %s: %d things seen, %d strays of %s", moment(walk.BeganAt), walk.SeenThings, walk.StrayThings, humanBytes(walk.StrayBytes))
	default:
		say("searched for bytes without a row until %s: %d things seen, %d strays of %s", moment(walk.EndedAt), walk.SeenThings, walk.StrayThings, humanBytes(walk.StrayBytes))
	}
	return err
}

// stageName says in a sentence what it is that failed.
func stageName(stage string) string {
	if stage == "walk" {
		return "the search for bytes without a row"
	}
	return "sweeping " + stage
}

func stageRows(stages []platform.GarbageStage, done bool) [][]string {
	head := []string{"STAGE", "DUE", "BYTES", "LATER", "BYTES", "NEXT"}
	if done {
		head = append(head, "DONE", "BYTES")
	}
	rows := [][]string{head}
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, s := range stages {
		row := []string{s.Stage, count(s.DueThings), humanBytes(s.DueBytes), count(s.LaterThings), humanBytes(s.LaterBytes), moment(s.NextAt)}
		if done {
			row = append(row, count(s.DoneThings), humanBytes(s.DoneBytes))
		}
		rows = append(rows, row)
	}
	return rows
}

func moment(m *platform.Moment) string {
	if m == nil {
		return "-"
	}
	return m.Format(time.RFC3339)
}

func (p *program) gcExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain DIGEST",
		Short: "Tell why a layer or an image is still here",
		Long: "Explain tells what keeps a blob (a layer or config) or an image: images that refer to it, images in the trash that\n" +
			"can be restored, repositories that wait for an image to refer to it, and until when.",
		Example: "berth gc explain sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := p.platform(cmd)
			if err != nil {
				return err
			}
			e, err := client.ExplainDigest(cmd.Context(), args[0])
			if err != nil {
				err = fmt.Errorf("asking what has %s: %w", args[0], err)
				if platform.Refused(err, "InvalidParameterException") {
					err = hintedError{err, "it takes a whole digest, as in docker manifest inspect, or in " + p.name + " images trash REPOSITORY --output json"}
				}
				return err
			}
			return p.print(cmd, e, func(w io.Writer) error {
				for _, r := range e.Reasons {
					if _, err := fmt.Fprintln(w, r); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (p *program) gcPauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "pause",
		Short:   "Stop the garbage collector on all replicas",
		Long:    "Pause stops the garbage collector on all replicas, each after what it is at, until it is resumed. Nothing is lost:\nwhat is due stays so. The disk fills meanwhile.",
		Example: "berth gc pause",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.gcPause(cmd, "pausing", (*platform.Client).PauseGarbage, func(w io.Writer, pause platform.GarbagePause) error {
				_, err := fmt.Fprintf(w, "paused since %s by %s\n", moment(pause.PausedAt), pause.PausedBy)
				return err
			})
		},
	}
}

func (p *program) gcResumeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Let the garbage collector go on",
		Long: "Resume ends the pause of the garbage collector, and tells who had paused it and when. With --strays it instead lets the\n" +
			"next search of the blob store remove bytes that no row of the database names, be they as many as they are.",
		Example: "berth gc resume\nberth gc resume --strays",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.gcResume(cmd) },
	}
	cmd.Flags().Bool("strays", false, "let the next search remove bytes without a row that it held back since they are many")
	return cmd
}

func (p *program) gcResume(cmd *cobra.Command) error {
	strays, err := cmd.Flags().GetBool("strays")
	if err != nil {
		return err
	}
	if strays {
		return p.gcAllowStrays(cmd)
	}
	return p.gcPause(cmd, "resuming", (*platform.Client).ResumeGarbage, func(w io.Writer, pause platform.GarbagePause) error {
		if pause.PausedBy == "" {
			p.say("the garbage collector was not paused")
			return nil
		}
		_, err := fmt.Fprintf(w, "resumed; %s had paused it at %s\n", pause.PausedBy, moment(pause.PausedAt))
		return err
	})
}

func (p *program) gcAllowStrays(cmd *cobra.Command) error {
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	a, err := client.AllowStrays(cmd.Context())
	if err != nil {
		return fmt.Errorf("letting strays be removed: %w", err)
	}
	return p.print(cmd, a, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "the next search removes all bytes without a row; %s said so at %s\n", a.By, moment(a.At))
		return err
	})
}

func (p *program) gcPause(cmd *cobra.Command, doing string, do func(*platform.Client, context.Context) (platform.GarbagePause, error),
	text func(io.Writer, platform.GarbagePause) error,
) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	pause, err := do(client, cmd.Context())
	if err != nil {
		return fmt.Errorf("%s the garbage collector: %w", doing, err)
	}
	return p.print(cmd, pause, func(w io.Writer) error { return text(w, pause) })
}

// humanBytes is size for tables, where JSON has the exact number.
func humanBytes(n int64) string {
	short, _, _ := strings.Cut(size(n), " (")
	return short
}
