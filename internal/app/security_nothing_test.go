package app_test

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/berth"
	"github.com/hoopstat-haus/berth/internal/api/ecr"
	"github.com/hoopstat-haus/berth/internal/api/iam"
	"github.com/hoopstat-haus/berth/internal/api/sts"
)

const (
	aDigest     = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	aRepository = "arn:aws:ecr:us-east-1:123456789012:repository/team/app"
	aPolicy     = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
	aResource   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}`
	aTrust      = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}`
)

// plausible gives members of inputs values with which nothing but permission is lacking, by their names.
func plausible() map[string]any {
	return map[string]any{
		// ECR
		"RepositoryName": "team/app", "RegistryId": castleAccount, "ResourceArn": aRepository, "ImageManifest": "{}", "ImageTag": "v1",
		"ImageIds": []ecrtypes.ImageIdentifier{{ImageTag: aws.String("v1")}}, "ImageId": &ecrtypes.ImageIdentifier{ImageTag: aws.String("v1")},
		"SubjectId": &ecrtypes.SubjectIdentifier{ImageDigest: aws.String(aDigest)}, "LayerDigest": aDigest, "LayerDigests": []string{aDigest},
		"UploadId": "0f8fad5b-d9cb-469f-a165-70867728950e", "PartFirstByte": aws.Int64(0), "PartLastByte": aws.Int64(4), "LayerPartBlob": []byte("hello"),
		"PolicyText": aResource, "Prefix": "team", "AppliedFor": []ecrtypes.RCTAppliedFor{ecrtypes.RCTAppliedForCreateOnPush},
		"EcrRepositoryPrefix": "hub", "UpstreamRegistryUrl": "registry-1.docker.io", "RepositoryNames": []string{"team/app"},
		"CredentialArn":              "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/hub-AbCdEf",
		"LifecyclePolicyText":        `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`,
		"ImageScanningConfiguration": &ecrtypes.ImageScanningConfiguration{}, "TargetStorageClass": ecrtypes.TargetStorageClassArchive,
		"ImageTagMutability": ecrtypes.ImageTagMutabilityImmutable, "ReplicationConfiguration": &ecrtypes.ReplicationConfiguration{Rules: []ecrtypes.ReplicationRule{}},
		"SigningConfiguration": &ecrtypes.SigningConfiguration{Rules: []ecrtypes.SigningRule{}}, "ReplicationBackfillId": "none",
		"Destination": &ecrtypes.ReplicationDestination{Region: aws.String("eu-west-1"), RegistryId: aws.String(castleAccount)},
		// IAM
		"UserName": "somebody", "NewUserName": "other", "GroupName": "group", "RoleName": "role", "PolicyName": "policy", "PolicyDocument": aPolicy,
		"AssumeRolePolicyDocument": aTrust, "PolicyArn": "arn:aws:iam::123456789012:policy/p", "VersionId": "v1", "AccessKeyId": "AKIAAAAAAAAAAAAAAAAA",
		"PermissionsBoundary": "arn:aws:iam::123456789012:policy/p", "Status": "Active", "TagKeys": []string{"k"}, "Url": "https://token.example.com",
		"OpenIDConnectProviderArn": "arn:aws:iam::123456789012:oidc-provider/token.example.com", "ClientID": "sts.amazonaws.com",
		"ThumbprintList": []string{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}, "PolicySourceArn": "arn:aws:iam::123456789012:user/somebody",
		"ActionNames": []string{"ecr:PutImage"}, "PolicyInputList": []string{aPolicy}, "Description": "words",
		// STS
		"RoleArn": "arn:aws:iam::123456789012:role/role", "RoleSessionName": "session", "WebIdentityToken": "e30.e30.e30", "EncodedMessage": "berthm_AAAA",
	}
}

// fill sets the members of an input that there are values for.
func fill(in reflect.Value, values map[string]any) {
	for i := range in.NumField() {
		f, field := in.Field(i), in.Type().Field(i)
		v, ok := values[field.Name]
		switch {
		case field.Name == "Name" && f.Kind() == reflect.Pointer:
			v, ok = "BLOB_MOUNTING", true
		case field.Name == "Value" && f.Kind() == reflect.Pointer:
			v, ok = "DISABLED", true
		case field.Name == "PrincipalArn":
			v, ok = "arn:aws:iam::123456789012:user/somebody", true
		}
		if !ok && strings.HasSuffix(field.Name, "Tags") && f.Kind() == reflect.Slice || field.Name == "Tags" {
			tag := reflect.New(f.Type().Elem()).Elem()
			tag.FieldByName("Key").Set(reflect.ValueOf(aws.String("k")))
			tag.FieldByName("Value").Set(reflect.ValueOf(aws.String("v")))
			f.Set(reflect.Append(f, tag))
			continue
		}
		if !ok {
			continue
		}
		value := reflect.ValueOf(v)
		switch {
		case value.Type().AssignableTo(f.Type()):
			f.Set(value)
		case f.Kind() == reflect.Pointer && value.Type().ConvertibleTo(f.Type().Elem()):
			p := reflect.New(f.Type().Elem())
			p.Elem().Set(value.Convert(f.Type().Elem()))
			f.Set(p)
		case value.Kind() == f.Kind() && value.Type().ConvertibleTo(f.Type()):
			f.Set(value.Convert(f.Type()))
		}
	}
}

// asksNoPermission are the operations that AWS answers to whoever proves to be somebody.
func asksNoPermission() map[string]bool {
	return map[string]bool{"GetCallerIdentity": true, "GetSessionToken": true}
}

