package apitest

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/token"
)

// adminFlow is the authorization request of the administrator's page.
func (s *server) adminFlow(more ...string) flow {
	redirect := s.url + "/admin/"
	f := newFlow(serviceClient{ID: token.Admin}, append([]string{"redirect_uri", redirect, "scope", "openid me:read users:read users:write clients:read settings:write"}, more...)...)
	f.redirect = redirect
	return f
}

// The page and its files come from the server alone, and its policy leaves a script of anybody else nothing to do.
func TestTheAdministratorsPageIsServed(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t), "SESAME_ACCENT_COLOR=#8a1c5a", "SESAME_MAIL_FROM=Acme & Sons <no-reply@example.com>")
	if a := s.do(t, get("/admin")).want(302); a.header.Get("Location") != "/admin/" {
		t.Errorf("/admin leads to %s", a.header.Get("Location"))
	}
	bytes := 0
	for path, mediaType := range map[string]string{
		"/admin/": "text/html; charset=UTF-8", "/admin/app.js": "application/javascript", "/admin/app.css": "text/css; charset=utf-8", "/admin/favicon.svg": "image/svg+xml",
	} {
		a := s.do(t, request{method: "GET", path: path, header: map[string]string{"Accept-Encoding": "gzip"}}).want(200)
		size, _ := strconv.Atoi(a.header.Get("Content-Length"))
		bytes += size
		if a.header.Get("Content-Type") != mediaType || a.header.Get("Content-Encoding") != "gzip" || a.header.Get("Cache-Control") != "no-cache" || size == 0 {
			t.Errorf("%s: %v", path, a.header)
		}
		head := s.do(t, request{method: "HEAD", path: path, header: map[string]string{"Accept-Encoding": "gzip"}}).want(200)
		if head.header.Get("ETag") != a.header.Get("ETag") || head.header.Get("Content-Length") != a.header.Get("Content-Length") || len(head.body) > 0 {
			t.Errorf("HEAD %s: %v", path, head.header)
		}
		s.do(t, request{method: "GET", path: path, header: map[string]string{"Accept-Encoding": "gzip", "If-None-Match": a.header.Get("ETag")}}).want(304)
		s.do(t, request{method: "POST", path: path}).want(405, "method_not_allowed")
	}
	if bytes > 60<<10 { // the bound is 150 KB
		t.Errorf("the page has %d bytes when it is compressed", bytes)
	}

	page := s.do(t, get("/admin/")).want(200)
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; " +
			"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
		"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Set-Cookie": "",
	} {
		if got := page.header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	html := string(page.body)
	if regexp.MustCompile(`<style|style=|<script>|javascript:| on[a-z]+=|//[a-z]+\.`).MatchString(strings.ReplaceAll(html, s.url, "")) || strings.Count(html, "<script") != 1 {
		t.Errorf("the page has something inline, or from elsewhere: %s", html)
	}
	if !strings.Contains(html, `data-name="Acme &amp; Sons"`) || !strings.Contains(html, `data-public="`+s.url+`"`) {
		t.Errorf("the page does not say whose it is: %s", html)
	}
	if css := string(s.do(t, get("/admin/app.css")).want(200).body); !strings.Contains(css, "--accent: #8a1c5a") {
		t.Error("the style has not the color of the operator")
	}
	s.do(t, get("/admin/nothing")).want(404, "not_found")
	for _, source := range []string{"src/auth.ts", "package.json", "index.html", "dist/app.js"} {
		s.do(t, get("/admin/"+source)).want(404, "not_found")
	}
}

