package password

import (
	"context"
	"slices"
	"sync"
	"time"

	"sesame/server/internal/network"
)

const (
	// queueSize is how many may wait for a core. At 31 ms a hash and two cores the last of them waits for about a
	// second.
	queueSize = 64
	// maxChildren bounds how many idle networks are remembered for the time that they have had.
	maxChildren = 256
	// firstTypical is what a hash is taken to cost until one has been measured.
	firstTypical = 30 * time.Millisecond
)

// queue shares the cores between the networks that want one: by time and not by count, since a hash that was made
// elsewhere may take 30 times as long as one of ours. The next core goes to the site that has had the least, and
// within it to the subnet that has had the least; within a subnet the first to come is the first to be served.
//
// When as many wait as may, a newcomer displaces the newest of the network that has the most in the queue, unless
// its own network would then have as many. So one network alone can fill the queue, and yet keeps nobody out.
type queue struct {
	mu      sync.Mutex
	free    int // cores
	limit   int // of how many wait
	typical time.Duration
	tickets uint64 // how many there were so far
	root    node
	now     func() time.Time
}

// node is a network: the root is everybody, its children are sites, and theirs are subnets.
//
// This is weighted fair queueing with equal weights. share is the virtual time of a node: how much each active child
// has had of the node's time, if all have been active all along. used is the virtual time up to which a child has had
// its part. One that becomes active begins at the present share, or later if it is ahead of it: it cannot save time
// up while it is away, nor escape by leaving what it has used in excess.
type node struct {
	parent           *node
	key              string
	children         map[string]*node
	line             []*ticket // of a subnet: those that wait
	waiting, running int       // of the whole node
	used             time.Duration
	share            time.Duration
}

// ticket is one hash that waits for a core or has one.
type ticket struct {
	subnet  *node
	number  uint64     // in the order of arrival
	ready   chan error // nil when there is a core, errBusy when the ticket is displaced
	begun   time.Time
	charged time.Duration // when it began; corrected when it ends
}

func newQueue(cores, limit int, now func() time.Time) *queue {
	return &queue{free: cores, limit: limit, typical: firstTypical, now: now}
}

