package advisory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Dir is a directory in the layout of OSV's exports: <Ecosystem>/all.zip, and beside them kev.json (CISA's catalogue),
// epss_scores*.csv.gz (FIRST's) and cvss-by-cve.json, as far as they are there.
type Dir struct {
	FS   fs.FS
	Name string
	// Ecosystems are those to import; none: all that are there.
	Ecosystems []string
}

// String implements Origin.
func (d Dir) String() string { return d.Name }

// Read implements Origin.
func (d Dir) Read(ctx context.Context, known map[string]Source, each func(Feed) error) error {
	files, err := d.files()
	if err != nil {
		return err
	}
	known = From(known, d)
	var failed []error
	asOf, err := d.newest(files)
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(failed, err)...)
		}
		if err := d.read(name, asOf, known, each); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// files lists what is to be read: of several days' scores the newest, of an ecosystem one file.
func (d Dir) files() ([]string, error) {
	var found []string
	for _, pattern := range []string{"*/all.zip", "*/all.jsonl", "kev.json", "known_exploited_vulnerabilities.json", "cvss-by-cve.json"} {
		names, err := fs.Glob(d.FS, pattern)
		if err != nil {
			return nil, err
		}
		found = append(found, names...)
	}
	scores, err := fs.Glob(d.FS, "epss_scores*.csv.gz")
	if err != nil {
		return nil, err
	}
	if len(scores) > 0 {
		found = append(found, slices.Max(scores))
	}
	taken := map[string]bool{}
	found = slices.DeleteFunc(found, func(name string) bool {
		f, ok := fileOf(name)
		unwanted := len(d.Ecosystems) > 0 && strings.Contains(name, "/") && !slices.Contains(d.Ecosystems, f.source)
		if !ok || taken[f.source] || unwanted {
			return true
		}
		taken[f.source] = true
		return false
	})
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no <Ecosystem>/all.zip, kev.json, epss_scores*.csv.gz or cvss-by-cve.json: %w", d.Name, fs.ErrNotExist)
	}
	return found, nil
}

// newest is when the newest of the files was changed: a copy of an export is as new as what was copied last.
func (d Dir) newest(files []string) (time.Time, error) {
	var newest time.Time
	for _, name := range files {
		info, err := fs.Stat(d.FS, name)
		if err != nil {
			return time.Time{}, err
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime().UTC()
		}
	}
	return newest, nil
}

func (d Dir) read(name string, asOf time.Time, known map[string]Source, each func(Feed) error) (err error) {
	f, _ := fileOf(name)
	r, err := d.FS.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	info, err := r.Stat()
	if err != nil {
		return err
	}
	feed := Feed{Source: f.source, AsOf: asOf, Validator: fmt.Sprintf("%d bytes, %d", info.Size(), info.ModTime().UnixMicro())}
	if s, ok := known[f.source]; ok && s.Validator == feed.Validator {
		feed.Unchanged = true
		return each(feed)
	}
	if f.kind != zipFeed {
		feed.Entries = f.entries(r)
		return each(feed)
	}
	at, ok := r.(io.ReaderAt)
	if !ok {
		return fmt.Errorf("%s cannot be read in any order, as a zip needs it", name)
	}
	feed.Entries = ZipEntries(at, info.Size())
	return each(feed)
}
