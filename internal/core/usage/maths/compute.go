package maths

import (
	"math"
	"slices"
	"strings"
	"time"
)

func (r *run) value(n node) (Value, error) {
	switch n := n.(type) {
	case number:
		return Value{IsNumber: true, Number: n.value}, nil
	case variable:
		return r.values[n.id], nil
	case list:
		return r.list(n)
	case negation:
		v, err := r.value(n.of)
		if err != nil {
			return Value{}, err
		}
		return r.each(v, func(f float64) float64 { return -f })
	case operation:
		left, err := r.value(n.left)
		if err != nil {
			return Value{}, err
		}
		right, err := r.value(n.right)
		if err != nil {
			return Value{}, err
		}
		return r.pairs(n.at(), left, right, operators()[n.operator])
	case call:
		args := make([]Value, len(n.args))
		for i, arg := range n.args {
			switch arg.(type) {
			case text, mode:
				continue
			}
			v, err := r.value(arg)
			if err != nil {
				return Value{}, err
			}
			args[i] = v
		}
		return functions[n.function].do(r, n, args)
	default:
		return Value{}, refuse(n.at(), "A text means nothing here")
	}
}

// list puts series together.
func (r *run) list(n list) (Value, error) {
	all := Value{Array: true}
	for _, item := range n.items {
		v, err := r.value(item)
		if err != nil {
			return Value{}, err
		}
		if v.IsNumber {
			return Value{}, refuse(item.at(), "A list is of series, and this is a number")
		}
		if err := r.make(perSeries * len(v.Series)); err != nil {
			return Value{}, err
		}
		all.Series = append(all.Series, v.Series...)
	}
	return all, nil
}

