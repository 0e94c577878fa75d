package awswire_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
)

// ecrMembers are ECR's members that break JSON's naming rule.
func ecrMembers() map[string]string { return map[string]string{"Tag.Key": "Key", "Tag.Value": "Value"} }

func stsMembers() map[string]string { return map[string]string{"PolicyDescriptorType.Arn": "arn"} }

// snapshot is one golden request or response: what stands above its body, and the body.
type snapshot struct {
	status    int    // of a response
	operation string // in X-Amz-Target; Query has none
	body      string
}

// snapshots finds the golden requests or responses that the SDK's authors ship with a service's module.
func snapshots(t testing.TB, service, folder string) map[string]snapshot {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/"+service).Output()
	if err != nil {
		t.Fatalf("finding the SDK's module for %s: %v", service, err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), folder, "*.snap"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the SDK's module for %s has no %s: %v", service, folder, err)
	}
	found := map[string]snapshot{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, body, ok := strings.Cut(strings.TrimPrefix(string(text), "POST /\n"), "\n\n")
		if rest, again := strings.CutPrefix(body, "Content-Type"); again { // requests have an empty line more
			head, body, ok = strings.Cut(rest, "\n\n")
		}
		if !ok {
			t.Fatalf("%s has no body:\n%s", file, text)
		}
		s := snapshot{body: strings.TrimSpace(body)}
		lines := strings.Split(head, "\n")
		s.status, _ = strconv.Atoi(lines[0])
		for _, line := range lines {
			if target, ok := strings.CutPrefix(line, "X-Amz-Target: "); ok {
				_, s.operation, _ = strings.Cut(target, ".")
			}
		}
		found[filepath.Base(file)] = s
	}
	return found
}

// modelledErrors names the errors that ECR's model has, from the SDK's own list of them.
func modelledErrors() []string {
	var names []string
	for _, entry := range ecr.TypeRegistry.Entries {
		if err, ok := entry.New().(smithy.APIError); ok {
			names = append(names, err.ErrorCode())
		}
	}
	slices.Sort(names)
	return names
}

// operations maps the operations of an SDK's client to their Input and Output types.
func operations(client any) (inputs, outputs map[string]reflect.Type) {
	inputs, outputs = map[string]reflect.Type{}, map[string]reflect.Type{}
	c := reflect.TypeOf(client)
	for m := range c.Methods() {
		// (receiver, context, input, options...) (output, error)
		if m.Type.NumIn() != 4 || m.Type.NumOut() != 2 || m.Type.In(2).Kind() != reflect.Pointer {
			continue
		}
		inputs[m.Name], outputs[m.Name] = m.Type.In(2).Elem(), m.Type.Out(0).Elem()
	}
	return inputs, outputs
}

// fill sets everything in v the way the SDK's snapshots are filled; an enumeration gets its first value.
func fill(v reflect.Value, name string, depth int) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
		return
	case depth > 20:
		return
	}
	switch v.Kind() {
	case reflect.String:
		if values := v.MethodByName("Values"); values.IsValid() {
			v.Set(values.Call(nil)[0].Index(0))
			return
		}
		v.SetString("__" + strings.ToUpper(name[:1]) + name[1:] + "__")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name, depth+1)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("blob"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), "Member", depth+1)
		}
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, "Value", depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key0").Convert(v.Type().Key()), value)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "ResultMetadata" {
				fill(v.Field(i), f.Name, depth+1)
			}
		}
	}
}

// unfilled lists the members of v that were left empty, so that a round trip cannot pass by dropping one.
func unfilled(v reflect.Value, path string) []string {
	var empty []string
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return []string{path}
		}
		return unfilled(v.Elem(), path)
	case reflect.Slice, reflect.Map, reflect.String:
		if v.Len() == 0 {
			return []string{path}
		}
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
			return unfilled(v.Index(0), path+"[0]")
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return nil
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "ResultMetadata" {
				empty = append(empty, unfilled(v.Field(i), path+"."+f.Name)...)
			}
		}
	}
	return empty
}

// TestECRSnapshots reads every golden request into the operation's Input, and every golden response into
// its Output, and writes it again: the bytes must be the SDK's.
func TestECRSnapshots(t *testing.T) {
	t.Parallel()
	codec := awswire.NewJSONCodec(ecrMembers())
	inputs, outputs := operations(&ecr.Client{})
	check := func(t *testing.T, name string, typ reflect.Type, s snapshot) {
		t.Helper()
		if typ == nil || s.operation != name {
			t.Fatalf("a snapshot of %s for %s, whose type in the SDK is %v", s.operation, name, typ)
		}
		golden := s.body
		v, want := reflect.New(typ), reflect.New(typ)
		if err := codec.DecodeJSON([]byte(golden), v.Interface()); err != nil {
			t.Fatalf("decoding into %s: %v\n%s", typ, err, golden)
		}
		fill(want.Elem(), "x", 0)
		if diff := cmp.Diff(want.Interface(), v.Interface(), unexported()); diff != "" {
			t.Errorf("decoding into %s (-what the SDK had +ours):\n%s", typ, diff)
		}
		if empty := unfilled(v.Elem(), typ.Name()); len(empty) > 0 {
			t.Errorf("decoding into %s left out %v\n%s", typ, empty, golden)
		}
		got, err := codec.EncodeJSON(nil, v.Interface())
		if err != nil {
			t.Fatalf("encoding %s: %v", typ, err)
		}
		if diff := cmp.Diff(golden, string(got)); diff != "" {
			t.Errorf("encoding %s again (-SDK's +ours):\n%s", typ, diff)
		}
	}
	seen := 0
	for file, golden := range snapshots(t, "ecr", "request_snapshot") {
		name := strings.TrimSuffix(file, ".request.snap")
		seen++
		t.Run("request "+name, func(t *testing.T) {
			t.Parallel()
			check(t, name, inputs[name], golden)
		})
	}
	for file, golden := range snapshots(t, "ecr", "response_snapshot") {
		name, ok := strings.CutSuffix(file, ".response.snap")
		if !ok {
			continue // an error: see TestECRErrorSnapshots
		}
		seen++
		t.Run("response "+name, func(t *testing.T) {
			t.Parallel()
			check(t, name, outputs[name], golden)
			if golden.status != http.StatusOK {
				t.Errorf("the SDK's answer to %s is HTTP %d, Berth's are 200", name, golden.status)
			}
		})
	}
	if want := 2 * len(inputs); seen != want {
		t.Errorf("%d snapshots for %d operations, want one request and one response for each", seen, len(inputs))
	}
}

