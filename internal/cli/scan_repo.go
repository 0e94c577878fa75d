package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// scannedRepository is the JSON output for a repository, which is a contract: docs/operate/scan-report.md.
type scannedRepository struct {
	Repository string          `json:"repositoryName"`
	Images     []scannedInRepo `json:"images"`
	Of         int             `json:"ofImages"` // how many there are
	Upgrades   []scan.Upgrade  `json:"upgrades"`
	Sources    []scan.Source   `json:"advisorySources"`
}

type scannedInRepo struct {
	Digest     string                     `json:"imageDigest"`
	Tags       []string                   `json:"imageTags"`
	PushedAt   time.Time                  `json:"imagePushedAt"`
	Unscanned  string                     `json:"unscanned,omitempty"`
	Counts     map[workspace.Severity]int `json:"counts"`
	Fixable    int                        `json:"fixable"`
	Exploited  int                        `json:"exploited"`
	Suppressed int                        `json:"suppressed"`
	Verdict    gate.Verdict               `json:"verdict,omitempty"` // with --fail-on
	Stopping   int                        `json:"stopping,omitempty"`
}

func (p *program) scanRepository(cmd *cobra.Command, repository string) error {
	if form, err := cmd.Flags().GetString("output"); err != nil || form == "sarif" {
		return usageError{errors.New("--output sarif is of one image"), "name it like " + p.name + " scan " + quote(repository) + ":TAG"}
	}
	if err := workspace.CheckRepository(repository); err != nil {
		return usageError{err, "an image is written like hoopstat-haus/prod:web-latest"}
	}
	flags, err := p.scanFlags(cmd)
	if err != nil {
		return err
	}
	judged := cmd.Flags().Changed("fail-on")
	by, app, err := p.gateOf(cmd, images.Name{Repository: repository})
	if err != nil {
		return err
	}
	if !judged {
		by.Severity = workspace.None
	}
	by = flags.except(by)
	client, err := p.registryClient(cmd)
	if err != nil {
		return err
	}
	all, err := imagesOf(client, repository).List(cmd.Context())
	if err != nil {
		return p.imagesError(fmt.Errorf("scanning %s: %w", repository, err), client)
	}
	all = slices.DeleteFunc(all, func(i images.Image) bool { return i.IsArtifact() || len(i.Tags) == 0 || i.Status == "ARCHIVED" })
	of := len(all)
	if flags.limit > 0 {
		all = all[:min(of, flags.limit)]
	}
	in := gate.Input{App: app, Repository: repository, Gate: by, Filter: flags.filter, Now: true, Today: p.now()}
	results, err := scanAll(cmd.Context(), client, in, all)
	if err != nil {
		return p.scanError(fmt.Errorf("scanning %s: %w", repository, err), client)
	}
	data, reports := newScannedRepository(repository, all, results, judged)
	data.Of = of
	if err := p.print(cmd, data, func(w io.Writer) error { return p.writeRepository(w, data, reports) }); err != nil {
		return err
	}
	for _, text := range scan.Doubts(p.now(), reports...) {
		p.say("%s", text)
	}
	if of > len(all) {
		p.say("the newest %d of %d images with tags; --limit says how many", len(all), of)
	}
	stopped := 0
	for _, r := range results {
		if !r.Passes {
			stopped++
		}
	}
	if judged && stopped > 0 {
		return foundError{fmt.Errorf("%s: %s", repository, plural(stopped, "image is stopped", "images are stopped"))}
	}
	return nil
}

// scanAll judges images by what is known now.
func scanAll(ctx context.Context, client *registry.Client, in gate.Input, all []images.Image) ([]gate.Result, error) {
	results := make([]gate.Result, len(all))
	g := gate.New(gate.At(client))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i, image := range all {
		group.Go(func() error {
			one := in
			one.Digest, one.MediaType = image.Digest, image.MediaType
			r, err := g.Scan(within, one, &progress.Task{Step: progress.Scan, Sink: silent{}, Now: func() time.Time { return in.Today }})
			if _, stopped := errors.AsType[*gate.Stopped](err); err != nil && !stopped {
				return fmt.Errorf("%s: %w", image.Digest.Short(), err)
			}
			results[i] = r
			return nil
		})
	}
	return results, group.Wait()
}

// silent hears what nobody needs to: of many images there is a table.
type silent struct{}

// Event takes it.
func (silent) Event(progress.Event) {}

// newScannedRepository sorts images as findings are: exploited first, then fixable, then by severity.
func newScannedRepository(repository string, all []images.Image, results []gate.Result, judged bool) (scannedRepository, []scan.Report) {
	data := scannedRepository{Repository: repository, Images: []scannedInRepo{}, Upgrades: []scan.Upgrade{}, Sources: []scan.Source{}}
	var reports []scan.Report
	for i, r := range results {
		one := scannedInRepo{
			Digest: all[i].Digest.String(), Tags: append([]string{}, all[i].Tags...), PushedAt: all[i].PushedAt, Unscanned: r.Unscanned(), Counts: map[workspace.Severity]int{},
		}
		if judged {
			one.Verdict, one.Stopping = r.Verdict, r.Stopping
		}
		for _, f := range r.Findings {
			switch n := max(1, f.Unlisted); {
			case f.Excepted != nil:
				one.Suppressed += n
			default:
				one.Counts[f.Severity] += n
				one.Fixable += count(f.FixedIn != "")
				one.Exploited += count(f.Exploited)
			}
		}
		data.Images = append(data.Images, one)
		reports = append(reports, r.Reports()...)
	}
	slices.SortStableFunc(data.Images, func(a, b scannedInRepo) int {
		order := cmp.Or(cmp.Compare(b.Exploited, a.Exploited), cmp.Compare(count(b.Fixable > 0), count(a.Fixable > 0)))
		for _, s := range scan.Severities() {
			order = cmp.Or(order, cmp.Compare(b.Counts[s], a.Counts[s]))
		}
		return order
	})
	data.Upgrades = append(data.Upgrades, scan.Upgrades(reports...)...)
	data.Sources = append(data.Sources, scan.Sources(reports...)...)
	return data, reports
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (p *program) writeRepository(w io.Writer, data scannedRepository, reports []scan.Report) error {
	if len(data.Images) == 0 {
		p.say("there are no images with tags in %s", data.Repository)
		return nil
	}
	rows := [][]string{{"IMAGE", "DIGEST", "EXPLOITED", "FIXABLE", "CRITICAL", "HIGH", "MEDIUM", "LOW", "OTHER", "EXCEPTED", "NOTE"}}
	for _, i := range data.Images {
		number := func(n int) string { return fmt.Sprint(n) }
		if i.Unscanned != "" && len(i.Counts) == 0 {
			number = func(int) string { return "?" }
		}
		c := i.Counts
		rows = append(rows, []string{
			tagList(i.Tags), short(i.Digest), number(i.Exploited), number(i.Fixable), number(c[workspace.Critical]), number(c[workspace.High]), number(c[workspace.Medium]),
			number(c[workspace.Low]), number(c[workspace.Informational] + c[scan.Unrated]), number(i.Suppressed), strings.TrimSpace(notPassed(i) + " " + i.Unscanned),
		})
	}
	if err := writeSafely(w, rows); err != nil {
		return err
	}
	lines := append(upgradeLines(data.Upgrades), p.ages(reports)...)
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// notPassed says that an image is stopped.
func notPassed(i scannedInRepo) string {
	if i.Stopping > 0 {
		return fmt.Sprintf("stopped by %d", i.Stopping)
	}
	return ""
}
