package blob

import "time"

// Strays are things in a store that no row of the database names. What is here says which of them may be discarded, to everybody who
// does so (packages gc and fsck): those that are old enough, where they are not too many.

const (
	// strayAge is how old bytes without a row must be. It is twice as long as a layer may take that comes in one request, and that has
	// no row before it is whole (package registry's longestUnseen).
	strayAge = 48 * time.Hour
	// multipartAge is the same for unfinished multipart uploads, whose age counts from their beginning.
	multipartAge = 7 * 24 * time.Hour
	// arriving is how young bytes without a row are not even counted: layers that come in one request at this moment.
	arriving = time.Hour

	// A crash leaves a few strays. Many are what a database shows that is older than the store, or another store's: then they
	// are what people pushed since.
	manyStrays = 1000 // of any share
	someStrays = 20   // where they are more than one in strayShare of all things, or bytes, that were seen
	strayShare = 10
)

// Old tells whether the thing, if no row names it, may be discarded for its age. What has no age known is not old. Of a
// multipart upload the store gives no size.
func (f Found) Old(now time.Time) bool {
	age := strayAge
	if f.Part && f.Size == 0 {
		age = multipartAge
	}
	return !f.At.IsZero() && now.Sub(f.At) >= age
}

// Arriving tells whether the thing, if no row names it, may be part of a push at this moment.
func (f Found) Arriving(now time.Time) bool { return now.Sub(f.At) < arriving }

// Amount counts things, and their bytes.
type Amount struct{ Things, Bytes int64 }

func (a *Amount) add(f Found) {
	a.Things++
	a.Bytes += f.Size
}

// Census is what somebody who looks through a store from its beginning has come across. Its JSON is stored.
type Census struct {
	Seen  Amount // everything
	Found Amount // what no row names, but for what is arriving
	Held  bool   // those are so many that none is to be discarded any more
}

// See counts a thing.
func (c *Census) See(f Found) { c.Seen.add(f) }

// Count counts strays, among the things that were seen, the young ones, too, so that what was pushed in a week does not go a day at
// a time. It tells whether none may be discarded any more.
func (c *Census) Count(strays []Found, now time.Time) (held bool) {
	for _, f := range strays {
		if !f.Arriving(now) {
			c.Found.add(f)
		}
	}
	c.Held = c.Held || c.Found.Things > manyStrays ||
		c.Found.Things > someStrays && (c.Found.Things > c.Seen.Things/strayShare || c.Found.Bytes > c.Seen.Bytes/strayShare)
	return c.Held
}
