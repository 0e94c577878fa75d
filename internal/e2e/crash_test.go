package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

const (
	defaultCrashRounds = 8
	crashPushers       = 6
)

// TestKilledWhilePushing kills a server without warning in the middle of concurrent pushes, again and
// again, and compares what is there afterwards with everything that was acknowledged.
// BERTH_CRASH_ROUNDS makes it longer, BERTH_CRASH_SEED repeats a run's choices (not its timing).
func TestKilledWhilePushing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, storage berthproc.Storage) {
		rounds := envInt(t, "BERTH_CRASH_ROUNDS", defaultCrashRounds)
		seed := envInt(t, "BERTH_CRASH_SEED", time.Now().UnixNano()&0xffffffff)
		t.Logf("BERTH_CRASH_SEED=%d", seed)
		s := berthproc.Start(t, berthproc.Config{Storage: storage})
		newCrash(t, s, uint64(seed)).rounds(int(rounds))
		s.Stop()
		if !storage.Bucket {
			checkSQLite(t, filepath.Join(s.Data, "berth.db"))
		}
	})
}

func envInt(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number above 0", name, v)
	}
	return n
}

// crash is a server that is killed over and over.
type crash struct {
	t       *testing.T
	server  *berthproc.Server
	client  *client
	ecr     *ecr.Client
	ledger  *ledger
	rnd     *rand.Rand
	repos   []string
	pushers []*pusher

	strike func() // ends the server without warning
	revive func() // starts it again

	checked  map[place]bool // blobs whose bytes were compared in an earlier round
	resumed  int
	restarts time.Duration
}

func newCrash(t *testing.T, s *berthproc.Server, seed uint64) *crash {
	t.Helper()
	c := &crash{
		t: t, server: s, client: newClient(t, s), ecr: s.ECR(), ledger: newLedger(),
		rnd: rand.New(rand.NewPCG(seed, 0)), repos: []string{"crash/one", "crash/two"}, checked: map[place]bool{},
	}
	c.strike, c.revive = s.Kill, s.Restart
	s.CreateRepositories(c.repos...)
	for i := range crashPushers {
		c.pushers = append(c.pushers, &pusher{
			client: c.client, ledger: c.ledger, name: fmt.Sprintf("p%d", i), rnd: rand.New(rand.NewPCG(seed, uint64(i)+1)),
			ecr: s.ECR(func(o *ecr.Options) { o.RetryMaxAttempts = 1 }), repos: c.repos, blobs: map[string][]oci.Descriptor{},
		})
	}
	return c
}

func (c *crash) rounds(n int) {
	c.t.Helper()
	for round := range n {
		c.work(round, time.Duration(100+c.rnd.IntN(1400))*time.Millisecond)
		began := time.Now()
		c.revive()
		c.restarts += time.Since(began)
		c.verify(round == n-1)
		if c.t.Failed() {
			c.t.Fatalf("round %d failed; %v", round, c.ledger)
		}
	}
	c.t.Logf("%d rounds: %v, %d uploads resumed, %v per restart", n, c.ledger, c.resumed, c.restarts/time.Duration(n))
	if c.ledger.counts.acked < 5*n || c.ledger.counts.cut == 0 {
		c.t.Errorf("after %d rounds: %v; so few that the test shows nothing", n, c.ledger)
	}
}

// work lets the pushers push, and kills the server after a while.
func (c *crash) work(round int, d time.Duration) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), d+time.Minute)
	defer cancel()
	wrong := make([]error, len(c.pushers))
	var group sync.WaitGroup
	for i, p := range c.pushers {
		p.round = round
		group.Go(func() { wrong[i] = p.run(ctx) })
	}
	select {
	case <-time.After(d):
	case <-c.t.Context().Done():
	}
	c.strike()
	group.Wait()
	if err := errors.Join(wrong...); err != nil {
		c.t.Errorf("round %d, before the kill: %v", round, err)
	}
}

