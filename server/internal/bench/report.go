//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// spread is the median of some values, and the quartiles around it.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	at := func(share float64) float64 { return sorted[int(share*float64(len(sorted)-1)+0.5)] }
	return spread{at(0.5), at(0.25), at(0.75)}
}

// micros is the CPU time of a request of a round, in microseconds.
func (r round) micros() float64 { return float64(r.cpu) / 1e3 / float64(len(r.took)) }

func (c *bcase) cpu() spread {
	values := make([]float64, len(c.rounds))
	for i, r := range c.rounds {
		values[i] = r.micros()
	}
	return spreadOf(values)
}

// total returns the times of all requests, sorted, and how long the rounds took.
func (c *bcase) total() (took []time.Duration, elapsed time.Duration) {
	for _, r := range c.rounds {
		took, elapsed = append(took, r.took...), elapsed+r.elapsed
	}
	slices.Sort(took)
	return took, elapsed
}

// rate is how many requests were answered in a second.
func (c *bcase) rate() float64 {
	took, elapsed := c.total()
	return float64(len(took)) / elapsed.Seconds()
}

// over compares the CPU time of two cases, round by round.
func (c *bcase) over(other *bcase) spread {
	values := make([]float64, len(c.rounds))
	for i, r := range c.rounds {
		values[i] = r.micros() / other.rounds[i].micros()
	}
	return spreadOf(values)
}

func (s spread) times() string { return fmt.Sprintf("%.3f (%.3f to %.3f)", s.median, s.low, s.high) }

func (s spread) micros() string {
	if s.median > 1000 {
		return fmt.Sprintf("%.2f ms", s.median/1000)
	}
	return fmt.Sprintf("%.1f µs", s.median)
}

