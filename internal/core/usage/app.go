package usage

import (
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Labels is what an image says of whose it is.
type Labels struct {
	Annotations map[string]string
	Tags        []string
	Around      []Labels // of the indexes that it is in, and of the image that it refers to
}

// appAnnotations name the application that an image, a record of its shipping or of its deployment is about.
var appAnnotations = []string{"vnd.berth.image.app", "vnd.berth.deployment.app", "vnd.berth.ship.app"} //nolint:gochecknoglobals // a table

// App is the application whose image it is: what an annotation says; or else the first, by the alphabet, of those that its tags name; or
// else the same of what is around it. Empty: none is known. One image counts for one application, so that those of a
// repository add up to no more than the repository.
func (l Labels) App() string {
	if app := l.own(); app != "" {
		return app
	}
	var apps []string
	for _, a := range l.Around {
		if app := a.own(); app != "" {
			apps = append(apps, app)
		}
	}
	if len(apps) == 0 {
		return ""
	}
	return slices.Min(apps)
}

func (l Labels) own() string {
	for _, a := range appAnnotations {
		if app := l.Annotations[a]; app != "" && deployment.CheckApp(app) == nil {
			return app
		}
	}
	first := ""
	for _, tag := range l.Tags {
		if app := appOfTag(tag); app != "" && (first == "" || app < first) {
			first = app
		}
	}
	return first
}

// appOfTag gives the application that a tag names: {app}-{commit}, {app}-latest, or that of a deployment. What stands for a digest,
// sha256-…, names none.
func appOfTag(tag string) string {
	if _, app, ok := deployment.ParseTag(tag); ok {
		return app
	}
	if app, ok := oci.AppOf(tag); ok && deployment.CheckApp(app) == nil {
		return app
	}
	return ""
}