// operators computes what stands between two numbers. Conditions are 1 or 0.
func operators() map[string]func(a, b float64) float64 {
	truth := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	return map[string]func(a, b float64) float64{
		"+":  func(a, b float64) float64 { return a + b },
		"-":  func(a, b float64) float64 { return a - b },
		"*":  func(a, b float64) float64 { return a * b },
		"/":  func(a, b float64) float64 { return a / b },
		"^":  math.Pow,
		"==": func(a, b float64) float64 { return truth(a == b) },
		"!=": func(a, b float64) float64 { return truth(a != b) },
		"<":  func(a, b float64) float64 { return truth(a < b) },
		"<=": func(a, b float64) float64 { return truth(a <= b) },
		">":  func(a, b float64) float64 { return truth(a > b) },
		">=": func(a, b float64) float64 { return truth(a >= b) },
		"&&": func(a, b float64) float64 { return truth(a != 0 && b != 0) },
		"||": func(a, b float64) float64 { return truth(a != 0 || b != 0) },
	}
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// each computes every value by itself.
func (r *run) each(v Value, f func(float64) float64) (Value, error) {
	if v.IsNumber {
		return Value{IsNumber: true, Number: f(v.Number)}, nil
	}
	return r.series(v, func(s Series) (Series, error) {
		return r.points(s, len(s.Times), func(add func(int64, float64)) {
			for i, at := range s.Times {
				add(at, f(s.Values[i]))
			}
		})
	})
}

// series computes each of a value's series by itself.
func (r *run) series(v Value, f func(Series) (Series, error)) (Value, error) {
	if err := r.make(perSeries * len(v.Series)); err != nil {
		return Value{}, err
	}
	out := Value{Array: v.Array, Series: make([]Series, len(v.Series))}
	for i, s := range v.Series {
		made, err := f(s)
		if err != nil {
			return Value{}, err
		}
		out.Series[i] = made
	}
	return out, nil
}

// points makes a series that is called like s, of at most n points, which fill hands over in order. What is no number is left out.
func (r *run) points(s Series, n int, fill func(add func(at int64, value float64))) (Series, error) {
	if err := r.make(n); err != nil {
		return Series{}, err
	}
	s.Times, s.Values = make([]int64, 0, n), make([]float64, 0, n)
	fill(func(at int64, value float64) {
		if finite(value) {
			s.Times, s.Values = append(s.Times, at), append(s.Values, value)
		}
	})
	return s, nil
}

// pairs computes two values with each other: numbers, a number with each point, series where both have a point, and a number or one series
// with each of several.
func (r *run) pairs(at int, left, right Value, f func(a, b float64) float64) (Value, error) {
	switch {
	case left.IsNumber && right.IsNumber:
		return Value{IsNumber: true, Number: f(left.Number, right.Number)}, nil
	case left.IsNumber:
		return r.each(right, func(b float64) float64 { return f(left.Number, b) })
	case right.IsNumber:
		return r.each(left, func(a float64) float64 { return f(a, right.Number) })
	case left.Array && right.Array:
		return Value{}, refuse(at, "Two lists of series cannot be computed with each other")
	case right.Array:
		return r.series(right, func(s Series) (Series, error) { return r.meet(s, left.Series[0], s, f) })
	default:
		return r.series(left, func(s Series) (Series, error) { return r.meet(s, s, right.Series[0], f) })
	}
}

// meet computes two series where both have a point. The result is called like one of them.
func (r *run) meet(named, a, b Series, f func(a, b float64) float64) (Series, error) {
	named.Period = max(a.Period, b.Period)
	return r.points(named, min(len(a.Times), len(b.Times)), func(add func(int64, float64)) {
		for i, j := 0, 0; i < len(a.Times) && j < len(b.Times); {
			switch {
			case a.Times[i] < b.Times[j]:
				i++
			case a.Times[i] > b.Times[j]:
				j++
			default:
				add(a.Times[i], f(a.Values[i], b.Values[j]))
				i++
				j++
			}
		}
	})
}

// metrics gives the series of the metrics whose ids have a text in them, in the order of the queries.
func (r *run) metrics(part string) (Value, error) {
	v := Value{Array: true}
	for _, id := range r.ids {
		if strings.Contains(id, part) {
			v.Series = append(v.Series, r.values[id].Series[0])
		}
	}
	return v, r.make(perSeries * len(v.Series))
}

// tally is what came together: of one series, or of several at one time.
type tally struct {
	count            int
	sum, least, most float64
}

func (t *tally) add(v float64) {
	if t.count == 0 {
		t.least, t.most = v, v
	}
	t.count++
	t.sum += v
	t.least, t.most = min(t.least, v), max(t.most, v)
}

// across computes one series of several: at each time at which any has a point, of the values that are there.
func (r *run) across(v Value, reduce func(tally) float64) (Value, error) {
	if len(v.Series) == 0 {
		return Value{Series: []Series{{}}}, nil
	}
	n, named := 0, v.Series[0]
	for _, s := range v.Series {
		n += len(s.Times)
		named.Period = max(named.Period, s.Period)
	}
	if err := r.make(n); err != nil { // what is looked at, which may be much more than comes out
		return Value{}, err
	}
	times := grid(v.Series, n)
	tallies, place := make([]tally, len(times.at)), 0
	for _, s := range v.Series {
		place = 0
		for i, at := range s.Times {
			place = times.place(at, place)
			tallies[place].add(s.Values[i])
		}
	}
	made, err := r.points(named, len(tallies), func(add func(int64, float64)) {
		for i, t := range tallies {
			if t.count > 0 {
				add(times.at[i], reduce(t))
			}
		}
	})
	return Value{Series: []Series{made}}, err
}

// axis is the times of several series, in order.
type axis struct {
	at   []int64
	step int64 // between one and the next, where all are as far apart
}

// place finds a time, which is not before the one at a place.
func (x axis) place(at int64, from int) int {
	if x.step > 0 {
		return int((at - x.at[0]) / x.step)
	}
	for x.at[from] < at {
		from++
	}
	return from
}

// grid gives the times of series that have n points together. Mostly they are close on a grid, as the periods of metrics are; else they are put in order.
func grid(series []Series, n int) axis {
	const sparse = 4 // times as many places as points are not worth while
	var all []int64
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, s := range series {
		if len(s.Times) > 0 {
			first, last = min(first, s.Times[0]), max(last, s.Times[len(s.Times)-1])
		}
	}
	if first > last {
		return axis{}
	}
	step := int64(0)
	for _, s := range series {
		for _, at := range s.Times {
			if rest := at - first; step == 0 || rest%step != 0 {
				step = divisor(step, rest)
			}
		}
	}
	if step == 0 {
		return axis{at: []int64{first}, step: 1}
	}
	if places := (last-first)/step + 1; places <= sparse*int64(n) {
		all = make([]int64, places)
		for i := range all {
			all[i] = first + int64(i)*step
		}
		return axis{all, step}
	}
	all = make([]int64, 0, n)
	for _, s := range series {
		all = append(all, s.Times...)
	}
	slices.Sort(all)
	return axis{at: slices.Compact(all)}
}

// divisor is the greatest that two numbers have in common.
func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// seconds is a period as a number.
func seconds(d time.Duration) float64 { return d.Seconds() }
