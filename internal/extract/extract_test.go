package extract_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
	"github.com/hoopstat-haus/berth/internal/extract"
	"github.com/hoopstat-haus/berth/internal/extract/extracttest"
	"github.com/hoopstat-haus/berth/internal/extract/formats"
)

func TestMain(m *testing.M) { os.Exit(extracttest.Main(m, append(formats.All(), hostile{})...)) }

// hostile is a Format that does what the name of a file says: bad/panic.
type hostile struct{}

func (hostile) Name() string { return "hostile" }

func (hostile) Wants(path string, _ fs.FileMode, _ int64) bool {
	return strings.HasPrefix(path, "bad/")
}

func (hostile) Read(ctx context.Context, f layer.Input) (layer.Result, error) {
	found := func(text string, err error) (layer.Result, error) {
		if err != nil {
			text += ": " + err.Error()
		}
		return layer.Result{Packages: []inventory.Package{{Type: inventory.NPM, Name: text, Version: "1"}}}, nil
	}
	switch strings.TrimPrefix(f.Path, "bad/") {
	case "panic":
		panic("at the \x1b[31mdisco")
	case "crash":
		go func() { panic("in another thread") }()
		select {}
	case "hang":
		for {
			_ = ctx
		}
	case "wait":
		<-ctx.Done()
	case "grow":
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(i)
			}
			all = append(all, b)
			_ = all
		}
	case "goroutines":
		for {
			go func() { select {} }()
		}
	case "print":
		_, err := os.Stdout.WriteString(strings.Repeat("l this is no answer\n", 1<<16))
		_, err2 := os.Stderr.WriteString(strings.Repeat("neither is this\n", 1<<16))
		return found("printed", errors.Join(err, err2))
	case "fork":
		return found("fork", exec.Command("/bin/sleep", "1000").Start())
	case "connect":
		c, err := net.Dial("tcp", "127.0.0.1:1")
		if err == nil {
			c.Close()
		}
		return found("connect", err)
	case "open":
		for {
			if _, err := os.Open(os.DevNull); err != nil {
				return found("open", err)
			}
		}
	case "fill":
		file, err := os.CreateTemp("", "")
		for err == nil {
			_, err = file.Write(make([]byte, 1<<20))
		}
		return found("fill", err)
	case "steal":
		_, err := os.ReadFile("/etc/passwd")
		return found("steal", err)
	case "spy":
		_, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", os.Getppid()))
		return found("spy", err)
	case "plant":
		return found("plant", os.WriteFile("../planted", nil, 0o600))
	case "environment":
		return found(strings.Join(os.Environ(), " "), nil)
	}
	return layer.Result{}, nil
}

// entry is a file of a layer, in few words.
type entry struct {
	tar.Header
	content io.Reader
}

func file(name, content string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}, strings.NewReader(content)}
}

// zeros are a file of nothing, however long.
func zeros(name string, size int64) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size}, io.LimitReader(zero{}, size)}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// packed is a gzipped layer, written as it is read so that this process stays small.
func packed(entries ...entry) io.Reader {
	r, w := io.Pipe()
	go func() {
		z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err == nil {
			err = errors.Join(write(z, entries), z.Close())
		}
		w.CloseWithError(err)
	}()
	return r
}

func write(w io.Writer, entries []entry) error {
	t := tar.NewWriter(w)
	for _, e := range entries {
		if r, ok := e.content.(raw); ok {
			if err := t.Flush(); err != nil {
				return fmt.Errorf("writing a layer: %w", err)
			}
			if _, err := w.Write(r.b); err != nil {
				return fmt.Errorf("writing a layer: %w", err)
			}
			continue
		}
		if err := t.WriteHeader(&e.Header); err != nil {
			return fmt.Errorf("writing a layer: %w", err)
		}
		if e.content != nil {
			if _, err := io.Copy(t, e.content); err != nil {
				return fmt.Errorf("writing a layer: %w", err)
			}
		}
	}
	return t.Close() //nolint:wrapcheck // a test
}

const packageJSON = "usr/lib/node_modules/left-pad/package.json"

// good is a layer that there is nothing wrong with.
func good() io.Reader { return packed(file(packageJSON, `{"name":"left-pad","version":"1.3.0"}`)) }

