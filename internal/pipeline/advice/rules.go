package advice

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// base looks at the image that a stage begins from.
func (r *reader) base(i int, s instructions.Stage) {
	image, _ := r.file.Base(i)
	if image == "" || image == "scratch" || strings.ContainsAny(image, "$*") { // another stage, nothing, or not known
		return
	}
	if strings.Contains(image, "@sha256:") {
		return
	}
	tag := tagOf(image)
	if tag == "" || tag == "latest" {
		r.add("base-unpinned", Warning, s.Location, fmt.Sprintf("the base image %s is whatever is newest when it is built", image),
			"the same commit makes other images on other days, and one of them will not work",
			"name a version, and best also a digest: FROM "+strings.TrimSuffix(image, ":latest")+":VERSION@sha256:…")
		return
	}
	r.add("base-no-digest", Note, s.Location, fmt.Sprintf("the base image %s is named by a tag, which can move", image),
		"what was tested and what is built next can differ", "add the digest, and have a bot renew it: FROM "+image+"@sha256:…")
}

// tagOf gives the tag in an image's name.
func tagOf(image string) string {
	_, tag, _ := strings.Cut(path.Base(image), ":")
	return tag
}

var (
	// compilers are base images that exist to build things. A variant of node or python is not among them: apps need those to run.
	compilers = regexp.MustCompile(`(^|/)(golang|rust|gcc|maven|gradle|haskell|swift|buildpack-deps|dotnet/sdk|sbt|elixir)(:|@|$)|(^|/)[^/]*(jdk|sdk)[^/]*$`)
	toolchain = regexp.MustCompile(`\b(build-essential|build-base|gcc|g\+\+|clang|cmake|golang-go|default-jdk|cargo|rustc)\b`)
	installer = regexp.MustCompile(`\b(apt-get|apt|apk|yum|dnf|microdnf)\b[^;&|]*\b(install|add)\b[^;&|]*`)
	cleanup   = regexp.MustCompile(`\b(apt-get|apt|apk|yum|dnf|microdnf)\b[^;&|]*\b(purge|remove|autoremove|del|erase)\b`)
)

// compiler looks whether the image still has what it was built with.
func (r *reader) compiler() {
	for i, s := range r.file.Stages {
		if !r.final[i] {
			continue
		}
		const why = "the image is hundreds of megabytes larger, and whoever breaks into it finds a compiler"
		const fix = "build in a stage of its own (FROM … AS build), and take only the result from it: COPY --from=build …"
		if image, _ := r.file.Base(i); compilers.MatchString(image) {
			r.add("compiler-stays", Warning, s.Location, fmt.Sprintf("the image is built on %s and keeps its compiler", image), why, fix)
			continue
		}
		for _, c := range s.Commands {
			run, ok := c.(*instructions.RunCommand)
			if !ok {
				continue
			}
			text := command(run)
			if tool := toolchain.FindString(strings.Join(installer.FindAllString(text, -1), " ")); tool != "" && !cleanup.MatchString(text) {
				r.add("compiler-stays", Warning, run.Location(), tool+" is installed and stays in the image", why, fix)
			}
		}
	}
}

// command is what a RUN runs, in one line.
func command(c *instructions.RunCommand) string {
	parts := []string{strings.Join(c.CmdLine, " ")}
	for _, f := range c.Files { // here-documents
		parts = append(parts, f.Data)
	}
	return strings.NewReplacer("\\\n", " ", "\n", " ; ", "\t", " ").Replace(strings.Join(parts, " ; "))
}

// dependencies are what installs an app's dependencies by a file that lists them.
var dependencies = []struct {
	expression *regexp.Regexp
	tool       string
}{
	{regexp.MustCompile(`\bpip3? install\b.*(-r|--requirement)\b`), "pip"},
	{regexp.MustCompile(`\bpoetry install\b`), "poetry"},
	{regexp.MustCompile(`\buv sync\b`), "uv"},
	{regexp.MustCompile(`\bnpm (ci|i|install)\b`), "npm"},
	{regexp.MustCompile(`\b(yarn|pnpm)( install| i|$| *[;&])`), "yarn or pnpm"},
	{regexp.MustCompile(`\bgo mod download\b`), "go"},
	{regexp.MustCompile(`\bbundle install\b`), "bundler"},
	{regexp.MustCompile(`\bcargo fetch\b`), "cargo"},
	{regexp.MustCompile(`\bcomposer install\b`), "composer"},
	{regexp.MustCompile(`\bdotnet restore\b`), "dotnet"},
}

// installs names the tool by which a command installs dependencies, if it does.
func installs(text string) string {
	for _, d := range dependencies {
		if d.expression.MatchString(text) {
			return d.tool
		}
	}
	return ""
}

