package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// hosts is a driver.Connector for the hosts of a database URL. It begins with the one that accepted the last connection: after a
// failover, each new connection would otherwise wait for the dead host that the URL names first.
type hosts struct {
	each []driver.Connector
	next *atomic.Int32 // the one to begin with
}

// newHosts makes a connector for each host. If the operator has chosen target_session_attrs, there is one for all of them,
// since the choice may be between hosts.
func newHosts(config *pgx.ConnConfig, next *atomic.Int32, chosen bool, options ...stdlib.OptionOpenDB) *hosts {
	h := &hosts{next: next}
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
	return nil, errors.Join(failed...)
}

// Driver implements driver.Connector.
func (h *hosts) Driver() driver.Driver { return h.each[0].Driver() }
