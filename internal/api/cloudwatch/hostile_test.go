package cloudwatch_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestBadInput sends what nobody should, and wants to be told what is wrong with it.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	// Of GetMetricData: the rest of a request, and of its one query.
	data := func(head, query string) string {
		return `{` + head + `,"MetricDataQueries":[` + query + `]}`
	}
	const times, metric = `"StartTime":1795500000,"EndTime":1795503600`, `{"Namespace":"N","MetricName":"m"}`
	stat := func(rest string) string {
		return `{"Id":"a","MetricStat":{"Metric":` + metric + `,` + rest + `}}`
	}
	good := stat(`"Period":60,"Stat":"Sum"`)
	put := func(datum string) string { return `{"Namespace":"N","MetricData":[` + datum + `]}` }
	named := func(name string) string { return put(fmt.Sprintf(`{"MetricName":%q,"Value":1}`, name)) }
	statistics := func(rest string) string { return `{"Namespace":"N","MetricName":"m",` + rest + `}` }
	for _, tt := range []struct{ operation, body, code, words string }{
		{"GetMetricData", data(`"StartTime":1795503600,"EndTime":1795500000`, good), "ValidationError", "StartTime must be less than the parameter EndTime"},
		{"GetMetricData", data(`"StartTime":1795503600,"EndTime":1795503600`, good), "ValidationError", "StartTime must be less"},
		{"GetMetricData", data(`"StartTime":-5,"EndTime":1795503600`, good), "ValidationError", "before 1970"},
		{"GetMetricData", data(`"EndTime":1795503600`, good), "ValidationError", "StartTime is required"},
		{"GetMetricData", data(`"StartTime":1795503600`, good), "ValidationError", "EndTime is required"},
		{"GetMetricData", data(`"StartTime":"yesterday","EndTime":1795503600`, good), "MalformedInput", "StartTime"},
		{"GetMetricData", `{` + times + `}`, "ValidationError", "MetricDataQueries is required"},
		{"GetMetricData", data(times, strings.Repeat(good+",", 500)+good), "ValidationError", "greater than 500"},
		{"GetMetricData", data(times+`,"MaxDatapoints":100801`, good), "ValidationError", "1 to 100800"},
		{"GetMetricData", data(times+`,"MaxDatapoints":0`, good), "ValidationError", "1 to 100800"},
		{"GetMetricData", data(times+`,"ScanBy":"Random"`, good), "ValidationError", "ScanBy"},
		{"GetMetricData", data(times+`,"LabelOptions":{"Timezone":"Europe/Berlin"}`, good), "ValidationError", "+0130"},
		{"GetMetricData", data(times, good+","+good), "ValidationError", "is there twice"},
		{"GetMetricData", data(times, strings.Replace(good, `"a"`, `"A"`, 1)), "ValidationError", "not matching the expected pattern"},
		{"GetMetricData", data(times, strings.Replace(good, `"Id":"a",`, ``, 1)), "ValidationError", "Id is required"},
		{"GetMetricData", data(times, `{"Id":"a"}`), "ValidationError", "MetricStat or Expression is required"},
		{"GetMetricData", data(times, strings.Replace(good, `"Id":"a"`, `"Id":"a","Expression":"1"`, 1)), "ValidationError", "mutually exclusive"},
		{"GetMetricData", data(times, strings.Replace(good, `"Id":"a"`, `"Id":"a","Period":60`, 1)), "ValidationError", "goes with an Expression"},
		{"GetMetricData", data(times, strings.Replace(good, `"Id":"a"`, `"Id":"a","AccountId":"000000000001"`, 1)), "ValidationError", "AccountId"},
		{"GetMetricData", data(times, strings.Replace(good, `"Id":"a"`, `"Id":"a","Label":"${MAX}"`, 1)), "ValidationError", "dynamic"},
		{"GetMetricData", data(times, stat(`"Period":7,"Stat":"Sum"`)), "ValidationError", "multiple of 60"},
		{"GetMetricData", data(times, stat(`"Period":90,"Stat":"Sum"`)), "ValidationError", "multiple of 60"},
		{"GetMetricData", data(times, stat(`"Period":-60,"Stat":"Sum"`)), "ValidationError", "multiple of 60"},
		{"GetMetricData", data(times, stat(`"Period":2147483640,"Stat":"Sum"`)), "ValidationError", "Period"},
		{"GetMetricData", data(times, stat(`"Stat":"Sum"`)), "ValidationError", "MetricStat.Period is required"},
		{"GetMetricData", data(times, stat(`"Period":60`)), "ValidationError", "MetricStat.Stat is required"},
		{"GetMetricData", data(times, stat(`"Period":60,"Stat":"Median"`)), "ValidationError", "not a valid statistic"},
		{"GetMetricData", data(times, stat(`"Period":60,"Stat":"p99.9"`)), "ValidationError", `"p99.9" for parameter MetricDataQueries.member.1.MetricStat.Stat`},
		{"GetMetricData", data(times, stat(`"Period":60,"Stat":"TM(10%:90%)"`)), "ValidationError", "not supported"},
		{"GetMetricData", data(times, stat(`"Period":60,"Stat":"Sum","Unit":"Furlongs"`)), "ValidationError", "is not a unit"},
		{"GetMetricData", data(times, strings.Replace(good, `"m"`, `"m\u0007"`, 1)), "ValidationError", "printable"},
		{"GetMetricData", data(times, strings.Replace(good, `"MetricName"`, `"Metric"`, 1)), "ValidationError", "MetricName is required"},
		{"GetMetricData", data(times, `{"Id":"e","Expression":"1+1"}`), "ValidationError", "must be a metric"},
		{"GetMetricData", data(times, good+`,{"Id":"e","Expression":" "}`), "ValidationError", "must not be empty"},
		{"GetMetricData", data(times, good+`,{"Id":"e","Expression":"SUM(a)"}`), "ValidationError", "The expression gives a number"},
		{"GetMetricData", data(times, good+`,{"Id":"e","Expression":"a +"}`), "ValidationError", "Error in expression 'e' [Expected a number, an id or a function, found the end, at character 4]"},
		{"GetMetricData", data(times, good+`,{"Id":"e","Expression":"SEARCH('x','Sum',60)"}`), "ValidationError", "SEARCH is not supported"},
		{"GetMetricData", data(`"StartTime":0,"EndTime":253402300799`, good+`,{"Id":"e","Expression":"FILL(a,0)"}`), "ValidationError", "datapoints"},
		{"GetMetricData", data(times, good+`,{"Id":"e","Expression":"a*2","Period":300}`), "ValidationError", "other than the metrics' own"},
		{"GetMetricData", data(times, good+`,{"Id":"e","Expression":"a*2","Period":7}`), "ValidationError", "multiple of 60"},

		{"GetMetricStatistics", statistics(`"StartTime":1795417200,"EndTime":1795503660,"Period":60,"Statistics":["Sum"]`), "InvalidParameterCombination", "You have requested up to 1441 datapoints, which exceeds the limit of 1440."},
		{"GetMetricStatistics", statistics(`"StartTime":0,"EndTime":253402300799,"Period":60,"Statistics":["Sum"]`), "InvalidParameterCombination", "exceeds the limit"},
		{"GetMetricStatistics", statistics(`"StartTime":1795503660,"EndTime":1795417200,"Period":60,"Statistics":["Sum"]`), "InvalidParameterValue", "StartTime must be less"},
		{"GetMetricStatistics", statistics(times + `,"Period":7,"Statistics":["Sum"]`), "InvalidParameterValue", "multiple of 60"},
		{"GetMetricStatistics", statistics(times + `,"Statistics":["Sum"]`), "MissingParameter", "Period is required"},
		{"GetMetricStatistics", statistics(times + `,"Period":60`), "MissingParameter", "Statistics is required"},
		{"GetMetricStatistics", statistics(times + `,"Period":60,"Statistics":["Sum","Sum","Sum","Sum","Sum","Sum"]`), "InvalidParameterValue", "greater than 5"},
		{"GetMetricStatistics", statistics(times + `,"Period":60,"Statistics":["sum"]`), "InvalidParameterValue", "not a valid statistic"},
		{"GetMetricStatistics", statistics(times + `,"Period":60,"ExtendedStatistics":["p90"]`), "InvalidParameterValue", "ExtendedStatistics"},
		{"GetMetricStatistics", statistics(times + `,"Period":60,"ExtendedStatistics":["q90"]`), "InvalidParameterValue", "not a valid statistic"},
		{"GetMetricStatistics", statistics(times + `,"Period":60,"Statistics":["Sum"],"Unit":"x"`), "InvalidParameterValue", "is not a unit"},
		{"GetMetricStatistics", `{"MetricName":"m",` + times + `,"Period":60,"Statistics":["Sum"]}`, "MissingParameter", "Namespace is required"},

		{"ListMetrics", `{"IncludeLinkedAccounts":true}`, "InvalidParameterValue", "other accounts"},
		{"ListMetrics", `{"OwningAccount":"000000000001"}`, "InvalidParameterValue", "other accounts"},
		{"ListMetrics", `{"RecentlyActive":"PT1H"}`, "InvalidParameterValue", "PT3H"},
		{"ListMetrics", `{"Namespace":""}`, "InvalidParameterValue", "must not be empty"},
		{"ListMetrics", `{"Dimensions":[{"Value":"x"}]}`, "MissingParameter", "Dimensions.member.1.Name"},
		{"ListMetrics", `{"Dimensions":[{"Name":"x","Value":""}]}`, "InvalidParameterValue", "must not be empty"},
		{"ListMetrics", `{"Dimensions":[` + strings.Repeat(`{"Name":"x"},`, 30) + `{"Name":"x"}]}`, "InvalidParameterValue", "greater than 30"},

		{"PutMetricData", `{"MetricData":[{"MetricName":"m","Value":1}]}`, "MissingParameter", "Namespace"},
		{"PutMetricData", `{"Namespace":"N"}`, "MissingParameter", "MetricData"},
		{"PutMetricData", `{"Namespace":"N","MetricData":[]}`, "MissingParameter", "MetricData"},
		{"PutMetricData", `{"Namespace":"N","EntityMetricData":[{}]}`, "InvalidParameterValue", "EntityMetricData is not supported"},
		{"PutMetricData", put(strings.Repeat(`{"MetricName":"m","Value":1},`, 1000) + `{"MetricName":"m","Value":1}`), "InvalidParameterValue", "greater than 1000"},
		{"PutMetricData", `{"Namespace":"AWS/ECR","MetricData":[{"MetricName":"RepositoryPullCount","Value":1}]}`, "InvalidParameterValue", "reserved"},
		{"PutMetricData", `{"Namespace":"Berth","MetricData":[{"MetricName":"PullCount","Value":1}]}`, "InvalidParameterValue", "reserved"},
		{"PutMetricData", `{"Namespace":":N","MetricData":[{"MetricName":"m","Value":1}]}`, "InvalidParameterValue", "Namespace"},
		{"PutMetricData", put(`{"Value":1}`), "MissingParameter", "MetricData.member.1.MetricName"},
		{"PutMetricData", put(`{"MetricName":"m"}`), "MissingParameter", "Value, Values or StatisticValues"},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"Values":[1]}`), "InvalidParameterCombination", "MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive"},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"Counts":[1]}`), "InvalidParameterCombination", "Counts goes with"},
		{"PutMetricData", put(`{"MetricName":"m","Values":[]}`), "MissingParameter", "Values"},
		{"PutMetricData", put(`{"MetricName":"m","Values":[1,2],"Counts":[1]}`), "InvalidParameterValue", "same size: 2 and 1"},
		{"PutMetricData", put(`{"MetricName":"m","Values":[1,2],"Counts":[1,-1]}`), "InvalidParameterValue", "less than 0"},
		{"PutMetricData", put(`{"MetricName":"m","Values":[1],"Counts":[0]}`), "InvalidParameterValue", "SampleCount"},
		{"PutMetricData", put(`{"MetricName":"m","Values":[` + strings.Repeat("1,", 150) + `1]}`), "InvalidParameterValue", "greater than 150"},
		{"PutMetricData", put(`{"MetricName":"m","Value":"NaN"}`), "InvalidParameterValue", "finite"},
		{"PutMetricData", put(`{"MetricName":"m","Value":1e300}`), "InvalidParameterValue", "2^360"},
		{"PutMetricData", put(`{"MetricName":"m","StatisticValues":{"SampleCount":1,"Sum":1,"Minimum":1}}`), "MissingParameter", "StatisticValues"},
		{"PutMetricData", put(`{"MetricName":"m","StatisticValues":{"SampleCount":1,"Sum":1,"Minimum":2,"Maximum":1}}`), "InvalidParameterValue", "Minimum"},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"StorageResolution":1}`), "InvalidParameterValue", "StorageResolution of 1"},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"StorageResolution":5}`), "InvalidParameterValue", "StorageResolution"},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"Unit":"Furlongs"}`), "InvalidParameterValue", "Unit"},
		// The server's clock says 2026-11-24 12:00.
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"Timestamp":1794311999}`), "InvalidParameterValue", "two weeks"},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"Timestamp":1795528801}`), "InvalidParameterValue", "two hours"},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"Dimensions":[{"Name":"x"}]}`), "MissingParameter", "Dimensions.member.1"},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"Dimensions":[{"Name":"x","Value":"1"},{"Name":"x","Value":"2"}]}`), "InvalidParameterValue", "twice"},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"Dimensions":[{"Name":":x","Value":"1"}]}`), "InvalidParameterValue", "colon"},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"Dimensions":[` + strings.Repeat(`{"Name":"x","Value":"1"},`, 30) + `{"Name":"x","Value":"1"}]}`), "InvalidParameterValue", "at most 30"},
		{"PutMetricData", named("a\tb"), "InvalidParameterValue", "printable"},
		{"PutMetricData", named("\x1b[31m"), "MalformedInput", "escape"}, // Go's quoting is no JSON
		{"PutMetricData", put(`{"MetricName":"\u001b[31m","Value":1}`), "InvalidParameterValue", "printable"},
		{"PutMetricData", named(strings.Repeat("m", 256)), "InvalidParameterValue", "255"},

		{"PutDashboard", `{}`, "UnsupportedOperation", "monitoring:PutDashboard exists at Amazon"},
		{"GetDashboard", `{}`, "UnsupportedOperation", "GetDashboard"},
		{"ListDashboards", `{}`, "UnsupportedOperation", "ListDashboards"},
		{"DeleteDashboards", `{}`, "UnsupportedOperation", "DeleteDashboards"},
		{"PutAnomalyDetector", `{}`, "UnsupportedOperation", "PutAnomalyDetector"},
	} {
		status, code, message := s.post(t, rootKey, tt.operation, tt.body)
		if status != 400 || code != tt.code || !strings.Contains(message, tt.words) {
			t.Errorf("%s %.120s: %d %s %s, want %s: %s", tt.operation, tt.body, status, code, message, tt.code, tt.words)
		}
	}
	// What is just within bounds is taken.
	for _, tt := range []struct{ operation, body string }{
		{"GetMetricStatistics", statistics(`"StartTime":1795417200,"EndTime":1795503600,"Period":60,"Statistics":["Sum"]`)},
		{"GetMetricData", data(`"StartTime":0,"EndTime":253402300799`, good+`,{"Id":"e","Expression":"a*2"}`)},
		{"GetMetricData", data(times+`,"MaxDatapoints":100800,"LabelOptions":{"Timezone":"-0500"},"ScanBy":"TimestampAscending"`, good+`,{"Id":"e","Expression":"a*2","Period":60}`)},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"Timestamp":1794312000}`)},
		{"PutMetricData", put(`{"MetricName":"m","Value":1,"Timestamp":1795528800}`)},
	} {
		if status, code, message := s.post(t, rootKey, tt.operation, tt.body); status != 200 {
			t.Errorf("%s %.120s: %d %s %s", tt.operation, tt.body, status, code, message)
		}
	}
}
