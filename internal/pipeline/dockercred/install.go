package dockercred

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// helperName is what docker's configuration calls this program: docker runs docker-credential-<name>.
const helperName = "berth"

// namedInDocker tells whether docker's configuration has this helper for this very registry.
func namedInDocker(file string, at server) (bool, error) {
	raw, err := readDockerConfig(file)
	if err != nil || raw == nil {
		return false, err
	}
	var config struct {
		CredHelpers map[string]string `json:"credHelpers"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return false, fmt.Errorf("reading %s: %w", file, err)
	}
	for name, helper := range config.CredHelpers {
		if one, err := parseServer(name); err == nil && one == at && helper == helperName {
			return true, nil
		}
	}
	return false, nil
}

func readDockerConfig(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading docker's configuration: %w", err)
	}
	return raw, nil
}

// Install has docker ask this helper for the named registries, and tells which are new. Everything else in
// the file stays as it is, and so does the file if its text is not what docker would read.
func Install(file string, servers []string) (added []string, err error) {
	if file == "" {
		return nil, errors.New("neither DOCKER_CONFIG nor HOME says where docker's configuration is")
	}
	raw, err := readDockerConfig(file)
	if err != nil {
		return nil, err
	}
	config, helpers := object{}, object{}
	if len(bytes.TrimSpace(raw)) > 0 {
		if err := config.read(raw); err != nil {
			return nil, fmt.Errorf("%s is not changed: %w", file, err)
		}
	}
	if text, ok := config.get("credHelpers"); ok && string(text) != "null" {
		if err := helpers.read(text); err != nil {
			return nil, fmt.Errorf("%s is not changed: credHelpers: %w", file, err)
		}
	}
	for _, s := range servers {
		at, err := parseServer(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no registry such as registry.example.com or localhost:5080", s)
		}
		if have, ok := helpers.get(at.String()); ok && string(have) == `"`+helperName+`"` {
			continue
		}
		helpers.set(at.String(), json.RawMessage(`"`+helperName+`"`))
		added = append(added, at.String())
	}
	if len(added) == 0 {
		return nil, nil
	}
	config.set("credHelpers", helpers.text())
	return added, writeDockerConfig(file, config.text())
}

func writeDockerConfig(file string, text []byte) error {
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "\t"); err != nil { // as docker itself writes it
		return fmt.Errorf("writing %s: %w", file, err)
	}
	pretty.WriteByte('\n')
	mode := fs.FileMode(0o600) // it may hold passwords
	// The file may be a link into somebody's collection of settings: what it leads to is replaced.
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("making docker's directory: %w", err)
	}
	if err := replaceFile(file, pretty.Bytes(), mode); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// object is a JSON object whose members keep their order and their text.
type object struct{ members []member }

type member struct {
	name  string
	value json.RawMessage
}

func (o *object) read(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	} else if t != json.Delim('{') {
		return errors.New("it is no JSON object")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("it is no JSON: %w", err)
		}
		name, _ := t.(string) // the decoder takes nothing else for a name
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("it is no JSON: %w", err)
		}
		if _, twice := o.get(name); twice {
			return fmt.Errorf("it has %q twice", name)
		}
		o.members = append(o.members, member{name, value})
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows its end")
	}
	return nil
}

func (o *object) get(name string) (json.RawMessage, bool) {
	for _, m := range o.members {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

func (o *object) set(name string, value json.RawMessage) {
	for i, m := range o.members {
		if m.name == name {
			o.members[i].value = value
			return
		}
	}
	o.members = append(o.members, member{name, value})
}

func (o *object) text() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o.members {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(m.name) // a string always can be
		b.Write(name)
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}
