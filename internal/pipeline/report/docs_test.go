package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/report"
)

var update = flag.Bool("update", false, "rewrite the schema and the table of members in docs/operate")

const (
	schemaFile = "../../../docs/operate/ship-report.schema.json"
	page       = "../../../docs/operate/ship-report.md"
)

// member is a member of the document: of the types, with what their tags say.
type member struct {
	name, doc string
	enum      []string
	optional  bool
	of        reflect.Type
}

func members(t reflect.Type) []member {
	all := make([]member, 0, t.NumField())
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		all = append(all, member{name, f.Tag.Get("doc"), strings.Fields(f.Tag.Get("enum")), options != "", f.Type})
	}
	return all
}

func schemaOf(t reflect.Type) map[string]any {
	if t == reflect.TypeFor[time.Time]() {
		return map[string]any{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Struct:
		properties, required := map[string]any{}, []string{}
		for _, m := range members(t) {
			p := schemaOf(m.of)
			p["description"] = m.doc
			if len(m.enum) > 0 {
				p["enum"] = m.enum
			}
			properties[m.name] = p
			if !m.optional {
				required = append(required, m.name)
			}
		}
		// Members may come without a new version, so others are no mistake.
		return map[string]any{"type": "object", "properties": properties, "required": required}
	default:
		return map[string]any{"type": "string"}
	}
}

// TestSchema holds the schema in the documentation to the types.
func TestSchema(t *testing.T) {
	t.Parallel()
	root := schemaOf(reflect.TypeFor[report.Summary]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "berth ship --output json, version 1"
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		t.Fatal(err)
	}
	hold(t, schemaFile, b.String(), func(string) (string, string) { return "", "" })
}

// TestDocumented holds the table in the documentation to the types, each of which has a text.
func TestDocumented(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("| member | | |\n| --- | --- | --- |\n")
	rows(t, &b, "", reflect.TypeFor[report.Summary]())
	const begin, end = "<!-- members: written by go test ./internal/pipeline/report -update -->\n", "<!-- end of members -->"
	hold(t, page, b.String(), func(text string) (string, string) {
		before, rest, ok := strings.Cut(text, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no place for the table", page)
		}
		return before + begin, end + after
	})
}

// hold compares a file with what it should be: a part of it, with what is around that kept.
func hold(t *testing.T, file, part string, around func(string) (before, after string)) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	before, after := around(string(text))
	if *update {
		if err := os.WriteFile(file, []byte(before+part+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(before+part+after, string(text)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func rows(t *testing.T, b *strings.Builder, prefix string, of reflect.Type) {
	t.Helper()
	for _, m := range members(of) {
		if m.doc == "" {
			t.Errorf("%s%s has no text", prefix, m.name)
		}
		schema := schemaOf(m.of)
		kind, elem, name := schema["type"].(string), m.of, prefix+m.name
		for elem.Kind() == reflect.Slice || elem.Kind() == reflect.Pointer {
			if elem.Kind() == reflect.Slice {
				name += "[]"
			}
			elem = elem.Elem()
		}
		if elem == reflect.TypeFor[time.Time]() {
			kind = "time"
		}
		if m.optional {
			kind += ", may be absent"
		}
		doc := m.doc
		if len(m.enum) > 0 && m.name != "action" {
			doc += ": `" + strings.Join(m.enum, "`, `") + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, kind, doc)
		if elem.Kind() == reflect.Struct && elem != reflect.TypeFor[time.Time]() {
			rows(t, b, name+".", elem)
		}
	}
}

// TestSchemaHolds checks documents with the schema as it is published, and that it refuses others.
func TestSchemaHolds(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	check := func(s any) []string {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var doc any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		return violations("", schema, doc)
	}
	for _, s := range []report.Summary{{Outcome: report.Nothing}, *sample()} {
		if v := check(s); len(v) > 0 {
			t.Errorf("%+v: %q", s, v)
		}
	}
	wrong := *sample()
	wrong.Outcome = "odd"
	wrong.Projects[1].Image.Tags[0].Action = ""
	if diff := cmp.Diff([]string{".outcome", ".projects[1].image.tags[0].action"}, check(wrong)); diff != "" {
		t.Errorf("of a wrong document it refuses (-want +got):\n%s", diff)
	}
	if got := check(map[string]any{"version": "1"}); !slices.Contains(got, ".version") || !slices.Contains(got, ".projects") {
		t.Errorf("of an empty document it refuses %q", got)
	}
}

// violations are the places of a document that are not as the schema says, of which it uses what schemaOf writes.
func violations(at string, schema map[string]any, value any) (all []string) {
	var ok bool
	switch v := value.(type) {
	case map[string]any:
		ok = schema["type"] == "object"
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, there := v[name.(string)]; !there {
				all = append(all, at+"."+name.(string))
			}
		}
		for name, of := range v {
			if p, known := properties[name].(map[string]any); known {
				all = append(all, violations(at+"."+name, p, of)...)
			} else if p, open := schema["additionalProperties"].(map[string]any); open {
				all = append(all, violations(at+"."+name, p, of)...)
			}
		}
	case []any:
		ok = schema["type"] == "array"
		items, _ := schema["items"].(map[string]any)
		for i, of := range v {
			all = append(all, violations(fmt.Sprintf("%s[%d]", at, i), items, of)...)
		}
	case string:
		ok = schema["type"] == "string"
		if schema["format"] == "date-time" {
			_, err := time.Parse(time.RFC3339, v)
			ok = ok && err == nil && strings.HasSuffix(v, "Z")
		}
	case bool:
		ok = schema["type"] == "boolean"
	case float64:
		ok = schema["type"] == "number" || schema["type"] == "integer" && v == float64(int64(v))
	default:
		ok = false
	}
	if enum, has := schema["enum"].([]any); has && !slices.Contains(enum, value) {
		ok = false
	}
	if !ok {
		all = append(all, at)
	}
	slices.Sort(all)
	return all
}
