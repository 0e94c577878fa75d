package cloudwatch_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// query asks for a metric's statistic by the hour.
func query(id string, m *types.Metric, stat string) types.MetricDataQuery {
	return types.MetricDataQuery{Id: &id, MetricStat: &types.MetricStat{Metric: m, Period: aws.Int32(3600), Stat: &stat}}
}

func expression(id, text string) types.MetricDataQuery {
	return types.MetricDataQuery{Id: &id, Expression: &text}
}

// show writes results as "id label: 10h=3 9h=1 Complete".
func show(out *cw.GetMetricDataOutput) []string {
	var lines []string
	for _, r := range out.MetricDataResults {
		line := *r.Id + " " + *r.Label + ":"
		for i, at := range r.Timestamps {
			line += fmt.Sprintf(" %dh=%g", int(at.Sub(noon.Truncate(24*time.Hour)).Hours()), r.Values[i])
		}
		lines = append(lines, line+" "+string(r.StatusCode))
	}
	return lines
}

func TestGetMetricData(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := func(hours, minutes int) time.Time {
		return noon.Truncate(24 * time.Hour).Add(time.Duration(hours*60+minutes) * time.Minute)
	}
	s.count(t, pulls(repo), "Count", ones(at(8, 0), 2), ones(at(8, 59), 1), ones(at(9, 0), 1), ones(at(11, 30), 4))
	s.count(t, pulls("other"), "Count", ones(at(9, 10), 10))
	bytes := usage.NewMetric(usage.NamespaceBerth, usage.StoredBytes, usage.Dimension{Name: "RepositoryName", Value: repo})
	s.count(t, bytes, "Bytes", usage.Point{At: at(8, 5), Count: 2, Sum: 300, Min: 100, Max: 200})
	stored := &types.Metric{Namespace: aws.String("Berth"), MetricName: aws.String("StoredBytes"), Dimensions: wirePulls(repo).Dimensions}
	hidden := func(q types.MetricDataQuery) types.MetricDataQuery {
		q.ReturnData = aws.Bool(false)
		return q
	}
	labelled := func(q types.MetricDataQuery, label string) types.MetricDataQuery {
		q.Label = &label
		return q
	}
	inUnit := func(q types.MetricDataQuery, unit types.StandardUnit) types.MetricDataQuery {
		q.MetricStat.Unit = unit
		return q
	}
	for name, tt := range map[string]struct {
		queries []types.MetricDataQuery
		want    []string
	}{
		"statistics": {
			[]types.MetricDataQuery{
				query("a", stored, "Sum"), query("b", stored, "Average"), query("c", stored, "Minimum"), query("d", stored, "Maximum"), query("e", stored, "SampleCount"),
			},
			[]string{
				"a " + repo + " StoredBytes: 8h=300 Complete", "b " + repo + " StoredBytes: 8h=150 Complete", "c " + repo + " StoredBytes: 8h=100 Complete",
				"d " + repo + " StoredBytes: 8h=200 Complete", "e " + repo + " StoredBytes: 8h=2 Complete",
			},
		},
		"the newest first, and nothing of what is not there": {
			[]types.MetricDataQuery{query("a", wirePulls(repo), "Sum"), query("b", stored, "Sum"), query("n", &types.Metric{Namespace: aws.String("Berth"), MetricName: aws.String("None")}, "Sum")},
			[]string{"a RepositoryPullCount: 11h=4 9h=1 8h=3 Complete", "b StoredBytes: 8h=300 Complete", "n None: Complete"},
		},
		"units": {
			[]types.MetricDataQuery{inUnit(query("a", stored, "Sum"), "Bytes"), labelled(inUnit(query("b", stored, "Sum"), "Count"), "x")},
			[]string{"a " + repo + " StoredBytes: 8h=300 Complete", "b x: Complete"},
		},
		"expressions": {
			[]types.MetricDataQuery{
				expression("total", "SUM(METRICS())"), hidden(query("m1", wirePulls(repo), "Sum")), hidden(query("m2", wirePulls("other"), "Sum")),
				labelled(expression("share", "100*m1/total"), "per cent"), expression("all", "FILL([m1, m2], 0)"), expression("rate", "RATE(m1)*3600"),
			},
			[]string{
				"total total: 11h=4 9h=11 8h=3 Complete", "share per cent: 11h=100 9h=9.090909090909092 8h=100 Complete",
				"all all " + repo + " RepositoryPullCount: 11h=4 10h=0 9h=1 8h=3 7h=0 Complete", "all all other RepositoryPullCount: 11h=0 10h=0 9h=10 8h=0 7h=0 Complete",
				"rate rate: 11h=1.5 9h=-2 Complete",
			},
		},
	} {
		out, err := s.client.GetMetricData(t.Context(), &cw.GetMetricDataInput{StartTime: aws.Time(at(7, 20)), EndTime: aws.Time(at(12, 0)), MetricDataQueries: tt.queries})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, show(out)); diff != "" || out.NextToken != nil {
			t.Errorf("%s: next %v (-want +got):\n%s", name, out.NextToken, diff)
		}
	}
}

