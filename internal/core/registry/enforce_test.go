package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// enforced is a bench whose registry asks the real room for permissions, over the same database.
func enforced(t *testing.T, db *metadb.DB) *bench {
	t.Helper()
	b := newBench(t, db)
	now := func() time.Time { return b.now }
	directory := identity.NewDirectory(identity.Config{Store: db, Account: account, Now: now})
	service := access.New(access.Config{Store: db.Access(), Directory: directory, Account: account, Region: "us-east-1", Now: now})
	b.Registry = registry.New(registry.Config{
		Store: db, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: now, Access: service, TrashWindow: window,
	})
	return b
}

func eachEnforced(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		test(t, enforced(t, db))
	})
}

// user makes a user with one inline policy of the statements.
func (b *bench) user(name string, statements ...string) identity.Caller {
	b.t.Helper()
	c := identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":user/" + name, UserID: "AIDA" + strings.ToUpper(name) + "0000000000000"}
	err := b.db.Access().Update(b.t.Context(), func(tx access.Tx) error {
		p := access.Principal{ID: c.UserID, Kind: access.User, Name: name, Path: "/", ARN: c.ARN, CreatedAt: b.now}
		if err := tx.InsertPrincipal(b.t.Context(), p); err != nil || len(statements) == 0 {
			return err
		}
		return tx.PutInlinePolicy(b.t.Context(), c.UserID, access.InlinePolicy{Name: "own", Document: document(statements...)})
	})
	if err != nil {
		b.t.Fatalf("making user %s: %v", name, err)
	}
	return c
}

func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// says writes a statement: its members but for the Effect, in JSON.
func allows(members string) string { return `{"Effect":"Allow",` + members + `}` }
func denies(members string) string { return `{"Effect":"Deny",` + members + `}` }

func (b *bench) setPolicy(repository string, statements ...string) {
	b.t.Helper()
	if err := b.SetRepositoryPolicy(b.t.Context(), root, repository, document(statements...), true); err != nil {
		b.t.Fatalf("SetRepositoryPolicy(%s): %v", repository, err)
	}
}

func wantAllowed(t *testing.T, what string, err error, want bool) {
	t.Helper()
	switch {
	case want && err != nil:
		t.Errorf("%s: %v, want it allowed", what, err)
	case !want && !errors.Is(err, fault.AccessDenied):
		t.Errorf("%s: %v, want it denied", what, err)
	}
}

// TestWhoMay goes through each operation on a repository and each way to be allowed it or not.
func TestWhoMay(t *testing.T) {
	t.Parallel()
	anything := `"Action":"ecr:*"`
	byName := `"Principal":{"AWS":"arn:aws:iam::` + account + `:user/%s"},` + anything
	byAccount := `"Principal":{"AWS":"` + account + `"},` + anything
	for i, tt := range []struct {
		name       string
		own        []string // statements of the user
		repository string   // a statement of the repository's policy; %s is the user's name
		allowed    bool
	}{
		{"nothing", nil, "", false},
		{"identity", []string{allows(anything + `,"Resource":"*"`)}, "", true},
		{"elsewhere", []string{allows(anything + `,"Resource":"arn:aws:ecr:us-east-1:` + account + `:repository/elsewhere/*"`)}, "", false},
		{"repository", nil, allows(byName), true},
		{"account", nil, allows(byAccount), false},
		{"both", []string{allows(anything + `,"Resource":"*"`)}, allows(byAccount), true},
		{"denied", []string{allows(anything + `,"Resource":"*"`)}, denies(byName), false},
		{"selfdenied", []string{denies(anything + `,"Resource":"*"`)}, allows(byName), false},
	} {
		t.Run(fmt.Sprint(i, tt.name), func(t *testing.T) {
			t.Parallel()
			eachEnforced(t, func(t *testing.T, b *bench) {
				b.create(registry.NewRepository{Name: other})
				who := b.user(tt.name, tt.own...)
				for _, name := range []string{repo, other} {
					if tt.repository != "" {
						b.setPolicy(name, strings.ReplaceAll(tt.repository, "%s", tt.name))
					}
				}
				for _, o := range ofRepository() {
					wantAllowed(t, o.name, o.call(b, who), tt.allowed)
				}
			})
		})
	}
}

// ofRepository are the operations that are about repo and other alone, and ask for no more.
func ofRepository() []operation {
	var its []operation
	for _, o := range append(append(repositoryOperations(), imageOperations()...), layerOperations()...) {
		about := true
		for question := range strings.SplitSeq(o.want, ", ") {
			_, where, _ := strings.Cut(question, " ")
			about = about && (where == repo || where == other)
		}
		// These would change what the test has set up.
		if about && !strings.HasSuffix(o.name, "RepositoryPolicy") && o.name != "UntagResource" {
			its = append(its, o)
		}
	}
	return its
}

