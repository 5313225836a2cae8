package web

import (
	"errors"
	"html/template"
	"net/http"
	"strings"

	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
)

// passkeysPath is the page at which a person adds a passkey.
const passkeysPath = "/account/passkeys"

// showNewPasskey is GET /account/passkeys.
func (p *Pages) showNewPasskey(o owner) error {
	name := agent(o.t, o.Request().UserAgent())
	if strings.ContainsAny(name, `/:\`) { // of a program that is not known
		name = o.t.T("factor.passkey")
	}
	return p.newPasskeyPage(o, http.StatusOK, name, nil)
}

func (p *Pages) newPasskeyPage(o owner, status int, name string, refused *problem.Error) error {
	if !p.Identity.Passkeys.OnPages() {
		return problem.New(problem.NotFound, "This server has no passkeys.")
	}
	options, err := p.Accounts.PasskeyOptions(o.Request().Context(), o.caller)
	if err != nil {
		return err
	}
	shown, t := p.ownerPage(o, "account-passkeys"), o.t
	shown.Text = []template.HTML{t.H("account-passkeys.text"), t.H("account-passkeys.support")}
	shown.Links = []link{{".." + securityPath, t.T("account-security.back")}}
	f := passkeyForm{Options: string(options), Creates: true, Failed: t.T("passkey.failed")}
	f.form = form{Action: ".." + passkeysPath, Fields: []*field{nameField(t, name)}, Buttons: []button{{Text: t.T("account-passkeys.add")}}}
	switch {
	case refused == nil:
	case errors.Is(refused, identity.ErrWrongPasskey):
		shown.Fault = t.T("passkey.refused")
	case pointerOf(refused) == "/name":
		f.Fields[0].Fault = faultOfName(t, refused)
	default:
		shown.Fault = t.Sentence(refused.Detail)
	}
	shown.Passkey = &f
	return p.Site.answer(status, shown).write(o.Response())
}

// addPasskey is POST /account/passkeys.
func (p *Pages) addPasskey(o owner) error {
	name := o.form.Get("name")
	_, codes, err := p.Accounts.AddPasskey(o.Request().Context(), o.caller, name, o.form.Get("passkey"))
	if err == nil {
		err = p.renewCookie(o.Request().Context(), o.Context, o.browser)
	}
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.ValidationFailed {
		return p.newPasskeyPage(o, fault.Code.Status(), name, fault)
	}
	if err != nil {
		return err
	}
	if len(codes) > 0 {
		return p.ownCodes(o, codes)
	}
	return p.done(o, securityPath, "factor")
}
