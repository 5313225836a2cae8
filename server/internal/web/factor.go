package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// secondFactorPath is where the form for the second factor is sent. Only a browser that keeps the step before it can complete a sign-in.
const secondFactorPath = "/second-factor"

// askForFactor asks for the second factor of a sign-in.
func (p *Pages) askForFactor(ctx context.Context, status int, e errand, step secret.Text, fault string) Answer {
	shown := e.page(ctx, p, "second-factor")
	t, f := shown.texts, e.form("second-factor")
	f.Fields = []*field{{
		Name: "code", Type: "text", Label: t.T("second-factor.code"), Autocomplete: "one-time-code", Exact: true, Fault: fault,
	}}
	f.focus().Buttons = []button{{Text: t.T("sign-in.button")}}
	shown.Text = append(shown.Text, t.H("second-factor.text"))
	shown.Forms = []*form{f}
	shown.Links = []link{{e.link("sign-in"), t.T("sign-in.back")}}
	if err := p.offerSecondPasskey(ctx, e, step, &shown); err != nil {
		return Answer{err: err}
	}
	if shown.Passkey != nil {
		shown.Text[len(shown.Text)-1] = t.H("second-factor.passkey-text")
	}
	return p.Site.answer(status, shown)
}

// openSecondFactor is GET /second-factor, where a person comes who has signed in at a provider: it asks for what the sign-in lacks.
func (p *Pages) openSecondFactor(ctx context.Context, c echo.Context, e errand) error {
	step := p.step(ctx)
	who, err := p.Identity.Resume(ctx, step)
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		return p.askToSignIn(ctx, statusOf(fault), e, "", explain(c, e.texts(ctx, p), fault)).write(c.Response())
	}
	if err != nil {
		return err
	}
	if who.User().Factors == "" {
		answer, err := p.askToEnroll(ctx, e, who.User())
		return answer.writeUnless(err, c)
	}
	return p.askForFactor(ctx, http.StatusOK, e, step, "").write(c.Response())
}

// secondFactor is POST /second-factor.
func (p *Pages) secondFactor(ctx context.Context, c echo.Context, e errand, form url.Values) error {
	t := e.texts(ctx, p)
	before, err := p.browser(ctx)
	if err != nil {
		return err
	}
	step, code := p.step(ctx), secret.New(form.Get("code"))
	var browser identity.Browser
	var cookie secret.Text
	passkey := form.Get("passkey")
	if passkey != "" {
		browser, cookie, err = p.Identity.CompleteWithPasskey(ctx, step, secret.New(passkey))
	} else {
		browser, cookie, err = p.Identity.CompleteSignIn(ctx, step, code)
	}
	if missing, ok := errors.AsType[*identity.Incomplete](err); ok { // the factors have changed meanwhile
		answer, err := p.incomplete(ctx, e, missing)
		return answer.writeUnless(err, c)
	}
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		switch {
		case fault.Code == problem.InvalidRequest:
			return p.askToSignIn(ctx, http.StatusUnprocessableEntity, e, "", t.T("fault.step")).write(c.Response())
		case errors.Is(err, identity.ErrWrongCode):
			return p.askForFactor(ctx, http.StatusUnprocessableEntity, e, step, t.T("fault.code")).write(c.Response())
		}
		return p.askForFactor(ctx, statusOf(fault), e, step, explain(c, t, fault)).write(c.Response())
	}
	if err == nil && passkey == "" && identity.IsRecoveryCode(code) {
		answer, err := p.arrive(ctx, before, browser, cookie, func() (Answer, error) { return p.recoveryUsed(ctx, e, &browser) })
		return answer.writeUnless(err, c)
	}
	answer, err := p.signedIn(ctx, e, before, browser, cookie, err)
	return answer.writeUnless(err, c)
}
