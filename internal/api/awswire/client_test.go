package awswire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/sigv4"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

const (
	keyID  = "AKIAIOSFODNN7EXAMPLE"
	secret = "abcdefghijklmnopqrstuvwxyz+/ABCDEFGH0123"
)

// keyring knows one access key.
type keyring struct {
	verifier sigv4.Verifier
}

func (k *keyring) Screen(r *http.Request, service string) error {
	_, err := k.claim(r, service)
	return err
}

func (k *keyring) SigV4(r *http.Request, body []byte, service string) (identity.Caller, error) {
	q, err := k.claim(r, service)
	if err != nil {
		return identity.Caller{}, err
	}
	if err := k.verifier.Verify(r, q, secret, body); err != nil {
		return identity.Caller{}, err
	}
	return identity.Caller{Account: "000123456789", ARN: "arn:aws:iam::000123456789:root", UserID: "000123456789", AccessKeyID: keyID}, nil
}

func (k *keyring) claim(r *http.Request, service string) (*sigv4.Request, error) {
	q, err := sigv4.Parse(r)
	if err != nil {
		return nil, err
	}
	if err := q.CheckTime(time.Now()); err != nil {
		return nil, err
	}
	if q.AccessKeyID != keyID {
		return nil, fault.New(fault.AccessKeyUnknown, "The security token included in the request is invalid.")
	}
	return q, q.CheckService(service)
}

// house is a server with a toy ECR and a toy STS, whose operations a test sets.
type house struct {
	*httptest.Server
	log syncBuffer
}

// syncBuffer is a log that a test reads while the server may write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func toyECR(operations map[string]awswire.Operation) awswire.Service {
	return awswire.Service{
		Name: "ecr", Protocol: awswire.JSON11, TargetPrefix: "AmazonEC2ContainerRegistry_V20150921",
		Members: ecrMembers(), Operations: operations, Known: []string{"StartImageScan"},
		Exceptions: func(err error) (awswire.Exception, bool) {
			f, ok := fault.Of(err)
			if !ok {
				return awswire.Exception{}, false
			}
			switch f.Code {
			case fault.RepositoryNotFound:
				return awswire.Exception{Code: "RepositoryNotFoundException", Message: f.Message}, true
			case fault.UploadOutOfOrder:
				position, _ := f.Detail.(fault.UploadPosition)
				return awswire.Exception{Code: "InvalidLayerPartException", Message: f.Message, Members: map[string]any{
					"registryId": "000123456789", "repositoryName": aws.String("app"), "uploadId": position.UploadID,
					"lastValidByteReceived": position.Size - 1, "absent": (*string)(nil), "nil": nil,
				}}, true
			}
			return awswire.Exception{}, false
		},
	}
}

func toySTS(operations map[string]awswire.Operation) awswire.Service {
	return awswire.Service{
		Name: "sts", Protocol: awswire.Query, Version: "2011-06-15", Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Members: stsMembers(), Operations: operations, Known: []string{"AssumeRole"},
		Exceptions: func(err error) (awswire.Exception, bool) {
			if errors.Is(err, fault.LimitExceeded) {
				return awswire.Exception{Code: "PackedPolicyTooLarge", Message: err.Error(), Members: map[string]any{"Size": 7}}, true
			}
			return awswire.Exception{}, false
		},
	}
}

func serve(t testing.TB, services ...awswire.Service) *house {
	t.Helper()
	h := &house{}
	handler, err := awswire.New(awswire.Config{
		Authenticator: &keyring{}, Services: services, Logger: slog.New(slog.NewTextHandler(&h.log, nil)),
	})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	h.Server = httptest.NewServer(handler)
	t.Cleanup(h.Close)
	return h
}

func (h *house) ecr() *ecr.Client {
	return ecr.New(ecr.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(h.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""),
	})
}

func (h *house) sts() *sts.Client {
	return sts.New(sts.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(h.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""),
	})
}

