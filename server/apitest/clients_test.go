package apitest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sesame/gen/api"
	"sesame/server/internal/token"
)

// serviceClient is one that `client create` made.
type serviceClient struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// makeClient makes a service client on the server's database, as an operator does.
func (s *server) makeClient(t *testing.T, name string, args ...string) (c serviceClient) {
	t.Helper()
	if !slices.Contains(args, "--no-password-grant") && !slices.Contains(args, "--redirect-uri") {
		args = append(args, "--password-grant")
	}
	stdout, stderr, code := s.sesame(t, "", append([]string{"client", "create", name, "--json"}, args...)...)
	if err := json.Unmarshal([]byte(stdout), &c); code != 0 || err != nil || c.ID == "" {
		t.Fatalf("%d %v %s", code, err, stderr)
	}
	return c
}

func (s *server) deleteClient(t *testing.T, c serviceClient) {
	t.Helper()
	if _, stderr, code := s.sesame(t, "", "client", "delete", c.ID); code != 0 {
		t.Fatalf("%d %s", code, stderr)
	}
}

func basicHeader(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// sends gives a request with the client's credentials in the header.
func (c serviceClient) sends(r request) request {
	r.header = map[string]string{"Authorization": basicHeader(c.ID, c.Secret)}
	return r
}

// posts gives a request with the client's credentials in the form.
func (c serviceClient) posts(r request) request {
	r.form = maps.Clone(r.form)
	r.form.Set("client_id", c.ID)
	r.form.Set("client_secret", c.Secret)
	return r
}

func clientGrant(scope string) request {
	r := request{method: "POST", path: "/token", form: url.Values{"grant_type": {"client_credentials"}}}
	if scope != "" {
		r.form.Set("scope", scope)
	}
	return r
}

func revocation(token string) request {
	return request{method: "POST", path: "/token/revoke", form: url.Values{"token": {token}}}
}

func introspection(token string) request {
	return request{method: "POST", path: "/token/introspect", form: url.Values{"token": {token}}}
}

// looksUp introspects a token that is active.
func (c serviceClient) looksUp(t *testing.T, s *server, token string) api.Introspection {
	t.Helper()
	found := decode[api.Introspection](s.do(t, c.sends(introspection(token))).want(200))
	if !found.Active {
		t.Error("the token is not active")
	}
	return found
}

// seesNothing fails the test unless a token is not active, and nothing more is said of it.
func (c serviceClient) seesNothing(t *testing.T, s *server, token string) {
	t.Helper()
	if a := s.do(t, c.sends(introspection(token))).want(200); strings.TrimSpace(string(a.body)) != `{"active":false}` {
		t.Errorf("got %s", a.body)
	}
}

// login logs an account in through the client.
func (c serviceClient) login(t *testing.T, s *server, username string) api.Token {
	t.Helper()
	return decode[api.Token](s.do(t, c.sends(passwordGrant(username, horse))).want(200))
}

// O1, and RFC 6749 §4.4 and RFC 9068 §2.2: a client's own token is about the client.
func TestAClientHasTokensOfItsOwn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := s.makeClient(t, "billing", "--scope", "users:read", "--scope", "users:write")
		a := s.do(t, c.sends(clientGrant(""))).want(200)
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" || strings.Contains(string(a.body), "refresh_token") {
			t.Errorf("answered %v %s", a.header, a.body)
		}
		claims := jwt.MapClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(decode[api.Token](a).AccessToken, claims); err != nil {
			t.Fatal(err)
		}
		if claims["sub"] != c.ID || claims["client_id"] != c.ID || claims["scope"] != "users:read users:write" || claims["sid"] != nil || claims["auth_time"] != nil {
			t.Errorf("the token says %v", claims)
		}
		for asked, granted := range map[string]string{"users:read": "users:read", "me:read users:write users:destroy": "users:write", "users:write users:write": "users:write"} {
			if got := decode[api.Token](s.do(t, c.posts(clientGrant(asked))).want(200)); got.Scope != granted {
				t.Errorf("asked for %s and got %s", asked, got.Scope)
			}
		}
		s.do(t, c.sends(clientGrant(defaultScopes()))).want(400, "invalid_scope")
		s.do(t, s.makeClient(t, "reader").sends(clientGrant(""))).want(400, "invalid_scope")
		s.do(t, clientGrant("")).want(401, "invalid_client")
		s.do(t, serviceClient{ID: "first-party"}.sends(clientGrant(""))).want(401, "invalid_client")
	})
}

