// Package osv gets advisories by HTTP from OSV's exports (https://google.github.io/osv.dev/data/), or from a mirror of the same layout:
// <base>/<Ecosystem>/modified_id.csv tells what has changed, <Ecosystem>/<ID>.json has one advisory, <Ecosystem>/all.zip all of them.
//
// What is new is asked for by conditional requests. A few changes are fetched one by one, many as the whole. CISA's catalogue (kev.json),
// FIRST's scores (epss_scores-current.csv.gz) and cvss-by-cve.json are beside the ecosystems on a mirror; with OSV's own exports the
// first two come from their publishers.
package osv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/remote/guard"
)

// Public is the address of OSV's own exports.
const Public = "https://storage.googleapis.com/osv-vulnerabilities"

// Where the publishers have what OSV has not.
const (
	publicKEV  = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
	publicEPSS = "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz"
)

const (
	maxChanges   = 2000    // more than so many are fetched as the whole
	maxZip       = 4 << 30 // bytes of an all.zip
	maxList      = 256 << 20
	maxFile      = 64 << 20
	zipTime      = 30 * time.Minute
	fileTime     = 2 * time.Minute
	fetchers     = 8
	maxRedirects = 5
	maxHeader    = 64 << 10
)

// Config is what a Mirror is made of.
type Config struct {
	URL        string   // Public, or where the layout is
	Ecosystems []string // to fetch; none: Usual
	Temp       string   // a directory for zips; empty: where the system has such things
	// Wrap puts something around the transport, such as spans of traces; nil: nothing.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Usual are the ecosystems that are fetched where nobody says which: of the packages that inventories find most.
func Usual() []string {
	return []string{
		"AlmaLinux", "Alpine", "Debian", "Go", "Maven", "NuGet", "Packagist", "PyPI", "Red Hat", "Rocky Linux", "RubyGems", "Ubuntu",
		"crates.io", "npm",
	}
}

// Mirror is OSV's exports or a mirror of them.
type Mirror struct {
	base       string
	ecosystems []string
	temp       string
	http       *http.Client
}

var _ advisory.Origin = (*Mirror)(nil)

// New makes a client. It sends nothing yet.
func New(c Config) (*Mirror, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the http or https URL of a mirror", c.URL)
	}
	if len(c.Ecosystems) == 0 {
		c.Ecosystems = Usual()
	}
	for _, e := range c.Ecosystems {
		if !advisory.IsEcosystem(e) {
			return nil, fmt.Errorf("%q is not an ecosystem of OSV", e)
		}
	}
	refuse := guard.Refusal(guard.Metadata)
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: refuse.Control}
	m := &Mirror{
		base: strings.TrimSuffix(c.URL, "/"), ecosystems: c.Ecosystems, temp: c.Temp,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy: refuse.Proxy(http.ProxyFromEnvironment), DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second,
				ResponseHeaderTimeout: time.Minute, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: fetchers, ForceAttemptHTTP2: true,
				DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
			},
			CheckRedirect: func(req *http.Request, via []*http.Request) error {
				switch {
				case len(via) > maxRedirects:
					return fmt.Errorf("more than %d redirects", maxRedirects)
				case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
					return errors.New("a redirect from https to " + req.URL.Scheme)
				}
				return nil
			},
		},
	}
	if c.Wrap != nil {
		m.http.Transport = c.Wrap(m.http.Transport)
	}
	return m, nil
}

// String implements advisory.Origin. A password in the URL is not shown.
func (m *Mirror) String() string {
	u, err := url.Parse(m.base)
	if err != nil {
		return "a mirror"
	}
	return u.Redacted()
}

// Close gives up idle connections.
func (m *Mirror) Close() error {
	m.http.CloseIdleConnections()
	return nil
}

