package distribution_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gcrauthn "github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func options(tb testing.TB, password string) []remote.Option {
	tb.Helper()
	return []remote.Option{remote.WithAuth(&gcrauthn.Basic{Username: "AWS", Password: password}), remote.WithContext(tb.Context())}
}

func (s *server) repository(tb testing.TB, repo string) name.Repository {
	tb.Helper()
	r, err := name.NewRepository(s.host()+"/"+repo, name.Insecure)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func randomImage(tb testing.TB, layerBytes int64, layers int64) v1.Image {
	tb.Helper()
	img, err := random.Image(layerBytes, layers)
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

func digestOf(tb testing.TB, what interface{ Digest() (v1.Hash, error) }) v1.Hash {
	tb.Helper()
	h, err := what.Digest()
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

func TestPushAndPullImages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r, opts := s.repository(t, repo), options(t, "good")
	for tag, img := range map[string]v1.Image{
		"docker": randomImage(t, 100_000, 3),
		"oci":    mutate.ConfigMediaType(mutate.MediaType(randomImage(t, 1000, 1), types.OCIManifestSchema1), types.OCIConfigJSON),
		"bare":   randomImage(t, 1, 0),
	} {
		if err := remote.Write(r.Tag(tag), img, opts...); err != nil {
			t.Fatalf("pushing %s: %v", tag, err)
		}
		got, err := remote.Image(r.Tag(tag), opts...)
		if err != nil {
			t.Fatalf("pulling %s: %v", tag, err)
		}
		if err := validate.Image(got); err != nil {
			t.Errorf("what was pulled of %s: %v", tag, err)
		}
		if want := digestOf(t, img); digestOf(t, got) != want {
			t.Errorf("%s came back as %s, want %s", tag, digestOf(t, got), want)
		}
		if _, err := remote.Head(r.Digest(digestOf(t, img).String()), opts...); err != nil {
			t.Errorf("HEAD of %s by digest: %v", tag, err)
		}
	}
	tags, err := remote.List(r, opts...)
	if d := cmp.Diff([]string{"bare", "docker", "oci"}, tags); err != nil || d != "" {
		t.Errorf("listing tags: %v (-want +got)\n%s", err, d)
	}
	repositories, err := remote.Catalog(t.Context(), r.Registry, opts...)
	if err != nil || !slices.Contains(repositories, repo) {
		t.Errorf("the catalog: %v, %v", repositories, err)
	}
	if err := remote.Delete(r.Tag("oci"), opts...); err != nil {
		t.Errorf("deleting a tag: %v", err)
	}
	if _, err := remote.Head(r.Tag("oci"), opts...); err == nil {
		t.Error("a deleted tag is there")
	}
}

func TestPushAndPullIndexes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r, opts := s.repository(t, repo), options(t, "good")
	inner, err := random.Index(1000, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	outer := mutate.AppendManifests(inner, mutate.IndexAddendum{Add: inner}, mutate.IndexAddendum{Add: randomImage(t, 10, 1)})
	if err := remote.WriteIndex(r.Tag("nested"), outer, opts...); err != nil {
		t.Fatalf("pushing a nested index: %v", err)
	}
	got, err := remote.Index(r.Tag("nested"), opts...)
	if err != nil {
		t.Fatalf("pulling a nested index: %v", err)
	}
	if err := validate.Index(got); err != nil || digestOf(t, got) != digestOf(t, outer) {
		t.Errorf("%s came back as %s: %v", digestOf(t, outer), digestOf(t, got), err)
	}
}

func TestMountAndReferTo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.createRepository(t, "elsewhere")
	opts := options(t, "good")
	from, to := s.repository(t, repo), s.repository(t, "elsewhere")
	if err := remote.Write(from.Tag("v1"), randomImage(t, 1000, 2), opts...); err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(from.Tag("v1"), opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(to.Tag("v1"), img, opts...); err != nil { // mounts, since it knows where the layers come from
		t.Fatalf("copying: %v", err)
	}
	d, err := remote.Get(to.Tag("v1"), opts...)
	if err != nil {
		t.Fatal(err)
	}
	sbom, ok := mutate.Subject(mutate.MediaType(randomImage(t, 10, 1), types.OCIManifestSchema1), d.Descriptor).(v1.Image)
	if !ok {
		t.Fatal("an image with a subject is no image")
	}
	if err := remote.Write(to.Digest(digestOf(t, sbom).String()), sbom, opts...); err != nil {
		t.Fatalf("pushing a referrer: %v", err)
	}
	referrers, err := remote.Referrers(to.Digest(d.Digest.String()), opts...)
	if err != nil {
		t.Fatal(err)
	}
	list, err := referrers.IndexManifest()
	if err != nil || len(list.Manifests) != 1 || list.Manifests[0].Digest != digestOf(t, sbom) {
		t.Errorf("referrers are %+v, %v", list, err)
	}
}

// TestRealCredentials pushes with a token and fetches by a link, both as the registry issues them.
func TestRealCredentials(t *testing.T) {
	t.Parallel()
	db := metadbtest.New(t)
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	directory := identity.NewDirectory(identity.Config{Store: db, Master: master, Account: account, Now: time.Now})
	key, _, err := directory.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	credentials := authn.New(authn.Config{Directory: directory, Now: time.Now})
	s := serverOn(t, db, t.TempDir(), func(c *distribution.Config) {
		c.Auth, c.LinkCaller = credentials, key.Principal
	})
	s.createRepository(t, repo)
	token, _, err := credentials.IssueToken(t.Context(), key.Principal)
	if err != nil {
		t.Fatal(err)
	}
	r := s.repository(t, repo)
	if err := remote.Write(r.Tag("v1"), randomImage(t, 1000, 1), options(t, token)...); err != nil {
		t.Fatalf("pushing with a token: %v", err)
	}
	if err := remote.Write(r.Tag("v2"), randomImage(t, 1000, 1), options(t, token+"x")...); err == nil {
		t.Error("a token that was changed is good")
	}
	d := oci.FromBytes([]byte("hello"))
	wantStatus(t, s.call(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+d.String(), []byte("hello"), "Authorization", basic(token)), http.StatusCreated)
	path := "/v2/" + repo + "/blobs/" + d.String()
	query, err := credentials.SignLink(t.Context(), path, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	res := s.call(t, http.MethodGet, path+"?"+query, nil, "Authorization", "")
	wantStatus(t, res, http.StatusOK)
	if string(res.body) != "hello" {
		t.Errorf("the link gives %q", res.body)
	}
	other := "/v2/" + repo + "/blobs/" + someDigest
	wantStatus(t, s.call(t, http.MethodGet, other+"?"+query, nil, "Authorization", ""), http.StatusForbidden)
}

// TestCommandLineClients pushes and pulls with the programs people use, where they are installed: above all
// to see that they all follow a Location without a host.
func TestCommandLineClients(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	file := filepath.Join(t.TempDir(), "file.txt")
	if err := os.WriteFile(file, bytes.Repeat([]byte("hello\n"), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	seed, at := randomImage(t, 1<<20, 2), s.host()+"/"+repo
	for program, commands := range map[string][][]string{
		"crane": {
			{"auth", "login", s.host(), "-u", "AWS", "-p", "good"},
			{"copy", "--insecure", at + ":seed", at + ":crane"},
			{"append", "--insecure", "-f", "TAR", "-t", at + ":crane-append"},
			{"pull", "--insecure", at + ":crane", "OUT"},
			{"push", "--insecure", "OUT", at + ":crane-pushed"},
			{"ls", "--insecure", at},
			{"validate", "--insecure", "--remote", at + ":crane-pushed"},
		},
		"oras": {
			{"push", "--plain-http", "--registry-config", "CONFIG", at + ":oras", "file.txt:text/plain"},
			{"attach", "--plain-http", "--registry-config", "CONFIG", "--artifact-type", "application/sbom", at + ":oras", "file.txt:text/plain"},
			{"discover", "--plain-http", "--registry-config", "CONFIG", at + ":oras"},
			{"pull", "--plain-http", "--registry-config", "CONFIG", "-o", "OUT", at + ":oras"},
			{"cp", "--from-plain-http", "--to-plain-http", "--from-registry-config", "CONFIG", "--to-registry-config", "CONFIG", "-r", at + ":oras", at + ":oras-copy"},
		},
		"regctl": {
			{"registry", "set", s.host(), "--tls", "disabled"},
			{"registry", "login", s.host(), "-u", "AWS", "-p", "good", "--skip-check"},
			{"artifact", "put", "--artifact-type", "application/x", "-f", "file.txt", at + ":regctl"},
			{"artifact", "get", at + ":regctl"},
			{"image", "export", at + ":seed", "OUT"},
			{"image", "import", at + ":regctl-import", "OUT"},
			{"tag", "ls", at},
			{"tag", "rm", at + ":regctl"},
		},
		"skopeo": {
			{"copy", "--src-tls-verify=false", "--src-creds", "AWS:good", "docker://" + at + ":seed", "dir:OUT"},
			{"copy", "--dest-tls-verify=false", "--dest-creds", "AWS:good", "dir:OUT", "docker://" + at + ":skopeo"},
			{"inspect", "--tls-verify=false", "--creds", "AWS:good", "docker://" + at + ":skopeo"},
			{"delete", "--tls-verify=false", "--creds", "AWS:good", "docker://" + at + ":skopeo"},
		},
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(program)
			if err != nil {
				if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
					t.Fatalf("%s is required and not on PATH", program)
				}
				t.Skipf("%s is not on PATH", program)
			}
			s.createRepository(t, repo+"/"+program)
			if err := remote.Write(s.repository(t, repo+"/"+program).Tag("seed"), seed, options(t, "good")...); err != nil {
				t.Fatal(err)
			}
			for _, args := range commands {
				for i, a := range args {
					args[i] = strings.ReplaceAll(a, at, at+"/"+program)
				}
			}
			s.runClient(t, path, file, commands)
		})
	}
}

// runClient runs commands one after the other, each of which must succeed.
func (s *server) runClient(t *testing.T, path, file string, commands [][]string) {
	t.Helper()
	home := t.TempDir()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"file.txt": content, "config.json": []byte(`{"auths":{"` + s.host() + `":{"auth":"` + basic("good")[len("Basic "):] + `"}}}`), "empty.tar": make([]byte, 1024),
	} {
		if err := os.WriteFile(filepath.Join(home, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range commands {
		for i, a := range args {
			switch a {
			case "CONFIG":
				args[i] = filepath.Join(home, "config.json")
			case "TAR":
				args[i] = filepath.Join(home, "empty.tar")
			case "OUT", "dir:OUT":
				args[i] = a[:len(a)-len("OUT")] + filepath.Join(home, "out")
			}
		}
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Dir = home
		cmd.Env = []string{"HOME=" + home, "DOCKER_CONFIG=" + home, "REGCTL_CONFIG=" + filepath.Join(home, "regctl.json"), "PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + home}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", filepath.Base(path), args, err, out)
		}
	}
}
