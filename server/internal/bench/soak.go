//go:build linux

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sesame/server/internal/network"
	hashes "sesame/server/internal/password"
)

const (
	floodTime    = 8 * time.Second
	floodSenders = 200 // of a flood from everywhere: more than may wait for a hash
	netSenders   = 90  // of a flood from one network
	otherEvery   = 200 * time.Millisecond
	otherWithin  = time.Second
)

// soak floods servers with requests, compares a server that has many accounts with one that has few, and writes
// docs/soak.md. It takes about two minutes.
func (b *bench) soak() error {
	f := &figures{busy: loadAverage()}
	for _, step := range []func(*figures) error{b.floodFromEverywhere, b.floodFromOneNetwork, b.compareSizes} {
		if err := step(f); err != nil {
			return err
		}
	}
	text := heading("Soak", "soak", f.busy) + "## A flood of logins from everywhere\n\n" + table(f.flood) +
		"\n## A flood from one network\n\n" + table(f.network) + "\n## A hundred thousand accounts\n\n" + table(f.sizes) + "\n## Aims\n\n" + f.aims() + fmt.Sprintf(`
## How it is measured

- The flood from everywhere is %d connections for %v, each login for a name and from an address of its own, so that none is
  throttled: the worst that a botnet can do. What is more than the queue holds is answered 503 with Retry-After. Meanwhile
  GET /users/me is requested over %d connections.
- The flood from one network is %d connections from one address for %v, which do not wait after a 429 or a 503. Meanwhile
  somebody logs in every %v, each from another network and with the right password.
- Two SQLite files are compared in turns, as in [Benchmarks](benchmarks.md). The accounts were imported.
- All run on loopback, and the senders share the cores with the server.
`, floodSenders, floodTime, connections, netSenders, floodTime, otherEvery)
	fmt.Print(text)
	return os.WriteFile(filepath.Join(b.module, "docs/soak.md"), []byte(text), 0o644)
}

// floodFromEverywhere sends more logins than a server can hash, while people read their accounts.
func (b *bench) floodFromEverywhere(f *figures) error {
	server, err := b.server(b.program, b.sqlite("flood"))
	if err != nil {
		return err
	}
	defer server.stop()
	cases, err := b.operations(server, "flood")
	if err != nil {
		return err
	}
	alone, err := server.run(client(), cases[0].work, fromHere, floodTime/2)
	if err != nil {
		return err
	}
	idle := server.memory("VmRSS")
	var number atomic.Int64
	var reads, flood, health round
	var errs [3]error
	var group sync.WaitGroup
	group.Go(func() {
		flood, errs[0] = server.run(client(), each(floodSenders, func(int) work {
			return func([]byte) request { return server.login(fmt.Sprintf("nobody-%d", number.Add(1)), password) }
		}), func(int) string { n := number.Load(); return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255) }, floodTime)
	})
	group.Go(func() { reads, errs[1] = server.run(client(), cases[0].work, fromHere, floodTime) })
	group.Go(func() {
		health, errs[2] = server.run(client(), []work{func([]byte) request {
			time.Sleep(50 * time.Millisecond)
			return request{method: "GET", url: server.url + "/healthz"}
		}}, fromHere, floodTime)
	})
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	perSecond := func(n int, r round) string { return fmt.Sprintf("%.0f", float64(n)/r.elapsed.Seconds()) }
	f.flood = [][]string{
		{"figure", "without the flood", "in the flood"},
		{"logins answered, a second", "", perSecond(len(flood.took)-flood.refused, flood)},
		{"logins refused with 503 or 429, a second", "", perSecond(flood.refused, flood)},
		{"GET /users/me, a second", perSecond(len(alone.took), alone), perSecond(len(reads.took), reads)},
		{"GET /users/me, p50", milli(percentile(alone.took, 0.5)), milli(percentile(reads.took, 0.5))},
		{"GET /users/me, p99", milli(percentile(alone.took, 0.99)), milli(percentile(reads.took, 0.99))},
		{"resident memory", fmt.Sprintf("%.1f MiB", idle), fmt.Sprintf("%.1f MiB at most", server.memory("VmHWM"))},
	}
	f.bound("GET /users/me in a flood: p99", percentile(reads.took, 0.99).Seconds()*1000, "at most", 100, "%.1f ms")
	f.bound("GET /healthz in a flood: the slowest, after a pause of 50 ms", percentile(health.took, 1).Seconds()*1000, "at most", 250, "%.1f ms")
	f.bound("Reads in a flood that fail", float64(reads.failed+health.failed), "at most", 0, "%.0f")
	f.bound("Resident memory in a flood, peak", server.memory("VmHWM"), "at most", 128, "%.0f MiB")
	return nil
}

