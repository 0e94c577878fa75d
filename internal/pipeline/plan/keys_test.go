package plan_test

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// id is what git would have of a file: another for each content.
func (t tree) id(name string) (string, bool) {
	text, ok := t[name]
	mode := "100644"
	if rest, program := strings.CutPrefix(text, "#!program"); program {
		text, mode = rest, "100755"
	}
	sum := sha256.Sum256([]byte(text))
	return mode + " " + hex.EncodeToString(sum[:20]), ok
}

func graphOf(files tree) (*plan.Graph, error) {
	file, err := workspace.Parse("berth.yaml", []byte(files["berth.yaml"]))
	if err != nil {
		return nil, err
	}
	members, err := file.Resolve(files.Files())
	if err != nil {
		return nil, err
	}
	return plan.Read(file, members, files), nil
}

func keysOf(t *testing.T, files tree) map[string]plan.Keys {
	t.Helper()
	return read(t, files).Keys(files.id)
}

func parseTree(text string) tree {
	files := tree{}
	for _, f := range txtar.Parse([]byte(text)).Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

// Its apps: web copies from the root, with a library of which it takes a part; gen copies what its test makes; site is
// made from web's image; api has a context of its own, and a library of which the Dockerfile says nothing.
const keyedRepo = `
-- berth.yaml --
repository: acme/prod
apps: [apps/*]
libs: [libs/*]
platforms: [linux/amd64]
projects:
  web: {build: {context: ., args: {A: one, V: "3"}}, inputs: [config/*.yaml], test: make web}
  gen: {depends_on: [schema], test: make gen}
  site: {build: {dockerfile: docker/site}}
  api: {depends_on: [auth], platforms: [linux/amd64, linux/arm64]}
  auth: {inputs: [certs], test: make auth}
-- .dockerignore --
**/*.md
-- config/x.yaml --
-- config/x.json --
-- certs/ca.pem --
-- shared/a/f --
-- shared/b/f --
-- shared/README.md --
-- unused --
-- docker/site --
FROM registry.example.com/acme/prod:web-latest
COPY x /
-- docker/site.dockerignore --
y
-- apps/web/Dockerfile --
ARG V
FROM alpine:${V} AS build
ADD https://example.com/x.tgz /
COPY apps/web/src libs/proto/gen shared/* /
-- apps/web/src/f --
-- apps/web/src/f.md --
-- apps/web/t --
-- apps/gen/Dockerfile --
FROM scratch
COPY dist /
-- apps/gen/f --
-- apps/site/x --
-- apps/site/y --
-- apps/api/Dockerfile --
FROM scratch
COPY main.go /
-- apps/api/.dockerignore --
t
-- apps/api/main.go --
-- apps/api/t --
-- apps/tool/f --
-- libs/proto/gen/f --
-- libs/proto/t --
-- libs/schema/f --
-- libs/auth/f --
-- libs/auth/link --
-> ../../config/x.json
-- libs/other/f --
`

// TestKeys changes one thing, and has the keys of these images and tests change, and no others.
func TestKeys(t *testing.T) {
	t.Parallel()
	before := parseTree(keyedRepo)
	change := func(names ...string) func(tree) {
		return func(files tree) {
			for _, name := range names {
				files[name] += "#\n"
			}
		}
	}
	replace := func(name, old, with string) func(tree) {
		return func(files tree) {
			if !strings.Contains(files[name], old) {
				t.Fatalf("%s does not contain %q", name, old)
			}
			files[name] = strings.ReplaceAll(files[name], old, with)
		}
	}
	move := func(from, to string) func(tree) {
		return func(files tree) { files[to] = files[from]; delete(files, from) }
	}
	for name, tt := range map[string]struct {
		do            func(tree)
		images, tests string
	}{
		"nothing":                             {func(tree) {}, "", ""},
		"what nobody has":                     {change("unused", "libs/other/f"), "", "other"},
		"what is copied":                      {change("apps/web/src/f"), "site web", "site web"},
		"what is not copied":                  {change("apps/web/t"), "", "site web"},
		"what is ignored":                     {change("apps/web/src/f.md"), "", "site web"},
		"what may be executed":                {func(f tree) { f["apps/web/src/f"] = "#!program" + f["apps/web/src/f"] }, "site web", "site web"},
		"what is renamed":                     {move("apps/web/src/f", "apps/web/src/g"), "site web", "site web"},
		"what is new":                         {change("apps/web/src/new"), "site web", "site web"},
		"what is deleted":                     {func(f tree) { delete(f, "apps/web/src/f.md") }, "", "site web"},
		"what is moved to where nobody looks": {move("apps/web/src/f", "apps/web/f"), "site web", "site web"},
		"outside, by a pattern":               {change("shared/a/f"), "site web", "site web"},
		"outside, and ignored":                {change("shared/README.md"), "", ""},
		"what of a library is copied":         {change("libs/proto/gen/f"), "site web", "proto site web"},
		"what of a library is not":            {change("libs/proto/t"), "", "proto site web"},
		"a library that nothing copies":       {change("libs/auth/f"), "api", "api auth"},
		"the input of a library":              {change("certs/ca.pem"), "api", "api auth"},
		"what a library links to":             {change("config/x.json"), "api", "api auth"},
		"inputs":                              {change("config/x.yaml"), "site web", "site web"},
		"a utility":                           {change("apps/tool/f"), "", "tool"},
		"a Dockerfile":                        {change("apps/web/Dockerfile"), "site web", "site web"},
		"a Dockerfile elsewhere":              {change("docker/site"), "site", ""},
		"an ignore file":                      {change(".dockerignore"), "site web", ""},
		"an ignore file beside":               {change("docker/site.dockerignore"), "site", ""},
		"an ignore file that is not in force": {func(f tree) { f["apps/site/.dockerignore"] = "z" }, "", "site"},
		"an ignore file that comes":           {func(f tree) { f["apps/web/Dockerfile.dockerignore"] = "z" }, "site web", "site web"},
		"all of what makes dist":              {change("apps/gen/f"), "gen", "gen"},
		"all that goes into what makes dist":  {change("libs/schema/f"), "gen", "gen schema"},
		"how dist is made":                    {replace("berth.yaml", "make gen", "make all"), "gen", "gen"},
		"how what goes into dist is tested":   {replace("berth.yaml", "  auth: {", "  schema: {test: make schema}\n  auth: {"), "gen", "gen schema"},
		"settings of a library":               {replace("berth.yaml", "[certs]", "[certs/ca.pem]"), "api", ""},
		"how it is tested":                    {replace("berth.yaml", "make web", "make all"), "", "site web"},
		"how a library is tested":             {replace("berth.yaml", "make auth", "make all"), "", "api auth"},
		"a test in words":                     {replace("berth.yaml", "make web", "[make, web]"), "", "site web"},
		"a test in other words":               {replace("berth.yaml", "make web", "[make web]"), "", "site web"},
		"an argument":                         {replace("berth.yaml", "A: one", "A: two"), "site web", ""},
		"an argument's name":                  {replace("berth.yaml", "A: one", "B: one"), "site web", ""},
		"a base by its argument":              {replace("berth.yaml", `V: "3"`, `V: "4"`), "site web", ""},
		"a target":                            {replace("berth.yaml", "context: .,", "context: ., target: build,"), "site web", ""},
		"platforms":                           {replace("berth.yaml", "linux/amd64, linux/arm64", "linux/arm64"), "api", ""},
		"platforms of all":                    {replace("berth.yaml", "platforms: [linux/amd64]\n", "platforms: [linux/arm64]\n"), "gen site web", ""},
		"a dependency more":                   {replace("berth.yaml", "depends_on: [auth]", "depends_on: [auth, other]"), "api", "api"},
		"what of berth.yaml is for others":    {replace("berth.yaml", "repository: acme/prod", "gate: {severity: high}\nrepository: acme/prod"), "", ""},
		"a project more":                      {func(f tree) { f["apps/new/f"] = "" }, "", "new"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after := maps.Clone(before)
			tt.do(after)
			was, is := keysOf(t, before), keysOf(t, after)
			var images, tests []string
			for name, keys := range is {
				if keys.ImageUnknown+keys.TestUnknown != "" {
					t.Errorf("of %s it is not known: %+v", name, keys)
				}
				if keys.Image != was[name].Image {
					images = append(images, name)
				}
				if keys.Test != was[name].Test {
					tests = append(tests, name)
				}
			}
			slices.Sort(images)
			slices.Sort(tests)
			if diff := cmp.Diff(strings.Fields(tt.images), images, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(strings.Fields(tt.tests), tests, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("tests (-want +got):\n%s", diff)
			}
		})
	}
}

// TestKeysStay has the keys of this tree as they are in images that were pushed. Whoever changes what goes into a key,
// or in which order, changes the version that it begins with, and then these.
func TestKeysStay(t *testing.T) {
	t.Parallel()
	keys := keysOf(t, parseTree(keyedRepo))
	for _, tt := range []struct{ name, image, test string }{
		{"web", "3f5da74dc27b9d84093633d58567131725cf2fbb7e8e201920d83aab13761c66", "ee2883be7737546b94d3c095e95180afdcbb80cd1c2e55df9ef416bab684ff09"},
		{"gen", "4f0120bb69e0c187d99f638c952a05c301c645720d0c677345355e7407e0739d", "882c70c4166e84f44c061cc60ed945e79fab7243e1545e52bb0a15686f11ec76"},
		{"site", "a09ab4d2822613dc3c2ddcf2ffe104136036f1c4d07f7bb07d05ca36db47878f", "4b2b8aabcbfcb1df9aefac50e9a9c02c4da46a5ae2d7c97ad5dcb4df8d25755d"},
		{"api", "74ec780e9bdabc9cb2bf682d4f3c88d2848d40a7af228490bd69918a76784f1a", "f7458680f069704097dead29564888d4e5b6becb1546a74d93d5deff0caf2616"},
		{"tool", "", "aae7f11112b5c4c3460793c22d969607fe8ae53cfaf80e40c8e936e05b7b1f4d"},
		{"auth", "", "222e46ddc1a9e5a49f3997604a04bff65674c6201fc786a7509fc0caf05f1300"},
	} {
		if got := keys[tt.name]; got.Image != tt.image || got.Test != tt.test {
			t.Errorf("{%q, %q, %q},", tt.name, got.Image, got.Test)
		}
	}
	digits, seen := regexp.MustCompile(`^[0-9a-f]{64}$`), map[string]bool{}
	for name, k := range keys {
		isApp := slices.Contains([]string{"web", "gen", "site", "api"}, name)
		if !digits.MatchString(k.Test) || digits.MatchString(k.Image) != isApp || seen[k.Test] || isApp && seen[k.Image] {
			t.Errorf("the keys of %s are %+v", name, k)
		}
		seen[k.Test], seen[k.Image] = true, true
	}
}

// TestKeysUnknown says why there is no key.
func TestKeysUnknown(t *testing.T) {
	t.Parallel()
	files := parseTree(keyedRepo)
	files["libs/proto/package.json"] = "{"
	files["apps/api/Dockerfile"] = "COPY"
	delete(files, "libs/schema/f")
	files["libs/schema/odd\nname"] = ""
	g := read(t, files)
	keys := g.Keys(func(name string) (string, bool) {
		id, ok := files.id(name)
		return id, ok && name != "libs/schema/odd\nname"
	})
	for name, want := range map[string]plan.Keys{
		"web":    {ImageUnknown: "libs/proto/package.json cannot be read", TestUnknown: "libs/proto/package.json cannot be read"},
		"site":   {ImageUnknown: "libs/proto/package.json cannot be read", TestUnknown: "libs/proto/package.json cannot be read"},
		"proto":  {TestUnknown: "libs/proto/package.json cannot be read"},
		"api":    {ImageUnknown: "apps/api/Dockerfile cannot be read", TestUnknown: "apps/api/Dockerfile cannot be read"},
		"gen":    {ImageUnknown: `git has no object of "libs/schema/odd\nname"`, TestUnknown: `git has no object of "libs/schema/odd\nname"`},
		"schema": {TestUnknown: `git has no object of "libs/schema/odd\nname"`},
	} {
		if diff := cmp.Diff(want, keys[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if keys["auth"].Test == "" || keys["tool"].Test == "" {
		t.Errorf("those that do not need them have no keys either: %v", keys)
	}
}

// TestKeysOfCycles has projects that depend on each other, and images that are made from each other.
func TestKeysOfCycles(t *testing.T) {
	t.Parallel()
	files := parseTree(`
-- berth.yaml --
repository: acme/prod
apps: [apps/*]
libs: [libs/*]
projects:
  a: {depends_on: [x]}
  x: {depends_on: [y]}
  y: {depends_on: [x]}
-- apps/a/Dockerfile --
FROM prod:b-latest
COPY --from=b / /
COPY f /
-- apps/a/f --
-- apps/b/Dockerfile --
FROM a
COPY f /
-- apps/b/f --
-- apps/b/t --
-- apps/itself/Dockerfile --
FROM itself
COPY f /
-- apps/itself/f --
-- libs/x/f --
-- libs/y/f --
`)
	before := keysOf(t, files)
	if before["x"].Test == before["y"].Test || before["a"].Image == before["b"].Image {
		t.Errorf("two of a cycle have one key: %v", before)
	}
	files["libs/y/f"] += "changed"
	files["apps/itself/f"] += "changed"
	after := keysOf(t, files)
	for _, name := range []string{"a", "b", "x", "y", "itself"} {
		if before[name].Test == after[name].Test || before[name].Image != "" && before[name].Image == after[name].Image {
			t.Errorf("the keys of %s are the same", name)
		}
	}
}

// TestPatternsInKeys has a pattern mean what it means where it stands: to a Dockerfile ** is anything, in berth.yaml directories.
func TestPatternsInKeys(t *testing.T) {
	t.Parallel()
	files := parseTree(`
-- berth.yaml --
repository: acme/prod
apps: [apps/*]
projects:
  a: {build: {context: .}}
  b: {inputs: ["data/**/t"]}
-- apps/a/Dockerfile --
FROM scratch
COPY data/**/t /
-- apps/b/Dockerfile --
FROM scratch
COPY f /
-- apps/b/f --
-- data/x/f --
-- data/x/t --
`)
	before := keysOf(t, files)
	files["data/x/f"] += "changed"
	after := keysOf(t, files)
	if before["a"] == after["a"] || before["b"] != after["b"] {
		t.Errorf("another file changed the keys of a: %v, and of b: %v", before["a"] != after["a"], before["b"] != after["b"])
	}
}

// TestSettingsOfTests has an image built again whose files a test may make, when how that is tested changed.
func TestSettingsOfTests(t *testing.T) {
	t.Parallel()
	g := read(t, parseTree(keyedRepo))
	for _, changed := range []string{"gen", "schema", "web", "auth"} {
		var built []string
		for _, a := range g.Affected(plan.Question{Settings: map[string]bool{changed: false}}) {
			if a.Build {
				built = append(built, a.Name)
			}
		}
		want := map[string][]string{"gen": {"gen"}, "schema": {"gen"}}[changed]
		if diff := cmp.Diff(want, built); diff != "" {
			t.Errorf("%s is tested in another way: to be built (-want +got):\n%s", changed, diff)
		}
	}
}

func TestTakesIgnored(t *testing.T) {
	t.Parallel()
	graph := read(t, parseTree(`
-- berth.yaml --
repository: acme/prod
apps: [apps/*]
projects:
  root: {build: {context: .}}
-- .dockerignore --
**/node_modules
-- apps/web/Dockerfile --
FROM scratch
COPY . .
-- apps/gen/Dockerfile --
FROM scratch
COPY dist/gen /
-- apps/one/Dockerfile --
FROM scratch
COPY main.py lib /
-- apps/one/main.py --
-- apps/one/lib/a --
-- apps/root/Dockerfile --
FROM scratch
COPY apps/web /web
`))
	for _, c := range []struct{ app, ignored, want string }{
		{"web", "", ""},
		{"web", "apps/web/dist/", "apps/web/dist/"},
		{"web", "apps/one/x apps/web/.env", "apps/web/.env"},
		{"gen", "", "."},
		{"gen", "apps/gen/dist/", "apps/gen/dist/"},
		{"one", "apps/one/x apps/one/libx apps/web/dist/", ""},
		{"one", "apps/one/lib/__pycache__/", "apps/one/lib/__pycache__/"},
		{"root", "apps/web/node_modules/ apps/webx apps/one/lib/x", ""},
		{"root", "apps/web/dist/", "apps/web/dist/"},
	} {
		for _, p := range graph.Projects() {
			if p.Name != c.app {
				continue
			}
			if got := p.TakesIgnored(strings.Fields(c.ignored)); got != c.want {
				t.Errorf("TakesIgnored of %s, with %s: %q, want %q", c.app, c.ignored, got, c.want)
			}
		}
	}
}