// TestPagesOfMetricDataMissNothing reads in pages of every size and both orders, with expressions and without, while points come.
func TestPagesOfMetricDataMissNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	begin := noon.Add(-12 * time.Hour)
	var many []types.MetricDataQuery
	for i := range 5 {
		name := fmt.Sprintf("r%d", i)
		for h := range i * 3 {
			s.count(t, pulls(name), "Count", ones(begin.Add(time.Duration(h)*time.Hour), float64(h+1)))
		}
		many = append(many, query(name, wirePulls(name), "Sum"))
	}
	hidden := query("h", wirePulls("r4"), "Sum")
	hidden.ReturnData = aws.Bool(false)
	for name, queries := range map[string][]types.MetricDataQuery{
		"metrics": append(slices.Clone(many), hidden), "expressions": append(slices.Clone(many), expression("e", "METRICS()*2"), hidden),
	} {
		for _, order := range []types.ScanBy{types.ScanByTimestampAscending, types.ScanByTimestampDescending} {
			ask := func(limit int32, token *string) *cw.GetMetricDataOutput {
				out, err := s.client.GetMetricData(t.Context(), &cw.GetMetricDataInput{
					StartTime: &begin, EndTime: &noon, MetricDataQueries: queries, ScanBy: order, MaxDatapoints: &limit, NextToken: token,
				})
				if err != nil {
					t.Fatalf("%s %s by %d: %v", name, order, limit, err)
				}
				return out
			}
			gather := func(into map[string][]string, out *cw.GetMetricDataOutput) (n int) {
				for _, r := range out.MetricDataResults {
					for i, at := range r.Timestamps {
						key := *r.Id + " " + *r.Label
						into[key] = append(into[key], fmt.Sprint(at, r.Values[i]))
						n++
					}
				}
				return n
			}
			want := map[string][]string{}
			gather(want, ask(100_800, nil))
			for _, limit := range []int32{1, 2, 3, 7, 12, 30, 31} {
				got, token := map[string][]string{}, (*string)(nil)
				for pages := 0; ; pages++ {
					out := ask(limit, token)
					n := gather(got, out)
					last := out.MetricDataResults[len(out.MetricDataResults)-1]
					if n > int(limit) || n < int(limit) && out.NextToken != nil || (last.StatusCode == types.StatusCodePartialData) && out.NextToken == nil {
						t.Errorf("%s %s by %d: a page of %d points, the last result %s, next %v", name, order, limit, n, last.StatusCode, out.NextToken)
					}
					if token = out.NextToken; token == nil || pages > 200 {
						break
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s %s by %d (-at once +in pages):\n%s", name, order, limit, diff)
				}
			}
		}
	}
	// A token is its request's own.
	limit := aws.Int32(1)
	out, err := s.client.GetMetricData(t.Context(), &cw.GetMetricDataInput{StartTime: &begin, EndTime: &noon, MetricDataQueries: many, MaxDatapoints: limit})
	if err != nil || out.NextToken == nil {
		t.Fatalf("a page of one: %v, %v", out, err)
	}
	_, err = s.client.GetMetricData(t.Context(), &cw.GetMetricDataInput{StartTime: &begin, EndTime: &noon, MetricDataQueries: many[1:], NextToken: out.NextToken})
	wantError(t, "another request's token", err, "InvalidNextToken", "not one that this request returned")
	for _, token := range []string{"x", "bWV0cmljZGF0YQ", *out.NextToken + "A"} {
		_, err = s.client.GetMetricData(t.Context(), &cw.GetMetricDataInput{StartTime: &begin, EndTime: &noon, MetricDataQueries: many, NextToken: &token})
		wantError(t, "the token "+token, err, "InvalidNextToken", "")
	}
}

func TestPutMetricDataIsRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := aws.Time(noon.Add(-time.Hour))
	rain := []types.Dimension{{Name: aws.String("Ort"), Value: aws.String("Berlin")}, {Name: aws.String("Amt"), Value: aws.String("x")}}
	_, err := s.client.PutMetricData(t.Context(), &cw.PutMetricDataInput{Namespace: aws.String("Wetter"), MetricData: []types.MetricDatum{
		{MetricName: aws.String("rain"), Dimensions: rain, Timestamp: at, Unit: "Count", Value: aws.Float64(5)},
		{MetricName: aws.String("rain"), Dimensions: rain, Timestamp: at, Unit: "Count", Values: []float64{1, 7, 3}, Counts: []float64{2, 1, 0}},
		{MetricName: aws.String("rain"), Dimensions: rain, Timestamp: at, Unit: "Count", Values: []float64{2}},
		{MetricName: aws.String("rain"), Dimensions: rain, Timestamp: at, Unit: "Count", StorageResolution: aws.Int32(60), StatisticValues: &types.StatisticSet{
			SampleCount: aws.Float64(10), Sum: aws.Float64(50), Minimum: aws.Float64(0.5), Maximum: aws.Float64(9),
		}},
		{MetricName: aws.String("rain"), Dimensions: rain, Timestamp: at, Unit: "Percent", Value: aws.Float64(1000)},
		{MetricName: aws.String("now"), Value: aws.Float64(-1)},
	}})
	if err != nil {
		t.Fatalf("PutMetricData: %v", err)
	}
	slices.Reverse(rain) // the order of dimensions means nothing
	ask := func(name string, unit types.StandardUnit, dimensions []types.Dimension) *cw.GetMetricStatisticsOutput {
		t.Helper()
		out, err := s.client.GetMetricStatistics(t.Context(), &cw.GetMetricStatisticsInput{
			Namespace: aws.String("Wetter"), MetricName: &name, Dimensions: dimensions, Unit: unit, Period: aws.Int32(60),
			StartTime: aws.Time(noon.Add(-2 * time.Hour)), EndTime: aws.Time(noon.Add(time.Minute)), Statistics: types.Statistic("").Values(),
		})
		if err != nil {
			t.Fatalf("GetMetricStatistics: %v", err)
		}
		return out
	}
	out := ask("rain", "Count", rain)
	if len(out.Datapoints) != 1 {
		t.Fatalf("GetMetricStatistics gave %d points, want 1", len(out.Datapoints))
	}
	d := out.Datapoints[0]
	want := []float64{15, 66, 66.0 / 15, 0.5, 9}
	if got := []float64{*d.SampleCount, *d.Sum, *d.Average, *d.Minimum, *d.Maximum}; !slices.Equal(got, want) || !d.Timestamp.Equal(*at) || d.Unit != "Count" || *out.Label != "rain" {
		t.Errorf("the point is %v at %v in %s of %s, want %v at %v", got, d.Timestamp, d.Unit, *out.Label, want, at)
	}
	if out := ask("rain", "", rain); len(out.Datapoints) != 1 || *out.Datapoints[0].Sum != 1066 {
		t.Errorf("in any unit: %+v", out.Datapoints)
	}
	for name, out := range map[string]*cw.GetMetricStatisticsOutput{
		"another unit": ask("rain", "Bytes", rain), "fewer dimensions": ask("rain", "", rain[:1]), "none": ask("rain", "", nil),
	} {
		if len(out.Datapoints) != 0 || out.Datapoints == nil {
			t.Errorf("%s: %+v", name, out.Datapoints)
		}
	}
	if out := ask("now", "", nil); len(out.Datapoints) != 1 || !out.Datapoints[0].Timestamp.Equal(noon) {
		t.Errorf("without a time: %+v", out.Datapoints)
	}
}

