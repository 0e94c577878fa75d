// Package diagnose finds out why a push, a pull or a login does not work: it walks from the configuration to the image, says of each
// step whether it is well, and what to type where it is not. It works on Berths and on Amazon's ECR.
//
// Nothing is changed by looking, and no secret is in what it says. A check whose ground has failed is skipped, so that what
// fails is the cause.
package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/schedule"
)

// Status is how a check came out.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning" // it works, and will or may not
	Failure Status = "failure"
	Skipped Status = "skipped" // it could not be looked at, or there is nothing to look at
)

// Result is what a check found.
type Result struct {
	Status  Status
	Message string // a sentence
	Fix     string // what to type; "" where there is nothing to do, or nothing to type
	Because string // of a skipped one: the check that it could not be done without

	blocks bool // what needs this is not to be looked at
}

func ok(format string, args ...any) Result {
	return Result{Status: OK, Message: fmt.Sprintf(format, args...)}
}

func warn(fix, format string, args ...any) Result {
	return Result{Status: Warning, Message: fmt.Sprintf(format, args...), Fix: fix}
}

func fail(fix, format string, args ...any) Result {
	return Result{Status: Failure, Message: fmt.Sprintf(format, args...), Fix: fix, blocks: true}
}

// unseen is of what could not be looked at. What needs it cannot be either.
func unseen(format string, args ...any) Result {
	return Result{Status: Skipped, Message: "could not be looked at because " + fmt.Sprintf(format, args...), blocks: true}
}

// blocking is a result without which nothing goes on.
func (r Result) blocking() Result {
	r.blocks = true
	return r
}

// without is of what needs a check that failed.
func without(cause string) Result {
	r := unseen("of %s", cause)
	r.Because = cause
	return r
}

// open is a result with which others go on.
func (r Result) open() Result {
	r.blocks = false
	return r
}

// Check is one thing to look at.
type Check struct {
	Name  string
	Needs []string // checks without whose success this says nothing
	After []string // checks that find out what this uses where they did
	Run   func(ctx context.Context, e *Env) Result
}

// Found is a check with what came of it.
type Found struct {
	Check string
	Result
}

// parallel is how many checks are done at once: most of them wait for a network.
const parallel = 8

// Run does the checks, each in at most the time that Env says, and gives what came of each, in their order. Its error is that ctx has ended.
func Run(ctx context.Context, e *Env, checks []Check) ([]Found, error) {
	r := &run{env: e, checks: map[string]Check{}, results: map[string]Result{}}
	nodes := make([]schedule.Node, 0, len(checks))
	for _, c := range checks {
		r.checks[c.Name] = c
		nodes = append(nodes, schedule.Node{Name: c.Name, After: slices.Concat(c.Needs, c.After)})
	}
	outcomes := schedule.Run(ctx, nodes, parallel, r.one)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("the checks were stopped: %w", context.Cause(ctx))
	}
	all := make([]Found, 0, len(checks))
	for _, c := range checks {
		result, looked := r.results[c.Name]
		if outcome := outcomes[c.Name]; !looked && outcome.State == schedule.Skipped {
			result = without(outcome.Because)
		} else if !looked {
			result = unseen("of a fault in berth: %v", outcome.Err)
		}
		all = append(all, Found{c.Name, result})
	}
	return all, nil
}

type run struct {
	env    *Env
	checks map[string]Check

	mu      sync.Mutex
	results map[string]Result
}

// one does a check. That a check failed is no error: its dependants are skipped here, where those are told from others that merely
// come after it.
func (r *run) one(ctx context.Context, name string) error {
	c := r.checks[name]
	result, blocked := r.blocked(c)
	if !blocked {
		limited, cancel := context.WithTimeout(ctx, r.env.Timeout)
		defer cancel()
		result = c.Run(limited, r.env)
		if late := limited.Err(); errors.Is(late, context.DeadlineExceeded) && ctx.Err() == nil && result.Status != OK {
			fix := result.Fix
			result = fail(fix, "there was no answer in %s: %s", r.env.Timeout, result.Message)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results[name] = result
	return nil
}

// blocked tells whether a check cannot be done, and why.
func (r *run) blocked(c Check) (Result, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, need := range c.Needs {
		before, looked := r.results[need]
		if _, planned := r.checks[need]; !planned || looked && !before.blocks {
			continue
		}
		cause := need
		if before.Because != "" { // the root of it, not the link before
			cause = before.Because
		}
		return without(cause), true
	}
	return Result{}, false
}

// Env is what checks are told, and what they found out for each other: a field below is written by one check, and read by those that
// come after it.
type Env struct {
	URL          string // a Berth's, "aws" for Amazon, "" for what the AWS configuration says
	Dir          string // in which a workspace may be
	DockerConfig string // docker's configuration file; "" where nothing says where it is
	Servers      []string
	Repository   string // of the images in question; "": the workspace's
	Tag          string // that is to be pushed
	Image        string // tag or digest that is to be pulled
	Role         string // ARN of the role that a job takes on
	Audience     string
	Subject      string // for whom the trust is looked at, where there is no token
	Issuer       string // of the subject
	Manifest     bool   // manifests may be read, which counts as a pull
	Self         string // how to call berth
	Getenv       func(string) (string, bool)
	Now          func() time.Time
	Timeout      time.Duration // for one check

	found
}

// get gives a variable.
func (e *Env) get(name string) string {
	v, _ := e.Getenv(name)
	return v
}

// sentence makes one line of an error's text.
func sentence(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// quote makes a word of s for a POSIX shell.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=+,@%"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
