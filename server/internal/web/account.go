package web

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// owner is a person at the pages of their account.
type owner struct {
	echo.Context
	t       *texts
	browser *identity.Browser
	caller  *identity.Caller
	form    url.Values // of a POST
}

// asOwner is a handler for a person who is signed in. Everybody else is sent to sign in first. It refuses a form of another
// website.
func (p *Pages) asOwner(handle func(owner) error) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		o := owner{Context: c}
		if c.Request().Method == http.MethodPost {
			if o.form, err = p.form(c, maxShortForm); err != nil {
				return err
			}
		}
		ctx := WithCookies(c.Request().Context(), c.Request())
		if o.browser, err = p.browser(ctx); err != nil {
			return err
		}
		if o.browser == nil {
			return Redirect(p.PublicURL + "/sign-in").write(c.Response())
		}
		o.t, o.caller = p.texts(ctx, ""), p.Identity.Caller(o.browser)
		return handle(o)
	}
}

// ownerPage is a page of the account. notices are what can have happened before it: the address of the page names one.
func (p *Pages) ownerPage(o owner, name string, notices ...string) page {
	shown := p.Site.message(o.t, o.t.T(name+".title"))
	shown.template, shown.Wide = name, true
	if name != "account" {
		shown.Base = "../"
		shown.Links = []link{{"../account", o.t.T("account.back")}}
	}
	if done := o.QueryParam("done"); slices.Contains(notices, done) {
		shown.Notice = o.t.T("done." + done)
	}
	return shown
}

// done sends the browser to a page that says what has happened, so that a reload repeats nothing.
func (p *Pages) done(o owner, path, notice string) error {
	return Redirect(p.PublicURL + path + "?done=" + notice).write(o.Response())
}

// refusedForm is a form that was refused.
type refusedForm struct {
	which  string
	faults map[string]string // by the name of the field; "" for one that concerns none
	status int
}

// showAccount is GET /account.
func (p *Pages) showAccount(o owner) error {
	return p.accountPage(o, refusedForm{status: http.StatusOK})
}

func (p *Pages) accountPage(o owner, refused refusedForm) error {
	t, user := o.t, o.browser.User
	shown := p.ownerPage(o, "account", "profile", "email", "verify", "password")
	shown.Text = []template.HTML{t.H("signed-in-as", "username", user.Username)}
	shown.Nav = []link{
		{"account/security", t.T("account-security.title")},
		{"account/sessions", t.T("account-sessions.title")},
		{"account/identities", t.T("account-identities.title")},
		{"account/applications", t.T("account-applications.title")},
		{"account/tokens", t.T("account-tokens.title")},
		{"account/events", t.T("account-events.title")},
		{"account/delete", t.T("account-delete.title")},
		{"sign-out", t.T("sign-out.button")},
	}
	email := &form{Heading: t.T("account.email"), Text: p.stateOfAddress(o), Username: user.Username, Fields: []*field{
		{Name: "email", Type: "email", Label: t.T("account.new-email"), Autocomplete: "email"},
		currentPasswordField(t, "password", "account.password-now"),
	}, Buttons: []button{{Text: t.T("account.email-button")}}}
	forms := map[string]*form{
		"profile": {Heading: t.T("account.profile"), Fields: []*field{
			{Name: "full_name", Type: "text", Label: t.T("account.full-name"), Value: user.FullName, Autocomplete: "name", Optional: true},
		}, Buttons: []button{{Text: t.T("account.profile-button")}}},
		"email": email,
		"password": {Heading: t.T("account.password"), Text: t.T("account.password-text"), Username: user.Username, Fields: []*field{
			currentPasswordField(t, "current_password", "account.password-now"),
			p.Site.newPasswordField(t, "new_password", "account.new-password"),
		}, Buttons: []button{{Text: t.T("account.password-button")}}},
	}
	order := []string{"profile", "email", "password"}
	if user.Email != "" && !user.EmailVerified {
		forms["verify"] = &form{Heading: t.T("account.verify"), Text: t.T("account.verify-text"), Buttons: []button{{Text: t.T("account.verify-button"), Second: true}}}
		order = slices.Insert(order, 2, "verify")
	}
	for _, which := range order {
		f := forms[which]
		f.Action, f.Hidden = "account", []hidden{{"do", which}}
		shown.Forms = append(shown.Forms, f)
	}
	if f := forms[refused.which]; f != nil {
		shown.Fault = refused.faults[""]
		for _, field := range f.Fields {
			if field.Fault = refused.faults[field.Name]; field.Type != "password" {
				field.Value = o.form.Get(field.Name)
			}
		}
		f.focus()
	}
	return p.Site.answer(refused.status, shown).write(o.Response())
}

