package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
)

// Inside is the context of a pod, whose service account is used.
const Inside = "in-cluster"

// api asks a cluster's API. Who asks, and how the connection is made, is client-go's; the few objects that are asked for are read
// by structs of ours, since client-go's own types would be most of the program.
type api struct {
	client *http.Client
	at     *url.URL
}

// connect finds the cluster. It asks for nothing yet.
func connect(kubeconfigs []string, context string) (a *api, namespace string, err error) {
	var config *rest.Config
	if context == Inside {
		config, err = rest.InClusterConfig()
		namespace = "default"
	} else {
		rules := &clientcmd.ClientConfigLoadingRules{Precedence: kubeconfigs, WarnIfAllMissing: false}
		loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: context})
		if config, err = loaded.ClientConfig(); err == nil {
			namespace, _, err = loaded.Namespace()
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig's context %s: %w", context, err)
	}
	config.UserAgent = "berth"
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, "", fmt.Errorf("connecting as the kubeconfig's context %s says: %w", context, err)
	}
	at, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, "", fmt.Errorf("the kubeconfig's context %s: %w", context, err)
	}
	return &api{client, at}, namespace, nil
}

// refusal is the API's answer that it did not do it (Kubernetes API, "Status").
type refusal struct {
	Code    int
	Reason  string
	Message string
}

// Error says the API's own words, and what they mean where that helps.
func (r *refusal) Error() string {
	if r.Code == http.StatusUnauthorized {
		return "the cluster does not know who asks: the kubeconfig's credentials are not valid, or not any more"
	}
	return "the cluster answers: " + plan.Printable(r.Message)
}

// passing tells whether an error may be gone the next time: no answer, too many questions, or a change that came between.
func passing(err error) bool {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.Code == http.StatusTooManyRequests || r.Code == http.StatusConflict || r.Code >= http.StatusInternalServerError
	}
	return errors.Is(err, deploy.ErrUnreachable)
}

// missing tells whether it is that there is no such object.
func missing(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.Code == http.StatusNotFound
}

// strategic is the kind of all patches: lists are merged by name.
const strategic = "application/strategic-merge-patch+json"

// most is how large an answer may be. Lists of pods are the largest.
const most = 64 << 20

// do asks, and reads the answer into out, which may be nil. A body is a patch.
func (a *api) do(ctx context.Context, method, path string, query url.Values, body, out any) error {
	at := a.at.JoinPath(path)
	at.RawQuery = query.Encode()
	var text io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("writing a patch: %w", err)
		}
		text = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(ctx, method, at.String(), text)
	if err != nil {
		return fmt.Errorf("asking the cluster: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", strategic)
	}
	answer, err := a.client.Do(r)
	if err != nil {
		return unanswered(ctx, err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, most))
	if err != nil {
		return unanswered(ctx, err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		refused := &refusal{}
		if json.Unmarshal(content, refused) != nil || refused.Message == "" {
			refused.Message = answer.Status
		}
		refused.Code = answer.StatusCode
		return refused
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(content, out); err != nil {
		return fmt.Errorf("reading the cluster's answer to %s %s: %w", method, path, err)
	}
	return nil
}

func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	return fmt.Errorf("%w: %w", deploy.ErrUnreachable, err)
}
