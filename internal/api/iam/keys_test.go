package iam_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"
)

func TestKeyComesAndGoes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first := s.user(t, "ci", allow("iam:GetUser iam:ListAccessKeys"))
	made, err := s.client.CreateAccessKey(t.Context(), &awsiam.CreateAccessKeyInput{UserName: aws.String("ci")})
	if err != nil {
		t.Fatal(err)
	}
	key := made.AccessKey
	if key.Status != types.StatusTypeActive || aws.ToString(key.UserName) != "ci" || key.CreateDate == nil {
		t.Errorf("CreateAccessKey: %+v", key)
	}
	ci := s.connect(aws.Credentials{AccessKeyID: *key.AccessKeyId, SecretAccessKey: *key.SecretAccessKey})
	works := func() error { _, err := ci.GetUser(t.Context(), &awsiam.GetUserInput{}); return err }
	if err := works(); err != nil {
		t.Errorf("the new key: %v", err)
	}
	_, err = s.client.CreateAccessKey(t.Context(), &awsiam.CreateAccessKeyInput{UserName: aws.String("ci")})
	wantError(t, "a third key", err, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")

	set := func(status types.StatusType) error {
		_, err := s.client.UpdateAccessKey(t.Context(), &awsiam.UpdateAccessKeyInput{UserName: aws.String("ci"), AccessKeyId: key.AccessKeyId, Status: status})
		return err
	}
	wantError(t, "an unknown status", set("Asleep"), "ValidationError", "[Active, Inactive]")
	if err := set(types.StatusTypeInactive); err != nil {
		t.Fatal(err)
	}
	wantError(t, "the key that is off", works(), "InvalidClientTokenId", "The security token included in the request is invalid.")
	list, err := s.connect(first).ListAccessKeys(t.Context(), &awsiam.ListAccessKeysInput{})
	if err != nil {
		t.Fatal(err)
	}
	status := map[string]types.StatusType{}
	for _, k := range list.AccessKeyMetadata {
		status[*k.AccessKeyId] = k.Status
		if aws.ToString(k.UserName) != "ci" || k.CreateDate == nil {
			t.Errorf("ListAccessKeys: %+v", k)
		}
	}
	want := map[string]types.StatusType{first.AccessKeyID: types.StatusTypeActive, *key.AccessKeyId: types.StatusTypeInactive}
	if diff := cmp.Diff(want, status); diff != "" || list.IsTruncated {
		t.Errorf("ListAccessKeys (-want +got):\n%s", diff)
	}
	if err := set(types.StatusTypeActive); err != nil {
		t.Fatal(err)
	}
	if err := works(); err != nil {
		t.Errorf("the key that is on again: %v", err)
	}
	remove := func() error {
		_, err := s.client.DeleteAccessKey(t.Context(), &awsiam.DeleteAccessKeyInput{UserName: aws.String("ci"), AccessKeyId: key.AccessKeyId})
		return err
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	wantError(t, "the key that is gone", works(), "InvalidClientTokenId", "invalid")
	wantError(t, "DeleteAccessKey again", remove(), "NoSuchEntity", "The Access Key with id "+*key.AccessKeyId+" cannot be found.")
	_, err = s.client.DeleteUser(t.Context(), &awsiam.DeleteUserInput{UserName: aws.String("ci")})
	wantError(t, "DeleteUser", err, "DeleteConflict", "Cannot delete entity, must delete access keys first.")
}

func TestRootKeys(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first := aws.String(s.rootKey.AccessKeyID)
	_, err := s.client.DeleteAccessKey(t.Context(), &awsiam.DeleteAccessKeyInput{AccessKeyId: first})
	wantWords(t, "DeleteAccessKey of the last", err, "DeleteConflict", "last active access key of the root principal")
	_, err = s.client.UpdateAccessKey(t.Context(), &awsiam.UpdateAccessKeyInput{AccessKeyId: first, Status: types.StatusTypeInactive})
	wantWords(t, "UpdateAccessKey of the last", err, "UnmodifiableEntity", "last active access key of the root principal")
	made, err := s.client.CreateAccessKey(t.Context(), &awsiam.CreateAccessKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	second := s.connect(aws.Credentials{AccessKeyID: *made.AccessKey.AccessKeyId, SecretAccessKey: *made.AccessKey.SecretAccessKey})
	if _, err := second.DeleteAccessKey(t.Context(), &awsiam.DeleteAccessKeyInput{AccessKeyId: first}); err != nil {
		t.Errorf("DeleteAccessKey of the first by the second: %v", err)
	}
	list, err := second.ListAccessKeys(t.Context(), &awsiam.ListAccessKeysInput{})
	if err != nil || len(list.AccessKeyMetadata) != 1 || *list.AccessKeyMetadata[0].AccessKeyId != *made.AccessKey.AccessKeyId {
		t.Errorf("ListAccessKeys: %+v, %v", list, err)
	}
}

func TestLastUseOfAKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.user(t, "ci", allow("iam:GetUser"))
	last := func() *types.AccessKeyLastUsed {
		t.Helper()
		out, err := s.client.GetAccessKeyLastUsed(t.Context(), &awsiam.GetAccessKeyLastUsedInput{AccessKeyId: aws.String(key.AccessKeyID)})
		if err != nil || aws.ToString(out.UserName) != "ci" {
			t.Fatalf("GetAccessKeyLastUsed: %+v, %v", out, err)
		}
		return out.AccessKeyLastUsed
	}
	never := &types.AccessKeyLastUsed{Region: aws.String("N/A"), ServiceName: aws.String("N/A")}
	if diff := cmp.Diff(never, last(), alike()); diff != "" {
		t.Errorf("a key that was never used (-want +got):\n%s", diff)
	}
	before := time.Now().Truncate(time.Second)
	if _, err := s.connect(key).GetUser(t.Context(), &awsiam.GetUserInput{}); err != nil {
		t.Fatal(err)
	}
	if err := s.access.FlushUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := last()
	want := &types.AccessKeyLastUsed{Region: aws.String(region), ServiceName: aws.String("iam"), LastUsedDate: got.LastUsedDate}
	if diff := cmp.Diff(want, got, alike()); diff != "" || got.LastUsedDate == nil || got.LastUsedDate.Before(before) {
		t.Errorf("a key that was used: %v (-want +got):\n%s", got.LastUsedDate, diff)
	}
	_, err := s.client.GetAccessKeyLastUsed(t.Context(), &awsiam.GetAccessKeyLastUsedInput{AccessKeyId: aws.String("AKIAAAAAAAAAAAAAAAAA")})
	wantWords(t, "GetAccessKeyLastUsed of none", err, "NoSuchEntity", "cannot be found")
}

// TestNoOtherCredentials is what Terraform asks before it deletes a user by force.
func TestNoOtherCredentials(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.user(t, "ci", "")
	name := aws.String("ci")
	check := func(what string, n int, err error) {
		t.Helper()
		if err != nil || n != 0 {
			t.Errorf("%s: %d of them, %v", what, n, err)
		}
	}
	keys, err := s.client.ListSSHPublicKeys(t.Context(), &awsiam.ListSSHPublicKeysInput{UserName: name})
	check("ListSSHPublicKeys", len(keys.SSHPublicKeys), err)
	virtual, err := s.client.ListVirtualMFADevices(t.Context(), &awsiam.ListVirtualMFADevicesInput{})
	check("ListVirtualMFADevices", len(virtual.VirtualMFADevices), err)
	devices, err := s.client.ListMFADevices(t.Context(), &awsiam.ListMFADevicesInput{UserName: name})
	check("ListMFADevices", len(devices.MFADevices), err)
	certificates, err := s.client.ListSigningCertificates(t.Context(), &awsiam.ListSigningCertificatesInput{UserName: name})
	check("ListSigningCertificates", len(certificates.Certificates), err)
	specific, err := s.client.ListServiceSpecificCredentials(t.Context(), &awsiam.ListServiceSpecificCredentialsInput{UserName: name})
	check("ListServiceSpecificCredentials", len(specific.ServiceSpecificCredentials), err)
	specific, err = s.client.ListServiceSpecificCredentials(t.Context(), &awsiam.ListServiceSpecificCredentialsInput{AllUsers: aws.Bool(true)})
	check("ListServiceSpecificCredentials of all", len(specific.ServiceSpecificCredentials), err)
	aliases, err := s.client.ListAccountAliases(t.Context(), &awsiam.ListAccountAliasesInput{})
	check("ListAccountAliases", len(aliases.AccountAliases), err)
	_, err = s.client.GetLoginProfile(t.Context(), &awsiam.GetLoginProfileInput{UserName: name})
	wantError(t, "GetLoginProfile", err, "NoSuchEntity", "Login Profile for User ci cannot be found.")
	_, err = s.client.DeleteLoginProfile(t.Context(), &awsiam.DeleteLoginProfileInput{UserName: name})
	wantError(t, "DeleteLoginProfile", err, "NoSuchEntity", "Login Profile for User ci cannot be found.")
	_, err = s.client.ListMFADevices(t.Context(), &awsiam.ListMFADevicesInput{UserName: aws.String("x")})
	wantError(t, "ListMFADevices of nobody", err, "NoSuchEntity", "The user with name x cannot be found.")
}

func TestAccountSummary(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.user(t, "ci", "")
	s.user(t, "eve", "")
	out, err := s.client.GetAccountSummary(t.Context(), &awsiam.GetAccountSummaryInput{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int32{"Users": 2, "UsersQuota": 5000, "Groups": 0, "Roles": 0, "AccessKeysPerUserQuota": 2, "AccountAccessKeysPresent": 1} {
		if got, ok := out.SummaryMap[name]; got != want || !ok {
			t.Errorf("%s is %d (there: %v), want %d", name, got, ok, want)
		}
	}
}
