// Package chart draws points over time as small SVG images: the same words for the console and for the command line.
//
// It is pure: times and values in, text out. An image stands for itself: no script, no style sheet, no font but the reader's own. Names of
// strangers are escaped, and what XML cannot hold is left out.
package chart

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
)

// Point is a value at the begin of a period.
type Point struct {
	At    time.Time
	Value float64
}

// Series is a line, or a part of each bar.
type Series struct {
	Name   string
	Points []Point // in order of time
}

// Chart is what is to be drawn.
type Chart struct {
	Title    string
	Format   func(float64) string // of the values at the side; nil: as short as they can be
	From, To time.Time            // From before To
	Period   time.Duration        // of a bar
	Series   []Series
}

// The sizes, in pixels.
const (
	width, height = 640, 200
	left, right   = 70, 10
	top, bottom   = 26, 40
	sparkWidth    = 120
	sparkHeight   = 24
	entryWidth    = 150 // of the legend
	lineHeight    = 14
)

// colours go by turns; they differ in lightness too, for eyes that tell no red from green.
var colours = [...]string{"#1f5fa8", "#e0862b", "#2b9a66", "#8c4ab5", "#c43c4e", "#6b7280", "#0c8f9e", "#a67c1d"} //nolint:gochecknoglobals // a table

// Line draws each series as a line. A period without a value is a gap only at the ends.
func (c Chart) Line() []byte {
	most := 0.0
	for _, s := range c.Series {
		for _, p := range s.Points {
			most = max(most, finite(p.Value))
		}
	}
	d := c.frame(most)
	for i, s := range c.Series {
		fmt.Fprintf(&d.b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"><title>%s</title></polyline>`+"\n",
			colours[i%len(colours)], d.path(s.Points), escape(s.Name))
	}
	return d.end()
}

// Bars draws a bar for each period, in which the series stand on each other.
func (c Chart) Bars() []byte {
	sums := map[time.Time]float64{}
	most := 0.0
	for _, s := range c.Series {
		for _, p := range s.Points {
			sums[p.At] += finite(p.Value)
			most = max(most, sums[p.At])
		}
	}
	d := c.frame(most)
	clear(sums)
	wide := max(float64(c.Period)/float64(c.To.Sub(c.From))*(width-left-right)*0.8, 1) //nolint:mnd // the rest is between bars
	for i, s := range c.Series {
		fmt.Fprintf(&d.b, `<g fill="%s"><title>%s</title>`+"\n", colours[i%len(colours)], escape(s.Name))
		for _, p := range s.Points {
			v := finite(p.Value)
			if v == 0 || p.At.Before(c.From) || !p.At.Before(c.To) {
				continue
			}
			y0, y1 := d.y(sums[p.At]), d.y(sums[p.At]+v)
			sums[p.At] += v
			fmt.Fprintf(&d.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", d.x(p.At), y1, wide, y0-y1)
		}
		d.b.WriteString("</g>\n")
	}
	return d.end()
}

// Spark draws the first series alone, as small as a word, without axes.
func (c Chart) Spark() []byte {
	var points []Point
	if len(c.Series) > 0 {
		points = c.Series[0].Points
	}
	d := drawing{c: c, l: 1, t: 2, w: sparkWidth - 2, h: sparkHeight - 4} //nolint:mnd // room for the line's own width
	for _, p := range points {
		d.most = max(d.most, finite(p.Value))
	}
	d.open(sparkWidth, sparkHeight)
	fmt.Fprintf(&d.b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"/>`+"\n</svg>\n", colours[0], d.path(points))
	return []byte(d.b.String())
}

// finite is a value that can be drawn: what is none, or negative, is at the bottom.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0
	}
	return min(v, math.Ldexp(1, 360)) //nolint:mnd // as metrics do: sums of such are numbers still
}

// drawing is an image on its way.
type drawing struct {
	c          Chart
	b          strings.Builder
	l, t, w, h float64 // where values are drawn
	most       float64
	tall       int
}

func (d *drawing) open(w, h int) {
	fmt.Fprintf(&d.b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n<title>%s</title>\n",
		w, h, w, h, escape(d.c.Title))
}

// frame draws what is around the values.
func (c Chart) frame(most float64) *drawing {
	const columns = (width - left) / entryWidth
	rows := (len(c.Series) + columns - 1) / columns
	d := &drawing{c: c, l: left, t: top, w: width - left - right, h: height - top - bottom, most: most, tall: height + rows*lineHeight}
	d.open(width, d.tall)
	fmt.Fprintf(&d.b, `<text x="%d" y="16" font-weight="bold">%s</text>`+"\n", left, escape(c.Title))
	format := c.Format
	if format == nil {
		format = func(v float64) string { return fmt.Sprintf("%.3g", v) }
	}
	for _, share := range []float64{0, 0.5, 1} {
		y := d.y(most * share)
		fmt.Fprintf(&d.b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#d1d5db"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, width-right, y, y, left-6, y+4, escape(format(most*share))) //nolint:mnd // beside the line
	}
	const low = height - bottom + lineHeight
	layout := time.DateOnly
	if c.To.Sub(c.From) <= 3*24*time.Hour { //nolint:mnd // then days say too little
		layout = "2006-01-02 15:04"
	}
	fmt.Fprintf(&d.b, `<text x="%d" y="%d">%s</text><text x="%d" y="%d" text-anchor="end">%s</text>`+"\n",
		left, low, c.From.UTC().Format(layout), width-right, low, c.To.UTC().Format(layout))
	for i, s := range c.Series {
		x, y := left+i%columns*entryWidth, low+lineHeight+i/columns*lineHeight
		fmt.Fprintf(&d.b, `<rect x="%d" y="%d" width="9" height="9" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			x, y-9, colours[i%len(colours)], x+13, y, escape(clip(s.Name))) //nolint:mnd // beside its colour
	}
	return d
}

func (d *drawing) end() []byte {
	d.b.WriteString("</svg>\n")
	return []byte(d.b.String())
}

func (d *drawing) x(at time.Time) float64 {
	return d.l + d.w*float64(at.Sub(d.c.From))/float64(d.c.To.Sub(d.c.From))
}

func (d *drawing) y(v float64) float64 {
	if d.most == 0 {
		return d.t + d.h
	}
	return d.t + d.h*(1-v/d.most)
}

// path gives the places of points that are within the time.
func (d *drawing) path(points []Point) string {
	var all []string
	for _, p := range points {
		if !p.At.Before(d.c.From) && p.At.Before(d.c.To) {
			all = append(all, fmt.Sprintf("%.1f,%.1f", d.x(p.At), d.y(finite(p.Value))))
		}
	}
	return strings.Join(all, " ")
}

// clip keeps a name within its place in the legend.
func clip(s string) string {
	const most = 22
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// escape makes text of XML.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(s)
}
