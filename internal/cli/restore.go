package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) imagesRestoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore REPOSITORY:TAG|REPOSITORY@DIGEST...",
		Short: "Bring deleted images back, or a tag to what it pointed to before",
		Long: "Restore brings images back from the trash, with those of their tags that are free, and with what belongs to them: the\n" +
			"images of an index, signatures, SBOMs. A tag names what it pointed to before what it points to now, be that in the\n" +
			"trash or not: a tag that was deleted is there again, and one that was moved goes back. --to names another image of the\n" +
			"tag's history (\"berth tags history\"). Of a digest its beginning will do. With --all, everything comes back that is in\n" +
			"the trash of the repositories.",
		Example: "berth images restore hoopstat-haus/prod:v1.4.2\n" +
			"berth images restore hoopstat-haus/prod@sha256:1f4e2d3c4b5a\n" +
			"berth images restore hoopstat-haus/prod:app-latest --to sha256:1f4e2d3c4b5a --dry-run\n" +
			"berth images restore hoopstat-haus/prod --all",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.restore(cmd, args) },
	}
	cmd.Flags().String("to", "", "the digest of an image that the tag pointed to, instead of the one before")
	cmd.Flags().Bool("all", false, "all deleted images of the repositories")
	cmd.Flags().Bool("dry-run", false, "say what would happen, and do nothing")
	return cmd
}

// restoration is what a restore command is to do with one repository.
type restoration struct {
	repository string
	ids        []platform.ImageID
	sentence   string // what happens, to be said before
}

func (p *program) restore(cmd *cobra.Command, args []string) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	dry, err := cmd.Flags().GetBool("dry-run")
	if err != nil {
		return err
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	var todo []restoration
	for _, arg := range args {
		r, err := p.restorationOf(cmd, client, arg, len(args) == 1)
		if err != nil {
			return err
		}
		todo = append(todo, r)
	}
	done := []restored{}
	var problems []error
	for _, r := range todo {
		if dry {
			if err := p.canBe(cmd, client, r); err != nil {
				return p.restoreError(err, r.repository)
			}
		}
		p.say("%s", r.sentence)
		if dry || len(r.ids) == 0 {
			continue
		}
		list, failed, err := client.Restore(cmd.Context(), r.repository, r.ids)
		done = append(done, doings(r.repository, list)...)
		problems = append(problems, failures(failed))
		if err != nil {
			problems = append(problems, fmt.Errorf("restoring images of %s: %w", r.repository, err))
		}
	}
	if err := p.print(cmd, done, func(w io.Writer) error { return writeRestored(w, done) }); err != nil {
		return err
	}
	return p.restoreError(errors.Join(problems...), todo[0].repository)
}

// doings leaves out what another image of the call had brought along.
func doings(repository string, list []platform.RestoredImage) []restored {
	along := map[string]bool{}
	var done []restored
	for _, i := range list {
		if !along[i.Digest] || len(i.Tags) > 0 {
			done = append(done, restored{repository, i})
		}
		for _, d := range i.Along {
			along[d] = true
		}
	}
	return done
}

// restoreError adds what to type.
func (p *program) restoreError(err error, repository string) error {
	switch {
	case err == nil:
		return nil
	case platform.Refused(err, "RepositoryNotFoundException"):
		return hintedError{err, "make it anew first: aws ecr create-repository --repository-name " + quote(repository)}
	case strings.Contains(err.Error(), "ImageTagAlreadyExists: "):
		return hintedError{err, "without the tag: " + p.name + " images restore " + quote(repository) + "@DIGEST"}
	case strings.Contains(err.Error(), "ImageNotFound: "):
		return p.hintTrash(err, repository)
	}
	return err
}

func (p *program) hintTrash(err error, repository string) error {
	return hintedError{err, "what can be restored: " + p.name + " images trash " + quote(repository)}
}

