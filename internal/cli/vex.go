package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
	"github.com/hoopstat-haus/berth/internal/pipeline/artifact"
)

func (p *program) vexCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vex",
		Short: "Write, attach, list and check exceptions: findings that stop nothing, by somebody's word, for a time",
		Long: "Exceptions are OpenVEX documents: files of a workspace, which its gate takes, or artifacts that are attached to an\n" +
			"image, which a Berth takes from whoever may ecr:PutImageScanningConfiguration on the repository. Each has an owner, a\n" +
			"reason and an end. What they cover is shown as suppressed, and stops nothing.",
		Example: "berth vex ls hoopstat-haus/prod:example-calculator-app-latest\nberth vex check .vex/*.json --within 336h",
	}
	cmd.AddCommand(p.vexAddCommand(), p.vexLsCommand(), p.vexCheckCommand())
	return cmd
}

func (p *program) vexAddCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add CVE|ADVISORY --image IMAGE --owner WHO --reason TEXT --until DATE",
		Short: "Write an exception, as a file of the workspace, or attached to the image",
		Long: "Add writes an OpenVEX document that a vulnerability need not stop an image: into .vex of the working directory, or,\n" +
			"with --attach, into the registry. IMAGE is an image, or a repository without a tag for all images of it, which needs\n" +
			"no registry unless the image is named by a tag.",
		Example: "berth vex add CVE-2026-12345 --image hoopstat-haus/prod --package curl --owner platform@example.com \\\n" +
			"    --reason \"we only fetch from hosts of our own\" --until 2026-12-31\n" +
			"berth vex add CVE-2026-12345 --image hoopstat-haus/prod:calculator-latest --owner alice --reason \"not reachable\" \\\n" +
			"    --until 2026-12-31 --attach",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.vexAdd(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.String("image", "", "REPOSITORY:TAG, REPOSITORY@DIGEST, or REPOSITORY for all its images")
	flags.StringArray("package", nil, "a package that it is about, by name or as a package URL; all if not given; may be given several times")
	flags.StringArray("alias", nil, "another name of the vulnerability; may be given several times")
	flags.String("owner", "", "who answers for it")
	flags.String("reason", "", "why it may stand")
	flags.String("until", "", "the last day on which it counts, in UTC, such as 2026-12-31, or the moment when it ends, as RFC 3339")
	flags.String("status", string(vex.NotAffected), "not_affected, or fixed")
	flags.String("justification", "", "OpenVEX's word for why it is not affected: "+strings.Join(vex.Justifications(), ", "))
	flags.String("file", "", "the file to write; .vex/VULNERABILITY-PACKAGE.json if not given, - for stdout")
	flags.Bool("attach", false, "attach it to the image, and write no file")
	flags.String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
	for _, name := range []string{"image", "owner", "reason", "until"} {
		cobra.CheckErr(cmd.MarkFlagRequired(name))
	}
	return cmd
}

// vexDraft reads the flags of add, all but the image.
func (p *program) vexDraft(cmd *cobra.Command, vulnerability string) (vex.Draft, error) {
	d := vex.Draft{Vulnerability: vulnerability, Made: p.now()}
	var status, until string
	for name, into := range map[string]*string{"owner": &d.Owner, "reason": &d.Reason, "status": &status, "until": &until, "justification": &d.Justification} {
		var err error
		if *into, err = cmd.Flags().GetString(name); err != nil {
			return d, err
		}
	}
	var err error
	if d.Packages, err = cmd.Flags().GetStringArray("package"); err != nil {
		return d, err
	}
	if d.Aliases, err = cmd.Flags().GetStringArray("alias"); err != nil {
		return d, err
	}
	if d.Status = vex.Status(status); !d.Status.Excepts() {
		return d, usageError{fmt.Errorf("--status: %q is no exception: it is not_affected or fixed", status), ""}
	}
	if day, err := time.Parse(time.DateOnly, until); err == nil {
		d.Expires = day.AddDate(0, 0, 1) // the day counts whole
	} else if d.Expires, err = time.Parse(time.RFC3339, until); err != nil {
		return d, usageError{fmt.Errorf("--until: %q is no day such as 2026-12-31", until), ""}
	}
	if !p.now().Before(d.Expires) {
		return d, usageError{fmt.Errorf("--until: %s is over", until), ""}
	}
	return d, nil
}

func (p *program) vexAdd(cmd *cobra.Command, vulnerability string) error {
	d, err := p.vexDraft(cmd, vulnerability)
	if err != nil {
		return err
	}
	named, err := cmd.Flags().GetString("image")
	if err != nil {
		return err
	}
	attach, err := cmd.Flags().GetBool("attach")
	if err != nil {
		return err
	}
	if !strings.ContainsAny(named, ":@") {
		if attach {
			return usageError{errors.New("--attach: an artifact is attached to one image: name it by tag or digest"), ""}
		}
		if _, err := p.imageName(named + ":any"); err != nil {
			return err
		}
		d.Repository = named
		return p.vexFile(cmd, d)
	}
	name, err := p.imageName(named)
	if err != nil {
		return err
	}
	d.Repository, d.Digest = name.Repository, name.Digest
	if d.Digest != "" && !attach {
		return p.vexFile(cmd, d)
	}
	client, err := p.registryOf(cmd)
	if err != nil {
		return err
	}
	found, err := imagesOf(client, name.Repository).Resolve(cmd.Context(), name.Reference)
	if err != nil {
		return p.imagesError(fmt.Errorf("looking for %s: %w", name, err), client)
	}
	if d.Digest = found.Digest; !attach {
		return p.vexFile(cmd, d)
	}
	text, err := vex.Write(d)
	if err != nil {
		return usageError{err, ""}
	}
	pusher := artifact.Pusher{Remote: client, Repository: name.Repository}
	subject, err := pusher.Subject(cmd.Context(), found.Digest)
	if err != nil {
		return err
	}
	at, err := pusher.Attach(cmd.Context(), artifact.Attachment{Type: vex.MediaType, Subject: subject, Content: text, ContentType: vex.MediaType})
	if err != nil {
		return err
	}
	p.say("attached to %s@%s as %s: %s vex ls %s tells whether it counts", name.Repository, found.Digest, at, p.name, named)
	return nil
}