func milli(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

// ratioTable shows pairs of cases: the second over the first.
func ratioTable(pairs [][2]*bcase) string {
	rows := [][]string{{"operation", "CPU a request", "and", "ratio (quartiles)"}}
	for _, p := range pairs {
		rows = append(rows, []string{p[0].name, p[0].cpu().micros(), p[1].cpu().micros(), p[1].over(p[0]).times()})
	}
	return table(rows)
}

// figures are what a run has measured.
type figures struct {
	busy                       string
	cases                      []*bcase // the first two are the bare ones
	starts                     []float64
	idle, peak, binary         float64
	groups                     []*group
	flood, network, sizes, aim [][]string // of a soak
}

func (f *figures) find(name string) *bcase {
	i := slices.IndexFunc(f.cases, func(c *bcase) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return f.cases[i]
}

// bound adds a row to the aims: a figure that must be at most, or at least, a limit.
func (f *figures) bound(name string, value float64, relation string, limit float64, format string) {
	met := map[bool]string{true: "yes", false: "no"}[value <= limit && relation == "at most" || value >= limit && relation == "at least"]
	f.aim = append(f.aim, []string{name, fmt.Sprintf(format, value), relation + " " + fmt.Sprintf(format, limit), met})
}

func (f *figures) tables() string {
	rows := [][]string{{"case", "CPU a request", "times bare (quartiles)", "p50", "p99", "requests/s"}}
	for _, c := range f.cases {
		took, elapsed := c.total()
		bare := f.cases[0]
		if strings.HasPrefix(c.name, "Login") || c == f.cases[1] {
			bare = f.cases[1]
		}
		rows = append(rows, []string{
			c.name, c.cpu().micros(), c.over(bare).times(), milli(percentile(took, 0.5)), milli(percentile(took, 0.99)),
			fmt.Sprintf("%.0f", float64(len(took))/elapsed.Seconds()),
		})
	}
	text := "## Requests\n\n" + table(rows) + "\n## Answered alike\n\n"
	f.bound("CPU of GET /users/me, SQLite, over that of the bare handler", f.find("GET /users/me, SQLite").over(f.cases[0]).median, "at most", 2.3, "%.3f")
	if c := f.find("GET /users/me, PostgreSQL"); c != nil {
		f.bound("CPU of GET /users/me, PostgreSQL, over that of the bare handler", c.over(f.cases[0]).median, "at most", 4.5, "%.3f")
	}
	f.bound("CPU of a refresh, SQLite", f.find("Refresh, SQLite").cpu().median, "at most", 150, "%.1f µs")
	for _, alg := range []string{"RS256", "ES256"} {
		f.bound("Codes and their tokens a second, with a live session, ID tokens by "+alg+", SQLite", f.find(codeCase+alg+", SQLite").rate()/2, "at least", 2000, "%.0f")
	}
	f.bound("CPU of a login, over that of a bare hash", f.find("Login, SQLite").over(f.cases[1]).median, "at most", 1.03, "%.3f")
	for _, g := range f.groups {
		rows := [][]string{{g.title, "tries", "median", "slow"}}
		for _, k := range g.kinds {
			rows = append(rows, []string{k.name, fmt.Sprint(len(k.took)), milli(percentile(k.took, 0.5)), fmt.Sprintf("%.0f %%", 100*k.slow())})
		}
		text += table(rows) + "\n"
		limit, what := 5.0, "Medians apart: "
		if g.mixed() {
			limit, what = 15, "Shares of slow answers apart: "
		}
		f.bound(what+strings.TrimSuffix(strings.TrimSuffix(g.title, " for"), ","), 100*g.apart(), "at most", limit, "%.1f %%")
	}
	f.bound("Start to the first answer", spreadOf(f.starts).median, "at most", 40, "%.1f ms")
	f.bound("Resident memory, idle", f.idle, "at most", 36, "%.1f MiB")
	f.bound("Resident memory, peak while logging in", f.peak, "at most", 90, "%.1f MiB")
	f.bound("Binary", f.binary, "at most", 36, "%.1f MB")
	return text + "## Aims\n\n" + f.aims()
}

func (f *figures) aims() string {
	return table(append([][]string{{"figure", "measured", "aim", "met"}}, f.aim...))
}

// document is docs/benchmarks.md.
func (f *figures) document(p plan) string {
	f.aim = nil
	return heading("Benchmarks", "bench", f.busy) + f.tables() + fmt.Sprintf(`
## How it is measured

- Over %d loopback connections, each of which sends its next request when it has the answer to the last one.
- Every server is a process of its own. *CPU* is what the kernel's clock says that this process used, user and system,
  divided by the requests; the load generator and PostgreSQL are not in it. They share the cores with the server, so
  requests/s says more about the machine than about Sesame.
- Sesame is compiled with `+"`-trimpath -ldflags='-s -w'`"+` and runs with everything on: the contract, the session and the
  user read at every request, JSON logs into a file.
- *Bare Echo* is one route that encodes the same struct. *Bare password hash* is argon2id with the same parameters
  (19 MiB, t=2, p=1), as many at a time as there are cores.
- The cases take turns, %d rounds of %v each (%v where passwords are hashed), each after a quarter of that which does not
  count. Ratios are taken within a round; the quartiles are those of the rounds.
- SQLite is a file with `+"`synchronous=FULL`"+`; PostgreSQL keeps its safe defaults and is reached over TCP.
- *Code with a live session* is GET /authorize with the cookie of a signed-in person, then POST /token: a person who comes back to an
  application. Two requests are one sign-in. The server signs an access token (ES256) and an ID token, and SQLite commits the
  session, the event and the use of the code. RS256 is the default for ID tokens, since every client of OpenID Connect knows it.
  %s
  The signature is that of Go's crypto/rsa with a key that was prepared once, which is the fastest without C. 2000 a second on two
  cores leave 1000 µs for both requests and the load generator: that is for servers with `+"`SESAME_ID_TOKEN_ALG=ES256`"+`.
- Each refused try is for another name and from another address. Imported hashes are of bcrypt with a work factor of %d. An
  answer is slow that takes twice as long as the quickest tenth; two shares of %d tries are 15 points apart by chance once in
  400 runs.
- A start is timed %d times, from starting the program on an existing SQLite file to the first 200 of `+"`GET /users/me`"+`.
- Idle memory is VmRSS some seconds after one request; peak memory is VmHWM after a few seconds of logins.

To compare two builds, operation by operation: `+"`go run ./server/internal/bench -base PROGRAM`"+`.
`, connections, p.rounds, p.short, p.long, signatures(), importedCost, p.tries, p.starts)
}

func heading(title, target, busy string) string {
	return fmt.Sprintf("# %s\n\n`make %s` measured these on %s and wrote this page: %s.\nThe load average when it began was %s; above 0.5, other programs have disturbed the figures.\n\n",
		title, target, time.Now().UTC().Format("2 January 2006"), machine(), busy)
}

// machine describes what the figures were measured on.
func machine() string {
	model := "an unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	kernel, _ := exec.Command("uname", "-sr").Output()
	return fmt.Sprintf("%d cores of %s, %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), runtime.Version())
}

func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// table lays rows out as Markdown, the first as the head, in columns that a terminal shows straight.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(&text, "| %s%s ", cell, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		text.WriteString("|\n")
		for i := 0; n == 0 && i < len(widths); i++ {
			text.WriteString("|" + strings.Repeat("-", widths[i]+2))
		}
		if n == 0 {
			text.WriteString("|\n")
		}
	}
	return text.String()
}
