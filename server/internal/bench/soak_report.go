package main

import (
	"fmt"
	"slices"
	"time"
)

// tables is what both the terminal and the document show.
func (s soaked) tables() string {
	return "## A flood of logins\n\n" + s.flood.table() + "\n## A flood from one network\n\n" + s.networkTable() + "\n## A hundred thousand accounts\n\n" + s.sizeTable() + "\n## Aims\n\n" + s.aims()
}

func (f flooded) table() string {
	loaded := slices.Sorted(slices.Values(f.loaded.latencies))
	unloaded := slices.Sorted(slices.Values(f.unloaded.latencies))
	rows := [][]string{
		{"figure", "without the flood", "in the flood"},
		{"logins hashed, a second", fmt.Sprintf("%.0f, as many as it can", f.capacity), fmt.Sprintf("%.0f", float64(f.poured.hashed.Load())/floodTime.Seconds())},
		{"logins answered 503, a second", "", fmt.Sprintf("%.0f", float64(f.poured.refused.Load())/floodTime.Seconds())},
		{"GET /users/me, a second", fmt.Sprintf("%.0f", f.unloaded.perSecond()), fmt.Sprintf("%.0f", f.loaded.perSecond())},
		{"GET /users/me, p50", milli(percentile(unloaded, 0.5)), milli(percentile(loaded, 0.5))},
		{"GET /users/me, p99", milli(percentile(unloaded, 0.99)), milli(percentile(loaded, 0.99))},
		{"GET /healthz, slowest", "", milli(f.healthz[len(f.healthz)-1])},
		{"resident memory", fmt.Sprintf("%.1f MiB", float64(f.idle)/(1<<20)), fmt.Sprintf("%.1f MiB at most", float64(f.peak)/(1<<20))},
	}
	return table(rows)
}

func (s soaked) networkTable() string {
	rows := [][]string{{"one network floods with", "answered, a second", "429 or 503, a second", "logins of others", "in time", "p50", "slowest", "refused"}}
	for _, u := range s.networks {
		took := slices.Sorted(slices.Values(u.took))
		refused := 0
		for _, n := range u.failed {
			refused += n
		}
		rows = append(rows, []string{
			u.name, fmt.Sprintf("%.0f", float64(u.served.Load())/fairTime.Seconds()), fmt.Sprintf("%.0f", float64(u.refused.Load())/fairTime.Seconds()),
			fmt.Sprint(u.asked), fmt.Sprint(u.prompt), milli(percentile(took, 0.5)), milli(percentile(took, 1)), fmt.Sprint(refused),
		})
	}
	return table(rows)
}

func (s soaked) sizeTable() string {
	rows := [][]string{{"CPU a request", "100 users, 300 sessions", "100,000 users, 300,000 sessions", "times", "low to high"}}
	for pair := range slices.Chunk(s.sizes, 2) {
		times := pair[1].against(pair[0], round.cpuPerRequest)
		rows = append(rows, []string{
			pair[0].name[:len(pair[0].name)-len(", few rows")], micro(pair[0].each(round.cpuPerRequest).median),
			micro(pair[1].each(round.cpuPerRequest).median), fmt.Sprintf("%.3f", times.median), fmt.Sprintf("%.3f to %.3f", times.low, times.high),
		})
	}
	return table(rows)
}

func (s soaked) aims() string {
	percent := func(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }
	count := func(v float64) string { return fmt.Sprintf("%.0f", v) }
	times := func(v float64) string { return fmt.Sprintf("%.3f", v) }
	milliseconds := func(v float64) string { return fmt.Sprintf("%.1f ms", v) }
	mebibytes := func(v float64) string { return fmt.Sprintf("%.0f MiB", v/(1<<20)) }
	f, loaded := s.flood, slices.Sorted(slices.Values(s.flood.loaded.latencies))
	all := []aim{
		{name: "GET /users/me in a flood: throughput kept, per CPU left over", value: f.kept, show: percent, limit: 0.7, least: true},
		{name: "GET /users/me in a flood: p99", value: exactly(float64(percentile(loaded, 0.99)) / float64(time.Millisecond)), show: milliseconds, limit: 100},
		{name: "Answers in a flood that are faults", value: exactly(float64(f.poured.faults.Load()) + float64(f.loaded.failures)), show: count, limit: 0},
		{name: "Resident memory in a flood, peak", value: exactly(f.peak), show: mebibytes, limit: 128 << 20},
	}
	for _, u := range s.networks {
		all = append(all, aim{
			name:  fmt.Sprintf("Logins of other networks within %v, in a flood of %s", fairWithin, u.name),
			value: exactly(u.share()), show: percent, limit: 0.95, least: true,
		})
	}
	for pair := range slices.Chunk(s.sizes, 2) {
		all = append(all, aim{
			name:  "CPU, many rows over few: " + pair[0].name[:len(pair[0].name)-len(", few rows")],
			value: pair[1].against(pair[0], round.cpuPerRequest), show: times, limit: 1.2,
		})
	}
	rows := [][]string{{"figure", "measured", "low to high", "aim", "met"}}
	for _, a := range all {
		rows = append(rows, a.row())
	}
	return table(rows)
}

// document is docs/soak.md.
func (s soaked) document(busy string) string {
	return fmt.Sprintf(`# Soak

`+"`make soak`"+` measured these on %s and wrote this page: %s.
The load average when it began was %s; above 0.5, other programs have disturbed the figures.

%s
## How it is measured

- The flood is %d times as many logins a second as the server can hash, for %v over %d connections, each login for
  a name and from an address of its own, so that none is throttled: the worst that a botnet can do. What is over
  the queue is answered 503 with Retry-After.
- GET /users/me is asked over %d connections meanwhile, each sending its next request when it has the answer.
- *CPU left over* is what the server used, less what its logins and its 503s cost. A login's cost is measured in the
  same flood while nobody reads, in turns with the reading: %d turns, counted together. Hashing takes most of
  the CPU, so a small error there is a larger one here.
- The flood from one network is %d connections from one address for %v, each sending its next request when it has the
  answer, and not waiting after a 429 or a 503. Meanwhile somebody logs in every %v, each from another network and with
  the right password, whether or not the last one is answered; the time includes connecting.
- The senders, the readers and the server share the machine's cores.
- The sizes are two SQLite files; what is compared takes turns, %d connections at a time, as in
  [Benchmarks](benchmarks.md). The rows beside those that are asked for were put in by SQL.

## Again

    make soak    # three minutes at most, stops by itself, loopback only; writes this page
`, time.Now().UTC().Format("2 January 2006"), machine(), busy, s.tables(), floodTimes, floodTime, floodSenders, connections,
		floodTurns, fairConnections, fairTime, fairEvery, connections)
}
