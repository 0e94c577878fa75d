package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func onTags(set, operator, values string) string {
	return `,"Resource":"*","Condition":{"` + set + operator + `":{"ecr:ImageTag":` + values + `}}`
}

// TestPushesByTag lets somebody push no tag but some, and nobody move a release.
func TestPushesByTag(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		dev := b.user("dev", allows(`"Action":"ecr:PutImage"`+onTags("ForAllValues:", "StringLike", `["dev-*","pr-*"]`)))
		ci := b.user("ci", allows(`"Action":"ecr:PutImage","Resource":"*"`), denies(`"Action":"ecr:PutImage"`+onTags("", "StringLike", `"release-*"`)))
		manifest := b.manifest(repo, "{}", "layer")
		digest := oci.FromBytes(manifest)
		one := b.user("one", allows(`"Action":"ecr:PutImage","Resource":"*","Condition":{"StringEquals":{"ecr:ImageDigest":"`+digest.String()+`"}}`))
		for _, tt := range []struct {
			who  identity.Caller
			tags []string
			want bool
		}{
			{dev, []string{"dev-1"}, true},
			{dev, []string{"dev-1", "pr-7"}, true},
			{dev, []string{"dev-1", "latest"}, false},
			{dev, []string{"latest"}, false},
			{dev, nil, true}, // an index's images
			{ci, []string{"latest"}, true},
			{ci, []string{"latest", "release-1"}, false},
			{ci, nil, true},
			{one, []string{"any"}, true},
		} {
			_, err := b.PutImage(t.Context(), tt.who, registry.Push{Repository: repo, Manifest: manifest, Tags: tt.tags})
			wantAllowed(t, tt.who.ARN+" pushing "+b.words(tt.tags), err, tt.want)
		}
		_, err := b.PutImage(t.Context(), one, registry.Push{Repository: repo, Manifest: b.index()})
		wantAllowed(t, "pushing another digest", err, false)
	})
}

func (b *bench) words(tags []string) string { return string(b.json(tags)) }

// TestReadsByTag: an image has its own tags and those of the indexes that it is in.
func TestReadsByTag(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		child := b.manifest(repo, `{"os":"linux"}`, "child")
		b.push(repo, child)
		inner := b.index(child)
		b.push(repo, inner)
		outer := b.json(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIIndex, "manifests": []oci.Descriptor{
			{MediaType: oci.MediaTypeOCIIndex, Digest: oci.FromBytes(inner), Size: int64(len(inner))},
		}})
		b.push(repo, outer, "release-1")
		plain := b.pushNew("plain", "dev-1")
		mixed := b.pushNew("mixed", "dev-2", "release-2")
		some := b.user("some", allows(`"Action":"ecr:*"`+onTags("ForAnyValue:", "StringLike", `"release-*"`)))
		most := b.user("most", allows(`"Action":"ecr:*","Resource":"*"`), denies(`"Action":"ecr:*"`+onTags("", "StringLike", `"release-*"`)))
		for _, tt := range []struct {
			name       string
			id         registry.ImageID
			some, most bool
		}{
			{"an index by tag", registry.ImageID{Tag: "release-1"}, true, false},
			{"its image by digest", registry.ImageID{Digest: oci.FromBytes(child).String()}, true, false},
			{"the index within", registry.ImageID{Digest: oci.FromBytes(inner).String()}, true, false},
			{"another tag", registry.ImageID{Tag: "dev-1"}, false, true},
			{"another image", registry.ImageID{Digest: plain.Digest.String()}, false, true},
			{"an image of two tags by one", registry.ImageID{Tag: "dev-2"}, true, false},
			{"an image of two tags", registry.ImageID{Digest: mixed.Digest.String()}, true, false},
		} {
			for who, want := range map[*identity.Caller]bool{&some: tt.some, &most: tt.most} {
				for what, err := range b.readsOf(*who, tt.id) {
					wantAllowed(t, what+" of "+tt.name+" by "+who.ARN, err, want)
				}
			}
		}
		_, err := b.PullImages(t.Context(), most, repo, []registry.ImageID{{Tag: "dev-1"}, {Tag: "release-1"}})
		wantAllowed(t, "a batch with one that is denied", err, false)
		_, err = b.StatImage(t.Context(), most, repo, oci.Reference{Tag: "release-99"})
		wantAllowed(t, "a tag that is not there", err, false)
	})
}

