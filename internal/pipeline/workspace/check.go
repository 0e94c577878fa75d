package workspace

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Languages are those whose projects Berth knows by their files.
func Languages() []string { return []string{"go", "node", "python", "rust"} }

// environmentName is narrower than what records of deployments take, deployment.NamePattern, and no longer: every environment can be deployed to.
var environmentName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// CheckRepository tells what is wrong with the name of a repository.
func CheckRepository(name string) error {
	if _, err := oci.ParseRepositoryName(name); err != nil {
		return fmt.Errorf("%q is no name of a repository such as hoopstat-haus/prod: lower case, without the registry's address and without a tag", name)
	}
	return nil
}

// check notes what is wrong with values that could be read.
func (f *File) check() {
	s := f.source
	if err := CheckRepository(f.Repository); err != nil {
		s.wrong("repository", "%v", err)
	}
	if len(f.Apps) == 0 || !slices.ContainsFunc(f.Apps, func(g Glob) bool { return g[0] != '!' }) {
		s.wrong("apps", "apps names no directory; apps/* are those below apps")
	}
	f.checkTags()
	for language := range f.Test {
		if !slices.Contains(Languages(), language) {
			s.wrong("test."+language+"#", "no language of the name %q%s", language, meant(language, Languages()))
		}
	}
	f.Gate.check(s)
	f.checkEnvironments()
	for name, p := range f.Projects {
		path := "projects." + name
		for key, dir := range map[string]string{"context": p.Build.Context, "dockerfile": p.Build.Dockerfile, "sbom": p.Build.SBOM} {
			if err := checkPath(dir); dir != "" && err != nil {
				s.wrong(path+".build."+key, "%q: %v", dir, err)
			}
		}
		p.Health.check(s, path+".health", false)
		s.doubled(path+".depends_on", p.DependsOn)
		s.doubled(path+".platforms", p.Platforms)
		s.doubled(path+".test_env", p.TestEnv)
		for i, g := range p.Inputs {
			if g[0] == '!' {
				s.wrong(fmt.Sprintf("%s.inputs[%d]", path, i), "an input is not taken out by a !")
			}
		}
	}
	s.doubled("platforms", f.Platforms)
	s.doubled("apps", f.Apps)
	s.doubled("libs", f.Libs)
}

// doubled notes what a list has twice.
func (s *source) doubled(path string, list any) {
	seen := map[string]bool{}
	for i, each := range texts(list) {
		if seen[each] {
			s.wrong(fmt.Sprintf("%s[%d]", path, i), "%s has %q twice", path, each)
		}
		seen[each] = true
	}
}

func texts(list any) []string {
	switch l := list.(type) {
	case []Glob:
		return strs(l)
	case []Template:
		return strs(l)
	case []Platform:
		return strs(l)
	case []EnvName:
		return strs(l)
	case []string:
		return l
	default:
		panic("workspace: a list of something else")
	}
}

func strs[T ~string](list []T) []string {
	all := make([]string, len(list))
	for i, each := range list {
		all[i] = string(each)
	}
	return all
}

func (f *File) checkTags() {
	s := f.source
	s.doubled("tags", f.Tags)
	if len(f.Tags) > 0 && !slices.ContainsFunc(f.Tags, func(t Template) bool { return !t.Moves() }) {
		s.wrong("tags", "one of the tags must have {sha} or {sha8}, or nothing tells an image's commit")
	}
}

func (g Gate) check(s *source) { checkExceptions(s, "gate.exceptions", g.Exceptions) }

// checkExceptions notes what is wrong with the exceptions at a path.
func checkExceptions(s *source, at string, all []Exception) {
	for i, e := range all {
		path := fmt.Sprintf("%s[%d]", at, i)
		for key, text := range map[string]string{"id": e.ID, "owner": e.Owner, "reason": e.Reason} {
			if strings.TrimSpace(text) == "" {
				s.wrong(path+"."+key, "%s says nothing", path+"."+key)
			}
		}
		for _, earlier := range all[:i] {
			if e.ID == earlier.ID && e.Package == earlier.Package && (len(e.Apps) == 0 || len(earlier.Apps) == 0 || slices.Equal(e.Apps, earlier.Apps)) {
				s.wrong(path+".id", "%s has an exception already", e.ID)
				break
			}
		}
		s.doubled(path+".apps", e.Apps)
	}
}

func (f *File) checkEnvironments() {
	s := f.source
	known := map[string]bool{}
	for i, e := range f.Environments {
		path := fmt.Sprintf("environments[%d]", i)
		switch {
		case !environmentName.MatchString(e.Name):
			s.wrong(path+".name", "%q is no name of an environment: lower-case letters, digits and dashes", e.Name)
		case len(e.Name) > deployment.MaxEnvironment:
			s.wrong(path+".name", "%q has %d characters, and the name of an environment at most %d", e.Name, len(e.Name), deployment.MaxEnvironment)
		case known[e.Name]:
			s.wrong(path+".name", "there are two environments of the name %q", e.Name)
		}
		if e.After != "" && !known[e.After] {
			s.wrong(path+".after", "no environment of the name %q comes before %q", e.After, e.Name)
		}
		known[e.Name] = true
		e.Health.check(s, path+".health", true)
		for j, b := range e.Branches {
			if err := checkGlob(b); err != nil {
				s.wrong(fmt.Sprintf("%s.branches[%d]", path, j), "%q is no branch, and no pattern of branches such as release/*: %v", b, err)
			}
		}
		for j, w := range e.Freeze {
			w.check(s, fmt.Sprintf("%s.freeze[%d]", path, j))
		}
	}
}

func (w Freeze) check(s *source, path string) {
	dates, week := w.From != "" || w.Until != "", len(w.Days) > 0 || w.Hours != ""
	switch {
	case dates == week:
		s.wrong(path, "a freeze is either from one day until another, or on days of the week and at hours")
	case dates && (w.From == "" || w.Until == ""):
		s.wrong(path, "a freeze from one day until another has both from and until")
	case dates && w.From > w.Until:
		s.wrong(path+".until", "the freeze ends before it begins")
	case strings.TrimSpace(w.Reason) == "":
		s.wrong(path+".reason", "the reason says nothing")
	}
}
