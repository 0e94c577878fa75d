package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// pusher is one client among several: it pushes, moves tags and deletes until the server is gone. It is
// serial, so that what it did is ordered; other pushers run beside it in the same repositories.
type pusher struct {
	client *client
	ecr    *ecr.Client // without retries
	ledger *ledger
	name   string
	rnd    *rand.Rand
	repos  []string
	dark   *atomic.Bool // the power is off: no answer counts any more; nil where it stays on

	blobs map[string][]oci.Descriptor // by repository: what this pusher got acknowledged and never deletes
	own   []place                     // images it may delete
	plain []ownImage                  // images it may put in an index
	round int
	seq   int
}

type ownImage struct {
	place
	size int
}

// sharedTag is moved by all pushers.
const sharedTag = "shared-latest"

// errDark takes the place of an answer that came after the power went off.
var errDark = errors.New("the power is off")

// unexpectedError is an answer that the server should not have given; a cut connection is no such error.
type unexpectedError struct {
	what string
	reply
}

func (e *unexpectedError) Error() string { return fmt.Sprintf("%s answered %v", e.what, e.reply) }

// run works until the context ends or the server stops answering. It reports only answers that are wrong.
func (p *pusher) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := p.step(ctx); err != nil {
			if wrong, ok := err.(*unexpectedError); ok { //nolint:errorlint // step returns it bare
				return wrong
			}
			return nil // cut: what was on its way is in the ledger
		}
	}
	return nil
}

func (p *pusher) step(ctx context.Context) error {
	repo := p.repos[p.rnd.IntN(len(p.repos))]
	switch n := p.rnd.IntN(20); {
	case n < 11:
		return p.pushImage(ctx, repo)
	case n < 13:
		return p.pushIndex(ctx)
	case n < 15:
		return p.moveTag(ctx)
	case n < 16:
		return p.deleteTag(ctx, repo)
	case n < 18:
		return p.deleteImage(ctx)
	default:
		_, err := p.pushBlob(ctx, repo, p.content())
		return err
	}
}

// content makes the bytes of a layer: mostly small, sometimes some megabytes, now and then none at all.
func (p *pusher) content() []byte {
	size := 2 + p.rnd.IntN(8<<10)
	switch p.rnd.IntN(16) {
	case 0:
		size = 1<<20 + p.rnd.IntN(4<<20)
	case 1:
		size = 0
	case 2, 3, 4:
		size = 2 + p.rnd.IntN(256<<10)
	}
	return noise(p.rnd.Uint64(), size)
}

func (p *pusher) ownTag(n int) string { return fmt.Sprintf("%s-%d", p.name, n) }

func (p *pusher) pushImage(ctx context.Context, repo string) error {
	var layers []oci.Descriptor
	for range p.rnd.IntN(4) {
		d, err := p.layer(ctx, repo)
		if err != nil {
			return err
		}
		layers = append(layers, d)
	}
	p.seq++
	config, err := p.pushBlob(ctx, repo, fmt.Appendf(nil, `{"by":%q,"round":%d,"seq":%d}`, p.name, p.round, p.seq))
	if err != nil {
		return err
	}
	manifest := imageOf(config, layers...)
	// Images under the shared tag are never deleted by digest: that would take the tag along.
	if p.rnd.IntN(4) == 0 {
		pl, err := p.putManifest(ctx, repo, sharedTag, manifest, true)
		if err == nil {
			p.plain = append(p.plain, ownImage{pl, len(manifest)})
		}
		return err
	}
	ref := p.ownTag(p.rnd.IntN(6))
	if p.rnd.IntN(4) == 0 {
		ref = string(oci.FromBytes(manifest))
	}
	pl, err := p.putManifest(ctx, repo, ref, manifest, false)
	if err == nil {
		if p.rnd.IntN(2) == 0 {
			p.own = append(p.own, pl)
		} else {
			p.plain = append(p.plain, ownImage{pl, len(manifest)})
		}
	}
	return err
}

// layer gives a layer of the repository: a new one, an old one, or one mounted from elsewhere.
func (p *pusher) layer(ctx context.Context, repo string) (oci.Descriptor, error) {
	from := p.repos[p.rnd.IntN(len(p.repos))]
	old := p.blobs[from]
	if len(old) == 0 || p.rnd.IntN(3) > 0 {
		return p.pushBlob(ctx, repo, p.content())
	}
	d := old[p.rnd.IntN(len(old))]
	if p.ledger.mayBeHidden(from, d.Digest) {
		return p.pushBlob(ctx, repo, p.content())
	}
	if from == repo {
		err := p.expect(ctx, http.StatusOK, http.MethodHead, "/v2/"+repo+"/blobs/"+string(d.Digest), nil)
		if err != nil && p.ledger.mayBeHidden(from, d.Digest) {
			return p.pushBlob(ctx, repo, p.content())
		}
		return d, err
	}
	err := p.expect(ctx, http.StatusCreated, http.MethodPost,
		"/v2/"+repo+"/blobs/uploads/?mount="+string(d.Digest)+"&from="+from, nil)
	if err != nil && p.ledger.mayBeHidden(from, d.Digest) {
		return p.pushBlob(ctx, repo, p.content())
	}
	if err == nil {
		p.keepBlob(repo, d)
	}
	return d, err
}

