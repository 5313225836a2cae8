package apitest

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

// push is the request that pushes the parameters of a flow.
func (f flow) push(more ...string) request {
	r := request{method: "POST", path: "/par", form: url.Values{}}
	for name, values := range f.query {
		r.form.Set(name, values[0])
	}
	for i := 0; i < len(more); i += 2 {
		r.form.Set(more[i], more[i+1])
	}
	return f.client.authenticated(r)
}

// pushed is the authorization request of a flow that was pushed. more are further parameters.
func (f flow) pushed(t *testing.T, s *server, more ...string) request {
	t.Helper()
	made := decode[api.PushedAuthorization](s.do(t, f.push()).want(201))
	if made.ExpiresIn != 60 || !strings.HasPrefix(made.RequestURI, "urn:ietf:params:oauth:request_uri:") {
		t.Errorf("%+v", made)
	}
	query := url.Values{"client_id": {f.client.ID}, "request_uri": {made.RequestURI}}
	for i := 0; i < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	return request{method: "GET", path: "/authorize?" + query.Encode()}
}

// D36: a client pushes its request; the browser brings a reference to it, beside which no other parameter counts, and which leads
// to one code.
func TestAPushedRequest(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		for _, client := range []serviceClient{s.publicClient(t), s.makeClient(t, "web", "--redirect-uri", callback)} {
			b, f := s.newBrowser(), newFlow(client)
			r := f.pushed(t, s, "redirect_uri", "https://evil.example/", "state", "evil", "scope", "me:delete", "nonce", "evil", "code_challenge", "evil")
			page := b.send(t, r).want(200).form()
			b.send(t, r).want(200).form() // the page can be loaded again
			if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM used_codes`); n != "0" {
				t.Errorf("%s requests are stored before anybody has signed in", n)
			}
			s.clock.advance(10 * time.Minute) // the person takes their time
			got := b.submit(t, page, "username", "ann", "password", horse).sentTo(callback)
			if got.Get("state") != "a state" || got.Get("iss") != s.url {
				t.Errorf("the client gets %v", got)
			}
			tokens := decode[api.Token](s.do(t, f.grant(got.Get("code"))).want(200))
			if claims := s.idToken(t, tokens.IDToken); claims["sub"] != ann.ID || claims["nonce"] != "a nonce" || tokens.Scope != "openid profile email" {
				t.Errorf("%v %s", claims, tokens.Scope)
			}
			if got = b.submit(t, page, "username", "ann", "password", horse).sentTo(callback); got.Get("error") != "invalid_request" || got.Get("code") != "" {
				t.Errorf("the form a second time: %v", got)
			}
			// Somebody who is signed in is sent on at once, and only once.
			r = newFlow(client).pushed(t, s)
			codeOf(t, b.send(t, r))
			if got = b.send(t, r).sentTo(callback); got.Get("error") != "invalid_request" || got.Get("code") != "" || got.Get("state") != "a state" {
				t.Errorf("the second use: %v", got)
			}
			// By a form, too.
			query, _ := url.ParseQuery(strings.TrimPrefix(newFlow(client).pushed(t, s).path, "/authorize?"))
			next := s.newBrowser().send(t, request{method: "POST", path: "/authorize", form: query}).want(303).header.Get("Location")
			codeOf(t, b.send(t, get(strings.TrimPrefix(next, s.url))))
			s.sql(t, `DELETE FROM used_codes`)
		}
	})
}

// A pushed request is of one client, for a minute; any other reference gets a page, and leads nowhere.
func TestAPushedRequestThatCannotBeUsed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client, other := s.publicClient(t), s.publicClient(t)
		b := s.signedIn(t, "ann")
		refused := func(name string, r request) {
			t.Helper()
			if a := b.send(t, r); a.status != 400 || a.header.Get("Location") != "" {
				t.Errorf("%s: %d %v", name, a.status, a.header)
			}
		}
		r := newFlow(client).pushed(t, s)
		refused("another client", request{method: "GET", path: strings.ReplaceAll(r.path, client.ID, other.ID)})
		refused("no client", request{method: "GET", path: strings.ReplaceAll(r.path, client.ID, "")})
		refused("changed", request{method: "GET", path: r.path + "A"})
		sealed := b.send(t, newFlow(client, "prompt", "login").request()).want(200).form().fields.Get("request")
		for name, reference := range map[string]string{"empty": "", "a text": "x", "the form of a page": sealed} {
			query := newFlow(client).query
			query.Set("request_uri", "urn:ietf:params:oauth:request_uri:"+reference)
			refused(name, request{method: "GET", path: "/authorize?" + query.Encode()})
		}
		s.clock.advance(61 * time.Second)
		refused("expired", r)
		codeOf(t, b.send(t, newFlow(client).pushed(t, s)))
		// Whether the client is allowed what it asks for is examined again when the request is used.
		r = newFlow(client).pushed(t, s)
		s.must(t, "", "client", "update", client.ID, "--redirect-uri", "https://app.example/other")
		refused("an address that was removed", r)
		s.deleteClient(t, other)
		s.do(t, newFlow(other).push()).want(401, "invalid_client")
	})
}

// The client learns what is wrong with its request when it pushes it.
func TestFaultyPushedRequests(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		client, web := s.publicClient(t), s.makeClient(t, "web", "--redirect-uri", callback)
		for _, c := range []struct{ err, name, value string }{
			{"invalid_request", "redirect_uri", "https://evil.example/"},
			{"invalid_request", "response_type", ""},
			{"unsupported_response_type", "response_type", "token"},
			{"invalid_request", "code_challenge", ""},
			{"invalid_request", "code_challenge_method", "plain"},
			{"invalid_scope", "scope", "unknown"},
			{"invalid_request", "max_age", "soon"},
			{"invalid_request", "request", "eyJhbGciOiJub25lIn0.e30."},
			{"invalid_request", "request_uri", "urn:ietf:params:oauth:request_uri:x"},
			{"invalid_request", "request_uri", "https://app.example/request"},
		} {
			a := s.do(t, newFlow(client).push(c.name, c.value)).want(400, c.err)
			if c.value != "" && strings.Contains(string(a.body), "evil") {
				t.Errorf("%s is repeated: %s", c.name, a.body)
			}
		}
		s.do(t, newFlow(serviceClient{ID: newID()}).push()).want(401, "invalid_client")
		s.do(t, newFlow(serviceClient{ID: web.ID}).push()).want(401, "invalid_client")
		s.do(t, newFlow(serviceClient{ID: web.ID, Secret: "wrong"}).push()).want(401, "invalid_client")
		s.do(t, newFlow(serviceClient{ID: "first-party"}).push()).want(400, "invalid_request")
		s.do(t, newFlow(s.makeClient(t, "without addresses")).push()).want(400, "invalid_request")
		header := newFlow(web).push()
		header.form.Del("client_secret")
		header.header = map[string]string{"Authorization": basicHeader(web.ID, web.Secret)}
		s.do(t, header).want(201)
		header.form.Del("client_id")
		s.do(t, header).want(201)
		// What becomes an address stays short.
		long := newFlow(client).push("state", strings.Repeat("s", 1900))
		if made := decode[api.PushedAuthorization](s.do(t, long).want(201)); len(made.RequestURI) > 4000 {
			t.Errorf("the reference has %d characters", len(made.RequestURI))
		}
		s.do(t, newFlow(client).push("state", strings.Repeat("s", 2000), "login_hint", strings.Repeat("l", 254), "nonce", strings.Repeat("n", 500), "ui_locales", strings.Repeat("u", 200))).want(400, "invalid_request").shows("too long")
	})
}

// Of concurrent uses of a pushed request one gets a code.
func TestConcurrentUsesOfAPushedRequest(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b, f := s.signedIn(t, "ann"), newFlow(s.publicClient(t))
		r := f.pushed(t, s)
		r.header = map[string]string{"Cookie": b.cookie, "Accept": "text/html"}
		answers := make(chan string, 8)
		for range cap(answers) {
			go func() {
				location := ""
				if a, err := s.try(r); err == nil {
					location = a.header.Get("Location")
				}
				answers <- location
			}()
		}
		codes := 0
		for range cap(answers) {
			location, err := url.Parse(<-answers)
			if err != nil || location.Query().Get("state") != "a state" {
				t.Errorf("the browser is sent to %s", location)
			}
			if location.Query().Get("code") != "" {
				codes++
			}
		}
		if codes != 1 {
			t.Errorf("there are %d codes", codes)
		}
	})
}
