package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) signingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "signing",
		Short:   "Get the keys that verify signatures",
		Example: "berth signing key release > cosign.pub",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.signingKeyCommand())
	return cmd
}

func (p *program) signingKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key PROFILE",
		Short: "Print the public key of a signing profile",
		Long: "Key prints the public key of a signing profile as PEM, as cosign reads it. The profile is given by its\n" +
			"name, or by its ARN. It has a key once \"aws ecr put-signing-configuration\" has named it. The command asks\n" +
			"a running Berth with the credentials that the AWS CLI would use, so the environment of \"berth env\" will do.",
		Example: "berth signing key release > cosign.pub\n" +
			"cosign verify --key cosign.pub --insecure-ignore-tlog registry.example.com/hoopstat-haus/prod:app-latest",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.signingKey(cmd, args[0]) },
	}
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
	addOutput(cmd)
	return cmd
}

// signingKey is the JSON output, which is a contract: docs/api/berth.md.
type signingKey struct {
	SigningProfileARN string `json:"signingProfileArn"`
	PublicKey         string `json:"publicKey"`
}

func (p *program) signingKey(cmd *cobra.Command, profile string) error {
	at, err := cmd.Flags().GetString("url")
	if err != nil {
		return err
	}
	client, err := platform.New(cmd.Context(), platform.Config{URL: at, Now: p.now})
	if errors.Is(err, platform.ErrNoEndpoint) {
		return usageError{err, `type: eval "$(` + p.name + ` env)", or give --url`}
	}
	if err != nil {
		return err
	}
	key, err := client.SigningPublicKey(cmd.Context(), profile)
	if err != nil {
		return fmt.Errorf("asking for the key of the signing profile %s: %w", profile, err)
	}
	return p.print(cmd, signingKey{key.Profile, key.PEM}, func(w io.Writer) error {
		_, err := io.WriteString(w, key.PEM)
		return err
	})
}
