package extract_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
	"github.com/hoopstat-haus/berth/internal/extract"
	"github.com/hoopstat-haus/berth/internal/extract/extracttest"
)

// beside is what stands before what is hostile, and is found all the same where the layer could be read so far.
func beside() entry { return file(packageJSON, `{"name":"left-pad","version":"1.3.0"}`) }

// hostileLayers are layers that somebody could push. Each has left-pad before what is hostile, unless it says lost.
var hostileLayers = map[string]struct {
	layer   func() io.Reader
	config  extract.Config
	problem string // what it begins with; empty: there is none
	lost    bool   // the child dies, with what it had found
	also    string // a package that is found besides, up to its first blank or its end
}{
	"gzip bomb":    {layer: func() io.Reader { return packed(beside(), zeros("zeros", 6<<30)) }, problem: "it unpacks to more than 200 times its size"},
	"fake program": {layer: func() io.Reader { return packed(beside(), program(900<<20)) }, problem: `the file "usr/bin/app" is larger than 256 MiB`},
	"zstd window":  {layer: zstdWindow, problem: "zstd asks for a window of more than 128 MiB", lost: true},
	"zstd bomb":    {layer: zstdBomb, problem: "it unpacks to more than 200 times its size"},
	"empty files":  {layer: func() io.Reader { return emptyFiles(1_500_000) }, problem: "it has more than 500000 entries"},
	"deep path":    {layer: func() io.Reader { return packed(beside(), file(strings.Repeat("d/", 50_000)+"f", "")) }, problem: `the path "d/d/`},
	"long headers": {layer: func() io.Reader { return packed(beside(), longHeaders(), file("after", "")) }, problem: "reading the archive: the headers of an entry are longer than 1 MiB"},
	"out of the root": {layer: func() io.Reader {
		return packed(beside(), file("../../../../etc/cron.d/x", "* * * * *"), file("/etc/passwd", "root"))
	}},
	"links":                  {layer: links},
	"sparse by PAX":          {layer: func() io.Reader { return packed(beside(), sparsePAX("var/lib/dpkg/status", 100<<30)) }, problem: `the file "var/lib/dpkg/status" is larger than 256 MiB`},
	"sparse and unread":      {layer: func() io.Reader { return packed(beside(), sparsePAX("var/swap", 100<<30)) }},
	"gzip that is cut off":   {layer: func() io.Reader { return cut(2) }, problem: "unpacking: it is cut off", lost: true},
	"garbage":                {layer: func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{}), 1<<20) }, problem: "it is no tar, gzip or zstd stream", lost: true},
	"gzip of garbage":        {layer: gzipGarbage, problem: "reading the archive: archive/tar: invalid tar header", lost: true},
	"members":                {layer: func() io.Reader { return members() }},
	"huge database":          {layer: func() io.Reader { return packed(beside(), status(90<<20)) }, problem: "it unpacks to more than 200 times its size"},
	"long version":           {layer: func() io.Reader { return packed(beside(), longVersion()) }, problem: `reading "var/lib/dpkg/status" as dpkg: limit of the scanner: a version of more than 256 bytes`},
	"deep JSON":              {layer: func() io.Reader { return packed(beside(), deepJSON()) }},
	"a reader panics":        {layer: bad("panic"), problem: `reading "bad/panic" as hostile: panic: at the  [31mdisco`},
	"a reader crashes":       {layer: bad("crash"), problem: "reading it ended the process that did: panic: in another thread", lost: true},
	"a reader hangs":         {layer: bad("hang"), config: extract.Config{Limits: layer.Limits{FileTime: 100 * time.Millisecond}}, problem: `reading "bad/hang" as hostile: it took longer than 100ms`},
	"beyond its time":        {layer: bad("hang"), config: extract.Config{MinTime: 2 * time.Second, MaxTime: 2 * time.Second}, problem: "reading it took longer than 2s, and was killed", lost: true},
	"until its time is over": {layer: bad("wait"), config: extract.Config{MinTime: 2 * time.Second, MaxTime: 2 * time.Second}, problem: `reading "bad/wait" as hostile: reading it took longer than 2s`},
	"a reader grows":         {layer: bad("grow"), problem: "reading it ended the process that did: out of memory", lost: true},
	"a broken database":      {layer: func() io.Reader { return packed(beside(), noise("var/lib/rpm/rpmdb.sqlite", 1<<20)) }, problem: `reading "var/lib/rpm/rpmdb.sqlite" as rpm: `},
	"archive in an archive":  {layer: func() io.Reader { return packed(beside(), jar("app.jar", 9)) }, problem: `reading "opt/app.jar" as java: "inner.jar": "inner.jar": "inner.jar": "inner.jar": "inner.jar": "inner.jar": limit of the scanner: archives 5 deep`},
	"a bomb in an archive":   {layer: func() io.Reader { return packed(beside(), jar("app.jar", 2)) }, problem: `reading "opt/app.jar" as java: "inner.jar": "bomb.jar": limit of the scanner: 67108864 bytes`},
	"a reader has many":      {layer: bad("goroutines"), config: extract.Config{Memory: 64 << 20}, problem: "reading it ended the process that did: out of memory", lost: true},
	"a reader prints":        {layer: bad("print"), also: "printed"},
	"a reader forks":         {layer: bad("fork"), also: "fork: fork/exec /bin/sleep: operation not permitted"},
	"a reader connects":      {layer: bad("connect"), also: "connect: dial tcp 127.0.0.1:1: socket: operation not permitted"},
	"a reader opens files":   {layer: bad("open"), also: "open: open /dev/null: too many open files"},
	"a reader fills a disk":  {layer: bad("fill"), also: "fill: write /"},
	"a reader looks for you": {layer: bad("environment"), also: "GOMEMLIMIT=188743680 GOMAXPROCS=2 TMPDIR="},
}

