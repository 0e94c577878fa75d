package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// policyCall is what is done with a user and a policy, keyCall with a user and a key.
type (
	policyCall func(people *platform.People, ctx context.Context, user, arn string) error
	keyCall    func(people *platform.People, ctx context.Context, user, id string) error
)

func (p *program) adminAccessKeyCommands() []*cobra.Command {
	setActive := func(active bool) keyCall {
		return func(people *platform.People, ctx context.Context, user, id string) error {
			return people.SetKeyActive(ctx, user, id, active)
		}
	}
	commands := []*cobra.Command{
		p.adminCreateKeyCommand(), p.adminListKeysCommand(),
		p.adminKeyCommand("disable-key", "Have a key refused until it is enabled again", setActive(false)),
		p.adminKeyCommand("enable-key", "Have a disabled key accepted again", setActive(true)),
		p.adminKeyCommand("delete-key", "Delete a key", (*platform.People).DeleteKey),
	}
	for _, c := range commands {
		addPeopleFlags(c)
	}
	return commands
}

// accessKey is an entry of the JSON output, which is a contract.
type accessKey struct {
	User        string     `json:"userName"`
	ID          string     `json:"accessKeyId"`
	Secret      string     `json:"secretAccessKey,omitempty"` // of create-key alone
	Status      string     `json:"status"`                    // Active or Inactive
	Created     time.Time  `json:"createdAt"`
	LastUsed    *time.Time `json:"lastUsedAt,omitempty"`
	LastService string     `json:"lastUsedService,omitempty"`
}

func newAccessKey(k platform.AccessKey) accessKey {
	key := accessKey{User: k.User, ID: k.ID, Secret: k.Secret, Status: "Inactive", Created: k.Created.UTC(), LastService: k.LastService}
	if k.Active {
		key.Status = "Active"
	}
	if !k.LastUsed.IsZero() {
		at := k.LastUsed.UTC()
		key.LastUsed = &at
	}
	return key
}

func (p *program) adminCreateKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "create-key USER",
		Short: "Make an access key for a user, and print its secret this once",
		Long: "Create-key makes an access key and prints it as lines that a shell can read. Nobody can get the secret\n" +
			"again: send the output where it is to stay, a file of mode 0600 or a store of secrets.",
		Example: "(umask 077; berth admin create-key ada > ada.env)\nberth admin create-key ada --output json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			people, err := p.people(cmd)
			if err != nil {
				return err
			}
			made, err := people.CreateKey(cmd.Context(), args[0])
			if platform.Refused(err, "LimitExceeded") {
				return hintedError{
					fmt.Errorf("making a key for %s: %w", args[0], err),
					"which keys there are: " + p.name + " admin list-keys " + quote(args[0]),
				}
			}
			if err != nil {
				return fmt.Errorf("making a key for %s: %w", args[0], err)
			}
			return p.print(cmd, newAccessKey(made), func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\nunset AWS_SESSION_TOKEN\n", quote(made.ID), quote(made.Secret))
				return err
			})
		},
	}
}

func (p *program) adminListKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list-keys USER", Short: "List a user's access keys, and when they were last used", Args: cobra.ExactArgs(1),
		Example: "berth admin list-keys ada\nberth admin list-keys ada --output json",
		RunE: func(cmd *cobra.Command, args []string) error {
			people, err := p.people(cmd)
			if err != nil {
				return err
			}
			keys, err := people.Keys(cmd.Context(), args[0])
			if err != nil {
				return fmt.Errorf("listing the keys of %s: %w", args[0], err)
			}
			list := []accessKey{}
			for _, k := range keys {
				list = append(list, newAccessKey(k))
			}
			return p.print(cmd, list, func(w io.Writer) error {
				if len(list) == 0 {
					p.say("%s has no keys", args[0])
					return nil
				}
				return writeKeys(w, list)
			})
		},
	}
}

func writeKeys(w io.Writer, keys []accessKey) error {
	rows := [][]string{{"KEY", "STATUS", "CREATED", "LAST USED"}}
	for _, k := range keys {
		used := "never"
		if k.LastUsed != nil {
			used = k.LastUsed.Format(time.RFC3339)
		}
		rows = append(rows, []string{k.ID, k.Status, k.Created.Format(time.RFC3339), used})
	}
	return writeTable(w, rows)
}

// adminKeyCommand makes a command that does something with a user's key.
func (p *program) adminKeyCommand(name, about string, do keyCall) *cobra.Command {
	return &cobra.Command{
		Use: name + " USER KEYID", Short: about, Args: cobra.ExactArgs(2),
		Example: "berth admin " + name + " ada AKIAIOSFODNN7EXAMPLE",
		RunE: func(cmd *cobra.Command, args []string) error {
			people, err := p.people(cmd)
			if err != nil {
				return err
			}
			if err := do(people, cmd.Context(), args[0], args[1]); err != nil {
				return fmt.Errorf("%s %s of %s: %w", name, args[1], args[0], err)
			}
			return p.printDone(cmd)
		},
	}
}
