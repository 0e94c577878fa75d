package signing_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/signing"
)

func TestConfiguration(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		if _, err := b.signer.Configuration(t.Context(), root); !errors.Is(err, fault.SigningConfigurationNotFound) {
			t.Errorf("before there is one: %v", err)
		}
		if _, err := b.signer.DeleteConfiguration(t.Context(), root); !errors.Is(err, fault.SigningConfigurationNotFound) {
			t.Errorf("deleting none: %v", err)
		}
		want := signing.Configuration{Rules: []signing.Rule{{Profile: release}, {Profile: audit, Filters: []string{"team/*", "*/prod", "*"}}}}
		b.configure(signing.Rule{Profile: audit})
		b.configure(want.Rules...)
		got, err := b.signer.Configuration(t.Context(), root)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Configuration: %v (-want +got):\n%s", err, diff)
		}
		before := *b.key(release)
		b.configure() // no rules at all
		if gone, err := b.signer.DeleteConfiguration(t.Context(), root); err != nil || len(gone.Rules) != 0 {
			t.Errorf("DeleteConfiguration gives %+v, %v", gone, err)
		}
		b.configure(want.Rules...)
		if after := b.key(release); !after.Equal(&before) {
			t.Error("a profile that is named again has another key")
		}
	})
}

func TestConfigurationsRefused(t *testing.T) {
	t.Parallel()
	rules := func(n int) []signing.Rule {
		var list []signing.Rule
		for i := range n {
			list = append(list, signing.Rule{Profile: fmt.Sprintf("%s%d", release, i)})
		}
		return list
	}
	filters := func(f ...string) []signing.Rule { return []signing.Rule{{Profile: release, Filters: f}} }
	tests := map[string]struct {
		rules []signing.Rule
		where string // the member that is wrong; empty: nothing is
	}{
		"as many as may be":     {rules(10), ""},
		"too many rules":        {rules(11), "signingConfiguration.rules"},
		"no ARN":                {[]signing.Rule{{Profile: "release"}}, "signingConfiguration.rules.1.member.signingProfileArn"},
		"no profile":            {append(rules(1), signing.Rule{Profile: "arn:aws:iam::123456789012:root"}), "signingConfiguration.rules.2.member.signingProfileArn"},
		"another partition":     {[]signing.Rule{{Profile: strings.Replace(release, "aws", "aws-us-gov", 1)}}, ""},
		"filters":               {filters("a", "a/b", "a*/b-c", "*", "*/a.b", "*prod*"), ""},
		"as many filters":       {filters(strings.Split(strings.Repeat("a ", 99)+"a", " ")...), ""},
		"too many filters":      {filters(strings.Split(strings.Repeat("a ", 100)+"a", " ")...), "signingConfiguration.rules.1.member.repositoryFilters"},
		"a filter of no name":   {filters("a", "A"), "signingConfiguration.rules.1.member.repositoryFilters.2.member.filter"},
		"an empty filter":       {filters(""), "signingConfiguration.rules.1.member.repositoryFilters.1.member.filter"},
		"a filter as long":      {filters(strings.Repeat("a", 256)), ""},
		"a filter of too much":  {filters(strings.Repeat("a", 257)), "signingConfiguration.rules.1.member.repositoryFilters.1.member.filter"},
		"a filter with a slash": {filters("a/"), "signingConfiguration.rules.1.member.repositoryFilters.1.member.filter"},
	}
	each(t, func(t *testing.T, b *bench) {
		for name, tt := range tests {
			_, err := b.signer.PutConfiguration(t.Context(), root, signing.Configuration{Rules: tt.rules})
			f, _ := fault.Of(err)
			switch {
			case tt.where == "" && err != nil:
				t.Errorf("%s: %v", name, err)
			case tt.where != "" && (f == nil || !strings.Contains(f.Message, "'"+tt.where+"'")):
				t.Errorf("%s: %v, want a fault at %s", name, err, tt.where)
			}
		}
	})
}

func TestPublicKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		abroad := strings.Replace(release, "us-east-1", "eu-west-1", 1)
		b.configure(signing.Rule{Profile: release}, signing.Rule{Profile: audit}, signing.Rule{Profile: abroad})
		if !b.key("audit").Equal(b.key(audit)) {
			t.Error("a name and its ARN give two keys")
		}
		if b.key(release).Equal(b.key(audit)) || b.key(release).Equal(b.key(abroad)) {
			t.Error("two profiles have one key")
		}
		for profile, words := range map[string]string{
			"release": abroad + ", " + release, // which of the two?
			"nothing": "must be a profile", "": "must be a profile", audit + "2": "must be a profile",
		} {
			_, err := b.signer.PublicKey(t.Context(), root, profile)
			if !errors.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), words) {
				t.Errorf("PublicKey(%q): %v, want words about %q", profile, err, words)
			}
		}
	})
}
