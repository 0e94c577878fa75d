package ecr_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// asType is errors.As for one type.
func asType[E error](err error) (E, bool) { return errors.AsType[E](err) }

func TestEveryFaultIsAnException(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, code := range slices.Concat(fault.OfRegistry(), fault.OfAny()) {
		err := fmt.Errorf("doing: %w", fault.Wrap(code, errors.New("secret cause"), "words"))
		e, ok := exceptionOf(s.service, err)
		if !ok {
			t.Errorf("fault %q has no exception: add it to outcomes", code)
			continue
		}
		if e.Code == "" || strings.Contains(e.Message, "secret") {
			t.Errorf("fault %q becomes %+v", code, e)
		}
		server := code == fault.LayerDamaged || code == fault.StorageFull || code == fault.Unavailable
		if got := e.Status >= http.StatusInternalServerError; got != server {
			t.Errorf("fault %q becomes HTTP %d", code, e.Status)
		}
		if e.Status == http.StatusTooManyRequests {
			t.Errorf("fault %q becomes HTTP 429, which clients retry", code)
		}
	}
	if e, ok := s.service.Exceptions(errors.New("disk on fire")); ok {
		t.Errorf("an error that is no fault became %+v", e)
	}
}

// exceptionOf asks the service's own table, then the protocol's, as awswire does.
func exceptionOf(service awswire.Service, err error) (awswire.Exception, bool) {
	if e, ok := service.Exceptions(err); ok {
		return e, true
	}
	return awswire.JSON11.Exception(err)
}

func exceptionsByFault(service awswire.Service) map[fault.Code]awswire.Exception {
	all := map[fault.Code]awswire.Exception{}
	for _, code := range slices.Concat(fault.OfRegistry(), fault.OfAny()) {
		if e, ok := exceptionOf(service, fault.New(code, "words")); ok {
			all[code] = e
		}
	}
	return all
}

