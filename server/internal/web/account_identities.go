package web

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/problem"
	"sesame/server/internal/upstream"
	"sesame/server/secret"
)

// identitiesPath is the page of the linked accounts.
const identitiesPath = "/account/identities"

// showIdentities is GET /account/identities.
func (p *Pages) showIdentities(o owner) error {
	return p.identitiesPage(o, http.StatusOK, providerFaults[o.QueryParam("fault")], refusedForm{})
}

// identitiesPage lists the linked accounts, and has a form for each change. Each asks again who the person is: by the password or, where the
// account has none, by a sign-in within the last minutes. fault is the name of a text.
func (p *Pages) identitiesPage(o owner, status int, fault string, refused refusedForm) error {
	ctx := o.Request().Context()
	identities, err := p.Accounts.Identities(ctx, o.browser.User.ID)
	if err != nil {
		return err
	}
	providers, err := p.Upstream.Providers(ctx)
	if err != nil {
		return err
	}
	proof, err := p.Accounts.ProofOf(ctx, o.caller)
	if err != nil {
		return err
	}
	shown := p.ownerPage(o, "account-identities", "linked", "unlinked")
	shown.Text = []template.HTML{o.t.H("account-identities.text")}
	if shown.Fault = refused.faults[""]; fault != "" {
		shown.Fault = o.t.T(fault)
	}
	change := func(do, which, text string) *form {
		f := &form{Action: "../account/identities", Hidden: []hidden{{"do", do}, {"which", which}}, Buttons: []button{{Text: text, Second: do == "unlink"}}}
		if proof.ByPassword {
			f.Username, f.Fields = o.browser.User.Username, []*field{currentPasswordField(o.t, "password-"+which, "account.password-now")}
			if refused.which == which {
				f.Fields[0].Fault = refused.faults["password"]
				f.focus()
			}
		}
		return f
	}
	var linked []string
	for _, i := range identities {
		entry := item{Title: i.ProviderLabel, Lines: []string{i.Label, o.t.T("account-identities.since", "time", o.t.Time(i.CreatedAt))}}
		if i.Provider == "" {
			entry.Title = i.Issuer
			entry.Lines = append(entry.Lines, o.t.T("account-identities.gone"))
		}
		if linked = append(linked, i.Issuer); proof.Possible() {
			entry.Form = change("unlink", i.ID, o.t.T("account-identities.unlink"))
		}
		shown.Items = append(shown.Items, entry)
	}
	for _, provider := range providers {
		if proof.Possible() && !slices.Contains(linked, provider.Issuer) {
			f := change("link", provider.Name, o.t.T("account-identities.link", "provider", provider.Label))
			f.Heading = provider.Label
			shown.Forms = append(shown.Forms, f)
		}
	}
	if !proof.Possible() {
		shown.Links = append([]link{{"../" + freshErrands["identities"].link("sign-in"), o.t.T("account-identities.again")}}, shown.Links...)
	}
	return p.Site.answer(status, shown).write(o.Response())
}

// changeIdentities is POST /account/identities: it links an account at a provider, or removes one.
func (p *Pages) changeIdentities(o owner) error {
	ctx, which := o.Request().Context(), o.form.Get("which")
	password := secret.New(o.form.Get("password-" + which))
	err := error(problem.New(problem.BadRequest, "The form cannot be read."))
	switch o.form.Get("do") {
	case "link":
		if err = p.Accounts.ConfirmAgain(ctx, o.caller, password); err == nil {
			return p.beginLink(o, which)
		}
	case "unlink":
		if err = p.Accounts.UnlinkAgain(ctx, o.caller, which, password); err == nil {
			return p.done(o, identitiesPath, "unlinked")
		}
	}
	fault, ok := errors.AsType[*problem.Error](err)
	switch {
	case !ok:
		return err
	case fault.Code == problem.LastWayIn:
		return p.identitiesPage(o, fault.Code.Status(), "provider.last-way-in", refusedForm{})
	case fault.Code == problem.StaleLogin, fault.Code == problem.NotFound: // the page shows what can be done
		return Redirect(p.PublicURL + identitiesPath).write(o.Response())
	}
	return p.identitiesPage(o, fault.Code.Status(), "", refusedForm{which: which, faults: p.ownerFaults(o, fault)})
}

// beginLink leads the person to a provider, to link an account there.
func (p *Pages) beginLink(o owner, provider string) error {
	ctx := o.Request().Context()
	o.SetParamNames("provider")
	o.SetParamValues(provider)
	begun, err := p.Upstream.Begin(ctx, provider, upstream.Wish{Session: o.browser.Session.ID})
	if err != nil {
		name := p.logFault(o, err)
		if name == "" {
			return err
		}
		return p.identitiesPage(o, http.StatusBadGateway, providerFaults[name], refusedForm{})
	}
	return p.leave(o, o.t, begun, "../")
}

// linkIdentity links the identity that a provider has named to the account that is signed in, if the browser has begun it in this session.
func (p *Pages) linkIdentity(ctx context.Context, c echo.Context, got upstream.Answer, err error) error {
	browser, failed := p.browser(ctx)
	if failed != nil {
		return failed
	}
	if browser == nil || browser.Session.ID != got.Session {
		return p.providerFault(c, errand{}, upstream.ErrState)
	}
	if err == nil {
		err = p.Accounts.LinkIdentity(ctx, p.Identity.Caller(browser), got.Person)
	}
	if err == nil {
		return Redirect(p.PublicURL + identitiesPath + "?done=linked").write(c.Response())
	}
	name := p.logFault(c, err)
	if name == "" {
		return err
	}
	return Redirect(p.PublicURL + identitiesPath + "?" + url.Values{"fault": {name}}.Encode()).write(c.Response())
}
