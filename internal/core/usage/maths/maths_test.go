package maths_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/usage/maths"
)

// row is a series of a minute's period: "1 - 3" is 1 at second 0, nothing at 60, and 3 at 120.
func row(t testing.TB, label, text string) maths.Series {
	t.Helper()
	s := maths.Series{ID: label, Label: label, Period: time.Minute}
	for i, word := range strings.Fields(text) {
		if word == "-" {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(word, &v); err != nil {
			t.Fatal(err)
		}
		s.Times, s.Values = append(s.Times, int64(i)*60), append(s.Values, v)
	}
	return s
}

// show writes a value as row reads it: series are separated by |, a number stands alone behind =.
func show(v maths.Value, minutes int) string {
	if v.IsNumber {
		return fmt.Sprintf("= %g", v.Number)
	}
	var rows []string
	for _, s := range v.Series {
		words := slices.Repeat([]string{"-"}, minutes)
		for i, at := range s.Times {
			words[at/60] = fmt.Sprintf("%g", s.Values[i])
		}
		rows = append(rows, strings.Join(words, " "))
	}
	return strings.Join(rows, " | ")
}

// compute gives the value of an expression over m1, m2, m3 and errors.
func compute(t testing.TB, expression string, more ...maths.Query) (maths.Value, error) {
	t.Helper()
	queries := append([]maths.Query{{ID: "m1"}, {ID: "m2"}, {ID: "m3"}, {ID: "none"}, {ID: "x", Expression: expression}}, more...)
	p, err := maths.Compile(queries)
	if err != nil {
		return maths.Value{}, err
	}
	values, err := p.Run(maths.Input{From: 0, To: 300, Series: map[string]maths.Series{
		"m1": row(t, "m1", "1 2 - 4 -"), "m2": row(t, "m2", "10 - 30 40 -"), "m3": row(t, "m3", "0 2 -3 0.5 1.5"), "none": row(t, "none", ""),
	}})
	return values["x"], err
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		// Numbers, and how operators bind.
		"1+2*3":                        "= 7",
		"(1+2)*3":                      "= 9",
		"2^3^2":                        "= 512",
		"-2^2":                         "= -4",
		"2^-1":                         "= 0.5",
		"7-3-2":                        "= 2",
		"16/4/2":                       "= 2",
		"- - 1":                        "= 1",
		"+1":                           "= 1",
		"1.5e3 + .5":                   "= 1500.5",
		"2 > 1 && 1 >= 1 || 0":         "= 1",
		"1 == 1 AND 1 != 1 OR 0":       "= 0",
		"1 < 2 == 1":                   "= 1",
		"ABS(-3)+CEIL(1.2)+FLOOR(1.8)": "= 6",
		// A number with a metric.
		"m1*2":      "2 4 - 8 -",
		"1/m3":      "- 0.5 -0.3333333333333333 2 0.6666666666666666",
		"-m1":       "-1 -2 - -4 -",
		"m3 > 1":    "0 1 0 0 1",
		"m1 ^ 0.5":  "1 1.4142135623730951 - 2 -",
		"m3 ^ 0.5":  "0 1.4142135623730951 - 0.7071067811865476 1.224744871391589",
		"ABS(m3)":   "0 2 3 0.5 1.5",
		"CEIL(m3)":  "0 2 -3 1 2",
		"FLOOR(m3)": "0 2 -3 0 1",
		// Metrics: where both are.
		"m1+m2":       "11 - - 44 -",
		"m2/m1":       "10 - - 10 -",
		"m1 < m2":     "1 - - 1 -",
		"m1 + none":   "- - - - -",
		"m1 / (m1-2)": "-1 - - 2 -",
		// One metric becomes a number, several become one.
		"SUM(m1)":             "= 7",
		"AVG(m1)":             "= 2.3333333333333335",
		"MIN(m3)":             "= -3",
		"MAX(m2)":             "= 40",
		"SUM(none)":           "= NaN",
		"SUM([m1,m2])":        "11 2 30 44 -",
		"AVG([m1, m2])":       "5.5 2 30 22 -",
		"MIN([m1,m2,m3])":     "0 2 -3 0.5 1.5",
		"MAX(METRICS())":      "10 2 30 40 1.5",
		"SUM(METRICS('m'))":   "11 4 27 44.5 1.5",
		`SUM(METRICS("1"))`:   "1 2 - 4 -",
		"SUM(METRICS('zz'))":  "- - - - -",
		"m1/SUM(m1)*7":        "1 2 - 4 -",
		"100*m1/SUM([m1,m2])": "9.090909090909092 100 - 9.090909090909092 -",
		// Several stay several.
		"[m1,m2]":            "1 2 - 4 - | 10 - 30 40 -",
		"METRICS('m')*2":     "2 4 - 8 - | 20 - 60 80 - | 0 4 -6 1 3",
		"[m1,m2]/m3":         "- 1 - 8 - | - - -10 80 -",
		"m3-[m1,m2]":         "-1 0 - -3.5 - | -10 - -33 -39.5 -",
		"RATE([m1,m2])*60":   "- 1 - 1 - | - - 10 10 -",
		"[METRICS('1'), m2]": "1 2 - 4 - | 10 - 30 40 -",
		"[]":                 "",
		// From point to point: the first has none before it.
		"DIFF(m1)":         "- 1 - 2 -",
		"RATE(m2)*60":      "- - 10 10 -",
		"DIFF(none)":       "- - - - -",
		"PERIOD(m1)":       "= 60",
		"m1/PERIOD(m1)*60": "1 2 - 4 -",
		// What is missing.
		"FILL(m1,0)":             "1 2 0 4 0",
		"FILL(m2,-1)":            "10 -1 30 40 -1",
		"FILL(m1,REPEAT)":        "1 2 2 4 4",
		"FILL(DIFF(m1), REPEAT)": "- 1 1 2 2",
		"FILL(m2,LINEAR)":        "10 20 30 40 -",
		"FILL(m1,m3)":            "1 2 -3 4 1.5",
		"FILL(none,7)":           "7 7 7 7 7",
		"FILL(none,REPEAT)":      "- - - - -",
		"FILL([m1,m2],0)":        "1 2 0 4 0 | 10 0 30 40 0",
		"FILL(m1,0)+FILL(m2,0)":  "11 2 30 44 0",
		"FILL(m1, 1/0)":          "1 2 - 4 -",
		// Conditions.
		"IF(m3 > 1, m1, m2)": "10 2 30 40 -",
		"IF(m1, 1, 0)":       "1 1 - 1 -",
		"IF(m3 > 0, m3)":     "- 2 - 0.5 1.5",
		"IF(1, m1, m2)":      "1 2 - 4 -",
		"IF(0, m1, 9)":       "= 9",
		"IF(0, m1)":          "- - - - -",
	} {
		got, err := compute(t, expression)
		if err != nil {
			t.Errorf("%s: %v, want %s", expression, err, want)
		} else if show(got, 5) != want {
			t.Errorf("%s gives %s, want %s", expression, show(got, 5), want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"1+":             "found the end, at character 3",
		"1 2":            "found 2, at character 3",
		"(1":             "Expected ), found the end, at character 3",
		"[m1":            "Expected ]",
		"m1 +* m2":       "found *, at character 5",
		"m9 + 1":         "No query has the id m9, at character 1",
		"1 + NOPE(m1)":   "There is no function NOPE, at character 5",
		"sum(m1)":        "There is no function sum",
		"SUM":            "Expected (",
		"SUM(m1,m2)":     "SUM([m1, m2])",
		"SUM()":          "SUM has one argument",
		"SUM(3)":         "not of a number, at character 1",
		"RATE(3)":        "not of a number",
		"FILL(m1)":       "FILL has two arguments",
		"FILL(3,0)":      "not of a number",
		"FILL(m1,[m2])":  "with one metric",
		"FILL(m1, NEXT)": "No query has the id NEXT",
		"FILL(REPEAT,1)": "stands in FILL alone",
		"REPEAT":         "stands in FILL alone",
		"[REPEAT]":       "stands in FILL alone",
		"SUM(LINEAR)":    "stands in FILL alone",
		"PERIOD([m1])":   "PERIOD is of one metric",
		"PERIOD(1)":      "PERIOD is of one metric",
		"METRICS(m1)":    "those whose ids have that",
		"'m1'":           "found a text",
		"['m1']":         "A list has no text",
		"ABS('m1')":      "ABS has no text",
		"METRICS('m":     "The text does not end, at character 9",
		"[m1]+[m2]":      "Two lists of series cannot be computed with each other, at character 5",
		"[1]":            "this is a number, at character 2",
		"IF([m1],1,0)":   "not of lists, at character 4",
		"IF(m1)":         "IF has two or three",
		"m1 ! m2":        `The character '!' means nothing here, at character 4`,
		"m1 & m2":        "means nothing here",
		"m1 + \x00":      "means nothing here",
		"m1 + é":         "The character 'é' means nothing",
		"1e999":          "is no number",
		"1.2.3":          "found .3",
		".":              "is no number",
		"x + 1":          "The expression needs its own result",
		"y + 1":          "needs its own result",
		strings.Repeat("(", 60) + "1" + strings.Repeat(")", 60): "deeper than 50 levels",
		strings.Repeat("-", 60) + "1":                           "deeper than 50 levels",
		strings.Repeat("1+", 1100) + "1":                        "at most 2048 characters",

		"ANOMALY_DETECTION_BAND(m1, 2)":                       "ANOMALY_DETECTION_BAND is not supported",
		"SUM(SEARCH('{AWS/ECR} x', 'Sum', 60))":               "SEARCH is not supported by this version of Berth, at character 5",
		"INSIGHT_RULE_METRIC('a', 'b')":                       "INSIGHT_RULE_METRIC is not supported",
		"SELECT AVG(CPUUtilization) FROM SCHEMA(\"AWS/EC2\")": "SELECT is not supported",
		"STDDEV(m1)": "STDDEV is not supported",
	} {
		_, err := compute(t, expression, maths.Query{ID: "y", Expression: "x*2"})
		f, ok := fault.Of(err)
		if !ok || !strings.Contains(f.Message, want) || !strings.HasPrefix(f.Message, "Error in expression '") {
			t.Errorf("%.60q: %v, want %q", expression, err, want)
			continue
		}
		refused := strings.Contains(want, "not supported")
		if errors.Is(err, fault.SettingUnsupported) != refused || errors.Is(err, fault.InvalidParameter) == refused {
			t.Errorf("%.60q: a fault %q", expression, f.Code)
		}
	}
	for _, ids := range [][]string{{"M"}, {""}, {"1a"}, {"a-b"}, {"a", "a"}, {"é"}, {strings.Repeat("a", 256)}} {
		var queries []maths.Query
		for _, id := range ids {
			queries = append(queries, maths.Query{ID: id})
		}
		if _, err := maths.Compile(queries); !errors.Is(err, fault.InvalidParameter) {
			t.Errorf("the ids %.20q: %v, want a fault", ids, err)
		}
	}
}

// TestWorkIsBounded asks for more than anybody waits for: hundreds of expressions over hundreds of long series.
func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	queries := []maths.Query{{ID: "a"}, {ID: "b", Expression: "[a,a,a,a,a,a,a,a,a,a]"}}
	for i := 'c'; i < 'k'; i++ {
		before := string(i - 1)
		queries = append(queries, maths.Query{ID: string(i), Expression: "[" + strings.Repeat(before+",", 9) + before + "]"})
	}
	queries = append(queries, maths.Query{ID: "z", Expression: "j*2"})
	p, err := maths.Compile(queries)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(); !errors.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), "datapoints") {
		t.Errorf("a billion series: %v, want a fault", err)
	}
	p, err = maths.Compile([]maths.Query{{ID: "a"}, {ID: "b", Expression: "FILL(a,0)"}})
	if err != nil {
		t.Fatal(err)
	}
	s := row(t, "a", "1")
	s.Period = time.Second
	if _, err := p.Run(maths.Input{Series: map[string]maths.Series{"a": s}, From: 0, To: math.MaxInt64 / 2}); !errors.Is(err, fault.InvalidParameter) {
		t.Errorf("filling all of time: %v, want a fault", err)
	}
}

