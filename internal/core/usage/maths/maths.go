// Package maths computes CloudWatch's metric maths: expressions over series of points.
//
// The language is the plain part of "Metric math syntax and functions" of the Amazon CloudWatch User Guide: numbers, ids of other queries,
// + - * / ^, comparisons, && and ||, parentheses, [a, b], and the functions METRICS, SUM, AVG, MIN, MAX, RATE, DIFF, FILL, ABS, CEIL, FLOOR,
// PERIOD and IF. Everything else is refused by its name. A value is a number, one series, or several.
//
// Where series meet, a time counts at which all of them have a point, except in SUM, AVG, MIN and MAX of several, which take those that
// are there. A result that is no finite number, as of a division by zero, is no point.
//
// Expressions are strangers' text: their length, their nesting and the work that they make are bounded.
package maths

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// Bounds of a set of queries.
const (
	MaxExpression = 2048      // bytes of one expression, as in CloudWatch
	maxNesting    = 50        // levels of one expression
	maxWork       = 5_000_000 // points that one computation makes or looks at
	perSeries     = 64        // points that a series counts for by itself
)

// Query is a metric, whose series is given, or an expression.
type Query struct {
	ID         string
	Expression string // empty: a metric
}

// Series is points in order of time.
type Series struct {
	ID     string // of the metric that it comes of, or of the first of them
	Label  string // what it is called: its metric's label
	Period time.Duration
	Times  []int64 // seconds since 1970, rising; never changed once it is there
	Values []float64
}

// Value is what an expression gives: a number, or series.
type Value struct {
	IsNumber bool
	Number   float64
	Series   []Series
	Array    bool // of series, which may be one or none: METRICS(), [a, b]
}

// Program is a set of queries made ready.
type Program struct {
	ids     []string // of the metrics, in order
	parsed  map[string]node
	order   []string // of the expressions: each after those that it needs
	metrics map[string]bool
}

// Compile reads the expressions of a set of queries. What is wrong with one is a fault that says where.
func Compile(queries []Query) (*Program, error) {
	p := &Program{parsed: map[string]node{}, metrics: map[string]bool{}}
	known := map[string]bool{}
	for _, q := range queries {
		switch {
		case !ValidID(q.ID):
			return nil, fault.New(fault.InvalidParameter, "The id %q does not begin with a small letter, or has more than letters, digits and underscores, or more than 255 of them.", q.ID)
		case known[q.ID]:
			return nil, fault.New(fault.InvalidParameter, "The id %s is there twice.", q.ID)
		}
		known[q.ID] = true
		if q.Expression == "" {
			p.ids = append(p.ids, q.ID)
			p.metrics[q.ID] = true
		}
	}
	uses := map[string][]string{}
	for _, q := range queries {
		if q.Expression == "" {
			continue
		}
		n, used, err := parse(q.Expression, known)
		if err != nil {
			return nil, within(q.ID, err)
		}
		p.parsed[q.ID], uses[q.ID] = n, used
	}
	return p, p.sort(queries, uses)
}

// within says which expression an error is about.
func within(id string, err error) error {
	f, ok := fault.Of(err)
	if !ok {
		return err
	}
	return fault.New(f.Code, "Error in expression '%s' [%s]", id, f.Message)
}

// sort puts the expressions in an order in which each finds what it needs, and refuses circles.
func (p *Program) sort(queries []Query, uses map[string][]string) error {
	const begun, done = 1, 2
	state := map[string]int{}
	var visit func(id string) error
	visit = func(id string) error {
		switch {
		case p.metrics[id] || state[id] == done:
			return nil
		case state[id] == begun:
			return fault.New(fault.InvalidParameter, "Error in expression '%s' [The expression needs its own result]", id)
		}
		state[id] = begun
		for _, other := range uses[id] {
			if err := visit(other); err != nil {
				return err
			}
		}
		state[id] = done
		p.order = append(p.order, id)
		return nil
	}
	for _, q := range queries {
		if err := visit(q.ID); err != nil {
			return err
		}
	}
	return nil
}

// ValidID tells whether a query may be called so: a small letter, then letters, digits and underscores, 255 at most.
func ValidID(id string) bool {
	const most = 255
	return id != "" && len(id) <= most && 'a' <= id[0] && id[0] <= 'z' && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// Input is what a program computes with.
type Input struct {
	Series   map[string]Series // of each metric
	From, To int64             // the time that is asked for, in seconds since 1970: what FILL fills
}

// Run computes the expressions, and gives the values of all queries by id.
func (p *Program) Run(in Input) (map[string]Value, error) {
	r := &run{Program: p, Input: in, values: map[string]Value{}}
	for _, id := range p.ids {
		s := in.Series[id]
		s.ID = id
		r.values[id] = Value{Series: []Series{s}}
	}
	for _, id := range p.order {
		v, err := r.value(p.parsed[id])
		if err != nil {
			return nil, within(id, err)
		}
		r.values[id] = v
	}
	return r.values, nil
}

// Check tells what is wrong with the expressions that does not depend on what the metrics have: a list where a number should be.
func (p *Program) Check() error {
	_, err := p.Run(Input{})
	return err
}

// run is a computation under way.
type run struct {
	*Program
	Input
	values map[string]Value
	work   int // points made so far
}

// make counts points that are to be made.
func (r *run) make(n int) error {
	if r.work += n; r.work > maxWork || n > maxWork {
		return fault.New(fault.InvalidParameter, "The expressions make more than %d datapoints", maxWork)
	}
	return nil
}

// refuse says what is wrong at a place of an expression.
func refuse(at int, format string, args ...any) error {
	return fault.New(fault.InvalidParameter, "%s, at character %d", fmt.Sprintf(format, args...), at+1)
}

// unsupported names what CloudWatch has and this does not.
func unsupported(at int, name string) error {
	return fault.New(fault.SettingUnsupported, "%s is not supported by this version of Berth, at character %d", name, at+1)
}

// notHere are CloudWatch's functions that are not done.
var notHere = strings.Fields(`ANOMALY_DETECTION_BAND DATAPOINT_COUNT DAY DB_PERF_INSIGHTS EPOCH FIRST HOUR INSIGHT_RULE_METRIC LAMBDA LAST LOG LOG10 METRIC_COUNT MINUTE MONTH
	REMOVE_EMPTY RUNNING_SUM SEARCH SERVICE_QUOTA SLICE SORT STDDEV TIME_SERIES YEAR SELECT`)

func isNotHere(name string) bool { return slices.Contains(notHere, name) }
