package apitest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
)

const identitiesPage = "/account/identities"

// linkForm is the form that links a provider.
func (a *answer) linkForm(provider string) webPage {
	a.t.Helper()
	return a.formWith("which", provider)
}

// unlinkForm is the first form that removes an identity, with its id.
func (a *answer) unlinkForm() (p webPage, id string) {
	a.t.Helper()
	p = a.formWith("do", "unlink")
	return p, p.fields.Get("which")
}

// F18: a person links an account at a provider after giving the password again, is mailed, and signs in through it. They remove it in the same way.
func TestLinkingAnAccount(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.createVerified(t, "ann")
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		i.is("7", "email", "somebody@example.org", "email_verified", true) // another address is no matter
		b := s.newBrowser()
		b.signInHere(t, "ann")
		page := b.send(t, get(identitiesPage)).want(200).shows("Link Corp corp")
		page = b.submit(t, page.linkForm("corp"), "password-corp", wrong).want(422).shows(`<p id="password-corp-fault" role="alert">This is not your password.`)
		b.submit(t, page.linkForm("corp")).want(422)
		_, asked := b.submit(t, page.linkForm("corp"), "password-corp", horse).leaves()
		page = b.lands(t, b.send(t, get(i.consents(asked).RequestURI())), identitiesPage).want(200)
		page.shows("The other service is linked to your account.").shows("somebody@example.org").shows("Remove this link")
		if strings.Contains(string(page.body), "Link Corp corp") {
			t.Error("the page offers what is linked already")
		}
		if text := s.mailsTo(t, post, "ann@example.com", 1)[0].Text; !strings.Contains(text, "An account at Corp corp can sign in") {
			t.Errorf("the mail is %s", text)
		}
		s.newBrowser().arrives(t, i).shows("You are signed in as <bdi>ann</bdi>").shows("Your address is ann@example.com.")

		form, id := page.unlinkForm()
		b.submit(t, form, "password-"+id, wrong).want(422).shows("This is not your password.")
		form, _ = page.unlinkForm()
		b.lands(t, b.submit(t, form, "password-"+id, horse), identitiesPage).want(200).shows("no longer linked")
		if text := s.mailsTo(t, post, "ann@example.com", 2)[1].Text; !strings.Contains(text, "can no longer sign in") {
			t.Errorf("the mail is %s", text)
		}
		form, _ = page.unlinkForm()
		b.lands(t, b.submit(t, form, "password-"+id, horse), identitiesPage).want(200) // it is gone already
		for _, kind := range []string{"identity_linked", "identity_unlinked"} {
			if n := s.count(t, `events WHERE kind = '`+kind+`' AND username = 'ann' AND actor = user_id`); n != "1" {
				t.Errorf("%s events %s", n, kind)
			}
		}
		b.send(t, get("/account/events")).want(200).shows("Linked to another service").shows("Link to another service removed")
	}, privateProviders)
}

// A link is made in the session that has begun it alone: nobody links their own identity to the account of somebody else, or the other way round.
func TestLinksThatAreForged(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.register(t, "eve")
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		begin := func(username string) (*browser, *url.URL) {
			b := s.newBrowser()
			b.signInHere(t, username)
			_, asked := b.submit(t, b.send(t, get(identitiesPage)).linkForm("corp"), "password-corp", horse).leaves()
			return b, i.consents(asked)
		}
		eve, back := begin("eve")
		ann := s.newBrowser()
		ann.signInHere(t, "ann")
		a := ann.send(t, get(back.RequestURI())) // of eve, without her cookie
		if got := a.want(303).sentTo(s.url + "/sign-in").Get("fault"); got != "late" {
			t.Errorf("the page says %q", got)
		}
		ann.others[flowCookie] = eve.others[flowCookie] // or with it
		if got := ann.send(t, get(back.RequestURI())).want(303).sentTo(s.url + "/sign-in").Get("fault"); got != "late" {
			t.Errorf("the page says %q", got)
		}
		eve, back = begin("eve")
		eve.cookie = "" // who has signed out meanwhile
		if got := eve.send(t, get(back.RequestURI())).want(303).sentTo(s.url + "/sign-in").Get("fault"); got != "late" || eve.cookie != "" {
			t.Errorf("the page says %q", got)
		}
		if s.count(t, "identities") != "0" || s.count(t, "users") != "2" {
			t.Error("something was linked or made")
		}
		eve, back = begin("eve")
		eve.lands(t, eve.send(t, get(back.RequestURI())), identitiesPage).want(200).shows("The other service is linked")
		ann, back = begin("ann") // to whom the person at the provider is not known
		ann.lands(t, ann.send(t, get(back.RequestURI())), identitiesPage).want(200).shows("linked to another account here")
		ann, back = begin("ann")
		query := back.Query()
		query.Del("code")
		query.Set("error", "access_denied")
		ann.lands(t, ann.send(t, get(back.Path+"?"+query.Encode())), identitiesPage).want(200).shows("You have cancelled")
		if s.count(t, `identities i JOIN users u ON u.id = i.user_id WHERE u.username = 'eve'`) != "1" || s.count(t, "identities") != "1" {
			t.Error("the identity has moved")
		}
	}, privateProviders)
}

