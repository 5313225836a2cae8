package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed" // the script
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"

	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// passkeyScript asks the browser for a passkey and sends the form with its answer. Without it, or in a browser without passkeys, the
// form stays hidden. The pages have no other script.
//
//go:embed passkey.js
var passkeyScript string

// passkeyPolicy allows that script by its hash.
var passkeyPolicy = func() string {
	sum := sha256.Sum256([]byte(passkeyScript))
	return "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; "
}()

// passkeyForm is a form whose field passkey the script fills in.
type passkeyForm struct {
	form
	Options     string // for the browser, JSON
	Creates     bool   // a new passkey
	Conditional bool   // whether the browser also offers passkeys where the person types the username
	Failed      string // what to say if the browser has none, or the person declines
}

// Script is the script with its element.
func (passkeyForm) Script() template.HTML {
	return template.HTML("<script>" + passkeyScript + "</script>") //nolint:gosec // our own
}

// passkeyBinding returns what the challenges of the pages for sign-in are bound to in this browser, or "": nobody can use the answer of
// another browser (OWASP ASVS 6.7.2). Several tabs share it.
func (p *Pages) passkeyBinding(ctx context.Context) string {
	if value := p.kept(ctx, passkeyCookie); len(value) == len(rand.Text()) {
		return value
	}
	return ""
}

// offerPasskey adds the form for a sign-in without a password to a page, if there are passkeys. It returns the cookie to set, or
// nil.
func (p *Pages) offerPasskey(ctx context.Context, e errand, shown *page) (*http.Cookie, error) {
	if !p.Identity.Passkeys.OnPages() {
		return nil, nil
	}
	bound := p.passkeyBinding(ctx)
	var cookie *http.Cookie
	if bound == "" {
		bound = rand.Text()
		cookie = p.keep(passkeyCookie, bound)
	}
	options, err := p.Identity.PasskeyOptions(bound)
	if err != nil {
		return nil, err
	}
	f := passkeyForm{form: *e.form("sign-in"), Options: string(options), Conditional: true, Failed: shown.T("passkey.failed")}
	f.Buttons = []button{{Text: shown.T("passkey.sign-in"), Second: true}}
	shown.Passkey = &f
	return cookie, nil
}

// signInWithPasskey signs a person in with a passkey alone. Errors: those of identity.SignInWithPasskey.
func (p *Pages) signInWithPasskey(ctx context.Context, e errand, answer secret.Text) (Answer, error) {
	before, err := p.browser(ctx)
	if err != nil {
		return Answer{}, err
	}
	browser, cookie, err := p.Identity.SignInWithPasskey(ctx, answer, p.passkeyBinding(ctx))
	return p.signedIn(ctx, e, before, browser, cookie, err)
}

// offerSecondPasskey adds the form for a passkey as the second factor to a page, if the account of the step has one.
func (p *Pages) offerSecondPasskey(ctx context.Context, e errand, step secret.Text, shown *page) error {
	if !p.Identity.Passkeys.OnPages() {
		return nil
	}
	options, err := p.Identity.StepOptions(ctx, step)
	if _, refused := errors.AsType[*problem.Error](err); refused || options == nil {
		return nil // the step is too old, or has to wait: the page says so
	}
	if err != nil {
		return err
	}
	f := passkeyForm{form: *e.form("second-factor"), Options: string(options), Failed: shown.T("passkey.failed")}
	f.Buttons = []button{{Text: shown.T("passkey.use")}}
	shown.Passkey = &f
	return nil
}