func TestListMetrics(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for i := range 510 {
		s.count(t, pulls(fmt.Sprintf("r%03d", i)), "Count", ones(noon.Add(-4*time.Hour), 1))
	}
	s.count(t, pulls(repo), "Count", ones(noon.Add(-time.Hour), 1))
	app := usage.NewMetric(usage.NamespaceBerth, usage.PullCount, usage.Dimension{Name: "RepositoryName", Value: repo}, usage.Dimension{Name: "App", Value: "api"})
	s.count(t, app, "Count", ones(noon.Add(-time.Hour), 1))
	list := func(in cw.ListMetricsInput) (names []string, pages int) {
		t.Helper()
		for p := cw.NewListMetricsPaginator(s.client, &in); p.HasMorePages(); pages++ {
			out, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatalf("ListMetrics: %v", err)
			}
			for _, m := range out.Metrics {
				name := *m.Namespace + " " + *m.MetricName
				for _, d := range m.Dimensions {
					name += " " + *d.Name + "=" + *d.Value
				}
				names = append(names, name)
			}
		}
		return names, pages
	}
	if names, pages := list(cw.ListMetricsInput{}); len(names) != 512 || pages != 2 || names[0] != "AWS/ECR RepositoryPullCount RepositoryName=r000" {
		t.Errorf("all of them: %d in %d pages, the first %s", len(names), pages, names[0])
	}
	ecr, berth := "AWS/ECR RepositoryPullCount RepositoryName="+repo, "Berth PullCount App=api RepositoryName="+repo
	filter := func(pairs ...string) (filters []types.DimensionFilter) {
		for _, p := range pairs {
			name, value, ok := strings.Cut(p, "=")
			f := types.DimensionFilter{Name: &name}
			if ok {
				f.Value = &value
			}
			filters = append(filters, f)
		}
		return filters
	}
	for name, tt := range map[string]struct {
		in   cw.ListMetricsInput
		want []string
	}{
		"by namespace":          {cw.ListMetricsInput{Namespace: aws.String("Berth")}, []string{berth}},
		"by name":               {cw.ListMetricsInput{MetricName: aws.String("PullCount")}, []string{berth}},
		"by dimension":          {cw.ListMetricsInput{Dimensions: filter("RepositoryName=" + repo)}, []string{ecr, berth}},
		"by two":                {cw.ListMetricsInput{Dimensions: filter("RepositoryName="+repo, "App=api")}, []string{berth}},
		"by a dimension's name": {cw.ListMetricsInput{Dimensions: filter("App")}, []string{berth}},
		"recently active":       {cw.ListMetricsInput{RecentlyActive: types.RecentlyActivePt3h}, []string{ecr, berth}},
		"none":                  {cw.ListMetricsInput{Namespace: aws.String("AWS/EC2")}, nil},
	} {
		if names, _ := list(tt.in); !slices.Equal(names, tt.want) {
			t.Errorf("%s: %v, want %v", name, names, tt.want)
		}
	}
	_, err := s.client.ListMetrics(t.Context(), &cw.ListMetricsInput{NextToken: aws.String("x")})
	wantError(t, "a token of nobody's", err, "InvalidNextToken", "")
}

// TestValuesThatJSONLacksAreRefused goes by the protocol that has them.
func TestValuesThatJSONLacksAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Ldexp(1, 361)} {
		for _, d := range []types.MetricDatum{
			{Value: &v}, {Values: []float64{1, v}}, {StatisticValues: &types.StatisticSet{SampleCount: aws.Float64(1), Sum: &v, Minimum: &v, Maximum: &v}},
		} {
			d.MetricName = aws.String("m")
			_, err := s.client.PutMetricData(t.Context(), &cw.PutMetricDataInput{Namespace: aws.String("N"), MetricData: []types.MetricDatum{d}})
			wantError(t, fmt.Sprint(v), err, "InvalidParameterValue", "MetricData.member.1.")
		}
	}
}
