package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func (p *program) imagesListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls REPOSITORY",
		Aliases: []string{"list"},
		Short:   "List images, newest first",
		Long: "Ls lists the images of a repository, archived ones too, newest first. It asks a Berth, or Amazon's ECR with\n" +
			"--url aws. Text shortens digests; the members of the JSON output have the names of ECR's DescribeImages.\n\n" +
			"--app goes by tags: {app}-ANYTHING, or, in a workspace whose berth.yaml names this repository, tags as its\n" +
			"templates make them.",
		Example: "berth images ls hoopstat-haus/prod --app example-calculator-app --limit 5\n" +
			"berth images ls hoopstat-haus/prod --untagged --query 'imageDetails[].imageDigest' --output text",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.imagesList(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.String("app", "", "only images of this app, by their tags")
	flags.String("tag", "", "only images with a tag like this, such as web-*")
	flags.Bool("untagged", false, "only images without a tag")
	flags.Bool("all", false, "also what has no tag and only says something about images: signatures, SBOMs, provenance, records; JSON always has them")
	flags.Int("limit", 0, "how many images to show, 0 for all")
	flags.Bool("platforms", false, "show what images are built for; reads manifests, which the registry counts as pulls")
	return cmd
}

// listed is the JSON output, which is a contract: docs/operate/images.md. Names are those of ECR's DescribeImages.
type listed struct {
	Repository string        `json:"repositoryName"`
	Images     []listedImage `json:"imageDetails"`
}

type listedImage struct {
	Digest       string       `json:"imageDigest"`
	Tags         []string     `json:"imageTags"`
	PushedAt     time.Time    `json:"imagePushedAt"`
	Size         int64        `json:"imageSizeInBytes"`
	PulledAt     *time.Time   `json:"lastRecordedPullTime,omitempty"`
	MediaType    string       `json:"imageManifestMediaType,omitempty"`
	ArtifactType string       `json:"artifactMediaType,omitempty"`
	Status       string       `json:"imageStatus,omitempty"`
	Subject      string       `json:"subjectManifestDigest,omitempty"`
	ScanStatus   *scanStatus  `json:"imageScanStatus,omitempty"`
	Findings     *scanSummary `json:"imageScanFindingsSummary,omitempty"`
	Platforms    []string     `json:"platforms,omitempty"`
}

type scanStatus struct {
	Status      string `json:"status"`
	Description string `json:"description,omitempty"`
}

type scanSummary struct {
	CompletedAt *time.Time       `json:"imageScanCompletedAt,omitempty"`
	Counts      map[string]int32 `json:"findingSeverityCounts"`
}

func newListed(i images.Image) listedImage {
	l := listedImage{
		Digest: i.Digest.String(), Tags: append([]string{}, i.Tags...), PushedAt: i.PushedAt, Size: i.Size, PulledAt: known(i.PulledAt),
		MediaType: i.MediaType, ArtifactType: i.ArtifactType, Status: i.Status, Subject: i.Subject.String(),
	}
	if s := i.Scan; s != nil {
		l.ScanStatus = &scanStatus{s.Status, s.Description}
		if s.Counts != nil {
			l.Findings = &scanSummary{known(s.CompletedAt), s.Counts}
		}
	}
	return l
}

// known is a time that JSON leaves out where it is not known.
func known(t time.Time) *time.Time {
	if t.Unix() <= 0 {
		return nil
	}
	return &t
}

func (p *program) imagesList(cmd *cobra.Command, repository string) error {
	filter, platforms, err := p.imagesFilter(cmd, repository)
	if err != nil {
		return err
	}
	client, err := p.registryClient(cmd)
	if err != nil {
		return err
	}
	repo := imagesOf(client, repository)
	all, err := repo.List(cmd.Context())
	if err != nil {
		return p.imagesError(fmt.Errorf("listing the images of %s: %w", repository, err), client)
	}
	some := filter.Select(all)
	data := listed{repository, []listedImage{}}
	for _, i := range some {
		data.Images = append(data.Images, newListed(i))
	}
	if platforms {
		found, err := repo.Platforms(cmd.Context(), some)
		if err != nil {
			return p.imagesError(fmt.Errorf("looking for platforms: %w", err), client)
		}
		for n := range found {
			data.Images[n].Platforms = found[n]
		}
	}
	return p.print(cmd, data, func(w io.Writer) error {
		switch {
		case len(all) == 0:
			p.say("%s has no images", repository)
			return nil
		case len(some) == 0:
			p.say("none of %s in %s is meant", plural(len(all), "image", "images"), repository)
			return nil
		}
		if err := writeTable(w, listRows(data.Images, platforms)); err != nil {
			return err
		}
		if len(some) < len(all) {
			p.say("%d of %s", len(some), plural(len(all), "image", "images"))
		}
		if about := len(all) - len(images.Filter{Runnable: true}.Select(all)); filter.Runnable && about > 0 {
			p.say("not shown: %s about images, without tags; --all shows them", plural(about, "artifact", "artifacts"))
		}
		return nil
	})
}

