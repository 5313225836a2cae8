package apitest

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sesame/server/internal/token/personal"
)

var shownToken = regexp.MustCompile(`<code>(ssm_\w+)</code>`)

// A person makes a token on the pages of the account, sees it once, and revokes it.
func TestPagesOfPersonalTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.must(t, "", "user", "grant", "ann", "users:read")
		b := s.newBrowser()
		account := b.signInHere(t, "ann")
		page := b.follow(t, account, "Tokens").want(200).shows("You have no token.")
		create := b.follow(t, page, "Create a token").want(200).shows("Read every account (administrators) (users:read)").shows("me:write")
		for _, useless := range []string{"me:delete", "openid", "users:write"} {
			if strings.Contains(string(create.body), useless) {
				t.Errorf("%s can be chosen", useless)
			}
		}
		if policy := create.header.Get("Content-Security-Policy"); strings.Contains(policy, "script") {
			t.Errorf("the policy is %s", policy)
		}
		send := func(name, days string, scopes ...string) *answer {
			t.Helper()
			form := create.formWith("", "")
			form.fields["name"], form.fields["days"], form.fields["scope"] = []string{name}, []string{days}, scopes
			return b.send(t, request{method: "POST", path: form.action, form: form.fields})
		}
		send("<b>Report", "30").want(422).shows("Choose what the token may do.").shows(`value="<b>Report"`)
		send(" ", "30", "me:read").want(422).shows("The name must not be empty.").shows(`value="me:read" checked`)
		send("http://evil", "30", "me:read").want(422).shows("The name must not contain")
		send("Report", "30", "users:write").want(422).shows("Choose what the token may do.")
		send("Report", "30", "me:delete").want(422)
		send("Report", "400", "me:read").want(422)
		send("Report", "x", "me:read").want(422)
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM personal_tokens`); n != "0" {
			t.Errorf("%s tokens were made", n)
		}
		made := send("<b>Report", "90", "users:read", "me:read").want(200).shows("Copy the token <bdi><b>Report</bdi> now.")
		found := shownToken.FindSubmatch(made.body)
		if found == nil || !personal.IsWellFormed(string(found[1])) || made.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("the page is %v %s", made.header, made.body)
		}
		text := string(found[1])
		s.do(t, request{method: "GET", path: "/users", token: text}).want(200)
		list := b.follow(t, made, "Go back to your tokens").want(200).shows("<b>Report").shows("Last used on").shows("Read every account (administrators)")
		if strings.Contains(string(list.body), text) {
			t.Error("the list shows the token")
		}
		id := s.value(t, `SELECT id FROM personal_tokens`)
		for range 2 {
			b.lands(t, b.submit(t, list.formWith("token", id)), "/account/tokens").want(200).shows("The token is revoked.").shows("You have no token.")
		}
		s.do(t, me(text)).want(401, "invalid_token")
		events := b.send(t, get("/account/events")).want(200)
		events.shows("Personal access token created").shows("Personal access token revoked")
		german := get("/account/tokens/new")
		german.header = map[string]string{"Accept-Language": "de"}
		b.send(t, german).want(200).shows("Wie lange es gültig ist").shows("Jedes Konto lesen (Administration)")
	})
}

// A token of another person is not revoked, another website makes none, and an old session has to sign in again first.
func TestPagesOfPersonalTokensRefuse(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		bob := s.makePersonalToken(t, s.newcomer(t, "bob").AccessToken, "me:read")
		s.register(t, "ann")
		b := s.newBrowser()
		b.signInHere(t, "ann")
		form := url.Values{"name": {"Report"}, "days": {"30"}, "scope": {"me:read"}}
		b.send(t, request{method: "POST", path: "/account/tokens", form: url.Values{"token": {bob.ID}}}).want(303)
		s.do(t, me(bob.Token)).want(200)
		foreign := request{method: "POST", path: "/account/tokens/new", form: form, header: map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}}
		b.send(t, foreign).want(400)
		s.clock.advance(11 * time.Minute)
		again := b.lands(t, b.send(t, request{method: "POST", path: "/account/tokens/new", form: form}), "/sign-in").want(200)
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM personal_tokens`); n != "1" {
			t.Errorf("there are %s tokens", n)
		}
		b.lands(t, b.submit(t, again.formWith("", ""), "username", "ann", "password", horse), "/account/tokens/new").want(200)
	})
}
