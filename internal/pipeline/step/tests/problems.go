package tests

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

const (
	// maxProblems is how many places a failed test names. GitHub shows ten annotations of a step.
	maxProblems = 10
	// maxLooks bounds how many files are looked for: what looks like one may be a time of day in each line of a log.
	maxLooks = 10_000
	// maxPending bounds how many of go test's messages wait for the name of their package.
	maxPending = 100
)

var escapes = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])`)

// clean is a line without colours, and without anything else that is not read.
func clean(line string) string {
	if strings.ContainsRune(line, '\x1b') {
		line = escapes.ReplaceAllString(line, "")
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, line)
}

// finder looks for places in files in what a test prints. Every tool words them in its own way, and anything may look like one,
// so that a place counts only if the project has the file.
type finder struct {
	root  *os.Root // the project's directory: nothing outside of it is looked at
	dir   string   // the same, absolute
	real  string   // the same, without symbolic links
	rel   string   // the same, from the workspace's root
	found []progress.Event
	looks int

	goMaybe, goLikely []place // of a package whose name comes at the end; the former perhaps of tests that passed
	traceback         place   // Python's, whose last place of ours counts
	awaited           place   // whose message is the next line
	tap               place   // whose message comes behind
	header            string  // the last line that was not indented: eslint's name of a file
	message           string  // the last that looked like an error's, for the place that comes behind
	detail            string  // pytest's first line about what was expected
}

// place is a line of a file, as it was printed.
type place struct {
	file string
	line int
	text string
}

func newFinder(dir, rel string) *finder {
	f := &finder{dir: dir, real: dir, rel: rel}
	f.root, _ = os.OpenRoot(dir) // without it nothing is found
	if target, err := filepath.EvalSymlinks(dir); err == nil {
		f.real = target
	}
	return f
}

func (f *finder) close() {
	if f.root != nil {
		_ = f.root.Close()
	}
}

// problems are those that were found, in the order in which they were printed.
func (f *finder) problems() []progress.Event {
	f.confirmGo()
	f.packageFailed("")
	return f.found
}

var (
	// plain is what go, gcc, mypy, flake8, eslint's unix format and many others print, and tsc with " - ".
	plain = newForm(`:`, `^(?:vet: )?([^\s:'"()\[\]][^:'"()\[\]]*):([0-9]{1,7})(?::[0-9]+)?(?::| -) *(\S.*)$`)
	// goLog is a message of a test in Go, of which only the file's last name is known.
	goLog = newForm(`.go:`, `^    +([^\s:/]+\.go):([0-9]{1,7}): ?(.*)$`)
	goEnd = newForm(`--- `, `^ *--- (FAIL|PASS|SKIP): `)
	goSum = newForm(` `, `^(FAIL|ok) +(\S+)`)
	// tsc prints this where nobody looks, and " - " behind the column where somebody does.
	tsc = newForm(`): error `, `^([^\s(][^(]*)\(([0-9]{1,7}),[0-9]+\): error (.+)$`)
	// stylish is a line of eslint's, below the name of its file.
	stylish = newForm(`  error  `, `^ +([0-9]{1,7}):[0-9]+ +error +(\S.*?)(?:  +\S+)?$`)
	python  = newForm(`File "`, `^ *File "([^"]+)", line ([0-9]{1,7})`)
	pytest  = newForm(`E `, `^E +(\S.*)$`)
	// rust names the place below the message, and below the place where it panicked it names the message.
	rust     = newForm(`--> `, `^ *--> ([^:]+):([0-9]{1,7}):[0-9]+$`)
	panicked = newForm(`panicked at `, `^thread '.*' (?:\([0-9]+\) )?panicked at ([^:']+):([0-9]{1,7}):[0-9]+:$`)
	// stack is a place in a stack of JavaScript's, below the error. location is that of a failed test in TAP, above it.
	stack    = newForm(`:`, `^ *(?:at|❯) (?:.*\()?(?:file://)?([^()\s][^()]*?):([0-9]{1,7}):[0-9]+\)?$`)
	location = newForm(`location: '`, `^ *location: '([^']+?):([0-9]{1,7}):[0-9]+'$`)
	tapError = newForm(`error: `, `^ *error: (?:'(.*)'|\|-?)$`)
	thrown   = newForm(`rror`, `^ *(?:Uncaught )?((?:[A-Za-z]*Error|error)(?: ?\[\w+\])*: .+)$`)
	bullet   = newForm(`● `, `^ *● (\S.*)$`) // jest's, of a test
)

// line looks at a line that is clean.
func (f *finder) line(line string) {
	if f.root == nil || len(f.found) == maxProblems || strings.TrimSpace(line) == "" {
		return
	}
	f.follow(line)
	f.goTest(line)
	f.rust(line)
	f.javaScript(line)
	f.python(line)
	if m := tsc.match(line); m != nil {
		f.add(at(m, m[3]))
	}
	if line[0] != ' ' {
		f.header = line
	}
}

// form is how a tool words something. Most lines are not so, and looking for a few letters tells that in no time.
type form struct {
	has string
	re  *regexp.Regexp
}

func newForm(has, pattern string) form { return form{has, regexp.MustCompile(pattern)} }

func (w form) match(line string) []string {
	if !strings.Contains(line, w.has) {
		return nil
	}
	return w.re.FindStringSubmatch(line)
}

// at is a place as the first two groups of a form say.
func at(m []string, text string) place {
	n, _ := strconv.Atoi(m[2]) // digits, and not many
	return place{m[1], n, text}
}

// follow takes a line as the message of a place above it, where one waits for its message.
func (f *finder) follow(line string) {
	if f.awaited.line > 0 {
		f.awaited.text = line
		f.add(f.awaited)
		f.awaited = place{}
	}
	if f.traceback.line > 0 && line[0] != ' ' {
		f.traceback.text = line
		f.add(f.traceback)
		f.traceback = place{}
	}
}

// python looks at what Python's tools print, and at what many others do.
func (f *finder) python(line string) {
	if m := python.match(line); m != nil {
		if _, ok := f.resolve(m[1]); ok {
			f.traceback = at(m, "")
		}
	}
	if m := pytest.match(line); m != nil && f.detail == "" {
		f.detail = m[1]
	}
	if m := plain.match(line); m != nil {
		p := at(m, m[3])
		if !strings.Contains(p.text, " ") && f.detail != "" { // pytest's, which names the exception alone
			p.text = f.detail
		}
		if f.add(p) {
			f.detail = ""
		}
	}
}

func (f *finder) rust(line string) {
	if strings.HasPrefix(line, "warning") {
		f.message = ""
	}
	if m := rust.match(line); m != nil && f.message != "" && f.add(at(m, f.message)) {
		f.message = ""
	}
	if m := panicked.match(line); m != nil {
		f.awaited = at(m, "")
	}
}

func (f *finder) javaScript(line string) {
	if m := stylish.match(line); m != nil {
		f.add(at([]string{"", f.header, m[1]}, m[2]))
	}
	if m := location.match(line); m != nil {
		f.tap = at(m, "")
	}
	if m := tapError.match(line); m != nil && f.tap.line > 0 {
		if f.tap.text = m[1]; f.tap.text != "" {
			f.add(f.tap)
		} else {
			f.awaited = f.tap
		}
		f.tap = place{}
	}
	if m := stack.match(line); m != nil && f.message != "" && f.add(at(m, f.message)) {
		f.message = ""
	}
	for _, words := range []form{thrown, bullet} {
		if m := words.match(line); m != nil {
			f.message = m[1]
		}
	}
}

// goTest looks at what go test prints: messages that name the file alone, and the package when all of its tests are done. With -v
// there are messages of tests that passed, too, before the line that says so.
func (f *finder) goTest(line string) {
	if m := goLog.match(line); m != nil && len(f.goMaybe) < maxPending {
		f.goMaybe = append(f.goMaybe, at(m, m[3]))
	}
	if m := goEnd.match(line); m != nil {
		if m[1] == "FAIL" {
			f.confirmGo()
		} else {
			f.goMaybe = nil
		}
	}
	if m := goSum.match(line); m != nil {
		if m[1] == "FAIL" {
			f.confirmGo()
			f.packageFailed(m[2])
		} else {
			f.goMaybe, f.goLikely = nil, nil
		}
	}
}

func (f *finder) confirmGo() {
	f.goLikely = append(f.goLikely, f.goMaybe...)
	f.goMaybe = nil
}

// packageFailed has the messages of a package in its directory: the longest end of its import path that is one with the file.
func (f *finder) packageFailed(importPath string) {
	for _, p := range f.goLikely {
		dir := importPath
		for dir != "" {
			if f.add(place{dir + "/" + p.file, p.line, p.text}) {
				break
			}
			_, dir, _ = strings.Cut(dir, "/")
		}
		if dir == "" {
			f.add(p)
		}
	}
	f.goLikely = nil
}

// add notes a place, if it is one.
func (f *finder) add(p place) bool {
	name, ok := f.resolve(p.file)
	if !ok || p.line < 1 {
		return false
	}
	e := progress.Event{Kind: progress.Problem, Path: path.Join(f.rel, name), Line: p.line, Text: strings.TrimSpace(p.text)}
	known := slices.ContainsFunc(f.found, func(other progress.Event) bool { return other.Path == e.Path && other.Line == e.Line })
	if !known && len(f.found) < maxProblems {
		f.found = append(f.found, e)
	}
	return true
}

// resolve gives the path, from the project's directory, of a file that a tool names: absolute, from there, or from the workspace's root.
func (f *finder) resolve(file string) (string, bool) {
	file = strings.TrimPrefix(file, "file://")
	var names []string
	if filepath.IsAbs(file) {
		for _, dir := range []string{f.dir, f.real} {
			if name, err := filepath.Rel(dir, file); err == nil {
				names = append(names, name)
			}
		}
	} else {
		names = append(names, filepath.Clean(filepath.FromSlash(file)))
		if below, ok := strings.CutPrefix(path.Clean(filepath.ToSlash(file)), f.rel+"/"); ok {
			names = append(names, filepath.FromSlash(below))
		}
	}
	for _, name := range names {
		slashed := filepath.ToSlash(name)
		if !filepath.IsLocal(name) || strings.Contains("/"+slashed, "/node_modules/") || strings.Contains("/"+slashed, "/site-packages/") {
			continue
		}
		if f.looks++; f.looks > maxLooks {
			return "", false
		}
		if info, err := f.root.Stat(name); err == nil && info.Mode().IsRegular() {
			return slashed, true
		}
	}
	return "", false
}
