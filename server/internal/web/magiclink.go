package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/account"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

const (
	// MagicLinkPath is the page that a mailed link opens to sign a person in. Opening it does not use the link, since mail scanners
	// open links, too; its button does.
	MagicLinkPath = "/sign-in-link"
	linkCookieTTL = 10 * time.Minute
	// maxLinkErrand bounds what a person signs in for, in bytes, so that the cookie does not become too large for browsers.
	maxLinkErrand = 3000
)

// keepLink marks the browser that has asked for a link, and keeps what the person signs in for.
func (p *Pages) keepLink(mark secret.Text, e errand) *http.Cookie {
	value := mark.Reveal()
	if e.sealed != "" && len(e.sealed) <= maxLinkErrand {
		value += "." + url.QueryEscape(e.sealed)
	}
	return p.keepFor(linkCookie, value, linkCookieTTL)
}

// askedForLink returns what the cookie keeps. A request that is too old leads to the account page.
func (p *Pages) askedForLink(ctx context.Context) (mark secret.Text, e errand) {
	text, escaped, _ := strings.Cut(p.kept(ctx, linkCookie), ".")
	sealed, err := url.QueryUnescape(escaped)
	if err == nil {
		e, err = p.openErrand(ctx, sealed)
	}
	if err != nil {
		e = accountErrand
	}
	return secret.New(text), e
}

// mailLink mails a link to a person who asks for one on the sign-in page. The answer is the same whether or not there is such an
// account. A browser keeps its mark, so that the links of two mails work.
func (p *Pages) mailLink(ctx context.Context, c echo.Context, e errand, address string) error {
	t, mark := e.texts(ctx, p), token.NewSecret()
	if before, _ := p.askedForLink(ctx); !before.Empty() {
		mark = before
	}
	address = strings.TrimSpace(address)
	err := p.Accounts.RequestMagicLink(ctx, address, mark)
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		text := explain(c, t, fault)
		if fault.Code == problem.ValidationFailed {
			text = t.T("fault.email-for-link")
		}
		return p.askToSignIn(ctx, statusOf(fault), e, address, text).write(c.Response())
	}
	if err != nil {
		return err
	}
	shown := p.Site.message(t, t.T("forgot-password.sent.title"), t.H("sign-in-link.sent", "email", address), t.H("forgot-password.sent-hint"))
	shown.Links = []link{{e.link("sign-in"), t.T("sign-in.back")}}
	answer := p.Site.answer(http.StatusOK, shown)
	answer.cookies = append(answer.cookies, p.keepLink(mark, e))
	return answer.write(c.Response())
}

// openLink is GET /sign-in-link.
func (p *Pages) openLink(c echo.Context) error {
	ctx, code := WithCookies(c.Request().Context(), c.Request()), secret.New(c.QueryParam("code"))
	mark, e := p.askedForLink(ctx)
	_, user, err := p.Accounts.CodeToSignIn(ctx, code, mark)
	if err != nil {
		return p.refuseLink(ctx, c, e, err)
	}
	shown := e.page(ctx, p, "sign-in")
	shown.template = codeTemplate
	shown.Text = append(shown.Text, shown.H("sign-in-link.text", "username", user.Username))
	f := e.form("sign-in-link")
	f.Hidden = append(f.Hidden, hidden{"code", code.Reveal()})
	f.Buttons = []button{{Text: shown.T("sign-in.button")}}
	shown.Forms = []*form{f}
	return p.Site.answer(http.StatusOK, shown).write(c.Response())
}

// useLink is POST /sign-in-link.
func (p *Pages) useLink(ctx context.Context, c echo.Context, e errand, form url.Values) error {
	before, err := p.browser(ctx)
	if err != nil {
		return err
	}
	mark, _ := p.askedForLink(ctx)
	browser, cookie, err := p.Accounts.SignInByLink(ctx, secret.New(form.Get("code")), mark)
	var answer Answer
	if missing, ok := errors.AsType[*identity.Incomplete](err); ok {
		answer, err = p.incomplete(ctx, e, missing)
	} else {
		answer, err = p.signedIn(ctx, e, before, browser, cookie, err)
	}
	if err != nil {
		return p.refuseLink(ctx, c, e, err)
	}
	answer.cookies = append(answer.cookies, p.forget(linkCookie))
	return answer.write(c.Response())
}

// refuseLink says why a link cannot be used.
func (p *Pages) refuseLink(ctx context.Context, c echo.Context, e errand, err error) error {
	fault, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return err
	}
	t, title, text := e.texts(ctx, p), "code.invalid.title", "code.invalid"
	switch {
	case errors.Is(err, account.ErrOtherBrowser):
		title, text = "sign-in-link.other.title", "sign-in-link.other"
	case fault.Code != problem.InvalidCode:
		return p.askToSignIn(ctx, statusOf(fault), e, "", explain(c, t, fault)).write(c.Response())
	}
	shown := p.Site.message(t, t.T(title), t.H(text))
	shown.Links = []link{{e.link("sign-in"), t.T("sign-in.back")}}
	return p.Site.answer(fault.Code.Status(), shown).write(c.Response())
}
