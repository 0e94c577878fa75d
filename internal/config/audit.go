package config

import (
	"fmt"
	"time"
)

// auditOptions says what is kept of who did what.
func auditOptions() []Option {
	return []Option{
		{
			Name: "audit-log", Default: "true", Bool: true,
			Usage: "record every request and pull, in CloudTrail's format, in the data directory and for berth log",
			set:   boolean(func(c *Config) *bool { return &c.AuditLog }),
		},
		{
			Name: "audit-keep-files", Default: "8760h",
			Usage: "how long files of the audit log are kept; what is left then are hashes that later records are verified with; 0: for ever",
			set:   auditSpan(func(c *Config) *time.Duration { return &c.AuditKeepFiles }),
		},
		{
			Name: "audit-keep-records", Default: "2160h",
			Usage: "how long records of the audit log can be searched; 0: for ever",
			set:   auditSpan(func(c *Config) *time.Duration { return &c.AuditKeepRecords }),
		},
	}
}

// auditSpan is a duration of at least a day, or 0.
func auditSpan(field func(*Config) *time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 || d > 0 && d < 24*time.Hour {
			return fmt.Errorf("%q is not a duration of at least 24h such as 2160h, or 0", v)
		}
		*field(c) = d
		return nil
	}
}