// O3: how a client proves itself, and that an unknown one and a wrong secret cannot be told apart.
func TestAClientProvesItself(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		c := s.makeClient(t, "billing", "--scope", "users:read")
		other := s.makeClient(t, "shipping", "--scope", "users:read")
		encoded := request{method: "POST", path: "/token", form: clientGrant("").form, header: map[string]string{
			"Authorization": basicHeader(strings.ReplaceAll(c.ID, "-", "%2D"), strings.ReplaceAll(c.Secret, c.Secret[:1], "%"+hexOf(c.Secret[0]))),
		}}
		s.do(t, encoded).want(200)
		s.do(t, c.posts(clientGrant(""))).want(200)
		s.do(t, c.sends(passwordGrant("ann", "not the password"))).want(400, "invalid_grant")
		s.do(t, c.sends(request{method: "POST", path: "/token?client_id=x", form: clientGrant("").form})).want(400, "invalid_request")

		first := s.do(t, serviceClient{newID(), c.Secret}.sends(clientGrant(""))).want(401, "invalid_client")
		for name, wrong := range map[string]serviceClient{
			"another's secret": {c.ID, other.Secret}, "no secret": {c.ID, ""}, "no id": {"", c.Secret}, "half the secret": {c.ID, c.Secret[:20]},
			"the stored hash": {c.ID, s.value(t, `SELECT secret_hash FROM clients WHERE id = '`+c.ID+`'`)},
			"the name":        {"billing", c.Secret}, "capitals": {strings.ToUpper(c.ID), c.Secret}, "NUL": {c.ID + "\x00", c.Secret}, "no text": {"\xff", c.Secret}, "long": {strings.Repeat("x", 2000), c.Secret},
			"a URN": {"urn:uuid:" + c.ID, c.Secret}, "first-party": {"first-party", c.Secret},
		} {
			t.Run(name, func(t *testing.T) {
				for _, r := range []request{clientGrant(""), passwordGrant("ann", horse), refreshGrant("x"), revocation("x"), introspection("x")} {
					a := s.do(t, wrong.sends(r)).want(401, "invalid_client")
					if a.header.Get("WWW-Authenticate") != `Basic realm="sesame", charset="UTF-8"` || string(a.body) != string(first.body) {
						t.Errorf("answered %v %s", a.header, a.body)
					}
				}
				if len(wrong.ID) < 200 && !strings.Contains(wrong.ID, "\xff") { // else the form itself is at fault
					s.do(t, wrong.posts(clientGrant(""))).want(401, "invalid_client")
				}
			})
		}
	})
}

// O3: a client that authenticates in the header may repeat its id in the form, as libraries do, but must not name
// another client nor bring a second secret (RFC 6749 §2.3.1). An empty parameter is no parameter.
func TestAFormMayRepeatTheClientOfTheHeader(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		c := s.makeClient(t, "billing", "--scope", "users:read")
		other := s.makeClient(t, "shipping", "--scope", "users:read")
		tokens := c.login(t, s, "ann")
		operations := map[string]func() request{
			"a client's token": func() request { return clientGrant("") },
			"a login":          func() request { return passwordGrant("ann", horse) },
			"a refresh":        func() request { return refreshGrant(tokens.RefreshToken) },
			"a revocation":     func() request { return revocation(tokens.AccessToken) },
			"an introspection": func() request { return introspection(tokens.AccessToken) },
		}
		for name, operation := range operations {
			t.Run(name, func(t *testing.T) {
				for beside, expected := range map[string]struct {
					form   url.Values
					status int
					code   string
				}{
					"the same id":            {url.Values{"client_id": {c.ID}}, 200, ""},
					"empty parameters":       {url.Values{"client_id": {""}, "client_secret": {""}}, 200, ""},
					"another client":         {url.Values{"client_id": {other.ID}}, 400, "invalid_request"},
					"first-party":            {url.Values{"client_id": {"first-party"}}, 400, "invalid_request"},
					"capitals":               {url.Values{"client_id": {strings.ToUpper(c.ID)}}, 400, "invalid_request"},
					"the same id and secret": {url.Values{"client_id": {c.ID}, "client_secret": {c.Secret}}, 400, "invalid_request"},
					"a secret alone":         {url.Values{"client_secret": {c.Secret}}, 400, "invalid_request"},
				} {
					r := c.sends(operation())
					r.form = maps.Clone(r.form)
					maps.Copy(r.form, expected.form)
					if a := s.do(t, r); a.status != expected.status || a.code() != expected.code {
						t.Errorf("%s beside the header: got %d %s", beside, a.status, a.body)
					}
					if expected.status == 200 && (name == "a refresh" || name == "a revocation") { // which used the token up
						tokens = c.login(t, s, "ann")
					}
				}
			})
		}
		// An empty header is no client, so the form is where it is.
		for _, r := range []request{clientGrant(""), revocation("x")} {
			r = c.posts(r)
			r.header = map[string]string{"Authorization": "Basic Og=="}
			s.do(t, r).want(200)
		}
	})
}

