package awswire_test

import (
	"context"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"maps"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"
	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// measurements is a toy CloudWatch whose PutMetricData keeps what came, and whose GetMetricData answers it.
func measurements(t *testing.T) (h *house, got func() *cloudwatch.PutMetricDataInput) {
	t.Helper()
	var last *cloudwatch.PutMetricDataInput
	return serve(t, toyCloudWatch(map[string]awswire.Operation{
		"PutMetricData": awswire.Op(func(_ context.Context, _ awswire.Call, in *cloudwatch.PutMetricDataInput) (*cloudwatch.PutMetricDataOutput, error) {
			last = in
			return nil, nil
		}),
		"GetMetricData": awswire.Op(func(context.Context, awswire.Call, *cloudwatch.GetMetricDataInput) (*cloudwatch.GetMetricDataOutput, error) {
			return &cloudwatch.GetMetricDataOutput{MetricDataResults: []types.MetricDataResult{{
				Id: aws.String("a"), StatusCode: types.StatusCodeComplete,
				Timestamps: []time.Time{time.Date(2026, 11, 26, 0, 0, 0, 250e6, time.UTC), time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)},
				Values:     []float64{1.5, -3},
			}}}, nil
		}),
		"DescribeAlarms": awswire.Op(func(context.Context, awswire.Call, *cloudwatch.DescribeAlarmsInput) (*cloudwatch.DescribeAlarmsOutput, error) {
			return nil, errors.New("the disk is on fire")
		}),
		"DeleteAlarms": awswire.Op(func(context.Context, awswire.Call, *cloudwatch.DeleteAlarmsInput) (*cloudwatch.DeleteAlarmsOutput, error) {
			return nil, fault.New(fault.AccessDenied, "You may not.")
		}),
	})), func() *cloudwatch.PutMetricDataInput { return last }
}

// TestTheSDKSpeaksCBOR sends a request in one piece, and one so large that the SDK compresses it.
func TestTheSDKSpeaksCBOR(t *testing.T) {
	t.Parallel()
	h, got := measurements(t)
	for _, n := range []int{1, 1000} {
		in := &cloudwatch.PutMetricDataInput{Namespace: aws.String("Wetter/Köln"), StrictEntityValidation: aws.Bool(false)}
		for i := range n {
			in.MetricData = append(in.MetricData, types.MetricDatum{
				MetricName: aws.String("rain"), Value: aws.Float64(float64(i) - 0.5), Unit: types.StandardUnitCount,
				Timestamp: aws.Time(time.Date(2026, 11, 26, 12, 0, 0, i*1e6, time.UTC)), StorageResolution: aws.Int32(60),
				Values: []float64{math.MaxFloat64, math.SmallestNonzeroFloat64, 0, 1e21}, Counts: []float64{1, 2, 3, 4},
				Dimensions: []types.Dimension{{Name: aws.String("Ort"), Value: aws.String("Köln <&>")}},
			})
		}
		if _, err := h.cloudwatch().PutMetricData(t.Context(), in); err != nil {
			t.Fatalf("PutMetricData of %d: %v\n%s", n, err, h.log.String())
		}
		if diff := cmp.Diff(in, got(), unexported()); diff != "" {
			t.Errorf("PutMetricData of %d (-sent +received):\n%s", n, diff)
		}
	}
	out, err := h.cloudwatch().GetMetricData(t.Context(), &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(time.Unix(0, 0)), EndTime: aws.Time(time.Unix(60, 0)), MetricDataQueries: []types.MetricDataQuery{},
	})
	if err != nil || len(out.MetricDataResults) != 1 {
		t.Fatalf("GetMetricData: %v, %v", out, err)
	}
	r := out.MetricDataResults[0]
	if !r.Timestamps[0].Equal(time.Date(2026, 11, 26, 0, 0, 0, 250e6, time.UTC)) || r.Timestamps[1].Year() != 1960 || !slices.Equal(r.Values, []float64{1.5, -3}) {
		t.Errorf("GetMetricData gave %v %v", r.Timestamps, r.Values)
	}
}

