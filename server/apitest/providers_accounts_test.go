package apitest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
)

// person is who signs in at the issuer from now on.
func (i *issuer) is(sub string, claims ...any) {
	person := jwt.MapClaims{"sub": sub}
	for n := 0; n < len(claims); n += 2 {
		person[claims[n].(string)] = claims[n+1]
	}
	i.set(func() { i.person = person })
}

// arrives signs a person in at the issuer and returns the page of their account.
func (b *browser) arrives(t *testing.T, i *issuer) *answer {
	t.Helper()
	return b.lands(t, b.signsIn(t, i), "/account").want(200)
}

func (s *server) count(t *testing.T, query string) string {
	t.Helper()
	return s.value(t, "SELECT CAST(COUNT(*) AS TEXT) FROM "+query)
}

// F13, F19: an unknown identity gets an account with a username that is made, no password, and the verified address. From then on the identity
// alone says which account that is, whatever becomes of the address.
func TestFirstSignInMakesAnAccount(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		s.newBrowser().arrives(t, i).shows("You are signed in as <bdi>ann</bdi>").shows("Your address is ann@example.com.").shows(`value="Ann Example"`)
		const account = `users WHERE username = 'ann' AND email = 'ann@example.com' AND email_verified AND email_claimed_at IS NULL AND password_hash IS NULL AND scopes = ''`
		if s.count(t, account) != "1" || s.count(t, `events WHERE kind IN ('account_created', 'login')`) != "2" {
			t.Error("the account is another one")
		}
		for _, changed := range []jwt.MapClaims{
			{"email": "other@example.com", "email_verified": true, "name": "Other"}, {"email": "other@example.com", "email_verified": false}, {}, {"email": 7},
		} {
			changed["sub"] = i.person["sub"]
			i.set(func() { i.person = changed })
			s.newBrowser().arrives(t, i).shows("You are signed in as <bdi>ann</bdi>").shows("Your address is ann@example.com.")
		}
		if s.count(t, "users") != "1" || s.count(t, account) != "1" || s.count(t, `identities WHERE used_at IS NOT NULL`) != "1" {
			t.Error("the account has changed")
		}
		s.do(t, passwordGrant("ann", horse)).want(400, "invalid_grant")

		i.is("2", "email", "ann@example.org", "email_verified", true) // the name is taken
		s.newBrowser().arrives(t, i).shows("You are signed in as <bdi>ann-").shows("Your address is ann@example.org.")
		i.is("3", "email", "Not an address", "email_verified", true, "name", "\u202eevil")
		s.newBrowser().arrives(t, i).shows("You are signed in as <bdi>user").shows("Your account has no address.")
		i.is("4", "preferred_username", "admin")
		s.newBrowser().arrives(t, i).shows("You are signed in as <bdi>user-")
		s.untilNoneWaits(t)
		if mails := post.Mails(); len(mails) != 0 {
			t.Errorf("mails to %v", recipients(mails))
		}
	}, privateProviders)
}

// F14: an address is verified only by the boolean true. Any other is a claim, as at every registration: it is mailed a link, and
// reveals nothing about the account that has confirmed it.
func TestUnverifiedAddressesOfAProvider(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.createVerified(t, "ann")
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i, "--link-verified-addresses")
		unverified := []any{"true", "1", 1, false, nil, map[string]any{"a": true}, []any{true}}
		for n, verified := range unverified {
			i.is(fmt.Sprint("to ann ", n), "email", "Ann@example.com", "email_verified", verified)
			s.newBrowser().arrives(t, i).shows("It is not confirmed yet.")
			i.is(fmt.Sprint("to new ", n), "email", fmt.Sprintf("new%d@example.com", n), "email_verified", verified)
			s.newBrowser().arrives(t, i).shows("It is not confirmed yet.")
		}
		if n := s.count(t, `identities i JOIN users u ON u.id = i.user_id WHERE u.username = 'ann'`); n != "0" {
			t.Errorf("%s identities were linked to ann", n)
		}
		if n := s.count(t, `users WHERE email_claimed_at IS NOT NULL AND NOT email_verified`); n != fmt.Sprint(2*len(unverified)) {
			t.Errorf("%s accounts claim an address", n)
		}
		s.mailsTo(t, post, "new0@example.com", 1)
	}, privateProviders)
}

