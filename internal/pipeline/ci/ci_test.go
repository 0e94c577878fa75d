package ci_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/ci"
)

func TestRead(t *testing.T) {
	t.Parallel()
	events := map[string]string{
		"push":  `{"before": "aaaa", "after": "bbbb", "forced": true, "commits": [{"id": "cccc"}]}`,
		"pull":  `{"before": "dddd", "pull_request": {"base": {"sha": "eeee", "ref": "main"}, "head": {"sha": "ffff", "ref": "topic"}}}`,
		"queue": `{"merge_group": {"base_sha": "1111"}}`,
		"torn":  `{`,
	}
	github := func(event, file string) map[string]string {
		return map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": file, "GITHUB_OUTPUT": "out", "GITHUB_SHA": "9999"}
	}
	actions := func(event, base string, push bool) ci.Run {
		run := ci.Run{System: "GitHub Actions", Event: event, Base: base, Push: push, Output: "out"}
		run.Commit = "9999"
		if strings.HasPrefix(event, "pull_request") {
			run.PullRequest, run.Fork, run.Branch = true, true, "topic" // of a repository that the event does not name
		}
		if event == "pull_request" {
			run.Merge = "9999"
		}
		return run
	}
	for _, tt := range []struct {
		name  string
		env   map[string]string
		want  ci.Run
		fails bool
	}{
		{"a laptop", map[string]string{"GITHUB_EVENT_PATH": "push"}, ci.Run{}, false},
		{"a laptop that tries it", map[string]string{"GITHUB_OUTPUT": "x"}, ci.Run{Output: "x"}, false},
		{"a push", github("push", "push"), actions("push", "aaaa", true), false},
		{"a pull request", github("pull_request", "pull"), actions("pull_request", "eeee", false), false},
		{"one from a fork", github("pull_request_target", "pull"), actions("pull_request_target", "eeee", false), false},
		{"a merge queue", github("merge_group", "queue"), actions("merge_group", "1111", false), false},
		{"by hand", github("workflow_dispatch", "push"), actions("workflow_dispatch", "", false), false},
		{"no event", github("push", ""), actions("push", "", false), false},
		{"an event that is not there", github("push", "nowhere"), actions("push", "", false), true},
		{"an event that makes no sense", github("push", "torn"), actions("push", "", false), true},
		{"GitLab", map[string]string{"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BEFORE_SHA": "aaaa"}, ci.Run{System: "GitLab CI", Event: "push", Push: true, Base: "aaaa"}, false},
		{
			"a merge request",
			map[string]string{"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "merge_request_event", "CI_COMMIT_BEFORE_SHA": "0000", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "bbbb"},
			ci.Run{System: "GitLab CI", Event: "merge_request_event", Base: "bbbb", PullRequest: true, Fork: true},
			false,
		},
		{"GitLab's schedule", map[string]string{"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "schedule", "CI_COMMIT_BEFORE_SHA": "0000"}, ci.Run{System: "GitLab CI", Event: "schedule"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ci.Read(
				func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok },
				func(name string) ([]byte, error) {
					if text, ok := events[name]; ok {
						return []byte(text), nil
					}
					return nil, fs.ErrNotExist
				})
			if got != tt.want || (err != nil) != tt.fails {
				t.Errorf("Read = %+v, %v, want %+v and an error: %v", got, err, tt.want, tt.fails)
			}
			if tt.name == "an event that is not there" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Read = %v, want what the file system says", err)
			}
		})
	}
}
