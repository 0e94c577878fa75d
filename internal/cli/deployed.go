package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/git"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
)

// deployed is the JSON output of what deploys, which is a contract: docs/operate/deploy.md.
type deployed struct {
	App         string            `json:"app"`
	Environment string            `json:"environment"`
	Action      string            `json:"action"`
	From        string            `json:"from,omitempty"`
	Outcome     string            `json:"outcome"`
	Error       string            `json:"error,omitempty"`
	Image       *deployedImage    `json:"image,omitempty"`
	Ran         *recorded         `json:"ran,omitempty"`
	Record      *recorded         `json:"record,omitempty"`
	Found       *foundUnended     `json:"found,omitempty"`
	Problems    []deployedProblem `json:"problems"`
	Changes     *deployedChanges  `json:"changes,omitempty"`
	Notes       []string          `json:"notes"`
	StartedAt   time.Time         `json:"startedAt"`
	FinishedAt  time.Time         `json:"finishedAt"`
}

type deployedImage struct {
	Digest    string   `json:"digest"`
	Named     string   `json:"named"`
	Tags      []string `json:"tags"`
	Commit    string   `json:"commit,omitempty"`
	Branch    string   `json:"branch,omitempty"`
	Platforms []string `json:"platforms"`
	Size      int64    `json:"size"`
}

// recorded is a record of a deployment.
type recorded struct {
	ID      string    `json:"id"`
	Digest  string    `json:"recordDigest,omitempty"`
	Image   string    `json:"imageDigest"`
	Action  string    `json:"action"`
	From    string    `json:"from,omitempty"`
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
	Actor   string    `json:"actor"`
	Commit  string    `json:"commit,omitempty"`
	At      time.Time `json:"at"`
}

type foundUnended struct {
	recorded
	Running string `json:"runningDigest,omitempty"`
	Begun   string `json:"begunDigest,omitempty"`
	Ended   string `json:"endedAs"`
	Why     string `json:"endedBecause"`
}

type deployedProblem struct {
	Check   string `json:"check"`
	Text    string `json:"text"`
	Warning bool   `json:"warning,omitempty"`
	Ignored bool   `json:"ignored,omitempty"`
}

type deployedChanges struct {
	From       string           `json:"fromDigest"`
	To         string           `json:"toDigest"`
	FromCommit string           `json:"fromCommit,omitempty"`
	ToCommit   string           `json:"toCommit,omitempty"`
	Added      []deployedCommit `json:"addedCommits"`
	Removed    []deployedCommit `json:"removedCommits"`
	NotCommits string           `json:"commitsNotKnown,omitempty"`
	Images     *diffed          `json:"images,omitempty"`
	NotImages  string           `json:"imagesNotCompared,omitempty"`
}

type deployedCommit struct {
	Commit  string    `json:"commit"`
	At      time.Time `json:"at"`
	Author  string    `json:"author"`
	Subject string    `json:"subject"`
}

func newRecorded(e *deploy.Entry) *recorded {
	if e == nil {
		return nil
	}
	return &recorded{
		e.ID, e.Digest.String(), e.Image.Digest.String(), string(e.Action), e.From, string(e.Outcome), e.Reason, e.Actor, e.Commit, e.At,
	}
}

func newDeployed(r *deploy.Result, failed error) deployed {
	req := r.Request
	data := deployed{
		App: req.App, Environment: req.Environment, Action: string(req.Action), From: req.From, Outcome: string(r.Outcome), Ran: newRecorded(r.Before.Runs),
		Record: newRecorded(r.Record), Problems: []deployedProblem{}, Notes: append([]string{}, r.Notes...), StartedAt: r.StartedAt.UTC(), FinishedAt: r.FinishedAt.UTC(),
	}
	if failed != nil {
		data.Error = failed.Error()
	}
	if i := r.Image; i.Digest != "" {
		data.Image = &deployedImage{i.Digest.String(), i.Named, append([]string{}, i.Tags...), i.Commit, i.Branch, append([]string{}, i.Platforms...), i.Size}
	}
	if f := r.Found; f != nil {
		data.Found = &foundUnended{*newRecorded(&f.Entry), f.Running.Digest.String(), f.Running.Begun.String(), string(f.Ended), f.Reason}
	}
	for _, problem := range r.Problems {
		data.Problems = append(data.Problems, deployedProblem{problem.Check, problem.Text, problem.Warning, problem.Ignored})
	}
	if c := r.Changes; c != nil {
		data.Changes = newDeployedChanges(c)
	}
	return data
}

