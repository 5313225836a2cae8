package apitest

import (
	"slices"
	"testing"
	"time"

	"sesame/gen/api"
)

// F2: an account with a second factor is asked for it after a provider, too, before there is a session. The tokens say both.
func TestASecondFactorAfterAProvider(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		client := s.publicClient(t)
		s.newBrowser().arrives(t, i)
		methods := func(tokens api.Token) []any {
			amr, _ := s.idToken(t, tokens.IDToken)["amr"].([]any)
			return amr
		}
		b, f := s.newBrowser(), newFlow(client)
		_, asked := b.submit(t, b.send(t, f.request()).want(200).providerForm("corp")).leaves()
		a := b.lands2(t, b.send(t, get(i.consents(asked).RequestURI())))
		if got := methods(decode[api.Token](s.do(t, f.grant(codeOf(t, a))).want(200))); !slices.Equal(got, []any{"fed"}) {
			t.Errorf("amr is %v", got)
		}

		app := s.plantTOTP(t, "ann")
		b, f = s.newBrowser(), newFlow(client)
		_, asked = b.submit(t, b.send(t, f.request()).want(200).providerForm("corp")).leaves()
		page := b.lands(t, b.send(t, get(i.consents(asked).RequestURI())), "/second-factor").want(200)
		if b.cookie != "" {
			t.Fatal("the browser has a session before the second factor")
		}
		page = b.submit(t, page.form(), "code", app.wrongCode()).want(422)
		a = b.submit(t, page.form(), "code", app.code())
		if got := methods(decode[api.Token](s.do(t, f.grant(codeOf(t, a))).want(200))); !slices.Equal(got, []any{"fed", "otp", "mfa"}) {
			t.Errorf("amr is %v", got)
		}

		s.clock.advance(time.Minute)
		b = s.newBrowser()
		page = b.lands(t, b.signsIn(t, i), "/second-factor").want(200)
		s.sql(t, `DELETE FROM identities`) // the owner unlinks it meanwhile
		if a = b.submit(t, page.form(), "code", app.code()); a.status == 303 || b.cookie != "" {
			t.Errorf("an identity that was unlinked signs in: %d", a.status)
		}
	}, privateProviders)
}

// F10: the password alone changes nothing about how an account with a second factor signs in.
func TestLinkingWithASecondFactor(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.createVerified(t, "ann")
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		i.is("7")
		app, b := s.plantTOTP(t, "ann"), s.newBrowser()
		page := b.submit(t, b.send(t, get("/sign-in")).form(), "username", "ann", "password", horse).want(200)
		b.lands(t, b.submit(t, page.form(), "code", app.code()), "/account")
		b.send(t, get(identitiesPage)).want(200).linkForm("corp")
		s.clock.advance(11 * time.Minute)
		page = b.send(t, get(identitiesPage)).want(200)
		b.lands(t, b.send(t, request{method: "POST", path: identitiesPage, form: map[string][]string{"do": {"link"}, "which": {"corp"}, "password-corp": {horse}}}), identitiesPage)
		page = b.follow(t, page, "Sign in once more to change something here").want(200)
		page = b.submit(t, page.form(), "username", "ann", "password", horse).want(200)
		page = b.lands(t, b.submit(t, page.form(), "code", app.code()), identitiesPage).want(200)
		_, asked := b.submit(t, page.linkForm("corp")).leaves()
		b.lands(t, b.send(t, get(i.consents(asked).RequestURI())), identitiesPage).want(200).shows("The other service is linked to your account.")
	}, privateProviders)
}
