package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func (p *program) scanCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scan REPOSITORY[:TAG|@DIGEST]",
		Short: "Say what is known against an image, or the images of a repository, and whether it stops them",
		Long: "Scan tells the known vulnerabilities of an image, or of each image of an index, those first that are known to be\n" +
			"exploited, then those that can be fixed; which upgrade removes most; what the base image brings; and how old the\n" +
			"advisories are. It waits for a scan that is under way, and asks for one if there is none. Of a repository it is a\n" +
			"table of the newest images.\n\n" +
			"What stops an image is what is of --fail-on and worse and has no exception: of the registry, of --exceptions, or of\n" +
			"the workspace's berth.yaml if the repository is its own. The exit code is 3 if an image is stopped, and if it could\n" +
			"not be scanned, unless --unscanned is pass. A repository is judged only if --fail-on is given.",
		Example: "berth scan hoopstat-haus/prod\n" +
			"berth scan hoopstat-haus/prod:example-calculator-app-latest --fail-on critical --only-fixable\n" +
			"berth scan hoopstat-haus/prod:example-calculator-app-latest --output sarif > berth.sarif",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.ContainsAny(args[0], ":@") {
				return p.scanRepository(cmd, args[0])
			}
			return p.scanImage(cmd, args[0])
		},
	}
	flags := cmd.Flags()
	flags.String("fail-on", "", "the least severity that stops an image: critical, high, medium, low, informational, or none; what berth.yaml says if not given, or critical")
	flags.Bool("only-fixable", false, "have only those count that a newer version of the package mends")
	flags.Bool("ignore-base", false, "have only those count that do not come from the base image")
	flags.String("exceptions", "", "a file of exceptions besides berth.yaml's: as its gate has them, or an OpenVEX document")
	flags.String("severity", "", "list only those of that severity and worse; all if not given")
	flags.Int("limit", 50, "how many findings, or images of a repository, to list; 0 for all")
	flags.Bool("wait", true, "wait for a scan that is under way, or has not begun; without, judge what is known now")
	flags.Duration("timeout", gate.DefaultTimeout, "how long to wait for the scan")
	flags.String("unscanned", "", "whether an image passes whose scan could not run: fail, or pass; what berth.yaml says if not given, or fail")
	flags.String("app", "", "the app whose exceptions hold; by its tag if not given")
	flags.String("dir", "", "the workspace, or a directory in it; the working directory if not given")
	flags.String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
	addOutput(cmd, "sarif")
	return cmd
}

// scanFlags is how images are judged and shown.
type scanFlags struct {
	filter     scan.Filter
	exceptions []workspace.Exception
	statements []vex.Statement
	from       workspace.Severity
	limit      int
	timeout    time.Duration
	now        bool
}

func (p *program) scanFlags(cmd *cobra.Command) (f scanFlags, err error) {
	flags := cmd.Flags()
	for name, into := range map[string]*bool{"only-fixable": &f.filter.OnlyFixable, "ignore-base": &f.filter.IgnoreBase, "wait": &f.now} {
		if *into, err = flags.GetBool(name); err != nil {
			return f, err
		}
	}
	f.now = !f.now
	if f.limit, err = flags.GetInt("limit"); err != nil {
		return f, err
	}
	if f.limit < 0 {
		return f, usageError{fmt.Errorf("--limit: %d is negative", f.limit), ""}
	}
	if f.timeout, err = flags.GetDuration("timeout"); err != nil {
		return f, err
	}
	if f.timeout <= 0 {
		return f, usageError{fmt.Errorf("--timeout: %v is no time to wait", f.timeout), ""}
	}
	from, err := flags.GetString("severity")
	if err != nil {
		return f, err
	}
	if f.from, err = workspace.ParseSeverity(from); err != nil {
		return f, usageError{fmt.Errorf("--severity: %w", err), ""}
	}
	file, err := flags.GetString("exceptions")
	if err != nil || file == "" {
		return f, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return f, usageError{fmt.Errorf("--exceptions: %w", err), ""}
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		document, err := vex.Parse(text)
		if err != nil {
			return f, usageError{fmt.Errorf("--exceptions: %s: %w", file, err), ""}
		}
		f.statements = document.Exceptions()
		return f, nil
	}
	if f.exceptions, err = workspace.ParseExceptions(file, text); err != nil {
		return f, usageError{err, "it is written as exceptions of the gate are, docs/operate/gate.md, or an OpenVEX document"}
	}
	return f, nil
}

// except adds the exceptions of the flags to a gate.
func (f scanFlags) except(by workspace.Gate) workspace.Gate {
	by.Exceptions, by.Statements = slices.Concat(by.Exceptions, f.exceptions), slices.Concat(by.Statements, f.statements)
	return by
}

