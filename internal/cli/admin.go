package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) adminCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Look after people, their access keys and policies, and the server's own keys",
		Long: "Admin makes users and their access keys, and gives them policies. It speaks to a Berth's IAM with the\n" +
			"credentials that the AWS CLI would use; \"aws iam\" does the same and more. With --url aws it speaks to\n" +
			"Amazon's IAM.",
		Example: "berth admin create-user ada --policy pull\nberth admin create-key ada > ada.env",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.adminUserCommands()...)
	cmd.AddCommand(p.adminAccessKeyCommands()...)
	cmd.AddCommand(p.newAdminKeyCommands()...)
	return cmd
}

// addPeopleFlags gives a command that uses IAM its flags.
func addPeopleFlags(cmd *cobra.Command) {
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's IAM")
	addOutput(cmd)
}

// people makes the client of IAM that a command is to use.
func (p *program) people(cmd *cobra.Command) (*platform.People, error) {
	// Before anything is made whose secret could then not be printed.
	if err := checkOutput(cmd); err != nil {
		return nil, err
	}
	at, err := cmd.Flags().GetString("url")
	if err != nil {
		return nil, err
	}
	people, err := platform.NewPeople(cmd.Context(), at)
	if errors.Is(err, platform.ErrNoEndpoint) {
		return nil, usageError{err, `type: eval "$(` + p.name + ` env)", or give --url`}
	}
	return people, err
}