// A person signs in to the page and gets the scopes that they have; the page is a client like any other.
func TestTheAdministratorsPageSignsIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.administrator(t, "root")
		s.register(t, "ann")
		b, f := s.newBrowser(), s.adminFlow("nonce", "n")
		tokens := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "root"))).want(200))
		if access := s.access(t, tokens.AccessToken); access.ClientID != token.Admin || tokens.Scope != "openid me:read users:read users:write clients:read settings:write" {
			t.Errorf("the token is %+v, with the scopes %s", access, tokens.Scope)
		}
		s.do(t, request{method: "GET", path: "/users", token: tokens.AccessToken}).want(200)
		s.do(t, request{method: "GET", path: "/events", token: tokens.AccessToken}).want(403, "insufficient_scope") // not asked for

		// After a reload the page gets new tokens without a question. The tokens that it has lost are revoked.
		silent := s.adminFlow("prompt", "none")
		again := decode[api.Token](s.do(t, silent.grant(codeOf(t, b.send(t, silent.request())))).want(200))
		end := revocation(tokens.RefreshToken)
		end.form.Set("client_id", token.Admin)
		s.do(t, end).want(200)
		s.do(t, request{method: "GET", path: "/users", token: tokens.AccessToken}).want(401, "invalid_token")
		s.do(t, request{method: "GET", path: "/users", token: again.AccessToken}).want(200)

		// A sign-out leads back to the page, and ends what it has.
		out := b.send(t, get("/sign-out?"+url.Values{
			"id_token_hint": {again.IDToken}, "client_id": {token.Admin}, "post_logout_redirect_uri": {f.redirect},
		}.Encode())).want(303)
		if out.header.Get("Location") != f.redirect {
			t.Errorf("the sign-out leads to %s", out.header.Get("Location"))
		}
		s.do(t, request{method: "GET", path: "/users", token: again.AccessToken}).want(401, "invalid_token")
		if a := b.send(t, silent.request()).want(303); !strings.Contains(a.header.Get("Location"), "error=login_required") {
			t.Errorf("after the sign-out: %s", a.header.Get("Location"))
		}

		// Somebody without a scope of administrators signs in, and gets none.
		ann := s.adminFlow()
		if tokens = decode[api.Token](s.do(t, ann.grant(s.newBrowser().signIn(t, ann, "ann"))).want(200)); tokens.Scope != "openid me:read" {
			t.Errorf("ann got %s", tokens.Scope)
		}
	})
}

// Codes and people go back to the page at its own address, and nowhere else.
func TestTheAdministratorsPageHasOneAddress(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	s.register(t, "ann")
	own := s.url + "/admin/"
	for _, address := range []string{
		"http://127.0.0.1:1/admin/", "http://127.0.0.1/admin/", strings.Replace(own, "127.0.0.1", "localhost", 1), own + "?x=y", own + "#/people", s.url + "/admin",
		own + "../docs/", own + "app.js", strings.ToUpper(own), "https://app.example/callback", "//app.example/admin/", "javascript:alert(1)",
	} {
		a := s.newBrowser().send(t, s.adminFlow("redirect_uri", address).request()).want(400)
		if a.header.Get("Location") != "" || strings.Contains(string(a.body), "<a href=\""+address) {
			t.Errorf("%s: the person can get to it: %s", address, a.body)
		}
		out := s.newBrowser().send(t, get("/sign-out?"+url.Values{"client_id": {token.Admin}, "post_logout_redirect_uri": {address}}.Encode())).want(400)
		if out.header.Get("Location") != "" {
			t.Errorf("%s: a sign-out leads there", address)
		}
	}
	// The page has no secret, so it needs PKCE, and the password of a person is not for it.
	without := s.adminFlow()
	without.query.Del("code_challenge")
	without.query.Del("code_challenge_method")
	s.newBrowser().send(t, without.request()).want(400)
	password := passwordGrant("ann", horse)
	password.form.Set("client_id", token.Admin)
	s.do(t, password).want(400, "unauthorized_client")
}

// Without the page, nobody can sign in to it.
func TestTheAdministratorsPageCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t), "SESAME_ADMIN=off")
	for _, path := range []string{"/admin", "/admin/", "/admin/app.js"} {
		s.do(t, get(path)).want(404, "not_found")
	}
	f := s.adminFlow()
	s.newBrowser().send(t, f.request()).want(400)
	s.do(t, f.grant("a code")).want(401, "invalid_client")
}

// Behind a proxy with a path, the page sends people to its own address there.
func TestTheAdministratorsPageBelowAPath(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t), "SESAME_PUBLIC_URL=https://example.com/auth/v1")
	for _, path := range []string{"/admin", "/auth/v1/admin"} {
		if a := s.do(t, get(path)).want(302); a.header.Get("Location") != "/auth/v1/admin/" {
			t.Errorf("%s leads to %s", path, a.header.Get("Location"))
		}
	}
	for _, path := range []string{"/admin/", "/auth/v1/admin/"} {
		if html := string(s.do(t, get(path)).want(200).body); !strings.Contains(html, `data-public="https://example.com/auth/v1"`) || !strings.Contains(html, `src="app.js"`) {
			t.Errorf("%s: %s", path, html)
		}
	}
	f := newFlow(serviceClient{ID: token.Admin}, "redirect_uri", "https://example.com/auth/v1/admin/", "scope", "openid me:read")
	s.newBrowser().send(t, f.request()).want(200)
}
