package metadb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// packWidth is how much time a pack of a grain is about: a week of hours is a row of one page, and 90 days of them are read as 14 rows.
func packWidth(grain time.Duration) time.Duration {
	if grain == usage.Day {
		return 364 * usage.Day //nolint:mnd // weeks again, about a year
	}
	return 7 * usage.Day //nolint:mnd // a week
}

// packStart is where the pack begins in which a time is.
func packStart(at int64, grain time.Duration) int64 {
	return at - at%packWidth(grain).Microseconds()
}

// How the values of a point are written, in the two lowest bits of what stands before them.
const (
	allFloats = iota // count, sum, least and most, eight bytes each
	allWhole         // the same as varints
	oneFloat         // one value, eight bytes
	oneWhole         // one value, a varint
	kinds
)

// packPoints writes points in order of time: for each, how many grains it is after the one before (or the pack's begin), and its values.
func packPoints(points []usage.Point, grain time.Duration, begins int64) []byte {
	b := make([]byte, 0, len(points)*8) //nolint:mnd // about as many as a small counter takes
	before := begins
	for _, p := range points {
		at := micros(p.At)
		gap := uint64((at - before) / grain.Microseconds()) //nolint:gosec // in order
		before = at
		one := p.Count == 1 && same(p.Min, p.Sum) && same(p.Max, p.Sum)
		switch {
		case one && whole(p.Sum):
			b = binary.AppendUvarint(b, gap*kinds+oneWhole)
			b = binary.AppendUvarint(b, uint64(p.Sum))
		case one:
			b = binary.AppendUvarint(b, gap*kinds+oneFloat)
			b = appendFloats(b, p.Sum)
		case whole(p.Count) && whole(p.Sum) && whole(p.Min) && whole(p.Max):
			b = binary.AppendUvarint(b, gap*kinds+allWhole)
			for _, v := range []float64{p.Count, p.Sum, p.Min, p.Max} {
				b = binary.AppendUvarint(b, uint64(v))
			}
		default:
			b = binary.AppendUvarint(b, gap*kinds+allFloats)
			b = appendFloats(b, p.Count, p.Sum, p.Min, p.Max)
		}
	}
	return b
}

// same tells equal numbers, minus zero from zero.
func same(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

// whole tells numbers that a varint holds exactly. Minus zero is none.
func whole(v float64) bool {
	return v >= 0 && v < 1<<53 && v == math.Trunc(v) && !math.Signbit(v) //nolint:mnd // what a float counts up to
}

func appendFloats(b []byte, values ...float64) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

var errPack = errors.New("a pack of points is damaged")

// unpackPoints reads what packPoints wrote, behind the points that are there.
func unpackPoints(points []usage.Point, b []byte, grain time.Duration, begins int64) ([]usage.Point, error) {
	r := packReader{b: b}
	width := uint64(packWidth(grain) / grain) //nolint:gosec // positive
	for at, n := time.UnixMicro(begins).UTC(), uint64(0); r.at < len(b); {
		head := r.varint()
		gap := head / kinds
		n += gap
		r.bad = r.bad || gap >= width || n >= width
		var p usage.Point
		switch head % kinds {
		case oneWhole:
			p.Sum = r.whole()
			p.Count, p.Min, p.Max = 1, p.Sum, p.Sum
		case oneFloat:
			p.Sum = r.float()
			p.Count, p.Min, p.Max = 1, p.Sum, p.Sum
		case allWhole:
			p.Count, p.Sum, p.Min, p.Max = r.whole(), r.whole(), r.whole(), r.whole()
		default:
			p.Count, p.Sum, p.Min, p.Max = r.float(), r.float(), r.float(), r.float()
		}
		if r.bad {
			return points, fmt.Errorf("%w, before byte %d of %d", errPack, r.at, len(b))
		}
		at = at.Add(time.Duration(gap) * grain) //nolint:gosec // less than width
		p.At = at
		points = append(points, p)
	}
	return points, nil
}

// packReader reads a pack's numbers.
type packReader struct {
	b   []byte
	at  int
	bad bool
}

func (r *packReader) varint() uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 { //nolint:mnd // most of them are one byte
		r.at++
		return uint64(r.b[r.at-1])
	}
	return r.long()
}

// long reads a varint of more than a byte.
func (r *packReader) long() uint64 {
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.bad, r.at = true, len(r.b)
		return 0
	}
	r.at += n
	return v
}

// whole is a varint that a float holds.
func (r *packReader) whole() float64 {
	v := int64(r.varint()) //nolint:gosec // as below
	if v < 0 {
		r.bad = true
	}
	return float64(v)
}

func (r *packReader) float() float64 {
	const size = 8
	if len(r.b)-r.at < size {
		r.bad, r.at = true, len(r.b)
		return 0
	}
	r.at += size
	return math.Float64frombits(binary.LittleEndian.Uint64(r.b[r.at-size:]))
}

// mergePoints puts points to those of a pack. Both are in order of time.
func mergePoints(packed, added []usage.Point) []usage.Point {
	for _, p := range added {
		i, found := slices.BinarySearchFunc(packed, p.At, func(q usage.Point, at time.Time) int { return q.At.Compare(at) })
		if found {
			packed[i].Add(p)
		} else {
			packed = slices.Insert(packed, i, p)
		}
	}
	return packed
}
