package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// RootKey is what a server leaves in its data directory: how to reach it as root.
type RootKey struct {
	URL             string `json:"url"`
	Region          string `json:"region"`
	Account         string `json:"account"`
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
}

// RootKeyFile is where a server with that data directory leaves its root key.
func RootKeyFile(data string) string { return filepath.Join(data, "root-key.json") }

// ReadRootKey reads what a server left in its data directory. The error is fs.ErrNotExist when none did.
func ReadRootKey(data string) (RootKey, error) {
	var k RootKey
	raw, err := os.ReadFile(RootKeyFile(data))
	if err != nil {
		return k, fmt.Errorf("reading the root key: %w", err)
	}
	if err := json.Unmarshal(raw, &k); err != nil {
		return k, fmt.Errorf("reading the root key: %s is not what a server writes there: %w", RootKeyFile(data), err)
	}
	return k, nil
}

// writeRootKey leaves the root key in the data directory with where this server is reached. Each start
// sees to it, since either may have changed.
func (a *App) writeRootKey() error {
	want := RootKey{
		URL: a.url.String(), Region: a.cfg.Region, Account: a.cfg.Account,
		AccessKeyID: a.root.ID, SecretAccessKey: a.root.Secret,
	}
	have, err := ReadRootKey(a.cfg.Data)
	if err == nil && have == want {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.deps.Logger.Warn("replacing a root key file that cannot be read", "error", err)
	}
	raw, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the root key: %w", err)
	}
	return writePrivate(RootKeyFile(a.cfg.Data), append(raw, '\n'), os.Rename)
}