// TestHostileLayers: each is read in bounded time and memory by a real child, says what is wrong with it, leaves nothing behind, and the
// next layer is read as if nothing had been.
func TestHostileLayers(t *testing.T) {
	t.Parallel()
	if extract.RaceDetector {
		t.Skip("the race detector maps more than a child may have, so that its memory has no bound, which some of these go for")
	}
	base := peak(t, "an innocent layer", extract.Config{}, func(t *testing.T, x *extract.Extractor, dir string) {
		if l := extracted(t, x, dir, good()); !isGood(l) {
			t.Errorf("an innocent layer is %+v", l)
		}
	})
	for name, tt := range hostileLayers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const longest = 60 * time.Second // on a busy machine; most take less than one
			most := peak(t, name, tt.config, func(t *testing.T, x *extract.Extractor, dir string) {
				begun := time.Now()
				l := extracted(t, x, dir, tt.layer())
				if took := time.Since(begun); took > longest {
					t.Errorf("it took %v", took)
				}
				if tt.problem == "" && l.Problem != "" || !strings.HasPrefix(l.Problem, tt.problem) {
					t.Errorf("the problem is %q, want %q", l.Problem, tt.problem)
				}
				if found := names(l); !tt.lost && !strings.HasPrefix(found, "left-pad "+tt.also) && !strings.HasPrefix(found, tt.also) {
					t.Errorf("what is found is %q, want left-pad and %q", found, tt.also)
				}
				if l := extracted(t, x, dir, good()); !isGood(l) {
					t.Errorf("the next layer is %+v", l)
				}
			})
			if most > base+256<<20 {
				t.Errorf("it took %d MiB, where an innocent layer takes %d", most>>20, base>>20)
			}
			t.Logf("%d MiB beyond an innocent layer", (most-base)>>20)
		})
	}
}

// peak is the most memory that a child had.
func peak(t *testing.T, name string, c extract.Config, do func(*testing.T, *extract.Extractor, string)) int64 {
	t.Helper()
	c.TempDir = t.TempDir()
	x := extracttest.New(t, c)
	var most atomic.Int64
	x.Ended(func(s *os.ProcessState) {
		if use, ok := s.SysUsage().(*syscall.Rusage); ok {
			most.Store(max(most.Load(), use.Maxrss<<10))
			t.Logf("%s: %v of CPU, %d MiB", name, (s.UserTime() + s.SystemTime()).Round(time.Millisecond), use.Maxrss>>10)
		}
	})
	do(t, x, c.TempDir)
	return most.Load()
}

