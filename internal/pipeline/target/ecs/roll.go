package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/amazon"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/replace"
)

// tries is how many tasks of a deployment may end before nobody waits for it any longer, or half of those that are wanted. It is
// when a circuit breaker would trip: a service without one would try forever.
const tries = 3

// roll is one switch of a service.
type roll struct {
	*place
	now    *revision
	to     deploy.Image
	say    *progress.Task
	before string          // the revision that is put back
	made   string          // the revision of the new image
	runs   bool            // it runs already
	sent   bool            // ECS may have been told to roll
	told   map[string]bool // events and the like that were said already
	old    map[string]bool // tasks that ended before the switch, nil if nobody has asked yet
	stray  int             // how often in a row the service was seen with another revision
}

func (p *place) roll(s types.Service, now *revision, to deploy.Image, say *progress.Task) *roll {
	r := &roll{place: p, now: now, to: to, say: say, before: aws.ToString(now.TaskDefinitionArn), told: map[string]bool{}}
	for _, e := range s.Events {
		r.told[aws.ToString(e.Id)] = true
	}
	if now.begun() != "" {
		r.before = cmp.Or(now.tag(amazon.TagBefore), r.before)
	}
	if amazon.Digest(now.image()) == to.Digest {
		r.made = aws.ToString(now.TaskDefinitionArn)
	}
	return r
}

func (r *roll) do(ctx context.Context, check deploy.Check) error {
	r.runs = r.made != "" && r.now.begun() == ""
	return replace.Switch(ctx, replace.Steps{
		Runs: r.runs,
		Put: func(ctx context.Context) error {
			if r.made == "" {
				if err := r.register(ctx); err != nil {
					return err
				}
			}
			return r.update(ctx, r.made)
		},
		Ready: func(ctx context.Context) error { return r.wait(ctx, r.made, stable) },
		Watch: r.watch,
		Keep:  r.keep,
		Back:  r.back,
	}, check, r.say)
}

// register makes a revision that differs from the one that runs in the image.
func (r *roll) register(ctx context.Context) error {
	d := r.now
	containers := slices.Clone(d.ContainerDefinitions)
	containers[d.container].Image = aws.String(r.to.Reference())
	tags := append(copied(d.tags),
		types.Tag{Key: aws.String(amazon.TagBegun), Value: aws.String(r.to.Digest.String())},
		types.Tag{Key: aws.String(amazon.TagBefore), Value: &r.before},
	)
	if r.to.Deployment != "" {
		tags = append(tags, types.Tag{Key: aws.String(amazon.TagDeployment), Value: &r.to.Deployment})
	}
	out, err := r.client.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		ContainerDefinitions: containers, Family: d.Family, Tags: tags,
		Cpu: d.Cpu, Memory: d.Memory, EnableFaultInjection: d.EnableFaultInjection, EphemeralStorage: d.EphemeralStorage,
		ExecutionRoleArn: d.ExecutionRoleArn, TaskRoleArn: d.TaskRoleArn,
		IpcMode: d.IpcMode, PidMode: d.PidMode, NetworkMode: d.NetworkMode, PlacementConstraints: d.PlacementConstraints,
		ProxyConfiguration: d.ProxyConfiguration, RequiresCompatibilities: d.RequiresCompatibilities, RuntimePlatform: d.RuntimePlatform,
		Volumes: d.Volumes,
	})
	if err != nil {
		return r.explain(ctx, err, "ecs:RegisterTaskDefinition (with ecs:TagResource and iam:PassRole)")
	}
	r.made = aws.ToString(out.TaskDefinition.TaskDefinitionArn)
	r.say.Note(plan.Printable("registered " + r.made))
	return nil
}

// update rolls the service to a revision. To the one that it has it does nothing.
func (r *roll) update(ctx context.Context, arn string) error {
	_, err := r.client.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &r.cluster, Service: &r.service, TaskDefinition: &arn})
	refused, ok := errors.AsType[smithy.APIError](err)
	r.sent = r.sent || !ok || refused.ErrorFault() == smithy.FaultServer // which says nothing of whether it was done
	return r.explain(ctx, err, "ecs:UpdateService")
}

// wait waits until the service is as it should be with a revision.
func (r *roll) wait(ctx context.Context, arn string, is func(s types.Service) bool) error {
	return r.sleep.Until(ctx, func(ctx context.Context) (bool, error) {
		s, err := r.holds(ctx, arn)
		if err != nil {
			return false, err
		}
		return is(s), nil
	})
}

// manned tells whether the newest deployment has all its tasks. Those of others may take minutes to drain.
func manned(s types.Service) bool {
	d := primary(s)
	return aws.ToString(d.Id) != "" && d.RunningCount >= d.DesiredCount
}

// watch comes back when the service has left the revision, or its tasks end.
func (r *roll) watch(ctx context.Context) error {
	return r.sleep.Until(ctx, func(ctx context.Context) (bool, error) {
		_, err := r.holds(ctx, r.made)
		return false, err
	})
}

