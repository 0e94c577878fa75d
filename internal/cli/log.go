package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

const (
	// followPoll is how often --follow asks again.
	followPoll = 2 * time.Second
	// followOverlap is how far back it asks each time: a record is found about a second after its request was answered, another replica's perhaps later.
	followOverlap = 15 * time.Second
	// followSkew is how far this machine's clock may be ahead of the server's, by which records are selected.
	followSkew = 10 * time.Minute
)

func (p *program) logCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show who did what to which image, from where, and whether it was allowed",
		Long: "Log searches the log of a running Berth, newest first: every call of an API, every push and pull, with who asked\n" +
			"and how they proved it, and by which statement they were allowed or denied. JSON has the records whole, in\n" +
			"CloudTrail's format.",
		Example: "berth log --image hoopstat-haus/prod:web-latest --since 7d\n" +
			"berth log --principal github-actions --denied\n" +
			"berth log --repository hoopstat-haus/prod --operation PutImage --output json\n" +
			"berth log --follow",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.log(cmd) },
	}
	flags := cmd.Flags()
	flags.String("image", "", "what was done to an image: REPOSITORY:TAG, REPOSITORY@DIGEST, or a digest anywhere")
	flags.String("repository", "", "what was done in a repository")
	flags.String("principal", "", "what somebody did: an ARN, or the name of a user, of a role, or of whom a web identity stands for; anonymous for nobody")
	flags.String("operation", "", "one operation, like PutImage or BatchGetImage")
	flags.String("access-key-id", "", "what was done with an access key")
	flags.String("request-id", "", "one request")
	flags.Bool("denied", false, "only what was refused for lack of permission, or of good credentials")
	flags.String("since", "", "from when on: "+momentForms)
	flags.String("until", "", "until when, written like --since")
	flags.Int("limit", 50, "how many to show, 0 for all")
	flags.Bool("follow", false, "go on with what comes, oldest first, until it is stopped; JSON is then a record a line")
	flags.String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
	addOutput(cmd)
	cmd.AddCommand(p.logVerifyCommand(), p.logCheckpointCommand())
	return cmd
}

func (p *program) log(cmd *cobra.Command) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	q, err := p.logQuery(cmd)
	if err != nil {
		return err
	}
	follow, err := cmd.Flags().GetBool("follow")
	if err != nil {
		return err
	}
	if follow && (!q.Until.IsZero() || cmd.Flags().Changed("query")) {
		return usageError{errors.New("--follow goes with neither --until nor --query"), ""}
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	if follow {
		return p.followLog(cmd, client, q)
	}
	records := []json.RawMessage{}
	err = client.Log(cmd.Context(), q, func(r json.RawMessage) error {
		records = append(records, r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("searching the log: %w", err)
	}
	if err := p.print(cmd, records, func(w io.Writer) error { return writeLog(w, records) }); err != nil {
		return err
	}
	if len(records) == q.Limit {
		p.say("the newest %d; --limit 0 shows all, --since and --until bound them", q.Limit)
	}
	return nil
}

// logQuery reads the flags.
func (p *program) logQuery(cmd *cobra.Command) (q platform.LogQuery, err error) {
	flags := cmd.Flags()
	text := func(name string) string {
		v, e := flags.GetString(name)
		err = cmp.Or(err, e)
		return v
	}
	q = platform.LogQuery{
		Repository: text("repository"), Principal: text("principal"), Operation: text("operation"), AccessKeyID: text("access-key-id"), RequestID: text("request-id"),
	}
	image, since, until := text("image"), text("since"), text("until")
	if err != nil {
		return q, err
	}
	if q.Denied, err = flags.GetBool("denied"); err != nil {
		return q, err
	}
	if q.Limit, err = flags.GetInt("limit"); err != nil {
		return q, err
	}
	if q.Limit < 0 {
		return q, usageError{fmt.Errorf("--limit: %d is no number of records", q.Limit), ""}
	}
	if q.Since, err = p.moment("since", since); err != nil {
		return q, err
	}
	if q.Until, err = p.moment("until", until); err != nil {
		return q, err
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return q, usageError{errors.New("--since is not before --until"), ""}
	}
	if q.Repository != "" {
		if err := workspace.CheckRepository(q.Repository); err != nil {
			return q, usageError{err, "a repository is written like hoopstat-haus/prod"}
		}
	}
	return q, p.logImage(&q, image)
}

// logImage reads --image.
func (p *program) logImage(q *platform.LogQuery, image string) error {
	if image == "" {
		return nil
	}
	if strings.HasPrefix(image, "sha256:") || strings.HasPrefix(image, "sha512:") {
		q.Digest = image
		return nil
	}
	name, err := p.imageName(image)
	if err != nil {
		return err
	}
	if q.Repository != "" && q.Repository != name.Repository {
		return usageError{fmt.Errorf("--image is of %s, --repository is %s", name.Repository, q.Repository), ""}
	}
	q.Repository, q.Tag, q.Digest = name.Repository, name.Tag, name.Digest.String()
	if q.Digest != "" {
		q.Tag = ""
	}
	return nil
}

// followLog shows what there is, and then what comes, until it is stopped.
func (p *program) followLog(cmd *cobra.Command, client *platform.Client, q platform.LogQuery) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	form, err := cmd.Flags().GetString("output")
	if err != nil {
		return err
	}
	seen := map[string]time.Time{}
	from := q.Since
	var newest time.Time
	for {
		var records []json.RawMessage
		asked := p.now()
		err := client.Log(ctx, q, func(r json.RawMessage) error {
			records = append(records, r)
			return nil
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("searching the log: %w", err)
		}
		slices.Reverse(records)
		for i, r := range records {
			one, err := readLogged(r)
			if err != nil {
				return err
			}
			if i == 0 && q.Limit > 0 && len(records) == q.Limit {
				from = one.EventTime // what is older was not asked for
			}
			if one.EventTime.After(newest) {
				newest = one.EventTime
			}
			if _, known := seen[one.EventID]; known {
				continue
			}
			seen[one.EventID] = one.EventTime
			if err := p.printLogged(form, r, one); err != nil {
				return err
			}
		}
		// From now on all that comes, however much.
		q.Since, q.Limit = followFrom(asked, newest, from), 0
		for id, at := range seen {
			if at.Before(q.Since.Add(-time.Second)) { // their times are whole seconds
				delete(seen, id)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPoll):
		}
	}
}

// followFrom is from when on to ask next: from a little before the newest record, so that it is the server's clock that counts, and not from long ago
// where there has been none.
func followFrom(asked, newest, from time.Time) time.Time {
	since := asked.Add(-followSkew)
	if newest.After(since) {
		since = newest
		if asked.Before(since) {
			since = asked
		}
	}
	if since = since.Add(-followOverlap); since.Before(from) {
		return from
	}
	return since
}

func (p *program) printLogged(form string, record json.RawMessage, one logged) error {
	if form == "json" {
		_, err := fmt.Fprintf(p.stdout, "%s\n", record)
		return err
	}
	_, err := fmt.Fprintln(p.stdout, strings.Join(one.row(), "  "))
	return err
}