// TestTheWholeRegistry goes through all operations, of the registry too.
func TestTheWholeRegistry(t *testing.T) {
	t.Parallel()
	everything := allows(`"Action":"ecr:*","Resource":"*"`)
	for name, tt := range map[string]struct {
		own, registry string
		allowed       bool
	}{
		"nothing":      {denies(`"Action":"s3:*","Resource":"*"`), "", false},
		"identity":     {everything, "", true},
		"registry":     {denies(`"Action":"s3:*","Resource":"*"`), allows(`"Principal":{"AWS":"arn:aws:iam::` + account + `:user/who"},"Action":"ecr:*","Resource":"*"`), true},
		"denied there": {everything, denies(`"Principal":"*","Action":"ecr:*","Resource":"*"`), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachEnforced(t, func(t *testing.T, b *bench) {
				b.create(registry.NewRepository{Name: other})
				b.template(registry.Template{Prefix: "made", Uses: []registry.TemplateUse{registry.ForPush}})
				if tt.registry != "" {
					if err := b.PutPolicy(t.Context(), root, document(tt.registry)); err != nil {
						t.Fatal(err)
					}
				}
				who := b.user("who", tt.own)
				for _, o := range operations() {
					switch o.name {
					case "PutPolicy", "Policy", "DeletePolicy": // on which the rest hangs
					default:
						wantAllowed(t, o.name, o.call(b, who), tt.allowed)
					}
				}
			})
		})
	}
}

func TestTheSentenceOfADenial(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		who := b.user("eve", allows(`"Action":"ecr:*","Resource":"*"`))
		b.setPolicy(repo, denies(`"Principal":"*","Action":"ecr:PutImage"`))
		_, err := b.PutImage(t.Context(), who, registry.Push{Repository: repo, Manifest: b.index()})
		want := "User: " + who.ARN + " is not authorized to perform: ecr:PutImage on resource: arn:aws:ecr:us-east-1:" + account +
			":repository/" + repo + " with an explicit deny in a resource-based policy: the policy of repository " + repo
		if f, ok := fault.Of(err); !ok || f.Message != want {
			t.Errorf("denied with %v, want %s", err, want)
		}
	})
}

// TestRegistryPolicy is about the registry as a whole, and about the repositories that it names.
func TestRegistryPolicy(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		b.create(registry.NewRepository{Name: other})
		who := b.user("ann")
		in := `"Principal":{"AWS":"` + who.ARN + `"},"Action":"ecr:*","Resource":`
		list := func(name string) error {
			_, _, err := b.TagNames(t.Context(), who, name, "", 1)
			return err
		}
		all := func() error { _, err := b.Repositories(t.Context(), who, 0, ""); return err }
		scanning := func() error { _, err := b.Scanning(t.Context(), who); return err }
		for _, tt := range []struct {
			resource          string
			other, all, whole bool
		}{
			{`"arn:aws:ecr:us-east-1:` + account + `:repository/team/*"`, true, false, false},
			{`"arn:aws:ecr:us-east-1:` + account + `:repository/*"`, true, true, false},
			{`"*"`, true, true, true},
			{`"arn:aws:ecr:us-east-1:` + account + `:repository/none"`, false, false, false},
		} {
			if err := b.PutPolicy(t.Context(), root, document(allows(in+tt.resource))); err != nil {
				t.Fatal(err)
			}
			wantAllowed(t, tt.resource+" in "+other, list(other), tt.other)
			wantAllowed(t, tt.resource+" for all repositories", all(), tt.all)
			wantAllowed(t, tt.resource+" for the registry", scanning(), tt.whole)
		}
		if _, err := b.DeletePolicy(t.Context(), root); err != nil {
			t.Fatal(err)
		}
		wantAllowed(t, "after the policy is gone", list(other), false)
	})
}

