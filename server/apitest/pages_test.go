package apitest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"sesame/server/internal/account"
)

const (
	confirmPage = "/confirm-email"
	resetPage   = "/reset-password"
	noLonger    = "This link is no longer valid"
	anyCode     = "vb8P3Ff0Gk1pV3z0mC5k7y4rQq2c8mS9d6tXhJw1LZo"
)

// open is a request for the page of a code.
func open(path, code string) request { return get(path + "?code=" + url.QueryEscape(code)) }

// press is the button of a page.
func press(path, code, password string) request {
	form := url.Values{"code": {code}}
	if password != "" {
		form.Set(map[string]string{confirmPage: "password", resetPage: "new_password"}[path], password)
	}
	return request{method: "POST", path: path, form: form}
}

var styleElement = regexp.MustCompile(`(?s)<style>(.*?)</style>`)

// page sends a request that a page answers, and checks what holds for each of them.
func (s *server) page(t *testing.T, r request) *answer {
	t.Helper()
	a, err := s.try(r)
	if err != nil {
		t.Fatal(err)
	}
	a.t = t
	checkPage(t, a, r.method == "HEAD")
	return a
}

func checkPage(t *testing.T, a *answer, isHead bool) {
	t.Helper()
	policy := a.header.Get("Content-Security-Policy")
	if !isHead {
		style := styleElement.FindSubmatch(a.body)
		if style == nil {
			t.Fatalf("%d is answered with no page: %s", a.status, a.body)
		}
		sum := sha256.Sum256(style[1])
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
		if policy != want {
			t.Errorf("the policy is %q, not %q", policy, want)
		}
	}
	for name, value := range map[string]string{
		"Content-Type": "text/html; charset=UTF-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": a.referrerPolicy(), "Set-Cookie": "",
	} {
		if got := a.header.Get(name); got != value {
			t.Errorf("%s is %q", name, got)
		}
	}
	body := regexp.MustCompile(`<p class="back"><a href="http://[^"/]+/">`).ReplaceAll(a.body, nil) // the one link
	if foreign := regexp.MustCompile(`(?i)<script|<link|<img|style=|\son\w+=|https?:`).Find(body); foreign != nil || strings.Contains(policy, "unsafe") {
		t.Errorf("the page has %q, its policy is %q", foreign, policy)
	}
}

// referrerPolicy is the one that a page should have: its form must have an Origin, which no-referrer would make null.
func (a *answer) referrerPolicy() string {
	switch {
	case len(a.body) == 0: // HEAD
		return a.header.Get("Referrer-Policy")
	case formTag.Match(a.body):
		return "same-origin"
	}
	return "no-referrer"
}

// shows fails the test unless a page has a text.
func (a *answer) shows(text string) *answer {
	a.t.Helper()
	if !strings.Contains(html.UnescapeString(string(a.body)), text) {
		a.t.Fatalf("the page does not show %q\n%s", text, a.body)
	}
	return a
}

// keepsForm fails the test unless a page has the form of a code.
func (a *answer) keepsForm(code string) *answer {
	a.t.Helper()
	return a.shows(`name="code" value="` + code + `"`).shows(`role="alert"`)
}

// Opening a page uses nothing, however often; its button does, once.
func TestOpeningAPageUsesNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		for path, purpose := range map[string]account.Purpose{confirmPage: account.ToConfirm, resetPage: account.ToReset} {
			s.plantCode(t, anyCode, purpose, ann.ID, "ann@example.com")
			for range 2 {
				s.page(t, open(path, anyCode)).want(200).shows("ann").shows(anyCode)
				head := open(path, anyCode)
				head.method = "HEAD"
				s.page(t, head).want(200)
			}
			s.do(t, passwordGrant("ann", horse)).want(200)
			password := map[string]string{confirmPage: horse, resetPage: "a bigger wooden horse"}[path]
			s.page(t, press(path, anyCode, password)).want(200).shows("Go back to Sesame")
			s.page(t, open(path, anyCode)).want(422).shows(noLonger)
			s.page(t, press(path, anyCode, password)).want(422).shows(noLonger)
			if confirmed := s.value(t, `SELECT CASE WHEN email_verified THEN 'yes' ELSE 'no' END FROM users`); confirmed != "yes" {
				t.Errorf("%s: the address is confirmed: %s", path, confirmed)
			}
			s.sql(t, `UPDATE users SET email_verified = FALSE`)
			if path == resetPage {
				s.do(t, passwordGrant("ann", horse)).want(400)
				s.do(t, passwordGrant("ann", "a bigger wooden horse")).want(200)
			}
			s.sesame(t, horse, "user", "set-password", "ann")
		}
		if log := s.wholeLog(); strings.Contains(log, anyCode) || strings.Contains(log, "wooden") {
			t.Errorf("the log shows a secret:\n%s", log)
		}
	})
}

