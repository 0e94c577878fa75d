package policy_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/policy"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	for principal, want := range map[string]bool{
		`"Effect":"Allow","Principal":"*"`:                                                       true,
		`"Effect":"Allow","Principal":{"AWS":"*"}`:                                               true,
		`"Effect":"Allow","Principal":{"AWS":["111122223333","*"]}`:                              true,
		`"Effect":"Allow","NotPrincipal":{"AWS":"111122223333"}`:                                 true,
		`"Effect":"Deny","Principal":"*"`:                                                        false,
		`"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"}`:                                  false,
		`"Effect":"Allow","Principal":{"AWS":"111122223333"}`:                                    false,
		`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/ci"}`:               false,
		`"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"}`:                     false,
		`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.1"}}`: true,
	} {
		d, err := policy.ParseDocument(`{"Version":"2012-10-17","Statement":[{` + principal + `,"Action":"ecr:*"}]}`)
		if err != nil {
			t.Fatalf("%s: %v", principal, err)
		}
		if got := d.Open(); got != want {
			t.Errorf("Open of %s = %v, want %v", principal, got, want)
		}
	}
}
