package report

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// Version is that of Summary's schema. Members may come without a new one; none goes, or changes what it means.
const Version = 1

// Outcome is what came of a run, of a project or of a step.
type Outcome string

// The outcomes. What was Skipped waited for something that failed, or had nothing to do.
const (
	Done    Outcome = "done"
	Failed  Outcome = "failed"
	Stopped Outcome = "stopped" // by whoever started the run
	Found   Outcome = "found"   // it worked, and a check found what it looks for
	Skipped Outcome = "skipped" // was not begun
	Nothing Outcome = "nothing" // there was nothing to do
)

// ExitCode is that of a program whose run had this outcome: 0 done, 1 failed, 3 a check found something.
func (o Outcome) ExitCode() int {
	switch o {
	case Done, Nothing, Skipped:
		return 0
	case Found:
		return 3
	default:
		return 1
	}
}

// weight orders outcomes: that of several is the heaviest one's.
func (o Outcome) weight() int {
	return slices.Index([]Outcome{Nothing, Skipped, Done, Found, Stopped, Failed}, o)
}

// Worst is the outcome of several: one that failed is a failure, whatever a check of another found.
func Worst(all ...Outcome) Outcome {
	worst := Nothing
	for _, o := range all {
		if o.weight() > worst.weight() {
			worst = o
		}
	}
	return worst
}

// Summary is what came of a run. Its JSON form is a contract, docs/operate/ship-report.md; the texts in the tags are
// that document's.
type Summary struct {
	Version    int       `json:"version" doc:"of this schema: 1"`
	Outcome    Outcome   `json:"outcome" doc:"of the run: that of the project it went worst with, or nothing if there was nothing to do" enum:"done failed stopped found nothing"`
	DryRun     bool      `json:"dryRun,omitempty" doc:"nothing was done: the steps say what would be"`
	Commit     string    `json:"commit" doc:"that was shipped, in full"`
	Branch     string    `json:"branch,omitempty" doc:"that it was shipped from; absent if HEAD is on none"`
	Repository string    `json:"repository,omitempty" doc:"that the images are in"`
	Registry   string    `json:"registry,omitempty" doc:"host that images are pulled from; absent if nothing was to be pushed"`
	Workflow   string    `json:"workflow,omitempty" doc:"name of the CI system's workflow or pipeline"`
	Run        string    `json:"run,omitempty" doc:"address of the CI system's run"`
	StartedAt  time.Time `json:"startedAt" doc:"when the run began"`
	FinishedAt time.Time `json:"finishedAt" doc:"when it ended"`
	Projects   []Project `json:"projects" doc:"all that were looked at, those before which others depend on"`
	Notes      []string  `json:"notes" doc:"what is worth knowing of the run as a whole"`
}

// Project is what came of one.
type Project struct {
	Name     string    `json:"name" doc:"in berth.yaml"`
	Kind     string    `json:"kind,omitempty" doc:"app, utility or lib"`
	Outcome  Outcome   `json:"outcome" doc:"of the project: that of the step it went worst with" enum:"done failed stopped found skipped nothing"`
	Reason   string    `json:"reason,omitempty" doc:"why something, or nothing, was to be done"`
	Steps    []Step    `json:"steps" doc:"what was done, in the order of its begin"`
	Image    *Image    `json:"image,omitempty" doc:"absent if the project has none, or it was not made"`
	Scan     *Scan     `json:"scan,omitempty" doc:"what the gate made of the image's scan; absent if it was not asked"`
	Problems []Problem `json:"problems" doc:"reasons of a failure, and what should be looked at"`
	Notes    []string  `json:"notes" doc:"what is worth knowing"`
}

// Step is what came of a step of a project.
type Step struct {
	Step      progress.Step `json:"step" doc:"which one" enum:"test build push scan release deploy"`
	Outcome   Outcome       `json:"outcome" doc:"of the step" enum:"done failed stopped found skipped"`
	StartedAt time.Time     `json:"startedAt,omitzero" doc:"when it began; absent if it was skipped"`
	Seconds   float64       `json:"seconds" doc:"how long it took"`
	Text      string        `json:"text,omitempty" doc:"what was said at its end"`
	Output    []string      `json:"output,omitempty" doc:"last lines that its programs printed, if it failed; without control characters"`
}

// Image is what is in the registry, or would be.
type Image struct {
	Digest     string      `json:"digest" doc:"of the manifest or index"`
	MediaType  string      `json:"mediaType,omitempty" doc:"of that"`
	Size       int64       `json:"size,omitempty" doc:"bytes of all that it refers to, compressed"`
	Inputs     string      `json:"inputs,omitempty" doc:"the image key: a hash of what it is made from"`
	Built      bool        `json:"built" doc:"whether this run built it; false if the registry had it"`
	Tags       []Tag       `json:"tags" doc:"that name it now, or that were to"`
	References []Reference `json:"references" doc:"artifacts about it that this run pushed"`
}

// Action is what was done with a tag.
type Action string

// The actions.
const (
	Pushed   Action = "pushed"   // it was not there, and the image neither
	Retagged Action = "retagged" // it was not there, the image was
	Kept     Action = "kept"     // it named this image before
	Moved    Action = "moved"    // it named another
	Newer    Action = "newer"    // it names an image of a newer commit, and stays there
)

