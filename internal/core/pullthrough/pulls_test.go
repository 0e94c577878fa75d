package pullthrough_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestOnlyWhatIsAskedFor pulls one platform of an index, and the index with it.
func TestOnlyWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		index := b.upstream.index("v1")
		raw, err := index.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		children, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		b.upstream.forget()
		got := b.pull(here, tagged("v1"))
		if !bytes.Equal(got.Manifest, raw) || got.Digest != digestOf(t, index) {
			t.Errorf("the index came as %s, want %s byte for byte", got.Digest, digestOf(t, index))
		}
		if n := b.upstream.asked("", there); n != 1 {
			t.Errorf("the index took %d requests, want 1", n)
		}
		if b.stored(digested(children.Manifests[0].Digest)) {
			t.Error("a child came along that nobody asked for")
		}
		child := b.pull(here, digested(children.Manifests[1].Digest))
		if !b.stored(oci.Reference{Digest: child.Digest}) || b.stored(digested(children.Manifests[0].Digest)) || b.stored(digested(children.Manifests[2].Digest)) {
			t.Error("not exactly the child that was asked for is stored")
		}
		img, err := index.Image(children.Manifests[1].Digest)
		if err != nil {
			t.Fatal(err)
		}
		var size int64
		for _, d := range layersOf(t, img) {
			if b.storedLayer(d) {
				t.Errorf("layer %s came along with its manifest", d)
			}
			content, err := b.read(t.Context(), d, 0, -1)
			if err != nil || oci.FromBytes(content) != d {
				t.Errorf("layer %s: %d bytes of another digest, %v", d, len(content), err)
			}
			size += int64(len(content))
		}
		if again, err := b.registry.StatImage(t.Context(), root, here, tagged("v1")); err != nil || child.Size != size || again.Size != size {
			t.Errorf("sizes: child %d, index %d (%v); want %d for both", child.Size, again.Size, err, size)
		}
		err = b.registry.DeleteImage(t.Context(), root, here, oci.Reference{Digest: child.Digest})
		wantFault(t, "deleting a child", err, fault.ImageReferenced)
		if err := b.registry.DeleteImage(t.Context(), root, here, oci.Reference{Digest: got.Digest}); err != nil {
			t.Errorf("deleting the index, two of whose children never came: %v", err)
		}
	})
}

// TestLastPull is about who counts as a puller: clients, not the cache.
func TestLastPull(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.upstream.image("v1")
		pulled := func() time.Time {
			t.Helper()
			if err := b.registry.FlushPulls(t.Context()); err != nil {
				t.Fatal(err)
			}
			img, err := b.registry.StatImage(t.Context(), root, here, tagged("v1"))
			if err != nil {
				t.Fatal(err)
			}
			return img.LastPulledAt
		}
		if _, err := b.StatImage(t.Context(), root, here, tagged("v1")); err != nil {
			t.Fatal(err)
		}
		if at := pulled(); !at.IsZero() {
			t.Errorf("a HEAD, and the fetch behind it, count as a pull at %s", at)
		}
		b.pull(here, tagged("v1"))
		if at := pulled(); at.IsZero() {
			t.Error("a client's pull does not count")
		}
	})
}

// TestOneFetchForAll has fifty clients pull at once, and the upstream wait with the second half of each layer
// until all have begun to read it.
func TestOneFetchForAll(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.upstream.image("v1")
		layers := layersOf(t, img)
		const clients = 50
		begun := map[string]*sync.WaitGroup{}
		for _, d := range layers[1:] {
			w := &sync.WaitGroup{}
			w.Add(clients)
			begun["/v2/"+there+"/blobs/"+d.String()] = w
		}
		b.upstream.doWrong(func(w http.ResponseWriter, r *http.Request) bool {
			all := begun[r.URL.Path]
			if all == nil || r.Header.Get("Authorization") == "" {
				return false
			}
			content := b.upstream.fetch(r)
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = w.Write(content[:len(content)/2])
			w.(http.Flusher).Flush()
			all.Wait()
			_, _ = w.Write(content[len(content)/2:])
			return true
		})
		b.upstream.forget()
		var running sync.WaitGroup
		for range clients {
			running.Go(func() {
				got, err := b.Image(t.Context(), root, here, tagged("v1"))
				if err != nil || got.Digest != digestOf(t, img) {
					t.Errorf("Image: %s, %v", got.Digest, err)
				}
				for _, d := range layers {
					content, err := b.Layer(t.Context(), root, here, d)
					if err != nil {
						t.Errorf("Layer: %v", err)
						return
					}
					rc, err := content.Open(t.Context(), 0, -1)
					if err != nil {
						t.Errorf("Open: %v", err)
						return
					}
					first := make([]byte, 1)
					_, err = io.ReadFull(rc, first)
					if all := begun["/v2/"+there+"/blobs/"+d.String()]; all != nil {
						all.Done()
					}
					rest, err2 := io.ReadAll(io.LimitReader(rc, content.Size-1))
					if oci.FromBytes(append(first, rest...)) != d {
						t.Errorf("layer %s came wrong: %v, %v", d, err, err2)
					}
					_ = rc.Close()
				}
			})
		}
		running.Wait()
		if n := b.upstream.asked("", "/manifests/"); n != 1 {
			t.Errorf("%d requests for the manifest, want 1", n)
		}
		for _, d := range layers {
			if n := b.upstream.asked("", d.String()); n != 1 || !b.storedLayer(d) {
				t.Errorf("%d requests for layer %s (stored: %t), want 1", n, d, b.storedLayer(d))
			}
		}
	})
}

