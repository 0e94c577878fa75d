package registry_test

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const other = "team/other"

// watched is a store that knows whether a transaction is under way.
type watched struct {
	registry.Store
	inside atomic.Int32
}

// Update implements registry.Store.
func (w *watched) Update(ctx context.Context, f func(registry.Tx) error) error {
	return w.Store.Update(ctx, func(tx registry.Tx) error {
		w.inside.Add(1)
		defer w.inside.Add(-1)
		return f(tx)
	})
}

// recorder allows everything and notes what it was asked.
type recorder struct {
	t     *testing.T
	store *watched
	asked []string
}

// Authorize implements registry.Access. An asker may read from the database, so within a transaction none is to ask.
func (r *recorder) Authorize(_ context.Context, _ identity.Caller, q policy.Request) error {
	if r.store.inside.Load() != 0 {
		r.t.Errorf("%s on %s is asked within a transaction", q.Action, q.Resource)
	}
	where, isARN := strings.CutPrefix(q.Resource, "arn:aws:ecr:us-east-1:123456789012:repository/")
	if isARN && where == "*" {
		where = "all"
	}
	r.asked = append(r.asked, strings.TrimPrefix(string(q.Action), "ecr:")+" "+where)
	return nil
}

// operation is one of the registry's, with what it must ask.
type operation struct {
	name string
	call func(b *bench, who identity.Caller) error
	want string // comma-separated: action and repository; "all" of them by pattern; or *
}

var user = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:user/ci", UserID: "AIDACI"}

// operations are all there are. Their order matters: some need what others made.
func operations() []operation {
	return append(append(repositoryOperations(), imageOperations()...), append(layerOperations(), registryOperations()...)...)
}

func repositoryOperations() []operation {
	drop := func(_ any, err error) error { return err }
	tags := []registry.ResourceTag{{Key: "team", Value: "a"}}
	return []operation{
		{"CreateRepository", func(b *bench, who identity.Caller) error {
			return drop(b.CreateRepository(b.t.Context(), who, registry.NewRepository{Name: "a/plain"}))
		}, "CreateRepository a/plain"},
		{"CreateRepository", func(b *bench, who identity.Caller) error {
			return drop(b.CreateRepository(b.t.Context(), who, registry.NewRepository{Name: "a/tagged", ResourceTags: tags}))
		}, "CreateRepository a/tagged, TagResource a/tagged"},
		{"EnsureRepository", func(b *bench, who identity.Caller) error {
			return drop(b.EnsureRepository(b.t.Context(), who, "a/ensured", registry.ForPullThrough))
		}, "CreateRepository a/ensured"},
		{"Repository", func(b *bench, who identity.Caller) error { return drop(b.Repository(b.t.Context(), who, repo)) }, "DescribeRepositories " + repo},
		{"Repositories", func(b *bench, who identity.Caller) error { return drop(b.Repositories(b.t.Context(), who, 0, "")) }, "DescribeRepositories all"},
		{"RepositoryNames", func(b *bench, who identity.Caller) error {
			_, _, err := b.RepositoryNames(b.t.Context(), who, "", 10)
			return err
		}, "DescribeRepositories all"},
		{"ResourceTags", func(b *bench, who identity.Caller) error { return drop(b.ResourceTags(b.t.Context(), who, repo)) }, "ListTagsForResource " + repo},
		{"TagResource", func(b *bench, who identity.Caller) error { return b.TagResource(b.t.Context(), who, repo, tags) }, "TagResource " + repo},
		{"UntagResource", func(b *bench, who identity.Caller) error {
			return b.UntagResource(b.t.Context(), who, repo, []string{"team"})
		}, "UntagResource " + repo},
		{"PutTagMutability", func(b *bench, who identity.Caller) error {
			return drop(b.PutTagMutability(b.t.Context(), who, repo, registry.Mutable, nil))
		}, "PutImageTagMutability " + repo},
		{"PutScanOnPush", func(b *bench, who identity.Caller) error {
			return drop(b.PutScanOnPush(b.t.Context(), who, repo, false))
		}, "PutImageScanningConfiguration " + repo},
		{"SetRepositoryPolicy", func(b *bench, who identity.Caller) error {
			return b.SetRepositoryPolicy(b.t.Context(), who, repo, pullPolicy, false)
		}, "SetRepositoryPolicy " + repo},
		{"RepositoryPolicy", func(b *bench, who identity.Caller) error { return drop(b.RepositoryPolicy(b.t.Context(), who, repo)) }, "GetRepositoryPolicy " + repo},
		{"DeleteRepositoryPolicy", func(b *bench, who identity.Caller) error {
			return drop(b.DeleteRepositoryPolicy(b.t.Context(), who, repo))
		}, "DeleteRepositoryPolicy " + repo},
		{"RepositoryScannings", func(b *bench, who identity.Caller) error {
			_, _, err := b.RepositoryScannings(b.t.Context(), who, []string{repo, other})
			return err
		}, "BatchGetRepositoryScanningConfiguration " + repo + ", BatchGetRepositoryScanningConfiguration " + other},
		{"DeleteRepository", func(b *bench, who identity.Caller) error {
			return drop(b.DeleteRepository(b.t.Context(), who, "a/plain", false))
		}, "DeleteRepository a/plain"},
		{"May", func(b *bench, who identity.Caller) error {
			return b.May(b.t.Context(), who, policy.PutLifecyclePolicy, repo)
		}, "PutLifecyclePolicy " + repo},
		{"May", func(b *bench, who identity.Caller) error {
			return b.May(b.t.Context(), who, policy.DescribeRegistry, "")
		}, "DescribeRegistry *"},
		{"MayOn", func(b *bench, who identity.Caller) error {
			return b.MayOn(b.t.Context(), who, policy.DescribeRegistry, "arn:aws:cloudwatch:us-east-1:1:alarm:a")
		}, "DescribeRegistry arn:aws:cloudwatch:us-east-1:1:alarm:a"},
		{"MayImport", func(b *bench, who identity.Caller) error { return b.MayImport(b.t.Context(), who, repo) }, "BatchImportUpstreamImage " + repo},
		{"MayImport", func(b *bench, who identity.Caller) error { return b.MayImport(b.t.Context(), who, "a/new") }, "BatchImportUpstreamImage a/new, CreateRepository a/new"},
	}
}

