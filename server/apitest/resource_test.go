package apitest

import (
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"sesame/gen/api"
)

const (
	orders     = "https://orders.example/v1"
	billingURN = "urn:example:billing"
)

// withResources is the setting that registers both.
const withResources = "SESAME_AUDIENCES=" + orders + "," + billingURN

// audienceOf reads aud of an access token, which must be one text.
func audienceOf(t *testing.T, token string) string {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token, claims); err != nil {
		t.Fatal(err)
	}
	audience, err := claims.GetAudience()
	if err != nil || len(audience) != 1 {
		t.Fatalf("aud is %v", claims["aud"])
	}
	return audience[0]
}

func withResource(r request, resource string) request {
	r.form.Set("resource", resource)
	return r
}

// resourceGrants are the ways to a new token for the audience that a request names.
func (s *server) resourceGrants(t *testing.T) map[string]func(resource string) request {
	service, app := s.makeClient(t, "a service", "--scope", "users:read"), s.publicClient(t)
	return map[string]func(string) request{
		"password":           func(resource string) request { return withResource(passwordGrant("ann", horse), resource) },
		"client_credentials": func(resource string) request { return withResource(service.sends(clientGrant("")), resource) },
		"authorization_code": func(resource string) request {
			f := newFlow(app, "resource", resource, "scope", "openid me:read")
			return withResource(f.grant(s.newBrowser().signIn(t, f, "ann")), resource)
		},
	}
}

// D37: resource picks the audience, and the token works for nobody else: neither at the operations of this server nor at /userinfo.
func TestAResourcePicksTheAudience(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		for grant, ask := range s.resourceGrants(t) {
			for resource, want := range map[string]string{"": s.url, s.url: s.url, orders: orders, billingURN: billingURN} {
				tokens := decode[api.Token](s.do(t, withScopeIf(ask(resource), grant)).want(200))
				if got := audienceOf(t, tokens.AccessToken); got != want {
					t.Errorf("%s for %q: aud is %s", grant, resource, got)
				}
				status, code := 200, []string(nil)
				if want != s.url {
					status, code = 401, []string{"invalid_token"}
				}
				path := "/users/me"
				if grant == "client_credentials" {
					path = "/users"
				}
				s.do(t, request{method: "GET", path: path, token: tokens.AccessToken}).want(status, code...)
				if grant == "authorization_code" {
					s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(status, code...)
				}
			}
			for _, other := range []string{"https://other.example", orders + "/", "https://ORDERS.example/v1", orders + "#x", "orders", s.url + "/", orders + " " + billingURN} {
				if grant == "authorization_code" { // refused before there is a code
					continue
				}
				s.do(t, ask(other)).want(400, "invalid_target")
			}
			if grant != "authorization_code" {
				twice := ask(orders)
				twice.form.Add("resource", billingURN)
				s.do(t, twice).want(400, "invalid_request") // a token has one audience
			}
		}
	}, withResources)
}

// withScopeIf asks for a scope of /users/me where a login has one.
func withScopeIf(r request, grant string) request {
	if grant == "password" {
		return withScope(r, "openid me:read")
	}
	return r
}

// D37, D27: the authorization request fixes the resource. The token request may repeat it and cannot change it, and a refused one
// uses neither the code nor the refresh token.
func TestAGrantKeepsItsResource(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		app := s.publicClient(t)
		refresh := func(tokens api.Token, resource string) request {
			r := withResource(refreshGrant(tokens.RefreshToken), resource)
			r.form.Set("client_id", app.ID)
			return r
		}
		b := s.newBrowser()
		b.signIn(t, newFlow(app), "ann")
		for _, c := range []struct {
			resource, audience string
			others             []string
		}{
			{orders, orders, []string{billingURN, s.url, "https://other.example"}},
			{"", s.url, []string{orders, billingURN, "https://other.example"}},
		} {
			f := newFlow(app, "resource", c.resource, "scope", "openid me:read")
			code := codeOf(t, b.send(t, f.request()))
			for _, other := range c.others {
				s.do(t, withResource(f.grant(code), other)).want(400, "invalid_target")
			}
			tokens := decode[api.Token](s.do(t, f.grant(code)).want(200))
			for _, again := range []string{"", c.audience, ""} {
				if got := audienceOf(t, tokens.AccessToken); got != c.audience {
					t.Errorf("%q: aud is %s", c.resource, got)
				}
				for _, other := range c.others {
					s.do(t, refresh(tokens, other)).want(400, "invalid_target")
				}
				tokens = decode[api.Token](s.do(t, refresh(tokens, again)).want(200))
			}
		}
	}, withResources)
}

