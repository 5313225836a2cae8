package web

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// signInHolder binds the request in the form. Nobody is signed in yet, so there is nothing else to bind it to.
const signInHolder = "sign in"

// errand is what a person signs in for: an authorization request, the page for devices or, without either, the account page.
// There is no other place to go to, so that no page redirects to an address that a stranger has chosen.
type errand struct {
	request *oauth.Authorization
	sealed  string // the request, or what deviceErrand returns, for forms and links
	path    string // without a request: where to go
	fresh   bool   // without a request: whether the person has to sign in again, unless they just have
}

func (p *Pages) errandOf(a oauth.Authorization) errand {
	return errand{request: &a, sealed: p.OAuth.Seal(a, signInHolder)}
}

// accountErrand is the errand without a request.
var accountErrand = errand{path: "/account"}

// openErrand is the errand of a form or a link. Errors: InvalidRequest.
func (p *Pages) openErrand(ctx context.Context, sealed string) (errand, error) {
	return p.openErrandOf(ctx, sealed, signInHolder)
}

// openErrandOf is openErrand for a text that is bound to another holder.
func (p *Pages) openErrandOf(ctx context.Context, sealed, holder string) (errand, error) {
	if sealed == "" {
		return accountErrand, nil
	}
	if e, ok := freshErrands[sealed]; ok {
		return e, nil
	}
	if code, ok := strings.CutPrefix(sealed, deviceErrandPrefix); ok {
		return deviceErrand(code), nil
	}
	a, err := p.OAuth.Unseal(ctx, sealed, holder)
	return p.errandOf(a), err
}

// opened is the handler of a page that a link opens for an errand.
func (p *Pages) opened(show func(ctx context.Context, c echo.Context, e errand) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		return p.withErrand(c, c.QueryParam("request"), func(ctx context.Context, e errand) error { return show(ctx, c, e) })
	}
}

// sent is the handler of the form of such a page.
func (p *Pages) sent(use func(ctx context.Context, c echo.Context, e errand, form url.Values) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		form, err := p.form(c, maxForm)
		if err != nil {
			return err
		}
		return p.withErrand(c, form.Get("request"), func(ctx context.Context, e errand) error { return use(ctx, c, e, form) })
	}
}

// withErrand calls do with the errand of a text, or shows why there is none.
func (p *Pages) withErrand(c echo.Context, sealed string, do func(ctx context.Context, e errand) error) error {
	ctx := WithCookies(c.Request().Context(), c.Request())
	e, err := p.openErrand(ctx, sealed)
	if err != nil {
		answer, err := p.unsafe(ctx, err)
		return answer.writeUnless(err, c)
	}
	return do(ctx, e)
}

// texts returns the texts for the person.
func (e errand) texts(ctx context.Context, p *Pages) *texts {
	if e.request == nil {
		return p.texts(ctx, "")
	}
	return p.texts(ctx, e.request.UILocales)
}

// link is the address of another page, for the same errand.
func (e errand) link(page template.URL) template.URL {
	if e.sealed == "" {
		return page
	}
	return page + "?request=" + template.URL(url.QueryEscape(e.sealed)) //nolint:gosec // escaped
}

// page is a page on the way of the errand.
func (e errand) page(ctx context.Context, p *Pages, name string) page {
	t := e.texts(ctx, p)
	shown := p.Site.message(t, t.T(name+".title"))
	if shown.template = name; e.request != nil {
		shown.Target, shown.ClientLogo = e.request.Redirect, e.request.Client.LogoAddress()
		shown.Text = append(shown.Text, t.H("errand.client", "client", e.request.Client.Title()))
	}
	if e.fresh {
		shown.Text = append(shown.Text, t.H("errand.fresh"))
	}
	return shown
}

// form is the form of such a page.
func (e errand) form(action string) *form {
	f := &form{Action: action}
	if e.sealed != "" {
		f.Hidden = []hidden{{"request", e.sealed}}
	}
	return f
}

// continueErrand goes on with the errand of a person who has just signed in.
func (p *Pages) continueErrand(ctx context.Context, e errand, browser *identity.Browser) (Answer, error) {
	if e.request == nil {
		return Redirect(p.PublicURL + e.path), nil
	}
	return p.proceed(ctx, *e.request, browser, false)
}