// F14: an address does not lead into an account that has confirmed it, unless the operator allows it. Then the owner is mailed.
func TestAVerifiedAddressThatHasAnAccount(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.createVerified(t, "ann")
		s.createVerified(t, "bob")
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		b := s.newBrowser()
		a := b.signsIn(t, i)
		b.refused(t, a, "has-account")
		b.lands(t, a, "/sign-in").want(200).shows("There is an account with the e-mail address")
		if s.count(t, "identities") != "0" || s.count(t, "users") != "2" {
			t.Error("something was made")
		}
		if _, stderr, code := s.provider(t, "update", "corp", "--link-verified-addresses"); code != 0 {
			t.Fatal(stderr)
		}
		i.is("1", "email", "ANN@Example.com", "email_verified", true)
		s.newBrowser().arrives(t, i).shows("You are signed in as <bdi>ann</bdi>")
		if text := s.mailsTo(t, post, "ann@example.com", 1)[0].Text; !strings.Contains(text, "An account at Corp corp can sign in to your account ann now.") {
			t.Errorf("the mail is %s", text)
		}
		if s.count(t, `events WHERE kind = 'identity_linked' AND username = 'ann'`) != "1" {
			t.Error("the link is not recorded")
		}
		s.login(t, "ann") // the password stays

		s.createVerified(t, "cleo")
		s.plantTOTP(t, "cleo")
		i.is("3", "email", "cleo@example.com", "email_verified", true)
		b = s.newBrowser()
		b.refused(t, b.signsIn(t, i), "has-account")

		s.must(t, "", "user", "disable", "bob")
		i.is("2", "email", "bob@example.com", "email_verified", true)
		b = s.newBrowser()
		b.refused(t, b.signsIn(t, i), "disabled")
		if s.count(t, "identities") != "1" {
			t.Error("an identity was linked to a disabled account")
		}
	}, privateProviders)
}

// F15: a stranger who has registered with an address is left with nothing when its owner arrives through a provider: no address, no code that
// would confirm it, and no way into the owner's account.
func TestTheTrueOwnerArrives(t *testing.T) {
	for _, args := range [][]string{nil, {"--link-verified-addresses"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
				stranger := decode[api.User](s.create(t, map[string]any{"username": "stranger", "password": horse, "email": "ann@example.com"}).want(201))
				session := s.login(t, "stranger")
				code := s.mailedCode(t, post, "ann@example.com", 1)
				i := newIssuer(t, s.clock.now)
				s.addProvider(t, i, args...)
				s.newBrowser().arrives(t, i).shows("You are signed in as <bdi>ann</bdi>").shows("Your address is ann@example.com.")
				if me := s.me(t, session.AccessToken); me.ID != stranger.ID || !me.Email.IsNull() {
					t.Errorf("the stranger has %+v", me)
				}
				if s.count(t, `events WHERE kind = 'email_lost' AND username = 'stranger'`) != "1" {
					t.Error("the loss is not recorded")
				}
				s.do(t, confirmWith(code, session.AccessToken, "")).want(422, "invalid_code")
				s.do(t, passwordGrant("ann@example.com", horse)).want(400, "invalid_grant")
				if n := s.count(t, `identities i JOIN users u ON u.id = i.user_id WHERE u.username = 'stranger'`); n != "0" {
					t.Error("the identity was linked to the stranger's account")
				}
			}, privateProviders)
		})
	}
}

