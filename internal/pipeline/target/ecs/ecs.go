// Package ecs runs an image in a service of Amazon ECS: it registers a revision of the service's task definition, which differs from the one
// before in the image of one container, and rolls the service to it. What is put back is the revision before.
//
// The new revision's tags tell that a switch was begun, and which revision ran before it; they come with the revision, so there is no moment in
// which a service is half switched and nothing says so.
package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/amazon"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/replace"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Config is what a target is told.
type Config struct {
	Options workspace.Options
	Sleep   replace.Sleep // the machine's clock if nil
}

// Options are the keys in berth.yaml.
type Options struct {
	Cluster   string `berth:"cluster" doc:"the cluster's name, with {app} and {environment} in it as needed; {environment} if not given"`
	Service   string `berth:"service" doc:"the service's name, in the same way; {app} if not given"`
	Container string `berth:"container" doc:"the container whose image is switched, in the same way; the only one if not given"`
	Region    string `berth:"region" doc:"the region; as AWS is configured if not given"`
	Profile   string `berth:"profile" doc:"the profile of the AWS configuration; the default chain of credentials if not given"`
	Endpoint  string `berth:"endpoint" doc:"the URL of the API, or amazon for Amazon's own; as AWS is configured if not given"`
}

type target struct {
	Options
	client *ecs.Client
	sleep  replace.Sleep
}

// Open reads the options, and asks for nothing yet.
func Open(ctx context.Context, c Config) (deploy.Target, error) {
	t := &target{sleep: c.Sleep}
	if err := c.Options.Decode(&t.Options); err != nil {
		return nil, err
	}
	t.Cluster, t.Service = cmp.Or(t.Cluster, "{environment}"), cmp.Or(t.Service, "{app}")
	if t.sleep == nil {
		t.sleep = replace.Asleep
	}
	account := amazon.Account{Region: t.Region, Profile: t.Profile, Endpoint: t.Endpoint}
	config, err := account.Config(ctx)
	if err != nil {
		return nil, err
	}
	t.client = ecs.NewFromConfig(config, func(o *ecs.Options) { o.BaseEndpoint = account.At(o.BaseEndpoint) })
	return t, nil
}

// Close has nothing to end.
func (t *target) Close() error { return nil }

// place is one service, by the names that an app and an environment give it.
type place struct {
	*target
	cluster, service, container string
}

func (t *target) at(app, environment string) *place {
	fill := func(name string) string { return amazon.Fill(name, app, environment) }
	return &place{t, fill(t.Cluster), fill(t.Service), fill(t.Container)}
}

// errNone is that there is no such service.
var errNone = errors.New("there is none")

// look asks what ECS knows of the service.
func (p *place) look(ctx context.Context) (types.Service, error) {
	out, err := p.client.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &p.cluster, Services: []string{p.service}})
	if _, none := errors.AsType[*types.ClusterNotFoundException](err); none {
		return types.Service{}, fmt.Errorf("%w: no cluster %s in %s", errNone, p.cluster, p.client.Options().Region)
	}
	if err != nil {
		return types.Service{}, p.explain(ctx, err, "ecs:DescribeServices")
	}
	for _, s := range out.Services {
		if aws.ToString(s.Status) != "INACTIVE" {
			return s, nil
		}
	}
	return types.Service{}, fmt.Errorf("%w: no service %s in cluster %s in %s", errNone, p.service, p.cluster, p.client.Options().Region)
}

// revision is one of a task definition.
type revision struct {
	types.TaskDefinition
	tags      []types.Tag
	container int // whose image it is about
}

func (r *revision) image() string {
	return aws.ToString(r.ContainerDefinitions[r.container].Image)
}

