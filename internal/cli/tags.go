package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) tagsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tags",
		Short:   "Look at image tags",
		Example: "berth tags history hoopstat-haus/prod example-calculator-app-latest",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.tagHistoryCommand())
	return cmd
}

func (p *program) tagHistoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history REPOSITORY TAG",
		Short: "Show when a tag was moved or deleted, from where to where, and by whom",
		Long: "History shows what happened to a tag, newest first: when it was set, moved or deleted, from which image\n" +
			"to which, and by whom. It asks a running Berth with the credentials that the AWS CLI would use, so the\n" +
			"environment of \"berth env\" will do. Text shortens digests; JSON has them whole.",
		Example: "berth tags history hoopstat-haus/prod example-calculator-app-latest\n" +
			"berth tags history hoopstat-haus/prod example-calculator-app-latest --limit 1 --output json",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.tagHistory(cmd, args[0], args[1])
		},
	}
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
	cmd.Flags().Int("limit", 50, "how many changes to show, 0 for all")
	addOutput(cmd)
	return cmd
}

// tagChange is an entry of the JSON output, which is a contract: docs/api/berth.md.
type tagChange struct {
	ChangedAt  time.Time `json:"changedAt"`
	ImageTag   string    `json:"imageTag"`
	FromDigest string    `json:"fromDigest,omitempty"`
	ToDigest   string    `json:"toDigest,omitempty"`
	Actor      string    `json:"actor"`
}

func (p *program) tagHistory(cmd *cobra.Command, repository, tag string) error {
	at, err := cmd.Flags().GetString("url")
	if err != nil {
		return err
	}
	limit, err := cmd.Flags().GetInt("limit")
	if err != nil {
		return err
	}
	if limit < 0 {
		return usageError{fmt.Errorf("--limit: %d is negative", limit), ""}
	}
	client, err := platform.New(cmd.Context(), platform.Config{URL: at, Now: p.now})
	if errors.Is(err, platform.ErrNoEndpoint) {
		return usageError{err, `type: eval "$(` + p.name + ` env)", or give --url`}
	}
	if err != nil {
		return err
	}
	history, err := client.TagHistory(cmd.Context(), repository, tag, limit)
	if err != nil {
		return fmt.Errorf("asking for the history of %s:%s: %w", repository, tag, err)
	}
	changes := []tagChange{}
	for _, c := range history {
		changes = append(changes, tagChange{c.At, c.Tag, c.From, c.To, c.Actor})
	}
	return p.print(cmd, changes, func(w io.Writer) error {
		if len(changes) == 0 {
			p.say("%s has never had a tag %s", repository, tag)
			return nil
		}
		return writeHistory(w, changes)
	})
}

func writeHistory(w io.Writer, changes []tagChange) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(table, "CHANGED\tFROM\tTO\tBY"); err != nil {
		return err
	}
	for _, c := range changes {
		from, to := short(c.FromDigest), short(c.ToDigest)
		if from == "" {
			from = "(new)"
		}
		if to == "" {
			to = "(deleted)"
		}
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.ChangedAt.Format(time.RFC3339), from, to, c.Actor); err != nil {
			return err
		}
	}
	return table.Flush()
}

// short gives the algorithm and the first 12 digits, as docker does for image ids.
func short(digest string) string {
	algorithm, hex, ok := strings.Cut(digest, ":")
	if !ok || len(hex) <= 12 {
		return digest
	}
	return algorithm + ":" + hex[:12]
}
