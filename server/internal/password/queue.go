package password

import (
	"context"
	"slices"
	"sync"
	"time"

	"sesame/server/internal/network"
)

const (
	// queueSize limits how many hashes wait for a core. At 31 ms a hash and two cores, the last one waits for about a second.
	queueSize = 64
	// maxChildren limits how many idle networks are kept for the time that they have used.
	maxChildren = 256
	// firstTypical is the assumed duration of a hash until one has been measured.
	firstTypical = 30 * time.Millisecond
)

// queue shares the cores between networks: by time and not by count, since an imported hash may take 30 times as long as
// one of this server. The next core goes to the site that has used the least time, and within it to the subnet that has
// used the least; a subnet is served in the order of arrival.
//
// When the queue is full, a new ticket displaces the newest one of the network that has the most in the queue, unless its
// own network would then have as many. So one network can fill the queue, and yet excludes no other.
type queue struct {
	mu      sync.Mutex
	free    int // free cores
	limit   int // how many tickets may wait
	typical time.Duration
	tickets uint64 // how many were issued
	root    node
	now     func() time.Time
}

// node is a network: the root contains all, its children are sites, and their children are subnets.
//
// This is weighted fair queueing with equal weights. share is the virtual time of a node: how much of the node's time each
// active child has used, if all have been active all along. used is the virtual time up to which a child has used its
// part. A child that becomes active begins at the current share, or at its own used if that is later: it can neither save
// time while it is idle, nor shed what it has used in excess by leaving.
type node struct {
	parent           *node
	key              string
	children         map[string]*node
	line             []*ticket // of a subnet: the waiting tickets
	waiting, running int       // tickets of the node and its descendants
	used             time.Duration
	share            time.Duration
}

// ticket is one hash that waits for a core or has one.
type ticket struct {
	subnet  *node
	number  uint64     // in the order of arrival
	ready   chan error // nil when there is a core, errBusy when the ticket is displaced
	begun   time.Time
	charged time.Duration // charged when it began; corrected when it ends
}

func newQueue(cores, limit int, now func() time.Time) *queue {
	return &queue{free: cores, limit: limit, typical: firstTypical, now: now}
}

// enter waits for a core. Errors: Unavailable, or that of the context.
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
		if err = <-t.ready; err == nil { // a core became free at the same moment
			q.leave(t)
			err = ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	return func() { q.leave(t) }, nil
}

// load returns how many tickets wait, and how many have a core.
func (q *queue) load() (waiting, running int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.root.waiting, q.root.running
}

// full reports whether a new ticket of a network would be refused.
func (q *queue) full(from network.Network) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.root.waiting >= q.limit && q.displaced(from) == nil
}

// join takes a free core, or else a place in the queue.
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

// displaced returns the ticket that a new one of a network would displace, or nil. Sites are compared first; a network
// whose site has its part of the queue may still displace another subnet of that site.
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

// serve assigns the free cores.
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

// leave frees a core, and charges the network for the time that it was used.
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

// abandon removes a ticket, if it still waits.
func (q *queue) abandon(t *ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !slices.Contains(t.subnet.line, t) {
		return false
	}
	q.remove(t)
	return true
}

// remove removes a ticket that gets no core.
func (q *queue) remove(t *ticket) {
	q.take(t)
	settle(t.subnet)
}

// take removes a ticket from the line of its subnet.
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

// child returns the child with a key, which it creates if needed.
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

// best returns the child that comes before all others in an order, or nil if there are none.
func (n *node) best(before func(a, b *node) bool) (best *node) {
	for _, c := range n.children {
		if best == nil || before(c, best) {
			best = c
		}
	}
	return best
}

// before is the order of service: waiting nodes, by the time that they have used, then by arrival.
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

// longer is the order of displacement: by how many wait, then by the time that they have used, then the last to arrive.
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

// leastOwing is the order of eviction: idle nodes, by the time that they have used.
func (n *node) leastOwing(other *node) bool {
	if n.idle() != other.idle() {
		return n.idle()
	}
	return n.used < other.used
}

// oldest returns the number of the ticket that has waited the longest.
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

// advance shares the time that one child has used between all active ones, and drops the idle children that are no longer
// ahead of the others.
func (n *node) advance(cost time.Duration) {
	active := 0
	for _, c := range n.children {
		if !c.idle() {
			active++
		}
	}
	n.share += cost / time.Duration(active) // the child that has just finished still counts as active
	for key, c := range n.children {
		if c.idle() && c.used <= n.share {
			delete(n.children, key)
		}
	}
}

// settle drops the state of a subnet that has become idle, and of the networks around it, if it no longer matters.
func settle(n *node) {
	for ; n != nil && n.idle(); n = n.parent {
		n.children, n.share = nil, 0 // no child competes: all begin anew
		if n.parent != nil && n.used <= n.parent.share {
			delete(n.parent.children, n.key)
		}
	}
}
