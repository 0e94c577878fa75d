package registry

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// Page is one page of a listing. An empty Next means that this was the last.
type Page[T any] struct {
	Items []T
	Next  string
}

// cursor is where a listing goes on. It holds a place, no right: each page asks the permission anew, so
// a cursor that somebody forges or finds only starts a listing of their own at another place.
type cursor struct {
	Listing string `json:"l"` // which listing, of which repository
	Name    string `json:"n,omitempty"`
	ID      int64  `json:"i,omitempty"`
}

func (c cursor) token() string {
	b, err := json.Marshal(c)
	if err != nil {
		return "" // strings and integers always marshal
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor reads a token of the named listing. An empty token is the beginning.
func parseCursor(listing, token string) (cursor, error) {
	c := cursor{Listing: listing}
	if token == "" {
		return c, nil
	}
	bad := fault.BadParameter("nextToken", "must be a token that the same listing returned")
	bad.Code = fault.PageTokenInvalid
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return cursor{}, bad
	}
	var got cursor
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	if dec.Decode(&got) != nil || got.Listing != listing || got.ID < 0 || got.token() != token {
		return cursor{}, bad
	}
	return got, nil
}

// cut makes a page of at most limit items from rows that were read with one to spare; at gives the place
// after an item.
func cut[T any](rows []T, limit int, listing string, at func(T) cursor) Page[T] {
	if len(rows) <= limit {
		return Page[T]{Items: rows}
	}
	rows = rows[:limit]
	c := at(rows[limit-1])
	c.Listing = listing
	return Page[T]{Items: rows, Next: c.token()}
}

// pageLimit gives the page's size: the normal one for 0, and never more than [MaxPage].
func pageLimit(asked, normal int) int {
	if asked <= 0 {
		return normal
	}
	return min(asked, MaxPage)
}