func TestTheSDKCallsAnOperation(t *testing.T) {
	t.Parallel()
	var got *ecr.DescribeImagesInput
	var call awswire.Call
	h := serve(t, toyECR(map[string]awswire.Operation{
		"DescribeImages": awswire.Op(func(_ context.Context, c awswire.Call, in *ecr.DescribeImagesInput) (*ecr.DescribeImagesOutput, error) {
			got, call = in, c
			return details(20), nil
		}),
	}))
	in := &ecr.DescribeImagesInput{
		RepositoryName: aws.String("hoopstat-haus/prod"), MaxResults: aws.Int32(20),
		ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("a <&> \"b\"")}},
		Filter:   &types.DescribeImagesFilter{TagStatus: types.TagStatusTagged},
	}
	out, err := h.ecr().DescribeImages(t.Context(), in)
	if err != nil {
		t.Fatalf("DescribeImages: %v", err)
	}
	if diff := cmp.Diff(in, got, unexported()); diff != "" {
		t.Errorf("the input (-sent +received):\n%s", diff)
	}
	if diff := cmp.Diff(details(20), out, unexported()); diff != "" {
		t.Errorf("the output (-sent +received):\n%s", diff)
	}
	if call.Caller.Account != "000123456789" || call.RequestID == "" || "http://"+call.Host != h.URL || call.Secure || call.Scheme() != "http" {
		t.Errorf("the operation saw the call %+v", call)
	}
}

func TestTheSDKUploadsALargePart(t *testing.T) {
	t.Parallel()
	part := bytes.Repeat([]byte{0, 1, 2, 0xff}, 5<<20)
	h := serve(t, toyECR(map[string]awswire.Operation{
		"UploadLayerPart": awswire.Op(func(_ context.Context, _ awswire.Call, in *ecr.UploadLayerPartInput) (*ecr.UploadLayerPartOutput, error) {
			if !bytes.Equal(in.LayerPartBlob, part) {
				return nil, fmt.Errorf("%d bytes came, and they are others", len(in.LayerPartBlob))
			}
			return &ecr.UploadLayerPartOutput{LastByteReceived: in.PartLastByte}, nil
		}).MaxBody(28 << 20),
	}))
	out, err := h.ecr().UploadLayerPart(t.Context(), &ecr.UploadLayerPartInput{
		RepositoryName: aws.String("app"), UploadId: aws.String("u"), PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(int64(len(part)) - 1),
		LayerPartBlob: part,
	})
	if err != nil || *out.LastByteReceived != int64(len(part))-1 {
		t.Errorf("UploadLayerPart of %d bytes: %v, %v\n%s", len(part), out, err, h.log.String())
	}
}

func TestFaultsBecomeTypedErrors(t *testing.T) {
	t.Parallel()
	h := serve(t, toyECR(map[string]awswire.Operation{
		"UploadLayerPart": awswire.Op(func(context.Context, awswire.Call, *ecr.UploadLayerPartInput) (*ecr.UploadLayerPartOutput, error) {
			return nil, fmt.Errorf("adding: %w", fault.New(fault.UploadOutOfOrder, "not there").With(fault.UploadPosition{UploadID: "u1", Size: 100}))
		}),
		"DescribeImages": awswire.Op(func(context.Context, awswire.Call, *ecr.DescribeImagesInput) (*ecr.DescribeImagesOutput, error) {
			return nil, fault.New(fault.RepositoryNotFound, "The repository with name 'a' does not exist")
		}),
	}))
	_, err := h.ecr().DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("a")})
	notFound, ok := errors.AsType[*types.RepositoryNotFoundException](err)
	if !ok || notFound.ErrorMessage() != "The repository with name 'a' does not exist" {
		t.Errorf("DescribeImages: %v, want a RepositoryNotFoundException", err)
	}
	_, err = h.ecr().UploadLayerPart(t.Context(), &ecr.UploadLayerPartInput{
		RepositoryName: aws.String("a"), UploadId: aws.String("u"), PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(1), LayerPartBlob: []byte("ab"),
	})
	want := &types.InvalidLayerPartException{
		Message: aws.String("not there"), RegistryId: aws.String("000123456789"), RepositoryName: aws.String("app"),
		UploadId: aws.String("u1"), LastValidByteReceived: aws.Int64(99),
	}
	part, ok := errors.AsType[*types.InvalidLayerPartException](err)
	if !ok {
		t.Fatalf("UploadLayerPart: %v, want an InvalidLayerPartException", err)
	}
	if diff := cmp.Diff(want, part, unexported()); diff != "" {
		t.Errorf("InvalidLayerPartException (-want +got):\n%s", diff)
	}
	if log := h.log.String(); log != "" {
		t.Errorf("clients' errors were logged as the server's:\n%s", log)
	}
}