// A password that is refused leaves the code as it was, and the page says why. What no contract has looked at
// can be any bytes.
func TestThePageRefusesAPassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		s.sql(t, `UPDATE users SET email = 'lee@example.com', email_key = 'lee@example.com'`)
		s.plantCode(t, anyCode, account.ToReset, ann.ID, "lee@example.com")
		for password, reason := range map[string]string{
			"":                        "must have at least 8 characters",
			"short":                   "must have at least 8 characters",
			"password1":               "most common passwords",
			"ann-2026-":               "consists of the username",
			"lee-2026-":               "consists of the username",
			strings.Repeat("ä", 257):  "must have at most 256 characters",
			"a wooden\x00horse":       "must not contain a NUL",
			"a wooden horse\x00":      "must not contain a NUL",
			"a wooden \xff horse":     "must be text in UTF-8",
			"a wooden \xed\xa0\x80 h": "must be text in UTF-8", // a lone surrogate
		} {
			a := s.page(t, press(resetPage, anyCode, password)).want(422).keepsForm(anyCode).shows("The password ").shows(reason)
			if len(password) > 5 && strings.Contains(html.UnescapeString(string(a.body)), password) {
				t.Errorf("the page repeats %q", password)
			}
		}
		s.do(t, passwordGrant("ann", horse)).want(200)
		longest := strings.Repeat("🐎", 256)
		s.page(t, press(resetPage, anyCode, longest)).want(200)
		s.do(t, passwordGrant("ann", longest)).want(200)
	})
}

// A page refuses a code that is unknown, for another purpose, or sent as no form sends it, and does not repeat it.
func TestPagesOfCodesThatAreNone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		const good, other = anyCode, "another"
		s.plantCode(t, good, account.ToReset, ann.ID, "ann@example.com")
		s.plantCode(t, other, account.ToConfirm, ann.ID, "ann@example.com")
		twice := press(resetPage, good, "a bigger wooden horse")
		twice.form["code"] = []string{"garbage", good}
		multipart := request{
			method: "POST", path: resetPage, header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"},
			raw: strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\n" + good + "\r\n--x--\r\n"),
		}
		for _, r := range []request{
			get(resetPage), open(resetPage, ""), open(resetPage, "garbage"), open(resetPage, good+" "), open(resetPage, good[1:]),
			open(resetPage, `"><b>`), open(resetPage, "\x00"), open(resetPage, "\xff"), open(resetPage, strings.Repeat("x", 8000)),
			get(resetPage + "?code=garbage&code=" + good), get(resetPage + "?Code=" + good), get(resetPage + "?code=%zz"),
			open(resetPage, other), open(confirmPage, good),
			press(resetPage, "", "a bigger wooden horse"), press(resetPage, "garbage", "a bigger wooden horse"), press(resetPage, other, "a bigger wooden horse"),
			press(confirmPage, good, ""), press(confirmPage, "\x00\xff", ""), twice, multipart,
			{method: "POST", path: resetPage, json: map[string]any{"code": good, "new_password": "a bigger wooden horse"}},
			{method: "POST", path: resetPage + "?new_password=a+bigger+wooden+horse&code=" + good},
			{method: "POST", path: confirmPage + "?code=" + other, form: url.Values{"x": {"y"}}},
		} {
			a := s.page(t, r).want(422).shows(noLonger)
			if strings.Contains(string(a.body), "<form") || strings.Contains(string(a.body), "ann") || strings.Contains(string(a.body), good) {
				t.Errorf("%s %s is answered with\n%s", r.method, r.path, a.body)
			}
		}
		s.page(t, open(resetPage, good)).want(200)
		s.page(t, press(confirmPage, other, horse)).want(200)
	})
}