func (b *bench) readsOf(who identity.Caller, id registry.ImageID) map[string]error {
	ctx := b.t.Context()
	ref := oci.Reference{Tag: id.Tag, Digest: oci.Digest(id.Digest)}
	ids := []registry.ImageID{id}
	errs := map[string]error{}
	_, errs["Image"] = b.Image(ctx, who, repo, ref)
	_, errs["StatImage"] = b.StatImage(ctx, who, repo, ref)
	_, errs["PullImages"] = b.PullImages(ctx, who, repo, ids)
	_, errs["DescribeImages"] = b.DescribeImages(ctx, who, repo, ids)
	_, errs["ReplicationImage"] = b.ReplicationImage(ctx, who, repo, id)
	_, errs["SetStorageClass"] = b.SetStorageClass(ctx, who, repo, ids, registry.Standard)
	errs["MayOnImage"] = b.MayOnImage(ctx, who, repo, id, policy.DescribeImageSigningStatus)
	return errs
}

// TestDeletionsByTag: a tag is deleted as that tag, an image with all that it has.
func TestDeletionsByTag(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		who := b.user("ann", allows(`"Action":"ecr:BatchDeleteImage","Resource":"*"`), denies(`"Action":"ecr:*"`+onTags("", "StringEquals", `"prod"`)))
		img := b.pushNew("img", "prod", "old", "older")
		del := func(id registry.ImageID) error {
			_, err := b.DeleteImages(t.Context(), who, repo, []registry.ImageID{id})
			return err
		}
		wantAllowed(t, "the image", del(registry.ImageID{Digest: img.Digest.String()}), false)
		wantAllowed(t, "the tag prod", del(registry.ImageID{Tag: "prod"}), false)
		wantAllowed(t, "the tag old", del(registry.ImageID{Tag: "old"}), true)
		wantAllowed(t, "the image by docker's API", b.DeleteImage(t.Context(), who, repo, oci.Reference{Digest: img.Digest}), false)
		wantAllowed(t, "the tag prod by docker's API", b.DeleteImage(t.Context(), who, repo, oci.Reference{Tag: "prod"}), false)
		wantAllowed(t, "the tag older by docker's API", b.DeleteImage(t.Context(), who, repo, oci.Reference{Tag: "older"}), true)
		if b.tagTarget("prod") != img.Digest {
			t.Error("prod is gone")
		}
	})
}

// nameless is a store that cannot tell the tags of an image.
type nameless struct{ registry.Store }

var errNameless = errors.New("the database does not answer")

// Read implements registry.Store.
func (n nameless) Read() registry.Queries { return namelessQueries{n.Store.Read()} }

type namelessQueries struct{ registry.Queries }

// ImageNames implements registry.AccessQueries.
func (namelessQueries) ImageNames(context.Context, string, oci.Digest) ([]string, error) {
	return nil, errNameless
}

// TestALookUpThatFailsFailsTheRequest where a policy asks for tags, and nothing else.
func TestALookUpThatFailsFailsTheRequest(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		b.pushNew("img", "v1")
		for wants, policies := range map[bool]string{
			true:  `,"Resource":"*","Condition":{"StringNotEquals":{"ecr:ImageTag":"prod"}}`,
			false: `,"Resource":"*"`,
		} {
			r := registry.New(registry.Config{
				Store: nameless{b.db}, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: func() time.Time { return b.now },
				Access: asker(func(q policy.Request) error {
					d, err := policy.ParseDocument(document(allows(`"Action":"ecr:*"` + policies)))
					if err != nil {
						t.Fatal(err)
					}
					got := policy.Decide(policy.Question{
						Asker: policy.Asker{ARN: user.ARN, Account: account}, Action: q.Action, Resource: q.Resource, Account: q.Account,
						Context: q.Context, Identity: []*policy.Policy{policy.Compile(policy.IdentityBased, "own", d)},
					})
					if got.Outcome != policy.Allowed {
						return fault.New(fault.AccessDenied, "denied")
					}
					return nil
				}),
			})
			_, err := r.StatImage(t.Context(), user, repo, oci.Reference{Tag: "v1"})
			if errors.Is(err, errNameless) != wants {
				t.Errorf("with the policy %s: %v", policies, err)
			}
		}
	})
}

// asker answers questions as it likes.
type asker func(q policy.Request) error

// Authorize implements registry.Access.
func (a asker) Authorize(_ context.Context, _ identity.Caller, q policy.Request) error { return a(q) }
