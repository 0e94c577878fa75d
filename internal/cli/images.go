package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) imagesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "List, show, compare, tag and delete images, and restore deleted ones",
		Long: "List images, look into them, compare, tag and delete them, in a Berth or, with --url aws, in Amazon's ECR; find out\n" +
			"what is wrong with a Dockerfile; and restore what was deleted, from a Berth's trash.\n\n" +
			"Images that are deleted, by a lifecycle policy, the API, docker, or with their repository, stay in the trash for\n" +
			"a while. Nobody sees them there, and they can be restored with their tags.",
		Example: "berth images ls hoopstat-haus/prod --app example-calculator-app\nberth images show hoopstat-haus/prod:v1.4.2\n" +
			"berth images trash hoopstat-haus/prod\nberth images restore hoopstat-haus/prod:v1.4.2",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.imagesTrashCommand(), p.imagesRestoreCommand(), p.imagesPurgeCommand(), p.imagesWindowCommand())
	for _, c := range cmd.Commands() {
		c.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
		addOutput(c)
	}
	cmd.AddCommand(p.byHand()...)
	return cmd
}

func (p *program) imagesTrashCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trash REPOSITORY",
		Short: "List the deleted images that can be restored",
		Long: "Trash lists a repository's deleted images, newest first: what tags they had, until when they can be restored, who\n" +
			"deleted them and why. The repository itself may be gone. Text shortens digests; restore takes them so.",
		Example: "berth images trash hoopstat-haus/prod\nberth images trash hoopstat-haus/prod --output json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			limit, err := cmd.Flags().GetInt("limit")
			if err != nil {
				return err
			}
			if limit < 0 {
				return usageError{fmt.Errorf("--limit: %d is negative", limit), ""}
			}
			client, err := p.platform(cmd)
			if err != nil {
				return err
			}
			images, err := client.Trash(cmd.Context(), args[0], limit)
			if err != nil {
				return fmt.Errorf("asking for the trash of %s: %w", args[0], err)
			}
			return p.printTrash(cmd, args[0], images)
		},
	}
	cmd.Flags().Int("limit", 50, "how many images to show, 0 for all")
	return cmd
}

// trashed is an entry of the JSON output, which is a contract: docs/operate/trash.md.
type trashed struct {
	Digest       string    `json:"imageDigest"`
	Tags         []string  `json:"imageTags"`
	MediaType    string    `json:"imageManifestMediaType"`
	ArtifactType string    `json:"artifactMediaType,omitempty"`
	Subject      string    `json:"subjectManifestDigest,omitempty"`
	Size         int64     `json:"imageSizeInBytes"`
	PushedAt     time.Time `json:"imagePushedAt"`
	DeletedAt    time.Time `json:"deletedAt"`
	Until        time.Time `json:"restorableUntil"`
	Actor        string    `json:"deletedBy"`
	Reason       string    `json:"reason,omitempty"`
	WentWith     string    `json:"wentWithDigest,omitempty"`
}

func (p *program) printTrash(cmd *cobra.Command, repository string, images []platform.TrashedImage) error {
	list := []trashed{}
	for _, i := range images {
		list = append(list, trashed{
			i.Digest, append([]string{}, i.Tags...), i.MediaType, i.ArtifactType, i.Subject, i.Size, i.PushedAt, i.DeletedAt, i.Until,
			i.Actor, i.Reason, i.WentWith,
		})
	}
	return p.print(cmd, list, func(w io.Writer) error {
		if len(list) == 0 {
			p.say("nothing of %s is in the trash", repository)
			return nil
		}
		rows := [][]string{{"DELETED", "DIGEST", "TAGS", "SIZE", "UNTIL", "BY", "WHY"}}
		for _, i := range list {
			rows = append(rows, []string{
				i.DeletedAt.Format(time.RFC3339), short(i.Digest), dash(strings.Join(i.Tags, ",")), size(i.Size), i.Until.Format(time.RFC3339), i.Actor, i.why(),
			})
		}
		return writeTable(w, rows)
	})
}

func (i trashed) why() string {
	if i.WentWith != "" {
		return strings.TrimSpace("with " + short(i.WentWith) + ". " + i.Reason)
	}
	return dash(i.Reason)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (p *program) imagesPurgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge REPOSITORY [DIGEST...]",
		Short: "Take images out of the trash for good",
		Long: "Purge takes deleted images out of the trash, so that they cannot be restored and their bytes go. It asks on a\n" +
			"terminal, and needs --yes elsewhere.",
		Example: "berth images purge hoopstat-haus/prod sha256:1f4e2d3c4b5a\nberth images purge hoopstat-haus/prod --all --yes",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.purge(cmd, args[0], args[1:])
		},
	}
	cmd.Flags().Bool("all", false, "all of the repository's deleted images")
	cmd.Flags().Bool("yes", false, "do not ask")
	return cmd
}

