package password

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sesame/server/internal/network"
	"sesame/server/internal/problem"
)

// simulation is a queue whose time passes by hand.
type simulation struct {
	t *testing.T
	*queue
	clock   time.Time
	running []*ticket
	waiting map[*ticket]bool
	used    map[string]time.Duration // by site
	served  map[string]int           // by subnet
}

func simulate(t *testing.T, cores, limit int) *simulation {
	s := &simulation{t: t, clock: time.Unix(0, 0), waiting: map[*ticket]bool{}, used: map[string]time.Duration{}, served: map[string]int{}}
	s.queue = newQueue(cores, limit, func() time.Time { return s.clock })
	return s
}

// come lets a network ask for a core, and reports whether it was let in.
func (s *simulation) come(address string) bool {
	s.t.Helper()
	from := network.Of(address)
	full := s.full(from)
	ticket, err := s.join(from)
	if full != isBusy(err) || (err == nil) == full {
		s.t.Fatalf("%s: full is %t, and then %v", address, full, err)
	}
	if err == nil {
		s.waiting[ticket] = true
	}
	s.look()
	return err == nil
}

// look finds out who has been given a core, or displaced, which it returns.
func (s *simulation) look() (displaced []*ticket) {
	s.t.Helper()
	for ticket := range s.waiting {
		select {
		case err := <-ticket.ready:
			delete(s.waiting, ticket)
			if err == nil {
				s.running = append(s.running, ticket)
			} else if displaced = append(displaced, ticket); !isBusy(err) {
				s.t.Fatal(err)
			}
		default:
		}
	}
	return displaced
}

// finish ends the hash that began first, after it has taken so long, and gives its subnet.
func (s *simulation) finish(cost time.Duration) (subnet string) {
	s.t.Helper()
	if len(s.running) == 0 {
		s.t.Fatal("nothing runs")
	}
	ticket := s.running[0]
	s.running = s.running[1:]
	s.clock = s.clock.Add(cost)
	s.used[ticket.subnet.parent.key] += s.clock.Sub(ticket.begun)
	s.served[ticket.subnet.key]++
	subnet = ticket.subnet.key
	s.leave(ticket)
	s.look()
	return subnet
}

func isBusy(err error) bool {
	p, ok := errors.AsType[*problem.Error](err)
	return ok && p.Code == problem.Unavailable
}

// nodes counts all that the queue remembers.
func nodes(n *node) int {
	count := 1
	for _, c := range n.children {
		count += nodes(c)
	}
	return count
}

const ms = time.Millisecond

// N2: while one network has filled the queue, each hash of another one is the next but those that run, however many
// come; and within a network the first to come is the first to be served.
func TestOneNetworkHoldsNobodyUp(t *testing.T) {
	s := simulate(t, 1, 64)
	for range 65 { // one of them runs
		s.come("203.0.113.1")
	}
	for i := range 40 {
		other := fmt.Sprintf("198.51.100.%d", i)
		if !s.come(other) {
			t.Fatalf("%s is refused", other)
		}
		if ran, next := s.finish(30*ms), s.finish(30*ms); ran != "203.0.113.1" || next != other {
			t.Fatalf("%s and then %s are served", ran, next)
		}
		s.come("203.0.113.1")
		s.come("203.0.113.1")
	}
	s = simulate(t, 1, 64)
	for i := range 64 {
		s.come(fmt.Sprintf("198.51.100.%d", i))
	}
	for i := range 64 {
		if want, got := fmt.Sprintf("198.51.100.%d", i), s.finish(30*ms); got != want {
			t.Fatalf("of networks that have had nothing yet %s is served before %s", got, want)
		}
	}
}

// N2: a network cannot escape what it has used by leaving the queue.
func TestWhatWasUsedIsRemembered(t *testing.T) {
	s := simulate(t, 1, 64)
	s.come("203.0.113.1")
	s.come("198.51.100.1")
	s.finish(900 * ms)
	s.come("203.0.113.1")
	s.come("198.51.100.2")
	s.finish(30 * ms)
	if next := s.finish(30 * ms); next != "198.51.100.2" {
		t.Errorf("%s is served again", next)
	}
}

