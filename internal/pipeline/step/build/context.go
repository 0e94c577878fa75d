package build

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// sentDockerfile is what the Dockerfile is called in a context that is sent to plain docker.
const sentDockerfile = ".berth-dockerfile"

// send writes the context for plain docker, as its own program would, with three differences: files are from the time of the
// commit, so that COPY makes the same of each checkout; a .dockerignore beside the Dockerfile counts; and the Dockerfile is the
// one with the bases replaced. The engine takes the Dockerfile and .dockerignore out again where the latter says so, before
// it copies anything.
func (j *job) send(w io.Writer) error {
	ignored, err := j.ignored()
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	err = filepath.WalkDir(j.context, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(j.context, name)
		if err != nil || rel == "." {
			return err
		}
		rel = filepath.ToSlash(rel)
		if rel == ".dockerignore" || rel == sentDockerfile {
			return nil
		}
		out, err := ignored.MatchesOrParentMatches(rel)
		switch {
		case err != nil:
			return err
		case out && entry.IsDir() && !ignored.Exclusions():
			return fs.SkipDir
		case out:
			return nil
		}
		return j.add(t, name, rel, entry)
	})
	if err != nil {
		return fmt.Errorf("sending the context: %w", err)
	}
	if err := j.addOwn(t, ignored); err != nil {
		return fmt.Errorf("sending the Dockerfile: %w", err)
	}
	return t.Close() //nolint:wrapcheck // the pipe to the builder
}

// ignored reads what is left out of the context.
func (j *job) ignored() (*patternmatcher.PatternMatcher, error) {
	var patterns []string
	if j.ignoreFile != "" {
		text, err := os.ReadFile(j.ignoreFile)
		if err != nil {
			return nil, fmt.Errorf("what is left out of the context: %w", err)
		}
		if patterns, err = ignorefile.ReadAll(bytes.NewReader(text)); err != nil {
			return nil, fmt.Errorf(".dockerignore: %w", err)
		}
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf(".dockerignore: %w", err)
	}
	return m, nil
}

// add sends a file, directory or link. What is none of them cannot be copied, and is left out.
func (j *job) add(t *tar.Writer, name, rel string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err //nolint:wrapcheck // names the file
	}
	target := ""
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		if target, err = os.Readlink(name); err != nil {
			return err //nolint:wrapcheck // names the file
		}
	case !mode.IsRegular() && !mode.IsDir():
		return nil
	}
	h, err := tar.FileInfoHeader(fixed{info}, target)
	if err != nil {
		return err //nolint:wrapcheck // names the file
	}
	h.Name, h.ModTime = rel, j.Epoch
	if info.IsDir() {
		h.Name += "/"
	}
	if err := t.WriteHeader(h); err != nil {
		return err //nolint:wrapcheck // names the file
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return err //nolint:wrapcheck // names the file
	}
	_, err = io.Copy(t, f)
	return errors.Join(err, f.Close())
}

// fixed is what is known of a file but for its owner, who is root in an image.
type fixed struct{ fs.FileInfo }

// Sys gives nothing.
func (fixed) Sys() any { return nil }

// addOwn sends the Dockerfile and what makes the engine take it out again. A .dockerignore that an instruction may copy has one
// line more then.
func (j *job) addOwn(t *tar.Writer, ignored *patternmatcher.PatternMatcher) error {
	own, err := os.ReadFile(filepath.Join(j.context, ".dockerignore"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err //nolint:wrapcheck // names the file
	}
	out, matching := ignored.MatchesOrParentMatches(".dockerignore")
	if err != nil || matching != nil || out {
		own = []byte(".dockerignore")
	}
	text := strings.TrimRight(string(own), "\n") + "\n" + sentDockerfile + "\n"
	for _, f := range []struct {
		name string
		text []byte
	}{{".dockerignore", []byte(text)}, {sentDockerfile, j.recipe.Text}} {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.text)), ModTime: j.Epoch}
		if err := t.WriteHeader(h); err != nil {
			return err //nolint:wrapcheck // says what
		}
		if _, err := t.Write(f.text); err != nil {
			return err //nolint:wrapcheck // says what
		}
	}
	return nil
}
