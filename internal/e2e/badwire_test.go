package e2e_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// raw writes bytes to a fresh connection and gives the answer's status, or 0 when the connection just ended.
func (h *hostile) raw(t *testing.T, text string) (int, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.s.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	// The server may answer and close before it has read everything.
	_, _ = io.WriteString(conn, text)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 10_000))
	return resp.StatusCode, string(body)
}

// paths sends request lines that a client library would not.
func (h *hostile) paths(t *testing.T) {
	d := string(oci.FromBytes(h.image))
	for _, path := range []string{
		"/v2/../../etc/passwd", "/v2/" + badRepo + "/../../../etc/passwd", "/v2/" + badRepo + "//manifests/good",
		"/v2//manifests/good", "/v2/" + badRepo + "%2fmanifests/good", "/v2/bad%2Finput/manifests/good",
		"/v2/bad/./input/manifests/good", "/v2/bad/input/blobs/../manifests/good/x", "/v2/%2e%2e/%2e%2e/manifests/" + d,
		"/v2/" + badRepo + "/manifests/%00", "/v2/BAD/Input/manifests/good", "/v2/" + badRepo + "/blobs/" + strings.Repeat("../", 30) + "x",
		"/v2/" + strings.Repeat("a/", 400) + "manifests/good", "/v2/" + strings.Repeat("a", 300) + "/manifests/good",
		"/v2/" + badRepo + "/manifests/" + strings.Repeat("a", 30_000), "/v2/-bad/manifests/good", "/v2/bad_/manifests/good",
		"/v2/bad/input\\..\\x/manifests/good", "/v2/b\xc3\xa4d/manifests/good", "/v2/bad/input/unknown/good", "/v2/x", "/v2/_catalog/x",
		"http://elsewhere.example/v2/" + badRepo + "/manifests/none", "//v2/" + badRepo + "/manifests/good",
	} {
		status, body := h.raw(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: "+h.c.auth+"\r\nConnection: close\r\n\r\n")
		if status < 300 || status >= 500 {
			t.Errorf("GET %s answered %d %s, want an error of the client's", clip(path, 100), status, clip(body, 300))
		}
		if strings.Contains(body, "root:") || strings.Contains(body, h.s.Data) {
			t.Errorf("GET %s gave away %s", clip(path, 100), clip(body, 300))
		}
	}
}

func (h *hostile) credentials(t *testing.T) {
	for name, auth := range map[string]string{
		"none": "", "no base64": "Basic !!!", "no colon": "Basic QVdT", "another user": "Basic cm9vdDpyb290",
		"an empty password": "Basic QVdTOg==", "a bearer": "Bearer abc", "another scheme": "Digest x=y",
		"20 KB of password": "Basic " + strings.Repeat("QUFB", 5_000), "a truncated token": h.c.auth[:len(h.c.auth)-8],
	} {
		c := *h.c
		c.auth = auth
		for _, path := range []string{"/v2/", "/v2/" + badRepo + "/manifests/good", "/v2/_catalog", "/v2/none/at-all/tags/list"} {
			r, err := c.send(t.Context(), http.MethodGet, path, nil)
			if err != nil {
				t.Errorf("%s with %s: %v, want an answer", path, name, err)
				continue
			}
			challenge := r.Header.Get("Www-Authenticate")
			if r.Status != http.StatusUnauthorized || !strings.HasPrefix(challenge, `Basic realm="`) || !strings.HasSuffix(challenge, `",service="ecr.amazonaws.com"`) {
				t.Errorf("GET %s with %s answered %v and challenge %q, want 401 and ECR's challenge", path, name, r, challenge)
			}
			if auth == "" && string(r.Body) != "Not Authorized\n" {
				t.Errorf("GET %s without credentials answered %q, want ECR's: Not Authorized", path, r.Body)
			}
			if auth != "" && len(r.codes()) == 0 {
				t.Errorf("GET %s with %s answered %q, want the reason in the protocol's envelope", path, name, r.Body)
			}
		}
	}
}

// connections are kept open, fed slowly, cut and overfed.
func (h *hostile) connections(t *testing.T) {
	auth := "Authorization: " + h.c.auth + "\r\n"
	put := "PUT /v2/" + badRepo + "/manifests/cut HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: " + oci.MediaTypeOCIManifest + "\r\n"
	for name, text := range map[string]string{
		"huge headers":             "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Huge: " + strings.Repeat("a", 4<<20) + "\r\n\r\n",
		"many headers":             "GET /v2/ HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Many: a\r\n", 300_000) + "\r\n",
		"no HTTP at all":           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n",
		"HTTP/9.9":                 "GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n",
		"two lengths":              put + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"negative length":          put + "Content-Length: -5\r\n\r\nhello",
		"length and chunks":        put + "Content-Length: 5\r\nTransfer-Encoding: chunked, chunked\r\n\r\nhello",
		"chunk of nonsense":        put + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
		"length beyond everything": put + "Content-Length: 99999999999999999999\r\n\r\nhello",
		"length of 100 GB":         put + "Content-Length: 100000000000\r\n\r\nhello",
		"two hosts":                "GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"no host":                  "GET /v2/ HTTP/1.1\r\n\r\n",
		"two authorizations":       "GET /v2/ HTTP/1.1\r\nHost: x\r\n" + auth + "Authorization: Basic QVdTOng=\r\n\r\n",
	} {
		began := time.Now()
		status, body := h.raw(t, text)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: no answer for %v", name, took)
		}
		if status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported || status/100 == 2 {
			t.Errorf("%s: answered %d %s, want an error of the client's", name, status, clip(body, 300))
		}
	}
	h.truncated(t)
	h.slow(t)
}

