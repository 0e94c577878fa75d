// Package workspace reads berth.yaml, which says of a monorepo what the pipeline must know: the repository of the
// images, where apps and libraries are, how each is tested and built, how images are tagged, what a scan may find,
// and where they are deployed.
//
// Nothing in the file is ignored: an unknown key, a value of the wrong kind, a name used twice, a template that makes
// no tag are errors, all of them at once, each with line and column. The types here are the file's grammar: the reader
// (decode.go) and the JSON Schema (schema.go) go by their tags. A tag "berth" has the key, and after commas "required";
// a tag "doc" has what the key is for.
package workspace

import (
	"bytes"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
)

// Name is what the file is called, at the root of the workspace.
const Name = "berth.yaml"

// File is berth.yaml.
type File struct {
	Repository   string             `berth:"repository,required" doc:"the repository of all images, such as hoopstat-haus/prod, without the registry's address"`
	Apps         []Glob             `berth:"apps,required" doc:"directories that are apps, from the root: names, and patterns such as apps/*; those behind a ! are none"`
	Libs         []Glob             `berth:"libs" doc:"directories that are shared libraries, in the same way"`
	Tags         []Template         `berth:"tags" doc:"how an image is tagged; {app}-{sha} and {app}-latest if not given"`
	Platforms    []Platform         `berth:"platforms" doc:"what images are built for, such as linux/arm64; that of the machine that builds if not given"`
	Test         map[string]Command `berth:"test" doc:"how a project is tested whose own test is not given, by language: go, node, python, rust"`
	Projects     map[string]Project `berth:"projects" doc:"what is particular to an app or library, by its name, which is that of its directory"`
	Gate         Gate               `berth:"gate" doc:"which findings of a scan stop an image"`
	Environments []Environment      `berth:"environments" doc:"where images are deployed, one after the other"`

	source *source
}

// Project is what is particular to an app or a library.
type Project struct {
	Test        Command    `berth:"test" doc:"how it is tested, in its directory: a line for sh, or a program with its arguments"`
	TestEnv     []EnvName  `berth:"test_env" doc:"variables that its test gets from the environment though they are secret as a rule, such as AWS_ACCESS_KEY_ID"`
	TestTimeout Timeout    `berth:"test_timeout" doc:"how long its test may take, such as 10m; as long as it likes if not given"`
	Platforms   []Platform `berth:"platforms" doc:"what its image is built for"`
	Build       Build      `berth:"build" doc:"how its image is built"`
	DependsOn   []string   `berth:"depends_on" doc:"apps and libraries that it depends on, beyond what its files say"`
	Inputs      []Glob     `berth:"inputs" doc:"files and directories outside its own that it depends on, from the root"`
	Health      *Health    `berth:"health" doc:"how it is found out that the app is healthy where it is deployed; what is not given is as the environment says"`
}

// Build is how an image is built. Paths are from the root of the workspace.
type Build struct {
	Context    string              `berth:"context" doc:"the directory that the Dockerfile copies from, from the root; the app's own if not given, . is the root"`
	Dockerfile string              `berth:"dockerfile" doc:"the Dockerfile, from the root; Dockerfile in the app's directory if not given"`
	Target     string              `berth:"target" doc:"the stage to build; the last one if not given"`
	Args       map[string]ArgValue `berth:"args" doc:"values of the Dockerfile's ARGs"`
	SBOM       string              `berth:"sbom" doc:"a file that the test makes, from the root, with what is in the image: SPDX or CycloneDX, as JSON"`
	Cache      bool                `berth:"cache" doc:"whether builders keep in the registry what they can use again, under the tag APP-buildcache; false if not given"`
}