// status digs the HTTP status out of an SDK's error.
func status(err error) int {
	if r, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return r.HTTPStatusCode()
	}
	return 0
}

func TestSharedFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err        error
		json       string
		jsonStatus int
		query      string
		queryCode  int
		message    string
		logged     bool
	}{
		{fault.New(fault.AccessDenied, "no"), "AccessDeniedException", 400, "AccessDenied", 403, "no", false},
		{fault.New(fault.CredentialsMissing, "none"), "MissingAuthenticationTokenException", 400, "MissingAuthenticationToken", 403, "none", false},
		{fault.New(fault.CredentialsMalformed, "odd"), "IncompleteSignatureException", 400, "IncompleteSignature", 400, "odd", false},
		{fault.New(fault.AccessKeyUnknown, "who"), "UnrecognizedClientException", 400, "InvalidClientTokenId", 403, "who", false},
		{fault.New(fault.SignatureMismatch, "wrong"), "InvalidSignatureException", 400, "SignatureDoesNotMatch", 403, "wrong", false},
		{fault.New(fault.SignatureExpired, "Signature expired"), "InvalidSignatureException", 400, "SignatureDoesNotMatch", 403, "Signature expired", false},
		{fault.New(fault.TokenExpired, "over"), "ExpiredTokenException", 400, "ExpiredToken", 403, "over", false},
		{fault.New(fault.InvalidParameter, "bad"), "InvalidParameterException", 400, "ValidationError", 400, "bad", false},
		{fault.New(fault.RequestTooLarge, "big"), "RequestEntityTooLargeException", 413, "RequestEntityTooLarge", 413, "big", false},
		{fault.Wrap(fault.StorageFull, errors.New("ENOSPC"), "the disk is full"), "ServerException", 500, "InternalFailure", 500, "the disk is full", true},
		{fault.Wrap(fault.Unavailable, errors.New("refused"), "no database"), "ServerException", 503, "ServiceUnavailable", 503, "no database", true},
		{errors.New("a nil map"), "ServerException", 500, "InternalFailure", 500, "internal failure (request ", true},
		{fault.New(fault.ImageNotFound, "not in the toy's table"), "ServerException", 500, "InternalFailure", 500, "internal failure (request ", true},
	}
	for _, test := range tests {
		t.Run(test.json+"/"+test.message, func(t *testing.T) {
			t.Parallel()
			h := serve(t, toyECR(map[string]awswire.Operation{
				"DescribeRegistry": awswire.Op(func(context.Context, awswire.Call, *ecr.DescribeRegistryInput) (*ecr.DescribeRegistryOutput, error) {
					return nil, test.err
				}),
			}), toySTS(map[string]awswire.Operation{
				"GetCallerIdentity": awswire.Op(func(context.Context, awswire.Call, *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
					return nil, test.err
				}),
			}))
			check := func(protocol string, err error, code string, httpStatus int) {
				t.Helper()
				api, ok := errors.AsType[smithy.APIError](err)
				if !ok || api.ErrorCode() != code || status(err) != httpStatus || !strings.HasPrefix(api.ErrorMessage(), test.message) {
					t.Errorf("%s made of %v: %v; want %s with status %d and %q", protocol, test.err, err, code, httpStatus, test.message)
				}
			}
			_, err := h.ecr().DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{})
			check("JSON", err, test.json, test.jsonStatus)
			if logs := strings.Count(h.log.String(), "\n"); (logs == 1) != test.logged || logs > 1 {
				t.Errorf("%d lines logged, want one: %v\n%s", logs, test.logged, h.log.String())
			}
			if test.logged && !strings.Contains(h.log.String(), test.err.Error()) {
				t.Errorf("the log does not say %q:\n%s", test.err, h.log.String())
			}
			_, err = h.sts().GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
			check("Query", err, test.query, test.queryCode)
		})
	}
}

