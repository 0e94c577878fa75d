package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// fastest is how long the fastest of some runs takes: others wait for the machine.
func fastest(f func()) time.Duration {
	best := time.Duration(1<<63 - 1)
	for range 7 {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	return max(best, time.Microsecond)
}

// TestPatternsAreNoBomb compares patterns that go wrong at the last letter with ever longer texts. Time grows with
// the text's length: eight times for eight times the letters, and not for each * by that again, as in matchers that go back to
// every one of them.
func TestPatternsAreNoBomb(t *testing.T) {
	t.Parallel()
	for _, stars := range []int{1, 4, 32, 256} {
		bomb := strings.Repeat("*a", stars) + "*b"
		resource := "arn:aws:ecr:us-east-1:111122223333:repository/" + bomb
		compiled := policy.Compile(policy.IdentityBased, "p", mustParse(t, `{"Version":"2012-10-17","Statement":[`+
			`{"Effect":"Deny","Action":"ecr:*","Resource":"`+resource+`"},`+
			`{"Effect":"Allow","Action":"ecr:*","Resource":"`+resource+`/${aws:username}"},`+
			`{"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringLike":{"ecr:ImageTag":"`+bomb+`"}}}]}`))
		work := func(letters int) func() {
			text := strings.Repeat("a", letters)
			return func() {
				d := policy.Decide(policy.Question{
					Asker:  policy.Asker{ARN: "arn:aws:iam::111122223333:user/eve", Account: ours, UserID: "AIDAAAAAAAAAAAAAAEVE"},
					Action: policy.PutImage, Resource: "arn:aws:ecr:us-east-1:111122223333:repository/" + text, Account: ours,
					Identity: []*policy.Policy{compiled},
					Context: func(key string) ([]string, bool) {
						return []string{text}, key == "aws:username" || key == "ecr:imagetag"
					},
				})
				if d.Outcome == policy.Allowed {
					t.Errorf("%d wildcards allow a text without a b", stars)
				}
			}
		}
		short, long := fastest(work(4<<10)), fastest(work(32<<10))
		if ratio := float64(long) / float64(short); ratio > 30 {
			t.Errorf("with %d wildcards, a text of eight times the length takes %.0f times as long (%v, %v)", stars, ratio, short, long)
		}
	}
}

func mustParse(t *testing.T, text string) policy.Document {
	t.Helper()
	d, err := policy.ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDocumentsOfGreatDepth nests at each place where a document is read.
func TestDocumentsOfGreatDepth(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{100, 5_000, 1_000_000} {
		for name, text := range map[string]string{
			"lists":      strings.Repeat("[", depth) + strings.Repeat("]", depth),
			"open lists": strings.Repeat("[", depth),
			"objects":    strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth),
		} {
			for _, place := range []string{
				`%s`, `{"Version":%s}`, `{"Statement":%s}`, `{"Statement":[{"Effect":"Allow","Action":%s,"Resource":"*"}]}`,
				`{"Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":%s}]}`,
				`{"Statement":[{"Effect":"Allow","Action":"ecr:*","Principal":%s}]}`,
				`{"Statement":[{"Effect":"Allow","Action":"ecr:*","Principal":{"AWS":%s}}]}`,
				`{"Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":%s}]}`,
				`{"Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"k":%s}}}]}`,
			} {
				if _, err := policy.ParseDocument(fmt.Sprintf(place, text)); !errors.Is(err, fault.InvalidParameter) {
					t.Errorf("%d %s in %s: %.100v, want InvalidParameter", depth, name, place, err)
				}
			}
		}
	}
}
