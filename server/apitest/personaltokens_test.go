package apitest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/guard"
	"sesame/server/internal/account"
	"sesame/server/internal/token"
	"sesame/server/internal/token/personal"
	"sesame/server/secret"
)

// newPersonalToken is the request that makes a personal access token.
func newPersonalToken(access string, scopes ...string) request {
	return request{method: "POST", path: "/users/me/tokens", token: access, json: map[string]any{"name": "Backup", "scopes": scopes, "expires_in_days": 30}}
}

func listPersonalTokens(access string) request {
	return request{method: "GET", path: "/users/me/tokens", token: access}
}

// makePersonalToken makes a token of a person who has just logged in.
func (s *server) makePersonalToken(t *testing.T, access string, scopes ...string) api.PersonalTokenWithText {
	t.Helper()
	return decode[api.PersonalTokenWithText](s.do(t, newPersonalToken(access, scopes...)).want(201))
}

// idOf is the id of an account.
func (s *server) idOf(t *testing.T, username string) string {
	t.Helper()
	return s.value(t, `SELECT id FROM users WHERE username = '`+username+`'`)
}

// valueOf is a text that may be absent.
func valueOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func TestAPersonalTokenIsShownOnceListedAndRevoked(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.newcomer(t, "ann").AccessToken
		made := s.makePersonalToken(t, ann, "me:read")
		if !personal.IsWellFormed(made.Token) || made.Name != "Backup" || !slices.Equal(made.Scopes, []string{"me:read"}) || made.LastUsedAt.IsSpecified() && !made.LastUsedAt.IsNull() {
			t.Errorf("%+v", made)
		}
		if days := made.ExpiresAt.Sub(made.CreatedAt); days != 30*24*time.Hour {
			t.Errorf("it is valid for %s", days)
		}
		s.do(t, me(made.Token)).want(200)
		s.do(t, request{method: "PATCH", path: "/users/me", token: made.Token, json: map[string]any{"full_name": "x"}}).want(403, "insufficient_scope")
		list := s.do(t, listPersonalTokens(ann)).want(200)
		items := decode[api.PersonalTokenPage](list).Items
		if len(items) != 1 || items[0].ID != made.ID || strings.Contains(string(list.body), made.Token) {
			t.Errorf("%s", list.body)
		}
		if row := s.value(t, `SELECT hash || name || scope FROM personal_tokens`); strings.Contains(row, made.Token) || !strings.Contains(row, token.HashSecret(secret.New(made.Token))) {
			t.Errorf("stored is %s", row)
		}
		s.do(t, request{method: "DELETE", path: "/users/me/tokens/" + made.ID, token: ann}).want(204)
		s.do(t, me(made.Token)).want(401, "invalid_token")
		s.do(t, request{method: "DELETE", path: "/users/me/tokens/" + made.ID, token: ann}).want(404, "not_found")
	})
}

// The scopes of a token are among those of the access token that makes it, whatever the account has; and a scope that the account
// loses is refused at once, and does not come back (N9).
func TestAPersonalTokenHasNoScopeThatItsMakerLacks(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.newcomer(t, "ann")
		s.sql(t, `UPDATE users SET scopes = 'users:read events:read' WHERE username = 'ann'`)
		login := func(scope string) string {
			return decode[api.Token](s.do(t, withScope(passwordGrant("ann", horse), scope)).want(200)).AccessToken
		}
		narrow, wide := login("me:read me:write"), login("me:read me:write users:read")
		s.do(t, newPersonalToken(narrow, "me:read", "users:read")).want(422, "validation_failed").pointsAt("/scopes/1")
		s.do(t, newPersonalToken(wide, "events:read")).want(422, "validation_failed").pointsAt("/scopes/0")
		s.do(t, newPersonalToken(wide, "nobody:knows")).want(422, "validation_failed").pointsAt("/scopes/0")
		s.do(t, newPersonalToken(login("me:read"), "me:read")).want(403, "insufficient_scope")
		made := s.makePersonalToken(t, wide, "users:read", "me:read")
		users := request{method: "GET", path: "/users", token: made.Token}
		s.do(t, users).want(200)
		_, root := s.administrator(t, "root")
		id := decode[api.User](s.do(t, me(narrow)).want(200)).ID
		for _, scopes := range [][]string{{}, {"users:read"}} {
			s.change(t, root, id, map[string]any{"scopes": scopes}).want(200)
			s.do(t, users).want(403, "insufficient_scope")
		}
		s.do(t, me(made.Token)).want(200)
	})
}