func imageOperations() []operation {
	drop := func(_ any, err error) error { return err }
	tag := oci.Reference{Tag: "v1"}
	id := []registry.ImageID{{Tag: "v1"}}
	keep := about(func(registry.Image) (bool, string, error) { return false, "", nil })
	nothing := []oci.Digest{oci.FromBytes([]byte("nothing"))}
	put := func(to string) func(b *bench, who identity.Caller) error {
		return func(b *bench, who identity.Caller) error {
			return drop(b.PutImage(b.t.Context(), who, registry.Push{Repository: to, Manifest: b.index(), Tags: []string{"v1"}}))
		}
	}
	return []operation{
		{"PutImage", put(repo), "PutImage " + repo},
		{"PutImage", put("made/by-push"), "PutImage made/by-push, CreateRepository made/by-push"},
		{"PutReplica", func(b *bench, who identity.Caller) error {
			return drop(b.PutReplica(b.t.Context(), who, registry.Push{Repository: repo, Manifest: b.index()}))
		}, "ReplicateImage " + repo},
		{"PrepareReplica", func(b *bench, who identity.Caller) error {
			return drop(b.PrepareReplica(b.t.Context(), who, "a/replica", nothing[0], nil))
		}, "ReplicateImage a/replica, CreateRepository a/replica"},
		{"Image", func(b *bench, who identity.Caller) error { return drop(b.Image(b.t.Context(), who, repo, tag)) }, "BatchGetImage " + repo},
		{"StatImage", func(b *bench, who identity.Caller) error { return drop(b.StatImage(b.t.Context(), who, repo, tag)) }, "BatchGetImage " + repo},
		{"PullImages", func(b *bench, who identity.Caller) error { return drop(b.PullImages(b.t.Context(), who, repo, id)) }, "BatchGetImage " + repo},
		{"DescribeImages", func(b *bench, who identity.Caller) error { return drop(b.DescribeImages(b.t.Context(), who, repo, id)) }, "DescribeImages " + repo},
		{"Images", func(b *bench, who identity.Caller) error {
			return drop(b.Images(b.t.Context(), who, repo, registry.ImageFilter{}, 0, ""))
		}, "DescribeImages " + repo},
		{"ImageIDs", func(b *bench, who identity.Caller) error {
			return drop(b.ImageIDs(b.t.Context(), who, repo, registry.ImageFilter{}, 0, ""))
		}, "ListImages " + repo},
		{"TagNames", func(b *bench, who identity.Caller) error {
			_, _, err := b.TagNames(b.t.Context(), who, repo, "", 1)
			return err
		}, "ListImages " + repo},
		{"TagHistory", func(b *bench, who identity.Caller) error {
			return drop(b.TagHistory(b.t.Context(), who, repo, "v1", 0, ""))
		}, "ListImages " + repo},
		{"Referrers", func(b *bench, who identity.Caller) error {
			return drop(b.Referrers(b.t.Context(), who, repo, nothing[0], registry.ReferrerFilter{}, 0, ""))
		}, "BatchGetImage " + repo},
		{"ReplicationImage", func(b *bench, who identity.Caller) error {
			return drop(b.ReplicationImage(b.t.Context(), who, repo, id[0]))
		}, "DescribeImageReplicationStatus " + repo},
		{"MayOnImage", func(b *bench, who identity.Caller) error {
			return b.MayOnImage(b.t.Context(), who, repo, id[0], policy.DescribeImageSigningStatus)
		}, "DescribeImageSigningStatus " + repo},
		{"StartScan", func(b *bench, who identity.Caller) error {
			b.pushNew("scanned", "scanned")
			_, _, err := b.StartScan(b.t.Context(), who, repo, registry.ImageID{Tag: "scanned"})
			return err
		}, "StartImageScan " + repo},
		{"ImageScan", func(b *bench, who identity.Caller) error {
			_, err := b.ImageScan(b.t.Context(), who, repo, registry.ImageID{Tag: "scanned"})
			return err
		}, "DescribeImageScanFindings " + repo},
		{"SetStorageClass", func(b *bench, who identity.Caller) error {
			return drop(b.SetStorageClass(b.t.Context(), who, repo, id, registry.Standard))
		}, "UpdateImageStorageClass " + repo},
		{"DeleteImagesIf", func(b *bench, who identity.Caller) error {
			return drop(b.DeleteImagesIf(b.t.Context(), who, repo, nothing, keep))
		}, "BatchDeleteImage " + repo},
		{"ArchiveImagesIf", func(b *bench, who identity.Caller) error {
			return drop(b.ArchiveImagesIf(b.t.Context(), who, repo, nothing, keep))
		}, "UpdateImageStorageClass " + repo},
		{"Trash", func(b *bench, who identity.Caller) error { return drop(b.Trash(b.t.Context(), who, repo, 0, "")) }, "ListImages " + repo},
		{"TrashUsage", func(b *bench, who identity.Caller) error { return drop(b.TrashUsage(b.t.Context(), who, repo)) }, "DescribeRepositories " + repo},
		{"TrashUsage", func(b *bench, who identity.Caller) error { return drop(b.TrashUsage(b.t.Context(), who, "")) }, "DescribeRepositories all"},
		{"PutTrashWindow", func(b *bench, who identity.Caller) error {
			return drop(b.PutTrashWindow(b.t.Context(), who, repo, nil))
		}, "PutLifecyclePolicy " + repo},
		{"RestoreImages", func(b *bench, who identity.Caller) error {
			return drop(b.RestoreImages(b.t.Context(), who, repo, id, registry.RestoreOptions{}))
		}, "PutImage " + repo},
		{"PurgeImages", func(b *bench, who identity.Caller) error {
			return drop(b.PurgeImages(b.t.Context(), who, repo, nothing))
		}, "BatchDeleteImage " + repo},
		{"EmptyTrash", func(b *bench, who identity.Caller) error { return drop(b.EmptyTrash(b.t.Context(), who, repo)) }, "BatchDeleteImage " + repo},
		{"DeleteImage", func(b *bench, who identity.Caller) error { return b.DeleteImage(b.t.Context(), who, repo, tag) }, "BatchDeleteImage " + repo},
		{"Pinned", func(b *bench, who identity.Caller) error { return drop(b.Pinned(b.t.Context(), who, repo)) }, "DescribeImages " + repo},
		{"DeletePinnedImages", func(b *bench, who identity.Caller) error {
			return drop(b.DeletePinnedImages(b.t.Context(), who, repo, []registry.ImageID{{Digest: nothing[0].String()}}))
		}, "BatchDeleteImage " + repo},
		{"DeleteImages", func(b *bench, who identity.Caller) error { return drop(b.DeleteImages(b.t.Context(), who, repo, id)) }, "BatchDeleteImage " + repo},
	}
}

