package web

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/account"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/upstream"
	"sesame/server/secret"
)

// providerForms are the buttons that lead to the providers, for an errand.
func (p *Pages) providerForms(ctx context.Context, t *texts, e errand) (forms []*form, err error) {
	providers, err := p.Upstream.Providers(ctx)
	for _, provider := range providers {
		f := e.form("sign-in/" + provider.Name)
		f.Buttons = []button{{Text: t.T("provider.continue", "provider", provider.Label), Second: true}}
		forms = append(forms, f)
	}
	return forms, err
}

// toProvider is POST /sign-in/{provider}: a button on the page that signs people in or up.
func (p *Pages) toProvider(ctx context.Context, c echo.Context, e errand, _ url.Values) error {
	again := e.fresh || e.request != nil && e.request.WantsProof()
	begun, err := p.Upstream.Begin(ctx, c.Param("provider"), upstream.Wish{Errand: e.sealed, Again: again})
	if err != nil {
		return p.providerFault(c, e, err)
	}
	return p.leave(c, e.texts(ctx, p), begun, "../")
}

// leave leads the browser to a provider. It does so with a page, and not with a redirect: the policy of a page applies form-action to every
// redirect that follows its form, and a provider may send people on to hosts of its own that nobody can list.
func (p *Pages) leave(c echo.Context, t *texts, begun upstream.Begun, base string) error {
	text := t.T("provider.continue", "provider", p.label(c))
	shown := p.Site.message(t, text)
	shown.Base, shown.Links = base, []link{{template.URL(begun.Address), text}} //nolint:gosec // of the provider's discovery document, which was checked
	answer := p.Site.answer(http.StatusOK, shown)
	answer.refresh, answer.cookies = begun.Address, []*http.Cookie{p.keepFor(providerCookie, begun.Cookie.Reveal(), begun.Expires.Sub(p.Identity.Now()))}
	return answer.write(c.Response())
}

// label is the label of the provider that a request is for, or its name.
func (p *Pages) label(c echo.Context) string {
	provider, err := p.Upstream.Provider(c.Request().Context(), c.Param("provider"))
	if err != nil {
		return c.Param("provider")
	}
	return provider.Label
}

// fromProvider is GET /sign-in/{provider}/callback: a provider sends a person back. It answers with a redirect always, so that the code of
// the provider is not in the address of a page.
func (p *Pages) fromProvider(c echo.Context) error {
	if c.Request().Method == http.MethodHead {
		return Redirect(p.PublicURL + "/sign-in").write(c.Response())
	}
	ctx := WithCookies(c.Request().Context(), c.Request())
	got, err := p.Upstream.Finish(ctx, c.Param("provider"), secret.New(p.kept(ctx, providerCookie)), c.QueryParams())
	http.SetCookie(c.Response(), p.forget(providerCookie))
	if got.Session != "" {
		return p.linkIdentity(ctx, c, got, err)
	}
	e, invalid := p.openErrand(ctx, got.Errand)
	if invalid != nil { // the page that signs people in explains it
		e = errand{sealed: got.Errand, path: accountErrand.path}
	}
	if err == nil && invalid == nil {
		return p.signInUpstream(ctx, c, e, got.Person)
	}
	return p.providerFault(c, e, err)
}

// signInUpstream starts the session of a person whom a provider has named.
func (p *Pages) signInUpstream(ctx context.Context, c echo.Context, e errand, person upstream.Person) error {
	before, err := p.browser(ctx)
	if err != nil {
		return err
	}
	browser, cookie, err := p.Accounts.SignInUpstream(ctx, person)
	if missing, ok := errors.AsType[*identity.Incomplete](err); ok {
		answer := Redirect(p.PublicURL + string(e.link(secondFactorPath)))
		answer.cookies = []*http.Cookie{p.keepStep(missing, http.SameSiteLaxMode)}
		return answer.write(c.Response())
	}
	if err == nil {
		err = p.replaceSession(ctx, before, &browser)
	}
	if err != nil {
		return p.providerFault(c, e, err)
	}
	answer := Redirect(p.PublicURL + e.path)
	if e.request != nil { // the pages that may follow have their own places
		answer.Location = p.PublicURL + "/" + string(p.onward(e, browser.Session))
	}
	answer.cookies = []*http.Cookie{p.cookie(cookie, browser.Session.EndsAt)}
	return answer.write(c.Response())
}

// providerFaults are the texts of what can go wrong at a provider, by the name that the address of the next page has.
var providerFaults = map[string]string{
	"cancelled": "provider.cancelled", "failed": "provider.failed", "late": "provider.late", "has-account": "provider.has-account", "closed": "sign-up.closed",
	"unconfirmed": "provider.unconfirmed", "disabled": "provider.disabled", "limit": "provider.limit", "no-address": "provider.no-address", "taken": "provider.taken",
	"too-long": "provider.too-long", "full": "provider.full",
}

// faultName names what has gone wrong; "" for an error that is none of the person, the provider or the rules.
func faultName(err error) string {
	fault, _ := errors.AsType[*problem.Error](err)
	switch {
	case errors.Is(err, upstream.ErrDenied):
		return "cancelled"
	case errors.Is(err, upstream.ErrProvider):
		return "failed"
	case err == nil, errors.Is(err, upstream.ErrState):
		return "late"
	case errors.Is(err, account.ErrAddressHasAccount):
		return "has-account"
	case errors.Is(err, account.ErrIdentityTaken):
		return "taken"
	case errors.Is(err, account.ErrTooManyIdentities):
		return "full"
	case errors.Is(err, identity.ErrUnconfirmed):
		return "unconfirmed"
	case fault == nil:
		return ""
	}
	return map[problem.Code]string{
		problem.NotFound: "failed", problem.RegistrationClosed: "closed", problem.InvalidGrant: "disabled", problem.TooManyRequests: "limit",
		problem.ValidationFailed: "no-address", problem.PayloadTooLarge: "too-long",
	}[fault.Code]
}

// providerFault sends the person back to the page that signs them in, which says what has gone wrong.
func (p *Pages) providerFault(c echo.Context, e errand, err error) error {
	name := p.logFault(c, err)
	if name == "" {
		return err
	}
	address := string(e.link("/sign-in"))
	if strings.Contains(address, "?") {
		address += "&fault=" + name
	} else {
		address += "?fault=" + name
	}
	return Redirect(p.PublicURL + address).write(c.Response())
}

// logFault returns the name of a fault, and logs why a provider has failed.
func (p *Pages) logFault(c echo.Context, err error) string {
	name := faultName(err)
	if name == "failed" {
		p.Upstream.Log.Warn("signing in at a provider failed", "provider", c.Param("provider"), "error", err)
	}
	return name
}
