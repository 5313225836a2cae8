package web

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
)

// askToConsent asks whether a client may have what it asks for.
func (p *Pages) askToConsent(ctx context.Context, a oauth.Authorization, browser *identity.Browser) Answer {
	t := p.texts(ctx, a.UILocales)
	shown := p.Site.message(t, t.T("consent.title", "client", a.Client.Name),
		t.H("signed-in-as", "username", browser.User.Username), t.H("consent.text", "client", a.Client.Name))
	for _, scope := range p.OAuth.ConsentFor(a, browser.User) {
		shown.Scopes = append(shown.Scopes, t.Sentence(p.DescribeScope(scope)))
	}
	shown.template, shown.Target, shown.ClientLogo = "consent", a.Redirect, a.Client.LogoAddress()
	shown.Forms = []*form{{
		Action: "consent", Hidden: []hidden{{"request", p.OAuth.Seal(a, browser.Session.ID)}},
		Buttons: []button{
			{Text: t.T("consent.allow"), Name: "decision", Value: "allow"},
			{Text: t.T("consent.deny"), Name: "decision", Value: "deny", Second: true},
		},
	}}
	return p.Site.answer(http.StatusOK, shown)
}

// consent is POST /consent: what the person has decided. The request in the form is bound to the session of the browser.
func (p *Pages) consent(c echo.Context) error {
	form, err := p.form(c, maxForm)
	if err != nil {
		return err
	}
	ctx := WithCookies(c.Request().Context(), c.Request())
	browser, err := p.browser(ctx)
	if err != nil {
		return err
	}
	if browser == nil {
		return p.refused(ctx, oauth.ErrPage(nil)).write(c.Response())
	}
	a, err := p.OAuth.Unseal(ctx, form.Get("request"), browser.Session.ID)
	if err != nil {
		answer, err := p.unsafe(ctx, err)
		return answer.writeUnless(err, c)
	}
	if form.Get("decision") != "allow" {
		return Redirect(p.OAuth.Refuse(a, oauth.Denied())).write(c.Response())
	}
	if a.Fault == nil {
		if err = p.OAuth.Agree(ctx, a, browser.User); err != nil {
			return err
		}
	}
	answer, err := p.proceed(ctx, a, browser, true)
	return answer.writeUnless(err, c)
}
