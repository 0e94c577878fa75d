// Package compose has a service of a compose project run an image: a deploy.Target.
//
// The project's own files stay as they are. A file of the target's beside them has the service run the image by its digest, and says what a
// switch that has not ended began, and what ran before. What runs is asked of the engine, so that the file may be lost.
package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/engine"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/program"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Config is what the target goes by.
type Config struct {
	Options workspace.Options
	Dir     string   // the workspace's root
	Environ []string // of compose, which puts variables of it into its files; and as for the docker target
	Now     func() time.Time
}

// Options are what berth.yaml says of the target.
type Options struct {
	Dir     string             `berth:"dir" doc:"the project's directory, from the root; the root if not given"`
	Files   []string           `berth:"files" doc:"the project's files, from its directory; those that compose finds there if not given"`
	Project string             `berth:"project" doc:"the project's name, in which {app} and {environment} are replaced; compose's own if not given"`
	Service string             `berth:"service" doc:"the service's name, in which {app} and {environment} are replaced; {app} if not given"`
	Host    string             `berth:"host" doc:"the engine, such as ssh://deployer@host, tcp://host:2376 or unix:///run/docker.sock; DOCKER_HOST if not given, or the machine's own"`
	Port    workspace.ArgValue `berth:"port" doc:"the container's port that health is asked at; the one that the image has, if it has one alone"`
	Address string             `berth:"address" doc:"host:port where health is asked instead, in which {app} and {environment} are replaced"`
}

type target struct {
	Config
	options Options
	engine  *engine.Engine
	compose []string // the program
	port    network.Port
}

// Open reads the options and looks for compose. The engine is not asked yet.
func Open(ctx context.Context, c Config) (deploy.Target, error) {
	t := &target{Config: c}
	if err := c.Options.Decode(&t.options); err != nil {
		return nil, err //nolint:wrapcheck // says file, line and column
	}
	o := &t.options
	if o.Service == "" {
		o.Service = "{app}"
	}
	var err error
	if o.Port != "" {
		if t.port, err = network.ParsePort(string(o.Port)); err != nil {
			return nil, fmt.Errorf("port: %w", err)
		}
	}
	if o.Address != "" {
		if _, err := address(o.Address, "app", "environment"); err != nil {
			return nil, err
		}
	}
	if t.engine, err = engine.Open(o.Host, c.Environ); err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	if t.compose, err = t.find(ctx); err != nil {
		return nil, errors.Join(err, t.engine.Close())
	}
	return t, nil
}

var _ deploy.Platformed = (*target)(nil)

// Platform is what the engine runs: deploy.Platformed.
func (t *target) Platform(ctx context.Context, _, _ string) (string, error) {
	return t.engine.Platform(ctx) //nolint:wrapcheck // says enough
}

// Close ends the connections to the engine.
func (t *target) Close() error { return t.engine.Close() } //nolint:wrapcheck // says enough

func named(text, app, environment string) string {
	return strings.NewReplacer("{app}", app, "{environment}", environment).Replace(text)
}

func address(text, app, environment string) (deploy.Endpoint, error) {
	text = named(text, app, environment)
	host, port, err := net.SplitHostPort(text)
	number, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || host == "" {
		return deploy.Endpoint{}, fmt.Errorf("address: %q is no host:port", text)
	}
	return deploy.Endpoint{Host: host, Port: int(number)}, nil
}

// find gives compose as docker's plugin, or as a program of its own.
func (t *target) find(ctx context.Context) ([]string, error) {
	var problems []error
	for _, args := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		version, err := (program.Program{Env: t.Environ, Args: append(slices.Clip(args), "version", "--short")}).Ask(ctx)
		switch {
		case err == nil && strings.HasPrefix(version, "1."):
			problems = append(problems, fmt.Errorf("docker-compose is version %s", version))
		case err == nil:
			return args, nil
		case ctx.Err() != nil:
			return nil, err
		default:
			problems = append(problems, err)
		}
	}
	return nil, fmt.Errorf("there is no compose of version 2 or newer on this machine: %w", errors.Join(problems...))
}

// project is a project with the service in it.
type project struct {
	name, service string
	dir           string
	files         []string // the project's own
	file          string   // the target's
}

