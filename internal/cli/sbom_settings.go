package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) sbomSettingsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "settings",
		Short: "Show or set which images get SBOMs attached by the registry",
		Long: "Settings shows which repositories' images get an SBOM attached when they have been scanned, as an artifact that refers to\n" +
			"the image. With --attach it sets that, in the place of what there was; with --none no image gets any.",
		Example: "berth sbom settings\n" +
			"berth sbom settings --attach 'hoopstat-haus/*' --formats cyclonedx,spdx\n" +
			"berth sbom settings --none",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.sbomSettings(cmd) },
	}
	cmd.Flags().StringSlice("attach", nil, "repositories, as wildcard patterns")
	cmd.Flags().StringSlice("formats", []string{"spdx"}, "what is attached: spdx, cyclonedx")
	cmd.Flags().Bool("none", false, "no image gets an SBOM")
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
	cmd.MarkFlagsMutuallyExclusive("attach", "none")
	cmd.MarkFlagsMutuallyExclusive("formats", "none")
	addOutput(cmd)
	return cmd
}

func (p *program) sbomSettings(cmd *cobra.Command) error {
	flags := cmd.Flags()
	at, err := flags.GetString("url")
	if err != nil {
		return err
	}
	var s platform.SBOMSettings
	if s.Repositories, err = flags.GetStringSlice("attach"); err != nil {
		return err
	}
	if s.Formats, err = flags.GetStringSlice("formats"); err != nil {
		return err
	}
	if flags.Changed("formats") && !flags.Changed("attach") {
		return usageError{errors.New("--formats: of which repositories?"), "give --attach PATTERN too"}
	}
	client, err := platform.New(cmd.Context(), platform.Config{URL: at, Now: p.now})
	if errors.Is(err, platform.ErrNoEndpoint) {
		return usageError{err, `type: eval "$(` + p.name + ` env)", or give --url`}
	}
	if err != nil {
		return err
	}
	switch {
	case flags.Changed("attach"):
		s, err = client.PutSBOMSettings(cmd.Context(), s)
	case flags.Changed("none"):
		s, err = client.PutSBOMSettings(cmd.Context(), platform.SBOMSettings{Repositories: []string{}, Formats: []string{}})
	default:
		s, err = client.SBOMSettings(cmd.Context())
	}
	if err != nil {
		return fmt.Errorf("the settings of SBOMs: %w", err)
	}
	return p.print(cmd, s, func(w io.Writer) error {
		if len(s.Repositories) == 0 {
			_, err := fmt.Fprintln(w, "No image gets an SBOM attached.")
			return err
		}
		_, err := fmt.Fprintf(w, "Images of %s get SBOMs attached when they have been scanned: %s\n",
			oneLine(strings.Join(s.Repositories, ", ")), oneLine(strings.Join(s.Formats, ", ")))
		return err
	})
}
