package deployment_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func digest(c string) oci.Digest { return oci.Digest("sha256:" + strings.Repeat(c, 64)) }

func record() deployment.Record {
	return deployment.Record{
		ID: "4f1c9a7be2d05836", App: "example-calculator-app", Environment: "prod",
		Image:  oci.Descriptor{MediaType: oci.MediaTypeOCIIndex, Digest: digest("a"), Size: 1609},
		Action: deployment.Promote, From: "staging", Outcome: deployment.Started, Actor: "arn:aws:iam::123456789012:user/ada",
		Commit: "c3d4e5f6", At: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), Previous: digest("b"),
	}
}

func parse(t *testing.T, raw []byte) (deployment.Record, error) {
	t.Helper()
	m, err := oci.ParseManifest("", raw)
	if err != nil {
		t.Fatalf("%s is no manifest: %v", raw, err)
	}
	return deployment.Parse(m)
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	failed := record()
	failed.Outcome, failed.Reason, failed.Action, failed.From, failed.Commit, failed.Previous = deployment.Failed, "no answer in 60 s", deployment.Deploy, "", "", ""
	for name, r := range map[string]deployment.Record{"all that there is": record(), "no more than must be": failed} {
		raw, err := r.Manifest()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := parse(t, raw)
		if diff := cmp.Diff(r, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		if again, err := r.Manifest(); err != nil || string(again) != string(raw) {
			t.Errorf("%s: the second time its manifest is %s (%v)", name, again, err)
		}
	}
}

// TestTheDocumentedRecordIsOne reads the example and the patterns of the page that documents the format.
func TestTheDocumentedRecordIsOne(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/design/deployments.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) != 2 {
		t.Fatalf("the page has %d blocks of JSON, want the example and the schema", len(blocks))
	}
	r, err := parse(t, blocks[0][1])
	if err != nil {
		t.Fatal(err)
	}
	if r.Tag() != "deploy-prod-example-calculator-app" || r.Outcome != deployment.Started || r.Previous == "" {
		t.Errorf("the example is %+v", r)
	}
	var schema struct {
		Properties struct {
			ArtifactType struct{ Const string }
			Annotations  struct {
				Required      []string
				Properties    map[string]struct{ Pattern string }
				PropertyNames struct{ Pattern string }
			}
		}
	}
	if err := json.Unmarshal(blocks[1][1], &schema); err != nil {
		t.Fatal(err)
	}
	full := record()
	full.Outcome, full.Reason = deployment.Failed, "no answer"
	annotations := schema.Properties.Annotations
	if diff := cmp.Diff(slices.Sorted(maps.Keys(full.Annotations())), slices.Sorted(maps.Keys(annotations.Properties))); diff != "" {
		t.Errorf("annotations of the format and of the schema (-want +got):\n%s", diff)
	}
	for key, value := range full.Annotations() {
		if pattern := annotations.Properties[key].Pattern; pattern != "" && !regexp.MustCompile(pattern).MatchString(value) {
			t.Errorf("the schema wants %s to match %s, and %q does not", key, pattern, value)
		}
	}
	least := full
	least.Outcome, least.Reason, least.Action, least.From, least.Commit, least.Previous = deployment.Succeeded, "", deployment.Deploy, "", "", ""
	if diff := cmp.Diff(slices.Sorted(maps.Keys(least.Annotations())), slices.Sorted(slices.Values(annotations.Required))); diff != "" {
		t.Errorf("what must be there, by the format and by the schema (-want +got):\n%s", diff)
	}
	if schema.Properties.ArtifactType.Const != deployment.ArtifactType {
		t.Errorf("the schema is of %q", schema.Properties.ArtifactType.Const)
	}
}

