package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/policy"
)

func TestPositions(t *testing.T) {
	t.Parallel()
	at := func(line, column, endLine, endColumn int) policy.Span {
		return policy.Span{Start: policy.Position{Line: line, Column: column}, End: policy.Position{Line: endLine, Column: endColumn}}
	}
	for text, want := range map[string][]policy.Span{
		`{"Statement":{"Effect":"Allow"}}`: {at(1, 14, 1, 32)},
		"{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\n      \"Sid\": \"A\"\n    },\n    { \"Sid\" : \"é\" } ]\n}": {at(4, 5, 6, 6), at(7, 5, 7, 20)},
		`{"Id":"é","Statement" : [ {} , {"a":[{}]}],"Version":"x"}`:                                                                {at(1, 27, 1, 29), at(1, 32, 1, 42)},
		`{"Id":{"Statement":[]},"Statement":[]}`:                                                                                   nil,
		`{"Id":"x"}`:                                                                                                               nil, `[]`: nil, ``: nil, `{"Statement":`: nil, `{"Statement":[{},`: nil,
	} {
		if diff := cmp.Diff(want, policy.Positions(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	const statement = `"Statement":[{"Effect":"Allow","Action":"*","Resource":["arn:aws:s3:::${aws:username}/*","arn:aws:s3:::${*}${$}${?}"],
		"Condition":{"StringLike":{"aws:RequestTag/Team":"${aws:PrincipalTag/team, 'none'}","s3:prefix":["${AWS:UserName}","x"]},"Bool":{"aws:SecureTransport":true}}},
		{"Effect":"Deny","Action":"*","NotResource":"arn:aws:s3:::${ aws:userid }"}]}`
	for version, want := range map[string][]string{
		policy.Version2012: {"aws:PrincipalTag/team", "aws:RequestTag/Team", "aws:SecureTransport", "aws:userid", "aws:username", "s3:prefix"},
	} {
		d, err := policy.ParseDocument(`{"Version":"` + version + `",` + statement)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, d.Keys()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", version, diff)
		}
	}
	d, err := policy.ParseDocument(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username}","Condition":{"Null":{"aws:userid":"true"}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"aws:userid"}, d.Keys()); diff != "" {
		t.Errorf("of 2008 (-want +got):\n%s", diff)
	}
}
