package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

const (
	// The first and the longest wait between two questions how far a check is.
	fsckFirstWait = 100 * time.Millisecond
	fsckLastWait  = 2 * time.Second
	// fsckSayEvery is how often it is said how far a check is.
	fsckSayEvery = 10 * time.Second
)

func (p *program) fsckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check that everything stored is there and whole, and repair what can be",
		Long: "Fsck has a running Berth read everything that it has stored and compare it with its digests. It finds layers whose\n" +
			"bytes are lost or wrong, images that lack something, and bytes that belong to nothing. With --repair, damaged\n" +
			"layers are marked, so that the next push of one sends its bytes again, and old bytes that belong to nothing go.\n" +
			"The server does the work, also when this command ends: with --detach it goes on, otherwise an interrupt stops it.\n\n" +
			"The exit code is 0 when all is well, 3 when something was found that is not repaired, and 1 when the check could\n" +
			"not read everything and found nothing.",
		Example: "berth fsck\nberth fsck --quick\nberth fsck --repair --rate 50MiB\nberth fsck --last",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.fsck(cmd) },
	}
	flags := cmd.Flags()
	flags.Bool("repair", false, "do what can be done about what is found")
	flags.Bool("quick", false, "compare sizes only, and read nothing")
	flags.String("rate", "0", "how many bytes a second to read at most, such as 50MiB; 0: no limit")
	flags.Bool("detach", false, "start the check and do not wait for it")
	flags.Bool("last", false, "start nothing: show what the last check and the last scrub found, or how far they are")
	flags.String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
	addOutput(cmd)
	return cmd
}

// fsckFlags are what is asked of a check.
type fsckFlags struct {
	platform.CheckOrder
	detach, last bool
}

func readFsckFlags(cmd *cobra.Command) (f fsckFlags, err error) {
	for name, to := range map[string]*bool{"repair": &f.Repair, "quick": &f.Quick, "detach": &f.detach, "last": &f.last} {
		if *to, err = cmd.Flags().GetBool(name); err != nil {
			return f, err
		}
	}
	rate, err := cmd.Flags().GetString("rate")
	if err != nil {
		return f, err
	}
	if f.BytesPerSecond, err = config.ParseBytes(rate); err != nil {
		return f, usageError{fmt.Errorf("--rate: %w", err), ""}
	}
	if f.last && (f.Repair || f.Quick || f.detach || f.BytesPerSecond != 0) {
		return f, usageError{errors.New("--last starts no check, so no other flag says how"), ""}
	}
	return f, checkOutput(cmd)
}

