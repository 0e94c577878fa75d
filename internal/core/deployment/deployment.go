// Package deployment is the format of deployment records: what runs where, written into the registry that holds the image.
//
// A record is an OCI image manifest with no content of its own, in the image's repository. Its subject is the image that was
// deployed, its annotations say the rest, and each names the record before it, so that records form a chain. The
// tag that [Tag] makes of environment and application points to the newest one. docs/design/deployments.md has the format whole.
//
// The package knows words only: whoever deploys builds records with [Record.Manifest], and the registry reads them with
// [Parse]. On any registry that keeps artifacts, that is all there is to it.
package deployment

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// ArtifactType tells a deployment record from other manifests.
const ArtifactType = "application/vnd.berth.deployment.v1+json"

// Outcome is what came of a deployment, as far as the record knows.
type Outcome string

// The outcomes.
const (
	// Started: somebody is about to deploy the image, or was, and did not come back.
	Started Outcome = "started"
	// Succeeded: the image runs from then on.
	Succeeded Outcome = "succeeded"
	// Failed: the image does not run; what the newest record of a success leads to still does, or does again.
	Failed Outcome = "failed"
	// Broken: the image does not run as it should, and what ran before could not be put back.
	Broken Outcome = "broken"
)

// Action is why an image is deployed.
type Action string

// The actions.
const (
	Deploy   Action = "deploy"
	Promote  Action = "promote"  // it ran in another environment before
	Rollback Action = "rollback" // it ran in this environment before
)

// Record is one entry of the history of an application in an environment.
type Record struct {
	ID          string // of the deployment: its start and its outcome have the same
	App         string
	Environment string
	Image       oci.Descriptor // what is deployed: media type, digest and size
	Action      Action
	From        string // Promote: the environment
	Outcome     Outcome
	Reason      string // required when Failed or Broken
	Actor       string // who deploys: an ARN, or whatever tells people whom to ask
	Commit      string // the image's source; may be empty
	At          time.Time
	Previous    oci.Digest // the record before, whatever deployment it is of; empty in the first
}

// Tag names what points to the newest record of the record's application in its environment.
func (r Record) Tag() string { return Tag(r.Environment, r.App) }

// Ends tells whether the record says what came of the deployment that earlier started, rather than beginning one of its own.
func (r Record) Ends(earlier Record) bool {
	return r.ID == earlier.ID && earlier.Outcome == Started && r.Outcome != Started &&
		r.App == earlier.App && r.Environment == earlier.Environment && r.Image.Digest == earlier.Image.Digest
}

// Bounds of names. Whatever names are valid, their tag is: all hyphens of an environment are written twice.
const (
	MaxApp         = 64
	MaxEnvironment = 28
)

// NamePattern is the grammar of the names of applications and environments. A name ends in no hyphen, dot or underscore.
const NamePattern = `[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?`

var name = regexp.MustCompile(`^` + NamePattern + `$`)

// CheckApp answers a fault that says what is wrong with the name of an application.
func CheckApp(s string) error { return checkName("application", s, MaxApp) }

// CheckEnvironment answers a fault that says what is wrong with the name of an environment.
func CheckEnvironment(s string) error { return checkName("environment", s, MaxEnvironment) }

func checkName(what, s string, most int) error {
	switch {
	case len(s) > most:
		return invalid("the name of its %s, %q, has more than %d characters", what, clip(s), most)
	case !name.MatchString(s):
		return invalid("the name of its %s, %q, does not match %s", what, clip(s), NamePattern)
	}
	return nil
}

// TagPrefix is what the tags of all deployments begin with.
const TagPrefix = "deploy-"

// Tag names what points to the newest record: deploy-{environment}-{app}, with each hyphen of the environment twice. An
// environment ends, and an application begins, with a letter or digit; so the first hyphen that stands in a run of odd length is
// the one between them, and no two pairs of valid names share a tag.
func Tag(environment, app string) string {
	return TagPrefix + strings.ReplaceAll(environment, "-", "--") + "-" + app
}