func isGood(l inventory.Layer) bool {
	return l.Problem == "" && len(l.Files) == 1 && len(l.Files[0].Packages) == 1 && l.Files[0].Packages[0].Name == "left-pad"
}

// extracted reads one layer, and sees that nothing is left behind.
func extracted(t *testing.T, x *extract.Extractor, dir string, r io.Reader) inventory.Layer {
	t.Helper()
	l, err := x.Extract(t.Context(), oci.Descriptor{}, r)
	if err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, dir)
	return l
}

func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*", "layer-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("there are left %q, %v", left, err)
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := extracttest.New(t, extract.Config{TempDir: dir})
	var b bytes.Buffer
	if err := write(&b, []entry{file(packageJSON, `{"name":"left-pad","version":"1.3.0"}`)}); err != nil {
		t.Fatal(err)
	}
	l := extracted(t, x, dir, bytes.NewReader(b.Bytes()))
	if !isGood(l) || l.DiffID != oci.FromBytes(b.Bytes()) || l.Revision != x.Revision() {
		t.Errorf("Extract = %+v", l)
	}
}

// TestReaderFails: that the layer cannot be read is an error, and none of the layer's.
func TestReaderFails(t *testing.T) {
	t.Parallel()
	x := extracttest.New(t, extract.Config{})
	broken := errors.New("the bucket is gone")
	for _, r := range []io.Reader{iotest.ErrReader(broken), io.MultiReader(io.LimitReader(good(), 30), iotest.ErrReader(broken))} {
		if l, err := x.Extract(t.Context(), oci.Descriptor{}, r); !errors.Is(err, broken) {
			t.Errorf("Extract = %+v, %v, want the reader's error", l, err)
		}
	}
}

// TestSlowReader: time in which the layer does not come is none that the layer takes.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	x := extracttest.New(t, extract.Config{MinTime: time.Second, MaxTime: time.Second})
	r, w := io.Pipe()
	go func() {
		b, err := io.ReadAll(good())
		if err == nil {
			_, err = w.Write(b[:20])
		}
		<-time.After(3 * time.Second) // three times what the layer may take
		if err == nil {
			_, err = w.Write(b[20:])
		}
		w.CloseWithError(err)
	}()
	if l, err := x.Extract(t.Context(), oci.Descriptor{}, r); err != nil || !isGood(l) {
		t.Errorf("Extract of a layer that comes slowly = %+v, %v", l, err)
	}
}

// TestNobodyWaits: when the context ends, so does the child.
func TestNobodyWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := extracttest.New(t, extract.Config{TempDir: dir, Concurrency: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("the server stops")
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := x.Extract(ctx, oci.Descriptor{}, r)
		done <- err
	}()
	if _, err := w.Write([]byte{0x1f}); err != nil { // it is at it
		t.Fatal(err)
	}
	if _, err := x.Extract(canceled(t), oci.Descriptor{}, good()); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for the only child gives %v", err)
	}
	cancel(stopped)
	if err := <-done; !errors.Is(err, stopped) {
		t.Errorf("Extract = %v, want why it was ended", err)
	}
	w.Close()
	nothingLeft(t, dir)
}

func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestNoProcess: what is no child of ours is an error, never the layer's problem.
func TestNoProcess(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"/nowhere/berth", "/bin/false", "/bin/echo"} {
		x := extracttest.New(t, extract.Config{Executable: program})
		if l, err := x.Extract(t.Context(), oci.Descriptor{}, good()); err == nil {
			t.Errorf("Extract by %s = %+v, want an error", program, l)
		}
	}
}

// TestLeftovers: what a killed server has left is removed; what another one is at is not.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dead := filepath.Join(dir, "berth-layers-1")
	if err := os.MkdirAll(filepath.Join(dead, "layer-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lock", "layer-1/file-1"} {
		if err := os.WriteFile(filepath.Join(dead, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := extracttest.New(t, extract.Config{TempDir: dir})
	x := extracttest.New(t, extract.Config{TempDir: dir})
	if _, err := os.Stat(dead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the place of a dead server is there: %v", err)
	}
	for _, x := range []*extract.Extractor{other, x} {
		if l, err := x.Extract(t.Context(), oci.Descriptor{}, good()); err != nil || !isGood(l) {
			t.Errorf("Extract = %+v, %v", l, err)
		}
	}
}
