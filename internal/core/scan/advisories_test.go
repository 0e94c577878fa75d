package scan_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// advisoryBench imports advisories on a real database and a real directory, with a clock that the test moves.
type advisoryBench struct {
	*scan.Advisories

	t        *testing.T
	registry *registry.Registry
	root     identity.Caller
	db       *metadb.DB
	now      time.Time
	mirror   fstest.MapFS
	rung     int
	config   scan.AdvisoriesConfig
}

const advisoryAccount, advisoryRepository = "123456789012", "berth/advisories"

func newAdvisoryBench(t *testing.T, db *metadb.DB) *advisoryBench {
	t.Helper()
	blobs, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &advisoryBench{
		t: t, db: db, now: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC), mirror: fstest.MapFS{},
		root: identity.Caller{Account: advisoryAccount, ARN: "arn:aws:iam::123456789012:root", UserID: advisoryAccount, Root: true},
	}
	clock := func() time.Time { return b.now }
	b.registry = registry.New(registry.Config{Store: db, Blobs: blobs, Account: advisoryAccount, Region: "us-east-1", Now: clock, TrashWindow: time.Hour})
	if _, err := b.registry.CreateRepository(t.Context(), b.root, registry.NewRepository{Name: advisoryRepository, Mutability: registry.Mutable}); err != nil {
		t.Fatal(err)
	}
	rows := db.Advisories()
	b.config = scan.AdvisoriesConfig{
		Registry: b.registry, Store: rows, Imports: rows, Origin: advisory.Dir{FS: b.mirror, Name: "mirror"}, Every: time.Hour, Temp: t.TempDir(),
		Now: clock, Changed: func() { b.rung++ },
	}
	b.Advisories = scan.NewAdvisories(b.config)
	return b
}

// publish puts so many advisories of a generation on the mirror.
func (b *advisoryBench) publish(n, generation int) {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `{"id":"GHSA-%d","summary":"generation %d","modified":"2026-01-%02dT00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"p"},"versions":["1"]}]}`+"\n",
			i, generation, generation)
	}
	b.mirror["npm/all.jsonl"] = &fstest.MapFile{Data: []byte(text.String()), ModTime: b.now}
}

func (b *advisoryBench) push(text string) oci.Digest {
	b.t.Helper()
	d := oci.FromBytes([]byte(text))
	part := registry.Part{Start: registry.Anywhere, Size: int64(len(text)), Body: strings.NewReader(text)}
	if _, err := b.registry.PutLayer(b.t.Context(), b.root, advisoryRepository, d, part); err != nil {
		b.t.Fatal(err)
	}
	return d
}

func (b *advisoryBench) status() scan.AdvisoryStatus {
	b.t.Helper()
	s, err := b.Status(b.t.Context(), b.root)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// once works off what is due, all of it.
func (b *advisoryBench) once() error {
	b.t.Helper()
	for {
		more, err := b.Once(b.t.Context())
		if err != nil || !more {
			return err
		}
	}
}

func TestAdvisoriesAreFetchedWhenItIsTime(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		b := newAdvisoryBench(t, db)
		b.publish(30, 1)
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
		s := b.status()
		if len(s.Sources) != 1 || s.Sources[0].Advisories != 30 || len(s.Imports) != 1 || s.Imports[0].Outcomes[0].Added != 30 || b.rung != 1 || s.Origin != "mirror" {
			t.Fatalf("first: %+v, rung %d", s, b.rung)
		}
		b.now = b.now.Add(59 * time.Minute)
		b.publish(31, 2)
		if err := b.once(); err != nil || len(b.status().Imports) != 1 {
			t.Errorf("before it is time: %v, %+v", err, b.status().Imports)
		}
		b.now = b.now.Add(2 * time.Minute)
		if err := b.once(); err != nil || b.status().Sources[0].Advisories != 31 || b.rung != 2 {
			t.Errorf("when it is time: %v, %+v", err, b.status())
		}
		// A failure is said, and does not come again and again.
		b.now = b.now.Add(time.Hour)
		b.publish(2, 3)
		if err := b.once(); !errors.Is(err, advisory.ErrShrunk) {
			t.Errorf("much less: %v", err)
		}
		if err := b.once(); err != nil {
			t.Errorf("again at once: %v", err)
		}
		s = b.status()
		if o := s.Imports[0].Outcomes; len(o) != 1 || !strings.Contains(o[0].Failure, "force") || s.Sources[0].Advisories != 31 || b.rung != 2 {
			t.Errorf("much less: %+v", s)
		}
		if _, err := b.Update(t.Context(), b.root, true); err != nil {
			t.Fatal(err)
		}
		if err := b.once(); err != nil || b.status().Sources[0].Advisories != 2 {
			t.Errorf("forced: %v, %+v", err, b.status().Sources)
		}
	})
}

