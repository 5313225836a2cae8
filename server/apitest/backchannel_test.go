package apitest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sesame/gen/api"
)

// relyingParty is a client that receives logout tokens.
type relyingParty struct {
	serviceClient
	tokens  chan string  // that it has received
	answers atomic.Int32 // the status of its answers
	visits  atomic.Int32 // at another address, to which it redirects
}

func (s *server) relyingParty(t *testing.T, args ...string) *relyingParty {
	t.Helper()
	rp := &relyingParty{tokens: make(chan string, 100)}
	rp.answers.Store(200)
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			rp.visits.Add(1)
			return
		}
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.URL.RawQuery != "key=k" {
			t.Errorf("the logout request is %s %s %v", r.Method, r.URL, r.Header)
		}
		status := int(rp.answers.Load())
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		rp.tokens <- r.FormValue("logout_token")
	}))
	t.Cleanup(listener.Close)
	rp.serviceClient = s.makeClient(t, "rp "+newID(), append([]string{"--public", "--redirect-uri", callback, "--backchannel-logout-uri", listener.URL + "/logout?key=k"}, args...)...)
	return rp
}

// next waits for a logout token.
func (rp *relyingParty) next(t *testing.T) string {
	t.Helper()
	select {
	case text := <-rp.tokens:
		return text
	case <-time.After(patience):
		t.Fatal("the client received no logout token")
		return ""
	}
}

// patience is how long a test waits for what must happen, before it fails.
const patience = 30 * time.Second

// receives waits for a logout token, and verifies it.
func (rp *relyingParty) receives(t *testing.T, s *server) jwt.MapClaims {
	t.Helper()
	text := rp.next(t)
	claims := s.idToken(t, text)
	header, _, err := jwt.NewParser().ParseUnverified(text, jwt.MapClaims{})
	events, _ := claims["events"].(map[string]any)
	event, isObject := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	aud, _ := claims.GetAudience()
	exp, _ := claims.GetExpirationTime()
	iat, _ := claims.GetIssuedAt()
	if err != nil || header.Header["typ"] != "logout+jwt" || claims["iss"] != s.url || len(aud) != 1 || aud[0] != rp.ID || claims["jti"] == nil ||
		len(events) != 1 || !isObject || len(event) != 0 || claims["nonce"] != nil || exp.Sub(iat.Time) != 2*time.Minute {
		t.Errorf("the logout token is %v %v", header.Header, claims)
	}
	return claims
}

// D32: whatever ends a session, its client receives one signed logout token.
func TestClientsReceiveLogoutTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		rp := s.relyingParty(t)
		type person struct {
			name   string
			b      *browser
			tokens api.Token
			flow   flow
			code   string
		}
		do := func(p person, method, path string, json any) {
			t.Helper()
			s.do(t, request{method: method, path: path, token: p.tokens.AccessToken, json: json}).want(204)
		}
		for name, end := range map[string]func(p person){
			"signout":  func(p person) { p.b.submit(t, p.b.send(t, get("/sign-out")).want(200).form()).want(200) },
			"sessions": func(p person) { do(p, "DELETE", "/users/me/sessions", nil) },
			"revoke":   func(p person) { s.do(t, rp.authenticated(revocation(p.tokens.RefreshToken))).want(200) },
			"password": func(p person) {
				s.must(t, "another wooden horse\n", "user", "set-password", p.name)
			},
			"disable": func(p person) { s.must(t, "", "user", "disable", p.name) },
			"delete":  func(p person) { s.must(t, "", "user", "delete", p.name, "--yes") },
			"code":    func(p person) { s.do(t, p.flow.grant(p.code)).want(400, "invalid_grant") },
			"refresh": func(p person) {
				r := rp.authenticated(refreshGrant(p.tokens.RefreshToken))
				s.do(t, r).want(200)
				s.clock.advance(time.Hour)
				s.do(t, r).want(400, "invalid_grant")
			},
		} {
			user := s.register(t, name)
			p := person{name: name, b: s.newBrowser(), flow: newFlow(rp.serviceClient, "scope", "openid me:read me:write")}
			p.code = p.b.signIn(t, p.flow, name)
			p.tokens = decode[api.Token](s.do(t, p.flow.grant(p.code)).want(200))
			sid := s.idToken(t, p.tokens.IDToken)["sid"]
			end(p)
			if claims := rp.receives(t, s); claims["sid"] != sid || claims["sub"] != user.ID {
				t.Errorf("%s: the client received a logout token for %v of %v", name, claims["sid"], claims["sub"])
			}
			s.noLogoutsWait(t) // or else the lease would end when the clock advances
		}
		if len(rp.tokens) > 0 {
			t.Error("the client received a second logout token")
		}
	})
}

// noLogoutsWait waits until the queue is empty.
func (s *server) noLogoutsWait(t *testing.T) {
	t.Helper()
	s.waitFor(t, `SELECT CAST(COUNT(*) AS TEXT) FROM logouts`, "0")
}

// waitFor waits until a query has a result.
func (s *server) waitFor(t *testing.T, query, want string) {
	t.Helper()
	s.waitWhile(t, query, want, func() {})
}

// waitWhile is waitFor that does something before each look. There is a pause between two looks: each reads what a worker writes, which
// at the strictest isolation level has to begin again then.
func (s *server) waitWhile(t *testing.T, query, want string, before func()) {
	t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		before()
		got := s.value(t, query)
		if got == want {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%s: %s, want %s", query, got, want)
		}
	}
}

