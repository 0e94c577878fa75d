package ci

import "cmp"

// gitlab reads the predefined variables. CI_COMMIT_BEFORE_SHA is all zeros where nothing was pushed: in pipelines of merge
// requests, and in those that are scheduled or started by hand. docs.gitlab.com: "Predefined CI/CD variables reference".
func gitlab(get func(string) string) Run {
	run := Run{
		System: "GitLab CI", Event: get("CI_PIPELINE_SOURCE"), Commit: get("CI_COMMIT_SHA"), Branch: get("CI_COMMIT_BRANCH"),
		Tag: get("CI_COMMIT_TAG"), DefaultBranch: get("CI_DEFAULT_BRANCH"), Repository: get("CI_PROJECT_URL"),
		Actor: get("GITLAB_USER_LOGIN"), URL: cmp.Or(get("CI_JOB_URL"), get("CI_PIPELINE_URL")), Workflow: get("CI_CONFIG_PATH"),
	}
	if run.Event == "push" {
		run.Push, run.Base = true, get("CI_COMMIT_BEFORE_SHA")
	}
	switch {
	case run.Event == "merge_request_event" || get("CI_MERGE_REQUEST_IID") != "": // a child pipeline has another event
		run.PullRequest, run.Number = true, number(get("CI_MERGE_REQUEST_IID"))
		run.Base, run.Branch = get("CI_MERGE_REQUEST_DIFF_BASE_SHA"), get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME")
		run.Fork = !same(get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID"), get("CI_MERGE_REQUEST_PROJECT_ID"))
	case run.Event == "external_pull_request_event" || get("CI_EXTERNAL_PULL_REQUEST_IID") != "":
		run.PullRequest, run.Number = true, number(get("CI_EXTERNAL_PULL_REQUEST_IID"))
		run.Branch = get("CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME")
		run.Fork = !same(get("CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY"), get("CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY"))
	}
	return run
}

// same tells whether two names are of one thing, which nothing is that is unknown.
func same(a, b string) bool { return a != "" && a == b }
