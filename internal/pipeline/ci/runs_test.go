package ci_test

import (
	"maps"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/ci"
)

const (
	commit = "59b20b8d5c6ff8d09518216e87bc1ca1a6f0a1b2"
	base   = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
	source = "https://github.com/my-org/hoopstat-haus"
)

// with makes an environment, or a part of one.
func with(env map[string]string, pairs ...string) map[string]string {
	env = maps.Clone(env)
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return env
}

// check reads the environment, and the files that it names.
func check(t *testing.T, env map[string]string, want ci.Run) {
	t.Helper()
	got, err := ci.Read(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Read (-want +got):\n%s", diff)
	}
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	// What a job has of the variables that docs.github.com lists.
	job := map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "my-org/hoopstat-haus",
		"GITHUB_RUN_ID": "30433642", "GITHUB_RUN_NUMBER": "12", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_ACTOR": "mona", "GITHUB_SHA": commit,
		"GITHUB_WORKFLOW": "Ship", "GITHUB_WORKFLOW_REF": "my-org/hoopstat-haus/.github/workflows/ship.yml@refs/heads/main",
		"GITHUB_STEP_SUMMARY": "/home/runner/work/_temp/summary", "GITHUB_OUTPUT": "/home/runner/work/_temp/output",
	}
	run := func(event string, change func(*ci.Run)) ci.Run {
		r := ci.Run{
			System: "GitHub Actions", Event: event, Commit: commit, DefaultBranch: "main", Repository: source, Actor: "mona", URL: source + "/actions/runs/30433642",
			Workflow: "my-org/hoopstat-haus/.github/workflows/ship.yml@refs/heads/main", Attempt: 1,
			Summary: "/home/runner/work/_temp/summary", Output: "/home/runner/work/_temp/output",
		}
		change(&r)
		return r
	}
	for name, tt := range map[string]struct {
		env    []string
		event  string
		change func(*ci.Run)
	}{
		"a push": {
			[]string{"GITHUB_EVENT_PATH", "testdata/push.json", "GITHUB_REF", "refs/heads/main", "GITHUB_REF_NAME", "main", "GITHUB_REF_TYPE", "branch"},
			"push", func(r *ci.Run) { r.Push, r.Base, r.Branch = true, base, "main" },
		},
		"a branch with slashes, for the third time": {
			[]string{"GITHUB_EVENT_PATH", "testdata/push.json", "GITHUB_REF", "refs/heads/feature/refs/tags/x", "GITHUB_RUN_ATTEMPT", "3"},
			"push", func(r *ci.Run) {
				r.Push, r.Base, r.Branch = true, base, "feature/refs/tags/x"
				r.Attempt, r.URL = 3, r.URL+"/attempts/3"
			},
		},
		"a tag": {
			[]string{"GITHUB_EVENT_PATH", "testdata/push.json", "GITHUB_REF", "refs/tags/v1.2", "GITHUB_REF_NAME", "v1.2", "GITHUB_REF_TYPE", "tag"},
			"push", func(r *ci.Run) { r.Push, r.Base, r.Tag = true, base, "v1.2" },
		},
		"a pull request": {
			[]string{"GITHUB_EVENT_PATH", "testdata/pull_request.json", "GITHUB_REF", "refs/pull/53/merge", "GITHUB_HEAD_REF", "rounding", "GITHUB_BASE_REF", "main"},
			"pull_request", func(r *ci.Run) {
				r.Base, r.Merge, r.Branch, r.PullRequest, r.Number = base, commit, "rounding", true, 53
			},
		},
		"one from a fork, whose branch is called main": {
			[]string{"GITHUB_EVENT_PATH", "testdata/fork.json", "GITHUB_REF", "refs/pull/53/merge", "GITHUB_HEAD_REF", "main", "GITHUB_BASE_REF", "main"},
			"pull_request", func(r *ci.Run) {
				r.Base, r.Merge, r.Branch, r.PullRequest, r.Number, r.Fork = base, commit, "main", true, 53, true
			},
		},
		"one from a fork, with the rights of the base": {
			[]string{"GITHUB_EVENT_PATH", "testdata/fork.json", "GITHUB_REF", "refs/heads/main", "GITHUB_HEAD_REF", "main", "GITHUB_BASE_REF", "main"},
			"pull_request_target", func(r *ci.Run) {
				r.Base, r.Branch, r.PullRequest, r.Number, r.Fork = base, "main", true, 53, true
			},
		},
		"a review of one from a fork that is deleted": {
			[]string{"GITHUB_EVENT_PATH", "testdata/deleted_fork.json", "GITHUB_REF", "refs/pull/54/merge"},
			"pull_request_review", func(r *ci.Run) { r.Branch, r.PullRequest, r.Number, r.Fork = "main", true, 54, true },
		},
		"a comment on a pull request": {
			[]string{"GITHUB_EVENT_PATH", "testdata/issue_comment.json", "GITHUB_REF", "refs/heads/main"},
			"issue_comment", func(r *ci.Run) { r.Branch, r.PullRequest, r.Number, r.Fork = "main", true, 53, true },
		},
		"after a workflow of a fork": {
			[]string{"GITHUB_EVENT_PATH", "testdata/workflow_run.json", "GITHUB_REF", "refs/heads/main"},
			"workflow_run", func(r *ci.Run) { r.Branch, r.PullRequest, r.Fork = "main", true, true },
		},
		"after a workflow of a push": {
			[]string{"GITHUB_EVENT_PATH", "testdata/workflow_run_push.json", "GITHUB_REF", "refs/heads/main"},
			"workflow_run", func(r *ci.Run) { r.Branch = "main" },
		},
		"a schedule of a trunk": {
			[]string{"GITHUB_EVENT_PATH", "testdata/schedule.json", "GITHUB_REF", "refs/heads/trunk", "GITHUB_WORKFLOW_REF", ""},
			"schedule", func(r *ci.Run) { r.Branch, r.DefaultBranch, r.Workflow = "trunk", "trunk", "Ship" },
		},
		"a pull request without its event": {
			[]string{"GITHUB_REF", "refs/pull/53/merge", "GITHUB_HEAD_REF", "main"},
			"pull_request", func(r *ci.Run) {
				r.DefaultBranch, r.Branch, r.PullRequest, r.Number, r.Fork = "", "main", true, 53, true
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, with(job, append(tt.env, "GITHUB_EVENT_NAME", tt.event)...), run(tt.event, tt.change))
		})
	}
}

