package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/account"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// signUpForm is what a person has entered, and why it was refused.
type signUpForm struct {
	email, username string
	fault           string            // that concerns no single field
	faults          map[string]string // by the name of the field
}

// askToSignUp asks for what a new account needs, or says that registration is closed.
func (p *Pages) askToSignUp(ctx context.Context, status int, e errand, entered signUpForm) Answer {
	shown := e.page(ctx, p, "sign-up")
	t := shown.texts
	shown.Links = []link{{e.link("sign-in"), t.T("sign-up.has-account")}}
	if p.Accounts.RegistrationClosed {
		shown.template, shown.Text = "message", append(shown.Text, t.H("sign-up.closed"))
		return p.Site.answer(status, shown)
	}
	f := e.form("sign-up")
	f.Fields = []*field{
		{Name: "email", Type: "email", Label: t.T("sign-up.email"), Hint: t.T("sign-up.email-hint"), Value: entered.email, Autocomplete: "email"},
		{Name: "username", Type: "text", Label: t.T("sign-up.username"), Hint: t.T("sign-up.username-hint"), Value: entered.username, Autocomplete: "username", Exact: true, Optional: true},
		p.Site.newPasswordField(t, "password", "sign-up.password"),
	}
	for _, field := range f.Fields {
		field.Fault = entered.faults[field.Name]
	}
	f.focus().Buttons = []button{{Text: t.T("sign-up.button")}}
	providers, err := p.providerForms(ctx, t, e)
	if err != nil {
		return Answer{err: err}
	}
	shown.Fault, shown.Forms = entered.fault, append([]*form{f}, providers...)
	return p.Site.answer(status, shown)
}

// openSignUp is GET /sign-up.
func (p *Pages) openSignUp(ctx context.Context, c echo.Context, e errand) error {
	return p.askToSignUp(ctx, http.StatusOK, e, signUpForm{}).write(c.Response())
}

// signUp is POST /sign-up. It makes the account as POST /users does, and signs the person in.
func (p *Pages) signUp(ctx context.Context, c echo.Context, e errand, form url.Values) error {
	t, entered := e.texts(ctx, p), signUpForm{email: strings.TrimSpace(form.Get("email")), username: strings.TrimSpace(form.Get("username"))}
	password := secret.New(form.Get("password"))
	if entered.email == "" {
		entered.faults = map[string]string{"email": t.T("fault.email-missing")}
		return p.askToSignUp(ctx, http.StatusUnprocessableEntity, e, entered).write(c.Response())
	}
	user, err := p.Accounts.Register(ctx, nil, account.Registration{Email: entered.email, Username: entered.username, Password: password})
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		if entered.faults = fieldFaults(t, fault); len(entered.faults) == 0 {
			entered.fault = explain(c, t, fault)
		}
		return p.askToSignUp(ctx, statusOf(fault), e, entered).write(c.Response())
	}
	if err != nil {
		return err
	}
	answer, err := p.startSession(ctx, e, user.Username, password)
	if fault, ok := errors.AsType[*problem.Error](err); ok { // there is an account, but signing in is throttled
		return p.askToSignIn(ctx, statusOf(fault), e, user.Username, t.T("fault.sign-in-later", "why", explain(c, t, fault))).write(c.Response())
	}
	return answer.writeUnless(err, c)
}

// fieldFaults returns what is wrong with each field, by its name.
func fieldFaults(t *texts, fault *problem.Error) map[string]string {
	faults := map[string]string{}
	for _, f := range fault.Fields {
		name := strings.TrimPrefix(f.Pointer, "/")
		if faults[name] == "" {
			faults[name] = fieldFault(t, name, f.Detail)
		}
	}
	return faults
}

// fieldFault makes a sentence of a reason such as "must have at least 8 characters".
func fieldFault(t *texts, name, reason string) string {
	subject := map[string]string{"email": "fault.email", "username": "fault.username", "full_name": "fault.full-name"}[name]
	if subject == "" {
		subject = "fault.password"
	}
	return t.T(subject, "reason", t.Sentence(reason))
}