// Authorize answers an authorization request (GET /authorize).
func (p *Pages) Authorize(ctx context.Context, parameters oauth.AuthorizationParameters) (Answer, error) {
	a, err := p.OAuth.Authorization(ctx, parameters, p.Identity.Now())
	if err != nil {
		return p.unsafe(ctx, err)
	}
	browser, err := p.browser(ctx)
	if err != nil {
		return Answer{}, err
	}
	return p.proceed(ctx, a, browser, false)
}

// unsafe answers a request that must not be answered to the client.
func (p *Pages) unsafe(ctx context.Context, err error) (Answer, error) {
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.InvalidRequest {
		return p.refused(ctx, fault), nil
	}
	return Answer{}, err
}

// proceed takes the next step of an authorization request.
func (p *Pages) proceed(ctx context.Context, a oauth.Authorization, browser *identity.Browser, consented bool) (Answer, error) {
	if a.Fault != nil {
		return p.fault(ctx, a, browser), nil //nolint:nilerr // the page shows the fault, or the client gets it
	}
	step, err := p.OAuth.Next(ctx, a, browser, consented)
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		return Redirect(p.OAuth.Refuse(a, fault)), nil
	}
	if err != nil {
		return Answer{}, err
	}
	switch {
	case step == oauth.SignIn && a.Creates():
		return p.askToSignUp(ctx, http.StatusOK, p.errandOf(a), signUpForm{email: a.LoginHint}), nil
	case step == oauth.SignIn:
		fault := ""
		switch {
		case browser != nil && a.WantsAnother(browser.User):
			fault = p.texts(ctx, a.UILocales).T("sign-in.another")
		case a.NeedsFactor(browser):
			fault = p.texts(ctx, a.UILocales).T("sign-in.stronger")
		}
		return p.askToSignIn(ctx, http.StatusOK, p.errandOf(a), a.LoginHint, fault), nil
	case step == oauth.Consent:
		return p.askToConsent(ctx, a, browser), nil
	}
	address, err := p.OAuth.Grant(ctx, a, browser)
	return Redirect(address), err
}

// fault answers a faulty request. A person who is not signed in is not sent to the client, since anybody can make the request,
// and the client may be a trap (RFC 9700 §4.11.2); they may sign in first, or follow the link.
func (p *Pages) fault(ctx context.Context, a oauth.Authorization, browser *identity.Browser) Answer {
	address := p.OAuth.Refuse(a, a.Fault)
	if browser != nil || a.Silent() {
		return Redirect(address)
	}
	if a.IsUnsupported() {
		return p.askToSignIn(ctx, http.StatusOK, p.errandOf(a), "", "")
	}
	t := p.texts(ctx, a.UILocales)
	shown := p.Site.message(t, t.T("refused.title"), escaped(t.T("refused.request", "fault", t.Sentence(a.Fault.Detail))))
	shown.Links = []link{{template.URL(address), t.T("home.back-to", "name", a.Client.Title())}} //nolint:gosec // the address is a registered one
	return p.Site.answer(http.StatusBadRequest, shown)
}

// askToSignIn asks for a username and a password, or for a provider.
func (p *Pages) askToSignIn(ctx context.Context, status int, e errand, username, fault string) Answer {
	return p.signInPage(ctx, status, e, username, fault, fault != "")
}

// signInPage is the page of askToSignIn. wrong says that the fault is one of the username and the password.
func (p *Pages) signInPage(ctx context.Context, status int, e errand, username, fault string, wrong bool) Answer {
	shown := e.page(ctx, p, "sign-in")
	t, f := shown.texts, e.form("sign-in")
	f.Fields = []*field{
		{Name: "username", Type: "text", Label: t.T("sign-in.username"), Value: username, Autocomplete: "username webauthn", Exact: true, FaultAbove: wrong},
		currentPasswordField(t, "password", "sign-in.password"),
	}
	f.Fields[1].FaultAbove = wrong
	f.Buttons = []button{{Text: t.T("sign-in.button")}}
	if p.Accounts.HasMagicLinks() {
		f.Buttons = append(f.Buttons, button{Text: t.T("sign-in.link"), Name: "do", Value: "link", Second: true, Incomplete: true})
	}
	if f.focus(); fault != "" && username != "" { // the name is probably correct
		f.Fields[0].Focus, f.Fields[1].Focus = false, true
	}
	providers, failed := p.providerForms(ctx, t, e)
	shown.Fault, shown.Forms = fault, append([]*form{f}, providers...)
	shown.Links = []link{{e.link("forgot-password"), t.T("sign-in.forgotten")}}
	if !p.Accounts.RegistrationClosed {
		shown.Links = append(shown.Links, link{e.link("sign-up"), t.T("sign-in.no-account")})
	}
	cookie, err := p.offerPasskey(ctx, e, &shown)
	if err = errors.Join(failed, err); err != nil {
		return Answer{err: err}
	}
	answer := p.Site.answer(status, shown)
	if cookie != nil {
		answer.cookies = append(answer.cookies, cookie)
	}
	return answer
}

