package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) notifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "See where notices of alarms and budgets go, and whether they arrive",
		Long: "A Berth tells the targets of its configuration file, in the section targets, when an alarm changes or a budget\n" +
			"is used up: by webhook, by e-mail, in a chat.",
		Example: "berth notify targets\nberth notify test ops\nberth notify list --state failed",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	targets := &cobra.Command{
		Use: "targets", Short: "List the targets", Args: cobra.NoArgs, Example: "berth notify targets",
		RunE: func(cmd *cobra.Command, _ []string) error { return p.notifyTargets(cmd) },
	}
	test := &cobra.Command{
		Use:   "test TARGET",
		Short: "Have a test notice sent, and say what became of it",
		Long: "Test has the server send a notice to a target at once, and prints what became of it. The target is given by its\n" +
			"name, or by the ARN of a topic that stands for it.",
		Example: "berth notify test ops", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.notifyTest(cmd, args[0]) },
	}
	list := &cobra.Command{
		Use: "list", Short: "List notices and what became of them, newest first", Args: cobra.NoArgs, Example: "berth notify list --target ops --state failed",
		RunE: func(cmd *cobra.Command, _ []string) error { return p.notifyList(cmd) },
	}
	list.Flags().String("target", "", "only those to this target")
	list.Flags().String("state", "", "only those that are pending, delivered or failed")
	list.Flags().Int("limit", 50, "how many at most")
	cmd.AddCommand(targets, test, list)
	for _, c := range cmd.Commands() {
		c.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
		addOutput(c)
	}
	return cmd
}

func (p *program) notifyTargets(cmd *cobra.Command) error {
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	targets, err := client.NoticeTargets(cmd.Context())
	if err != nil {
		return fmt.Errorf("asking for the targets: %w", err)
	}
	return p.print(cmd, targets, func(w io.Writer) error {
		if len(targets) == 0 {
			p.say("the server's configuration file has no targets")
			return nil
		}
		rows := [][]string{{"TARGET", "KIND", "WHERE", "TOPICS"}}
		for _, t := range targets {
			rows = append(rows, []string{t.Name, t.Kind, plan.Printable(t.Where), strings.Join(t.Topics, " ")})
		}
		return writeTable(w, rows)
	})
}

func (p *program) notifyTest(cmd *cobra.Command, target string) error {
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	tried, err := client.TestNoticeTarget(cmd.Context(), target)
	if err != nil {
		return fmt.Errorf("trying the target %s: %w", plan.Printable(target), err)
	}
	err = p.print(cmd, tried, func(w io.Writer) error {
		if !tried.Delivered {
			return nil
		}
		_, err := fmt.Fprintf(w, "%s (%s, %s) took a test notice in %v\n", tried.Target.Name, tried.Target.Kind, plan.Printable(tried.Target.Where),
			time.Duration(tried.Took)*time.Millisecond)
		return err
	})
	if err == nil && !tried.Delivered {
		return foundError{errors.New(tried.Target.Name + " (" + tried.Target.Kind + ", " + plan.Printable(tried.Target.Where) + ") did not take a test notice: " + plan.Printable(tried.Problem))}
	}
	return err
}

func (p *program) notifyList(cmd *cobra.Command) error {
	var q platform.NoticeQuery
	var err error
	if q.Target, err = cmd.Flags().GetString("target"); err != nil {
		return err
	}
	if q.State, err = cmd.Flags().GetString("state"); err != nil {
		return err
	}
	limit, err := cmd.Flags().GetInt("limit")
	if err != nil {
		return err
	}
	if limit < 1 {
		return usageError{errors.New("--limit must be at least 1"), ""}
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	notices, err := client.Notices(cmd.Context(), q, limit)
	if err != nil {
		return fmt.Errorf("asking for notices: %w", err)
	}
	return p.print(cmd, notices, func(w io.Writer) error {
		if len(notices) == 0 {
			p.say("there are no such notices of the last 30 days")
			return nil
		}
		rows := [][]string{{"AT", "TARGET", "STATE", "ATTEMPTS", "SUBJECT", "PROBLEM"}}
		for _, n := range notices {
			problem := ""
			if n.Problem != "" {
				problem = plan.Printable(n.Problem)
			}
			rows = append(rows, []string{
				n.CreatedAt().Format(time.RFC3339), plan.Printable(n.Target), n.State, fmt.Sprint(n.Attempts), plan.Printable(n.Subject), problem,
			})
		}
		return writeTable(w, rows)
	})
}