// ParseTag gives the names of which a tag is made, and whether it is made of valid names.
func ParseTag(tag string) (environment, app string, ok bool) {
	rest, ok := strings.CutPrefix(tag, TagPrefix)
	if !ok {
		return "", "", false
	}
	for i := 0; i < len(rest); i++ {
		if rest[i] != '-' {
			continue
		}
		run := len(rest[i:]) - len(strings.TrimLeft(rest[i:], "-"))
		if run%2 == 0 {
			i += run - 1
			continue
		}
		environment, app = strings.ReplaceAll(rest[:i], "--", "-"), rest[i+1:]
		if CheckEnvironment(environment) != nil || CheckApp(app) != nil {
			return "", "", false
		}
		return environment, app, true
	}
	return "", "", false
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$`)
	commit     = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
)

// maxText bounds what people write and read, in bytes.
const maxText = 1024

// Check tells what is wrong with the record, as fault.ManifestInvalid.
func (r Record) Check() error {
	if err := r.check(); err != nil {
		return err
	}
	switch {
	case !oci.IsManifestType(r.Image.MediaType):
		return invalid("its subject is of the media type %q, which is none of an image or index", clip(r.Image.MediaType))
	case r.Image.Size < 1:
		return invalid("its subject has no size")
	}
	return nil
}

// check is Check without the media type and the size of the image.
func (r Record) check() error {
	if err := CheckApp(r.App); err != nil {
		return err
	}
	if err := CheckEnvironment(r.Environment); err != nil {
		return err
	}
	switch {
	case !identifier.MatchString(r.ID):
		return invalid("its id %q does not match %s", clip(r.ID), identifier)
	case !slices.Contains([]Action{Deploy, Promote, Rollback}, r.Action):
		return invalid("its action is %q, not one of deploy, promote and rollback", clip(string(r.Action)))
	case !slices.Contains([]Outcome{Started, Succeeded, Failed, Broken}, r.Outcome):
		return invalid("its outcome is %q, not one of started, succeeded, failed and broken", clip(string(r.Outcome)))
	case (r.Action == Promote) != (r.From != ""):
		return invalid("it says from where the image comes when it is promoted, and only then")
	case r.Reason == "" && (r.Outcome == Failed || r.Outcome == Broken):
		return invalid("it gives no reason why the deployment %s", map[Outcome]string{Failed: "failed", Broken: "is broken"}[r.Outcome])
	case r.Actor == "":
		return invalid("it does not say who deploys")
	case r.Commit != "" && !commit.MatchString(r.Commit):
		return invalid("its commit %q does not match %s", clip(r.Commit), commit)
	case r.At.IsZero() || r.At.Year() < 0 || r.At.Year() > 9999 || !r.At.Equal(r.At.Truncate(time.Second)):
		return invalid("its time is none of whole seconds")
	}
	if r.From != "" {
		if err := CheckEnvironment(r.From); err != nil {
			return err
		}
	}
	for what, text := range map[string]string{"actor": r.Actor, "reason": r.Reason} {
		if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return invalid("its %s has more than %d bytes, or control characters", what, maxText)
		}
	}
	return r.checkDigests()
}

func (r Record) checkDigests() error {
	if r.Previous != "" {
		if _, err := oci.ParseDigest(r.Previous.String()); err != nil {
			return invalid("its previous record %q is no digest", clip(r.Previous.String()))
		}
	}
	switch _, err := oci.ParseDigest(r.Image.Digest.String()); {
	case r.Image.Digest == "":
		return invalid("it has no subject: that is the image that is deployed")
	case err != nil:
		return invalid("its subject %q is no digest", clip(r.Image.Digest.String()))
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fault.New(fault.ManifestInvalid, "not a deployment record: "+format, args...)
}

// clip keeps a stranger's text short enough to be repeated.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
