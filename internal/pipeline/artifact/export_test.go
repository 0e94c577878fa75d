package artifact

// For tests.
var (
	Passes = passes
	Wait   = wait
)