func TestGitLab(t *testing.T) {
	t.Parallel()
	project := "https://gitlab.example.com/haus/hoopstat"
	job := map[string]string{
		"CI": "true", "GITLAB_CI": "true", "CI_COMMIT_SHA": commit, "CI_DEFAULT_BRANCH": "main", "CI_PROJECT_URL": project, "CI_CONFIG_PATH": ".gitlab-ci.yml",
		"CI_PIPELINE_URL": project + "/-/pipelines/12", "CI_JOB_URL": project + "/-/jobs/34", "GITLAB_USER_LOGIN": "mona",
	}
	run := func(event string, change func(*ci.Run)) ci.Run {
		r := ci.Run{
			System: "GitLab CI", Event: event, Commit: commit, DefaultBranch: "main", Repository: project, Actor: "mona",
			URL: project + "/-/jobs/34", Workflow: ".gitlab-ci.yml",
		}
		change(&r)
		return r
	}
	merge := []string{
		"CI_MERGE_REQUEST_IID", "8", "CI_MERGE_REQUEST_DIFF_BASE_SHA", base, "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "main",
		"CI_MERGE_REQUEST_PROJECT_ID", "1", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID",
	}
	for name, tt := range map[string]struct {
		env    []string
		event  string
		change func(*ci.Run)
	}{
		"a push": {[]string{"CI_COMMIT_BRANCH", "main", "CI_COMMIT_BEFORE_SHA", base}, "push", func(r *ci.Run) { r.Push, r.Base, r.Branch = true, base, "main" }},
		"a tag":  {[]string{"CI_COMMIT_TAG", "v1", "CI_COMMIT_BEFORE_SHA", "00"}, "push", func(r *ci.Run) { r.Push, r.Base, r.Tag = true, "00", "v1" }},
		"by hand": {
			[]string{"CI_COMMIT_BRANCH", "main", "CI_COMMIT_BEFORE_SHA", "00"}, "web", func(r *ci.Run) { r.Branch = "main" },
		},
		"a merge request": {append(merge, "1"), "merge_request_event", func(r *ci.Run) {
			r.Base, r.Branch, r.PullRequest, r.Number = base, "main", true, 8
		}},
		"one from a fork": {append(merge, "2"), "merge_request_event", func(r *ci.Run) {
			r.Base, r.Branch, r.PullRequest, r.Number, r.Fork = base, "main", true, 8, true
		}},
		"a child of one's pipeline": {append(merge, "1"), "parent_pipeline", func(r *ci.Run) {
			r.Base, r.Branch, r.PullRequest, r.Number = base, "main", true, 8
		}},
		"GitHub's pull request": {
			[]string{
				"CI_COMMIT_BRANCH", "main", "CI_EXTERNAL_PULL_REQUEST_IID", "9", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME", "topic",
				"CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY", "a/b", "CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY", "a/b",
			},
			"external_pull_request_event", func(r *ci.Run) { r.Branch, r.PullRequest, r.Number = "topic", true, 9 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, with(job, append(tt.env, "CI_PIPELINE_SOURCE", tt.event)...), run(tt.event, tt.change))
		})
	}
}

