package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
)

func (p *program) imagesTagCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tag REPOSITORY TAG|DIGEST NEW...",
		Short: "Give an image more tags, without pulling and pushing it",
		Long: "Tag gives an image more tags by putting its manifest once more, byte for byte. A tag that points to another image is\n" +
			"moved only with --force; without it, and if one of several does, nothing is changed. A tag that somebody\n" +
			"else makes in the same moment is moved: ECR cannot look and set at once. Reading the manifest counts as a pull.",
		Example: "berth images tag hoopstat-haus/prod web-a1b2c3d4 web-v1.4.2\nberth images tag hoopstat-haus/prod web-a1b2c3d4 web-latest --force",
		Args:    cobra.MinimumNArgs(3),
		RunE:    func(cmd *cobra.Command, args []string) error { return p.imagesTag(cmd, args[0], args[1], args[2:]) },
	}
	cmd.Flags().Bool("force", false, "move tags that point to other images")
	return cmd
}

// tagged is the JSON output, which is a contract: docs/operate/images.md.
type tagged struct {
	Repository string      `json:"repositoryName"`
	Digest     string      `json:"imageDigest"`
	Tags       []taggedTag `json:"tags"`
}

type taggedTag struct {
	Tag    string `json:"imageTag"`
	Change string `json:"change"` // new, moved, none
	From   string `json:"fromDigest,omitempty"`
}

func (p *program) imagesTag(cmd *cobra.Command, repository, source string, tags []string) error {
	for _, tag := range tags {
		if ref, err := images.ParseReference(tag); err != nil || ref.Tag == "" {
			return usageError{fmt.Errorf("%q is no tag", tag), "a tag has letters, digits, _ . and -, neither of the last two first"}
		}
	}
	force, err := cmd.Flags().GetBool("force")
	if err != nil {
		return err
	}
	client, err := p.registryClient(cmd)
	if err != nil {
		return err
	}
	found, changes, err := imagesOf(client, repository).Tag(cmd.Context(), source, tags, force)
	data := tagged{repository, found.Digest.String(), []taggedTag{}}
	for _, c := range changes {
		one := taggedTag{c.Tag, "new", ""}
		switch c.From {
		case "":
		case found.Digest:
			one.Change = "none"
		default:
			one.Change, one.From = "moved", c.From.String()
		}
		data.Tags = append(data.Tags, one)
	}
	if err != nil {
		for _, t := range data.Tags {
			p.say("%s: %s", t.Tag, t.sentence(data.Digest))
		}
		return p.tagError(fmt.Errorf("tagging in %s: %w", repository, err), client, repository)
	}
	return p.print(cmd, data, func(w io.Writer) error {
		for _, t := range data.Tags {
			if _, err := fmt.Fprintf(w, "%s: %s\n", t.Tag, t.sentence(data.Digest)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t taggedTag) sentence(digest string) string {
	switch t.Change {
	case "none":
		return "points to " + short(digest) + " already"
	case "moved":
		return "moved from " + short(t.From) + " to " + short(digest)
	}
	return "points to " + short(digest) + " now"
}

// tagError adds what to do about it.
func (p *program) tagError(err error, client *registry.Client, repository string) error {
	_, moved := errors.AsType[*images.MovedError](err)
	switch {
	case moved:
		return hintedError{err, "nothing was changed; what differs: " + p.name + " images diff; to move it all the same: --force"}
	case platform.Refused(err, images.TagImmutable):
		return hintedError{err, "tags of " + repository + " do not move, by its imageTagMutability: take another tag, or see: aws ecr describe-repositories --repository-names " + quote(repository)}
	}
	return p.imagesError(err, client)
}
