package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// BenchmarkDecide decides what there is to decide at every request. 200,000 decisions a second on one core are 5 µs each.
func BenchmarkDecide(b *testing.B) {
	for _, size := range []struct {
		name                 string
		policies, statements int
	}{{"5x5", 5, 5}, {"50x20", 50, 20}} {
		for _, mix := range []struct {
			name   string
			action policy.Action
			want   policy.Outcome
		}{
			{"allowed", policy.PutImage, policy.Allowed},
			{"lacking", policy.DeleteRepository, policy.ImplicitDeny},
			{"denied", policy.SetRepositoryPolicy, policy.ExplicitDeny},
		} {
			b.Run(size.name+"/"+mix.name, func(b *testing.B) {
				q := benchQuestion(b, size.policies, size.statements)
				q.Action = mix.action
				values := map[string][]string{"aws:principaltag/team": {"team7"}, "aws:sourceip": {"10.1.2.3"}, "aws:securetransport": {"true"}}
				q.Context = func(key string) ([]string, bool) { v, ok := values[key]; return v, ok }
				b.ReportAllocs()
				for b.Loop() {
					if d := policy.Decide(q); d.Outcome != mix.want {
						b.Fatal(d)
					}
				}
			})
		}
	}
}

// benchQuestion has statements of the usual kinds: exact, with wildcards, with variables, with conditions. Half of them are
// about other actions.
func benchQuestion(b *testing.B, policies, statements int) policy.Question {
	b.Helper()
	kinds := []string{
		`{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:PutImage"],"Resource":"arn:aws:ecr:*:*:repository/team%d/*"}`,
		`{"Effect":"Allow","Action":"ecr:Put*","Resource":"arn:aws:ecr:*:111122223333:repository/${aws:PrincipalTag/team}/*"}`,
		`{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::bucket%d","arn:aws:s3:::bucket/*"]}`,
		`{"Effect":"Deny","Action":"ecr:Set*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.%d.0/24"]}}}`,
		`{"Effect":"Deny","Action":"ecr:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`,
	}
	q := policy.Question{Asker: askers["session"], Account: ours, Resource: policy.RepositoryARN("us-east-1", ours, "team7/app")}
	for p := range policies {
		var all []string
		for s := range statements {
			kind := kinds[s%len(kinds)]
			if strings.Contains(kind, "%d") {
				kind = fmt.Sprintf(kind, (p*statements+s)%100)
			}
			all = append(all, kind)
		}
		d, err := policy.ParseDocument(`{"Version":"2012-10-17","Statement":[` + strings.Join(all, ",") + `]}`)
		if err != nil {
			b.Fatal(err)
		}
		q.Identity = append(q.Identity, policy.Compile(policy.IdentityBased, fmt.Sprintf("p%d", p), d))
	}
	return q
}