// N2: networks that always want a core get equal time, whether their hashes are dear or cheap, whether they wait in a long
// line or come one at a time, and however many subnets a site has, which share the site's time equally.
func TestCoresAreSharedByTime(t *testing.T) {
	dear, cheap, one, site := "203.0.113.1", "203.0.113.2", "203.0.113.3", "2001:db8:1::/48"
	s := simulate(t, 1, 64)
	come := func(subnet string) {
		if prefix, isPrefix := strings.CutSuffix(subnet, "/64"); isPrefix {
			subnet = prefix + "1"
		}
		s.come(subnet)
	}
	for range 10 {
		come(dear)
		come(cheap)
	}
	come(one)
	const subnets = 8
	for i := range subnets {
		come(fmt.Sprintf("2001:db8:1:%d::/64", i+1))
	}
	for range 20_000 {
		cost := 30 * ms
		switch s.running[0].subnet.key {
		case dear, one:
			cost = 900 * ms
		}
		come(s.finish(cost))
	}
	mean := s.clock.Sub(time.Unix(0, 0)) / 4
	for _, name := range []string{dear, cheap, one, site} {
		if apart := (s.used[name] - mean).Abs(); apart > 3*900*ms {
			t.Errorf("%s has had %v, and the mean is %v", name, s.used[name], mean)
		}
	}
	for i := range subnets {
		got, want := s.served[fmt.Sprintf("2001:db8:1:%d::/64", i+1)], int(s.used[site]/(30*ms))/subnets
		if got < want-1 || got > want+1 {
			t.Errorf("subnet %d was served %d times of %d", i+1, got, want)
		}
	}
}

// N2: who has just used a core is served again in bounded time, though others that never came before keep coming.
func TestNobodyStarves(t *testing.T) {
	s := simulate(t, 1, 64)
	s.come("203.0.113.1")
	for i := range 32 {
		s.come(fmt.Sprintf("198.51.100.%d", i))
	}
	s.finish(900 * ms) // the first, which is that far ahead now
	s.come("203.0.113.1")
	for i := range 10_000 {
		s.come(fmt.Sprintf("10.1.%d.%d", i/256, i%256))
		if s.finish(30*ms) == "203.0.113.1" {
			if limit := 40 * 900 / 30; i > limit { // as many are active at a time, at the most
				t.Errorf("it waited for %d others, more than %d", i, limit)
			}
			return
		}
	}
	t.Error("it was not served")
}

// N2: in a full queue a newcomer displaces the newest of the network that waits with the most, until its own waits
// with as many; a site counts as one network, and its subnets share its places alike.
func TestNewcomersDisplaceTheNewest(t *testing.T) {
	s := simulate(t, 1, 64)
	tickets := map[string][]*ticket{}
	join := func(address string) (displaced string, ok bool) {
		t.Helper()
		from := network.Of(address)
		if full := s.full(from); full {
			if _, err := s.join(from); !isBusy(err) {
				t.Fatalf("%s is let in, though the queue is full for it: %v", address, err)
			}
			return "", false
		}
		ticket, err := s.join(from)
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		tickets[from.Subnet] = append(tickets[from.Subnet], ticket)
		for subnet, line := range tickets {
			for i, other := range line {
				select {
				case err := <-other.ready:
					if err == nil { // the first of all has the core
						continue
					}
					if displaced != "" || i != len(line)-1 || !isBusy(err) {
						t.Fatalf("%s displaces number %d of %d of %s: %v", address, i, len(line), subnet, err)
					}
					displaced, tickets[subnet] = subnet, line[:i]
				default:
				}
			}
		}
		return displaced, true
	}
	const a, b, c = "203.0.113.1", "203.0.113.2", "203.0.113.3"
	for i := range 65 {
		if out, ok := join(a); out != "" || !ok {
			t.Fatalf("number %d displaces %q", i, out)
		}
	}
	if _, ok := join(a); ok {
		t.Error("one network has more than the whole queue")
	}
	for i := range 32 {
		if out, ok := join(b); out != a || !ok {
			t.Fatalf("number %d of %s displaces %q", i, b, out)
		}
	}
	if _, ok := join(b); ok {
		t.Error("of two networks one has more than half of the queue")
	}
	if _, ok := join(a); ok {
		t.Error("of two networks one has more than half of the queue")
	}
	for range 21 {
		if out, ok := join(c); out != a && out != b || !ok {
			t.Fatalf("%s displaces %q", c, out)
		}
	}
	if _, ok := join(c); ok {
		t.Error("of three networks one has more than a third of the queue")
	}
	for i := range 16 { // as many subnets of one site
		if out, ok := join(fmt.Sprintf("2001:db8:1:%x::1", i+1)); out != a && out != b && out != c || !ok {
			t.Fatalf("subnet %d displaces %q", i, out)
		}
	}
	const greedy = "2001:db8:1:1::1"
	if _, ok := join(greedy); ok {
		t.Error("of a site that has its part of the queue a subnet has more than its own")
	}
	for n := 16; n > 0; n-- { // all of the site's but those of the greedy one
		for subnet, line := range tickets {
			if network.Of(greedy).Subnet != subnet && line != nil && line[0].subnet.parent.key == "2001:db8:1::/48" {
				s.abandon(line[0])
				tickets[subnet] = nil
				join(greedy)
			}
		}
	}
	if out, ok := join("2001:db8:1:99::1"); out != network.Of(greedy).Subnet || !ok {
		t.Errorf("the second subnet of a site displaces %q", out)
	}
}

