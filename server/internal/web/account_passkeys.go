package web

import (
	"errors"
	"html/template"
	"net/http"

	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// passkeysPath is the page of the passkeys of an account.
const passkeysPath = "/account/passkeys"

// showPasskeys is GET /account/passkeys.
func (p *Pages) showPasskeys(o owner) error { return p.passkeysPage(o, http.StatusOK, "") }

func (p *Pages) passkeysPage(o owner, status int, fault string) error {
	ctx, t := o.Request().Context(), o.t
	shown := p.ownerPage(o, "account-passkeys", "passkey", "no-passkey")
	shown.Fault = fault
	options, err := p.Accounts.PasskeyOptions(ctx, o.caller)
	stale := mustSignInAgain(err)
	switch {
	case stale:
		shown.Text = []template.HTML{t.H("account-passkeys.text"), t.H("account-passkeys.again")}
		shown.Links = append([]link{{"../" + freshErrands["passkeys"].link("sign-in"), t.T("account-passkeys.sign-in")}}, shown.Links...)
	case err != nil:
		return err
	default:
		shown.Text = []template.HTML{t.H("account-passkeys.text"), t.H("account-passkeys.support")}
		f := passkeyForm{form: form{Action: "../account/passkeys"}, Options: string(options), Creates: true, Failed: t.T("passkey.failed")}
		f.Fields = []*field{{Name: "name", Type: "text", Label: t.T("account-passkeys.name"), Hint: t.T("account-passkeys.name-hint"), Value: agent(t, o.Request().UserAgent()), Autocomplete: "off"}}
		f.Buttons = []button{{Text: t.T("account-passkeys.add")}}
		shown.Passkey = &f
	}
	factors, err := p.Accounts.Factors(ctx, o.caller)
	if err != nil {
		return err
	}
	for _, f := range factors.Items {
		if f.Kind != store.Passkey {
			continue
		}
		entry := item{Title: names.Visible(f.Name), Lines: []string{t.T("account-passkeys.since", "time", t.Time(f.CreatedAt))}}
		if !f.LastUsedAt.IsZero() {
			entry.Lines = append(entry.Lines, t.T("account-passkeys.used", "time", t.Time(f.LastUsedAt)))
		}
		if !stale {
			entry.Form = &form{Action: "../account/passkeys", Hidden: []hidden{{"remove", f.ID}}, Buttons: []button{{Text: t.T("account-passkeys.remove"), Second: true}}}
		}
		shown.Items = append(shown.Items, entry)
	}
	return p.Site.answer(status, shown).write(o.Response())
}

// changePasskeys is POST /account/passkeys: it adds a passkey, or removes one.
func (p *Pages) changePasskeys(o owner) (err error) {
	ctx, done := o.Request().Context(), "passkey"
	var codes []string
	if id := o.form.Get("remove"); id != "" {
		done = "no-passkey"
		err = p.Accounts.RemoveFactor(ctx, o.caller, id, false)
		if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.NotFound { // it was removed already
			err = nil
		}
	} else {
		_, codes, err = p.Accounts.AddPasskey(ctx, o.caller, trimName(o.form.Get("name")), o.form.Get("passkey"))
		if err == nil {
			err = p.renewCookie(ctx, o.Context, o.browser)
		}
	}
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		text := passkeyFault(o.t, err)
		if text == "" {
			text = o.t.Sentence(fault.Detail)
		}
		return p.passkeysPage(o, fault.Code.Status(), text)
	}
	if err != nil {
		return err
	}
	if len(codes) > 0 {
		return p.ownCodes(o, codes)
	}
	return p.done(o, passkeysPath, done)
}
