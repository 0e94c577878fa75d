package images

// For tests.
var (
	Kind      = kind
	ParseSBOM = parseSBOM
)
