package gate_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

const plainImage = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","size":100},"layers":[]}`

// server speaks the wire of ECR's API, as far as this step asks. It is called without a network, so that a test's time is its own.
type server struct {
	mu        sync.Mutex
	manifests map[oci.Digest]string
	describe  map[oci.Digest][]string // answers one after the other, the last one again and again
	start     []string                // likewise
	asked     []string                // operations, with what they were about
}

// newServer has one image with such answers.
func newServer(describe ...string) (*server, oci.Digest) {
	s := &server{manifests: map[oci.Digest]string{}, describe: map[oci.Digest][]string{}}
	return s, s.add(plainImage, describe...)
}

func (s *server) add(manifest string, describe ...string) oci.Digest {
	d := oci.FromBytes([]byte(manifest))
	s.manifests[d], s.describe[d] = manifest, describe
	return d
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct {
		ImageID   struct{ ImageDigest oci.Digest }   `json:"imageId"`
		ImageIDs  []struct{ ImageDigest oci.Digest } `json:"imageIds"`
		NextToken string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	s.asked = append(s.asked, strings.TrimSpace(operation+" "+in.NextToken))
	answer := ""
	switch operation {
	case "BatchGetImage":
		answer = s.batchGetImage(in.ImageIDs)
	case "StartImageScan":
		answer = next(&s.start)
	case "DescribeImageScanFindings":
		answers := s.describe[in.ImageID.ImageDigest]
		answer = next(&answers)
		s.describe[in.ImageID.ImageDigest] = answers
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if strings.Contains(answer, `"__type"`) {
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = w.Write([]byte(answer))
}

func next(answers *[]string) string {
	if len(*answers) == 0 {
		return refused("UnexpectedlyAsked")
	}
	first := (*answers)[0]
	if len(*answers) > 1 {
		*answers = (*answers)[1:]
	}
	return first
}

func (s *server) batchGetImage(ids []struct{ ImageDigest oci.Digest }) string {
	var images []any
	for _, id := range ids {
		if m, ok := s.manifests[id.ImageDigest]; ok {
			images = append(images, map[string]any{"imageId": map[string]any{"imageDigest": id.ImageDigest}, "imageManifest": m})
		}
	}
	text, err := json.Marshal(map[string]any{"images": images})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// RoundTrip answers a request.
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), nil
}

func (s *server) client() *ecr.Client {
	return ecr.New(ecr.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String("http://ecr.test"), HTTPClient: &http.Client{Transport: s},
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	})
}

// count tells how often an operation was asked for.
func (s *server) count(operation string) int {
	n := 0
	for _, asked := range s.asked {
		if strings.HasPrefix(asked, operation) {
			n++
		}
	}
	return n
}

func refused(code string) string { return fmt.Sprintf(`{"__type":%q,"message":"so it is"}`, code) }

func status(word, description string) string {
	return fmt.Sprintf(`{"imageScanStatus":{"status":%q,"description":%q}}`, word, description)
}

// found is an answer with findings, such as `"findings":[…]`.
func found(word, findings string) string {
	return fmt.Sprintf(`{"imageScanStatus":{"status":%q},"imageScanFindings":{"imageScanCompletedAt":1795600000,%s}}`, word, findings)
}

// cve is a finding of basic scanning.
func cve(id, severity, pkg string) string {
	return fmt.Sprintf(`{"name":%q,"severity":%q,"description":"what\n it is","uri":"https://cve.test/%s","attributes":[{"key":"package_name","value":%q},{"key":"package_version","value":"1.0"}]}`,
		id, severity, id, pkg)
}

// notebook keeps what a step says.
type notebook struct {
	mu    sync.Mutex
	lines []string
}

// Event keeps it.
func (n *notebook) Event(e progress.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, string(e.Kind)+": "+e.Text)
}

func (n *notebook) text() string { return strings.Join(n.lines, "\n") }

// run runs the step on an image of a server.
func run(t *testing.T, s *server, d oci.Digest, g workspace.Gate) (gate.Result, *notebook, error) {
	t.Helper()
	var n notebook
	task := &progress.Task{Project: "web", Step: progress.Scan, Sink: &n, Now: time.Now}
	r, err := gate.New(gate.Config{API: s.client()}).Run(t.Context(), gate.Input{App: "web", Repository: "hoopstat-haus/prod", Digest: d, Gate: g, Today: today}, task)
	return r, &n, err
}
