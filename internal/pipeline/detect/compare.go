package detect

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/git"
)

// Method is how the head is compared with the base.
type Method string

// The methods.
const (
	// SinceAncestor compares with the newest commit that base and head have in common: what the head brings.
	SinceAncestor Method = "since-ancestor"
	// Rewritten compares with that commit and with the base itself: what the head brings, and what it no longer has.
	Rewritten Method = "rewritten"
	// Trees compares with the base itself, where the history between is not here.
	Trees Method = "trees"
	// Everything compares with nothing.
	Everything Method = "everything"
)

// Comparison is what is compared with what.
type Comparison struct {
	Method   Method
	Why      string // there is nothing to compare with
	Base     string // the commit, "" if there is none
	BaseName string // as it was given or found, such as origin/main
	BaseFrom string // who named it, such as --base
	Ancestor string // of base and head, "" if it is not known
	Head     string // the commit, "" if there is none yet
	HeadName string
	Here     bool // the head is the working tree on top of that commit

	since []string // commits whose files the head's are compared with
}

// compare decides what is compared with what.
func (d *detection) compare(ctx context.Context) error {
	c := &d.result.Comparison
	c.HeadName, c.Here = d.Head, d.Head == ""
	if c.Here {
		c.HeadName = "HEAD"
	}
	head, err := d.repo.Commit(ctx, c.HeadName)
	switch {
	case errors.Is(err, git.ErrNoCommit) && c.Here:
		d.all("there is no commit yet")
		return nil
	case errors.Is(err, git.ErrNoCommit):
		return fmt.Errorf("--head: %q: %w", d.Head, ErrRevision)
	case err != nil:
		return err
	}
	c.Head = head
	push := d.Run.Push
	switch {
	case d.Base != "":
		c.BaseName, c.BaseFrom = d.Base, "--base"
		push = push && d.Base == d.Run.Base
	case d.Run.Base != "":
		c.BaseName, c.BaseFrom = d.Run.Base, d.Run.System+": "+d.Run.Event
	default:
		return d.byDefault(ctx, "")
	}
	if d.Base == "" && head == d.Run.Merge {
		// The base of the event may be older than what the pull request was merged into.
		if parents, err := d.repo.Parents(ctx, head); err != nil || len(parents) == 2 {
			if err != nil {
				return err
			}
			c.Base, c.BaseName = parents[0], c.HeadName+"^"
			return d.since(ctx, false)
		}
	}
	if isZero(c.BaseName) {
		return d.byDefault(ctx, "the base is all zeros, so the branch is new")
	}
	c.Base, err = d.repo.Commit(ctx, c.BaseName)
	if errors.Is(err, git.ErrNoCommit) {
		return d.missing()
	}
	if err != nil {
		return err
	}
	return d.since(ctx, push)
}

// all has everything affected.
func (d *detection) all(why string) {
	c := &d.result.Comparison
	c.Method, c.Why, c.since = Everything, why, nil
}

// isZero tells the hash that stands for no commit.
func isZero(revision string) bool {
	return len(revision) >= 40 && strings.Trim(revision, "0") == ""
}

func isHash(revision string) bool {
	return len(revision) >= 40 && strings.Trim(revision, "0123456789abcdefABCDEF") == ""
}

func short(commit string) string { return commit[:min(10, len(commit))] }

// byDefault compares with the default branch, or if the head is in it, with the head's first parent. Of a new branch
// that is in the default branch, nothing tells what it brings.
func (d *detection) byDefault(ctx context.Context, newBranch string) error {
	c := &d.result.Comparison
	name, err := d.repo.DefaultBranch(ctx)
	if err != nil {
		return err
	}
	if name != "" {
		if c.Base, err = d.repo.Commit(ctx, name); err != nil {
			return err
		}
		name = git.ShortBranch(name)
		if c.Ancestor, err = d.repo.MergeBase(ctx, c.Base, c.Head); err != nil {
			return err
		}
	}
	if newBranch != "" {
		if name == "" || c.Ancestor == c.Head || c.Ancestor == "" {
			c.Base, c.Ancestor = "", ""
			d.all(newBranch + ", and there is no other that it left")
			return nil
		}
		d.note("%s: it is compared with %s", newBranch, name)
	}
	if name != "" && c.Ancestor != c.Head {
		c.BaseName, c.BaseFrom = name, "the default branch"
		return d.since(ctx, false)
	}
	parents, err := d.repo.Parents(ctx, c.Head)
	if err != nil {
		return err
	}
	c.Base, c.Ancestor = "", ""
	switch {
	case len(parents) == 0 && d.repo.Shallow():
		d.all(fmt.Sprintf("the clone is shallow and ends with %s: fetch one commit more", short(c.Head)))
		return nil
	case len(parents) == 0:
		d.all("it is the first commit")
		return nil
	case name != "":
		d.note("%s is in %s: it is compared with its first parent; --base says with what else", c.HeadName, name)
	}
	c.Base, c.BaseName, c.BaseFrom = parents[0], c.HeadName+"^", "the commit before"
	return d.since(ctx, false)
}

// missing is what to do where the base is not here.
func (d *detection) missing() error {
	c := &d.result.Comparison
	switch {
	case !isHash(c.BaseName):
		return fmt.Errorf("%s: %q: %w", c.BaseFrom, c.BaseName, ErrRevision)
	case d.repo.Shallow():
		d.all(fmt.Sprintf("the base %s is not in this shallow clone: fetch more of the history (fetch-depth: 0 in actions/checkout)", short(c.BaseName)))
	default:
		d.all(fmt.Sprintf("the base %s is not here any more, as after a force-push", short(c.BaseName)))
	}
	return nil
}

// since compares with the base or with what it and the head have in common.
func (d *detection) since(ctx context.Context, push bool) error {
	c := &d.result.Comparison
	var err error
	if c.Ancestor, err = d.repo.MergeBase(ctx, c.Base, c.Head); err != nil {
		return err
	}
	name := short(c.Base)
	if name != short(c.BaseName) {
		name = c.BaseName + " (" + name + ")"
	}
	switch {
	case c.Ancestor == "" && d.repo.Shallow():
		d.note("the history between %s and %s is not in this shallow clone: their files are compared directly", name, c.HeadName)
		c.Method, c.since = Trees, []string{c.Base}
	case c.Ancestor == "":
		d.all(fmt.Sprintf("%s and %s have no history in common", name, c.HeadName))
	case c.Ancestor == c.Base:
		c.Method, c.since = SinceAncestor, []string{c.Base}
	case push:
		// What was pushed before and is gone may be in images: those are made again too.
		d.note("the branch was %s and does not have it any more, as after a force-push: what it lost counts as changed too", name)
		c.Method, c.since = Rewritten, []string{c.Base, c.Ancestor}
	case c.Ancestor == c.Head:
		d.note("%s has all of %s: there is nothing that %[2]s brings", name, c.HeadName)
		c.Method, c.since = SinceAncestor, []string{c.Ancestor}
	default:
		c.Method, c.since = SinceAncestor, []string{c.Ancestor}
	}
	return nil
}

// enumerate makes a sentence's part of names.
func enumerate(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
