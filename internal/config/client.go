package config

import (
	"errors"
	"path/filepath"
	"strings"
)

// Client is what a command that uses registries, rather than being one, takes from the environment beside
// what the AWS SDK reads for itself.
type Client struct {
	// TokenCache is the file that docker-credential-berth keeps tokens in; empty: it keeps none. Variable
	// BERTH_TOKEN_CACHE: a path, or off.
	TokenCache string
	// DockerConfig is docker's configuration file. Variable DOCKER_CONFIG, which names its directory.
	DockerConfig string
	// Servers are registries, host[:port], that may be asked for tokens by their own name though docker's
	// configuration does not say so. Variable BERTH_CREDENTIAL_SERVERS, separated by commas.
	Servers []string
}

// LoadClient reads the environment.
func LoadClient(env func(name string) (string, bool)) (Client, error) {
	get := func(name string) string {
		if env == nil {
			return ""
		}
		v, _ := env(name)
		return strings.TrimSpace(v)
	}
	home := get("HOME")
	if home == "" {
		home = get("USERPROFILE") // where Windows has it
	}
	var c Client
	switch at := get("BERTH_TOKEN_CACHE"); {
	case at == "off":
	case at != "":
		if !filepath.IsAbs(at) {
			return c, errors.New("BERTH_TOKEN_CACHE: " + at + " is neither off nor an absolute path")
		}
		c.TokenCache = at
	default:
		c.TokenCache = cacheFile(get("XDG_CACHE_HOME"), home)
	}
	switch dir := get("DOCKER_CONFIG"); {
	case dir != "":
		c.DockerConfig = filepath.Join(dir, "config.json")
	case home != "":
		c.DockerConfig = filepath.Join(home, ".docker", "config.json")
	}
	for s := range strings.SplitSeq(get("BERTH_CREDENTIAL_SERVERS"), ",") {
		if s = strings.TrimSpace(s); s != "" {
			c.Servers = append(c.Servers, s)
		}
	}
	return c, nil
}

// cacheFile follows the XDG base directory specification, as defaultData does. Without a home nothing is kept.
func cacheFile(cache, home string) string {
	switch {
	case filepath.IsAbs(cache):
		return filepath.Join(cache, "berth", "tokens.json")
	case home != "":
		return filepath.Join(home, ".cache", "berth", "tokens.json")
	default:
		return ""
	}
}
