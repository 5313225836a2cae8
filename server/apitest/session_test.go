package apitest

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/store"
)

func me(token string) request { return request{method: "GET", path: "/users/me", token: token} }

func TestARefreshGivesANewPair(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		first := s.newcomer(t, "ann")
		second := decode[api.Token](s.do(t, refreshGrant(first.RefreshToken)).want(200))
		if second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken || second.Scope != first.Scope {
			t.Errorf("%+v after %+v", second, first)
		}
		s.do(t, me(first.AccessToken)).want(200)
		s.do(t, me(second.AccessToken)).want(200)
	})
}

// R1: of many uses of one refresh token one rotates it, and all get the same successor.
func TestParallelRefreshesGetTheSameSuccessor(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		tokens := s.newcomer(t, "ann")
		got := make(chan string, 20)
		var wait sync.WaitGroup
		for range cap(got) {
			wait.Go(func() {
				a, err := s.try(refreshGrant(tokens.RefreshToken))
				if err != nil || a.status != 200 {
					t.Errorf("%v %+v", err, a)
					return
				}
				got <- decode[api.Token](a).RefreshToken
			})
		}
		wait.Wait()
		close(got)
		successor := <-got
		for next := range got {
			if next != successor {
				t.Fatal("two successors")
			}
		}
		s.do(t, refreshGrant(successor)).want(200)
		if generation := s.value(t, `SELECT CAST(generation AS TEXT) FROM sessions`); generation != "2" {
			t.Errorf("the session was rotated %s times, want 2", generation)
		}
	})
}

// R2: within the grace the same successor; after it the session ends.
func TestReuseAfterTheGraceEndsTheSession(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		first := s.newcomer(t, "ann")
		second := decode[api.Token](s.do(t, refreshGrant(first.RefreshToken)).want(200))
		s.clock.advance(9 * time.Second)
		again := decode[api.Token](s.do(t, refreshGrant(first.RefreshToken)).want(200))
		if again.RefreshToken != second.RefreshToken {
			t.Fatal("a retry got another successor")
		}
		s.clock.advance(2 * time.Second)
		s.do(t, refreshGrant(first.RefreshToken)).want(400, "invalid_grant")
		s.do(t, refreshGrant(second.RefreshToken)).want(400, "invalid_grant")
		s.do(t, me(second.AccessToken)).want(401, "invalid_token")
	})
}

// R2: two generations back is theft, grace or not.
func TestReuseTwoGenerationsBackEndsTheSession(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		first := s.newcomer(t, "ann")
		second := decode[api.Token](s.do(t, refreshGrant(first.RefreshToken)).want(200))
		third := decode[api.Token](s.do(t, refreshGrant(second.RefreshToken)).want(200))
		s.do(t, refreshGrant(first.RefreshToken)).want(400, "invalid_grant")
		s.do(t, me(third.AccessToken)).want(401, "invalid_token")
	})
}

// Guessing with a session's id, which is no secret, ends nothing.
func TestAForgedRefreshTokenEndsNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		tokens := s.newcomer(t, "ann")
		for _, at := range []int{0, 23, 30, 100} {
			flipped := []byte(tokens.RefreshToken)
			flipped[at] = map[bool]byte{true: 'B', false: 'A'}[flipped[at] == 'A']
			s.do(t, refreshGrant(string(flipped))).want(400, "invalid_grant")
		}
		s.do(t, refreshGrant(tokens.RefreshToken+"A")).want(400, "invalid_grant")
		s.do(t, refreshGrant("x")).want(400, "invalid_grant")
		s.do(t, refreshGrant(tokens.RefreshToken)).want(200)
	})
}