// TestECRErrorSnapshots answers with every golden error: the bodies must say the same, and the SDK must make
// the typed error of it.
func TestECRErrorSnapshots(t *testing.T) {
	t.Parallel()
	golden := map[string]snapshot{}
	for file, s := range snapshots(t, "ecr", "response_snapshot") {
		if name, ok := strings.CutSuffix(file, ".error.snap"); ok {
			golden[name] = s
		}
	}
	if diff := cmp.Diff(modelledErrors(), slices.Sorted(maps.Keys(golden))); diff != "" {
		t.Errorf("the errors of the SDK's types and those with a snapshot (-types +snapshots):\n%s", diff)
	}
	service := toyECR(map[string]awswire.Operation{
		// The policy's text says which error is wanted.
		"SetRepositoryPolicy": awswire.Op(func(_ context.Context, _ awswire.Call, in *ecr.SetRepositoryPolicyInput) (*ecr.SetRepositoryPolicyOutput, error) {
			return nil, errors.New(*in.PolicyText)
		}),
	})
	service.Exceptions = func(err error) (awswire.Exception, bool) {
		e := awswire.Exception{Code: err.Error(), Status: golden[err.Error()].status}
		if unmarshal := json.Unmarshal([]byte(golden[e.Code].body), &e.Members); unmarshal != nil {
			return e, false
		}
		e.Message, _ = e.Members["message"].(string)
		delete(e.Members, "message")
		delete(e.Members, "__type")
		return e, true
	}
	h := serve(t, service)
	for name, want := range golden {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, header, got := h.send(t, "POST", "/", target("SetRepositoryPolicy"), `{"policyText":"`+name+`"}`, "ecr")
			var wantJSON, gotJSON any
			if err := errors.Join(json.Unmarshal([]byte(want.body), &wantJSON), json.Unmarshal([]byte(got), &gotJSON)); err != nil {
				t.Fatalf("%v in\n%s\n%s", err, want.body, got)
			}
			if diff := cmp.Diff(wantJSON, gotJSON); diff != "" || code != want.status || header.Get("X-Amzn-Errortype") != name {
				t.Errorf("%d %v (-SDK's +ours):\n%s", code, header, diff)
			}
			_, err := h.ecr().SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: &name, PolicyText: &name})
			if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != name || strings.Contains(fmt.Sprintf("%T", api), "Generic") {
				t.Errorf("the SDK makes %T of it: %v", api, err)
			}
		})
	}
}

// TestECRTypesFillAndReturn writes every Input and Output with all members set, and reads it back.
func TestECRTypesFillAndReturn(t *testing.T) {
	t.Parallel()
	codec := awswire.NewJSONCodec(ecrMembers())
	inputs, outputs := operations(&ecr.Client{})
	for name := range inputs {
		for _, typ := range []reflect.Type{inputs[name], outputs[name]} {
			want, got := reflect.New(typ), reflect.New(typ)
			fill(want.Elem(), "x", 0)
			body, err := codec.EncodeJSON(nil, want.Interface())
			if err != nil || !json.Valid(body) {
				t.Fatalf("encoding %s: %v\n%s", typ, err, body)
			}
			if err := codec.DecodeJSON(body, got.Interface()); err != nil {
				t.Fatalf("decoding %s: %v", typ, err)
			}
			if diff := cmp.Diff(want.Interface(), got.Interface(), unexported()); diff != "" {
				t.Errorf("%s there and back (-want +got):\n%s", typ, diff)
			}
		}
	}
}

// unexported leaves the SDK's own bookkeeping out of comparisons.
func unexported() cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool {
		f, ok := p.Last().(cmp.StructField)
		return ok && (f.Name() == "ResultMetadata" || f.Name() == "noSmithyDocumentSerde")
	}, cmp.Ignore())
}

// TestSTSSnapshots reads every golden form and compares it with what the SDK had put in.
func TestSTSSnapshots(t *testing.T) {
	t.Parallel()
	codec := awswire.NewQueryCodec(stsMembers())
	inputs, _ := operations(&sts.Client{})
	golden := snapshots(t, "sts", "request_snapshot")
	if len(golden) != len(inputs) {
		t.Errorf("%d snapshots for %d operations", len(golden), len(inputs))
	}
	for file, s := range golden {
		form, name := s.body, strings.TrimSuffix(file, ".request.snap")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, got := reflect.New(inputs[name]), reflect.New(inputs[name])
			fill(want.Elem(), "x", 0)
			if err := codec.DecodeForm(form, got.Interface()); err != nil {
				t.Fatalf("decoding %s: %v", form, err)
			}
			if diff := cmp.Diff(want.Interface(), got.Interface(), unexported(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s\nfrom %s", name, diff, form)
			}
		})
	}
}
