// Package ci reads from the environment what a CI system says of the run that it started: which one it is, what
// happened, and since which commit. It needs no CI system: then there is nothing to read.
package ci

import (
	"encoding/json"
	"fmt"
)

// Run is a run of a CI system. The zero value is none.
type Run struct {
	System string // as people call it, such as GitHub Actions
	Event  string // in the system's words, such as push
	Push   bool   // commits were pushed to a branch: Base is what the branch was before
	Base   string // since which commit, "" if the event does not tell; all zeros for a new branch
	Merge  string // the commit that the system made of a pull request and its base, which is the first parent, if it made one
	Output string // the file in which later steps are told things, if there is one
}

// Read reads a run from the environment, and from files that it names.
func Read(env func(string) (string, bool), readFile func(string) ([]byte, error)) (Run, error) {
	get := func(name string) string { v, _ := env(name); return v }
	switch {
	case get("GITHUB_ACTIONS") == "true":
		return github(get, readFile)
	case get("GITLAB_CI") == "true":
		return gitlab(get), nil
	default:
		return Run{Output: get("GITHUB_OUTPUT")}, nil
	}
}

// github reads the event's own file. docs.github.com: "Webhook events and payloads".
func github(get func(string) string, readFile func(string) ([]byte, error)) (Run, error) {
	run := Run{System: "GitHub Actions", Event: get("GITHUB_EVENT_NAME"), Output: get("GITHUB_OUTPUT")}
	file := get("GITHUB_EVENT_PATH")
	if file == "" {
		return run, nil
	}
	text, err := readFile(file)
	if err != nil {
		return run, fmt.Errorf("reading the event of GitHub Actions: %w", err)
	}
	var event struct {
		Before      string `json:"before"`
		PullRequest struct {
			Base struct {
				SHA string `json:"sha"`
			} `json:"base"`
		} `json:"pull_request"`
		MergeGroup struct {
			BaseSHA string `json:"base_sha"`
		} `json:"merge_group"`
	}
	if err := json.Unmarshal(text, &event); err != nil {
		return run, fmt.Errorf("reading the event of GitHub Actions, %s: %w", file, err)
	}
	switch run.Event {
	case "push":
		run.Push, run.Base = true, event.Before
	case "pull_request", "pull_request_target":
		run.Base = event.PullRequest.Base.SHA
		if run.Event == "pull_request" { // of the other it is the base itself
			run.Merge = get("GITHUB_SHA")
		}
	case "merge_group":
		run.Base = event.MergeGroup.BaseSHA
	}
	return run, nil
}

// gitlab reads the predefined variables. CI_COMMIT_BEFORE_SHA is all zeros where nothing was pushed: in pipelines of merge
// requests, and in those that are scheduled or started by hand.
func gitlab(get func(string) string) Run {
	run := Run{System: "GitLab CI", Event: get("CI_PIPELINE_SOURCE"), Output: get("GITHUB_OUTPUT")}
	switch run.Event {
	case "push":
		run.Push, run.Base = true, get("CI_COMMIT_BEFORE_SHA")
	case "merge_request_event":
		run.Base = get("CI_MERGE_REQUEST_DIFF_BASE_SHA")
	}
	return run
}
