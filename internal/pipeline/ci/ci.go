// Package ci reads from the environment what a CI system says of the run that it started: which one it is, what
// happened, and since which commit. It needs no CI system: then there is nothing to read.
package ci

import "strconv"

// Run is a run of a CI system. The zero value is none; what a system does not tell is empty.
//
// Branch, Tag and Actor, of pull requests from forks at least, are text of strangers. And they are about Commit: a workflow that
// checks out another commit, as those do that serve pull requests with the base's rights, ships something of which this says nothing.
type Run struct {
	System string // as people call it, such as GitHub Actions, or CI for one that says no more than that
	Event  string // in the system's words, such as push
	Push   bool   // commits were pushed to a branch: Base is what the branch was before
	Base   string // since which commit, "" if the event does not tell; all zeros for a new branch
	Merge  string // the commit that the system made of a pull request and its base, which is the first parent, if it made one
	Output string // the file in which later steps are told things, if there is one

	Commit        string // what the run is about, in full; of a pull request this may be Merge, which no branch has
	Branch        string // that the commit is on, as main; of a pull request the one that it comes from, which a fork may call main too
	Tag           string // if it is about one; then there is no branch
	DefaultBranch string
	Repository    string // the URL of the sources, in which CI runs: of a pull request where it goes to

	PullRequest bool // it is about one, or something that was said or done about one has started it
	Number      int  // of the pull request
	Fork        bool // the pull request comes from another repository, or the system does not tell from which

	Actor    string // whose doing it is
	URL      string // of the run, for people
	Workflow string // what says how it runs: a file with its revision, else a name
	Attempt  int    // 1 for the first, 0 if unknown
	Summary  string // the file for a page that people read, in Markdown, if there is one
}

// Read reads a run from the environment, and from files that it names.
func Read(env func(string) (string, bool), readFile func(string) ([]byte, error)) (Run, error) {
	get := func(name string) string { v, _ := env(name); return v }
	run, err := read(get, readFile)
	run.Output = get("GITHUB_OUTPUT") // also on a laptop that tries it
	if run.System != "" {
		run.Summary = get("GITHUB_STEP_SUMMARY")
	}
	return run, err
}

func read(get func(string) string, readFile func(string) ([]byte, error)) (Run, error) {
	switch {
	case get("GITHUB_ACTIONS") == "true": // also what is made after its model, such as Forgejo's
		return github(get, readFile)
	case get("GITLAB_CI") == "true":
		return gitlab(get), nil
	case get("BUILDKITE") == "true":
		return buildkite(get), nil
	case get("CIRCLECI") == "true":
		return circle(get), nil
	case get("JENKINS_URL") != "":
		return jenkins(get), nil
	case isTrue(get("CI")):
		return Run{System: "CI"}, nil
	default:
		return Run{}, nil
	}
}

func isTrue(text string) bool {
	yes, err := strconv.ParseBool(text)
	return err == nil && yes
}

// number reads a number that is said to be one, and may be missing.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
