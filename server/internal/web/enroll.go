package web

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/account"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

const (
	// enrollPath is where the form of a set-up during a sign-in is sent. There is no page without the step before it.
	enrollPath = "/set-up"
	// continuePath goes on with an errand, after a page that the person had to see.
	continuePath = "/continue"
)

// incomplete asks for what a sign-in lacks: the second factor or, of a person who must have one, its set-up.
func (p *Pages) incomplete(ctx context.Context, e errand, missing *identity.Incomplete) (answer Answer, err error) {
	if len(missing.Factors) > 0 {
		answer = p.askForFactor(ctx, http.StatusOK, e, missing.Sealed, "")
	} else if answer, err = p.askToEnroll(ctx, e, missing.User); err != nil {
		return answer, err
	}
	answer.cookies = append(answer.cookies, p.keepStep(missing, http.SameSiteStrictMode))
	return answer, nil
}

// askToEnroll asks a person who must have a second factor to set one up, before there is a session.
func (p *Pages) askToEnroll(ctx context.Context, e errand, user store.User) (Answer, error) {
	setup, err := p.Accounts.NewTOTP(user)
	if err != nil {
		return Answer{}, err
	}
	return p.enrollPage(ctx, http.StatusOK, e, setup, enrollment{text: e.texts(ctx, p).H("authenticator.required")}), nil
}

// offer offers the set-up to a person who must have a second factor soon. They have signed in, and may go on without it.
func (p *Pages) offer(ctx context.Context, e errand, browser *identity.Browser, due time.Time) (Answer, error) {
	setup, err := p.Accounts.NewTOTP(browser.User)
	if err != nil {
		return Answer{}, err
	}
	return p.enrollPage(ctx, http.StatusOK, e, setup, p.offered(e.texts(ctx, p), e, browser.Session, due)), nil
}

func (p *Pages) offered(t *texts, e errand, session store.Session, due time.Time) enrollment {
	return enrollment{text: t.H("authenticator.offered", "time", t.Time(due)), links: []link{{p.onward(e, session), t.T("authenticator.later")}}}
}

// enrollment is what the page of a set-up says.
type enrollment struct {
	text    template.HTML
	links   []link
	typed   url.Values
	refused *problem.Error
}

func (p *Pages) enrollPage(ctx context.Context, status int, e errand, setup account.TOTPSetup, says enrollment) Answer {
	shown := e.page(ctx, p, "authenticator")
	shown.Text, shown.Links = append(shown.Text, says.text), says.links
	shown.setUp(setup, says.typed, says.refused)
	shown.Forms[0].Action, shown.Forms[0].Hidden = enrollPath[1:], append(shown.Forms[0].Hidden, e.form("").Hidden...)
	return p.Site.answer(status, shown)
}

// enroll is POST /set-up: of a person who has signed in and must have a second factor soon, or whose sign-in lacks one.
func (p *Pages) enroll(ctx context.Context, c echo.Context, e errand, form url.Values) error {
	before, err := p.browser(ctx)
	if err != nil {
		return err
	}
	t, confirmation := e.texts(ctx, p), confirmationOf(form)
	says := enrollment{typed: form}
	var user store.User
	var answer Answer
	if step := p.step(ctx); step.Empty() && before != nil {
		user, says = before.User, p.offered(t, e, before.Session, p.Identity.FactorDue(before.User))
		says.typed = form
		var codes []string
		if _, codes, err = p.Accounts.ConfirmTOTP(ctx, p.Identity.Caller(before), confirmation); err == nil {
			err = p.renewCookie(ctx, c, before)
			answer = p.codesThenContinue(ctx, e, before, codes)
		}
	} else {
		answer, user, err = p.enrollAndSignIn(ctx, e, before, step, confirmation)
		says.text = t.H("authenticator.required")
	}
	if missing, ok := errors.AsType[*identity.Incomplete](err); ok { // another factor was set up meanwhile
		answer, err = p.incomplete(ctx, e, missing)
		return answer.writeUnless(err, c)
	}
	fault, refused := errors.AsType[*problem.Error](err)
	switch {
	case !refused:
		return answer.writeUnless(err, c)
	case user.ID == "", fault.Code == problem.StaleLogin:
		return p.askToSignIn(ctx, http.StatusUnprocessableEntity, e, "", t.T("fault.step")).write(c.Response())
	}
	says.refused = fault
	setup, err := p.setUpAgain(user, confirmation.Setup)
	if err != nil {
		return err
	}
	return p.enrollPage(ctx, statusOf(fault), e, setup, says).write(c.Response())
}

