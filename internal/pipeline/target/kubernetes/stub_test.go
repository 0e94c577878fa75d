package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

// stub answers for one workload and its pods as a cluster's API would. It is no cluster: it rolls out within two questions, has
// pods fail at each question by what their image is for, and merges the patches that the target sends and no others.
type stub struct {
	t testing.TB

	mu         sync.Mutex
	kind       string
	name       string
	image      string
	generation int
	marks      map[string]any // annotations
	spec       map[string]any // what else the workload's spec has
	left       int            // questions until it is rolled out
	asked      int            // questions since the image has changed
	stuck      string         // the image of a pod that a StatefulSet waits for
	removed    []string       // pods
	refuses    int            // the status of the answer to patches
	restarts   int            // of a pod that has been well for long
}

type object = map[string]any

var digests = map[targettest.Behaviour]oci.Digest{}

func init() {
	for _, b := range []targettest.Behaviour{targettest.First, targettest.Second, targettest.Third, targettest.Sick, targettest.Ending, targettest.Missing} {
		digests[b] = oci.FromBytes([]byte(b))
	}
}

func (s *stub) ails(image string) bool {
	return s.kind != "CronJob" && (strings.HasSuffix(image, string(digests[targettest.Ending])) || strings.HasSuffix(image, string(digests[targettest.Missing])))
}

func (s *stub) path() string {
	group := "apps/v1"
	if s.kind == "CronJob" {
		group = "batch/v1"
	}
	return fmt.Sprintf("/apis/%s/namespaces/web/%ss/%s", group, strings.ToLower(s.kind), s.name)
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "Bearer t0ken":
		refuse(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
	case r.URL.Path == s.path() && r.Method == http.MethodGet:
		s.look(w)
	case r.URL.Path == s.path() && r.Method == http.MethodPatch:
		s.patch(w, r)
	case r.URL.Path == "/api/v1/namespaces/web/pods" && r.Method == http.MethodGet:
		s.pods(w, r)
	case strings.HasPrefix(r.URL.Path, "/api/v1/namespaces/web/pods/") && r.Method == http.MethodDelete:
		s.removed, s.stuck = append(s.removed, r.URL.Path), ""
		answer(w, object{})
	default:
		refuse(w, http.StatusNotFound, "NotFound", fmt.Sprintf("%s not found", r.URL.Path))
	}
}

func (s *stub) look(w http.ResponseWriter) {
	s.asked++
	done := s.left <= 0 && !s.ails(s.image) && s.stuck == ""
	s.left--
	status := object{
		"observedGeneration": s.generation, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2,
		"currentRevision": "b", "updateRevision": "b", "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2,
	}
	if !done {
		maps.Copy(status, object{"replicas": 3, "updatedReplicas": 1, "readyReplicas": 1, "updateRevision": "c", "updatedNumberScheduled": 1})
	}
	if s.left == 1 {
		status["observedGeneration"] = s.generation - 1
	}
	pods := object{"template": object{"spec": object{
		"nodeSelector": object{"kubernetes.io/arch": "arm64"},
		"containers":   []object{{"name": "proxy", "image": "proxy:1"}, {"name": "app", "image": s.image}},
	}}}
	spec := object{"replicas": 2, "selector": object{"matchLabels": object{"app": "calculator"}}}
	maps.Copy(spec, pods)
	if s.kind == "CronJob" {
		spec = object{"schedule": "0 4 * * *", "jobTemplate": object{"spec": pods}}
	}
	maps.Copy(spec, s.spec)
	answer(w, object{"metadata": object{"name": s.name, "generation": s.generation, "annotations": s.marks}, "spec": spec, "status": status})
}

func (s *stub) patch(w http.ResponseWriter, r *http.Request) {
	if got := r.Header.Get("Content-Type"); got != "application/strategic-merge-patch+json" {
		s.t.Errorf("a patch is %s", got)
	}
	if s.refuses != 0 {
		refuse(w, s.refuses, "Forbidden", `deployments.apps "calculator" is forbidden: User "ci" cannot patch resource "deployments"`)
		return
	}
	type pods struct {
		Template struct {
			Spec struct {
				Containers []struct{ Name, Image string }
			}
		}
	}
	var in struct {
		Metadata struct{ Annotations object }
		Spec     struct {
			pods
			JobTemplate struct{ Spec pods }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.t.Error(err)
	}
	for name, value := range in.Metadata.Annotations {
		if s.marks[name] = value; value == nil {
			delete(s.marks, name)
		}
	}
	containers := in.Spec.Template.Spec.Containers
	if s.kind == "CronJob" {
		containers = in.Spec.JobTemplate.Spec.Template.Spec.Containers
	}
	for _, c := range containers {
		if c.Name != "app" {
			s.t.Errorf("a patch is about the container %s", c.Name)
		}
		if c.Image != s.image {
			if s.kind == "StatefulSet" && s.ails(s.image) {
				s.stuck = s.image
			}
			s.image, s.left, s.asked = c.Image, 2, 0
			s.generation++
		}
	}
	answer(w, object{})
}

func (s *stub) pods(w http.ResponseWriter, r *http.Request) {
	if got := r.URL.Query().Get("labelSelector"); got != "app=calculator" {
		s.t.Errorf("pods are asked for with the selector %q", got)
	}
	all := []object{s.pod("calculator-0", s.image)}
	if s.stuck != "" {
		all = append(all, s.pod("calculator-1", s.stuck))
	}
	answer(w, object{"items": all})
}

func (s *stub) pod(name, image string) object {
	status := object{"name": "app", "restartCount": s.restarts, "state": object{"running": object{}}, "lastState": object{}}
	ready := "True"
	switch {
	case !s.ails(image):
	case strings.HasSuffix(image, string(digests[targettest.Missing])):
		ready = "False"
		status["state"] = object{"waiting": object{"reason": "ErrImagePull", "message": "not found"}}
		if s.asked > 2 {
			status["state"] = object{"waiting": object{"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
		}
	default:
		ready = "False"
		status["restartCount"] = s.asked
		status["state"] = object{"waiting": object{"reason": "CrashLoopBackOff", "message": "back-off restarting"}}
		status["lastState"] = object{"terminated": object{"exitCode": 3, "reason": "Error", "message": "no DATABASE_URL"}}
	}
	return object{
		"metadata": object{"name": name}, "spec": object{"containers": []object{{"name": "app", "image": image}}},
		"status": object{"conditions": []object{{"type": "Ready", "status": ready}}, "containerStatuses": []object{status}},
	}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code})
}
