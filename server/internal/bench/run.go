//go:build linux

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// bcase is one kind of request to one server, over all connections.
type bcase struct {
	name     string
	server   *process
	work     []work
	duration time.Duration
	client   *http.Client
	rounds   []round
}

// turn is one round. What comes before it does not count: memory and caches that others used meanwhile are not what a
// request costs.
func (c *bcase) turn() error {
	if _, err := c.server.run(c.client, c.work, fromHere, c.duration/4); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	r, err := c.server.run(c.client, c.work, fromHere, c.duration)
	if err == nil && r.failed > 0 {
		err = fmt.Errorf("%d requests failed\n%s", r.failed, r.body)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	c.rounds = append(c.rounds, r)
	return nil
}

// takeTurns measures all cases, round by round; every second round in reverse, so that none is always first.
func (b *bench) takeTurns(cases []*bcase) error {
	for i := range b.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", i+1, b.rounds)
		for n := range cases {
			if err := b.ctx.Err(); err != nil {
				return err
			}
			if i%2 == 1 {
				n = len(cases) - 1 - n
			}
			if err := cases[n].turn(); err != nil {
				return err
			}
		}
	}
	return nil
}

// operations are the cases of a server: reading, refreshing, logging in and getting a code with a live session, each connection with
// people of its own.
func (b *bench) operations(p *process, name string) (cases []*bcase, err error) {
	people := make([]tokens, connections)
	for i := range people {
		if people[i], err = p.account(fmt.Sprintf("reader-%d", i)); err != nil {
			return nil, err
		}
		if _, err = want(201, p.register(loginName(i))); err != nil {
			return nil, err
		}
	}
	signIn, err := b.signIn(p, "RS256, "+name)
	if err != nil {
		return nil, err
	}
	return []*bcase{
		{name: "GET /users/me, " + name, server: p, client: client(), duration: b.short, work: each(connections, func(i int) work { return same(p.me(people[i].Access)) })},
		{name: "Refresh, " + name, server: p, client: client(), duration: b.short, work: each(connections, func(i int) work { return p.refreshing(people[i]) })},
		{name: "Login, " + name, server: p, client: client(), duration: b.long, work: each(connections, func(i int) work { return same(p.login(loginName(i), password)) })},
		signIn,
	}, nil
}

func loginName(i int) string { return fmt.Sprintf("login-%d", i) }

// databases are a fresh database of each engine.
func (b *bench) databases(name string) (map[string]string, error) {
	urls := map[string]string{"SQLite": b.sqlite(name)}
	if b.postgres != nil {
		var err error
		if urls["PostgreSQL"], err = b.postgres.CreateDatabase(b.ctx); err != nil {
			return nil, err
		}
	}
	return urls, nil
}

// compare measures another build of Sesame and this one in turns, and prints the ratios of their CPU time.
func (b *bench) compare(base string) error {
	base, err := filepath.Abs(base)
	if err != nil {
		return err
	}
	var pairs [][2]*bcase
	var all []*bcase
	sides := map[string][]*bcase{}
	for side, program := range map[string]string{"base": base, "this": b.program} {
		urls, err := b.databases(side)
		if err != nil {
			return err
		}
		for _, engine := range []string{"SQLite", "PostgreSQL"} {
			if urls[engine] == "" {
				continue
			}
			server, err := b.server(program, urls[engine])
			if err != nil {
				return err
			}
			cases, err := b.operations(server, engine)
			if err != nil {
				return err
			}
			sides[side] = append(sides[side], cases...)
		}
	}
	for i, c := range sides["base"] {
		pairs = append(pairs, [2]*bcase{c, sides["this"][i]})
		all = append(all, c, sides["this"][i])
	}
	b.rounds *= 2 // a difference of 3 % is small
	if err := b.takeTurns(all); err != nil {
		return err
	}
	fmt.Print(ratioTable(pairs))
	return nil
}

// measure measures everything, prints it, and writes docs/benchmarks.md.
func (b *bench) measure(write bool) error {
	busy := loadAverage()
	urls, err := b.databases("sesame")
	if err != nil {
		return err
	}
	var cases []*bcase
	sqlite, err := b.server(b.program, urls["SQLite"])
	if err != nil {
		return err
	}
	own, err := b.operations(sqlite, "SQLite")
	if err != nil {
		return err
	}
	reader, err := sqlite.account("reader")
	if err != nil {
		return err
	}
	if cases, err = b.bareCases(sqlite, reader); err != nil {
		return err
	}
	signIn, err := b.signInES256()
	if err != nil {
		return err
	}
	cases = append(append(cases, own...), signIn)
	if urls["PostgreSQL"] != "" {
		postgres, err := b.server(b.program, urls["PostgreSQL"])
		if err != nil {
			return err
		}
		more, err := b.operations(postgres, "PostgreSQL")
		if err != nil {
			return err
		}
		cases = append(cases, more...)
	}
	if err = b.takeTurns(cases); err != nil {
		return err
	}
	f := figures{busy: busy, cases: cases}
	sqlite.stop()
	if err = b.measureProcess(&f, urls["SQLite"], reader.Access); err != nil {
		return err
	}
	if err = b.measureRefusals(&f); err != nil {
		return err
	}
	fmt.Print(f.tables())
	if !write {
		return nil
	}
	return os.WriteFile(filepath.Join(b.module, "docs/benchmarks.md"), []byte(f.document(b.plan)), 0o644)
}

// bareCases are what the figures are compared with: the same answer without a login server, and a password hash alone.
func (b *bench) bareCases(p *process, reader tokens) ([]*bcase, error) {
	user, err := want(200, p.me(reader.Access))
	if err != nil {
		return nil, err
	}
	bare, err := b.bareServer(string(user))
	if err != nil {
		return nil, err
	}
	return []*bcase{
		{name: "GET /users/me, bare Echo", server: bare, client: client(), duration: b.short, work: each(connections, func(int) work { return same(bare.me(reader.Access)) })},
		{name: "Bare password hash", server: bare, client: client(), duration: b.long, work: each(connections, func(int) work { return same(bare.login("x", password)) })},
	}, nil
}

// measureProcess times starts up to the first answer that takes the database, the keys and the contract, and looks at
// the memory of a server that is idle, and of one that hashes as many passwords as it can.
func (b *bench) measureProcess(f *figures, database, token string) error {
	info, err := os.Stat(b.program)
	if err != nil {
		return err
	}
	f.binary = float64(info.Size()) / 1e6
	var server *process
	for range b.starts {
		if server != nil {
			server.stop()
		}
		began := time.Now()
		if server, err = b.server(b.program, database); err != nil {
			return err
		}
		if err = server.wait("/users/me", token); err != nil {
			return err
		}
		f.starts = append(f.starts, float64(time.Since(began))/1e6)
	}
	time.Sleep(4 * b.short) // the memory of the start is freed meanwhile
	f.idle = server.memory("VmRSS")
	_, err = server.run(client(), each(connections, func(i int) work { return same(server.login(loginName(i), password)) }), fromHere, 3*b.long)
	f.peak = server.memory("VmHWM")
	return err
}
