package registry_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const lifecycle = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed",` +
	`"countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`

const pullByAll = `{"Version":"2012-10-17","Statement":[{"Sid":"all","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`

func (b *bench) template(t registry.Template) registry.Template {
	b.t.Helper()
	made, err := b.CreateTemplate(b.t.Context(), root, t)
	if err != nil {
		b.t.Fatalf("CreateTemplate(%s): %v", t.Prefix, err)
	}
	return made
}

func fullTemplate(prefix string) registry.Template {
	return registry.Template{
		Prefix: prefix, Description: "for the team", Uses: []registry.TemplateUse{registry.ForPush, registry.ForReplication},
		Mutability: registry.ImmutableWithExclusion, Exclusions: []string{"*-latest"},
		ResourceTags:     []registry.ResourceTag{{Key: "a", Value: "1"}, {Key: "b", Value: ""}},
		RepositoryPolicy: pullByAll, LifecyclePolicy: lifecycle,
		RoleARN: "arn:aws:iam::" + account + ":role/berth/templates",
	}
}

func TestTemplateLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		want := fullTemplate("team/")
		want.CreatedAt, want.UpdatedAt = b.now, b.now
		made := b.template(fullTemplate("team/"))
		if diff := cmp.Diff(want, made); diff != "" {
			t.Errorf("CreateTemplate (-want +got):\n%s", diff)
		}
		_, err := b.CreateTemplate(t.Context(), root, fullTemplate("team"))
		wantFault(t, "the same prefix without its slash", err, fault.TemplateExists)

		b.now = b.now.Add(time.Hour)
		want.UpdatedAt, want.Description = b.now, "another"
		got, err := b.UpdateTemplate(t.Context(), root, registry.TemplateChange{Prefix: "team", Description: &want.Description})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("UpdateTemplate of the description alone: %v (-want +got):\n%s", err, diff)
		}
		page, err := b.Templates(t.Context(), root, []string{"team", "other"}, 0, "")
		if diff := cmp.Diff([]registry.Template{want}, page.Items); err != nil || diff != "" || page.Next != "" {
			t.Errorf("Templates(team, other): %v, next %q (-want +got):\n%s", err, page.Next, diff)
		}
		got, err = b.DeleteTemplate(t.Context(), root, "team")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("DeleteTemplate: %v (-want +got):\n%s", err, diff)
		}
		_, err = b.DeleteTemplate(t.Context(), root, "team")
		wantFault(t, "deleting it again", err, fault.TemplateNotFound)
		_, err = b.UpdateTemplate(t.Context(), root, registry.TemplateChange{Prefix: "team"})
		wantFault(t, "changing what is gone", err, fault.TemplateNotFound)
	})
}

func TestTemplateChanges(t *testing.T) {
	t.Parallel()
	empty := ""
	for name, c := range map[string]struct {
		change registry.TemplateChange
		want   func(*registry.Template)
		fault  fault.Code
	}{
		"nothing": {want: func(*registry.Template) {}},
		"everything that can be taken away": {
			change: registry.TemplateChange{
				Description: &empty, RepositoryPolicy: &empty, LifecyclePolicy: &empty, RoleARN: &empty,
				ResourceTags: []registry.ResourceTag{},
			},
			want: func(w *registry.Template) {
				w.Description, w.RepositoryPolicy, w.LifecyclePolicy, w.RoleARN, w.ResourceTags = "", "", "", "", nil
			},
		},
		"a mutability without filters": {
			change: registry.TemplateChange{Mutability: registry.Immutable},
			want:   func(w *registry.Template) { w.Mutability, w.Exclusions = registry.Immutable, nil },
		},
		"the other mutability with filters, which stay": {
			change: registry.TemplateChange{Mutability: registry.MutableWithExclusion},
			want:   func(w *registry.Template) { w.Mutability = registry.MutableWithExclusion },
		},
		"filters alone": {
			change: registry.TemplateChange{Exclusions: []string{"dev-*"}},
			want:   func(w *registry.Template) { w.Exclusions = []string{"dev-*"} },
		},
		"no filters where the mutability needs them": {
			change: registry.TemplateChange{Exclusions: []string{}}, fault: fault.InvalidParameter,
		},
		"what it is for": {
			change: registry.TemplateChange{Uses: []registry.TemplateUse{registry.ForPullThrough}},
			want:   func(w *registry.Template) { w.Uses = []registry.TemplateUse{registry.ForPullThrough} },
		},
		"for nothing": {change: registry.TemplateChange{Uses: []registry.TemplateUse{}}, fault: fault.InvalidParameter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, b *bench) {
				want := b.template(fullTemplate("team"))
				change := c.change // each database has its own
				change.Prefix = "team"
				got, err := b.UpdateTemplate(t.Context(), root, change)
				if c.fault != "" {
					wantFault(t, name, err, c.fault)
				} else {
					c.want(&want)
					if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
						t.Errorf("UpdateTemplate: %v (-want +got):\n%s", err, diff)
					}
				}
				page, err := b.Templates(t.Context(), root, nil, 0, "")
				if diff := cmp.Diff([]registry.Template{want}, page.Items, cmpopts.EquateEmpty()); err != nil || diff != "" {
					t.Errorf("what is stored: %v (-want +got):\n%s", err, diff)
				}
			})
		})
	}
}

