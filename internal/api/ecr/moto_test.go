package ecr_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// TestMain makes random tests the same every time, and few: -rapid.seed=N and -rapid.checks=N vary them.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.seed": "20261126", "rapid.checks": "30", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run()) // reads the command line, which has the last word
}

// callsOfASequence is how many calls are made on one state of the two registries.
const callsOfASequence = 40

// TestAgreesWithMoto sends random sequences of calls to Berth and to moto's server, another reading of AWS's
// documentation, and compares the answers. Where moto is known to be wrong is in motofaults_test.go.
func TestAgreesWithMoto(t *testing.T) {
	t.Parallel()
	d := &pair{t: t, berth: newServer(t), moto: &server{url: startMoto(t)}, met: map[string]int{}}
	generators := slices.DeleteFunc(d.generators(), func(g generator) bool {
		_, done := d.berth.service.Operations[g.op]
		return !done
	})
	rapid.Check(t, func(r *rapid.T) {
		d.reset()
		var story []string
		for n := range callsOfASequence {
			g := oneOf(r, "operation", generators...)
			if n == 0 || onceIn(r, 12, "create") {
				g = generators[0] // CreateRepository
			}
			c := call{op: g.op, body: g.draw(r)}
			story = append(story, c.short())
			if diff := d.compare(c); diff != "" {
				r.Fatalf("Berth and moto differ (-moto, as AWS would have it, +Berth):\n%s\nafter:\n%s", diff, strings.Join(story, "\n"))
			}
		}
	})
	for _, f := range motoFaults() {
		t.Logf("%4d times: %s (%s)", d.met[f.name], f.name, f.why)
	}
	t.Logf("compared %d answers, %d of them errors", d.answers, d.errors)
	if d.answers < callsOfASequence || d.errors == 0 || d.errors > d.answers*2/3 {
		t.Errorf("%d answers, %d of them errors: the sequences do not say much", d.answers, d.errors)
	}
}

// startMoto runs moto's server until the test ends, and gives its address.
func startMoto(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not on PATH: there is nothing to compare with (pip install 'moto[server]')")
	}
	cmd := exec.CommandContext(t.Context(), path, "-H", "127.0.0.1", "-p", "0")
	cmd.Env = append(os.Environ(), "MOTO_ACCOUNT_ID="+account)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("moto_server does not start: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // t.Context is over by then, and the process killed
	found := make(chan string, 1)
	go func() {
		address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if url := address.FindString(lines.Text()); url != "" && len(found) == 0 {
				found <- url
			}
		}
		close(found)
	}()
	select {
	case url, ok := <-found:
		if !ok {
			t.Skip("moto_server ended before it listened: it may lack a package (pip install 'moto[server]')")
		}
		return url
	case <-time.After(time.Minute):
		t.Fatal("moto_server does not listen after a minute")
		return ""
	}
}

// call is a request, its body by member.
type call struct {
	op   string
	body map[string]any
}

func (c call) String() string {
	b, err := json.Marshal(c.body)
	if err != nil {
		panic(err) // maps, lists and texts
	}
	return c.op + " " + string(b)
}

// short is the call without the text of manifests, for people.
func (c call) short() string {
	body := maps.Clone(c.body)
	if text, ok := body["imageManifest"].(string); ok {
		if n := slices.Index(manifests(), text); n >= 0 {
			body["imageManifest"] = fmt.Sprintf("manifest %d", n)
		}
	}
	return call{c.op, body}.String()
}

func (c call) repository() string {
	name, _ := c.body["repositoryName"].(string)
	return name
}

// ids are the image ids of a batch.
func (c call) ids() []map[string]any {
	list, _ := c.body["imageIds"].([]any)
	var ids []map[string]any
	for _, item := range list {
		ids = append(ids, item.(map[string]any))
	}
	return ids
}

// reply is an answer with everything taken out in which two right registries may differ.
type reply struct {
	status  int
	code    string // of an error
	message string // of an error, where its words are AWS's and clients look for them
	body    map[string]any
}

func (r reply) list(member string) []any {
	list, _ := r.body[member].([]any)
	return list
}

// pair is the two registries.
type pair struct {
	t           *testing.T
	berth, moto *server

	met     map[string]int
	answers int
	errors  int
}