// enrollAndSignIn completes a sign-in by the set-up of an authenticator app. The user is zero if there is no such sign-in.
func (p *Pages) enrollAndSignIn(ctx context.Context, e errand, before *identity.Browser, step secret.Text, c account.TOTPConfirmation) (Answer, store.User, error) {
	who, err := p.Identity.Resume(ctx, step)
	if err != nil {
		return Answer{}, store.User{}, err
	}
	browser, cookie, codes, err := p.Accounts.Enroll(ctx, who, c)
	if err != nil {
		return Answer{}, who.User(), err
	}
	answer, err := p.arrive(ctx, before, browser, cookie, func() (Answer, error) {
		return p.codesThenContinue(ctx, e, &browser, codes), nil
	})
	return answer, who.User(), err
}

// codesThenContinue shows recovery codes, once, with a link to go on.
func (p *Pages) codesThenContinue(ctx context.Context, e errand, browser *identity.Browser, codes []string) Answer {
	shown := e.page(ctx, p, "recovery-codes")
	shown.Text, shown.Codes = append(shown.Text, shown.H("recovery-codes.text", "username", browser.User.Username)), codes
	shown.Links = []link{{p.onward(e, browser.Session), shown.T("recovery-codes.done")}}
	return p.Site.answer(http.StatusOK, shown)
}

// recoveryUsed says after a sign-in with a recovery code how many are left.
func (p *Pages) recoveryUsed(ctx context.Context, e errand, browser *identity.Browser) (Answer, error) {
	factors, err := p.Accounts.Factors(ctx, p.Identity.Caller(browser))
	if err != nil {
		return Answer{}, err
	}
	shown := e.page(ctx, p, "recovery-used")
	shown.template = "message"
	shown.Text = append(shown.Text, shown.H("recovery-used.text", "n", strconv.Itoa(factors.CodesLeft)))
	shown.Links = []link{{p.onward(e, browser.Session), shown.T("recovery-used.continue")}, {template.URL(securityPath[1:]), shown.T("account-security.title")}} //nolint:gosec // a constant
	return p.Site.answer(http.StatusOK, shown), nil
}

// onward is the link that goes on with an errand in a session that has just begun. It works in that session alone: one that was made for
// another sign-in would get around a client that wants a new one.
func (p *Pages) onward(e errand, session store.Session) template.URL {
	if e.request != nil {
		e.sealed = p.OAuth.Seal(*e.request, onwardHolder+session.ID)
	}
	return e.link(template.URL(continuePath[1:])) //nolint:gosec // a constant
}

const onwardHolder = "continue in "

// goOn is GET /continue.
func (p *Pages) goOn(c echo.Context) error {
	ctx, sealed := WithCookies(c.Request().Context(), c.Request()), c.QueryParam("request")
	browser, err := p.browser(ctx)
	if err != nil {
		return err
	}
	if browser == nil {
		return Redirect(p.PublicURL + "/sign-in").write(c.Response())
	}
	e, err := p.openErrandOf(ctx, sealed, onwardHolder+browser.Session.ID)
	if err != nil {
		answer, err := p.unsafe(ctx, err)
		return answer.writeUnless(err, c)
	}
	answer, err := p.continueErrand(ctx, e, browser)
	return answer.writeUnless(err, c)
}