// vexFile writes a document into a file.
func (p *program) vexFile(cmd *cobra.Command, d vex.Draft) error {
	text, err := vex.Write(d)
	if err != nil {
		return usageError{err, ""}
	}
	file, err := cmd.Flags().GetString("file")
	switch {
	case err != nil:
		return err
	case file == "-":
		_, err := p.stdout.Write(text)
		return err
	case file == "":
		file = filepath.Join(".vex", d.FileName())
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // it is committed
		return err
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // likewise
	if errors.Is(err, os.ErrExist) {
		return usageError{fmt.Errorf("%s is there already", file), "delete it to renew the exception, or name another --file"}
	}
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	p.say("wrote %s", file)
	return nil
}

// excepted is one exception in the JSON output, which is a contract: docs/operate/exceptions.md.
type excepted struct {
	File          string    `json:"file,omitempty"`
	Document      string    `json:"document,omitempty"` // the digest of the artifact
	Vulnerability string    `json:"vulnerability"`
	Packages      []string  `json:"packages"`
	Digest        string    `json:"imageDigest,omitempty"`
	Status        string    `json:"status"`
	Owner         string    `json:"owner"`
	Reason        string    `json:"reason"`
	Expires       time.Time `json:"expires"`
	State         string    `json:"state"` // holds, expires, expired
}

// state words how far an exception is.
func state(expires, now time.Time, within time.Duration) string {
	switch {
	case !now.Before(expires):
		return "expired"
	case !now.Add(within).Before(expires):
		return "expires"
	}
	return "holds"
}

func (p *program) vexCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Check OpenVEX documents: that each exception has an owner, a reason and an end, which is not over",
		Long:  "Check reads files, and lists their exceptions. The exit code is 3 if a file cannot count, or an exception has expired or does so soon.",
		Example: "berth vex check .vex/*.json\n" +
			"berth vex check .vex/*.json --within 336h",
		Args: cobra.MinimumNArgs(1),
		RunE: p.vexCheck,
	}
	cmd.Flags().Duration("within", 0, "how soon an exception may expire, such as 168h for a week")
	addOutput(cmd)
	return cmd
}

func (p *program) vexCheck(cmd *cobra.Command, files []string) error {
	within, err := cmd.Flags().GetDuration("within")
	if err != nil {
		return err
	}
	all, wrong := []excepted{}, []error{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return usageError{err, ""}
		}
		d, err := vex.Parse(text)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", file, err))
			continue
		}
		for _, s := range d.Exceptions() {
			e := excepted{
				File: file, Vulnerability: s.Vulnerability, Packages: packagesOf(s), Status: string(s.Status), Owner: s.Owner, Reason: s.Reason,
				Expires: s.Expires, State: state(s.Expires, p.now(), within),
			}
			all = append(all, e)
			if e.State != "holds" {
				wrong = append(wrong, fmt.Errorf("%s: the exception for %s %s, on %s: it is %s's to renew, or the finding to be fixed",
					file, e.Vulnerability, map[string]string{"expired": "has expired", "expires": "expires soon"}[e.State], e.Expires.Format(time.RFC3339), oneLine(e.Owner)))
			}
		}
	}
	if err := p.print(cmd, all, func(w io.Writer) error { return writeExcepted(w, all) }); err != nil {
		return err
	}
	if len(wrong) > 0 {
		return foundError{errors.Join(wrong...)}
	}
	return nil
}

// packagesOf names the packages that a statement is about.
func packagesOf(s vex.Statement) []string {
	names := []string{}
	for _, p := range s.Products {
		for _, pkg := range p.Packages {
			names = append(names, pkg.Name)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

func writeExcepted(w io.Writer, all []excepted) error {
	rows := [][]string{{"VULNERABILITY", "PACKAGE", "OWNER", "UNTIL", "STATE", "REASON"}}
	for _, e := range all {
		packages := strings.Join(e.Packages, ",")
		if packages == "" {
			packages = "-"
		}
		rows = append(rows, []string{oneLine(e.Vulnerability), oneLine(packages), oneLine(e.Owner), e.Expires.UTC().Format("2006-01-02 15:04"), e.State, oneLine(e.Reason)})
	}
	if len(rows) == 1 {
		return nil
	}
	return writeTable(w, rows)
}

func (p *program) vexLsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls REPOSITORY:TAG|REPOSITORY@DIGEST",
		Short: "List the exceptions of an image, and the documents attached to it that count for nothing",
		Long: "Ls lists the exceptions that a Berth holds to for an image: of documents attached to it, to indexes that it is in, and\n" +
			"to other images of the repository where they speak of all. Of a document that does not count it says why. Of another\n" +
			"registry it lists what the attached documents say.",
		Example: "berth vex ls hoopstat-haus/prod:example-calculator-app-latest",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return p.vexLs(cmd, args[0]) },
	}
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
	addOutput(cmd)
	return cmd
}
