package web

import (
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
)

// The pages of an account about its personal access tokens.
const (
	tokensPath   = "/account/tokens"
	newTokenPath = "/account/tokens/new"
)

// tokenDays are the lives of a token to choose from, in days, and usualDays the one that is chosen at first.
var tokenDays = []int{7, 30, 90, 365}

const usualDays = 30

// showTokens is GET /account/tokens. All of an account's tokens fit on the page.
func (p *Pages) showTokens(o owner) error {
	tokens, err := p.Identity.PersonalTokens(o.Request().Context(), o.caller)
	if err != nil {
		return err
	}
	t, shown := o.t, p.ownerPage(o, "account-tokens", "token-revoked")
	shown.Text = []template.HTML{t.H("account-tokens.text")}
	if len(tokens) == 0 {
		shown.Text = append(shown.Text, t.H("account-tokens.none"))
	}
	for _, token := range tokens {
		entry := item{Title: token.Name, Lines: []string{t.T("account-tokens.times", "made", t.Time(token.CreatedAt), "end", t.Time(token.ExpiresAt))}, Form: &form{
			Action: ".." + tokensPath, Hidden: []hidden{{"token", token.ID}}, Buttons: []button{{Text: t.T("account-tokens.revoke"), Second: true}},
		}}
		if token.LastUsedAt.IsZero() {
			entry.Lines = append(entry.Lines, t.T("account-tokens.unused"))
		} else {
			entry.Lines = append(entry.Lines, t.T("account-tokens.used", "time", t.Time(token.LastUsedAt)))
		}
		for scope := range strings.FieldsSeq(token.Scope) {
			entry.Scopes = append(entry.Scopes, t.Sentence(p.DescribeScope(scope)))
		}
		shown.Items = append(shown.Items, entry)
	}
	shown.Links = append([]link{{".." + newTokenPath, t.T("account-token.title")}}, shown.Links...)
	return p.Site.answer(http.StatusOK, shown).write(o.Response())
}

// revokeToken is POST /account/tokens.
func (p *Pages) revokeToken(o owner) error {
	err := p.Identity.RevokePersonalToken(o.Request().Context(), o.caller, o.form.Get("token"))
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.NotFound { // it was revoked already
		err = nil
	}
	if err != nil {
		return err
	}
	return p.done(o, tokensPath, "token-revoked")
}

// showNewToken is GET /account/tokens/new.
func (p *Pages) showNewToken(o owner) error {
	return p.newTokenPage(o, http.StatusOK, nil)
}

func (p *Pages) newTokenPage(o owner, status int, refused *problem.Error) error {
	t, shown := o.t, p.ownerPage(o, "account-token")
	shown.Base = "../../"
	shown.Text = []template.HTML{t.H("account-token.text")}
	name := nameField(t, o.form.Get("name"))
	name.Hint = t.T("account-token.name-hint")
	scopes := &field{Name: "scope", Label: t.T("account-token.scopes"), Multiple: true, Optional: true}
	for _, scope := range p.tokenScopes(o) {
		scopes.Options = append(scopes.Options, option{Value: scope, Text: t.Sentence(p.DescribeScope(scope)) + " (" + scope + ")", Checked: slices.Contains(o.form["scope"], scope)})
	}
	days := &field{Name: "days", Label: t.T("account-token.days")}
	chosen := o.form.Get("days")
	if chosen == "" {
		chosen = strconv.Itoa(usualDays)
	}
	for _, n := range tokenDays {
		value := strconv.Itoa(n)
		days.Options = append(days.Options, option{Value: value, Text: t.T("account-token.day", "n", value), Checked: value == chosen})
	}
	if refused != nil {
		shown.Fault = t.Sentence(refused.Detail)
		for _, fault := range refused.Fields {
			switch {
			case fault.Pointer == "/name":
				shown.Fault, name.Fault = "", t.T("fault.full-name", "reason", t.Sentence(fault.Detail))
			case strings.HasPrefix(fault.Pointer, "/scopes"):
				shown.Fault, scopes.FaultAbove = t.T("fault.token-scopes"), true
			}
		}
	}
	f := &form{Action: "../.." + newTokenPath, Fields: []*field{name, scopes, days}, Buttons: []button{{Text: t.T("account-token.button")}}}
	shown.Forms = []*form{f.focus()}
	shown.Links = []link{{"../.." + tokensPath, t.T("account-tokens.back")}}
	return p.Site.answer(status, shown).write(o.Response())
}

// tokenScopes are the scopes that a person can give a token here: those of a login, and those that were granted to the account.
func (p *Pages) tokenScopes(o owner) []string {
	return slices.DeleteFunc(p.Identity.ScopesOf(o.browser.User, o.caller.Methods), func(scope string) bool {
		return slices.Contains(p.Identity.Scopes.OnRequest, scope)
	})
}

// createToken is POST /account/tokens/new. It shows the token, once.
func (p *Pages) createToken(o owner) error {
	days, _ := strconv.Atoi(o.form.Get("days")) // 0 is refused
	by := *o.caller
	by.Scopes = p.tokenScopes(o)
	made, text, err := p.Identity.CreatePersonalToken(o.Request().Context(), &by, identity.NewPersonalToken{
		Name: o.form.Get("name"), Scopes: o.form["scope"], Days: days,
	})
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.ValidationFailed {
		return p.newTokenPage(o, fault.Code.Status(), fault)
	}
	if err != nil {
		return err
	}
	shown := p.ownerPage(o, "account-token-made")
	shown.Base = "../../"
	shown.Text = []template.HTML{o.t.H("account-token-made.text", "name", made.Name, "time", o.t.Time(made.ExpiresAt))}
	shown.Secret = text.Reveal()
	shown.Links = []link{{"../.." + tokensPath, o.t.T("account-tokens.back")}}
	return p.Site.answer(http.StatusOK, shown).write(o.Response())
}
