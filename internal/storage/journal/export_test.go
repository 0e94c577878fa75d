package journal

import "os"

// WithWrite gives a journal another way to write.
func (c Config) WithWrite(write func(f *os.File, b []byte) (int, error)) Config {
	c.write = write
	return c
}
