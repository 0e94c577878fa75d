package targettest

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var optionRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")

// Documented looks that the section of a kind in docs/operate/targets.md has a row for each of its options, and for no other.
func Documented(t *testing.T, kind string, options any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "operate", "targets.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+kind+"\n")
	if !found {
		t.Fatalf("there is no section %s", kind)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var rows, keys []string
	for _, m := range optionRow.FindAllStringSubmatch(section, -1) {
		rows = append(rows, m[1])
	}
	for field := range reflect.TypeOf(options).Fields() {
		key, _, _ := strings.Cut(field.Tag.Get("berth"), ",")
		keys = append(keys, key)
		if field.Tag.Get("doc") == "" {
			t.Errorf("%s says nothing of itself", key)
		}
	}
	slices.Sort(rows)
	slices.Sort(keys)
	if !slices.Equal(rows, keys) {
		t.Errorf("the section %s has rows for %q, and the options are %q", kind, rows, keys)
	}
}