// TestBrokenLayers has the upstream send what is not the layer. Nobody gets the whole of it, nothing is
// stored, and the next pull is as good as the first.
func TestBrokenLayers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.upstream.image("v1")
		b.pull(here, tagged("v1"))
		d := layersOf(t, img)[1]
		blob := "/v2/" + there + "/blobs/" + d.String()
		for name, send := range map[string]func(w http.ResponseWriter, r *http.Request, content []byte){
			"truncated": func(w http.ResponseWriter, _ *http.Request, content []byte) {
				w.Header().Set("Content-Length", fmt.Sprint(len(content)))
				_, _ = w.Write(content[:1000])
			},
			"another digest": func(w http.ResponseWriter, _ *http.Request, content []byte) {
				content[len(content)/2] ^= 1
				w.Header().Set("Content-Length", fmt.Sprint(len(content)))
				_, _ = w.Write(content)
			},
			"another digest, of unknown size": func(w http.ResponseWriter, _ *http.Request, content []byte) {
				content[0] ^= 1
				w.(http.Flusher).Flush()
				_, _ = w.Write(content)
			},
			"shorter": func(w http.ResponseWriter, _ *http.Request, content []byte) { _, _ = w.Write(content[:len(content)-1]) },
			"standing still": func(w http.ResponseWriter, r *http.Request, content []byte) {
				w.Header().Set("Content-Length", fmt.Sprint(len(content)))
				_, _ = w.Write(content[:1000])
				w.(http.Flusher).Flush()
				<-r.Context().Done() // until the other side has had enough
			},
		} {
			b.upstream.doWrong(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != blob || r.Header.Get("Authorization") == "" {
					return false
				}
				send(w, r, b.upstream.fetch(r))
				return true
			})
			for _, part := range [][2]int64{{0, -1}, {10, 10}} {
				if content, err := b.read(t.Context(), d, part[0], part[1]); err == nil {
					t.Errorf("%s: a client read %d bytes from %d and was not told", name, len(content), part[0])
				} else if oci.FromBytes(content) == d || errors.Is(err, io.EOF) {
					t.Errorf("%s: %d bytes and %v", name, len(content), err)
				}
			}
			if b.storedLayer(d) {
				t.Fatalf("%s: the layer is stored", name)
			}
		}
		b.upstream.doWrong(nil)
		if content, err := b.read(t.Context(), d, 0, -1); err != nil || oci.FromBytes(content) != d {
			t.Errorf("after all that: %d bytes, %v", len(content), err)
		}
		if part, err := b.read(t.Context(), d, 10, 10); err != nil || len(part) != 10 {
			t.Errorf("a part of the stored layer: %d bytes, %v", len(part), err)
		}
	})
}

// fetch gets what a request is for, past the proxy.
func (u *upstream) fetch(r *http.Request) []byte {
	req := r.Clone(r.Context())
	req.RequestURI = ""
	req.URL.Scheme, req.URL.Host = "http", u.berth.Host
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		u.t.Errorf("fetching %s: %v", r.URL.Path, err)
		return make([]byte, 2000)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		u.t.Errorf("fetching %s: %s, %v", r.URL.Path, res.Status, err)
	}
	return content
}

// TestLayersBeforeTheyAreFetched asks about layers that are upstream still, as ECR's API does.
func TestLayersBeforeTheyAreFetched(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		d := layersOf(t, b.upstream.image("v1"))[1]
		other := layersOf(t, b.upstream.image("other"))[1]
		b.pull(here, tagged("v1"))
		l, err := b.StatLayer(t.Context(), root, here, d)
		if err != nil || l.Size == 0 {
			t.Errorf("StatLayer: %+v, %v", l, err)
		}
		content, err := b.ReferencedLayer(t.Context(), root, here, d)
		if err != nil || content.Digest != d || content.Size != l.Size {
			t.Errorf("ReferencedLayer: %+v, %v", content.Layer, err)
		}
		results, err := b.LayersAvailable(t.Context(), root, here, []string{d.String(), other.String(), "odd"})
		if err != nil || !results[0].Found || results[0].Layer.Size != l.Size || results[1].Found || results[2].Err == nil {
			t.Errorf("LayersAvailable: %+v, %v", results, err)
		}
		_, err = b.StatLayer(t.Context(), root, here, other)
		wantFault(t, "a layer that no image here refers to", err, fault.LayerNotFound)
		_, err = b.Layer(t.Context(), root, here, other)
		wantFault(t, "pulling it", err, fault.LayerNotFound)
		if b.storedLayer(d) {
			t.Error("asking fetched the layer")
		}
	})
}