// openSignIn is GET /sign-in: for an authorization request in a link of another page, or for the account page.
func (p *Pages) openSignIn(ctx context.Context, c echo.Context, e errand) error {
	browser, err := p.browser(ctx)
	if err != nil {
		return err
	}
	username := ""
	if browser != nil && e.request == nil {
		if !e.fresh || p.Identity.RequireFreshLogin(p.Identity.Caller(browser), browser.User) == nil {
			return Redirect(p.PublicURL + e.path).write(c.Response())
		}
		username = browser.User.Username
	}
	fault := providerFaults[c.QueryParam("fault")]
	if fault != "" {
		fault = e.texts(ctx, p).T(fault)
	}
	return p.signInPage(ctx, http.StatusOK, e, username, fault, false).write(c.Response())
}

// signIn is POST /sign-in: the form with the password.
func (p *Pages) signIn(ctx context.Context, c echo.Context, e errand, form url.Values) error {
	username := form.Get("username")
	if form.Get("do") == "link" && p.Accounts.HasMagicLinks() {
		return p.mailLink(ctx, c, e, username)
	}
	var answer Answer
	var err error
	if passkey := form.Get("passkey"); passkey != "" {
		answer, err = p.signInWithPasskey(ctx, e, secret.New(passkey))
	} else {
		answer, err = p.startSession(ctx, e, username, secret.New(form.Get("password")))
	}
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		return p.askToSignIn(ctx, statusOf(fault), e, username, explain(c, e.texts(ctx, p), fault)).write(c.Response())
	}
	return answer.writeUnless(err, c)
}

// startSession signs a person in, or asks for the second factor. Errors: those of identity.SignIn.
func (p *Pages) startSession(ctx context.Context, e errand, username string, password secret.Text) (Answer, error) {
	before, err := p.browser(ctx)
	if err != nil {
		return Answer{}, err
	}
	browser, cookie, err := p.Identity.SignIn(ctx, username, password)
	if missing, ok := errors.AsType[*identity.Incomplete](err); ok {
		return p.incomplete(ctx, e, missing)
	}
	return p.signedIn(ctx, e, before, browser, cookie, err)
}

// signedIn goes on with the errand of a person who has just signed in. The session that the browser had before ends. A person who
// must have a second factor soon is offered to set it up.
func (p *Pages) signedIn(ctx context.Context, e errand, before *identity.Browser, browser identity.Browser, cookie secret.Text, err error) (Answer, error) {
	if err != nil {
		return Answer{}, err
	}
	return p.arrive(ctx, before, browser, cookie, func() (Answer, error) {
		if due := p.Identity.FactorDue(browser.User); browser.User.Factors == "" && !due.IsZero() {
			return p.offer(ctx, e, &browser, due)
		}
		return p.continueErrand(ctx, e, &browser)
	})
}

// arrive answers with then, for a person who has just signed in.
func (p *Pages) arrive(ctx context.Context, before *identity.Browser, browser identity.Browser, cookie secret.Text, then func() (Answer, error)) (answer Answer, err error) {
	if err = p.replaceSession(ctx, before, &browser); err != nil {
		return Answer{}, err
	}
	answer, err = then()
	answer.cookies = append(answer.cookies, p.cookie(cookie, browser.Session.EndsAt))
	if !p.step(ctx).Empty() {
		answer.cookies = append(answer.cookies, p.forget(stepCookie))
	}
	if p.passkeyBinding(ctx) != "" {
		answer.cookies = append(answer.cookies, p.forget(passkeyCookie))
	}
	return answer, err
}

// replaceSession ends the session that a browser had before its person has signed in. It may be nil.
func (p *Pages) replaceSession(ctx context.Context, before, after *identity.Browser) error {
	switch {
	case before == nil:
		return nil
	case before.User.ID != after.User.ID: // another person uses this browser now
		return p.Identity.SignOut(ctx, before)
	}
	return p.Identity.Replace(ctx, before, after)
}
