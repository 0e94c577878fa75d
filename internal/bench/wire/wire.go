// Package wire is an HTTP/1.1 client that costs next to nothing, for measuring servers that share the
// machine with it.
//
// net/http's client spends more processor time on a small request than a good server does. Here one
// goroutine owns one keep-alive connection, a request is one write, and of a response only what a
// registry client needs is looked at. It is a measuring device and trusts the server it talks to: no
// redirects, no proxies, no trailers, no TLS.
package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

const (
	headBuffer  = 64 << 10
	scratchSize = 1 << 20
	// smallBody is up to where a body is sent in the same write as its head.
	smallBody = 64 << 10
)

// Request is what is sent.
type Request struct {
	Method string
	Target string // path and query
	Type   string // Content-Type, if any
	Accept string
	// Body and Tail are sent one behind the other, so that large bodies can share most of their bytes.
	Body, Tail []byte
	// Keep asks for the response's body; without it the body is only counted.
	Keep bool
}

// Conn is one connection, for one goroutine.
type Conn struct {
	conn    net.Conn
	in      *bufio.Reader
	fixed   string // the header lines that are the same in every request
	out     []byte
	scratch []byte
	kept    []byte
	release func() bool
}

// Dial connects to a host:port. A non-empty authorization is sent with every request. The connection
// breaks when the context ends; there is no other limit to how long an exchange takes.
func Dial(ctx context.Context, address, authorization string) (*Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	fixed := " HTTP/1.1\r\nHost: " + address + "\r\nUser-Agent: berth-bench\r\n"
	if authorization != "" {
		fixed += "Authorization: " + authorization + "\r\n"
	}
	return &Conn{
		conn:    conn,
		in:      bufio.NewReaderSize(conn, headBuffer),
		fixed:   fixed,
		scratch: make([]byte, scratchSize),
		release: context.AfterFunc(ctx, func() { _ = conn.Close() }),
	}, nil
}

// Close ends the connection.
func (c *Conn) Close() error {
	if !c.release() {
		return nil
	}
	return c.conn.Close()
}

// Do sends a request and reads the whole response.
func (c *Conn) Do(r Request) (Response, error) {
	if err := c.send(r); err != nil {
		return Response{}, fmt.Errorf("sending %s %s: %w", r.Method, r.Target, err)
	}
	response, err := c.receive(r)
	if err != nil {
		return Response{}, fmt.Errorf("reading the response to %s %s: %w", r.Method, r.Target, err)
	}
	return response, nil
}

// send writes head and small bodies at once: two small writes would be two packets, and two wake-ups of
// the server.
func (c *Conn) send(r Request) error {
	b := append(c.out[:0], r.Method...)
	b = append(b, ' ')
	b = append(b, r.Target...)
	b = append(b, c.fixed...)
	if r.Accept != "" {
		b = append(b, "Accept: "...)
		b = append(b, r.Accept...)
		b = append(b, "\r\n"...)
	}
	size := len(r.Body) + len(r.Tail)
	if size > 0 || r.Method != http.MethodGet && r.Method != http.MethodHead {
		if r.Type != "" {
			b = append(b, "Content-Type: "...)
			b = append(b, r.Type...)
			b = append(b, "\r\n"...)
		}
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(size), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	body, tail := r.Body, r.Tail
	if size <= smallBody {
		b = append(append(b, body...), tail...)
		body, tail = nil, nil
	}
	c.out = b
	for _, part := range [][]byte{b, body, tail} {
		if len(part) == 0 {
			continue
		}
		if _, err := c.conn.Write(part); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) receive(r Request) (Response, error) {
	head, err := ReadHead(c.in)
	if err != nil {
		return Response{}, err
	}
	// The body of a failure is kept in any case: it says what went wrong.
	keep := r.Keep || head.Status >= 400
	c.kept = c.kept[:0]
	response := Response{Head: head}
	switch {
	case r.Method == http.MethodHead || head.Status == http.StatusNoContent || head.Status == http.StatusNotModified:
	case head.Chunked:
		response.Size, err = c.chunks(keep)
	case head.Length < 0:
		return Response{}, errors.New("neither a length nor chunks")
	default:
		response.Size = head.Length
		err = c.body(head.Length, keep)
	}
	if err != nil {
		return Response{}, err
	}
	if keep {
		response.Body = c.kept
	}
	return response, nil
}

// body reads n bytes.
func (c *Conn) body(n int64, keep bool) error {
	for n > 0 {
		m, err := c.in.Read(c.scratch[:min(n, scratchSize)])
		n -= int64(m)
		if keep {
			c.kept = append(c.kept, c.scratch[:m]...)
		}
		if err != nil && n > 0 {
			return noEOF(err)
		}
	}
	return nil
}

// chunks reads a body in chunks to its end.
func (c *Conn) chunks(keep bool) (int64, error) {
	var total int64
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return total, noEOF(err)
		}
		digits, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(";"))
		size, err := strconv.ParseUint(string(digits), 16, 31)
		if err != nil {
			return total, fmt.Errorf("chunk size %q: %w", digits, err)
		}
		if err := c.body(int64(size), keep); err != nil {
			return total, err
		}
		total += int64(size)
		if _, err := c.in.Discard(len("\r\n")); err != nil {
			return total, noEOF(err)
		}
		if size == 0 {
			return total, nil
		}
	}
}

// noEOF makes an end in the middle of something recognisable as such.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