// verify compares the server with the ledger. A thorough one reads every byte again.
func (c *crash) verify(thorough bool) {
	c.t.Helper()
	ctx := c.t.Context()
	for _, u := range c.ledger.takeUploads() {
		if err := c.resume(ctx, u); err != nil {
			c.t.Errorf("resuming an upload of %d bytes, %d acknowledged, %d sent: %v", len(u.content), u.acked, u.sent, err)
		}
	}
	for _, p := range c.ledger.tagPlaces() {
		if err := c.verifyTag(ctx, p); err != nil {
			c.t.Errorf("tag %s:%s: %v", p.repo, p.tag, err)
		}
	}
	if thorough {
		c.verifyHistory()
	}
	for _, repo := range c.repos {
		if err := c.verifyListing(ctx, repo, thorough); err != nil {
			c.t.Errorf("repository %s: %v", repo, err)
		}
	}
	for _, p := range c.ledger.blobPlaces() {
		if err := c.verifyBlob(ctx, p, thorough); err != nil {
			c.t.Errorf("an acknowledged blob: %v", err)
		}
	}
}

// verifyTag finds the tag where one of the attempts that may be the last put it.
func (c *crash) verifyTag(ctx context.Context, p tagPlace) error {
	allowed := c.ledger.allowed(p)
	r, err := c.client.send(ctx, http.MethodGet, "/v2/"+p.repo+"/manifests/"+p.tag, nil, "Accept", "*/*")
	if err != nil {
		return err
	}
	var got oci.Digest
	switch r.Status {
	case http.StatusOK:
		got = oci.FromBytes(r.Body)
		if header := r.Header.Get("Docker-Content-Digest"); header != string(got) {
			return fmt.Errorf("bytes of digest %s came as %s", got, header)
		}
	case http.StatusNotFound:
	default:
		return fmt.Errorf("got %v", r)
	}
	if !slices.Contains(allowed, got) {
		return fmt.Errorf("points to %q, which is none of what was acknowledged last or sent since: %q", got, allowed)
	}
	c.ledger.settle(p, got)
	return nil
}

// verifyListing compares both listings with the ledger, and pulls what they hold.
func (c *crash) verifyListing(ctx context.Context, repo string, thorough bool) error {
	must, may := c.ledger.expectation(repo)
	listed := map[oci.Digest]bool{}
	tagged := map[string]bool{}
	pages := ecr.NewDescribeImagesPaginator(c.ecr, &ecr.DescribeImagesInput{RepositoryName: &repo, MaxResults: aws.Int32(200)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, img := range page.ImageDetails {
			listed[oci.Digest(aws.ToString(img.ImageDigest))] = true
			for _, tag := range img.ImageTags {
				tagged[tag] = true
			}
		}
	}
	for d := range must {
		if !listed[d] {
			return fmt.Errorf("image %s was acknowledged and is not listed", d)
		}
	}
	for d := range listed {
		if !may[d] {
			return fmt.Errorf("image %s is listed, but was deleted or never sent", d)
		}
		if err := c.verifyImage(ctx, repo, d, thorough); err != nil {
			return err
		}
	}
	tags, err := c.client.tags(ctx, repo)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if !tagged[tag] {
			return fmt.Errorf("tags/list has %s, DescribeImages has not", tag)
		}
	}
	if len(tags) != len(tagged) {
		return fmt.Errorf("tags/list has %d tags, DescribeImages %d", len(tags), len(tagged))
	}
	return nil
}

// verifyImage holds a listed image against what was sent, and pulls everything below it.
func (c *crash) verifyImage(ctx context.Context, repo string, d oci.Digest, thorough bool) error {
	r, err := c.client.send(ctx, http.MethodGet, "/v2/"+repo+"/manifests/"+string(d), nil, "Accept", "*/*")
	if err != nil {
		return err
	}
	var sent []byte
	c.ledger.mark(place{repo, d}, func(rec *imageRecord) { sent = rec.manifest })
	if r.Status != http.StatusOK || !bytes.Equal(r.Body, sent) {
		return fmt.Errorf("image %s is listed, its manifest is not what was sent: %v", d, r)
	}
	m, err := oci.ParseManifest("", r.Body)
	if err != nil {
		return err
	}
	for _, b := range m.Blobs() {
		if err := c.verifyBlob(ctx, place{repo, b.Digest}, thorough); err != nil {
			return fmt.Errorf("image %s dangles: %w", d, err)
		}
	}
	for _, child := range m.Children {
		r, err := c.client.send(ctx, http.MethodHead, "/v2/"+repo+"/manifests/"+string(child.Digest), nil, "Accept", "*/*")
		if err := answered(r, err, http.StatusOK); err != nil {
			return fmt.Errorf("index %s dangles: child %s: %w", d, child.Digest, err)
		}
	}
	return nil
}

