package plan

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// imagePattern is the tags of an app.
type imagePattern struct {
	app string
	tag *regexp.Regexp
}

var anyPlaceholder = regexp.MustCompile(`\\\{[^{}]*\\\}`)

// appOf gives the app whose image a FROM names, "" if it is none's: an image of the workspace's repository, at any
// registry, with a tag that the app's images get; or an image that is called like the app and is in no repository.
func (r *reading) appOf(image string) string {
	name, _, _ := strings.Cut(image, "@")
	repository, tag := name, ""
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		repository, tag = name[:i], name[i+1:]
	}
	if p := r.graph.byName[repository]; p != nil && p.Kind == workspace.App {
		return p.Name
	}
	if repository != r.file.Repository && !strings.HasSuffix(repository, "/"+r.file.Repository) {
		return ""
	}
	if r.images == nil {
		r.images = r.imagePatterns()
	}
	for _, known := range r.images {
		if known.tag.MatchString(tag) {
			return known.app
		}
	}
	return ""
}

// imagePatterns gives the tags of all apps. Of two that a tag could be of, the longer name comes first: a-b-latest is
// of a-b, not of a.
func (r *reading) imagePatterns() []imagePattern {
	all := []imagePattern{}
	for _, p := range r.graph.projects {
		if p.Kind != workspace.App {
			continue
		}
		for _, t := range r.file.Tags {
			pattern := regexp.QuoteMeta(strings.ReplaceAll(string(t), "{app}", p.Name))
			all = append(all, imagePattern{p.Name, regexp.MustCompile("^" + anyPlaceholder.ReplaceAllString(pattern, ".+") + "$")})
		}
	}
	slices.SortStableFunc(all, func(a, b imagePattern) int { return len(b.app) - len(a.app) })
	return all
}
