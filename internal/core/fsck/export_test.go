package fsck

// ScrubRate is scrubRate.
var ScrubRate = scrubRate //nolint:gochecknoglobals // for tests