// Read implements advisory.Origin.
func (m *Mirror) Read(ctx context.Context, known map[string]advisory.Source, each func(advisory.Feed) error) error {
	var failed []error
	found := 0
	known = advisory.From(known, m)
	for _, e := range m.ecosystems {
		err := m.ecosystem(ctx, e, known[e], each)
		switch {
		case ctx.Err() != nil:
			return errors.Join(append(failed, ctx.Err())...)
		case errors.Is(err, errAbsent) && known[e].Revision == 0:
			continue // a mirror need not have all
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", e, err))
		}
		found++
	}
	for _, f := range m.files() {
		err := m.file(ctx, f, known[f.source], each)
		switch {
		case ctx.Err() != nil:
			return errors.Join(append(failed, ctx.Err())...)
		case errors.Is(err, errAbsent):
			continue
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", f.source, err))
		}
		found++
	}
	if found == 0 {
		failed = append(failed, fmt.Errorf("%s has none of %s: %w", m, strings.Join(m.ecosystems, ", "), errAbsent))
	}
	return errors.Join(failed...)
}

// errAbsent is the error of what the server does not have.
var errAbsent = errors.New("not found on the server")

// single is a source that is one file.
type single struct {
	source, url string
	read        func(io.Reader) entries
}

func (m *Mirror) files() []single {
	kev, epss := m.base+"/kev.json", m.base+"/epss_scores-current.csv.gz"
	if m.base == Public {
		kev, epss = publicKEV, publicEPSS
	}
	all := []single{{advisory.SourceKEV, kev, advisory.KEVEntries}, {advisory.SourceEPSS, epss, advisory.EPSSEntries}}
	if m.base != Public {
		all = append(all, single{advisory.SourceCVSS, m.base + "/cvss-by-cve.json", advisory.CVSSEntries})
	}
	return all
}

func (m *Mirror) file(ctx context.Context, f single, known advisory.Source, each func(advisory.Feed) error) (err error) {
	body, validator, err := m.get(ctx, f.url, known.Validator, maxFile, fileTime)
	if errors.Is(err, errUnchanged) {
		return each(advisory.Feed{Source: f.source, Unchanged: true})
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	return each(advisory.Feed{Source: f.source, Validator: validator, Entries: f.read(body)})
}

// ecosystem reads one: nothing, what has changed, or all of it.
func (m *Mirror) ecosystem(ctx context.Context, name string, known advisory.Source, each func(advisory.Feed) error) error {
	at := m.base + "/" + url.PathEscape(name)
	last, tag := splitValidator(known.Validator)
	list, err := m.changes(ctx, at+"/modified_id.csv", tag, last)
	switch {
	case errors.Is(err, errUnchanged):
		return each(advisory.Feed{Source: name, Unchanged: true})
	case errors.Is(err, errAbsent):
		return m.whole(ctx, name, at, tag, nil, each)
	case err != nil:
		return err
	case known.Revision > 0 && !last.IsZero() && len(list.changed) <= maxChanges:
		return each(advisory.Feed{
			Source: name, Partial: true, Validator: list.validator(), Listed: list.ids, Entries: m.entries(ctx, at, list.changed),
		})
	}
	return m.whole(ctx, name, at, "", list, each)
}

// whole reads an all.zip, which must be on disk to be read.
func (m *Mirror) whole(ctx context.Context, name, at, tag string, list *changeList, each func(advisory.Feed) error) (err error) {
	body, validator, err := m.get(ctx, at+"/all.zip", tag, maxZip, zipTime)
	if errors.Is(err, errUnchanged) {
		return each(advisory.Feed{Source: name, Unchanged: true})
	}
	if err != nil {
		return err
	}
	file, err := advisory.NewSpool(m.temp)
	if err != nil {
		return errors.Join(err, body.Close())
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := io.Copy(file, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("getting all.zip: %w", err)
	}
	// What is asked by next time was read before the zip: what changes in between is fetched again rather than never.
	if validator = joinValidator(time.Time{}, validator); list != nil {
		validator = list.validator()
	}
	return each(advisory.Feed{Source: name, Validator: validator, Entries: advisory.ZipEntries(file, size)})
}

// splitValidator takes a stored validator apart: the newest change that was seen, and the server's tag.
func splitValidator(s string) (time.Time, string) {
	at, tag, _ := strings.Cut(s, " ")
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return time.Time{}, tag
	}
	return t, tag
}

func joinValidator(t time.Time, tag string) string {
	if t.IsZero() {
		return "- " + tag
	}
	return t.UTC().Format(time.RFC3339Nano) + " " + tag
}

// chunks of what is fetched at once.
func chunks(ids []string) [][]string { return slices.Collect(slices.Chunk(ids, fetchers)) }
