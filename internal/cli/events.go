package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

const (
	// eventsShown is how many events are shown where nobody says from where.
	eventsShown = 20
	eventsWait  = 30 * time.Second
	// How long a reader that follows waits before it asks a server again that does not answer.
	eventsRetry, eventsLongest = time.Second, 30 * time.Second
)

func (p *program) eventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happens in a Berth, and follow it",
		Long: "Events lists the latest of what happened: pushes, pulls, deletions, scans, replication, and changes of what is known\n" +
			"of an image. With --follow it goes on until it is stopped. Each event has a number: --after N begins after that one,\n" +
			"so that a program which remembers the last number it saw misses nothing. With --follow and --output json there is a\n" +
			"CloudEvent on each line. It needs berth:ReadEvents, and shows what you may describe the images of.",
		Example: "berth events --repository hoopstat-haus/prod\n" +
			"berth events --kind image.pushed --follow --output json\n" +
			"berth events --after 1043",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.events(cmd) },
	}
	cmd.Flags().String("repository", "", "the events of this repository alone")
	cmd.Flags().StringSlice("kind", nil, "events of this kind alone, such as image.pushed; may be given several times")
	cmd.Flags().Int64("after", -eventsShown, "the number after which to begin; with a minus, how many before the end")
	cmd.Flags().Int("limit", 0, "how many events to show at most; 0: the latest 20, or with --after all")
	cmd.Flags().Bool("follow", false, "go on with what happens from now on")
	cmd.AddCommand(p.eventReceiversCommand())
	for _, c := range append(cmd.Commands(), cmd) {
		c.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
		addOutput(c)
	}
	return cmd
}

// eventList is the JSON output, which is a contract: docs/operate/events.md.
type eventList struct {
	Events []platform.Event `json:"events"`
	Next   int64            `json:"next"`
}

func (p *program) events(cmd *cobra.Command) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	flags := cmd.Flags()
	var q platform.EventQuery
	if err := stringFlags(cmd, map[string]*string{"repository": &q.Repository}); err != nil {
		return err
	}
	limit, err := flags.GetInt("limit")
	if err == nil && limit < 0 {
		err = usageError{fmt.Errorf("--limit: %d is negative", limit), ""}
	}
	if err != nil {
		return err
	}
	if q.Kinds, err = flags.GetStringSlice("kind"); err != nil {
		return err
	}
	if q.After, err = flags.GetInt64("after"); err != nil {
		return err
	}
	follow, err := flags.GetBool("follow")
	if err == nil && follow && flags.Changed("query") {
		err = usageError{errors.New("--query does not go with --follow: there is no end to ask about"), "jq reads a line at a time"}
	}
	if err != nil {
		return err
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if follow && flags.Changed("after") {
		return p.followEvents(ctx, cmd, client, q, limit)
	}
	all, err := p.latestOrAfter(ctx, cmd, client, q, limit)
	if err != nil {
		return eventsError(err)
	}
	if follow {
		form, err := flags.GetString("output")
		if err != nil {
			return err
		}
		for _, e := range all.Events {
			if err := p.printEvent(form, e); err != nil {
				return err
			}
		}
		q.After = all.Next
		return p.followEvents(ctx, cmd, client, q, limit)
	}
	return p.print(cmd, all, func(w io.Writer) error { return writeEvents(w, all.Events) })
}

// latestOrAfter lists what comes after the number that was given, or else the latest of what is asked for.
func (p *program) latestOrAfter(ctx context.Context, cmd *cobra.Command, client *platform.Client, q platform.EventQuery, limit int) (eventList, error) {
	if cmd.Flags().Changed("after") {
		return listEvents(ctx, client, q, limit)
	}
	if q.Repository != "" || len(q.Kinds) > 0 {
		q.After = math.MinInt64 // the oldest: the server looks for the few that are meant
	}
	all, err := listEvents(ctx, client, q, 0)
	shown := eventsShown
	if limit > 0 {
		shown = limit
	}
	all.Events = all.Events[max(0, len(all.Events)-shown):]
	return all, err
}

// listEvents reads up to the end, or to a limit.
func listEvents(ctx context.Context, client *platform.Client, q platform.EventQuery, limit int) (eventList, error) {
	all := eventList{Events: []platform.Event{}}
	for {
		q.Limit = 0
		if limit > 0 {
			q.Limit = min(limit-len(all.Events), 1000)
		}
		page, err := client.Events(ctx, q)
		if err != nil {
			return all, err
		}
		all.Events, all.Next = append(all.Events, page.Events...), page.Next
		if page.Next >= page.Newest || len(all.Events) == limit && limit > 0 {
			return all, nil
		}
		q.After = page.Next
	}
}

