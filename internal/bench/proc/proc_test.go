package proc_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/bench/proc"
)

func TestParseCPU(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, stat string
		want       time.Duration
		fails      bool
	}{
		{name: "plain", stat: "17 (berth) S 1 1 1 0 -1 4194560 4300 0 0 0 250 75 0 0 20 0 9 0 100 0 0", want: 3250 * time.Millisecond},
		{name: "a name that misleads", stat: "17 (a) b) S 1) S 1 1 1 0 -1 4194560 4300 0 0 0 1 2 3 4 20 0", want: 30 * time.Millisecond},
		{name: "too short", stat: "17 (berth) S 1 1", fails: true},
		{name: "no number", stat: "17 (berth) S 1 1 1 0 -1 4194560 4300 0 0 0 x 75", fails: true},
		{name: "empty", stat: "", fails: true},
	}
	for _, test := range tests {
		got, err := proc.ParseCPU([]byte(test.stat))
		if (err != nil) != test.fails || got != test.want {
			t.Errorf("%s: ParseCPU = %v, %v; want %v, error %t", test.name, got, err, test.want, test.fails)
		}
	}
}

func TestParsePeak(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, status string
		want         int64
		fails        bool
	}{
		{name: "plain", status: "Name:\tberth\nVmPeak:\t 999 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 11 kB\n", want: 12345 << 10},
		{name: "a kernel thread", status: "Name:\tkworker\n", fails: true},
		{name: "another unit", status: "VmHWM:\t 1 MB\n", fails: true},
		{name: "no number", status: "VmHWM:\t x kB\n", fails: true},
	}
	for _, test := range tests {
		got, err := proc.ParsePeak([]byte(test.status))
		if (err != nil) != test.fails || got != test.want {
			t.Errorf("%s: ParsePeak = %v, %v; want %v, error %t", test.name, got, err, test.want, test.fails)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("processes are measured through Linux's /proc")
	}
	if peak, err := proc.PeakMemory(os.Getpid()); err != nil || peak < 1<<20 {
		t.Errorf("PeakMemory of this test = %d, %v; want more than a megabyte", peak, err)
	}
	if cpu, err := proc.CPU(os.Getpid()); err != nil || cpu < 0 {
		t.Errorf("CPU of this test = %v, %v; want some", cpu, err)
	}
}

func TestProcessThatEndsAtOnce(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	address, err := proc.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := proc.Start(t.Context(), "broken", filepath.Join(t.TempDir(), "log"), "sh", "-c", "echo no such option; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(t.Context(), address); err == nil || !strings.Contains(err.Error(), "no such option") {
		t.Errorf("Ready of a program that fails = %v, want its complaint", err)
	}
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("Stop of a program that failed = %v, want its exit status", err)
	}
}

func TestStopEndsAServer(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	p, err := proc.Start(t.Context(), "patient", filepath.Join(t.TempDir(), "log"), "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("Stop = %v, want none: the signal was asked for", err)
	}
}
