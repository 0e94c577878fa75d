package iam_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// BenchmarkAuthorize is what a signed request costs before anything is done for it: its signature is verified, and 50
// policies of 20 statements, which its user has by groups, are asked whether it may. The aim is 150 µs of CPU at most.
func BenchmarkAuthorize(b *testing.B) {
	const groups, policies, statements = 5, 10, 20
	o := newBureau(b)
	root := identity.Caller{Account: bureauAccount, ARN: bureauARN + "root", UserID: bureauAccount, Root: true}
	user := o.person(access.User, "ci")
	for g := range groups {
		name := fmt.Sprintf("group%d", g)
		id := o.person(access.Group, name)
		o.must("AddMember", o.db.Access().Update(b.Context(), func(tx access.Tx) error { return tx.AddMember(b.Context(), id, user) }))
		for p := range policies {
			made, err := o.access.CreatePolicy(b.Context(), root, access.NewPolicy{
				Name: fmt.Sprintf("policy%d-%d", g, p), Document: manyStatements(fmt.Sprintf("team%d-%d", g, p), statements),
			})
			o.must("CreatePolicy", err)
			o.must("AttachPolicy", o.access.AttachPolicy(b.Context(), root, access.Group, name, made.ARN))
		}
	}
	key := o.key(user, "ci")
	body := []byte(`{"repositoryName":"team4-9-19/app"}`)
	r := signedRequest(b, key, body)
	repository := policy.RepositoryARN("us-east-1", bureauAccount, "team4-9-19/app") // of the last statement
	tags := policy.Context(func(name string) ([]string, bool) { return []string{"web"}, name == "aws:resourcetag/team" })
	for name, ask := range map[string]struct {
		action policy.Action
		may    bool
	}{"allowed": {policy.PutImage, true}, "denied": {policy.DeleteRepository, false}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				caller, err := o.auth.SigV4(r, body, "ecr")
				if err != nil {
					b.Fatal(err)
				}
				err = o.access.Authorize(b.Context(), caller, policy.Request{Action: ask.action, Resource: repository, Account: bureauAccount, Context: tags})
				if (err == nil) != ask.may {
					b.Fatalf("Authorize: %v", err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// cpuTime is what the process has used of the processors, whatever else the machine does.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// manyStatements makes a document about a team's repositories.
func manyStatements(team string, n int) string {
	var all []string
	for i := range n {
		condition := ""
		switch i % 4 {
		case 1:
			condition = `,"Condition":{"StringEquals":{"aws:ResourceTag/team":"web"}}`
		case 2:
			condition = `,"Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.0/24"]}}`
		}
		all = append(all, fmt.Sprintf(`{"Sid":"S%d","Effect":"Allow","Action":["ecr:BatchGet*","ecr:PutImage","ecr:UploadLayerPart","ecr:Describe*"],"Resource":["arn:aws:ecr:*:*:repository/%s-%d/*"]%s}`, i, team, i, condition))
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(all, ",") + `]}`
}

// signedRequest makes a request of ECR's API, signed by AWS's own signer.
func signedRequest(tb testing.TB, key identity.AccessKey, body []byte) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "http://registry.example/", bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.PutImage")
	r.RemoteAddr = "192.0.2.7:40000"
	hash := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(tb.Context(), aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}, r,
		hex.EncodeToString(hash[:]), "ecr", "us-east-1", time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return r
}
