package apitest

import (
	"net/url"
	"strings"
	"testing"
)

// ownForms are the forms that need a person who is signed in, and what they send.
var ownForms = map[string]url.Values{
	"/account profile":      {"do": {"profile"}, "full_name": {"Eve"}},
	"/account email":        {"do": {"email"}, "email": {"eve@example.com"}, "password": {horse}},
	"/account verify":       {"do": {"verify"}},
	"/account password":     {"do": {"password"}, "current_password": {horse}, "new_password": {"a bigger wooden horse"}},
	"/account/sessions all": {"do": {"others"}},
	"/account/sessions one": {"session": {"01a216e4-3caa-795d-a62b-0c51992174df"}},
	"/account/applications": {"client": {"01a216e4-3caa-795d-a62b-0c51992174df"}},
	"/account/delete":       {"password": {horse}},
	"/account/passkeys":     {"name": {"Key"}, "passkey": {"{}"}},
	"/sign-out/confirm":     {},
}

// openForms are those for everybody.
var openForms = map[string]url.Values{
	"/second-factor": {"passkey": {"{}"}},
	"/sign-in":       {"username": {"ann"}, "password": {horse}}, "/sign-up": {"email": {"eve@example.com"}, "password": {horse}},
	"/forgot-password": {"email": {"ann@example.com"}}, "/consent": {"decision": {"allow"}},
	"/device": {"user_code": {"BCDF-GHJK"}}, "/device/decide": {"decision": {"allow"}},
	confirmPage: {"code": {anyCode}, "password": {horse}}, resetPage: {"code": {anyCode}, "new_password": {"a bigger wooden horse"}},
}

// No form works from another website, whatever the browser says about where it comes from, and nothing changes.
func TestFormsOfOtherWebsites(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		s.plantCode(t, anyCode, "reset", ann.ID, "ann@example.com")
		b := s.newBrowser()
		b.signInHere(t, "ann")
		rows := func() string {
			return s.value(t, `SELECT CAST(COUNT(*) AS TEXT) || ' ' || (SELECT COUNT(*) FROM sessions) || ' ' || (SELECT COUNT(*) FROM events) || ' ' ||
				(SELECT COUNT(*) FROM one_time_codes) || ' ' || MAX(users.updated_at) FROM users`)
		}
		before := rows()
		for _, forms := range []map[string]url.Values{ownForms, openForms} {
			for name, form := range forms {
				path, _, _ := strings.Cut(name, " ")
				for _, header := range []map[string]string{
					{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
					{"Sec-Fetch-Site": "same-site", "Origin": "https://other.example"},
					{"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
					{"Sec-Fetch-Site": "", "Origin": "null"},
					{"Sec-Fetch-Site": "cross-site"},
				} {
					b.send(t, request{method: "POST", path: path, form: form, header: header}).want(400).shows("sent by another website")
				}
			}
		}
		if after := rows(); after != before {
			t.Errorf("forms of another website have changed something: %s, before %s", after, before)
		}
		b.send(t, get("/account")).want(200).shows("as <bdi>ann</bdi>")
	})
}

// Without a session every page of the account leads to the sign-in page, and nowhere else.
func TestAccountPagesNeedASession(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		for name, form := range ownForms {
			path, _, _ := strings.Cut(name, " ")
			if path == "/sign-out/confirm" {
				continue
			}
			b := s.newBrowser()
			b.lands(t, b.send(t, get(path+"?next=https://evil.example")), "/sign-in")
			b.lands(t, b.send(t, request{method: "POST", path: path, form: form}), "/sign-in")
			b.cookie = "sesame-session=AAAA"
			b.lands(t, b.send(t, request{method: "POST", path: path, form: form}), "/sign-in")
		}
		b := s.newBrowser()
		b.lands(t, b.send(t, get("/account/events")), "/sign-in")
		// The address of no page chooses where the person goes next.
		for _, query := range []string{"next=//evil.example", "request=https://evil.example", "redirect_uri=https://evil.example", "return_to=/users"} {
			a := b.send(t, get("/sign-in?"+query))
			if strings.Contains(string(a.body), "evil") {
				t.Errorf("%s is repeated\n%s", query, a.body)
			}
		}
		b.send(t, get("/sign-in?request=x")).want(400).shows("This page is too old")
		b.send(t, request{method: "POST", path: "/sign-in", form: url.Values{"request": {"x"}, "username": {"ann"}, "password": {horse}}}).want(400)
		b.lands(t, b.send(t, request{method: "POST", path: "/sign-in?next=//evil.example", form: url.Values{"next": {"//evil.example"}, "username": {"ann"}, "password": {horse}}}), "/account")
	})
}