// send makes a call of one of the two.
func (d *pair) send(to *server, c call) reply {
	d.t.Helper()
	_, body, _ := strings.Cut(c.String(), " ")
	got := to.post(d.t, d.berth.rootKey, c.op, body)
	r := reply{status: got.status}
	if err := json.Unmarshal([]byte(got.body), &r.body); err != nil {
		if got.status < http.StatusInternalServerError {
			d.t.Fatalf("%s: %d, and no JSON: %s", c, got.status, got.body)
		}
		return r // moto fell over
	}
	if got.status != http.StatusOK {
		code, _ := r.body["__type"].(string)
		r.code = code[strings.LastIndex(code, "#")+1:]
		if r.code != "InvalidParameterException" && r.code != "ValidationException" {
			r.message, _ = r.body["message"].(string)
		}
		r.body = nil
		return r
	}
	r.body, _ = normal("", r.body).(map[string]any)
	return r
}

// compare makes a call of both, and tells in what the answers differ that is no known fault of moto's.
func (d *pair) compare(c call) string {
	d.t.Helper()
	d.prepare(c)
	before := d.motoImages(c)
	berth, moto := d.send(d.berth, c), d.send(d.moto, c)
	d.answers++
	if berth.code != "" {
		d.errors++
	}
	for _, f := range motoFaults() {
		if f.mend != nil && slices.Contains(strings.Fields(f.ops), c.op) {
			if f.mend(c, &berth, &moto) {
				d.met[f.name]++
			}
		}
	}
	inOrder(berth.body)
	inOrder(moto.body)
	diff := gocmp.Diff(moto, berth, gocmp.AllowUnexported(reply{}))
	if diff == "" {
		d.putBack(c, before)
		return ""
	}
	for _, f := range motoFaults() {
		if f.excuse != nil && slices.Contains(strings.Fields(f.ops), c.op) && f.excuse(c, berth, moto) {
			d.met[f.name]++
			if f.apart {
				d.rejoin(c)
			}
			return ""
		}
	}
	return diff
}

// rejoin takes from both what a known fault of moto's has made different.
func (d *pair) rejoin(c call) {
	if c.repository() != "" {
		for _, again := range []call{
			{"DeleteRepository", map[string]any{"repositoryName": c.repository(), "force": true}},
			{"CreateRepository", map[string]any{"repositoryName": c.repository()}},
		} {
			d.send(d.berth, again)
			d.send(d.moto, again)
		}
		return
	}
	for _, empty := range emptySettings() {
		if d.does(empty.op) {
			d.send(d.berth, empty)
			d.send(d.moto, empty)
		}
	}
}

func (d *pair) does(op string) bool {
	_, ok := d.berth.service.Operations[op]
	return ok
}

// reset empties both registries.
func (d *pair) reset() {
	d.t.Helper()
	for _, item := range d.send(d.berth, call{"DescribeRepositories", map[string]any{}}).list("repositories") {
		name := item.(map[string]any)["repositoryName"]
		d.send(d.berth, call{"DeleteRepository", map[string]any{"repositoryName": name, "force": true}})
	}
	for _, empty := range emptySettings() {
		if d.does(empty.op) {
			d.send(d.berth, empty)
		}
	}
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.moto.url+"/moto-api/reset", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatalf("resetting moto: %v", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		d.t.Fatalf("resetting moto: HTTP %d, %v", resp.StatusCode, err)
	}
}

// prepare gives Berth the layers of a manifest that is to be put; moto wants none.
func (d *pair) prepare(c call) {
	if c.op != "PutImage" || d.send(d.berth, call{"DescribeRepositories", map[string]any{"repositoryNames": []any{c.repository()}}}).code != "" {
		return
	}
	for _, content := range layerContents() {
		if strings.Contains(c.body["imageManifest"].(string), oci.FromBytes([]byte(content)).String()) {
			d.upload(c.repository(), content)
		}
	}
}

func (d *pair) upload(repository, content string) {
	d.t.Helper()
	client, ctx, digest := d.berth.client, d.t.Context(), oci.FromBytes([]byte(content)).String()
	known, err := client.BatchCheckLayerAvailability(ctx, &awsecr.BatchCheckLayerAvailabilityInput{RepositoryName: &repository, LayerDigests: []string{digest}})
	if err != nil {
		d.t.Fatalf("BatchCheckLayerAvailability(%s): %v", repository, err)
	}
	if len(known.Layers) == 1 && known.Layers[0].LayerAvailability == "AVAILABLE" {
		return
	}
	begun, err := client.InitiateLayerUpload(ctx, &awsecr.InitiateLayerUploadInput{RepositoryName: &repository})
	if err != nil {
		d.t.Fatalf("InitiateLayerUpload(%s): %v", repository, err)
	}
	if _, err := client.UploadLayerPart(ctx, &awsecr.UploadLayerPartInput{
		RepositoryName: &repository, UploadId: begun.UploadId, LayerPartBlob: []byte(content),
		PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(int64(len(content)) - 1),
	}); err != nil {
		d.t.Fatalf("UploadLayerPart(%s): %v", repository, err)
	}
	if _, err := client.CompleteLayerUpload(ctx, &awsecr.CompleteLayerUploadInput{
		RepositoryName: &repository, UploadId: begun.UploadId, LayerDigests: []string{digest},
	}); err != nil {
		d.t.Fatalf("CompleteLayerUpload(%s): %v", repository, err)
	}
}

