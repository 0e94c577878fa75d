package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// canBe refuses what a restoration cannot do since the repository or an image is not there any more. A dry run asks for it; otherwise
// the server says so itself.
func (p *program) canBe(cmd *cobra.Command, client *platform.Client, r restoration) error {
	images, err := client.Trash(cmd.Context(), r.repository, 0)
	if err != nil {
		return fmt.Errorf("asking for the trash of %s: %w", r.repository, err)
	}
	url, err := cmd.Flags().GetString("url")
	if err != nil {
		return err
	}
	var elsewhere []string
	for _, id := range r.ids {
		if !slices.ContainsFunc(images, func(i platform.TrashedImage) bool { return i.Digest == id.Digest }) {
			elsewhere = append(elsewhere, id.Digest)
		}
	}
	missing, err := platform.MissingImages(cmd.Context(), url, r.repository, elsewhere)
	if err != nil || len(missing) == 0 {
		return err
	}
	return p.hintTrash(fmt.Errorf("%s@%s is neither in the repository nor in its trash", r.repository, short(missing[0])), r.repository)
}
