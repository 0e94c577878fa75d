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

// matchParts takes as little for each ** as will do, and goes back to the last one alone: no pattern takes long.
func matchParts(glob, name []string) bool {
	g, n := 0, 0
	starG, starN := -1, 0 // after the last **, and what it takes until now
	for n < len(name) || g < len(glob) {
		if g < len(glob) && glob[g] == "**" {
			g++
			starG, starN = g, n
			continue
		}
		if g < len(glob) && n < len(name) {
			if ok, err := path.Match(glob[g], name[n]); err == nil && ok {
				g, n = g+1, n+1
				continue
			}
		}
		if starG < 0 || starN >= len(name) {
			return false
		}
		starN++
		g, n = starG, starN
	}
	return true
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
