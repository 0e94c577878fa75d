package workspace_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// tree are the files of a small monorepo.
var tree = []string{
	"berth.yaml", "README.md", "go.work",
	"apps/calculator/Dockerfile", "apps/calculator/go.mod", "apps/calculator/main.go",
	"apps/report/pyproject.toml", "apps/report/report.py",
	"apps/web/build/Containerfile", "apps/web/package.json",
	"libs/auth/go.mod", "libs/auth/auth.go",
	"libs/money/python/money/__init__.py", "libs/money/pyproject.toml", "libs/money/go.mod",
}

const whole = `
# Everything there is.
repository: hoopstat-haus/prod
apps: [apps/*, "!apps/old-*"]
libs:
  - libs/*
tags: ["{app}-{sha}", "{app}-latest", "{app}-{branch}-{date}-{sha8}"]
platforms: [linux/amd64]
test:
  go: go test ./...
  python: [python3, -m, unittest]
projects:
  calculator:
    test: |
      go vet ./...
      go test ./...
    test_env: [AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY]
    test_timeout: 1h30m
    platforms: [linux/amd64, linux/arm64/v8]
    build:
      context: .
      target: final
      args: {VERSION: 1.10, DEBUG: false, NAME: "x"}
    depends_on: [auth]
    inputs: [go.work, "shared/**/*.json"]
  web:
    build: {dockerfile: apps/web/build/Containerfile, sbom: apps/web/dist/sbom.json}
    health: {timeout: 5m}
gate:
  severity: high
  unscanned: pass
  exceptions:
    - id: CVE-2026-12345
      apps: [calculator]
      package: openssl
      owner: platform@example.com
      reason: not reachable
      expires: 2026-12-31
environments:
  - name: staging
    deploy: automatic
    branches: [main, release/*]
    target: {type: compose, project: "staging-{app}", replicas: 2}
    health: {http: "http://{host}:{port}/healthz", status: 204, command: [./healthy, "--quick"], successes: 3, interval: 1s, timeout: 30s}
  - name: production
    after: staging
    severity: medium
    freeze:
      - {from: 2026-12-20, until: 2027-01-04, reason: holidays}
      - {days: [fri], hours: "15:00-24:00", timezone: Europe/Berlin, reason: no Friday evenings}
    target: {type: lambda}
`