func TestBadTemplates(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		for name, bad := range map[string]func(*registry.Template){
			"no prefix":                   func(t *registry.Template) { t.Prefix = "" },
			"a prefix in capitals":        func(t *registry.Template) { t.Prefix = "Team" },
			"ROOT with a slash":           func(t *registry.Template) { t.Prefix = "ROOT/" },
			"two slashes":                 func(t *registry.Template) { t.Prefix = "a//" },
			"a long prefix":               func(t *registry.Template) { t.Prefix = strings.Repeat("a", 257) },
			"a long description":          func(t *registry.Template) { t.Description = strings.Repeat("é", 257) },
			"for nothing":                 func(t *registry.Template) { t.Uses = nil },
			"for something unheard of":    func(t *registry.Template) { t.Uses = []registry.TemplateUse{"fun"} },
			"filters without exclusion":   func(t *registry.Template) { t.Mutability = registry.Immutable },
			"a role of another account":   func(t *registry.Template) { t.RoleARN = "arn:aws:iam::999999999999:role/x" },
			"a user for a role":           func(t *registry.Template) { t.RoleARN = "arn:aws:iam::" + account + ":user/x" },
			"a policy that is no JSON":    func(t *registry.Template) { t.RepositoryPolicy = "{" },
			"a policy that is a list":     func(t *registry.Template) { t.RepositoryPolicy = "[]" },
			"a policy that is null":       func(t *registry.Template) { t.RepositoryPolicy = "null" },
			"a long policy":               func(t *registry.Template) { t.RepositoryPolicy += strings.Repeat(" ", 10_240) },
			"a lifecycle that is no JSON": func(t *registry.Template) { t.LifecyclePolicy = "keep ten" },
			"a long lifecycle":            func(t *registry.Template) { t.LifecyclePolicy += strings.Repeat(" ", 30_720) },
		} {
			tpl := fullTemplate("team")
			bad(&tpl)
			_, err := b.CreateTemplate(t.Context(), root, tpl)
			wantFault(t, name, err, fault.InvalidParameter)
		}
		tpl := fullTemplate("team")
		tpl.ResourceTags = []registry.ResourceTag{{Key: "aws:x"}}
		_, err := b.CreateTemplate(t.Context(), root, tpl)
		wantFault(t, "a reserved tag", err, fault.ResourceTagInvalid)
		if page, err := b.Templates(t.Context(), root, nil, 0, ""); err != nil || len(page.Items) != 0 {
			t.Errorf("after nothing but bad ones there are %+v, %v", page.Items, err)
		}
		_, err = b.Templates(t.Context(), root, []string{"Team"}, 0, "")
		wantFault(t, "asking for a bad prefix", err, fault.InvalidParameter)
	})
}

func TestTemplatesPage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		want := []string{"ROOT", "a", "a-b", "a/b", "a0", "zz"} // by bytes, on either database
		for _, p := range []string{"zz", "a/b", "a", "ROOT", "a0", "a-b"} {
			b.template(registry.Template{Prefix: p, Uses: []registry.TemplateUse{registry.ForPush}})
		}
		for what, prefixes := range map[string][]string{"all": nil, "named ones": slices.Concat(want, []string{"none"})} {
			var got []string
			for token := ""; ; {
				page, err := b.Templates(t.Context(), root, prefixes, 2, token)
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range page.Items {
					got = append(got, x.Prefix)
				}
				if token = page.Next; token == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s in pages of 2 (-want +got):\n%s", what, diff)
			}
		}
	})
}