func TestBadRecords(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(r *deployment.Record){
		`the name of its application, "", does not match`:            func(r *deployment.Record) { r.App = "" },
		`the name of its application, "-a", does not match`:          func(r *deployment.Record) { r.App = "-a" },
		`has more than 64 characters`:                                func(r *deployment.Record) { r.App = strings.Repeat("a", 65) },
		`the name of its environment, "prod-", does not match`:       func(r *deployment.Record) { r.Environment = "prod-" },
		`the name of its environment, "a/b", does not match`:         func(r *deployment.Record) { r.Environment = "a/b" },
		`has more than 28 characters`:                                func(r *deployment.Record) { r.Environment = strings.Repeat("a", 29) },
		`the name of its environment, "x y", does not match`:         func(r *deployment.Record) { r.From = "x y" },
		`its id "short" does not match`:                              func(r *deployment.Record) { r.ID = "short" },
		`its action is "", not one of`:                               func(r *deployment.Record) { r.Action = "" },
		`its outcome is "running", not one of`:                       func(r *deployment.Record) { r.Outcome = "running" },
		`it says from where the image comes when it is promoted`:     func(r *deployment.Record) { r.Action = deployment.Rollback },
		`it gives no reason why the deployment failed`:               func(r *deployment.Record) { r.Outcome = deployment.Failed },
		`it gives no reason why the deployment is broken`:            func(r *deployment.Record) { r.Outcome = deployment.Broken },
		`its reason has more than 1024 bytes, or control characters`: func(r *deployment.Record) { r.Reason = "a\nb" },
		`it does not say who deploys`:                                func(r *deployment.Record) { r.Actor = "" },
		`its actor has more than 1024 bytes`:                         func(r *deployment.Record) { r.Actor = strings.Repeat("é", 513) },
		`its commit "v1" does not match`:                             func(r *deployment.Record) { r.Commit = "v1" },
		`its time is none`:                                           func(r *deployment.Record) { r.At = time.Time{} },
		`its time is none of whole seconds`:                          func(r *deployment.Record) { r.At = r.At.Add(time.Millisecond) },
		`its previous record "sha256:1" is no digest`:                func(r *deployment.Record) { r.Previous = "sha256:1" },
		`it has no subject`:                                          func(r *deployment.Record) { r.Image.Digest = "" },
		`its subject "sha1:a" is no digest`:                          func(r *deployment.Record) { r.Image.Digest = "sha1:a" },
		`its subject is of the media type "text/plain"`:              func(r *deployment.Record) { r.Image.MediaType = "text/plain" },
		`its subject has no size`:                                    func(r *deployment.Record) { r.Image.Size = 0 },
	} {
		r := record()
		change(&r)
		_, err := r.Manifest()
		if f, ok := fault.Of(err); !ok || f.Code != fault.ManifestInvalid || !strings.Contains(f.Message, want) {
			t.Errorf("%+v: %v\nwant: %s", r, err, want)
		}
	}
}

