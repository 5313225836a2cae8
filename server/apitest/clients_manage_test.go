package apitest

import (
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

// clientManager makes an administrator of clients, and returns its token.
func (s *server) clientManager(t *testing.T, name string, scopes ...string) string {
	t.Helper()
	s.register(t, name)
	scopes = append(scopes, "clients:read", "clients:write")
	for _, scope := range scopes {
		s.must(t, "", "user", "grant", name, scope)
	}
	return decode[api.Token](s.do(t, withScope(passwordGrant(name, horse), strings.Join(scopes, " "))).want(200)).AccessToken
}

// An administrator creates, changes and deletes clients; what they may do takes effect at once.
func TestManageClients(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		manager := s.clientManager(t, "manager")
		send := func(method, path string, body any) *answer {
			t.Helper()
			return s.do(t, request{method: method, path: path, token: manager, json: body})
		}
		created := decode[api.OAuthClientWithSecret](send("POST", "/clients", map[string]any{"name": "web", "redirect_uris": []string{callback}}).want(201))
		if created.ClientSecret == nil || created.PasswordGrant || created.Public || created.ThirdParty || !created.RequirePkce {
			t.Errorf("%+v", created)
		}
		path := "/clients/" + created.ClientID
		client := serviceClient{created.ClientID, *created.ClientSecret}
		if shown := string(send("GET", path, nil).want(200).body) + string(send("GET", "/clients", nil).want(200).body); strings.Contains(shown, client.Secret) || strings.Count(shown, client.ID) != 2 {
			t.Error(shown)
		}
		s.register(t, "ann")
		b, f := s.newBrowser(), newFlow(client)
		tokens := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		works := func(status int) {
			t.Helper()
			s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(status)
		}

		send("PATCH", path, map[string]any{"name": "renamed", "redirect_uris": []string{callback, "http://127.0.0.1/cb"}}).want(200)
		works(200)
		send("PATCH", path, map[string]any{"redirect_uris": []string{"http://127.0.0.1/cb"}}).want(200)
		works(401)
		if a := b.send(t, f.request()); a.status != 400 {
			t.Errorf("a removed address: %d", a.status)
		}
		send("POST", "/clients", map[string]any{"name": "renamed"}).want(409, "client_name_taken").pointsAt("/name")
		send("POST", "/clients", map[string]any{"name": "other"}).want(201)
		send("PATCH", path, map[string]any{"name": "other"}).want(409, "client_name_taken")
		for field, body := range map[string]map[string]any{
			"/redirect_uris/1": {"redirect_uris": []string{callback, "http://app.example/"}}, "/redirect_uris/0": {"redirect_uris": []string{"app:/x"}},
			"/sign_out_uris/0": {"post_logout_redirect_uris": []string{"https://app.example/#x"}}, "/name": {"name": " x"},
			"/scopes": {"scopes": []string{"users:write"}},
		} {
			send("PATCH", path, body).want(422, "validation_failed").pointsAt(strings.Replace(field, "sign_out_uris", "post_logout_redirect_uris", 1))
		}
		send("POST", "/clients", map[string]any{"name": "app", "public": true, "require_pkce": false, "redirect_uris": []string{callback}}).want(422)
		send("POST", "/clients", map[string]any{"name": "app", "public": true}).want(422)

		old, grant := client.Secret, clientGrant("")
		replaced := decode[api.OAuthClientWithSecret](send("POST", path+"/secret", map[string]any{"keep_old_for": 60}).want(200))
		for _, secret := range []string{old, *replaced.ClientSecret} {
			s.do(t, serviceClient{client.ID, secret}.sends(grant)).want(400, "invalid_scope")
		}
		s.clock.advance(61 * time.Second)
		s.do(t, serviceClient{client.ID, old}.sends(grant)).want(401, "invalid_client")
		now := decode[api.OAuthClientWithSecret](send("POST", path+"/secret", map[string]any{"keep_old_for": 0}).want(200))
		s.do(t, serviceClient{client.ID, *replaced.ClientSecret}.sends(grant)).want(401, "invalid_client")
		s.do(t, serviceClient{client.ID, *now.ClientSecret}.sends(grant)).want(400, "invalid_scope")

		send("DELETE", path, nil).want(204)
		for _, r := range [][2]string{{"GET", path}, {"DELETE", path}, {"GET", "/clients/" + newID()}} {
			send(r[0], r[1], nil).want(404, "not_found")
		}
		send("PATCH", path, map[string]any{"name": "x"}).want(404, "not_found")
		send("POST", path+"/secret", map[string]any{"keep_old_for": 0}).want(404, "not_found")
	})
}

