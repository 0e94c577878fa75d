package awswire_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
)

// FuzzDecodeECR reads bodies into the inputs and outputs of all of ECR's operations, with whatever is nested
// in them. It begins with the SDK's own requests and answers. What was read must be writable, and read the
// same again.
func FuzzDecodeECR(f *testing.F) {
	codec := awswire.NewJSONCodec(ecrMembers())
	inputs, outputs := operations(&ecr.Client{})
	names := slices.Sorted(maps.Keys(inputs))
	for _, folder := range []string{"request", "response"} {
		for file, s := range snapshots(f, "ecr", folder+"_snapshot") {
			name := strings.TrimSuffix(strings.TrimSuffix(file, ".snap"), "."+folder)
			if n, ok := slices.BinarySearch(names, name); ok {
				f.Add(uint8(n), folder == "response", []byte(s.body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, operation uint8, answer bool, body []byte) {
		name := names[int(operation)%len(names)]
		typ := inputs[name]
		if answer {
			typ = outputs[name]
		}
		first, second := reflect.New(typ), reflect.New(typ)
		text := string(body) // decoding consumes the body
		if err := codec.DecodeJSON(body, first.Interface()); err != nil {
			return
		}
		if strings.TrimSpace(text) != "" && !json.Valid([]byte(text)) {
			t.Errorf("%s took %q, which is no JSON", typ, text)
		}
		again, err := codec.EncodeJSON(nil, first.Interface())
		if err != nil || !json.Valid(again) {
			t.Fatalf("encoding what %q says to %s: %s, error %v", text, typ, again, err)
		}
		written := string(again)
		if err := codec.DecodeJSON(again, second.Interface()); err != nil {
			t.Fatalf("decoding our own %s into %s: %v", written, typ, err)
		}
		third, err := codec.EncodeJSON(nil, second.Interface())
		if diff := cmp.Diff(written, string(third)); err != nil || diff != "" {
			t.Errorf("%s: %q comes back otherwise, error %v:\n%s", typ, text, err, diff)
		}
	})
}
