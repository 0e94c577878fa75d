// Package command has a program of the user's run an app, wherever that is: a deploy.Target.
//
// What the program is told, and what it has to do, is in docs/operate/targets.md.
package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/program"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Config is what the target goes by.
type Config struct {
	Options workspace.Options
	Dir     string   // the workspace's root
	Environ []string // of the programs, beside what they are told
}

// Options are what berth.yaml says of the target.
type Options struct {
	Run     workspace.Command `berth:"run,required" doc:"what runs an image: a line for sh, or a program with its arguments"`
	Undo    workspace.Command `berth:"undo" doc:"what puts the image before back; run, with BERTH_ACTION=undo, if not given"`
	Running workspace.Command `berth:"running,required" doc:"what prints the digest of the image that runs"`
	Address string            `berth:"address" doc:"host:port where health is asked, in which {app} and {environment} are replaced"`
	Dir     string            `berth:"dir" doc:"the directory that the programs run in, from the root; the root if not given"`
}

// What a program ends with if the place that it talks to does not answer, and it has touched nothing: EX_UNAVAILABLE of sysexits.h.
const unavailable = 69

type target struct {
	Config
	options Options
}

// Open reads the options, and removes logins that were left by deployers that were killed.
func Open(_ context.Context, c Config) (deploy.Target, error) {
	t := &target{Config: c}
	if err := c.Options.Decode(&t.options); err != nil {
		return nil, err //nolint:wrapcheck // says file, line and column
	}
	if t.options.Address != "" {
		if _, err := t.endpoint(deploy.Image{App: "app", Environment: "environment"}); err != nil {
			return nil, err
		}
	}
	sweepLogins()
	return t, nil
}

// Close has nothing to end.
func (t *target) Close() error { return nil }

// The actions of a program.
const (
	actSwitch  = "switch"
	actUndo    = "undo"
	actRunning = "running"
)

func (t *target) program(c workspace.Command, action, app, environment string, more ...string) program.Program {
	args := c.Args
	if len(args) == 0 {
		args = []string{"sh", "-e", "-c", c.Shell}
	}
	dir := t.options.Dir
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(t.Dir, dir)
	}
	env := append(slices.Clip(t.Environ), "BERTH_ACTION="+action, "BERTH_APP="+app, "BERTH_ENVIRONMENT="+environment)
	return program.Program{Dir: dir, Env: append(env, more...), Args: args}
}

// failed says which program could not do it, and tells a place that does not answer.
func failed(what string, err error) error {
	if f, ok := errors.AsType[*program.Failed](err); ok && f.Code == unavailable {
		if f.Said == "" {
			return fmt.Errorf("%w: %s", deploy.ErrUnreachable, what)
		}
		return fmt.Errorf("%w: %s: %s", deploy.ErrUnreachable, what, f.Said)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Running asks the program.
func (t *target) Running(ctx context.Context, app, environment string) (deploy.Running, error) {
	answer, err := t.program(t.options.Running, actRunning, app, environment).Ask(ctx)
	if err != nil {
		return deploy.Running{}, failed("running", err)
	}
	lines := strings.Split(answer, "\n")
	var r deploy.Running
	for i, line := range lines {
		line = strings.TrimSpace(line)
		begun, isBegun := strings.CutPrefix(line, "begun ")
		text := line
		if isBegun {
			text = strings.TrimSpace(begun)
		}
		switch digest, err := oci.ParseDigest(text); {
		case err == nil && isBegun:
			r.Begun = digest
		case err == nil && i == 0:
			r.Digest = digest
		case isBegun || (i == 0 && line != ""):
			return deploy.Running{}, fmt.Errorf("running: it prints %s, which is no digest such as sha256:…, nor an empty line", plan.Printable(shorten(line)))
		case line != "":
			r.Detail = plan.Printable(shorten(line))
		}
	}
	return r, nil
}

func shorten(line string) string {
	if r := []rune(line); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return line
}

// endpoint is where the app answers, if that is known.
func (t *target) endpoint(to deploy.Image) (deploy.Endpoint, error) {
	if t.options.Address == "" {
		return deploy.Endpoint{}, nil
	}
	text := strings.NewReplacer("{app}", to.App, "{environment}", to.Environment).Replace(t.options.Address)
	host, port, err := net.SplitHostPort(text)
	number, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || host == "" {
		return deploy.Endpoint{}, fmt.Errorf("address: %q is no host:port", text)
	}
	return deploy.Endpoint{Host: host, Port: int(number)}, nil
}

// Switch has the program run an image, and has it undone if it is not healthy then.
func (t *target) Switch(ctx context.Context, to deploy.Image, check deploy.Check, say *progress.Task) error {
	at, err := t.endpoint(to)
	if err != nil {
		return err
	}
	now, err := t.Running(ctx, to.App, to.Environment)
	if err != nil {
		return err
	}
	if now.Digest == to.Digest && now.Begun == "" {
		say.Note("it runs this image already")
		if err := check(ctx, at); err != nil {
			return &deploy.Undone{Err: err}
		}
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) //nolint:wrapcheck // the caller's own
	}
	told := []string{
		"BERTH_IMAGE=" + to.Reference(), "BERTH_DIGEST=" + to.Digest.String(), "BERTH_PREVIOUS_DIGEST=" + now.Digest.String(),
		"BERTH_COMMIT=" + to.Commit, "BERTH_DEPLOYMENT=" + to.Deployment,
	}
	err = t.act(ctx, t.options.Run, actSwitch, to, told, say)
	if errors.Is(err, deploy.ErrUnreachable) || errors.Is(err, errLogin) {
		return err
	}
	if err == nil {
		say.Note("checking its health")
		err = check(ctx, at)
	}
	if err == nil {
		return nil
	}
	say.Note("undoing it: " + plan.Printable(err.Error()))
	undo := t.options.Undo
	if undo.IsZero() {
		undo = t.options.Run
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), deploy.Undoing)
	defer cancel()
	if failed := t.act(last, undo, actUndo, to, told, say); failed != nil {
		return &deploy.Broken{Err: err, Undo: failed}
	}
	return &deploy.Undone{Err: err}
}

// errLogin is that there is no login to give to a program, so that it was not started.
var errLogin = errors.New("logging in to the registry")

// act runs a program that changes something. The login is in a file that goes when the program has ended.
func (t *target) act(ctx context.Context, c workspace.Command, action string, to deploy.Image, told []string, say *progress.Task) error {
	if to.Login != nil {
		dir, err := newLoginDir()
		if err != nil {
			return fmt.Errorf("%w: %w", errLogin, err)
		}
		defer dir.remove()
		switch file, err := dir.write(ctx, to.Login); {
		case err == nil:
			told = append(slices.Clip(told), "BERTH_LOGIN_FILE="+file)
		case action == actUndo: // what is put back is mostly there
			say.Say(progress.Event{Kind: progress.Problem, Text: plan.Printable(err.Error())})
		default:
			return err
		}
	}
	out := say.Writer()
	defer func() { _ = out.Close() }()
	p := t.program(c, action, to.App, to.Environment, told...)
	p.Out = out
	if err := p.Run(ctx); err != nil {
		return failed(action, err)
	}
	return nil
}
