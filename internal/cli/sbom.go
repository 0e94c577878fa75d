package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
)

func (p *program) sbomCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sbom REPOSITORY:TAG|REPOSITORY@DIGEST",
		Short: "Print what an image has installed, as SPDX or CycloneDX",
		Long: "Sbom prints a software bill of materials to stdout. A Berth makes it of what it found in the image's layers: SPDX 2.3\n" +
			"or CycloneDX 1.6, each package with its layer and the instruction that made that. Of another registry, and with\n" +
			"--attached, it is the one that is attached to the image.",
		Example: "berth sbom hoopstat-haus/prod:example-calculator-app-latest > app.spdx.json\n" +
			"berth sbom hoopstat-haus/prod:example-calculator-app-latest --format cyclonedx\n" +
			"berth sbom hoopstat-haus/prod:example-calculator-app-latest --platform linux/arm64",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.sbom(cmd, args[0]) },
	}
	cmd.Flags().String("format", "spdx", "spdx or cyclonedx")
	cmd.Flags().String("platform", "", "which image of an index, such as linux/arm64")
	cmd.AddCommand(p.sbomSettingsCommand())
	cmd.Flags().Bool("attached", false, "the one that is attached to the image, though the registry can make one")
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
	return cmd
}

func (p *program) sbom(cmd *cobra.Command, named string) error {
	name, err := p.imageName(named)
	if err != nil {
		return err
	}
	format, err := cmd.Flags().GetString("format")
	if err != nil {
		return err
	}
	if format != "spdx" && format != "cyclonedx" {
		return usageError{fmt.Errorf("--format: %q is neither spdx nor cyclonedx", format), ""}
	}
	attached, err := cmd.Flags().GetBool("attached")
	if err != nil {
		return err
	}
	client, err := p.registryOf(cmd)
	if err != nil {
		return err
	}
	repo := imagesOf(client, name.Repository)
	found, err := repo.Resolve(cmd.Context(), name.Reference)
	if err != nil {
		return p.imagesError(fmt.Errorf("the SBOM of %s: %w", name, err), client)
	}
	of, err := p.oneOf(cmd, repo, found)
	if err != nil {
		return err
	}
	document, err := p.sbomOf(cmd, client, repo, of, format, attached)
	switch {
	case errors.Is(err, images.ErrNoSBOM):
		return hintedError{
			fmt.Errorf("%s has no SBOM in that format attached, and the registry makes none", name),
			"attach one with: oras attach --artifact-type application/spdx+json IMAGE sbom.spdx.json:application/spdx+json, or name the file that the test makes in berth.yaml's build.sbom",
		}
	case err != nil:
		return p.imagesError(fmt.Errorf("the SBOM of %s: %w", name, err), client)
	}
	_, err = p.stdout.Write(append(document, '\n'))
	return err
}

// sbomOf asks a Berth, and where there is none, or it is older, for what is attached.
func (p *program) sbomOf(cmd *cobra.Command, client *registry.Client, repo *images.Client, of images.Image, format string, attached bool) ([]byte, error) {
	if client.Berth != nil && !attached {
		document, err := client.Berth.SBOM(cmd.Context(), repo.Repository, platform.ImageID{Digest: of.Digest.String()}, format)
		if !platform.Unknown(err) {
			return document, err
		}
	}
	return repo.SBOM(cmd.Context(), of.Digest, format)
}

// oneOf gives the image itself, or the one of an index that is asked for: an index has nothing installed.
func (p *program) oneOf(cmd *cobra.Command, repo *images.Client, found images.Image) (images.Image, error) {
	asked, err := cmd.Flags().GetString("platform")
	if err != nil || !found.IsIndex() {
		return found, err
	}
	ref, err := images.ParseReference(found.Digest.String())
	if err != nil {
		return found, err
	}
	details, err := repo.Show(cmd.Context(), ref)
	if err != nil {
		return found, fmt.Errorf("reading the index: %w", err)
	}
	there := slices.DeleteFunc(details.Variants, func(v images.Variant) bool { return v.Missing })
	var names []string
	for _, v := range there {
		if v.Platform == asked || asked == "" && len(there) == 1 {
			found.Digest = v.Digest
			return found, nil
		}
		names = append(names, oneLine(v.Platform))
	}
	which := strings.Join(names, ", ")
	if asked == "" {
		return found, usageError{fmt.Errorf("it is an index of images, each of which has its own: %s", which), "say which by --platform"}
	}
	return found, usageError{fmt.Errorf("--platform: %q is none of %s", asked, which), ""}
}
