package apitest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/password"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// A row may change between the read and the write of a request. These writes check again; each is tried at the moment
// that a race would give it, since no race over HTTP does so reliably.
func TestWritesLookAgain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c, ctx := newSeeder(t, s), t.Context()
		now := s.clock.now()
		login := func(a seededUser, hash string) error { return c.lock(t, &c.db.Queries, a.userID, hash) }
		refresh := func(a seededUser, generation uint32, at time.Time) error {
			_, _, err := c.db.AdvanceSession(ctx, a.sessionID, "first-party", "x", generation, at, 40*time.Minute)
			return err
		}
		guess := func(a seededUser) error {
			_, _, err := c.db.AdvanceSession(ctx, a.sessionID, "first-party", "not the seed", 0, now, time.Hour)
			return err
		}
		disabled, ann, gone, bob := c.addUser(t), c.addUser(t), c.addUser(t), c.addUser(t)
		s.sql(t, `UPDATE users SET disabled = TRUE WHERE id = '`+disabled.userID+`'`)
		if err := c.db.DeleteUser(ctx, gone.userID); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			name string
			err  error
			want error
		}{
			{"a login of a disabled user", login(disabled, c.hash), store.ErrNotFound},
			{"a login of a deleted user", login(gone, c.hash), store.ErrNotFound},
			{"a login with a password that is replaced", login(ann, "another hash"), store.ErrNotFound},
			{"a login", login(ann, c.hash), nil},
			{"a refresh of a disabled user", refresh(disabled, 0, now), store.ErrNotFound},
			{"a refresh of a deleted user", refresh(gone, 0, now), store.ErrNotFound},
			{"a refresh after the session's end", refresh(ann, 0, now.Add(2*time.Hour)), store.ErrNotFound},
			{"a refresh with another seed", guess(ann), store.ErrNotFound},
			{"a refresh that is ahead", refresh(ann, 1, now), store.ErrNotFound},
			{"a refresh", refresh(ann, 0, now.Add(30*time.Minute)), nil},
			{"a refresh that another has made", refresh(ann, 0, now), store.ErrNotFound},
			{"the next refresh", refresh(ann, 1, now.Add(time.Minute)), nil},
			{"a password that another has changed", c.db.ReplacePasswordHash(ctx, ann.userID, "another hash", "new", now), store.ErrNotFound},
			{"an end of somebody else's session", c.db.EndSessionOf(ctx, bob.userID, ann.sessionID), store.ErrNotFound},
			{"an end of a session that has ended", errors.Join(c.db.EndSession(ctx, bob.sessionID), c.db.EndSession(ctx, bob.sessionID)), store.ErrNotFound},
		} {
			if !errors.Is(step.err, step.want) {
				t.Errorf("%s: got %v, want %v", step.name, step.err, step.want)
			}
		}
	})
}

// lock is what a login does after it has verified the password with a hash.
func (c *seeder) lock(t *testing.T, q *store.Queries, userID, hash string) error {
	t.Helper()
	user, err := q.UserByID(t.Context(), userID)
	if err != nil {
		return err
	}
	user.PasswordHash = secret.New(hash)
	return q.LockUnchanged(t.Context(), user, time.Now())
}