// restorationOf finds out what an argument asks for.
func (p *program) restorationOf(cmd *cobra.Command, client *platform.Client, arg string, alone bool) (restoration, error) {
	all, err := cmd.Flags().GetBool("all")
	if err != nil {
		return restoration{}, err
	}
	to, err := cmd.Flags().GetString("to")
	if err != nil {
		return restoration{}, err
	}
	repository, digest, byDigest := strings.Cut(arg, "@")
	name, tag, byTag := strings.Cut(repository, ":")
	switch {
	case all && (byDigest || byTag || to != ""):
		return restoration{}, usageError{errors.New("--all takes repositories, without tags and digests"), ""}
	case to != "" && (!byTag || byDigest || !alone):
		return restoration{}, usageError{errors.New("--to goes with one REPOSITORY:TAG"), ""}
	case all:
		return p.restoreAll(cmd, client, arg)
	case byDigest && !byTag:
		ds, err := p.wholeDigests(cmd, client, name, []string{digest})
		if err != nil {
			return restoration{}, err
		}
		return restoration{name, []platform.ImageID{{Digest: ds[0]}}, fmt.Sprintf("%s@%s comes back, with those of its tags that are free", name, short(ds[0]))}, nil
	case byTag && !byDigest:
		return p.restoreTag(cmd, client, name, tag, to)
	}
	return restoration{}, usageError{fmt.Errorf("%q is neither REPOSITORY:TAG nor REPOSITORY@DIGEST", arg), "all of a repository: --all; what there is: " + p.name + " images trash REPOSITORY"}
}

func (p *program) restoreAll(cmd *cobra.Command, client *platform.Client, repository string) (restoration, error) {
	images, err := client.Trash(cmd.Context(), repository, 0)
	if err != nil {
		return restoration{}, fmt.Errorf("asking for the trash of %s: %w", repository, err)
	}
	r := restoration{repository: repository, sentence: fmt.Sprintf("%s of %s come back", plural(len(images), "image", "images"), repository)}
	for _, i := range images {
		r.ids = append(r.ids, platform.ImageID{Digest: i.Digest})
	}
	return r, nil
}

// restoreTag finds what the tag pointed to before, so that what is done is what is said.
func (p *program) restoreTag(cmd *cobra.Command, client *platform.Client, repository, tag, to string) (restoration, error) {
	history, err := client.TagHistory(cmd.Context(), repository, tag, 0)
	if err != nil {
		return restoration{}, fmt.Errorf("asking for the history of %s:%s: %w", repository, tag, err)
	}
	now, target, until := "", "", time.Time{}
	if len(history) > 0 {
		now = history[0].To
	}
	for _, c := range history {
		if c.From != "" && c.From != now && (to == "" || strings.HasPrefix(c.From, to)) {
			target, until = c.From, c.At
			break
		}
	}
	switch {
	case target == "" && to != "" && now != "" && strings.HasPrefix(now, to):
		return restoration{repository, nil, fmt.Sprintf("%s:%s points to %s already", repository, tag, short(now))}, nil
	case target == "" && to != "":
		return restoration{}, hintedError{fmt.Errorf("%s:%s has never pointed to %s", repository, tag, to), "what it has pointed to: " + p.name + " tags history " + quote(repository) + " " + quote(tag)}
	case target == "":
		return restoration{}, p.hintTrash(fmt.Errorf("%s:%s has pointed to nothing else before", repository, tag), repository)
	}
	sentence := fmt.Sprintf("%s:%s is gone; it comes back and points to %s, as it did until %s", repository, tag, short(target), until.Format(time.RFC3339))
	if now != "" {
		sentence = fmt.Sprintf("%s:%s points to %s; it goes back to %s, to which it pointed until %s", repository, tag, short(now), short(target), until.Format(time.RFC3339))
	}
	return restoration{repository, []platform.ImageID{{Digest: target, Tag: tag}}, sentence}, nil
}

// restored is an entry of the JSON output, which is a contract: docs/operate/trash.md.
type restored struct {
	Repository string `json:"repositoryName"`
	platform.RestoredImage
}

func writeRestored(w io.Writer, done []restored) error {
	for _, r := range done {
		said := "restored"
		if r.AlreadyThere {
			said = "was there"
		}
		if len(r.Tags) > 0 {
			said += ", tagged " + strings.Join(r.Tags, ", ")
		}
		if len(r.Along) > 0 {
			said += ", with " + plural(len(r.Along), "image that belongs to it", "images that belong to it")
		}
		lines := []string{fmt.Sprintf("%s@%s %s", r.Repository, r.Digest, said)}
		for _, k := range r.Kept {
			lines = append(lines, fmt.Sprintf("  %s stays at %s", k.Tag, short(k.Digest)))
		}
		for _, l := range r.Left {
			lines = append(lines, fmt.Sprintf("  %s stays in the trash: %s", short(l.ID.Digest), l.Reason))
		}
		if _, err := fmt.Fprintln(w, strings.Join(lines, "\n")); err != nil {
			return err
		}
	}
	return nil
}