// valid has a good input for each operation that is done.
func valid() map[string]string {
	const named, arn = `"repositoryName":"hoopstat-haus/prod"`, `"resourceArn":"arn:aws:ecr:us-east-1:000000000042:repository/hoopstat-haus/prod"`
	digest := oci.FromBytes([]byte("hello")).String()
	return map[string]string{
		"CreateRepository":              `{"repositoryName":"hoopstat-haus/new"}`,
		"UpdateImageStorageClass":       `{` + named + `,"imageId":{"imageTag":"v1"},"targetStorageClass":"ARCHIVE"}`,
		"ListImageReferrers":            `{` + named + `,"subjectId":{"imageDigest":"` + digest + `"}}`,
		"DescribeRepositories":          `{}`,
		"DeleteRepository":              `{` + named + `}`,
		"PutImageTagMutability":         `{` + named + `,"imageTagMutability":"IMMUTABLE"}`,
		"PutImageScanningConfiguration": `{` + named + `,"imageScanningConfiguration":{"scanOnPush":true}}`,
		"ListTagsForResource":           `{` + arn + `}`,
		"TagResource":                   `{` + arn + `,"tags":[{"Key":"k","Value":"v"}]}`,
		"UntagResource":                 `{` + arn + `,"tagKeys":["k"]}`,
		"PutImage":                      `{` + named + `,"imageManifest":"{}","imageTag":"v1"}`,
		"BatchGetImage":                 `{` + named + `,"imageIds":[{"imageTag":"v1"}]}`,
		"BatchDeleteImage":              `{` + named + `,"imageIds":[{"imageTag":"v1"}]}`,
		"DescribeImages":                `{` + named + `}`,
		"ListImages":                    `{` + named + `}`,
		"BatchCheckLayerAvailability":   `{` + named + `,"layerDigests":["` + digest + `"]}`,
		"InitiateLayerUpload":           `{` + named + `}`,
		"UploadLayerPart":               `{` + named + `,"uploadId":"` + noUpload + `","partFirstByte":0,"partLastByte":4,"layerPartBlob":"aGVsbG8="}`,
		"CompleteLayerUpload":           `{` + named + `,"uploadId":"` + noUpload + `","layerDigests":["` + digest + `"]}`,
		"GetDownloadUrlForLayer":        `{` + named + `,"layerDigest":"` + digest + `"}`,
		"GetAuthorizationToken":         `{}`,
		"DescribeRegistry":              `{}`,

		"CreateRepositoryCreationTemplate":        `{"prefix":"team","appliedFor":["CREATE_ON_PUSH"]}`,
		"DescribeRepositoryCreationTemplates":     `{}`,
		"UpdateRepositoryCreationTemplate":        `{"prefix":"team"}`,
		"DeleteRepositoryCreationTemplate":        `{"prefix":"team"}`,
		"SetRepositoryPolicy":                     `{` + named + `,"policyText":"{}"}`,
		"GetRepositoryPolicy":                     `{` + named + `}`,
		"DeleteRepositoryPolicy":                  `{` + named + `}`,
		"PutRegistryPolicy":                       `{"policyText":"{}"}`,
		"GetRegistryPolicy":                       `{}`,
		"DeleteRegistryPolicy":                    `{}`,
		"GetAccountSetting":                       `{"name":"BLOB_MOUNTING"}`,
		"PutAccountSetting":                       `{"name":"BLOB_MOUNTING","value":"DISABLED"}`,
		"PutRegistryScanningConfiguration":        `{}`,
		"GetRegistryScanningConfiguration":        `{}`,
		"BatchGetRepositoryScanningConfiguration": `{"repositoryNames":["hoopstat-haus/prod"]}`,
		"StartImageScan":                          `{` + named + `,"imageId":{"imageTag":"v1"}}`,
		"DescribeImageScanFindings":               `{` + named + `,"imageId":{"imageTag":"v1"}}`,
		"RegisterPullTimeUpdateExclusion":         `{"principalArn":"` + userARN + `"}`,
		"DeregisterPullTimeUpdateExclusion":       `{"principalArn":"` + userARN + `"}`,
		"ListPullTimeUpdateExclusions":            `{}`,
		"PutLifecyclePolicy":                      `{` + named + `,"lifecyclePolicyText":` + strconv.Quote(keepOne) + `}`,
		"GetLifecyclePolicy":                      `{` + named + `}`,
		"DeleteLifecyclePolicy":                   `{` + named + `}`,
		"StartLifecyclePolicyPreview":             `{` + named + `}`,
		"GetLifecyclePolicyPreview":               `{` + named + `}`,
		"PutSigningConfiguration":                 `{"signingConfiguration":{"rules":[]}}`,
		"GetSigningConfiguration":                 `{}`,
		"DeleteSigningConfiguration":              `{}`,
		"DescribeImageSigningStatus":              `{` + named + `,"imageId":{"imageTag":"v1"}}`,
		"PutReplicationConfiguration":             `{"replicationConfiguration":{"rules":[]}}`,
		"DescribeImageReplicationStatus":          `{` + named + `,"imageId":{"imageTag":"v1"}}`,

		"StartReplicationBackfill":           `{"destination":{"region":"eu-west-1","registryId":"000000000042"}}`,
		"StopReplicationBackfill":            `{"replicationBackfillId":"none"}`,
		"ListReplicationBackfills":           `{}`,
		"DescribeReplicationBackfillResults": `{"replicationBackfillId":"none"}`,
		"CreatePullThroughCacheRule":         `{"ecrRepositoryPrefix":"hub","upstreamRegistryUrl":"registry-1.docker.io"}`,
		"DescribePullThroughCacheRules":      `{}`,
		"UpdatePullThroughCacheRule":         `{"ecrRepositoryPrefix":"hub","credentialArn":"` + secretARN + `"}`,
		"DeletePullThroughCacheRule":         `{"ecrRepositoryPrefix":"hub"}`,
		"ValidatePullThroughCacheRule":       `{"ecrRepositoryPrefix":"hub"}`,
	}
}

func TestACallerAllowedNothingIsRefusedEverything(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	inputs := valid()
	for op := range s.service.Operations {
		body, ok := inputs[op]
		if !ok {
			t.Errorf("no input to try %s with: add one to valid", op)
			continue
		}
		got := s.post(t, s.lowKey, op, body)
		var said struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal([]byte(got.body), &said); err != nil {
			t.Errorf("%s: %v in %s", op, err, got.body)
			continue
		}
		action := cmp.Or(map[string]string{"ListImageReferrers": "BatchGetImage"}[op], op)
		words := "User: " + userARN + " is not authorized to perform: ecr:" + action + " on resource: "
		if got.status != http.StatusBadRequest || said.Type != "AccessDeniedException" || !strings.HasPrefix(said.Message, words) {
			t.Errorf("%s by a caller allowed nothing: %d %s\nwant 400 AccessDeniedException %s…", op, got.status, got.body, words)
		}
	}
	// Several names at once, and ids, are no way round.
	for _, c := range [][2]string{
		{"DescribeRepositories", `{"repositoryNames":["hoopstat-haus/prod"]}`},
		{"DescribeImages", `{"repositoryName":"hoopstat-haus/prod","imageIds":[{"imageTag":"v1"}]}`},
		{"CreateRepository", `{"repositoryName":"new","tags":[{"Key":"k","Value":"v"}]}`},
	} {
		if got := s.post(t, s.lowKey, c[0], c[1]); !strings.Contains(got.body, "AccessDeniedException") {
			t.Errorf("%s(%s) by a caller allowed nothing: %d %s", c[0], c[1], got.status, got.body)
		}
	}
}

