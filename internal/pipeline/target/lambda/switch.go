package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/amazon"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/replace"
)

// change is one switch of a function.
type change struct {
	*target
	function
	to   deploy.Image
	say  *progress.Task
	sent bool // Lambda may have taken an image
}

func (c *change) begun() oci.Digest { return oci.Digest(c.tags[amazon.TagBegun]) }

// replaceCode switches a function without an alias. An image that was named by a tag is put back by the digest that the tag had then.
func (c *change) replaceCode(ctx context.Context, check deploy.Check) error {
	before := c.image
	if amazon.Digest(before) == "" {
		before = cmp.Or(c.resolved, before)
	}
	if c.begun() != "" {
		before = cmp.Or(c.tags[amazon.TagBefore], before)
	}
	return replace.Switch(ctx, replace.Steps{
		Runs:   amazon.Digest(c.image) == c.to.Digest && c.begun() == "" && c.update != types.LastUpdateStatusFailed,
		Begun:  c.begun() != "",
		Mark:   func(ctx context.Context) error { return c.mark(ctx, before) },
		Put:    func(ctx context.Context) error { return c.code(ctx, c.to.Reference()) },
		Ready:  func(ctx context.Context) error { return c.settle(ctx, "") },
		Keep:   c.keep,
		Unmark: c.unmark,
		Back: func(ctx context.Context) error {
			if !c.sent && c.begun() == "" { // Lambda did not take the image
				return c.unmark(ctx)
			}
			err := c.code(ctx, before)
			if err == nil {
				err = c.settle(ctx, "")
			}
			if err == nil {
				err = c.unmark(ctx)
			}
			return err
		},
	}, check, c.say)
}

// moveAlias switches by versions. Whoever calls the function without the alias gets the new code in any case.
func (c *change) moveAlias(ctx context.Context, alias string, check deploy.Check) error {
	out, err := c.client.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &c.name, Name: &alias})
	if err != nil {
		if err = c.explain(ctx, err, "lambda:GetAlias"); errors.Is(err, errNone) {
			return fmt.Errorf("function %s has no alias %s. To create it:\n%s", c.name, alias, c.steps(c.name, c.to))
		}
		return err
	}
	shown, err := c.look(ctx, c.name, alias)
	if err != nil {
		return err
	}
	before, weights := aws.ToString(out.FunctionVersion), out.RoutingConfig
	if v := c.tags[amazon.TagBefore]; c.begun() != "" && v != "" {
		before, weights = v, nil
	}
	whole := weights == nil || len(weights.AdditionalVersionWeights) == 0
	return replace.Switch(ctx, replace.Steps{
		Runs:  amazon.Digest(shown.image) == c.to.Digest && c.begun() == "" && whole,
		Begun: c.begun() != "",
		Mark:  func(ctx context.Context) error { return c.mark(ctx, before) },
		Put: func(ctx context.Context) error {
			version, err := c.publish(ctx)
			if err != nil {
				return err
			}
			return c.lead(ctx, alias, version, nil)
		},
		Ready:  func(ctx context.Context) error { return c.settle(ctx, alias) },
		Keep:   c.keep,
		Unmark: c.unmark,
		Back: func(ctx context.Context) error {
			if err := c.lead(ctx, alias, before, weights); err != nil {
				return err
			}
			return c.unmark(ctx)
		},
	}, check, c.say)
}

