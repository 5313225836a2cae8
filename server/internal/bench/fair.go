package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fairTime        = 8 * time.Second
	fairConnections = 90
	fairEvery       = 200 * time.Millisecond // a login of somebody else
	fairWithin      = time.Second
	fairFlooder     = "203.0.113.7"
)

// unfair is what the flood of one network did to the logins of others.
type unfair struct {
	name            string
	served, refused atomic.Int64    // answers to the flood
	took            []time.Duration // the logins of others that succeeded
	asked, prompt   int             // how many there were, and how many succeeded within fairWithin
	failed          map[int]int     // the others, by status
}

// share is how many of the others' logins succeeded in time.
func (u *unfair) share() float64 { return float64(u.prompt) / float64(u.asked) }

// fairness floods a server from one network: with registrations as many as are allowed, with as many as it can hash,
// and with logins whose password is right.
func (b *built) fairness(ctx context.Context, progress io.Writer) (all []*unfair, err error) {
	for _, server := range []struct {
		limit  string
		floods []string
	}{{"60", []string{"registrations, 60 an hour"}}, {"0", []string{"registrations without a limit", "right logins"}}} {
		run := func() error {
			program, err := b.startServer(ctx, "fairness", "sqlite:"+b.dir+"/fairness-"+server.limit+".db", floodSettings, "SESAME_REGISTRATION_LIMIT="+server.limit)
			if err != nil {
				return err
			}
			defer program.stop()
			if _, err := register(program); err != nil {
				return err
			}
			for _, name := range server.floods {
				fmt.Fprintf(progress, "flooding from one network with %s\n", name)
				u := &unfair{name: name, failed: map[int]int{}}
				if err := u.run(ctx, program.address); err != nil {
					return fmt.Errorf("%s: %w\n%s", name, err, program.log())
				}
				all = append(all, u)
			}
			return nil
		}
		if err := run(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// run floods, and lets somebody else log in now and then.
func (u *unfair) run(ctx context.Context, address string) error {
	request := func(int64) []byte { return loginRequest(address, loginName(0)) }
	if strings.HasPrefix(u.name, "registrations") {
		request = func(i int64) []byte {
			return post("/users", address, "application/json", fmt.Sprintf(`{"username":"flood-%d","password":%q}`, i, password))
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	errs := make([]error, fairConnections)
	var number atomic.Int64
	for i := range errs {
		group.Go(func() {
			errs[i] = u.pour(ctx, address, func() []byte { return sentFrom(fairFlooder, request(number.Add(1))) })
		})
	}
	othersErr := u.others(ctx, address)
	cancel()
	group.Wait()
	return errors.Join(othersErr, errors.Join(errs...))
}

// pour is one connection of the flood: the next request follows the answer to the last.
func (u *unfair) pour(ctx context.Context, address string, next func() []byte) error {
	c, err := dial(address, nil)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for ctx.Err() == nil {
		c.conn.SetDeadline(time.Now().Add(requestTimeout))
		status, body, err := c.roundTrip(next())
		switch {
		case err != nil:
			return err
		case status < 300:
			u.served.Add(1)
		case status == 429 || status == 503:
			u.refused.Add(1)
		default:
			return fmt.Errorf("status %d: %s", status, body)
		}
	}
	return nil
}

// others log in at a steady rate, whether or not the last one is answered, each from a network of its own.
func (u *unfair) others(ctx context.Context, address string) error {
	tick := time.NewTicker(fairEvery)
	defer tick.Stop()
	var mu sync.Mutex
	var group sync.WaitGroup
	var failed error
	for ; u.asked < int(fairTime/fairEvery); u.asked++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		request := sentFrom(fmt.Sprintf("198.51.100.%d", u.asked), loginRequest(address, loginName(1+u.asked%(connections-1))))
		group.Go(func() {
			began := time.Now()
			status, _, err := once(address, request)
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				failed = err
			case status != 200:
				u.failed[status]++
			default:
				u.took = append(u.took, took)
				if took <= fairWithin {
					u.prompt++
				}
			}
		})
	}
	group.Wait()
	return failed
}

// sentFrom makes a request come from an address, by way of the trusted proxy that this program is.
func sentFrom(address string, request []byte) []byte {
	return []byte(strings.Replace(string(request), "Accept:", "X-Forwarded-For: "+address+"\r\nAccept:", 1))
}
