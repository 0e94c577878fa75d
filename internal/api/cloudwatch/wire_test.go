package cloudwatch_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/fxamacker/cbor/v2"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/cloudwatch"
)

// form sends a request as older SDKs do, and reads the XML into v.
func (s *server) form(t *testing.T, v any, action string, members ...string) (status int) {
	t.Helper()
	values := url.Values{"Action": {action}, "Version": {"2010-08-01"}}
	for _, m := range members {
		name, value, _ := strings.Cut(m, "=")
		values.Set(name, value)
	}
	body := values.Encode()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), rootKey, req, hex.EncodeToString(sum[:]), "monitoring", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(text, v); err != nil {
		t.Fatalf("%s answered %s: %v", action, text, err)
	}
	return resp.StatusCode
}

// TestOlderSDKsSpeakQuery puts and reads in forms and XML.
func TestOlderSDKsSpeakQuery(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var nothing struct{}
	put := []string{
		"Namespace=Wetter", "MetricData.member.1.MetricName=rain", "MetricData.member.1.Timestamp=2026-11-24T11:00:00Z", "MetricData.member.1.Unit=Count",
		"MetricData.member.1.Values.member.1=2.5", "MetricData.member.1.Values.member.2=1", "MetricData.member.1.Counts.member.1=1", "MetricData.member.1.Counts.member.2=3",
		"MetricData.member.1.Dimensions.member.1.Name=Ort", "MetricData.member.1.Dimensions.member.1.Value=Berlin",
	}
	if status := s.form(t, &nothing, "PutMetricData", put...); status != 200 {
		t.Fatalf("PutMetricData: %d", status)
	}
	times := []string{"StartTime=2026-11-24T00:00:00Z", "EndTime=2026-11-24T12:00:00Z"}
	var statistics struct {
		Label  string `xml:"GetMetricStatisticsResult>Label"`
		Points []struct {
			Timestamp, Unit string
			Sum, Average    float64
		} `xml:"GetMetricStatisticsResult>Datapoints>member"`
	}
	s.form(t, &statistics, "GetMetricStatistics", append([]string{
		"Namespace=Wetter", "MetricName=rain", "Period=3600", "Statistics.member.1=Sum", "Statistics.member.2=Average", "Unit=Count",
		"Dimensions.member.1.Name=Ort", "Dimensions.member.1.Value=Berlin",
	}, times...)...)
	if p := statistics.Points; len(p) != 1 || p[0].Sum != 5.5 || p[0].Average != 1.375 || p[0].Timestamp != "2026-11-24T11:00:00Z" || p[0].Unit != "Count" || statistics.Label != "rain" {
		t.Errorf("GetMetricStatistics: %+v", statistics)
	}
	var data struct {
		Results []struct {
			ID     string    `xml:"Id"`
			Values []float64 `xml:"Values>member"`
		} `xml:"GetMetricDataResult>MetricDataResults>member"`
	}
	const q = "MetricDataQueries.member.1."
	s.form(t, &data, "GetMetricData", append([]string{
		q + "Id=a", q + "MetricStat.Metric.Namespace=Wetter", q + "MetricStat.Metric.MetricName=rain", q + "MetricStat.Period=60", q + "MetricStat.Stat=Sum",
		q + "MetricStat.Metric.Dimensions.member.1.Name=Ort", q + "MetricStat.Metric.Dimensions.member.1.Value=Berlin", "MetricDataQueries.member.2.Id=b", "MetricDataQueries.member.2.Expression=a*2",
	}, times...)...)
	if r := data.Results; len(r) != 2 || r[0].ID != "a" || !slices.Equal(r[0].Values, []float64{5.5}) || !slices.Equal(r[1].Values, []float64{11}) {
		t.Errorf("GetMetricData: %+v", data)
	}
	var e struct {
		Code string `xml:"Error>Code"`
	}
	if status := s.form(t, &e, "PutMetricData", "Namespace=AWS/ECR", "MetricData.member.1.MetricName=m", "MetricData.member.1.Value=1"); status != 400 || e.Code != "InvalidParameterValue" {
		t.Errorf("PutMetricData in the registry's own namespace: %d %s", status, e.Code)
	}
}

// FuzzServeCBOR sends any bytes to the operations about metrics. Whatever they are, the answer is CBOR, and no failure of the server's.
func FuzzServeCBOR(f *testing.F) {
	operations := slices.Sorted(maps.Keys(valid()))
	service := cloudwatch.New(cloudwatch.Config{Usage: memory{}, Now: func() time.Time { return noon }})
	handler, err := awswire.New(awswire.Config{Authenticator: everybody{}, Services: []awswire.Service{service}})
	if err != nil {
		f.Fatal(err)
	}
	at := cbor.Tag{Number: 1, Content: 1795500000.0}
	metric := map[string]any{"Namespace": "N", "MetricName": "m", "Dimensions": []any{map[string]any{"Name": "a", "Value": "b"}}}
	for i, in := range []any{
		map[string]any{"StartTime": at, "EndTime": cbor.Tag{Number: 1, Content: 1795503600}, "MetricDataQueries": []any{
			map[string]any{"Id": "a", "MetricStat": map[string]any{"Metric": metric, "Period": 60, "Stat": "Sum"}}, map[string]any{"Id": "e", "Expression": "SUM(METRICS())"},
		}},
		map[string]any{"Namespace": "N", "MetricName": "m", "StartTime": at, "EndTime": cbor.Tag{Number: 1, Content: 1795503600}, "Period": 60, "Statistics": []string{"Sum"}},
		map[string]any{"RecentlyActive": "PT3H", "Dimensions": []any{map[string]any{"Name": "a"}}},
		map[string]any{"Namespace": "N", "MetricData": []any{map[string]any{"MetricName": "m", "Values": []float64{1, 2}, "Counts": []any{1, 2.5}, "Timestamp": at}}},
	} {
		body, err := cbor.Marshal(in)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), body)
	}
	f.Fuzz(func(t *testing.T, operation uint8, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/service/GraniteServiceVersion20100801/operation/"+operations[int(operation)%len(operations)], strings.NewReader(string(body)))
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		r.Header.Set("Content-Type", "application/cbor")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge || cbor.Wellformed(w.Body.Bytes()) != nil {
			t.Errorf("%x is answered %d %x", body, w.Code, w.Body)
		}
	})
}
