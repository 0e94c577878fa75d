package registry_test

import (
	"errors"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestTemplatesDoNotGetRoundADeny has somebody who may do everything, but set no policy below prod/, try to have a template
// set it: for all repositories, for more than those, for some of them, and by widening a template that is there.
func TestTemplatesDoNotGetRoundADeny(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		const repositories = "arn:aws:ecr:us-east-1:" + account + ":repository/"
		eve := b.user("eve", `{"Effect":"Allow","Action":"ecr:*","Resource":"*"}`,
			`{"Effect":"Deny","Action":"ecr:SetRepositoryPolicy","Resource":"`+repositories+`prod/*"}`)
		open := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`
		template := func(prefix, text string, uses ...registry.TemplateUse) registry.Template {
			return registry.Template{Prefix: prefix, Uses: uses, RepositoryPolicy: text}
		}
		for _, prefix := range []string{"ROOT", "prod", "prod/web"} {
			_, err := b.CreateTemplate(t.Context(), eve, template(prefix, open, registry.ForPush))
			if !errors.Is(err, fault.AccessDenied) {
				t.Errorf("a template for %s that stamps a policy: %v, want AccessDenied", prefix, err)
			}
		}
		if _, err := b.CreateTemplate(t.Context(), eve, template("staging", open, registry.ForPush)); err != nil {
			t.Errorf("a template for others: %v", err)
		}
		if _, err := b.CreateTemplate(t.Context(), eve, template("prod", "", registry.ForPush)); err != nil {
			t.Errorf("a template that stamps nothing: %v", err)
		}
		if _, err := b.CreateTemplate(t.Context(), root, template("ROOT", open, registry.ForReplication)); err != nil {
			t.Fatal(err)
		}
		wider := registry.TemplateChange{Prefix: "ROOT", Uses: []registry.TemplateUse{registry.ForReplication, registry.ForPush}}
		if _, err := b.UpdateTemplate(t.Context(), eve, wider); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("more occasions for a template with a policy: %v, want AccessDenied", err)
		}
		same := registry.TemplateChange{Prefix: "ROOT", Uses: []registry.TemplateUse{registry.ForReplication}, Description: new("x")}
		if _, err := b.UpdateTemplate(t.Context(), eve, same); err != nil {
			t.Errorf("another description for it: %v", err)
		}
	})
}