// truncated bodies announce more than they bring.
func (h *hostile) truncated(t *testing.T) {
	t.Helper()
	for _, head := range []string{
		"PUT /v2/" + badRepo + "/manifests/cut", "POST /v2/" + badRepo + "/blobs/uploads/?digest=" + string(oci.FromBytes(h.image)),
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.s.Host)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			head, h.c.auth, oci.MediaTypeOCIManifest, len(h.image), h.image[:len(h.image)/2])
		if err != nil {
			t.Fatal(err)
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite() // half is all there will be
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode < 400 || resp.StatusCode >= 500 {
				t.Errorf("%s with half its body answered %s, want an error of the client's", head, resp.Status)
			}
		}
		_ = conn.Close()
	}
}

// slow keeps many connections with headers that never end: others must not notice.
func (h *hostile) slow(t *testing.T) {
	t.Helper()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range 200 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.s.Host)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		_, _ = io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	}
	for i := range 20 {
		_, _ = io.WriteString(conns[i], "a")
		began := time.Now()
		h.c.must(t, http.StatusOK, http.MethodGet, "/v2/"+badRepo+"/manifests/good", nil)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("beside 200 slow connections a pull took %v", took)
		}
	}
}

// aws calls an operation of the ECR API with a body of the test's own making, properly signed.
func (h *hostile) aws(t *testing.T, operation string, body []byte, headers ...string) reply {
	t.Helper()
	return h.awsAt(t, time.Now(), "AmazonEC2ContainerRegistry_V20150921."+operation, body, headers...)
}

func (h *hostile) awsAt(t *testing.T, at time.Time, target string, body []byte, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.s.URL+"/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	if target != "" {
		req.Header.Set("X-Amz-Target", target)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	id, secret := h.s.Keys()
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, req, hex.EncodeToString(sum[:]), "ecr", "us-east-1", at)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.c.http.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	return reply{resp.StatusCode, resp.Header, out}
}

// isException fails the test unless the reply is an exception of the AWS JSON protocol, of one of the names.
func isException(t *testing.T, what string, r reply, says string, names ...string) {
	t.Helper()
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(r.Body, &e); err != nil || r.Status != http.StatusBadRequest {
		t.Errorf("%s answered %v, want 400 and an exception", what, r)
		return
	}
	if !slices.Contains(names, e.Type) || !strings.Contains(e.Message, says) {
		t.Errorf("%s answered %s: %s, want one of %q saying %q", what, e.Type, clip(e.Message, 300), names, says)
	}
}

