package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/advisories"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// oldAdvisories is the age from which on status warns.
const oldAdvisories = 3 * 24 * time.Hour

func (p *program) advisoriesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "advisories",
		Short: "Import what is known of vulnerable packages, and see how old it is",
		Long: "Advisories are what scans compare packages with: OSV's exports, CISA's catalogue of exploited vulnerabilities, FIRST's\n" +
			"scores. A Berth fetches them by itself where its setting \"advisories\" says from where; into a site without a\n" +
			"network they are carried as an archive.",
		Example: "berth advisories status\nberth advisories export https://storage.googleapis.com/osv-vulnerabilities --file advisories.tar.zst\nberth advisories import advisories.tar.zst",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.advisoriesStatusCommand(), p.advisoriesUpdateCommand(), p.advisoriesImportCommand(), p.advisoriesExportCommand())
	return cmd
}

func (p *program) advisoriesStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how old the advisories of each source are",
		Long: "Status shows the sources that have been imported, as of when each is, and which imports failed. It warns of sources\n" +
			"that are older than three days.\n\n" +
			"The exit code is 3 with --fail-older-than if a source is older than that, or if there is none.",
		Example: "berth advisories status\nberth advisories status --fail-older-than 72h",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.advisoriesStatus(cmd) },
	}
	cmd.Flags().Duration("fail-older-than", 0, "exit with 3 if a source is older than so much, such as 72h")
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
	addOutput(cmd)
	return cmd
}

func (p *program) advisoriesStatus(cmd *cobra.Command) error {
	most, err := cmd.Flags().GetDuration("fail-older-than")
	if err != nil {
		return err
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	st, err := client.Advisories(cmd.Context())
	if err != nil {
		return fmt.Errorf("asking for the advisories: %w", err)
	}
	if err := p.print(cmd, st, func(w io.Writer) error { return p.writeAdvisories(w, st) }); err != nil {
		return err
	}
	if most == 0 {
		return nil
	}
	var old []string
	for _, s := range st.Sources {
		if p.now().Sub(s.CheckedAt()) > most {
			old = append(old, plan.Printable(s.Name))
		}
	}
	switch {
	case len(st.Sources) == 0:
		return foundError{errors.New("no advisories have been imported")}
	case len(old) > 0:
		return foundError{fmt.Errorf("older than %s: %s", most, strings.Join(old, ", "))}
	}
	return nil
}

// writeAdvisories shows the sources, and says what is not well.
func (p *program) writeAdvisories(w io.Writer, st platform.AdvisoryStatus) error {
	rows := [][]string{{"SOURCE", "ADVISORIES", "AS OF", "NEWEST", "FROM"}}
	for _, s := range st.Sources {
		rows = append(rows, []string{plan.Printable(s.Name), fmt.Sprint(s.Advisories), p.age(s.CheckedAt()), p.age(s.ModifiedAt()), plan.Printable(s.Origin)})
		if p.now().Sub(s.CheckedAt()) > oldAdvisories {
			p.say("warning: the advisories of %s are of %s", plan.Printable(s.Name), s.CheckedAt().Format(time.DateOnly))
		}
	}
	if len(st.Sources) == 0 {
		p.say("no advisories have been imported: scans cannot find anything")
	} else if err := writeTable(w, rows); err != nil {
		return err
	}
	if st.Origin != "" {
		every := "when somebody asks"
		if st.EverySeconds > 0 {
			every = "every " + (time.Duration(st.EverySeconds) * time.Second).String()
		}
		p.say("fetched from %s, %s", plan.Printable(st.Origin), every)
	}
	if len(st.Imports) > 0 {
		last := st.Imports[0]
		if last.Ended == 0 {
			p.say("import %d is under way, or waits", last.ID)
		}
		for _, o := range last.Outcomes {
			if o.Failure != "" {
				p.say("warning: import %d: %s", last.ID, outcomeLine(o))
			}
		}
	}
	return nil
}

// age words how long ago something was.
func (p *program) age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := p.now().Sub(t); {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return plural(int(d.Minutes()), "minute", "minutes") + " ago"
	case d < 48*time.Hour:
		return plural(int(d.Hours()), "hour", "hours") + " ago"
	default:
		return plural(int(d.Hours()/24), "day", "days") + " ago"
	}
}

