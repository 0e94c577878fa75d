package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

const (
	alertsTopic = "arn:aws:sns:us-east-1:123456789012:ecr-billing-alerts"
	hookKey     = "0123456789abcdef0123456789abcdef"
	// usageSettings are prices of a registry whose disk costs a fortune, so that a push of some megabytes is a large one, and who is told.
	usageSettings = `
prices:
  storage: 1e10
targets:
  ops: {webhook: "%[1]s/ops", secret: %[2]s, topics: ["` + alertsTopic + `"], allow-private: true}
events:
  - {name: deployer, url: "%[1]s/deployer", secret: %[2]s, allow-private: true, kinds: [image.pushed, image.pulled], repositories: ["hoopstat-haus/*"]}
`
)

// TestUsage plays the guide's monitoring half: a job of GitHub pushes and hosts pull, and then the AWS CLI reads the pulls of yesterday, the bill has set off an
// alarm, programs were told, and the log knows who it was and cannot be edited.
func TestUsage(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	berthproc.Tool(t, "aws")
	d := newDocker(t)
	each(t, func(t *testing.T, storage berthproc.Storage) {
		h := newReceiver(t)
		github, token := pinnedGitHub(t)
		settings := filepath.Join(t.TempDir(), "berth.yaml")
		writeFile(t, settings, github+fmt.Sprintf(usageSettings, h.URL, "whsec_"+base64.StdEncoding.EncodeToString([]byte(hookKey))))
		ops := fmt.Sprintf("127.0.0.1:%d", berthproc.FreePort(t))
		s := berthproc.Start(t, berthproc.Config{
			Storage: storage, Args: []string{"--config", settings, "--cost-every", "1s", "--ops-listen", ops, "--account-id", "123456789012"},
		})
		u := &usageStory{t: t, s: s, sh: newShell(t, s), docker: d, hook: h, ops: ops, image: s.Host + "/" + guideRepo}
		u.token = token(actionsMain)
		s.Secret(u.token)
		u.role = makeActionsRoles(t, s, actionsAccount(t, s)).web
		u.sh.run("aws", "ecr", "create-repository", "--repository-name", guideRepo)
		u.setAlarm()
		u.push()
		u.pull()
		u.told()
		u.counted()
		u.logged()
		u.edited()
		u.billed()
		u.yesterday()
		h.check(t)
	})
}

type usageStory struct {
	t      *testing.T
	s      *berthproc.Server
	sh     *shell // root's
	docker *docker
	hook   *receiver
	ops    string
	role   string
	token  string
	image  string
	first  time.Time // just before the first pull
	child  v1.Hash   // what of the index is pulled
	digest string    // of the image that docker pushes
}

// pulls is how many images are pulled: by the role's sessions one by docker and another two times, by root one platform of an index three times.
const (
	sessionPulls = 3
	pulls        = sessionPulls + 3
)

func (u *usageStory) setAlarm() {
	u.t.Helper()
	for time.Now().UTC().Minute() == 0 { // what comes in the minute in which the gauges are taken may be in the bill an hour later only
		pause(u.t, 100*time.Millisecond)
	}
	u.sh.run("aws", "cloudwatch", "put-metric-alarm", "--alarm-name", "ECR-Cost-Alert", "--namespace", "AWS/Billing", "--metric-name", "EstimatedCharges",
		"--dimensions", "Name=Currency,Value=USD", "Name=ServiceName,Value=AmazonECR", "--statistic", "Maximum", "--period", "60",
		"--evaluation-periods", "1", "--threshold", "100", "--comparison-operator", "GreaterThanThreshold", "--alarm-actions", alertsTopic)
	state := u.sh.run("aws", "cloudwatch", "describe-alarms", "--query", "MetricAlarms[0].StateValue", "--output", "text")
	if state == "ALARM" {
		u.t.Errorf("the alarm is in %s before there is anything", state)
	}
}