// A page answers other requests as every other path does.
func TestPagesTakeOneForm(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		s.plantCode(t, anyCode, account.ToReset, ann.ID, "ann@example.com")
		s.do(t, press(resetPage, anyCode, strings.Repeat("x", 8<<10))).want(413, "payload_too_large")
		s.do(t, request{method: "POST", path: resetPage, raw: strings.NewReader("code=%zz"), header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}).
			want(400, "bad_request")
		for _, path := range []string{confirmPage, resetPage} {
			for _, method := range []string{"PUT", "PATCH", "DELETE", "OPTIONS"} {
				if a := s.do(t, request{method: method, path: path + "?code=" + anyCode}).want(405, "method_not_allowed"); a.header.Get("Allow") != "GET, HEAD, POST" {
					t.Errorf("%s %s allows %q", method, path, a.header.Get("Allow"))
				}
			}
			s.do(t, get(path+"/x")).want(404, "not_found")
		}
		s.page(t, open(resetPage, anyCode)).want(200)
	})
}

// Nothing that is shown can be more than text.
func TestPagesEscapeWhatTheyShow(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		const name, code = `<b id="x" title='y'>&amp;`, `"><b id='x'>&amp;`
		s.sql(t, `UPDATE users SET username = '`+strings.ReplaceAll(name, "'", "''")+`'`)
		s.plantCode(t, code, account.ToReset, ann.ID, "ann@example.com")
		a := s.page(t, press(resetPage, code, "short")).want(422).shows("your account <bdi>" + name + "</bdi>").keepsForm(code)
		if tag := regexp.MustCompile(`<b\b`).Find(a.body); tag != nil {
			t.Errorf("the page has a tag of another's:\n%s", a.body)
		}
	})
}

// The codes of a disabled account are not valid.
func TestPagesOfADisabledAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		for path, purpose := range map[string]account.Purpose{confirmPage: account.ToConfirm, resetPage: account.ToReset} {
			s.plantCode(t, path, purpose, ann.ID, "ann@example.com")
			s.page(t, open(path, path)).want(200)
			s.sql(t, `UPDATE users SET disabled = TRUE`)
			s.page(t, open(path, path)).want(422).shows(noLonger)
			s.page(t, press(path, path, "a bigger wooden horse")).want(422).shows(noLonger)
			s.sql(t, `UPDATE users SET disabled = FALSE`)
			s.page(t, open(path, path)).want(200) // it was not used
		}
		s.do(t, passwordGrant("ann@example.com", horse)).want(400)
	})
}

// Of more passwords than can be hashed, those over the queue are asked for again, and their codes are still good.
func TestAPageThatIsTooBusyAsksAgain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		s.plantCode(t, anyCode, account.ToReset, ann.ID, "ann@example.com")
		_, release := s.fillQueue(t, "")
		next := press(resetPage, anyCode, "a bigger wooden horse")
		a := s.page(t, next).want(503).keepsForm(anyCode).shows("ann").shows("Try again")
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
		release()
		s.page(t, press(resetPage, anyCode, "a bigger wooden horse")).want(200)
		s.do(t, passwordGrant("ann", "a bigger wooden horse")).want(200)
	})
}

