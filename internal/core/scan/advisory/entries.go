package advisory

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of a source.
const (
	maxEntries = 1_000_000
	maxTotal   = 8 << 30  // bytes, unpacked
	maxFile    = 64 << 20 // of kev.json and cvss-by-cve.json
)

// errTooMuch is the error of a source beyond the bounds.
var errTooMuch = fmt.Errorf("more than %d entries or %d GiB", maxEntries, maxTotal>>30)

// ZipEntries reads an all.zip of OSV's exports: a file for each advisory, read one at a time.
func ZipEntries(r io.ReaderAt, size int64) iter.Seq2[Advisory, error] {
	return func(yield func(Advisory, error) bool) {
		z, err := zip.NewReader(r, size)
		if err != nil {
			yield(Advisory{}, fmt.Errorf("opening the zip: %w", err))
			return
		}
		if len(z.File) > maxEntries {
			yield(Advisory{}, errTooMuch)
			return
		}
		total := int64(0)
		for _, f := range z.File {
			if path.Ext(f.Name) != ".json" {
				continue
			}
			text, err := zipFile(f)
			if total += int64(len(text)); err == nil && total > maxTotal {
				err = errTooMuch
			}
			var a Advisory
			if err == nil {
				a, err = Parse(text)
			}
			if err != nil && a.ID == "" {
				a.ID = strings.TrimSuffix(path.Base(f.Name), ".json")
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// zipFile reads a file of a zip, one byte more than it may have at most.
func zipFile(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("opening %.200q: %w", f.Name, err)
	}
	text, err := io.ReadAll(io.LimitReader(r, MaxEntry+1))
	if err = errors.Join(err, r.Close()); err != nil && len(text) <= MaxEntry {
		return nil, fmt.Errorf("reading %.200q: %w", f.Name, err)
	}
	return text, nil
}

// LineEntries reads one advisory a line, as archives have them.
func LineEntries(r io.Reader) iter.Seq2[Advisory, error] {
	return func(yield func(Advisory, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 64<<10), MaxEntry+1)
		total, n := int64(0), 0
		for lines.Scan() {
			line := bytes.TrimSpace(lines.Bytes())
			if len(line) == 0 {
				continue
			}
			if n, total = n+1, total+int64(len(line)); n > maxEntries || total > maxTotal {
				yield(Advisory{}, errTooMuch)
				return
			}
			if a, err := Parse(line); !yield(a, err) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Advisory{}, err)
		}
	}
}

// KEVEntries reads CISA's catalogue of known exploited vulnerabilities, in its own JSON.
func KEVEntries(r io.Reader) iter.Seq2[Advisory, error] {
	return func(yield func(Advisory, error) bool) {
		var catalogue struct {
			Released        time.Time `json:"dateReleased"`
			Vulnerabilities []struct {
				ID         string `json:"cveID"`
				Name       string `json:"vulnerabilityName"`
				Added      string `json:"dateAdded"`
				Due        string `json:"dueDate"`
				Ransomware string `json:"knownRansomwareCampaignUse"`
			} `json:"vulnerabilities"`
		}
		if err := readJSON(r, &catalogue); err != nil {
			yield(Advisory{}, err)
			return
		}
		for _, v := range catalogue.Vulnerabilities {
			added, err := time.Parse(time.DateOnly, v.Added)
			if _, due := time.Parse(time.DateOnly, v.Due); err != nil || due != nil && v.Due != "" || !IsCVE(v.ID) {
				if !yield(Advisory{ID: v.ID}, malformed("%.40q is not an entry of the catalogue", v.ID)) {
					return
				}
				continue
			}
			a := Advisory{
				ID: v.ID, Summary: clean(v.Name, MaxDetails), Modified: added,
				KEV: &KEV{Added: v.Added, Due: v.Due, Ransomware: v.Ransomware == "Known"},
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

// CVSSEntries reads vectors by CVE: {"CVE-…": {"vector": "CVSS:3.1/…", "source": "…"}}.
func CVSSEntries(r io.Reader) iter.Seq2[Advisory, error] {
	return func(yield func(Advisory, error) bool) {
		var all map[string]struct {
			Vector string `json:"vector"`
			Source string `json:"source"`
		}
		if err := readJSON(r, &all); err != nil {
			yield(Advisory{}, err)
			return
		}
		for id, row := range all {
			v, ok := ParseVector(row.Vector)
			a, err := Advisory{ID: id, Vectors: []Vector{v}, Summary: clean(row.Source, 200)}, error(nil)
			if !ok || !IsCVE(id) {
				a, err = Advisory{ID: id}, malformed("%.200q of %.40q is not a CVSS vector of a CVE", row.Vector, id)
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// readJSON reads a file that is one value.
func readJSON(r io.Reader, v any) error {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return err
	case len(b) > maxFile:
		return fmt.Errorf("more than %d MiB", maxFile>>20)
	}
	return json.Unmarshal(b, v)
}

// EPSSEntries reads the scores of a day, as FIRST publishes them: gzip of cve,epss,percentile below a comment with the date. Scores
// are rounded to what anybody tells apart, or each day would change all of them.
func EPSSEntries(r io.Reader) iter.Seq2[Advisory, error] {
	return func(yield func(Advisory, error) bool) {
		z, err := gzip.NewReader(r)
		if err != nil {
			yield(Advisory{}, fmt.Errorf("opening the scores: %w", err))
			return
		}
		lines := bufio.NewScanner(io.LimitReader(z, maxTotal))
		for n := 0; lines.Scan(); n++ {
			line := lines.Text()
			if n > maxEntries {
				yield(Advisory{}, errTooMuch)
				return
			}
			if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "cve,") || line == "" {
				continue
			}
			if a, err := scoreOf(line); !yield(a, err) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Advisory{}, err)
		}
	}
}

func scoreOf(line string) (Advisory, error) {
	fields := strings.Split(line, ",")
	if len(fields) != 3 || !IsCVE(fields[0]) {
		return Advisory{}, malformed("%.80q is not a score of a CVE", line)
	}
	a := Advisory{ID: fields[0]}
	for i, to := range []*float64{&a.EPSS, &a.Percentile} {
		f, err := strconv.ParseFloat(fields[i+1], 64)
		if err != nil || f < 0 || f > 1 || math.IsNaN(f) {
			return Advisory{}, malformed("%.80q is not a score of a CVE", line)
		}
		*to = math.Round(f*1000) / 1000
	}
	a.Percentile = math.Round(a.Percentile*100) / 100
	return a, nil
}

// file is what a file of OSV's layout is.
type file struct {
	source string
	kind   fileKind
}

type fileKind int

const (
	zipFeed fileKind = iota + 1
	lineFeed
	kevFeed
	epssFeed
	cvssFeed
)

// fileOf tells by its path what a file of the layout is; false: nothing of ours. What OSV has by release as well (Debian:12) is in
// the ecosystem's own directory too.
func fileOf(name string) (file, bool) {
	dir, base := path.Split(path.Clean(name))
	dir = strings.TrimSuffix(dir, "/")
	switch {
	case dir == "" && slices.Contains([]string{"kev.json", "known_exploited_vulnerabilities.json"}, base):
		return file{SourceKEV, kevFeed}, true
	case dir == "" && base == "cvss-by-cve.json":
		return file{SourceCVSS, cvssFeed}, true
	case dir == "" && strings.HasPrefix(base, "epss_scores") && strings.HasSuffix(base, ".csv.gz"):
		return file{SourceEPSS, epssFeed}, true
	case !IsEcosystem(dir):
		return file{}, false
	case base == "all.zip":
		return file{dir, zipFeed}, true
	case base == "all.jsonl":
		return file{dir, lineFeed}, true
	}
	return file{}, false
}

// IsEcosystem tells whether a directory of OSV's exports is one to import.
func IsEcosystem(dir string) bool {
	if dir == "" || dir == "GIT" || len(dir) > 100 || slices.Contains([]string{SourceKEV, SourceEPSS, SourceCVSS}, dir) {
		return false
	}
	return !strings.HasPrefix(dir, ".") && !strings.ContainsAny(dir, ":/\\[]") && plain(dir, 100)
}

// entries reads what the layout has in one stream; zips are none.
func (f file) entries(r io.Reader) iter.Seq2[Advisory, error] {
	read := map[fileKind]func(io.Reader) iter.Seq2[Advisory, error]{lineFeed: LineEntries, kevFeed: KEVEntries, epssFeed: EPSSEntries, cvssFeed: CVSSEntries}
	return read[f.kind](r)
}