// O3: two Authorization headers are none that can be relied on.
func TestTwoAuthorizationHeadersAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	c := s.makeClient(t, "billing", "--scope", "users:read")
	for path, form := range map[string]string{"/token": "grant_type=client_credentials", "/token/revoke": "token=x", "/token/introspect": "token=x"} {
		header := basicHeader(c.ID, c.Secret) + "\r\nAuthorization: " + basicHeader(c.ID, c.Secret)
		status := s.rawStatus(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			path, header, len(form), form))
		if status != 400 {
			t.Errorf("%s answered %d", path, status)
		}
	}
}

func hexOf(b byte) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// A client has no account. It has the scopes that the operator gave it: it creates accounts although registration is
// closed.
func TestWhatAClientMayDo(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := s.makeClient(t, "billing", "--scope", "users:write")
		own := decode[api.Token](s.do(t, c.sends(clientGrant(""))).want(200)).AccessToken
		for _, op := range rules.Operations() {
			if !strings.HasPrefix(op.Path, "/users/me") {
				continue
			}
			r := exampleOf(t, op, map[string]string{"session_id": newID(), "factor_id": newID(), "identity_id": newID(), "token_id": newID(), "client_id": newID()})
			r.token = own
			checkChallenge(t, op, "insufficient_scope", s.do(t, r).want(403, "insufficient_scope"))
		}
		create := request{method: "POST", path: "/users", json: map[string]any{"username": "ann", "password": horse}}
		s.do(t, create).want(403, "registration_closed")
		reader := s.makeClient(t, "reader", "--scope", "users:read")
		create.token = decode[api.Token](s.do(t, reader.sends(clientGrant(""))).want(200)).AccessToken
		s.do(t, create).want(403, "registration_closed")
		create.token = own
		s.do(t, create).want(201)
	}, "SESAME_REGISTRATION=closed")
}

// A login through a client belongs to it, and has no more than the person and the client both have.
func TestPeopleLogInThroughAClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.must(t, "", "user", "grant", "ann", "users:read", "users:write")
		c := s.makeClient(t, "app", "--scope", "users:read")
		tokens := c.login(t, s, "ann")
		claims := jwt.MapClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(tokens.AccessToken, claims); err != nil {
			t.Fatal(err)
		}
		if claims["client_id"] != c.ID || claims["sid"] == nil || tokens.Scope != defaultScopes() {
			t.Errorf("the token says %v", claims)
		}
		if got := s.value(t, `SELECT client_id FROM sessions`); got != c.ID {
			t.Errorf("the session is %s's", got)
		}
		s.do(t, me(tokens.AccessToken)).want(200)
		wide := c.sends(passwordGrant("ann", horse))
		wide.form.Set("scope", "me:read users:read users:write")
		if got := decode[api.Token](s.do(t, wide).want(200)); got.Scope != "me:read users:read" {
			t.Errorf("got %s", got.Scope)
		}
		wide.form.Set("scope", "users:write")
		s.do(t, wide).want(400, "invalid_scope")

		barred := s.makeClient(t, "batch", "--no-password-grant", "--scope", "users:read")
		s.do(t, barred.sends(passwordGrant("ann", horse))).want(400, "unauthorized_client")
		s.do(t, barred.sends(passwordGrant("ann", "not the password"))).want(400, "unauthorized_client")
		s.do(t, barred.sends(clientGrant(""))).want(200)
	})
}

