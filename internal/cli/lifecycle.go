package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/lifecycle"
)

func (p *program) lifecycleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lifecycle",
		Short:   "Find out what a lifecycle policy would delete and what that saves, and set it",
		Example: "berth lifecycle preview hoopstat-haus/prod --policy policy.json\nberth lifecycle put hoopstat-haus/prod policy.json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.lifecyclePreviewCommand(), p.lifecycleGetCommand(), p.lifecyclePutCommand(), p.lifecycleDeleteCommand())
	for _, c := range cmd.Commands() {
		c.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
		addOutput(c)
	}
	return cmd
}

func (p *program) lifecyclePreviewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "preview REPOSITORY",
		Short: "Show which images would go, why, and how many bytes and dollars that saves",
		Long: "Preview has a repository's lifecycle policy, or the one in a file, evaluated without doing what it says. It\n" +
			"lists the images that would go or move to the archive, and why, and counts the bytes that no image would\n" +
			"need any more, shared layers once. It asks a Berth, or Amazon's ECR with --url aws. Text shortens digests.\n" +
			"With --kept a Berth says also which images stay, and why; ECR does not tell that.\n\n" +
			"To count shared layers once it reads the manifests of all images, which a registry counts as pulls. It does not\n" +
			"where the policy goes by pulls (sinceImagePulled), since that would change what the policy does.",
		Example: "berth lifecycle preview hoopstat-haus/prod\n" +
			"berth lifecycle preview hoopstat-haus/prod --policy keep-ten.json --output json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.lifecyclePreview(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.String("policy", "", "a file with the policy, if not the repository's own; - is the standard input")
	flags.Float64("price", 0.10, "dollars a month for a GB, 2^30 bytes")
	flags.Float64("archive-price", 0.10, "dollars a month for a GB in the archive; Amazon's is lower above 150 TB")
	flags.String("manifests", string(lifecycle.Auto), "read manifests: auto, always, also where the policy goes by pulls, or never")
	flags.Duration("timeout", 5*time.Minute, "how long to wait for the preview")
	flags.Bool("kept", false, "list also the images that stay, and why; a Berth tells, ECR does not")
	return cmd
}

// previewRequest reads the flags of a preview.
func (p *program) previewRequest(cmd *cobra.Command, repository string) (r lifecycle.Request, prices lifecycle.Prices, err error) {
	flags := cmd.Flags()
	reading, err := flags.GetString("manifests")
	if err != nil {
		return r, prices, err
	}
	r = lifecycle.Request{Repository: repository, Reading: lifecycle.Reading(reading)}
	if r.Timeout, err = flags.GetDuration("timeout"); err != nil {
		return r, prices, err
	}
	if prices.Standard, err = flags.GetFloat64("price"); err != nil {
		return r, prices, err
	}
	if prices.Archive, err = flags.GetFloat64("archive-price"); err != nil {
		return r, prices, err
	}
	switch {
	case r.Reading != lifecycle.Auto && r.Reading != lifecycle.Always && r.Reading != lifecycle.Never:
		return r, prices, usageError{fmt.Errorf("--manifests: %q is none of auto, always and never", reading), ""}
	case r.Timeout <= 0:
		return r, prices, usageError{fmt.Errorf("--timeout: %s is no time to wait", r.Timeout), "write it like 90s or 10m"}
	case !(prices.Standard >= 0 && prices.Archive >= 0): // NaN is neither
		return r, prices, usageError{errors.New("a price is no amount of dollars"), ""}
	}
	if flags.Changed("policy") {
		file, err := flags.GetString("policy")
		if err != nil {
			return r, prices, err
		}
		text, err := p.readFile(file)
		if err != nil {
			return r, prices, fmt.Errorf("--policy: %w", err)
		}
		r.Policy = &text
	}
	return r, prices, nil
}

// readFile reads a file, or the standard input where it is called -.
func (p *program) readFile(name string) (string, error) {
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(p.stdin)
	} else {
		text, err = os.ReadFile(name)
	}
	return string(text), err
}

func (p *program) lifecyclePreview(cmd *cobra.Command, repository string) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	request, prices, err := p.previewRequest(cmd, repository)
	if err != nil {
		return err
	}
	if request.Kept, err = cmd.Flags().GetBool("kept"); err != nil {
		return err
	}
	client, err := p.lifecycleClient(cmd)
	if err != nil {
		return err
	}
	found, err := client.Preview(cmd.Context(), request)
	if err != nil {
		return p.lifecycleError(fmt.Errorf("previewing the lifecycle policy of %s: %w", repository, err), client)
	}
	for _, note := range previewNotes(found, request.Reading) {
		p.say("%s", note)
	}
	data := newPreview(repository, found, prices)
	switch {
	case found.KeptKnown:
		data.keep(found.Kept)
	case request.Kept && client.AmazonsRegion() != "":
		p.say("what stays is not listed: ECR does not tell why an image stays")
	case request.Kept:
		p.say("what stays is not listed: the server does not tell; a newer Berth does")
	}
	return p.print(cmd, data, func(w io.Writer) error { return writePreview(w, data) })
}