// holds asks how the service is, says what is new, and looks that it is on its way to the revision.
func (r *roll) holds(ctx context.Context, arn string) (types.Service, error) {
	s, err := r.look(ctx)
	if err != nil {
		return s, err
	}
	r.news(s)
	d := primary(s)
	switch {
	case aws.ToString(s.TaskDefinition) != arn:
		if r.stray++; r.stray < 2 { // an answer may be of before the change
			s.Deployments = nil
			return s, nil
		}
		return s, fmt.Errorf("service %s was taken to %s meanwhile: by the service's circuit breaker, or somebody else%s", r.service, aws.ToString(s.TaskDefinition), r.why(ctx, d))
	case d.RolloutState == types.DeploymentRolloutStateFailed:
		return s, fmt.Errorf("service %s: %s%s", r.service, plan.Printable(aws.ToString(d.RolloutStateReason)), r.why(ctx, d))
	}
	r.stray = 0
	ended, err := r.ended(ctx, d)
	if err != nil {
		return s, err
	}
	if most := max(tries, d.DesiredCount/2); int(d.FailedTasks) >= int(most) || len(ended) >= int(most) {
		return s, fmt.Errorf("service %s: the tasks of %s do not stay%s", r.service, arn, r.why(ctx, d))
	}
	return s, nil
}

// news says the events that were not said yet, the oldest first, and how far it is.
func (r *roll) news(s types.Service) {
	for _, e := range slices.Backward(s.Events) {
		r.once(aws.ToString(e.Id), aws.ToString(e.Message))
	}
	d := primary(s)
	r.once("", fmt.Sprintf("service %s: %d of %d tasks run, %d pending, %d failed", r.service, d.RunningCount, d.DesiredCount, d.PendingCount, d.FailedTasks))
}

func (r *roll) once(id, text string) {
	id = cmp.Or(id, text)
	if !r.told[id] {
		r.told[id] = true
		r.say.Note(plan.Printable(text))
	}
}

// ended lists tasks of a deployment that have ended. Without the permission nobody knows, and ECS's own count has to do.
func (r *roll) ended(ctx context.Context, d types.Deployment) ([]string, error) {
	if aws.ToString(d.Id) == "" || aws.ToString(d.TaskDefinition) != r.made {
		return nil, nil
	}
	out, err := r.client.ListTasks(ctx, &ecs.ListTasksInput{Cluster: &r.cluster, StartedBy: d.Id, DesiredStatus: types.DesiredStatusStopped})
	if _, denied := errors.AsType[*types.AccessDeniedException](err); denied {
		r.once("ListTasks", "ecs:ListTasks is not allowed: why tasks end is not known")
		return nil, nil
	}
	if err != nil {
		return nil, r.explain(ctx, err, "ecs:ListTasks")
	}
	if r.old == nil {
		r.old = map[string]bool{}
		for _, arn := range out.TaskArns {
			r.old[arn] = r.runs // for what runs already, these are of another day
		}
	}
	return slices.DeleteFunc(out.TaskArns, func(arn string) bool { return r.old[arn] }), nil
}

// why tells the reason why the newest task of a deployment has ended, if it can be known.
func (r *roll) why(ctx context.Context, d types.Deployment) string {
	ended, err := r.ended(ctx, d)
	if err != nil || len(ended) == 0 {
		return ""
	}
	out, err := r.client.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &r.cluster, Tasks: ended[:min(len(ended), tries)]})
	if err != nil || len(out.Tasks) == 0 {
		return ""
	}
	task := out.Tasks[0]
	text := []string{aws.ToString(task.StoppedReason)}
	for _, c := range task.Containers {
		if c.ExitCode != nil {
			text = append(text, fmt.Sprintf("container %s ended with code %d", aws.ToString(c.Name), *c.ExitCode))
		}
		if c.Reason != nil {
			text = append(text, fmt.Sprintf("container %s: %s", aws.ToString(c.Name), *c.Reason))
		}
	}
	return ": " + plan.Printable(strings.Join(text, "; "))
}

// keep takes the mark from the revision.
func (r *roll) keep(ctx context.Context) error {
	_, err := r.client.UntagResource(ctx, &ecs.UntagResourceInput{ResourceArn: &r.made, TagKeys: []string{amazon.TagBegun, amazon.TagBefore}})
	return r.explain(ctx, err, "ecs:UntagResource")
}

// ours looks that nobody has given the service a third revision meanwhile: that is theirs, and stays. Two answers say so, since one may be of
// before a change.
func (r *roll) ours(ctx context.Context) error {
	seen := 0
	return r.sleep.Until(ctx, func(ctx context.Context) (bool, error) {
		s, err := r.look(ctx)
		if err != nil {
			return false, err
		}
		has := aws.ToString(s.TaskDefinition)
		if slices.Contains([]string{r.made, r.before, aws.ToString(r.now.TaskDefinitionArn)}, has) {
			return true, nil
		}
		if seen++; seen < 2 { //nolint:mnd // see above
			return false, nil
		}
		return false, fmt.Errorf("service %s was taken to %s meanwhile, by somebody else, and is left as it is", r.service, has)
	})
}

// back rolls the service to the revision before. The one that failed is taken out of its family, so that nobody gets it who asks for the
// family's newest.
func (r *roll) back(ctx context.Context) error {
	if r.sent || r.now.begun() != "" {
		if err := r.ours(ctx); err != nil {
			return err
		}
		if err := r.update(ctx, r.before); err != nil {
			return err
		}
		if err := r.wait(ctx, r.before, manned); err != nil {
			return err
		}
	}
	for _, arn := range []string{r.made, aws.ToString(r.now.TaskDefinitionArn)} {
		half := arn == r.made || r.now.begun() != ""
		if arn == "" || arn == r.before || !half || r.told["gone "+arn] {
			continue
		}
		r.told["gone "+arn] = true
		if _, err := r.client.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &arn}); err != nil {
			r.say.Note(plan.Printable(fmt.Sprintf("%s is still active: %v", arn, r.explain(ctx, err, "ecs:DeregisterTaskDefinition"))))
		}
	}
	return nil
}
