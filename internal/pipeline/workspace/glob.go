package workspace

import (
	"errors"
	"path"
	"strings"
)

// checkGlob tells what is wrong with a pattern of paths.
func checkGlob(glob string) error {
	switch {
	case glob == "":
		return errors.New("a path is not empty; . is the root")
	case strings.HasPrefix(glob, "/"):
		return errors.New("a path from the root of the workspace does not begin with a slash")
	case strings.Contains(glob, `\`):
		return errors.New("a backslash is in no path here; directories are separated by slashes")
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(glob, "/"), "/") {
		switch {
		case part == "..":
			return errors.New("a path does not leave the workspace")
		case part == "" || part == "." && glob != ".":
			return errors.New("a path has no empty part, and no part that is a dot")
		case part != "**" && strings.Contains(part, "**"):
			return errors.New("** stands for directories, alone between slashes")
		}
		if _, err := path.Match(part, ""); err != nil {
			return errors.New("a [ has no ]")
		}
	}
	return nil
}

// IsPattern tells whether a path stands for several.
func (v Glob) IsPattern() bool { return strings.ContainsAny(string(v), "*?[") }

// Match tells whether a path, clean and from the root, is one that the pattern stands for.
func (v Glob) Match(name string) bool {
	return matchParts(strings.Split(strings.TrimSuffix(string(v), "/"), "/"), strings.Split(name, "/"))
}

func matchParts(glob, name []string) bool {
	for len(glob) > 0 {
		if glob[0] == "**" {
			for i := 0; i <= len(name); i++ {
				if matchParts(glob[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(glob[0], name[0]); err != nil || !ok {
			return false
		}
		glob, name = glob[1:], name[1:]
	}
	return len(name) == 0
}

// checkPath tells what is wrong with a path that is none for several.
func checkPath(p string) error {
	if err := checkGlob(p); err != nil {
		return err
	}
	if Glob(p).IsPattern() {
		return errors.New("this is one path, without * ? and [")
	}
	return nil
}