// What ends a person's access ends their tokens, at the next request; and what does not, is meant so.
func TestWhatEndsPersonalTokens(t *testing.T) {
	const next = "a bigger wooden horse"
	for name, c := range map[string]struct {
		do   func(t *testing.T, s *server, ann, root, made string)
		ends bool
	}{
		"disabled, and enabled again": {func(t *testing.T, s *server, ann, root, made string) {
			s.change(t, root, s.idOf(t, "ann"), map[string]any{"disabled": true}).want(200)
			s.do(t, me(made)).want(401, "invalid_token")
			s.change(t, root, s.idOf(t, "ann"), map[string]any{"disabled": false}).want(200)
		}, true},
		"deleted": {func(t *testing.T, s *server, ann, root, _ string) {
			s.do(t, request{method: "DELETE", path: "/users/" + s.idOf(t, "ann"), token: root}).want(204)
		}, true},
		"the password changed": {func(t *testing.T, s *server, ann, _, _ string) {
			s.do(t, changePassword(ann, horse, next)).want(204)
		}, true},
		"the password reset by mail": {func(t *testing.T, s *server, _, _, _ string) {
			s.sql(t, `UPDATE users SET email_verified = TRUE WHERE username = 'ann'`)
			s.plantCode(t, "a code", account.ToReset, "", "ann@example.com")
			s.do(t, resetPassword("a code", next)).want(204)
		}, true},
		"the password set by the operator": {func(t *testing.T, s *server, _, _, _ string) {
			s.must(t, next, "user", "set-password", "ann")
		}, true},
		"the password changed by a program that knows no tokens": {func(t *testing.T, s *server, _, _, _ string) {
			s.sql(t, `UPDATE users SET password_hash = '$2b$10$abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRS' WHERE username = 'ann'`)
		}, true},
		"the factors reset": {func(t *testing.T, s *server, _, _, _ string) {
			s.plantTOTP(t, "ann")
			s.must(t, "", "user", "reset-factors", "ann")
		}, true},
		"revoked by its holder": {func(t *testing.T, s *server, _, _, made string) {
			s.do(t, revocation(made)).want(200)
			s.do(t, revocation(made)).want(200)
		}, true},
		"revoked by a client that has found it": {func(t *testing.T, s *server, _, _, made string) {
			s.do(t, s.makeClient(t, "finder").sends(revocation(made))).want(200)
		}, true},
		"expired": {func(t *testing.T, s *server, _, _, made string) {
			s.clock.advance(30*24*time.Hour - time.Minute)
			s.do(t, me(made)).want(200)
			s.clock.advance(time.Minute)
		}, true},
		"logged out": {func(t *testing.T, s *server, ann, _, _ string) {
			s.do(t, revocation(ann)).want(200)
		}, false},
		"logged out everywhere": {func(t *testing.T, s *server, ann, _, _ string) {
			s.do(t, request{method: "DELETE", path: "/users/me/sessions", token: ann}).want(204)
		}, false},
		"the hash replaced at a login": {func(t *testing.T, s *server, _, _, _ string) {
			old := hashOf(t, "bcrypt", horse)
			s.sql(t, `UPDATE users SET password_hash = '`+old+`' WHERE username = 'ann'`)
			s.sql(t, `UPDATE personal_tokens SET password = '`+old[len(old)-16:]+`'`)
			s.login(t, "ann")
			if s.value(t, `SELECT password_hash FROM users WHERE username = 'ann'`) == old {
				t.Error("the hash was not replaced")
			}
		}, false},
		"changed by its owner": {func(t *testing.T, s *server, ann, _, _ string) {
			s.do(t, request{method: "PATCH", path: "/users/me", token: ann, json: map[string]any{"full_name": "Ann"}}).want(200)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				_, root := s.administrator(t, "root")
				ann := s.newcomer(t, "ann").AccessToken
				made := s.makePersonalToken(t, ann, "me:read").Token
				client := s.makeClient(t, "client")
				c.do(t, s, ann, root, made)
				want := map[bool]int{true: 401, false: 200}[c.ends]
				if got := s.do(t, me(made)); got.status != want {
					t.Errorf("got %d %s, want %d", got.status, got.body, want)
				}
				if active := decode[api.Introspection](s.do(t, client.sends(introspection(made))).want(200)).Active; active == c.ends {
					t.Errorf("active is %t", active)
				}
			})
		})
	}
}

