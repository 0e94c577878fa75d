package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/lifecycle"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
)

func (p *program) imagesShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show REPOSITORY:TAG|REPOSITORY@DIGEST",
		Short: "Show what an image is made of, how it runs, and what refers to it",
		Long: "Show looks into an image, or into each image of an index: layers with the instruction that made each, how it\n" +
			"runs, and signatures, SBOMs and attestations that refer to it. It reads the manifest, which the registry counts\n" +
			"as a pull. Of the environment it shows the names alone, since values may be secrets.",
		Example: "berth images show hoopstat-haus/prod:example-calculator-app-latest\n" +
			"berth images show hoopstat-haus/prod:example-calculator-app-latest --query 'images[].layers[].[size,createdBy]' --output text",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.imagesShow(cmd, args[0]) },
	}
	cmd.Flags().String("platform", "", "of an index, only the image for this platform, such as linux/arm64")
	cmd.Flags().Bool("values", false, "show values of environment variables, too, which may be secrets")
	cmd.Flags().Bool("unique", false, "show how many bytes no other image needs; reads the manifests of all, which counts as pulls of all")
	return cmd
}

// shown is the JSON output, which is a contract: docs/operate/images.md.
type shown struct {
	listedImage
	Repository  string            `json:"repositoryName"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Images      []shownVariant    `json:"images"`
	Referrers   []shownReferrer   `json:"referrers"`
	Deployments []shownDeployment `json:"deployments"`
	NotRead     string            `json:"notRead,omitempty"`
	Unique      *uniqueBytes      `json:"unique,omitempty"`
}

type uniqueBytes struct {
	Bytes int64 `json:"bytes"`
	Exact bool  `json:"exact"` // otherwise an upper bound
}

type shownVariant struct {
	Platform  string       `json:"platform,omitempty"`
	Digest    string       `json:"digest"`
	MediaType string       `json:"mediaType"`
	Size      int64        `json:"size"`
	Missing   bool         `json:"missing,omitempty"`
	Config    *shownConfig `json:"config,omitempty"`
	Layers    []shownLayer `json:"layers"`
}

type shownLayer struct {
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
	CreatedBy string `json:"createdBy,omitempty"`
}

type shownConfig struct {
	Created     *time.Time        `json:"created,omitempty"`
	Entrypoint  []string          `json:"entrypoint"`
	Cmd         []string          `json:"cmd"`
	User        string            `json:"user"`
	WorkingDir  string            `json:"workingDir"`
	Environment []string          `json:"environment"`
	Values      map[string]string `json:"environmentValues,omitempty"`
	Ports       []string          `json:"exposedPorts"`
	Volumes     []string          `json:"volumes"`
	Labels      map[string]string `json:"labels"`
	StopSignal  string            `json:"stopSignal,omitempty"`
	Healthcheck []string          `json:"healthcheck,omitempty"`
}

type shownReferrer struct {
	Kind         string            `json:"kind"`
	Digest       string            `json:"digest"`
	ArtifactType string            `json:"artifactType"`
	Size         int64             `json:"size"`
	Inside       bool              `json:"insideIndex,omitempty"`
	Subject      string            `json:"subject"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

func newShown(repository string, d images.Details, values bool) shown {
	s := shown{listedImage: newListed(d.Image), Repository: repository, Annotations: d.Annotations, Images: []shownVariant{}, Referrers: []shownReferrer{}}
	if d.NotRead != nil {
		s.NotRead = d.NotRead.Error()
	}
	for _, v := range d.Variants {
		one := shownVariant{v.Platform, v.Digest.String(), v.MediaType, v.Size, v.Missing, newShownConfig(v.Config, values), []shownLayer{}}
		for _, l := range v.Layers {
			one.Layers = append(one.Layers, shownLayer{l.Digest.String(), l.MediaType, l.Size, l.CreatedBy})
		}
		s.Images = append(s.Images, one)
		if v.Platform != "" {
			s.Platforms = append(s.Platforms, v.Platform)
		}
	}
	for _, r := range d.Referrers {
		s.Referrers = append(s.Referrers, newShownReferrer(r))
	}
	return s
}

func newShownReferrer(r images.Referrer) shownReferrer {
	kind := r.Kind
	if kind == "" {
		kind = "artifact"
	}
	return shownReferrer{kind, r.Digest.String(), r.ArtifactType, r.Size, r.Inside, r.Of.String(), r.Annotations}
}

func newShownConfig(c *images.Config, values bool) *shownConfig {
	if c == nil {
		return nil
	}
	s := &shownConfig{
		Created: known(c.Created), Entrypoint: append([]string{}, c.Entrypoint...), Cmd: append([]string{}, c.Cmd...), User: c.User,
		WorkingDir: c.WorkingDir, Environment: append([]string{}, slices.Sorted(maps.Keys(c.Env))...), Ports: append([]string{}, c.Ports...),
		Volumes: append([]string{}, c.Volumes...), Labels: map[string]string{}, StopSignal: c.StopSignal, Healthcheck: c.Healthcheck,
	}
	maps.Copy(s.Labels, c.Labels)
	if values {
		s.Values = c.Env
	}
	return s
}

func (p *program) imagesShow(cmd *cobra.Command, named string) error {
	name, err := p.imageName(named)
	if err != nil {
		return err
	}
	platform, err := cmd.Flags().GetString("platform")
	if err != nil {
		return err
	}
	values, err := cmd.Flags().GetBool("values")
	if err != nil {
		return err
	}
	client, err := p.registryClient(cmd)
	if err != nil {
		return err
	}
	found, err := imagesOf(client, name.Repository).Show(cmd.Context(), name.Reference)
	if err != nil {
		return p.imagesError(fmt.Errorf("looking into %s: %w", name, err), client)
	}
	if platform != "" {
		all := found.Platforms()
		if found.Variants = found.For(platform); len(found.Variants) == 0 {
			return usageError{fmt.Errorf("--platform: %s is not for %s", name, platform), "it is for " + dash(strings.Join(all, ", "))}
		}
	}
	if found.NotRead != nil {
		p.say("configurations and referrers are not shown: %s", found.NotRead)
	}
	data := newShown(name.Repository, found, values)
	if data.Deployments, err = deploymentsOf(cmd, client, name.Repository, found); err != nil {
		p.say("where it runs is not shown: %s", err)
	}
	if data.Unique, err = uniqueOf(cmd, client, name.Repository, found); err != nil {
		return p.imagesError(err, client)
	}
	return p.print(cmd, data, func(w io.Writer) error { return writeShown(w, data) })
}

// shownDeployment is where an image runs now, by the records of deployments.
type shownDeployment struct {
	App         string    `json:"app"`
	Environment string    `json:"environment"`
	Since       time.Time `json:"since"`
	Actor       string    `json:"actor"`
	Index       string    `json:"indexDigest,omitempty"` // that runs there and lists the image
}

// deploymentsOf tells where an image runs, by itself and through indexes that list it.
func deploymentsOf(cmd *cobra.Command, client *registry.Client, repository string, found images.Details) ([]shownDeployment, error) {
	records, places := deploy.NewRecords(client.ECR, client, repository), []shownDeployment{}
	var direct []deploy.Place
	var err error
	if slices.ContainsFunc(found.Referrers, func(r images.Referrer) bool { return r.Kind == "deployment" }) {
		direct, err = records.Runs(cmd.Context(), found.Digest)
	}
	through, failed := records.Through(cmd.Context())
	for _, at := range append(direct, through[found.Digest]...) {
		places = append(places, shownDeployment{at.App, at.Environment, at.Since, at.Actor, at.Index.String()})
	}
	return places, errors.Join(err, failed)
}

// uniqueOf counts what no other image needs, if that was asked for.
func uniqueOf(cmd *cobra.Command, client *registry.Client, repository string, found images.Details) (*uniqueBytes, error) {
	if asked, err := cmd.Flags().GetBool("unique"); !asked || err != nil {
		return nil, err
	}
	n, exact, err := lifecycle.Unique(cmd.Context(), client.ECR, repository, found.Digest)
	if err != nil {
		return nil, fmt.Errorf("counting what no other image of %s needs: %w", repository, err)
	}
	return &uniqueBytes{n, exact}, nil
}

func writeShown(w io.Writer, s shown) error {
	rows := [][]string{
		{"repository", s.Repository}, {"digest", s.Digest}, {"tags", tagList(s.Tags)}, {"media type", s.MediaType},
	}
	if s.ArtifactType != "" {
		rows = append(rows, []string{"artifact type", s.ArtifactType})
	}
	pulled := "never"
	if s.PulledAt != nil {
		pulled = s.PulledAt.Format(time.RFC3339)
	}
	rows = append(rows, []string{"pushed", s.PushedAt.Format(time.RFC3339)}, []string{"pulled", pulled}, []string{"size", size(s.Size)})
	if s.Unique != nil {
		most := ""
		if !s.Unique.Exact {
			most = "at most "
		}
		rows = append(rows, []string{"its own", most + size(s.Unique.Bytes)})
	}
	if s.Status != "" {
		rows = append(rows, []string{"status", strings.ToLower(s.Status)})
	}
	if s.Subject != "" {
		rows = append(rows, []string{"refers to", s.Subject})
	}
	rows = append(rows, []string{"scan", s.scan()})
	for _, d := range s.Deployments {
		text := fmt.Sprintf("%s as %s since %s, by %s", d.Environment, d.App, d.Since.Format(time.RFC3339), shortActor(d.Actor))
		if d.Index != "" {
			text += ", through the index " + short(d.Index)
		}
		rows = append(rows, []string{"runs in", text})
	}
	for _, k := range slices.Sorted(maps.Keys(s.Annotations)) {
		rows = append(rows, []string{"annotation", k + "=" + oneLine(s.Annotations[k])})
	}
	if err := writeSafely(w, rows); err != nil {
		return err
	}
	for _, v := range s.Images {
		if err := writeVariant(w, v); err != nil {
			return err
		}
	}
	if len(s.Referrers) == 0 {
		return nil
	}
	rows = [][]string{{"REFERRER", "DIGEST", "TYPE"}}
	for _, r := range s.Referrers {
		kind := r.Kind
		if r.Inside {
			kind += " (in the index)"
		}
		rows = append(rows, []string{kind, short(r.Digest), dash(r.ArtifactType)})
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return writeSafely(w, rows)
}

func writeVariant(w io.Writer, v shownVariant) error {
	rows := [][]string{{"platform", dash(v.Platform)}, {"image", v.Digest}}
	if v.Missing {
		rows = append(rows, []string{"", "not in the repository"})
	} else {
		rows = append(rows, []string{"bytes", size(v.Size)})
	}
	if c := v.Config; c != nil {
		rows = append(rows, c.rows()...)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := writeSafely(w, rows); err != nil || len(v.Layers) == 0 {
		return err
	}
	rows = [][]string{{"LAYER", "SIZE", "MADE BY"}}
	for _, l := range v.Layers {
		rows = append(rows, []string{short(l.Digest), shortSize(l.Size), dash(clip(oneLine(l.CreatedBy), 100))})
	}
	return writeSafely(w, rows)
}

func (c *shownConfig) rows() [][]string {
	rows := [][]string{
		{"entrypoint", words(c.Entrypoint)},
		{"cmd", words(c.Cmd)},
		{"user", dash(c.User)},
		{"directory", dash(c.WorkingDir)},
		{"ports", dash(strings.Join(c.Ports, " "))},
	}
	if c.Created != nil {
		rows = append([][]string{{"created", c.Created.Format(time.RFC3339)}}, rows...)
	}
	for _, name := range c.Environment {
		if value, ok := c.Values[name]; ok {
			name += "=" + oneLine(value)
		}
		rows = append(rows, []string{"variable", name})
	}
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		rows = append(rows, []string{"label", k + "=" + oneLine(c.Labels[k])})
	}
	if len(c.Healthcheck) > 0 {
		rows = append(rows, []string{"health", words(c.Healthcheck)})
	}
	return rows
}

// words are the words of a command as a shell would take them.
func words(all []string) string {
	var quoted []string
	for _, one := range all {
		quoted = append(quoted, quote(one))
	}
	return dash(oneLine(strings.Join(quoted, " ")))
}

// oneLine makes one line of a text that strangers wrote, with nothing in it that a terminal would obey.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }), " ")
}

// writeSafely writes a table of what strangers wrote.
func writeSafely(w io.Writer, rows [][]string) error {
	for _, row := range rows {
		for i := range row {
			row[i] = oneLine(row[i])
		}
	}
	return writeTable(w, rows)
}

func clip(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}
