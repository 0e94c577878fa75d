package distribution

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// names is a page of a listing of names: at most limit of them, those after last.
type names struct {
	limit int
	asked bool // whether the client set the limit
	last  string
}

// parseNames reads ?n= and ?last=. A larger n than the registry lists at once gives the first so many and a
// Link, never an error: old tools ask for 10,000, and more.
func parseNames(q url.Values) (names, error) {
	p := names{limit: registry.MaxNames, last: q.Get("last")}
	if err := checkText("last", p.last); err != nil {
		return p, err
	}
	n := q.Get("n")
	if n == "" {
		return p, nil
	}
	if strings.Trim(n, "0123456789") != "" {
		return p, fault.BadParameter("n", "must be a whole number, 0 or more")
	}
	p.asked = true
	if i, err := strconv.Atoi(n); err == nil {
		p.limit = min(i, registry.MaxNames)
	}
	return p, nil
}

// checkText refuses what no stored text has, and what not every database takes as one.
func checkText(parameter, s string) error {
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return fault.BadParameter(parameter, "must be text")
	}
	return nil
}

// next gives the Link to the page after one that ended with last.
func (p names) next(path, last string) string {
	q := "?last=" + url.QueryEscape(last)
	if p.asked {
		q = "?n=" + strconv.Itoa(p.limit) + "&last=" + url.QueryEscape(last)
	}
	return "<" + path + q + `>; rel="next"`
}

func (f *face) listTags(x *exchange) error {
	p, err := parseNames(x.r.URL.Query())
	if err != nil {
		return err
	}
	tags, more, err := f.registry.TagNames(x.r.Context(), x.caller, x.req.Name, p.last, p.limit)
	if err != nil {
		return err
	}
	b := make([]byte, 0, 32+len(x.req.Name)+sizeOf(tags))
	b = append(b, `{"name":`...)
	b = appendJSONString(b, x.req.Name)
	b = append(b, `,"tags":`...)
	b = append(appendJSONStrings(b, tags), "}\n"...)
	x.sendNames(p, tags, more, b)
	return nil
}

func (f *face) listRepositories(x *exchange) error {
	p, err := parseNames(x.r.URL.Query())
	if err != nil {
		return err
	}
	repositories, more, err := f.registry.RepositoryNames(x.r.Context(), x.caller, p.last, p.limit)
	if err != nil {
		return err
	}
	b := make([]byte, 0, 32+sizeOf(repositories))
	b = append(b, `{"repositories":`...)
	b = append(appendJSONStrings(b, repositories), "}\n"...)
	x.sendNames(p, repositories, more, b)
	return nil
}

// sendNames answers a listing. An empty page has no Link even if there is more (n=0): it would lead nowhere.
func (x *exchange) sendNames(p names, page []string, more bool, body []byte) {
	if more && len(page) > 0 {
		x.w.Header().Set("Link", p.next(x.r.URL.Path, page[len(page)-1]))
	}
	x.send(http.StatusOK, "application/json", body)
}
