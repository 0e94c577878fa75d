package lambda_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/amazon"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

// stub speaks the part of Lambda's wire that the target uses, and does with images what they are for. It is no Lambda: it says of an update
// that it is at work for the next two questions, and runs nothing.
type stub struct {
	t testing.TB

	mu       sync.Mutex
	name     string
	kind     string // Image, Zip
	image    string
	resolved string
	tags     map[string]string
	left     int // questions until an update is done
	failed   bool
	versions []string // their images, from 1 on
	aliases  map[string]alias
	invoked  int
	busy     int // changes that are refused since another is at work
	denied   string
}

type alias struct {
	FunctionVersion string
	RoutingConfig   *struct{ AdditionalVersionWeights map[string]float64 }
}

const arn = "arn:aws:lambda:us-east-1:123456789012:function:"

// digests of images by what they do.
var digests = map[targettest.Behaviour]oci.Digest{}

func init() {
	for _, b := range []targettest.Behaviour{targettest.First, targettest.Second, targettest.Third, targettest.Sick, targettest.Ending, targettest.Missing} {
		digests[b] = oci.FromBytes([]byte(b))
	}
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[1] == "tags":
		s.tag(w, r)
	case len(parts) < 3 || parts[1] != "functions" || parts[2] != s.name:
		s.fault(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+arn+r.URL.Path)
	default:
		s.function(w, r, strings.Join(parts[3:], "/"))
	}
}

func (s *stub) tag(w http.ResponseWriter, r *http.Request) {
	if s.denied == "TagResource" {
		s.fault(w, http.StatusForbidden, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: lambda:TagResource")
		return
	}
	if r.Method == http.MethodDelete {
		for _, key := range r.URL.Query()["tagKeys"] {
			delete(s.tags, key)
		}
	} else {
		var in struct{ Tags map[string]string }
		s.read(r, &in)
		maps.Copy(s.tags, in.Tags)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *stub) function(w http.ResponseWriter, r *http.Request, rest string) {
	changes := r.Method != http.MethodGet && rest != "invocations"
	if changes && s.busy > 0 {
		s.busy--
		s.fault(w, http.StatusConflict, "ResourceConflictException", "The operation cannot be performed at this time. An update is in progress")
		return
	}
	qualifier := r.URL.Query().Get("Qualifier")
	switch {
	case rest == "" && r.Method == http.MethodGet:
		s.look(w, qualifier, true)
	case rest == "configuration" && r.Method == http.MethodGet:
		s.look(w, qualifier, false)
	case rest == "code":
		s.code(w, r)
	case rest == "versions":
		if n := len(s.versions); n == 0 || s.versions[n-1] != s.image {
			s.versions = append(s.versions, s.image)
		}
		s.answer(w, s.configuration(strconv.Itoa(len(s.versions))))
	case rest == "invocations":
		s.invoked++
		if s.behaviour(qualifier) == targettest.Sick {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			s.answer(w, map[string]string{"errorMessage": "it coughs"})
			return
		}
		s.answer(w, "ok")
	case strings.HasPrefix(rest, "aliases/"):
		s.alias(w, r, strings.TrimPrefix(rest, "aliases/"))
	default:
		s.t.Errorf("the stub knows no %s %s", r.Method, r.URL)
		s.fault(w, http.StatusNotFound, "UnknownOperationException", r.URL.Path)
	}
}

func (s *stub) look(w http.ResponseWriter, qualifier string, code bool) {
	if a, ok := s.aliases[qualifier]; ok {
		qualifier = a.FunctionVersion
	}
	n, err := strconv.Atoi(qualifier)
	if qualifier != "" && (err != nil || n < 1 || n > len(s.versions)) {
		s.fault(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+qualifier)
		return
	}
	configuration := s.configuration(qualifier)
	if !code {
		s.answer(w, configuration)
		return
	}
	image, resolved := s.image, s.resolved
	if n > 0 {
		image, resolved = s.versions[n-1], ""
	}
	s.answer(w, map[string]any{
		"Configuration": configuration, "Tags": s.tags,
		"Code": map[string]string{"ImageUri": image, "ResolvedImageUri": resolved, "RepositoryType": "ECR"},
	})
}

func (s *stub) configuration(version string) map[string]any {
	c := map[string]any{
		"FunctionName": s.name, "FunctionArn": arn + s.name, "PackageType": s.kind, "Architectures": []string{"arm64"},
		"Version": version, "State": "Active", "LastUpdateStatus": "Successful",
	}
	if version == "" {
		c["Version"] = "$LATEST"
		switch {
		case s.left > 0:
			s.left--
			c["LastUpdateStatus"] = "InProgress"
		case s.failed:
			c["LastUpdateStatus"], c["LastUpdateStatusReasonCode"], c["LastUpdateStatusReason"] = "Failed", "FunctionError.InvalidEntryPoint", "exec: no such file"
		}
	}
	return c
}

func (s *stub) code(w http.ResponseWriter, r *http.Request) {
	var in struct{ ImageURI string } // matched whatever the case
	s.read(r, &in)
	digest := amazon.Digest(in.ImageURI)
	switch {
	case s.left > 0:
		s.fault(w, http.StatusConflict, "ResourceConflictException", "An update is in progress")
		s.left--
		return
	case digest == digests[targettest.Missing]:
		s.fault(w, http.StatusBadRequest, "InvalidParameterValueException", "Source image "+in.ImageURI+" does not exist. Provide a valid source image.")
		return
	case s.denied == "pull":
		s.fault(w, http.StatusBadRequest, "InvalidParameterValueException", "Lambda does not have permission to access the ECR image. Check the ECR permissions.")
		return
	case strings.HasSuffix(in.ImageURI, digests[targettest.Third].String()) && s.denied == "index":
		s.fault(w, http.StatusBadRequest, "InvalidParameterValueException", "The image manifest, config or layer media type for the source image is not supported.")
		return
	}
	s.image, s.resolved, s.left, s.failed = in.ImageURI, "", 2, digest == digests[targettest.Ending]
	s.answer(w, s.configuration(""))
}

func (s *stub) alias(w http.ResponseWriter, r *http.Request, name string) {
	a, ok := s.aliases[name]
	if !ok {
		s.fault(w, http.StatusNotFound, "ResourceNotFoundException", "Alias not found: "+name)
		return
	}
	if r.Method == http.MethodPut {
		s.read(r, &a)
		s.aliases[name] = a
	}
	s.answer(w, map[string]any{"Name": name, "FunctionVersion": a.FunctionVersion, "RoutingConfig": a.RoutingConfig})
}

// behaviour is that of the image of a version.
func (s *stub) behaviour(version string) targettest.Behaviour {
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 || n > len(s.versions) {
		return ""
	}
	for b, d := range digests {
		if d == amazon.Digest(s.versions[n-1]) {
			return b
		}
	}
	return ""
}

func (s *stub) read(r *http.Request, into any) {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
}

func (s *stub) answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.t.Error(err)
	}
}

func (s *stub) fault(w http.ResponseWriter, code int, kind, message string) {
	w.Header().Set("X-Amzn-Errortype", kind)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"Message": message})
}
