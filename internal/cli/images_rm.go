package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) imagesRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rm REPOSITORY TAG|DIGEST...",
		Aliases: []string{"delete"},
		Short:   "Delete tags, and images with their last tag",
		Long: "Rm deletes tags, or images by digest with all their tags. An image goes with its last tag. It says first what goes,\n" +
			"what goes along, such as signatures, and whether it can be restored; then it asks on a terminal, and needs --yes\n" +
			"elsewhere. The beginning of a digest is enough, as lists show it.\n\n" +
			"A Berth does not delete what is deployed, nor what can be rolled back to, unless --force says so.",
		Example: "berth images rm hoopstat-haus/prod example-calculator-app-old-version\n" +
			"berth images rm hoopstat-haus/prod sha256:1f4e2d3c4b5a --yes",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return p.imagesRemove(cmd, args[0], args[1:]) },
	}
	cmd.Flags().Bool("yes", false, "do not ask")
	cmd.Flags().Bool("force", false, "delete also what is deployed, of a Berth")
	return cmd
}

// removed is the JSON output, which is a contract: docs/operate/images.md.
type removed struct {
	Repository string           `json:"repositoryName"`
	Images     []removedImage   `json:"images"`
	Failures   []removedFailure `json:"failures"`
}

type removedImage struct {
	Digest    string          `json:"imageDigest"`
	Tags      []string        `json:"removedTags"`
	Kept      []string        `json:"keptTags"`
	Deleted   bool            `json:"deleted"`
	Until     *time.Time      `json:"restorableUntil,omitempty"`
	Referrers []shownReferrer `json:"referrers"`
}

type removedFailure struct {
	Digest string `json:"imageDigest,omitempty"`
	Tag    string `json:"imageTag,omitempty"`
	Code   string `json:"failureCode"`
	Reason string `json:"failureReason"`
}

func (p *program) imagesRemove(cmd *cobra.Command, repository string, args []string) error {
	client, err := p.registryClient(cmd)
	if err != nil {
		return err
	}
	repo := imagesOf(client, repository)
	plan, err := repo.PlanRemoval(cmd.Context(), args)
	if err != nil {
		return p.imagesError(fmt.Errorf("%s: %w", repository, err), client)
	}
	trash := p.trashOf(cmd, client.Endpoint())
	for _, line := range removalLines(plan) {
		p.say("%s", line)
	}
	if slices.ContainsFunc(plan, images.Removal.Goes) {
		p.say("%s", trash.sentence(cmd, repository))
	}
	if err := p.confirm(cmd, "delete this from "+repository); err != nil {
		return err
	}
	failed, err := removeFrom(cmd, repo, plan, trash)
	if err != nil {
		return p.imagesError(fmt.Errorf("deleting images of %s: %w", repository, err), client)
	}
	if err := repo.LookAgain(cmd.Context(), plan, failed); err != nil {
		p.say("whether an image stays though its tags have gone is not known: %s", err)
	}
	data := newRemoved(repository, plan, failed, trash.until(cmd, repository))
	err = p.print(cmd, data, func(w io.Writer) error { return p.writeRemoved(w, data) })
	return errors.Join(err, p.removalFailures(repository, failed))
}

// removeFrom deletes, by force where that was asked for.
func removeFrom(cmd *cobra.Command, repo *images.Client, plan []images.Removal, at trash) ([]images.Failure, error) {
	force, err := cmd.Flags().GetBool("force")
	if err != nil {
		return nil, err
	}
	if !force {
		return repo.Remove(cmd.Context(), plan)
	}
	if at.Client == nil {
		return nil, usageError{errors.New("--force: Amazon's ECR knows nothing of what is deployed, and deletes it without"), ""}
	}
	var ids []platform.ImageID
	for _, r := range plan {
		for _, ref := range r.Asked() {
			ids = append(ids, platform.ImageID{Digest: ref.Digest.String(), Tag: ref.Tag})
		}
	}
	failed, err := at.DeleteImages(cmd.Context(), repo.Repository, ids, true)
	var failures []images.Failure
	for _, f := range failed {
		failures = append(failures, images.Failure{Digest: f.ID.Digest, Tag: f.ID.Tag, Code: f.Code, Reason: f.Reason})
	}
	return failures, err
}

// removalLines says what would go.
func removalLines(plan []images.Removal) []string {
	var lines []string
	for _, r := range plan {
		digest := short(r.Image.Digest.String())
		if !r.Goes() {
			lines = append(lines, fmt.Sprintf("%s; the image %s keeps %s", goes(r.Tags), digest, strings.Join(r.Kept, ", ")))
			continue
		}
		line := fmt.Sprintf("image %s (%s) goes", digest, shortSize(r.Image.Size))
		if len(r.Tags) > 0 {
			line += " with " + tagWords(r.Tags)
		}
		lines = append(lines, line)
		for _, along := range r.Along {
			lines = append(lines, fmt.Sprintf("along with it %s %s, which refers to it", newShownReferrer(along).Kind, short(along.Digest.String())))
		}
		if r.NotKnown != nil {
			lines = append(lines, "what refers to it goes along, and is not known: "+r.NotKnown.Error())
		}
	}
	return lines
}