func TestParse(t *testing.T) {
	t.Parallel()
	f, err := workspace.Parse("berth.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if f.Gate.Severity != workspace.High || f.Gate.Unscanned != workspace.Pass || f.Gate.Exceptions[0].Expires != "2026-12-31" {
		t.Errorf("gate = %+v", f.Gate)
	}
	if got := f.Projects["calculator"].Build.Args; got["VERSION"] != "1.10" || got["DEBUG"] != "false" {
		t.Errorf("args = %v, want numbers as they are written", got)
	}
	staging, production := f.Environments[0], f.Environments[1]
	if staging.Severity != workspace.High || production.Severity != workspace.Medium || production.Deploy != workspace.Manual {
		t.Errorf("environments = %+v", f.Environments)
	}
	if diff := cmp.Diff([]string{"project", "replicas"}, staging.Target.Options.Keys()); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	var options struct {
		Project string `berth:"project,required"`
	}
	err = staging.Target.Options.Decode(&options)
	if options.Project != "staging-{app}" || err == nil || !strings.HasPrefix(err.Error(), `berth.yaml:43:55: no key of the name "replicas" in environments[0].target; there are project`) {
		t.Errorf("Decode gives %+v, %v", options, err)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	f, err := workspace.Parse("berth.yaml", []byte("repository: prod\napps: [apps/*]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]workspace.Template{"{app}-{sha}", "{app}-latest"}, f.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if f.Gate.Severity != workspace.Critical || f.Gate.Unscanned != workspace.Fail || f.Gate.Unrated != workspace.Critical {
		t.Errorf("gate = %+v", f.Gate)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	f, err := workspace.Parse("berth.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Resolve(tree)
	if err != nil {
		t.Fatal(err)
	}
	amd64 := []workspace.Platform{"linux/amd64"}
	python := workspace.Command{Args: []string{"python3", "-m", "unittest"}}
	want := []workspace.Member{
		{Name: "auth", Kind: workspace.Lib, Dir: "libs/auth", Languages: []string{"go"}, Test: workspace.Command{Shell: "go test ./..."}},
		{
			Name: "calculator", Kind: workspace.App, Dir: "apps/calculator", Languages: []string{"go"},
			Test: workspace.Command{Shell: "go vet ./...\ngo test ./...\n"}, TestEnv: []workspace.EnvName{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
			TestTimeout: workspace.Timeout(90 * time.Minute), Platforms: []workspace.Platform{"linux/amd64", "linux/arm64/v8"},
			Image: workspace.Build{
				Context: ".", Dockerfile: "apps/calculator/Dockerfile", Target: "final",
				Args: map[string]workspace.ArgValue{"VERSION": "1.10", "DEBUG": "false", "NAME": "x"},
			},
			DependsOn: []string{"auth"}, Inputs: []workspace.Glob{"go.work", "shared/**/*.json"},
		},
		{Name: "money", Kind: workspace.Lib, Dir: "libs/money", Languages: []string{"go", "python"}, Test: workspace.Command{Shell: "go test ./..."}},
		{Name: "report", Kind: workspace.Utility, Dir: "apps/report", Languages: []string{"python"}, Test: python},
		{
			Name: "web", Kind: workspace.App, Dir: "apps/web", Languages: []string{"node"}, Platforms: amd64,
			Image: workspace.Build{Context: "apps/web", Dockerfile: "apps/web/build/Containerfile", SBOM: "apps/web/dist/sbom.json"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Resolve (-want +got):\n%s", diff)
	}
}

// refusals are files with something wrong, and the first lines of what is said about each.
var refusals = []struct {
	name, text string
	want       []string
}{
	{"nothing", "", []string{"berth.yaml: there is nothing in it; at least repository and apps must be given"}},
	{"comments", "# none\n", []string{"berth.yaml: there is nothing in it; at least repository and apps must be given"}},
	{"a list", "[a]", []string{`1:1: berth.yaml is a mapping such as "key: value", not a list`}},
	{"two documents", min + "---\na: b\n", []string{"4:1: one document is read, and this is another"}},
	{"syntax", "repository: [", []string{"1:13: sequence end token ']' not found"}},
	{"missing", "apps: [apps/*]", []string{"1:1: repository is missing: the repository of all images, such as hoopstat-haus/prod, without the registry's address"}},
	{"empty", "repository:\napps: [apps/*]", []string{"1:1: repository is missing: the repository of all images, such as hoopstat-haus/prod, without the registry's address"}},
	{"variable", min + "projects: {a: {test_env: [A=b]}}", []string{`3:27: projects.a.test_env[0]: "A=b" is not the name of an environment variable such as AWS_ACCESS_KEY_ID`}},
	{"variable twice", min + "projects: {a: {test_env: [A, A]}}", []string{`3:30: projects.a.test_env has "A" twice`}},
	{"timeout", min + "projects: {a: {test_timeout: 10}}", []string{`3:30: projects.a.test_timeout is a string, not a number: put it in quotes, "10"`}},
	{"timeout of nothing", min + "projects: {a: {test_timeout: 0s}}", []string{`3:30: projects.a.test_timeout: "0s" is not a time such as 90s, 10m or 1h30m`}},
	{"timeout empty", min + `projects: {a: {test_timeout: ""}}`, []string{`3:30: projects.a.test_timeout: "" is not a time such as 90s, 10m or 1h30m`}},
	{"unknown key", min + "lib: [libs/*]", []string{`3:1: no key of the name "lib" (did you mean "libs"?)`}},
	{"unknown key below", min + "gate: {serverity: low}", []string{`3:8: no key of the name "serverity" in gate (did you mean "severity"?)`}},
	{"a dash", min + "projects: {auth: {depends-on: []}}", []string{`3:19: no key of the name "depends-on" in projects.auth (did you mean "depends_on"?)`}},
	{"far from any", min + "gate: {qqqq: 1}", []string{`3:8: no key of the name "qqqq" in gate; there are severity, unscanned, unrated, exceptions, vex`}},
	{"a key twice", min + "gate: {}\ngate: {}", []string{`4:1: mapping key "gate" already defined at [3:1]`}},
	{"a string for a list", "repository: p\napps: apps/*", []string{"2:7: apps is a list such as [one, two], not a string"}},
	{"a list for a mapping", min + "gate: [high]", []string{`3:7: gate is a mapping such as "key: value", not a list`}},
	{"a number for a string", "repository: 7\napps: [a/*]", []string{`1:13: repository is a string, not a number: put it in quotes, "7"`}},
	{"an element", min + "libs: [libs/*, [b]]", []string{"3:16: libs[1] is a string, not a list"}},
	{"an empty element", min + "libs:\n  - \n  - libs/*", []string{"4:4: libs[0] is empty"}},
	{"an anchor", min + "libs: &x [libs/*]", []string{"3:7: anchors, aliases and tags are not read here: write the value out"}},
	{"a tag of YAML", min + "libs: !!seq [libs/*]", []string{"3:7: anchors, aliases and tags are not read here: write the value out"}},
	{"repository", "repository: example.com:5000/Prod\napps: [a/*]", []string{`1:13: "example.com:5000/Prod" is no name of a repository such as hoopstat-haus/prod: lower case, without the registry's address and without a tag`}},
	{"no app", "repository: p1\napps: []", []string{"2:7: apps names no directory; apps/* are those below apps"}},
	{"glob up", min + "libs: [../x]", []string{`3:8: libs[0]: "../x": a path does not leave the workspace`}},
	{"glob from the top", min + "libs: [/x]", []string{`3:8: libs[0]: "/x": a path from the root of the workspace does not begin with a slash`}},
	{"glob open", min + `libs: ["x/[a"]`, []string{`3:8: libs[0]: "x/[a": a [ has no ]`}},
	{"glob stars", min + `libs: ["x**"]`, []string{`3:8: libs[0]: "x**": ** stands for directories, alone between slashes`}},
	{"glob twice", min + `libs: [x/*, x/*]`, []string{`3:13: libs has "x/*" twice`}},
	{"placeholder", min + `tags: ["{app}-{ref}", "{app}-{commit}"]`, []string{
		`3:8: tags[0]: "{app}-{ref}": no placeholder of the name {ref}; there are app, sha, sha8, branch, date`,
		`3:23: tags[1]: "{app}-{commit}": no placeholder of the name {commit}; there are app, sha, sha8, branch, date`,
	}},
	{"placeholder close", min + `tags: ["{app}-{shas}"]`, []string{`3:8: tags[0]: "{app}-{shas}": no placeholder of the name {shas} (did you mean "sha"?)`}},
	{"brace", min + `tags: ["{app}-{sha"]`, []string{`3:8: tags[0]: "{app}-{sha": a brace has no other; placeholders are {app}, {sha}, {sha8}, {branch}, {date}`}},
	{"no tag", min + `tags: ["{app}/{sha}"]`, []string{`3:8: tags[0]: "{app}/{sha}": tag {app}/{sha} makes "a/0123456789012345678901234567890123456789", which is no tag: letters, digits, _ . and -, neither of the last two first, at most 128`}},
	{"tag of all", min + `tags: ["{app}-{sha}", latest]`, []string{`3:23: tags[1]: "latest": {app} must be in it: all apps are in one repository, and would take the tag from each other`}},
	{"no commit", min + `tags: ["{app}-latest"]`, []string{"3:7: one of the tags must have {sha} or {sha8}, or nothing tells an image's commit"}},
	{"platform", min + "platforms: [amd64]", []string{`3:13: platforms[0]: "amd64" is not a platform such as linux/amd64`}},
	{"language", min + "test: {golang: x}", []string{`3:8: no language of the name "golang"; there are go, node, python, rust`}},
	{"no command", min + "test: {go: []}", []string{"3:12: test.go is an empty command"}},
	{"context", min + "projects: {a: {build: {context: ../..}}}", []string{`3:33: "../..": a path does not leave the workspace`}},
	{"sbom", min + "projects: {a: {build: {sbom: /x.json}}}", []string{`3:30: "/x.json": a path from the root of the workspace does not begin with a slash`}},
	{"severity", min + "gate: {severity: CRITICAL}", []string{`3:18: gate.severity: "CRITICAL" is none of critical, high, medium, low, informational, none`}},
	{"exception", min + "gate:\n  exceptions:\n    - {id: CVE-1, owner: me, expires: 2026-02-30}", []string{
		"5:7: gate.exceptions[0].reason is missing: why it may stand",
		`5:39: gate.exceptions[0].expires: "2026-02-30" is no day of the calendar`,
	}},
	{"exception twice", min + "gate:\n  exceptions:\n  - {id: C, owner: a, reason: b, expires: 2026-01-01}\n  - {id: C, owner: a, reason: b, expires: 2026-01-02}", []string{"6:10: C has an exception already"}},
	{"environments", min + "environments:\n- {name: a}\n- {name: a, after: b}\n- {name: B}", []string{
		`5:10: there are two environments of the name "a"`,
		`5:20: no environment of the name "b" comes before "a"`,
		`6:10: "B" is no name of an environment: lower-case letters, digits and dashes`,
	}},
	{"long environment", min + "environments:\n- {name: " + strings.Repeat("a", 28) + "}\n- {name: " + strings.Repeat("b", 29) + "}", []string{
		`5:10: "bbbbbbbbbbbbbbbbbbbbbbbbbbbbb" has 29 characters, and the name of an environment at most 28`,
	}},
	{"freeze", min + "environments:\n- name: a\n  freeze:\n  - {from: 2026-01-01, reason: x}\n  - {reason: x}\n  - {days: [friday], reason: x}\n  - {hours: '16:00-12:00', reason: x}\n  - {timezone: Mars, days: [sun], reason: x}", []string{
		`8:13: environments[0].freeze[2].days[0]: "friday" is none of sun, mon, tue, wed, thu, fri, sat`,
		`9:13: environments[0].freeze[3].hours: "16:00-12:00" ends before it begins: a time over midnight is two`,
		`10:16: environments[0].freeze[4].timezone: "Mars" is no time zone such as Europe/Berlin`,
	}},
	{"freeze of nothing", min + "environments:\n- name: a\n  freeze:\n  - {from: 2026-01-01, reason: x}\n  - {reason: x}\n", []string{
		"6:5: a freeze from one day until another has both from and until",
		"7:5: a freeze is either from one day until another, or on days of the week and at hours",
	}},
	{"target", min + "environments: [{name: a, target: {x: y}}]", []string{"3:34: environments[0].target.type is missing: the kind of target"}},
}

const min = "repository: prod\napps: [apps/*]\n"

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := workspace.Parse("berth.yaml", []byte(tt.text))
			if diff := cmp.Diff(tt.want, said(err)); diff != "" {
				t.Errorf("Parse(%q) says (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

// said is what an error says of a file, without the file's name and its lines.
func said(err error) []string {
	problems, ok := errors.AsType[workspace.Problems](err)
	if !ok {
		return []string{fmt.Sprint(err)}
	}
	var all []string
	for _, p := range problems {
		first, _, _ := strings.Cut(p.Error(), "\n")
		if p.Line > 0 {
			first = strings.TrimPrefix(first, p.File+":")
		}
		all = append(all, first)
	}
	return all
}

func TestMarks(t *testing.T) {
	t.Parallel()
	_, err := workspace.Parse("berth.yaml", []byte("repository: prod\napps: [apps/*]\ngate:\n  severity: höher # ö\n"))
	want := `berth.yaml:4:13: gate.severity: "höher" is none of critical, high, medium, low, informational, none
      severity: höher # ö
                ^`
	if err == nil || err.Error() != want {
		t.Errorf("Parse says\n%v\nwant\n%s", err, want)
	}
}

// TestQuietProblems shows nothing of a file that a terminal or a CI system would take for a command.
func TestQuietProblems(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		min + "::warning::x: 1\n":          `berth.yaml:3:1: no key of the name "::warning::x"`,
		min + "projects: {\"\\n ::a\": 7}": "berth.yaml:3:22: projects.\ufffd ::a is a mapping such as \"key: value\", not a number\n    projects: {\"\\n ::a\": 7}\n                         ^",
	} {
		_, err := workspace.Parse("berth.yaml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n    ::") {
			t.Errorf("Parse(%q) says\n%v\nwant\n%s", text, err, want)
		}
	}
}

// TestTemplates makes tags.
func TestTemplates(t *testing.T) {
	t.Parallel()
	values := workspace.Values{App: "calculator", Commit: "0123456789abcdef0123456789abcdef01234567", Branch: "feature/Ünïcode+" + strings.Repeat("x", 50), Date: time.Date(2026, 12, 31, 23, 30, 0, 0, time.FixedZone("", -3600))}
	for _, tt := range []struct {
		template workspace.Template
		want     string
		moves    bool
	}{
		{"{app}-{sha}", "calculator-0123456789abcdef0123456789abcdef01234567", false},
		{"{app}-{sha8}", "calculator-01234567", false},
		{"{app}-latest", "calculator-latest", true},
		{"v.{date}_{app}", "v.20270101_calculator", true},
		{"{app}-{branch}", "calculator-feature-n-code-" + strings.Repeat("x", 25), true},
	} {
		got, err := tt.template.Expand(values)
		if got != tt.want || err != nil || tt.template.Moves() != tt.moves {
			t.Errorf("%s makes %q, %v, moves %v, want %q, %v", tt.template, got, err, tt.template.Moves(), tt.want, tt.moves)
		}
	}
	if got, err := workspace.Template("{app}-{branch}").Expand(workspace.Values{App: "a"}); err == nil {
		t.Errorf("on no branch the tag is %q, want an error", got)
	}
	if got, err := workspace.Template("{branch}-{app}").Expand(workspace.Values{App: "a", Branch: "-x"}); err == nil {
		t.Errorf("of the branch -x the tag is %q, want an error", got)
	}
}

func TestResolveRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"one name", min + "libs: [libs/*, 'libs/money/*']", nil},
		{"one name twice", "repository: prod\napps: [apps/*, other/*]\nlibs: [libs/*]", []string{"2:16: libs/auth and other/auth have one name: a project is called like its directory, so rename one"}},
		{"both", "repository: prod\napps: [apps/*]\nlibs: [apps/web]", []string{"2:8: apps/web is both a library and an app"}},
		{"no directory", "repository: prod\napps: [apps/*, apps/wep]", []string{"2:16: there is no directory apps/wep with files that git knows"}},
		{"the root", "repository: prod\napps: [.]", []string{"2:8: the root is no project: apps and libraries are directories below it"}},
		{"no project", min + "projects:\n  wep: {}", []string{`4:3: no app or library of the name "wep" (did you mean "web"?)`}},
		{"depends", min + "projects:\n  web: {depends_on: [web, auth]}", []string{
			"4:22: web depends on itself", `4:27: no app or library of the name "auth"; there are calculator, report, web`,
		}},
		{"a library is not built", min + "libs: [libs/*]\nprojects:\n  auth: {build: {target: x}}", []string{"5:3: auth is a library, which is not built: platforms, build and health are for apps"}},
		{"a library has no image to list", min + "libs: [libs/*]\nprojects:\n  auth: {build: {sbom: x.json}}", []string{"5:3: auth is a library, which is not built: platforms, build and health are for apps"}},
		{"files", min + "projects:\n  web: {build: {context: webs, dockerfile: Dockerfile}}", []string{
			"4:26: there is no directory webs with files that git knows", "4:44: there is no file Dockerfile",
		}},
		{"a name that is too long for a tag", "repository: prod\napps: [long/*]\ntags: ['{app}-{sha}-{sha}-{sha}-0']", []string{
			`3:8: for ` + strings.Repeat("x", 10) + `: tag {app}-{sha}-{sha}-{sha}-0 makes "` + strings.Repeat("x", 10) + strings.Repeat("-"+strings.Repeat("0123456789", 4), 3) + `-0", which is no tag: letters, digits, _ . and -, neither of the last two first, at most 128`,
		}},
		{"a name that is in no tag", "repository: prod\napps: [bad/*]", []string{`2:8: bad/.x: a project is called like its directory, and ".x" cannot be in a tag; rename it, or take it out with "!bad/.x"`}},
		{"an exception for a library", min + "libs: [libs/*]\ngate: {exceptions: [{id: C, owner: a, reason: b, expires: 2026-01-01, apps: [auth]}]}", []string{`4:78: no app of the name "auth"; there are calculator, report, web`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := workspace.Parse("berth.yaml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Resolve(append([]string{"other/auth/x", "bad/.x/y", "long/" + strings.Repeat("x", 10) + "/Dockerfile"}, tree...))
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, said(err)); diff != "" {
				t.Errorf("Resolve says (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMatch has patterns with directories between, also those that take long if every way is tried.
func TestMatch(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", 60) + "f"
	for _, tt := range []struct {
		glob workspace.Glob
		name string
		want bool
	}{
		{"**", "a/b", true},
		{"a/**", "a", true},
		{"a/**", "b", false},
		{"**/x", "x", true},
		{"**/x", "a/x/b/x", true},
		{"a/**/b/*/c", "a/b/b/x/c", true},
		{"a/**/b/*/c", "a/b/c", false},
		{"a/**/**/c", "a/c", true},
		{"a/*", "a", false},
		{"a/*", "a/b/c", false},
		{"**/a/**/b", "b/a", false},
		{workspace.Glob(strings.Repeat("**/", 40) + "f"), deep, true},
		{workspace.Glob(strings.Repeat("**/d/", 20) + "x"), deep, false},
	} {
		if got := tt.glob.Match(tt.name); got != tt.want {
			t.Errorf("%s, %s: Match = %t, want %t", tt.glob, tt.name, got, tt.want)
		}
	}
}

// TestByteOrderMark reads what some editors begin a file with as nothing.
func TestByteOrderMark(t *testing.T) {
	t.Parallel()
	f, err := workspace.Parse("berth.yaml", []byte("\ufeffrepository: r/prod\napps: [apps/*]\n"))
	if err != nil || f.Repository != "r/prod" {
		t.Errorf("Parse = %+v, %v", f, err)
	}
}