func (p *program) advisoriesUpdateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "update",
		Short:   "Have the server look for new advisories now",
		Example: "berth advisories update",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.importAdvisories(cmd, func(ctx context.Context, client *platform.Client, force bool) (platform.AdvisoryImport, error) {
				return client.UpdateAdvisories(ctx, force)
			})
		},
	}
	addImportFlags(cmd)
	return cmd
}

func addImportFlags(cmd *cobra.Command) {
	cmd.Flags().Bool("force", false, "also import a source that would lose much of what it has, or that is older")
	cmd.Flags().Bool("no-wait", false, "do not wait for the end of the import")
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
	addOutput(cmd)
}

func (p *program) advisoriesImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import PATH",
		Short: "Bring advisories into a Berth that cannot fetch them",
		Long: "Import takes an archive that \"berth advisories export\" has made, a directory in the layout of OSV's exports, an all.zip\n" +
			"of one ecosystem, or a single advisory (.json), which is added to its ecosystem until the next update of that. It is\n" +
			"pushed into a repository of the Berth as an artifact, tagged latest, and imported from there by the server.\n\n" +
			"An import of a source changes everything or nothing. One that would lose more than 30 % of what a source has, or is\n" +
			"older than what there is, is refused unless forced. The exit code is 1 if something was not imported.",
		Example: "berth advisories import advisories.tar.zst\nberth advisories import ./osv-mirror\nberth advisories import GHSA-xxxx-xxxx-xxxx.json",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return p.advisoriesImport(cmd, args[0]) },
	}
	cmd.Flags().String("repository", "berth/advisories", "the repository that the archive is pushed to, made if it is missing")
	addImportFlags(cmd)
	return cmd
}

func (p *program) advisoriesImport(cmd *cobra.Command, at string) error {
	repository, err := cmd.Flags().GetString("repository")
	if err != nil {
		return err
	}
	pusher, err := p.registryClient(cmd)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "berth-advisories-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory
	file, packed, err := p.pack(at, filepath.Join(dir, "archive"), dir)
	if err != nil {
		return fmt.Errorf("packing %s: %w", at, err)
	}
	p.say("pushing %s to %s", size(packed.Bytes), repository)
	digest, err := advisories.Push(cmd.Context(), pusher, repository, file, p.now())
	if err != nil {
		return err
	}
	return p.importAdvisories(cmd, func(ctx context.Context, client *platform.Client, force bool) (platform.AdvisoryImport, error) {
		return client.ImportAdvisories(ctx, repository, digest.String(), force)
	})
}

// pack makes an archive in a file.
func (p *program) pack(at, file, temp string) (_ string, _ advisories.Packed, err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", advisories.Packed{}, err
	}
	packed, err := advisories.Pack(at, f, temp, p.now())
	return file, packed, errors.Join(err, f.Close())
}