// R3: once a logout or a password change is acknowledged, no refresh gives anything.
func TestNoRefreshOutlivesAnAcknowledgedEnd(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		keeper := s.login(t, "ann")
		for round := range 5 {
			passwords := [2]string{horse, horse + "!"} // of this round, and of the next one
			if round%2 == 1 {
				slices.Reverse(passwords[:])
			}
			victim := decode[api.Token](s.do(t, passwordGrant("ann", passwords[0])).want(200))
			ended := make(chan struct{})
			var wait sync.WaitGroup
			for range 8 {
				wait.Go(func() {
					for token := victim.RefreshToken; ; {
						isEnded := false
						select {
						case <-ended: // whatever is asked from here on was asked after the answer
							isEnded = true
						default:
						}
						a, err := s.try(refreshGrant(token))
						if err != nil {
							t.Error(err)
							return
						}
						if isEnded {
							if a.status == 200 {
								t.Error("a refresh succeeded after the session's end was acknowledged")
							}
							return
						}
						if a.status == 200 {
							token = decode[api.Token](a).RefreshToken
						}
					}
				})
			}
			s.do(t, request{
				method: "PUT", path: "/users/me/password", token: keeper.AccessToken,
				json: map[string]string{"current_password": passwords[0], "new_password": passwords[1]},
			}).want(204)
			close(ended)
			wait.Wait()
		}
	})
}

// R4: rotation never extends the absolute end, and idleness ends a session before it.
func TestSessionsEndByThemselves(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		tokens, idle := s.newcomer(t, "ann"), s.login(t, "ann")
		for range 5 { // an idle time of 2 h, an end after 9 h
			s.clock.advance(110 * time.Minute)
			if a := s.do(t, refreshGrant(tokens.RefreshToken)); a.status == 200 {
				tokens = decode[api.Token](a)
				continue
			}
			t.Fatal("the session ended before its time")
		}
		s.do(t, refreshGrant(idle.RefreshToken)).want(400, "invalid_grant")
	}, "SESAME_REFRESH_IDLE_TTL=2h", "SESAME_REFRESH_TTL=9h10m1s")
	t.Run("absolute", func(t *testing.T) {
		s := start(t, sqliteURL(t), "SESAME_REFRESH_IDLE_TTL=2h", "SESAME_REFRESH_TTL=3h")
		tokens := s.newcomer(t, "ann")
		s.clock.advance(110 * time.Minute)
		tokens = decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
		s.clock.advance(71 * time.Minute)
		s.do(t, refreshGrant(tokens.RefreshToken)).want(400, "invalid_grant")
	})
}

func TestARefreshMayNarrowButNotWiden(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		login := passwordGrant("ann", horse)
		login.form.Set("scope", "me:read")
		tokens := decode[api.Token](s.do(t, login).want(200))
		wider := refreshGrant(tokens.RefreshToken)
		wider.form.Set("scope", defaultScopes())
		tokens = decode[api.Token](s.do(t, wider).want(200))
		if tokens.Scope != "me:read" {
			t.Errorf("a refresh for %q got %q", defaultScopes(), tokens.Scope)
		}
		s.do(t, withScope(refreshGrant(tokens.RefreshToken), "me:write")).want(400, "invalid_scope")
		// The refusal has not used the token up.
		tokens = decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
		s.do(t, request{method: "PATCH", path: "/users/me", token: tokens.AccessToken, json: `{}`}).want(403, "insufficient_scope")
	})
}