func goes(tags []string) string {
	if len(tags) == 1 {
		return tagWords(tags) + " goes"
	}
	return tagWords(tags) + " go"
}

func tagWords(tags []string) string {
	if len(tags) == 1 {
		return "tag " + tags[0]
	}
	return "tags " + strings.Join(tags, ", ")
}

func newRemoved(repository string, plan []images.Removal, failed []images.Failure, until map[string]time.Time) removed {
	data := removed{repository, []removedImage{}, []removedFailure{}}
	for _, f := range failed {
		data.Failures = append(data.Failures, removedFailure{f.Digest, f.Tag, f.Code, f.Reason})
	}
	for _, r := range plan {
		if slices.ContainsFunc(failed, r.Failed) {
			continue
		}
		digest := r.Image.Digest.String()
		one := removedImage{digest, append([]string{}, r.Tags...), append([]string{}, r.Kept...), r.Goes() && !r.Stays, nil, []shownReferrer{}}
		if at, ok := until[digest]; ok && one.Deleted {
			one.Until = &at
		}
		if one.Deleted {
			for _, along := range r.Along {
				one.Referrers = append(one.Referrers, newShownReferrer(along))
			}
		}
		data.Images = append(data.Images, one)
	}
	return data
}

func (p *program) writeRemoved(w io.Writer, data removed) error {
	for _, i := range data.Images {
		line := fmt.Sprintf("deleted %s@%s", data.Repository, i.Digest)
		if !i.Deleted {
			line = fmt.Sprintf("deleted %s of %s@%s", tagWords(i.Tags), data.Repository, i.Digest)
		}
		if !i.Deleted && len(i.Kept) == 0 {
			p.say("the image %s stays without a tag: an index lists it", short(i.Digest))
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
		if i.Until != nil {
			p.say("it can be restored until %s: %s images restore %s@%s", i.Until.Format(time.RFC3339), p.name, data.Repository, i.Digest)
		}
	}
	return nil
}

// removalFailures makes one error of what was not deleted, a line each.
func (p *program) removalFailures(repository string, failed []images.Failure) error {
	var all []error
	for _, f := range failed {
		name := f.Tag
		if name == "" {
			name = short(f.Digest)
		}
		err := fmt.Errorf("%s was not deleted: %s: %s", name, f.Code, f.Reason) //nolint:err113 // the server's words
		switch {
		case f.Code == "ImageReferencedByManifestList" && strings.Contains(f.Reason, " is deployed"):
			err = hintedError{err, "it can be deleted all the same with: " + p.name + " images rm --force " + quote(repository) + " " + quote(cmp.Or(f.Tag, f.Digest))}
		case f.Code == "ImageReferencedByManifestList":
			err = hintedError{err, "delete the index that it belongs to as well, in the same command"}
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// trash is what a Berth says about its trash; nil where it is no Berth that is asked.
type trash struct{ *platform.Client }

func (p *program) trashOf(cmd *cobra.Command, endpoint string) trash {
	if endpoint == "" { // Amazon's
		return trash{}
	}
	client, err := platform.New(cmd.Context(), platform.Config{URL: endpoint, Now: p.now})
	if err != nil {
		return trash{}
	}
	return trash{client}
}

// sentence says whether what is deleted can be restored.
func (t trash) sentence(cmd *cobra.Command, repository string) string {
	if t.Client == nil {
		return "it cannot be restored: Amazon's ECR has no trash"
	}
	usage, err := t.TrashUsage(cmd.Context(), repository)
	_, denied := platform.Denied(err)
	switch {
	case denied:
		return "whether it can be restored is not yours to know: " + err.Error()
	case err != nil:
		return "it cannot be restored: the server does not answer as a Berth does, which has a trash"
	case usage.WindowSeconds == 0:
		return "it cannot be restored: the trash is turned off"
	}
	return "it can be restored for " + usage.Window().String()
}

// until gives until when each deleted image can be restored, as far as it is known.
func (t trash) until(cmd *cobra.Command, repository string) map[string]time.Time {
	until := map[string]time.Time{}
	if t.Client == nil {
		return until
	}
	found, err := t.Trash(cmd.Context(), repository, 0)
	if err != nil {
		return until // it is deleted all the same
	}
	for _, i := range found {
		until[i.Digest] = i.Until
	}
	return until
}