// R4: a refresh token is valid for the client that it was issued to. Another client is refused, and the session goes
// on.
func TestARefreshTokenBelongsToItsClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		a, b := s.makeClient(t, "a"), s.makeClient(t, "b")
		first, ours := a.login(t, s, "ann"), s.login(t, "ann")
		refused := func(r request) {
			t.Helper()
			s.do(t, r).want(400, "invalid_grant")
			r.form.Set("scope", "users:write") // which would be invalid_scope of one's own
			s.do(t, r).want(400, "invalid_grant")
		}
		refused(b.sends(refreshGrant(first.RefreshToken)))
		refused(b.posts(refreshGrant(first.RefreshToken)))
		refused(refreshGrant(first.RefreshToken))
		refused(serviceClient{ID: "first-party"}.sends(refreshGrant(first.RefreshToken)))
		refused(a.sends(refreshGrant(ours.RefreshToken)))
		s.do(t, refreshGrant(ours.RefreshToken)).want(200)

		second := decode[api.Token](s.do(t, a.sends(refreshGrant(first.RefreshToken))).want(200))
		refused(b.sends(refreshGrant(first.RefreshToken))) // within the grace
		third := decode[api.Token](s.do(t, a.posts(refreshGrant(second.RefreshToken))).want(200))
		refused(b.sends(refreshGrant(first.RefreshToken))) // used long ago: of its own client this ends the session
		s.do(t, me(third.AccessToken)).want(200)
		s.do(t, a.sends(refreshGrant(first.RefreshToken))).want(400, "invalid_grant")
		s.do(t, me(third.AccessToken)).want(401, "invalid_token")
	})
}

// T7: deleting a client ends its tokens, and the sessions that people have through it, at once.
func TestADeletedClientsTokensStop(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		c, witness := s.makeClient(t, "billing", "--scope", "users:write"), s.makeClient(t, "witness")
		own := decode[api.Token](s.do(t, c.sends(clientGrant(""))).want(200)).AccessToken
		theirs, ours := c.login(t, s, "ann"), s.login(t, "ann")
		create := request{method: "POST", path: "/users", token: own, json: map[string]any{"username": "bob", "password": horse}}
		s.do(t, create).want(201)
		s.do(t, me(theirs.AccessToken)).want(200)
		s.deleteClient(t, c)
		s.do(t, create).want(401, "invalid_token")
		s.do(t, me(theirs.AccessToken)).want(401, "invalid_token")
		for _, token := range []string{own, theirs.AccessToken, theirs.RefreshToken} {
			witness.seesNothing(t, s, token)
		}
		for _, r := range []request{clientGrant(""), passwordGrant("ann", horse), refreshGrant(theirs.RefreshToken), introspection("x"), revocation("x")} {
			s.do(t, c.sends(r)).want(401, "invalid_client")
		}
		s.do(t, refreshGrant(theirs.RefreshToken)).want(400, "invalid_grant")
		s.do(t, me(ours.AccessToken)).want(200)
		if sessions := s.sessions(t, ours.AccessToken); len(sessions) != 1 || !sessions[0].Current {
			t.Errorf("the session through the client has not ended: %+v", sessions)
		}

		// A login that was under way while the client was deleted has left a session behind.
		left := newSeeder(t, s).addUser(t)
		s.sql(t, `UPDATE sessions SET client_id = '`+c.ID+`' WHERE user_id = '`+left.userID+`'`)
		now := s.clock.now()
		late := s.signed(t, s.issuer(t, s.url, s.url), token.Access{
			ID: newID(), Subject: left.userID, SessionID: left.sessionID, ClientID: c.ID, Scope: "me:read",
			AuthTime: now, IssuedAt: now, ExpiresAt: now.Add(time.Minute),
		})
		s.do(t, me(late)).want(401, "invalid_token")
		witness.seesNothing(t, s, late)
	})
}