// An account that cannot sign in with a password cannot sign in through a provider either; a registration that is closed, or limited, is so
// for unknown identities, too.
func TestAdmissionThroughAProvider(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		for n := range 2 {
			i.is(fmt.Sprint(n), "email", fmt.Sprintf("p%d@example.com", n), "email_verified", true)
			s.newBrowser().arrives(t, i)
		}
		for sub, want := range map[string]string{"2": "limit", "3": "limit"} {
			i.is(sub)
			b := s.newBrowser()
			b.refused(t, b.signsIn(t, i), want)
		}
		i.is("0")
		s.newBrowser().arrives(t, i)
		s.must(t, "", "user", "disable", "p0")
		b := s.newBrowser()
		b.refused(t, b.signsIn(t, i), "disabled")

		if _, stderr, code := s.provider(t, "remove", "corp"); code != 0 {
			t.Fatal(stderr)
		}
		s.send404(t, "/sign-in/corp")
		s.addProviderNamed(t, "again", i)
		i.is("1")
		page := b.send(t, get("/sign-in")).want(200)
		_, asked := b.submit(t, page.providerForm("again")).leaves()
		b.lands(t, b.send(t, get(i.consents(asked).RequestURI())), "/account").want(200).shows("You are signed in as <bdi>p1</bdi>")
	}, privateProviders, "SESAME_REGISTRATION_LIMIT=2")
}

// send404 fails the test unless the form of a provider that there is not leads back to the page that signs people in.
func (s *server) send404(t *testing.T, path string) {
	t.Helper()
	b := s.newBrowser()
	b.refused(t, b.send(t, request{method: "POST", path: path, form: map[string][]string{}}), "failed")
}

// While registration is closed, or only confirmed accounts log in, a provider is no way around.
func TestSettingsOfRegistrationThroughAProvider(t *testing.T) {
	t.Run("closed", func(t *testing.T) {
		onEachEngine(t, func(t *testing.T, s *server) {
			i := newIssuer(t, s.clock.now)
			s.addProvider(t, i)
			b := s.newBrowser()
			a := b.signsIn(t, i)
			b.refused(t, a, "closed")
			b.lands(t, a, "/sign-in").want(200).shows("Registration is closed.")
			if s.count(t, "users") != "0" {
				t.Error("an account was made")
			}
		}, privateProviders, "SESAME_REGISTRATION=closed")
	})
	t.Run("confirmed", func(t *testing.T) {
		withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
			i := newIssuer(t, s.clock.now)
			s.addProvider(t, i)
			s.newBrowser().arrives(t, i)
			b := s.newBrowser()
			i.is("2", "email", "bea@example.com")
			b.refused(t, b.signsIn(t, i), "unconfirmed")
			s.mailsTo(t, post, "bea@example.com", 1)
			i.is("3")
			b.refused(t, b.signsIn(t, i), "no-address")
		}, privateProviders, confirmedOnly)
	})
}

// Of first sign-ins of one person at once, one makes the account and all get into it.
func TestConcurrentFirstSignIns(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		const n = 6
		var wait sync.WaitGroup
		answers := make([]*answer, n)
		for k := range n {
			b := s.newBrowser()
			back := i.consents(b.asks(t))
			wait.Go(func() {
				r := get(back.RequestURI())
				r.header = map[string]string{"Cookie": flowCookie + "=" + b.others[flowCookie]}
				answers[k], _ = s.try(r)
			})
		}
		wait.Wait()
		for _, a := range answers {
			if a == nil || a.header.Get("Location") != s.url+"/account" {
				t.Errorf("%+v", a)
			}
		}
		if s.count(t, "users") != "1" || s.count(t, "identities") != "1" || s.count(t, `sessions WHERE client_id = 'browser'`) != fmt.Sprint(n) {
			t.Errorf("%s accounts, %s identities", s.count(t, "users"), s.count(t, "identities"))
		}
	}, privateProviders)
}