func (h *hostile) awsProtocol(t *testing.T) {
	repo := []byte(`{"repositoryName":"` + badRepo + `"}`)
	isException(t, "an unknown operation", h.aws(t, "MakeCoffee", repo), "", "UnknownOperationException")
	isException(t, "an unknown service", h.awsAt(t, time.Now(), "DynamoDB_20120810.ListTables", repo), "", "UnknownOperationException")
	isException(t, "an hour ago", h.awsAt(t, time.Now().Add(-time.Hour), "AmazonEC2ContainerRegistry_V20150921.ListImages", repo),
		"", "InvalidSignatureException", "RequestExpired")
	isException(t, "in an hour", h.awsAt(t, time.Now().Add(time.Hour), "AmazonEC2ContainerRegistry_V20150921.ListImages", repo),
		"", "InvalidSignatureException", "RequestExpired")

	for name, headers := range map[string][]string{
		"no credentials":        {},
		"rubbish":               {"Authorization", "AWS4-HMAC-SHA256 rubbish"},
		"no signature":          {"Authorization", "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/ecr/aws4_request, SignedHeaders=host"},
		"another scheme":        {"Authorization", h.c.auth},
		"a signature of nobody": {"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/ecr/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64), "X-Amz-Date", "20260101T000000Z"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.s.URL+"/", bytes.NewReader(repo))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.ListImages")
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := h.c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		isException(t, name, reply{resp.StatusCode, resp.Header, body}, "",
			"MissingAuthenticationTokenException", "IncompleteSignatureException", "UnrecognizedClientException", "InvalidSignatureException")
	}
	h.tampered(t)
}

