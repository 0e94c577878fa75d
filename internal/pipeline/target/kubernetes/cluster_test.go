package kubernetes_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

// programs names the directory with etcd, kube-apiserver and kube-controller-manager, which tools/kubernetes.sh makes.
const programs = "BERTH_TEST_KUBERNETES"

// cluster is a real API server with real controllers, and no nodes: what a kubelet would say of pods is said by kubelet, below.
type cluster struct {
	at     *url.URL
	client *http.Client
}

// The tokens that the cluster knows: of an administrator, and of one who may do what docs/operate/targets-cloud.md says and no more.
const (
	admin    = "adm1n"
	deployer = "t0ken"
)

func start(t *testing.T) *cluster {
	t.Helper()
	bin := os.Getenv(programs)
	if bin == "" {
		t.Skip(programs + " does not say where etcd, kube-apiserver and kube-controller-manager are")
	}
	dir := t.TempDir()
	etcd, peers, port := free(t), free(t), free(t)
	run(t, bin, "etcd", "--data-dir", filepath.Join(dir, "etcd"), "--listen-client-urls", "http://"+etcd, "--advertise-client-urls", "http://"+etcd,
		"--listen-peer-urls", "http://"+peers, "--initial-advertise-peer-urls", "http://"+peers, "--initial-cluster", "default=http://"+peers, "--unsafe-no-fsync")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "sa.pem")
	write(t, keys, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	tokens := filepath.Join(dir, "tokens.csv")
	write(t, tokens, []byte(admin+",admin,1,system:masters\n"+deployer+",ci,2\n"))
	_, number, err := net.SplitHostPort(port)
	if err != nil {
		t.Fatal(err)
	}
	run(t, bin, "kube-apiserver", "--etcd-servers", "http://"+etcd, "--bind-address", "127.0.0.1", "--secure-port", number, "--cert-dir", filepath.Join(dir, "certs"),
		"--service-account-issuer", "https://cluster", "--service-account-key-file", keys, "--service-account-signing-key-file", keys,
		"--token-auth-file", tokens, "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24", "--disable-admission-plugins", "ServiceAccount")
	c := &cluster{
		at:     &url.URL{Scheme: "https", Host: port},
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, //nolint:gosec // made a moment ago, on this machine
	}
	t.Cleanup(c.client.CloseIdleConnections)
	c.await(t, 3*time.Minute, "the API server is ready", func() bool { return c.do(t.Context(), http.MethodGet, "/readyz", "", nil, nil) == nil })
	config := filepath.Join(dir, "controllers")
	write(t, config, fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": %q, "insecure-skip-tls-verify": true}}],
		"users": [{"name": "u", "user": {"token": %q}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}`, c.at, admin))
	run(t, bin, "kube-controller-manager", "--kubeconfig", config, "--leader-elect=false", "--secure-port=0",
		"--controllers=deployment-controller,replicaset-controller,statefulset-controller,namespace-controller,garbage-collector-controller")
	return c
}

// run runs a program until the test ends.
func run(t *testing.T, bin, name string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(bin, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s ended with\n%s", name, text[max(0, len(text)-2000):])
		}
	})
}

func free(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) await(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); !is(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after %v it is not so that %s", limit, what)
		}
	}
}

// do asks as the administrator.
func (c *cluster) do(ctx context.Context, method, path, kind string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, c.at.JoinPath(path).String(), bytes.NewReader(text))
	if err != nil {
		return err
	}
	if body == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.Header.Set("Authorization", "Bearer "+admin)
	r.Header.Set("Content-Type", kind)
	answer, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode >= http.StatusBadRequest:
		return fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, content)
	case out != nil:
		return json.Unmarshal(content, out)
	}
	return nil
}

func (c *cluster) create(t *testing.T, path string, what object) {
	t.Helper()
	if err := c.do(t.Context(), http.MethodPost, path, "application/json", what, nil); err != nil {
		t.Fatal(err)
	}
}

// onePod is what is looked at of one here.
type onePod struct {
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		Containers []struct{ Name, Image string }
	}
	Status struct {
		Conditions        []struct{ Type, Status string }
		ContainerStatuses []struct{ RestartCount int }
	}
}

func (p onePod) ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return true
		}
	}
	return false
}

func (c *cluster) pods(ctx context.Context, path string) ([]onePod, error) {
	var list struct{ Items []onePod }
	err := c.do(ctx, http.MethodGet, path, "", nil, &list)
	return list.Items, err
}

// kubelet says of all pods what their images are for, until the test ends.
func (c *cluster) kubelet(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			pods, err := c.pods(ctx, "/api/v1/pods")
			if err != nil {
				continue
			}
			for _, p := range pods {
				if status := says(p); status != nil { // a pod may be gone by now
					_ = c.do(ctx, http.MethodPatch, "/api/v1/namespaces/"+p.Metadata.Namespace+"/pods/"+p.Metadata.Name+"/status", "application/merge-patch+json", object{"status": status}, nil)
				}
			}
		}
	}()
}

func says(p onePod) object {
	image, restarts := p.Spec.Containers[0].Image, 0
	for _, s := range p.Status.ContainerStatuses {
		restarts = s.RestartCount
	}
	status := object{"name": "app", "image": image, "imageID": "", "ready": false, "restartCount": restarts}
	switch {
	case strings.HasSuffix(image, string(digests[targettest.Ending])):
		status["restartCount"] = restarts + 1
		status["state"] = object{"waiting": object{"reason": "CrashLoopBackOff", "message": "back-off"}}
		status["lastState"] = object{"terminated": object{"exitCode": 3, "reason": "Error", "message": "no DATABASE_URL"}}
	case strings.HasSuffix(image, string(digests[targettest.Missing])):
		status["state"] = object{"waiting": object{"reason": "ImagePullBackOff", "message": "not found"}}
	case strings.HasSuffix(image, string(digests[targettest.Sick])) && strings.Contains(image, "/unready@"):
		status["state"] = object{"running": object{}}
	case p.ready():
		return nil
	default:
		status["ready"], status["state"] = true, object{"running": object{}}
	}
	is := map[any]string{true: "True", false: "False"}[status["ready"]]
	return object{"phase": "Running", "conditions": []object{{"type": "Ready", "status": is}}, "containerStatuses": []object{status}}
}

// rights are what a deployer needs, as docs/operate/targets-cloud.md has them.
var rights = []object{
	{"apiGroups": []string{"apps"}, "resources": []string{"deployments", "statefulsets", "daemonsets"}, "verbs": []string{"get", "patch"}},
	{"apiGroups": []string{"batch"}, "resources": []string{"cronjobs"}, "verbs": []string{"get", "patch"}},
	{"apiGroups": []string{""}, "resources": []string{"pods"}, "verbs": []string{"list", "delete"}},
}

// workload makes a namespace with a workload in it, and gives the namespace.
func (c *cluster) workload(t *testing.T, kind string, more object) string {
	t.Helper()
	space := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	space = fmt.Sprintf("%s-%d", space[max(0, len(space)-40):], time.Now().UnixNano()%1e9)
	space = strings.TrimLeft(space, "-")
	c.create(t, "/api/v1/namespaces", object{"metadata": object{"name": space}})
	at := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + space
	c.create(t, at+"/roles", object{"metadata": object{"name": "deployer"}, "rules": rights})
	c.create(t, at+"/rolebindings", object{
		"metadata": object{"name": "deployer"}, "roleRef": object{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
		"subjects": []object{{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ci"}},
	})
	pods := object{"metadata": object{"labels": object{"app": "calculator"}}, "spec": object{"containers": []object{{"name": "app", "image": repository + ":placeholder"}}}}
	spec, group := object{"replicas": 2, "selector": object{"matchLabels": object{"app": "calculator"}}, "template": pods}, "apps"
	switch kind {
	case "CronJob":
		pods["spec"].(object)["restartPolicy"] = "Never" //nolint:forcetypeassert // three lines above
		spec, group = object{"schedule": "0 4 1 1 *", "jobTemplate": object{"spec": object{"template": pods}}}, "batch"
	case "StatefulSet":
		spec["serviceName"] = "calculator"
	}
	maps.Copy(spec, more)
	c.create(t, "/apis/"+group+"/v1/namespaces/"+space+"/"+strings.ToLower(kind)+"s", object{"metadata": object{"name": "calculator"}, "spec": spec})
	if kind != "CronJob" {
		c.await(t, time.Minute, "two pods are ready", func() bool {
			pods, err := c.pods(t.Context(), "/api/v1/namespaces/"+space+"/pods")
			return err == nil && len(pods) == 2 && pods[0].ready() && pods[1].ready()
		})
	}
	return space
}

// serves gives the digest of the images of pods that are ready, if it is one.
func (c *cluster) serves(ctx context.Context, kind, space string) (oci.Digest, error) {
	images := map[string]bool{}
	if kind == "CronJob" {
		var job struct {
			Spec struct {
				JobTemplate struct{ Spec struct{ Template onePod } }
			}
		}
		if err := c.do(ctx, http.MethodGet, "/apis/batch/v1/namespaces/"+space+"/cronjobs/calculator", "", nil, &job); err != nil {
			return "", err
		}
		images[job.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image] = true
	}
	pods, err := c.pods(ctx, "/api/v1/namespaces/"+space+"/pods")
	if err != nil {
		return "", err
	}
	for _, p := range pods {
		if p.ready() {
			images[p.Spec.Containers[0].Image] = true
		}
	}
	if len(images) != 1 {
		return "", fmt.Errorf("%d images serve: %v", len(images), images)
	}
	for image := range images {
		_, text, _ := strings.Cut(image, "@")
		return oci.Digest(text), nil
	}
	return "", nil
}

// handler leads to the cluster.
func (c *cluster) handler() http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(c.at)
	proxy.Transport = c.client.Transport
	return proxy
}

// TestClusterSuite is the suite with a real API server and real controllers.
func TestClusterSuite(t *testing.T) {
	c := start(t)
	c.kubelet(t)
	for _, kind := range []string{"Deployment", "StatefulSet", "CronJob"} {
		t.Run(kind, func(t *testing.T) {
			targettest.Run(t, func(t *testing.T) *targettest.Place {
				space := c.workload(t, kind, nil)
				p := place(t, &stub{kind: kind})
				p.Open = func(t testing.TB, during func() bool) deploy.Target {
					return open(t, c.handler(), during, "container: app", "kind: "+kind, "namespace: "+space)
				}
				p.Serves = func(ctx context.Context) (oci.Digest, error) { return c.serves(ctx, kind, space) }
				p.Left = nil
				return p
			})
		})
	}
	t.Run("not ready in time", func(t *testing.T) { c.notReady(t) })
}

// notReady looks that the old pods serve while new ones do not get ready, and that nobody waits longer than the Deployment says.
func (c *cluster) notReady(t *testing.T) {
	space := c.workload(t, "Deployment", object{"progressDeadlineSeconds": 2, "strategy": object{"rollingUpdate": object{"maxUnavailable": 0}}})
	target := open(t, c.handler(), nil, "container: app", "namespace: "+space)
	if _, err := switchTo(t, target, image(targettest.First)); err != nil {
		t.Fatal(err)
	}
	to := image(targettest.Sick)
	to.Repository = "registry.example.com/unready"
	_, err := switchTo(t, target, to)
	if _, undone := errors.AsType[*deploy.Undone](err); !undone || !strings.Contains(err.Error(), "the rollout does not get on") {
		t.Errorf("Switch gives %v", err)
	}
	if got, err := c.serves(t.Context(), "Deployment", space); err != nil || got != digests[targettest.First] {
		t.Errorf("%q serves, %v, want the first image", got, err)
	}
}