// TestTagsDecide is attribute-based access: tags of the repository, and tags that a request sets.
func TestTagsDecide(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		who := b.user("ann",
			allows(`"Action":"ecr:ListImages","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/Team":"a"}}`),
			allows(`"Action":"ecr:DescribeRepositories","Resource":"*","Condition":{"StringEquals":{"ecr:ResourceTag/team":"a"}}`),
			allows(`"Action":["ecr:CreateRepository","ecr:TagResource"],"Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"a"},"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}`),
			allows(`"Action":"ecr:UntagResource","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}`))
		tags := func(pairs ...string) (all []registry.ResourceTag) {
			for i := 0; i < len(pairs); i += 2 {
				all = append(all, registry.ResourceTag{Key: pairs[i], Value: pairs[i+1]})
			}
			return all
		}
		create := func(name string, tags []registry.ResourceTag) error {
			_, err := b.CreateRepository(t.Context(), who, registry.NewRepository{Name: name, ResourceTags: tags})
			return err
		}
		wantAllowed(t, "creating without tags", create("a/none", nil), false)
		wantAllowed(t, "creating with another's tag", create("a/other", tags("team", "b")), false)
		wantAllowed(t, "creating with a tag too many", create("a/more", tags("team", "a", "x", "y")), false)
		wantAllowed(t, "creating with the tag", create("a/mine", tags("team", "a")), true)
		reads := func(name string) error {
			_, _, err := b.TagNames(t.Context(), who, name, "", 1)
			_, err2 := b.Repository(t.Context(), who, name)
			if (err == nil) != (err2 == nil) {
				t.Errorf("%s: aws:ResourceTag %v, ecr:ResourceTag %v", name, err, err2)
			}
			return err
		}
		wantAllowed(t, "reading what has the tag", reads("a/mine"), true)
		wantAllowed(t, "reading what has it not", reads(repo), false)
		wantAllowed(t, "reading what is not there", reads("none/such"), false)
		wantAllowed(t, "untagging another key", b.UntagResource(t.Context(), who, "a/mine", []string{"x"}), false)
		wantAllowed(t, "tagging with another's value", b.TagResource(t.Context(), who, "a/mine", tags("team", "b")), false)
		wantAllowed(t, "untagging", b.UntagResource(t.Context(), who, "a/mine", []string{"team"}), true)
		wantAllowed(t, "reading what had the tag", reads("a/mine"), false) // at once
		wantAllowed(t, "tagging", b.TagResource(t.Context(), who, "a/mine", tags("team", "a")), true)
		wantAllowed(t, "reading what has the tag again", reads("a/mine"), true)
	})
}

// TestNothingRememberedOutlivesALocalChange deletes, makes and changes while others ask.
func TestNothingRememberedOutlivesALocalChange(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		who := b.user("ann")
		list := func() error { _, _, err := b.TagNames(t.Context(), who, repo, "", 1); return err }
		ctx, stop := context.WithCancel(t.Context())
		var askers sync.WaitGroup
		for range 4 {
			askers.Go(func() {
				for ctx.Err() == nil {
					_ = list()
					_, _ = b.Open(ctx)
				}
			})
		}
		open := func(want bool) {
			t.Helper()
			if got, err := b.Open(t.Context()); got != want || err != nil {
				t.Errorf("Open = %v, %v; want %v", got, err, want)
			}
		}
		for range 20 {
			wantAllowed(t, "without a policy", list(), false)
			open(false)
			b.setPolicy(repo, allows(`"Principal":"*","Action":"ecr:ListImages"`))
			wantAllowed(t, "with a policy", list(), true)
			open(true)
			if _, err := b.DeleteRepository(t.Context(), root, repo, true); err != nil {
				t.Fatal(err)
			}
			wantAllowed(t, "of a repository that is gone", list(), false)
			open(false)
			b.create(registry.NewRepository{Name: repo})
		}
		stop()
		askers.Wait()
	})
}

// TestAnotherReplicasChange goes unnoticed for three seconds at most.
func TestAnotherReplicasChange(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		who := b.user("ann")
		list := func() error { _, _, err := b.TagNames(t.Context(), who, repo, "", 1); return err }
		replica := registry.New(registry.Config{Store: b.db, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: func() time.Time { return b.now }})
		wantAllowed(t, "before", list(), false)
		text := document(allows(`"Principal":"*","Action":"ecr:ListImages"`))
		if err := replica.SetRepositoryPolicy(t.Context(), root, repo, text, false); err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(3 * time.Second)
		wantAllowed(t, "three seconds later", list(), true)
	})
}

// TestManyPushesAtOnceMakeTheirRepositories: more of them than there are connections to the database, each of which has to
// ask for a permission midway.
func TestManyPushesAtOnceMakeTheirRepositories(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		b.onPush()
		const many = 64
		var pushes sync.WaitGroup
		for i := range many {
			who := b.user(fmt.Sprintf("u%d", i), allows(`"Action":"ecr:*","Resource":"*"`))
			pushes.Go(func() {
				if _, err := b.StartUpload(t.Context(), who, fmt.Sprintf("team/r%d", i), ""); err != nil {
					t.Errorf("push %d: %v", i, err)
				}
			})
		}
		pushes.Wait()
	})
}