// floodFromOneNetwork floods a server from one address, while others log in.
func (b *bench) floodFromOneNetwork(f *figures) error {
	f.network = [][]string{{"one network floods with", "answered, a second", "429 or 503, a second", "logins of others", "in time", "p50", "slowest"}}
	for _, kind := range []struct{ name, limit string }{{"registrations, 60 an hour", "60"}, {"registrations without a limit", "0"}, {"right logins", "0"}} {
		server, err := b.server(b.program, b.sqlite(kind.name), "SESAME_REGISTRATION_LIMIT="+kind.limit)
		if err != nil {
			return err
		}
		for i := range connections {
			if _, err = want(201, server.register(loginName(i))); err != nil {
				return err
			}
		}
		var number atomic.Int64
		next := func([]byte) request { return server.login(loginName(0), password) }
		if strings.HasPrefix(kind.name, "registrations") {
			next = func([]byte) request { return server.register(fmt.Sprintf("flood-%d", number.Add(1))) }
		}
		var flood round
		var floodErr error
		var group sync.WaitGroup
		group.Go(func() {
			flood, floodErr = server.run(client(), each(netSenders, func(int) work { return next }), func(int) string { return "203.0.113.7" }, floodTime)
		})
		took, asked := others(server)
		group.Wait()
		server.stop()
		if floodErr != nil {
			return floodErr
		}
		inTime, _ := slices.BinarySearch(took, otherWithin+1)
		f.network = append(f.network, []string{
			kind.name, fmt.Sprintf("%.0f", float64(len(flood.took)-flood.failed)/flood.elapsed.Seconds()), fmt.Sprintf("%.0f", float64(flood.refused)/flood.elapsed.Seconds()),
			fmt.Sprint(asked), fmt.Sprint(inTime), milli(percentile(took, 0.5)), milli(percentile(took, 1)),
		})
		f.bound(fmt.Sprintf("Logins of other networks within %v, in a flood of %s", otherWithin, kind.name), 100*float64(inTime)/float64(asked), "at least", 95, "%.0f %%")
	}
	return nil
}

// others log in at a steady rate, each from a network of its own, whether or not the last one is answered. It gives how
// long those took that succeeded, and how many there were.
func others(server *process) (took []time.Duration, asked int) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for began := time.Now(); time.Since(began) < floodTime-otherWithin; asked++ {
		r, from := server.login(loginName(1+asked%(connections-1)), password), fmt.Sprintf("198.51.100.%d", asked)
		group.Go(func() {
			sent := time.Now()
			if status, _, err := send(http.DefaultClient, r, from); err == nil && status == 200 {
				mu.Lock()
				took = append(took, time.Since(sent))
				mu.Unlock()
			}
		})
		time.Sleep(otherEvery)
	}
	group.Wait()
	slices.Sort(took)
	return took, asked
}

// compareSizes measures the same operations on a database with few accounts and on one with 100,000, in turns.
func (b *bench) compareSizes(f *figures) error {
	hasher, err := hashes.New(hashes.Argon2id, nil)
	if err != nil {
		return err
	}
	hash, err := hasher.Hash(b.ctx, network.Network{}, password)
	if err != nil {
		return err
	}
	b.plan = plan{rounds: 6, short: 500 * time.Millisecond, long: time.Second}
	sides := map[int][]*bcase{}
	for _, accounts := range []int{100, 100_000} {
		database := b.sqlite(fmt.Sprint(accounts))
		server, err := b.server(b.program, database)
		if err != nil {
			return err
		}
		defer server.stop()
		var lines strings.Builder
		for i := range accounts {
			fmt.Fprintf(&lines, `{"username":"user-%d","email":"user-%[1]d@example.org","email_verified":true,"password_hash":%[2]q}`+"\n", i, hash)
		}
		if err = b.users(b.program, database, lines.String()); err != nil {
			return err
		}
		if sides[accounts], err = b.operations(server, fmt.Sprintf("%d accounts", accounts)); err != nil {
			return err
		}
	}
	var pairs [][2]*bcase
	var all []*bcase
	for i, few := range sides[100] {
		many := sides[100_000][i]
		pairs, all = append(pairs, [2]*bcase{few, many}), append(all, few, many)
	}
	if err = b.takeTurns(all); err != nil {
		return err
	}
	f.sizes = [][]string{{"operation", "CPU, 100 accounts", "CPU, 100,000 accounts", "ratio (quartiles)"}}
	for _, p := range pairs {
		name, _, _ := strings.Cut(p[0].name, ", ")
		f.sizes = append(f.sizes, []string{name, p[0].cpu().micros(), p[1].cpu().micros(), p[1].over(p[0]).times()})
		f.bound("CPU, 100,000 accounts over 100: "+name, p[1].over(p[0]).median, "at most", 1.2, "%.3f")
	}
	return nil
}