// scanError adds what to do about it.
func (p *program) scanError(err error, client *registry.Client) error {
	switch {
	case errors.Is(err, scan.ErrNoFixes):
		return usageError{err, "--only-fixable goes by that: enhanced scanning says it, and a Berth"}
	case errors.Is(err, scan.ErrNoPlaces):
		return usageError{err, "--ignore-base goes by that: a Berth says it"}
	}
	return p.imagesError(err, client)
}

// scanned is the JSON output for an image, which is a contract: docs/operate/scan-report.md.
type scanned struct {
	Repository string                     `json:"repositoryName"`
	Digest     string                     `json:"imageDigest"`
	App        string                     `json:"app,omitempty"`
	FailOn     workspace.Severity         `json:"failOn"`
	Verdict    gate.Verdict               `json:"verdict"`
	Passes     bool                       `json:"passes"`
	Unscanned  string                     `json:"unscanned,omitempty"`
	Stopping   int                        `json:"stopping"`
	Counts     map[workspace.Severity]int `json:"counts"`
	Images     []scannedImage             `json:"images"`
	Findings   []scannedFinding           `json:"findings"`
	Unmatched  []string                   `json:"unmatchedExceptions"`
	PassedOver int                        `json:"passedOver"`
	Reports    []scan.Report              `json:"reports"`
	Upgrades   []scan.Upgrade             `json:"upgrades"`
}

type scannedImage struct {
	Digest      string                     `json:"imageDigest"`
	Platform    string                     `json:"platform,omitempty"`
	Status      string                     `json:"status,omitempty"`
	CompletedAt *time.Time                 `json:"completedAt,omitempty"`
	Unscanned   string                     `json:"unscanned,omitempty"`
	Counts      map[workspace.Severity]int `json:"counts"`
}

type scannedFinding struct {
	ID        string             `json:"id,omitempty"`
	Severity  workspace.Severity `json:"severity"`
	Said      string             `json:"registrySeverity"`
	Package   string             `json:"package,omitempty"`
	Version   string             `json:"version,omitempty"`
	FixedIn   string             `json:"fixedIn,omitempty"`
	Title     string             `json:"title,omitempty"`
	URI       string             `json:"uri,omitempty"`
	Platforms []string           `json:"platforms,omitempty"`
	Unlisted  int                `json:"unlisted,omitempty"`
	Names     []string           `json:"names,omitempty"`
	Path      string             `json:"path,omitempty"`
	Exploited bool               `json:"exploited,omitempty"`
	EPSS      float64            `json:"epss,omitempty"`
	FromBase  bool               `json:"fromBase,omitempty"`
	Stops     bool               `json:"stops"`
	Exception *scannedException  `json:"exception,omitempty"`
}

type scannedException struct {
	Owner   string         `json:"owner"`
	Reason  string         `json:"reason"`
	Expires workspace.Date `json:"expires"` // empty: never
	Expired bool           `json:"expired"`
	By      string         `json:"by,omitempty"` // registry, of one that the registry holds to
}

func newScanned(repository string, by workspace.Gate, r gate.Result) scanned {
	s := scanned{
		Repository: repository, Digest: r.Digest.String(), App: r.App, FailOn: by.Severity, Verdict: r.Verdict, Passes: r.Passes,
		Unscanned: r.Unscanned(), Stopping: r.Stopping, Counts: r.Counts, Images: []scannedImage{}, Findings: []scannedFinding{}, Unmatched: []string{},
		PassedOver: r.PassedOver, Reports: append([]scan.Report{}, r.Reports()...), Upgrades: append([]scan.Upgrade{}, scan.Upgrades(r.Reports()...)...),
	}
	for _, i := range r.Images {
		s.Images = append(s.Images, scannedImage{i.Digest.String(), i.Platform, i.Status, known(i.CompletedAt.UTC()), i.Unscanned, i.Counts})
	}
	for _, f := range r.Findings {
		one := scannedFinding{f.ID, f.Severity, f.Said, f.Package, f.Version, f.FixedIn, f.Title, f.URI, f.Platforms, f.Unlisted, f.Names, f.Where, f.Exploited, f.EPSS, f.FromBase, f.Stops, nil}
		if e := f.Excepted; e != nil {
			one.Exception = &scannedException{Owner: e.Owner, Reason: e.Reason, Expires: e.Expires}
			if f.Held != nil {
				one.Exception.By = "registry"
			}
		} else if e := f.Expired; e != nil {
			one.Exception = &scannedException{Owner: e.Owner, Reason: e.Reason, Expires: e.Expires, Expired: true}
		}
		s.Findings = append(s.Findings, one)
	}
	for _, e := range gate.Unmatched(by, []gate.Result{r}) {
		s.Unmatched = append(s.Unmatched, e.ID)
	}
	return s
}