func TestOthers(t *testing.T) {
	t.Parallel()
	kite := map[string]string{
		"CI": "true", "BUILDKITE": "true", "BUILDKITE_SOURCE": "webhook", "BUILDKITE_COMMIT": commit, "BUILDKITE_BRANCH": "main", "BUILDKITE_REPO": "git@github.com:my-org/hoopstat-haus.git",
		"BUILDKITE_PIPELINE_DEFAULT_BRANCH": "main", "BUILDKITE_PULL_REQUEST": "false", "BUILDKITE_BUILD_CREATOR": "Mona", "BUILDKITE_RETRY_COUNT": "1",
		"BUILDKITE_BUILD_URL": "https://buildkite.com/haus/ship/builds/5", "BUILDKITE_PIPELINE_SLUG": "ship",
	}
	kited := ci.Run{
		System: "Buildkite", Event: "webhook", Commit: commit, Branch: "main", DefaultBranch: "main", Repository: source, Actor: "Mona",
		URL: "https://buildkite.com/haus/ship/builds/5", Workflow: "ship", Attempt: 2,
	}
	circle := map[string]string{
		"CI": "true", "CIRCLECI": "true", "CIRCLE_SHA1": commit, "CIRCLE_BRANCH": "main", "CIRCLE_REPOSITORY_URL": "https://github.com/my-org/hoopstat-haus",
		"CIRCLE_USERNAME": "mona", "CIRCLE_BUILD_URL": "https://circleci.com/gh/my-org/hoopstat-haus/5", "CIRCLE_JOB": "ship",
	}
	circled := ci.Run{
		System: "CircleCI", Commit: commit, Branch: "main", Repository: source, Actor: "mona", URL: "https://circleci.com/gh/my-org/hoopstat-haus/5", Workflow: "ship",
	}
	jenkins := map[string]string{
		"JENKINS_URL": "https://ci.example.com/", "GIT_COMMIT": commit, "GIT_URL": "ssh://git@github.com:22/my-org/hoopstat-haus.git", "BUILD_URL": "https://ci.example.com/job/ship/5/",
		"JOB_NAME": "ship", "GIT_BRANCH": "origin/main",
	}
	served := ci.Run{System: "Jenkins", Commit: commit, Branch: "main", Repository: source, URL: "https://ci.example.com/job/ship/5/", Workflow: "ship"}
	change := func(r ci.Run, change func(*ci.Run)) ci.Run { change(&r); return r }
	pull := func(branch string, fork bool) func(*ci.Run) {
		return func(r *ci.Run) { r.Branch, r.PullRequest, r.Number, r.Fork = branch, true, 7, fork }
	}
	for name, tt := range map[string]struct {
		env  map[string]string
		want ci.Run
	}{
		"Buildkite":                {kite, kited},
		"Buildkite's tag":          {with(kite, "BUILDKITE_TAG", "v1", "BUILDKITE_BRANCH", "v1"), change(kited, func(r *ci.Run) { r.Branch, r.Tag = "", "v1" })},
		"Buildkite's pull request": {with(kite, "BUILDKITE_PULL_REQUEST", "7", "BUILDKITE_PULL_REQUEST_REPO", "git://github.com/my-org/hoopstat-haus.git", "BUILDKITE_BRANCH", "topic"), change(kited, pull("topic", false))},
		"Buildkite's fork":         {with(kite, "BUILDKITE_PULL_REQUEST", "7", "BUILDKITE_PULL_REQUEST_REPO", "https://github.com/stranger/hoopstat-haus", "BUILDKITE_BRANCH", "stranger:main"), change(kited, pull("stranger:main", true))},
		"Buildkite, not looked":    {with(kite, "BUILDKITE_COMMIT", "HEAD"), change(kited, func(r *ci.Run) { r.Commit = "" })},
		"CircleCI":                 {circle, circled},
		"CircleCI's tag":           {with(circle, "CIRCLE_TAG", "v1", "CIRCLE_BRANCH", ""), change(circled, func(r *ci.Run) { r.Branch, r.Tag = "", "v1" })},
		"CircleCI's pull request":  {with(circle, "CIRCLE_PULL_REQUEST", source+"/pull/7", "CIRCLE_BRANCH", "topic"), change(circled, pull("topic", false))},
		"CircleCI's fork":          {with(circle, "CIRCLE_PULL_REQUEST", source+"/pull/7", "CIRCLE_PR_NUMBER", "7", "CIRCLE_BRANCH", "pull/7"), change(circled, pull("pull/7", true))},
		"Jenkins":                  {jenkins, served},
		"Jenkins, the main branch": {with(jenkins, "BRANCH_NAME", "main", "BRANCH_IS_PRIMARY", "true"), change(served, func(r *ci.Run) { r.DefaultBranch = "main" })},
		"Jenkins, on no branch":    {with(jenkins, "GIT_BRANCH", "detached"), change(served, func(r *ci.Run) { r.Branch = "" })},
		"Jenkins's tag":            {with(jenkins, "BRANCH_NAME", "v1", "TAG_NAME", "v1"), change(served, func(r *ci.Run) { r.Branch, r.Tag = "", "v1" })},
		"Jenkins's pull request":   {with(jenkins, "BRANCH_NAME", "PR-7", "CHANGE_ID", "7", "CHANGE_BRANCH", "topic"), change(served, pull("topic", false))},
		"Jenkins's fork":           {with(jenkins, "BRANCH_NAME", "PR-7", "CHANGE_ID", "7", "CHANGE_BRANCH", "main", "CHANGE_FORK", "stranger"), change(served, pull("main", true))},
		"another":                  {map[string]string{"CI": "1"}, ci.Run{System: "CI"}},
		"none":                     {map[string]string{"CI": "false", "GITHUB_STEP_SUMMARY": "x"}, ci.Run{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, tt.env, tt.want)
		})
	}
}

// TestRepositoryHasNoLogin reads addresses as git has them, which may hold a password.
func TestRepositoryHasNoLogin(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"https://mona:ghp_secret@example.com/a/b.git": "https://example.com/a/b",
		"http://mona:p@ss@example.com:8080/a/b/":      "http://example.com:8080/a/b",
		"ssh://git@example.com:2222/a/b.git":          "https://example.com/a/b",
		"git@example.com:a/b.git":                     "https://example.com/a/b",
		"/srv/git/b.git":                              "",
		"file:///srv/git/b.git":                       "",
		"":                                            "",
	} {
		check(t, map[string]string{"JENKINS_URL": "x", "GIT_URL": from}, ci.Run{System: "Jenkins", Repository: want})
	}
}
