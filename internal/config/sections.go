package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// section is a part of the settings file that is more than one value. Sections have neither flag nor
// variable.
type section struct {
	name string
	read func(c *Config, node ast.Node) error
}

func sections() []section {
	return []section{
		{"destinations", readInto(func(c *Config) any { return &c.Destinations })},
		{"secrets", readInto(func(c *Config) any { return &c.Secrets })},
		{"oidc-providers", readInto(func(c *Config) any { return &c.OIDCProviders })},
		{"targets", readInto(func(c *Config) any { return &c.Targets })},
		{"events", readInto(func(c *Config) any { return &c.Events })},
	}
}

// Destination is another Berth that images may be replicated to. A replication rule names it by its region, its
// account, or both: see Place.
type Destination struct {
	Region      string `yaml:"region"`
	Account     string `yaml:"account-id"`
	URL         string `yaml:"url"`
	AccessKeyID string `yaml:"access-key-id"`
	// One of the two.
	SecretAccessKey     string `yaml:"secret-access-key"`
	SecretAccessKeyFile string `yaml:"secret-access-key-file"`
}

// Secret is a user name and what proves it, for an upstream registry. Pull-through cache rules name it by its
// key in the file.
type Secret struct {
	Username string `yaml:"username"`
	// One of the two.
	AccessToken     string `yaml:"access-token"`
	AccessTokenFile string `yaml:"access-token-file"`
}

// readInto decodes a section strictly into a field. Its errors do not show the lines around a mistake, as the decoder's
// own do: there are secrets in them.
func readInto(field func(*Config) any) func(*Config, ast.Node) error {
	return func(c *Config, node ast.Node) error {
		if err := yaml.NodeToValue(node, field(c), yaml.Strict()); err != nil {
			return errors.New(yaml.FormatError(err, false, false))
		}
		return nil
	}
}

// completeSections reads the files that sections name, and says what is wrong with them.
func (c *Config) completeSections() error {
	var problems []error
	for i := range c.Destinations {
		d := &c.Destinations[i]
		at := fmt.Sprintf("destinations: entry %d: ", i+1)
		u, err := url.Parse(d.URL)
		switch {
		case d.Region == "" && d.Account == "":
			problems = append(problems, errors.New(at+"name it by region, account-id or both"))
		case d.Region != "" && !regionPattern.MatchString(d.Region):
			problems = append(problems, fmt.Errorf("%s%q is not a region", at, d.Region))
		case d.Account != "" && !accountPattern.MatchString(d.Account):
			problems = append(problems, fmt.Errorf("%s%q is not an account id of 12 digits", at, d.Account))
		case err == nil && (u.User != nil || u.RawQuery != "" || u.Fragment != ""):
			problems = append(problems, errors.New(at+"the url must have neither a user nor a query"))
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			problems = append(problems, fmt.Errorf("%s%q is not a URL such as https://registry.example.com", at, d.URL))
		case d.AccessKeyID == "":
			problems = append(problems, errors.New(at+"access-key-id is missing"))
		case c.sameAsBefore(i):
			problems = append(problems, errors.New(at+"an entry before it names the same region and account"))
		default:
			problems = append(problems, oneSecret(at, "secret-access-key", &d.SecretAccessKey, d.SecretAccessKeyFile))
		}
	}
	for name, s := range c.Secrets {
		at := "secrets: " + name + ": "
		if s.Username == "" {
			problems = append(problems, errors.New(at+"username is missing"))
		}
		problems = append(problems, oneSecret(at, "access-token", &s.AccessToken, s.AccessTokenFile))
		c.Secrets[name] = s
	}
	for issuer, p := range c.OIDCProviders {
		problems = append(problems, p.complete(issuer))
		c.OIDCProviders[issuer] = p
	}
	problems = append(problems, c.completeTargets(), c.completeEvents())
	return errors.Join(problems...)
}

// sameAsBefore tells whether an earlier destination is the same registry.
func (c *Config) sameAsBefore(i int) bool {
	return slices.ContainsFunc(c.Destinations[:i], func(d Destination) bool {
		regionA, accountA := c.Place(d)
		regionB, accountB := c.Place(c.Destinations[i])
		return regionA == regionB && accountA == accountB
	})
}

// Place gives region and account of a destination: one that is named by its region alone is of our own account, by its
// account alone of our own region.
func (c *Config) Place(d Destination) (region, account string) {
	return cmp.Or(d.Region, c.Region), cmp.Or(d.Account, c.Account)
}

// oneSecret fills in a secret from its file where it does not stand in the settings themselves.
func oneSecret(at, name string, value *string, file string) error {
	switch {
	case *value != "" && file != "":
		return fmt.Errorf("%sgive %s or %s-file, not both", at, name, name)
	case *value != "":
		return nil
	case file == "":
		return fmt.Errorf("%sgive %s or %s-file", at, name, name)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s%w", at, err)
	}
	*value = strings.TrimSpace(string(text))
	if *value == "" {
		return fmt.Errorf("%s%s is empty", at, file)
	}
	return nil
}
