package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// hosts is a driver.Connector for the hosts of a database URL. It begins with the one that accepted the last connection: after a
// failover, each new connection would otherwise wait for the dead host that the URL names first.
//
// When no host answers, it fails at once for a while. database/sql makes the connections for all requests that wait one after
// the other, and each would take its time to fail.
type hosts struct {
	*hostsState
	each []driver.Connector
}

// hostsState is what the connectors of one database share.
type hostsState struct {
	next   atomic.Int32 // the host to begin with
	silent atomic.Pointer[silence]
}

type silence struct {
	since time.Time
	err   error
}

// silenceTime is how long no further connection is tried after all hosts were silent.
const silenceTime = time.Second

// newHosts makes a connector for each host. If the operator has chosen target_session_attrs, there is one for all of them,
// since the choice may be between hosts.
func newHosts(config *pgx.ConnConfig, state *hostsState, chosen bool, options ...stdlib.OptionOpenDB) *hosts {
	h := &hosts{hostsState: state}
	for _, one := range eachHost(config, chosen) {
		h.each = append(h.each, stdlib.GetConnector(*one, options...))
	}
	return h
}

// eachHost splits a configuration. A host has two entries if it is asked for TLS first.
func eachHost(config *pgx.ConnConfig, chosen bool) (all []*pgx.ConnConfig) {
	one := config.Copy()
	all, one.Fallbacks = append(all, one), nil
	for _, f := range config.Fallbacks {
		if !chosen && (f.Host != one.Host || f.Port != one.Port) {
			one = config.Copy()
			one.Host, one.Port, one.TLSConfig, one.Fallbacks = f.Host, f.Port, f.TLSConfig, nil
			all = append(all, one)
			continue
		}
		one.Fallbacks = append(one.Fallbacks, f)
	}
	return all
}

// Connect implements driver.Connector. A failure moves the beginning on even if ctx has ended, so that a caller with little
// time reaches the next host at its next try.
func (h *hosts) Connect(ctx context.Context) (driver.Conn, error) {
	if s := h.silent.Load(); s != nil && time.Since(s.since) < silenceTime {
		return nil, s.err
	}
	var failed []error
	for n, first := int32(len(h.each)), h.next.Load(); len(failed) < len(h.each); { //nolint:gosec // few
		at := (first + int32(len(failed))) % n //nolint:gosec // few
		conn, err := h.each[at].Connect(ctx)
		if err == nil {
			h.next.Store(at)
			return conn, nil
		}
		h.next.CompareAndSwap(at, (at+1)%n)
		if failed = append(failed, err); ctx.Err() != nil {
			break
		}
	}
	err := errors.Join(failed...)
	if ctx.Err() == nil && (pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded)) {
		h.silent.Store(&silence{time.Now(), err})
	}
	return nil, err
}

// Driver implements driver.Connector.
func (h *hosts) Driver() driver.Driver { return h.each[0].Driver() }
