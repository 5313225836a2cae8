package web

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// signInForm asks for a username and a password.
type signInForm struct {
	Request  string // the sealed authorization request
	Username string
	Client   string // the name of the client that the person goes on to
}

// signInHolder binds the request in the form. Nobody is signed in yet, so there is nothing else to bind it to.
const signInHolder = "sign in"

// Authorize answers an authorization request (GET /authorize).
func (p *Pages) Authorize(ctx context.Context, parameters oauth.AuthorizationParameters) (Answer, error) {
	a, err := p.OAuth.Authorization(ctx, parameters, p.Identity.Now())
	if err != nil {
		return p.unsafe(err)
	}
	browser, err := p.browser(ctx)
	if err != nil {
		return Answer{}, err
	}
	return p.proceed(ctx, a, browser, false)
}

// unsafe answers a request that must not be answered to the client.
func (p *Pages) unsafe(err error) (Answer, error) {
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.InvalidRequest {
		return p.refused(fault), nil
	}
	return Answer{}, err
}

// proceed takes the next step of an authorization request.
func (p *Pages) proceed(ctx context.Context, a oauth.Authorization, browser *identity.Browser, consented bool) (Answer, error) {
	if a.Fault != nil {
		return p.fault(a, browser), nil
	}
	step, err := p.OAuth.Next(ctx, a, browser, consented)
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		return Redirect(p.OAuth.Refuse(a, fault)), nil
	}
	if err != nil {
		return Answer{}, err
	}
	switch step {
	case oauth.SignIn:
		fault := ""
		if browser != nil && a.WantsAnother(browser.User) {
			fault = "The application asks for another account. Sign in with that one."
		}
		return p.askToSignIn(http.StatusOK, a, a.LoginHint, fault), nil
	case oauth.Consent:
		return p.askToConsent(a, browser), nil
	}
	address, err := p.OAuth.Grant(a, browser)
	return Redirect(address), err
}

// fault answers a faulty request. A person who is not signed in is not sent to the client, since anybody can make the request,
// and the client may be a trap (RFC 9700 §4.11.2); they may follow the link.
func (p *Pages) fault(a oauth.Authorization, browser *identity.Browser) Answer {
	address := p.OAuth.Refuse(a, a.Fault)
	if browser != nil || a.Silent() {
		return Redirect(address)
	}
	return p.Site.answer(http.StatusBadRequest, page{
		Title: "This sign-in cannot continue",
		Text:  []paragraph{{Before: "The application sent a request that is not valid: " + a.Fault.Detail}},
		Link:  &link{template.URL(address), "Go back to " + a.Client.Name}, //nolint:gosec // the address is a registered one
	})
}

func (p *Pages) askToSignIn(status int, a oauth.Authorization, username, fault string) Answer {
	return p.Site.answer(status, page{
		Title: "Sign in", Fault: fault, Target: a.Redirect,
		SignIn: &signInForm{Request: p.OAuth.Seal(a, signInHolder), Username: username, Client: a.Client.Name},
	})
}

// signIn is POST /sign-in: the form with the password.
func (p *Pages) signIn(c echo.Context) error {
	form, err := p.form(c)
	if err != nil {
		return err
	}
	ctx := WithCookies(c.Request().Context(), c.Request())
	a, err := p.OAuth.Unseal(ctx, form.Get("request"), signInHolder)
	if err != nil {
		answer, err := p.unsafe(err)
		return errors.Join(err, answer.writeUnless(err, c))
	}
	username := form.Get("username")
	before, err := p.browser(ctx)
	if err != nil {
		return err
	}
	browser, cookie, err := p.Identity.SignIn(ctx, username, secret.New(form.Get("password")))
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		answer := p.askToSignIn(statusOf(fault), a, username, p.explain(fault))
		if fault.RetryAfter > 0 {
			c.Response().Header().Set(echo.HeaderRetryAfter, Seconds(fault.RetryAfter))
		}
		return answer.write(c.Response())
	}
	if err != nil {
		return err
	}
	if before != nil && before.User.ID != browser.User.ID { // another person uses this browser now
		if err = p.Identity.SignOut(ctx, before); err != nil {
			return err
		}
	} else if before != nil {
		if err = p.Identity.Replace(ctx, before, &browser); err != nil {
			return err
		}
	}
	answer, err := p.proceed(ctx, a, &browser, false)
	if err != nil {
		return err
	}
	answer.cookie = p.cookie(cookie, browser.Session.EndsAt)
	return answer.write(c.Response())
}

// writeUnless writes an answer unless there is an error.
func (a Answer) writeUnless(err error, c echo.Context) error {
	if err != nil {
		return nil
	}
	return a.write(c.Response())
}

// statusOf is the status of the page of a refused sign-in.
func statusOf(fault *problem.Error) int {
	if fault.Code == problem.InvalidGrant {
		return http.StatusUnprocessableEntity
	}
	return fault.Code.Status()
}

// explain says to a person why they are not signed in.
func (p *Pages) explain(fault *problem.Error) string {
	switch fault.Code {
	case problem.TooManyRequests:
		return "There were too many attempts. Try again in " + wait(fault.RetryAfter) + "."
	case problem.Unavailable:
		return "The server is busy. Try again in a moment."
	}
	return fault.Detail
}

func wait(d time.Duration) string {
	switch {
	case d <= time.Second:
		return "a second"
	case d < 2*time.Minute:
		return Seconds(d) + " seconds"
	}
	return d.Round(time.Minute).String()[:2] + " minutes"
}
