package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
)

// pod is what is read of one (Kubernetes API reference, core/v1).
type pod struct {
	Metadata struct {
		Name              string
		DeletionTimestamp string
	}
	Spec   struct{ Containers []container }
	Status struct {
		Conditions            []condition
		InitContainerStatuses []containerStatus
		ContainerStatuses     []containerStatus
	}
}

type containerStatus struct {
	Name         string
	RestartCount int
	State        state
	LastState    state
}

type state struct {
	Waiting    *struct{ Reason, Message string }
	Terminated *struct {
		ExitCode        int
		Reason, Message string
	}
}

// pods gives those of the workload whose container has this image, and that are not on their way out.
func (p *place) pods(ctx context.Context, w *workload, image string) ([]pod, error) {
	var list struct{ Items []pod }
	query := url.Values{"labelSelector": {w.Spec.Selector.String()}}
	if err := p.api.do(ctx, http.MethodGet, "/api/v1/namespaces/"+p.namespace+"/pods", query, nil, &list); err != nil {
		return nil, err
	}
	var all []pod
	for _, one := range list.Items {
		if one.Metadata.DeletionTimestamp != "" {
			continue
		}
		for _, c := range one.Spec.Containers {
			if c.Image == image {
				all = append(all, one)
				break
			}
		}
	}
	return all, nil
}

// remove deletes a pod, for the workload to make another.
func (p *place) remove(ctx context.Context, name string) error {
	err := p.api.do(ctx, http.MethodDelete, "/api/v1/namespaces/"+p.namespace+"/pods/"+name, nil, nil, nil)
	if missing(err) {
		return nil
	}
	return err
}

func (p pod) ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// restarts is how often a container may start anew before nobody waits for it any longer: once may be something that it
// needs and that was not there yet.
const restarts = 3

// trouble is what keeps a pod from running, and whether it will not get better by waiting.
func (p pod) trouble() (text string, hopeless bool) {
	if p.ready() { // whatever it went through
		return "", false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == "PodScheduled" && c.Status == "False" {
			text = fmt.Sprintf("pod %s has no node: %s", p.Metadata.Name, c.Message) // nodes may come
		}
	}
	for _, s := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
		ended := ""
		for _, before := range []state{s.State, s.LastState} {
			if t := before.Terminated; t != nil && ended == "" && (t.ExitCode != 0 || s.RestartCount > 0) {
				ended = fmt.Sprintf(" ended with code %d (%s) %s", t.ExitCode, t.Reason, t.Message)
			}
		}
		w := s.State.Waiting
		if w != nil && (w.Reason == "ContainerCreating" || w.Reason == "PodInitializing") {
			w = nil
		}
		if w == nil && ended == "" {
			continue
		}
		text = fmt.Sprintf("pod %s: container %s%s", p.Metadata.Name, s.Name, ended)
		if w != nil {
			text += fmt.Sprintf(": %s: %s", w.Reason, w.Message)
			switch w.Reason {
			case "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "ErrImageNeverPull":
				return plan.Printable(text), true
			}
		}
		if s.RestartCount >= restarts {
			return plan.Printable(text), true
		}
	}
	return plan.Printable(text), false
}
