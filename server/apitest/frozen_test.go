package apitest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A6: PostgreSQL itself ends a statement of the server that takes longer than 2.5 s, and a transaction that does nothing
// for 10 s, so that no lock outlives a replica that was cut off. (A trigger reads the settings of the connection that
// serves a request.)
func TestStatementsOfTheServerHaveADeadline(t *testing.T) {
	t.Parallel()
	s := start(t, postgresURL(t))
	s.sql(t, `CREATE TABLE deadlines (statement TEXT, idle TEXT)`)
	s.sql(t, `CREATE FUNCTION note_deadlines() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO deadlines VALUES (current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'));
		RETURN NEW; END $$`)
	s.sql(t, `CREATE TRIGGER deadlines AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION note_deadlines()`)
	s.register(t, "ann")
	if got := s.value(t, `SELECT statement || ' ' || idle FROM deadlines`); got != "2500ms 10s" {
		t.Errorf("the deadlines are %s", got)
	}
}

// A6, N19: a request that waits for a database which answers nothing more gets 503 within a bounded time, even if it is
// one that a client's leaving does not end, and the server stops.
func TestAFrozenDatabaseHoldsNobodyForEver(t *testing.T) {
	t.Parallel()
	databaseURL, network := relayed(t, postgresURL(t))
	s := start(t, databaseURL)
	s.register(t, "ann")
	reached, stopped := make(chan struct{}), make(chan struct{})
	s.hashes.during(func() { network.die(); close(reached) })
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() {
		if a, err := s.try(passwordGrant("ann", wrong)); err != nil || a.status != 503 {
			t.Errorf("the login that is under way: %+v %v", a, err)
		}
	})
	<-reached
	for _, r := range []request{get("/readyz"), passwordGrant("ann", horse)} {
		wait.Go(func() {
			if a, err := s.try(r); err != nil || a.status != 503 {
				t.Errorf("%s: %+v %v", r.path, a, err)
			}
		})
	}
	wait.Wait()
	go func() { s.stop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(15 * time.Second):
		t.Error("the server does not stop")
	}
}

// After a firewall has forgotten every connection, the requests that wait for one get 503, and every other connection of the
// pool is replaced before its next use. (A connection that was in use within the last second is not asked first.)
func TestForgottenConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	databaseURL, network := relayed(t, postgresURL(t))
	s := start(t, databaseURL)
	tokens := s.newcomer(t, "ann")
	together := func() (refused int64) { // as many as the pool has connections
		var count atomic.Int64
		var wait sync.WaitGroup
		for range 10 {
			wait.Go(func() {
				a, err := s.try(me(tokens.AccessToken))
				switch {
				case err != nil || a.status != 200 && a.status != 503:
					t.Errorf("%+v %v", a, err)
				case a.status == 503:
					count.Add(1)
				}
			})
		}
		wait.Wait()
		return count.Load()
	}
	if refused := together(); refused > 0 {
		t.Fatalf("%d requests are refused before anything is forgotten", refused)
	}
	network.forget()
	refused := together()
	for range 20 { // at most one of them finds the first forgotten connection
		if a := s.do(t, me(tokens.AccessToken)); a.status == 503 && refused == 0 {
			refused++
		} else {
			a.want(200)
		}
	}
	if again := together(); refused > 0 && again > 0 {
		t.Errorf("%d requests are refused after others had found out", again)
	}
	s.do(t, get("/readyz")).want(200)
}

// Connections that were closed while nobody used them, as by a database that restarts, fail no request.
func TestClosedConnectionsFailNoRequest(t *testing.T) {
	t.Parallel()
	databaseURL, network := relayed(t, postgresURL(t))
	s := start(t, databaseURL)
	tokens := s.newcomer(t, "ann")
	for range 3 {
		var wait sync.WaitGroup
		for range 10 { // as many as the pool has connections
			wait.Go(func() {
				if a, err := s.try(me(tokens.AccessToken)); err != nil || a.status != 200 {
					t.Errorf("%+v %v", a, err)
				}
			})
		}
		wait.Wait()
		network.reset()
	}
}