// The password of the account and a code of its factor beside it do not turn a personal access token into a person.
func TestAPersonalTokenWithThePasswordIsNoPerson(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.newcomer(t, "ann").AccessToken
		made := s.makePersonalToken(t, ann, "me:read", "me:write").Token
		setup, app := s.startTOTP(t, ann)
		for _, r := range []request{
			changePassword(made, horse, "a bigger wooden horse"), changeEmail(made, "ann@example.org", horse), newPersonalToken(made, "me:read"),
			confirmTOTP(made, setup.Setup, app.code()), post("/users/me/totp", made, nil), replaceCodes(made), startPasskey(made),
		} {
			s.do(t, r).want(401, "insufficient_user_authentication")
		}
		// An administrator's token does not do so by the operations for other people's accounts.
		_, root := s.administrator(t, "root")
		whole := s.makePersonalToken(t, root, rules.Scopes().Declared...).Token
		for _, fields := range []map[string]any{{"email": "root@example.org"}, {"scopes": []string{"users:write"}}, {"disabled": true}} {
			s.change(t, whole, s.idOf(t, "root"), fields).want(401, "insufficient_user_authentication")
			s.change(t, whole, s.idOf(t, "ann"), fields).want(200)
		}
		s.do(t, request{method: "DELETE", path: "/users/" + s.idOf(t, "root"), token: whole}).want(401, "insufficient_user_authentication")
		s.plantCode(t, "a code", account.ToConfirm, s.idOf(t, "root"), "root@example.org")
		s.do(t, confirmWith("a code", whole, "")).want(422, "password_required")
	})
}

// The login that makes a token is fresh, and has the second factor that the account has by then.
func TestAPersonalTokenNeedsAFreshLogin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.newcomer(t, "ann")
		s.clock.advance(11 * time.Minute)
		refreshed := decode[api.Token](s.do(t, refreshGrant(ann.RefreshToken)).want(200)).AccessToken
		s.do(t, newPersonalToken(refreshed, "me:read")).want(401, "insufficient_user_authentication")
		before := s.login(t, "ann").AccessToken
		s.makePersonalToken(t, before, "me:read")
		s.plantTOTP(t, "ann")
		stale := s.do(t, newPersonalToken(before, "me:read")).want(401, "insufficient_user_authentication")
		if challenge := stale.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `acr_values="2"`) {
			t.Errorf("the challenge is %s", challenge)
		}
	})
}

// R3: after a change of the password is acknowledged, no request that was in progress has made a token that works.
func TestNoTokenIsMadeBesideAChangeOfThePassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.newcomer(t, "ann")
		var mu sync.Mutex
		var made []string
		var wait sync.WaitGroup
		change := s.login(t, "ann").AccessToken
		for range 10 {
			access := s.login(t, "ann").AccessToken
			wait.Go(func() {
				a, err := s.try(newPersonalToken(access, "me:read"))
				if err != nil || a.status != 201 && a.status != 401 {
					t.Errorf("%v %+v", err, a)
				} else if a.status == 201 {
					mu.Lock()
					defer mu.Unlock()
					made = append(made, decode[api.PersonalTokenWithText](a).Token)
				}
			})
		}
		s.do(t, changePassword(change, horse, "a bigger wooden horse")).want(204)
		wait.Wait()
		for _, text := range made {
			s.do(t, me(text)).want(401, "invalid_token")
		}
	})
}

