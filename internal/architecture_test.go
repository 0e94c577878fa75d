// Package internal_test holds the rules of the house: which part may import which, what is confined to
// one part, and how large a file, a function and an interface may grow.
//
// They are the rules of ARCHITECTURE.md. The tables in this file say them, architecture_rules_test.go
// applies them, architecture_tree_test.go reads the sources. A better room for something wins: change the
// table together with an ADR. A single case that must differ goes into exceptions, with its reason.
package internal_test

import (
	"os"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// module is what our import paths begin with. Packages are named by the rest here.
const module = "github.com/hoopstat-haus/berth"

// house is the rules.
var house = rules{
	// The longest prefix wins. What a layer may import is written like a package pattern: with "/..." for a
	// package and those below it. A room (internal/api/ecr, internal/storage/metadb …) may import itself.
	layers: []layer{
		{"internal/core/fault", nil},
		{"internal/core/oci", []string{"internal/core/fault"}},
		{"internal/core/blob", words},
		{"internal/core/event", words},
		{"internal/core/identity", words},
		{"internal/core/policy", words},
		{"internal/core/deployment", words}, // words too: both sides of Berth share them
		{"internal/core/access", slices.Concat(words, people)},
		{"internal/core/registry", slices.Concat(words, people, []string{"internal/core/deployment", "internal/core/scan/vex"})},
		// What follows of scan is read in the child process too: no people, no registry.
		{"internal/core/scan/inventory", words},
		{"internal/core/scan/advisory", slices.Concat(words, []string{"internal/core/scan/inventory"})},
		{"internal/core/scan/vex", words}, // words too
		{"internal/core/scan/layer", slices.Concat(words, []string{"internal/core/scan/inventory"})},
		{"internal/core/usage/price", words}, // words too: a bill is the same on both sides
		{"internal/core/usage/maths", words},
		{"internal/core/usage/chart", nil},                                                                              // and so is a drawing
		{"internal/core", slices.Concat(words, people, []string{"internal/core/deployment", "internal/core/registry"})}, // never each other
		{"internal/api", []string{
			"internal/core/...", "internal/api/awswire", "internal/api/authn", "internal/api/sigv4", "internal/api/middleware",
		}}, // no face imports another
		{"internal/storage", []string{"internal/core/..."}},
		{"internal/remote", []string{"internal/core/...", "internal/remote/guard"}},
		{"internal/pipeline", []string{"internal/core/oci", "internal/core/deployment", "internal/core/scan/vex", "internal/core/usage/price", "internal/core/fault", "internal/pipeline/..."}}, // fault: what the two answer
		{"internal/extract", []string{"internal/core/oci", "internal/core/scan/..."}},                                                                                                           // what reads strangers' layers knows what it finds there, and nothing that is kept
		{"internal/jobs", nil},
		{"internal/config", nil},
		{"internal/app", []string{"internal/core/...", "internal/api/...", "internal/storage/...", "internal/remote/...", "internal/extract", "internal/jobs", "internal/config"}},
		{"internal/cli", []string{"internal/app", "internal/config", "internal/extract", "internal/core/deployment", "internal/core/scan/vex", "internal/core/usage/price", "internal/core/usage/chart", "internal/pipeline/..."}}, // extract: the program is its own child; deployment, vex, price, chart: words that both sides share
		{"cmd/berth", []string{"internal/cli"}},
		{"berthtest", []string{"internal/app", "internal/config"}},
	},

	// Programs and helpers for tests may import anything, and be imported by each other only. So may
	// packages below internal whose name ends in "test".
	free: []string{"internal/bench", "internal/e2e"},

	// They sort rooms, and hold no Go files of their own but tests.
	groups: []string{".", "cmd", "internal", "internal/core", "internal/api", "internal/storage", "internal/remote", "internal/pipeline", "internal/pipeline/step", "internal/pipeline/target"},

	// Packages (and those below them) that only some of ours may import.
	confined: []confinement{
		{"net/http", []string{"internal/api", "internal/app", "internal/storage/s3blob", "internal/remote", "internal/pipeline", "berthtest"}, "core knows no HTTP"},
		{"database/sql", []string{"internal/storage/metadb"}, "SQL is metadb's"},
		{"github.com/jackc/pgx", []string{"internal/storage/metadb"}, "SQL is metadb's"},
		{"modernc.org/sqlite", []string{"internal/storage/metadb", "internal/extract/formats"}, "SQL is metadb's; RPM's database is SQLite too"},
		{"github.com/pressly/goose", []string{"internal/storage/metadb"}, "migrations are metadb's"},
		{"github.com/aws/aws-sdk-go-v2/service/s3", []string{"internal/storage/s3blob"}, "the bucket is s3blob's"},
		{"github.com/aws/aws-sdk-go-v2/service", []string{"internal/api", "internal/pipeline", "berthtest"}, "AWS words stop at the faces"},
		{"github.com/aws", []string{"internal/api", "internal/storage/s3blob", "internal/remote", "internal/pipeline", "berthtest"}, "AWS words stop at the faces"},
		{"github.com/prometheus", []string{"internal/api", "internal/app"}, "core counts through what it is given"},
		{"go.opentelemetry.io", []string{"internal/api/telemetry"}, "what works is wrapped by telemetry, and knows no tracer"},
		{"github.com/moby", []string{"internal/pipeline"}, "Dockerfiles are the pipeline's"},
		{"github.com/spf13", []string{"internal/cli"}, "the command line is cli's"},
		{"testing", []string{"berthtest"}, "test helpers live in packages named …test"},
	},

	// Names that only some of ours may mention, as a call or as a value.
	reserved: []reservation{
		{"os", []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}, []string{"internal/config"}, "settings come through config"},
		{"time", []string{"Now", "Since", "Until"}, []string{"internal/app", "internal/cli", "berthtest"}, "time comes from the clock that a constructor is given"},
		{"fmt", []string{"Print", "Printf", "Println"}, []string{"internal/cli"}, "standard output is cli's"},
		{"os", []string{"Stdout"}, []string{"internal/cli", "cmd/berth"}, "standard output is cli's"},
		{"os", []string{"Exit"}, []string{"cmd/berth"}, "one place decides the exit code"},
	},

	fileLines:        500,
	functionLines:    60,
	interfaceMethods: 7,

	exceptions: []exception{
		{"internal/cli imports internal/core/identity", "tells a wrong master key from other errors, to say what to do"},
	},
}