// push is a large image by the job, an index, and what docker built.
func (u *usageStory) push() {
	u.t.Helper()
	auth := remote.WithAuth(&authn.Basic{Username: "AWS", Password: u.s.Password()})
	at := func(tag string) name.Tag {
		ref, err := name.NewTag(u.image+":"+tag, name.Insecure)
		ok(u.t, 0, err)
		return ref
	}
	large, err := random.Image(16<<20, 2)
	ok(u.t, 0, err)
	ok(u.t, 0, remote.Write(at("web-0123abc"), large, auth))
	index := v1.ImageIndex(empty.Index)
	for _, arch := range []string{"amd64", "arm64"} {
		image := platformImage(u.t, arch)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
		if arch == "arm64" {
			u.child, err = image.Digest()
			ok(u.t, 0, err)
		}
	}
	ok(u.t, 0, remote.WriteIndex(at("api-0123abc"), index, auth))
}

// pull is what the role's sessions do with docker, and an index by root: the manifest of it, and of one platform.
func (u *usageStory) pull() {
	u.t.Helper()
	u.first = time.Now().UTC()
	file := filepath.Join(u.t.TempDir(), "token")
	writeFile(u.t, file, u.token)
	job := &shell{t: u.t, dir: u.t.TempDir(), env: append(berthproc.CleanEnvironment(u.t), u.docker.env...)}
	job.env = append(job.env, "DOCKER_BUILDKIT=0", "DOCKER_CONFIG="+u.t.TempDir(), "AWS_PAGER=", "AWS_ENDPOINT_URL="+u.s.URL, "AWS_REGION=us-east-1",
		"AWS_DEFAULT_REGION=us-east-1", "AWS_ROLE_ARN="+u.role, "AWS_ROLE_SESSION_NAME=GitHubActions", "AWS_WEB_IDENTITY_TOKEN_FILE="+file)
	password := job.run("aws", "ecr", "get-login-password")
	u.s.Secret(password)
	job.feed(password, "docker", "login", "--username", "AWS", "--password-stdin", u.s.Host)
	dir := u.t.TempDir()
	writeFile(u.t, filepath.Join(dir, "Dockerfile"), "FROM scratch\nCOPY version /\n")
	writeFile(u.t, filepath.Join(dir, "version"), u.image)
	job.run("docker", "build", "--quiet", "--tag", u.image+":"+latestTag, dir)
	job.run("docker", "push", u.image+":"+latestTag)
	job.run("docker", "rmi", "--force", u.image+":"+latestTag)
	job.run("docker", "pull", u.image+":"+latestTag) // once: docker has the manifest then, and only looks whether it is still the one
	job.run("docker", "rmi", "--force", u.image+":"+latestTag)
	for range sessionPulls - 1 {
		u.fetch(password, latestTag)
	}
	for range pulls - sessionPulls {
		if got := u.fetch(u.s.Password(), "api-0123abc"); got != u.child {
			u.t.Errorf("pulled %s, want %s", got, u.child)
		}
	}
}

