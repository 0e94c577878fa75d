package distribution_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gcrauthn "github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// guarded is a server with real credentials, whose registry asks the real room for permissions.
type guarded struct {
	*server
	db        *metadb.DB
	directory *identity.Directory
	auth      *authn.Authenticator
	root      identity.Caller
	asked     *questions
}

// questions notes what was asked in the name of users.
type questions struct {
	registry.Access
	mu  sync.Mutex
	all []string
}

// Authorize implements registry.Access.
func (q *questions) Authorize(ctx context.Context, caller identity.Caller, r policy.Request) error {
	q.mu.Lock()
	q.all = append(q.all, string(r.Action)+" "+r.Resource)
	q.mu.Unlock()
	return q.Access.Authorize(ctx, caller, r)
}

func (q *questions) take() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.all
	q.all = nil
	slices.Sort(taken)
	return slices.Compact(taken)
}

func newGuarded(t *testing.T, db *metadb.DB, adjust ...func(*distribution.Config)) *guarded {
	t.Helper()
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{db: db}
	g.directory = identity.NewDirectory(identity.Config{Store: db, Master: master, Account: account, Now: time.Now})
	key, _, err := g.directory.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.root = key.Principal
	g.auth = authn.New(authn.Config{Directory: g.directory, Now: time.Now})
	g.asked = &questions{Access: access.New(access.Config{
		Store: db.Access(), Directory: g.directory, Account: account, Region: "us-east-1", Now: time.Now,
	})}
	disk, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	bytes := &blobs{Store: disk}
	r := registry.New(registry.Config{Store: db, Blobs: bytes, Account: account, Region: "us-east-1", Now: time.Now, Access: g.asked})
	g.server = serverOn(t, db, t.TempDir(), append(adjust, func(c *distribution.Config) {
		c.Registry, c.Auth, c.LinkCaller = r, g.auth, identity.Service(account, "download-links")
	})...)
	g.registry, g.server.blobs = r, bytes
	g.createRepository(t, repo)
	return g
}

// user makes one with a policy of the statement and gives a password.
func (g *guarded) user(t *testing.T, name, statement string) string {
	t.Helper()
	who := identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":user/" + name, UserID: "AIDA" + strings.ToUpper(name) + "0000000000"}
	key, sealed, err := g.directory.NewKey(who)
	if err != nil {
		t.Fatal(err)
	}
	err = g.db.Access().Update(t.Context(), func(tx access.Tx) error {
		p := access.Principal{ID: who.UserID, Kind: access.User, Name: name, Path: "/", ARN: who.ARN, CreatedAt: time.Now()}
		return errors.Join(tx.InsertPrincipal(t.Context(), p), tx.InsertKey(t.Context(), sealed),
			tx.PutInlinePolicy(t.Context(), who.UserID, access.InlinePolicy{Name: "own", Document: `{"Version":"2012-10-17","Statement":[` + statement + `]}`}))
	})
	if err != nil {
		t.Fatalf("making user %s: %v", name, err)
	}
	return g.password(t, key.Principal)
}

func (g *guarded) password(t *testing.T, who identity.Caller) string {
	t.Helper()
	password, _, err := g.auth.IssueToken(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	return password
}

// open lets everybody pull.
func (g *guarded) open(t *testing.T, condition string) {
	t.Helper()
	text := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
		"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:BatchCheckLayerAvailability","ecr:ListImages"]` + condition + `}]}`
	if err := g.registry.SetRepositoryPolicy(t.Context(), g.root, repo, text, false); err != nil {
		t.Fatal(err)
	}
}

func eachGuarded(t *testing.T, test func(t *testing.T, g *guarded)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		test(t, newGuarded(t, db))
	})
}

// pushing is what docker push needs (ECR User Guide, "IAM permissions for pushing an image").
const pushing = `"Effect":"Allow","Action":["ecr:BatchCheckLayerAvailability","ecr:BatchGetImage","ecr:InitiateLayerUpload",
	"ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"],"Resource":"arn:aws:ecr:us-east-1:` + account + `:repository/`

