package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sesame/server/internal/postgrestest"
)

// silentHost answers nothing.
type silentHost struct {
	driver.Connector
	limit time.Duration // of an attempt; 0 for none
	asked atomic.Int32
}

func (s *silentHost) Connect(ctx context.Context) (driver.Conn, error) {
	s.asked.Add(1)
	if s.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.limit)
		defer cancel()
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// N19: a host that answers nothing delays one connection at most. Even a caller that gives up sooner, such as /readyz, reaches
// the next host at its next try.
func TestASilentHostDelaysOneConnection(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig(postgrestest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	silent := &silentHost{}
	h := newHosts(config, &hostsState{}, false)
	h.each = append([]driver.Connector{silent}, h.each...)
	db := sql.OpenDB(h)
	defer db.Close()
	db.SetMaxIdleConns(-1)
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err = db.PingContext(short); err == nil {
		t.Error("a silent host answers")
	}
	for range 3 {
		if err = db.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := silent.asked.Load(); n != 1 {
		t.Errorf("the silent host was asked %d times", n)
	}
}

// N19: requests that wait for a connection all fail when one attempt has found that no host answers, and not one after the other.
func TestWaitingRequestsFailTogether(t *testing.T) {
	t.Parallel()
	silent := &silentHost{limit: 50 * time.Millisecond}
	db := sql.OpenDB(&hosts{hostsState: &hostsState{}, each: []driver.Connector{silent}})
	defer db.Close()
	const open = 2
	db.SetMaxOpenConns(open)
	var wait sync.WaitGroup
	for range 100 {
		wait.Go(func() {
			if err := db.PingContext(t.Context()); !isUnavailable(err) {
				t.Errorf("a request: %v", err)
			}
		})
	}
	wait.Wait()
	if n := silent.asked.Load(); n > 2*open {
		t.Errorf("the silent host was asked %d times", n)
	}
}

func TestHostsOfAURL(t *testing.T) {
	t.Parallel()
	for databaseURL, want := range map[string]string{
		"postgres://a/x?sslmode=disable":            "a:5432",
		"postgres://a/x?sslmode=prefer":             "a:5432 a:5432",
		"postgres://a:1,b:2,c:3/x?sslmode=disable":  "a:1|b:2|c:3",
		"postgres://a:1,b:2/x?sslmode=prefer":       "a:1 a:1|b:2 b:2",
		"postgres://a:1,a:2/x?sslmode=verify-full":  "a:1|a:2",
		"postgres:///x?host=/run,b&sslmode=disable": "/run:5432|b:5432",
	} {
		config, err := pgx.ParseConfig(databaseURL)
		if err != nil {
			t.Fatal(err)
		}
		var hosts []string
		for _, one := range eachHost(config, false) {
			entries := fmt.Sprint(one.Host, ":", one.Port)
			for _, f := range one.Fallbacks {
				entries += fmt.Sprint(" ", f.Host, ":", f.Port)
			}
			hosts = append(hosts, entries)
		}
		if got := strings.Join(hosts, "|"); got != want {
			t.Errorf("%s: %s, want %s", databaseURL, got, want)
		}
		if all := eachHost(config, true); len(all) != 1 || len(all[0].Fallbacks) != len(config.Fallbacks) {
			t.Errorf("%s: a choice between hosts is split", databaseURL)
		}
	}
}

// An operator who gives statements more time than usual gets it.
func TestStatementsHaveTheTimeOfTheURL(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]time.Duration{"": answerTime, "&statement_timeout=20s": 20250 * time.Millisecond, "&statement_timeout=1000": answerTime, "&statement_timeout=0": answerTime} {
		db, err := Open(t.Context(), postgrestest.Empty(t)+setting)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := db.read.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err = conn.Raw(func(driven any) error {
			if got := time.Duration(bounded(driven.(*flightConn).Conn.Conn().PgConn().Conn()).limit.Load()); got != want {
				t.Errorf("%s: a connection waits %s for an answer, want %s", setting, got, want)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if err = conn.Close(); err == nil {
			err = db.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// Migrations have no limits of time, even if the role or the URL has some.
func TestMigrationsHaveNoLimits(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), postgrestest.Empty(t)+"&statement_timeout=7s&options=-c%20idle_in_transaction_session_timeout%3D7s")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conns, done := db.forMigrations()
	defer done()
	var limits string
	if err = conns.QueryRowContext(t.Context(), `SELECT current_setting('statement_timeout') || current_setting('idle_in_transaction_session_timeout')`).Scan(&limits); err != nil || limits != "00" {
		t.Errorf("%s %v", limits, err)
	}
}