func layerOperations() []operation {
	drop := func(_ any, err error) error { return err }
	layer := oci.FromBytes([]byte("bytes"))
	body := func(text string) registry.Part {
		return registry.Part{Start: registry.Anywhere, Size: int64(len(text)), Body: bytes.NewReader([]byte(text))}
	}
	upload := "" // of the operation before
	start := func(b *bench, who identity.Caller) error {
		u, err := b.StartUpload(b.t.Context(), who, repo, "")
		upload = u.ID
		return err
	}
	return []operation{
		{"StartUpload", start, "InitiateLayerUpload " + repo},
		{"AppendUpload", func(b *bench, who identity.Caller) error {
			return drop(b.AppendUpload(b.t.Context(), who, repo, upload, body("by")))
		}, "UploadLayerPart " + repo},
		{"Upload", func(b *bench, who identity.Caller) error { return drop(b.Upload(b.t.Context(), who, repo, upload)) }, "UploadLayerPart " + repo},
		{"CompleteUpload", func(b *bench, who identity.Caller) error {
			last := body("tes")
			return drop(b.CompleteUpload(b.t.Context(), who, repo, upload, registry.Completion{Digest: layer, Last: &last}))
		}, "UploadLayerPart " + repo + ", CompleteLayerUpload " + repo},
		{"StartUpload", start, "InitiateLayerUpload " + repo},
		{"CompleteUpload", func(b *bench, who identity.Caller) error {
			return drop(b.CompleteUpload(b.t.Context(), who, repo, upload, registry.Completion{Digest: oci.FromBytes(nil)}))
		}, "CompleteLayerUpload " + repo},
		{"StartUpload", start, "InitiateLayerUpload " + repo},
		{"CancelUpload", func(b *bench, who identity.Caller) error { return b.CancelUpload(b.t.Context(), who, repo, upload) }, "InitiateLayerUpload " + repo},
		{"PutLayer", func(b *bench, who identity.Caller) error {
			return drop(b.PutLayer(b.t.Context(), who, repo, oci.FromBytes([]byte("whole")), body("whole")))
		}, "InitiateLayerUpload " + repo + ", UploadLayerPart " + repo + ", CompleteLayerUpload " + repo},
		{"StatLayer", func(b *bench, who identity.Caller) error { return drop(b.StatLayer(b.t.Context(), who, repo, layer)) }, "BatchCheckLayerAvailability " + repo},
		{"LayersAvailable", func(b *bench, who identity.Caller) error {
			return drop(b.LayersAvailable(b.t.Context(), who, repo, []string{layer.String()}))
		}, "BatchCheckLayerAvailability " + repo},
		{"RefersTo", func(b *bench, who identity.Caller) error { return drop(b.RefersTo(b.t.Context(), who, repo, layer)) }, "BatchCheckLayerAvailability " + repo},
		{"Layer", func(b *bench, who identity.Caller) error { return drop(b.Layer(b.t.Context(), who, repo, layer)) }, "GetDownloadUrlForLayer " + repo},
		{"ReferencedLayer", func(b *bench, who identity.Caller) error {
			b.push(repo, b.manifest(repo, "{}", "bytes"))
			return drop(b.ReferencedLayer(b.t.Context(), who, repo, layer))
		}, "GetDownloadUrlForLayer " + repo},
		{"MountLayer", func(b *bench, who identity.Caller) error {
			_, _, err := b.MountLayer(b.t.Context(), who, other, layer, repo)
			return err
		}, "InitiateLayerUpload " + other + ", GetDownloadUrlForLayer " + repo},
		{"MountLayer", func(b *bench, who identity.Caller) error {
			_, _, err := b.MountLayer(b.t.Context(), who, "made/by-mount", layer, "")
			return err
		}, "InitiateLayerUpload made/by-mount, CreateRepository made/by-mount, GetDownloadUrlForLayer " + repo + ", CreateRepository made/by-mount"},
		{"DeleteLayer", func(b *bench, who identity.Caller) error { return b.DeleteLayer(b.t.Context(), who, other, layer) }, "BatchDeleteImage " + other},
	}
}