// RFC 7662: introspection describes valid tokens, and says nothing of others.
func TestIntrospection(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		user := s.register(t, "ann")
		c := s.makeClient(t, "billing", "--scope", "users:read")
		tokens, through := s.login(t, "ann"), c.login(t, s, "ann")
		own := decode[api.Token](s.do(t, c.sends(clientGrant(""))).want(200)).AccessToken

		a := s.do(t, c.sends(introspection(tokens.AccessToken))).want(200)
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
			t.Errorf("may be stored: %v", a.header)
		}
		claims := jwt.MapClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(tokens.AccessToken, claims); err != nil {
			t.Fatal(err)
		}
		said := decode[map[string]any](a)
		if said["active"] != true || said["username"] != "ann" || said["token_type"] != "bearer" || said["sub"] != user.ID || said["client_id"] != "first-party" {
			t.Errorf("said %v", said)
		}
		for _, name := range []string{"scope", "client_id", "exp", "iat", "sub", "iss", "jti", "sid"} {
			if said[name] == nil || said[name] != claims[name] {
				t.Errorf("%s is %v and not %v", name, said[name], claims[name])
			}
		}
		if aud, err := claims.GetAudience(); err != nil || aud[0] != said["aud"] {
			t.Errorf("aud is %v and not %v", said["aud"], aud)
		}
		refresh, theirs := c.looksUp(t, s, through.RefreshToken), c.looksUp(t, s, through.AccessToken)
		if *refresh.TokenType != api.IntrospectionTokenTypeRefreshToken || *refresh.Sid != *theirs.Sid || *refresh.Username != "ann" || refresh.Jti != nil || *refresh.Aud != s.url {
			t.Errorf("of a refresh token it says %+v", refresh)
		}
		if got := c.looksUp(t, s, through.AccessToken); *got.ClientID != c.ID {
			t.Errorf("the client is %s", *got.ClientID)
		}
		if got := c.looksUp(t, s, own); *got.Sub != c.ID || *got.ClientID != c.ID || got.Username != nil || got.Sid != nil || *got.Scope != "users:read" {
			t.Errorf("of a client's token it says %+v", got)
		}
		s.introspectsOthers(t, c, user.ID)
	})
}

// introspectsOthers is about tokens that do not stand.
func (s *server) introspectsOthers(t *testing.T, c serviceClient, userID string) {
	t.Helper()
	tokens := c.login(t, s, "ann")
	for _, nonsense := range []string{"x", tokens.AccessToken + "A", tokens.RefreshToken[:50], strings.Repeat(".", 8000), "\x00"} {
		c.seesNothing(t, s, nonsense)
	}
	next := decode[api.Token](s.do(t, c.sends(refreshGrant(tokens.RefreshToken))).want(200))
	c.seesNothing(t, s, tokens.RefreshToken) // used
	c.looksUp(t, s, next.RefreshToken)
	s.do(t, c.sends(revocation(next.RefreshToken))).want(200)
	c.seesNothing(t, s, next.RefreshToken)
	c.seesNothing(t, s, next.AccessToken)

	disabled := c.login(t, s, "ann")
	s.sql(t, `UPDATE users SET disabled = TRUE WHERE id = '`+userID+`'`)
	c.seesNothing(t, s, disabled.AccessToken)
	c.seesNothing(t, s, disabled.RefreshToken)
	s.sql(t, `UPDATE users SET disabled = FALSE WHERE id = '`+userID+`'`)
	c.looksUp(t, s, disabled.AccessToken)
	s.clock.advance(10*time.Minute + time.Second) // the leeway is for others
	c.seesNothing(t, s, disabled.AccessToken)
	c.looksUp(t, s, disabled.RefreshToken)
	s.clock.advance(7 * 24 * time.Hour)
	c.seesNothing(t, s, disabled.RefreshToken)
}

// A refresh token can be introspected by the client that it was issued to, and by no other; nobody can introspect as
// first-party.
func TestARefreshTokenIsLookedUpByItsClientAlone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		a, b := s.makeClient(t, "a"), s.makeClient(t, "b")
		theirs, ours := a.login(t, s, "ann"), s.login(t, "ann")
		a.looksUp(t, s, theirs.RefreshToken)
		b.seesNothing(t, s, theirs.RefreshToken)
		for _, c := range []serviceClient{a, b} {
			c.seesNothing(t, s, ours.RefreshToken)
			c.looksUp(t, s, ours.AccessToken) // an API has to look at the tokens of others
			c.looksUp(t, s, theirs.AccessToken)
		}
		s.do(t, a.sends(refreshGrant(theirs.RefreshToken))).want(200) // being looked up has not used it
	})
}

