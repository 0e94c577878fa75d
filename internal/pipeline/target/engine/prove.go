package engine

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
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// settle is how often the engine is asked how a container is.
const settle = 100 * time.Millisecond

// lastLook is how long the engine may take to say that a container is still well after its check.
const lastLook = 30 * time.Second

// Ended is that a container does not run any more.
type Ended struct {
	Code int
	Said string // its last words
}

// Error says with what.
func (e *Ended) Error() string {
	text := fmt.Sprintf("the container ended with %d", e.Code)
	if e.Said != "" {
		text += ": " + e.Said
	}
	return text
}

// Prove waits until a container is healthy: by the image's own HEALTHCHECK, if it has one, and then by the check. It does not wait for one that ends.
func (e *Engine) Prove(ctx context.Context, id string, port network.Port, check deploy.Check, say *progress.Task) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wait := e.API.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case r := <-wait.Result:
			cancel(&Ended{Code: int(r.StatusCode)})
		case err := <-wait.Error:
			cancel(e.Failed("waiting for the container", err))
		}
	}()
	err := e.Healthy(ctx, id)
	if err == nil {
		say.Note("checking its health")
		err = e.checked(ctx, id, port, check)
	}
	cause := context.Cause(ctx)
	cancel(nil)
	<-done
	if err == nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
		defer cancel()
		return e.Healthy(last, id)
	}
	if ended, ok := errors.AsType[*Ended](cause); ok {
		ended.Said = e.lastWords(context.WithoutCancel(ctx), id)
		return ended
	}
	return err
}

func (e *Engine) checked(ctx context.Context, id string, port network.Port, check deploy.Check) error {
	c, err := e.API.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return e.Failed("looking at the container", err)
	}
	return check(ctx, e.endpoint(&c.Container, port))
}

// Healthy waits until the image's own HEALTHCHECK is content. One without is content while it runs.
func (e *Engine) Healthy(ctx context.Context, id string) error {
	tick := time.NewTicker(settle)
	defer tick.Stop()
	for {
		c, err := e.API.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return e.Failed("looking at the container", err)
		}
		switch state := c.Container.State; {
		case !state.Running, state.Restarting:
			return &Ended{Code: state.ExitCode, Said: e.lastWords(ctx, id)}
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
func (e *Engine) lastWords(ctx context.Context, id string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	logs, err := e.API.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "5"})
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
func (e *Engine) endpoint(c *container.InspectResponse, port network.Port) deploy.Endpoint {
	at := deploy.Endpoint{Container: strings.TrimPrefix(c.Name, "/")}
	if exposed := c.Config.ExposedPorts; port.IsZero() && len(exposed) == 1 { // the image's
		for p := range exposed {
			port = p
		}
	}
	if port.IsZero() {
		return at
	}
	at.Port = int(port.Num())
	if c.HostConfig.NetworkMode.IsHost() {
		at.Host = e.machine()
		return at
	}
	if c.NetworkSettings == nil {
		return at
	}
	if bound := c.NetworkSettings.Ports[port]; len(bound) > 0 {
		host, number, ok := e.bound(bound[0])
		if ok {
			at.Host, at.Port = host, number
		}
		return at
	}
	if !e.local() || runtime.GOOS != "linux" { // elsewhere engines run in a machine of their own
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
func (e *Engine) bound(b network.PortBinding) (host string, port int, ok bool) {
	number, err := network.ParsePort(b.HostPort)
	if err != nil {
		return "", 0, false
	}
	switch ip := b.HostIP; {
	case !ip.IsValid() || ip.IsUnspecified():
		host = e.machine()
	case ip.IsLoopback() && !e.local():
		return "", 0, false
	default:
		host = ip.String()
	}
	return host, int(number.Num()), true
}
