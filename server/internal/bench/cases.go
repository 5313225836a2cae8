package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// The names of the cases, by which the report finds them.
const (
	caseBare            = "GET /users/me, bare Echo"
	caseMeSQLite        = "GET /users/me, SQLite"
	caseMePostgres      = "GET /users/me, PostgreSQL"
	caseRefreshSQLite   = "Refresh, SQLite"
	caseRefreshPostgres = "Refresh, PostgreSQL"
	caseHash            = "Bare password hash"
	caseLogin           = "Login, SQLite"
)

const (
	connections = 16
	password    = "a wooden horse"
)

// benchCase is one kind of request to one server, over all connections.
type benchCase struct {
	name     string
	server   *program
	duration time.Duration
	connect  func(i int) (*client, error)
	clients  []*client // from the first round on; a server hangs up on who says nothing for long
	rounds   []round
}

// measureCases starts the servers, runs all cases in turns, and stops the servers. It also returns
// an access token for the SQLite database.
func (b *built) measureCases(ctx context.Context, p plan, postgresURL string, progress io.Writer) ([]*benchCase, string, error) {
	var s setup
	defer s.stop()
	fmt.Fprintln(progress, "starting the servers")
	reader, err := s.prepare(ctx, b, p, postgresURL)
	if err != nil {
		return nil, "", err
	}
	fmt.Fprintln(progress, "warming up")
	for _, c := range s.cases {
		if err := c.open(); err != nil {
			return nil, "", fmt.Errorf("%s: %w", c.name, err)
		}
		if _, err := c.measure(p.warmUp); err != nil {
			return nil, "", fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for i := range p.rounds {
		fmt.Fprintf(progress, "round %d of %d\n", i+1, p.rounds)
		for _, c := range s.cases {
			if err := ctx.Err(); err != nil {
				return nil, "", err
			}
			if err := c.turn(); err != nil {
				return nil, "", fmt.Errorf("%s: %w\n%s", c.name, err, c.server.log())
			}
		}
	}
	return s.cases, reader, nil
}

// turn is one round. Its first part does not count: what the server gave back to the system while
// others had their turns, and the processor's caches, are not what a request costs.
func (c *benchCase) turn() error {
	if _, err := c.measure(c.duration / 4); err != nil {
		return err
	}
	r, err := c.measure(c.duration)
	c.rounds = append(c.rounds, r)
	return err
}

// setup collects what has to be stopped, and the cases.
type setup struct {
	programs []*program
	cases    []*benchCase
}

func (s *setup) stop() {
	for _, c := range s.cases {
		for _, client := range c.clients {
			client.conn.Close()
		}
	}
	for _, p := range s.programs {
		p.stop()
	}
}

// prepare starts every server and makes the cases, in the order in which they take turns.
func (s *setup) prepare(ctx context.Context, b *built, p plan, postgresURL string) (reader string, err error) {
	sqlite, err := b.startServer(ctx, "sqlite", b.sqliteURL())
	if err != nil {
		return "", err
	}
	s.programs = append(s.programs, sqlite)
	sqliteTokens, err := register(sqlite)
	if err != nil {
		return "", fmt.Errorf("prepare SQLite: %w", err)
	}
	if err := s.addBare(b, p, sqlite, sqliteTokens[0].Access); err != nil {
		return "", err
	}
	s.addServer(sqlite, sqliteTokens, p.short, caseMeSQLite, caseRefreshSQLite)
	if postgresURL != "" {
		postgres, err := b.startServer(ctx, "postgres", postgresURL)
		if err != nil {
			return "", err
		}
		s.programs = append(s.programs, postgres)
		postgresTokens, err := register(postgres)
		if err != nil {
			return "", fmt.Errorf("prepare PostgreSQL: %w", err)
		}
		s.addServer(postgres, postgresTokens, p.short, caseMePostgres, caseRefreshPostgres)
	}
	return sqliteTokens[0].Access, s.addHashes(b, p, sqlite)
}

// addBare makes the bare handler answer what Sesame answered, and checks that it does.
func (s *setup) addBare(b *built, p plan, sesame *program, token string) error {
	want, err := expect(200, sesame.address, get("/users/me", sesame.address, token))
	if err != nil {
		return fmt.Errorf("GET /users/me: %w", err)
	}
	child, err := launchChild(b.dir, childBare, string(want))
	if err != nil {
		return err
	}
	s.programs = append(s.programs, child)
	// The same request too: it carries a token that nobody reads.
	request := get("/users/me", child.address, token)
	got, err := expect(200, child.address, request)
	if err != nil {
		return fmt.Errorf("ask the bare handler: %w", err)
	}
	if len(got) != len(want) {
		return fmt.Errorf("the bare handler answers %d bytes, Sesame %d", len(got), len(want))
	}
	s.add(caseBare, child, p.short, func(int) (*client, error) { return dial(child.address, request) })
	return nil
}

// addServer adds reading one's own account and refreshing, each connection with a user of its own.
func (s *setup) addServer(server *program, users []tokens, duration time.Duration, me, refresh string) {
	host := server.address
	s.add(me, server, duration, func(i int) (*client, error) {
		return dial(host, get("/users/me", host, users[i].Access))
	})
	s.add(refresh, server, duration, func(i int) (*client, error) {
		c, err := dial(host, refreshRequest(host, users[i].Refresh))
		if err != nil {
			return nil, err
		}
		c.after = func(body []byte) ([]byte, error) {
			next, err := readTokens(body)
			return refreshRequest(host, next.Refresh), err
		}
		return c, nil
	})
}

// addHashes adds the bare hash and the login that is compared with it, one after the other.
func (s *setup) addHashes(b *built, p plan, sesame *program) error {
	child, err := launchChild(b.dir, childHash)
	if err != nil {
		return err
	}
	s.programs = append(s.programs, child)
	for _, c := range []struct {
		name   string
		server *program
	}{{caseHash, child}, {caseLogin, sesame}} {
		host := c.server.address
		s.add(c.name, c.server, p.long, func(i int) (*client, error) {
			return dial(host, loginRequest(host, loginName(i)))
		})
	}
	return nil
}

func (s *setup) add(name string, server *program, duration time.Duration, connect func(i int) (*client, error)) {
	s.cases = append(s.cases, &benchCase{name: name, server: server, duration: duration, connect: connect})
}

// open makes the connections of a case.
func (c *benchCase) open() error {
	for i := range connections {
		client, err := c.connect(i)
		if err != nil {
			return err
		}
		c.clients = append(c.clients, client)
	}
	return nil
}

func loginName(i int) string { return fmt.Sprintf("login-%d", i) }

// register makes two accounts for each connection: one that logs in again and again, and one whose
// tokens are returned and whose sessions the logins therefore never crowd out.
func register(server *program) ([]tokens, error) {
	all, errs := make([]tokens, connections), make([]error, connections)
	var group sync.WaitGroup
	for i := range connections {
		group.Go(func() { all[i], errs[i] = registerOne(server.address, i) })
	}
	group.Wait()
	return all, errors.Join(errs...)
}

func registerOne(host string, i int) (tokens, error) {
	reader := fmt.Sprintf("reader-%d", i)
	for _, name := range []string{reader, loginName(i)} {
		body := fmt.Sprintf(`{"username":%q,"password":%q,"email":%q,"full_name":"Ann Example"}`,
			name, password, name+"@example.com")
		if _, err := expect(201, host, post("/users", host, "application/json", body)); err != nil {
			return tokens{}, fmt.Errorf("POST /users: %w", err)
		}
	}
	answer, err := expect(200, host, loginRequest(host, reader))
	if err != nil {
		return tokens{}, fmt.Errorf("POST /token: %w", err)
	}
	return readTokens(answer)
}