// stateOfAddress says which address the account has.
func (p *Pages) stateOfAddress(o owner) string {
	switch user := o.browser.User; {
	case user.Email == "":
		return o.t.T("account.no-email")
	case !user.EmailVerified:
		return o.t.T("account.email-unconfirmed", "email", user.Email)
	default:
		return o.t.T("account.email-is", "email", user.Email)
	}
}

// maxFullName is the limit of the contract, in characters.
const maxFullName = 200

// changeAccount is POST /account.
func (p *Pages) changeAccount(o owner) error {
	ctx, which := o.Request().Context(), o.form.Get("do")
	err := error(problem.New(problem.BadRequest, "The form cannot be read."))
	switch which {
	case "profile":
		name := strings.TrimSpace(o.form.Get("full_name"))
		if utf8.RuneCountInString(name) > maxFullName {
			err = problem.Invalid().At("/full_name", "must have at most 200 characters")
			break
		}
		_, err = p.Accounts.UpdateProfile(ctx, o.caller, name)
	case "email":
		address := strings.TrimSpace(o.form.Get("email"))
		if address == "" {
			return p.accountPage(o, refusedForm{which, map[string]string{"email": o.t.T("fault.email-missing")}, http.StatusUnprocessableEntity})
		}
		err = p.Accounts.ChangeEmail(ctx, o.caller, address, secret.New(o.form.Get("password")))
	case "verify":
		err = p.Accounts.RequestEmailVerification(ctx, o.caller)
	case "password":
		err = p.Accounts.ChangePassword(ctx, o.caller, secret.New(o.form.Get("current_password")), secret.New(o.form.Get("new_password")))
	}
	if mustSignInAgain(err) {
		return p.signInAgain(o, "account")
	}
	if fault, ok := errors.AsType[*problem.Error](err); ok && which != "" {
		return p.accountPage(o, refusedForm{which, p.ownerFaults(o, fault), fault.Code.Status()})
	}
	if err != nil {
		return err
	}
	return p.done(o, "/account", which)
}

// ownerFaults returns why a form of the account was refused, by the name of the field; "" for none of them.
func (p *Pages) ownerFaults(o owner, fault *problem.Error) map[string]string {
	faults := fieldFaults(o.t, fault)
	if fault.Code == problem.WrongPassword {
		for name := range faults {
			faults[name] = o.t.T("fault.wrong-password")
		}
	}
	if len(faults) == 0 {
		faults[""] = explain(o.Context, o.t, fault)
	}
	return faults
}

// deletionPath is the page at which a person deletes their account.
const deletionPath = "/account/delete"

// showDeletion is GET /account/delete.
func (p *Pages) showDeletion(o owner) error {
	if p.Identity.RequireFactor(o.caller, o.browser.User) != nil {
		return p.signInAgain(o, "delete")
	}
	return p.deletionPage(o, http.StatusOK, nil)
}

func (p *Pages) deletionPage(o owner, status int, faults map[string]string) error {
	shown := p.ownerPage(o, "account-delete")
	shown.Text = []template.HTML{o.t.H("account-delete.text", "username", o.browser.User.Username)}
	f := &form{Action: "../account/delete", Username: o.browser.User.Username, Fields: []*field{currentPasswordField(o.t, "password", "account.password-now")}}
	f.Fields[0].Fault = faults["password"]
	f.focus().Buttons = []button{{Text: o.t.T("account-delete.button")}}
	shown.Fault, shown.Forms = faults[""], []*form{f}
	return p.Site.answer(status, shown).write(o.Response())
}

// deleteAccount is POST /account/delete.
func (p *Pages) deleteAccount(o owner) error {
	err := p.Accounts.DeleteAccountWithPassword(o.Request().Context(), o.caller, secret.New(o.form.Get("password")))
	if mustSignInAgain(err) {
		return p.signInAgain(o, "delete")
	}
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		return p.deletionPage(o, fault.Code.Status(), p.ownerFaults(o, fault))
	}
	if err != nil {
		return err
	}
	shown := p.Site.message(o.t, o.t.T("account-deleted.title"), o.t.H("account-deleted.text"))
	shown.Base = "../"
	answer := p.Site.answer(http.StatusOK, shown)
	answer.cookies = append(answer.cookies, p.forget(sessionCookie))
	return answer.write(o.Response())
}
