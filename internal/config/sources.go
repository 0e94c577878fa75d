package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// read merges what the sources say about the options: defaults, then the file, then the environment, then
// flags.
func read(s Sources, options []Option) (Config, error) {
	if s.Environment == nil {
		s.Environment = func(string) (string, bool) { return "", false }
	}
	c := Config{origins: map[string]string{}}
	var problems []error
	for _, o := range options {
		if o.Default != "" {
			problems = append(problems, o.set(&c, o.Default))
		}
	}
	inFile, err := readFile(s, options)
	problems = append(problems, err)
	for _, o := range options {
		for _, v := range []setting{inFile[o.Name], fromEnvironment(s, o), fromFlags(s, o)} {
			problems = append(problems, c.apply(o, v))
		}
	}
	for _, section := range sections() {
		if v := inFile[section.name]; v.node != nil {
			if err := section.read(&c, v.node); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", v.origin, err))
			}
		}
	}
	for name := range s.Flags {
		if !slices.ContainsFunc(options, func(o Option) bool { return o.Name == name && !o.Secret }) {
			problems = append(problems, fmt.Errorf("flag --%s: no such setting", name))
		}
	}
	return c, errors.Join(problems...)
}

// setting is a value with the place it came from. An empty origin is no setting.
type setting struct {
	value, origin string
	node          ast.Node // of a section, in the value's place
}

func fromEnvironment(s Sources, o Option) setting {
	if v, ok := s.Environment(o.Env()); ok && v != "" {
		return setting{value: v, origin: o.Env()}
	}
	return setting{}
}

func fromFlags(s Sources, o Option) setting {
	if v, ok := s.Flags[o.Name]; ok && !o.Secret {
		return setting{value: v, origin: "--" + o.Name}
	}
	return setting{}
}

// readFile reads the file that the flags or the environment name, if any.
func readFile(s Sources, options []Option) (map[string]setting, error) {
	i := slices.IndexFunc(options, func(o Option) bool { return o.Name == "config" })
	named := fromFlags(s, options[i])
	if named.origin == "" {
		named = fromEnvironment(s, options[i])
	}
	if named.origin == "" {
		return nil, nil
	}
	text, err := os.ReadFile(named.value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", named.origin, err)
	}
	return decodeFile(named.value, string(text), Options())
}

func (c *Config) apply(o Option, v setting) error {
	if v.origin == "" {
		return nil
	}
	if err := o.set(c, v.value); err != nil {
		return fmt.Errorf("%s: %w", v.origin, err)
	}
	c.origins[o.Name] = v.origin
	return nil
}

// problem words what is wrong with a setting, beginning with where it came from.
func (c *Config) problem(option, format string, args ...any) error {
	origin, ok := c.origins[option]
	if !ok {
		origin = option
	}
	return fmt.Errorf("%s: %w", origin, fmt.Errorf(format, args...))
}

// given tells whether any source set the option.
func (c *Config) given(option string) bool {
	_, ok := c.origins[option]
	return ok
}

// defaultData follows the XDG base directory specification, for every user alike.
func defaultData(env func(string) (string, bool)) (string, error) {
	if env != nil {
		// The specification has relative paths ignored.
		if dir, ok := env("XDG_DATA_HOME"); ok && filepath.IsAbs(dir) {
			return filepath.Join(dir, "berth"), nil
		}
		if home, ok := env("HOME"); ok && strings.TrimSpace(home) != "" {
			return filepath.Join(home, ".local", "share", "berth"), nil
		}
	}
	return "", errors.New("data: neither XDG_DATA_HOME nor HOME is set, so there is no default: give --data or BERTH_DATA")
}
