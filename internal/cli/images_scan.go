package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func (p *program) imagesScanCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scan REPOSITORY:TAG|REPOSITORY@DIGEST",
		Short: "Wait for the scan of an image, and say whether what it found stops it",
		Long: "Scan waits until the registry has scanned an image, or each image of an index, and asks for a scan if there is none.\n" +
			"It prints how many findings of each severity there are, and those that stop the image: of --fail-on and worse,\n" +
			"without those for which the workspace's berth.yaml has an exception, if the repository is its own.\n\n" +
			"The exit code is 3 if the image is stopped, and if it could not be scanned, unless --unscanned is pass.",
		Example: "berth images scan hoopstat-haus/prod:example-calculator-app-latest\n" +
			"berth images scan hoopstat-haus/prod:example-calculator-app-latest --fail-on high --output json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.imagesScan(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.String("fail-on", "", "the least severity that stops the image: critical, high, medium, low, informational, or none; what berth.yaml says if not given, or critical")
	flags.String("unscanned", "", "whether an image passes whose scan could not run: fail, or pass; what berth.yaml says if not given, or fail")
	flags.String("app", "", "the app whose exceptions hold; by its tag if not given")
	flags.String("dir", "", "the workspace, or a directory in it; the working directory if not given")
	flags.Duration("timeout", gate.DefaultTimeout, "how long to wait for the scan")
	return cmd
}

// scanned is the JSON output, which is a contract: docs/operate/images.md.
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
	Stops     bool               `json:"stops"`
	Exception *scannedException  `json:"exception,omitempty"`
}

type scannedException struct {
	Owner   string         `json:"owner"`
	Reason  string         `json:"reason"`
	Expires workspace.Date `json:"expires"`
	Expired bool           `json:"expired"`
}

func newScanned(repository string, by workspace.Gate, r gate.Result) scanned {
	s := scanned{
		Repository: repository, Digest: r.Digest.String(), App: r.App, FailOn: by.Severity, Verdict: r.Verdict, Passes: r.Passes,
		Unscanned: r.Unscanned(), Stopping: r.Stopping, Counts: r.Counts, Images: []scannedImage{}, Findings: []scannedFinding{}, Unmatched: []string{},
	}
	for _, i := range r.Images {
		s.Images = append(s.Images, scannedImage{i.Digest.String(), i.Platform, i.Status, known(i.CompletedAt.UTC()), i.Unscanned, i.Counts})
	}
	for _, f := range r.Findings {
		one := scannedFinding{f.ID, f.Severity, f.Said, f.Package, f.Version, f.FixedIn, f.Title, f.URI, f.Platforms, f.Unlisted, f.Stops, nil}
		if e := f.Excepted; e != nil {
			one.Exception = &scannedException{e.Owner, e.Reason, e.Expires, false}
		} else if e := f.Expired; e != nil {
			one.Exception = &scannedException{e.Owner, e.Reason, e.Expires, true}
		}
		s.Findings = append(s.Findings, one)
	}
	for _, e := range gate.Unmatched(by, []gate.Result{r}) {
		s.Unmatched = append(s.Unmatched, e.ID)
	}
	return s
}

func (p *program) imagesScan(cmd *cobra.Command, named string) error {
	name, err := p.imageName(named)
	if err != nil {
		return err
	}
	in := gate.Input{Repository: name.Repository, Today: p.now()}
	if in.Gate, in.App, err = p.gateOf(cmd, name); err != nil {
		return err
	}
	timeout, err := cmd.Flags().GetDuration("timeout")
	if err != nil {
		return err
	}
	if timeout <= 0 {
		return usageError{fmt.Errorf("--timeout: %v is no time to wait", timeout), ""}
	}
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
	r, err := gate.New(gate.Config{API: client.ECR, Timeout: timeout}).Scan(cmd.Context(), in, task)
	stopped, isStopped := errors.AsType[*gate.Stopped](err)
	if err != nil && !isStopped {
		return p.imagesError(fmt.Errorf("scanning %s: %w", name, err), client)
	}
	data := newScanned(name.Repository, in.Gate, r)
	for _, id := range data.Unmatched {
		p.say("the exception for %s is about nothing that was found", oneLine(id))
	}
	if err := p.print(cmd, data, func(w io.Writer) error { return gate.Write(w, r) }); err != nil {
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
