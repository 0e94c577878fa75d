package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hoopstat-haus/berth/internal/bench/proc"
)

// The repositories that are listed over ECR's API, which only Berth has.
const (
	manyRepository = "bench/many"
	fewRepository  = "bench/few"
)

const (
	fewImages = 1000
	// PageOfMany is how many images a page has.
	PageOfMany = 1000
	// firstPages is how often a first page is read in each round.
	firstPages = 10
	// walks is how often all pages are read in each round.
	walks = 3
	// crowd is how many API clients are there at once.
	crowd = 1000
)

// Listed are the figures of listings over ECR's API.
type Listed struct {
	Images int `json:"images"` // in the large repository
	// FirstOfMany and FirstOfFew are the time of a first page of 1,000 images, from the large repository and from one
	// of 1,000 images.
	FirstOfMany []time.Duration `json:"first_of_many_ns"`
	FirstOfFew  []time.Duration `json:"first_of_few_ns"`
	// Pages are the times of the pages of walks through the large repository: by walk, then by page.
	Pages [][]time.Duration `json:"pages_ns"`
	// CrowdPeak is the server's peak memory while 1,000 clients read pages of 1,000 at once.
	CrowdPeak int64 `json:"crowd_peak_memory_bytes"`
}

// Listing fills two repositories and reads them by ECR's API.
func (p *Plan) Listing(ctx context.Context, t *Target, now func() time.Time) (Listed, error) {
	l := Listed{Images: p.sizes.Listed}
	few := min(fewImages, p.sizes.Listed)
	for repository, images := range map[string]int{manyRepository: p.sizes.Listed, fewRepository: few} {
		if err := p.fillListing(ctx, t, now, repository, images); err != nil {
			return l, fmt.Errorf("filling %s: %w", repository, err)
		}
	}
	api := apiClient{target: t, now: now, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: crowd}}}
	defer api.http.CloseIdleConnections()
	for range p.sizes.Rounds {
		for range firstPages {
			for repository, times := range map[string]*[]time.Duration{manyRepository: &l.FirstOfMany, fewRepository: &l.FirstOfFew} {
				_, took, err := api.page(ctx, repository, "")
				if err != nil {
					return l, err
				}
				*times = append(*times, took)
			}
		}
		for range walks {
			walk, err := api.walk(ctx, manyRepository, p.sizes.Listed)
			if err != nil {
				return l, err
			}
			l.Pages = append(l.Pages, walk)
		}
	}
	proc.ResetPeak(t.PID)
	if err := api.crowd(ctx, p.sizes.Duration); err != nil {
		return l, err
	}
	var err error
	l.CrowdPeak, err = proc.PeakMemory(t.PID)
	return l, err
}

// fillListing pushes images that share their layer: two of three with a tag.
func (p *Plan) fillListing(ctx context.Context, t *Target, now func() time.Time, repository string, images int) error {
	one := Limits{Clients: 1, Duration: time.Hour, Operations: 1}
	if _, err := Measure(ctx, t, one, now, func(c *Client, _ int64) (int64, error) {
		return 0, c.PushImage(repository, listTag(0), p.images[0])
	}); err != nil {
		return err
	}
	all := Limits{Clients: many, Duration: time.Hour, Operations: int64(images) - 1}
	_, err := Measure(ctx, t, all, now, func(c *Client, n int64) (int64, error) {
		manifest := bytes.Replace(p.images[0].Manifest, []byte(`{`), fmt.Appendf(nil, `{"annotations":{"number":"%d"},`, n), 1)
		reference := listTag(n + 1)
		if n%3 == 0 {
			reference = digest(manifest)
		}
		return 0, c.PutManifest(repository, reference, manifest)
	})
	return err
}

// apiClient calls ECR's API and looks at nothing of an answer but the token of the next page.
type apiClient struct {
	target *Target
	now    func() time.Time
	http   *http.Client
}

// page reads a page of images and tells how long the server took.
func (a apiClient) page(ctx context.Context, repository, token string) (next string, took time.Duration, err error) {
	in := map[string]any{"repositoryName": repository, "maxResults": PageOfMany}
	if token != "" {
		in["nextToken"] = token
	}
	body, err := json.Marshal(in)
	if err != nil {
		return "", 0, err
	}
	request, err := a.sign(ctx, "DescribeImages", body)
	if err != nil {
		return "", 0, err
	}
	began := a.now()
	var answer bytes.Buffer
	if err := a.send(request, &answer); err != nil {
		return "", 0, err
	}
	took = a.now().Sub(began)
	var out struct {
		NextToken string `json:"nextToken"`
	}
	err = json.Unmarshal(answer.Bytes(), &out)
	return out.NextToken, took, err
}

// walk reads all pages.
func (a apiClient) walk(ctx context.Context, repository string, images int) (times []time.Duration, err error) {
	for token := ""; ; {
		next, took, err := a.page(ctx, repository, token)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
		if next == "" {
			break
		}
		token = next
	}
	// A token may lead to nothing, but not for ever.
	if wanted := (images + PageOfMany - 1) / PageOfMany; len(times) < wanted || len(times) > wanted+1 {
		return nil, fmt.Errorf("%s was listed in %d pages, want %d", repository, len(times), wanted)
	}
	return times, nil
}

// crowd lets 1,000 clients, each on a connection of its own, read the first page of the large repository for a while.
func (a apiClient) crowd(ctx context.Context, d time.Duration) error {
	var all sync.WaitGroup
	errs := make([]error, crowd)
	began := a.now()
	for i := range crowd {
		all.Go(func() {
			for again := true; again && errs[i] == nil; again = a.now().Sub(began) < d {
				request, err := a.sign(ctx, "DescribeImages", []byte(`{"repositoryName":"`+manyRepository+`","maxResults":`+strconv.Itoa(PageOfMany)+`}`))
				if err == nil {
					err = a.send(request, io.Discard)
				}
				errs[i] = err
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (a apiClient) sign(ctx context.Context, operation string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.target.Address+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+operation)
	sum := sha256.Sum256(body)
	keys := aws.Credentials{AccessKeyID: a.target.Keys.ID, SecretAccessKey: a.target.Keys.Secret}
	return request, v4.NewSigner().SignHTTP(ctx, keys, request, hex.EncodeToString(sum[:]), "ecr", a.target.Keys.Region, a.now())
}

func (a apiClient) send(request *http.Request, into io.Writer) error {
	response, err := a.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return fmt.Errorf("DescribeImages answered %s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	_, err = io.Copy(into, response.Body)
	return err
}