func (p *pusher) keepBlob(repo string, d oci.Descriptor) {
	p.ledger.blob(repo, d.Digest)
	p.blobs[repo] = append(p.blobs[repo], d)
}

// putManifest sends a manifest under a tag or its digest.
func (p *pusher) putManifest(ctx context.Context, repo, ref string, manifest []byte, shared bool) (place, error) {
	pl := p.ledger.sending(repo, manifest, shared)
	start := p.ledger.now()
	mediaType := oci.MediaTypeOCIManifest
	if bytes.Contains(manifest, []byte(oci.MediaTypeOCIIndex)) {
		mediaType = oci.MediaTypeOCIIndex
	}
	err := p.expect(ctx, http.StatusCreated, http.MethodPut, "/v2/"+repo+"/manifests/"+ref, manifest, "Content-Type", mediaType)
	p.ledger.sent(pl, err == nil)
	if !strings.Contains(ref, ":") {
		p.ledger.tagged(tagPlace{repo, ref}, pl.digest, start, err == nil)
	}
	return pl, err
}

// pushIndex puts an index over images that this pusher never deletes.
func (p *pusher) pushIndex(ctx context.Context) error {
	if len(p.plain) == 0 {
		return nil
	}
	first := p.plain[p.rnd.IntN(len(p.plain))]
	children := []map[string]any{}
	for _, img := range p.plain {
		if img.repo == first.repo && len(children) < 3 && !p.isDoomed(img.place) {
			children = append(children, map[string]any{"mediaType": oci.MediaTypeOCIManifest, "digest": img.digest, "size": img.size})
			p.ledger.mark(img.place, func(r *imageRecord) { r.parent = true })
		}
	}
	p.seq++
	index, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeOCIIndex, "manifests": children,
		"annotations": map[string]string{"by": fmt.Sprintf("%s-%d-%d", p.name, p.round, p.seq)},
	})
	if err != nil {
		return err
	}
	_, err = p.putManifest(ctx, first.repo, p.ownTag(6+p.rnd.IntN(2)), index, false)
	return err
}

func (p *pusher) isDoomed(pl place) bool {
	var doomed bool
	p.ledger.mark(pl, func(r *imageRecord) { doomed = r.doomed || !r.acked })
	return doomed
}

// moveTag puts an image again that is there already, under a tag of this pusher's.
func (p *pusher) moveTag(ctx context.Context) error {
	if len(p.plain) == 0 {
		return nil
	}
	img := p.plain[p.rnd.IntN(len(p.plain))]
	var manifest []byte
	p.ledger.mark(img.place, func(r *imageRecord) { manifest = r.manifest })
	if p.isDoomed(img.place) {
		return nil
	}
	_, err := p.putManifest(ctx, img.repo, p.ownTag(8+p.rnd.IntN(2)), manifest, false)
	return err
}

// deleteTag takes one of the pusher's tags away. Over this API the image stays, even without any tag.
func (p *pusher) deleteTag(ctx context.Context, repo string) error {
	t := tagPlace{repo, p.ownTag(p.rnd.IntN(6))}
	targets := p.ledger.allowed(t)
	if len(targets) != 1 || targets[0] == "" {
		return nil
	}
	start := p.ledger.now()
	err := p.expect(ctx, http.StatusAccepted, http.MethodDelete, "/v2/"+repo+"/manifests/"+t.tag, nil)
	p.ledger.tagged(t, "", start, err == nil)
	return err
}

// deleteImage deletes one of the pusher's images by digest, with whatever tags of the pusher's are on it.
func (p *pusher) deleteImage(ctx context.Context) error {
	if len(p.own) == 0 {
		return nil
	}
	i := p.rnd.IntN(len(p.own))
	pl := p.own[i]
	p.own = append(p.own[:i], p.own[i+1:]...)
	if p.isDoomed(pl) {
		return nil
	}
	p.ledger.mark(pl, func(r *imageRecord) { r.doomed = true })
	if err := p.ledger.hide(pl); err != nil {
		return err
	}
	var on []tagPlace
	for n := range 10 {
		t := tagPlace{pl.repo, p.ownTag(n)}
		if targets := p.ledger.allowed(t); len(targets) == 1 && targets[0] == pl.digest {
			on = append(on, t)
		}
	}
	start := p.ledger.now()
	err := p.expect(ctx, http.StatusAccepted, http.MethodDelete, "/v2/"+pl.repo+"/manifests/"+string(pl.digest), nil)
	for _, t := range on {
		p.ledger.tagged(t, "", start, err == nil)
	}
	if err == nil {
		p.ledger.mark(pl, func(r *imageRecord) { r.gone = true })
		p.ledger.mu.Lock()
		p.ledger.counts.deleted++
		p.ledger.mu.Unlock()
	}
	return err
}