// tampered bodies are not the ones that were signed.
func (h *hostile) tampered(t *testing.T) {
	t.Helper()
	sent := []byte(`{"repositoryName":"bad/empty","force":true}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.s.URL+"/", bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository")
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	id, secret := h.s.Keys()
	sum := sha256.Sum256([]byte(`{"repositoryName":"bad/empty"}`))
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, req, hex.EncodeToString(sum[:]), "ecr", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := h.c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	isException(t, "a body that was changed after signing", reply{resp.StatusCode, resp.Header, body}, "", "InvalidSignatureException")
}

func (h *hostile) awsParameters(t *testing.T) {
	ids := make([]string, 101)
	digests := make([]string, 101)
	names := make([]string, 101)
	for i := range ids {
		ids[i] = fmt.Sprintf(`{"imageTag":"t%d"}`, i)
		digests[i] = fmt.Sprintf(`"%s"`, oci.FromBytes([]byte{byte(i)}))
		names[i] = fmt.Sprintf(`"r/%d"`, i)
	}
	many := func(member string, values []string) string {
		return fmt.Sprintf(`{"repositoryName":%q,%q:[%s]}`, badRepo, member, strings.Join(values, ","))
	}
	for _, c := range []struct{ name, operation, body, says string }{
		{"101 image ids to get", "BatchGetImage", many("imageIds", ids), "imageIds"},
		{"101 image ids to delete", "BatchDeleteImage", many("imageIds", ids), "imageIds"},
		{"101 image ids to describe", "DescribeImages", many("imageIds", ids), "imageIds"},
		{"101 layers", "BatchCheckLayerAvailability", many("layerDigests", digests), "layerDigests"},
		{"101 repositories", "DescribeRepositories", `{"repositoryNames":[` + strings.Join(names, ",") + `]}`, "repositoryNames"},
		{"no image ids", "BatchGetImage", `{"repositoryName":"bad/input","imageIds":[]}`, ""},
		{"no name", "ListImages", `{}`, "repositoryName"},
		{"null name", "ListImages", `{"repositoryName":null}`, "repositoryName"},
		{"bad name", "CreateRepository", `{"repositoryName":"Bad_Name"}`, "repositoryName"},
		{"short name", "CreateRepository", `{"repositoryName":"a"}`, "repositoryName"},
		{"long name", "CreateRepository", `{"repositoryName":"` + strings.Repeat("a", 257) + `"}`, "repositoryName"},
		{"name with ..", "CreateRepository", `{"repositoryName":"../../etc"}`, "repositoryName"},
		{"page size 0", "ListImages", `{"repositoryName":"bad/input","maxResults":0}`, "maxResults"},
		{"page size 1001", "ListImages", `{"repositoryName":"bad/input","maxResults":1001}`, "maxResults"},
		{"page token of nobody's", "ListImages", `{"repositoryName":"bad/input","nextToken":"AAAA"}`, ""},
		{"enum of nothing", "ListImages", `{"repositoryName":"bad/input","filter":{"tagStatus":"SOME"}}`, "tagStatus"},
		{"mutability of nothing", "PutImageTagMutability", `{"repositoryName":"bad/input","imageTagMutability":"SOMETIMES"}`, "imageTagMutability"},
		{"exclusions without a rule", "PutImageTagMutability", `{"repositoryName":"bad/input","imageTagMutability":"IMMUTABLE","imageTagMutabilityExclusionFilters":[{"filterType":"WILDCARD","filter":"*"}]}`, ""},
		{"6 exclusions", "PutImageTagMutability", `{"repositoryName":"bad/input","imageTagMutability":"IMMUTABLE_WITH_EXCLUSION","imageTagMutabilityExclusionFilters":[` + strings.TrimSuffix(strings.Repeat(`{"filterType":"WILDCARD","filter":"*"},`, 6), ",") + `]}`, ""},
		{"ARN of rubbish", "ListTagsForResource", `{"resourceArn":"rubbish"}`, ""},
		{"manifest of rubbish", "PutImage", `{"repositoryName":"bad/input","imageManifest":"rubbish","imageTag":"x"}`, "Invalid JSON syntax"},
		{"5 MiB manifest", "PutImage", `{"repositoryName":"bad/input","imageManifest":"` + strings.Repeat("a", 5<<20) + `","imageTag":"x"}`, ""},
		{"part backwards", "UploadLayerPart", `{"repositoryName":"bad/input","uploadId":"00000000-0000-0000-0000-000000000000","partFirstByte":9,"partLastByte":1,"layerPartBlob":"AAAA"}`, ""},
		{"negative part", "UploadLayerPart", `{"repositoryName":"bad/input","uploadId":"00000000-0000-0000-0000-000000000000","partFirstByte":-9,"partLastByte":-1,"layerPartBlob":"AAAA"}`, "partFirstByte"},
		{"two digests to complete", "CompleteLayerUpload", `{"repositoryName":"bad/input","uploadId":"00000000-0000-0000-0000-000000000000","layerDigests":[]}`, "layerDigests"},
	} {
		t.Run(c.name, func(t *testing.T) {
			isException(t, c.operation, h.aws(t, c.operation, []byte(c.body)), c.says, "InvalidParameterException", "InvalidLayerPartException", "UploadNotFoundException", "ValidationException")
		})
	}
	isException(t, "another registry", h.aws(t, "ListImages", []byte(`{"repositoryName":"bad/input","registryId":"999999999999"}`)), "999999999999", "RepositoryNotFoundException")
	// Members that a newer SDK may send are ignored.
	if r := h.aws(t, "ListImages", []byte(`{"repositoryName":"bad/input","aMemberOfTheFuture":{"x":[1,2]}}`)); r.Status != http.StatusOK {
		t.Errorf("ListImages with an unknown member answered %v, want 200", r)
	}
}

// awsBodies are broken, of the wrong kinds, deep, large, or grow when they are unpacked.
func (h *hostile) awsBodies(t *testing.T) {
	for name, body := range map[string]string{
		"broken JSON": `{"repositoryName":`, "no JSON": "\x00\x01", "an array": `[]`, "a string": `"x"`, "trailing": `{"repositoryName":"bad/input"} x`,
		"a number for a string": `{"repositoryName":5}`, "a string for a list": `{"repositoryName":"bad/input","filter":"x"}`,
		"bad UTF-8": "{\"repositoryName\":\"\xff\xfe\"}", "deep JSON": `{"x":` + strings.Repeat("[", 100_000), "empty": "",
		"deep JSON that closes": `{"repositoryName":"bad/input","x":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}`,
		"a huge number":         `{"repositoryName":"bad/input","maxResults":1e999}`, "a fraction": `{"repositoryName":"bad/input","maxResults":1.5}`,
	} {
		t.Run(name, func(t *testing.T) {
			isException(t, "ListImages", h.aws(t, "ListImages", []byte(body)), "", "SerializationException", "InvalidParameterException")
		})
	}
	large := `{"repositoryName":"bad/input","nextToken":"` + strings.Repeat("a", 64<<20) + `"}`
	if r := h.aws(t, "ListImages", []byte(large)); r.Status != http.StatusBadRequest && r.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("ListImages with 64 MiB of body answered %v, want 400 or 413", r)
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 512 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if r := h.aws(t, "ListImages", bomb.Bytes(), "Content-Encoding", "gzip"); r.Status != http.StatusBadRequest && r.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("ListImages with a gzip bomb of %d KiB answered %v, want 400 or 413", bomb.Len()>>10, r)
	}
	if r := h.aws(t, "ListImages", []byte("not gzip"), "Content-Encoding", "gzip"); r.Status != http.StatusBadRequest {
		t.Errorf("ListImages with broken gzip answered %v, want 400", r)
	}
}
