package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	floodTime     = 20 * time.Second
	floodTimes    = 10  // the hash capacity
	floodSenders  = 200 // more than may wait for a hash
	floodReaders  = 4
	floodSettings = "SESAME_TRUSTED_PROXIES=127.0.0.1/32" // so that each login comes from an address of its own
)

// flooded is what a flood of logins did to everybody else.
type flooded struct {
	capacity   float64 // logins a second without a flood
	asked      float64 // logins a second in the flood
	statuses   map[int]int
	unloaded   round // GET /users/me without the flood
	loaded     round // and with it
	healthz    []time.Duration
	loginCPU   float64 // microseconds that a login costs, without a flood
	refusalCPU float64 // and a 503, in a flood that has the server for itself
	idle, peak int64   // resident bytes: before, and the most
}

// kept is the share of its throughput that GET /users/me keeps, for each second of CPU that the logins
// leave over.
func (f flooded) kept() float64 {
	hashed := 0
	for status, n := range f.statuses {
		if status != 503 {
			hashed += n
		}
	}
	left := float64(f.loaded.cpu.Microseconds()) - float64(hashed)*f.loginCPU - float64(f.statuses[503])*f.refusalCPU
	return f.unloaded.cpuPerRequest() * float64(len(f.loaded.latencies)) / left
}

// flood measures a server alone, while it hashes all it can, in a flood, and serving others meanwhile.
func (b *built) flood(ctx context.Context, progress io.Writer) (f flooded, err error) {
	server, err := b.startServer(ctx, "flood", b.sqliteURL(), floodSettings)
	if err != nil {
		return f, err
	}
	s := setup{programs: []*program{server}}
	defer s.stop()
	users, err := register(server)
	if err != nil {
		return f, err
	}
	s.add("readers", server, 0, func(i int) (*client, error) {
		return dial(server.address, get("/users/me", server.address, users[i].Access))
	})
	s.add("logins", server, 0, func(i int) (*client, error) {
		return dial(server.address, loginRequest(server.address, loginName(i)))
	})
	readers, logins := s.cases[0], s.cases[1]
	if err := readers.open(); err != nil {
		return f, err
	}
	for _, surplus := range readers.clients[floodReaders:] {
		surplus.conn.Close()
	}
	readers.clients = readers.clients[:floodReaders]
	if _, err := readers.measure(time.Second); err != nil {
		return f, err
	}
	if f.idle, err = server.memory("VmRSS"); err != nil {
		return f, err
	}
	fmt.Fprintln(progress, "measuring without a flood")
	if f.unloaded, err = readers.measure(4 * time.Second); err != nil {
		return f, err
	}
	if err := logins.open(); err != nil { // now, for a server hangs up on who says nothing for long
		return f, err
	}
	capacity, err := logins.measure(4 * time.Second)
	if err != nil {
		return f, err
	}
	f.capacity, f.loginCPU = capacity.perSecond(), capacity.cpuPerRequest()
	if err := f.drown(ctx, server, readers, progress); err != nil {
		return f, err
	}
	f.peak, err = server.memory("VmHWM")
	return f, err
}

// drown sends the flood: for a while to a server that does nothing else, then to one that is read from.
func (f *flooded) drown(ctx context.Context, server *program, readers *benchCase, progress io.Writer) error {
	rate := floodTimes * f.capacity
	fmt.Fprintf(progress, "flooding with %.0f logins a second\n", rate)
	before, err := server.cpu()
	if err != nil {
		return err
	}
	quiet, err := pour(ctx, server.address, rate, 5*time.Second)
	if err != nil {
		return err
	}
	after, err := server.cpu()
	if err != nil {
		return err
	}
	hashed := 0
	for status, n := range quiet {
		if status != 503 {
			hashed += n
		}
	}
	f.refusalCPU = max(0, (float64((after-before).Microseconds())-float64(hashed)*f.loginCPU)/float64(max(1, quiet[503])))
	fmt.Fprintf(progress, "flooding for %v, and reading\n", floodTime)
	var group sync.WaitGroup
	var floodErr, readErr, healthErr error
	group.Go(func() { f.statuses, floodErr = pour(ctx, server.address, rate, floodTime) })
	group.Go(func() { f.healthz, healthErr = pulse(ctx, server.address, floodTime) })
	f.loaded, readErr = readers.measure(floodTime)
	group.Wait()
	for _, n := range f.statuses {
		f.asked += float64(n) / floodTime.Seconds()
	}
	return errors.Join(floodErr, readErr, healthErr)
}

// pour sends logins at a rate, whether or not the last ones are answered, each for a name and from an
// address of its own, so that none of them is throttled; and counts the answers by status.
func pour(ctx context.Context, address string, rate float64, duration time.Duration) (map[int]int, error) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	statuses, errs := map[int]int{}, []error(nil)
	began := time.Now()
	for i := range floodSenders {
		group.Go(func() {
			counted, err := drip(ctx, address, began.Add(time.Duration(float64(i)/rate*1e9)), time.Duration(floodSenders/rate*1e9))
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			for status, n := range counted {
				statuses[status] += n
			}
		})
	}
	group.Wait()
	return statuses, errors.Join(errs...)
}

// drops numbers the logins of a flood.
var drops atomic.Int64

// drip is one connection of a flood.
func drip(ctx context.Context, address string, next time.Time, interval time.Duration) (map[int]int, error) {
	c, err := dial(address, nil)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	statuses := map[int]int{}
	for {
		select {
		case <-ctx.Done():
			return statuses, nil
		case <-time.After(time.Until(next)):
		}
		c.conn.SetDeadline(time.Now().Add(requestTimeout))
		status, _, err := c.roundTrip(floodRequest(address, drops.Add(1)))
		if err != nil {
			return statuses, err
		}
		statuses[status]++
		if next = next.Add(interval); next.Before(time.Now()) {
			next = time.Now() // it has waited for a hash
		}
	}
}

func floodRequest(address string, n int64) []byte {
	form := url.Values{"grant_type": {"password"}, "username": {fmt.Sprintf("nobody-%d", n)}, "password": {password}}
	request := string(postForm(address, form))
	from := fmt.Sprintf("X-Forwarded-For: 10.%d.%d.%d\r\n", n>>16&255, n>>8&255, n&255)
	return []byte(strings.Replace(request, "Accept:", from+"Accept:", 1))
}

// pulse asks for /healthz ten times a second.
func pulse(ctx context.Context, address string, duration time.Duration) (latencies []time.Duration, err error) {
	c, err := dial(address, nil)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(duration); ; {
		select {
		case <-ctx.Done():
			return latencies, ctx.Err()
		case <-end:
			slices.Sort(latencies)
			return latencies, nil
		case <-tick.C:
		}
		began := time.Now()
		if status, body, err := c.roundTrip(get("/healthz", address, "")); err != nil || status != 200 {
			return latencies, fmt.Errorf("GET /healthz: status %d, %w\n%s", status, err, body)
		}
		latencies = append(latencies, time.Since(began))
	}
}

// faults are the answers that a flood must not meet.
func (f flooded) faults() (n int) {
	for status := range maps.Keys(f.statuses) {
		if status >= 500 && status != 503 {
			n += f.statuses[status]
		}
	}
	return n + f.loaded.failures
}
