package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/lifecycle"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) lifecycleGetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get REPOSITORY",
		Short: "Print a repository's lifecycle policy",
		Long:  "Get prints a repository's lifecycle policy as a file that can be edited and put again.",
		Example: "berth lifecycle get hoopstat-haus/prod >policy.json\n" +
			"berth lifecycle preview hoopstat-haus/prod --policy policy.json\n" +
			"berth lifecycle put hoopstat-haus/prod policy.json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.lifecyclePolicy(cmd, "getting", args[0], func(c *lifecycle.Client) (lifecycle.Policy, error) {
				return c.Policy(cmd.Context(), args[0])
			})
		},
	}
}

func (p *program) lifecyclePutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "put REPOSITORY FILE",
		Short: "Set a repository's lifecycle policy, which is then carried out",
		Long: "Put sets a repository's lifecycle policy to that in a file, - for the standard input, and prints what was stored.\n" +
			"It is carried out from then on: see before what it does, with \"berth lifecycle preview --policy FILE\".",
		Example: "berth lifecycle put hoopstat-haus/prod policy.json",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := p.readFile(args[1])
			if err != nil {
				return err
			}
			return p.lifecyclePolicy(cmd, "setting", args[0], func(c *lifecycle.Client) (lifecycle.Policy, error) {
				return c.PutPolicy(cmd.Context(), args[0], text)
			})
		},
	}
}

func (p *program) lifecycleDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "delete REPOSITORY",
		Short:   "Take a repository's lifecycle policy away",
		Long:    "Delete takes a repository's lifecycle policy away, and prints what it was. No images are deleted.",
		Example: "berth lifecycle delete hoopstat-haus/prod",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.lifecyclePolicy(cmd, "deleting", args[0], func(c *lifecycle.Client) (lifecycle.Policy, error) {
				return c.DeletePolicy(cmd.Context(), args[0])
			})
		},
	}
}

// storedPolicy is the JSON output, which is a contract: docs/operate/lifecycle.md.
type storedPolicy struct {
	Repository  string     `json:"repositoryName"`
	Text        string     `json:"lifecyclePolicyText"`
	EvaluatedAt *time.Time `json:"lastEvaluatedAt,omitempty"`
}

// lifecyclePolicy does something to a policy and prints it.
func (p *program) lifecyclePolicy(cmd *cobra.Command, doing, repository string, do func(*lifecycle.Client) (lifecycle.Policy, error)) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	client, err := p.lifecycleClient(cmd)
	if err != nil {
		return err
	}
	policy, err := do(client)
	if err != nil {
		return p.lifecycleError(fmt.Errorf("%s the lifecycle policy of %s: %w", doing, repository, err), client)
	}
	data := storedPolicy{Repository: repository, Text: policy.Text}
	if !policy.EvaluatedAt.IsZero() {
		data.EvaluatedAt = &policy.EvaluatedAt
	}
	return p.print(cmd, data, func(w io.Writer) error {
		var b bytes.Buffer
		if json.Indent(&b, []byte(policy.Text), "", "  ") != nil {
			b.WriteString(policy.Text)
		}
		_, err := fmt.Fprintln(w, b.String())
		return err
	})
}

// lifecycleClient makes the client that a command is to use.
func (p *program) lifecycleClient(cmd *cobra.Command) (*lifecycle.Client, error) {
	at, err := cmd.Flags().GetString("url")
	if err != nil {
		return nil, err
	}
	client, err := lifecycle.New(cmd.Context(), at, p.now)
	if errors.Is(err, platform.ErrNoEndpoint) {
		return nil, usageError{err, `type: eval "$(` + p.name + ` env)", or give --url`}
	}
	return client, err
}

// lifecycleError adds what to do about it.
func (p *program) lifecycleError(err error, client *lifecycle.Client) error {
	switch {
	case platform.Refused(err, lifecycle.NoPolicy):
		return hintedError{err, "try one with: " + p.name + " lifecycle preview REPOSITORY --policy FILE"}
	case platform.Refused(err, lifecycle.NoRepository) && client.AmazonsRegion() != "":
		return hintedError{err, "the region asked is " + client.AmazonsRegion() + "; $AWS_REGION names another"}
	case platform.Refused(err, lifecycle.NoRepository):
		return hintedError{err, "see: aws ecr describe-repositories"}
	case platform.Refused(err, "InvalidParameterException"):
		return hintedError{err, "a policy's grammar: https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html"}
	case errors.Is(err, lifecycle.ErrNotDone):
		return hintedError{err, "wait longer with --timeout; a repository has one preview at a time"}
	case errors.Is(err, lifecycle.ErrOvertaken):
		return hintedError{err, "try again: a repository has one preview at a time"}
	}
	return err
}