// TestRequiredMembers leaves out or nulls each member of the good inputs, which SDKs would not let through.
func TestRequiredMembers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	optional := map[string]bool{"imageTag": true}
	for op, body := range valid() {
		var members map[string]any
		if err := json.Unmarshal([]byte(body), &members); err != nil {
			t.Fatal(err)
		}
		for name := range members {
			if optional[name] {
				continue
			}
			without := maps.Clone(members)
			delete(without, name)
			nulled := maps.Clone(members)
			nulled[name] = nil
			for _, in := range []map[string]any{without, nulled} {
				b, err := json.Marshal(in)
				if err != nil {
					t.Fatal(err)
				}
				got := s.post(t, s.rootKey, op, string(b))
				if got.status != http.StatusBadRequest || !strings.Contains(got.body, `"__type":"InvalidParameterException"`) || !strings.Contains(got.body, "'"+name+"'") {
					t.Errorf("%s(%s): %d %s, want 400 InvalidParameterException about %s", op, b, got.status, got.body, name)
				}
			}
		}
	}
}

// TestEveryOperationOfTheSDKIsAccountedFor goes red when a new SDK knows an operation that nobody has
// thought about.
func TestEveryOperationOfTheSDKIsAccountedFor(t *testing.T) {
	t.Parallel()
	service := newServer(t).service
	sdk := sdkOperations()
	for op := range service.Operations {
		if !slices.Contains(sdk, op) {
			t.Errorf("operation %s is unknown to the SDK", op)
		}
		if slices.Contains(service.Known, op) {
			t.Errorf("operation %s is done, and listed as not done", op)
		}
	}
	got := slices.Concat(slices.Collect(maps.Keys(service.Operations)), service.Known)
	slices.Sort(got)
	if !slices.Equal(sdk, got) {
		t.Errorf("operations done and known differ from the SDK's\n sdk %v\nhere %v", sdk, got)
	}
}

// sdkOperations reads the operations off the SDK's client: its methods but for Options.
func sdkOperations() []string {
	var ops []string
	client := reflect.TypeFor[*awsecr.Client]()
	for m := range client.Methods() {
		if m.Name != "Options" {
			ops = append(ops, m.Name)
		}
	}
	return ops
}

func TestOperationsThatAreNotDoneAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, op := range s.service.Known {
		got := s.post(t, s.rootKey, op, `{}`)
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, `"__type":"UnsupportedOperationException"`) || !strings.Contains(got.body, op) {
			t.Errorf("%s: %d %s, want 400 UnsupportedOperationException that names it", op, got.status, got.body)
		}
	}
	got := s.post(t, s.rootKey, "MakeCoffee", `{}`)
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, `"__type":"UnknownOperationException"`) {
		t.Errorf("MakeCoffee: %d %s, want 400 UnknownOperationException", got.status, got.body)
	}
}

func TestBrokenRequestsAreToldApart(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	const named = `"repositoryName":"hoopstat-haus/prod"`
	for _, c := range []struct{ body, code string }{
		{`{` + named, "SerializationException"},
		{`[]`, "SerializationException"},
		{`{"repositoryName":7}`, "SerializationException"},
		{`{` + named + `,"maxResults":"many"}`, "SerializationException"},
		{`{` + named + `,"maxResults":1e99}`, "SerializationException"},
		{`{` + named + `,"maxResults":4294967297}`, "SerializationException"},
		{`{}`, "InvalidParameterException"},
		{``, "InvalidParameterException"},
		{`{"repositoryName":null}`, "InvalidParameterException"},
		{`{` + named + `,"tomorrow":{"x":[null]}}`, ""},
	} {
		body, code := c.body, c.code
		got := s.post(t, s.rootKey, "DescribeImages", body)
		switch {
		case code == "" && got.status != http.StatusOK:
			t.Errorf("DescribeImages(%s): %d %s, want 200", body, got.status, got.body)
		case code != "" && (got.status != http.StatusBadRequest || !strings.Contains(got.body, `"__type":"`+code+`"`)):
			t.Errorf("DescribeImages(%s): %d %s, want 400 %s", body, got.status, got.body, code)
		}
	}
}
