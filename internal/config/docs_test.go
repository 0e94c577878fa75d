package config_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/config"
)

var update = flag.Bool("update", false, "rewrite the table of settings in the operator's guide")

// TestOperatorGuide holds the guide's table of settings to the options.
func TestOperatorGuide(t *testing.T) {
	t.Parallel()
	const (
		page  = "../../docs/operate/operator-guide.md"
		begin = "<!-- settings: written by go test ./internal/config -update -->\n"
		end   = "<!-- end of settings -->\n"
	)
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(raw), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the marks of its table of settings", page)
	}
	want := settingsTable()
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("the table of settings in %s is not the options' (-want +have); go test ./internal/config -update writes it:\n%s", page, diff)
	}
}

func settingsTable() string {
	var b strings.Builder
	b.WriteString("| flag, file key | variable | default | |\n| --- | --- | --- | --- |\n")
	for _, o := range config.Options() {
		name := "`--" + o.Name + "`"
		switch {
		case o.Secret && o.NoFile:
			name = "variable only"
		case o.Secret:
			name = "`" + o.Name + "`, file only"
		case o.NoFile:
			name += ", no file key"
		}
		standard := o.DefaultText()
		if o.Default != "" {
			standard = "`" + o.Default + "`"
		}
		usage := strings.NewReplacer("|", `\|`, "<", `\<`).Replace(o.Usage)
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", name, o.Env(), standard, usage)
	}
	return b.String()
}