// fetch pulls an image, of an index that for arm64.
func (u *usageStory) fetch(password, tag string) v1.Hash {
	u.t.Helper()
	ref, err := name.NewTag(u.image+":"+tag, name.Insecure)
	ok(u.t, 0, err)
	image, err := remote.Image(ref, remote.WithAuth(&authn.Basic{Username: "AWS", Password: password}),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm64"}))
	ok(u.t, 0, err)
	digest, err := image.Digest()
	ok(u.t, 0, err)
	return digest
}

// cloudEvent is one, as far as this test looks.
type cloudEvent struct {
	SpecVersion, ID, Source, Type, Subject, Sequence, Time string
	DataContentType                                        string
	Data                                                   struct {
		Source     string
		DetailType string `json:"detail-type"`
		Account    string
		Detail     map[string]any
	}
}

func (e cloudEvent) is(s *berthproc.Server, kind, detail string) bool {
	return e.SpecVersion == "1.0" && e.ID != "" && e.Source == s.URL && e.Type == "io.github.hoopstat-haus.berth."+kind && e.Sequence != "" && e.Time != "" &&
		e.Data.DetailType == detail && e.Data.Account == "123456789012" && e.Data.Detail["repository-name"] == guideRepo
}

// told sees the push and the pulls come by the webhook and to a reader that waits.
func (u *usageStory) told() {
	u.t.Helper()
	u.digest = u.sh.run("aws", "ecr", "describe-images", "--repository-name", guideRepo, "--image-ids", "imageTag="+latestTag,
		"--query", "imageDetails[0].imageDigest", "--output", "text")
	password := u.s.Password()
	for kind, detail := range map[string]string{"image.pushed": "ECR Image Action", "image.pulled": "Berth Image Pull Action"} {
		var got cloudEvent
		ok(u.t, 0, json.Unmarshal(u.hook.await(u.t, "/deployer", kind, u.digest), &got))
		if !got.is(u.s, kind, detail) || got.Subject != guideRepo+"@"+u.digest {
			u.t.Errorf("the webhook got %+v", got)
		}
		var page struct {
			Events []cloudEvent
			Next   int64
		}
		read := []cloudEvent{}
		for deadline := time.Now().Add(30 * time.Second); ; {
			ok(u.t, 0, json.Unmarshal(u.get(password, u.s.URL+"/events?wait=5s&kind="+kind+"&repository="+guideRepo+"&after="+strconv.FormatInt(page.Next, 10)), &page))
			read = append(read, page.Events...)
			if slices.ContainsFunc(read, func(e cloudEvent) bool { return e.ID == got.ID && e.is(u.s, kind, detail) }) {
				break
			}
			if time.Now().After(deadline) {
				u.t.Fatalf("GET /events does not have %+v of the webhook: %+v", got, read)
			}
		}
	}
}

func (u *usageStory) get(password, url string) []byte {
	u.t.Helper()
	r, err := http.NewRequestWithContext(u.t.Context(), http.MethodGet, url, http.NoBody)
	ok(u.t, 0, err)
	if password != "" {
		r.SetBasicAuth("AWS", password)
	}
	res, err := http.DefaultClient.Do(r)
	ok(u.t, 0, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		u.t.Fatalf("GET %s: %s, %v: %s", url, res.Status, err, body)
	}
	return body
}

// counted looks at what an operator sees: the metrics of the process.
func (u *usageStory) counted() {
	u.t.Helper()
	metrics := string(u.get("", "http://"+u.ops+"/metrics"))
	for line, least := range map[string]float64{
		`berth_http_requests_total{code="2xx",face="registry",operation="GET manifest"}`: pulls + 3, // the index each time
		`berth_http_requests_total{code="2xx",face="registry",operation="PUT manifest"}`: 5,
		`berth_http_requests_total{code="2xx",face="ecr",operation="CreateRepository"}`:  1,
	} {
		_, rest, found := strings.Cut(metrics, line+" ")
		value, _, _ := strings.Cut(rest, "\n")
		if n, err := strconv.ParseFloat(value, 64); !found || err != nil || n < least {
			u.t.Errorf("%s is %q, want %v at least", line, value, least)
		}
	}
}

// record is one of the log, as far as this test looks.
type record struct {
	EventName           string
	UserIdentity        struct{ Type, ARN string }
	AdditionalEventData struct {
		WebIdentitySubject string
		PulledImages       []string
	}
}

// logged sees who pulled, by the name that GitHub vouched for.
func (u *usageStory) logged() {
	u.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		var records []record
		ok(u.t, 0, json.Unmarshal([]byte(u.sh.run(berthproc.Binary(u.t), "log", "--image", guideRepo+"@"+u.digest, "--output", "json")), &records))
		pulled := 0
		for _, r := range records {
			if r.EventName == "SearchLog" {
				u.t.Errorf("who looks for what was done to an image finds the looking: %+v", r)
			}
			if strings.HasSuffix(r.UserIdentity.ARN, ":assumed-role/web/GitHubActions") && r.UserIdentity.Type == "AssumedRole" &&
				r.AdditionalEventData.WebIdentitySubject == actionsMain && r.EventName == "BatchGetImage" && len(r.AdditionalEventData.PulledImages) == 1 {
				pulled++
			}
		}
		if pulled == sessionPulls {
			break
		}
		if time.Now().After(deadline) {
			u.t.Fatalf("berth log has %d pulls by the role's session, want %d: %+v", pulled, sessionPulls, records)
		}
		pause(u.t, 200*time.Millisecond)
	}
	// docker asks by the tag which image that is, and fetches it by its digest.
	said := u.sh.run(berthproc.Binary(u.t), "log", "--image", guideRepo+":"+latestTag)
	contains(u.t, "berth log --image", said, "web/GitHubActions ("+actionsMain+")", "BatchGetImage", "PutImage")
}

