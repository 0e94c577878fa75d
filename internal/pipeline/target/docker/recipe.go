package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/engine"
)

// ports are those of the host that lead to the container, and the container's that health is asked at, zero if the image says.
type ports struct {
	bindings network.PortMap
	health   network.Port
}

func readPorts(publish []string, health string) (ports, error) {
	p := ports{bindings: network.PortMap{}}
	for _, text := range publish {
		i := strings.LastIndexByte(text, ':')
		if i < 0 {
			return ports{}, fmt.Errorf("publish: %q is no [address:]port:port, such as 8080:80", text)
		}
		inside, err := network.ParsePort(text[i+1:])
		if err == nil && !slices.Contains([]network.IPProtocol{network.TCP, network.UDP, network.SCTP}, inside.Proto()) {
			err = fmt.Errorf("%q is none of tcp, udp, sctp", inside.Proto())
		}
		if err != nil {
			return ports{}, fmt.Errorf("publish: %q: %w", text, err)
		}
		var b network.PortBinding
		b.HostPort = text[:i]
		if j := strings.LastIndexByte(b.HostPort, ':'); j >= 0 {
			if b.HostIP, err = netip.ParseAddr(strings.Trim(b.HostPort[:j], "[]")); err != nil {
				return ports{}, fmt.Errorf("publish: %q: %w", text, err)
			}
			b.HostPort = b.HostPort[j+1:]
		}
		if _, err := network.ParsePort(b.HostPort); err != nil {
			return ports{}, fmt.Errorf("publish: %q: %w", text, err)
		}
		p.bindings[inside] = append(p.bindings[inside], b)
	}
	if health != "" {
		port, err := network.ParsePort(health)
		if err != nil {
			return ports{}, fmt.Errorf("port: %w", err)
		}
		p.health = port
	} else if len(p.bindings) == 1 {
		p.health = slices.Collect(maps.Keys(p.bindings))[0]
	}
	return p, nil
}

// recipe is what a container is made from.
type recipe struct {
	whole, bare client.ContainerCreateOptions // with the published ports, and without
	hash        string                        // of what the options give, whatever the image
}

// settings are what the options give a container, whatever its image: its variables, and a hash of it all.
func (t *target) settings() (env []string, hash string, err error) {
	if env, err = t.variables(); err != nil {
		return nil, "", err
	}
	o := t.options
	text, err := json.Marshal([]any{env, o.Publish, o.Volumes, o.Network, o.Restart, o.Labels, o.Command})
	if err != nil {
		return nil, "", err //nolint:wrapcheck // cannot happen
	}
	sum := sha256.Sum256(text)
	return env, hex.EncodeToString(sum[:]), nil
}

// recipe says what a container is made from. It is not started again by the engine while it is proven.
func (t *target) recipe(to deploy.Image) (recipe, error) {
	env, hash, err := t.settings()
	if err != nil {
		return recipe{}, err
	}
	o := t.options
	r := recipe{hash: hash}
	labels := map[string]string{}
	maps.Copy(labels, o.Labels)
	maps.Copy(labels, map[string]string{
		labelApp: to.App, labelEnvironment: to.Environment, labelDigest: to.Digest.String(), labelID: to.Deployment, labelCommit: to.Commit, labelSettings: r.hash,
	})
	exposed := network.PortSet{}
	for p := range t.ports.bindings {
		exposed[p] = struct{}{}
	}
	options := func(bindings network.PortMap) client.ContainerCreateOptions {
		return client.ContainerCreateOptions{
			Config: &container.Config{Image: to.Reference(), Env: env, Labels: labels, Cmd: o.Command, ExposedPorts: exposed},
			HostConfig: &container.HostConfig{
				Binds: o.Volumes, NetworkMode: container.NetworkMode(o.Network), PortBindings: bindings,
				RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
			},
		}
	}
	r.whole, r.bare = options(t.ports.bindings), options(nil)
	return r, nil
}

// variables are the environment variables of the container: those of the files, and then those of the options.
func (t *target) variables() ([]string, error) {
	all := map[string]string{}
	for _, name := range t.options.EnvFile {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(t.Dir, path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("env_file: %w", err)
		}
		for i, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			key, value, given := strings.Cut(line, "=")
			if key == "" || strings.ContainsAny(key, " \t") {
				return nil, fmt.Errorf("env_file: %s:%d: this is no NAME=value", name, i+1) // the line may be a secret
			}
			if !given {
				value = engine.Variable(t.Environ, key)
			}
			all[key] = value
		}
	}
	for key, value := range t.options.Env {
		all[key] = string(value)
	}
	var env []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		env = append(env, key+"="+all[key])
	}
	return env, nil
}

func (s *switching) create(ctx context.Context, name string, o client.ContainerCreateOptions) (string, error) {
	o.Name = name
	s.say.Note("starting " + name)
	c, err := s.engine.API.ContainerCreate(ctx, o)
	if err != nil {
		return "", s.engine.Failed("making the container "+name, err)
	}
	s.made = append(s.made, c.ID)
	for _, w := range c.Warnings {
		s.say.Note(w)
	}
	return c.ID, nil
}