// TestNamesOfResults holds which metric a result is called by.
func TestNamesOfResults(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string][]string{
		"m1*2": {"m1"}, "m1+m2": {"m1"}, "[m2,m1]/m3": {"m2", "m1"}, "m3/[m2,m1]": {"m2", "m1"}, "SUM([m2,m1])": {"m2"}, "RATE(METRICS('m'))": {"m1", "m2", "m3"},
	} {
		v, err := compute(t, expression)
		var got []string
		for _, s := range v.Series {
			got = append(got, s.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", expression, err, diff)
		}
	}
}

// TestLaws tries what holds for all series, on many.
func TestLaws(t *testing.T) {
	t.Parallel()
	laws := map[string]string{
		"m1+m2":                 "IF(m1-m1+m2-m2+1, SUM([m1,m2]))", // where both are there
		"m2+m1":                 "m1+m2",
		"-(m1-m2)":              "m2-m1",
		"m1*2":                  "m1+m1",
		"SUM([m1,m2])":          "SUM([m2,m1])",
		"SUM([m1])":             "m1",
		"MAX([m1,m2])":          "-MIN([-m1,-m2])",
		"FILL(m1,0)+FILL(m2,0)": "SUM([FILL(m1,0),FILL(m2,0)])",
		"FILL(FILL(m1,3),9)":    "FILL(m1,3)",
		"FILL(m1,m1)":           "m1",
		"DIFF(m1+5)":            "DIFF(m1)",
		"RATE(m1)*60":           "RATE(m1*60)",
		"IF(m1 > m2, m1, m2)":   "IF(m1 <= m2, m2, m1)",
		"m1*0+SUM(m1)":          "m1*0+AVG(m1)*SUM(m1/m1)",
		"ABS(m1)":               "IF(m1 < 0, -m1, m1)",
		"CEIL(m1)":              "-FLOOR(-m1)",
	}
	random := uint64(1)
	next := func(n uint64) uint64 {
		random = random*6364136223846793005 + 1442695040888963407
		return random >> 33 % n
	}
	series := func() maths.Series {
		s := maths.Series{Period: time.Minute}
		for i := range int64(12) {
			if next(3) > 0 {
				s.Times, s.Values = append(s.Times, i*60), append(s.Values, float64(next(64))/4-8+0.125)
			}
		}
		return s
	}
	for range 200 {
		in := maths.Input{Series: map[string]maths.Series{"m1": series(), "m2": series()}, From: 0, To: 720}
		for left, right := range laws {
			p, err := maths.Compile([]maths.Query{{ID: "m1"}, {ID: "m2"}, {ID: "l", Expression: left}, {ID: "r", Expression: right}})
			if err != nil {
				t.Fatal(err)
			}
			v, err := p.Run(in)
			if err != nil {
				t.Fatal(err)
			}
			l, r := v["l"].Series[0], v["r"].Series[0]
			if diff := cmp.Diff(l.Times, r.Times, cmpopts.EquateEmpty()) + cmp.Diff(l.Values, r.Values, cmpopts.EquateApprox(1e-9, 1e-9), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s is not %s for %v:\n%s", left, right, in.Series, diff)
			}
		}
	}
}