func (p *program) fsck(cmd *cobra.Command) error {
	flags, err := readFsckFlags(cmd)
	if err != nil {
		return err
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	if flags.last {
		return p.fsckLast(cmd, client)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	started, err := client.StartCheck(ctx, flags.CheckOrder)
	if platform.Refused(err, "CheckInProgressException") {
		return hintedError{fmt.Errorf("starting a check: %w", err), "how far it is: " + p.name + " fsck --last"}
	}
	if err != nil {
		return fmt.Errorf("starting a check: %w", err)
	}
	if flags.detach {
		p.say("check %s goes on in the server; what it finds is shown by: %s fsck --last", started.ID, p.name)
		if output, err := cmd.Flags().GetString("output"); output == "text" || err != nil {
			return err
		}
		return p.print(cmd, started, nil)
	}
	if err := p.followCheck(ctx, client, started); err != nil {
		return err
	}
	done, err := client.CheckReport(cmd.Context(), started.ID, false)
	if err != nil {
		return fmt.Errorf("asking what check %s found: %w", started.ID, err)
	}
	if err := p.print(cmd, done, func(w io.Writer) error { return writeCheck(w, done) }); err != nil {
		return err
	}
	return p.checkError(done)
}

// followCheck waits for the end of a check, and stops it when ctx ends before.
func (p *program) followCheck(ctx context.Context, client *platform.Client, c platform.Check) error {
	said, wait := p.now(), fsckFirstWait
	for c.Status == "RUNNING" {
		timer := time.NewTimer(wait)
		wait = min(2*wait, fsckLastWait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		now, err := client.CheckProgress(ctx, c.ID)
		if ctx.Err() != nil {
			if _, err := client.StopCheck(context.WithoutCancel(ctx), c.ID); err != nil && !platform.Refused(err, "CheckEndedException") {
				return fmt.Errorf("stopping check %s: %w", c.ID, err)
			}
			return hintedError{fmt.Errorf("check %s was stopped", c.ID), "what it found until then: " + p.name + " fsck --last"}
		}
		if err != nil {
			return hintedError{fmt.Errorf("asking how far check %s is: %w", c.ID, err), "it goes on in the server; see: " + p.name + " fsck --last"}
		}
		if c = now; p.now().Sub(said) >= fsckSayEvery {
			said = p.now()
			p.say("%s", checkProgress(c))
		}
	}
	return nil
}

// fsckLast shows the newest checks.
func (p *program) fsckLast(cmd *cobra.Command, client *platform.Client) error {
	checks := []platform.Check{}
	for _, scrub := range []bool{false, true} {
		c, err := client.CheckReport(cmd.Context(), "", scrub)
		if platform.Refused(err, "CheckNotFoundException") {
			continue
		}
		if err != nil {
			return fmt.Errorf("asking for the last check: %w", err)
		}
		checks = append(checks, c)
	}
	if err := p.print(cmd, checks, func(w io.Writer) error {
		if len(checks) == 0 {
			p.say("nothing was checked yet")
		}
		for _, c := range checks {
			if err := writeCheck(w, c); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for _, c := range checks {
		if err := p.checkError(c); err != nil {
			return err
		}
	}
	return nil
}

// checkError says what a check came to, if it is not well.
func (p *program) checkError(c platform.Check) error {
	switch open := c.Problems - c.Repaired; {
	case open > 0:
		hint := p.name + " fsck --repair has the next push of a damaged layer heal it"
		if c.Repair || c.Scrub { // both have marked what they could
			hint = "push the images that need what is damaged again"
		}
		found := foundError{fmt.Errorf("%s %s found %s that %s not repaired", checkName(c), c.ID, plural(int(open), "problem", "problems"), isOrAre(open))}
		return hintedError{found, hint + "; what each kind needs: docs/operate/integrity.md"}
	case c.Status == "INCOMPLETE":
		return fmt.Errorf("%s %s is incomplete: %s", checkName(c), c.ID, c.Reason)
	case c.Status == "STOPPED":
		return fmt.Errorf("%s %s was stopped", checkName(c), c.ID)
	}
	return nil
}

func isOrAre(n int64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func checkName(c platform.Check) string {
	if c.Scrub {
		return "scrub"
	}
	return "check"
}

func checkProgress(c platform.Check) string {
	switch c.Phase {
	case "BLOBS":
		return fmt.Sprintf("%d of %d blobs, %s of %s", c.CheckedBlobs, c.TotalBlobs, size(c.CheckedBytes), size(c.TotalBytes))
	case "IMAGES":
		return plural(int(c.CheckedImages), "image", "images")
	default:
		return plural(int(c.CheckedObjects), "object", "objects") + " in the blob store"
	}
}

func writeCheck(w io.Writer, c platform.Check) error {
	if len(c.Findings) > 0 {
		rows := [][]string{{"KIND", "NAME", "SIZE", "DONE", "DETAIL", "NEEDED BY"}}
		for _, f := range c.Findings {
			done := f.Done
			if done == "" {
				done = "-"
			}
			rows = append(rows, []string{f.Kind, f.Name, fmt.Sprint(f.Size), done, f.Detail, strings.Join(f.NeededBy, " ")})
		}
		if err := writeTable(w, rows); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s %s of %s is %s: %s with %s, %s, %s in the blob store; %s, %d repaired\n",
		checkName(c), c.ID, c.StartedAt().Format(time.RFC3339), strings.ToLower(c.Status),
		plural(int(c.CheckedBlobs), "blob", "blobs"), size(c.CheckedBytes), plural(int(c.CheckedImages), "image", "images"),
		plural(int(c.CheckedObjects), "object", "objects"), plural(int(c.Problems), "problem", "problems"), c.Repaired)
	return err
}
