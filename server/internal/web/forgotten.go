package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/problem"
)

// askForAddress asks for the address of an account whose password is forgotten.
func (p *Pages) askForAddress(ctx context.Context, status int, e errand, address, fault string) Answer {
	shown := e.page(ctx, p, "forgot-password")
	t, f := shown.texts, e.form("forgot-password")
	f.Fields = []*field{{Name: "email", Type: "email", Label: t.T("forgot-password.email"), Value: address, Autocomplete: "email", Fault: fault}}
	f.focus().Buttons = []button{{Text: t.T("forgot-password.button")}}
	shown.Text = append(shown.Text, t.H("forgot-password.text"))
	shown.Forms = []*form{f}
	shown.Links = []link{{e.link("sign-in"), t.T("sign-in.back")}}
	return p.Site.answer(status, shown)
}

// openForgotten is GET /forgot-password.
func (p *Pages) openForgotten(ctx context.Context, c echo.Context, e errand) error {
	return p.askForAddress(ctx, http.StatusOK, e, "", "").write(c.Response())
}

// forgotten is POST /forgot-password. Its answer is the same whether or not there is such an account.
func (p *Pages) forgotten(ctx context.Context, c echo.Context, e errand, form url.Values) error {
	t, address := e.texts(ctx, p), strings.TrimSpace(form.Get("email"))
	if address == "" {
		return p.askForAddress(ctx, http.StatusUnprocessableEntity, e, "", t.T("fault.email-missing")).write(c.Response())
	}
	err := p.Accounts.RequestPasswordReset(ctx, address)
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		text := explain(c, t, fault)
		if reason := fieldFaults(t, fault)["email"]; reason != "" {
			text = reason
		}
		return p.askForAddress(ctx, statusOf(fault), e, address, text).write(c.Response())
	}
	if err != nil {
		return err
	}
	shown := p.Site.message(t, t.T("forgot-password.sent.title"), t.H("forgot-password.sent", "email", address), t.H("forgot-password.sent-hint"))
	shown.Links = []link{{e.link("sign-in"), t.T("sign-in.back")}}
	return p.Site.answer(http.StatusOK, shown).write(c.Response())
}
