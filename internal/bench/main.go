// The bench runs Berth and distribution, the reference registry, on this machine in turn and prints how
// they compare. What is measured and why is in docs/design/performance.md.
//
//	go run ./internal/bench            # about seven minutes
//	go run ./internal/bench -short     # does everything once, too briefly to mean anything
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hoopstat-haus/berth/internal/bench/contestant"
	"github.com/hoopstat-haus/berth/internal/bench/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr, time.Now)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err != nil && interrupted: // what the servers say to that is of no interest
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		os.Exit(1)
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	berth, registry string // programs
	dir             string
	servers         []string
	only            []string
	output          string
	short           bool
	sizes           load.Sizes

	serveFile, serveAt string
}

func run(ctx context.Context, arguments []string, stdout, stderr io.Writer, now func() time.Time) (err error) {
	o, err := parse(arguments, stderr)
	if err != nil {
		return err
	}
	if o.serveFile != "" {
		return contestant.ServeFile(ctx, o.serveFile, o.serveAt)
	}
	dir, err := os.MkdirTemp(o.dir, "berth-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	b := bench{options: o, dir: dir, progress: stderr, now: now}
	results, err := b.run(ctx)
	if err != nil {
		return err
	}
	if o.output == "json" {
		return results.WriteJSON(stdout)
	}
	return results.WriteText(stdout)
}

func parse(arguments []string, stderr io.Writer) (options, error) {
	o := options{sizes: load.Sizes{Images: 256, Listed: 100_000, Tags: 10_000, Layer: 128 << 20, LargePushes: 8}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.berth, "berth", "", "Berth's program; built from this module if not given")
	flags.StringVar(&o.registry, "registry", "registry", "distribution's program")
	flags.StringVar(&o.dir, "dir", "", "directory for the servers' data, on the disk to measure; needs 20 GB")
	flags.StringVar(&o.output, "output", "text", "text or json")
	flags.BoolVar(&o.short, "short", false, "little of everything: to see that it works, not how fast")
	flags.DurationVar(&o.sizes.Duration, "duration", 4*time.Second, "how long each phase runs in each round")
	flags.IntVar(&o.sizes.Rounds, "rounds", 3, "how often each phase runs against each server")
	flags.StringVar(&o.serveFile, "serve-file", "", "serve one file instead: the yardstick for downloads, started by the bench itself")
	flags.StringVar(&o.serveAt, "serve-at", "", "where to serve it")
	servers := flags.String("servers", "berth,distribution", "the two that are compared")
	only := flags.String("only", "", "phases to measure, and listing, separated by commas; all if not given")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	o.servers = strings.Split(*servers, ",")
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if o.short {
		o.sizes.Listed = 1500
		o.sizes.Images, o.sizes.Tags, o.sizes.Layer, o.sizes.LargePushes = 16, 250, 4<<20, 2
		o.sizes.Duration, o.sizes.Rounds = 100*time.Millisecond, 1
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("what is %q? all options are flags", flags.Arg(0))
	case !slices.Contains([]string{"text", "json"}, o.output):
		return o, fmt.Errorf("unknown output %q, want text or json", o.output)
	case o.sizes.Rounds < 1 || o.sizes.Duration <= 0:
		return o, errors.New("rounds and duration must be positive")
	}
	return o, nil
}
