package publish

// For tests.
var (
	PlainURL = plainURL
	Passes   = passes
	Wait     = wait
)