// TestATeamPushesToItsRepositories with ECR's permissions for it, and nowhere else.
func TestATeamPushesToItsRepositories(t *testing.T) {
	t.Parallel()
	eachGuarded(t, func(t *testing.T, g *guarded) {
		g.createRepository(t, "team-a/app")
		g.createRepository(t, "team-b/app")
		ann := g.user(t, "ann", `{`+pushing+`team-a/*"}`)
		opts := options(t, ann)
		img := randomImage(t, 1000, 2)
		if err := remote.Write(g.repository(t, "team-a/app").Tag("v1"), img, opts...); err != nil {
			t.Fatalf("pushing to one's own: %v", err)
		}
		var want []string
		for _, action := range []string{"BatchCheckLayerAvailability", "BatchGetImage", "CompleteLayerUpload", "InitiateLayerUpload", "PutImage", "UploadLayerPart"} {
			want = append(want, "ecr:"+action+" arn:aws:ecr:us-east-1:"+account+":repository/team-a/app")
		}
		if diff := cmp.Diff(want, g.asked.take()); diff != "" {
			t.Errorf("a push asks (-want +got):\n%s", diff)
		}
		for _, name := range []string{"team-b/app", "none/such"} {
			err := remote.Write(g.repository(t, name).Tag("v1"), img, opts...)
			wantDenied(t, err, http.StatusForbidden) // to a HEAD, which has no body
			res := g.call(t, "POST", "/v2/"+name+"/blobs/uploads/", nil, "Authorization", "Basic "+basicOf("AWS", ann))
			wantStatus(t, res, http.StatusForbidden)
			want := `{"errors":[{"code":"DENIED","message":"User: arn:aws:iam::` + account + `:user/ann is not authorized to perform: ecr:InitiateLayerUpload` +
				` on resource: arn:aws:ecr:us-east-1:` + account + `:repository/` + name + ` because no identity-based policy allows the ecr:InitiateLayerUpload action"}]}` + "\n"
			if got := string(res.body); got != want {
				t.Errorf("refused with %s, want %s", got, want)
			}
		}
		_, err := remote.List(g.repository(t, "team-a/app"), opts...)
		wantDenied(t, err, http.StatusForbidden, "ecr:ListImages")
	})
}

// wantDenied wants DENIED with words.
func wantDenied(t *testing.T, err error, status int, words ...string) {
	t.Helper()
	refused, ok := errors.AsType[*transport.Error](err)
	if !ok || refused.StatusCode != status {
		t.Errorf("%v, want it refused with %d", err, status)
		return
	}
	for _, w := range words {
		if len(refused.Errors) == 0 || refused.Errors[0].Code != "DENIED" || !strings.Contains(refused.Errors[0].Message, w) {
			t.Errorf("refused with %v, want DENIED and the words %q", refused.Errors, w)
		}
	}
}

// TestPublicRepository is pulled without credentials, and with, and not pushed to without.
func TestPublicRepository(t *testing.T) {
	t.Parallel()
	eachGuarded(t, func(t *testing.T, g *guarded) {
		g.createRepository(t, "secret/app")
		img := randomImage(t, 1000, 2)
		mine := options(t, g.password(t, g.root))
		for _, name := range []string{repo, "secret/app"} {
			if err := remote.Write(g.repository(t, name).Tag("v1"), img, mine...); err != nil {
				t.Fatal(err)
			}
		}
		nobody := []remote.Option{remote.WithAuth(gcrauthn.Anonymous), remote.WithContext(t.Context())}
		pull := func(name string, opts []remote.Option) error {
			got, err := remote.Image(g.repository(t, name).Tag("v1"), opts...)
			if err != nil {
				return err
			}
			layers, err := got.Layers()
			if err != nil {
				return err
			}
			for _, l := range layers {
				rc, err := l.Compressed()
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, rc)
				if err = errors.Join(err, rc.Close()); err != nil {
					return err
				}
			}
			return nil
		}
		wantDenied(t, pull(repo, nobody), http.StatusUnauthorized)
		g.open(t, "")
		if err := pull(repo, nobody); err != nil {
			t.Errorf("pulling what is public: %v", err)
		}
		if tags, err := remote.List(g.repository(t, repo), nobody...); err != nil || len(tags) != 1 {
			t.Errorf("listing what is public: %v, %v", tags, err)
		}
		for _, name := range []string{"secret/app", "none/such"} {
			wantDenied(t, pull(name, nobody), http.StatusUnauthorized)
		}
		wantDenied(t, remote.Write(g.repository(t, repo).Tag("v2"), img, nobody...), http.StatusUnauthorized)
		if _, err := remote.Catalog(t.Context(), g.repository(t, repo).Registry, nobody...); err == nil {
			t.Error("nobody reads the catalog")
		}
		ann := options(t, g.user(t, "ann", `{`+pushing+`secret/*"}`))
		if err := remote.Write(g.repository(t, "secret/app").Tag("v2"), randomImage(t, 1000, 1), ann...); err != nil {
			t.Errorf("pushing with credentials: %v", err)
		}
		if err := pull(repo, ann); err != nil {
			t.Errorf("pulling what is public with credentials: %v", err)
		}
		g.open(t, `,"Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`)
		wantDenied(t, pull(repo, nobody), http.StatusUnauthorized)
		g.open(t, `,"Condition":{"IpAddress":{"aws:SourceIp":["127.0.0.0/8","::1"]}}`)
		if err := pull(repo, nobody); err != nil {
			t.Errorf("pulling from where it is public: %v", err)
		}
	})
}

