package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"time"

	"sesame/server/internal/store"
)

// alike is one way in which something is answered alike. Who measures how long it takes must not learn which it
// was.
type alike struct {
	name    string
	status  int
	request []byte
	took    []time.Duration
}

// enumeration are the requests that must not tell who has an account.
type enumeration struct {
	logins, resets []*alike
	imported       []*alike // logins where all hashes were imported
	mixed          []*alike // and where every second one was, each try with another name
}

// measureEnumeration times them one after the other, the ways taking turns in any order.
func (b *built) measureEnumeration(ctx context.Context, p plan) (e enumeration, err error) {
	server, err := b.startServer(ctx, "refusals", b.sqliteURL())
	if err != nil {
		return e, err
	}
	defer server.stop()
	login := func(name, username, password string) *alike {
		form := url.Values{"grant_type": {"password"}, "username": {username}, "password": {password}}
		return &alike{name: name, status: 400, request: postForm(server.address, form)}
	}
	reset := func(name, username string) *alike {
		return &alike{name: name, status: 202, request: post("/password-resets", server.address, "application/json", `{"email":"`+username+`@example.org"}`)}
	}
	e.logins = []*alike{
		login("wrong password", loginName(0), "not the password"),
		login("unknown user", "nobody-of-that-name", password),
		login("disabled account", loginName(1), password),
		login("account without password", loginName(2), password),
	}
	e.resets = []*alike{
		reset("confirmed address", loginName(0)),
		reset("unknown address", "nobody-of-that-name"),
		reset("disabled account", loginName(1)),
	}
	if err := b.cripple(ctx, loginName(0), loginName(1), loginName(2)); err != nil {
		return e, err
	}
	if err := inTurn(ctx, server, b.sqliteURL(), p.refusals, slices.Concat(e.logins, e.resets), func(int) {}); err != nil {
		return e, err
	}
	err = b.measureImported(ctx, p, &e)
	return e, err
}

// inTurn times each way so many times, the ways taking turns in any order: what one leaves to be done slows another each
// time. prepare makes the requests of a try where they change.
func inTurn(ctx context.Context, server *program, databaseURL string, tries int, ways []*alike, prepare func(i int)) error {
	client, err := dial(server.address, nil)
	if err != nil {
		return err
	}
	defer client.conn.Close()
	file, _ := store.SQLitePath(databaseURL)
	for i := range tries {
		if err := forgive(ctx, file); err != nil {
			return err
		}
		prepare(i)
		for _, n := range rand.Perm(len(ways)) {
			way := ways[n]
			began := time.Now()
			status, body, err := client.roundTrip(way.request)
			if way.took = append(way.took, time.Since(began)); err != nil || status != way.status {
				return fmt.Errorf("%s: status %d, %w\n%s", way.name, status, err, body)
			}
		}
	}
	return nil
}

// cripple confirms the address of two accounts, disables the second, and takes the password of the third, which no
// operation does.
func (b *built) cripple(ctx context.Context, confirmed, disabled, passwordless string) error {
	file, _ := store.SQLitePath(b.sqliteURL())
	db, err := openFile(file)
	if err != nil {
		return err
	}
	defer db.Close()
	const confirm = `UPDATE users SET email = $1 || '@example.org', email_key = $1 || '@example.org', email_verified = TRUE WHERE username_key = $1`
	for _, change := range []struct{ statement, username string }{
		{`UPDATE users SET password_hash = NULL WHERE username_key = $1`, passwordless},
		{`UPDATE users SET disabled = TRUE WHERE username_key = $1`, disabled},
		{confirm, confirmed},
		{confirm, disabled},
	} {
		if _, err := db.ExecContext(ctx, change.statement, change.username); err != nil {
			return fmt.Errorf("change %s: %w", change.username, err)
		}
	}
	return nil
}

// forgive forgets all that was counted: what is throttled is not timed here.
func forgive(ctx context.Context, file string) error {
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
func apart(ways []*alike) float64 {
	low, high := median(ways[0].took), median(ways[0].took)
	for _, way := range ways {
		low, high = min(low, median(way.took)), max(high, median(way.took))
	}
	return float64(high-low) / float64(low)
}

func alikeTable(title string, ways []*alike) string {
	rows := [][]string{{title, "tries", "median"}}
	for _, way := range ways {
		rows = append(rows, []string{way.name, fmt.Sprint(len(way.took)), milli(median(way.took))})
	}
	return table(rows)
}
