// Package gate is the step of the pipeline between an image that is pushed and one that is released: it waits for the
// registry's scan of the image, and decides by berth.yaml's gate whether what was found stops it.
//
// It asks any ECR by public operations: DescribeImageScanFindings, StartImageScan where nothing has been scanned yet, and
// BatchGetImage to find the images of an index, since indexes are not scanned. Whatever cannot be known counts as worse: an
// image whose scan could not run, a finding that nobody has rated, one that is counted and not listed.
package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"golang.org/x/sync/errgroup"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// API is what is asked of an ECR; *ecr.Client has it.
type API interface {
	DescribeImageScanFindings(context.Context, *ecr.DescribeImageScanFindingsInput, ...func(*ecr.Options)) (*ecr.DescribeImageScanFindingsOutput, error)
	StartImageScan(context.Context, *ecr.StartImageScanInput, ...func(*ecr.Options)) (*ecr.StartImageScanOutput, error)
	BatchGetImage(context.Context, *ecr.BatchGetImageInput, ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error)
}

// Berth is what a Berth tells that Amazon's ECR has no words for; *platform.Client has it.
type Berth interface {
	Findings(ctx context.Context, repository string, id platform.ImageID) (platform.Findings, error)
}

// How long is waited where a Config does not say.
const (
	DefaultTimeout = 15 * time.Minute
	DefaultAppear  = time.Minute
)

// Config is what a Gate needs.
type Config struct {
	API API
	// Berth is the same server, where it may be a Berth: then it tells more, and of packages of languages with basic scanning too. Nil
	// for Amazon's ECR. Where the server is no Berth, or an older one, ECR's words are gone by.
	Berth Berth
	// Timeout is how long a scan is waited for; DefaultTimeout if not given.
	Timeout time.Duration
	// Appear is how long is waited for a scan to begin that nobody can ask for; DefaultAppear if not given.
	Appear time.Duration
}

// At is the configuration for a registry.
func At(client *registry.Client) Config {
	c := Config{API: client.ECR}
	if client.Berth != nil { // else a Berth that is nil would be one
		c.Berth = client.Berth
	}
	return c
}

// Gate scans images and judges them. It may be used by many goroutines.
type Gate struct{ c Config }

// New makes a Gate.
func New(c Config) *Gate {
	c.Timeout, c.Appear = cmp.Or(c.Timeout, DefaultTimeout), cmp.Or(c.Appear, DefaultAppear)
	return &Gate{c}
}

// Input is an image, and what it is judged by.
type Input struct {
	App        string // whose exceptions count; empty: only those for all apps do
	Repository string
	Digest     oci.Digest // of an image or an index
	MediaType  string     // of its manifest; empty if that is not known: then it is read, which the registry counts as a pull
	Gate       workspace.Gate
	Filter     scan.Filter // what counts
	Now        bool        // judge what is known now, and do not wait for a scan
	Today      time.Time
}

// Verdict is what came of it.
type Verdict string

// The verdicts.
const (
	VerdictPassed    Verdict = "passed"
	VerdictStopped   Verdict = "stopped"   // by findings
	VerdictUnscanned Verdict = "unscanned" // which stops it, too, unless the gate says otherwise
)

// ScannedImage is one image that was to be scanned: the pushed one, or one of an index.
type ScannedImage struct {
	Digest      oci.Digest
	Platform    string    // such as linux/arm64, of an index's; empty otherwise
	Status      string    // the registry's word, such as COMPLETE; empty where there was no scan
	CompletedAt time.Time // when it was scanned; zero where that is not said
	Unscanned   string    // why it is not scanned; empty if it is
	Counts      map[workspace.Severity]int
	Report      scan.Report // what counts of what was found
}

// Name is what people know it by.
func (i ScannedImage) Name() string {
	if i.Platform != "" {
		return plan.Printable(i.Platform)
	}
	return i.Digest.Short()
}

// Result is what is known of an image after its scan. Text in it is a stranger's, as the registry gave it.
type Result struct {
	App     string
	Digest  oci.Digest
	Verdict Verdict
	// Passes tells whether the image may be released: it passed, or could not be scanned and the gate lets such images pass.
	Passes bool
	Images []ScannedImage
	// PassedOver is how many findings the filter keeps from counting.
	PassedOver int
	Judgment
}

// Reports are what was found in each image, as far as it was.
func (r Result) Reports() []scan.Report {
	var all []scan.Report
	for _, i := range r.Images {
		if i.Report.Digest != "" {
			all = append(all, i.Report)
		}
	}
	return all
}

// Unscanned says why images were not scanned, in one line; empty if all were.
func (r Result) Unscanned() string {
	var whys []string
	for _, i := range r.Images {
		why := plan.Printable(i.Unscanned)
		if i.Platform != "" && why != "" {
			why = i.Name() + ": " + why
		}
		if why != "" {
			whys = append(whys, why)
		}
	}
	if len(r.Images) == 0 {
		whys = append(whys, "the index has no images")
	}
	return strings.Join(whys, "; ")
}