// A person who comes from a client goes back there, with consent where a third party needs it; a request that wants a new proof wants it of the
// provider, too. The session that the browser had ends.
func TestAClientSignsInThroughAProvider(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		b := s.newBrowser()
		f := newFlow(s.publicClient(t, "--third-party"), "prompt", "login", "state", strings.Repeat("s", 500))
		page := b.send(t, f.request()).want(200)
		_, asked := b.submit(t, page.providerForm("corp")).leaves()
		if asked.Get("prompt") != "login" {
			t.Errorf("the provider is asked for %v", asked)
		}
		a := b.lands(t, b.send(t, get(i.consents(asked).RequestURI())), "/continue").want(200)
		a = b.submit(t, a.shows("You are signed in as <bdi>ann").form(), "decision", "allow")
		tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, a))).want(200))
		info := decode[api.UserInfo](s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(200))
		if *info.PreferredUsername != "ann" || *info.Email != "ann@example.com" || !*info.EmailVerified {
			t.Errorf("%+v", info)
		}

		before := b.cookie
		s.clock.advance(time.Minute)
		page = b.send(t, newFlow(s.publicClient(t), "prompt", "login").request()).want(200)
		_, asked = b.submit(t, page.providerForm("corp")).leaves()
		a = b.send(t, get(i.consents(asked).RequestURI()))
		codeOf(t, b.lands2(t, a))
		(&browser{s: s, cookie: before, others: map[string]string{}}).send(t, get("/account")).want(303)

		page = b.send(t, newFlow(s.publicClient(t), "state", strings.Repeat("s", 2000), "nonce", strings.Repeat("n", 500), "scope", "openid"+strings.Repeat(" x", 480), "prompt", "login").request()).want(200)
		b.cookie = ""
		b.refused(t, b.submit(t, page.providerForm("corp")), "too-long")
	}, privateProviders)
}

// lands2 follows a redirect to a page of the server that redirects again.
func (b *browser) lands2(t *testing.T, a *answer) *answer {
	t.Helper()
	return b.send(t, get(strings.TrimPrefix(a.want(303).header.Get("Location"), b.s.url)))
}

// The secrets of providers are sealed, and sealed again when the master key is replaced.
func TestSecretsOfProvidersAreSealed(t *testing.T) {
	old, next := testKey(), newMasterKey()
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dbURL := databaseURL(t)
			s := start(t, dbURL, privateProviders)
			i := newIssuer(t, s.clock.now)
			s.addProvider(t, i)
			first := s.value(t, `SELECT client_secret FROM providers`)
			if strings.Contains(first, secretAtIssuer) || first == "" {
				t.Fatal("the secret is not sealed")
			}
			s.stop()
			for _, keys := range [][]string{{old, next}, {next, old}, {next, ""}} {
				s = start(t, dbURL, append(keyed(keys[0], keys[1]), privateProviders, "SESAME_PUBLIC_URL=")...)
				s.newBrowser().arrives(t, i)
				s.stop()
			}
			if s.value(t, `SELECT client_secret FROM providers`) == first {
				t.Error("the secret was not sealed again")
			}
			// In another row, which sends it to another issuer, it does not open.
			s.sql(t, `UPDATE providers SET issuer = 'https://evil.example'`)
			s = start(t, dbURL, append(keyed(next, ""), privateProviders, "SESAME_PUBLIC_URL=")...)
			b := s.newBrowser()
			b.refused(t, b.submit(t, b.send(t, get("/sign-in")).providerForm("corp")), "failed")
			if log := s.wholeLog(); !strings.Contains(log, "cannot be opened with this master key") || strings.Contains(log, `"level":"ERROR"`) {
				t.Errorf("the log is\n%s", log)
			}
			env := map[string]string{"SESAME_DATABASE_URL": dbURL, "SESAME_MASTER_KEY": next}
			if _, stderr, code := command(t, "", env, "provider", "show", "corp"); code == 0 || !strings.Contains(stderr, "cannot be opened") {
				t.Errorf("code %d, %s", code, stderr)
			}
		})
	}
}
