package apitest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
	"sesame/server/internal/token"
	"sesame/server/internal/token/personal"
	"sesame/server/secret"
)

// canary stands for whatever must not be seen again: passwords, tokens, names.
const canary = "Canary7f3a9c"

// carrying puts the canary into every text of a body, however deep, and into one field more.
func carrying(value any) any {
	switch v := value.(type) {
	case string:
		return canary + v
	case map[string]any:
		v = maps.Clone(v)
		for name := range v {
			v[name] = carrying(v[name])
		}
		return v
	}
	return value
}

// A2: neither an error nor the log repeats what was sent, in whatever field.
func TestNothingThatWasSentIsRepeated(t *testing.T) {
	inEachFormat(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		for _, op := range rules.Operations() {
			a := c.addUser(t)
			good := exampleOf(t, op, c.owned(a))
			good.token = c.token(t, a, rules.Scopes().Declared, s.clock.now().Add(1e9))
			for _, r := range canariesIn(t, good) {
				answer := s.do(t, r)
				if op.Pages && answer.status == 303 { // to the same request by GET
					answer.header.Del("Location")
				}
				all := fmt.Sprint(answer.header) + string(answer.body)
				if answer.status >= 500 || strings.Contains(all, canary) || strings.Contains(all, base64.StdEncoding.EncodeToString([]byte(canary))) {
					t.Errorf("%s: %d %s", op.ID, answer.status, all)
				}
			}
		}
		if log := s.wholeLog(); strings.Contains(log, canary) || strings.Contains(log, url.QueryEscape(canary)) {
			t.Errorf("the log has it:\n%s", log)
		}
	})
}

// inEachFormat is onEachEngine with a log that holds everything, in either format.
func inEachFormat(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			post := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{}) // without one, mails are in the log
			onEachEngine(t, test, "SESAME_LOG_LEVEL=debug", "SESAME_LOG_FORMAT="+format, "SESAME_SMTP_URL="+post.URL)
		})
	}
}

// canaryToken is a well-formed personal access token that holds the canary.
func canaryToken() string {
	body := (canary + strings.Repeat("0", 30))[:30]
	return personal.Prefix + body + personal.Checksum(body)
}