// F17: the last way into an account cannot be removed: there must be a password, or another identity whose provider is there.
// Of two identities that are removed at once, one stays. F18: an account without a password signs in once more first.
func TestTheLastWayIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		i, other := newIssuer(t, s.clock.now), newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		s.addProviderNamed(t, "other", other)
		b := s.newBrowser()
		b.arrives(t, i)
		page := b.send(t, get(identitiesPage)).want(200)
		form, first := page.unlinkForm()
		b.submit(t, form).want(409).shows("This is the only way into your account.")

		s.clock.advance(11 * time.Minute) // too long ago
		b.lands(t, b.submit(t, form), identitiesPage).want(200).shows("Sign in once more to change something here")
		page = b.send(t, get(identitiesPage)).want(200)
		if body := string(page.body); strings.Contains(body, "Remove this link") || strings.Contains(body, "Link Corp other") {
			t.Error("the page offers what it would refuse")
		}
		page = b.follow(t, page, "Sign in once more to change something here").want(200)
		_, asked := b.submit(t, page.providerForm("corp")).leaves()
		if asked.Get("prompt") != "login" {
			t.Errorf("the provider is asked for %v", asked)
		}
		page = b.lands(t, b.send(t, get(i.consents(asked).RequestURI())), identitiesPage).want(200)
		_, asked = b.submit(t, page.linkForm("other")).leaves()
		page = b.lands(t, b.send(t, get(other.consents(asked).RequestURI())), identitiesPage).want(200)
		if _, stderr, code := s.provider(t, "remove", "other"); code != 0 {
			t.Fatal(stderr)
		}
		form, _ = page.unlinkForm()
		b.submit(t, form).want(409) // the other one is of no use now
		s.addProviderNamed(t, "other", other)

		ids := strings.Fields(s.value(t, `SELECT MIN(id) || ' ' || MAX(id) FROM identities`))
		var wait sync.WaitGroup
		for _, id := range ids {
			wait.Go(func() {
				r := request{method: "POST", path: identitiesPage, form: url.Values{"do": {"unlink"}, "which": {id}}}
				r.header = map[string]string{"Cookie": b.cookie, "Sec-Fetch-Site": "same-origin"}
				_, _ = s.try(r)
			})
		}
		wait.Wait()
		if n := s.count(t, "identities"); n != "1" {
			t.Fatalf("%s identities are left", n)
		}
		s.must(t, horse+"\n", "user", "set-password", "ann")
		b = s.newBrowser()
		b.signInHere(t, "ann")
		form, id := b.send(t, get(identitiesPage)).unlinkForm()
		b.lands(t, b.submit(t, form, "password-"+id, horse), identitiesPage).want(200).shows("no longer linked")
		_ = first
	}, privateProviders)
}