var (
	words  = []string{"internal/core/oci", "internal/core/fault"}
	people = []string{"internal/core/blob", "internal/core/event", "internal/core/identity", "internal/core/policy"}
)

func TestArchitecture(t *testing.T) {
	t.Parallel()
	packages, err := readTree(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 20 {
		t.Fatalf("read %d packages, want all of the module's: this test looks in the wrong place", len(packages))
	}
	for _, p := range house.check(packages) {
		t.Error(p)
	}
	for _, prefix := range house.free {
		if !slices.ContainsFunc(packages, func(p pkg) bool { return within(p.path, prefix) }) {
			t.Errorf("%s is free of the rules and has no packages: take it out of the table", prefix)
		}
	}
}

// TestRulesNotice breaks each rule once, in a tree of a file or two.
func TestRulesNotice(t *testing.T) {
	t.Parallel()
	strict := house
	strict.fileLines, strict.functionLines, strict.interfaceMethods = 12, 4, 1
	strict.exceptions = []exception{{"internal/core/gc imports internal/core/scan", "tried here"}}
	for name, tt := range ruleTests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := fstest.MapFS{"internal/core/gc/gc.go": source("// Package gc is excused.\npackage gc\nimport _ %q", module+"/internal/core/scan")}
			for path, text := range tt.files {
				tree[path] = source("%s", text)
			}
			packages, err := readTree(tree)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range strict.check(packages) {
				got = append(got, p.what)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("check of %q found (-want +got):\n%s", tt.files, diff)
			}
		})
	}
}
