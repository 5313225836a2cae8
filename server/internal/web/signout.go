package web

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
)

// SignOut answers a request to sign out (GET /sign-out).
func (p *Pages) SignOut(ctx context.Context, parameters oauth.SignOutParameters) (Answer, error) {
	browser, err := p.browser(ctx)
	if err != nil {
		return Answer{}, err
	}
	out, err := p.OAuth.SignOut(ctx, parameters, browser)
	if err != nil {
		return p.unsafe(ctx, err)
	}
	if browser == nil || out.Confirmed {
		return p.signedOut(ctx, p.texts(ctx, parameters.UILocales), out, browser)
	}
	t := p.texts(ctx, parameters.UILocales)
	shown := p.Site.message(t, t.T("sign-out.title"), t.H("signed-in-as", "username", browser.User.Username))
	if out.Client.Name != "" {
		shown.Text = append(shown.Text, t.H("sign-out.client", "client", out.Client.Title()))
	}
	shown.Text = append(shown.Text, t.H("sign-out.text"))
	shown.template, shown.Target = "sign-out", out.Address
	shown.Forms = []*form{{Action: "sign-out/confirm", Hidden: []hidden{
		{"id_token_hint", parameters.IDTokenHint},
		{"client_id", parameters.ClientID},
		{"post_logout_redirect_uri", parameters.RedirectURI},
		{"state", parameters.State},
		{"ui_locales", parameters.UILocales},
	}, Buttons: []button{{Text: t.T("sign-out.button")}}}}
	return p.Site.answer(http.StatusOK, shown), nil
}

// confirmSignOut is POST /sign-out/confirm: the button of the page.
func (p *Pages) confirmSignOut(c echo.Context) error {
	form, err := p.form(c, maxForm)
	if err != nil {
		return err
	}
	ctx := WithCookies(c.Request().Context(), c.Request())
	browser, err := p.browser(ctx)
	if err != nil {
		return err
	}
	parameters := oauth.SignOutParameters{
		IDTokenHint: form.Get("id_token_hint"), ClientID: form.Get("client_id"),
		RedirectURI: form.Get("post_logout_redirect_uri"), State: form.Get("state"), UILocales: form.Get("ui_locales"),
	}
	out, err := p.OAuth.SignOut(ctx, parameters, browser)
	var answer Answer
	if err != nil {
		answer, err = p.unsafe(ctx, err)
	} else {
		answer, err = p.signedOut(ctx, p.texts(ctx, parameters.UILocales), out, browser)
	}
	return answer.writeUnless(err, c)
}

// signedOut ends the session of a browser, if it has one, and sends the person on.
func (p *Pages) signedOut(ctx context.Context, t *texts, out oauth.SignOut, browser *identity.Browser) (Answer, error) {
	if browser != nil {
		if err := p.Identity.SignOut(ctx, browser); err != nil {
			return Answer{}, err
		}
	}
	answer := Redirect(out.Address)
	if out.Address == "" {
		answer = p.Site.answer(http.StatusOK, p.Site.message(t, t.T("signed-out.title"), t.H("signed-out.text")))
	}
	answer.cookies = append(answer.cookies, p.forget(sessionCookie))
	return answer, nil
}