// normal takes out of an answer what two right registries do not have in common: times, the host, and
// whether a member that says nothing is null or absent. Policies are compared by what they say.
func normal(member string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if inner == nil {
				delete(v, name)
				continue
			}
			v[name] = normal(name, inner)
		}
	case []any:
		for i := range v {
			v[i] = normal(member, v[i])
		}
	case string:
		switch member {
		case "repositoryUri":
			_, v, _ = strings.Cut(v, "/")
			return v
		case "policyText", "lifecyclePolicyText":
			var said any
			if json.Unmarshal([]byte(v), &said) == nil {
				return said
			}
		}
		if strings.HasSuffix(member, "At") {
			return "a time, as text"
		}
		return v
	case float64:
		if strings.HasSuffix(member, "At") {
			return "a time"
		}
	}
	return v
}

// inOrder puts every list into one order: none is promised.
func inOrder(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			inOrder(inner)
		}
	case []any:
		for _, inner := range v {
			inOrder(inner)
		}
		slices.SortFunc(v, func(a, b any) int {
			return cmp.Compare(call{body: map[string]any{"": a}}.String(), call{body: map[string]any{"": b}}.String())
		})
	}
}

// motoImages tells which images moto has before a call that may lose some.
func (d *pair) motoImages(c call) []string {
	if c.op != "PutImage" && c.op != "BatchDeleteImage" {
		return nil
	}
	return d.images(d.moto, c.repository())
}

func (d *pair) images(of *server, repository string) []string {
	digests := map[string]bool{}
	for _, item := range d.send(of, call{"DescribeImages", map[string]any{"repositoryName": repository}}).list("imageDetails") {
		digest, _ := item.(map[string]any)["imageDigest"].(string)
		digests[digest] = true
	}
	return slices.Sorted(maps.Keys(digests))
}

// putBack gives moto the images again that it lost: see the row "a tag that leaves takes its image along".
// An image that is not named by its digest goes when its last tag goes, by deletion, and nothing holds it.
func (d *pair) putBack(c call, before []string) {
	if before == nil {
		return
	}
	after, here := d.images(d.moto, c.repository()), []string(nil)
	for _, digest := range before {
		if slices.Contains(after, digest) {
			continue
		}
		if c.op == "BatchDeleteImage" {
			if here == nil {
				here = d.images(d.berth, c.repository())
			}
			if !isChild(digest, before) || !slices.Contains(here, digest) {
				continue
			}
		}
		d.met[tagTakesImageAlong]++
		d.putUntagged(c.repository(), digest)
	}
}

// putUntagged gives moto an image without tag, which it does not take while the repository has filters.
func (d *pair) putUntagged(repository, digest string) {
	set := func(mutability, filters any) {
		body := map[string]any{"repositoryName": repository, "imageTagMutability": mutability}
		if filters != nil {
			body["imageTagMutabilityExclusionFilters"] = filters
		}
		d.send(d.moto, call{"PutImageTagMutability", body})
	}
	is := d.send(d.moto, call{"DescribeRepositories", map[string]any{"repositoryNames": []any{repository}}}).list("repositories")[0].(map[string]any)
	set("MUTABLE", nil)
	d.send(d.moto, call{"PutImage", map[string]any{"repositoryName": repository, "imageManifest": manifestOf(digest), "imageDigest": digest}})
	set(is["imageTagMutability"], is["imageTagMutabilityExclusionFilters"])
}

// isChild tells whether one of the images is an index that holds another.
func isChild(digest string, images []string) bool {
	return slices.ContainsFunc(images, func(i string) bool {
		text := []byte(manifestOf(i))
		return bytes.Contains(text, []byte(`"manifests"`)) && bytes.Contains(text, []byte(digest))
	})
}
