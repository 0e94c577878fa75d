package chart_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/usage/chart"
)

var begin = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// elements parses an image, and gives the names of its elements and all of its text.
func elements(raw []byte) (names []string, text string, err error) {
	d := xml.NewDecoder(bytes.NewReader(raw))
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names, text, nil
		}
		if err != nil {
			return nil, "", err
		}
		switch t := t.(type) {
		case xml.StartElement:
			names = append(names, t.Name.Local)
		case xml.CharData:
			text += string(t)
		}
	}
}

func TestChartsShowWhatTheyAreGiven(t *testing.T) {
	t.Parallel()
	c := chart.Chart{
		Title: "pulls of a/b", From: begin, To: begin.Add(4 * day), Period: day,
		Series: []chart.Series{
			{Name: "web", Points: []chart.Point{{begin, 2}, {begin.Add(day), 4}, {begin.Add(9 * day), 100}}},
			{Name: "api", Points: []chart.Point{{begin.Add(day), 4}}},
		},
	}
	line, spark := string(c.Line()), string(c.Spark())
	for _, want := range []string{`points="70.0,`, `>2026-11-20<`, `>2026-11-24<`, `>100<`, ">web<", ">api<", "pulls of a/b"} {
		if !strings.Contains(line, want) {
			t.Errorf("the line chart lacks %s:\n%s", want, line)
		}
	}
	// Of the second bar each half is as high as the other, and they stand on each other.
	c.Series[0].Points = c.Series[0].Points[:2]
	bars := string(c.Bars())
	for _, want := range []string{`x="210.0" y="93.0" width="112.0" height="67.0"`, `x="210.0" y="26.0" width="112.0" height="67.0"`} {
		if !strings.Contains(bars, want) {
			t.Errorf("the bar chart lacks %s:\n%s", want, bars)
		}
	}
	if strings.Count(bars, "<rect") != 2+3 {
		t.Errorf("want two entries of the legend and three parts of bars:\n%s", bars)
	}
	if !strings.Contains(spark, "<polyline") || len(spark) > 500 {
		t.Errorf("the sparkline is %d bytes:\n%s", len(spark), spark)
	}
}

// TestChartsAreWholeWhateverTheyAreGiven draws strange names and values: the image parses, and has no elements but its own.
func TestChartsAreWholeWhateverTheyAreGiven(t *testing.T) {
	t.Parallel()
	own := map[string]bool{"svg": true, "title": true, "text": true, "line": true, "rect": true, "g": true, "polyline": true}
	value := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.MaxFloat64}))
	name := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{`"><script>alert(1)</script>`, "\x1b[2J\x00", "a\xffb", "]]>", "&amp;"}))
	rapid.Check(t, func(r *rapid.T) {
		c := chart.Chart{Title: name.Draw(r, "title"), From: begin, To: begin.Add(time.Duration(rapid.IntRange(1, 90).Draw(r, "days")) * day), Period: day}
		for range rapid.IntRange(0, 10).Draw(r, "series") {
			s := chart.Series{Name: name.Draw(r, "name")}
			for i := range rapid.IntRange(0, 5).Draw(r, "points") {
				s.Points = append(s.Points, chart.Point{At: begin.Add(time.Duration(i) * day), Value: value.Draw(r, "value")})
			}
			c.Series = append(c.Series, s)
		}
		for _, raw := range [][]byte{c.Line(), c.Bars(), c.Spark()} {
			names, _, err := elements(raw)
			if err != nil {
				r.Fatalf("%v in\n%s", err, raw)
			}
			for _, n := range names {
				if !own[n] {
					r.Fatalf("an element %s in\n%s", n, raw)
				}
			}
			for _, none := range []string{`="NaN`, `="+Inf`, `="-Inf`, "NaN,", ",NaN", "Inf,", ",+Inf", ",-Inf"} {
				if bytes.Contains(raw, []byte(none)) {
					r.Fatalf("a place that is none, %s, in\n%s", none, raw)
				}
			}
		}
	})
}
