package web

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/account"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// The pages of an account about its second factors.
const (
	securityPath      = "/account/security"
	authenticatorPath = "/account/authenticator"
	factorPath        = "/account/factor"
	recoveryPath      = "/account/recovery-codes"
)

// freshErrands are the errands of people who have to sign in again before they change how they sign in, by their texts in links.
// None of them is a sealed request.
var freshErrands = map[string]errand{
	"security":      {path: securityPath, sealed: "security", fresh: true},
	"authenticator": {path: authenticatorPath, sealed: "authenticator", fresh: true},
	"account":       {path: "/account", sealed: "account", fresh: true},
	"delete":        {path: deletionPath, sealed: "delete", fresh: true},
	"passkey":       {path: passkeysPath, sealed: "passkey", fresh: true},
	"token":         {path: newTokenPath, sealed: "token", fresh: true},
	"identities":    {path: identitiesPath, sealed: "identities", fresh: true},
}

// freshly is asOwner for what needs a fresh login (identity.RequireFreshLogin). Without one it sends the person to sign in again,
// and back to one of freshErrands.
func (p *Pages) freshly(errand string, handle func(owner) error) func(owner) error {
	return func(o owner) error {
		err := p.Identity.RequireFreshLogin(o.caller, o.browser.User)
		if err == nil {
			err = handle(o)
		}
		if mustSignInAgain(err) {
			return p.signInAgain(o, errand)
		}
		return err
	}
}

// mustSignInAgain reports whether an error says so.
func mustSignInAgain(err error) bool {
	fault, ok := errors.AsType[*problem.Error](err)
	return ok && fault.Code == problem.StaleLogin
}

// signInAgain sends a person to sign in again, and back to one of freshErrands.
func (p *Pages) signInAgain(o owner, errand string) error {
	return Redirect(p.PublicURL + string(freshErrands[errand].link("/sign-in"))).write(o.Response())
}

// showSecurity is GET /account/security.
func (p *Pages) showSecurity(o owner) error {
	factors, err := p.Accounts.Factors(o.Request().Context(), o.caller)
	if err != nil {
		return err
	}
	t := o.t
	shown := p.ownerPage(o, "account-security", "factor", "factor-renamed", "factor-removed")
	shown.Text = []template.HTML{t.H("account-security.none")}
	if due := p.Identity.FactorDue(factors.User); len(factors.Items) == 0 && !due.IsZero() {
		shown.Text = append(shown.Text, t.H("account-security.due", "time", t.Time(due)))
	}
	if at := factors.User.FactorsResetAt; !at.IsZero() {
		shown.Text = append(shown.Text, t.H("account-security.reset", "time", t.Time(at)))
	}
	for _, f := range factors.Items {
		shown.Items = append(shown.Items, factorItem(t, f))
	}
	if len(factors.Items) > 0 {
		shown.Text[0] = t.H("account-security.text", "n", strconv.Itoa(factors.CodesLeft))
		shown.Forms = []*form{{Action: ".." + recoveryPath, Buttons: []button{{Text: t.T("account-security.codes"), Second: true}}}}
	}
	shown.Forms = append(shown.Forms, &form{Action: "../account/sessions", Hidden: []hidden{{"do", "others"}}, Buttons: []button{{Text: t.T("account-sessions.others"), Second: true}}})
	shown.Links = append([]link{{".." + authenticatorPath, t.T("authenticator.title")}}, shown.Links...)
	if p.Identity.Passkeys.OnPages() {
		shown.Links = append([]link{{".." + passkeysPath, t.T("account-passkeys.title")}}, shown.Links...)
	}
	return p.Site.answer(http.StatusOK, shown).write(o.Response())
}

// factorItem is an entry of the list of factors.
func factorItem(t *texts, f store.Factor) item {
	entry := item{Title: f.Name, Lines: []string{t.T("factor."+f.Kind) + " – " + t.T("factor.added", "time", t.Time(f.CreatedAt))}, Form: &form{
		Action: ".." + factorPath, Hidden: []hidden{{"factor", f.ID}}, Buttons: []button{{Text: t.T("factor.change"), Second: true}},
	}}
	if !f.LastUsedAt.IsZero() {
		entry.Lines = append(entry.Lines, t.T("factor.used", "time", t.Time(f.LastUsedAt)))
	}
	if identity.IsDisabled(f) {
		entry.Lines = append(entry.Lines, t.T("factor.disabled"))
	}
	return entry
}

