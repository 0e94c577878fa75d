package config

import (
	"fmt"
	"strconv"
)

// maxScanWorkers bounds how many images are read at once: each may take a few hundred megabytes.
const maxScanWorkers = 64

// scanOptions says how images are scanned.
func scanOptions() []Option {
	return []Option{
		{
			Name: "scan-workers", Default: "2",
			Usage: "how many images each server scans at once, so that one which takes its time does not keep others waiting",
			set: func(c *Config, v string) error {
				n, err := strconv.Atoi(v)
				if err != nil || n < 1 || n > maxScanWorkers {
					return fmt.Errorf("%q is not a number from 1 to %d", v, maxScanWorkers)
				}
				c.ScanWorkers = n
				return nil
			},
		},
		{
			Name: "scan-daily-limit", Default: "false", Bool: true,
			Usage: "scan an image once in 24 hours at most when somebody asks, as ECR does",
			set:   boolean(func(c *Config) *bool { return &c.ScanDailyLimit }),
		},
	}
}