// Tag is what came of one.
type Tag struct {
	Tag    string `json:"tag" doc:"its name"`
	Digest string `json:"digest" doc:"what it names now"`
	Action Action `json:"action" doc:"pushed: it is new, and the image too; retagged: it is new, the image was there; kept: it named this image before; moved: it named another; newer: it names an image of a newer commit, and stays" enum:"pushed retagged kept moved newer"`
	From   string `json:"from,omitempty" doc:"what it named before, if it moved"`
}

// Reference is an artifact about an image.
type Reference struct {
	ArtifactType string `json:"artifactType" doc:"what it is: provenance, an SBOM, the record of the run"`
	Digest       string `json:"digest" doc:"of its manifest"`
}

// Scan is what the gate made of an image's scan.
type Scan struct {
	Verdict  string         `json:"verdict" doc:"passed, stopped (by findings), or unscanned"`
	Passes   bool           `json:"passes" doc:"whether the image may be released; of unscanned ones the gate decides"`
	Reason   string         `json:"reason,omitempty" doc:"why"`
	Counts   map[string]int `json:"counts" doc:"findings by severity: critical, high, medium, low, informational, unrated"`
	Stopping []Finding      `json:"stopping" doc:"findings that the gate stopped the image for, the worst first"`
	Excepted []Finding      `json:"excepted" doc:"findings that an exception lets pass"`
}

// Finding is one of a scan's.
type Finding struct {
	ID        string   `json:"id,omitempty" doc:"such as CVE-2026-12345; absent of those that the registry counts and does not list"`
	Severity  string   `json:"severity" doc:"one of those in counts"`
	Unlisted  int      `json:"unlisted,omitempty" doc:"how many the registry counts and does not list"`
	Package   string   `json:"package,omitempty" doc:"that it is in"`
	Version   string   `json:"version,omitempty" doc:"of the package"`
	FixedIn   string   `json:"fixedIn,omitempty" doc:"version of the package without it; absent if there is none"`
	Title     string   `json:"title,omitempty" doc:"what it is"`
	URI       string   `json:"uri,omitempty" doc:"where more is said of it"`
	Platforms []string `json:"platforms,omitempty" doc:"of an index, those whose images have it"`
	Owner     string   `json:"owner,omitempty" doc:"of its exception, which has expired if the finding stops the image"`
	Reason    string   `json:"reason,omitempty" doc:"of its exception"`
	Expires   string   `json:"expires,omitempty" doc:"the last day of its exception, such as 2026-12-31"`
}

// Problem is a reason why something failed, or should be looked at.
type Problem struct {
	Step progress.Step `json:"step,omitempty" doc:"that it belongs to"`
	Path string        `json:"path,omitempty" doc:"the file it is in, from the workspace's root"`
	Line int           `json:"line,omitempty" doc:"in the file, from 1"`
	Text string        `json:"text" doc:"what it is"`
}

// Settle works out the outcomes that are not set: of projects from their steps, of the run from its projects.
func (s *Summary) Settle() {
	all := make([]Outcome, 0, len(s.Projects))
	for i := range s.Projects {
		p := &s.Projects[i]
		if p.Outcome == "" {
			steps := make([]Outcome, 0, len(p.Steps))
			for _, step := range p.Steps {
				steps = append(steps, step.Outcome)
			}
			p.Outcome = Worst(steps...)
		}
		all = append(all, p.Outcome)
	}
	if s.Outcome == "" {
		if s.Outcome = Worst(all...); s.Outcome == Skipped {
			s.Outcome = Nothing
		}
	}
}

// MarshalJSON gives the document: times are UTC, and lists that have nothing are there.
func (s Summary) MarshalJSON() ([]byte, error) {
	type document Summary // without this method
	d := document(s)
	d.Version = Version
	d.StartedAt, d.FinishedAt = stamp(s.StartedAt), stamp(s.FinishedAt)
	d.Notes = list(s.Notes)
	d.Projects = list(slices.Clone(s.Projects))
	for i := range d.Projects {
		p := &d.Projects[i]
		p.Steps, p.Problems, p.Notes = list(slices.Clone(p.Steps)), list(p.Problems), list(p.Notes)
		for j := range p.Steps {
			p.Steps[j].StartedAt = stamp(p.Steps[j].StartedAt)
		}
		if p.Image != nil {
			image := *p.Image
			image.Tags, image.References = list(image.Tags), list(image.References)
			p.Image = &image
		}
		if p.Scan != nil {
			scan := *p.Scan
			scan.Stopping, scan.Excepted = list(scan.Stopping), list(scan.Excepted)
			if scan.Counts == nil {
				scan.Counts = map[string]int{}
			}
			p.Scan = &scan
		}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // whoever encodes us decides
	if err := encoder.Encode(d); err != nil {
		return nil, err
	}
	// A document that is printed in a CI system's log must not have what it takes for an order: the same, escaped.
	return bytes.ReplaceAll(bytes.TrimSpace(b.Bytes()), []byte("##"), []byte(`#\u0023`)), nil
}

func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
