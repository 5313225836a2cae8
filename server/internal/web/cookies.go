package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"sesame/server/internal/identity"
	"sesame/server/secret"
)

// The cookies of a browser, by the ends of their names.
const (
	sessionCookie  = ""
	stepCookie     = "-step"     // a sign-in that a second factor completes, so that no other browser can (OWASP ASVS 6.7.2)
	passkeyCookie  = "-passkey"  // what the challenges for passkeys are bound to
	linkCookie     = "-link"     // marks the browser that has asked for a link, and keeps what the person signs in for
	providerCookie = "-provider" // a sign-in at a provider
)

// cookieName has the prefix that lets a cookie neither be set by another host nor over http (RFC 6265bis §4.1.3), where the
// server is reached by https.
func (p *Pages) cookieName(which string) string {
	if p.secure() {
		return "__Host-sesame" + which
	}
	return "sesame-session" + which
}

func (p *Pages) secure() bool { return strings.HasPrefix(p.PublicURL, "https://") }

// keep makes a cookie, which the browser keeps until it is closed. Lax: it is sent when a client, a provider or a mail sends the
// browser here, and with no other request of another site.
func (p *Pages) keep(which, value string) *http.Cookie {
	return &http.Cookie{Name: p.cookieName(which), Value: value, Path: "/", Secure: p.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode} //nolint:gosec // Secure wherever people reach the server by https
}

// keepFor is keep for a time.
func (p *Pages) keepFor(which, value string, life time.Duration) *http.Cookie {
	c := p.keep(which, value) //nolint:gosec // as above
	c.MaxAge = int(life.Seconds())
	return c
}

// forget deletes a cookie.
func (p *Pages) forget(which string) *http.Cookie {
	c := p.keep(which, "") //nolint:gosec // as above
	c.MaxAge = -1
	return c
}

// cookie keeps the session of a browser.
func (p *Pages) cookie(value secret.Text, until time.Time) *http.Cookie {
	c := p.keep(sessionCookie, value.Reveal()) //nolint:gosec // as above
	c.Expires = until
	return c
}

type cookiesKey struct{}

// WithCookies puts the cookies of a request into a context, for Authorize and SignOut.
func WithCookies(ctx context.Context, r *http.Request) context.Context {
	return context.WithValue(ctx, cookiesKey{}, r)
}

// kept returns the value of a cookie, or "".
func (p *Pages) kept(ctx context.Context, which string) string {
	if r, _ := ctx.Value(cookiesKey{}).(*http.Request); r != nil {
		if found := r.CookiesNamed(p.cookieName(which)); len(found) == 1 { // of two, one is not ours
			return found[0].Value
		}
	}
	return ""
}

// browser returns the session of the browser that sent a request, or nil.
func (p *Pages) browser(ctx context.Context) (*identity.Browser, error) {
	value := p.kept(ctx, sessionCookie)
	if value == "" {
		return nil, nil
	}
	return p.Identity.Browser(ctx, secret.New(value))
}

// step returns the sign-in that a second factor completes, or an empty text.
func (p *Pages) step(ctx context.Context) secret.Text { return secret.New(p.kept(ctx, stepCookie)) }

// keepStep keeps it. Strict, unless the browser is on its way through the redirects of a provider: only the pages of this server send
// it.
func (p *Pages) keepStep(missing *identity.Incomplete, sameSite http.SameSite) *http.Cookie {
	c := p.keepFor(stepCookie, missing.Sealed.Reveal(), identity.StepTTL) //nolint:gosec // as above
	c.SameSite = sameSite
	return c
}
