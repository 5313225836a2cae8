package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/account"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// codePage is the page for codes of one purpose. Mailed links open it. It is not an operation of the contract. Opening it does
// not use the code, since mail scanners open links, too; its button does.
type codePage struct {
	*Pages
	path string
	// find returns the page with the form for a code, without using the code. With an error it returns the page without
	// anything about an account.
	find func(ctx context.Context, t *texts, code secret.Text) (codeView, error)
	// use uses the code.
	use func(ctx context.Context, code secret.Text, form func(name string) string) error
}

// codeView is a page with the form for a code. One of its fields is the password; the others ask for the account.
type codeView struct {
	page
	form     *form
	password *field
	accounts []string // to choose from; nil if there is only one
	asksName bool     // there are more than these
}

func (p *Pages) codePages() []codePage {
	return []codePage{
		{
			Pages: p, path: "confirm-email", find: p.askToConfirm,
			use: func(ctx context.Context, code secret.Text, form func(string) string) error {
				return p.Accounts.ConfirmEmail(ctx, account.Confirmation{Code: code, Password: secret.New(form("password"))})
			},
		},
		{
			Pages: p, path: "reset-password", find: p.askToReset,
			use: func(ctx context.Context, code secret.Text, form func(string) string) error {
				return p.Accounts.ResetPassword(ctx, code, chosen(form), secret.New(form("new_password")))
			},
		},
	}
}

func (p *Pages) newCodeView(t *texts, path string, password *field) codeView {
	v := codeView{page: p.Site.message(t, t.T(path+".title")), password: password}
	v.template = codeTemplate
	v.form = &form{Action: path, Buttons: []button{{Text: t.T(path + ".button")}}}
	return v
}

func (p *Pages) askToConfirm(ctx context.Context, t *texts, code secret.Text) (codeView, error) {
	shown := p.newCodeView(t, "confirm-email", currentPasswordField(t, "password", "confirm-email.password"))
	c, user, err := p.Accounts.CodeToConfirm(ctx, code)
	if err == nil {
		shown.form.Username = user.Username
		shown.Text = append(shown.Text, t.H("confirm-email.text", "email", c.Email, "username", user.Username), t.H("confirm-email.no-password"))
	}
	return shown, err
}

func (p *Pages) askToReset(ctx context.Context, t *texts, code secret.Text) (codeView, error) {
	shown := p.newCodeView(t, "reset-password", p.Site.newPasswordField(t, "new_password", "reset-password.password"))
	users, invited, err := p.Accounts.CodeToReset(ctx, code)
	switch {
	case err != nil:
	case invited:
		shown.page = p.Site.message(t, t.T("invitation.title"))
		shown.template = codeTemplate
		shown.form.Username = users[0].Username
		shown.Text = append(shown.Text, t.H("invitation.text", "username", users[0].Username))
	case len(users) == 1:
		shown.form.Username = users[0].Username
		shown.Text = append(shown.Text, t.H("reset-password.text", "username", users[0].Username))
	default:
		named, all := account.Named(users)
		for _, user := range named {
			shown.accounts = append(shown.accounts, user.Username)
		}
		shown.asksName = !all
		key := "reset-password.choose"
		switch {
		case len(named) == 0:
			key = "reset-password.enter"
		case !all:
			key = "reset-password.choose-or-enter"
		}
		shown.Text = append(shown.Text, t.H(key))
	}
	return shown, err
}

// open shows the page of a code without using the code.
func (p codePage) open(c echo.Context) error {
	return p.show(c, secret.New(c.QueryParam("code")), "", nil)
}

// submit uses the code.
func (p codePage) submit(c echo.Context) error {
	form, err := p.form(c, maxShortForm)
	if err != nil {
		return err
	}
	code := secret.New(form.Get("code"))
	if err = p.use(c.Request().Context(), code, form.Get); err != nil {
		return p.show(c, code, chosen(form.Get), err)
	}
	t := p.Site.texts("", c.Request())
	shown := p.Site.message(t, t.T(p.path+".done.title"), t.H(p.path+".done"))
	shown.Links = []link{{"sign-in", t.T("sign-in.back")}}
	return p.Site.answer(http.StatusOK, shown).write(c.Response())
}

// chosen returns the username of a form: the typed one, or else the selected account, since a radio button cannot be cleared.
func chosen(form func(name string) string) string {
	return cmp.Or(form("typed_username"), form("username"))
}

// show shows the form with an error, or says that the code is not valid. chosen is the account that was chosen before.
func (p codePage) show(c echo.Context, code secret.Text, chosen string, fault error) error {
	t := p.Site.texts("", c.Request())
	shown, err := p.find(c.Request().Context(), t, code)
	if err == nil {
		err = fault
	}
	if shown.form.Username == "" && shown.accounts == nil && !shown.asksName {
		shown.form.Username = chosen
	}
	if err == nil {
		return shown.answer(http.StatusOK, code, chosen, false).write(c.Response())
	}
	refused, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return err
	}
	namesNoAccount := false
	switch refused.Code {
	case problem.InvalidCode, problem.EmailTaken:
		return p.Site.answer(refused.Code.Status(), p.Site.message(t, t.T("code.invalid.title"), t.H("code.invalid"))).write(c.Response())
	case problem.WrongPassword: // the page explains the alternatives
		shown.Fault = t.T("fault.not-the-password")
	case problem.PasswordRequired:
		shown.Fault = t.T("fault.password-missing")
	case problem.AccountRequired:
		namesNoAccount, shown.Fault = true, t.T("fault.account")
		switch {
		case shown.asksName && shown.accounts != nil:
			shown.Fault = t.T("fault.account-or-username")
		case shown.asksName:
			shown.Fault = t.T("fault.account-username")
		}
	case problem.ValidationFailed:
		shown.Fault = fieldFault(t, "password", refused.Fields[0].Detail)
	default:
		shown.Fault = explain(c, t, refused)
	}
	return shown.answer(refused.Code.Status(), code, chosen, namesNoAccount).write(c.Response())
}

// answer renders the page. namesNoAccount says that the fault is that no account was chosen.
func (v codeView) answer(status int, code secret.Text, chosen string, namesNoAccount bool) Answer {
	t := v.texts
	v.form.Hidden = []hidden{{"code", code.Reveal()}}
	if v.accounts != nil {
		choice := &field{Name: "username", Label: t.T("code.account"), Optional: v.asksName, FaultAbove: namesNoAccount}
		for _, name := range v.accounts {
			choice.Options = append(choice.Options, option{name, names.Visible(name), name == chosen})
		}
		v.form.Fields = append(v.form.Fields, choice)
	}
	if v.asksName {
		typed := &field{
			Name: "typed_username", Type: "text", Label: t.T("code.username"), Autocomplete: "username", Exact: true,
			Optional: v.accounts != nil, FaultAbove: namesNoAccount,
		}
		if v.accounts != nil {
			typed.Label = t.T("code.other-username")
		}
		if !slices.Contains(v.accounts, chosen) {
			typed.Value = chosen
		}
		v.form.Fields = append(v.form.Fields, typed)
	}
	v.password.FaultAbove = v.Fault != "" && !namesNoAccount
	v.form.Fields = append(v.form.Fields, v.password)
	if v.accounts == nil { // the choice comes before everything else
		v.form.focus()
	}
	v.Forms = []*form{v.form}
	return v.Site.answer(status, v.page)
}
