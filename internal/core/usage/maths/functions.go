package maths

import (
	"math"
	"time"
)

// function is one that expressions call.
type function struct {
	least, most int // arguments
	usage       string
	do          func(r *run, n call, args []Value) (Value, error)
}

// functions are those that are done. Filled in by init, since parsing and computing need it.
var functions map[string]function

func init() { //nolint:gochecknoinits // the table's functions refer to it
	functions = map[string]function{
		"METRICS": {0, 1, `METRICS() is all metrics, METRICS("part") those whose ids have that in them`, doMetrics},
		"SUM":     {1, 1, "SUM has one argument: a metric, or several in brackets as SUM([m1, m2])", reducer(func(t tally) float64 { return t.sum })},
		"AVG":     {1, 1, "AVG has one argument: a metric, or several in brackets as AVG([m1, m2])", reducer(func(t tally) float64 { return t.sum / float64(t.count) })},
		"MIN":     {1, 1, "MIN has one argument: a metric, or several in brackets as MIN([m1, m2])", reducer(func(t tally) float64 { return t.least })},
		"MAX":     {1, 1, "MAX has one argument: a metric, or several in brackets as MAX([m1, m2])", reducer(func(t tally) float64 { return t.most })},
		"ABS":     {1, 1, "ABS has one argument", mapper(math.Abs)},
		"CEIL":    {1, 1, "CEIL has one argument", mapper(math.Ceil)},
		"FLOOR":   {1, 1, "FLOOR has one argument", mapper(math.Floor)},
		"RATE":    {1, 1, "RATE has one argument, a metric", stepper(func(change, elapsed float64) float64 { return change / elapsed })},
		"DIFF":    {1, 1, "DIFF has one argument, a metric", stepper(func(change, _ float64) float64 { return change })},
		"PERIOD":  {1, 1, "PERIOD has one argument, a metric", doPeriod},
		"FILL":    {2, 2, "FILL has two arguments: a metric, and a number, a metric, REPEAT or LINEAR", doFill},
		"IF":      {2, 3, "IF has two or three arguments: a condition, what holds if it is not 0, and what holds if it is", doIf},
	}
}

// reducer makes a number of one series, and one series of several.
func reducer(reduce func(tally) float64) func(*run, call, []Value) (Value, error) {
	return func(r *run, n call, args []Value) (Value, error) {
		v := args[0]
		switch {
		case v.IsNumber:
			return Value{}, refuse(n.at(), "%s is of a metric, and not of a number", n.function)
		case v.Array:
			return r.across(v, reduce)
		default:
			if err := r.make(len(v.Series[0].Values)); err != nil {
				return Value{}, err
			}
			var t tally
			for _, f := range v.Series[0].Values {
				t.add(f)
			}
			if t.count == 0 {
				return Value{IsNumber: true, Number: math.NaN()}, nil
			}
			return Value{IsNumber: true, Number: reduce(t)}, nil
		}
	}
}

func mapper(f func(float64) float64) func(*run, call, []Value) (Value, error) {
	return func(r *run, _ call, args []Value) (Value, error) { return r.each(args[0], f) }
}

// stepper computes each point from the change since the one before. The first has none.
func stepper(f func(change, elapsed float64) float64) func(*run, call, []Value) (Value, error) {
	return func(r *run, n call, args []Value) (Value, error) {
		if args[0].IsNumber {
			return Value{}, refuse(n.at(), "%s is of a metric, and not of a number", n.function)
		}
		return r.series(args[0], func(s Series) (Series, error) {
			return r.points(s, len(s.Times), func(add func(int64, float64)) {
				for i := 1; i < len(s.Times); i++ {
					add(s.Times[i], f(s.Values[i]-s.Values[i-1], float64(s.Times[i]-s.Times[i-1])))
				}
			})
		})
	}
}

func doMetrics(r *run, n call, _ []Value) (Value, error) {
	part := ""
	if len(n.args) == 1 {
		if t, ok := n.args[0].(text); ok {
			part = t.value
		}
	}
	return r.metrics(part)
}

func doPeriod(_ *run, n call, args []Value) (Value, error) {
	if args[0].IsNumber || args[0].Array {
		return Value{}, refuse(n.at(), "PERIOD is of one metric")
	}
	return Value{IsNumber: true, Number: seconds(args[0].Series[0].Period)}, nil
}