// billed waits for the alarm that the large push sets off, and looks at what berth cost and berth usage say.
func (u *usageStory) billed() {
	u.t.Helper()
	began := time.Now()
	notice := u.hook.await(u.t, "/ops", "ECR-Cost-Alert", `"ALARM"`)
	u.t.Logf("told of the bill %v after the rest was looked at", time.Since(began).Round(time.Second))
	var told struct {
		Type string
		Data struct {
			ID, Subject string
			Detail      struct {
				AlarmName, NewStateValue string
				Trigger                  struct{ MetricName, Namespace string }
			}
		}
	}
	ok(u.t, 0, json.Unmarshal(notice, &told))
	if d := told.Data.Detail; told.Type != "notice" || d.AlarmName != "ECR-Cost-Alert" || d.NewStateValue != "ALARM" ||
		d.Trigger.Namespace != "AWS/Billing" || d.Trigger.MetricName != "EstimatedCharges" {
		u.t.Errorf("the notice is %s", notice)
	}
	state := u.sh.run("aws", "cloudwatch", "describe-alarms", "--alarm-names", "ECR-Cost-Alert", "--query", "MetricAlarms[0].StateValue", "--output", "text")
	if state != "ALARM" {
		u.t.Errorf("the alarm is in %s", state)
	}
	said := u.sh.run(berthproc.Binary(u.t), "cost", "--by", "app", "--forecast")
	contains(u.t, "berth cost", said, guideRepo, "FORECAST")
	said = u.sh.run(berthproc.Binary(u.t), "usage", guideRepo, "--by", "app")
	contains(u.t, "berth usage --by app", said, "api", "web", "PULLS")
	contains(u.t, "berth usage", u.sh.run(berthproc.Binary(u.t), "usage"), guideRepo)
}

// pullCount asks for what was pulled in days, as the AWS CLI does.
func (u *usageStory) pullCount(from, to time.Time) float64 {
	u.t.Helper()
	out := u.sh.run("aws", "cloudwatch", "get-metric-statistics", "--namespace", "AWS/ECR", "--metric-name", "RepositoryPullCount",
		"--dimensions", "Name=RepositoryName,Value="+guideRepo, "--statistics", "Sum", "--period", "86400",
		"--start-time", from.Format(time.RFC3339), "--end-time", to.Format(time.RFC3339), "--query", "Datapoints[].Sum", "--output", "json")
	var sums []float64
	ok(u.t, 0, json.Unmarshal([]byte(out), &sums))
	all := 0.0
	for _, n := range sums {
		all += n
	}
	return all
}

// yesterday lets a day go by: what was counted is a day older then.
func (u *usageStory) yesterday() {
	u.t.Helper()
	const day = 24 * time.Hour
	from, to := u.first.Truncate(day), time.Now().UTC().Truncate(day).Add(day) // two days, where the pulls went past midnight
	if n := u.pullCount(from, to); n != pulls {
		u.t.Errorf("%v pulls today, want %d", n, pulls)
	}
	u.s.Stop()
	for _, table := range []string{"usage_minutes", "usage_hours"} {
		if u.s.Exec("UPDATE "+table+" SET at = at - $1", day.Microseconds()) == 0 {
			u.t.Errorf("there is nothing in %s", table)
		}
	}
	u.s.Start()
	if n := u.pullCount(from.Add(-day), to.Add(-day)); n != pulls {
		u.t.Errorf("%v pulls yesterday, want %d", n, pulls)
	}
	if n := u.pullCount(to.Add(-day), to.Add(day)); n != 0 {
		u.t.Errorf("%v pulls since, want none", n)
	}
}