// D37: a resource that is not registered is an error for the client, whose other parameters are valid.
func TestAnUnknownResourceIsRefusedAtTheClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		app, b := s.publicClient(t), s.newBrowser()
		b.signIn(t, newFlow(app), "ann")
		for _, other := range []string{"https://other.example", orders + "#x", "x"} {
			got := b.send(t, newFlow(app, "resource", other).request()).sentTo(callback)
			if got.Get("error") != "invalid_target" || got.Get("state") != "a state" || got.Get("code") != "" || strings.Contains(got.Get("error_description"), other) {
				t.Errorf("%s: %v", other, got)
			}
		}
		repeated := newFlow(app, "resource", orders)
		repeated.query.Add("resource", billingURN)
		if a := b.send(t, repeated.request()); a.status != 400 || a.header.Get("Location") != "" {
			t.Errorf("two resources: %d", a.status)
		}
		got := b.send(t, request{method: "POST", path: "/authorize", form: newFlow(app, "resource", orders).query}).want(303)
		if to, err := url.Parse(got.header.Get("Location")); err != nil || to.Query().Get("resource") != orders {
			t.Errorf("the form is sent on to %s", got.header.Get("Location"))
		}
	}, withResources)
}

// Introspection shows the real audience, and revocation ends the session, of tokens that no operation here accepts.
func TestATokenOfAnotherResourceIsLookedUpAndRevoked(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		service := s.makeClient(t, "a service", "--scope", "users:read")
		ofAnn := decode[api.Token](s.do(t, withResource(passwordGrant("ann", horse), orders)).want(200))
		own := decode[api.Token](s.do(t, withResource(service.sends(clientGrant("")), billingURN)).want(200))
		for token, want := range map[string]string{ofAnn.AccessToken: orders, own.AccessToken: billingURN, s.login(t, "ann").AccessToken: s.url} {
			if found := service.looksUp(t, s, token); *found.Aud != want {
				t.Errorf("aud is %s, not %s", *found.Aud, want)
			}
		}
		s.do(t, revocation(ofAnn.AccessToken)).want(200)
		service.seesNothing(t, s, ofAnn.AccessToken)
		s.do(t, refreshGrant(ofAnn.RefreshToken)).want(400, "invalid_grant")
		s.do(t, service.sends(revocation(own.AccessToken))).want(200)
		service.seesNothing(t, s, own.AccessToken)
	}, withResources)
}

// A resource that the operator removes gets no more tokens. Its sessions wait: a refused refresh uses no token and is no theft, so
// that a mistake in a setting logs nobody out.
func TestARemovedResource(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		tokens := decode[api.Token](s.do(t, withResource(passwordGrant("ann", horse), orders)).want(200))
		app, b := s.publicClient(t), s.newBrowser()
		f := newFlow(app, "resource", orders)
		code := b.signIn(t, f, "ann")
		without := start(t, s.dbURL, "SESAME_PUBLIC_URL="+s.url, "SESAME_AUDIENCES="+billingURN)
		for range 2 {
			without.do(t, refreshGrant(tokens.RefreshToken)).want(400, "invalid_target")
		}
		without.do(t, f.grant(code)).want(400, "invalid_target")
		decode[api.Token](s.do(t, f.grant(code)).want(200))
		next := decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
		if got := audienceOf(t, next.AccessToken); got != orders {
			t.Errorf("aud is %s", got)
		}
	}, withResources)
}

// A text that cannot be a resource indicator (RFC 8707 §2) is refused at the start.
func TestAudiencesAreURIs(t *testing.T) {
	t.Parallel()
	for _, audience := range []string{"orders", "/orders", "https://", "https://orders.example#x", "https://orders.example#", "https://örders.example", "https://a.example/" + strings.Repeat("x", 500)} {
		fails(t, "", environment{"SESAME_AUDIENCES": "https://fine.example," + audience}, "SESAME_AUDIENCES", "config")
	}
	succeeds(t, "", environment{"SESAME_AUDIENCES": "https://a.example,https://a.example/v1?x=1,urn:example:a"}, "config")
}
