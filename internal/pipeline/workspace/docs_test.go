package workspace_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

var update = flag.Bool("update", false, "rewrite the table of keys in docs/operate/pipeline.md")

// schema is the JSON Schema, read back.
func schema(t *testing.T) map[string]any {
	t.Helper()
	text, err := workspace.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDocumented holds the table of keys in the documentation to the schema.
func TestDocumented(t *testing.T) {
	t.Parallel()
	const page = "../../../docs/operate/pipeline.md"
	const begin, end = "<!-- keys: written by go test ./internal/pipeline/workspace -update -->\n", "<!-- end of keys -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", page)
	}
	var b strings.Builder
	b.WriteString("| key | |\n| --- | --- |\n")
	rows(&b, "", schema(t))
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+b.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(b.String(), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", page, diff)
	}
}

// rows writes a row for each key, in the order of the types' fields as far as a schema has one: by name.
func rows(b *strings.Builder, path string, node map[string]any) {
	properties, _ := node["properties"].(map[string]any)
	required, _ := node["required"].([]any)
	var keys []string
	for key := range properties {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		p := properties[key].(map[string]any)
		must := ""
		if slices.Contains(required, any(key)) {
			must = " (required)"
		}
		fmt.Fprintf(b, "| `%s%s` | %s%s |\n", path, key, p["description"], must)
		if items, ok := p["items"].(map[string]any); ok {
			rows(b, path+key+"[].", items)
		}
		if values, ok := p["additionalProperties"].(map[string]any); ok {
			rows(b, path+key+".NAME.", values)
		}
		rows(b, path+key+".", p)
	}
}

// TestSchemaAgrees holds the schema to the reader: what the reader takes it takes, and what is wrong with a value by
// itself it refuses too.
func TestSchemaAgrees(t *testing.T) {
	t.Parallel()
	s := schema(t)
	sample, err := os.ReadFile("../../../examples/monorepo/berth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{whole, min, string(sample)} {
		if problem := validate(s, decode(t, text)); problem != "" {
			t.Errorf("the schema refuses, %s:\n%s", problem, text)
		}
	}
	refused := 0
	for _, r := range refusals {
		var value any
		if yaml.Unmarshal([]byte(r.text), &value) != nil || value == nil {
			continue
		}
		if validate(s, decode(t, r.text)) != "" {
			refused++
			continue
		}
		// These go by more than one value, or by what a schema has no words for.
		switch r.name {
		case "two documents", "a key twice", "an anchor", "a tag of YAML", "repository", "no app", "glob up", "glob from the top", "glob open",
			"glob stars", "glob twice", "variable twice", "no tag", "no commit", "language", "context", "sbom", "exception twice", "environments", "long environment", "freeze of nothing":
		default:
			t.Errorf("the schema takes %q, which the reader refuses", r.name)
		}
	}
	if refused < 20 {
		t.Errorf("the schema refuses %d of the files that the reader refuses, want 20 at least", refused)
	}
}

// decode reads YAML as an editor would before it asks the schema.
func decode(t *testing.T, text string) any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	var v any
	if err := json.Unmarshal(asJSON, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