func TestAnArchiveInTheRegistryIsImported(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		b := newAdvisoryBench(t, db)
		b.config.Origin = nil
		b.Advisories = scan.NewAdvisories(b.config)
		if _, err := b.Update(t.Context(), b.root, false); !errors.Is(err, fault.RegistrySettingInvalid) {
			t.Errorf("an update without an origin: %v", err)
		}
		if _, err := b.Import(t.Context(), b.root, advisoryRepository, oci.FromBytes([]byte("nothing")), false); !errors.Is(err, fault.LayerNotFound) {
			t.Errorf("an archive that is not there: %v", err)
		}
		bad := b.push(strings.Repeat("not an archive ", 100))
		if _, err := b.Import(t.Context(), b.root, advisoryRepository, bad, false); err != nil {
			t.Fatal(err)
		}
		if err := b.once(); !errors.Is(err, advisory.ErrArchive) {
			t.Errorf("a blob that is no archive: %v", err)
		}
		good := b.push(tarWith(t, "npm/all.jsonl", `{"id":"GHSA-1","affected":[{"package":{"ecosystem":"npm","name":"p"},"versions":["1"]}]}`))
		asked, err := b.Import(t.Context(), b.root, advisoryRepository, good, false)
		if err != nil {
			t.Fatal(err)
		}
		// The server stops in the middle, and starts again.
		stopped, stop := context.WithCancel(t.Context())
		stop()
		if _, err := b.Once(stopped); err == nil {
			t.Log("nothing was begun")
		}
		b.now = b.now.Add(time.Minute)
		if err := b.once(); err != nil {
			t.Errorf("import: %v", err)
		}
		s := b.status()
		if i := s.Imports[0]; i.ID != asked.ID || i.EndedAt.IsZero() || i.Outcomes[0].Added != 1 || i.Actor != b.root.ARN {
			t.Errorf("import: %+v", s)
		}
		if s.Sources[0].Origin != advisoryRepository+"@"+good.String() {
			t.Errorf("sources: %+v", s.Sources)
		}
		if s.Imports[1].Outcomes[0].Failure == "" {
			t.Errorf("the bad one: %+v", s.Imports[1])
		}
	})
}

func TestNobodyIsAllowedAdvisories(t *testing.T) {
	t.Parallel()
	b := newAdvisoryBench(t, metadbtest.New(t))
	v := reflect.ValueOf(b.Advisories)
	asked := 0
	for i := range v.NumMethod() {
		m := v.Type().Method(i)
		if m.Type.NumIn() < 3 || m.Type.In(2) != reflect.TypeFor[identity.Caller]() {
			continue
		}
		args := []reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(identity.Caller{Account: advisoryAccount, ARN: "arn:aws:iam::123456789012:user/nobody"})}
		for n := 3; n < m.Type.NumIn(); n++ {
			args = append(args, reflect.Zero(m.Type.In(n)))
		}
		out := v.Method(i).Call(args)
		if err, _ := reflect.TypeAssert[error](out[len(out)-1]); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("%s by nobody: %v, want it denied", m.Name, err)
		}
		asked++
	}
	if asked != 3 {
		t.Errorf("%d operations were asked for, want all", asked)
	}
}

func tarWith(t *testing.T, name, text string) string {
	t.Helper()
	var b strings.Builder
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
