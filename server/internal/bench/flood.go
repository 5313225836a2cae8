package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	floodTime     = 20 * time.Second
	floodTimes    = 10                                    // the hash capacity
	floodSenders  = 200                                   // more than may wait for a hash
	floodTurns    = 5                                     // in which nobody reads, and then the readers do
	floodSettings = "SESAME_TRUSTED_PROXIES=127.0.0.1/32" // so that each login comes from an address of its own
)

// flooded is what a flood of logins did to everybody else.
type flooded struct {
	capacity   float64 // logins a second without a flood
	unloaded   round   // GET /users/me without the flood
	loaded     round   // and with it, all turns
	kept       spread  // share of the throughput that is kept, see turn.kept: all turns, and the least and the most of one
	healthz    []time.Duration
	poured     *poured
	idle, peak int64 // resident bytes: before, and the most
}

// poured counts the answers to a flood.
type poured struct{ hashed, refused, faults atomic.Int64 }

func (p *poured) add(status int) {
	switch {
	case status == 503:
		p.refused.Add(1)
	case status >= 500:
		p.faults.Add(1)
	default:
		p.hashed.Add(1)
	}
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
	f.capacity = capacity.perSecond()
	if err := f.drown(ctx, server, readers, progress); err != nil {
		return f, err
	}
	f.peak, err = server.memory("VmHWM")
	return f, err
}

// drown sends the flood, and reads in turns.
func (f *flooded) drown(ctx context.Context, server *program, readers *benchCase, progress io.Writer) error {
	rate := floodTimes * f.capacity
	fmt.Fprintf(progress, "flooding with %.0f logins a second for %v, and reading in turns\n", rate, floodTime)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.poured = &poured{}
	var group sync.WaitGroup
	var floodErr, healthErr, turnErr error
	group.Go(func() { floodErr = pour(ctx, server.address, rate, f.poured) })
	group.Go(func() { f.healthz, healthErr = pulse(ctx, server.address) })
	kept := make([]float64, floodTurns)
	var all turn
	for i := range kept {
		var one turn
		if one, turnErr = f.turn(ctx, server, readers); turnErr != nil {
			break
		}
		kept[i] = one.kept(f.unloaded.cpuPerRequest())
		all.quiet.add(one.quiet)
		all.busy.add(one.busy)
		all.reads += one.reads
	}
	cancel()
	group.Wait()
	f.kept = spreadOf(kept)
	f.kept.median = all.kept(f.unloaded.cpuPerRequest()) // the end of a turn cuts hashes off, which matters less in all of them
	return errors.Join(floodErr, healthErr, turnErr)
}

// spent is what a server did in a while.
type spent struct {
	cpu             time.Duration
	hashed, refused int64
}

func (s *spent) add(more spent) {
	s.cpu += more.cpu
	s.hashed += more.hashed
	s.refused += more.refused
}

// during measures what the server does while run runs.
func (f *flooded) during(server *program, run func() error) (s spent, err error) {
	before, err := server.cpu()
	if err != nil {
		return s, err
	}
	hashed, refused := f.poured.hashed.Load(), f.poured.refused.Load()
	if err := run(); err != nil {
		return s, err
	}
	after, err := server.cpu()
	return spent{after - before, f.poured.hashed.Load() - hashed, f.poured.refused.Load() - refused}, err
}

// turn is the flood alone for a moment, which says what a login costs now, and then with readers.
type turn struct {
	quiet, busy spent
	reads       int
}

func (f *flooded) turn(ctx context.Context, server *program, readers *benchCase) (t turn, err error) {
	const alone = 3 * floodTime / floodTurns / 8
	t.quiet, err = f.during(server, func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(alone):
			return nil
		}
	})
	if err != nil {
		return t, err
	}
	var reads round
	t.busy, err = f.during(server, func() (err error) {
		reads, err = readers.measure(floodTime/floodTurns - alone)
		return err
	})
	t.reads = len(reads.latencies)
	f.loaded.latencies = append(f.loaded.latencies, reads.latencies...)
	f.loaded.failures += reads.failures
	f.loaded.elapsed += reads.elapsed
	return t, err
}

// kept is the throughput that reading keeps for each second of CPU that the flood leaves over. read is what
// a read costs without a flood; a 503 is taken for as dear, since it is a small part.
func (t turn) kept(read float64) float64 {
	login := (micros(t.quiet.cpu) - float64(t.quiet.refused)*read) / float64(max(1, t.quiet.hashed))
	left := micros(t.busy.cpu) - float64(t.busy.hashed)*login - float64(t.busy.refused)*read
	return read * float64(t.reads) / left
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// pour sends logins at a rate until the context ends, whether or not the last ones are answered, each
// for a name and from an address of its own, so that none of them is throttled.
func pour(ctx context.Context, address string, rate float64, counts *poured) error {
	var group sync.WaitGroup
	errs := make([]error, floodSenders)
	began := time.Now()
	for i := range errs {
		group.Go(func() {
			errs[i] = drip(ctx, address, began.Add(time.Duration(float64(i)/rate*1e9)), time.Duration(floodSenders/rate*1e9), counts)
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// drops numbers the logins of a flood.
var drops atomic.Int64

// drip is one connection of a flood.
func drip(ctx context.Context, address string, next time.Time, interval time.Duration, counts *poured) error {
	c, err := dial(address, nil)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(next)):
		}
		c.conn.SetDeadline(time.Now().Add(requestTimeout))
		status, _, err := c.roundTrip(floodRequest(address, drops.Add(1)))
		if err != nil {
			return err
		}
		counts.add(status)
		if next = next.Add(interval); next.Before(time.Now()) {
			next = time.Now() // it has waited for a hash
		}
	}
}

func floodRequest(address string, n int64) []byte {
	form := url.Values{"grant_type": {"password"}, "username": {fmt.Sprintf("nobody-%d", n)}, "password": {password}}
	return sentFrom(fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255), postForm(address, form))
}

// pulse asks for /healthz ten times a second.
func pulse(ctx context.Context, address string) (latencies []time.Duration, err error) {
	c, err := dial(address, nil)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
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