// showFactor is GET /account/factor: the page at which a factor is renamed or removed.
func (p *Pages) showFactor(o owner) error {
	return p.factorPage(o, http.StatusOK, o.QueryParam("factor"), "", "")
}

func (p *Pages) factorPage(o owner, status int, id, typed, fault string) error {
	factors, err := p.Accounts.Factors(o.Request().Context(), o.caller)
	if err != nil {
		return err
	}
	for _, f := range factors.Items {
		if f.ID != id {
			continue
		}
		shown := p.ownerPage(o, "account-factor")
		shown.Title = f.Name
		name := nameField(o.t, f.Name)
		if name.Fault = fault; fault != "" {
			name.Value = typed
		}
		rename := &form{Heading: o.t.T("factor.name"), Fields: []*field{name}, Buttons: []button{{Text: o.t.T("factor.rename")}}}
		remove := &form{Heading: o.t.T("factor.remove"), Text: o.t.T("factor.remove-text"), Buttons: []button{
			{Text: o.t.T("factor.remove-button"), Name: "others", Value: "", Second: true},
			{Text: o.t.T("factor.remove-others"), Name: "others", Value: "yes", Second: true},
		}}
		for do, form := range map[string]*form{"rename": rename, "remove": remove} {
			form.Action, form.Hidden = ".."+factorPath, []hidden{{"factor", f.ID}, {"do", do}}
		}
		shown.Forms = []*form{rename, remove}
		shown.Links = []link{{".." + securityPath, o.t.T("account-security.back")}}
		return p.Site.answer(status, shown).write(o.Response())
	}
	return Redirect(p.PublicURL + securityPath).write(o.Response()) // removed meanwhile
}

func nameField(t *texts, name string) *field {
	return &field{Name: "name", Type: "text", Label: t.T("factor.name"), Value: name, Autocomplete: "off"}
}

// changeFactor is POST /account/factor.
func (p *Pages) changeFactor(o owner) (err error) {
	var done string
	ctx, id := o.Request().Context(), o.form.Get("factor")
	switch o.form.Get("do") {
	case "rename":
		done = "factor-renamed"
		_, err = p.Accounts.RenameFactor(ctx, o.caller, id, o.form.Get("name"))
	case "remove":
		done = "factor-removed"
		err = p.Accounts.RemoveFactor(ctx, o.caller, id, o.form.Get("others") != "")
	default: // a button of the list
		return Redirect(p.PublicURL + factorPath + "?factor=" + url.QueryEscape(id)).write(o.Response())
	}
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		switch fault.Code {
		case problem.NotFound: // it was removed already
			return Redirect(p.PublicURL + securityPath).write(o.Response())
		case problem.ValidationFailed:
			return p.factorPage(o, fault.Code.Status(), id, o.form.Get("name"), faultOfName(o.t, fault))
		}
	}
	if err != nil {
		return err
	}
	return p.done(o, securityPath, done)
}

// faultOfName says why the name of a factor was refused.
func faultOfName(t *texts, fault *problem.Error) string {
	return t.T("fault.full-name", "reason", t.Sentence(fault.Fields[0].Detail))
}

// newRecoveryCodes is POST /account/recovery-codes.
func (p *Pages) newRecoveryCodes(o owner) error {
	codes, err := p.Accounts.ReplaceRecoveryCodes(o.Request().Context(), o.caller)
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.NoSecondFactor {
		return Redirect(p.PublicURL + securityPath).write(o.Response())
	}
	if err != nil {
		return err
	}
	return p.ownCodes(o, codes)
}

// ownCodes shows the recovery codes of an account, once.
func (p *Pages) ownCodes(o owner, codes []string) error {
	shown := p.ownerPage(o, "recovery-codes")
	shown.Text, shown.Codes = []template.HTML{o.t.H("recovery-codes.text", "username", o.browser.User.Username)}, codes
	shown.Links = []link{{".." + securityPath, o.t.T("recovery-codes.done")}}
	return p.Site.answer(http.StatusOK, shown).write(o.Response())
}

// showAuthenticator is GET /account/authenticator: the set-up of an authenticator app.
func (p *Pages) showAuthenticator(o owner) error {
	setup, err := p.Accounts.StartTOTP(o.Request().Context(), o.caller)
	if err != nil {
		return err
	}
	return p.authenticatorPage(o, http.StatusOK, setup, nil)
}

