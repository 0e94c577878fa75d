package build

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// env gives a variable of the environment that programs get, "" if it is not there.
func (c Config) env(name string) string {
	own := c.Env
	if own == nil {
		own = c.command(context.Background(), nil, "true").Env
	}
	for _, kv := range slices.Backward(own) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

// dockerLogin gives docker a directory of settings that is the user's, with the login added. It is there until done is called.
func (c Config) dockerLogin(ctx context.Context, j *job) (env []string, done func() error, err error) {
	if j.Login == nil {
		return nil, func() error { return nil }, nil
	}
	user, secret, err := j.Login.Secret(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("logging in to %s: %w", j.Login.Host, err)
	}
	dir := filepath.Join(j.dir, "docker")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("docker's settings: %w", err)
	}
	done = func() error { return os.RemoveAll(dir) }
	own, err := filepath.Abs(c.ownDocker())
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	if err := mirror(own, dir); err != nil {
		return nil, nil, errors.Join(err, done())
	}
	if err := withLogin(filepath.Join(own, dockerSettings), filepath.Join(dir, dockerSettings), j.Login.Host, user, secret); err != nil {
		return nil, nil, errors.Join(err, done())
	}
	env = []string{"DOCKER_CONFIG=" + dir}
	if c.env("BUILDX_CONFIG") == "" {
		if _, err := os.Stat(filepath.Join(own, "buildx")); err == nil {
			env = append(env, "BUILDX_CONFIG="+filepath.Join(own, "buildx"))
		}
	}
	return env, done, nil
}

// ownDocker is the user's directory of docker's settings.
func (c Config) ownDocker() string {
	if dir := c.env("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	for _, home := range []string{"HOME", "USERPROFILE"} {
		if dir := c.env(home); dir != "" {
			return filepath.Join(dir, ".docker")
		}
	}
	return os.DevNull + "/none"
}

// mirror links all that is in the user's directory but the file with the logins: contexts, plugins, builders.
func mirror(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("docker's settings: %w", err)
	}
	for _, e := range entries {
		if e.Name() == dockerSettings {
			continue
		}
		if err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return fmt.Errorf("docker's settings: %w", err)
		}
	}
	return nil
}

// dockerSettings is what docker's file with logins is called.
const dockerSettings = "config.json"

// withLogin writes settings of docker, or of buildah, whose form is the same, with a login to one registry more.
func withLogin(from, to, host, user, secret string) error {
	settings, auths, helpers := map[string]json.RawMessage{}, map[string]json.RawMessage{}, map[string]string{}
	text, err := os.ReadFile(from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		text = []byte("{}")
	case err != nil:
		return fmt.Errorf("docker's settings: %w", err)
	}
	err = json.Unmarshal(text, &settings)
	if old, ok := settings["auths"]; ok {
		err = errors.Join(err, json.Unmarshal(old, &auths))
	}
	if old, ok := settings["credHelpers"]; ok {
		err = errors.Join(err, json.Unmarshal(old, &helpers))
	}
	if err != nil {
		return fmt.Errorf("docker's settings, %s: %w", from, err)
	}
	delete(helpers, host)
	if _, store := settings["credsStore"]; store && filepath.Base(to) == dockerSettings {
		helpers[host] = "" // so that docker does not ask the store; buildah asks none, and takes this for a program's name
	}
	if auths[host], err = json.Marshal(map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))}); err != nil {
		return err //nolint:wrapcheck // cannot happen
	}
	if settings["auths"], err = json.Marshal(auths); err != nil {
		return err //nolint:wrapcheck // cannot happen
	}
	if settings["credHelpers"], err = json.Marshal(helpers); err != nil {
		return err //nolint:wrapcheck // cannot happen
	}
	if text, err = json.Marshal(settings); err != nil {
		return err //nolint:wrapcheck // cannot happen
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		return fmt.Errorf("the login to %s: %w", host, err)
	}
	return nil
}
