package apitest

import (
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

// D31, and the plan Config OP of the conformance suite: what the discovery document lists is what clients get, and the other way
// round.
func TestTheDiscoveryDocument(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.sql(t, `UPDATE users SET full_name = 'Ann Example', user_metadata = '{}'`)
		document := decode[api.Metadata](s.do(t, get("/.well-known/openid-configuration")).want(200))
		if document.Issuer != s.url || !document.ClaimsParameterSupported || document.RequestParameterSupported || document.RequestURIParameterSupported {
			t.Errorf("%+v", document)
		}
		for _, endpoint := range []string{
			document.AuthorizationEndpoint, document.TokenEndpoint, document.UserinfoEndpoint, document.JwksURI, document.EndSessionEndpoint,
			document.RevocationEndpoint, document.IntrospectionEndpoint, document.PushedAuthorizationRequestEndpoint, document.DeviceAuthorizationEndpoint,
		} {
			path, ours := strings.CutPrefix(endpoint, s.url)
			if a := s.do(t, get(path)); !ours || a.status == 404 {
				t.Errorf("%s: %d", endpoint, a.status)
			}
		}

		// Every claim that is listed is one that a client gets, and every claim that it gets is listed.
		app, b := s.publicClient(t), s.newBrowser()
		f := newFlow(app, "scope", "openid profile email")
		tokens := s.tokens(t, b.signIn(t, f, "ann"), f)
		got := maps.Clone(map[string]any(s.idToken(t, tokens.IDToken)))
		maps.Copy(got, decode[map[string]any](s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(200)))
		if want := slices.Sorted(slices.Values(document.ClaimsSupported)); !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
			t.Errorf("clients get %v; listed are %v", slices.Sorted(maps.Keys(got)), want)
		}

		// The scopes that it lists are known, and it lists no others.
		for _, scope := range []string{"address", "phone", "offline_access"} {
			if slices.Contains(document.ScopesSupported, scope) {
				t.Errorf("%s is listed", scope)
			}
			f := newFlow(app, "scope", "openid "+scope) // not an error (OpenID Connect Core §3.1.2.1)
			if tokens := s.tokens(t, codeOf(t, b.send(t, f.request())), f); tokens.Scope != "openid" {
				t.Errorf("openid %s gives %q", scope, tokens.Scope)
			}
		}
		for _, scope := range []string{"openid", "profile", "email"} {
			if !slices.Contains(document.ScopesSupported, scope) {
				t.Errorf("%s is not listed", scope)
			}
		}
		for value := range slices.Values(document.PromptValuesSupported) {
			if fault := s.newBrowser().send(t, newFlow(app, "prompt", value).request()); fault.status == 400 {
				t.Errorf("prompt=%s is refused", value)
			}
		}
	})
}

// The ten modules of the plan RP-Initiated Logout OP: the person comes back only with a valid ID token and a registered address,
// byte for byte; otherwise a page refuses, or asks. Without parameters the person signs out, too.
func TestTheLogoutProfileOfOpenIDConnect(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		const bye = "https://app.example/bye"
		client := s.makeClient(t, "web", "--redirect-uri", callback, "--post-logout-redirect-uri", bye)
		unsigned := func(token string) string {
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(token, ".")[1] + "."
		}
		foreign := func(token string) string { return token[:strings.LastIndex(token, ".")+1] + strings.Repeat("A", 342) }
		state := strings.Repeat("aZ09-_.~", 16) // as long as that of the suite
		for name, c := range map[string]struct {
			change func(query url.Values)
			answer string // where the person goes; refused; or asked
		}{
			"all parameters":        {func(url.Values) {}, bye + "?state=" + state},
			"no state":              {func(q url.Values) { q.Del("state") }, bye},
			"no address":            {func(q url.Values) { q.Del("post_logout_redirect_uri") }, "a page"},
			"no hint":               {func(q url.Values) { q.Del("id_token_hint") }, "refused"},
			"a hint of another key": {func(q url.Values) { q.Set("id_token_hint", foreign(q.Get("id_token_hint"))) }, "refused"},
			"an unsigned hint":      {func(q url.Values) { q.Set("id_token_hint", unsigned(q.Get("id_token_hint"))) }, "refused"},
			"another address":       {func(q url.Values) { q.Set("post_logout_redirect_uri", bye+"x") }, "refused"},
			"a query is added":      {func(q url.Values) { q.Set("post_logout_redirect_uri", bye+"?foo=bar") }, "refused"},
			"no parameters":         {func(q url.Values) { clear(q) }, "asked"},
			"the state alone":       {func(q url.Values) { clear(q); q.Set("state", state) }, "asked"},
		} {
			for _, method := range []string{"GET", "POST"} {
				b, f := s.newBrowser(), newFlow(client)
				tokens := s.tokens(t, b.signIn(t, f, "ann"), f)
				s.clock.advance(time.Hour) // the hint may be expired
				query := url.Values{"id_token_hint": {tokens.IDToken}, "post_logout_redirect_uri": {bye}, "state": {state}}
				c.change(query)
				r := get("/sign-out?" + query.Encode())
				if method == "POST" {
					post := request{method: "POST", path: "/sign-out", form: query}
					r = get(strings.TrimPrefix(b.send(t, post).want(303).header.Get("Location"), s.url))
				}
				a, ended := b.send(t, r), true
				switch location := a.header.Get("Location"); {
				case c.answer == "refused":
					ended = false
					a.want(400)
				case c.answer == "asked":
					b.submit(t, a.want(200).form()).want(200)
				case c.answer == "a page":
					a.want(200)
				case a.status != 303 || location != c.answer:
					t.Errorf("%s by %s: %d %s", name, method, a.status, location)
				}
				fault := b.send(t, newFlow(client, "prompt", "none").request()).sentTo(callback).Get("error")
				if (fault == "login_required") != ended || fault != "" && !ended {
					t.Errorf("%s by %s: afterwards %q", name, method, fault)
				}
			}
		}
	})
}
