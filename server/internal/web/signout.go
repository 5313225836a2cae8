package web

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
)

// signOutForm asks whether the person wants to sign out.
type signOutForm struct {
	oauth.SignOutParameters
	Username string
	Client   string // that asks; "" for none
}

// SignOut answers a request to sign out (GET /sign-out).
func (p *Pages) SignOut(ctx context.Context, parameters oauth.SignOutParameters) (Answer, error) {
	browser, err := p.browser(ctx)
	if err != nil {
		return Answer{}, err
	}
	out, err := p.OAuth.SignOut(ctx, parameters, browser)
	if err != nil {
		return p.unsafe(err)
	}
	if browser == nil || out.Confirmed {
		return p.signedOut(ctx, out, browser)
	}
	return p.Site.answer(http.StatusOK, page{
		Title: "Sign out?", Target: out.Address,
		SignOut: &signOutForm{SignOutParameters: parameters, Username: browser.User.Username, Client: out.Client.Name},
	}), nil
}

// confirmSignOut is POST /sign-out/confirm: the button of the page.
func (p *Pages) confirmSignOut(c echo.Context) error {
	form, err := p.form(c)
	if err != nil {
		return err
	}
	ctx := WithCookies(c.Request().Context(), c.Request())
	browser, err := p.browser(ctx)
	if err != nil {
		return err
	}
	out, err := p.OAuth.SignOut(ctx, oauth.SignOutParameters{
		IDTokenHint: form.Get("id_token_hint"), ClientID: form.Get("client_id"),
		RedirectURI: form.Get("post_logout_redirect_uri"), State: form.Get("state"),
	}, browser)
	var answer Answer
	if err != nil {
		answer, err = p.unsafe(err)
	} else {
		answer, err = p.signedOut(ctx, out, browser)
	}
	if err != nil {
		return err
	}
	return answer.write(c.Response())
}

// signedOut ends the session of a browser, if it has one, and sends the person on.
func (p *Pages) signedOut(ctx context.Context, out oauth.SignOut, browser *identity.Browser) (Answer, error) {
	if browser != nil {
		if err := p.Identity.SignOut(ctx, browser); err != nil {
			return Answer{}, err
		}
	}
	answer := Redirect(out.Address)
	if out.Address == "" {
		answer = p.Site.answer(http.StatusOK, page{Title: "You are signed out", Text: []paragraph{{Before: "You can close this page."}}})
	}
	answer.cookie = p.noCookie()
	return answer, nil
}
