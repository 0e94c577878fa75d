package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoopstat-haus/berth/internal/bench/proc"
	"github.com/hoopstat-haus/berth/internal/bench/wire"
)

// patience is how long a run may overstay its time: a server that hangs must not hang the bench.
const patience = 2 * time.Minute

// Target is a server under measurement.
type Target struct {
	Name          string
	Address       string // host:port
	Authorization string // the header's value, if any
	PID           int
	Keys          Keys // of a server that has ECR's API

	// next numbers the images and layers pushed to it, so that each is new.
	next atomic.Uint64
}

// Keys are what calls of ECR's API are signed with.
type Keys struct{ ID, Secret, Region string }

// Sample is one timed run of one phase against one target.
type Sample struct {
	Operations int64         `json:"operations"`
	Bytes      int64         `json:"bytes"`
	Elapsed    time.Duration `json:"elapsed_ns"`
	ServerCPU  time.Duration `json:"server_cpu_ns"`
	ClientCPU  time.Duration `json:"client_cpu_ns"`
	PeakMemory int64         `json:"peak_memory_bytes"`
}

// Rate is operations per second.
func (s Sample) Rate() float64 { return float64(s.Operations) / s.Elapsed.Seconds() }

// Throughput is megabytes, of a million bytes, per second.
func (s Sample) Throughput() float64 { return float64(s.Bytes) / 1e6 / s.Elapsed.Seconds() }

// CPUPerGB is the server's processor seconds per billion bytes.
func (s Sample) CPUPerGB() float64 { return s.ServerCPU.Seconds() / (float64(s.Bytes) / 1e9) }

// Limits bound a run: it ends after Duration, or, if it comes first and is set, after Operations.
type Limits struct {
	Clients    int
	Duration   time.Duration
	Operations int64
}

// Operation is what is repeated; it returns how many bytes of content it moved. number counts the
// operations of a run across its clients.
type Operation func(c *Client, number int64) (int64, error)

// Measure repeats an operation with several clients at once, each on its own connection, and says what it
// cost. Operations that are under way when time is up are finished and counted, and so is their time.
func Measure(ctx context.Context, t *Target, limits Limits, now func() time.Time, op Operation) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, limits.Duration+patience)
	defer cancel()
	clients, err := connect(ctx, t, limits.Clients)
	if err != nil {
		return Sample{}, fmt.Errorf("connecting to %s: %w", t.Name, err)
	}
	defer func() {
		for _, c := range clients {
			_ = c.conn.Close()
		}
	}()
	proc.ResetPeak(t.PID)
	before, err := readCosts(t.PID)
	if err != nil {
		return Sample{}, err
	}
	start := now()
	operations, bytes, err := repeat(clients, limits, start, now, op)
	elapsed := now().Sub(start)
	if err != nil {
		return Sample{}, fmt.Errorf("against %s: %w", t.Name, errors.Join(ctx.Err(), err))
	}
	after, err := readCosts(t.PID)
	if err != nil {
		return Sample{}, err
	}
	peak, err := proc.PeakMemory(t.PID)
	if err != nil {
		return Sample{}, err
	}
	return Sample{
		Operations: operations, Bytes: bytes, Elapsed: elapsed, PeakMemory: peak,
		ServerCPU: after.server - before.server, ClientCPU: after.client - before.client,
	}, nil
}

// repeat runs the clients until a limit or an error stops them.
func repeat(clients []*Client, limits Limits, start time.Time, now func() time.Time, op Operation) (operations, bytes int64, err error) {
	var (
		begun, done, moved atomic.Int64
		failed             atomic.Bool
		errs               = make([]error, len(clients)) // each written by its own client only
		running            sync.WaitGroup
	)
	for i, c := range clients {
		running.Go(func() {
			for !failed.Load() && now().Sub(start) < limits.Duration {
				number := begun.Add(1) - 1
				if limits.Operations > 0 && number >= limits.Operations {
					return
				}
				n, err := op(c, number)
				if err != nil {
					errs[i] = err
					failed.Store(true)
					return
				}
				done.Add(1)
				moved.Add(n)
			}
		})
	}
	running.Wait()
	return done.Load(), moved.Load(), errors.Join(errs...)
}

func connect(ctx context.Context, t *Target, n int) ([]*Client, error) {
	clients := make([]*Client, 0, n)
	for range n {
		conn, err := wire.Dial(ctx, t.Address, t.Authorization)
		if err != nil {
			for _, c := range clients {
				_ = c.conn.Close()
			}
			return nil, err
		}
		clients = append(clients, &Client{conn})
	}
	return clients, nil
}

type costs struct {
	server, client time.Duration
}

func readCosts(pid int) (costs, error) {
	server, err := proc.CPU(pid)
	if err != nil {
		return costs{}, fmt.Errorf("reading the server's cost: %w", err)
	}
	client, err := proc.CPU(os.Getpid())
	if err != nil {
		return costs{}, fmt.Errorf("reading the client's cost: %w", err)
	}
	return costs{server, client}, nil
}