// Gate is which findings of a scan stop an image.
type Gate struct {
	Severity   Severity    `berth:"severity" doc:"the least severity that stops an image; none lets everything pass; critical if not given"`
	Unscanned  Unscanned   `berth:"unscanned" doc:"whether an image passes whose scan could not run: fail, or pass; fail if not given"`
	Unrated    Severity    `berth:"unrated" doc:"what findings count as that nobody has rated yet; critical if not given"`
	Exceptions []Exception `berth:"exceptions" doc:"findings that stop nothing for a while"`
	VEX        []Glob      `berth:"vex" doc:"OpenVEX documents, from the root: files, and patterns; .vex/*.json if not given"`

	// Statements are the exceptions of those documents, once they were read.
	Statements []vex.Statement
}

// Exception is a finding that stops nothing for a while.
type Exception struct {
	ID      string   `berth:"id,required" doc:"the finding's name, such as CVE-2026-12345"`
	Apps    []string `berth:"apps" doc:"the apps it is for; all if not given"`
	Package string   `berth:"package" doc:"the package it is for; any if not given"`
	Owner   string   `berth:"owner,required" doc:"who answers for it"`
	Reason  string   `berth:"reason,required" doc:"why it may stand"`
	Expires Date     `berth:"expires,required" doc:"the last day on which it counts, in UTC, such as 2026-12-31"`
}

// Environment is a place where images are deployed.
type Environment struct {
	Name     string   `berth:"name,required" doc:"what it is called, such as staging: lower-case letters, digits and dashes, 28 at most"`
	Severity Severity `berth:"severity" doc:"the least severity that keeps an image out of it; the gate's if not given"`
	After    string   `berth:"after" doc:"the environment in which an image must have run before"`
	Branches []string `berth:"branches" doc:"branches whose images may go there, such as main or release/*; any if not given"`
	Deploy   Mode     `berth:"deploy" doc:"whether images go there by themselves: automatic, or manual; manual if not given"`
	Freeze   []Freeze `berth:"freeze" doc:"when nothing is deployed there"`
	Target   *Target  `berth:"target" doc:"what runs images there"`
	Health   *Health  `berth:"health" doc:"how it is found out that what was started there is healthy; what the target itself says if not given"`
}

// Target is what runs images: a kind by name, and what that kind must know, which is read by whoever knows the kind.
type Target struct {
	Type    string  `berth:"type,required" doc:"the kind of target"`
	Options Options `berth:",rest" doc:"what that kind of target must know"`
}

// Freeze is a time when nothing is deployed: from one day to another, or each week.
type Freeze struct {
	From     Date      `berth:"from" doc:"the first day of it"`
	Until    Date      `berth:"until" doc:"the last day of it"`
	Days     []Weekday `berth:"days" doc:"the days of the week that it is on, such as fri"`
	Hours    Hours     `berth:"hours" doc:"the time of day, such as 16:00-24:00; the whole day if not given"`
	Timezone Zone      `berth:"timezone" doc:"whose days and hours these are, such as Europe/Berlin; UTC if not given"`
	Reason   string    `berth:"reason,required" doc:"why, for whoever is refused"`
}

// Path is the name that the file was given.
func (f *File) Path() string { return f.source.name }

// Parse reads a file's text, and reports all that is wrong with it as Problems. The name is for the messages.
func Parse(name string, text []byte) (*File, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors begin files with it
	s := newSource(name, text)
	f := &File{source: s}
	root, err := s.parse(text)
	if err != nil {
		return nil, err
	}
	s.decode(root, f)
	if len(s.problems) == 0 { // what follows goes by values that could be read
		f.check()
	}
	if err := s.err(); err != nil {
		return nil, err
	}
	if len(f.Tags) == 0 {
		f.Tags = slices.Clone(defaultTags)
	}
	if f.Gate.Severity == "" {
		f.Gate.Severity = Critical
	}
	if f.Gate.Unscanned == "" {
		f.Gate.Unscanned = Fail
	}
	if f.Gate.Unrated == "" {
		f.Gate.Unrated = Critical
	}
	for i := range f.Environments {
		e := &f.Environments[i]
		if e.Severity == "" {
			e.Severity = f.Gate.Severity
		}
		if e.Deploy == "" {
			e.Deploy = Manual
		}
	}
	return f, nil
}
