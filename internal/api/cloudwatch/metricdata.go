package cloudwatch

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/maths"
)

// Bounds of a GetMetricData, as at Amazon.
const (
	maxQueries    = 500
	maxDatapoints = 100_800 // in one page
)

// question is a GetMetricData made ready.
type question struct {
	from, to  time.Time
	ascending bool
	limit     int // datapoints of a page
	queries   []dataQuery
	mark      string // of the request
	begin     place
}

// dataQuery is one of a question's queries: a metric, or an expression.
type dataQuery struct {
	id, label  string
	returned   bool
	expression string

	metric usage.Metric
	period time.Duration
	value  statistic
}

// getMetricData answers with ValidationError what other operations have several codes for, as Amazon does.
func (f face) getMetricData(ctx context.Context, c awswire.Call, in *cw.GetMetricDataInput) (*cw.GetMetricDataOutput, error) {
	out, err := f.metricData(ctx, c, in)
	if err != nil {
		return nil, validation(err)
	}
	return out, nil
}

func (f face) metricData(ctx context.Context, c awswire.Call, in *cw.GetMetricDataInput) (*cw.GetMetricDataOutput, error) {
	q, err := questionOf(in)
	if err != nil {
		return nil, err
	}
	s := &source{face: f, caller: c.Caller, question: q, series: map[int]maths.Series{}}
	if !slices.ContainsFunc(q.queries, func(d dataQuery) bool { return d.expression != "" }) {
		return q.page(func(i int) ([]maths.Series, error) { return s.metric(ctx, i) })
	}
	program, err := maths.Compile(q.maths())
	if err != nil {
		return nil, err
	}
	values, err := s.compute(ctx, program)
	if err != nil {
		return nil, err
	}
	return q.page(func(i int) ([]maths.Series, error) { return q.valueOf(i, values[q.queries[i].id]) })
}

// maths is the queries as expressions see them.
func (q *question) maths() []maths.Query {
	all := make([]maths.Query, len(q.queries))
	for i, d := range q.queries {
		all[i] = maths.Query{ID: d.id, Expression: d.expression}
	}
	return all
}

// valueOf gives the series that a query came to, called as they are to be.
func (q *question) valueOf(i int, v maths.Value) ([]maths.Series, error) {
	d := q.queries[i]
	if v.IsNumber {
		return nil, invalid("Error in expression '%s' [The expression gives a number; a time series or a list of them is expected]", d.id)
	}
	series := slices.Clone(v.Series)
	for k := range series {
		label := d.label
		if v.Array {
			label = strings.TrimSpace(label + " " + series[k].Label)
		}
		series[k].Label = label
	}
	return series, nil
}

func questionOf(in *cw.GetMetricDataInput) (*question, error) {
	q := &question{limit: maxDatapoints}
	var err error
	if q.from, q.to, err = timesOf(in.StartTime, in.EndTime); err != nil {
		return nil, err
	}
	switch n := len(in.MetricDataQueries); {
	case n == 0:
		return nil, missing("MetricDataQueries")
	case n > maxQueries:
		return nil, invalid("The collection MetricDataQueries must not have a size greater than %d.", maxQueries)
	}
	if m := in.MaxDatapoints; m != nil {
		if *m < 1 || *m > maxDatapoints {
			return nil, invalid("The value %d for parameter MaxDatapoints is invalid: it is 1 to %d.", *m, maxDatapoints)
		}
		q.limit = int(*m)
	}
	switch in.ScanBy {
	case types.ScanByTimestampAscending:
		q.ascending = true
	case types.ScanByTimestampDescending, "":
	default:
		return nil, invalid("The value %.40q for parameter ScanBy is invalid: it is TimestampDescending or TimestampAscending.", in.ScanBy)
	}
	if o := in.LabelOptions; o != nil && o.Timezone != nil && !timezone.MatchString(*o.Timezone) {
		return nil, invalid("The value %.40q for parameter LabelOptions.Timezone is invalid: it is written like +0130.", *o.Timezone)
	}
	if err := q.read(in.MetricDataQueries); err != nil {
		return nil, err
	}
	q.mark = markOf(in)
	q.begin, err = parsePlace(aws.ToString(in.NextToken), q.mark, len(q.queries))
	return q, err
}

// timezone is how LabelOptions writes one. It is about times in labels, which are not done; it is read all the same.
var timezone = regexp.MustCompile(`^[+-]\d{4}$`)

