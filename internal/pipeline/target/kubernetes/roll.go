package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/replace"
)

// Annotations of workloads. Begun and before are there while a switch is at work.
const (
	begun      = "vnd.berth.begun"             // the digest of a switch that was begun and not ended
	before     = "vnd.berth.before"            // the image that ran before it
	deployment = "vnd.berth.deployment.id"     // of the newest switch
	commit     = "vnd.berth.deployment.commit" // likewise
	cause      = "kubernetes.io/change-cause"  // what kubectl rollout history shows
)

// roll is one switch of a workload.
type roll struct {
	*place
	container string
	to        deploy.Image
	say       *progress.Task
	now       string // the image that the workload has
	before    string // the image that is put back
	begun     bool   // a switch was begun and not ended
	sent      bool   // the cluster may have taken the image
	told      map[string]bool
	unheard   int // how many questions in a row had no answer
}

// towards is what is waited for.
type towards int

const (
	forth towards = iota // the image runs
	stay                 // it runs no longer
	back                 // what ran before runs again
)

func (p *place) roll(w *workload, c container, to deploy.Image, say *progress.Task) *roll {
	r := &roll{place: p, container: c.Name, to: to, say: say, now: c.Image, before: c.Image, told: map[string]bool{}}
	if r.begun = w.Metadata.Annotations[begun] != ""; r.begun {
		r.before = cmp.Or(w.Metadata.Annotations[before], r.before)
	}
	return r
}

func (r *roll) do(ctx context.Context, check deploy.Check) error {
	image := r.to.Reference()
	runs := digest(r.now) == r.to.Digest && !r.begun
	if runs {
		image = r.now
	}
	s := replace.Steps{
		Runs:  runs,
		Put:   r.put,
		Ready: func(ctx context.Context) error { return r.wait(ctx, image, forth) },
		Keep:  r.keep,
		Back:  r.back,
	}
	if r.Kind != "CronJob" {
		s.Watch = func(ctx context.Context) error { return r.wait(ctx, image, stay) }
	}
	return replace.Switch(ctx, s, check, r.say)
}

type object = map[string]any

// patch sets the image of the container and annotations of the workload; nil takes an annotation away. With a version it is refused
// when the workload has another one by then.
func (r *roll) patch(ctx context.Context, version, image string, annotations object) error {
	metadata := object{"annotations": annotations}
	if version != "" {
		metadata["resourceVersion"] = version
	}
	body := object{"metadata": metadata}
	if image != "" {
		pods := object{"template": object{"spec": object{"containers": []object{{"name": r.container, "image": image}}}}}
		if r.Kind == "CronJob" {
			pods = object{"jobTemplate": object{"spec": pods}}
		}
		body["spec"] = pods
	}
	return r.api.do(ctx, http.MethodPatch, r.path(), nil, body, nil)
}

func (r *roll) put(ctx context.Context) error {
	why := fmt.Sprintf("berth: %s %s", r.to.App, r.to.Digest)
	annotations := object{begun: r.to.Digest.String(), before: r.before}
	for name, value := range map[string]string{commit: r.to.Commit, deployment: r.to.Deployment} {
		annotations[name] = nil
		if value != "" {
			annotations[name] = value
		}
	}
	if r.to.Commit != "" {
		why += " of commit " + r.to.Commit
	}
	annotations[cause] = why
	err := r.patch(ctx, "", r.to.Reference(), annotations)
	refused, ok := errors.AsType[*refusal](err)
	r.sent = !ok || refused.Code >= 500 // which says nothing of whether it was done
	return err
}

func (r *roll) keep(ctx context.Context) error {
	return r.patch(ctx, "", "", object{begun: nil, before: nil})
}

// back has the image before run again. The mark goes when it does.
func (r *roll) back(ctx context.Context) error {
	if !r.sent && !r.begun { // the cluster did not take the image
		return nil
	}
	err := r.until(ctx, func(ctx context.Context) (bool, error) { return true, r.putBack(ctx) })
	if err != nil {
		return err
	}
	if err := r.wait(ctx, r.before, back); err != nil {
		return err
	}
	return r.keep(ctx)
}

// putBack gives the workload the image before, unless somebody has given it another one meanwhile than the two: that is theirs.
func (r *roll) putBack(ctx context.Context) error {
	w, err := r.look(ctx)
	if err != nil {
		return err
	}
	c, err := r.find(w)
	if err != nil {
		return err
	}
	if !slices.Contains([]string{r.to.Reference(), r.now, r.before}, c.Image) {
		return fmt.Errorf("%s was given the image %s meanwhile, by somebody else, and is left as it is", r.place, plan.Printable(c.Image))
	}
	return r.patch(ctx, w.Metadata.ResourceVersion, r.before, object{cause: "berth: put back after " + r.to.Digest.String()})
}

// patience is how many questions in a row may have no answer.
const patience = 12

// until asks until it is done. A cluster that does not answer for a moment, as when its control plane is replaced, says nothing of a
// rollout: it is asked again, for the better part of a minute.
func (r *roll) until(ctx context.Context, ask func(ctx context.Context) (bool, error)) error {
	return r.sleep.Until(ctx, func(ctx context.Context) (bool, error) {
		done, err := ask(ctx)
		switch {
		case !passing(err):
			r.unheard = 0
			return done, err
		case r.unheard == patience:
			return false, err
		}
		r.unheard++
		r.once("asking again: " + err.Error())
		return false, nil
	})
}

// wait waits until the workload runs an image, or does no longer.
func (r *roll) wait(ctx context.Context, image string, way towards) error {
	return r.until(ctx, func(ctx context.Context) (bool, error) {
		w, err := r.look(ctx)
		if err != nil {
			return false, err
		}
		c, err := r.find(w)
		if err != nil {
			return false, err
		}
		if c.Image != image {
			return false, fmt.Errorf("%s was given the image %s meanwhile, by somebody else", r.place, plan.Printable(c.Image))
		}
		done, how, err := w.rolled(r.Kind)
		if err != nil {
			return false, err
		}
		r.once(how)
		r.once(w.trouble())
		switch {
		case way == back && r.Kind == "StatefulSet":
			err = r.clear(ctx, w)
		case way != back && r.Kind != "CronJob":
			err = r.inspect(ctx, w, image)
		}
		return done && way != stay, err
	})
}

// inspect looks at the pods of an image, and says what troubles them.
func (r *roll) inspect(ctx context.Context, w *workload, image string) error {
	pods, err := r.pods(ctx, w, image)
	if err != nil {
		return err
	}
	for _, p := range pods {
		text, hopeless := p.trouble()
		r.once(text)
		if hopeless {
			return errors.New(text)
		}
	}
	return nil
}

// clear removes pods of the image that failed, which a StatefulSet waits for though it has a better image for them by now
// (Kubernetes, "StatefulSets", "Forced rollback").
func (r *roll) clear(ctx context.Context, w *workload) error {
	for _, image := range []string{r.to.Reference(), r.now} {
		if image == r.before {
			continue
		}
		pods, err := r.pods(ctx, w, image)
		if err != nil {
			return err
		}
		for _, p := range pods {
			if p.ready() {
				continue
			}
			r.once("removing pod " + p.Metadata.Name + ", which the StatefulSet would wait for")
			if err := r.remove(ctx, p.Metadata.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *roll) once(text string) {
	if text != "" && !r.told[text] {
		r.told[text] = true
		r.say.Note(plan.Printable(text))
	}
}