// Nobody gives a client what they do not have themselves.
func TestNobodyGivesAClientMoreThanTheyHave(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		limited, able := s.clientManager(t, "limited"), s.clientManager(t, "able", "users:read")
		create := func(token, name string, scopes ...string) *answer {
			t.Helper()
			return s.do(t, request{method: "POST", path: "/clients", token: token, json: map[string]any{"name": name, "scopes": scopes}})
		}
		create(limited, "a", "users:read").want(422, "validation_failed").pointsAt("/scopes")
		created := decode[api.OAuthClientWithSecret](create(able, "b", "users:read").want(201))
		change := func(token string, scopes ...string) *answer {
			t.Helper()
			return s.do(t, request{method: "PATCH", path: "/clients/" + created.ClientID, token: token, json: map[string]any{"scopes": append([]string{}, scopes...)}})
		}
		change(limited, "users:read", "clients:read").want(200) // it has users:read already
		change(limited, "users:read", "users:write").want(422)
		change(limited).want(200)
		change(limited, "users:read").want(422)
		// A client that may manage clients is bound by its own scopes, too.
		robot := decode[api.OAuthClientWithSecret](create(able, "robot", "clients:write").want(201))
		token := decode[api.Token](s.do(t, serviceClient{robot.ClientID, *robot.ClientSecret}.sends(clientGrant(""))).want(200)).AccessToken
		create(token, "c", "users:read").want(422)
		create(token, "d", "clients:write").want(201)
	})
}

// Nobody takes over a client that has more than they have: its secret, or an address of theirs, would give it to them.
func TestNobodyTakesOverAClientThatHasMore(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		limited, able := s.clientManager(t, "limited"), s.clientManager(t, "able", "users:read")
		send := func(token, method, path string, body map[string]any) *answer {
			t.Helper()
			return s.do(t, request{method: method, path: path, token: token, json: body})
		}
		create := func(name string, more map[string]any) string {
			t.Helper()
			body := map[string]any{"name": name, "scopes": []string{"users:read", "clients:read"}, "redirect_uris": []string{callback}}
			for field, value := range more {
				body[field] = value
			}
			return "/clients/" + decode[api.OAuthClientWithSecret](send(able, "POST", "/clients", body).want(201)).ClientID
		}
		first, third := create("first", nil), create("third", map[string]any{"third_party": true})
		for _, try := range []struct {
			method, path string
			body         map[string]any
		}{
			{"POST", first + "/secret", map[string]any{"keep_old_for": 0}},
			{"PATCH", first, map[string]any{"redirect_uris": []string{callback, "https://evil.example/"}}},
			{"PATCH", first, map[string]any{"redirect_uris": []string{"https://other.example/"}}},
			{"PATCH", first, map[string]any{"password_grant": true}},
			{"PATCH", first, map[string]any{"device_grant": true}},
			{"PATCH", first, map[string]any{"require_pkce": false}},
			{"PATCH", third, map[string]any{"third_party": false}},
		} {
			if a := send(limited, try.method, try.path, try.body); a.status != 403 || !strings.Contains(a.header.Get("WWW-Authenticate"), `scope="users:read"`) {
				t.Errorf("%s %v: %d %s", try.method, try.body, a.status, a.body)
			}
			send(able, try.method, try.path, try.body).want(200)
		}
		// It may be made narrower, and then it can be taken over.
		send(limited, "PATCH", first, map[string]any{"name": "renamed", "redirect_uris": []string{}, "password_grant": false, "require_pkce": true}).want(200)
		send(limited, "PATCH", first, map[string]any{"scopes": []string{"clients:read"}, "redirect_uris": []string{"https://mine.example/"}}).want(200)
		send(limited, "POST", first+"/secret", map[string]any{"keep_old_for": 0}).want(200)
	})
}

// A third party's client has no password grant: it would get the default scopes without asking the person.
func TestAThirdPartyHasNoPasswordGrant(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		manager := s.clientManager(t, "manager")
		send := func(method, path string, body map[string]any) *answer {
			t.Helper()
			return s.do(t, request{method: method, path: path, token: manager, json: body})
		}
		send("POST", "/clients", map[string]any{"name": "both", "third_party": true, "password_grant": true, "redirect_uris": []string{callback}}).want(422).pointsAt("/password_grant")
		for _, first := range []string{"third_party", "password_grant"} {
			body := map[string]any{"name": first, "redirect_uris": []string{callback}, first: true}
			path := "/clients/" + decode[api.OAuthClientWithSecret](send("POST", "/clients", body).want(201)).ClientID
			send("PATCH", path, map[string]any{"third_party": true, "password_grant": true}).want(422).pointsAt("/password_grant")
		}
	})
}

