package extract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
	"github.com/hoopstat-haus/berth/internal/extract/formats"
)

// What a child's answer begins with.
const (
	ready     = 'r' // it has confined itself
	hasLayer  = 'l' // an encoded inventory.Layer follows
	hasFailed = 'e' // a text follows: it could not be tried
)

// answers is the file descriptor of the answer.
const answers = 3

// Arguments make Berth's program a child, with one more: the request.
func Arguments() []string { return []string{"internal", "scan-layer"} }

// Child tells whether a program's arguments (os.Args) make it a child, and gives the request.
func Child(args []string) (request string, child bool) {
	want := Arguments()
	if len(args) != len(want)+2 || !slices.Equal(args[1:len(args)-1], want) {
		return "", false
	}
	return args[len(args)-1], true
}

// request is what a child is asked, its last argument.
type request struct {
	MediaType string
	Limits    layer.Limits
	Time      time.Duration
	Memory    int64
}

// Run is the child: it reads a layer from standard input, and answers. An error says why it could not even answer.
func Run(ctx context.Context, arg string, stdin io.Reader) error {
	return RunWith(ctx, arg, stdin, formats.All())
}

// RunWith is Run with other formats.
func RunWith(ctx context.Context, arg string, stdin io.Reader, all []layer.Format) error {
	var r request
	if err := json.Unmarshal([]byte(arg), &r); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	if err := confine(r); err != nil {
		return fmt.Errorf("confining the process: %w", err)
	}
	out := os.NewFile(answers, "answer")
	if out == nil {
		return errors.New("there is nobody to answer to")
	}
	defer out.Close() //nolint:errcheck // what was written is in the pipe
	if _, err := out.Write([]byte{ready}); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	answer := append([]byte{hasFailed}, "it was not tried"...)
	if encoded, err := walk(ctx, r, stdin, all); err == nil {
		answer = append([]byte{hasLayer}, encoded...)
	} else {
		answer = append(answer[:1], err.Error()...)
	}
	if _, err := out.Write(answer); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	return nil
}

func walk(ctx context.Context, r request, stdin io.Reader, all []layer.Format) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := &source{r: stdin}
	go in.watch(ctx, r.Time, func() { cancel(tooLong(r.Time)) })
	l, err := layer.Walk(ctx, layer.Config{Formats: all, Limits: r.Limits}, r.MediaType, in) // $TMPDIR is the parent's choice
	if err != nil {
		return nil, err //nolint:wrapcheck // the parent does
	}
	encoded, err := l.Encode()
	if err != nil {
		// More than anybody reads: what is left says so.
		encoded, err = inventory.Layer{Problem: err.Error()}.Encode()
	}
	return encoded, err //nolint:wrapcheck // of one that is as good as empty
}

func tooLong(limit time.Duration) layer.Limit {
	return layer.Limit(fmt.Sprintf("reading it took longer than %v", limit))
}

// source is the layer, and knows whether somebody waits for more of it.
type source struct {
	r       io.Reader
	waiting atomic.Bool
	err     error // of the reader, once it is no longer read
}

func (s *source) Read(p []byte) (int, error) {
	s.waiting.Store(true)
	n, err := s.r.Read(p)
	s.waiting.Store(false)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err //nolint:wrapcheck // io.EOF as it is
}

// watch calls late when the layer has been worked at for a time: that in which more of it was awaited does not count. It looks now and
// then, which is as good as measuring, and needs no clock.
func (s *source) watch(ctx context.Context, limit time.Duration, late func()) {
	const looks, shortest = 200, time.Millisecond
	every := max(limit/looks, shortest)
	t := time.NewTicker(every)
	defer t.Stop()
	for worked := time.Duration(0); worked < limit; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if !s.waiting.Load() {
				worked += every
			}
		}
	}
	late()
}
