package journal

import "os"

// WithWrite gives a journal another way to write.
func (c Config) WithWrite(write func(f *os.File, b []byte) (int, error)) Config {
	c.write = write
	return c
}

// Held is how many records wait in memory to be read.
func (j *Journal) Held() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.recent.lines)
}
