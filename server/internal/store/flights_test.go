package store

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"sesame/server/internal/problem"
)

// addAnn makes a user of that name.
func addAnn(t *testing.T, db *DB) User {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	ann := User{ID: testID(), Username: "Ann", UsernameKey: "ann", Email: "ann@example.com", EmailKey: "ann@example.com", EmailClaimedAt: now, CreatedAt: now, UpdatedAt: now}
	if err := db.CreateUser(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	return ann
}

func event(userID string) Event {
	return Event{ID: testID(), At: time.Now(), Kind: "login", UserID: userID}
}

// Whatever statement of a transaction fails, and wherever its error comes to light, the transaction does nothing and reports
// that error, and the connection can be used again.
func TestATransactionThatFailsDoesNothing(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		ctx := t.Context()
		db.write.SetMaxOpenConns(1)
		ann := addAnn(t, db)
		other := ann
		other.ID, other.UsernameKey, other.EmailVerified = testID(), "other", true
		if err := db.CreateUser(ctx, other); err != nil {
			t.Fatal(err)
		}
		own := errors.New("of the function itself")
		process := func() (pid string) {
			if db.engine.dialect == "postgres" {
				_ = db.write.QueryRowContext(ctx, `SELECT CAST(pg_backend_pid() AS TEXT)`).Scan(&pid)
			}
			return pid
		}
		before := process()
		for name, test := range map[string]struct {
			want error
			run  func(q *Queries) error
		}{
			"nothing is changed that must be": {ErrNotFound, func(q *Queries) error { return q.EndSession(ctx, "none") }},
			"and something follows": {ErrNotFound, func(q *Queries) error {
				if err := q.EndSession(ctx, "none"); err != nil {
					return err
				}
				return q.RecordEvent(ctx, event(ann.ID))
			}},
			"and something is read": {ErrNotFound, func(q *Queries) error {
				if err := q.EndSession(ctx, "none"); err != nil {
					return err
				}
				_, err := q.UserByID(ctx, ann.ID)
				return err
			}},
			"an address that another user has confirmed": {ErrConflict, func(q *Queries) error {
				return q.ConfirmEmail(ctx, ann.ID, ann.Email, ann.EmailKey, time.Now())
			}},
			"a row that is there already": {ErrConflict, func(q *Queries) error {
				e := event(ann.ID)
				if err := q.RecordEvent(ctx, e); err != nil {
					return err
				}
				return q.RecordEvent(ctx, e)
			}},
			"the function, before anything is sent": {own, func(q *Queries) error { return own }},
			"the function, after a read": {own, func(q *Queries) error {
				_, err := q.UserByID(ctx, ann.ID)
				return errors.Join(err, own)
			}},
		} {
			committed := false
			err := db.Tx(ctx, func(q *Queries) error {
				q.AfterCommit(func() { committed = true })
				if err := q.RecordEvent(ctx, event(ann.ID)); err != nil {
					return err
				}
				return test.run(q)
			})
			if !errors.Is(err, test.want) || committed {
				t.Errorf("%s: %v, committed: %t", name, err, committed)
			}
			if n := db.count(t, `SELECT COUNT(*) FROM events`); n != 0 {
				t.Errorf("%s: %d events are there", name, n)
			}
		}
		if after := process(); after != before {
			t.Errorf("the connection was replaced")
		}
		err := db.Tx(ctx, func(q *Queries) error { return q.RecordEvent(ctx, event(ann.ID)) })
		if n := db.count(t, `SELECT COUNT(*) FROM events`); err != nil || n != 1 {
			t.Errorf("%v: afterwards there are %d events", err, n)
		}
	})
}