func (q *question) read(queries []types.MetricDataQuery) error {
	metrics, ids := 0, map[string]bool{}
	for i, w := range queries {
		what := fmt.Sprintf("MetricDataQueries.member.%d.", i+1)
		d, err := dataQueryOf(what, w)
		if err != nil {
			return err
		}
		if ids[d.id] {
			return invalid("The value %s for parameter %sId is there twice.", d.id, what)
		}
		ids[d.id] = true
		if d.expression == "" {
			metrics++
		}
		q.queries = append(q.queries, d)
	}
	if metrics == 0 {
		return invalid("One of the MetricDataQueries must be a metric.")
	}
	q.labels()
	return q.periods()
}

func dataQueryOf(what string, w types.MetricDataQuery) (dataQuery, error) {
	d := dataQuery{id: aws.ToString(w.Id), label: aws.ToString(w.Label), returned: w.ReturnData == nil || *w.ReturnData, expression: aws.ToString(w.Expression)}
	switch {
	case d.id == "":
		return d, missing(what + "Id")
	case !maths.ValidID(d.id):
		return d, invalid("The value %.40q for parameter %sId is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.", d.id, what)
	case strings.Contains(d.label, "${"):
		return d, unsupported("A dynamic %sLabel (${…})", what)
	case w.AccountId != nil:
		return d, unsupported("Looking into other accounts (%sAccountId)", what)
	case w.Expression != nil && w.MetricStat != nil:
		return d, combination("The parameters %sExpression and %sMetricStat are mutually exclusive and you have specified both.", what, what)
	case w.Expression == nil && w.MetricStat == nil:
		return d, missing(what + "MetricStat or Expression")
	case w.Expression != nil && strings.TrimSpace(d.expression) == "":
		return d, invalid("The parameter %sExpression must not be empty.", what)
	case w.Expression != nil:
		var err error
		if w.Period != nil {
			d.period, err = periodOf(what+"Period", w.Period)
		}
		return d, err
	case w.Period != nil:
		return d, combination("The parameter %sPeriod goes with an Expression; a metric's is %sMetricStat.Period.", what, what)
	}
	return d.ofMetric(what+"MetricStat.", w.MetricStat)
}

func (d dataQuery) ofMetric(what string, s *types.MetricStat) (dataQuery, error) {
	if s.Metric == nil {
		return d, missing(what + "Metric")
	}
	var err error
	if d.metric, err = metricOf(what+"Metric.", s.Metric.Namespace, s.Metric.MetricName, s.Metric.Dimensions); err != nil {
		return d, err
	}
	if d.metric.Unit, err = askedUnit(what+"Unit", s.Unit); err != nil {
		return d, err
	}
	if err := usage.CheckMetric(d.metric); err != nil {
		return d, err
	}
	if d.period, err = periodOf(what+"Period", s.Period); err != nil {
		return d, err
	}
	if aws.ToString(s.Stat) == "" {
		return d, missing(what + "Stat")
	}
	d.value, err = statisticOf(what+"Stat", *s.Stat)
	return d, err
}

// labels names what the request has no name for: an expression by its id, a metric by its name, with the values of its dimensions before
// it where another metric of the request has the same name.
func (q *question) labels() {
	names := map[string]int{}
	for _, d := range q.queries {
		names[d.metric.Name]++
	}
	for i := range q.queries {
		d := &q.queries[i]
		switch {
		case d.label != "":
		case d.expression != "":
			d.label = d.id
		default:
			d.label = d.metric.Name
			if names[d.metric.Name] > 1 {
				var parts []string
				for _, dimension := range d.metric.Dimensions {
					parts = append(parts, dimension.Value)
				}
				d.label = strings.Join(append(parts, d.metric.Name), " ")
			}
		}
	}
}

// periods holds an expression's own period to that of its metrics: it is not something else.
func (q *question) periods() error {
	var longest time.Duration
	for _, d := range q.queries {
		if d.expression == "" {
			longest = max(longest, d.period)
		}
	}
	for i, d := range q.queries {
		if d.expression != "" && d.period != 0 && d.period != longest {
			return unsupported("A MetricDataQueries.member.%d.Period other than the metrics' own", i+1)
		}
	}
	return nil
}

// validation gives what is wrong with a GetMetricData the one code that Amazon has for it.
func validation(err error) error {
	if r, ok := asRefusal(err); ok {
		return &refusal{validationError, r.message}
	}
	if f, ok := fault.Of(err); ok && (f.Code == fault.InvalidParameter || f.Code == fault.SettingUnsupported) {
		return &refusal{validationError, f.Message}
	}
	return err
}
