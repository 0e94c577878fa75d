// Package contestant starts the servers that the bench compares, each with an empty data directory of its
// own, on a free loopback port.
//
// Both promise the same durability: what they acknowledged is on the disk. Distribution's filesystem
// driver syncs every file and directory it writes, and has no way to be told otherwise. Distribution runs
// without authentication, which is in its favour; Berth verifies a token in every request, because it has
// no mode without. Neither keeps an access log.
package contestant

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/bench/load"
	"github.com/hoopstat-haus/berth/internal/bench/proc"
)

// startPatience is how long a server may take to listen.
const startPatience = 30 * time.Second

// DistributionModule is the version of distribution that the bench compares with.
const DistributionModule = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2"

// Server is a running contestant.
type Server struct {
	load.Target
	process *proc.Process
}

// Stop ends the server.
func (s *Server) Stop() error { return s.process.Stop() }

// Explain adds the end of the server's log to an error.
func (s *Server) Explain(err error) error { return s.process.Explain(err) }

// Distribution starts distribution's registry with its data in dir, configured as its documentation
// recommends for one machine: an in-memory cache of blob descriptors, deletion enabled, errors logged.
func Distribution(ctx context.Context, program, dir string) (*Server, error) {
	address, err := proc.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	// JSON is YAML, and quotes what must be quoted.
	type object = map[string]any
	config, err := json.Marshal(object{
		"version": "0.1",
		"log":     object{"level": "error", "accesslog": object{"disabled": true}},
		"storage": object{
			"filesystem":  object{"rootdirectory": filepath.Join(dir, "data")},
			"delete":      object{"enabled": true},
			"cache":       object{"blobdescriptor": "inmemory"},
			"maintenance": object{"uploadpurging": object{"enabled": false}},
		},
		"http": object{"addr": address, "secret": "one process needs no other"},
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	return start(ctx, "distribution", dir, address, program, "serve", file)
}

// Berth starts Berth with its data in dir and creates the repositories.
func Berth(ctx context.Context, program, dir string, repositories []string) (*Server, error) {
	address, err := proc.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	s, err := start(ctx, "berth", dir, address, program, "serve", "--data", data, "--listen", address, "--log-level", "error")
	if err != nil {
		return nil, err
	}
	if err := s.furnish(ctx, program, data, repositories); err != nil {
		return nil, errors.Join(s.Explain(err), s.Stop())
	}
	return s, nil
}

// FileServer starts program, which must be the bench itself, as a plain file server: net/http's own, which
// hands files to the kernel with sendfile. It is what a download costs at least.
func FileServer(ctx context.Context, program, dir, file string) (*Server, error) {
	address, err := proc.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	return start(ctx, "sendfile", dir, address, program, "-serve-file", file, "-serve-at", address)
}

func start(ctx context.Context, name, dir, address, program string, arguments ...string) (*Server, error) {
	process, err := proc.Start(ctx, name, filepath.Join(dir, name+".log"), program, arguments...)
	if err != nil {
		return nil, err
	}
	s := &Server{Target: load.Target{Name: name, Address: address, PID: process.PID()}, process: process}
	patience, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := process.Ready(patience, address); err != nil {
		return nil, errors.Join(err, process.Stop())
	}
	return s, nil
}

// furnish does what a user of ECR does before a first push: take the credentials that the first start
// made, create the repositories, and turn the credentials into a token.
func (s *Server) furnish(ctx context.Context, program, data string, repositories []string) error {
	endpoint := "http://" + s.Address
	text, err := proc.Run(ctx, program, "env", "--data", data, "--url", endpoint)
	if err != nil {
		return err
	}
	env := ParseEnv(text)
	client := ecr.New(ecr.Options{
		BaseEndpoint: &endpoint,
		Region:       env["AWS_REGION"],
		Credentials:  credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], ""),
	})
	s.Keys = load.Keys{ID: env["AWS_ACCESS_KEY_ID"], Secret: env["AWS_SECRET_ACCESS_KEY"], Region: env["AWS_REGION"]}
	for _, name := range repositories {
		if _, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String(name)}); err != nil {
			return fmt.Errorf("creating repository %s: %w", name, err)
		}
	}
	token, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return fmt.Errorf("getting a token: %w", err)
	}
	if len(token.AuthorizationData) != 1 {
		return fmt.Errorf("getting a token: %d sets of authorization data", len(token.AuthorizationData))
	}
	s.Authorization = "Basic " + aws.ToString(token.AuthorizationData[0].AuthorizationToken)
	return nil
}

// ParseEnv reads lines of shell assignments, exported or not, with or without quotes.
func ParseEnv(text []byte) map[string]string {
	env := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export ")
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			env[name] = strings.Trim(strings.TrimRight(value, ";"), `"'`)
		}
	}
	return env
}