// pushBlob pushes bytes in one of the ways that clients have.
func (p *pusher) pushBlob(ctx context.Context, repo string, content []byte) (oci.Descriptor, error) {
	d := oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: oci.FromBytes(content), Size: int64(len(content))}
	uploads := "/v2/" + repo + "/blobs/uploads/"
	var err error
	switch n := p.rnd.IntN(4); {
	case n == 0:
		err = p.expect(ctx, http.StatusCreated, http.MethodPost, uploads+"?digest="+string(d.Digest), content)
	case n == 1 && len(content) > 0: // ECR's API has no empty layers
		err = p.pushParts(ctx, repo, content, d.Digest)
	case n == 2:
		var r reply
		if r, err = p.ask(ctx, http.StatusAccepted, http.MethodPost, uploads, nil); err == nil {
			err = p.expect(ctx, http.StatusCreated, http.MethodPut, join(r.Header.Get("Location"), "digest="+string(d.Digest)), content)
		}
	default:
		err = p.pushChunks(ctx, repo, content, d.Digest)
	}
	if err == nil {
		p.keepBlob(repo, d)
	}
	return d, err
}

// pushChunks uploads in pieces. When the server goes away in between, the upload is left to be resumed.
func (p *pusher) pushChunks(ctx context.Context, repo string, content []byte, d oci.Digest) (err error) {
	r, err := p.ask(ctx, http.StatusAccepted, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil)
	if err != nil {
		return err
	}
	u := &openUpload{repo: repo, location: r.Header.Get("Location"), content: content}
	defer func() {
		if err != nil {
			p.ledger.interrupted(u)
		}
	}()
	for u.acked < len(content) {
		n := min(len(content)-u.acked, 2+p.rnd.IntN(len(content)/2+1)) // never one byte: its Range looks like none
		u.sent = u.acked + n
		r, err = p.ask(ctx, http.StatusAccepted, http.MethodPatch, u.location, content[u.acked:u.sent],
			"Content-Range", fmt.Sprintf("%d-%d", u.acked, u.sent-1))
		if err != nil {
			return err
		}
		u.acked, u.location = u.sent, r.Header.Get("Location")
	}
	u.finishing = true
	_, err = p.ask(ctx, http.StatusCreated, http.MethodPut, join(u.location, "digest="+string(d)), nil)
	return err
}

// pushParts uploads by ECR's own API. What a crash cuts is not resumed: the API has no way to ask how far it
// came.
func (p *pusher) pushParts(ctx context.Context, repo string, content []byte, d oci.Digest) error {
	const part = 5 << 20
	started, err := p.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: &repo})
	if err != nil {
		return p.cutOrWrong("InitiateLayerUpload", err)
	}
	for first := 0; first < len(content); first += part {
		last := min(first+part, len(content)) - 1
		_, err := p.ecr.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{
			RepositoryName: &repo, UploadId: started.UploadId, LayerPartBlob: content[first : last+1],
			PartFirstByte: aws.Int64(int64(first)), PartLastByte: aws.Int64(int64(last)),
		})
		if err != nil {
			return p.cutOrWrong("UploadLayerPart", err)
		}
	}
	_, err = p.ecr.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{
		RepositoryName: &repo, UploadId: started.UploadId, LayerDigests: []string{string(d)},
	})
	if _, there := errors.AsType[*types.LayerAlreadyExistsException](err); there {
		err = nil // small noise may come up twice
	}
	return p.cutOrWrong("CompleteLayerUpload", err)
}

// cutOrWrong tells an answer that is wrong from none at all.
func (p *pusher) cutOrWrong(what string, err error) error {
	if p.dark != nil && p.dark.Load() {
		return errDark
	}
	if api, answered := errors.AsType[smithy.APIError](err); answered {
		return &unexpectedError{what: what, reply: reply{Status: http.StatusBadRequest, Body: []byte(api.Error())}}
	}
	return err
}

func (p *pusher) expect(ctx context.Context, want int, method, target string, body []byte, headers ...string) error {
	_, err := p.ask(ctx, want, method, target, body, headers...)
	return err
}

// ask makes a request that is answered with the status, or cut.
func (p *pusher) ask(ctx context.Context, want int, method, target string, body []byte, headers ...string) (reply, error) {
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
		headers = append([]string{"Content-Type", "application/octet-stream"}, headers...)
	}
	got, err := p.client.send(ctx, method, target, r, headers...)
	if err == nil && p.dark != nil && p.dark.Load() {
		return got, errDark
	}
	if err == nil && got.Status != want {
		return got, &unexpectedError{what: method + " " + target, reply: got}
	}
	return got, err
}
