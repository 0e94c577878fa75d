package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/bench/contestant"
	"github.com/hoopstat-haus/berth/internal/bench/load"
	"github.com/hoopstat-haus/berth/internal/bench/proc"
	"github.com/hoopstat-haus/berth/internal/bench/report"
)

// bench is one run.
type bench struct {
	options
	dir      string // where everything is put; removed at the end
	progress io.Writer
	now      func() time.Time

	plan    *load.Plan
	servers []*contestant.Server // the two contenders
	yard    *contestant.Server   // the plain file server
	results *report.Results
}

func (b *bench) run(ctx context.Context) (results *report.Results, err error) {
	if b.plan, err = load.NewPlan(b.sizes); err != nil {
		return nil, err
	}
	phases, err := b.phases()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	b.results = &report.Results{
		Machine: machine(b.now()), Rounds: b.sizes.Rounds, Contenders: [2]string{b.servers[0].Name, b.servers[1].Name},
		Samples: make(map[string]map[string][]load.Sample), Titles: make(map[string]string), Peaks: make(map[string]int64),
	}
	for _, s := range b.servers {
		b.say("filling %s", s.Name)
		if err := b.plan.Fill(ctx, &s.Target, b.now); err != nil {
			return nil, s.Explain(err)
		}
		if err := b.notePeak(s); err != nil {
			return nil, err
		}
	}
	for _, phase := range phases {
		b.results.Order = append(b.results.Order, phase.Name)
		b.results.Titles[phase.Name] = phase.Title
		b.results.Samples[phase.Name] = make(map[string][]load.Sample)
	}
	for round := range b.sizes.Rounds {
		b.results.HashPerGB = append(b.results.HashPerGB, 0)
		if b.results.HashPerGB[round], err = b.plan.HashCost(); err != nil {
			return nil, err
		}
		for _, phase := range phases {
			if err := b.measure(ctx, phase, round); err != nil {
				return nil, err
			}
		}
	}
	return b.results, b.list(ctx)
}

// list measures listings by ECR's API, on the first contender if that is Berth.
func (b *bench) list(ctx context.Context) error {
	s := b.servers[0]
	if s.Keys == (load.Keys{}) || b.only != nil && !slices.Contains(b.only, load.Listing) {
		return nil
	}
	b.say("listing %d images", b.sizes.Listed)
	listed, err := b.plan.Listing(ctx, &s.Target, b.now)
	if err != nil {
		return s.Explain(err)
	}
	b.results.Listed = &listed
	return nil
}

// measure runs a phase once against everyone it concerns. Who begins changes from round to round.
func (b *bench) measure(ctx context.Context, phase load.Phase, round int) error {
	turn := slices.Clone(b.servers)
	if phase.Name == load.LargePull {
		turn = append(turn, b.yard)
	}
	if round%2 == 1 {
		slices.Reverse(turn)
	}
	for _, s := range turn {
		if err := proc.Settle(ctx); err != nil {
			return err
		}
		if phase.Name == load.LargePush {
			if err := proc.WarmMemory(b.dir, b.sizes.LargePushes*b.sizes.Layer); err != nil {
				return fmt.Errorf("warming memory: %w", err)
			}
		}
		sample, err := phase.Run(ctx, &s.Target, round, b.now)
		if err != nil {
			return s.Explain(err)
		}
		all := b.results.Samples[phase.Name]
		all[s.Name] = append(all[s.Name], sample)
		b.results.Peaks[s.Name] = max(b.results.Peaks[s.Name], sample.PeakMemory)
		b.say("round %d  %-10s  %-12s  %9.1f/s  %7.0f MB/s  server %6.0f µs  client %6.0f µs  peak %4.0f MB", round+1, phase.Name, s.Name,
			sample.Rate(), sample.Throughput(), report.ServerCPU(sample), report.ClientCPU(sample), float64(sample.PeakMemory)/1e6)
	}
	return nil
}

// phases are all, or those that were asked for.
func (b *bench) phases() ([]load.Phase, error) {
	all := b.plan.Phases()
	if b.only == nil {
		return all, nil
	}
	var names []string
	for _, phase := range all {
		names = append(names, phase.Name)
	}
	for _, name := range b.only {
		if !slices.Contains(names, name) && name != load.Listing {
			return nil, fmt.Errorf("no phase %q: there are %s", name, strings.Join(names, ", "))
		}
	}
	return slices.DeleteFunc(all, func(p load.Phase) bool { return !slices.Contains(b.only, p.Name) }), nil
}

// start starts the contenders and the yardstick.
func (b *bench) start(ctx context.Context) error {
	if len(b.options.servers) != 2 {
		return fmt.Errorf("%d servers to compare, want 2", len(b.options.servers))
	}
	if slices.Contains(b.options.servers, "distribution") { // before Berth is built and started in vain
		if _, err := exec.LookPath(b.registry); err != nil {
			return fmt.Errorf("%w; `make bench` builds it, as does `go install %s`", err, contestant.DistributionModule)
		}
	}
	for i, kind := range b.options.servers {
		dir := filepath.Join(b.dir, fmt.Sprintf("%d-%s", i, kind))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		s, err := b.contender(ctx, kind, dir)
		if err != nil {
			return err
		}
		b.servers = append(b.servers, s)
	}
	if b.servers[0].Name == b.servers[1].Name {
		b.servers[1].Name += "-2" // a server against itself shows how much noise there is
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "layer")
	layer := b.plan.LargeLayer()
	if err := os.WriteFile(file, slices.Concat(layer.Body, layer.Tail), 0o600); err != nil {
		return err
	}
	b.yard, err = contestant.FileServer(ctx, self, b.dir, file)
	return err
}

func (b *bench) contender(ctx context.Context, kind, dir string) (*contestant.Server, error) {
	switch kind {
	case "distribution":
		return contestant.Distribution(ctx, b.registry, dir)
	case "berth":
		program := b.berth
		if program == "" {
			program = filepath.Join(dir, "berth")
			b.say("building berth")
			if _, err := proc.Run(ctx, "go", "build", "-trimpath", "-o", program, "github.com/hoopstat-haus/berth/cmd/berth"); err != nil {
				return nil, err
			}
		}
		return contestant.Berth(ctx, program, dir, b.plan.Repositories())
	default:
		return nil, fmt.Errorf("unknown server %q: there are berth and distribution", kind)
	}
}

// stop ends whatever was started.
func (b *bench) stop() error {
	var errs []error
	for _, s := range append(slices.Clone(b.servers), b.yard) {
		if s != nil {
			errs = append(errs, s.Stop())
		}
	}
	return errors.Join(errs...)
}

func (b *bench) notePeak(s *contestant.Server) error {
	peak, err := proc.PeakMemory(s.PID)
	b.results.Peaks[s.Name] = max(b.results.Peaks[s.Name], peak)
	return err
}

func (b *bench) say(format string, arguments ...any) {
	fmt.Fprintf(b.progress, format+"\n", arguments...)
}

// machine describes where the bench runs.
func machine(now time.Time) report.Machine {
	m := report.Machine{
		Date: now.UTC().Truncate(time.Second), Processors: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.Processor = report.ProcessorName(info)
	}
	return m
}
