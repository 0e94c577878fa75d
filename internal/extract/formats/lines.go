package formats

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
)

// maxLine is how much of a line is looked at. The fields that are of interest are shorter; the rest of a longer line is passed over.
const maxLine = 64 << 10

// eachLine calls with each line of r, without its end, until do says that it has enough. The bytes are good for the call only.
func eachLine(ctx context.Context, r io.Reader, do func(line []byte) (more bool)) error {
	buffered := bufio.NewReaderSize(r, maxLine)
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := buffered.ReadSlice('\n')
		end := err
		if errors.Is(err, bufio.ErrBufferFull) { // what is left of a long line
			line = bytes.Clone(line)
			end = passOver(ctx, buffered)
		}
		if len(line) > 0 && !do(bytes.TrimRight(line, "\r\n")) {
			return nil
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return end
		}
	}
}

// passOver reads to the end of the line.
func passOver(ctx context.Context, r *bufio.Reader) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := r.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// field takes a line of a control file apart: "Name: value". Lines that continue a field, and those that are none, have no name.
// The name is in lower case.
func field(line []byte) (name, value string) {
	if len(line) == 0 || line[0] == ' ' || line[0] == '\t' {
		return "", ""
	}
	before, after, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return "", ""
	}
	return strings.ToLower(string(bytes.TrimSpace(before))), string(bytes.TrimSpace(after))
}