// FuzzExpressions computes any text. What is refused is a fault with a place within the text; what is computed are finite values at times
// that rise; and the work ends.
func FuzzExpressions(f *testing.F) {
	for _, s := range []string{"m1+m2*3", "SUM(METRICS('m'))/PERIOD(m1)", "FILL([m1,m2],LINEAR)", "IF(m1>2 AND m2<=3, RATE(m1), -m2^2)", "SEARCH('a')", "[[m1],[m2]]", "((", "1e5.", "FILL(m1,REPEAT)"} {
		f.Add(s, "m1")
	}
	f.Fuzz(func(t *testing.T, expression, second string) {
		if expression == "" || second == "" {
			return
		}
		p, err := maths.Compile([]maths.Query{{ID: "m1"}, {ID: "m2"}, {ID: "x", Expression: expression}, {ID: "y", Expression: second}})
		var values map[string]maths.Value
		if err == nil {
			values, err = p.Run(maths.Input{From: 0, To: 300, Series: map[string]maths.Series{"m1": row(t, "m1", "1 2 - 4 -"), "m2": row(t, "m2", "10 - 30 40 -")}})
		}
		if err != nil {
			if fault, ok := fault.Of(err); !ok || !strings.HasPrefix(fault.Message, "Error in expression '") {
				t.Errorf("%q, %q: %v is no fault", expression, second, err)
			}
			return
		}
		for id, v := range maps.All(values) {
			for _, s := range v.Series {
				for i, at := range s.Times {
					if math.IsNaN(s.Values[i]) || math.IsInf(s.Values[i], 0) || i > 0 && s.Times[i-1] >= at {
						t.Errorf("%q: %s has %v at %v", expression, id, s.Values, s.Times)
					}
				}
			}
		}
	})
}
