package cli

import (
	"errors"
	"fmt"
	"strings"
)

// The exit codes, for scripts to tell apart. They are part of the interface: docs/operate/operator-guide.md.
const (
	exitDone   = 0
	exitFailed = 1 // it was tried and did not work
	exitUsage  = 2 // it was asked for in a way that cannot work: flags, arguments, settings
	exitFound  = 3 // a check worked, and found what it looks for
)

// usageError is an error of the command line or the settings, with what to do about it.
type usageError struct {
	error
	hint string
}

// Unwrap gives the error itself.
func (e usageError) Unwrap() error { return e.error }

// hintedError is any other error with what to do about it.
type hintedError struct {
	error
	hint string
}

// Unwrap gives the error itself.
func (e hintedError) Unwrap() error { return e.error }

// foundError is what a check has found.
type foundError struct{ error }

// Unwrap gives the error itself.
func (e foundError) Unwrap() error { return e.error }

// report prints an error, if there is one, and gives the exit code.
func (p *program) report(err error) int {
	if err == nil {
		return exitDone
	}
	// A joined error has a line for each; lines that begin with a space belong to the one before.
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			fmt.Fprintln(p.stderr, line)
			continue
		}
		p.say("%s", line)
	}
	if usage, ok := errors.AsType[usageError](err); ok {
		p.hint(usage.hint)
		return exitUsage
	}
	hinted, isHinted := errors.AsType[hintedError](err)
	if isHinted {
		p.hint(hinted.hint)
	}
	if _, ok := errors.AsType[foundError](err); ok {
		return exitFound
	}
	if !isHinted {
		p.hint(p.usualHint(err))
	}
	return exitFailed
}

// say tells the user something that is not data.
func (p *program) say(format string, args ...any) {
	fmt.Fprintf(p.stderr, "berth: "+format+"\n", args...)
}

func (p *program) hint(text string) {
	if text != "" {
		p.say("hint: %s", text)
	}
}
