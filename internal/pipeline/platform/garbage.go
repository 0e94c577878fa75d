package platform

import (
	"context"
	"encoding/json"
	"time"
)

// Moment is a time, in seconds since 1970 on the wire and as text elsewhere.
type Moment struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (m *Moment) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return err
	}
	m.Time = time.UnixMicro(int64(seconds * 1e6)).UTC()
	return nil
}

// Garbage is how far the garbage collector is; its JSON is a contract: docs/api/berth.md.
type Garbage struct {
	PausedBy         string         `json:"pausedBy,omitempty"`
	PausedAt         *Moment        `json:"pausedAt,omitempty"`
	Stages           []GarbageStage `json:"stages"`
	RateLimit        int            `json:"rateLimit"`
	ThingsPerSecond  float64        `json:"thingsPerSecond"`
	RemainingSeconds *int64         `json:"remainingSeconds,omitempty"`
	Walk             GarbageWalk    `json:"walk"`
	// Problems are why stages of the sweep, or the walk, failed when they last tried; none is an empty list.
	Problems []GarbageProblem `json:"problems"`
}

// GarbageProblem is why something failed when it was last tried.
type GarbageProblem struct {
	Stage   string  `json:"stage"` // as in GarbageStage, or walk, or clock
	At      *Moment `json:"at"`
	Problem string  `json:"problem"`
}

// GarbageStage is what waits in a stage.
type GarbageStage struct {
	Stage       string  `json:"stage"`
	DueThings   int64   `json:"dueThings"`
	DueBytes    int64   `json:"dueBytes"`
	LaterThings int64   `json:"laterThings"`
	LaterBytes  int64   `json:"laterBytes"`
	NextAt      *Moment `json:"nextAt,omitempty"`
	DoneThings  int64   `json:"doneThings,omitempty"`
	DoneBytes   int64   `json:"doneBytes,omitempty"`
}

// GarbageWalk is how far the search for bytes without a row is.
type GarbageWalk struct {
	Part          string  `json:"part,omitempty"`
	BeganAt       *Moment `json:"beganAt,omitempty"`
	EndedAt       *Moment `json:"endedAt,omitempty"`
	SeenThings    int64   `json:"seenThings"`
	SeenBytes     int64   `json:"seenBytes"`
	StrayThings   int64   `json:"strayThings"`
	StrayBytes    int64   `json:"strayBytes"`
	StrangeThings int64   `json:"strangeThings"`
	ForgottenRows int64   `json:"forgottenRows"`
	FoundThings   int64   `json:"foundThings"`
	FoundBytes    int64   `json:"foundBytes"`
	Held          bool    `json:"held"`
	AllowedBy     string  `json:"allowedBy,omitempty"`
}

// Due sums up what is due in all stages.
func (g Garbage) Due() (things int64) {
	for _, s := range g.Stages {
		things += s.DueThings
	}
	return things
}

// GarbageStatus asks how far the garbage collector is.
func (c *Client) GarbageStatus(ctx context.Context) (g Garbage, err error) {
	g.Problems = []GarbageProblem{} // of a server that has no word for it, too
	err = c.call(ctx, "GetGarbageCollection", struct{}{}, &g)
	return g, err
}

// StartGarbage has the sweep begun at once.
func (c *Client) StartGarbage(ctx context.Context) (g Garbage, err error) {
	g.Problems = []GarbageProblem{}
	err = c.call(ctx, "StartGarbageCollection", struct{}{}, &g)
	return g, err
}

// GarbagePause is a pause, or none where PausedBy is empty.
type GarbagePause struct {
	PausedBy string  `json:"pausedBy,omitempty"`
	PausedAt *Moment `json:"pausedAt,omitempty"`
}

// PauseGarbage stops the garbage collector on all replicas.
func (c *Client) PauseGarbage(ctx context.Context) (p GarbagePause, err error) {
	return p, c.call(ctx, "PauseGarbageCollection", struct{}{}, &p)
}

// ResumeGarbage ends a pause and gives it.
func (c *Client) ResumeGarbage(ctx context.Context) (p GarbagePause, err error) {
	return p, c.call(ctx, "ResumeGarbageCollection", struct{}{}, &p)
}

// StraysAllowed is who let the next search remove all strays.
type StraysAllowed struct {
	By string  `json:"straysAllowedBy"`
	At *Moment `json:"straysAllowedAt"`
}

// AllowStrays lets the next search remove bytes without a row, be they as many as they are.
func (c *Client) AllowStrays(ctx context.Context) (a StraysAllowed, err error) {
	in := struct {
		Strays bool `json:"strays"`
	}{true}
	return a, c.call(ctx, "ResumeGarbageCollection", in, &a)
}

// GarbageList is what a sweep would take now.
type GarbageList struct {
	Stages      []GarbageStage `json:"stages"`
	FreedThings int64          `json:"freedThings"`
	FreedBytes  int64          `json:"freedBytes"`
	Blobs       []GarbageBlob  `json:"blobs"`
}

// GarbageBlob is a blob that would go.
type GarbageBlob struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// ListGarbage asks what a sweep would take now, at most limit blobs (0: all).
func (c *Client) ListGarbage(ctx context.Context, limit int) (GarbageList, error) {
	all := GarbageList{Blobs: []GarbageBlob{}}
	for token := ""; ; {
		in := struct {
			NextToken string `json:"nextToken,omitempty"`
		}{token}
		var page struct {
			GarbageList
			NextToken string `json:"nextToken"`
		}
		if err := c.call(ctx, "ListGarbage", in, &page); err != nil {
			return GarbageList{}, err
		}
		page.Blobs = append(all.Blobs, page.Blobs...)
		if all, token = page.GarbageList, page.NextToken; limit > 0 && len(all.Blobs) >= limit {
			all.Blobs, token = all.Blobs[:limit], ""
		}
		if token == "" {
			return all, nil
		}
	}
}

// Explanation is why something is still here.
type Explanation struct {
	Digest  string   `json:"digest"`
	Size    *int64   `json:"size,omitempty"`
	Needed  bool     `json:"needed"`
	Images  int64    `json:"images"`
	Layers  int64    `json:"layers"`
	Trashed int64    `json:"trashed"`
	Reasons []string `json:"reasons"`
}

// ExplainDigest asks why a blob or image is still here.
func (c *Client) ExplainDigest(ctx context.Context, digest string) (e Explanation, err error) {
	in := struct {
		Digest string `json:"digest"`
	}{digest}
	return e, c.call(ctx, "ExplainDigest", in, &e)
}