// enter waits for a core. Errors: problem.Unavailable, or that of the context.
func (q *queue) enter(ctx context.Context, from network.Network) (leave func(), err error) {
	t, err := q.join(from)
	if err != nil {
		return nil, err
	}
	select {
	case err = <-t.ready:
	case <-ctx.Done():
		if q.abandon(t) {
			return nil, ctx.Err()
		}
		if err = <-t.ready; err == nil { // a core came at the same moment
			q.leave(t)
			err = ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	return func() { q.leave(t) }, nil
}

// full reports whether a newcomer from a network would be turned away.
func (q *queue) full(from network.Network) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.root.waiting >= q.limit && q.displaced(from) == nil
}

// join takes a core if there is one, or else a place in the queue.
func (q *queue) join(from network.Network) (*ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.root.waiting >= q.limit {
		out := q.displaced(from)
		if out == nil {
			return nil, errBusy()
		}
		q.remove(out)
		out.ready <- errBusy()
	}
	q.tickets++
	t := &ticket{subnet: q.root.child(from.Site).child(from.Subnet), number: q.tickets, ready: make(chan error, 1)}
	t.subnet.line = append(t.subnet.line, t)
	for n := t.subnet; n != nil; n = n.parent {
		if n.parent != nil && n.idle() {
			n.used = max(n.used, n.parent.share)
		}
		n.waiting++
	}
	q.serve()
	return t, nil
}

// displaced is whose place a newcomer from a network would get, or nil. Sites are compared first; a newcomer whose
// site has its part of the queue may still displace another subnet of that site.
func (q *queue) displaced(from network.Network) *ticket {
	for n, keys := &q.root, []string{from.Site, from.Subnet}; n != nil && len(keys) > 0; keys = keys[1:] {
		own, longest := n.children[keys[0]], n.best((*node).longer)
		if waiting(own)+1 < waiting(longest) {
			for longest.line == nil {
				longest = longest.best((*node).longer)
			}
			return longest.line[len(longest.line)-1]
		}
		n = own
	}
	return nil
}

// serve gives the free cores to those whose turn it is.
func (q *queue) serve() {
	for q.free > 0 && q.root.waiting > 0 {
		n := &q.root
		for n.line == nil {
			n = n.best((*node).before)
		}
		t := n.line[0]
		q.take(t)
		q.free--
		t.begun, t.charged = q.now(), q.typical
		for n := t.subnet; n != nil; n = n.parent {
			n.running++
			n.used += t.charged
		}
		t.ready <- nil
	}
}

// leave gives a core back, and charges the network for the time that it was used.
func (q *queue) leave(t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	cost := q.now().Sub(t.begun)
	q.typical += (cost - q.typical) / 8
	for n := t.subnet; n != nil; n = n.parent {
		n.used += cost - t.charged
		if n.parent != nil {
			n.parent.advance(cost)
		}
		n.running--
	}
	q.free++
	q.serve()
	settle(t.subnet)
}

// abandon leaves the queue, if the ticket still waits.
func (q *queue) abandon(t *ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !slices.Contains(t.subnet.line, t) {
		return false
	}
	q.remove(t)
	return true
}

// remove takes a ticket that gets no core out of the queue.
func (q *queue) remove(t *ticket) {
	q.take(t)
	settle(t.subnet)
}

// take takes a ticket out of the line.
func (q *queue) take(t *ticket) {
	s := t.subnet
	if s.line = slices.DeleteFunc(s.line, func(other *ticket) bool { return other == t }); len(s.line) == 0 {
		s.line = nil
	}
	for n := s; n != nil; n = n.parent {
		n.waiting--
	}
}

func (n *node) idle() bool { return n.waiting+n.running == 0 }

func waiting(n *node) int {
	if n == nil {
		return 0
	}
	return n.waiting
}

// child finds or makes the child of that key.
func (n *node) child(key string) *node {
	if c := n.children[key]; c != nil {
		return c
	}
	if len(n.children) >= maxChildren {
		if out := n.best((*node).leastOwing); out != nil && out.idle() {
			delete(n.children, out.key)
		}
	}
	if n.children == nil {
		n.children = map[string]*node{}
	}
	c := &node{parent: n, key: key}
	n.children[key] = c
	return c
}

// best is the child that comes before all others in some order, or nil if there are none.
func (n *node) best(before func(a, b *node) bool) (best *node) {
	for _, c := range n.children {
		if best == nil || before(c, best) {
			best = c
		}
	}
	return best
}

// before is the order of service: those that wait, by the time that they have had, and then by their arrival.
func (n *node) before(other *node) bool {
	switch {
	case (n.waiting > 0) != (other.waiting > 0):
		return n.waiting > 0
	case n.waiting == 0:
		return false
	case n.used != other.used:
		return n.used < other.used
	}
	return n.oldest() < other.oldest()
}

// longer is the order of displacement: by how many wait, then by the time that they have had, and then the last to come.
func (n *node) longer(other *node) bool {
	switch {
	case n.waiting != other.waiting:
		return n.waiting > other.waiting
	case n.waiting == 0:
		return false
	case n.used != other.used:
		return n.used > other.used
	}
	return n.oldest() > other.oldest()
}

// leastOwing is the order of being forgotten: the idle ones, by the time that they have had.
func (n *node) leastOwing(other *node) bool {
	if n.idle() != other.idle() {
		return n.idle()
	}
	return n.used < other.used
}

// oldest is the number of the ticket that has waited the longest.
func (n *node) oldest() uint64 {
	if n.line != nil {
		return n.line[0].number
	}
	oldest := ^uint64(0)
	for _, c := range n.children {
		if c.waiting > 0 {
			oldest = min(oldest, c.oldest())
		}
	}
	return oldest
}

// advance shares the time that one child has used between all active ones, and forgets the idle children that are not
// ahead of the others any more.
func (n *node) advance(cost time.Duration) {
	active := 0
	for _, c := range n.children {
		if !c.idle() {
			active++
		}
	}
	n.share += cost / time.Duration(active) // the one that has just finished is active still
	for key, c := range n.children {
		if c.idle() && c.used <= n.share {
			delete(n.children, key)
		}
	}
}

// settle forgets what need not be remembered of a subnet, and of the networks around it, that may have become idle.
func settle(n *node) {
	for ; n != nil && n.idle(); n = n.parent {
		n.children, n.share = nil, 0 // nobody inside competes: all begin anew
		if n.parent != nil && n.used <= n.parent.share {
			delete(n.parent.children, n.key)
		}
	}
}
