package registry_test

import (
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	pullPolicy     = `{"Version":"2008-10-17","Statement":[{"Sid":"p","Effect":"Allow","Principal":"*","Action":["ecr:BatchGetImage"]}]}`
	registryPolicy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"ecr:ReplicateImage","Resource":"*"}}`
)

func TestRepositoryPolicyLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		_, err := b.RepositoryPolicy(t.Context(), root, repo)
		wantFault(t, "a policy that was never set", err, fault.RepositoryPolicyNotFound)
		_, err = b.DeleteRepositoryPolicy(t.Context(), root, repo)
		wantFault(t, "deleting a policy that was never set", err, fault.RepositoryPolicyNotFound)
		wantFault(t, "a policy for no repository", b.SetRepositoryPolicy(t.Context(), root, "none/such", pullPolicy, false), fault.RepositoryNotFound)

		spaced := strings.ReplaceAll(pullPolicy, ",", ",\n\t ")
		for _, text := range []string{pullPolicy, spaced} {
			if err := b.SetRepositoryPolicy(t.Context(), root, repo, text, false); err != nil {
				t.Fatal(err)
			}
			if got, err := b.RepositoryPolicy(t.Context(), root, repo); got != text || err != nil {
				t.Errorf("RepositoryPolicy = %q, %v; want %q as it was set", got, err, text)
			}
		}
		for _, bad := range []string{"", "{}", registryPolicy, pullPolicy + strings.Repeat(" ", 10241-len(pullPolicy))} {
			err := b.SetRepositoryPolicy(t.Context(), root, repo, bad, true)
			wantFault(t, "the policy "+bad, err, fault.InvalidParameter)
			if !strings.Contains(err.Error(), "'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided: ") {
				t.Errorf("the policy %s: %v", bad, err)
			}
		}
		if got, err := b.DeleteRepositoryPolicy(t.Context(), root, repo); got != spaced || err != nil {
			t.Errorf("DeleteRepositoryPolicy = %q, %v; want %q", got, err, spaced)
		}
		_, err = b.RepositoryPolicy(t.Context(), root, repo)
		wantFault(t, "a policy that was deleted", err, fault.RepositoryPolicyNotFound)
	})
}

func TestPolicyGoesWithItsRepository(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		if err := b.SetRepositoryPolicy(t.Context(), root, repo, pullPolicy, false); err != nil {
			t.Fatal(err)
		}
		if _, err := b.DeleteRepository(t.Context(), root, repo, false); err != nil {
			t.Fatal(err)
		}
		b.create(registry.NewRepository{Name: repo})
		_, err := b.RepositoryPolicy(t.Context(), root, repo)
		wantFault(t, "the successor's policy", err, fault.RepositoryPolicyNotFound)
	})
}

func TestLockingOneselfOutNeedsForce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		out := strings.Replace(pullPolicy, `"Allow","Principal":"*","Action":["ecr:BatchGetImage"]`, `"Deny","Principal":{"AWS":"`+account+`"},"Action":"ecr:*"`, 1)
		err := b.SetRepositoryPolicy(t.Context(), root, repo, out, false)
		wantFault(t, "a policy that locks its author out", err, fault.InvalidParameter)
		if err := b.SetRepositoryPolicy(t.Context(), root, repo, out, true); err != nil {
			t.Errorf("the same by force: %v", err)
		}
	})
}

func TestRegistryPolicyLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		_, err := b.Policy(t.Context(), root)
		wantFault(t, "a policy that was never put", err, fault.RegistryPolicyNotFound)
		_, err = b.DeletePolicy(t.Context(), root)
		wantFault(t, "deleting a policy that was never put", err, fault.RegistryPolicyNotFound)
		wantFault(t, "a repository's policy", b.PutPolicy(t.Context(), root, pullPolicy), fault.InvalidParameter)
		if err := b.PutPolicy(t.Context(), root, registryPolicy); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Policy(t.Context(), root); got != registryPolicy || err != nil {
			t.Errorf("Policy = %q, %v; want %q", got, err, registryPolicy)
		}
		if got, err := b.DeletePolicy(t.Context(), root); got != registryPolicy || err != nil {
			t.Errorf("DeletePolicy = %q, %v; want %q", got, err, registryPolicy)
		}
		_, err = b.Policy(t.Context(), root)
		wantFault(t, "a policy that was deleted", err, fault.RegistryPolicyNotFound)
	})
}

func TestAccountSettings(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		want := map[string]string{registry.BasicScanVersion: "AWS_NATIVE", registry.RegistryPolicyScope: "V2", registry.BlobMounting: registry.Enabled}
		check := func() {
			t.Helper()
			for name, value := range want {
				if got, err := b.AccountSetting(t.Context(), root, name); err != nil || got.Name != name || got.Value != value {
					t.Errorf("AccountSetting(%s) = %+v, %v; want %s", name, got, err, value)
				}
			}
		}
		check()
		for _, bad := range []registry.AccountSetting{
			{registry.BasicScanVersion, "CLAIR"},
			{registry.RegistryPolicyScope, "V1"},
			{registry.BlobMounting, "enabled"},
			{registry.BlobMounting, ""},
			{"blob_mounting", registry.Disabled},
			{"", ""},
		} {
			wantFault(t, bad.Name+"="+bad.Value, b.PutAccountSetting(t.Context(), root, bad), fault.RegistrySettingInvalid)
		}
		_, err := b.AccountSetting(t.Context(), root, "NONE")
		wantFault(t, "a setting that there is not", err, fault.RegistrySettingInvalid)
		check()
		want[registry.BlobMounting] = registry.Disabled
		for name, value := range want {
			if err := b.PutAccountSetting(t.Context(), root, registry.AccountSetting{Name: name, Value: value}); err != nil {
				t.Errorf("PutAccountSetting(%s, %s): %v", name, value, err)
			}
		}
		check()
	})
}

func TestBlobMountingCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.create(registry.NewRepository{Name: "other/repo"})
		d := b.layer(repo, "shared").Digest
		for _, c := range []struct {
			value string
			want  bool
		}{{registry.Disabled, false}, {registry.Enabled, true}} {
			if err := b.PutAccountSetting(t.Context(), root, registry.AccountSetting{Name: registry.BlobMounting, Value: c.value}); err != nil {
				t.Fatal(err)
			}
			for _, from := range []string{repo, ""} {
				if _, mounted, err := b.MountLayer(t.Context(), root, "other/repo", d, from); mounted != c.want || err != nil {
					t.Errorf("MountLayer from %q with %s: %v, %v; want %v", from, c.value, mounted, err, c.want)
				}
			}
			if _, err := b.StatLayer(t.Context(), root, "other/repo", d); (err == nil) != c.want {
				t.Errorf("StatLayer with %s: %v", c.value, err)
			}
		}
		_, _, err := b.MountLayer(t.Context(), root, "none/such", oci.FromBytes([]byte("x")), repo)
		wantFault(t, "mounting into no repository", err, fault.RepositoryNotFound)
	})
}
