package ecr_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// hostile are values that no client of good will sends, as they stand in JSON. The NUL is for PostgreSQL,
// which keeps it in no text.
func hostile() []string {
	long := strings.Repeat("x", 5000)
	deep := strings.Repeat(`[`, 200) + strings.Repeat(`]`, 200)
	return []string{
		`null`, `""`, `" "`, `"\u0000"`, `"a\u0000b"`, `"\ud800"`, "\"\xff\xfe\"", `"` + long + `"`, `"../../etc/passwd"`, `"' OR 1=1 --"`, `"%s%n"`, `"🚢"`,
		`0`, `-1`, `1.5`, `1e18`, `9223372036854775807`, `-9223372036854775808`, `true`, `[]`, `[null]`, `[""]`, `["\u0000"]`, `["a","a"]`,
		`{}`, `[{}]`, `[{"Key":"a\u0000b","Value":"c\u0000d"}]`, `[{"imageTag":"a\u0000b"}]`, `[{"imageDigest":"sha256:\u0000"}]`, `{"scanOnPush":null}`, deep,
	}
}

// TestNoInputIsTheServersFault puts every hostile value in the place of every member, also of those inside
// others: what a client sends is never an error of the server's, and the answer is one that the page tells of.
func TestNoInputIsTheServersFault(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		blobs, err := diskblob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s := newServerOver(t, db, blobs, false)
		s.create(t)
		s.image(t, "hostile", "v1")
		documented := documentedErrors(t)
		inputs := valid()
		for _, op := range slices.Sorted(maps.Keys(s.service.Operations)) {
			for _, body := range variations(t, op, inputs[op]) {
				got := s.post(t, s.rootKey, op, body)
				if got.status == http.StatusOK {
					if op == "DeleteRepository" || op == "BatchDeleteImage" {
						s.post(t, s.rootKey, "CreateRepository", inputs["DeleteRepository"])
					}
					continue
				}
				var said struct {
					Type string `json:"__type"`
				}
				if err := json.Unmarshal([]byte(got.body), &said); err != nil || got.status >= http.StatusInternalServerError || documented[said.Type].statuses == nil {
					t.Errorf("%s(%.300s): HTTP %d %.300s", op, body, got.status, got.body)
				}
			}
		}
	})
}

// variations puts the hostile values into a good body: one at a time, for each member that is there, and for
// each that the operation has besides.
func variations(t *testing.T, op, body string) []string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		t.Fatalf("the good input of %s: %v", op, err)
	}
	method, ok := reflect.TypeFor[*awsecr.Client]().MethodByName(op)
	if !ok {
		t.Fatalf("the SDK has no %s", op)
	}
	for field := range method.Type.In(2).Elem().Fields() {
		if field.IsExported() {
			name := strings.ToLower(field.Name[:1]) + field.Name[1:]
			if _, there := members[name]; !there {
				members[name] = nil
			}
		}
	}
	var all []string
	for name, value := range members {
		for _, h := range append(inside(value), hostile()...) {
			parts := []string{}
			for other, v := range members {
				if other != name && v != nil {
					parts = append(parts, `"`+other+`":`+string(v))
				}
			}
			slices.Sort(parts)
			all = append(all, "{"+strings.Join(append(parts, `"`+name+`":`+h), ",")+"}")
		}
	}
	slices.Sort(all)
	return all
}

// inside puts the hostile values into what is inside a value, level by level.
func inside(value json.RawMessage) []string {
	var all []string
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case json.Unmarshal(value, &object) == nil:
		for name, inner := range object {
			for _, h := range append(inside(inner), hostile()...) {
				changed := maps.Clone(object)
				delete(changed, name)
				parts := []string{`"` + name + `":` + h}
				for other, v := range changed {
					parts = append(parts, `"`+other+`":`+string(v))
				}
				slices.Sort(parts)
				all = append(all, "{"+strings.Join(parts, ",")+"}")
			}
		}
	case json.Unmarshal(value, &list) == nil && len(list) > 0:
		for _, h := range append(inside(list[0]), hostile()...) {
			all = append(all, "["+h+"]")
		}
	}
	return all
}
