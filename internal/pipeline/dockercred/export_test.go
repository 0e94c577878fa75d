package dockercred

// Amazon tells what a server's name says of Amazon's ECR.
func Amazon(named string) (region string, fips, ok bool) {
	at, err := parseServer(named)
	if err != nil {
		return "", false, false
	}
	return at.amazon()
}

// Endpoint gives where a registry is asked by its own name.
func Endpoint(named string) string {
	at, err := parseServer(named)
	if err != nil {
		return err.Error()
	}
	return at.endpoint()
}
