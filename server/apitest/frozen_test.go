package apitest

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// freezable puts a proxy in front of a PostgreSQL that, once frozen, passes nothing on and closes nothing: a network
// that has gone.
func freezable(t *testing.T, databaseURL string) (proxied string, freeze func()) {
	t.Helper()
	proxied, freeze, _ = forgetful(t, databaseURL)
	return proxied, freeze
}

// forgetful is freezable, with a function that forgets the connections that exist, as a firewall does: nothing more passes
// through them, and new ones work.
func forgetful(t *testing.T, databaseURL string) (proxied string, freeze, forget func()) {
	t.Helper()
	var frozen atomic.Bool
	var generation atomic.Int64
	proxied = between(t, databaseURL, func() func(bool) {
		born := generation.Load()
		return func(bool) {
			for (frozen.Load() || born < generation.Load()) && t.Context().Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
		}
	})
	return proxied, func() { frozen.Store(true) }, func() { generation.Add(1) }
}

// between puts a proxy in front of a PostgreSQL. It calls connected for each connection, and what that returns for all bytes
// that the client, or else the server, has sent, before it passes them on.
func between(t *testing.T, databaseURL string, connected func() func(fromClient bool)) (proxied string) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	network, target, query := "tcp", u.Host, u.Query()
	if folder := query.Get("host"); folder != "" {
		network, target = "unix", folder+"/.s.PGSQL."+query.Get("port")
		query.Del("host")
		query.Del("port")
		u.RawQuery = query.Encode()
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, target)
			if err != nil {
				client.Close()
				return
			}
			passes := connected()
			pass := func(to, from net.Conn, fromClient bool) {
				for buffer := make([]byte, 64<<10); ; {
					n, err := from.Read(buffer)
					passes(fromClient)
					if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
						to.Close()
						return
					}
				}
			}
			go pass(server, client, true)
			go pass(client, server, false)
		}
	}()
	u.Host = listener.Addr().String()
	return u.String()
}

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
	databaseURL, freeze := freezable(t, postgresURL(t))
	s := start(t, databaseURL)
	s.register(t, "ann")
	reached, stopped := make(chan struct{}), make(chan struct{})
	s.hashes.during(func() { freeze(); close(reached) })
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
	databaseURL, _, forget := forgetful(t, postgresURL(t))
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
	forget()
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