// A scope at introspection narrows the answer at other servers. Here it is refused: ignoring it would answer
// active where they answer inactive.
func TestAScopeAtIntrospectionIsRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		c := s.makeClient(t, "billing")
		for scope, status := range map[string]int{"users:write": 400, "me:read": 400, " ": 400, "\x00": 400, "": 200} {
			r := c.sends(introspection(token))
			r.form.Set("scope", scope)
			a := s.do(t, r).want(status)
			if status == 400 && (a.code() != "invalid_request" || !strings.Contains(string(a.body), "scope of the response")) {
				t.Errorf("%q is answered with %s", scope, a.body)
			}
		}
	})
}

// O2, O3: only a client may ask, and in a form.
func TestWhoMayIntrospect(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		tokens := s.newcomer(t, "ann")
		c := s.makeClient(t, "billing")
		bearer := introspection(tokens.AccessToken)
		bearer.token = tokens.AccessToken
		empty := introspection(tokens.AccessToken)
		empty.header = map[string]string{"Authorization": "Basic Og=="}
		for name, r := range map[string]request{
			"nobody": introspection(tokens.AccessToken), "a bearer": bearer, "an empty Basic": empty,
			"first-party": serviceClient{ID: "first-party"}.sends(introspection(tokens.AccessToken)),
			"in the form": c.posts(introspection(tokens.AccessToken)),
		} {
			t.Run(name, func(t *testing.T) {
				a := s.do(t, r).want(401, "invalid_client")
				if a.header.Get("WWW-Authenticate") != `Basic realm="sesame", charset="UTF-8"` || a.header.Get("Cache-Control") != "no-store" {
					t.Errorf("answered %v", a.header)
				}
			})
		}
		s.do(t, c.sends(request{method: "POST", path: "/token/introspect", form: url.Values{}})).want(400, "invalid_request")
		s.do(t, c.sends(request{method: "POST", path: "/token/introspect?token=x", form: url.Values{"token": {"x"}}})).want(400, "invalid_request")
		twice := c.sends(introspection("x"))
		twice.form.Add("token", "y")
		s.do(t, twice).want(400, "invalid_request")
		s.do(t, c.sends(request{method: "POST", path: "/token/introspect", json: map[string]string{"token": "x"}})).want(415, "invalid_request")
		s.do(t, c.sends(request{method: "GET", path: "/token/introspect"})).want(405)
	})
}

// RFC 7009 §2.1: a client revokes its own tokens, and leaves those of others alone.
func TestAClientRevokesItsOwnTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		a, b := s.makeClient(t, "a", "--scope", "users:write"), s.makeClient(t, "b", "--scope", "users:write")
		grant := func(c serviceClient) string {
			return decode[api.Token](s.do(t, c.sends(clientGrant(""))).want(200)).AccessToken
		}
		own, sibling, theirs, ours := grant(a), grant(a), a.login(t, s, "ann"), s.login(t, "ann")
		for _, token := range []string{own, theirs.AccessToken, theirs.RefreshToken} {
			for _, r := range []request{b.sends(revocation(token)), b.posts(revocation(token)), revocation(token)} {
				s.do(t, r).want(400, "invalid_grant")
			}
			a.looksUp(t, s, token)
		}
		s.do(t, a.sends(revocation(ours.AccessToken))).want(400, "invalid_grant")
		s.do(t, me(ours.AccessToken)).want(200)

		create := request{method: "POST", path: "/users", token: own, json: map[string]any{"username": "bob", "password": horse}}
		s.do(t, a.sends(revocation(own))).want(200)
		s.do(t, create).want(401, "invalid_token") // T7
		s.do(t, a.sends(revocation(own))).want(200)
		b.seesNothing(t, s, own)
		b.looksUp(t, s, sibling)
		s.do(t, a.posts(revocation(theirs.RefreshToken))).want(200)
		s.do(t, me(theirs.AccessToken)).want(401, "invalid_token")
		s.do(t, a.sends(revocation(theirs.RefreshToken))).want(200)
		s.do(t, a.sends(revocation("unknown"))).want(200)
	})
}