func names(l inventory.Layer) string {
	var all []string
	for _, f := range slices.Backward(l.Files) { // left-pad is below usr
		for _, p := range f.Packages {
			all = append(all, p.Name)
		}
	}
	return strings.Join(all, " ")
}

// TestHostileLayerDelaysNobody: while one takes its time, others are read.
func TestHostileLayerDelaysNobody(t *testing.T) {
	t.Parallel()
	x := extracttest.New(t, extract.Config{})
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := x.Extract(t.Context(), oci.Descriptor{}, r)
		done <- err
	}()
	if _, err := w.Write([]byte{0x1f}); err != nil { // it is at it
		t.Fatal(err)
	}
	for range 3 {
		if l, err := x.Extract(t.Context(), oci.Descriptor{}, good()); err != nil || !isGood(l) {
			t.Fatalf("Extract = %+v, %v", l, err)
		}
	}
	w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func bad(how string) func() io.Reader {
	return func() io.Reader { return packed(beside(), file("bad/"+how, "x")) }
}

func program(size int64) entry {
	e := zeros("usr/bin/app", size)
	e.Mode = 0o755
	const magic = "\x7fELF\x02\x01\x01"
	e.content = io.MultiReader(strings.NewReader(magic), io.LimitReader(zero{}, size-int64(len(magic))))
	return e
}

func links() io.Reader {
	link := func(kind byte, name, target string) entry {
		return entry{Header: tar.Header{Name: name, Typeflag: kind, Linkname: target, Mode: 0o644}}
	}
	return packed(beside(), link(tar.TypeSymlink, "a", "b"), link(tar.TypeSymlink, "b", "a"), link(tar.TypeSymlink, "etc", "/etc"), link(tar.TypeSymlink, "up", "../../.."),
		file("up/etc/os-release", "ID=x"), file("a/x", ""), link(tar.TypeLink, "shadow", "/etc/shadow"), link(tar.TypeLink, "self", "self"),
		link(tar.TypeChar, "dev/mem", ""), link(tar.TypeBlock, "dev/sda", ""), link(tar.TypeFifo, "pipe", ""))
}

// emptyFiles is a tar of many entries, of which every ten thousand are the same.
func emptyFiles(n int) io.Reader {
	const alike = 10_000
	var begin, some bytes.Buffer
	member := func(to *bytes.Buffer, do func(t *tar.Writer)) {
		z := gzip.NewWriter(to)
		t := tar.NewWriter(z)
		do(t)
		_ = t.Flush()
		_ = z.Close()
	}
	member(&begin, func(t *tar.Writer) {
		first := beside()
		_ = t.WriteHeader(&first.Header)
		_, _ = io.Copy(t, first.content)
	})
	member(&some, func(t *tar.Writer) {
		for i := range alike {
			_ = t.WriteHeader(&tar.Header{Name: fmt.Sprintf("d/%d", i), Typeflag: tar.TypeReg})
		}
	})
	return io.MultiReader(&begin, bytes.NewReader(bytes.Repeat(some.Bytes(), n/alike)))
}

func longHeaders() entry {
	const length = 2_000_000
	begin := fmt.Sprintf("%d SCHILY.xattr.user.x=", length)
	return entry{tar.Header{}, raw{append(block(tar.TypeXHeader, begin+strings.Repeat("x", length-len(begin)-1)+"\n"), block(tar.TypeReg, "")...)}}
}

// sparsePAX is a file of which nothing is stored: GNU's sparse format 1.0, which PAX records say. archive/tar refuses to write it.
func sparsePAX(name string, size int64) entry {
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=" + name, fmt.Sprintf("GNU.sparse.realsize=%d", size)} {
		length := len(r) + len(" \n") + 2 // all have two digits
		records += fmt.Sprintf("%d %s\n", length, r)
	}
	none := fmt.Sprintf("1\n%d\n0\n", size)
	return entry{tar.Header{}, raw{append(block(tar.TypeXHeader, records), block(tar.TypeReg, none+strings.Repeat("\x00", 512-len(none)))...)}}
}

// raw is written as it is.
type raw struct{ b []byte }

func (raw) Read([]byte) (int, error) { return 0, io.EOF }

