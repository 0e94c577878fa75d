package registry_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestRepositoryLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		_, err := b.CreateRepository(t.Context(), root, registry.NewRepository{Name: repo})
		wantFault(t, "the same name again", err, fault.RepositoryExists)
		for _, name := range []string{"", "a", "Upper", "a//b", "../etc", "a/../b", "-a", "a-", strings.Repeat("a", 257)} {
			_, err := b.CreateRepository(t.Context(), root, registry.NewRepository{Name: name})
			wantFault(t, "the name "+name, err, fault.RepositoryNameInvalid)
		}
		b.pushNew("img", "a")
		_, err = b.DeleteRepository(t.Context(), root, repo, false)
		wantFault(t, "deleting it with an image", err, fault.RepositoryNotEmpty)
		u := b.start()
		u, err = b.AppendUpload(t.Context(), root, repo, u.ID, part(0, "under way"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = b.DeleteRepository(t.Context(), root, repo, true); err != nil {
			t.Fatal(err)
		}
		if _, err := b.blobs.Size(t.Context(), u.Blob.Key); err == nil {
			t.Error("the bytes of its upload are still in the blob store")
		}
		_, err = b.Repository(t.Context(), root, repo)
		wantFault(t, "the repository after its deletion", err, fault.RepositoryNotFound)
		b.create(registry.NewRepository{Name: repo})
		if page, err := b.Images(t.Context(), root, repo, registry.ImageFilter{}, 0, ""); err != nil || len(page.Items) != 0 {
			t.Errorf("its successor has images: %+v, %v", page, err)
		}
	})
}

func TestRepositoriesPage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		want := []string{repo}
		for _, n := range []string{"b/x", "a-b", "a/b", "a.b", "a_b", "zz"} {
			b.create(registry.NewRepository{Name: n})
			want = append(want, n)
		}
		slices.Sort(want) // by bytes, on either database
		var got []string
		for token := ""; ; {
			page, err := b.Repositories(t.Context(), root, 2, token)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Items {
				got = append(got, r.Name)
			}
			if token = page.Next; token == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Repositories in pages of 2 (-want +got):\n%s", diff)
		}
	})
}

func TestMutabilitySettings(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		six := []string{"a", "b", "c", "d", "e", "f"}
		bad := []struct {
			m       registry.Mutability
			filters []string
		}{
			{"SOMETIMES", nil},
			{registry.Mutable, []string{"a"}},
			{registry.Immutable, []string{"a"}},
			{registry.ImmutableWithExclusion, nil},
			{registry.MutableWithExclusion, six},
			{registry.ImmutableWithExclusion, []string{"a*b*c*"}},
			{registry.ImmutableWithExclusion, []string{"a b"}},
			{registry.ImmutableWithExclusion, []string{"a", "a"}},
			{registry.ImmutableWithExclusion, []string{""}},
		}
		for _, c := range bad {
			_, err := b.PutTagMutability(t.Context(), root, repo, c.m, c.filters)
			wantFault(t, fmt.Sprint(c.m, c.filters), err, fault.InvalidParameter)
		}
		if _, err := b.PutTagMutability(t.Context(), root, repo, registry.MutableWithExclusion, six[:5]); err != nil {
			t.Fatal(err)
		}
		got, err := b.Repository(t.Context(), root, repo)
		if err != nil || got.Mutability != registry.MutableWithExclusion || !slices.Equal(got.Exclusions, six[:5]) {
			t.Errorf("Repository = %+v, %v", got, err)
		}
	})
}

func TestResourceTags(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		tags := func(kv ...string) (out []registry.ResourceTag) {
			for i := 0; i < len(kv); i += 2 {
				out = append(out, registry.ResourceTag{Key: kv[i], Value: kv[i+1]})
			}
			return out
		}
		if err := b.TagResource(t.Context(), root, repo, tags("b", "1", "a", "2")); err != nil {
			t.Fatal(err)
		}
		if err := b.TagResource(t.Context(), root, repo, tags("b", "3", "c", "")); err != nil {
			t.Fatal(err)
		}
		if err := b.UntagResource(t.Context(), root, repo, []string{"a", "never"}); err != nil {
			t.Fatal(err)
		}
		got, err := b.ResourceTags(t.Context(), root, repo)
		if diff := cmp.Diff(tags("b", "3", "c", ""), got); err != nil || diff != "" {
			t.Errorf("ResourceTags: %v (-want +got):\n%s", err, diff)
		}
		for what, c := range map[string]struct {
			tags []registry.ResourceTag
			code fault.Code
		}{
			"an empty key":    {tags("", "v"), fault.ResourceTagInvalid},
			"a long key":      {tags(strings.Repeat("k", 129), "v"), fault.ResourceTagInvalid},
			"a long value":    {tags("k", strings.Repeat("v", 257)), fault.ResourceTagInvalid},
			"a reserved key":  {tags("aws:k", "v"), fault.ResourceTagInvalid},
			"a key twice":     {tags("k", "1", "k", "2"), fault.ResourceTagInvalid},
			"fifty-one of it": {manyTags(51), fault.TooManyResourceTags},
		} {
			wantFault(t, what, b.TagResource(t.Context(), root, repo, c.tags), c.code)
		}
	})
}

func manyTags(n int) (out []registry.ResourceTag) {
	for i := range n {
		out = append(out, registry.ResourceTag{Key: fmt.Sprint("key", i)})
	}
	return out
}

// TestNobodyIsAllowedNothing calls every exported operation with a caller who has no rights. An operation
// is any method that takes a context and a Caller, so that a new one cannot forget to ask.
func TestNobodyIsAllowedNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.pushNew("img", "a")
		v := reflect.ValueOf(b.Registry)
		asked := 0
		for i := range v.NumMethod() {
			name, m := v.Type().Method(i).Name, v.Method(i)
			if m.Type().NumIn() < 2 || m.Type().In(1) != reflect.TypeFor[identity.Caller]() {
				continue
			}
			asked++
			for who, caller := range map[string]identity.Caller{
				"nobody":                 {},
				"a user without rights":  {Account: account, ARN: "arn:aws:iam::123456789012:user/eve"},
				"another account's root": {Account: "999999999999", ARN: "arn:aws:iam::999999999999:root", Root: true},
			} {
				out := m.Call(arguments(t.Context(), m.Type(), caller))
				if len(out) == 3 && out[1].Kind() == reflect.Bool && name == "MountLayer" && out[1].Bool() {
					t.Errorf("%s mounted a layer", who)
				}
				err, _ := reflect.TypeAssert[error](out[len(out)-1])
				wantFault(t, name+" by "+who, err, fault.AccessDenied)
			}
		}
		if asked < 25 {
			t.Errorf("only %d operations were found", asked)
		}
	})
}

// arguments fills in the repository for the first string that is one, and zero values for the rest.
func arguments(ctx context.Context, m reflect.Type, caller identity.Caller) []reflect.Value {
	in := []reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(caller)}
	for i := 2; i < m.NumIn(); i++ {
		v := reflect.New(m.In(i)).Elem()
		switch {
		case i == 2 && v.Kind() == reflect.String:
			v.SetString(repo)
		case v.Kind() == reflect.Struct:
			for _, field := range []string{"Repository", "Name"} {
				if f := v.FieldByName(field); f.IsValid() && f.Kind() == reflect.String {
					f.SetString(repo)
				}
			}
		}
		in = append(in, v)
	}
	return in
}