func newDeployedChanges(c *deploy.Changes) *deployedChanges {
	data := &deployedChanges{
		From: c.From.Digest.String(), To: c.To.Digest.String(), FromCommit: c.From.Commit, ToCommit: c.To.Commit,
		Added: newDeployedCommits(c.Added), Removed: newDeployedCommits(c.Removed), NotCommits: c.NotCommits, NotImages: c.NotDiff,
	}
	if c.Diff != nil {
		a, b := images.Name{Repository: "what runs"}, images.Name{Repository: "this"}
		a.Digest, b.Digest = c.From.Digest, c.To.Digest
		d := newDiffed(a, b, *c.Diff, false)
		data.Images = &d
	}
	return data
}

func newDeployedCommits(all []git.LogEntry) []deployedCommit {
	commits := []deployedCommit{}
	for _, c := range all {
		commits = append(commits, deployedCommit{c.Commit, c.Time, c.Author, c.Subject})
	}
	return commits
}

// writeDeployed says what came of it, in a line where it went well.
func writeDeployed(w io.Writer, d deployed) error {
	of := ""
	if d.Image != nil {
		of = " " + short(d.Image.Digest)
		if d.Image.Commit != "" {
			of += " of commit " + shortCommit(d.Image.Commit)
		}
	}
	line := ""
	switch deploy.Outcome(d.Outcome) {
	case deploy.OutcomeDeployed:
		line = fmt.Sprintf("%s runs%s in %s", d.App, of, d.Environment)
	case deploy.OutcomeUnchanged:
		line = fmt.Sprintf("%s runs%s in %s already", d.App, of, d.Environment)
	case deploy.OutcomeWould:
		line = fmt.Sprintf("%s would run%s in %s", d.App, of, d.Environment)
	case deploy.OutcomeFailed:
		line = fmt.Sprintf("%s does not run%s in %s; what ran before does", d.App, of, d.Environment)
	case deploy.OutcomeBroken:
		line = fmt.Sprintf("%s is broken in %s: neither%s nor what ran before runs as it should", d.App, d.Environment, of)
	default: // refused, or taken over
		return nil // the error says all
	}
	if _, err := fmt.Fprintln(w, line); err != nil || d.Changes == nil {
		return err
	}
	return d.Changes.write(w)
}

func (c *deployedChanges) write(w io.Writer) error {
	var rows [][]string
	for _, commit := range c.Added {
		rows = append(rows, []string{"+ commit", shortCommit(commit.Commit), clip(oneLine(commit.Subject), 100), oneLine(commit.Author)})
	}
	for _, commit := range c.Removed {
		rows = append(rows, []string{"- commit", shortCommit(commit.Commit), clip(oneLine(commit.Subject), 100), oneLine(commit.Author)})
	}
	if err := writeSafely(w, rows); err != nil {
		return err
	}
	for what, why := range map[string]string{"commits between are not known": c.NotCommits, "images are not compared": c.NotImages} {
		if why != "" {
			if _, err := fmt.Fprintf(w, "%s: %s\n", what, oneLine(strings.TrimSpace(why))); err != nil {
				return err
			}
		}
	}
	if c.Images == nil {
		return nil
	}
	return writeDiffed(w, *c.Images)
}