func TestTheSDKSpeaksQuery(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 11, 24, 22, 15, 0, 0, time.UTC)
	h := serve(t, toySTS(map[string]awswire.Operation{
		"GetCallerIdentity": awswire.Op(func(_ context.Context, c awswire.Call, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
			return &sts.GetCallerIdentityOutput{Account: &c.Caller.Account, Arn: &c.Caller.ARN, UserId: &c.Caller.UserID}, nil
		}),
		"AssumeRoleWithWebIdentity": awswire.Op(func(_ context.Context, c awswire.Call, in *sts.AssumeRoleWithWebIdentityInput) (*sts.AssumeRoleWithWebIdentityOutput, error) {
			if !c.Caller.Anonymous() {
				return nil, errors.New("an unsigned operation has a caller")
			}
			return &sts.AssumeRoleWithWebIdentityOutput{
				SubjectFromWebIdentityToken: in.WebIdentityToken, Audience: in.PolicyArns[1].Arn,
				Credentials: &ststypes.Credentials{AccessKeyId: aws.String("ASIA"), SecretAccessKey: aws.String("<&>"), SessionToken: aws.String("é"), Expiration: &until},
			}, nil
		}).Unsigned(),
		"GetSessionToken": awswire.Op(func(context.Context, awswire.Call, *sts.GetSessionTokenInput) (*sts.GetSessionTokenOutput, error) {
			return nil, nil
		}),
		"GetFederationToken": awswire.Op(func(context.Context, awswire.Call, *sts.GetFederationTokenInput) (*sts.GetFederationTokenOutput, error) {
			return nil, fault.New(fault.LimitExceeded, "too much")
		}),
	}))
	who, err := h.sts().GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Account != "000123456789" || *who.Arn != "arn:aws:iam::000123456789:root" {
		t.Errorf("GetCallerIdentity: %+v, %v", who, err)
	}
	assumed, err := h.sts().AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String("arn:aws:iam::000123456789:role/ci"), RoleSessionName: aws.String("GitHubActions"), WebIdentityToken: aws.String("a.b+c/d="),
		PolicyArns: []ststypes.PolicyDescriptorType{{Arn: aws.String("one")}, {Arn: aws.String("two")}},
	})
	if err != nil {
		t.Fatalf("AssumeRoleWithWebIdentity: %v", err)
	}
	want := &sts.AssumeRoleWithWebIdentityOutput{
		SubjectFromWebIdentityToken: aws.String("a.b+c/d="), Audience: aws.String("two"),
		Credentials: &ststypes.Credentials{AccessKeyId: aws.String("ASIA"), SecretAccessKey: aws.String("<&>"), SessionToken: aws.String("é"), Expiration: &until},
	}
	if diff := cmp.Diff(want, assumed, unexported()); diff != "" {
		t.Errorf("AssumeRoleWithWebIdentity (-want +got):\n%s", diff)
	}
	if _, err := h.sts().GetSessionToken(t.Context(), &sts.GetSessionTokenInput{}); err != nil {
		t.Errorf("an operation that answers nothing: %v", err)
	}
	_, err = h.sts().GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("someone")})
	if tooLarge, ok := errors.AsType[*ststypes.PackedPolicyTooLargeException](err); !ok || tooLarge.ErrorMessage() != "too much" {
		t.Errorf("GetFederationToken: %v, want a PackedPolicyTooLargeException", err)
	}

	// A pre-signed URL is a GET with everything in its query.
	signed, err := sts.NewPresignClient(h.sts()).PresignGetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatalf("PresignGetCallerIdentity: %v", err)
	}
	code, _, body := h.send(t, signed.Method, signed.URL, nil, "")
	if code != http.StatusOK || !strings.Contains(body, "<Account>000123456789</Account>") {
		t.Errorf("%s %s: %d %s", signed.Method, signed.URL, code, body)
	}
}
