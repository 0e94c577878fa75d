package docker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
)

// prove waits until a container is healthy: by the image's own HEALTHCHECK, if it has one, and then by the check. It does not wait for one that ends.
func (s *switching) prove(ctx context.Context, id string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wait := s.api.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case r := <-wait.Result:
			cancel(&errEnded{code: int(r.StatusCode)})
		case err := <-wait.Error:
			cancel(s.failed("waiting for the container", err))
		}
	}()
	err := s.healthy(ctx, id)
	if err == nil {
		s.say.Note("checking its health")
		err = s.checked(ctx, id)
	}
	cause := context.Cause(ctx)
	cancel(nil)
	<-done
	if err == nil {
		return s.healthy(ctx2(ctx), id)
	}
	if ended, ok := errors.AsType[*errEnded](cause); ok {
		ended.said = s.lastWords(ctx2(ctx), id)
		return ended
	}
	return err
}

// ctx2 is a context for a last question.
func ctx2(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

func (s *switching) checked(ctx context.Context, id string) error {
	c, err := s.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return s.failed("looking at the container", err)
	}
	return s.check(ctx, s.endpoint(&c.Container))
}

// healthy waits until the image's own HEALTHCHECK is content. One without is content while it runs.
func (s *switching) healthy(ctx context.Context, id string) error {
	tick := time.NewTicker(settle)
	defer tick.Stop()
	for {
		c, err := s.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return s.failed("looking at the container", err)
		}
		switch state := c.Container.State; {
		case !state.Running:
			return &errEnded{code: state.ExitCode, said: s.lastWords(ctx, id)}
		case state.Health == nil, state.Health.Status == container.Healthy, state.Health.Status == container.NoHealthcheck:
			return nil
		case state.Health.Status == container.Unhealthy:
			said := ""
			if n := len(state.Health.Log); n > 0 {
				said = ": " + lastLine(state.Health.Log[n-1].Output)
			}
			return fmt.Errorf("its HEALTHCHECK fails%s", said)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// lastWords are the last line that a container printed, "" if that is not known.
func (s *switching) lastWords(ctx context.Context, id string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	logs, err := s.api.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "5"})
	if err != nil {
		return ""
	}
	defer func() { _ = logs.Close() }()
	text, _ := io.ReadAll(io.LimitReader(logs, 64<<10)) // what came is what there is
	return lastLine(string(plain(text)))
}

// plain takes the headers off what the engine sends of a container without a terminal: a stream's number, three zeros, a length.
func plain(text []byte) []byte {
	var out bytes.Buffer
	for len(text) >= 8 {
		n := int(binary.BigEndian.Uint32(text[4:8]))
		text = text[8:]
		n = min(n, len(text))
		out.Write(text[:n])
		text = text[n:]
	}
	return out.Bytes()
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return plan.Printable(strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:]))
}

// endpoint is where a container answers, as seen from here.
func (s *switching) endpoint(c *container.InspectResponse) deploy.Endpoint {
	at := deploy.Endpoint{Container: strings.TrimPrefix(c.Name, "/")}
	port := s.want.health
	if port.IsZero() {
		return at
	}
	at.Port = int(port.Num())
	if c.HostConfig.NetworkMode.IsHost() {
		at.Host = s.machine()
		return at
	}
	if c.NetworkSettings == nil {
		return at
	}
	if bound := c.NetworkSettings.Ports[port]; len(bound) > 0 {
		host, number, ok := s.bound(bound[0])
		if ok {
			at.Host, at.Port = host, number
		}
		return at
	}
	if !s.local() || runtime.GOOS != "linux" { // elsewhere engines run in a machine of their own
		return at
	}
	for _, n := range c.NetworkSettings.Networks {
		if n != nil && n.IPAddress.IsValid() {
			at.Host = n.IPAddress.String()
		}
	}
	return at
}

// bound is where a published port answers, as seen from here.
func (s *switching) bound(b network.PortBinding) (host string, port int, ok bool) {
	number, err := network.ParsePort(b.HostPort)
	if err != nil {
		return "", 0, false
	}
	switch ip := b.HostIP; {
	case !ip.IsValid() || ip.IsUnspecified():
		host = s.machine()
	case ip.IsLoopback() && !s.local():
		return "", 0, false
	default:
		host = ip.String()
	}
	return host, int(number.Num()), true
}
