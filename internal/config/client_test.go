package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/config"
)

func TestLoadClient(t *testing.T) {
	t.Parallel()
	usual := config.Client{TokenCache: "/home/ada/.cache/berth/tokens.json", DockerConfig: "/home/ada/.docker/config.json"}
	for name, tt := range map[string]struct {
		env     map[string]string
		want    config.Client
		problem string
	}{
		"nothing set":      {nil, config.Client{}, ""},
		"a home":           {map[string]string{"HOME": "/home/ada"}, usual, ""},
		"set to nothing":   {map[string]string{"HOME": "/home/ada", "BERTH_TOKEN_CACHE": "", "DOCKER_CONFIG": "", "XDG_CACHE_HOME": ""}, usual, ""},
		"a relative cache": {map[string]string{"HOME": "/home/ada", "XDG_CACHE_HOME": "cache"}, usual, ""},
		"all set": {
			map[string]string{
				"HOME": "/home/ada", "XDG_CACHE_HOME": "/var/cache/ada", "DOCKER_CONFIG": "/etc/docker", "BERTH_CREDENTIAL_SERVERS": "a.example, b.example:5000,,",
			},
			config.Client{TokenCache: "/var/cache/ada/berth/tokens.json", DockerConfig: "/etc/docker/config.json", Servers: []string{"a.example", "b.example:5000"}},
			"",
		},
		"no cache":             {map[string]string{"HOME": "/home/ada", "BERTH_TOKEN_CACHE": "off"}, config.Client{DockerConfig: usual.DockerConfig}, ""},
		"a file of its own":    {map[string]string{"BERTH_TOKEN_CACHE": "/run/ada/tokens"}, config.Client{TokenCache: "/run/ada/tokens"}, ""},
		"a file from anywhere": {map[string]string{"BERTH_TOKEN_CACHE": "no"}, config.Client{}, "BERTH_TOKEN_CACHE: no is neither off nor an absolute path"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := config.LoadClient(func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok })
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) {
					t.Errorf("LoadClient: %v, want %s", err, tt.problem)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("LoadClient: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}