// importAdvisories has the server import, waits, and shows what it did.
func (p *program) importAdvisories(cmd *cobra.Command, ask func(context.Context, *platform.Client, bool) (platform.AdvisoryImport, error)) error {
	force, err := cmd.Flags().GetBool("force")
	if err != nil {
		return err
	}
	detach, err := cmd.Flags().GetBool("no-wait")
	if err != nil {
		return err
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	asked, err := ask(cmd.Context(), client, force)
	if err != nil {
		return fmt.Errorf("asking for an import: %w", err)
	}
	if !detach {
		if asked, err = p.awaitImport(cmd.Context(), client, asked); err != nil {
			return err
		}
	}
	if err := p.print(cmd, asked, func(w io.Writer) error { return writeImport(w, asked) }); err != nil {
		return err
	}
	for _, o := range asked.Outcomes {
		if o.Failure != "" {
			return fmt.Errorf("import %d: %s", asked.ID, outcomeLine(o))
		}
	}
	return nil
}

// awaitImport asks again and again how far an import is.
func (p *program) awaitImport(ctx context.Context, client *platform.Client, i platform.AdvisoryImport) (platform.AdvisoryImport, error) {
	for wait := fsckFirstWait; ; wait = min(2*wait, fsckLastWait) {
		st, err := client.Advisories(ctx)
		if err != nil {
			return i, hintedError{fmt.Errorf("asking how far import %d is: %w", i.ID, err), "it goes on in the server; see: " + p.name + " advisories status"}
		}
		found := false
		for _, other := range st.Imports {
			if other.ID == i.ID {
				found = true
				if i = other; i.Ended > 0 {
					return i, nil
				}
			}
		}
		if !found {
			return i, fmt.Errorf("the server does not remember import %d any more", i.ID)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return i, context.Cause(ctx)
		}
	}
}

func writeImport(w io.Writer, i platform.AdvisoryImport) error {
	if i.Ended == 0 {
		_, err := fmt.Fprintf(w, "import %d waits\n", i.ID)
		return err
	}
	for _, o := range i.Outcomes {
		if _, err := fmt.Fprintln(w, outcomeLine(o)); err != nil {
			return err
		}
	}
	return nil
}

// outcomeLine says what became of a source.
func outcomeLine(o platform.AdvisoryOutcome) string {
	line := ""
	switch {
	case o.Failure != "":
		line = "nothing has changed: " + strings.ReplaceAll(o.Failure, "\n", "; ")
	case o.Skipped:
		line = "another import has it in hand, or has just had"
	case o.Added+o.Changed+o.Removed == 0:
		line = "nothing new"
	default:
		line = fmt.Sprintf("%d added, %d changed, %d removed, %d as they were", o.Added, o.Changed, o.Removed, o.Untouched)
	}
	if o.Rejected > 0 {
		line += fmt.Sprintf("; %d could not be read, the first: %s", o.Rejected, o.Rejection)
	}
	if o.Source != "" {
		line = o.Source + ": " + line
	}
	return plan.Printable(line)
}

func (p *program) advisoriesExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export DIR|URL",
		Short: "Make an archive of advisories to carry into a site without a network",
		Long: "Export makes an archive of a directory in the layout of OSV's exports, or of what it fetches from a URL that has them.\n" +
			"It needs no Berth.",
		Example: "berth advisories export https://storage.googleapis.com/osv-vulnerabilities --file advisories.tar.zst\n" +
			"berth advisories export ./osv-mirror --file advisories.tar.zst",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.advisoriesExport(cmd, args[0]) },
	}
	cmd.Flags().String("file", "advisories.tar.zst", "the archive to write")
	cmd.Flags().StringSlice("ecosystems", nil, "which of OSV's ecosystems to fetch from a URL; otherwise those of the usual distributions and languages")
	addOutput(cmd)
	return cmd
}

func (p *program) advisoriesExport(cmd *cobra.Command, at string) error {
	file, err := cmd.Flags().GetString("file")
	if err != nil {
		return err
	}
	ecosystems, err := cmd.Flags().GetStringSlice("ecosystems")
	if err != nil {
		return err
	}
	if err := checkOutput(cmd); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), "berth-advisories-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory
	from := at
	if strings.Contains(at, "://") {
		if len(ecosystems) == 0 {
			ecosystems = advisories.Usual()
		}
		from = filepath.Join(dir, "fetched")
		if err := advisories.Fetch(cmd.Context(), at, ecosystems, from, func(s string) { p.say("fetched %s", s) }); err != nil {
			return fmt.Errorf("fetching from %s: %w", at, err)
		}
	}
	made, packed, err := p.pack(from, filepath.Join(dir, "archive"), dir)
	if err != nil {
		return fmt.Errorf("packing %s: %w", at, err)
	}
	if err := os.Rename(made, file); err != nil {
		return err
	}
	return p.print(cmd, packed, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: %s, %s\n", file, strings.Join(packed.Sources, ", "), size(packed.Bytes))
		return err
	})
}
