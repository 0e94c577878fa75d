package ci

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
)

// event is what is read of the file that GITHUB_EVENT_PATH names. docs.github.com: "Webhook events and payloads".
type event struct {
	Before     string     `json:"before"`
	Repository repository `json:"repository"`
	// PullRequest is of the events about pull requests and their reviews.
	PullRequest struct {
		Number int `json:"number"`
		Base   struct {
			SHA  string     `json:"sha"`
			Repo repository `json:"repo"`
		} `json:"base"`
		Head struct {
			Ref  string      `json:"ref"`
			Repo *repository `json:"repo"` // null when it was deleted
		} `json:"head"`
	} `json:"pull_request"`
	MergeGroup struct {
		BaseSHA string `json:"base_sha"`
	} `json:"merge_group"`
	// Issue is of comments, and has a pull request where it is one.
	Issue struct {
		Number      int       `json:"number"`
		PullRequest *struct{} `json:"pull_request"`
	} `json:"issue"`
	// WorkflowRun is of a workflow that ended, and has started this one with the rights of the default branch.
	WorkflowRun struct {
		Event          string      `json:"event"`
		HeadRepository *repository `json:"head_repository"`
		PullRequests   []struct {
			Number int `json:"number"`
		} `json:"pull_requests"` // empty for forks
	} `json:"workflow_run"`
}

type repository struct {
	FullName      string `json:"full_name"`
	DefaultBranch string `json:"default_branch"`
}

// is tells whether it is that repository, which nothing is that is unknown.
func (r *repository) is(other repository) bool {
	return r != nil && r.FullName != "" && strings.EqualFold(r.FullName, other.FullName)
}

// github reads the variables, and the event's own file. docs.github.com: "Variables reference".
func github(get func(string) string, readFile func(string) ([]byte, error)) (Run, error) {
	run := Run{
		System: "GitHub Actions", Event: get("GITHUB_EVENT_NAME"), Commit: get("GITHUB_SHA"), Actor: get("GITHUB_ACTOR"),
		Workflow: cmp.Or(get("GITHUB_WORKFLOW_REF"), get("GITHUB_WORKFLOW")), Attempt: number(get("GITHUB_RUN_ATTEMPT")),
	}
	if server, repo := get("GITHUB_SERVER_URL"), get("GITHUB_REPOSITORY"); server != "" && repo != "" {
		run.Repository = server + "/" + repo
		if id := get("GITHUB_RUN_ID"); id != "" {
			run.URL = run.Repository + "/actions/runs/" + id
			if run.Attempt > 1 {
				run.URL += "/attempts/" + get("GITHUB_RUN_ATTEMPT")
			}
		}
	}
	githubRef(&run, get("GITHUB_REF"))
	file := get("GITHUB_EVENT_PATH")
	if file == "" {
		githubPullRequest(&run, &event{}, get("GITHUB_HEAD_REF"))
		return run, nil
	}
	text, err := readFile(file)
	if err != nil {
		return run, fmt.Errorf("reading the event of GitHub Actions: %w", err)
	}
	var e event
	if err := json.Unmarshal(text, &e); err != nil {
		return run, fmt.Errorf("reading the event of GitHub Actions, %s: %w", file, err)
	}
	run.DefaultBranch = e.Repository.DefaultBranch
	githubBase(&run, &e)
	githubPullRequest(&run, &e, get("GITHUB_HEAD_REF"))
	return run, nil
}

// githubRef reads what the run is about: refs/heads/…, refs/tags/…, or refs/pull/7/merge.
func githubRef(run *Run, ref string) {
	if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		run.Branch = branch
	} else if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		run.Tag = tag
	} else if pull, ok := strings.CutPrefix(ref, "refs/pull/"); ok {
		n, _, _ := strings.Cut(pull, "/")
		run.PullRequest, run.Fork, run.Number = true, true, number(n)
	}
}

// githubBase reads since which commit it is.
func githubBase(run *Run, e *event) {
	switch run.Event {
	case "push":
		run.Push, run.Base = true, e.Before
	case "pull_request", "pull_request_target":
		run.Base = e.PullRequest.Base.SHA
		if run.Event == "pull_request" { // of the other it is the base itself
			run.Merge = run.Commit
		}
	case "merge_group":
		run.Base = e.MergeGroup.BaseSHA
	}
}

// githubPullRequest reads which pull request the run has to do with.
func githubPullRequest(run *Run, e *event, headRef string) {
	pull := &e.PullRequest
	switch {
	case pull.Number != 0 || strings.HasPrefix(run.Event, "pull_request"):
		run.PullRequest, run.Fork = true, !pull.Head.Repo.is(pull.Base.Repo)
		run.Number = cmp.Or(pull.Number, run.Number)
		run.Branch = cmp.Or(headRef, pull.Head.Ref)
	case e.Issue.PullRequest != nil:
		run.PullRequest, run.Fork, run.Number = true, true, e.Issue.Number
	case strings.HasPrefix(e.WorkflowRun.Event, "pull_request"):
		run.PullRequest, run.Fork = true, !e.WorkflowRun.HeadRepository.is(e.Repository)
		if len(e.WorkflowRun.PullRequests) == 1 {
			run.Number = e.WorkflowRun.PullRequests[0].Number
		}
	}
}