// TestBearerChallenge is what clients without credentials are told, byte for byte.
func TestBearerChallenge(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, metadbtest.New(t))
	manifest := []byte("{}")
	const service = `,service="ecr.amazonaws.com"`
	basic, bearer := `Basic realm="`+g.URL+`/"`+service, `Bearer realm="`+g.URL+`/v2/token"`+service
	check := func(method, path, authorization, want string) {
		t.Helper()
		res := g.call(t, method, path, manifest, "Authorization", authorization)
		wantStatus(t, res, http.StatusUnauthorized)
		wantHeader(t, res, "Www-Authenticate", want)
		body := "Not Authorized\n"
		if strings.HasPrefix(want, "Bearer ") { // docker reads what comes with these, and complains of anything else
			body = `{"errors":[{"code":"UNAUTHORIZED","message":"Not Authorized"}]}` + "\n"
		}
		if string(res.body) != body {
			t.Errorf("%s %s says %q, want %q", method, path, res.body, body)
		}
	}
	for _, none := range []string{"", "Basic Og=="} {
		check("GET", "/v2/", none, basic)
		check("GET", "/v2/"+repo+"/manifests/x", none, basic)
		check("GET", "/v2/"+repo+"/manifests/sha256:zz", none, basic)
	}
	g.open(t, "")
	anonymous := g.token(t, "GET", "", nil)
	// Behind a proxy that ends TLS, and that nobody told the server to trust, credentials do not go on in the clear.
	res := g.call(t, "GET", "/v2/", nil, "X-Forwarded-Proto", "https")
	wantHeader(t, res, "Www-Authenticate", strings.Replace(bearer, "http://", "https://", 1))
	for _, none := range []string{"", "Basic Og=="} {
		check("GET", "/v2/", none, bearer)
		check("GET", "/v2/_catalog", none, bearer)
		check("GET", "/v2/secret/app/manifests/x", none, bearer+`,scope="repository:secret/app:pull"`)
		check("POST", "/v2/"+repo+"/blobs/uploads/", none, bearer+`,scope="repository:`+repo+`:pull,push"`)
		wantStatus(t, g.call(t, "GET", "/v2/"+repo+"/manifests/x", nil, "Authorization", none), http.StatusNotFound)
		wantStatus(t, g.call(t, "GET", "/v2/token/manifests/x", nil, "Authorization", none), http.StatusUnauthorized)
	}
	check("GET", "/v2/secret/app/manifests/x", "Bearer "+anonymous, bearer+`,scope="repository:secret/app:pull",error="insufficient_scope"`)
	check("PUT", "/v2/"+repo+"/manifests/x", "Bearer "+anonymous, bearer+`,scope="repository:`+repo+`:pull,push",error="insufficient_scope"`)
	wantStatus(t, g.call(t, "GET", "/v2/", nil, "Authorization", "Bearer "+anonymous), http.StatusOK)
	wantStatus(t, g.call(t, "GET", "/v2/"+repo+"/manifests/x", nil, "Authorization", "Bearer "+anonymous), http.StatusNotFound)
	for _, bad := range []string{anonymous[:len(anonymous)-1], anonymous + "A", "berth_anonymous_", "berth_anonymous_!", "berth_x", ""} {
		wantStatus(t, g.call(t, "GET", "/v2/", nil, "Authorization", "Bearer "+bad), http.StatusUnauthorized)
	}
	wantStatus(t, g.call(t, "GET", "/v2/", nil, "Authorization", "Basic "+basicOf("AWS", anonymous)), http.StatusUnauthorized)
}

func basicOf(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ")
}

// token exchanges credentials.
func (g *guarded) token(t *testing.T, method, authorization string, form url.Values) string {
	t.Helper()
	res := g.call(t, method, "/v2/token?service=x&scope=repository:a:pull", []byte(form.Encode()),
		"Authorization", authorization, "Content-Type", "application/x-www-form-urlencoded")
	wantStatus(t, res, http.StatusOK)
	wantHeader(t, res, "Cache-Control", "no-store")
	var got map[string]any
	if err := json.Unmarshal(res.body, &got); err != nil {
		t.Fatalf("%s: %v", res.body, err)
	}
	issued, _ := got["issued_at"].(string)
	if at, err := time.Parse(time.RFC3339, issued); err != nil || time.Since(at) > time.Minute {
		t.Errorf("issued_at is %q", issued)
	}
	lasts, _ := got["expires_in"].(float64)
	if got["token"] != got["access_token"] || lasts < 60 || len(got) != 5 {
		t.Errorf("the answer has %v: %s", slices.Sorted(maps.Keys(got)), res.body)
	}
	token, _ := got["token"].(string)
	return token
}