func (p *program) purge(cmd *cobra.Command, repository string, digests []string) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	all, err := cmd.Flags().GetBool("all")
	if err != nil {
		return err
	}
	if all == (len(digests) > 0) {
		return usageError{errors.New("say which images, by digest, or --all"), "what there is: " + p.name + " images trash " + quote(repository)}
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	what := plural(len(digests), "deleted image", "deleted images")
	if all {
		what = "all deleted images"
	} else if digests, err = p.wholeDigests(cmd, client, repository, digests); err != nil {
		return err
	}
	if err := p.confirm(cmd, fmt.Sprintf("remove %s of %s for good", what, repository)); err != nil {
		return err
	}
	purged, failed, err := client.Purge(cmd.Context(), repository, digests)
	if err != nil {
		return fmt.Errorf("purging the trash of %s: %w", repository, err)
	}
	err = p.print(cmd, map[string]any{"purgedImages": purged}, func(io.Writer) error {
		p.say("%s of %s removed for good", plural(purged, "image", "images"), repository)
		return nil
	})
	return errors.Join(err, failures(failed))
}

// confirm asks on a terminal whether something is to be done that cannot be undone.
func (p *program) confirm(cmd *cobra.Command, what string) error {
	if yes, err := cmd.Flags().GetBool("yes"); yes || err != nil {
		return err
	}
	if file, ok := p.stdin.(*os.File); ok && isCharDevice(file) {
		fmt.Fprintf(p.stderr, "berth: %s? [y/N] ", what)
		answer, _ := bufio.NewReader(p.stdin).ReadString('\n') // the end of the input is no yes
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "y", "yes":
			return nil
		}
		return errors.New("nothing was done")
	}
	return usageError{fmt.Errorf("to %s, --yes is needed where nobody can be asked", what), ""}
}

// failures makes one error of all, a line each.
func failures(failed []platform.ImageFailure) error {
	var all []error
	for _, f := range failed {
		all = append(all, fmt.Errorf("%s: %s", f.Code, f.Reason)) //nolint:err113 // the server's words
	}
	return errors.Join(all...)
}

// wholeDigests completes digests of images in the trash of which the beginning alone was given, as lists show them.
func (p *program) wholeDigests(cmd *cobra.Command, client *platform.Client, repository string, digests []string) ([]string, error) {
	var images []platform.TrashedImage
	whole := make([]string, len(digests))
	for i, d := range digests {
		_, hex, _ := strings.Cut(d, ":")
		if hex == "" {
			return nil, usageError{fmt.Errorf("%q is not the beginning of a digest", d), "write it like sha256:1f4e2d3c4b5a"}
		}
		if len(hex) < 64 {
			if images == nil {
				var err error
				if images, err = client.Trash(cmd.Context(), repository, 0); err != nil {
					return nil, fmt.Errorf("asking for the trash of %s: %w", repository, err)
				}
			}
			var err error
			if d, err = p.wholeDigest(repository, d, images); err != nil {
				return nil, err
			}
		}
		whole[i] = d
	}
	return whole, nil
}

func (p *program) wholeDigest(repository, beginning string, images []platform.TrashedImage) (string, error) {
	found := ""
	for _, img := range images {
		if !strings.HasPrefix(img.Digest, beginning) {
			continue
		}
		if found != "" {
			return "", usageError{fmt.Errorf("several deleted images of %s begin with %s", repository, beginning), "give more of the digest"}
		}
		found = img.Digest
	}
	if found == "" {
		return "", hintedError{fmt.Errorf("no deleted image of %s begins with %s", repository, beginning), "what there is: " + p.name + " images trash " + quote(repository)}
	}
	return found, nil
}

func (p *program) imagesWindowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "trash-window [REPOSITORY [DURATION|default]]",
		Short: "Show or set how long deleted images of a repository can be restored",
		Long: "Trash-window shows how long images that are deleted from now on can be restored, and what the trash takes up: of a\n" +
			"repository, or of all. With a duration it sets that for the repository: 0 turns its trash off, default leaves it to the\n" +
			"server's --trash-window. What is in the trash already stays as long as it was to.",
		Example: "berth images trash-window hoopstat-haus/prod\nberth images trash-window hoopstat-haus/prod 720h\nberth images trash-window hoopstat-haus/scratch 0",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(cmd); err != nil {
				return err
			}
			const setting = 2
			var window *time.Duration
			if len(args) == setting && args[1] != "default" {
				w, err := time.ParseDuration(args[1])
				if err != nil || w < 0 || w%time.Second != 0 {
					return usageError{fmt.Errorf("%q is no duration in whole seconds", args[1]), "write it like 168h or 0, or default"}
				}
				window = &w
			}
			client, err := p.platform(cmd)
			if err != nil {
				return err
			}
			name := strings.Join(args[:min(len(args), 1)], "")
			var usage platform.TrashUsage
			if len(args) == setting {
				usage, err = client.SetTrashWindow(cmd.Context(), name, window)
			} else {
				usage, err = client.TrashUsage(cmd.Context(), name)
			}
			if err != nil {
				return fmt.Errorf("the trash of %s: %w", nameOrAll(name), err)
			}
			return p.print(cmd, usage, func(w io.Writer) error { return writeUsage(w, name, usage) })
		},
	}
}

func nameOrAll(name string) string {
	if name == "" {
		return "all repositories"
	}
	return name
}

func writeUsage(w io.Writer, name string, u platform.TrashUsage) error {
	window := "cannot be restored"
	if u.WindowSeconds > 0 {
		window = "can be restored for " + u.Window().String()
	}
	by := "as the server says"
	if u.OwnWindow {
		by = "as set for the repository"
	}
	_, err := fmt.Fprintf(w, "deleted images of %s %s, %s\nin the trash: %s, %s that nothing else has\n",
		nameOrAll(name), window, by, plural(u.Images, "image", "images"), size(u.Bytes))
	return err
}