// verifyBlob reads a blob once whole, and later only asks for it, unless the look is a thorough one.
func (c *crash) verifyBlob(ctx context.Context, p place, thorough bool) error {
	if !c.checked[p] || thorough {
		c.checked[p] = true
		return c.client.verifyBlob(ctx, p.repo, p.digest)
	}
	r, err := c.client.send(ctx, http.MethodHead, "/v2/"+p.repo+"/blobs/"+string(p.digest), nil)
	if err == nil && r.Status != http.StatusOK {
		return fmt.Errorf("HEAD of blob %s in %s answered %v", p.digest, p.repo, r)
	}
	return err
}

// resume continues an interrupted upload from where the server says it stands, and finishes it.
func (c *crash) resume(ctx context.Context, u *openUpload) error {
	r, err := c.client.send(ctx, http.MethodGet, u.location, nil)
	if err != nil {
		return err
	}
	d := oci.FromBytes(u.content)
	if u.finishing && r.Status == http.StatusNotFound && c.ledger.mayBeHidden(u.repo, d) {
		return nil
	}
	if u.finishing && r.Status == http.StatusNotFound {
		return c.client.verifyBlob(ctx, u.repo, d) // it was complete before the crash
	}
	if r.Status != http.StatusNoContent {
		return fmt.Errorf("its status is %v, want 204", r)
	}
	have, err := rangeEnd(r.Header.Get("Range"), u.acked)
	if err != nil {
		return err
	}
	if have < u.acked || have > u.sent {
		return fmt.Errorf("the server has %d bytes of it", have)
	}
	location := u.location
	if l := r.Header.Get("Location"); l != "" {
		location = l
	}
	rest := u.content[have:]
	if len(rest) > 0 {
		r, err = c.client.send(ctx, http.MethodPatch, location, bytes.NewReader(rest),
			"Content-Type", "application/octet-stream", "Content-Range", fmt.Sprintf("%d-%d", have, len(u.content)-1))
		if err := answered(r, err, http.StatusAccepted); err != nil {
			return fmt.Errorf("adding the rest from %d: %w", have, err)
		}
		location = r.Header.Get("Location")
	}
	r, err = c.client.send(ctx, http.MethodPut, join(location, "digest="+string(d)), nil)
	if err := answered(r, err, http.StatusCreated); err != nil {
		return fmt.Errorf("finishing it: %w", err)
	}
	c.ledger.blob(u.repo, d)
	c.resumed++
	return nil
}

// rangeEnd reads how many bytes "0-41" stands for. "0-0" is one byte, or what registries say of an upload
// without any: what was acknowledged decides.
func rangeEnd(header string, acked int) (int, error) {
	if header == "" {
		return 0, nil
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	n, err := strconv.Atoi(last)
	if !ok || first != "0" || err != nil {
		return 0, fmt.Errorf("the upload's Range is %q", header)
	}
	if n == 0 {
		return min(acked, 1), nil
	}
	return n + 1, nil
}

// TestKilledWhileStarting kills a server at any moment of its first starts, migrations and key creation
// included, and expects that the next one just works.
func TestKilledWhileStarting(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.New(t, berthproc.Config{Storage: storage})
		for i := range 12 {
			s.Launch()
			<-time.After(time.Duration(i*15) * time.Millisecond)
			s.Kill()
		}
		s.Start()
		s.CreateRepositories("after/all")
		c := newClient(t, s)
		d := oci.FromBytes(c.pushImage(t, "after/all", "v1", 1))
		s.Kill()
		s.Start()
		if err := c.verifyImage(t.Context(), "after/all", d); err != nil {
			t.Error(err)
		}
	})
}