// gitHub answers as GitHub Enterprise Server does. user and emails are its answers.
func gitHub(t *testing.T, user, emails any) *issuer {
	t.Helper()
	i := &issuer{asked: map[string]url.Values{}}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		answer := func(document any) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_ = json.NewEncoder(w).Encode(document)
		}
		asked := i.asked[r.PostFormValue("code")]
		switch {
		case r.URL.Path == "/login/oauth/access_token" && (asked == nil || r.PostFormValue("client_secret") != secretAtIssuer || r.PostFormValue("code_verifier") == ""):
			answer(map[string]string{"error": "bad_verification_code"}) // with 200, as GitHub does
		case r.URL.Path == "/login/oauth/access_token":
			answer(map[string]string{"access_token": "gho_x", "token_type": "bearer", "scope": "read:user,user:email"})
		case r.Header.Get("Authorization") != "Bearer gho_x":
			w.WriteHeader(401)
		case r.URL.Path == "/api/v3/user":
			answer(user)
		case r.URL.Path == "/api/v3/user/emails":
			answer(emails)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

// GitHub has no OpenID Connect: the account is its number, and the address its primary one.
func TestSignInThroughGitHub(t *testing.T) {
	type object = map[string]any
	for name, c := range map[string]struct {
		user, emails any
		want         string // on the page, or the fault
	}{
		"verified":   {object{"id": 583231, "login": "octocat", "name": nil}, []object{{"email": "other@example.com", "verified": true}, {"email": "octo@example.com", "primary": true, "verified": true}}, "Your address is octo@example.com."},
		"unverified": {object{"id": 583231, "login": "octocat", "name": "Octo"}, []object{{"email": "octo@example.com", "primary": true, "verified": false}}, "It is not confirmed yet."},
		"none":       {object{"id": 583231, "login": "octocat"}, []object{}, "Your account has no address."},
		"no id":      {object{"login": "octocat"}, []object{}, "failed"},
		"a text":     {object{"id": "583231"}, []object{}, "failed"},
		"no list":    {object{"id": 583231}, object{"message": "Not Found"}, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				g := gitHub(t, c.user, c.emails)
				if _, stderr, code := s.provider(t, "add", "corp", "--github", "--issuer", g.URL, "--client-id", clientAtIssuer, "--client-secret-file", secretFile(t, secretAtIssuer)); code != 0 {
					t.Fatal(stderr)
				}
				b := s.newBrowser()
				asked := b.asks(t)
				back := g.consents(asked)
				query := back.Query()
				query.Del("iss")
				a := b.send(t, get(back.Path+"?"+query.Encode()))
				if c.want == "failed" {
					b.refused(t, a, c.want)
					return
				}
				b.lands(t, a, "/account").want(200).shows(c.want)
				if got := s.value(t, `SELECT subject || ' ' || issuer || ' ' || label FROM identities`); got != "583231 "+g.URL+" octocat" {
					t.Errorf("the identity is %s", got)
				}
				if asked.Get("code_challenge_method") != "S256" || asked.Get("scope") != "read:user user:email" {
					t.Errorf("GitHub is asked for %v", asked)
				}
			}, privateProviders)
		})
	}
}

// A second Sesame is the provider: the person signs in on its pages, agrees, and has an account here.
func TestSignInThroughAnotherSesame(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		above := start(t, sqliteURL(t))
		above.createVerified(t, "ann")
		client := above.makeClient(t, "the other Sesame", "--third-party", "--redirect-uri", s.url+"/sign-in/above/callback")
		_, stderr, code := s.provider(t, "add", "above", "--label", "Above", "--issuer", above.url, "--client-id", client.ID, "--client-secret-file", secretFile(t, client.Secret))
		if code != 0 || stderr != "" {
			t.Fatal(stderr)
		}
		app, here, there := newFlow(s.publicClient(t)), s.newBrowser(), above.newBrowser()
		address, _ := here.submit(t, here.send(t, app.request()).want(200).providerForm("above")).leaves()
		a := there.send(t, get(address.RequestURI())).want(200)
		a = there.submit(t, a.form(), "username", "ann", "password", horse).want(200).shows("Allow the other Sesame?")
		a = there.submit(t, a.form(), "decision", "allow")
		back, err := url.Parse(a.want(303).header.Get("Location"))
		if err != nil || !strings.HasPrefix(back.String(), s.url+"/sign-in/above/callback?") {
			t.Fatal(err, back)
		}
		a = here.lands2(t, here.send(t, get(back.RequestURI())))
		tokens := decode[api.Token](s.do(t, app.grant(codeOf(t, a))).want(200))
		info := decode[api.UserInfo](s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(200))
		if *info.PreferredUsername != "ann" || *info.Email != "ann@example.com" || !*info.EmailVerified {
			t.Errorf("%+v", info)
		}
		if got := s.value(t, `SELECT subject FROM identities`); got != above.value(t, `SELECT id FROM users`) {
			t.Errorf("the subject is %s", got)
		}
	}, privateProviders)
}