// TestNobodyIsAnsweredAnything calls every operation of every AWS face by a user without policies, by a session of a role
// without policies that allow anything, and by a stranger, with inputs that lack nothing. A new operation that forgets to ask
// fails here without anybody's having thought of it.
func TestNobodyIsAnsweredAnything(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	c.repository("team/app", "a layer")
	somebody := c.user("somebody", allowing("sts:AssumeRole", "arn:aws:iam::123456789012:role/idle"))
	session := c.assume(somebody, c.role("idle", allowing("s3:*", "*")))
	callers := map[string]aws.Credentials{
		"a user without policies": c.user("nobody", ""), "a role's session": session, "a stranger": {},
	}
	for who, key := range callers {
		want := "AccessDenied"
		if key.AccessKeyID == "" {
			want = "MissingAuthenticationToken"
		}
		for face, client := range map[string]any{"ecr": c.ecrAs(key), "iam": c.iamAs(key), "sts": c.stsAs(key)} {
			for _, op := range operations(face) {
				err := invoke(t, client, op)
				if asksNoPermission()[op] && want == "AccessDenied" {
					continue
				}
				code := want
				if op == "AssumeRoleWithWebIdentity" {
					code = "InvalidIdentityToken" // whoever it is, the token is what counts
				}
				c.refused(who+": "+face+":"+op, err, code)
			}
		}
		for _, op := range operations("berth") {
			status, _, answer := c.call(key, berthTarget+op, berthInputs()[op])
			if op == "ListVulnerableImages" && want == "AccessDenied" && status == http.StatusOK && answer == `{"vulnerableImages":[]}` {
				continue // it leaves out what the caller may not see, and asks about no repository
			}
			if status != http.StatusBadRequest || !strings.Contains(answer, `"`+want+`Exception"`) {
				t.Errorf("%s: berth's %s: %d %s, want %s", who, op, status, answer, want)
			}
		}
	}
}

// berthInputs has a good input for each of Berth's own operations.
func berthInputs() map[string]string {
	return map[string]string{
		"DeleteImages":           `{"repositoryName":"team/app","imageIds":[{"imageTag":"v1"}],"force":true}`,
		"ListPinnedImages":       `{"repositoryName":"team/app"}`,
		"DescribeCheck":          `{}`,
		"StartCheck":             `{}`,
		"StopCheck":              `{"checkId":"1"}`,
		"ExplainDigest":          `{"digest":"` + aDigest + `"}`,
		"GetSigningPublicKey":    `{"signingProfile":"p"}`,
		"ListTagHistory":         `{"repositoryName":"team/app","imageTag":"v1"}`,
		"ListTrash":              `{"repositoryName":"team/app"}`,
		"RestoreImages":          `{"repositoryName":"team/app","imageIds":[{"imageTag":"v1"}]}`,
		"PurgeImages":            `{"repositoryName":"team/app","imageDigests":["` + aDigest + `"]}`,
		"PutTrashWindow":         `{"repositoryName":"team/app","windowSeconds":60}`,
		"GetTrashUsage":          `{}`,
		"GetUsage":               `{"startTime":1700000000}`,
		"PrepareReplication":     `{"repositoryName":"team/app","layerDigests":["` + aDigest + `"],"imageDigest":"` + aDigest + `"}`,
		"ReplicateImage":         `{"repositoryName":"team/app","imageManifest":"{}","imageManifestMediaType":"application/vnd.oci.image.manifest.v1+json","imageDigest":"` + aDigest + `","imageTags":["v1"],"sourceRegion":"eu-west-1","sourceRegistryId":"123456789012"}`,
		"ListPullThroughCaches":  `{}`,
		"RotateMasterKey":        `{}`,
		"RotateTokenKey":         `{"revokeNow":true}`,
		"SetPullThroughCacheTtl": `{"ecrRepositoryPrefix":"hub","ttlSeconds":60}`,

		"ImportAdvisories":            `{"repositoryName":"team/app","digest":"` + aDigest + `"}`,
		"ListLifecyclePreviewResults": `{"repositoryName":"team/app"}`,
		"GetSbomSettings":             `{}`,
		"PutSbomSettings":             `{"repositoryFilters":["team/*"],"formats":["spdx"]}`,
		"ListExceptions":              `{"repositoryName":"team/app","imageId":{"imageTag":"v1"}}`,
		"DescribeFindings":            `{"repositoryName":"team/app","imageId":{"imageTag":"v1"}}`,
		"GetSbom":                     `{"repositoryName":"team/app","imageId":{"imageTag":"v1"}}`,
		"ListVulnerableImages":        `{"vulnerability":"CVE-2024-1"}`,
		"TestNoticeTarget":            `{"target":"ops"}`,
	}
}

// operations lists what a face does.
func operations(face string) []string {
	services := map[string]awswire.Service{
		"ecr": ecr.New(ecr.Config{}), "iam": iam.New(nil), "sts": sts.New(nil), "berth": berth.New(berth.Config{}),
	}
	return slices.Sorted(maps.Keys(services[face].Operations))
}

// invoke calls an operation by the SDK.
func invoke(t *testing.T, client any, op string) error {
	t.Helper()
	method := reflect.ValueOf(client).MethodByName(op)
	if !method.IsValid() {
		t.Fatalf("the SDK has no operation %s", op)
	}
	in := reflect.New(method.Type().In(1).Elem())
	fill(in.Elem(), plausible())
	out := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), in})
	err, _ := reflect.TypeAssert[error](out[1])
	return err
}