// Stopped is the error of an image that does not pass: not a failure, but what the gate is for.
type Stopped struct{ Result Result }

// Error says why.
func (e *Stopped) Error() string {
	if e.Result.Verdict == VerdictUnscanned {
		return "it was not scanned: " + e.Result.Unscanned()
	}
	text := "1 finding stops it: "
	if e.Result.Stopping != 1 {
		text = fmt.Sprintf("%d findings stop it: ", e.Result.Stopping)
	}
	return text + worst(e.Result.Findings)
}

// worst names the first findings that stop.
func worst(findings []Finding) string {
	const most = 3
	var names []string
	more := 0
	for _, f := range findings {
		switch {
		case !f.Stops:
		case len(names) < most:
			names = append(names, f.String())
		default:
			more += f.count()
		}
	}
	text := strings.Join(names, ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Run waits for the scan of an image, prints what was found, and judges it. Its error is *Stopped if the image is not to be
// released, with the same result.
func (g *Gate) Run(ctx context.Context, in Input, task *progress.Task) (Result, error) {
	r, err := g.Scan(ctx, in, task)
	stopped, isStopped := errors.AsType[*Stopped](err)
	if err != nil && !isStopped {
		return r, err
	}
	out := task.Writer()
	if err := errors.Join(Write(out, r), out.Close()); err != nil {
		return r, err
	}
	if isStopped {
		task.Say(progress.Event{Kind: progress.Problem, Text: stopped.Error()})
	}
	return r, err
}

// Scan is Run without printing what was found.
func (g *Gate) Scan(ctx context.Context, in Input, task *progress.Task) (Result, error) {
	r := Result{App: in.App, Digest: in.Digest}
	var err error
	if r.Images, err = g.images(ctx, in); err != nil {
		return r, err
	}
	reports := make([]*scan.Report, len(r.Images))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(4) //nolint:mnd // of an index at a time: registries limit how often they are asked
	for i := range r.Images {
		group.Go(func() error {
			w := waiting{gate: g, repository: in.Repository, image: &r.Images[i], task: task, now: in.Now}
			var err error
			reports[i], err = w.wait(within)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return r, err //nolint:wrapcheck // says what it was about
	}
	if err := r.judge(in, reports); err != nil {
		return r, err
	}
	r.decide(in.Gate)
	r.note(task, in.Today)
	if !r.Passes {
		return r, &Stopped{r}
	}
	return r, nil
}

// judge judges what counts of what was found.
func (r *Result) judge(in Input, reports []*scan.Report) error {
	all, found := make([][]Finding, len(reports)), make([][]Finding, len(reports))
	for i, report := range reports {
		if report != nil {
			kept, err := in.Filter.Keep(*report)
			if err != nil {
				return err //nolint:wrapcheck // says all there is to say
			}
			r.Images[i].Report = kept
			all[i], found[i] = findings(*report), findings(kept)
			documented(in, r.Images[i].Digest, found[i])
		}
		r.Images[i].Counts = count(found[i])
	}
	r.Judgment = Judge(in.Gate, in.App, in.Today, merge(in.Gate, found))
	for s, n := range count(merge(in.Gate, all)) {
		r.PassedOver += n - r.Counts[s]
	}
	return nil
}

// decide makes the verdict. A gate that nothing shuts is not shut by a scan that could not run either.
func (r *Result) decide(gate workspace.Gate) {
	switch {
	case r.Stopping > 0:
		r.Verdict = VerdictStopped
	case r.Unscanned() != "":
		r.Verdict, r.Passes = VerdictUnscanned, gate.Unscanned == workspace.Pass || gate.Severity == workspace.None
	default:
		r.Verdict, r.Passes = VerdictPassed, true
	}
}

// note says what is worth knowing besides the findings.
func (r *Result) note(task *progress.Task, today time.Time) {
	if r.Verdict == VerdictUnscanned && r.Passes {
		task.Note("passes, though it was not scanned: " + r.Unscanned())
	}
	for _, e := range r.Expired {
		task.Say(progress.Event{Kind: progress.Problem, Text: fmt.Sprintf("the exception for %s has expired, on %s: it is %s's to renew, or the finding to be fixed",
			plan.Printable(e.ID), e.Expires, plan.Printable(e.Owner))})
	}
	for _, e := range r.Expiring {
		task.Note(fmt.Sprintf("the exception for %s counts until %s: %s is to fix it or to renew it", plan.Printable(e.ID), e.Expires, plan.Printable(e.Owner)))
	}
	for _, text := range scan.Doubts(today, r.Reports()...) {
		task.Note(text)
	}
	const old = 30 * 24 * time.Hour
	for _, i := range r.Images {
		if !i.CompletedAt.IsZero() && i.Report.JudgedAt.IsZero() && today.Sub(i.CompletedAt) > old {
			task.Note(fmt.Sprintf("the scan of %s is of %s, and does not know what was found since", i.Name(), i.CompletedAt.UTC().Format(time.DateOnly)))
		}
	}
}