// While the database is cut off a page keeps the code, and does not say that it is not good.
func TestAPageWithoutADatabase(t *testing.T) {
	t.Parallel()
	s := start(t, postgresURL(t))
	ann := s.register(t, "ann")
	s.plantCode(t, anyCode, account.ToReset, ann.ID, "ann@example.com")
	admin, name := adminOf(t, s.dbURL)
	for _, statement := range []string{
		`ALTER DATABASE ` + name + ` ALLOW_CONNECTIONS false`,
		fmt.Sprintf(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'`, name),
	} {
		if err := rawSQL(t.Context(), admin, statement, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []request{open(resetPage, anyCode), press(resetPage, anyCode, "a bigger wooden horse")} {
		a := s.page(t, r).want(503).keepsForm(anyCode).shows("Try again")
		if a.header.Get("Retry-After") != "1" || strings.Contains(string(a.body), "your account") {
			t.Errorf("Retry-After is %q\n%s", a.header.Get("Retry-After"), a.body)
		}
	}
	if err := rawSQL(t.Context(), admin, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS true`, nil); err != nil {
		t.Fatal(err)
	}
	s.page(t, press(resetPage, anyCode, "a bigger wooden horse")).want(200)
}

// A browser that asks for HTML gets a page about a wrong address; a program gets a problem, and operations answer as the
// contract says whatever is asked for.
func TestErrorsInABrowser(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
	onEachEngine(t, func(t *testing.T, s *server) {
		asking := func(method, path, accept string) request {
			return request{method: method, path: path, header: map[string]string{"Accept": accept}}
		}
		for path, text := range map[string]string{
			"/nothing": "nothing at this address", "/users/me/x": "nothing at this address", "/docs/nothing": "nothing at this address", "/%ff": "nothing at this address",
			"/token": "with POST.", "/users/me/password": "with PUT.", "/users/me/sessions/x": "with DELETE.",
		} {
			a := s.page(t, asking("GET", path, browser)).shows(text).shows("Go back to Acme")
			if a.header.Get("Vary") != "Accept" || a.header.Get("X-Request-ID") == "" || a.status != 404 && a.status != 405 {
				t.Errorf("%s: %d %v", path, a.status, a.header)
			}
			s.page(t, asking("HEAD", path, browser)).want(a.status)
			for _, accept := range []string{"", "*/*", "application/json", "text/html;q=0", "text/html;q=0, */*", "application/json, text/html", "application/problem+json;q=0.5, text/html", "text/*", "image/png"} {
				if got := s.do(t, asking("GET", path, accept)).want(a.status); got.header.Get("Vary") != "Accept" {
					t.Errorf("%s for %q: Vary is %q", path, accept, got.header.Get("Vary"))
				}
			}
			s.page(t, asking("GET", path, "TEXT/HTML; charset=utf-8")).want(a.status)
		}
		s.do(t, asking("GET", "/users/me", browser)).want(401, "unauthenticated")
		s.do(t, asking("POST", "/token", browser)).want(415, "invalid_request")
		s.do(t, asking("DELETE", "/users/me", browser)).want(401, "unauthenticated")
		if a := s.page(t, asking("GET", `/<script>alert(1)</script>"x`, browser)).want(404); strings.Contains(string(a.body), "alert(1)") {
			t.Errorf("the page repeats the address: %s", a.body)
		}
	}, "SESAME_MAIL_FROM=Acme <no-reply@example.com>")
}

// The pages say whose they are, what a password must be like before one is refused, and lead back to the operator's application.
func TestPagesLeadBack(t *testing.T) {
	s := start(t, sqliteURL(t), "SESAME_MAIL_FROM=Acme & Söhne <no-reply@example.com>", "SESAME_HOME_URL=https://app.example.com/start?x=1&y=2", "SESAME_PASSWORD_MIN_LENGTH=12")
	ann := s.register(t, "ann")
	s.plantCode(t, anyCode, account.ToReset, ann.ID, "ann@example.com")
	see := func(r request, texts ...string) *answer {
		t.Helper()
		a, err := s.try(r)
		if err != nil {
			t.Fatal(err)
		}
		a.t = t
		for _, text := range append(texts, "Acme & Söhne", `href="https://app.example.com/start?x=1&y=2"`) {
			a.shows(text)
		}
		return a
	}
	see(open(resetPage, anyCode), "At least 12 characters", `aria-describedby="new_password-hint"`, "Cancel, and go back to Acme")
	see(press(resetPage, anyCode, "short"), "At least 12 characters", `aria-describedby="fault new_password-hint"`)
	see(press(resetPage, anyCode, "a much longer horse"), "Your password is changed", "Go back to Acme")
	see(open(resetPage, anyCode), "no longer valid", "where you asked for this one")
}
