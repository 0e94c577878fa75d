package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
)

// kind is where the API has a kind of workload.
type kind struct{ group, plural string }

var kinds = map[string]kind{
	"Deployment":  {"apps/v1", "deployments"},
	"StatefulSet": {"apps/v1", "statefulsets"},
	"DaemonSet":   {"apps/v1", "daemonsets"},
	"CronJob":     {"batch/v1", "cronjobs"},
}

// workload is what is read of one, of any kind (Kubernetes API reference, apps/v1 and batch/v1).
type workload struct {
	Metadata struct {
		Generation      int64
		ResourceVersion string
		Annotations     map[string]string
	}
	Spec struct {
		Replicas       *int
		Paused         bool
		Selector       selector
		Strategy       struct{ Type string } // of a Deployment
		UpdateStrategy struct {              // of the others
			Type          string
			RollingUpdate *struct{ Partition int }
		}
		Template    template
		JobTemplate *struct{ Spec struct{ Template template } } // of a CronJob
		Schedule    string
		Suspend     bool
	}
	Status struct {
		ObservedGeneration     int64
		Replicas               int
		UpdatedReplicas        int
		AvailableReplicas      int
		ReadyReplicas          int
		CurrentRevision        string
		UpdateRevision         string
		DesiredNumberScheduled int
		UpdatedNumberScheduled int
		NumberAvailable        int
		Conditions             []condition
		LastScheduleTime       string
	}
}

type condition struct{ Type, Status, Reason, Message string }

type template struct {
	Spec struct {
		Containers   []container
		NodeSelector map[string]string
	}
}

type container struct{ Name, Image string }

type selector struct {
	MatchLabels      map[string]string
	MatchExpressions []struct {
		Key, Operator string
		Values        []string
	}
}

func (p *place) look(ctx context.Context) (*workload, error) {
	w := &workload{}
	return w, p.api.do(ctx, http.MethodGet, p.path(), nil, nil, w)
}

func (w *workload) template() template {
	if w.Spec.JobTemplate != nil {
		return w.Spec.JobTemplate.Spec.Template
	}
	return w.Spec.Template
}

// find gives the container whose image is switched.
func (p *place) find(w *workload) (container, error) {
	var names []string
	all := w.template().Spec.Containers
	for _, c := range all {
		if c.Name == p.container {
			return c, nil
		}
		names = append(names, c.Name)
	}
	switch {
	case p.container == "" && len(all) == 1:
		return all[0], nil
	case p.container == "":
		return container{}, fmt.Errorf("%s has the containers %s: the target's container says which is the app's", p, strings.Join(names, ", "))
	default:
		return container{}, fmt.Errorf("%s has no container %s, but %s", p, p.container, strings.Join(names, ", "))
	}
}

// digest gives the digest of an image that is named by it, or "".
func digest(image string) oci.Digest {
	_, text, _ := strings.Cut(image, "@")
	d, err := oci.ParseDigest(text)
	if err != nil {
		return ""
	}
	return d
}

// stuck tells why a change of the image would reach no pod, or not all, by itself.
func (w *workload) stuck() string {
	update := w.Spec.UpdateStrategy
	switch {
	case w.Spec.Paused:
		return "is paused"
	case update.Type == "OnDelete":
		return "has the update strategy OnDelete"
	case update.RollingUpdate != nil && update.RollingUpdate.Partition > 0:
		return fmt.Sprintf("has an update strategy with the partition %d", update.RollingUpdate.Partition)
	default:
		return ""
	}
}

// rolled tells whether the rollout is over, or how far it is, or why it will not get there.
func (w *workload) rolled(kind string) (done bool, how string, failed error) {
	if kind == "CronJob" { // each job takes the image of its time
		return true, "", nil
	}
	if w.Status.ObservedGeneration < w.Metadata.Generation {
		return false, "the cluster has not looked at it yet", nil
	}
	want := 1
	if w.Spec.Replicas != nil {
		want = *w.Spec.Replicas
	}
	s := w.Status
	switch kind {
	case "DaemonSet":
		how = fmt.Sprintf("%d of %d pods are new, %d available", s.UpdatedNumberScheduled, s.DesiredNumberScheduled, s.NumberAvailable)
		return s.UpdatedNumberScheduled >= s.DesiredNumberScheduled && s.NumberAvailable >= s.DesiredNumberScheduled, how, nil
	case "StatefulSet":
		how = fmt.Sprintf("%d of %d pods are new, %d ready", s.UpdatedReplicas, want, s.ReadyReplicas)
		return s.UpdateRevision == s.CurrentRevision && s.ReadyReplicas >= want, how, nil
	}
	for _, c := range s.Conditions {
		if c.Type == "Progressing" && c.Reason == "ProgressDeadlineExceeded" {
			return false, "", errors.New(plan.Printable("the rollout does not get on: " + c.Message))
		}
	}
	how = fmt.Sprintf("%d of %d pods are new, %d available, %d old ones left", s.UpdatedReplicas, want, s.AvailableReplicas, max(0, s.Replicas-s.UpdatedReplicas))
	return s.UpdatedReplicas >= want && s.Replicas <= s.UpdatedReplicas && s.AvailableReplicas >= s.UpdatedReplicas, how, nil
}

// trouble is what the cluster says of pods that it cannot make.
func (w *workload) trouble() string {
	for _, c := range w.Status.Conditions {
		if c.Type == "ReplicaFailure" && c.Status == "True" {
			return c.Reason + ": " + c.Message
		}
	}
	return ""
}

// summary is a line for people.
func (w *workload) summary(kind, image string) string {
	var text string
	if kind == "CronJob" {
		text = "at " + w.Spec.Schedule
		if w.Spec.Suspend {
			text += ", suspended"
		}
		if w.Status.LastScheduleTime != "" {
			text += ", last at " + w.Status.LastScheduleTime
		}
	} else {
		_, text, _ = w.rolled(kind)
	}
	if digest(image) == "" {
		text += ", runs " + image + ", which is not by digest"
	}
	return plan.Printable(strings.TrimPrefix(text, ", "))
}

// String is the selector as a query has it.
func (s selector) String() string {
	var terms []string
	for key, value := range s.MatchLabels {
		terms = append(terms, key+"="+value)
	}
	for _, e := range s.MatchExpressions {
		switch e.Operator {
		case "In", "NotIn":
			terms = append(terms, fmt.Sprintf("%s %s (%s)", e.Key, strings.ToLower(e.Operator), strings.Join(e.Values, ",")))
		case "Exists":
			terms = append(terms, e.Key)
		case "DoesNotExist":
			terms = append(terms, "!"+e.Key)
		}
	}
	return strings.Join(terms, ",")
}
