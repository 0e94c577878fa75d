package scan

// FromBase counts what comes with the base image: how many findings, and how many of these have a fix. Ok is false where there is none,
// or the registry does not say.
func (r Report) FromBase() (all, fixable int, ok bool) {
	if r.Base == nil || !r.Places {
		return 0, 0, false
	}
	for _, f := range r.Findings {
		if f.FromBase() && f.Exception == nil {
			all++
			if f.Fixable() {
				fixable++
			}
		}
	}
	return all, fixable, true
}
