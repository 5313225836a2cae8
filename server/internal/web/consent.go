package web

import (
	"context"
	"html/template"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/identity"
	"sesame/server/internal/names"
	"sesame/server/internal/oauth"
	"sesame/server/internal/store"
)

// askToConsent asks whether a client may have what it asks for.
func (p *Pages) askToConsent(ctx context.Context, a oauth.Authorization, browser *identity.Browser) Answer {
	t := p.texts(ctx, a.UILocales)
	title := a.Client.Title()
	shown := p.Site.message(t, t.T("consent.title", "client", title), t.H("signed-in-as", "username", browser.User.Username))
	shown.Text = append(shown.Text, p.unverified(t, a)...)
	shown.Text = append(shown.Text, t.H("consent.text", "client", title))
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

// unverified are the paragraphs about a client that no operator has made: whose its name is, and where the answer goes. The hosts are what
// it cannot invent.
func (p *Pages) unverified(t *texts, a oauth.Authorization) (paragraphs []template.HTML) {
	switch a.Client.Registration {
	case store.ByItself:
		paragraphs = append(paragraphs, t.H("consent.unverified"))
	case store.ByDocument:
		paragraphs = append(paragraphs, t.H("consent.document", "host", hostOf(a.Client.DocumentURI)))
	default:
		return nil
	}
	to, err := url.Parse(a.Redirect)
	switch {
	case err != nil:
	case to.Scheme != "https" && to.Scheme != "http":
		paragraphs = append(paragraphs, t.H("consent.app", "scheme", to.Scheme))
	case to.Scheme == "http": // a registered address with it is at a loopback address
		paragraphs = append(paragraphs, t.H("consent.program"))
	default:
		paragraphs = append(paragraphs, t.H("consent.site", "host", hostOf(a.Redirect)))
	}
	return append(paragraphs, t.H("consent.resource", "resource", names.Visible(p.OAuth.ResourceOf(a))))
}

// hostOf is the host of a URL for people, as ASCII: letters of other scripts can look like others.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
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