func (p *program) scanImage(cmd *cobra.Command, named string) error {
	name, err := p.imageName(named)
	if err != nil {
		return err
	}
	flags, err := p.scanFlags(cmd)
	if err != nil {
		return err
	}
	in := gate.Input{Repository: name.Repository, Filter: flags.filter, Now: flags.now, Today: p.now()}
	if in.Gate, in.App, err = p.gateOf(cmd, name); err != nil {
		return err
	}
	in.Gate = flags.except(in.Gate)
	client, err := p.registryClient(cmd)
	if err != nil {
		return err
	}
	found, err := imagesOf(client, name.Repository).Resolve(cmd.Context(), name.Reference)
	if err != nil {
		return p.imagesError(fmt.Errorf("scanning %s: %w", name, err), client)
	}
	in.Digest, in.MediaType = found.Digest, found.MediaType
	task := &progress.Task{Project: in.App, Step: progress.Scan, Sink: &sayings{p: p}, Now: p.now}
	config := gate.At(client)
	config.Timeout = flags.timeout
	r, err := gate.New(config).Scan(cmd.Context(), in, task)
	stopped, isStopped := errors.AsType[*gate.Stopped](err)
	if err != nil && !isStopped {
		return p.scanError(fmt.Errorf("scanning %s: %w", name, err), client)
	}
	for _, e := range gate.Unmatched(in.Gate, []gate.Result{r}) {
		p.say("the exception for %s is about nothing that was found", oneLine(e.ID))
	}
	if err := p.printScanned(cmd, name, in.Gate, r, flags); err != nil {
		return err
	}
	if isStopped {
		return foundError{fmt.Errorf("%s: %w", name, stopped)}
	}
	return nil
}

// gateOf is what an image is judged by: the workspace's gate if the repository is its own, with what the flags say instead.
func (p *program) gateOf(cmd *cobra.Command, name images.Name) (by workspace.Gate, app string, err error) {
	values := map[string]string{}
	for _, flag := range []string{"fail-on", "unscanned", "app", "dir"} {
		if values[flag], err = cmd.Flags().GetString(flag); err != nil {
			return by, "", err
		}
	}
	file, err := nearestWorkspace(values["dir"])
	by, app = workspace.Gate{Severity: workspace.Critical, Unscanned: workspace.Fail, Unrated: workspace.Critical}, values["app"]
	switch {
	case err != nil:
		return by, "", usageError{err, "every key is explained by: " + p.name + " config schema"}
	case file != nil && file.Repository == name.Repository:
		if err := file.ReadVEXIn(filepath.Dir(file.Path())); err != nil {
			return by, "", usageError{err, "docs/operate/exceptions.md has what must be in it"}
		}
		by = file.Gate
		if app == "" {
			app = appOf(file, name.Tag)
		}
	case values["dir"] != "" && file == nil:
		return by, "", usageError{fmt.Errorf("--dir: there is no %s in %s nor above it", workspace.Name, values["dir"]), ""}
	case values["dir"] != "":
		return by, "", usageError{fmt.Errorf("--dir: the images of this workspace are in %s", file.Repository), ""}
	}
	failOn, err := workspace.ParseSeverity(values["fail-on"])
	if err != nil {
		return by, "", usageError{fmt.Errorf("--fail-on: %w", err), ""}
	}
	unscanned, err := workspace.ParseUnscanned(values["unscanned"])
	if err != nil {
		return by, "", usageError{fmt.Errorf("--unscanned: %w", err), ""}
	}
	by.Severity, by.Unscanned = cmp.Or(failOn, by.Severity), cmp.Or(unscanned, by.Unscanned)
	return by, app, nil
}

// appOf tells by its tag whose an image is, of the apps for which there are exceptions; for the others it does not matter.
func appOf(file *workspace.File, tag string) string {
	for _, e := range file.Gate.Exceptions {
		for _, app := range e.Apps {
			if slices.ContainsFunc(file.Tags, func(t workspace.Template) bool { return t.Matches(app, tag) }) {
				return app
			}
		}
	}
	return ""
}

// sayings is a sink that tells the user what a step says, without what is for a log only.
type sayings struct {
	p  *program
	mu sync.Mutex
}

// Event tells it.
func (s *sayings) Event(e progress.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case progress.Output, progress.Note, progress.Problem:
		s.p.say("%s", oneLine(e.Text))
	default:
	}
}
