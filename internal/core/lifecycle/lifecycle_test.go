package lifecycle_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestPolicyLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		const none = "Lifecycle policy does not exist for the repository with name 'hoopstat-haus/prod' in the registry with id '123456789012'"
		_, err := b.Policy(ctx, root, repo)
		wantFault(t, "Policy of none", err, fault.LifecyclePolicyNotFound, none)
		_, err = b.DeletePolicy(ctx, root, repo)
		wantFault(t, "DeletePolicy of none", err, fault.LifecyclePolicyNotFound, none)

		first, second := document(rule(1, "any", count1, expire)), document(rule(1, "untagged", days1, expire))
		stored, err := b.PutPolicy(ctx, root, repo, "\n"+first+" ")
		if err != nil || stored != first {
			t.Fatalf("PutPolicy gave %s (%v), want %s", stored, err, first)
		}
		wantSame(t, "Policy", b.policy(), registry.LifecyclePolicy{Text: first})
		b.apply(b.Service)
		wantSame(t, "Policy after its evaluation", b.policy(), registry.LifecyclePolicy{Text: first, EvaluatedAt: noon})

		_, err = b.PutPolicy(ctx, root, repo, document())
		wantFault(t, "PutPolicy of a bad one", err, fault.InvalidParameter, "")
		b.put(first)
		wantSame(t, "Policy, put again and put badly", b.policy(), registry.LifecyclePolicy{Text: first, EvaluatedAt: noon})
		b.put(second)
		wantSame(t, "Policy after another was put", b.policy(), registry.LifecyclePolicy{Text: second})

		was, err := b.DeletePolicy(ctx, root, repo)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "DeletePolicy", was, registry.LifecyclePolicy{Text: second})
		_, err = b.Policy(ctx, root, repo)
		wantFault(t, "Policy after DeletePolicy", err, fault.LifecyclePolicyNotFound, none)
	})
}

func TestNoRepository(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		const words = "The repository with name 'none' does not exist in the registry with id '123456789012'"
		ctx, text := t.Context(), document(rule(1, "any", count1, expire))
		_, err := b.PutPolicy(ctx, root, "none", text)
		wantFault(t, "PutPolicy", err, fault.RepositoryNotFound, words)
		_, err = b.Policy(ctx, root, "none")
		wantFault(t, "Policy", err, fault.RepositoryNotFound, words)
		_, err = b.DeletePolicy(ctx, root, "none")
		wantFault(t, "DeletePolicy", err, fault.RepositoryNotFound, words)
		_, err = b.StartPreview(ctx, root, "none", &text)
		wantFault(t, "StartPreview", err, fault.RepositoryNotFound, words)
		_, err = b.Preview(ctx, root, "none", previewAll)
		wantFault(t, "Preview", err, fault.RepositoryNotFound, words)
	})
}

// TestPolicyGoesWithItsRepository: a repository of the same name begins without.
func TestPolicyGoesWithItsRepository(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.put(document(rule(1, "any", count1, expire)))
		b.start(nil)
		b.previewOnce(b.Service)
		if _, err := b.registry.DeleteRepository(t.Context(), root, repo, true); err != nil {
			t.Fatal(err)
		}
		if _, err := b.registry.CreateRepository(t.Context(), root, registry.NewRepository{Name: repo}); err != nil {
			t.Fatal(err)
		}
		_, err := b.Policy(t.Context(), root, repo)
		wantFault(t, "Policy", err, fault.LifecyclePolicyNotFound, "")
		_, err = b.Preview(t.Context(), root, repo, previewAll)
		wantFault(t, "Preview", err, fault.PreviewNotFound, "")
		if n := b.apply(b.Service); n != 0 {
			t.Errorf("there were %d policies to carry out, want none", n)
		}
	})
}

// TestTransitionsNeedAnArchive: nothing is stored that would not be done.
func TestTransitionsNeedAnArchive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		text := document(rule(1, "any", days1, archive))
		_, err := b.PutPolicy(t.Context(), root, repo, text)
		wantFault(t, "PutPolicy", err, fault.SettingUnsupported, "")
		_, err = b.StartPreview(t.Context(), root, repo, &text)
		wantFault(t, "StartPreview", err, fault.SettingUnsupported, "")
		_, err = b.Check(text)
		wantFault(t, "Check", err, fault.SettingUnsupported, "")
	})
}

// TestNobodyIsAllowedNothing calls every operation (a method that takes a context and a caller) with callers who
// have no rights.
func TestNobodyIsAllowedNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.put(document(rule(1, "any", count1, expire)))
		v := reflect.ValueOf(b.Service)
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
				in := []reflect.Value{reflect.ValueOf(context.Background()), reflect.ValueOf(caller), reflect.ValueOf(repo)}
				for i := 3; i < m.Type().NumIn(); i++ {
					in = append(in, reflect.Zero(m.Type().In(i)))
				}
				out := m.Call(in)
				err, _ := reflect.TypeAssert[error](out[len(out)-1])
				wantFault(t, name+" by "+who, err, fault.AccessDenied, "")
			}
		}
		if asked != 5 {
			t.Errorf("%d operations were found, want 5", asked)
		}
		if p := b.policy(); !p.EvaluatedAt.Equal(time.Time{}) {
			t.Errorf("the policy is %+v", p)
		}
	})
}
