package identity

// CachedKeys counts the keys that d remembers.
func CachedKeys(d *Directory) int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.keys)
}
