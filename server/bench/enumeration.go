package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"time"

	"sesame/server/store"
)

// refusal is one way in which a login is refused. Who measures how long it takes must not learn which
// it was.
type refusal struct {
	name, username, password string
	took                     []time.Duration
}

// measureRefusals times refused logins one after the other, the ways taking turns.
func (b *built) measureRefusals(ctx context.Context, p plan) ([]*refusal, error) {
	server, err := b.startServer(ctx, "refusals", b.sqliteURL())
	if err != nil {
		return nil, err
	}
	defer server.stop()
	ways := []*refusal{
		{name: "wrong password", username: loginName(0), password: "not the password"},
		{name: "unknown user", username: "nobody-of-that-name", password: password},
		{name: "disabled account", username: loginName(1), password: password},
		{name: "account without password", username: loginName(2), password: password},
	}
	if err := b.cripple(ctx, ways[2].username, ways[3].username); err != nil {
		return nil, err
	}
	client, err := dial(server.address, nil)
	if err != nil {
		return nil, err
	}
	defer client.conn.Close()
	for i := range p.refusals {
		if i%4 == 0 { // before the fifth of each
			if err := b.forgive(ctx); err != nil {
				return nil, err
			}
		}
		for _, way := range ways {
			request := postForm(server.address, url.Values{
				"grant_type": {"password"}, "username": {way.username}, "password": {way.password},
			})
			began := time.Now()
			status, body, err := client.roundTrip(request)
			if way.took = append(way.took, time.Since(began)); err != nil || status != 400 {
				return nil, fmt.Errorf("%s: status %d, %w\n%s", way.name, status, err, body)
			}
		}
	}
	return ways, nil
}

// cripple disables one account and takes the password of another, which no operation does yet.
func (b *built) cripple(ctx context.Context, disabled, passwordless string) error {
	file, _ := store.SQLitePath(b.sqliteURL())
	db, err := openFile(file)
	if err != nil {
		return err
	}
	defer db.Close()
	for statement, username := range map[string]string{
		`UPDATE users SET disabled = TRUE WHERE username_key = $1`:      disabled,
		`UPDATE users SET password_hash = NULL WHERE username_key = $1`: passwordless,
	} {
		if _, err := db.ExecContext(ctx, statement, username); err != nil {
			return fmt.Errorf("change %s: %w", username, err)
		}
	}
	return nil
}

// forgive forgets all failures: refused logins are timed here, not throttled ones.
func (b *built) forgive(ctx context.Context) error {
	file, _ := store.SQLitePath(b.sqliteURL())
	db, err := openFile(file)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, `DELETE FROM throttles`); err != nil {
		return fmt.Errorf("forget the failures: %w", err)
	}
	return nil
}

// openFile opens the database of a running server beside it.
func openFile(file string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return db, nil
}

func median(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)/2]
}

// apart is how far the slowest median is above the quickest, as a share of it.
func apart(ways []*refusal) float64 {
	low, high := median(ways[0].took), median(ways[0].took)
	for _, way := range ways {
		low, high = min(low, median(way.took)), max(high, median(way.took))
	}
	return float64(high-low) / float64(low)
}

func refusalTable(ways []*refusal) string {
	rows := [][]string{{"a login refused for", "tries", "median"}}
	for _, way := range ways {
		rows = append(rows, []string{way.name, fmt.Sprint(len(way.took)), milli(median(way.took))})
	}
	return table(rows)
}
