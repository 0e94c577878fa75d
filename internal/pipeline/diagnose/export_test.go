package diagnose

// Failed is a failure that blocks what needs it.
func Failed(message string) Result { return fail("", "%s", message) }
