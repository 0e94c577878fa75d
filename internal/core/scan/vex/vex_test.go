package vex_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
)

const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// document writes one whose statements are given.
func document(members string, statements ...string) string {
	return `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://a.test/1","author":"alice","timestamp":"2026-11-01T00:00:00Z","version":1` +
		members + `,"statements":[` + strings.Join(statements, ",") + `]}`
}

const ends = `,"expires":"2027-01-01T00:00:00Z"`

func statement(name, status, members string) string {
	return fmt.Sprintf(`{"vulnerability":{"name":%q},"status":%q%s}`, name, status, members)
}

const because = `,"justification":"vulnerable_code_not_present","impact_statement":"we do not call it"`

func TestParse(t *testing.T) {
	t.Parallel()
	text := document(ends, `{"vulnerability":{"@id":"https://nvd.test/CVE-1","name":"CVE-1","description":"x","aliases":["GHSA-1"]},
		"products":[{"@id":"pkg:oci/app@sha256%3A`+digest[7:]+`?repository_url=host.test:5000/team/app","subcomponents":[{"@id":"pkg:deb/debian/openssl@3.0.1-1%2Bdeb12?arch=amd64"},{"@id":"zlib"}]},
			{"@id":"pkg:oci/app?repository_url=host.test/team/app"},{"@id":"pkg:npm/%40scope/x@1.0"},{"@id":"my app","identifiers":{"purl":"pkg:maven/org.a/b"}},
			{"@id":"the image","hashes":{"sha-256":"`+digest[7:]+`"}},{"@id":"host.test/app@`+digest+`"},{"@id":"pkg:oci/app?tag=1"}],
		"status":"not_affected","justification":"vulnerable_code_not_present","impact_statement":"we do\n not call it","supplier":"bob","timestamp":"2026-11-02T01:00:00+01:00","expires":"2026-12-01T00:00:00Z"}`,
		statement("CVE-2", "affected", ""))
	got, err := vex.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	made, until := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	want := vex.Document{ID: "https://a.test/1", Author: "alice", Timestamp: made, Statements: []vex.Statement{
		{
			Vulnerability: "CVE-1", Aliases: []string{"GHSA-1"}, Status: vex.NotAffected, Justification: "vulnerable_code_not_present", Owner: "bob",
			Reason: "vulnerable code not present: we do not call it", Timestamp: made.AddDate(0, 0, 1), Expires: until.AddDate(0, -1, 0),
			Products: []vex.Product{
				{
					ID: "pkg:oci/app@sha256%3A" + digest[7:] + "?repository_url=host.test:5000/team/app", Digest: digest, Repository: "team/app",
					Packages: []vex.Package{{Type: "deb", Name: "openssl", Version: "3.0.1-1+deb12"}, {Name: "zlib"}},
				},
				{ID: "pkg:oci/app?repository_url=host.test/team/app", Repository: "team/app"},
				{ID: "pkg:npm/%40scope/x@1.0", Packages: []vex.Package{{Type: "npm", Name: "@scope/x", Version: "1.0"}}},
				{ID: "pkg:maven/org.a/b", Packages: []vex.Package{{Type: "maven", Name: "org.a:b"}}},
				{ID: "the image", Digest: digest},
				{ID: "host.test/app@" + digest, Digest: digest},
				{ID: "pkg:oci/app?tag=1"},
			},
		},
		{Vulnerability: "CVE-2", Status: vex.Affected, Owner: "alice", Timestamp: made, Expires: until},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"other context":    {strings.Replace(document(ends, statement("CVE-1", "fixed", because)), "v0.2.0", "v0.0.1", 1), "@context"},
		"no statements":    {document(ends), "no statements"},
		"no JSON":          {"x", "no OpenVEX"},
		"more after it":    {document(ends, statement("CVE-1", "affected", "")) + "{}", "goes on"},
		"not UTF-8":        {document(ends, statement("CVE-1", "affected", "")) + "\xff", "UTF-8"},
		"no owner":         {strings.Replace(document(ends, statement("CVE-1", "fixed", because)), `"alice"`, `" "`, 1), `statement 1 (CVE-1) has no owner: add "supplier"`},
		"no reason":        {document(ends, statement("CVE-1", "not_affected", "")), "has no reason: add"},
		"no end":           {document("", statement("CVE-1", "not_affected", because)), `has no end: add "expires"`},
		"bad end":          {document("", statement("CVE-1", "not_affected", because+`,"expires":"2027-01-01"`)), "expires is"},
		"bad end of all":   {document(`,"expires":"tomorrow"`, statement("CVE-1", "affected", "")), "the document's expires"},
		"no vulnerability": {document(ends, statement("", "not_affected", because)), "has no vulnerability"},
		"unknown status":   {document(ends, statement("CVE-1", "ok", because)), "status"},
		"unknown word":     {document(ends, statement("CVE-1", "not_affected", `,"justification":"because"`)), "justification"},
		"unknown products": {document(ends, statement("CVE-1", "not_affected", because+`,"products":[{"@id":"pkg:oci/app?tag=1"}]`)), "is about no image"},
		"nameless package": {document(ends, statement("CVE-1", "not_affected", because+`,"products":[{"@id":"pkg:oci/app","subcomponents":[{}]}]`)), "without a name"},
		"terminal":         {document(ends, statement(`CVE-\u001b[2J`, "affected", "")), "cannot be printed"},
		"deep":             {document(`,"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100), statement("CVE-1", "affected", "")), "nests"},
		"large":            {strings.Repeat(" ", vex.MaxSize+1), "bytes"},
		"many statements":  {document(ends, strings.Split(strings.Repeat(statement("CVE-1", "affected", "")+";", 2001), ";")[:2001]...), "statements"},
		"long name":        {document(ends, statement(strings.Repeat("x", 600), "affected", "")), "512 bytes"},
		"long reason":      {document(ends, statement("CVE-1", "fixed", `,"status_notes":"`+strings.Repeat("x", 5000)+`"`)), "4096 bytes"},
		"many subpackages": {document(ends, statement("CVE-1", "affected", `,"products":[{"@id":"pkg:oci/app","subcomponents":[`+strings.Repeat(`{"@id":"a"},`, 600)+`{"@id":"a"}]}]`)), "subcomponents"},
		"many of everything": {document(ends, strings.Split(strings.Repeat(
			statement("CVE-1", "affected", `,"products":[{"@id":"pkg:oci/app","subcomponents":[`+strings.Repeat(`{"@id":"a"},`, 400)+`{"@id":"a"}]}]`)+";", 20), ";")[:20]...), "products and packages"},
	} {
		// The statements' %q has escaped backslashes.
		if _, err := vex.Parse([]byte(strings.ReplaceAll(tt.text, `\\u`, `\u`))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	at := vex.Target{Digests: []oci.Digest{digest}, Repository: "team/app", Package: vex.Package{Type: "deb", Name: "libssl3", Version: "3.0.1"}, Source: "openssl"}
	unlike := at
	unlike.Package.Type = ""
	for name, tt := range map[string]struct {
		products string
		at       vex.Target
		want     bool
	}{
		"what it is attached to": {``, at, true},
		"the image":              {`{"@id":"pkg:oci/app@` + digest + `"}`, at, true},
		"another image":          {`{"@id":"pkg:oci/app@` + "sha256:" + strings.Repeat("b", 64) + `"}`, at, false},
		"the repository":         {`{"@id":"pkg:oci/app?repository_url=h/team/app"}`, at, true},
		"another repository":     {`{"@id":"pkg:oci/app"}`, at, false},
		"its package":            {`{"@id":"pkg:oci/app@` + digest + `","subcomponents":[{"@id":"pkg:deb/debian/libssl3"}]}`, at, true},
		"its source":             {`{"@id":"pkg:oci/app@` + digest + `","subcomponents":[{"@id":"openssl"}]}`, at, true},
		"another package":        {`{"@id":"pkg:oci/app@` + digest + `","subcomponents":[{"@id":"zlib"}]}`, at, false},
		"another type":           {`{"@id":"pkg:oci/app@` + digest + `","subcomponents":[{"@id":"pkg:npm/openssl"}]}`, at, false},
		"a type nobody knows":    {`{"@id":"pkg:oci/app@` + digest + `","subcomponents":[{"@id":"pkg:npm/openssl"}]}`, unlike, true},
		"another version":        {`{"@id":"pkg:deb/debian/openssl@3.0.2"}`, at, false},
		"its version":            {`{"@id":"pkg:deb/debian/openssl@3.0.1"}`, at, true},
		"one of several":         {`{"@id":"pkg:deb/debian/zlib"},{"@id":"pkg:oci/app?repository_url=h/team/app"}`, at, true},
	} {
		members := because
		if tt.products != "" {
			members += `,"products":[` + tt.products + `]`
		}
		d, err := vex.Parse([]byte(document(ends, statement("CVE-1", "not_affected", members))))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := d.Statements[0].Covers([]string{"GHSA-2", "cve-1"}, tt.at); got != tt.want {
			t.Errorf("%s: Covers is %v, want %v", name, got, tt.want)
		}
		if d.Statements[0].Covers([]string{"CVE-2"}, tt.at) {
			t.Errorf("%s: it covers another vulnerability", name)
		}
	}
	d, err := vex.Parse([]byte(document(ends, statement("CVE-1", "affected", because))))
	if err != nil || d.Statements[0].Covers([]string{"CVE-1"}, at) {
		t.Errorf("what is affected is excepted; %v", err)
	}
}

// TestLaterStatements: what a later statement says otherwise of is no exception any more.
func TestLaterStatements(t *testing.T) {
	t.Parallel()
	of := func(p string) string { return `,"products":[` + p + `]` }
	a, b := `{"@id":"pkg:oci/aa"}`, `{"@id":"pkg:oci/bb"}`
	excepts := statement("CVE-1", "not_affected", because+of(a+","+b))
	for name, tt := range map[string]struct {
		text string
		want string
	}{
		"nothing":        {document(ends, excepts), "aa bb"},
		"of one product": {document(ends, excepts, statement("cve-1", "affected", of(a))), "bb"},
		"of all":         {document(ends, excepts, statement("CVE-1", "under_investigation", "")), ""},
		"earlier":        {document(ends, statement("CVE-1", "affected", of(a)), excepts), "aa bb"},
		"dated later":    {document(ends, statement("CVE-1", "affected", `,"timestamp":"2026-11-02T00:00:00Z"`+of(a)), excepts), "bb"},
		"of another":     {document(ends, excepts, statement("CVE-2", "affected", of(a))), "aa bb"},
	} {
		d, err := vex.Parse([]byte(tt.text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range d.Exceptions() {
			for _, p := range s.Products {
				got = append(got, p.Repository)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	draft := vex.Draft{
		Vulnerability: "CVE-2026-1", Host: "host.test:5000", Repository: "team/app", Digest: digest, Packages: []string{"pkg:deb/debian/openssl", "zlib"},
		Owner: "alice", Reason: "we do not call it", Made: made, Expires: made.AddDate(0, 2, 0),
	}
	body, err := vex.Write(draft)
	if err != nil {
		t.Fatal(err)
	}
	d, err := vex.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	want := []vex.Statement{{
		Vulnerability: "CVE-2026-1", Status: vex.NotAffected, Owner: "alice", Reason: "we do not call it", Timestamp: made, Expires: draft.Expires,
		Products: []vex.Product{{
			ID:     "pkg:oci/app@sha256%3A" + digest[7:] + "?repository_url=host.test%3A5000%2Fteam%2Fapp",
			Digest: digest, Repository: "team/app", Packages: []vex.Package{{Type: "deb", Name: "openssl"}, {Name: "zlib"}},
		}},
	}}
	if diff := cmp.Diff(want, d.Statements); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	if again, err := vex.Write(draft); err != nil || string(again) != string(body) {
		t.Errorf("the same draft makes %s, %v", again, err)
	}
	if name := draft.FileName(); name != "cve-2026-1-openssl-zlib.json" {
		t.Errorf("file %s", name)
	}
	draft.Expires = time.Time{}
	if _, err := vex.Write(draft); err == nil {
		t.Error("an exception without an end is written")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(document(ends, statement("CVE-1", "not_affected", because+`,"products":[{"@id":"pkg:oci/app@`+digest+`","subcomponents":[{"@id":"pkg:deb/debian/openssl@1"}]}]`))))
	f.Add([]byte(document(ends, statement("CVE-1", "fixed", because), statement("CVE-1", "affected", `,"products":[{"@id":"pkg:npm/%40a/b"}]`))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := vex.Parse(raw)
		if err != nil {
			return
		}
		for _, s := range d.Exceptions() {
			if s.Owner == "" || s.Reason == "" || s.Expires.IsZero() || s.Vulnerability == "" {
				t.Errorf("an exception without owner, reason, end or vulnerability: %+v", s)
			}
			for _, p := range s.Products {
				for _, pkg := range p.Packages {
					if pkg.Name == "" {
						t.Errorf("a package without a name is all packages: %+v", s)
					}
				}
			}
		}
	})
}