func (r *revision) tag(key string) string {
	for _, t := range r.tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

func (r *revision) begun() oci.Digest { return oci.Digest(r.tag(amazon.TagBegun)) }

// revision reads one, and finds the container.
func (p *place) revision(ctx context.Context, arn string) (*revision, error) {
	out, err := p.client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &arn, Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}})
	if err != nil {
		return nil, p.explain(ctx, err, "ecs:DescribeTaskDefinition")
	}
	r := &revision{TaskDefinition: *out.TaskDefinition, tags: out.Tags}
	var names []string
	for i, c := range r.ContainerDefinitions {
		names = append(names, aws.ToString(c.Name))
		if aws.ToString(c.Name) == p.container {
			r.container = i
			return r, nil
		}
	}
	if p.container == "" && len(names) == 1 {
		return r, nil
	}
	if p.container == "" {
		return nil, fmt.Errorf("task definition %s has the containers %s: the target's container says which is the app's", arn, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("task definition %s has no container %s, but %s", arn, p.container, strings.Join(names, ", "))
}

// Running is deploy.Target's.
func (t *target) Running(ctx context.Context, app, environment string) (deploy.Running, error) {
	p := t.at(app, environment)
	s, err := p.look(ctx)
	if errors.Is(err, errNone) {
		return deploy.Running{Detail: err.Error()}, nil
	}
	if err != nil {
		return deploy.Running{}, err
	}
	r, err := p.revision(ctx, aws.ToString(s.TaskDefinition))
	if err != nil {
		return deploy.Running{}, err
	}
	running := deploy.Running{Digest: amazon.Digest(r.image()), Begun: r.begun(), Detail: detail(s, r)}
	newest := primary(s)
	switch {
	case newest.RolloutState == types.DeploymentRolloutStateFailed, s.RunningCount == 0 && s.DesiredCount > 0 && newest.FailedTasks > 0:
		running.Healthy = aws.Bool(false)
	case stable(s):
		running.Healthy = aws.Bool(true)
	}
	return running, nil
}

// detail is a line for people.
func detail(s types.Service, r *revision) string {
	text := fmt.Sprintf("%d of %d tasks of %s:%d", s.RunningCount, s.DesiredCount, aws.ToString(r.Family), r.Revision)
	d := primary(s)
	if d.CreatedAt != nil {
		text += " since " + d.CreatedAt.UTC().Format(time.RFC3339)
	}
	if amazon.Digest(r.image()) == "" {
		text += ", runs " + r.image() + ", which is not by digest"
	}
	if d.RolloutState == types.DeploymentRolloutStateFailed && d.RolloutStateReason != nil {
		text += ": " + *d.RolloutStateReason
	}
	return plan.Printable(text)
}

// primary is the deployment that ECS makes a service be.
func primary(s types.Service) types.Deployment {
	for _, d := range s.Deployments {
		if aws.ToString(d.Status) == "PRIMARY" {
			return d
		}
	}
	return types.Deployment{}
}

// stable is as in AWS's own waiter, services-stable.
func stable(s types.Service) bool {
	return len(s.Deployments) == 1 && s.RunningCount == s.DesiredCount
}

var _ deploy.Platformed = (*target)(nil)

// Platform tells what the service's images must be built for.
func (t *target) Platform(ctx context.Context, app, environment string) (string, error) {
	p := t.at(app, environment)
	s, err := p.look(ctx)
	if err != nil {
		return "", err
	}
	r, err := p.revision(ctx, aws.ToString(s.TaskDefinition))
	if err != nil {
		return "", err
	}
	system, chip := "linux", "amd64"
	if r.RuntimePlatform != nil {
		if r.RuntimePlatform.CpuArchitecture == types.CPUArchitectureArm64 {
			chip = "arm64"
		}
		if strings.HasPrefix(string(r.RuntimePlatform.OperatingSystemFamily), "WINDOWS") {
			system = "windows"
		}
	}
	return system + "/" + chip, nil
}

// Switch is deploy.Target's.
func (t *target) Switch(ctx context.Context, to deploy.Image, check deploy.Check, say *progress.Task) error {
	p := t.at(to.App, to.Environment)
	s, err := p.look(ctx)
	if errors.Is(err, errNone) {
		return fmt.Errorf("%w. Berth switches the image of a service that is there: create it, with a task definition whose container runs %s", err, to.Reference())
	}
	if err != nil {
		return err
	}
	if c := s.DeploymentController; c != nil && c.Type != types.DeploymentControllerTypeEcs {
		return fmt.Errorf("service %s is deployed by %s, and its task definition is not for ECS to change", p.service, c.Type)
	}
	now, err := p.revision(ctx, aws.ToString(s.TaskDefinition))
	if err != nil {
		return err
	}
	return p.roll(s, now, to, say).do(ctx, check)
}

// explain says what an error of ECS means.
func (p *place) explain(ctx context.Context, err error, permission string) error {
	return amazon.Explain(ctx, err, permission, p.client.Options().BaseEndpoint)
}

// copied are the tags that a new revision takes over: not Amazon's own, which nobody may set, and not ours.
func copied(tags []types.Tag) []types.Tag {
	return slices.DeleteFunc(slices.Clone(tags), func(t types.Tag) bool {
		key := aws.ToString(t.Key)
		return strings.HasPrefix(key, "aws:") || strings.HasPrefix(key, "berth:")
	})
}