func registryOperations() []operation {
	drop := func(_ any, err error) error { return err }
	text, prefix := pullPolicy, "stamped"
	template := registry.Template{
		Prefix: prefix, Uses: []registry.TemplateUse{registry.ForPush}, RepositoryPolicy: text, LifecyclePolicy: "{}",
		ResourceTags: []registry.ResourceTag{{Key: "team", Value: "a"}},
	}
	return []operation{
		{"MayGetToken", func(b *bench, who identity.Caller) error { return b.MayGetToken(b.t.Context(), who) }, "GetAuthorizationToken *"},
		{"PutPolicy", func(b *bench, who identity.Caller) error { return b.PutPolicy(b.t.Context(), who, registryPolicy) }, "PutRegistryPolicy *"},
		{"Policy", func(b *bench, who identity.Caller) error { return drop(b.Policy(b.t.Context(), who)) }, "GetRegistryPolicy *"},
		{"DeletePolicy", func(b *bench, who identity.Caller) error { return drop(b.DeletePolicy(b.t.Context(), who)) }, "DeleteRegistryPolicy *"},
		{"PutScanning", func(b *bench, who identity.Caller) error {
			return b.PutScanning(b.t.Context(), who, registry.Scanning{Kind: registry.Basic})
		}, "PutRegistryScanningConfiguration *"},
		{"Scanning", func(b *bench, who identity.Caller) error { return drop(b.Scanning(b.t.Context(), who)) }, "GetRegistryScanningConfiguration *"},
		{"PutAccountSetting", func(b *bench, who identity.Caller) error {
			return b.PutAccountSetting(b.t.Context(), who, registry.AccountSetting{Name: registry.BlobMounting, Value: registry.Enabled})
		}, "PutAccountSetting *"},
		{"AccountSetting", func(b *bench, who identity.Caller) error {
			return drop(b.AccountSetting(b.t.Context(), who, registry.BlobMounting))
		}, "GetAccountSetting *"},
		{"ExcludePuller", func(b *bench, who identity.Caller) error { return drop(b.ExcludePuller(b.t.Context(), who, dev)) }, "RegisterPullTimeUpdateExclusion *"},
		{"PullExclusions", func(b *bench, who identity.Caller) error { return drop(b.PullExclusions(b.t.Context(), who, 0, "")) }, "ListPullTimeUpdateExclusions *"},
		{"IncludePuller", func(b *bench, who identity.Caller) error { return b.IncludePuller(b.t.Context(), who, dev) }, "DeregisterPullTimeUpdateExclusion *"},
		{
			"CreateTemplate", func(b *bench, who identity.Caller) error { return drop(b.CreateTemplate(b.t.Context(), who, template)) },
			"CreateRepositoryCreationTemplate *, SetRepositoryPolicy stamped/*, PutLifecyclePolicy stamped/*, TagResource stamped/*",
		},
		{"UpdateTemplate", func(b *bench, who identity.Caller) error {
			return drop(b.UpdateTemplate(b.t.Context(), who, registry.TemplateChange{Prefix: prefix, RepositoryPolicy: &text}))
		}, "UpdateRepositoryCreationTemplate *, SetRepositoryPolicy stamped/*"},
		{"Templates", func(b *bench, who identity.Caller) error { return drop(b.Templates(b.t.Context(), who, nil, 0, "")) }, "DescribeRepositoryCreationTemplates *"},
		{"DeleteTemplate", func(b *bench, who identity.Caller) error { return drop(b.DeleteTemplate(b.t.Context(), who, prefix)) }, "DeleteRepositoryCreationTemplate *"},
		{
			"EnsureCreateOnPush", func(b *bench, who identity.Caller) error { return b.EnsureCreateOnPush(b.t.Context(), who) },
			"CreateRepositoryCreationTemplate *, UpdateRepositoryCreationTemplate *",
		},
	}
}

