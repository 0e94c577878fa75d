package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// OSV stands for OSV's own exports, in Advisories.
const OSV = "osv"

// advisoryOptions says where is known from what is vulnerable.
func advisoryOptions() []Option {
	return []Option{
		{
			Name: "advisories", Computed: "none: archives are imported by hand",
			Usage: "where advisories are fetched from: osv for OSV's public exports, the URL of a mirror of them, or a directory of that layout",
			set: func(c *Config, v string) (err error) {
				c.Advisories, err = origin(v)
				return err
			},
		},
		{
			Name: "advisories-every", Default: "1h",
			Usage: "how often it is looked whether there are new ones; 0: only when somebody asks",
			set: func(c *Config, v string) error {
				d, err := time.ParseDuration(v)
				if err != nil || d < 0 || d > 0 && d < time.Minute {
					return fmt.Errorf("%q is not a duration of at least a minute such as 1h, or 0", v)
				}
				c.AdvisoriesEvery = d
				return nil
			},
		},
		{
			Name: "advisories-ecosystems", Computed: "of a directory all, otherwise those of the usual distributions and languages",
			Usage: "which of OSV's ecosystems are fetched, separated by commas, such as Debian,npm",
			set: func(c *Config, v string) error {
				c.AdvisoriesEcosystems = nil
				for word := range strings.SplitSeq(v, ",") {
					word = strings.TrimSpace(word)
					if word == "" || strings.ContainsAny(word, ":/\\") {
						return fmt.Errorf("%q is not an ecosystem of OSV, without a release, such as Debian", word)
					}
					c.AdvisoriesEcosystems = append(c.AdvisoriesEcosystems, word)
				}
				return nil
			},
		},
	}
}

// origin reads osv, a URL or a directory.
func origin(v string) (string, error) {
	if v == "" || v == OSV {
		return v, nil
	}
	if !strings.Contains(v, "://") {
		return filepath.Abs(v)
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q is neither osv, nor an http or https URL, nor a directory", v)
	}
	return v, nil
}
