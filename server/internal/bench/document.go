package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"time"
)

// document is docs/benchmarks.md.
func (f figures) document() string {
	return fmt.Sprintf(`# Benchmarks

`+"`make bench`"+` measured these on %s and wrote this page: %s.
The load average when it began was %s; above 0.5, other programs have disturbed the figures.

%s
%s`, time.Now().UTC().Format("2 January 2006"), machine(), f.busy, f.tables(), f.method())
}

func (f figures) method() string {
	p := f.plan
	text := fmt.Sprintf(`## How it is measured

- Over loopback connections, %d at a time, each sending its next request when it has the answer to the last.
- Every server is a process of its own. CPU is what the kernel's clock says that this process used, user and
  system, divided by the requests; the load generator and the PostgreSQL server are not in it. They do share
  the cores with the server, so requests/s says more about the machine than about Sesame.
- Sesame is compiled with `+"`-trimpath -ldflags='-s -w'`"+` and runs as in production, with everything on: the checks
  against the contract, the session and the user read at every request, JSON logs into a file.
- *Bare Echo* is one route that encodes the same struct to the same bytes, and nothing else. *Bare password hash*
  is argon2id with the same parameters (19 MiB, t=2, p=1), as many at a time as there are cores.
- The cases take turns, %d rounds of %v each (%v where passwords are hashed), each after a quarter of
  that which does not count. CPU is the median of the rounds, ratios are taken within a round, and p50 and p99
  are over all requests of all rounds.
- SQLite is a file with `+"`synchronous=FULL`"+`; PostgreSQL keeps its safe defaults and is reached over TCP. So a
  refresh waits for the disk, which its latency shows and its CPU does not.
- A start is timed %d times, from starting the program on an existing SQLite database, its files in the page
  cache, to the first 200 of `+"`GET /users/me`"+`.
- Imported hashes are of bcrypt with a work factor of %d. Where half of the hashes are imported, each try is of another name; a
  refusal is slow that takes twice the time of the quickest tenth. Of %d names each, the two shares are 15 points apart by
  chance once in 400 runs.
- Idle memory is VmRSS, %v after one `+"`GET /users/me`"+`; peak memory is VmHWM after %v of logins.
`, connections, p.rounds, p.short, p.long, p.coldStarts, importedCost, p.refusals, p.settle, p.peak)
	if f.find(caseMePostgres) == nil {
		text += "- PostgreSQL was not installed where this was measured.\n"
	}
	return text + `
## Again

    make bench                           # about four minutes, writes this page
    go run ./server/internal/bench -quick         # 20 seconds: does it all still run? The figures mean little
`
}

// machine describes where this runs, and names nobody's computer.
func machine() string {
	model := match("/proc/cpuinfo", `model name\s*: (.*)`)
	kernel := match("/proc/sys/kernel/osrelease", `^(\d+\.\d+(?:\.\d+)?)`)
	return fmt.Sprintf("%d cores of %s, Linux %s, %s", runtime.NumCPU(), model, kernel, runtime.Version())
}

// loadAverage is how many programs wanted a core in the last minute, on average.
func loadAverage() string { return match("/proc/loadavg", `^([\d.]+)`) }

// match returns the first group of the pattern in a file.
func match(path, pattern string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	groups := regexp.MustCompile(pattern).FindSubmatch(content)
	if groups == nil {
		return "unknown"
	}
	return string(bytes.TrimSpace(groups[1]))
}
