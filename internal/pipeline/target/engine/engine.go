// Package engine talks to a Docker engine, for the targets whose containers run in one: it pulls images, and waits until a container is
// healthy.
package engine

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// Engine is one.
type Engine struct {
	API     *client.Client
	Host    string   // as DOCKER_HOST says it
	Environ []string // of the programs that reach it

	url *url.URL
}

// Open gets ready to talk to an engine, which it does not yet. An empty host is that of DOCKER_HOST, and then the machine's own. The
// environment says the rest, as it does to docker's own program: DOCKER_TLS_VERIFY, DOCKER_CERT_PATH, HOME.
func Open(host string, environ []string) (*Engine, error) {
	e := &Engine{Host: host, Environ: environ}
	if e.Host == "" {
		e.Host = Variable(environ, "DOCKER_HOST")
	}
	if e.Host == "" {
		e.Host = client.DefaultDockerHost
	}
	var err error
	if e.url, err = url.Parse(e.Host); err != nil || e.url.Scheme == "" {
		return nil, fmt.Errorf("%q names no engine; give one such as ssh://deployer@host, tcp://host:2376 or unix:///run/docker.sock", e.Host)
	}
	var opts []client.Opt
	if e.url.Scheme == "ssh" {
		opts = append(opts, client.WithHost("http://docker.invalid"), client.WithDialContext(e.dialSSH))
	} else {
		if Variable(environ, "DOCKER_TLS_VERIFY") != "" && e.url.Scheme == "tcp" {
			dir := Variable(environ, "DOCKER_CERT_PATH")
			if dir == "" {
				dir = filepath.Join(Variable(environ, "HOME"), ".docker")
			}
			opts = append(opts, client.WithTLSClientConfig(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")))
		}
		opts = append(opts, client.WithHost(e.Host))
	}
	if e.API, err = client.New(opts...); err != nil {
		return nil, fmt.Errorf("the Docker engine at %s: %w", e.url.Redacted(), err)
	}
	return e, nil
}

// Close ends the connections.
func (e *Engine) Close() error { return e.API.Close() } //nolint:wrapcheck // says enough

// Variable gives one of an environment, "" if it is not there.
func Variable(environ []string, name string) string {
	for _, kv := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

// machine is the host that published ports are on, as seen from here.
func (e *Engine) machine() string {
	switch e.url.Scheme {
	case "unix", "npipe":
		return "127.0.0.1"
	default:
		return e.url.Hostname()
	}
}

// local tells whether the engine runs on this machine.
func (e *Engine) local() bool {
	ip := net.ParseIP(e.machine())
	return e.machine() == "localhost" || (ip != nil && ip.IsLoopback())
}

// Failed says what was tried, and tells an engine that does not answer from one that says no.
func (e *Engine) Failed(what string, err error) error {
	if client.IsErrConnectionFailed(err) {
		return fmt.Errorf("%w: the Docker engine at %s: %w", deploy.ErrUnreachable, e.url.Redacted(), err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
