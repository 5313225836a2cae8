package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// soakTime is the most that a soak takes, the building of the server included.
const soakTime = 3 * time.Minute

// soaked is what a soak has seen.
type soaked struct {
	flood    flooded
	networks []*unfair
	sizes    []*benchCase // in pairs: few rows, many rows
}

// soak floods a server with logins from everywhere and from one network, compares one that has much to remember with one that has little,
// and writes docs/soak.md. It stops by itself.
func soak(ctx context.Context, stdout, progress io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, soakTime)
	defer cancel()
	dir, err := os.MkdirTemp("", "sesame-soak-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	busy := loadAverage()
	fmt.Fprintln(progress, "building the server")
	b, err := build(ctx, dir)
	if err != nil {
		return err
	}
	var result soaked
	if result.flood, err = b.flood(ctx, progress); err != nil {
		return err
	}
	if result.networks, err = b.fairness(ctx, progress); err != nil {
		return err
	}
	if result.sizes, err = b.compareSizes(ctx, progress); err != nil {
		return err
	}
	fmt.Fprint(stdout, result.tables())
	if err := os.WriteFile(filepath.Join(b.module, "docs", "soak.md"), []byte(result.document(busy)), 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}

// compareSizes measures the same requests in turns on a database of 100 users and on one of 100,000.
func (b *built) compareSizes(ctx context.Context, progress io.Writer) ([]*benchCase, error) {
	const rounds, short, long = 5, 500 * time.Millisecond, time.Second
	var s setup
	defer s.stop()
	for _, size := range []struct {
		name            string
		users, sessions int
	}{{"few rows", 100, 300}, {"many rows", 100_000, 300_000}} {
		fmt.Fprintln(progress, "preparing", size.name)
		server, err := b.startServer(ctx, size.name, "sqlite:"+filepath.Join(b.dir, size.name+".db"))
		if err != nil {
			return nil, err
		}
		s.programs = append(s.programs, server)
		users, err := register(server)
		if err != nil {
			return nil, err
		}
		if err := fill(ctx, filepath.Join(b.dir, size.name+".db"), size.users, size.sessions); err != nil {
			return nil, err
		}
		s.addServer(server, users, short, "GET /users/me, "+size.name, "Refresh, "+size.name)
		s.add("Login, "+size.name, server, long, func(i int) (*client, error) {
			return dial(server.address, loginRequest(server.address, loginName(i)))
		})
	}
	few, many := s.cases[:3], s.cases[3:]
	cases := []*benchCase{few[0], many[0], few[1], many[1], few[2], many[2]}
	for _, c := range cases {
		if err := c.open(); err != nil {
			return nil, err
		}
		if _, err := c.measure(short / 5); err != nil { // a server hangs up on who says nothing for long
			return nil, err
		}
	}
	if err := inTurns(ctx, cases, rounds, progress); err != nil {
		return nil, err
	}
	for _, c := range cases {
		if n := c.failures(); n > 0 {
			return nil, fmt.Errorf("%s: %d answers were not 200\n%s", c.name, n, c.server.log())
		}
	}
	return cases, nil
}

// inTurns measures pairs of cases, few rows and many, one after the other, in as many rounds as there is
// time for.
func inTurns(ctx context.Context, cases []*benchCase, rounds int, progress io.Writer) error {
	var lasted time.Duration
	for i := range rounds {
		if end, _ := ctx.Deadline(); i > 0 && time.Until(end) < 2*lasted { // a slow machine; fewer will do
			break
		}
		began := time.Now()
		fmt.Fprintf(progress, "comparing sizes, round %d of %d\n", i+1, rounds)
		for pair := range slices.Chunk(cases, 2) {
			if i%2 == 1 { // neither is always the first
				pair = []*benchCase{pair[1], pair[0]}
			}
			for _, c := range pair {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := c.turn(); err != nil {
					return fmt.Errorf("%s: %w\n%s", c.name, err, c.server.log())
				}
			}
		}
		lasted = time.Since(began)
	}
	return nil
}

// fill makes accounts and sessions until there are so many, as nobody could by logging in.
func fill(ctx context.Context, file string, users, sessions int) error {
	db, err := openFile(file)
	if err != nil {
		return err
	}
	defer db.Close()
	const random = `lower(hex(randomblob(16)))`
	const counting = `WITH RECURSIVE n(i) AS (SELECT 1 WHERE $1 > 0 UNION ALL SELECT i + 1 FROM n WHERE i < $1) `
	now := time.Now().UnixMicro()
	for _, step := range []struct {
		count, insert string
		wanted        int
		more          []any
	}{
		{`SELECT COUNT(*) FROM users`, `
			INSERT INTO users (id, username, username_key, email, email_key, email_verified, full_name, password_hash, scopes, disabled, created_at, updated_at)
			` + counting + `SELECT ` + random + `, 'user-' || i, 'user-' || i, 'user-' || i || '@example.org', 'user-' || i || '@example.org',
				TRUE, 'Some Body', '$argon2id$', '', FALSE, $2, $2 FROM n`, users, nil},
		{`SELECT COUNT(*) FROM sessions`, `
			INSERT INTO sessions (id, user_id, client_id, scope, seed_hash, generation, ip_address, user_agent, created_at, last_used_at, expires_at, ends_at)
			` + counting + `SELECT ` + random + `, (SELECT id FROM users WHERE username_key = 'user-' || (1 + i % $3)),
				'first-party', 'me:read me:write', ` + random + `, 0, '192.0.2.1', 'bench', $2 - i, $2 - i, $2 + 86400000000 + i, $2 + 864000000000 FROM n`, sessions, []any{users - 2*connections}},
	} {
		var have int
		if err := db.QueryRowContext(ctx, step.count).Scan(&have); err != nil {
			return fmt.Errorf("count: %w", err)
		}
		if _, err := db.ExecContext(ctx, step.insert, append([]any{step.wanted - have, now}, step.more...)...); err != nil {
			return fmt.Errorf("fill the database: %w", err)
		}
	}
	return nil
}
