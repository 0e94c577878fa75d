// Package kubernetes runs an image in a workload of a Kubernetes cluster: a Deployment, StatefulSet, DaemonSet or CronJob that is there
// already. It sets the image of one container by digest, and waits for the rollout as kubectl rollout status does, but gives up as
// soon as pods of the new image show that they will not start. What is put back is the image before.
//
// Annotations of the workload, which make no new pods, tell what was begun and what ran before it. They come with the image in one patch.
package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/replace"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Config is what a target is told.
type Config struct {
	Options workspace.Options
	Dir     string        // that kubeconfig is named from: the workspace's root
	Environ []string      // KUBECONFIG and HOME
	Sleep   replace.Sleep // the machine's clock if nil
}

// Options are the keys in berth.yaml. The context is never taken from what somebody used last.
type Options struct {
	Context    string `berth:"context,required" doc:"the context of the kubeconfig, or in-cluster for the service account of the pod that berth runs in"`
	Kubeconfig string `berth:"kubeconfig" doc:"the kubeconfig's path, from the root; KUBECONFIG or ~/.kube/config if not given"`
	Namespace  string `berth:"namespace" doc:"the namespace, with {app} and {environment} in it as needed; the context's if not given"`
	Kind       string `berth:"kind" doc:"Deployment, StatefulSet, DaemonSet or CronJob; Deployment if not given"`
	Name       string `berth:"name" doc:"the workload's name, in the same way; {app} if not given"`
	Container  string `berth:"container" doc:"the container whose image is switched, in the same way; the only one if not given"`
}

type target struct {
	Options
	api   *api
	kind  kind
	sleep replace.Sleep
}

// Open reads the options and the kubeconfig, and asks for nothing yet.
func Open(_ context.Context, c Config) (deploy.Target, error) {
	t := &target{sleep: c.Sleep}
	if err := c.Options.Decode(&t.Options); err != nil {
		return nil, err
	}
	t.Kind, t.Name = cmp.Or(t.Kind, "Deployment"), cmp.Or(t.Name, "{app}")
	var ok bool
	if t.kind, ok = kinds[t.Kind]; !ok {
		return nil, fmt.Errorf("the target's kind %q is none of Deployment, StatefulSet, DaemonSet, CronJob", t.Kind)
	}
	if t.sleep == nil {
		t.sleep = replace.Asleep
	}
	a, namespace, err := connect(t.configs(c), t.Context)
	if err != nil {
		return nil, err
	}
	t.api, t.Namespace = a, cmp.Or(t.Namespace, namespace)
	return t, nil
}

// configs are the paths of kubeconfigs, of which the first one that says something counts.
func (o Options) configs(c Config) []string {
	environ := map[string]string{}
	for _, e := range c.Environ {
		name, value, _ := strings.Cut(e, "=")
		environ[name] = value
	}
	switch {
	case filepath.IsAbs(o.Kubeconfig):
		return []string{o.Kubeconfig}
	case o.Kubeconfig != "":
		return []string{filepath.Join(c.Dir, o.Kubeconfig)}
	case environ["KUBECONFIG"] != "":
		return filepath.SplitList(environ["KUBECONFIG"])
	default:
		return []string{filepath.Join(environ["HOME"], ".kube", "config")}
	}
}

// Close ends the connections.
func (t *target) Close() error {
	t.api.client.CloseIdleConnections()
	return nil
}

// place is one workload, by the names that an app and an environment give it.
type place struct {
	*target
	namespace, name, container string
}

func (t *target) at(app, environment string) *place {
	fill := strings.NewReplacer("{app}", app, "{environment}", environment).Replace
	return &place{t, fill(t.Namespace), fill(t.Name), fill(t.Container)}
}

// String names it for people.
func (p *place) String() string {
	return fmt.Sprintf("%s %s in namespace %s", p.Kind, p.name, p.namespace)
}

func (p *place) path() string {
	return fmt.Sprintf("/apis/%s/namespaces/%s/%s/%s", p.kind.group, p.namespace, p.kind.plural, p.name)
}

// Running is deploy.Target's.
func (t *target) Running(ctx context.Context, app, environment string) (deploy.Running, error) {
	p := t.at(app, environment)
	w, err := p.look(ctx)
	if missing(err) {
		return deploy.Running{Detail: "there is no " + p.String()}, nil
	}
	if err != nil {
		return deploy.Running{}, err
	}
	c, err := p.find(w)
	if err != nil {
		return deploy.Running{}, err
	}
	running := deploy.Running{Digest: digest(c.Image), Begun: oci.Digest(w.Metadata.Annotations[begun]), Detail: w.summary(t.Kind, c.Image)}
	switch done, _, failed := w.rolled(t.Kind); {
	case failed != nil:
		no := false
		running.Healthy, running.Detail = &no, plan.Printable(running.Detail+": "+failed.Error())
	case done:
		yes := true
		running.Healthy = &yes
	}
	return running, nil
}

var _ deploy.Platformed = (*target)(nil)

// Platform tells what the workload's images must be built for, as far as it chooses its nodes by that; "" if it does not.
func (t *target) Platform(ctx context.Context, app, environment string) (string, error) {
	w, err := t.at(app, environment).look(ctx)
	if err != nil {
		return "", err
	}
	chosen := w.template().Spec.NodeSelector
	if chip := chosen["kubernetes.io/arch"]; chip != "" {
		return cmp.Or(chosen["kubernetes.io/os"], "linux") + "/" + chip, nil
	}
	return "", nil
}

// Switch is deploy.Target's.
func (t *target) Switch(ctx context.Context, to deploy.Image, check deploy.Check, say *progress.Task) error {
	p := t.at(to.App, to.Environment)
	w, err := p.look(ctx)
	if missing(err) {
		return fmt.Errorf("there is no %s. Berth switches the image of a workload that is there: create it, with a container that runs %s", p, to.Reference())
	}
	if err != nil {
		return err
	}
	c, err := p.find(w)
	if err != nil {
		return err
	}
	if why := w.stuck(); why != "" {
		return fmt.Errorf("%s %s: it would not get the new image", p, why)
	}
	return p.roll(w, c, to, say).do(ctx, check)
}