// N2, P7: whatever arrives and leaves, no more wait or run than allowed, no core is idle while a request waits, and what
// is remembered of networks is bounded; when all have left, it is nothing.
func TestTheQueueRemembersLittle(t *testing.T) {
	const cores, limit = 3, 64
	s := simulate(t, cores, limit)
	random := rand.New(rand.NewPCG(1, 2))
	costs := []time.Duration{ms, 30 * ms, 900 * ms, 0}
	for range 50_000 {
		switch random.IntN(8) {
		case 0:
			for ticket := range s.waiting {
				if !s.abandon(ticket) || s.abandon(ticket) {
					t.Fatal("a ticket that waits cannot leave the queue once")
				}
				delete(s.waiting, ticket)
				break
			}
		case 1, 2, 3:
			if len(s.running) > 0 {
				s.finish(costs[random.IntN(len(costs))])
			}
		default:
			address := fmt.Sprintf("10.0.%d.%d", random.IntN(64), random.IntN(256))
			if random.IntN(2) == 0 {
				address = fmt.Sprintf("2001:db8:%x:%x::1", random.IntN(4), random.IntN(1<<16))
			}
			s.come(address)
		}
		switch {
		case len(s.waiting) != s.root.waiting || len(s.running) != s.root.running || len(s.waiting) > limit || len(s.running)+s.free != cores:
			t.Fatalf("%d and %d wait, %d and %d run, %d cores are free", len(s.waiting), s.root.waiting, len(s.running), s.root.running, s.free)
		case s.free > 0 && len(s.waiting) > 0:
			t.Fatal("a core is idle while somebody waits")
		case len(s.root.children) > maxChildren:
			t.Fatalf("%d sites are remembered", len(s.root.children))
		}
		for _, site := range s.root.children {
			if len(site.children) > maxChildren || site.idle() && len(site.children) > 0 {
				t.Fatalf("%d subnets of one site are remembered", len(site.children))
			}
		}
	}
	for len(s.running) > 0 {
		s.finish(30 * ms)
	}
	for len(s.running) > 0 {
		s.finish(30 * ms)
	}
	if left := nodes(&s.root); left != 1 || s.root.waiting+s.root.running != 0 || s.free != cores {
		t.Errorf("%d nodes are left, %d wait, %d run, %d cores are free", left, s.root.waiting, s.root.running, s.free)
	}
}

// N2: the memory of what networks have used is bounded, also where that is never made up for: many wait that have had much,
// and ever new ones are served before them and go, each of which has had less than the last.
func TestTheMemoryOfNetworksIsBounded(t *testing.T) {
	s := simulate(t, 1, 64)
	const many = 60
	for i := range many + 1 {
		s.come(fmt.Sprintf("203.0.113.%d", i))
	}
	for range many {
		s.come(s.finish(time.Hour))
	}
	most := 0
	for cost, i := time.Minute, 0; cost > 0; cost, i = cost*97/100, i+1 {
		s.come(fmt.Sprintf("10.1.%d.%d", i/256, i%256))
		s.finish(cost)
		most = max(most, len(s.root.children))
	}
	if most != maxChildren {
		t.Errorf("%d sites were remembered, want %d", most, maxChildren)
	}
}

// N2: the login of somebody whose hash is old is not held up by the new one, for which its network, having had much, waits
// until all others have had as much.
func TestARehashDoesNotHoldALoginUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Bcrypt, NewPolicy(8, nil))
		if err != nil {
			t.Fatal(err)
		}
		others, mine := network.Of("203.0.113.1"), network.Of("198.51.100.1")
		running, _ := h.queue.join(others)
		for h.queue.free > 0 {
			h.queue.join(others)
		}
		begun := time.Now()
		if _, err = h.HashSoon(t.Context(), mine, "a wooden horse"); !isBusy(err) || time.Since(begun) != patience {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if h.queue.root.waiting > 0 {
			t.Error("it waits still")
		}
		h.queue.leave(running)
		if stored, err := h.HashSoon(t.Context(), mine, "a wooden horse"); err != nil || CheckStored(stored) != nil {
			t.Errorf("with a free core: %v", err)
		}
		if h.queue.free != 1 {
			t.Errorf("%d cores are free", h.queue.free)
		}
	})
}

// P7: of many that come at once, some of whom give up, no more run than there are cores, and every core comes back.
func TestEveryCoreComesBack(t *testing.T) {
	const cores = 2
	q := newQueue(cores, 16, time.Now)
	running := make(chan struct{}, cores)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%3 == 0 {
				go cancel()
			}
			leave, err := q.enter(ctx, network.Of(fmt.Sprintf("2001:db8:%x:%x::1", i%5, i%7)))
			if err != nil {
				if !isBusy(err) && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				return
			}
			select {
			case running <- struct{}{}:
				<-running
			default:
				t.Error("more run than there are cores")
			}
			leave()
		})
	}
	all.Wait()
	if q.free != cores || nodes(&q.root) != 1 {
		t.Errorf("%d cores are free, %d nodes are left", q.free, nodes(&q.root))
	}
}