// TestNobodyIsAllowedNothing calls every operation with a caller who has no rights, and the upstream hears nothing.
func TestNobodyIsAllowedNothing(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	b := newBench(t, metadbtest.New(t), u)
	b.rule(pullthrough.Rule{Prefix: "up", Upstream: u.url, Credential: secretARN})
	u.image("v1")
	u.forget()
	nobody := identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":user/passer-by"}
	v := reflect.ValueOf(b.Cache)
	calls := 0
	for i := range v.NumMethod() {
		method := v.Type().Method(i)
		f := v.Method(i)
		if f.Type().NumIn() < 2 || f.Type().In(1) != reflect.TypeFor[identity.Caller]() {
			continue // Close, and Handle, which is the outbox's
		}
		args := make([]reflect.Value, f.Type().NumIn())
		for a := range args {
			args[a] = reflect.Zero(f.Type().In(a))
		}
		args[0], args[1] = reflect.ValueOf(t.Context()), reflect.ValueOf(nobody)
		for a := 2; a < len(args); a++ {
			switch args[a].Interface().(type) {
			case string:
				args[a] = reflect.ValueOf(here)
			case oci.Reference:
				args[a] = reflect.ValueOf(tagged("v1"))
			case registry.Push:
				args[a] = reflect.ValueOf(registry.Push{Repository: here, Manifest: []byte("{}")})
			case oci.Digest:
				args[a] = reflect.ValueOf(oci.FromBytes(nil))
			}
		}
		out := f.Call(args)
		err, _ := reflect.TypeAssert[error](out[len(out)-1])
		wantFault(t, method.Name, err, fault.AccessDenied)
		calls++
	}
	if calls < 12 {
		t.Errorf("only %d operations were called", calls)
	}
	if n := u.asked("", ""); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

// TestWhatIsNotThere leaves no traces.
func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		_, err := b.Image(t.Context(), root, here, tagged("none"))
		wantFault(t, "no such tag", err, fault.RepositoryNotFound)
		_, err = b.registry.Repository(t.Context(), root, here)
		wantFault(t, "the repository", err, fault.RepositoryNotFound)
		_, err = b.Image(t.Context(), root, "elsewhere/app", tagged("v1"))
		wantFault(t, "no rule about it", err, fault.RepositoryNotFound)
		img := b.upstream.image("v1")
		results, err := b.PullImages(t.Context(), root, here, []registry.ImageID{{Tag: "v1"}, {Tag: "none"}, {Digest: digestOf(t, img).String()}, {Digest: "odd"}})
		if err != nil || results[0].Err != nil || !errors.Is(results[1].Err, fault.ImageNotFound) || results[2].Err != nil || !errors.Is(results[3].Err, fault.DigestInvalid) {
			t.Errorf("PullImages: %+v, %v", results, err)
		}
	})
}

// TestPushOnTopOfAnUpstreamImage pushes an image whose base was never fetched, by a client that believes HEAD.
func TestPushOnTopOfAnUpstreamImage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		base := b.upstream.image("v1")
		b.pull(here, tagged("v1"))
		layers := layersOf(t, base)
		config := []byte(`{"mine":true}`)
		part := registry.Part{Start: registry.Anywhere, Size: int64(len(config)), Body: bytes.NewReader(config)}
		if _, err := b.registry.PutLayer(t.Context(), root, here, oci.FromBytes(config), part); err != nil {
			t.Fatal(err)
		}
		push := func(layer oci.Digest, size int64) error {
			_, err := b.PutImage(t.Context(), root, registry.Push{Repository: here, Tags: []string{"mine"}, Manifest: fmt.Appendf(nil,
				`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a/b","digest":%q,"size":%d},"layers":[{"mediaType":"a/c","digest":%q,"size":%d}]}`,
				oci.MediaTypeOCIManifest, oci.FromBytes(config), len(config), layer, size)})
			return err
		}
		l, err := b.StatLayer(t.Context(), root, here, layers[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := push(layers[1], l.Size); err != nil {
			t.Errorf("PutImage: %v", err)
		}
		if !b.storedLayer(layers[1]) || b.storedLayer(layers[2]) {
			t.Error("not exactly the layer that the push counts on was fetched")
		}
		wantFault(t, "a layer that nobody has", push(oci.FromBytes(config[:1]), 1), fault.ReferencedLayersNotFound)
		b.upstream.doWrong(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
		wantFault(t, "a layer that cannot be had", push(layers[2], 1), fault.UpstreamUnavailable)
	})
}
