package awswire_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/smithy-go"
	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
)

const granite = "GraniteServiceVersion20100801"

// cborSnapshot is a golden request or response in CBOR.
type cborSnapshot struct {
	first  string // POST /service/…, or the status
	header http.Header
	body   []byte
}

// cborSnapshots finds the golden requests or responses that the SDK's authors ship with CloudWatch's module, by file name.
func cborSnapshots(t testing.TB, folder string) map[string]cborSnapshot {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/cloudwatch").Output()
	if err != nil {
		t.Fatalf("finding the SDK's module for CloudWatch: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), folder, "*.snap"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the SDK's module for CloudWatch has no %s: %v", folder, err)
	}
	found := map[string]cborSnapshot{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, rest, _ := bytes.Cut(text, []byte("\n"))
		head, body, ok := bytes.Cut(bytes.TrimPrefix(rest, []byte("\n")), []byte("\n\n"))
		if !ok {
			t.Fatalf("%s has no body", file)
		}
		s := cborSnapshot{first: string(first), header: http.Header{}, body: body}
		for line := range strings.SplitSeq(string(head), "\n") {
			name, value, _ := strings.Cut(line, ": ")
			s.header.Add(name, value)
		}
		found[filepath.Base(file)] = s
	}
	return found
}

// anyCBOR is what a decoder that is not ours makes of CBOR.
func anyCBOR(t testing.TB, body []byte) any {
	t.Helper()
	var v any
	if len(body) == 0 {
		return map[any]any{}
	}
	if err := cbor.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %x", err, body)
	}
	return v
}

