package ecs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/amazon"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

// stub speaks the part of ECS's wire that the target uses, and does with images what they are for. It is no ECS: it rolls a service within
// two questions, has tasks fail at each question, and runs nothing.
type stub struct {
	t testing.TB

	mu        sync.Mutex
	service   string // its name
	control   string // the deployment controller's type
	current   string // the revision's arn
	revisions map[string]map[string]any
	tags      map[string]map[string]string
	inactive  []string
	left      int // questions until the service is stable
	failed    int
	rolls     int  // deployments so far
	breaker   bool // the service has a circuit breaker with rollback
	before    string
	denied    string
}

type object = map[string]any

const family = "arn:aws:ecs:us-east-1:123456789012:task-definition/calculator:"

var digests = map[targettest.Behaviour]oci.Digest{}

func init() {
	for _, b := range []targettest.Behaviour{targettest.First, targettest.Second, targettest.Third, targettest.Sick, targettest.Ending, targettest.Missing} {
		digests[b] = oci.FromBytes([]byte(b))
	}
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in object
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.t.Errorf("%s: %v", operation(r), err)
	}
	if operation(r) == s.denied {
		fault(w, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: ecs:"+s.denied)
		return
	}
	switch operation(r) {
	case "DescribeServices":
		s.describe(w, in)
	case "DescribeTaskDefinition":
		arn, _ := in["taskDefinition"].(string)
		answer(w, object{"taskDefinition": s.revisions[arn], "tags": list(s.tags[arn])})
	case "RegisterTaskDefinition":
		s.register(w, in)
	case "UpdateService":
		s.update(w, in)
	case "ListTasks":
		s.tasks(w, in)
	case "DescribeTasks":
		answer(w, object{"tasks": []object{{
			"stoppedReason": "Essential container in task exited", "containers": []object{{"name": "app", "exitCode": 3}},
		}}})
	case "UntagResource":
		arn, _ := in["resourceArn"].(string)
		keys, _ := in["tagKeys"].([]any)
		for _, key := range keys {
			delete(s.tags[arn], fmt.Sprint(key))
		}
		answer(w, object{})
	case "DeregisterTaskDefinition":
		s.inactive = append(s.inactive, fmt.Sprint(in["taskDefinition"]))
		answer(w, object{})
	default:
		s.t.Errorf("the stub knows no %s", operation(r))
		fault(w, "UnknownOperationException", operation(r))
	}
}

func operation(r *http.Request) string {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return name
}

func changes(r *http.Request) bool {
	return !strings.HasPrefix(operation(r), "Describe") && !strings.HasPrefix(operation(r), "List")
}

func (s *stub) image(arn string) string {
	containers, _ := s.revisions[arn]["containerDefinitions"].([]any)
	for _, c := range containers {
		if c, ok := c.(object); ok && c["name"] == "app" {
			return fmt.Sprint(c["image"])
		}
	}
	return ""
}

// ails tells whether tasks of a revision end by themselves.
func (s *stub) ails(arn string) bool {
	d := amazon.Digest(s.image(arn))
	return d == digests[targettest.Ending] || d == digests[targettest.Missing]
}

func (s *stub) describe(w http.ResponseWriter, in object) {
	names, _ := in["services"].([]any)
	if len(names) != 1 || names[0] != s.service {
		answer(w, object{"failures": []object{{"reason": "MISSING"}}})
		return
	}
	newest := object{"id": fmt.Sprint("ecs-svc/", s.rolls), "status": "PRIMARY", "taskDefinition": s.current, "desiredCount": 2, "runningCount": 2, "rolloutState": "COMPLETED"}
	deployments, running := []object{newest}, 2
	switch {
	case s.ails(s.current):
		s.failed++
		newest["runningCount"], newest["failedTasks"], newest["rolloutState"] = 0, s.failed, "IN_PROGRESS"
		deployments = append(deployments, object{"id": "ecs-svc/old", "status": "ACTIVE", "taskDefinition": s.before})
		if s.breaker && s.failed == 2 {
			s.roll(s.before)
		}
	case s.left > 0:
		s.left--
		newest["runningCount"], newest["rolloutState"] = 2-s.left, "IN_PROGRESS"
		deployments = append(deployments, object{"id": "ecs-svc/old", "status": "ACTIVE", "taskDefinition": s.before})
		running = 3
	}
	answer(w, object{"services": []object{{
		"serviceName": s.service, "status": "ACTIVE", "taskDefinition": s.current, "desiredCount": 2, "runningCount": running,
		"deployments": deployments, "deploymentController": object{"type": s.control},
		"events": []object{{"id": fmt.Sprint("e", s.rolls), "message": fmt.Sprintf("(service %s) has begun deployment %d", s.service, s.rolls)}},
	}}})
}

func (s *stub) roll(to string) {
	s.before, s.current, s.left, s.failed = s.current, to, 2, 0
	s.rolls++
}

func (s *stub) register(w http.ResponseWriter, in object) {
	n := len(s.revisions) + 1
	arn := family + strconv.Itoa(n)
	tags, _ := in["tags"].([]any)
	delete(in, "tags")
	in["taskDefinitionArn"], in["revision"] = arn, n
	s.revisions[arn], s.tags[arn] = in, map[string]string{}
	for _, t := range tags {
		if t, ok := t.(object); ok {
			s.tags[arn][fmt.Sprint(t["key"])] = fmt.Sprint(t["value"])
		}
	}
	answer(w, object{"taskDefinition": in})
}

func (s *stub) update(w http.ResponseWriter, in object) {
	arn, _ := in["taskDefinition"].(string)
	if s.revisions[arn] == nil {
		fault(w, "ClientException", "TaskDefinition not found.")
		return
	}
	if arn != s.current {
		s.roll(arn)
	}
	answer(w, object{})
}

func (s *stub) tasks(w http.ResponseWriter, in object) {
	var arns []string
	if s.ails(s.current) && in["startedBy"] == fmt.Sprint("ecs-svc/", s.rolls) {
		for n := range s.failed {
			arns = append(arns, fmt.Sprint("arn:aws:ecs:us-east-1:123456789012:task/", s.rolls, "-", n))
		}
	}
	answer(w, object{"taskArns": arns})
}

func list(tags map[string]string) []object {
	var all []object
	for key, value := range maps.All(tags) {
		all = append(all, object{"key": key, "value": value})
	}
	return all
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(body)
}

func fault(w http.ResponseWriter, kind, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(object{"__type": kind, "message": message})
}
