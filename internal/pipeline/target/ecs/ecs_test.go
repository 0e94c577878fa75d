package ecs_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/amazon"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/ecs"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/stubtest"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

const repository = "123456789012.dkr.ecr.us-east-1.amazonaws.com/prod"

func image(b targettest.Behaviour) deploy.Image {
	return deploy.Image{App: "calculator", Environment: "staging", Repository: repository, Digest: digests[b], Deployment: "d-" + string(b)}
}

func fresh(t testing.TB) *stub {
	return &stub{
		t: t, service: "calculator", control: "ECS", current: family + "1", before: family + "1",
		tags: map[string]map[string]string{family + "1": {"team": "web", "aws:cloudformation:stack-name": "x"}},
		revisions: map[string]map[string]any{family + "1": {
			"taskDefinitionArn": family + "1", "family": "calculator", "revision": 1, "cpu": "256", "networkMode": "awsvpc",
			"runtimePlatform": object{"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
			"containerDefinitions": []any{
				object{"name": "sidecar", "image": "proxy:1"},
				object{"name": "app", "image": repository + ":placeholder", "essential": true, "secrets": []any{object{"name": "KEY", "valueFrom": "arn:x"}}},
			},
		}},
	}
}

func open(t testing.TB, at string, options ...string) deploy.Target {
	t.Helper()
	options = append(options, "endpoint: "+at)
	target, err := ecs.Open(t.Context(), ecs.Config{Options: stubtest.Options(t, "ecs", options...), Sleep: stubtest.Soon})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func check(to deploy.Image) deploy.Check {
	return func(context.Context, deploy.Endpoint) error {
		if to.Digest == digests[targettest.Sick] {
			return errors.New("it coughs")
		}
		return nil
	}
}

func TestSuite(t *testing.T) {
	stubtest.Account(t)
	targettest.Run(t, func(t *testing.T) *targettest.Place {
		s := fresh(t)
		return &targettest.Place{
			Open: func(t testing.TB, during func() bool) deploy.Target {
				return open(t, stubtest.Proxy(t, s, changes, during), "container: app")
			},
			Gone:  func(t testing.TB) (deploy.Target, error) { return open(t, stubtest.Gone(t)), nil },
			Image: func(_ testing.TB, b targettest.Behaviour) deploy.Image { return image(b) },
			Serves: func(context.Context) (oci.Digest, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				return amazon.Digest(s.image(s.current)), nil
			},
			Check:    check,
			Replaces: true,
			Changes:  true,
		}
	})
}

// TestSuiteAtMoto is the suite with moto's ECS, which nobody here has written: its services are stable at once, and it runs nothing.
func TestSuiteAtMoto(t *testing.T) {
	stubtest.Account(t)
	t.Setenv("MOTO_ECS_SERVICE_RUNNING", "1")
	at, moto := stubtest.Moto(t)
	c, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := sdk.NewFromConfig(c, func(o *sdk.Options) { o.BaseEndpoint = &at })
	if _, err := client.CreateCluster(t.Context(), &sdk.CreateClusterInput{ClusterName: aws.String("staging")}); err != nil {
		t.Fatal(err)
	}
	targettest.Run(t, func(t *testing.T) *targettest.Place {
		app := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
		create(t, client, app)
		return &targettest.Place{
			Open: func(t testing.TB, during func() bool) deploy.Target {
				return open(t, stubtest.Proxy(t, moto, changes, during), "container: app")
			},
			Gone: func(t testing.TB) (deploy.Target, error) { return open(t, stubtest.Gone(t)), nil },
			Image: func(t testing.TB, b targettest.Behaviour) deploy.Image {
				if b == targettest.Ending || b == targettest.Missing {
					t.Skip("moto runs nothing, and so nothing ends")
				}
				to := image(b)
				to.App = app
				return to
			},
			Serves:   func(ctx context.Context) (oci.Digest, error) { return serves(ctx, client, app) },
			Check:    check,
			Replaces: true,
			Changes:  true,
		}
	})
}

func create(t *testing.T, client *sdk.Client, app string) {
	t.Helper()
	_, err := client.RegisterTaskDefinition(t.Context(), &sdk.RegisterTaskDefinitionInput{Family: &app, ContainerDefinitions: []types.ContainerDefinition{
		{Name: aws.String("sidecar"), Image: aws.String("proxy:1"), Memory: aws.Int32(64)},
		{Name: aws.String("app"), Image: aws.String(repository + ":placeholder"), Memory: aws.Int32(64)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CreateService(t.Context(), &sdk.CreateServiceInput{
		Cluster: aws.String("staging"), ServiceName: &app, TaskDefinition: &app, DesiredCount: aws.Int32(1),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func serves(ctx context.Context, client *sdk.Client, app string) (oci.Digest, error) {
	services, err := client.DescribeServices(ctx, &sdk.DescribeServicesInput{Cluster: aws.String("staging"), Services: []string{app}})
	if err != nil {
		return "", err
	}
	task, err := client.DescribeTaskDefinition(ctx, &sdk.DescribeTaskDefinitionInput{TaskDefinition: services.Services[0].TaskDefinition})
	if err != nil {
		return "", err
	}
	return amazon.Digest(*task.TaskDefinition.ContainerDefinitions[1].Image), nil
}

type notes struct{ texts []string }

func (n *notes) Event(e progress.Event) { n.texts = append(n.texts, e.Text) }

func switchTo(t testing.TB, target deploy.Target, to deploy.Image) (string, error) {
	t.Helper()
	n := &notes{}
	err := target.Switch(t.Context(), to, check(to), &progress.Task{Sink: n, Now: time.Now})
	return strings.Join(n.texts, "\n"), err
}

// TestRevision looks that a revision differs from the one before in the image and in our tags only.
func TestRevision(t *testing.T) {
	stubtest.Account(t)
	s := fresh(t)
	said, err := switchTo(t, open(t, stubtest.Proxy(t, s, changes, nil), "container: app"), image(targettest.First))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"registered " + family + "2", "(service calculator) has begun deployment 1", "service calculator: 1 of 2 tasks run"} {
		if strings.Count(said, want) != 1 {
			t.Errorf("it says\n%s\nwant %q in it, once", said, want)
		}
	}
	got, want := s.revisions[family+"2"], fresh(t).revisions[family+"1"]
	got["revision"], got["taskDefinitionArn"] = 1, family+"1"
	if container, ok := want["containerDefinitions"].([]any)[1].(object); ok {
		container["image"] = image(targettest.First).Reference()
	}
	if diff := cmp.Diff(sparse(want), sparse(got)); diff != "" {
		t.Errorf("the revision (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"team": "web", "berth:deployment": "d-first"}, s.tags[family+"2"]); diff != "" {
		t.Errorf("its tags (-want +got):\n%s", diff)
	}
}

// sparse leaves out what the SDK sends though nobody has set it.
func sparse(in any) any {
	switch in := in.(type) {
	case object:
		out := object{}
		for key, value := range in {
			if value := sparse(value); value != nil && value != 0.0 && value != false && value != "" {
				out[key] = value
			}
		}
		return out
	case []any:
		var out []any
		for _, value := range in {
			out = append(out, sparse(value))
		}
		if out == nil {
			return nil
		}
		return out
	default:
		return in
	}
}

func TestTasksEnd(t *testing.T) {
	stubtest.Account(t)
	for name, c := range map[string]struct {
		place func(s *stub)
		want  []string
		quiet string
	}{
		"without a circuit breaker": {nil, []string{"the tasks of " + family + "2 do not stay", "Essential container in task exited; container app ended with code 3"}, ""},
		"with one":                  {func(s *stub) { s.breaker = true }, []string{"was taken to " + family + "1 meanwhile"}, ""},
		"may not list tasks":        {func(s *stub) { s.denied = "ListTasks" }, []string{"do not stay"}, "ecs:ListTasks is not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			if c.place != nil {
				c.place(s)
			}
			said, err := switchTo(t, open(t, stubtest.Proxy(t, s, changes, nil), "container: app"), image(targettest.Ending))
			if _, undone := errors.AsType[*deploy.Undone](err); !undone || s.current != family+"1" || !strings.Contains(said, c.quiet) {
				t.Fatalf("Switch gives %v, the service has %s, it says\n%s", err, s.current, said)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Switch gives %v, want %q in it", err, want)
				}
			}
			if diff := cmp.Diff([]string{family + "2"}, s.inactive); diff != "" {
				t.Errorf("revisions that were taken out (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	stubtest.Account(t)
	for name, c := range map[string]struct {
		place  func(s *stub)
		option string
		want   string
	}{
		"no service":          {func(s *stub) { s.service = "another" }, "container: app", "no service calculator in cluster staging in us-east-1"},
		"no such container":   {nil, "container: web", "has no container web, but sidecar, app"},
		"which container":     {nil, "service: calculator", "has the containers sidecar, app: the target's container says"},
		"blue and green":      {func(s *stub) { s.control = "CODE_DEPLOY" }, "container: app", "is deployed by CODE_DEPLOY"},
		"may not register":    {func(s *stub) { s.denied = "RegisterTaskDefinition" }, "container: app", "ecs:RegisterTaskDefinition (with ecs:TagResource and iam:PassRole) is not allowed: User: "},
		"may not roll":        {func(s *stub) { s.denied = "UpdateService" }, "container: app", "ecs:UpdateService is not allowed: User: "},
		"may not see service": {func(s *stub) { s.denied = "DescribeServices" }, "container: app", "ecs:DescribeServices is not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			if c.place != nil {
				c.place(s)
			}
			_, err := switchTo(t, open(t, stubtest.Proxy(t, s, changes, nil), c.option), image(targettest.First))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Switch gives %v, want %q in it", err, c.want)
			}
			if _, broken := errors.AsType[*deploy.Broken](err); broken {
				t.Errorf("Switch gives %v, want nothing broken", err)
			}
			if s.current != family+"1" || s.rolls != 0 {
				t.Errorf("the service has %s after %d rolls, want it untouched", s.current, s.rolls)
			}
		})
	}
}

// TestNotECS looks that a server which is no ECS, such as a Berth, is told from one that refuses.
func TestNotECS(t *testing.T) {
	stubtest.Account(t)
	at := stubtest.Proxy(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fault(w, "UnknownOperationException", "") }), changes, nil)
	_, err := open(t, at).Running(t.Context(), "calculator", "staging")
	if err == nil || !strings.Contains(err.Error(), `does not know ecs:DescribeServices`) || !strings.Contains(err.Error(), `endpoint: amazon`) {
		t.Errorf("Running gives %v", err)
	}
}

func TestPlatform(t *testing.T) {
	stubtest.Account(t)
	target := open(t, stubtest.Proxy(t, fresh(t), changes, nil), "container: app")
	p, ok := target.(interface {
		Platform(ctx context.Context, app, environment string) (string, error)
	})
	if !ok {
		t.Fatal("the target does not tell its platform")
	}
	if got, err := p.Platform(t.Context(), "calculator", "staging"); err != nil || got != "linux/arm64" {
		t.Errorf("Platform gives %q, %v, want linux/arm64", got, err)
	}
}

func TestDocumented(t *testing.T) {
	stubtest.Documented(t, "ecs", ecs.Options{})
}
