// Package berthtest runs a whole Berth inside a Go test: a registry that docker, crane, the AWS SDKs and the
// AWS CLI use unchanged, on a free port of this machine, with its own data that goes when the test ends.
//
//	func TestPush(t *testing.T) {
//		berth := berthtest.New(t)
//		client := ecr.NewFromConfig(berth.AWSConfig())
//		client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/app")})
//		remote.Write(ref, image, remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: "AWS", Password: berth.Password(t)})))
//	}
//
// It is the real thing, SQLite and a directory, not an imitation: what is pushed is durable, what ECR would
// refuse is refused, and each test's Berth knows nothing of the others', so tests may run in parallel.
package berthtest

import (
	"context"
	"encoding/base64"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/config"
)

// Username is the name to log in to the registry with; the password is [Server.Password].
const Username = "AWS"

// Server is a running Berth and its root credentials.
type Server struct {
	URL             string // http://127.0.0.1:34567: the endpoint of the AWS APIs, and of /v2/
	Host            string // 127.0.0.1:34567: what image references begin with
	Account         string // the registry's id
	Region          string
	AccessKeyID     string
	SecretAccessKey string
}

// Option changes how the server runs.
type Option func(settings map[string]string)

// Account sets the account id, 12 digits.
func Account(id string) Option {
	return func(settings map[string]string) { settings["account-id"] = id }
}

// Region sets the region, which ARNs name.
func Region(name string) Option {
	return func(settings map[string]string) { settings["region"] = name }
}

// Data keeps the data in a directory of the caller's, so that a later server can go on from it. One
// server at a time may use it.
func Data(dir string) Option {
	return func(settings map[string]string) { settings["data"] = dir }
}

// New starts a Berth, and stops it when the test ends. What the server logs as a warning or an error goes
// to the test's log.
func New(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	settings := map[string]string{"listen": "127.0.0.1:0", "shutdown-timeout": "10s"}
	for _, o := range options {
		o(settings)
	}
	if settings["data"] == "" {
		settings["data"] = tb.TempDir()
	}
	cfg, err := config.Load(config.Sources{Flags: maps.Clone(settings)})
	if err != nil {
		tb.Fatalf("berthtest: %v", err)
	}
	logger := slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	berth, err := app.New(tb.Context(), cfg, app.Deps{Logger: logger, Now: time.Now})
	if err != nil {
		tb.Fatalf("berthtest: starting: %v", err)
	}
	run(tb, berth)
	key, err := app.ReadRootKey(cfg.Data)
	if err != nil {
		tb.Fatalf("berthtest: %v", err)
	}
	return &Server{
		URL: berth.URL().String(), Host: berth.URL().Host, Account: key.Account, Region: key.Region,
		AccessKeyID: key.AccessKeyID, SecretAccessKey: key.SecretAccessKey,
	}
}

// run serves until the test ends. The test's own context ends before its clean-up does, so the server has
// one of its own.
func run(tb testing.TB, berth *app.App) {
	tb.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	served := make(chan error, 1)
	go func() { served <- berth.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			tb.Errorf("berthtest: serving: %v", err)
		}
	})
}

// AWSConfig makes clients of aws-sdk-go-v2 talk to this server as root: ecr.NewFromConfig(s.AWSConfig()).
func (s *Server) AWSConfig() aws.Config {
	return aws.Config{
		Region:       s.Region,
		BaseEndpoint: aws.String(s.URL),
		Credentials:  credentials.NewStaticCredentialsProvider(s.AccessKeyID, s.SecretAccessKey, ""),
	}
}

// Environment gives the variables with which the AWS CLI and every SDK talk to this server as root, in the
// form of os.Environ.
func (s *Server) Environment() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.URL,
		"AWS_REGION=" + s.Region,
		"AWS_DEFAULT_REGION=" + s.Region, // version 1 of the CLI knows only this one
		"AWS_ACCESS_KEY_ID=" + s.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + s.SecretAccessKey,
		"AWS_SESSION_TOKEN=", // whatever the outer environment has is not for this server
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// Password gives what to log in to the registry with, as [Username]; it is good for 12 hours. It is what
// aws ecr get-login-password prints.
func (s *Server) Password(tb testing.TB) string {
	tb.Helper()
	out, err := ecr.NewFromConfig(s.AWSConfig()).GetAuthorizationToken(tb.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		tb.Fatalf("berthtest: getting a token: %v", err)
	}
	token, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		tb.Fatalf("berthtest: reading the token: %v", err)
	}
	_, password, _ := strings.Cut(string(token), ":")
	return password
}

// CreateRepository makes a repository with ECR's default settings.
func (s *Server) CreateRepository(tb testing.TB, name string) {
	tb.Helper()
	_, err := ecr.NewFromConfig(s.AWSConfig()).CreateRepository(tb.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(name)})
	if err != nil {
		tb.Fatalf("berthtest: creating repository %s: %v", name, err)
	}
}