func TestWhichTemplateCounts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		for prefix, use := range map[string]registry.TemplateUse{
			"a": registry.ForPush, "a/b": registry.ForPush, "a/b/c": registry.ForReplication,
			"very-long-prefix": registry.ForReplication, "ROOT": registry.ForPush, "x": registry.ForPullThrough,
		} {
			b.template(registry.Template{
				Prefix: prefix, Uses: []registry.TemplateUse{use}, ResourceTags: []registry.ResourceTag{{Key: "by", Value: prefix}},
			})
		}
		for i, c := range []struct {
			name string
			use  registry.TemplateUse
			want string // the prefix of the template; empty: none
		}{
			{"a/app", registry.ForPush, "a"},
			{"a/b", registry.ForPush, "a"},
			{"a/b/app", registry.ForPush, "a/b"},
			{"a/bc/app", registry.ForPush, "a"},
			{"a/b/c/d/app", registry.ForPush, "a/b"}, // a/b/c does not apply to pushes
			{"a/b/c/d/app", registry.ForReplication, "a/b/c"},
			{"a/b/c", registry.ForReplication, ""},
			{"ab/app", registry.ForPush, "ROOT"},
			{"app", registry.ForPush, "ROOT"},
			{"very-long-prefix/app", registry.ForPush, "ROOT"},
			{"x/app", registry.ForPullThrough, "x"},
			{"y/app", registry.ForPullThrough, ""},
			{"x/app", registry.ForReplication, ""},
		} {
			_, _ = b.DeleteRepository(t.Context(), root, c.name, true)
			if _, err := b.EnsureRepository(t.Context(), root, c.name, c.use); err != nil {
				t.Errorf("%d: EnsureRepository(%s, %s): %v", i, c.name, c.use, err)
				continue
			}
			var want []registry.ResourceTag
			if c.want != "" {
				want = []registry.ResourceTag{{Key: "by", Value: c.want}}
			}
			got, err := b.ResourceTags(t.Context(), root, c.name)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s made for %s: %v, its tags (-want +got):\n%s", c.name, c.use, err, diff)
			}
		}
	})
}

func TestWhatATemplateStamps(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		tpl := b.template(fullTemplate("team"))
		got, err := b.EnsureRepository(t.Context(), root, "team/app", registry.ForReplication)
		if err != nil {
			t.Fatal(err)
		}
		want := registry.Repository{
			ID: got.ID, Name: "team/app", CreatedAt: b.now, Mutability: registry.ImmutableWithExclusion, Exclusions: []string{"*-latest"},
		}
		stored, err := b.Repository(t.Context(), root, "team/app")
		if diff := cmp.Diff([]registry.Repository{want, want}, []registry.Repository{got, stored}); err != nil || diff != "" {
			t.Errorf("the repository, %v (-want +got):\n%s", err, diff)
		}
		tags, err := b.ResourceTags(t.Context(), root, "team/app")
		if diff := cmp.Diff(tpl.ResourceTags, tags); err != nil || diff != "" {
			t.Errorf("its resource tags, %v (-want +got):\n%s", err, diff)
		}
		// What is there stays as it is, whatever its template says.
		again, err := b.EnsureRepository(t.Context(), root, repo, registry.ForReplication)
		if err != nil || again.Name != repo || again.Mutability != registry.Mutable {
			t.Errorf("EnsureRepository of one that is there = %+v, %v", again, err)
		}
		plain, err := b.EnsureRepository(t.Context(), root, "other/app", registry.ForPullThrough)
		if err != nil || plain.Mutability != registry.Mutable {
			t.Errorf("EnsureRepository without a template = %+v, %v; want a mutable one", plain, err)
		}
		_, err = b.EnsureRepository(t.Context(), root, "third/app", registry.ForPush)
		wantFault(t, "EnsureRepository for a push without a template", err, fault.RepositoryNotFound)
	})
}

func TestEnsureCreateOnPush(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		ensure := func() registry.Template {
			t.Helper()
			if err := b.EnsureCreateOnPush(t.Context(), root); err != nil {
				t.Fatal(err)
			}
			page, err := b.Templates(t.Context(), root, nil, 0, "")
			if err != nil || len(page.Items) != 1 {
				t.Fatalf("Templates = %+v, %v; want one", page.Items, err)
			}
			return page.Items[0]
		}
		want := registry.Template{
			Prefix: "ROOT", Uses: []registry.TemplateUse{registry.ForPush}, Mutability: registry.Mutable, CreatedAt: b.now, UpdatedAt: b.now,
		}
		for _, start := range []string{"the first start", "the second start"} {
			if diff := cmp.Diff(want, ensure()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", start, diff)
			}
			b.now = b.now.Add(time.Hour)
		}
		if _, err := b.DeleteTemplate(t.Context(), root, "ROOT"); err != nil {
			t.Fatal(err)
		}
		tpl := fullTemplate("ROOT")
		tpl.Uses = []registry.TemplateUse{registry.ForReplication}
		want = b.template(tpl)
		want.Uses = append(want.Uses, registry.ForPush)
		b.now = b.now.Add(time.Hour)
		want.UpdatedAt = b.now
		if diff := cmp.Diff(want, ensure()); diff != "" {
			t.Errorf("with a ROOT template of its own (-want +got):\n%s", diff)
		}
	})
}