func (p *program) imagesFilter(cmd *cobra.Command, repository string) (f images.Filter, platforms bool, err error) {
	flags := cmd.Flags()
	app, err := flags.GetString("app")
	if err != nil {
		return f, false, err
	}
	if f.Tag, err = flags.GetString("tag"); err != nil {
		return f, false, err
	}
	if f.Untagged, err = flags.GetBool("untagged"); err != nil {
		return f, false, err
	}
	if f.Limit, err = flags.GetInt("limit"); err != nil {
		return f, false, err
	}
	if platforms, err = flags.GetBool("platforms"); err != nil {
		return f, false, err
	}
	everything, err := flags.GetBool("all")
	if err != nil {
		return f, false, err
	}
	f.Runnable = !everything && !f.Untagged && !flags.Changed("query") && flags.Lookup("output").Value.String() == "text"
	switch {
	case f.Limit < 0:
		return f, false, usageError{fmt.Errorf("--limit: %d is negative", f.Limit), ""}
	case f.Untagged && (app != "" || f.Tag != ""):
		return f, false, usageError{errors.New("--untagged: such images have no tag, which --app and --tag go by"), ""}
	}
	if err := f.Check(); err != nil {
		return f, false, usageError{fmt.Errorf("--tag: %w", err), ""}
	}
	if app != "" {
		f.App, err = p.tagsOf(app, repository)
	}
	return f, platforms, err
}

// tagsOf tells an app's tags: by the templates of the workspace, if the repository is its own, or as the guide makes them.
func (p *program) tagsOf(app, repository string) (func(tag string) bool, error) {
	file, err := nearestWorkspace(".")
	if err != nil {
		return nil, usageError{err, "every key is explained by: " + p.name + " config schema"}
	}
	if file == nil || file.Repository != repository {
		return func(tag string) bool { return strings.HasPrefix(tag, app+"-") }, nil
	}
	return func(tag string) bool {
		return slices.ContainsFunc(file.Tags, func(t workspace.Template) bool { return t.Matches(app, tag) })
	}, nil
}

// nearestWorkspace reads the berth.yaml of a directory or the next one above it, or gives nil.
func nearestWorkspace(dir string) (*workspace.File, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", workspace.Name, err)
	}
	for {
		name := filepath.Join(dir, workspace.Name)
		text, err := os.ReadFile(name)
		switch {
		case err == nil:
			return workspace.Parse(name, text)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case dir == filepath.Dir(dir):
			return nil, nil
		}
		dir = filepath.Dir(dir)
	}
}

func listRows(all []listedImage, platforms bool) [][]string {
	head := []string{"TAGS", "DIGEST", "PUSHED", "SIZE", "PULLED", "SCAN"}
	if platforms {
		head = append(head, "PLATFORMS")
	}
	rows := [][]string{head}
	for _, i := range all {
		row := []string{tagList(i.Tags), short(i.Digest), i.PushedAt.Format(time.RFC3339), shortSize(i.Size), "never", i.scan()}
		if i.PulledAt != nil {
			row[4] = i.PulledAt.Format(time.RFC3339)
		}
		if i.Status != "" && i.Status != "ACTIVE" {
			row[0] += " (" + strings.ToLower(i.Status) + ")"
		}
		if platforms {
			row = append(row, dash(strings.Join(i.Platforms, ",")))
		}
		rows = append(rows, row)
	}
	return rows
}

// tagList is an image's tags in one column.
func tagList(tags []string) string {
	if len(tags) == 0 {
		return "(none)"
	}
	return strings.Join(tags, ",")
}

// severities in the order in which they matter; others come after them.
var severities = []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED"}

// scan is what a scan found, in a few words.
func (i listedImage) scan() string {
	if i.Findings == nil {
		if i.ScanStatus == nil {
			return "-"
		}
		return strings.ToLower(strings.ReplaceAll(i.ScanStatus.Status, "_", " "))
	}
	var found []string
	names := slices.Sorted(maps.Keys(i.Findings.Counts))
	for _, name := range append(slices.Clone(severities), names...) {
		if n := i.Findings.Counts[name]; n > 0 && slices.Contains(names, name) {
			found = append(found, fmt.Sprintf("%d %s", n, strings.ToLower(name)))
			names = slices.DeleteFunc(names, func(one string) bool { return one == name })
		}
	}
	if len(found) == 0 {
		return "clean"
	}
	return strings.Join(found, ", ")
}

// shortSize is size for a column.
func shortSize(n int64) string {
	text, _, _ := strings.Cut(size(n), " (")
	return text
}