// A statement of a transaction sees what those before it have done, and what it returns is as it is outside of one.
func TestATransactionReadsWhatItHasWritten(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		ctx, ann := t.Context(), addAnn(t, db)
		var inside, listed User
		err := db.Tx(ctx, func(q *Queries) error {
			if err := q.SetPasswordHash(ctx, ann.ID, "hash", time.Now()); err != nil {
				return err
			}
			var err error
			if inside, err = q.UserByID(ctx, ann.ID); err != nil {
				return err
			}
			users, err := q.UsersToReset(ctx, ann.EmailKey, time.Now(), "", 5)
			if err != nil || len(users) != 1 {
				t.Errorf("%v: %+v", err, users)
				return err
			}
			listed = users[0]
			if _, err = q.UserByID(ctx, "none"); !errors.Is(err, ErrNotFound) {
				t.Errorf("a row that is not there: %v", err)
			}
			counted, err := q.CountFailure(ctx, Throttle{Key: "k", Free: 5, ClearAt: time.Now().Add(time.Hour)}, time.Now())
			if !counted {
				t.Error("it is not counted")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		outside, err := db.UserByID(ctx, ann.ID)
		if err != nil || !reflect.DeepEqual(inside, outside) || !reflect.DeepEqual(listed, outside) || outside.PasswordHash.Reveal() != "hash" {
			t.Errorf("%v: inside\n%+v\n%+v\noutside\n%+v", err, inside, listed, outside)
		}
	})
}

// A transaction for a user as it was read begins again where something else of the user has changed, and ends where the
// password or the account is another one, or a counter makes the user wait.
func TestATransactionOnAUserThatChanges(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		ctx, now := t.Context(), time.Now()
		change := func(set string) func(id string) {
			return func(id string) { db.mustExec(t, `UPDATE users SET `+set+` WHERE id = $1`, id) }
		}
		waiting := errors.New("a counter makes the user wait")
		block := func(until time.Time) func(string) {
			return func(string) {
				db.mustExec(t, `INSERT INTO throttles (key, failures, free, blocked_until, clear_at) VALUES ('fourth', 9, 5, $1, $1)`, micros(until))
			}
		}
		for name, test := range map[string]struct {
			change func(id string)
			want   error
			tries  int
		}{
			"nothing":                        {func(string) {}, nil, 1},
			"the scopes":                     {change(`scopes = 'users:read'`), nil, 2},
			"the address":                    {change(`email = 'other@example.com'`), nil, 2},
			"the address, which is lost":     {change(`email = NULL, email_key = NULL`), nil, 2},
			"whether it is confirmed":        {change(`email_verified = TRUE`), nil, 2},
			"the password":                   {change(`password_hash = 'another'`), ErrNotFound, 1},
			"the account, which is disabled": {change(`disabled = TRUE`), ErrNotFound, 1},
			"the account, which is deleted":  {func(id string) { db.mustExec(t, `DELETE FROM users WHERE id = $1`, id) }, ErrNotFound, 1},
			"a counter that blocks":          {block(now.Add(time.Minute)), waiting, 1},
			"a counter that has blocked":     {block(now.Add(-time.Minute)), nil, 1},
			"a counter of a clock ahead":     {block(now.Add(24 * time.Hour)), nil, 1},
		} {
			ann := addAnn(t, db)
			if err := db.SetPasswordHash(ctx, ann.ID, "hash", now); err != nil {
				t.Fatal(err)
			}
			read, err := db.UserByID(ctx, ann.ID)
			if err != nil {
				t.Fatal(err)
			}
			test.change(ann.ID)
			tries := 0
			check := func() error {
				if name == "a counter that blocks" {
					return waiting
				}
				return nil
			}
			err = db.TxUnchanged(ctx, read, check, func(q *Queries, u User) error {
				tries++
				if err := q.LockUnchanged(ctx, u, now, "first", "", "", "fourth"); err != nil {
					return err
				}
				return q.RecordEvent(ctx, event(u.Scopes+u.Email))
			})
			events := db.count(t, `SELECT COUNT(*) FROM events`)
			if !errors.Is(err, test.want) || tries != test.tries || (events == 1) != (test.want == nil) {
				t.Errorf("%s: %v after %d tries, with %d events", name, err, tries, events)
			}
			for _, table := range []string{"users", "throttles", "events"} {
				db.mustExec(t, `DELETE FROM `+table)
			}
		}
	})
}

// A transaction whose request has ended does nothing, and one that locks too little for too long is an outage.
func TestATransactionThatCannotEnd(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		ann := addAnn(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Tx(ctx, func(q *Queries) error {
			cancel()
			return q.RecordEvent(ctx, event(ann.ID))
		})
		if n := db.count(t, `SELECT COUNT(*) FROM events`); (err == nil) != (n == 1) || db.engine.dialect == "postgres" && n != 0 {
			t.Errorf("%v: there are %d events", err, n)
		}
		err = db.TxUnchanged(t.Context(), ann, nil, func(*Queries, User) error { return ErrNotFound })
		if p, ok := errors.AsType[*problem.Error](err); !ok || p.Code != problem.Unavailable || strings.Contains(err.Error(), "not found") {
			t.Errorf("a user that changes all the time: %v", err)
		}
	})
}

// A transaction of other code is an ordinary one, which can prepare its first statement.
func TestATransactionOfOtherCodeIsOrdinary(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		ctx, ann, undo := t.Context(), addAnn(t, db), errors.New("undo")
		err := db.SQLTx(ctx, func(tx *sql.Tx) error {
			statement, err := tx.PrepareContext(ctx, `UPDATE users SET scopes = $2 WHERE id = $1`)
			if err != nil {
				return err
			}
			defer statement.Close()
			if _, err = statement.ExecContext(ctx, ann.ID, "users:write"); err != nil {
				return err
			}
			return undo
		})
		if now, readErr := db.UserByID(ctx, ann.ID); !errors.Is(err, undo) || readErr != nil || now.Scopes != "" {
			t.Errorf("%v, %v: the scopes are %q", err, readErr, now.Scopes)
		}
	})
}