func TestBadManifests(t *testing.T) {
	t.Parallel()
	good, err := record().Manifest()
	if err != nil {
		t.Fatal(err)
	}
	empty := `{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + oci.FromBytes([]byte("{}")).String() + `","size":2}`
	for want, swap := range map[string][2]string{
		`its artifact type is "application/x"`:                  {deployment.ArtifactType, "application/x"},
		`it has content`:                                        {`"config":` + empty, `"config":{"mediaType":"application/x","digest":"` + digest("c").String() + `","size":2}`},
		`it has content: its`:                                   {`"layers":[` + empty + `]`, `"layers":[` + empty + `,` + empty + `]`},
		`which means nothing`:                                   {`"vnd.berth.deployment.id"`, `"vnd.berth.deployment.team":"a","vnd.berth.deployment.id"`},
		`its annotation vnd.berth.deployment.commit is empty`:   {`"c3d4e5f6"`, `""`},
		`it has no annotation org.opencontainers.image.created`: {`"org.opencontainers.image.created"`, `"org.opencontainers.image.made"`},
		`no time like 2026-11-24T10:00:00Z`:                     {`2026-11-24T10:00:00Z`, `2026-11-24T11:00:00+01:00`},
		`is "2026-11-24T10:00:00.5Z", no time like`:             {`2026-11-24T10:00:00Z`, `2026-11-24T10:00:00.5Z`},
		`it has no subject`:                                     {`"subject"`, `"object"`},
		`not that of an OCI image manifest`:                     {oci.MediaTypeOCIManifest, oci.MediaTypeDockerManifest},
	} {
		raw := strings.Replace(string(good), swap[0], swap[1], 1)
		if raw == string(good) {
			t.Fatalf("%s has no %s", good, swap[0])
		}
		_, err := parse(t, []byte(raw))
		if f, ok := fault.Of(err); !ok || f.Code != fault.ManifestInvalid || !strings.Contains(f.Message, want) {
			t.Errorf("%s: %v\nwant: %s", raw, err, want)
		}
	}
	for what, raw := range map[string]string{
		"without layers":          strings.Replace(string(good), `"layers":[`+empty+`]`, `"layers":[]`, 1),
		"with another annotation": strings.Replace(string(good), `"vnd.berth.deployment.id"`, `"team":"a","vnd.berth.deployment.id"`, 1),
	} {
		if _, err := parse(t, []byte(raw)); err != nil || raw == string(good) {
			t.Errorf("%s: %v", what, err)
		}
	}
	index := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeOCIIndex + `","artifactType":"` + deployment.ArtifactType + `","manifests":[]}`
	if _, err := parse(t, []byte(index)); err == nil {
		t.Error("an index is a record")
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	for tag, names := range map[string][2]string{
		"deploy-prod-web":          {"prod", "web"},
		"deploy-prod-api-v2":       {"prod", "api-v2"},
		"deploy-us--east-web":      {"us-east", "web"},
		"deploy-us----east-web--x": {"us--east", "web--x"},
		"deploy-p.1_x-A":           {"p.1_x", "A"},
		"deploy-a--b--c-d-e":       {"a-b-c", "d-e"},
		"deploy-a-b--c--d-e":       {"a", "b--c--d-e"},
		"deploy-prod":              {},
		"deploy-prod-":             {},
		"deploy--web":              {},
		"deploy-prod---web":        {}, // an environment that ends, or an application that begins, with a hyphen
		"deploy-prod--web":         {}, // the environment prod-web, and no application
		"deployed-prod-web":        {},
		"deploy-_a-b":              {},
		"deploy-" + strings.Repeat("x", 29) + "-web": {},
	} {
		environment, app, ok := deployment.ParseTag(tag)
		if ok != (names[0] != "") || ok && (environment != names[0] || app != names[1]) {
			t.Errorf("ParseTag(%s) = %q, %q, %v, want %q", tag, environment, app, ok, names)
		}
		if ok && deployment.Tag(environment, app) != tag {
			t.Errorf("the tag of %q and %q is %s, want %s", environment, app, deployment.Tag(environment, app), tag)
		}
	}
}

// TestEachPairOfNamesHasATagOfItsOwn: what is parsed is what was named, so two pairs cannot share a tag.
func TestEachPairOfNamesHasATagOfItsOwn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		environment := rapid.StringMatching(`[ab]([ab._-]{0,26}[ab])?`).Draw(t, "environment")
		app := rapid.StringMatching(`[ab]([ab._-]{0,62}[ab])?`).Draw(t, "app")
		tag := deployment.Tag(environment, app)
		if _, err := oci.ParseTag(tag); err != nil {
			t.Fatalf("%s is no tag: %v", tag, err)
		}
		e, a, ok := deployment.ParseTag(tag)
		if !ok || e != environment || a != app {
			t.Fatalf("ParseTag(%s) = %q, %q, %v, want %q, %q", tag, e, a, ok, environment, app)
		}
	})
}

func TestEnds(t *testing.T) {
	t.Parallel()
	start, end := record(), record()
	end.Outcome = deployment.Succeeded
	if !end.Ends(start) {
		t.Error("the outcome of a deployment does not end it")
	}
	for what, change := range map[string]func(start, end *deployment.Record){
		"another deployment": func(start, _ *deployment.Record) { start.ID = "another-deployment" },
		"another image":      func(start, _ *deployment.Record) { start.Image.Digest = digest("f") },
		"another start":      func(_, end *deployment.Record) { end.Outcome = deployment.Started },
		"ended before":       func(start, _ *deployment.Record) { start.Outcome = deployment.Failed },
	} {
		s, e := start, end
		change(&s, &e)
		if e.Ends(s) {
			t.Errorf("%s: the one ends the other", what)
		}
	}
}

// FuzzParse: what is read as a record is one, and is written and read again as it is.
func FuzzParse(f *testing.F) {
	raw, err := record().Manifest()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(strings.Replace(string(raw), "started", "failed", 1)))
	f.Add([]byte(strings.Replace(string(raw), "prod", "p--d", 1)))
	f.Add([]byte(`{"schemaVersion":2,"artifactType":"` + deployment.ArtifactType + `","manifests":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := oci.ParseManifest("", raw)
		if err != nil {
			return
		}
		r, err := deployment.Parse(m)
		if err != nil {
			if got, ok := fault.Of(err); !ok || got.Code != fault.ManifestInvalid {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		again, err := r.Manifest()
		if err != nil {
			t.Fatalf("%q reads as %+v, which is no record: %v", raw, r, err)
		}
		same, err := parse(t, again)
		if diff := cmp.Diff(r, same); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", raw, err, diff)
		}
		if environment, app, ok := deployment.ParseTag(r.Tag()); !ok || environment != r.Environment || app != r.App {
			t.Errorf("%q: its tag is %s", raw, r.Tag())
		}
		if _, err := oci.ParseTag(r.Tag()); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	})
}