// publish makes a version of the image, and gives it when it can be called. Lambda makes none twice of the same code and configuration.
func (c *change) publish(ctx context.Context) (string, error) {
	if err := c.code(ctx, c.to.Reference()); err != nil {
		return "", err
	}
	if err := c.settle(ctx, ""); err != nil {
		return "", err
	}
	var version string
	err := c.patiently(ctx, "lambda:PublishVersion", func(ctx context.Context) error {
		out, err := c.client.PublishVersion(ctx, &lambda.PublishVersionInput{
			FunctionName: &c.name, Description: aws.String("berth " + c.to.Deployment),
		})
		if err == nil {
			version = aws.ToString(out.Version)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	c.say.Note("published version " + plan.Printable(version))
	if err := c.settle(ctx, version); err != nil {
		return "", err
	}
	return version, c.try(ctx, version)
}

// try invokes a version.
func (c *change) try(ctx context.Context, version string) error {
	if c.Invoke == "" {
		return nil
	}
	out, err := c.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &c.name, Qualifier: &version, Payload: []byte(c.Invoke)})
	if err != nil {
		return c.explain(ctx, err, "lambda:InvokeFunction")
	}
	if out.FunctionError != nil {
		const most = 500
		answer := out.Payload[:min(len(out.Payload), most)]
		return fmt.Errorf("version %s answers with an error (%s): %s", version, *out.FunctionError, plan.Printable(string(answer)))
	}
	return nil
}

// mark says on the function what is begun, and what ran before.
func (c *change) mark(ctx context.Context, before string) error {
	return c.tag(ctx, map[string]string{amazon.TagBegun: c.to.Digest.String(), amazon.TagBefore: before})
}

// keep says which deployment it was.
func (c *change) keep(ctx context.Context) error {
	if c.to.Deployment != "" {
		if err := c.tag(ctx, map[string]string{amazon.TagDeployment: c.to.Deployment}); err != nil {
			return err
		}
	}
	return c.unmark(ctx)
}

func (c *change) tag(ctx context.Context, tags map[string]string) error {
	return c.patiently(ctx, "lambda:TagResource", func(ctx context.Context) error {
		_, err := c.client.TagResource(ctx, &lambda.TagResourceInput{Resource: &c.arn, Tags: tags})
		return err
	})
}

func (c *change) unmark(ctx context.Context) error {
	return c.patiently(ctx, "lambda:UntagResource", func(ctx context.Context) error {
		_, err := c.client.UntagResource(ctx, &lambda.UntagResourceInput{Resource: &c.arn, TagKeys: []string{amazon.TagBegun, amazon.TagBefore}})
		return err
	})
}

// code has Lambda take an image. It answers at once, and works at it from then on.
func (c *change) code(ctx context.Context, image string) error {
	return c.patiently(ctx, "lambda:UpdateFunctionCode", func(ctx context.Context) error {
		_, err := c.client.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &c.name, ImageUri: &image})
		refused, ok := errors.AsType[smithy.APIError](err)
		c.sent = c.sent || !ok || refused.ErrorFault() == smithy.FaultServer // which says nothing of whether it was done
		return err
	})
}

// lead has the alias lead to a version.
func (c *change) lead(ctx context.Context, alias, version string, weights *types.AliasRoutingConfiguration) error {
	if weights == nil { // nil would leave what is there
		weights = &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}}
	}
	return c.patiently(ctx, "lambda:UpdateAlias", func(ctx context.Context) error {
		_, err := c.client.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &c.name, Name: &alias, FunctionVersion: &version, RoutingConfig: weights})
		return err
	})
}

// patiently asks for a change until no other one is at work any more.
func (c *change) patiently(ctx context.Context, permission string, ask func(ctx context.Context) error) error {
	told := false
	return c.sleep.Until(ctx, func(ctx context.Context) (bool, error) {
		err := ask(ctx)
		if _, busy := errors.AsType[*types.ResourceConflictException](err); busy {
			if !told {
				c.say.Note("Lambda is still at work with another change of the function: waiting")
			}
			told = true
			return false, nil
		}
		if err != nil {
			return false, c.explain(ctx, err, permission)
		}
		return true, nil
	})
}

// settle waits until Lambda has done what it was told with the function, a version or an alias.
func (c *change) settle(ctx context.Context, qualifier string) error {
	in := &lambda.GetFunctionConfigurationInput{FunctionName: &c.name}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	told := ""
	return c.sleep.Until(ctx, func(ctx context.Context) (bool, error) {
		out, err := c.client.GetFunctionConfiguration(ctx, in)
		if err != nil {
			return false, c.explain(ctx, err, "lambda:GetFunctionConfiguration")
		}
		f := function{name: c.name, status: statusOf(out.State, out.LastUpdateStatus, out.StateReason, out.LastUpdateStatusReason, string(out.LastUpdateStatusReasonCode))}
		if h := f.healthy(); h != nil && !*h {
			return false, f.failed()
		}
		if text := fmt.Sprintf("function %s: %s, update %s", c.name, out.State, out.LastUpdateStatus); text != told {
			c.say.Note(plan.Printable(text))
			told = text
		}
		return f.settled(), nil
	})
}