// TestTokenExchange gives those who have credentials their own token back.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, metadbtest.New(t))
	password := g.user(t, "ann", `{`+pushing+`team-a/*"}`)
	credentials := "Basic " + basicOf("AWS", password)
	for _, got := range []string{
		g.token(t, "GET", credentials, nil),
		g.token(t, "POST", credentials, nil),
		g.token(t, "POST", "", url.Values{"grant_type": {"password"}, "username": {"AWS"}, "password": {password}}),
	} {
		if got != password {
			t.Errorf("the token is %q, want the one there was", got)
		}
	}
	if got := g.token(t, "POST", "", nil); got == password {
		t.Error("nobody has ann's token")
	}
	wantStatus(t, g.call(t, "GET", "/v2/", nil, "Authorization", "Bearer "+password), http.StatusOK)
	res := g.call(t, "GET", "/v2/team-b/app/tags/list", nil, "Authorization", "Bearer "+password)
	wantStatus(t, res, http.StatusForbidden)
	if !strings.Contains(string(res.body), "user/ann is not authorized") {
		t.Errorf("the token's refusal says %s", res.body)
	}
	for _, bad := range []struct{ user, password string }{{"AWS", password + "x"}, {"AWS", ""}, {"root", password}} {
		for _, res := range []response{
			g.call(t, "GET", "/v2/token", nil, "Authorization", "Basic "+basicOf(bad.user, bad.password)),
			g.call(t, "POST", "/v2/token", []byte(url.Values{"grant_type": {"password"}, "username": {bad.user}, "password": {bad.password}}.Encode()),
				"Authorization", "", "Content-Type", "application/x-www-form-urlencoded"),
		} {
			wantStatus(t, res, http.StatusUnauthorized)
			wantHeader(t, res, "Www-Authenticate", `Basic realm="`+g.URL+`/",service="ecr.amazonaws.com"`)
		}
	}
	form := []byte("grant_type=refresh_token&refresh_token=x")
	wantStatus(t, g.call(t, "POST", "/v2/token", form, "Authorization", "", "Content-Type", "application/x-www-form-urlencoded"), http.StatusBadRequest)
	long := []byte("grant_type=" + strings.Repeat("x", 20<<10))
	wantStatus(t, g.call(t, "POST", "/v2/token", long, "Authorization", "", "Content-Type", "application/x-www-form-urlencoded"), http.StatusBadRequest)
}

// TestUploadOfAnother is not there for others, whoever may upload.
func TestUploadOfAnother(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, metadbtest.New(t))
	ann, bob := g.user(t, "ann", `{`+pushing+`*"}`), g.user(t, "bob", `{`+pushing+`*"}`)
	start := g.call(t, "POST", "/v2/"+repo+"/blobs/uploads/", nil, "Authorization", "Basic "+basicOf("AWS", ann))
	wantStatus(t, start, http.StatusAccepted)
	at := start.header.Get("Location")
	for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
		path := at
		if method == "PUT" {
			path += "?digest=" + oci.FromBytes(nil).String()
		}
		wantStatus(t, g.call(t, method, path, nil, "Authorization", "Basic "+basicOf("AWS", bob)), http.StatusNotFound)
	}
	wantStatus(t, g.call(t, "GET", at, nil, "Authorization", "Basic "+basicOf("AWS", ann)), http.StatusNoContent)
}

// TestLinksForNobody: who may read a layer is sent to the bucket, and by a signed link reads it here, without credentials.
func TestLinksForNobody(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, metadbtest.New(t), func(c *distribution.Config) { c.Redirect = true })
	body := registry.Part{Start: registry.Anywhere, Size: 5, Body: strings.NewReader("hello")}
	layer := oci.FromBytes([]byte("hello"))
	if _, err := g.registry.PutLayer(t.Context(), g.root, repo, layer, body); err != nil {
		t.Fatal(err)
	}
	path := "/v2/" + repo + "/blobs/" + layer.String()
	query, err := g.auth.SignLink(t.Context(), path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, g.call(t, "GET", path, nil, "Authorization", ""), http.StatusUnauthorized)
	if res := g.call(t, "GET", path+"?"+query, nil, "Authorization", ""); string(res.body) != "hello" {
		t.Errorf("the link gives %d %q", res.status, res.body)
	}
	g.open(t, "")
	if res := g.call(t, "GET", path, nil, "Authorization", ""); string(res.body) != "hello" {
		t.Errorf("what is public is %d %q", res.status, res.body)
	}
	g.blobs.link = "https://bucket.example/layer"
	res := g.call(t, "GET", path, nil, "Authorization", "Bearer "+g.token(t, "GET", "", nil))
	wantStatus(t, res, http.StatusTemporaryRedirect)
	wantHeader(t, res, "Location", g.blobs.link)
}
