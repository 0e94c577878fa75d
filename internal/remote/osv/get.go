package osv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

type entries = iter.Seq2[advisory.Advisory, error]

// errUnchanged is the error of what is as it was when its tag was seen.
var errUnchanged = errors.New("unchanged")

// get asks for a file. The tag is an ETag, or a Last-Modified where the server has no ETags; empty: whatever there is. The body fails
// after so many bytes, and when the time is over.
func (m *Mirror) get(ctx context.Context, at, tag string, most int64, within time.Duration) (io.ReadCloser, string, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		cancel()
		return nil, "", fmt.Errorf("asking for %s: %w", at, err)
	}
	req.Header.Set("User-Agent", "berth")
	switch {
	case strings.HasPrefix(tag, `"`), strings.HasPrefix(tag, `W/"`):
		req.Header.Set("If-None-Match", tag)
	case tag != "":
		req.Header.Set("If-Modified-Since", tag)
	}
	res, err := m.http.Do(req)
	if err != nil {
		cancel()
		return nil, "", err // names the URL, without its password
	}
	switch res.StatusCode {
	case http.StatusOK:
		tag := res.Header.Get("ETag")
		if tag == "" {
			tag = res.Header.Get("Last-Modified")
		}
		return &bounded{body: res.Body, left: most, cancel: cancel}, tag, nil
	case http.StatusNotModified:
		err = errUnchanged
	case http.StatusNotFound, http.StatusGone:
		err = errAbsent
	default:
		err = fmt.Errorf("%s answers %s", req.URL.Redacted(), res.Status)
	}
	cancel()
	return nil, "", errors.Join(err, res.Body.Close())
}

// bounded is a body that has an end.
type bounded struct {
	body   io.ReadCloser
	left   int64
	cancel context.CancelFunc
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errors.New("the server sends more than such a file may have")
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errors.New("the server sends more than such a file may have")
	}
	return n, err
}

// Close implements io.Closer.
func (b *bounded) Close() error {
	defer b.cancel()
	return b.body.Close()
}

// changeList is what a modified_id.csv says.
type changeList struct {
	tag     string
	newest  time.Time
	changed []string // after the change that was seen last; one more than maxChanges stand for many
	all     []string
}

func (l *changeList) validator() string { return joinValidator(l.newest, l.tag) }

// ids gives all that the export has.
func (l *changeList) ids(yield func(string) bool) {
	for _, id := range l.all {
		if !yield(id) {
			return
		}
	}
}

// changes reads the list of changes.
func (m *Mirror) changes(ctx context.Context, at, tag string, last time.Time) (_ *changeList, err error) {
	body, tag, err := m.get(ctx, at, tag, maxList, fileTime)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	list := &changeList{tag: tag, newest: last}
	for lines := bufio.NewScanner(body); ; {
		if !lines.Scan() {
			if err := lines.Err(); err != nil {
				return nil, fmt.Errorf("reading the list of changes: %w", err)
			}
			break
		}
		when, id, ok := strings.Cut(strings.TrimSpace(lines.Text()), ",")
		id = id[strings.LastIndexByte(id, '/')+1:]
		t, err := time.Parse(time.RFC3339Nano, when)
		if !ok || err != nil || id == "" {
			if strings.TrimSpace(lines.Text()) == "" || len(list.all) == 0 && err != nil && ok {
				continue // an empty line, or a heading
			}
			return nil, fmt.Errorf("the list of changes has the line %.80q", lines.Text())
		}
		list.all = append(list.all, id)
		if t.After(last) && len(list.changed) <= maxChanges {
			list.changed = append(list.changed, id)
		}
		if t.After(list.newest) {
			list.newest = t
		}
	}
	if len(list.all) == 0 {
		return nil, errors.New("the list of changes is empty")
	}
	return list, nil
}

// entries gets advisories one by one, some at a time.
func (m *Mirror) entries(ctx context.Context, at string, ids []string) entries {
	return func(yield func(advisory.Advisory, error) bool) {
		for _, some := range chunks(ids) {
			got := make([]advisory.Advisory, len(some))
			errs := make([]error, len(some))
			var all sync.WaitGroup
			for i, id := range some {
				all.Go(func() { got[i], errs[i] = m.entry(ctx, at, id) })
			}
			all.Wait()
			for i := range some {
				if errors.Is(errs[i], errAbsent) {
					continue // gone since the list was written
				}
				if !yield(got[i], errs[i]) {
					return
				}
			}
		}
	}
}

func (m *Mirror) entry(ctx context.Context, at, id string) (_ advisory.Advisory, err error) {
	body, _, err := m.get(ctx, at+"/"+url.PathEscape(id)+".json", "", advisory.MaxEntry, fileTime)
	if err != nil {
		return advisory.Advisory{}, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	text, err := io.ReadAll(body)
	if err != nil {
		return advisory.Advisory{}, fmt.Errorf("getting %.200q: %w", id, err)
	}
	a, err := advisory.Parse(text)
	if err == nil && a.ID != id {
		return advisory.Advisory{}, fmt.Errorf("%w: %.80q calls itself %.80q", advisory.ErrMalformed, id, a.ID)
	}
	return a, err
}
