package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
)

// Head is what is read of a response's status line and header.
type Head struct {
	Status   int
	Length   int64 // -1 where the header does not say
	Chunked  bool
	Location string
	Link     string
}

// Response is a whole response.
type Response struct {
	Head
	Size int64 // bytes of body that came
	// Body is there for requests with Keep and for failures, until the connection's next request.
	Body []byte
}

// ReadHead reads a response up to its body.
func ReadHead(in *bufio.Reader) (Head, error) {
	head := Head{Length: -1}
	line, err := in.ReadSlice('\n')
	if err != nil {
		return head, noEOF(err)
	}
	if head.Status, err = status(line); err != nil {
		return head, err
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return head, noEOF(err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return head, nil
		}
		if err := head.field(line); err != nil {
			return head, err
		}
	}
}

// status parses "HTTP/1.1 200 OK".
func status(line []byte) (int, error) {
	rest, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !ok || len(rest) < 3 {
		return 0, fmt.Errorf("status line %q", line)
	}
	code := 0
	for _, c := range rest[:3] {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("status line %q", line)
		}
		code = code*10 + int(c-'0')
	}
	return code, nil
}

// field takes in one header line. The switch on the length of the name passes over nearly every line
// without looking at its letters.
func (h *Head) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return fmt.Errorf("header line %q", line)
	}
	name, value := line[:colon], bytes.TrimSpace(line[colon+1:])
	switch colon {
	case len("Link"):
		if bytes.EqualFold(name, []byte("Link")) {
			h.Link = string(value)
		}
	case len("Location"):
		if bytes.EqualFold(name, []byte("Location")) {
			h.Location = string(value)
		}
	case len("Content-Length"):
		if bytes.EqualFold(name, []byte("Content-Length")) {
			length, err := strconv.ParseUint(string(value), 10, 62)
			if err != nil {
				return fmt.Errorf("content length %q: %w", value, err)
			}
			h.Length = int64(length)
		}
	case len("Transfer-Encoding"):
		if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			h.Chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	return nil
}