// doFill puts points where a series has none, in all of the time that is asked for.
func doFill(r *run, n call, args []Value) (Value, error) {
	if args[0].IsNumber {
		return Value{}, refuse(n.at(), "FILL is of a metric, and not of a number")
	}
	if args[1].Array {
		return Value{}, refuse(n.args[1].at(), "FILL fills with one metric, and not with several")
	}
	mode, isWord := n.args[1].(mode)
	return r.series(args[0], func(s Series) (Series, error) {
		switch {
		case isWord && mode.word == "REPEAT":
			return r.fill(s, func(int64) float64 { return math.NaN() }, repeat)
		case isWord && mode.word == "LINEAR":
			return r.fill(s, func(int64) float64 { return math.NaN() }, interpolate)
		case args[1].IsNumber:
			return r.fill(s, func(int64) float64 { return args[1].Number }, nil)
		default:
			other := args[1].Series[0]
			place := 0
			return r.fill(s, func(at int64) float64 {
				for place < len(other.Times) && other.Times[place] < at {
					place++
				}
				if place < len(other.Times) && other.Times[place] == at {
					return other.Values[place]
				}
				return math.NaN()
			}, nil)
		}
	})
}

// fill gives a series a point in every period, with a value where it has none; then makes of what is still missing (NaN) what it is to be.
func (r *run) fill(s Series, value func(at int64) float64, mend func([]float64)) (Series, error) {
	period := int64(s.Period / time.Second)
	if period <= 0 || r.To <= r.From {
		return s, nil
	}
	first := r.From - (r.From%period+period)%period
	n := (r.To - first + period - 1) / period
	if n > maxWork {
		return Series{}, r.make(maxWork + 1)
	}
	if err := r.make(int(n)); err != nil {
		return Series{}, err
	}
	values, place := make([]float64, n), 0
	for i := range values {
		at := first + int64(i)*period
		for place < len(s.Times) && s.Times[place] < at {
			place++
		}
		if place < len(s.Times) && s.Times[place] == at {
			values[i] = s.Values[place]
		} else {
			values[i] = value(at)
		}
	}
	if mend != nil {
		mend(values)
	}
	return r.points(s, len(values), func(add func(int64, float64)) {
		for i, v := range values {
			add(first+int64(i)*period, v)
		}
	})
}

// repeat puts the last value that was there in the place of those that are missing.
func repeat(values []float64) {
	for i := 1; i < len(values); i++ {
		if math.IsNaN(values[i]) {
			values[i] = values[i-1]
		}
	}
}

// interpolate draws a line across gaps. Before the first value and after the last there is none.
func interpolate(values []float64) {
	last := -1
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		for j := last + 1; last >= 0 && j < i; j++ {
			share := float64(j-last) / float64(i-last)
			values[j] = values[last]*(1-share) + v*share
		}
		last = i
	}
}

// doIf chooses at each time by the condition's value there. Without a third argument, times at which it is 0 have no point.
func doIf(r *run, n call, args []Value) (Value, error) {
	for i, v := range args {
		if v.Array {
			return Value{}, refuse(n.args[i].at(), "IF is of metrics and numbers, and not of lists")
		}
	}
	condition := args[0]
	yes, no := args[1], Value{Series: []Series{{}}}
	if len(args) == 3 { //nolint:mnd // condition, yes, no
		no = args[2]
	}
	if condition.IsNumber {
		if condition.Number != 0 {
			return yes, nil
		}
		return no, nil
	}
	s := condition.Series[0]
	for _, v := range args[1:] {
		if !v.IsNumber {
			s.Period = max(s.Period, v.Series[0].Period)
		}
	}
	if !yes.IsNumber {
		s.ID, s.Label = yes.Series[0].ID, yes.Series[0].Label
	}
	valueYes, valueNo := reader(yes), reader(no)
	made, err := r.points(s, len(s.Times), func(add func(int64, float64)) {
		for i, at := range s.Times {
			a, b := valueYes(at), valueNo(at)
			if s.Values[i] != 0 {
				add(at, a)
			} else {
				add(at, b)
			}
		}
	})
	return Value{Series: []Series{made}}, err
}

// reader gives a value's value at times that rise: NaN where it has none.
func reader(v Value) func(at int64) float64 {
	if v.IsNumber {
		return func(int64) float64 { return v.Number }
	}
	s, place := v.Series[0], 0
	return func(at int64) float64 {
		for place < len(s.Times) && s.Times[place] < at {
			place++
		}
		if place < len(s.Times) && s.Times[place] == at {
			return s.Values[place]
		}
		return math.NaN()
	}
}