// followEvents prints events as they come. A server that does not answer is asked again.
func (p *program) followEvents(ctx context.Context, cmd *cobra.Command, client *platform.Client, q platform.EventQuery, limit int) error {
	form, err := cmd.Flags().GetString("output")
	if err != nil {
		return err
	}
	q.Wait = eventsWait
	for shown, pause := 0, eventsRetry; ; {
		page, err := client.Events(ctx, q)
		if again(err) && ctx.Err() == nil {
			p.say("%v: asking again in %s", err, pause)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, eventsLongest)
		} else if err == nil {
			pause = eventsRetry
		}
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was stopped
		case again(err):
			continue
		case err != nil:
			return eventsError(err)
		}
		for _, e := range page.Events {
			if err := p.printEvent(form, e); err != nil {
				return err
			}
			if shown++; shown == limit {
				return nil
			}
		}
		q.After = page.Next
	}
}

func (p *program) printEvent(form string, e platform.Event) error {
	if form != "json" {
		return writeEvents(p.stdout, []platform.Event{e})
	}
	if err := json.NewEncoder(p.stdout).Encode(e); err != nil {
		return fmt.Errorf("writing event %s: %w", e.Sequence, err)
	}
	return nil
}

// again tells whether an error may pass: the network's, and those of a server that is busy or starts anew.
func again(err error) bool {
	if err == nil {
		return false
	}
	refused, ok := errors.AsType[*platform.Error](err)
	if !ok {
		_, usage := errors.AsType[usageError](err)
		return !usage && !errors.Is(err, platform.ErrNoCredentials)
	}
	return refused.Busy()
}

// eventsError tells a reader whose cursor is gone what to do.
func eventsError(err error) error {
	refused, ok := errors.AsType[*platform.Error](err)
	if ok && refused.Gone() {
		return hintedError{fmt.Errorf("reading events: %w", err), "begin with --after=-1, and look at everything that events were to tell of"}
	}
	return fmt.Errorf("reading events: %w", err)
}

// writeEvents writes a line for each event.
func writeEvents(w io.Writer, all []platform.Event) error {
	for _, e := range all {
		number := strings.TrimLeft(e.Sequence, "0")
		line := fmt.Sprintf("%8s  %s  %-20s  %s", plan.Printable(number), e.Time.UTC().Format(time.DateTime), plan.Printable(e.Kind()), plan.Printable(e.Subject))
		if more := eventWords(e.Data.Detail); more != "" {
			line += "  " + more
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// eventWords picks what a line has room for.
func eventWords(detail map[string]any) string {
	var words []string
	for _, name := range []string{
		"image-tag", "scan-status", "sync-status", "target-storage-class", "destination-region", "failure-code", "pull-count", "event-count", "principal-arn", "reason",
	} {
		switch v := detail[name].(type) {
		case string:
			if v != "" {
				words = append(words, name+"="+plan.Printable(v))
			}
		case float64:
			words = append(words, name+"="+strconv.FormatFloat(v, 'f', -1, 64))
		}
	}
	return strings.Join(words, " ")
}

func (p *program) eventReceiversCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "receivers",
		Short: "Show how far the receivers of webhooks are",
		Long: "Receivers lists the webhooks that events are posted to: how many events each is behind, which repositories are late\n" +
			"because it did not take theirs, and what it refused for good. It needs berth:DescribeEventReceivers.",
		Example: "berth events receivers",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.eventReceivers(cmd) },
	}
}

func (p *program) eventReceivers(cmd *cobra.Command) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	all, err := client.EventReceivers(cmd.Context())
	if err != nil {
		return fmt.Errorf("reading receivers: %w", err)
	}
	return p.print(cmd, all, func(w io.Writer) error {
		rows := [][]string{{"NAME", "BEHIND", "SENT", "LATE", "SET ASIDE", "MISSED", "LAST FAILURE"}}
		count := func(n int64) string { return strconv.FormatInt(n, 10) }
		for _, r := range all.Receivers {
			failure := ""
			if r.FailedAt != nil {
				failure = r.FailedAt.UTC().Format(time.DateTime) + " " + plan.Printable(r.Failure)
			}
			rows = append(rows, []string{
				plan.Printable(r.Name), count(r.Behind), count(r.Sent), count(r.LateCount), count(r.SetAsideSize), count(r.Missed), failure,
			})
		}
		return writeTable(w, rows)
	})
}