// The server retries when a client fails, follows no redirect, and does not retry when the client refuses the token.
func TestLogoutsAreRetried(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		rp := s.relyingParty(t)
		logIn := func() api.Token {
			b, f := s.newBrowser(), newFlow(rp.serviceClient, "scope", "openid me:write")
			return decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		}
		attempts := func() string { return s.value(t, `SELECT COALESCE(CAST(MAX(attempts) AS TEXT), '') FROM logouts`) }
		tokens := logIn()
		sid := s.idToken(t, tokens.IDToken)["sid"]
		for i, status := range []int32{500, 302, 404, 204} {
			if rp.answers.Store(status); i == 0 {
				s.do(t, rp.authenticated(revocation(tokens.RefreshToken))).want(200)
			}
			if claims := rp.receives(t, s); claims["sid"] != sid {
				t.Errorf("the client received %v", claims)
			}
			if status == 204 {
				break
			}
			s.waitFor(t, `SELECT CAST(claimed_until AS TEXT) FROM logouts`, "0")
			if got := attempts(); got != fmt.Sprint(i+1) {
				t.Errorf("after %d answers there were %s attempts", i+1, got)
			}
			s.clock.advance(10 * time.Second << i)
		}
		s.noLogoutsWait(t) // or else the lease would end when the clock advances
		rp.answers.Store(400)
		s.do(t, rp.authenticated(revocation(logIn().RefreshToken))).want(200)
		rp.receives(t, s)
		s.noLogoutsWait(t)
		if rp.visits.Load() > 0 || len(rp.tokens) > 0 {
			t.Errorf("%d visits elsewhere, %d more tokens", rp.visits.Load(), len(rp.tokens))
		}
		if log := s.wholeLog(); strings.Contains(log, "key=k") {
			t.Error("the log has the address")
		}
	})
}

// The server sends no logout token to other clients, for expired sessions, or to an address that was removed.
func TestLogoutTokensThatAreNotSent(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		rp, other := s.relyingParty(t), s.relyingParty(t)
		logIn := func() api.Token {
			b, f := s.newBrowser(), newFlow(rp.serviceClient)
			return decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		}
		logIn()
		s.sql(t, `UPDATE sessions SET expires_at = 1, check_at = 1 WHERE client_id = '`+rp.ID+`'`)
		if _, err := cleanupJob(s.open(t), s.clock.now).Cleanup(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.noLogoutsWait(t)
		tokens := logIn()
		s.must(t, "", "client", "update", rp.ID, "--backchannel-logout-uri", "")
		s.do(t, rp.authenticated(revocation(tokens.RefreshToken))).want(200)
		s.noLogoutsWait(t)
		if len(rp.tokens)+len(other.tokens) > 0 {
			t.Errorf("%d and %d tokens were sent", len(rp.tokens), len(other.tokens))
		}
	})
}

// Replicas share the work.
func TestReplicasShareTheLogouts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		second := start(t, s.dbURL)
		s.register(t, "ann")
		rp := s.relyingParty(t)
		token := s.login(t, "ann").AccessToken
		sessions := map[any]bool{}
		for range 9 {
			b, f := s.newBrowser(), newFlow(rp.serviceClient)
			sessions[s.idToken(t, decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200)).IDToken)["sid"]] = true
		}
		second.do(t, request{method: "DELETE", path: "/users/me/sessions", token: token})
		s.do(t, request{method: "DELETE", path: "/users/me/sessions", token: token})
		for len(sessions) > 0 {
			claims := jwt.MapClaims{}
			if _, _, err := jwt.NewParser().ParseUnverified(rp.next(t), &claims); err != nil || !sessions[claims["sid"]] {
				t.Fatalf("the client received %v: %v", claims, err)
			}
			delete(sessions, claims["sid"])
		}
		s.noLogoutsWait(t)
	})
}

// A logout token is no hint for who signs out, and an address to tell of logouts is one of a server.
func TestLogoutTokensAndAddresses(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		rp := s.relyingParty(t)
		b, f := s.newBrowser(), newFlow(rp.serviceClient)
		tokens := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		s.do(t, rp.authenticated(revocation(tokens.RefreshToken))).want(200)
		logoutToken := rp.next(t)
		b.send(t, get("/sign-out?"+url.Values{"id_token_hint": {logoutToken}}.Encode())).want(400)
		s.do(t, request{method: "GET", path: "/userinfo", token: logoutToken}).want(401)

		manager := s.clientManager(t, "manager")
		for _, address := range []string{"http://app.example/logout", "com.example.app:/logout", "https://app.example/#x", "https://user@app.example/", "ftp://app.example/", "/logout", "javascript:x"} {
			body := map[string]any{"name": "x", "backchannel_logout_uri": address}
			s.do(t, request{method: "POST", path: "/clients", token: manager, json: body}).want(422, "validation_failed").pointsAt("/backchannel_logout_uri")
		}
		path := "/clients/" + rp.ID
		changed := decode[api.OAuthClient](s.do(t, request{method: "PATCH", path: path, token: manager, json: map[string]any{"backchannel_logout_uri": "https://app.example/logout"}}).want(200))
		if changed.BackchannelLogoutURI != "https://app.example/logout" || changed.DeviceGrant {
			t.Errorf("%+v", changed)
		}
		changed = decode[api.OAuthClient](s.do(t, request{method: "PATCH", path: path, token: manager, json: map[string]any{"backchannel_logout_uri": "", "device_grant": true}}).want(200))
		if changed.BackchannelLogoutURI != "" || !changed.DeviceGrant {
			t.Errorf("%+v", changed)
		}
	})
}
