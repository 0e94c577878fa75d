// Package s3test gives tests a bucket of their own on a real S3 server.
//
// The server is versitygw, which is found through PATH. One process of it serves all tests of a test
// binary that run at the same time; it is started by the first of them and stopped, with its directory
// removed, when the last one ends (or with the test binary, should that be killed).
package s3test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
)

const (
	accessKey = "s3test"
	secretKey = "s3test-secret"
	region    = "us-east-1"
)

// shared is the server of this process: the one thing here that outlives a single test.
var shared struct {
	sync.Mutex
	server *server
	users  int
}

// Bucket returns the way to a new, empty bucket. Without versitygw the test is skipped, or fails if
// BERTH_TEST_REQUIRE is "all".
func Bucket(t testing.TB) s3blob.Config {
	t.Helper()
	program, err := exec.LookPath("versitygw")
	if err != nil {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatalf("this test needs versitygw in PATH: %v", err)
		}
		t.Skipf("this test needs versitygw in PATH: %v", err)
	}
	endpoint := use(t, program)
	c := s3blob.Config{
		Bucket:          "b" + strings.ToLower(rand.Text()),
		Region:          region,
		Endpoint:        endpoint,
		AccessKeyID:     accessKey,
		SecretAccessKey: secretKey,
		PathStyle:       true,
		MaxBackoff:      50 * time.Millisecond,
	}
	if _, err := Client(c).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &c.Bucket}); err != nil {
		t.Fatalf("creating bucket %s: %v", c.Bucket, err)
	}
	return c
}

// Client is a plain client for the bucket's server, for what a test wants to look at behind the store's back.
func Client(c s3blob.Config) *s3.Client {
	return s3.New(s3.Options{
		Region:       c.Region,
		BaseEndpoint: aws.String(c.Endpoint),
		UsePathStyle: c.PathStyle,
		Credentials:  credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
	})
}

// use starts the server if it is not running, and stops it when the last test that uses it has ended.
func use(t testing.TB, program string) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.users == 0 {
		s, err := start(t.Context(), program)
		if err != nil {
			t.Fatalf("starting versitygw: %v", err)
		}
		shared.server = s
	}
	shared.users++
	t.Cleanup(func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.users--; shared.users == 0 {
			if err := shared.server.stop(); err != nil {
				t.Errorf("stopping versitygw: %v", err)
			}
		}
	})
	return shared.server.endpoint
}

// server is a running versitygw.
type server struct {
	endpoint string
	dir      string
	process  *os.Process
	exited   chan struct{}
	output   bytes.Buffer // complete when exited is closed
}

// start tries a few ports, since one that was free can be taken before the server gets to it.
func start(ctx context.Context, program string) (*server, error) {
	var failures error
	for range 5 {
		s, err := startOnce(ctx, program)
		if err == nil {
			return s, nil
		}
		failures = errors.Join(failures, err)
	}
	return nil, failures
}

func startOnce(ctx context.Context, program string) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "s3test-")
	if err != nil {
		return nil, err
	}
	s := &server{endpoint: "http://" + address, dir: dir, exited: make(chan struct{})}
	// Not CommandContext: the server belongs to all tests, not to the one that came first.
	cmd := exec.Command(program, "--access", accessKey, "--secret", secretKey, "--region", region, //nolint:noctx // see above
		"--port", address, "--health", "/health", "--quiet", "--keep-alive", "posix", dir)
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	endWithParent(cmd)
	started := make(chan error)
	go s.run(cmd, started)
	if err := <-started; err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.process = cmd.Process
	if err := s.waitUntilReady(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// waitUntilReady asks for the server's health until it answers, exits, or half a minute has passed.
func (s *server) waitUntilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.healthy(ctx) {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return fmt.Errorf("it exited: %s", s.output.Bytes())
		case <-ctx.Done():
			return fmt.Errorf("it does not answer at %s: %w", s.endpoint, ctx.Err())
		}
	}
}

func (s *server) healthy(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.endpoint+"/health", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (s *server) stop() error {
	_ = s.process.Kill() // it may have exited by itself
	<-s.exited
	return os.RemoveAll(s.dir)
}