func (p *Pages) authenticatorPage(o owner, status int, setup account.TOTPSetup, refused *problem.Error) error {
	shown := p.ownerPage(o, "authenticator")
	shown.setUp(setup, o.form, refused)
	f := shown.Forms[0]
	f.Action = ".." + authenticatorPath
	f.Buttons = append(f.Buttons, button{Text: o.t.T("authenticator.others"), Name: "others", Value: "yes", Second: true})
	shown.Links = []link{{".." + securityPath, o.t.T("account-security.back")}}
	return p.Site.answer(status, shown).write(o.Response())
}

// confirmAuthenticator is POST /account/authenticator.
func (p *Pages) confirmAuthenticator(o owner) error {
	ctx := o.Request().Context()
	c := confirmationOf(o.form)
	c.EndOtherSessions = o.form.Get("others") != ""
	_, codes, err := p.Accounts.ConfirmTOTP(ctx, o.caller, c)
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code != problem.StaleLogin {
		setup, err := p.setUpAgain(o.browser.User, c.Setup)
		if err != nil {
			return err
		}
		return p.authenticatorPage(o, statusOf(fault), setup, fault)
	}
	if err == nil {
		err = p.renewCookie(ctx, o.Context, o.browser)
	}
	if err != nil {
		return err
	}
	if len(codes) > 0 {
		return p.ownCodes(o, codes)
	}
	return p.done(o, securityPath, "factor")
}

// renewCookie gives the browser another cookie for its session, which has gained a second factor.
func (p *Pages) renewCookie(ctx context.Context, c echo.Context, b *identity.Browser) error {
	cookie, err := p.Identity.RenewCookie(ctx, b)
	if err == nil {
		http.SetCookie(c.Response(), p.cookie(cookie, b.Session.EndsAt))
	}
	return store.IgnoreNotFound(err)
}

// confirmationOf reads the form of a set-up.
func confirmationOf(form url.Values) account.TOTPConfirmation {
	return account.TOTPConfirmation{Setup: secret.New(form.Get("setup")), Code: secret.New(form.Get("code")), Name: form.Get("name")}
}

// setUpAgain returns the set-up of a form that was refused, or a new one in place of one that is not valid.
func (p *Pages) setUpAgain(user store.User, setup secret.Text) (account.TOTPSetup, error) {
	shown, err := p.Accounts.ShowTOTP(user, setup)
	if _, invalid := errors.AsType[*problem.Error](err); invalid {
		return p.Accounts.NewTOTP(user)
	}
	return shown, err
}

// setUp adds to a page what an authenticator app needs, and the form for its first code. refused is the error for the form before.
func (p *page) setUp(setup account.TOTPSetup, typed url.Values, refused *problem.Error) {
	t := p.texts
	p.Text = append(p.Text, t.H("authenticator.text"))
	p.Image, p.Secret = template.HTML(setup.QRCode), inGroups(setup.Secret) //nolint:gosec // an image that package account has drawn
	name := t.T("authenticator.name")
	if refused != nil {
		name = typed.Get("name")
	}
	code := &field{Name: "code", Type: "text", Label: t.T("authenticator.code"), Autocomplete: "one-time-code", Exact: true}
	f := &form{Fields: []*field{code, nameField(t, name)}}
	f.Hidden = []hidden{{"setup", setup.Setup.Reveal()}}
	f.Buttons = []button{{Text: t.T("authenticator.button")}}
	switch pointer := pointerOf(refused); {
	case refused == nil:
	case pointer == "/code":
		code.Fault = t.T("fault.totp-code")
	case pointer == "/setup":
		p.Fault = t.T("fault.setup")
	case pointer == "/name":
		f.Fields[1].Fault = faultOfName(t, refused)
	default:
		p.Fault = t.Sentence(refused.Detail)
	}
	p.Forms = []*form{f.focus()}
}

func pointerOf(fault *problem.Error) string {
	if fault == nil || len(fault.Fields) == 0 {
		return ""
	}
	return fault.Fields[0].Pointer
}

// inGroups separates a text into groups of four characters, as people type it.
func inGroups(text string) (grouped string) {
	for i, r := range text {
		if i > 0 && i%4 == 0 {
			grouped += " "
		}
		grouped += string(r)
	}
	return grouped
}