// An account has at most 50 tokens, under parallel requests, too.
func TestAnAccountHasFiftyPersonalTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.newcomer(t, "ann").AccessToken
		for range 48 {
			s.makePersonalToken(t, ann, "me:read")
		}
		if n := s.atOnce(6, func() request { return newPersonalToken(ann, "me:read") }, 201); n != 2 {
			t.Errorf("%d more tokens were made, want 2", n)
		}
		s.do(t, newPersonalToken(ann, "me:read")).want(422, "validation_failed")
		if n := len(decode[api.PersonalTokenPage](s.do(t, listPersonalTokens(ann)).want(200)).Items); n != 50 {
			t.Errorf("%d are listed", n)
		}
		s.clock.advance(31 * 24 * time.Hour)
		fresh := s.login(t, "ann").AccessToken
		if n := len(decode[api.PersonalTokenPage](s.do(t, listPersonalTokens(fresh)).want(200)).Items); n != 0 {
			t.Errorf("%d expired ones are listed", n)
		}
		s.makePersonalToken(t, fresh, "me:read")
	})
}

// Introspection tells a personal access token apart, and says nothing of a sign-in.
func TestIntrospectionTellsPersonalTokensApart(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.newcomer(t, "ann")
		ann, client := s.loginToDelete(t, "ann").AccessToken, s.makeClient(t, "service")
		made := s.makePersonalToken(t, ann, "me:read", "openid")
		looked := s.do(t, client.sends(introspection(made.Token))).want(200)
		i := decode[api.Introspection](looked)
		if !i.Active || valueOf(i.Scope) != "me:read openid" || valueOf(i.Username) != "ann" || valueOf(i.Sub) != s.idOf(t, "ann") || valueOf(i.Jti) != made.ID ||
			valueOf(i.Iss) != s.url || valueOf(i.Aud) != s.url || *i.TokenType != "bearer" || i.SesameTokenKind == nil || *i.SesameTokenKind != "personal_access_token" ||
			*i.Exp != made.ExpiresAt.Unix() || *i.Iat != made.CreatedAt.Unix() {
			t.Errorf("%s", looked.body)
		}
		for _, absent := range []string{"client_id", "sid", "acr", "amr", "auth_time"} {
			if strings.Contains(string(looked.body), `"`+absent+`"`) {
				t.Errorf("it has %s: %s", absent, looked.body)
			}
		}
		other := decode[api.Introspection](s.do(t, client.sends(introspection(ann))).want(200))
		if other.SesameTokenKind != nil {
			t.Errorf("a session's token is of the kind %s", *other.SesameTokenKind)
		}
	})
}

// The time of the last use is written at most once an hour, for uses that introspection reports, too.
func TestTheLastUseIsRecordedToTheHour(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann, client := s.newcomer(t, "ann").AccessToken, s.makeClient(t, "service")
		made := s.makePersonalToken(t, ann, "me:read").Token
		used := func() string {
			return s.value(t, `SELECT CAST(COALESCE(last_used_at, 0) AS TEXT) FROM personal_tokens`)
		}
		if used() != "0" {
			t.Error("it was used")
		}
		use := func() { s.do(t, me(made)).want(200) }
		first, written := "", 0
		for range 7 { // of ten minutes
			use()
			if now := used(); now != first {
				first, written = now, written+1
			}
			s.clock.advance(10 * time.Minute)
		}
		if written != 2 {
			t.Errorf("it was written %d times in an hour, want 2", written)
		}
		s.clock.advance(time.Hour)
		s.do(t, client.sends(introspection(made))).want(200)
		if used() == first {
			t.Error("a use elsewhere is not recorded")
		}
	})
}

// An event says with which token its actor has acted.
func TestEventsNameThePersonalToken(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		s.newcomer(t, "ann")
		made := s.makePersonalToken(t, root, "users:read", "users:write", "events:read")
		s.change(t, made.Token, s.idOf(t, "ann"), map[string]any{"full_name": "Ann of Troy"}).want(200)
		events := eventPage(t, s, made.Token, "/events?kind=profile_changed").Items
		if len(events) != 1 || said(events[0].TokenID) != made.ID || said(events[0].Actor) != s.idOf(t, "root") || said(events[0].SessionID) != "" || said(events[0].ClientID) != "" {
			t.Errorf("%+v", events)
		}
		if created := eventPage(t, s, made.Token, "/events?kind=token_created").Items; len(created) != 1 || said(created[0].TokenID) != made.ID || said(created[0].SessionID) == "" {
			t.Errorf("%+v", created)
		}
		if log := s.wholeLog(); !strings.Contains(log, made.ID) || strings.Contains(log, made.Token) {
			t.Error("the log has not the id of the token, or the token itself")
		}
	})
}