// T7: a login with the old password that comes while the password is being changed waits for the change,
// and fails; its session would otherwise be one that the change has not seen.
func TestALoginWaitsForAChangeOfThePassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c, now := newSeeder(t, s), s.clock.now()
		a := c.addUser(t)
		login := make(chan error, 1)
		err := c.db.Tx(t.Context(), func(q *store.Queries) error {
			if err := q.ReplacePasswordHash(t.Context(), a.userID, c.hash, "another hash", now); err != nil {
				return err
			}
			go func() {
				login <- c.db.Tx(t.Context(), func(q *store.Queries) error {
					if err := c.lock(t, q, a.userID, c.hash); err != nil {
						return err
					}
					return q.CreateSession(t.Context(), store.Session{ID: newID(), UserID: a.userID, ExpiresAt: now, EndsAt: now})
				})
			}()
			for postgres := !strings.HasPrefix(s.dbURL, "sqlite:"); postgres && len(login) == 0; { // SQLite has one writer
				if s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) != "0" {
					break
				}
			}
			return q.EndSessionsOf(t.Context(), a.userID, "")
		})
		if err != nil {
			t.Fatal(err)
		}
		if err = <-login; !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the login: %v", err)
		}
		if left := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions WHERE user_id = '`+a.userID+`'`); left != "0" {
			t.Errorf("%s sessions are left", left)
		}
	})
}

// L4, R2: a guess counts, and so does the second use of a token, if the client disconnects before the answer.
func TestHangingUpUndoesNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		a := c.addUser(t)
		hasher, err := password.NewForTests(password.Argon2id, password.NewPolicy(8, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		refresher := token.NewRefresher(token.MasterKey{})
		used := token.NewRefresh(uuid.MustParse(a.sessionID))
		s.sql(t, fmt.Sprintf(`UPDATE sessions SET seed_hash = '%s', generation = 2 WHERE id = '%s'`, used.SeedHash(), a.sessionID))
		s.sql(t, `DELETE FROM throttles`)
		for name, ask := range map[string]func(ctx context.Context, id *identity.Service, service *oauth.Service) error{
			"a guess": func(ctx context.Context, id *identity.Service, service *oauth.Service) error {
				_, _, err := id.Login(ctx, identity.Login{Username: a.userID, Password: secret.New(wrong)})
				return err
			},
			"a token that was used": func(ctx context.Context, id *identity.Service, service *oauth.Service) error {
				_, err := service.RefreshGrant(ctx, oauth.Client{ID: token.FirstParty}, refresher.Text(used), "")
				return err
			},
		} {
			ctx, hangUp := context.WithCancel(t.Context())
			asks := 0
			id, _, service := domain(c.db, hasher, c.issuer, identity.Settings{Now: func() time.Time {
				if asks++; asks == 2 { // after the hash, or the look at the session
					hangUp()
				}
				return time.Now()
			}})
			err := ask(ctx, id, service)
			if p, ok := errors.AsType[*problem.Error](err); ctx.Err() == nil || !ok || p.Code != problem.InvalidGrant {
				t.Errorf("%s: %v", name, err)
			}
		}
		if counts := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM throttles`); counts != "2" {
			t.Errorf("there are %s counts, want those of the account and of the address", counts)
		}
		if left := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions WHERE id = '`+a.sessionID+`'`); left != "0" {
			t.Error("the session stands")
		}
	})
}

// R4: however late a refresh comes, it moves the session's end no further than the login allowed.
func TestARefreshNeverExtendsTheAbsoluteEnd(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		a, now := c.addUser(t), s.clock.now()
		if _, _, err := c.db.AdvanceSession(t.Context(), a.sessionID, "first-party", "x", 0, now.Add(50*time.Minute), 24*time.Hour); err != nil {
			t.Fatal(err)
		}
		session, _, err := c.db.SessionByID(t.Context(), a.sessionID)
		if err != nil || !session.ExpiresAt.Equal(session.EndsAt) || session.EndsAt.After(now.Add(time.Hour)) {
			t.Errorf("%v: it expires at %v and ends at %v", err, session.ExpiresAt, session.EndsAt)
		}
	})
}

// The cleanup deletes expired sessions in batches, and no others.
func TestExpiredSessionsAreRemoved(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		one, two := c.addUser(t), c.addUser(t) // two sessions each, of an hour
		later := s.clock.now().Add(2 * time.Hour)
		s.sql(t, `UPDATE sessions SET expires_at = expires_at + 7200000000 WHERE user_id = '`+two.userID+`'`)
		for n, calls := int64(1), 0; n > 0; calls++ { // it also counts those that it looked at and kept
			var err error
			if n, err = c.db.DeleteExpiredSessions(t.Context(), later, 1); err != nil || n > 1 || calls > 4 {
				t.Fatalf("call %d removed or kept %d: %v", calls, n, err)
			}
		}
		if left := s.value(t, `SELECT user_id FROM sessions GROUP BY user_id`); left != two.userID || left == one.userID {
			t.Errorf("the sessions of %s are left", left)
		}
	})
}