// R5: a database that fails is a fault, and no answer about a token or a client.
func TestAFaultIsNotAnAnswerAboutATokenOrAClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		tokens, c := s.newcomer(t, "ann"), s.makeClient(t, "billing", "--scope", "users:read")
		s.sql(t, `ALTER TABLE sessions RENAME TO sessions_away`)
		for _, token := range []string{tokens.AccessToken, tokens.RefreshToken} {
			s.do(t, c.sends(introspection(token))).want(500, "server_error")
			s.do(t, c.sends(revocation(tokens.RefreshToken))).want(500, "server_error")
		}
		s.sql(t, `ALTER TABLE sessions_away RENAME TO sessions`)
		s.sql(t, `ALTER TABLE clients RENAME TO clients_away`)
		for _, r := range []request{clientGrant(""), introspection("x"), revocation("x"), refreshGrant("x")} {
			s.do(t, c.sends(r)).want(500, "server_error")
		}
	})
}

// A2: a client's secret, and the tokens that it asks about, are in no log and no answer but the first.
func TestAClientsSecretIsInNoLog(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		c := s.makeClient(t, "billing", "--scope", "users:read")
		own, tokens := decode[api.Token](s.do(t, c.sends(clientGrant(""))).want(200)).AccessToken, c.login(t, s, "ann")
		wrong := serviceClient{newID(), canary}
		secrets := []string{c.Secret, base64.StdEncoding.EncodeToString([]byte(c.ID + ":" + c.Secret)), canary, own, tokens.AccessToken, tokens.RefreshToken}
		try := func() {
			for _, token := range []string{own, tokens.AccessToken, tokens.RefreshToken, canary} {
				for _, client := range []serviceClient{c, wrong, {c.ID, canary}, {canary, canary}} {
					for _, r := range []request{introspection(token), revocation(token), clientGrant(canary), refreshGrant(token)} {
						for _, sent := range []request{client.sends(r), client.posts(r)} {
							a := s.do(t, sent)
							for _, secret := range secrets {
								if a.status >= 300 && strings.Contains(string(a.body), secret) {
									t.Errorf("answered %s", a.body)
								}
							}
						}
					}
				}
			}
		}
		try()
		s.sql(t, `DROP TABLE sessions`)
		s.sql(t, `ALTER TABLE clients RENAME TO clients_away`) // each answer is a fault now, which is logged whole
		try()
		log := s.wholeLog()
		for _, secret := range secrets {
			if strings.Contains(log, secret) || strings.Contains(log, url.QueryEscape(secret)) {
				t.Errorf("the log holds %s", secret)
			}
		}
		if !strings.Contains(log, "/token/introspect") || !strings.Contains(log, `"status":500`) {
			t.Error("the log holds nothing of it at all")
		}
	}, "SESAME_LOG_LEVEL=debug")
}

func TestMetadataTellsOfClients(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	m := decode[api.Metadata](s.do(t, request{method: "GET", path: "/.well-known/oauth-authorization-server"}).want(200))
	if m.IntrospectionEndpoint != s.url+"/token/introspect" || !slices.Contains(m.GrantTypesSupported, "client_credentials") ||
		!slices.Equal(m.TokenEndpointAuthMethodsSupported, []string{"none", "client_secret_basic", "client_secret_post"}) {
		t.Errorf("got %+v", m)
	}
}

// The record of a revoked token is deleted when the token would have expired, and not before.
func TestRevokedTokensAreForgottenWhenTheyExpire(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c, ctx, now := newSeeder(t, s), t.Context(), s.clock.now()
		for id, expires := range map[string]time.Time{"over": now.Add(-time.Second), "not yet": now.Add(time.Second)} {
			for range 2 { // revoked again
				if err := c.db.RevokeToken(ctx, id, expires); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n, err := c.db.DeleteExpiredRevokedTokens(ctx, now, 500); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if left := s.value(t, `SELECT id FROM revoked_tokens`); left != "not yet" {
			t.Errorf("left is %s", left)
		}
		if left := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM revoked_tokens`); left != "1" {
			t.Errorf("%s are left", left)
		}
	})
}