// ownFiles are those that compose finds by itself, with those that change them, in compose's order.
var ownFiles = [2][]string{
	{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"},
	{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"},
}

// project reads the project's files by way of compose, which asks no engine for it.
func (t *target) project(ctx context.Context, app, environment string) (*project, error) {
	p := &project{dir: t.options.Dir, files: t.options.Files, service: named(t.options.Service, app, environment)}
	if !filepath.IsAbs(p.dir) {
		p.dir = filepath.Join(t.Dir, p.dir)
	}
	if len(p.files) == 0 {
		for _, names := range ownFiles {
			for _, name := range names {
				if _, err := os.Stat(filepath.Join(p.dir, name)); err == nil {
					p.files = append(p.files, name)
					break
				}
			}
			if len(p.files) == 0 {
				return nil, fmt.Errorf("there is no compose.yaml in %s", p.dir)
			}
		}
	}
	p.name = named(t.options.Project, app, environment)
	text, err := t.program(p, false, "config", "--format", "json").Ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the project: %w", err)
	}
	var read struct {
		Name     string
		Services map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		return nil, fmt.Errorf("reading the project: %w", err)
	}
	if _, ok := read.Services[p.service]; !ok {
		return nil, fmt.Errorf("service: the project %s has no service %q that is always on", read.Name, p.service)
	}
	p.name = read.Name
	p.file = filepath.Join(p.dir, ".berth", "compose-"+p.name+"-"+p.service+".yaml")
	return p, nil
}

// program is compose with the project's files, and the target's if it is to count.
func (t *target) program(p *project, own bool, args ...string) program.Program {
	all := append(slices.Clip(t.compose), "--ansi", "never", "--project-directory", p.dir)
	for _, f := range p.files {
		if !filepath.IsAbs(f) {
			f = filepath.Join(p.dir, f)
		}
		all = append(all, "-f", f)
	}
	if own {
		all = append(all, "-f", p.file)
	}
	if p.name != "" {
		all = append(all, "-p", p.name)
	}
	// The same engine as ours, whatever docker's settings on this machine say.
	return program.Program{Dir: p.dir, Env: append(slices.Clip(t.Environ), "DOCKER_HOST="+t.engine.Host), Args: append(all, args...)}
}

// The labels of a container.
const (
	labelPrefix  = "vnd.berth.deployment."
	labelApp     = labelPrefix + "app"
	labelEnv     = labelPrefix + "environment"
	labelDigest  = labelPrefix + "digest"
	labelID      = labelPrefix + "id"
	labelCommit  = labelPrefix + "commit"
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelOneOff  = "com.docker.compose.oneoff"
)

// service is what the target's file says of the service.
type service struct {
	Image  string            `json:"image"`
	Labels map[string]string `json:"labels,omitempty"`
}

func (s *service) digest() oci.Digest {
	if s == nil {
		return ""
	}
	_, digest, _ := strings.Cut(s.Image, "@")
	return oci.Digest(digest)
}

// state is the target's file, in JSON, which is YAML too.
type state struct {
	Berth    begun              `json:"x-berth"`
	Services map[string]service `json:"services"`
}

// begun is a switch that has not ended: to what, and what ran before, nil if that was nothing of Berth's.
type begun struct {
	Note   string     `json:"note"`
	Begun  oci.Digest `json:"begun,omitempty"`
	Before *service   `json:"before,omitempty"`
	Theirs bool       `json:"theirs,omitempty"` // that ran before what the project's own files say
}

const note = "written by berth deploy: give this file to compose after your own ones"

// read gives the target's file, nil if there is none.
func (p *project) read() (*state, error) {
	text, err := os.ReadFile(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there is none
	}
	var s state
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.file, err)
	}
	return &s, nil
}

// write replaces the target's file as a whole, or removes it if there is nothing to say.
func (p *project) write(s *service, b begun) error {
	if s == nil && b.Begun == "" {
		if err := os.Remove(p.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err //nolint:wrapcheck // says which
		}
		return nil
	}
	b.Note = note
	whole := state{Berth: b, Services: map[string]service{}}
	if s != nil {
		whole.Services[p.service] = *s
	}
	text, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return err //nolint:wrapcheck // cannot happen
	}
	if err := os.MkdirAll(filepath.Dir(p.file), 0o755); err != nil { //nolint:gosec // as the project's own directory
		return err //nolint:wrapcheck // says which
	}
	if err := os.WriteFile(p.file+".new", append(text, '\n'), 0o644); err != nil { //nolint:gosec // as the project's own files
		return err //nolint:wrapcheck // says which
	}
	return os.Rename(p.file+".new", p.file) //nolint:wrapcheck // says which
}

// containers are the service's, those that run first and then the newest.
func (t *target) containers(ctx context.Context, p *project) ([]*container.InspectResponse, error) {
	filters := client.Filters{}.Add("label", labelProject+"="+p.name).Add("label", labelService+"="+p.service).Add("label", labelOneOff+"=False")
	list, err := t.engine.API.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return nil, t.engine.Failed("looking for the service's containers", err) //nolint:wrapcheck // our own
	}
	var all []*container.InspectResponse
	for _, item := range list.Items {
		c, err := t.engine.API.ContainerInspect(ctx, item.ID, client.ContainerInspectOptions{})
		if err != nil {
			return nil, t.engine.Failed("looking at the service's containers", err) //nolint:wrapcheck // our own
		}
		all = append(all, &c.Container)
	}
	slices.SortStableFunc(all, func(a, b *container.InspectResponse) int {
		if a.State.Running != b.State.Running {
			if a.State.Running {
				return -1
			}
			return 1
		}
		return strings.Compare(b.Created, a.Created)
	})
	return all, nil
}

// serviceOf is what the target's file said when a container was made, nil if its image is not by a digest.
func serviceOf(c *container.InspectResponse) *service {
	if _, digest, ok := strings.Cut(c.Config.Image, "@"); !ok || digest == "" {
		return nil
	}
	s := &service{Image: c.Config.Image}
	for key, value := range c.Config.Labels {
		if strings.HasPrefix(key, labelPrefix) {
			if s.Labels == nil {
				s.Labels = map[string]string{}
			}
			s.Labels[key] = value
		}
	}
	return s
}