// previewNotes says where the bytes are not exact.
func previewNotes(found lifecycle.Preview, reading lifecycle.Reading) []string {
	var notes []string
	if found.WhyUnread != "" {
		notes = append(notes, "the manifests were not read, "+found.WhyUnread+": layers that images share count with each")
		if reading == lifecycle.Auto {
			notes = append(notes, "hint: --manifests always reads them all the same; whose pulls do not count is set with: aws ecr register-pull-time-update-exclusion")
		}
	}
	if n := found.Unreadable; n > 0 {
		notes = append(notes, fmt.Sprintf("%s not be read: the whole size counts, shared or not", plural(n, "manifest could", "manifests could")))
	}
	return notes
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// preview is the JSON output, which is a contract: docs/operate/lifecycle.md.
type preview struct {
	Repository string          `json:"repositoryName"`
	Images     []previewImage  `json:"images"`
	Kept       []keptImage     `json:"kept,omitzero"` // with --kept
	Summary    previewsSummary `json:"summary"`
}

type previewImage struct {
	Tags     []string  `json:"imageTags"`
	Digest   string    `json:"imageDigest"`
	PushedAt time.Time `json:"imagePushedAt"`
	Archived bool      `json:"archived"`
	Action   string    `json:"action"`
	Rule     int32     `json:"rulePriority"`
	Reason   string    `json:"reason"`
	Size     int64     `json:"imageSizeInBytes"`
}

type previewsSummary struct {
	Images       int     `json:"images"`
	Expiring     int     `json:"expiringImages"`
	Archiving    int     `json:"archivingImages"`
	Exact        bool    `json:"exact"` // every byte counted once; otherwise bytes and dollars are upper bounds
	Freed        int64   `json:"freedBytes"`
	FreedArchive int64   `json:"freedArchiveBytes"`
	Moved        int64   `json:"archivedBytes"`
	Dollars      float64 `json:"savedDollarsPerMonth"`
	Left         int     `json:"leftImages"`
	LeftBytes    int64   `json:"leftBytes"`
	Unread       int     `json:"unreadManifests"`
}

func newPreview(repository string, found lifecycle.Preview, prices lifecycle.Prices) preview {
	data := preview{Repository: repository, Images: []previewImage{}, Summary: previewsSummary{
		found.Images, found.Expiring, found.Archiving, found.Exact(), found.Freed, found.FreedArchive, found.Moved,
		found.Saves(prices), found.Left, found.LeftBytes, found.Unread,
	}}
	for _, a := range found.Affected {
		data.Images = append(data.Images, previewImage{
			append([]string{}, a.Tags...), string(a.Image.Digest), a.PushedAt.UTC(), a.Archived, string(a.Action), a.Rule, a.Reason, a.Size,
		})
	}
	return data
}

func writePreview(w io.Writer, data preview) error {
	if len(data.Images) > 0 {
		rows := [][]string{{"TAGS", "DIGEST", "PUSHED", "ACTION", "RULE", "REASON"}}
		for _, i := range data.Images {
			rows = append(rows, []string{tagList(i.Tags), short(i.Digest), i.PushedAt.Format(time.RFC3339), i.Action, fmt.Sprint(i.Rule), i.Reason})
		}
		if err := writeTable(w, rows); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	if err := writeKept(w, data.Kept); err != nil {
		return err
	}
	for _, line := range data.Summary.lines() {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// lines words the summary.
func (s previewsSummary) lines() []string {
	if s.Expiring+s.Archiving == 0 {
		return []string{"nothing happens to " + plural(s.Images, "image", "images")}
	}
	most := ""
	if !s.Exact {
		most = "at most "
	}
	var lines []string
	if s.Expiring > 0 {
		lines = append(lines, fmt.Sprintf("%d of %s %s, which frees %s%s", s.Expiring, plural(s.Images, "image", "images"), verb(s.Expiring, "expire"), most, size(s.Freed+s.FreedArchive)))
	}
	if s.Archiving > 0 {
		lines = append(lines, fmt.Sprintf("%d of %s %s to the archive, with %s%s", s.Archiving, plural(s.Images, "image", "images"), verb(s.Archiving, "move"), most, size(s.Moved)))
	}
	lines = append(lines, "that saves "+most+dollars(s.Dollars)+" a month")
	if s.Left > 0 {
		lines = append(lines, fmt.Sprintf("%s of indexes that expire %s, untagged and with %s more, until a rule selects them",
			plural(s.Left, "image", "images"), verb(s.Left, "stay"), size(s.LeftBytes)))
	}
	return lines
}

// verb is what one does or several do.
func verb(n int, does string) string {
	if n == 1 {
		return does + "s"
	}
	return does
}

// size words bytes, in units of 1024.
func size(n int64) string {
	if n < 1024 {
		return plural(int(n), "byte", "bytes")
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < 3 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB (%d bytes)", value, "KMGT"[unit], n)
}