// TestUploadsBelongToTheirStarter whatever policies say.
func TestUploadsBelongToTheirStarter(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		b.setPolicy(repo, allows(`"Principal":"*","Action":"ecr:*"`))
		session := func(role, name string) identity.Caller {
			return identity.Caller{
				Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + name, UserID: "AROA" + role + ":" + name,
				Session: &identity.Session{Name: name, RoleARN: "arn:aws:iam::" + account + ":role/" + role},
			}
		}
		for _, role := range []string{"CI", "CD"} {
			err := b.db.Access().Update(t.Context(), func(tx access.Tx) error {
				arn := "arn:aws:iam::" + account + ":role/" + role
				return tx.InsertPrincipal(t.Context(), access.Principal{ID: "AROA" + role, Kind: access.Role, Name: role, Path: "/", ARN: arn, CreatedAt: b.now})
			})
			if err != nil {
				t.Fatalf("InsertPrincipal: %v", err)
			}
		}
		ann, bob := b.user("ann"), b.user("bob")
		for _, tt := range []struct {
			name         string
			one, another identity.Caller
			same         bool
		}{
			{"two users", ann, bob, false},
			{"root and a user", root, bob, false},
			{"a user and root", ann, root, false},
			{"two sessions of a role", session("CI", "run-1"), session("CI", "run-2"), true},
			{"sessions of two roles", session("CI", "run-1"), session("CD", "run-1"), false},
			{"nobody twice", identity.Caller{}, identity.Caller{}, false},
		} {
			u, err := b.StartUpload(t.Context(), tt.one, repo, "")
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			body := registry.Part{Start: registry.Anywhere, Size: 1, Body: strings.NewReader("x")}
			for what, do := range map[string]func() error{
				"Upload":       func() error { _, err := b.Upload(t.Context(), tt.another, repo, u.ID); return err },
				"AppendUpload": func() error { _, err := b.AppendUpload(t.Context(), tt.another, repo, u.ID, body); return err },
				"CompleteUpload": func() error {
					_, err := b.CompleteUpload(t.Context(), tt.another, repo, u.ID, registry.Completion{Digest: oci.FromBytes(nil)})
					return err
				},
				"CancelUpload": func() error { return b.CancelUpload(t.Context(), tt.another, repo, u.ID) },
			} {
				if tt.same && what != "Upload" {
					continue
				}
				err := do()
				if tt.same && err != nil || !tt.same && !errors.Is(err, fault.UploadNotFound) {
					t.Errorf("%s: %s: %v", tt.name, what, err)
				}
			}
		}
	})
}

// TestAPageTokenIsNoPermission: it is asked for each page.
func TestAPageTokenIsNoPermission(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		for i := range 3 {
			b.pushNew(fmt.Sprint("img", i), fmt.Sprint("v", i))
		}
		ann, bob := b.user("ann", allows(`"Action":"ecr:*","Resource":"*"`)), b.user("bob")
		page, err := b.Images(t.Context(), ann, repo, registry.ImageFilter{}, 1, "")
		if err != nil || page.Next == "" {
			t.Fatalf("the first page: %+v, %v", page, err)
		}
		_, err = b.Images(t.Context(), bob, repo, registry.ImageFilter{}, 1, page.Next)
		wantAllowed(t, "another's next page", err, false)
		_, err = b.Images(t.Context(), ann, repo, registry.ImageFilter{}, 1, page.Next)
		wantAllowed(t, "the next page", err, true)
	})
}

// TestLayersOfOtherRepositories can be neither read by digest nor mounted.
func TestLayersOfOtherRepositories(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		b.create(registry.NewRepository{Name: other})
		secret := b.layer(repo, "secret").Digest
		who := b.user("ann", allows(`"Action":"ecr:*","Resource":"`+b.ARN(other)+`"`))
		_, err := b.Layer(t.Context(), who, repo, secret)
		wantAllowed(t, "reading it where it is", err, false)
		_, err = b.Layer(t.Context(), who, other, secret)
		wantFault(t, "reading it where one may read", err, fault.LayerNotFound)
		for _, from := range []string{repo, ""} {
			if _, mounted, err := b.MountLayer(t.Context(), who, other, secret, from); mounted || err != nil {
				t.Errorf("mounting from %q: %v, %v", from, mounted, err)
			}
		}
		b.setPolicy(repo, allows(`"Principal":{"AWS":"`+who.ARN+`"},"Action":"`+string(policy.GetDownloadURLForLayer)+`"`))
		if _, mounted, err := b.MountLayer(t.Context(), who, other, secret, ""); !mounted || err != nil {
			t.Errorf("mounting with permission: %v, %v", mounted, err)
		}
	})
}
