package config

import (
	"fmt"
	"time"
)

// usageOptions says how long it is kept what was counted.
func usageOptions() []Option {
	kept := func(name, what, usual string, field func(*Config) *time.Duration) Option {
		return Option{
			Name: name, Default: usual, Usage: "how long metrics are kept " + what,
			set: func(c *Config, v string) error {
				d, err := time.ParseDuration(v)
				if err != nil || d < time.Hour {
					return fmt.Errorf("%q is not a duration of at least an hour such as 360h", v)
				}
				*field(c) = d
				return nil
			},
		}
	}
	return []Option{
		kept("usage-keep-minutes", "minute by minute", "360h", func(c *Config) *time.Duration { return &c.UsageKeepMinutes }),
		kept("usage-keep-hours", "hour by hour", "10920h", func(c *Config) *time.Duration { return &c.UsageKeepHours }),
		kept("usage-keep-days", "day by day", "43800h", func(c *Config) *time.Duration { return &c.UsageKeepDays }),
	}
}

// validateUsage holds what is coarse to be kept as long as what is fine.
func (c *Config) validateUsage() error {
	switch {
	case c.UsageKeepHours < c.UsageKeepMinutes:
		return c.problem("usage-keep-hours", "%v is shorter than usage-keep-minutes, %v", c.UsageKeepHours, c.UsageKeepMinutes)
	case c.UsageKeepDays < c.UsageKeepHours:
		return c.problem("usage-keep-days", "%v is shorter than usage-keep-hours, %v", c.UsageKeepDays, c.UsageKeepHours)
	}
	return nil
}