// canariesIn gives variants of a request that carry the canary, each in other places.
func canariesIn(t *testing.T, good request) []request {
	t.Helper()
	with := func(change func(*request)) request {
		r := good
		r.header = map[string]string{}
		change(&r)
		return r
	}
	variants := []request{
		with(func(r *request) { r.token = canary }),
		with(func(r *request) { r.token += canary }),
		with(func(r *request) { r.token = personal.Prefix + canary }),
		with(func(r *request) { r.token = canaryToken() }),
		with(func(r *request) { r.header["Authorization"] = "Basic " + canary }),
		with(func(r *request) {
			r.header["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(canary+":"+canary))
		}),
		with(func(r *request) { r.header["Authorization"] = canary }),
		with(func(r *request) { r.path += "?access_token=" + canary }),
		with(func(r *request) { r.path += "?" + canary + "=" + canary }),
		with(func(r *request) { r.path += "/" + canary }),
		with(func(r *request) { r.path = r.path[:strings.LastIndex(r.path, "/")+1] + canary }),
		with(func(r *request) { r.method = strings.ToUpper(canary) }),
		with(func(r *request) {
			for _, name := range []string{"X-Request-ID", "X-Forwarded-For", "X-Real-IP", "Cookie", "Referer", "Origin", "X-Forwarded-Host", "Host", "Accept", "X-HTTP-Method-Override"} {
				r.header[name] = canary
			}
			r.token = ""
		}),
	}
	if good.form != nil {
		for name := range good.form {
			variants = append(variants, with(func(r *request) { r.form = maps.Clone(r.form); r.form.Set(name, canary) }))
		}
		return append(variants,
			with(func(r *request) { r.form = maps.Clone(r.form); r.form.Set("client_secret", canary) }),
			with(func(r *request) { r.form = maps.Clone(r.form); r.form["username"] = []string{canary, canary} }))
	}
	if good.json == nil {
		return variants
	}
	object := carrying(good.json).(map[string]any)
	object["unknown"] = canary
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	broken := string(text[:len(text)-1]) + ",}"
	return append(variants,
		with(func(r *request) { r.json = object }),
		with(func(r *request) { r.json = broken }),
		with(func(r *request) { r.json = `"` + canary + `"` }),
		with(func(r *request) { r.json = []any{canary, object} }),
		with(func(r *request) { r.json = string(text) + canary }),
		with(func(r *request) { r.header["Content-Type"] = "text/" + canary }),
		with(func(r *request) { r.header["Content-Encoding"] = canary }))
}

// A2: the log holds no secret of a login, nor of the whole life of a session.
func TestTheLogHoldsNoSecrets(t *testing.T) {
	inEachFormat(t, func(t *testing.T, s *server) {
		next := "another " + horse
		tokens := s.newcomer(t, "ann")
		newer := decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
		change := request{method: "PUT", path: "/users/me/password", token: newer.AccessToken}
		change.json = map[string]string{"current_password": horse, "new_password": next}
		s.do(t, change).want(204)
		s.do(t, change).want(422, "wrong_password")
		s.do(t, passwordGrant("ann", horse)).want(400)
		personal := s.makePersonalToken(t, newer.AccessToken, "me:read").Token
		client := s.makeClient(t, "service")
		s.do(t, me(personal)).want(200)
		s.do(t, me(personal+"x")).want(401)
		s.do(t, client.sends(introspection(personal))).want(200)
		hash := s.value(t, `SELECT password_hash FROM users`)
		s.sql(t, `DROP TABLE sessions`) // a fault of the database, while it holds secrets
		s.do(t, me(newer.AccessToken)).want(500, "internal_error")
		s.sql(t, `DROP TABLE personal_tokens`)
		s.do(t, me(personal)).want(500, "internal_error")
		s.do(t, client.sends(introspection(personal))).want(500, "server_error")
		s.do(t, revocation(personal)).want(500, "server_error")
		s.do(t, passwordGrant("ann", next)).want(500, "server_error")
		s.do(t, refreshGrant(newer.RefreshToken)).want(500, "server_error")
		log := s.wholeLog()
		for name, text := range map[string]string{
			"a password": horse, "an access token": newer.AccessToken, "its signature": newer.AccessToken[strings.LastIndex(newer.AccessToken, ".")+1:],
			"a refresh token": newer.RefreshToken, "the first refresh token": tokens.RefreshToken, "a hash": hash, "a personal access token": personal, "its random part": personal[4:34], "its hash": token.HashSecret(secret.New(personal)),
			"an address": "ann@example.com", "the master key": testKey(),
		} {
			if strings.Contains(log, text) {
				t.Errorf("the log has %s:\n%s", name, log)
			}
		}
	})
}

// No text, however odd, is a fault of the server; PostgreSQL refuses NUL where SQLite does not.
func TestOddTextsAreNeverAFaultOfTheServer(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		odds := []string{
			"\x00", "a\x00b", "\x1b[31m", "\x7f", "\u0085", "\u200b", "\u202e", "\ufeff", "\ufffe", "\U0010ffff", "👩‍🚀",
			strings.Repeat("\u0301", 60), "İ", "ﬁ", "ａｎｎ", "ال", "'; DROP TABLE users; --", "%", `\u0000`, "../../etc/passwd",
		}
		for i, odd := range odds {
			for _, r := range []request{
				{method: "POST", path: "/users", json: map[string]any{"username": odd, "password": horse}},
				{method: "POST", path: "/users", json: map[string]any{"username": fmt.Sprintf("u%d", i), "password": odd + horse, "email": odd + "@example.com"}},
				{method: "PATCH", path: "/users/me", token: token, json: map[string]any{"full_name": odd}},
				{method: "PATCH", path: "/users/me", token: token, json: map[string]any{odd: odd}},
				{method: "DELETE", path: "/users/me/sessions/" + url.PathEscape(odd), token: token},
				{method: "POST", path: "/token/revoke", form: url.Values{"token": {odd}, "token_type_hint": {odd}}},
				{method: "GET", path: "/users/me?q=" + url.QueryEscape(odd), token: token},
				refreshGrant(odd), passwordGrant(odd, horse), passwordGrant(odd+"@example.com", horse),
			} {
				if a := s.do(t, r); a.status >= 500 {
					t.Errorf("%s %s with %q: %d %s", r.method, r.path, odd, a.status, a.body)
				}
			}
		}
		login := passwordGrant("ann", horse)
		login.header = map[string]string{"User-Agent": "\xff\xc0\t" + strings.Join(odds[4:], "\t")} // net/http sends no control characters
		s.do(t, login).want(200)
		s.do(t, request{method: "GET", path: "/users/me/sessions", token: token}).want(200)
	})
}

// Every text has a maximum length, in characters and not in bytes.
func TestLongTexts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		for _, unit := range []string{"a", "é", "語", "𐐨"} {
			create := func(length int) *answer {
				return s.do(t, request{method: "POST", path: "/users", json: map[string]any{"username": strings.Repeat(unit, length), "password": horse}})
			}
			create(64).want(201)
			create(65).want(422, "validation_failed").pointsAt("/username")
			name := func(length int) *answer {
				return s.do(t, request{method: "PATCH", path: "/users/me", token: token, json: map[string]any{"full_name": strings.Repeat(unit, length)}})
			}
			name(200).want(200)
			name(201).want(422, "validation_failed").pointsAt("/full_name")
			name(16000).want(422, "validation_failed").pointsAt("/full_name")
		}
		s.do(t, passwordGrant(strings.Repeat("a", 254), horse)).want(400, "invalid_grant")
		s.do(t, passwordGrant(strings.Repeat("a", 255), horse)).want(400, "invalid_request")
		s.do(t, passwordGrant("ann", strings.Repeat("a", 257))).want(400, "invalid_request")
		many := map[string]any{}
		for i := range 3000 {
			many[fmt.Sprintf("field%d", i)] = i
		}
		refused := s.do(t, request{method: "PATCH", path: "/users/me", token: token, json: many}).want(422, "validation_failed")
		if n := len(decode[api.Problem](refused).Errors); n < 1 || n > 100 {
			t.Errorf("%d errors", n)
		}
	})
}