// leftovers are package managers, and what shows that their downloads do not stay.
var leftovers = []struct {
	rule, tool    string
	installs      *regexp.Regexp
	clean         *regexp.Regexp
	cache         string // a directory that a cache mount may stand for
	what, instead string
}{
	{
		"apt-lists", "apt", regexp.MustCompile(`\bapt(-get)? [^;&|]*\binstall\b`), regexp.MustCompile(`rm [^;&|]*/var/lib/apt`), "/var/lib/apt",
		"the package lists of apt stay in the layer", "end the same RUN with: && rm -rf /var/lib/apt/lists/*",
	},
	{
		"pip-cache", "pip", regexp.MustCompile(`\bpip3? install\b`), regexp.MustCompile(`--no-cache-dir|PIP_NO_CACHE_DIR|pip3? cache purge`), ".cache",
		"what pip downloaded stays in the layer", "pip install --no-cache-dir …, or RUN --mount=type=cache,target=/root/.cache/pip …",
	},
	{
		"apk-cache", "apk", regexp.MustCompile(`\bapk [^;&|]*\badd\b`), regexp.MustCompile(`--no-cache|rm [^;&|]*/var/cache/apk`), "/var/cache/apk",
		"the package index of apk stays in the layer", "apk add --no-cache …",
	},
	{
		"dnf-cache", "dnf", regexp.MustCompile(`\b(yum|dnf|microdnf) [^;&|]*\binstall\b`), regexp.MustCompile(`clean all|rm [^;&|]*/var/cache/(yum|dnf)`), "/var/cache",
		"what the package manager downloaded stays in the layer", "end the same RUN with: && dnf clean all",
	},
}

// caches looks at what package managers leave in a layer.
func (r *reader) caches(c *instructions.RunCommand, text string, pipKeeps bool) {
	const why = "each pull carries bytes that nothing reads; deleting them in a later RUN does not help"
	for _, l := range leftovers {
		if !l.installs.MatchString(text) || l.clean.MatchString(text) || l.tool == "pip" && !pipKeeps {
			continue
		}
		if slices.ContainsFunc(c.FlagsUsed, func(f string) bool { return f == "mount" }) && strings.Contains(c.String(), l.cache) {
			continue
		}
		r.add(l.rule, Warning, c.Location(), l.what, why, l.instead)
	}
	if regexp.MustCompile(`\bapt(-get)? [^;&|]*\bupdate\b`).MatchString(text) && !leftovers[0].installs.MatchString(text) {
		r.add("apt-update-alone", Warning, c.Location(), "apt-get update has a layer of its own",
			"the layer comes from the cache long after its lists are outdated, and then packages are not found", "update and install in one RUN, with && between them")
	}
	if leftovers[0].installs.MatchString(text) && !strings.Contains(text, "--no-install-recommends") {
		r.add("apt-recommends", Note, c.Location(), "apt-get installs packages that are only recommended, too",
			"the image has more in it than is needed, and more to scan", "apt-get install --no-install-recommends …")
	}
}

// adds looks at what ADD fetches.
func (r *reader) adds(c *instructions.AddCommand) {
	for _, source := range c.SourcePaths {
		switch {
		case strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://"):
			if c.Checksum == "" && !strings.HasSuffix(source, ".git") {
				r.add("add-url", Warning, c.Location(), "ADD fetches a URL without knowing what should come",
					"whoever answers at that address decides what is in the image", "ADD --checksum=sha256:… URL, which fails where something else comes")
			}
		case isContext(source):
			r.copied = true
		case !strings.Contains(source, ".tar") && !strings.HasSuffix(source, ".tgz") && !strings.Contains(source, "git@") && !strings.HasSuffix(source, ".git"):
			r.add("add-local", Note, c.Location(), "ADD copies "+source+", which COPY does", "ADD also unpacks archives and fetches URLs: a reader must know that neither happens here", "COPY "+source+" …")
		}
	}
}

var (
	secretName = regexp.MustCompile(`(?i)(passw(or)?d|secret|token|api_?key|private_?key|access_?key|credential)`)
	notSecret  = regexp.MustCompile(`(?i)(_file|_path|_dir|_url|_name|_id|_arn|_ttl|_expiry|_length)$`)
	secretFile = regexp.MustCompile(`(^|/)(\.env(\.[a-z]+)?|id_(rsa|ed25519|ecdsa)|\.npmrc|\.pypirc|\.netrc|\.aws|\.ssh|credentials(\.json)?|[^/]*\.(pem|key|p12|pfx))/?$`)
)

func isSecret(name string) bool { return secretName.MatchString(name) && !notSecret.MatchString(name) }

const (
	secretWhy = "everybody who can pull the image can read it, in its configuration or its history, also after a later instruction unset it"
	secretFix = "give it to the one RUN that needs it: RUN --mount=type=secret,id=NAME …; and to the app when it runs, by its environment"
)

func (r *reader) env(c *instructions.EnvCommand) {
	for _, kv := range c.Env {
		if isSecret(kv.Key) && kv.Value != "" {
			r.add("secret-env", Warning, c.Location(), "ENV "+kv.Key+" looks like a secret", secretWhy, secretFix)
		}
	}
}

func (r *reader) args(all []instructions.ArgCommand) {
	for _, c := range all {
		for _, a := range c.Args {
			if isSecret(a.Key) {
				r.add("secret-arg", Warning, c.Location(), "ARG "+a.Key+" looks like a secret", secretWhy, secretFix)
			}
		}
	}
}

func (r *reader) copies(c *instructions.CopyCommand) {
	for _, source := range c.SourcePaths {
		if secretFile.MatchString(source) {
			r.add("secret-file", Warning, c.Location(), "COPY puts "+source+" into the image, which looks like a secret", secretWhy, secretFix)
		}
	}
}