// An unknown token costs what garbage costs: one read at most, and for a mistyped one not even that.
func TestUnknownPersonalTokensAreRefusedCheaply(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.newcomer(t, "ann").AccessToken
		made := s.makePersonalToken(t, ann, "me:read").Token
		s.sql(t, `ALTER TABLE personal_tokens RENAME TO gone`)
		for _, text := range []string{"ssm_", made[:len(made)-1], made + "0", strings.ToLower(made), "ssm_" + strings.Repeat("a", 7000), "ssm_é"} {
			s.do(t, me(text)).want(401, "invalid_token") // no table is read
		}
		s.do(t, me(made)).want(500, "internal_error")
		s.sql(t, `ALTER TABLE gone RENAME TO personal_tokens`)
		s.do(t, me(made)).want(200)
		s.do(t, me(personal.New().Reveal())).want(401, "invalid_token")
	})
}

// Another service with a guard accepts a personal access token of the real server, as long as it is valid, and sees what it is.
func TestAnotherServiceAcceptsPersonalTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		document, err := os.ReadFile("../guard/example/openapi.yaml")
		if err != nil {
			t.Fatal(err)
		}
		client := s.makeClient(t, "notes")
		now := time.Now()
		g, err := guard.New(t.Context(), guard.Options{
			OpenAPI: document, Issuer: s.url, Audience: s.url, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
			Introspect: &guard.ServiceClient{ID: client.ID, Secret: secret.New(client.Secret)},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		var who *guard.Caller
		handler := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who = guard.CallerFrom(r.Context()) }))
		ask := func(method, text string, status int) {
			t.Helper()
			r, w := httptest.NewRequest(method, "/notes", nil), httptest.NewRecorder()
			r.Header.Set("Authorization", "Bearer "+text)
			if handler.ServeHTTP(w, r); w.Code != status {
				t.Errorf("%s: got %d %s, want %d", method, w.Code, w.Body, status)
			}
		}
		ann := s.newcomer(t, "ann").AccessToken
		made := s.makePersonalToken(t, ann, "me:read")
		ask("GET", made.Token, 200)
		if who == nil || !who.Personal || who.Subject != s.idOf(t, "ann") || who.Claims["jti"] != made.ID || !who.HasScope("me:read") || who.ClientID != "" {
			t.Errorf("the caller is %+v", who)
		}
		ask("POST", made.Token, 403)
		ask("DELETE", s.makePersonalToken(t, ann, "me:write").Token, 401) // which demands a recent sign-in
		s.do(t, request{method: "DELETE", path: "/users/me/tokens/" + made.ID, token: ann}).want(204)
		now = now.Add(30 * time.Second)
		ask("GET", made.Token, 401)
	})
}

// The commands of the guide print what it says, and the pattern for secret scanners finds a token.
func TestTheGuideToTokens(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("SESAME_TEST_REQUIRE_ALL") != "1" {
		t.Skip("the commands of the guide need curl")
	}
	text, err := os.ReadFile("../../docs/guides/tokens.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := ""
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		commands += block[1]
	}
	s := launch(t, sqliteURL(t), []string{"serve", "--demo"})
	printed, err := exec.Command("sh", "-euc", strings.ReplaceAll(commands, "http://127.0.0.1:8080", s.url)+"\necho $TOKEN").Output()
	lines := strings.Fields(string(printed))
	if err != nil || len(lines) != 5 || strings.Join(lines[:4], " ") != "200 401 200 401" || !personal.IsWellFormed(lines[4]) {
		t.Fatalf("they print %q (%v)", printed, err)
	}
	pattern := regexp.MustCompile("(?m)^ssm_.*$").FindString(string(text))
	if found := regexp.MustCompile(pattern).FindString("token=" + lines[4] + "\n"); found != lines[4] {
		t.Errorf("%s finds %q in %s", pattern, found, lines[4])
	}
}