// hasUnion tells whether a type has a member that is a union anywhere, which Berth refuses.
func hasUnion(typ reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[typ] {
		return false
	}
	seen[typ] = true
	switch typ.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return hasUnion(typ.Elem(), seen)
	case reflect.Struct:
		for f := range typ.Fields() {
			if f.IsExported() && f.Name != "ResultMetadata" && hasUnion(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// TestCloudWatchSnapshots reads every golden request into the operation's Input, and every golden response into its Output, and
// writes it again: another decoder must find the same in what the SDK wrote and in what Berth does.
func TestCloudWatchSnapshots(t *testing.T) {
	t.Parallel()
	codec := awswire.NewQueryCodec(nil)
	inputs, outputs := operations(&cloudwatch.Client{})
	check := func(t *testing.T, typ reflect.Type, golden []byte) {
		t.Helper()
		v, want := reflect.New(typ), reflect.New(typ)
		err := codec.DecodeCBOR(bytes.Clone(golden), v.Interface())
		if hasUnion(typ, map[reflect.Type]bool{}) {
			if err == nil || !strings.Contains(err.Error(), "Evaluation") || !strings.Contains(err.Error(), "not supported") {
				t.Errorf("a union in %s: error %v, want one that says that it is not supported", typ, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("decoding into %s: %v\n%x", typ, err, golden)
		}
		fill(want.Elem(), "x", 0)
		if diff := cmp.Diff(want.Interface(), v.Interface(), unexported(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("decoding into %s (-what the SDK had +ours):\n%s", typ, diff)
		}
		got, err := codec.EncodeCBOR(nil, v.Interface())
		if err != nil {
			t.Fatalf("encoding %s: %v", typ, err)
		}
		if diff := cmp.Diff(anyCBOR(t, golden), anyCBOR(t, got)); diff != "" {
			t.Errorf("encoding %s again (-SDK's +ours):\n%s", typ, diff)
		}
	}
	seen := 0
	for file, golden := range cborSnapshots(t, "request_snapshot") {
		name := strings.TrimSuffix(file, ".request.snap")
		seen++
		t.Run("request "+name, func(t *testing.T) {
			t.Parallel()
			if golden.first != "POST /service/"+granite+"/operation/"+name {
				t.Errorf("the SDK sends %s", golden.first)
			}
			check(t, inputs[name], golden.body)
		})
	}
	for file, golden := range cborSnapshots(t, "response_snapshot") {
		name, ok := strings.CutSuffix(file, ".response.snap")
		if !ok {
			continue // an error: see TestCloudWatchErrorSnapshots
		}
		seen++
		t.Run("response "+name, func(t *testing.T) {
			t.Parallel()
			check(t, outputs[name], golden.body)
		})
	}
	if want := 2 * len(inputs); seen != want || want < 100 {
		t.Errorf("%d snapshots for %d operations, want one request and one response for each", seen, len(inputs))
	}
}

// toyCloudWatch is a CloudWatch in all of its protocols.
func toyCloudWatch(operations map[string]awswire.Operation) awswire.Service {
	return awswire.Service{
		Name: "monitoring", Protocol: awswire.JSON10, Further: []awswire.Protocol{awswire.CBOR, awswire.Query}, QueryCompatible: true,
		TargetPrefix: granite, Version: "2010-08-01", Namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
		Operations: operations, Known: []string{"PutDashboard"},
		Internal: awswire.Exception{Code: "InternalServiceFault", Query: "InternalServiceError", MessageMember: "Message"},
	}
}

func (h *house) cloudwatch() *cloudwatch.Client {
	return cloudwatch.New(cloudwatch.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(h.URL), RetryMaxAttempts: 1, RequestMinCompressSizeBytes: 10240,
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""),
	})
}

// TestCloudWatchErrorSnapshots answers with every golden error: the bodies must say the same, and the SDK must make the typed
// error of it, with Query's code.
func TestCloudWatchErrorSnapshots(t *testing.T) {
	t.Parallel()
	golden := map[string]cborSnapshot{}
	for file, s := range cborSnapshots(t, "response_snapshot") {
		if name, ok := strings.CutSuffix(file, ".error.snap"); ok {
			golden[name] = s
		}
	}
	var modelled []string
	for _, entry := range cloudwatch.TypeRegistry.Entries {
		if err, ok := entry.New().(smithy.APIError); ok {
			modelled = append(modelled, err.ErrorCode())
		}
	}
	slices.Sort(modelled)
	if diff := cmp.Diff(modelled, slices.Sorted(maps.Keys(golden))); diff != "" {
		t.Errorf("the errors of the SDK's types and those with a snapshot (-types +snapshots):\n%s", diff)
	}
	service := toyCloudWatch(map[string]awswire.Operation{
		// The alarm's name says which error is wanted.
		"SetAlarmState": awswire.Op(func(_ context.Context, _ awswire.Call, in *cloudwatch.SetAlarmStateInput) (*cloudwatch.SetAlarmStateOutput, error) {
			return nil, errors.New(*in.AlarmName)
		}),
	})
	service.Exceptions = func(err error) (awswire.Exception, bool) {
		e := awswire.Exception{Code: err.Error(), Query: "Q" + err.Error(), Members: map[string]any{}}
		s, ok := golden[e.Code]
		if !ok {
			return e, false
		}
		e.Status, _ = strconv.Atoi(s.first)
		for name, value := range anyCBOR(t, s.body).(map[any]any) {
			switch text, ok := value.(string); {
			case name == "Message" || name == "message":
				e.Message, e.MessageMember = text, name.(string)
			case ok && name != "__type":
				e.Members[name.(string)] = text
			case !ok:
				e.Members[name.(string)] = []struct{ DataPath, Message string }{{"__DataPath__", "__Message__"}, {"__DataPath__", "__Message__"}}
			}
		}
		return e, true
	}
	h := serve(t, service)
	for name, want := range golden {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := cbor.Marshal(map[string]string{"AlarmName": name})
			if err != nil {
				t.Fatal(err)
			}
			code, header, got := h.send(t, "POST", "/service/"+granite+"/operation/SetAlarmState", rpc(), string(body), "monitoring")
			if diff := cmp.Diff(anyCBOR(t, want.body), anyCBOR(t, []byte(got))); diff != "" || strconv.Itoa(code) != want.first {
				t.Errorf("%d %v (-SDK's +ours):\n%s", code, header, diff)
			}
			if header.Get("Smithy-Protocol") != want.header.Get("Smithy-Protocol") || header.Get("Content-Type") != want.header.Get("Content-Type") {
				t.Errorf("the answer's header is %v, want as in %v", header, want.header)
			}
			_, err = h.cloudwatch().SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: &name, StateReason: &name, StateValue: "OK"})
			if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "Q"+name || api.ErrorMessage() != "__Message__" || reflect.TypeOf(api) == reflect.TypeFor[*smithy.GenericAPIError]() {
				t.Errorf("the SDK makes %T of it: %v", api, err)
			}
		})
	}
}

// rpc is the header of a request in CBOR.
func rpc() http.Header {
	return http.Header{"Smithy-Protocol": {"rpc-v2-cbor"}, "Content-Type": {"application/cbor"}, "Accept": {"application/cbor"}, "X-Amzn-Query-Mode": {"true"}}
}