// TestNumbersAreWrittenAsAmazonDoes holds that eight has a point, which shell scripts compare.
func TestNumbersAreWrittenAsAmazonDoes(t *testing.T) {
	t.Parallel()
	h := serve(t, toyCloudWatch(map[string]awswire.Operation{
		"GetMetricData": awswire.Op(func(context.Context, awswire.Call, *cloudwatch.GetMetricDataInput) (*cloudwatch.GetMetricDataOutput, error) {
			return &cloudwatch.GetMetricDataOutput{MetricDataResults: []types.MetricDataResult{{Values: []float64{8, -3, 0, 1.5, 1e30, 1e-9, math.NaN(), math.Inf(-1)}}}}, nil
		}),
	}))
	header := http.Header{"X-Amz-Target": {granite + ".GetMetricData"}, "Content-Type": {"application/x-amz-json-1.0"}}
	if _, _, answer := h.send(t, "POST", "/", header, "{}", "monitoring"); answer != `{"MetricDataResults":[{"Values":[8.0,-3.0,0.0,1.5,1e+30,1e-09,"NaN","-Infinity"]}]}` {
		t.Errorf("in JSON: %s", answer)
	}
	if _, _, answer := h.send(t, "POST", "/", form(), "Action=GetMetricData&Version=2010-08-01", "monitoring"); !strings.Contains(answer, "<member>8.0</member><member>-3.0</member><member>0.0</member><member>1.5</member><member>1e+30</member>") {
		t.Errorf("in Query: %s", answer)
	}
}

// TestOneServiceInThreeProtocols asks the same of each protocol.
func TestOneServiceInThreeProtocols(t *testing.T) {
	t.Parallel()
	h, got := measurements(t)
	at := func(operation string) string { return "/service/" + granite + "/operation/" + operation }
	json := func(operation string) http.Header {
		return http.Header{"X-Amz-Target": {granite + "." + operation}, "Content-Type": {"application/x-amz-json-1.0"}, "X-Amzn-Query-Mode": {"true"}}
	}
	body, err := cbor.Marshal(map[string]any{"Namespace": "N", "MetricData": []any{map[string]any{"MetricName": "m", "Value": 2}}})
	if err != nil {
		t.Fatal(err)
	}
	want := &cloudwatch.PutMetricDataInput{Namespace: aws.String("N"), MetricData: []types.MetricDatum{{MetricName: aws.String("m"), Value: aws.Float64(2)}}}
	for name, tt := range map[string]struct {
		path   string
		header http.Header
		body   string
		answer string
	}{
		"JSON":  {"/", json("PutMetricData"), `{"Namespace":"N","MetricData":[{"MetricName":"m","Value":2}]}`, "{}"},
		"CBOR":  {at("PutMetricData"), rpc(), string(body), "\xbf\xff"},
		"Query": {"/", form(), "Action=PutMetricData&Version=2010-08-01&Namespace=N&MetricData.member.1.MetricName=m&MetricData.member.1.Value=2", "<PutMetricDataResponse xmlns="},
	} {
		code, header, answer := h.send(t, "POST", tt.path, tt.header, tt.body, "monitoring")
		if diff := cmp.Diff(want, got(), unexported()); code != 200 || !strings.HasPrefix(answer, tt.answer) || diff != "" {
			t.Errorf("%s: %d %v %q (-want +received):\n%s", name, code, header, answer, diff)
		}
		*got() = cloudwatch.PutMetricDataInput{}
	}
	for _, tt := range []struct{ operation, code, query, side string }{
		{"DescribeAlarms", "InternalServiceFault", "InternalServiceError", "Receiver"},
		{"DeleteAlarms", "AccessDeniedException", "AccessDenied", "Sender"},
		{"PutDashboard", "UnsupportedOperationException", "UnsupportedOperation", "Sender"},
		{"Nothing", "UnknownOperationException", "InvalidAction", "Sender"},
	} {
		code, header, answer := h.send(t, "POST", "/", json(tt.operation), "{}", "monitoring")
		if header.Get("X-Amzn-Query-Error") != tt.query+";"+tt.side || !strings.Contains(answer, `"__type":"`+tt.code+`"`) {
			t.Errorf("%s in JSON: %d %v %s", tt.operation, code, header, answer)
		}
		code, header, answer = h.send(t, "POST", at(tt.operation), rpc(), "", "monitoring")
		decoded, _ := anyCBOR(t, []byte(answer)).(map[any]any)
		if header.Get("X-Amzn-Query-Error") != tt.query+";"+tt.side || decoded["__type"] != tt.code {
			t.Errorf("%s in CBOR: %d %v %v", tt.operation, code, header, decoded)
		}
		code, header, answer = h.send(t, "POST", "/", form(), "Action="+tt.operation+"&Version=2010-08-01", "monitoring")
		var e struct {
			Type string `xml:"Error>Type"`
			Code string `xml:"Error>Code"`
		}
		if err := xml.Unmarshal([]byte(answer), &e); err != nil || e.Code != tt.query || e.Type != tt.side || header.Get("X-Amzn-Errortype") != tt.query || header.Get("X-Amzn-Query-Error") != "" {
			t.Errorf("%s in Query: %d %v %+v", tt.operation, code, header, e)
		}
	}
	_, err = h.cloudwatch().DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"a"}})
	if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "AccessDenied" {
		t.Errorf("the SDK makes %v of a refusal", err)
	}
}

func TestCBORIsRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	h, _ := measurements(t)
	put := "/service/" + granite + "/operation/PutMetricData"
	with := func(name, value string) http.Header {
		header := rpc()
		header[name] = []string{value}
		return header
	}
	for name, tt := range map[string]struct {
		method, path string
		header       http.Header
		body         string
		service      []string
		code         string
	}{
		"unsigned":         {"POST", put, rpc(), "\xa0", nil, "MissingAuthenticationTokenException"},
		"another service":  {"POST", put, rpc(), "\xa0", []string{"ecr"}, "InvalidSignatureException"},
		"no protocol":      {"POST", put, http.Header{"Content-Type": {"application/cbor"}}, "\xa0", []string{"monitoring"}, "SerializationException"},
		"another protocol": {"POST", put, with("Smithy-Protocol", "rpc-v2-json"), "\xa0", []string{"monitoring"}, "SerializationException"},
		"another type":     {"POST", put, with("Content-Type", "application/json"), "{}", []string{"monitoring"}, "SerializationException"},
		"no such service":  {"POST", "/service/Nothing/operation/PutMetricData", rpc(), "\xa0", []string{"monitoring"}, "UnknownOperationException"},
		"no operation":     {"POST", "/service/" + granite, rpc(), "\xa0", []string{"monitoring"}, "UnknownOperationException"},
		"GET":              {"GET", put, rpc(), "", []string{"monitoring"}, "UnknownOperationException"},
		"too large":        {"POST", put, rpc(), strings.Repeat("\xa0", 1<<20+1), []string{"monitoring"}, "RequestEntityTooLargeException"},
		"no CBOR":          {"POST", put, rpc(), "{}", []string{"monitoring"}, "SerializationException"},
	} {
		code, header, answer := h.send(t, tt.method, tt.path, tt.header, tt.body, tt.service...)
		decoded, _ := anyCBOR(t, []byte(answer)).(map[any]any)
		if code < 400 || code > 499 || decoded["__type"] != tt.code || header.Get("Content-Type") != "application/cbor" {
			t.Errorf("%s: %d %v %v, want %s", name, code, header, decoded, tt.code)
		}
	}
}