// The command line changes clients and replaces their secrets, too.
func TestClientsAtTheCommandLine(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		client := s.makeClient(t, "shop", "--redirect-uri", callback)
		out := s.must(t, "", "client", "update", client.ID, "--name", "store", "--third-party", "--redirect-uri", "http://127.0.0.1/a", "--redirect-uri", "http://127.0.0.1/b")
		for _, part := range []string{"store", "third_party     yes", "password_grant  no", "http://127.0.0.1/a", "http://127.0.0.1/b"} {
			if !strings.Contains(out, part) {
				t.Errorf("%q is not in\n%s", part, out)
			}
		}
		if out = s.must(t, "", "client", "update", client.ID, "--no-third-party", "--password-grant", "--json"); !strings.Contains(out, `"third_party":false`) || !strings.Contains(out, `"password_grant":true`) {
			t.Error(out)
		}
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		fails(t, "", e, `--redirect-uri "http://shop.example/" must begin with https://`, "client", "update", client.ID, "--redirect-uri", "http://shop.example/")
		fails(t, "", e, "unknown client", "client", "update", newID(), "--name", "x")
		fails(t, "", e, "--password-grant is not for the client of a third party", "client", "create", "x", "--third-party", "--password-grant", "--redirect-uri", callback)
		if out = s.must(t, "", "client", "create", "partner", "--third-party", "--scope", "me:read", "--redirect-uri", callback); !strings.Contains(out, "me:read") {
			t.Error(out)
		}
		fails(t, "", e, "client_id", "client", "update", "store", "--name", "x")
		fails(t, "", e, "--keep-old-for is from 0s", "client", "secret", client.ID, "--keep-old-for", "1000h")
		made := decode[serviceClient](&answer{t: t, body: []byte(s.must(t, "", "client", "secret", client.ID, "--json"))})
		s.do(t, client.sends(clientGrant(""))).want(401, "invalid_client")
		s.do(t, made.sends(clientGrant(""))).want(400, "invalid_scope")
	})
}

// A client's tokens and sessions can live for a shorter time than those of the server, and not for a longer one.
func TestLifetimesOfAClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		manager := s.clientManager(t, "manager")
		client := s.makeClient(t, "kiosk", "--redirect-uri", callback, "--token-ttl", "2m", "--session-ttl", "10m")
		path := "/clients/" + client.ID
		if c := decode[api.OAuthClient](s.do(t, request{method: "GET", path: path, token: manager}).want(200)); c.AccessTokenTTL != 120 || c.SessionTTL != 600 {
			t.Errorf("%+v", c)
		}
		b, f := s.newBrowser(), newFlow(client)
		tokens := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		claims := s.idToken(t, tokens.IDToken)
		if tokens.ExpiresIn != 120 || claims["exp"].(float64)-claims["iat"].(float64) != 120 {
			t.Errorf("expires_in is %d, and the ID token %v", tokens.ExpiresIn, claims)
		}
		if own := decode[api.Token](s.do(t, client.sends(clientGrant(""))).want(400, "invalid_scope")); own.AccessToken != "" {
			t.Error("a client without scopes has a token")
		}
		refreshed := func(token string) *answer {
			return s.do(t, client.posts(refreshGrant(token)))
		}
		s.clock.advance(3 * time.Minute)
		s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(401)
		s.clock.advance(6 * time.Minute)
		tokens = decode[api.Token](refreshed(tokens.RefreshToken).want(200))
		s.clock.advance(2 * time.Minute)
		refreshed(tokens.RefreshToken).want(400, "invalid_grant")
		codeOf(t, b.send(t, f.request())) // the browser is still signed in
		for field, body := range map[string]map[string]any{
			"/access_token_ttl": {"access_token_ttl": 601}, "/session_ttl": {"session_ttl": 59},
		} {
			s.do(t, request{method: "PATCH", path: path, token: s.clientManager(t, "manager"+field[1:3]), json: body}).want(422).pointsAt(field)
		}
		if out := s.must(t, "", "client", "update", client.ID, "--token-ttl", "0s", "--json"); !strings.Contains(out, `"access_token_ttl":0`) || !strings.Contains(out, `"session_ttl":600`) {
			t.Error(out)
		}
	})
}
