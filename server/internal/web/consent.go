package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
)

// consentForm asks whether a client may have what it asks for.
type consentForm struct {
	Request  string
	Client   string
	Username string
	Scopes   []string // in words
}

func (p *Pages) askToConsent(a oauth.Authorization, browser *identity.Browser) Answer {
	form := &consentForm{Request: p.OAuth.Seal(a, browser.Session.ID), Client: a.Client.Name, Username: browser.User.Username}
	for _, scope := range p.OAuth.ScopesFor(a, browser.User) {
		form.Scopes = append(form.Scopes, p.DescribeScope(scope))
	}
	return p.Site.answer(http.StatusOK, page{Title: "Allow " + a.Client.Name + "?", Consent: form, Target: a.Redirect})
}

// consent is POST /consent: what the person has decided. The request in the form is bound to the session of the browser.
func (p *Pages) consent(c echo.Context) error {
	form, err := p.form(c)
	if err != nil {
		return err
	}
	ctx := WithCookies(c.Request().Context(), c.Request())
	browser, err := p.browser(ctx)
	if err != nil {
		return err
	}
	if browser == nil {
		return p.refused(oauth.ErrPage(nil)).write(c.Response())
	}
	a, err := p.OAuth.Unseal(ctx, form.Get("request"), browser.Session.ID)
	if err != nil {
		answer, err := p.unsafe(err)
		return errors.Join(err, answer.writeUnless(err, c))
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
	return errors.Join(err, answer.writeUnless(err, c))
}
