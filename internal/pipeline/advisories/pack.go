// Package advisories brings advisories to a Berth: packs a directory of OSV's layout, an export or a single advisory as an archive, and
// pushes it as an artifact into a repository, from which the server imports it. So an air-gapped site gets them by any medium, by a
// push that goes on where it broke off, and by replication.
package advisories

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Type is the media type of an archive, and the artifact type of its manifest.
const Type = "application/vnd.berth.advisories.v1"

// maxEntry bounds an advisory.
const maxEntry = 4 << 20

// packing is an archive that is being made.
type packing struct {
	dir      string // with the files as they will be in it, under other names
	files    map[string]string
	manifest manifest
}

// manifest is the first file of an archive.
type manifest struct {
	CreatedAt time.Time               `json:"createdAt"`
	Partial   bool                    `json:"partial,omitempty"`
	Files     map[string]manifestFile `json:"files"`
}

type manifestFile struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Packed tells what is in an archive.
type Packed struct {
	Sources []string `json:"sources"` // ecosystems, kev, epss, cvss
	Bytes   int64    `json:"bytes"`   // of the archive
}

// Pack makes an archive of what is at a path: a directory of OSV's layout, an all.zip of one ecosystem, or a single advisory (.json).
// Other files are taken for archives, and copied. temp is a directory for files of its own.
func Pack(at string, to io.Writer, temp string, now time.Time) (_ Packed, err error) {
	info, err := os.Stat(at)
	if err != nil {
		return Packed{}, err
	}
	dir, err := os.MkdirTemp(temp, "berth-advisories-")
	if err != nil {
		return Packed{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p := &packing{dir: dir, files: map[string]string{}, manifest: manifest{Files: map[string]manifestFile{}}}
	switch ext := strings.ToLower(filepath.Ext(at)); {
	case info.IsDir():
		err = p.directory(at)
	case ext == ".zip":
		err = p.zip(at, "")
	case ext == ".json":
		err = p.single(at)
	default:
		return copyArchive(at, to)
	}
	if err != nil {
		return Packed{}, err
	}
	// A copy of an export is as new as what was copied last, not as the archive of it.
	if p.manifest.CreatedAt.IsZero() || p.manifest.CreatedAt.After(now) {
		p.manifest.CreatedAt = now
	}
	p.manifest.CreatedAt = p.manifest.CreatedAt.UTC().Truncate(time.Second)
	return p.write(to)
}

// read notes how new a file is that was taken.
func (p *packing) read(at string) error {
	info, err := os.Stat(at)
	if err == nil && info.ModTime().After(p.manifest.CreatedAt) {
		p.manifest.CreatedAt = info.ModTime()
	}
	return err
}

func copyArchive(at string, to io.Writer) (_ Packed, err error) {
	f, err := os.Open(at)
	if err != nil {
		return Packed{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(to, f)
	return Packed{Bytes: n}, err
}

// directory takes what the layout has.
func (p *packing) directory(at string) error {
	tree := os.DirFS(at)
	for _, pattern := range []string{"*/all.zip", "*/all.jsonl", "kev.json", "known_exploited_vulnerabilities.json", "cvss-by-cve.json", "epss_scores*.csv.gz"} {
		names, err := fs.Glob(tree, pattern)
		if err != nil {
			return err
		}
		if strings.HasPrefix(pattern, "epss") && len(names) > 0 {
			names = []string{slices.Max(names)}
		}
		for _, name := range names {
			ecosystem, base := path.Split(name)
			ecosystem = strings.TrimSuffix(ecosystem, "/")
			switch {
			case ecosystem == "GIT" || strings.ContainsAny(ecosystem, ":[]") || strings.HasPrefix(ecosystem, "."):
				continue // what has a release is in the ecosystem's own directory too
			case p.has(ecosystem):
				continue
			case base == "all.zip":
				err = p.zip(filepath.Join(at, filepath.FromSlash(name)), ecosystem)
			default:
				err = p.file(filepath.Join(at, filepath.FromSlash(name)), name)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if len(p.files) == 0 {
		return fmt.Errorf("%s has no <Ecosystem>/all.zip, kev.json, epss_scores*.csv.gz or cvss-by-cve.json: it is no directory of advisories", at)
	}
	return nil
}

func (p *packing) has(ecosystem string) bool {
	_, ok := p.files[ecosystem+"/all.jsonl"]
	return ok && ecosystem != ""
}

// add puts what write writes into the archive, under a name.
func (p *packing) add(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(p.dir, "file-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	hash := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(f, hash), 1<<20)
	if err := errors.Join(write(out), out.Flush()); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p.files[name] = f.Name()
	p.manifest.Files[name] = manifestFile{hex.EncodeToString(hash.Sum(nil)), info.Size()}
	return nil
}

func (p *packing) file(at, name string) error {
	if err := p.read(at); err != nil {
		return err
	}
	return p.add(name, func(w io.Writer) (err error) {
		f, err := os.Open(at)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		_, err = io.Copy(w, f)
		return err
	})
}

// zip packs an all.zip as an advisory a line, which a stream can be read from, and which compresses far better. Which ecosystem it is
// of is asked of the first entry that says so, where nothing else does.
func (p *packing) zip(at, ecosystem string) (err error) {
	if err := p.read(at); err != nil {
		return err
	}
	z, err := zip.OpenReader(at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	slices.SortFunc(z.File, func(a, b *zip.File) int { return cmp.Compare(a.Name, b.Name) })
	if ecosystem == "" {
		if ecosystem, err = ecosystemOf(z.File); err != nil {
			return err
		}
	}
	return p.add(ecosystem+"/all.jsonl", func(w io.Writer) error {
		for _, f := range z.File {
			if path.Ext(f.Name) != ".json" {
				continue
			}
			line, err := compact(f)
			if err != nil {
				return fmt.Errorf("%q: %w", f.Name, err)
			}
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		return nil
	})
}

// compact gives a file of a zip as a line.
func compact(f *zip.File) (_ []byte, err error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	text, err := io.ReadAll(io.LimitReader(r, maxEntry+1))
	if err != nil {
		return nil, err
	}
	return line(text)
}

func line(text []byte) ([]byte, error) {
	if len(text) > maxEntry {
		return nil, fmt.Errorf("it has more than %d bytes", maxEntry)
	}
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// ecosystems tells which an advisory is about.
func ecosystems(text []byte) ([]string, error) {
	var a struct {
		Affected []struct {
			Package struct {
				Ecosystem string `json:"ecosystem"`
			} `json:"package"`
		} `json:"affected"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, f := range a.Affected {
		if name, _, _ := strings.Cut(f.Package.Ecosystem, ":"); name != "" && name != "GIT" && !strings.ContainsAny(name, "/\\") {
			found[name] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

func ecosystemOf(files []*zip.File) (string, error) {
	for _, f := range files {
		if path.Ext(f.Name) != ".json" {
			continue
		}
		text, err := compact(f)
		if err != nil {
			return "", fmt.Errorf("%q: %w", f.Name, err)
		}
		if all, err := ecosystems(text); err == nil && len(all) == 1 {
			return all[0], nil
		}
	}
	return "", errors.New("no advisory in it tells of which ecosystem it is: put it into a directory of that name, as all.zip, and import what that is in")
}

// single packs one advisory, to be added to what there is.
func (p *packing) single(at string) error {
	text, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	l, err := line(text)
	if err != nil {
		return err
	}
	all, err := ecosystems(l)
	if err != nil || len(all) != 1 {
		return errors.New("it is no advisory of OSV's format about packages of one ecosystem")
	}
	p.manifest.Partial = true
	return p.add(all[0]+"/all.jsonl", func(w io.Writer) error {
		_, err := w.Write(l)
		return err
	})
}

// write writes the archive.
func (p *packing) write(to io.Writer) (_ Packed, err error) {
	counted := &counter{w: to}
	z, err := zstd.NewWriter(counted, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		return Packed{}, err
	}
	archive := tar.NewWriter(z)
	text, err := json.MarshalIndent(p.manifest, "", "  ")
	if err != nil {
		return Packed{}, err
	}
	if err := p.put(archive, "manifest.json", bytes.NewReader(text), int64(len(text))); err != nil {
		return Packed{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		f, err := os.Open(p.files[name])
		if err != nil {
			return Packed{}, err
		}
		if err := errors.Join(p.put(archive, name, f, p.manifest.Files[name].Size), f.Close()); err != nil {
			return Packed{}, err
		}
	}
	if err := errors.Join(archive.Close(), z.Close()); err != nil {
		return Packed{}, err
	}
	packed := Packed{Sources: []string{}, Bytes: counted.n}
	for name := range p.files {
		packed.Sources = append(packed.Sources, sourceOf(name))
	}
	slices.Sort(packed.Sources)
	return packed, nil
}

func sourceOf(name string) string {
	switch dir, base := path.Split(name); {
	case dir != "":
		return strings.TrimSuffix(dir, "/")
	case strings.HasPrefix(base, "epss"):
		return "epss"
	case strings.HasPrefix(base, "cvss"):
		return "cvss"
	}
	return "kev"
}

func (p *packing) put(archive *tar.Writer, name string, r io.Reader, size int64) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: p.manifest.CreatedAt, Format: tar.FormatPAX}
	if err := archive.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(archive, r)
	return err
}

type counter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
