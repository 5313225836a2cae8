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

// maxPageForm bounds a form, in bytes; a code and a password need less.
const maxPageForm = 8 << 10

type pageForm struct {
	Action, Code, Button string
	Password             passwordField
	Rules                string   // for a new password
	Username             string   // for password managers; also the account that was chosen or typed
	Accounts             []string // to choose from; nil if there is only one
	AsksUsername         bool     // there are more than these
	NamesNoAccount       bool     // the error is that none was chosen
}

// Typed reports whether the username is not one of the listed accounts.
func (f *pageForm) Typed() bool { return !slices.Contains(f.Accounts, f.Username) }

// passwordField is a password input.
type passwordField struct{ Name, Label, Autocomplete string }

var (
	currentPassword = passwordField{"password", "Password of this account", "current-password"}
	newPassword     = passwordField{"new_password", "New password", "new-password"}
)

// codePage is the page for codes of one purpose. Mailed links open it. It is not an operation of the contract. Opening it does
// not use the code, since mail scanners open links, too; its button does.
type codePage struct {
	path string
	// find returns the page with the form for a code, without using the code. With an error it returns the page without
	// anything about an account.
	find func(ctx context.Context, code secret.Text) (page, error)
	// use uses the code.
	use  func(ctx context.Context, code secret.Text, form func(name string) string) error
	done page
	site Site
}

func (s *Pages) registerCodes(e *echo.Echo) {
	for _, p := range []codePage{
		{
			path: "confirm-email", find: s.askToConfirm,
			use: func(ctx context.Context, code secret.Text, form func(string) string) error {
				return s.Accounts.ConfirmEmail(ctx, account.Confirmation{Code: code, Password: secret.New(form("password"))})
			},
			done: page{Title: "Your address is confirmed", Text: []paragraph{{Before: "You can close this page, or go back."}}},
		},
		{
			path: "reset-password", find: s.askToReset,
			use: func(ctx context.Context, code secret.Text, form func(string) string) error {
				return s.Accounts.ResetPassword(ctx, code, chosen(form), secret.New(form("new_password")))
			},
			done: page{Title: "Your password is changed", Text: []paragraph{{Before: "Log in with the new one."}}},
		},
	} {
		p.site = s.Site
		e.Match([]string{http.MethodGet, http.MethodHead}, "/"+p.path, p.open)
		e.POST("/"+p.path, p.submit)
	}
}

func (s *Pages) askToConfirm(ctx context.Context, code secret.Text) (page, error) {
	shown := page{Title: "Confirm your e-mail address", Form: &pageForm{Button: "Confirm the address", Password: currentPassword}}
	c, user, err := s.Accounts.CodeToConfirm(ctx, code)
	if err == nil {
		shown.Form.Username = user.Username
		shown.Text = []paragraph{
			{"Is " + c.Email + " the address of your account ", names.Visible(user.Username), "? Then enter the password of that account. If you have no such account, close this page."},
			{Before: "If the account has no password, or you have forgotten it, ask for a password reset instead. That confirms the address too."},
		}
	}
	return shown, err
}

func (s *Pages) askToReset(ctx context.Context, code secret.Text) (page, error) {
	const everywhere = " You will have to log in again wherever you are logged in."
	shown := page{Title: "Choose a new password", Form: &pageForm{Button: "Set the password", Password: newPassword, Rules: s.Site.passwordRules()}}
	users, err := s.Accounts.CodeToReset(ctx, code)
	switch {
	case err != nil:
	case len(users) == 1:
		shown.Form.Username = users[0].Username
		shown.Text = []paragraph{{"It is for your account ", names.Visible(users[0].Username), "." + everywhere}}
	default:
		named, all := account.Named(users)
		for _, user := range named {
			shown.Form.Accounts = append(shown.Form.Accounts, user.Username)
		}
		shown.Form.AsksUsername = !all
		instruction := "Choose the one that the new password is for."
		switch {
		case len(named) == 0:
			instruction = "Enter the username of yours."
		case !all:
			instruction = "Choose the one that the new password is for, or enter its username."
		}
		shown.Text = []paragraph{{Before: "Several accounts have this e-mail address. " + instruction + everywhere}}
	}
	return shown, err
}

// open shows the page of a code without using the code.
func (p codePage) open(c echo.Context) error {
	return p.show(c, secret.New(c.QueryParam("code")), "", nil)
}

// submit uses the code.
func (p codePage) submit(c echo.Context) error {
	r := c.Request()
	r.Body = http.MaxBytesReader(c.Response(), r.Body, maxPageForm)
	if err := r.ParseForm(); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return problem.New(problem.PayloadTooLarge, "The form is too large.")
		}
		return problem.Wrap(problem.BadRequest, "The form cannot be read.", err)
	}
	code := secret.New(r.PostForm.Get("code"))
	if err := p.use(r.Context(), code, r.PostForm.Get); err != nil {
		return p.show(c, code, chosen(r.PostForm.Get), err)
	}
	return p.site.render(c, http.StatusOK, p.done)
}

// chosen returns the username of a form: the typed one, or else the selected account, since a radio button cannot be cleared.
func chosen(form func(name string) string) string {
	return cmp.Or(form("typed_username"), form("username"))
}

// show shows the form with an error, or says that the code is not valid. chosen is the account that was chosen before.
func (p codePage) show(c echo.Context, code secret.Text, chosen string, fault error) error {
	shown, err := p.find(c.Request().Context(), code)
	if err == nil {
		err = fault
	}
	shown.Form.Action, shown.Form.Code = p.path, code.Reveal()
	if shown.Form.Username == "" {
		shown.Form.Username = chosen
	}
	if err == nil {
		return p.site.render(c, http.StatusOK, shown)
	}
	refused, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return err
	}
	status := refused.Code.Status()
	shown.Fault = refused.Detail
	switch refused.Code {
	case problem.InvalidCode, problem.EmailTaken:
		return p.site.render(c, status, page{Title: "This link is no longer valid", Text: []paragraph{{
			Before: "It has expired, was used already, or was not copied whole. If you have used it yourself, you are done. If not, ask for another mail where you asked for this one.",
		}}})
	case problem.Unavailable:
		c.Response().Header().Set(echo.HeaderRetryAfter, "1")
	case problem.TooManyRequests:
		c.Response().Header().Set(echo.HeaderRetryAfter, Seconds(refused.RetryAfter))
	case problem.WrongPassword: // the page explains the alternatives
		shown.Fault = "This is not the password of this account."
	case problem.PasswordRequired:
		shown.Fault = "Enter the password of this account."
	case problem.AccountRequired:
		shown.Form.NamesNoAccount, shown.Fault = true, "Choose one of these accounts."
		switch {
		case shown.Form.AsksUsername && shown.Form.Accounts != nil:
			shown.Fault = "Choose one of these accounts, or enter the username of another one that has this e-mail address."
		case shown.Form.AsksUsername:
			shown.Fault = "Enter the username of an account that has this e-mail address."
		}
	case problem.ValidationFailed:
		shown.Fault = "The password " + refused.Fields[0].Detail + "."
	}
	return p.site.render(c, status, shown)
}
