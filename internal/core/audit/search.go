package audit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// DefaultLimit is how many records come at once where a query does not say.
	DefaultLimit = 50
	// MaxLimit is how many come at once at most.
	MaxLimit = 1000
	// blocksPage is how many blocks are listed at once.
	blocksPage = 64
	// requestsPage is blocksPage where their filters come along.
	requestsPage = 512
)

// ServiceConfig is what a Service is made of. Every field must be set.
type ServiceConfig struct {
	Registry *registry.Registry
	Store    Store
	Files    Files
	Key      Key
}

// Service answers what is in the log.
type Service struct{ ServiceConfig }

// NewService makes one.
func NewService(c ServiceConfig) *Service { return &Service{c} }

// Page is some records, the newest first.
type Page struct {
	Records []Record
	// Next goes on after them, as Query.After; empty where there are no more.
	Next string
}

// Search finds records, the newest first (cloudtrail:LookupEvents). A record is found about a second after its request was answered. The faults are
// fault.PageTokenInvalid, and fault.InvalidParameter for times that are reversed and for texts that nothing could match.
func (s *Service) Search(ctx context.Context, caller identity.Caller, q Query) (Page, error) {
	if err := s.Registry.May(ctx, caller, policy.LookupEvents, ""); err != nil {
		return Page{}, err
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && q.Until.Before(q.Since) {
		return Page{}, fault.BadParameter("startTime", "must not be after endTime")
	}
	if q.Limit <= 0 {
		q.Limit = DefaultLimit
	}
	q.Limit = min(q.Limit, MaxLimit)
	f := &finding{store: s.Store, q: &q, needles: q.needles()}
	if q.After != "" {
		var err error
		if f.after, err = parsePlace(q.After); err != nil {
			return Page{}, err
		}
	}
	if err := f.run(ctx); err != nil {
		return Page{}, err
	}
	p := Page{Records: f.found}
	if len(p.Records) > q.Limit {
		p.Records = p.Records[:q.Limit]
		p.Next = placeOf(&p.Records[q.Limit-1]).String()
	}
	return p, nil
}

// place is a record's in the order in which records are found: by time, and by log and number where times are equal.
type place struct {
	At  int64  `json:"a"` // microseconds
	Log string `json:"l"`
	N   int64  `json:"n"`
}

func placeOf(r *Record) place { return place{r.At.UnixMicro(), r.Log, r.Sequence} }

// compare tells which is later.
func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.At, q.At), strings.Compare(p.Log, q.Log), cmp.Compare(p.N, q.N))
}

func (p place) String() string {
	b, _ := json.Marshal(p) //nolint:errchkjson // strings and numbers
	return base64.RawURLEncoding.EncodeToString(b)
}

func parsePlace(s string) (*place, error) {
	p := new(place)
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(b, p)
	}
	if err != nil || p.Log == "" || p.At < 0 {
		return nil, fault.Wrap(fault.PageTokenInvalid, err, "The token is not one that this registry gave for these records.")
	}
	return p, nil
}

// finding is one search.
type finding struct {
	store   Store
	q       *Query
	after   *place
	needles [][]byte
	found   []Record // the latest first
}

// run looks into blocks, the latest first, until it has one record more than are wanted that no other block can come before.
func (f *finding) run(ctx context.Context) error {
	b := BlockQuery{Since: f.q.Since, Until: f.q.Until, Terms: f.q.terms(), Requests: f.q.RequestID != "", Limit: blocksPage}
	if b.Requests {
		b.Limit = requestsPage
	}
	if f.after != nil {
		if next := time.UnixMicro(f.after.At + 1); b.Until.IsZero() || next.Before(b.Until) {
			b.Until = next
		}
	}
	for {
		blocks, err := f.store.Blocks(ctx, b)
		if err != nil {
			return fmt.Errorf("searching the audit log: %w", err)
		}
		for i := range blocks {
			if f.enough(blocks[i].Until) {
				return nil
			}
			if b.Requests && !Filter(blocks[i].Requests).Has(f.q.RequestID) {
				continue
			}
			if err := f.look(ctx, blocks[i].ID); err != nil {
				return err
			}
		}
		if len(blocks) < b.Limit {
			return nil
		}
		last := blocks[len(blocks)-1]
		b.AfterUntil, b.AfterID = last.Until, last.ID
	}
}

// enough tells whether what is wanted is found, and all of it is later than the latest record of what was not looked into.
func (f *finding) enough(rest time.Time) bool {
	return len(f.found) > f.q.Limit && f.found[f.q.Limit].At.After(rest)
}

// look puts a block's records to what was found.
func (f *finding) look(ctx context.Context, id int64) error {
	block, err := f.store.Block(ctx, id)
	if err != nil || len(block.Data) == 0 { // it was forgotten meanwhile
		return err
	}
	text, err := block.text()
	if err != nil {
		return err
	}
	for line := range f.lines(text) {
		r, err := Decode(line)
		if err != nil {
			continue // Verify names it
		}
		if f.q.Matches(&r) && (f.after == nil || placeOf(&r).compare(*f.after) < 0) {
			r.Line = bytes.Clone(line)
			f.found = append(f.found, r)
		}
	}
	slices.SortFunc(f.found, func(a, b Record) int { return placeOf(&b).compare(placeOf(&a)) })
	if most := f.q.Limit + 1; len(f.found) > most {
		clear(f.found[most:])
		f.found = f.found[:most]
	}
	return nil
}

// lines gives the lines that have what the record must have. It spares the reading of most: of most not even their ends are looked for.
func (f *finding) lines(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(text) > 0 {
			from := 0
			if len(f.needles) > 0 {
				at := bytes.Index(text, f.needles[0])
				if at < 0 {
					return
				}
				from = bytes.LastIndexByte(text[:at], '\n') + 1
			}
			line, rest, _ := bytes.Cut(text[from:], []byte("\n"))
			text = rest
			if f.may(line) && !yield(line) {
				return
			}
		}
	}
}

func (f *finding) may(line []byte) bool {
	for _, n := range f.needles {
		if !bytes.Contains(line, n) {
			return false
		}
	}
	return true
}

// needles gives texts that are in the line of every record that the query selects.
func (q *Query) needles() [][]byte {
	var needles [][]byte
	add := func(text string) {
		quoted := appendJSON(nil, text)
		if text != "" {
			needles = append(needles, quoted[1:len(quoted)-1])
		}
	}
	if q.Principal != Anonymous {
		add(q.Principal)
	}
	add(q.Repository)
	add(q.Image)
	add(q.Operation)
	add(q.AccessKeyID)
	if q.DeniedOnly {
		needles = append(needles, []byte(`"errorCode":`))
	}
	return needles
}
