package ci

import (
	"cmp"
	"path"
	"strings"
)

// buildkite reads the job's variables. buildkite.com/docs: "Environment variables".
func buildkite(get func(string) string) Run {
	run := Run{
		System: "Buildkite", Event: get("BUILDKITE_SOURCE"), Branch: get("BUILDKITE_BRANCH"), Tag: get("BUILDKITE_TAG"),
		DefaultBranch: get("BUILDKITE_PIPELINE_DEFAULT_BRANCH"), Repository: repositoryURL(get("BUILDKITE_REPO")),
		Actor: cmp.Or(get("BUILDKITE_BUILD_CREATOR"), get("BUILDKITE_BUILD_AUTHOR")), URL: get("BUILDKITE_BUILD_URL"),
		Workflow: get("BUILDKITE_PIPELINE_SLUG"),
	}
	if commit := get("BUILDKITE_COMMIT"); commit != "HEAD" { // before the agent has looked
		run.Commit = commit
	}
	if retries := get("BUILDKITE_RETRY_COUNT"); retries != "" {
		run.Attempt = number(retries) + 1
	}
	if pull := get("BUILDKITE_PULL_REQUEST"); pull != "" && pull != "false" {
		run.PullRequest, run.Number = true, number(pull)
		run.Fork = !same(repositoryURL(get("BUILDKITE_PULL_REQUEST_REPO")), run.Repository)
	}
	return untagged(run)
}

// circle reads the job's variables. A branch of which there is a pull request counts as one, since that is what its runs are
// for. circleci.com/docs: "Project values and variables".
func circle(get func(string) string) Run {
	run := Run{
		System: "CircleCI", Commit: get("CIRCLE_SHA1"), Branch: get("CIRCLE_BRANCH"), Tag: get("CIRCLE_TAG"),
		Repository: repositoryURL(get("CIRCLE_REPOSITORY_URL")), Actor: get("CIRCLE_USERNAME"), URL: get("CIRCLE_BUILD_URL"),
		Workflow: get("CIRCLE_JOB"),
	}
	forked := get("CIRCLE_PR_NUMBER") != "" || get("CIRCLE_PR_REPONAME") != "" || strings.HasPrefix(run.Branch, "pull/") // they are of forks alone
	if pull := get("CIRCLE_PULL_REQUEST"); forked || pull != "" {
		run.PullRequest, run.Fork, run.Number = true, forked, number(cmp.Or(get("CIRCLE_PR_NUMBER"), path.Base(pull)))
	}
	return untagged(run)
}

// jenkins reads the variables of a multibranch project, else those of the plugin for git.
func jenkins(get func(string) string) Run {
	run := Run{
		System: "Jenkins", Commit: get("GIT_COMMIT"), Branch: get("BRANCH_NAME"), Tag: get("TAG_NAME"),
		Repository: repositoryURL(cmp.Or(get("GIT_URL"), get("GIT_URL_1"))), Actor: get("BUILD_USER_ID"), URL: get("BUILD_URL"), Workflow: get("JOB_NAME"),
	}
	if run.Branch == "" {
		run.Branch = cmp.Or(get("GIT_LOCAL_BRANCH"), strings.TrimPrefix(get("GIT_BRANCH"), "origin/"))
	}
	if run.Branch == "detached" { // which says that there is none
		run.Branch = ""
	}
	if get("BRANCH_IS_PRIMARY") == "true" {
		run.DefaultBranch = run.Branch
	}
	if change := get("CHANGE_ID"); change != "" {
		run.PullRequest, run.Number, run.Branch = true, number(change), get("CHANGE_BRANCH")
		run.Fork, run.DefaultBranch = get("CHANGE_FORK") != "", ""
		run.Actor = cmp.Or(run.Actor, get("CHANGE_AUTHOR"))
	}
	return untagged(run)
}

// untagged takes the branch from a run about a tag: some systems call that a branch as well.
func untagged(run Run) Run {
	if run.Tag != "" {
		run.Branch = ""
	}
	return run
}

// repositoryURL makes the address of a page from one that git takes: https without a login, and without .git.
func repositoryURL(text string) string {
	scheme, host, name := "https", "", ""
	if before, rest, ok := strings.Cut(text, "://"); ok {
		host, name, _ = strings.Cut(rest, "/")
		if before == "http" || before == "https" {
			scheme = before
		} else {
			host, _, _ = strings.Cut(host[strings.LastIndex(host, "@")+1:], ":") // the port is another protocol's
		}
	} else {
		host, name, _ = strings.Cut(text, ":") // git@host:name, as scp has it
	}
	host = host[strings.LastIndex(host, "@")+1:]
	if name = strings.TrimSuffix(strings.Trim(name, "/"), ".git"); host == "" || name == "" {
		return ""
	}
	return scheme + "://" + host + "/" + name
}
