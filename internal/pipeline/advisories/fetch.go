package advisories

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Public is the address of OSV's own exports.
const Public = "https://storage.googleapis.com/osv-vulnerabilities"

// Where the publishers have what OSV has not.
const (
	publicKEV  = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
	publicEPSS = "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz"
)

const (
	fetchTime = time.Hour // of one file
	maxFetch  = 4 << 30
)

// Usual are the ecosystems that are fetched where nobody says which.
func Usual() []string {
	return []string{
		"AlmaLinux", "Alpine", "Debian", "Go", "Maven", "NuGet", "Packagist", "PyPI", "Red Hat", "Rocky Linux", "RubyGems", "Ubuntu",
		"crates.io", "npm",
	}
}

// Fetch gets exports from a URL into a directory, in the same layout. say is told of each file.
func Fetch(ctx context.Context, base string, ecosystems []string, dir string, say func(string)) error {
	base = strings.TrimSuffix(base, "/")
	files := map[string]string{"kev.json": base + "/kev.json", "epss_scores-current.csv.gz": base + "/epss_scores-current.csv.gz", "cvss-by-cve.json": base + "/cvss-by-cve.json"}
	if base == Public {
		files["kev.json"], files["epss_scores-current.csv.gz"] = publicKEV, publicEPSS
		delete(files, "cvss-by-cve.json")
	}
	for _, e := range ecosystems {
		if e == "" || strings.ContainsAny(e, "/\\:") || strings.HasPrefix(e, ".") {
			return fmt.Errorf("%q is not an ecosystem of OSV", e)
		}
		files[filepath.Join(e, "all.zip")] = base + "/" + url.PathEscape(e) + "/all.zip"
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: time.Minute, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	found := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		at := files[name]
		switch there, err := fetch(ctx, client, at, filepath.Join(dir, name)); {
		case err != nil:
			return err
		case there:
			found++
			say(at)
		}
	}
	if found == 0 {
		return fmt.Errorf("%s has no exports of advisories", base)
	}
	return nil
}

// fetch gets a file; false: the server does not have it.
func fetch(ctx context.Context, client *http.Client, at, to string) (_ bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("User-Agent", "berth")
	res, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return false, nil
	default:
		return false, fmt.Errorf("%s answers %s", req.URL.Redacted(), res.Status)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return false, err
	}
	f, err := os.Create(to)
	if err != nil {
		return false, err
	}
	n, err := io.Copy(f, io.LimitReader(res.Body, maxFetch+1))
	if err == nil && n > maxFetch {
		err = fmt.Errorf("%s has more than %d GiB", req.URL.Redacted(), maxFetch>>30)
	}
	return true, errors.Join(err, f.Close())
}