// TestEveryOperationAsks holds each operation to ECR's action on the resource that it is about, asked outside of any
// transaction. Who changes a line here changes what policies mean.
func TestEveryOperationAsks(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		b := newBench(t, db)
		b.create(registry.NewRepository{Name: other})
		b.template(registry.Template{Prefix: "made", Uses: []registry.TemplateUse{registry.ForPush}})
		store := &watched{Store: db}
		access := &recorder{t: t, store: store}
		b.Registry = registry.New(registry.Config{
			Store: store, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: func() time.Time { return b.now }, Access: access,
		})
		tried := map[string]bool{}
		for _, o := range operations() {
			access.asked = nil
			if err := o.call(b, user); err != nil {
				t.Errorf("%s: %v", o.name, err)
			}
			if diff := cmp.Diff(o.want, strings.Join(access.asked, ", ")); diff != "" {
				t.Errorf("%s asks (-want +got):\n%s", o.name, diff)
			}
			tried[o.name] = true
		}
		v := reflect.TypeOf(b.Registry)
		for m := range v.Methods() {
			if m.Type.NumIn() > 2 && m.Type.In(2) == reflect.TypeFor[identity.Caller]() && !tried[m.Name] {
				t.Errorf("%s is an operation, and is not in the table", m.Name)
			}
		}
	})
}