// The cookie changes whenever a person signs in or up, so that nobody can prepare one (session fixation), and the one before ends.
func TestSignInChangesTheCookie(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.register(t, "bob")
		b := s.newBrowser()
		b.cookie = "sesame-session=prepared"
		seen := map[string]bool{b.cookie: true}
		for _, username := range []string{"ann", "ann", "bob"} {
			before := b.cookie
			b.submit(t, s.newBrowser().send(t, get("/sign-in")).formWith("", ""), "username", username, "password", horse).want(303)
			if seen[b.cookie] {
				t.Errorf("%s has the cookie of before", username)
			}
			seen[b.cookie] = true
			old := &browser{s: s, cookie: before}
			old.lands(t, old.send(t, get("/account")), "/sign-in")
		}
		before := &browser{s: s, cookie: b.cookie}
		b.lands(t, b.submit(t, b.send(t, get("/sign-up")).formWith("", ""), "email", "cleo@example.com", "password", horse), "/account").shows("as <bdi>cleo</bdi>")
		before.lands(t, before.send(t, get("/account")), "/sign-in")
	})
}

// D5: no website may read the pages, not even one whose scripts may call the operations.
func TestPagesHaveNoCORS(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for _, path := range []string{"/sign-in", "/sign-up", "/forgot-password", "/account", "/account/events", "/account/delete", "/consent", "/device", confirmPage, "/authorize", "/sign-out"} {
			for _, method := range []string{"GET", "POST", "OPTIONS"} {
				a := s.newBrowser().send(t, request{method: method, path: path, header: map[string]string{
					"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type",
				}})
				if a.header.Get("Access-Control-Allow-Origin") != "" || method == "OPTIONS" && a.status == 204 {
					t.Errorf("%s %s is answered %d %v", method, path, a.status, a.header)
				}
			}
		}
	}, "SESAME_CORS_ORIGINS=https://app.example")
}

// Every page keeps others from framing and caching it, loads nothing from elsewhere, and leaves the window that has opened it
// alone, since applications open the sign-in page in one.
func TestHeadersOfPages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b := s.newBrowser()
		b.signInHere(t, "ann")
		b.lands(t, b.send(t, get("/.well-known/change-password")), "/account")
		stranger := s.newBrowser()
		pages := []*answer{stranger.send(t, newFlow(s.publicClient(t)).request())}
		for _, path := range []string{"/sign-in", "/sign-up", "/forgot-password", confirmPage, resetPage} {
			pages = append(pages, stranger.send(t, get(path)))
		}
		for _, path := range []string{"/account", "/account/sessions", "/account/applications", "/account/events", "/account/delete", "/sign-out"} {
			pages = append(pages, b.send(t, get(path)))
		}
		for _, a := range pages {
			for name, want := range map[string]string{
				"X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": a.referrerPolicy(), "X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "",
			} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s is %q", name, got)
				}
			}
			policy := a.header.Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-"+styleHash(t, a)+"'; form-action 'self'") || !strings.HasSuffix(policy, "; base-uri 'none'; frame-ancestors 'none'") {
				t.Errorf("the policy is %s", policy)
			}
			if strings.Contains(policy, "app.example") != (a == pages[0]) { // the address of the client that asks, and no other
				t.Errorf("the policy is %s", policy)
			}
			for _, foreign := range []string{"<script", "<link", "<img", " style=", "javascript:", "src="} {
				if strings.Contains(string(a.body), foreign) {
					t.Errorf("a page has %q", foreign)
				}
			}
		}
	})
}