// TestCBORForms reads each of the forms that a value may have.
func TestCBORForms(t *testing.T) {
	t.Parallel()
	type inner struct{ A *string }
	type form struct {
		S *string
		B *bool
		I *int32
		L *int64
		F *float64
		T *time.Time
		X []byte
		N []string
		M map[string]int32
		O []inner
	}
	second := time.Unix(946684800, 0).UTC()
	codec := awswire.NewQueryCodec(nil)
	for text, want := range map[string]form{
		"":                               {},
		"a0":                             {},
		"bfff":                           {},
		"a1 6153 6161":                   {S: aws.String("a")},
		"b800":                           {},
		"ba00000001 6153 7801 61":        {S: aws.String("a")}, // sizes in more bytes than they need
		"a1 6153 7f 6161 60 6162ff":      {S: aws.String("ab")},
		"a1 7f 6153 ff 60":               {S: aws.String("")},
		"a1 6153 f6":                     {},
		"a1 6153 f7":                     {},
		"a2 6142 f5 6149 20":             {B: aws.Bool(true), I: aws.Int32(-1)},
		"a1 6142 f4":                     {B: aws.Bool(false)},
		"a1 6149 f9 3c00":                {I: aws.Int32(1)},
		"a1 6149 1b 000000007fffffff":    {I: aws.Int32(math.MaxInt32)},
		"a1 6149 3a 7fffffff":            {I: aws.Int32(math.MinInt32)},
		"a1 614c 3b 7fffffffffffffff":    {L: aws.Int64(math.MinInt64)},
		"a1 6146 01":                     {F: aws.Float64(1)},
		"a1 6146 29":                     {F: aws.Float64(-10)},
		"a1 6146 f9 c400":                {F: aws.Float64(-4)},
		"a1 6146 f9 0001":                {F: aws.Float64(math.Ldexp(1, -24))},
		"a1 6146 f9 7c00":                {F: aws.Float64(math.Inf(1))},
		"a1 6146 fa 3fc00000":            {F: aws.Float64(1.5)},
		"a1 6146 fb 3ff8000000000000":    {F: aws.Float64(1.5)},
		"a1 6154 c1 1a 386d4380":         {T: &second},
		"a1 6154 d801 1a 386d4380":       {T: &second},
		"a1 6154 c1 fb 41cc36a1c0000000": {T: &second},
		"a1 6158 42 0001":                {X: []byte{0, 1}},
		"a1 6158 5f 41 00 41 01 ff":      {X: []byte{0, 1}},
		"a1 614e 80":                     {N: []string{}},
		"a1 614e 9f 6161 6162 ff":        {N: []string{"a", "b"}},
		"a1 614d a1 616b 05":             {M: map[string]int32{"k": 5}},
		"a1 614d bf 616b 05 ff":          {M: map[string]int32{"k": 5}},
		"a1 614f 82 a0 a1 6141 6161":     {O: []inner{{}, {aws.String("a")}}},
		// What nobody knows is dropped: a tag, nested lists, simple values.
		"a2 617a c2 82 9f 01 ff e0 6153 6161": {S: aws.String("a")},
	} {
		body, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		var got form
		if err := codec.DecodeCBOR(body, &got); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestMalformedCBOR(t *testing.T) {
	t.Parallel()
	type form struct {
		S *string
		B *bool
		I *int32
		F *float64
		T *time.Time
		X []byte
		N []string
		M map[string]string
		P []types.MetricDatum
	}
	deep := strings.Repeat("81", 40)
	for text, want := range map[string]string{
		"80":                             "expected a map, found a list",
		"ff":                             "found the end",
		"a1":                             "ends",
		"a1 6153":                        "ends",
		"bf 6153 6161":                   "ends",
		"a0 00":                          "1 bytes follow",
		"a2 6153 60 6153 60":             "S: the member is there twice",
		"a1 614d a2 6161 60 6161 60":     "M.a: the key is there twice",
		"a1 01 02":                       "expected a member name, found a whole number",
		"a1 6153 01":                     "S: expected a string, found a whole number",
		"a1 6153 4161":                   "expected a string, found bytes",
		"a1 6153 61ff":                   "not UTF-8",
		"a1 6153 7f 61c3 61a4 6101":      "ends",
		"a1 6153 7f 4161 ff":             "expected a piece of a string",
		"a1 6153 7f 7f 6161 ff ff":       "has pieces",
		"a1 6153 7b ffffffffffffffff":    "ends inside a string",
		"a1 6153 7c":                     "malformed",
		"a1 6142 00":                     "expected a boolean",
		"a1 6142 f6 00":                  "follow",
		"a1 6149 1a 80000000":            "32 bits",
		"a1 6149 f9 3e00":                "not a whole number",
		"a1 6149 1b ffffffffffffffff":    "out of range",
		"a1 6149 1f":                     "malformed",
		"a1 6149 6131":                   "expected a whole number, found a string",
		"a1 6146 6131":                   "expected a number, found a string",
		"a1 6146 c1 00":                  "found the tag 1",
		"a1 6154 1a 386d4380":            "expected a time, found a whole number",
		"a1 6154 c0 6161":                "which has the tag 1, found the tag 0",
		"a1 6154 c1 6161":                "expected seconds since 1970",
		"a1 6154 c1 f97e00":              "out of range",
		"a1 6154 c1 1b 7fffffffffffffff": "out of range",
		"a1 6158 6161":                   "expected bytes, found a string",
		"a1 614e 81 f6":                  "N[0]: expected a string, found null",
		"a1 614e 9b ffffffffffffffff":    "ends inside a list",
		"bb ffffffffffffffff":            "ends inside a list or map",
		"a1 617a " + deep + "00":         "deeper than 32",
		"a1 617a " + strings.Repeat("c1", 40) + "00": "deeper than 32",
		"a1 617a 81 ff": "found the end",
		"a1 6150 9f " + strings.Repeat("a0", 500_000) + " ff": "lists are larger",
	} {
		body, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		var got form
		err = awswire.NewQueryCodec(nil).DecodeCBOR(body, &got)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %v, want one that says %q", text, err, want)
		}
	}
}

// FuzzDecodeCloudWatch reads bodies into the inputs and outputs of all of CloudWatch's operations. It begins with the SDK's own.
// What was read is CBOR to another decoder too, must be writable, and read the same again.
func FuzzDecodeCloudWatch(f *testing.F) {
	codec := awswire.NewQueryCodec(nil)
	inputs, outputs := operations(&cloudwatch.Client{})
	names := slices.Sorted(maps.Keys(inputs))
	for _, folder := range []string{"request", "response"} {
		for file, s := range cborSnapshots(f, folder+"_snapshot") {
			if n, ok := slices.BinarySearch(names, strings.TrimSuffix(file, "."+folder+".snap")); ok {
				f.Add(uint8(n), folder == "response", s.body)
			}
		}
	}
	other, err := cbor.DecOptions{MaxNestedLevels: 64, UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, operation uint8, answer bool, body []byte) {
		name := names[int(operation)%len(names)]
		typ := inputs[name]
		if answer {
			typ = outputs[name]
		}
		first, second := reflect.New(typ), reflect.New(typ)
		if err := codec.DecodeCBOR(body, first.Interface()); err != nil {
			return
		}
		if len(body) > 0 && other.Wellformed(body) != nil {
			t.Errorf("%s took %x, which is no CBOR: %v", typ, body, other.Wellformed(body))
		}
		again, err := codec.EncodeCBOR(nil, first.Interface())
		if err != nil || other.Wellformed(again) != nil {
			t.Fatalf("encoding what %x says to %s: %x, error %v", body, typ, again, err)
		}
		if err := codec.DecodeCBOR(again, second.Interface()); err != nil {
			t.Fatalf("decoding our own %x into %s: %v", again, typ, err)
		}
		third, err := codec.EncodeCBOR(nil, second.Interface())
		if diff := cmp.Diff(again, third); err != nil || diff != "" {
			t.Errorf("%s: %x comes back otherwise, error %v:\n%s", typ, body, err, diff)
		}
	})
}
