package telemetry

import (
	"bytes"
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// started is when the process began, as nearly as a program knows.
var started = time.Now()

// Process declares the metrics of the process and of the Go runtime, under the names of Prometheus' own client, so that
// common dashboards show them.
func (r *Registry) Process() {
	version, revision := build()
	info := r.Gauge("sesame_build_info", "The build that runs; the value is 1.",
		Label{Name: "version", Values: []string{version}}, Label{Name: "revision", Values: []string{revision}},
		Label{Name: "go_version", Values: []string{runtime.Version()}})
	info.Set(1, version, revision, runtime.Version())
	r.Gauge("process_start_time_seconds", "When the process started, in seconds since 1970.").Set(float64(started.UnixNano()) / 1e9)
	r.runtime()
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		r.proc()
	}
}

// build returns the version of a release, if this is one, and the commit.
func build() (version, revision string) {
	version, revision = "devel", "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version, revision
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision
}

// runtime declares what the Go runtime measures.
func (r *Registry) runtime() {
	gauges := []struct {
		*Gauge
		source string
	}{
		{r.Gauge("go_goroutines", "Goroutines."), "/sched/goroutines:goroutines"},
		{r.Gauge("go_memstats_heap_alloc_bytes", "Bytes of objects on the heap, including garbage that is not yet collected."), "/memory/classes/heap/objects:bytes"},
		{r.Gauge("go_memstats_sys_bytes", "Bytes that the Go runtime has from the system."), "/memory/classes/total:bytes"},
		{r.Total("go_gc_cycles_total", "Garbage collections."), "/gc/cycles/total:gc-cycles"},
	}
	r.OnScrape(func(context.Context) {
		for _, g := range gauges {
			sample := []metrics.Sample{{Name: g.source}}
			if metrics.Read(sample); sample[0].Value.Kind() == metrics.KindUint64 {
				g.Set(float64(sample[0].Value.Uint64()))
			}
		}
	})
}

// clockTick is the unit of times in /proc, which is the same on every Linux that Go runs on.
const clockTick = 100

// proc declares what Linux tells of a process (proc(5)).
func (r *Registry) proc() {
	cpu := r.Total("process_cpu_seconds_total", "CPU time of the process, in seconds.")
	resident := r.Gauge("process_resident_memory_bytes", "Bytes of memory that the process occupies.")
	files := r.Gauge("process_open_fds", "Open files and connections.")
	limit := r.Gauge("process_max_fds", "How many files and connections the process may have open.")
	r.OnScrape(func(context.Context) {
		// The second field is the name of the program in parentheses, which may contain spaces.
		if stat, err := os.ReadFile("/proc/self/stat"); err == nil {
			if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 21 {
				cpu.Set((number(fields[11]) + number(fields[12])) / clockTick)
				resident.Set(number(fields[21]) * float64(os.Getpagesize()))
			}
		}
		if open, err := os.ReadDir("/proc/self/fd"); err == nil {
			files.Set(float64(len(open) - 1)) // one of them reads this folder
		}
		if limits, err := os.ReadFile("/proc/self/limits"); err == nil {
			if _, rest, ok := strings.Cut(string(limits), "Max open files"); ok {
				limit.Set(number(strings.Fields(rest)[0]))
			}
		}
	})
}

func number(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil { // "unlimited"
		return math.Inf(1)
	}
	return n
}