func TestRevocationEndsTheSession(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		other := s.login(t, "ann")
		revoke := func(token string) *answer {
			return s.do(t, request{method: "POST", path: "/token/revoke", form: url.Values{"token": {token}}})
		}
		byRefresh, byAccess := s.login(t, "ann"), s.login(t, "ann")
		used := s.login(t, "ann")
		newer := decode[api.Token](s.do(t, refreshGrant(used.RefreshToken)).want(200))
		revoke(byRefresh.RefreshToken).want(200)
		revoke(byAccess.AccessToken).want(200)
		revoke(used.RefreshToken).want(200) // the holder of a used one may revoke the session, too
		for _, tokens := range []api.Token{byRefresh, byAccess, newer} {
			s.do(t, me(tokens.AccessToken)).want(401, "invalid_token")
			s.do(t, refreshGrant(tokens.RefreshToken)).want(400, "invalid_grant")
		}
		revoke(byAccess.AccessToken).want(200) // again
		revoke("unknown").want(200)
		revoke(strings.Repeat(".", 8000)).want(200)
		s.do(t, me(other.AccessToken)).want(200)
		s.do(t, request{method: "POST", path: "/token/revoke", form: url.Values{}}).want(400, "invalid_request")
	})
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		one := passwordGrant("ann", horse)
		one.header = map[string]string{"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "User-Agent": "phone \t" + strings.Repeat("é", 200)}
		phone := decode[api.Token](s.do(t, one).want(200))
		s.clock.advance(time.Second)
		laptop := s.login(t, "ann")
		stranger := s.newcomer(t, "bob")
		items := s.sessions(t, laptop.AccessToken)
		if len(items) != 2 || !items[0].Current || items[1].Current || items[1].IPAddress != "127.0.0.1" {
			t.Fatalf("got %+v", items)
		}
		if agent := items[1].UserAgent; !strings.HasPrefix(agent, "phone é") || len(agent) > 256 {
			t.Errorf("the user agent is kept as %q", agent)
		}
		end := func(token, id string) *answer {
			return s.do(t, request{method: "DELETE", path: "/users/me/sessions/" + id, token: token})
		}
		end(stranger.AccessToken, items[1].ID).want(404, "not_found")
		end(laptop.AccessToken, "not-a-uuid").want(422, "validation_failed").pointsAt("/session_id")
		end(laptop.AccessToken, items[1].ID).want(204)
		s.do(t, me(phone.AccessToken)).want(401, "invalid_token")
		end(laptop.AccessToken, items[1].ID).want(404, "not_found")
		third := s.login(t, "ann")
		s.do(t, request{method: "DELETE", path: "/users/me/sessions", token: laptop.AccessToken}).want(204)
		for _, token := range []string{laptop.AccessToken, third.AccessToken} {
			s.do(t, me(token)).want(401, "invalid_token")
		}
		s.do(t, me(stranger.AccessToken)).want(200)
	})
}

// An account has at most 100 sessions; one more login ends the one that was idle the longest, which need not be the
// oldest.
func TestSessionsHaveACeiling(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		oldest := s.newcomer(t, "ann")
		s.clock.advance(time.Second)
		idle := s.login(t, "ann")
		s.clock.advance(time.Second)
		oldest = decode[api.Token](s.do(t, refreshGrant(oldest.RefreshToken)).want(200))
		user := s.value(t, `SELECT id FROM users`)
		insertSessions(t, s, user, 98)
		s.clock.advance(time.Second)
		last := s.login(t, "ann")
		s.do(t, me(idle.AccessToken)).want(401, "invalid_token")
		s.do(t, me(oldest.AccessToken)).want(200)
		if sessions := s.sessions(t, last.AccessToken); len(sessions) != 100 {
			t.Errorf("%d sessions", len(sessions))
		}
	})
}

// sessions lists the sessions of the token's owner.
func (s *server) sessions(t *testing.T, token string) []api.Session {
	t.Helper()
	return decode[api.SessionPage](s.do(t, request{method: "GET", path: "/users/me/sessions", token: token}).want(200)).Items
}

// T7 on two replicas: a change through one is seen by the other at the next request.
func TestReplicasAgreeAtOnce(t *testing.T) {
	t.Parallel()
	one := start(t, postgresURL(t), "SESAME_PUBLIC_URL=https://login.example")
	two := start(t, one.dbURL, "SESAME_PUBLIC_URL=https://login.example")
	tokens := one.newcomer(t, "ann")
	two.do(t, me(tokens.AccessToken)).want(200)
	two.do(t, refreshGrant(tokens.RefreshToken)).want(200)
	one.do(t, request{method: "DELETE", path: "/users/me/sessions", token: tokens.AccessToken}).want(204)
	two.do(t, me(tokens.AccessToken)).want(401, "invalid_token")
	two.do(t, refreshGrant(tokens.RefreshToken)).want(400, "invalid_grant")
}

// insertSessions gives a user further sessions without a hundred logins.
func insertSessions(t *testing.T, s *server, user string, n int) {
	t.Helper()
	db, err := store.Open(t.Context(), s.dbURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Tx(t.Context(), func(q *store.Queries) error { return addSessions(t.Context(), q, user, n, s.clock.now()) })
	if err != nil {
		t.Fatal(err)
	}
}

func addSessions(ctx context.Context, q *store.Queries, user string, n int, now time.Time) error {
	for range n {
		err := q.CreateSession(ctx, store.Session{
			ID: newID(), UserID: user, ClientID: "first-party", Scope: "me:read", SeedHash: "x",
			CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