// edited makes another repository of the one that a record of the log names.
func (u *usageStory) edited() {
	u.t.Helper()
	kept := filepath.Join(u.t.TempDir(), "checkpoints.json")
	writeFile(u.t, kept, u.sh.run(berthproc.Binary(u.t), "log", "checkpoint", "--output", "json"))
	contains(u.t, "berth log verify", u.sh.run(berthproc.Binary(u.t), "log", "verify", "--checkpoints", kept), "as it was written")

	path, record := u.edit()
	for _, args := range [][]string{{}, {"--checkpoints", kept}, {"--checkpoints", kept, "--files", filepath.Join(u.s.Data, "audit")}} {
		out, errs, err := u.sh.try("", berthproc.Binary(u.t), append([]string{"log", "verify"}, args...)...)
		if code := exitCodeOf(u.t, err); code != 3 {
			u.t.Errorf("berth log verify %q ends with %d, want 3\n%s%s", args, code, out, errs)
		}
		if !regexp.MustCompile(`changed, record ` + strconv.Itoa(record) + `\b.*` + regexp.QuoteMeta(filepath.Base(path))).MatchString(out) {
			u.t.Errorf("berth log verify %q does not name record %d in %s:\n%s%s", args, record, filepath.Base(path), out, errs)
		}
	}
}

// edit changes one letter of a record in the log's first file, and gives its number.
func (u *usageStory) edit() (path string, record int) {
	u.t.Helper()
	files, err := filepath.Glob(filepath.Join(u.s.Data, "audit", "*", "0000000000000000.jsonl"))
	if err != nil || len(files) != 1 {
		u.t.Fatalf("the log's first files are %v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	ok(u.t, 0, err)
	at := strings.Index(string(text), guideRepo)
	if at < 0 {
		u.t.Fatalf("no record in %s is about %s", files[0], guideRepo)
	}
	f, err := os.OpenFile(files[0], os.O_WRONLY, 0)
	ok(u.t, 0, err)
	_, err = f.WriteAt([]byte("x"), int64(at+len(guideRepo)-1))
	ok(u.t, 0, err)
	ok(u.t, 0, f.Close())
	return files[0], strings.Count(string(text[:at]), "\n")
}

// receiver is a program that gets webhooks, and verifies who they are from.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	got map[string][][]byte // guarded by mu: bodies, by path
	bad []string            // guarded by mu: what was not signed as it should be
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	h := &receiver{got: map[string][][]byte{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(hookKey))
		_, _ = fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
		h.mu.Lock()
		defer h.mu.Unlock()
		if r.Header.Get("Webhook-Signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			h.bad = append(h.bad, r.URL.Path+": "+r.Header.Get("Webhook-Signature"))
			return
		}
		h.got[r.URL.Path] = append(h.got[r.URL.Path], body)
	}))
	t.Cleanup(h.Close)
	return h
}

// await waits until something signed with all of some words in it has come to a path, and gives that.
func (h *receiver) await(t *testing.T, path string, words ...string) []byte {
	t.Helper()
	for deadline := time.Now().Add(100 * time.Second); time.Now().Before(deadline); pause(t, 50*time.Millisecond) {
		h.mu.Lock()
		bodies := slices.Clone(h.got[path])
		h.mu.Unlock()
		for _, body := range bodies {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(string(body), w) }) {
				return body
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t.Fatalf("%s got nothing with %q, but %q", path, words, h.got)
	return nil
}

func (h *receiver) check(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.bad) > 0 {
		t.Errorf("not signed with the target's secret: %q", h.bad)
	}
}