// block is an entry, whatever its kind.
func block(kind byte, content string) []byte {
	const checksum, typeflag, size = 148, 156, 512
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	_ = t.WriteHeader(&tar.Header{Name: "GNUSparseFile.0/x", Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o644})
	_, _ = io.WriteString(t, content)
	_ = t.Flush()
	head := b.Bytes()[:size]
	head[typeflag] = kind
	copy(head[checksum:], "        ")
	sum := 0
	for _, c := range head {
		sum += int(c)
	}
	copy(head[checksum:], fmt.Sprintf("%06o\x00 ", sum))
	return b.Bytes()
}

// zstdWindow asks for a window of 2 GiB.
func zstdWindow() io.Reader {
	head := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3} // 2^(10+21)
	return bytes.NewReader(append(head, 0x02<<1|1, 0, 0, 0))
}

// zstdBomb has a window as large as may be, and blocks that say one byte many times.
func zstdBomb() io.Reader {
	var b bytes.Buffer
	if err := write(&b, []entry{beside()}); err != nil {
		return &b
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		return bytes.NewReader(nil)
	}
	var tarHead bytes.Buffer
	t := tar.NewWriter(&tarHead)
	_ = t.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Size: 8 << 30})
	start := z.EncodeAll(append(b.Bytes()[:b.Len()-1024], tarHead.Bytes()...), nil)
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3} // 128 MiB
	const most, rle = 128 << 10, 1
	one := binary.LittleEndian.AppendUint32(nil, most<<3|rle<<1)[:3]
	return io.MultiReader(bytes.NewReader(start), bytes.NewReader(frame), bytes.NewReader(bytes.Repeat(append(one, 0), 8<<30/most)))
}

func cut(parts int64) io.Reader {
	b, err := io.ReadAll(good())
	if err != nil {
		return bytes.NewReader(nil)
	}
	return bytes.NewReader(b[:int64(len(b))/parts])
}

func gzipGarbage() io.Reader {
	r, w := io.Pipe()
	go func() {
		z := gzip.NewWriter(w)
		_, err := io.Copy(z, io.LimitReader(rand.NewChaCha8([32]byte{}), 4<<20))
		if err == nil {
			err = z.Close()
		}
		w.CloseWithError(err)
	}()
	return r
}

// members are a gzip stream of many, cut anywhere.
func members() io.Reader {
	var b, out bytes.Buffer
	if err := write(&b, []entry{beside()}); err != nil {
		return &b
	}
	for b.Len() > 0 {
		z := gzip.NewWriter(&out)
		_, _ = z.Write(b.Next(100))
		_ = z.Close()
	}
	return &out
}

// status is a database of one line.
func status(size int64) entry {
	const begin = "Package: "
	return entry{
		tar.Header{Name: "var/lib/dpkg/status", Typeflag: tar.TypeReg, Mode: 0o644, Size: size},
		io.MultiReader(strings.NewReader(begin), io.LimitReader(letters{}, size-int64(len(begin)))),
	}
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func noise(name string, size int64) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size}, io.LimitReader(rand.NewChaCha8([32]byte{}), size)}
}

// jar is an archive with a bomb in it, in archives in archives.
func jar(name string, deep int) entry {
	const bomb = 100 << 20
	content := io.LimitReader(zero{}, bomb)
	inner := "bomb.jar"
	var b []byte
	for range deep {
		var out bytes.Buffer
		z := zip.NewWriter(&out)
		if w, err := z.Create(inner); err == nil {
			_, _ = io.Copy(w, content)
		}
		_ = z.Close()
		b = bytes.Clone(out.Bytes())
		content, inner = bytes.NewReader(b), "inner.jar"
	}
	return file("opt/"+name, string(b))
}

func longVersion() entry {
	return file("var/lib/dpkg/status", "Package: x\nStatus: install ok installed\nArchitecture: all\nVersion: "+strings.Repeat("1", 3_000_000)+"\n\n")
}

func deepJSON() entry {
	const deep = 2_000_000
	return file("usr/lib/node_modules/deep/package.json", strings.Repeat(`{"a":`, deep)+"1"+strings.Repeat("}", deep))
}
