package ship

import (
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// place is which commit is shipped, and from where.
type place struct {
	commit  string
	time    time.Time // the commit's
	branch  string    // "" if it is on none
	release string    // the branch whose images get the tags that name no branch; "" if nobody knows
}

// released tells whether the commit is on the branch whose images get the tags that name no branch.
func (p place) released() bool { return p.release != "" && p.branch == p.release }

// tags are those of one app.
type tags struct {
	stay   []string // of this commit
	move   []string // that this run moves
	known  []string // that say what was released last: those, and the release branch's
	before []string // of earlier commits, where somebody looked
}

// expand makes an app's tags. The file was checked, and each template is good for any commit; a branch that is not
// known leaves out those that name it.
func expand(templates []workspace.Template, app string, at place) (tags, error) {
	var t tags
	for _, template := range templates {
		named := strings.Contains(string(template), "{branch}")
		if named && at.branch == "" {
			continue
		}
		tag, err := template.Expand(workspace.Values{App: app, Commit: at.commit, Branch: at.branch, Date: at.time})
		switch {
		case err != nil:
			return tags{}, err
		case !template.Moves():
			t.stay = append(t.stay, tag)
		case named, at.released():
			t.move = append(t.move, tag)
			t.known = append(t.known, tag)
		case !strings.Contains(string(template), "{date}"):
			t.known = append(t.known, tag)
		}
	}
	return t, nil
}

// history makes the tags that images of earlier commits stay under, newest first.
func history(templates []workspace.Template, app string, commits []string) []string {
	var all []string
	for _, commit := range commits {
		for _, template := range templates {
			// One that names the branch or the day of another commit is not known without asking git about each.
			if template.Moves() || strings.Contains(string(template), "{branch}") || strings.Contains(string(template), "{date}") {
				continue
			}
			if tag, err := template.Expand(workspace.Values{App: app, Commit: commit}); err == nil && !slices.Contains(all, tag) {
				all = append(all, tag)
			}
		}
	}
	return all
}
