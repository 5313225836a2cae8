package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/account"
	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// Pages are the pages for people.
type Pages struct {
	Site      Site
	Identity  *identity.Service
	Accounts  *account.Service
	OAuth     *oauth.Service
	PublicURL string // no trailing slash
	// DescribeScope returns what the contract says of a scope.
	DescribeScope func(scope string) string
	guard         *http.CrossOriginProtection
}

// Register puts the pages on e. The operations authorize and signOut have none of their own: they call Authorize and SignOut.
func (p *Pages) Register(e *echo.Echo) error {
	p.guard = http.NewCrossOriginProtection()
	origin, err := url.Parse(p.PublicURL)
	if err != nil {
		return err
	}
	if err = p.guard.AddTrustedOrigin(origin.Scheme + "://" + origin.Host); err != nil {
		return err
	}
	p.registerCodes(e)
	e.POST("/sign-in", p.signIn)
	e.POST("/consent", p.consent)
	e.POST("/sign-out/confirm", p.confirmSignOut)
	return nil
}

// Answer is the answer of a page: HTML, or a redirect where Location is set.
type Answer struct {
	Status   int
	Location string
	html     []byte
	policy   string
	cookie   *http.Cookie
	err      error
}

// Redirect sends the browser to an address.
func Redirect(address string) Answer { return Answer{Status: http.StatusSeeOther, Location: address} }

// answer renders a page.
func (s Site) answer(status int, p page) Answer {
	html, err := s.html(p)
	return Answer{Status: status, html: html, policy: policy(p.Target), err: err}
}

// write answers a request.
func (a Answer) write(w http.ResponseWriter) error {
	if a.err != nil {
		return a.err
	}
	header := w.Header()
	if a.cookie != nil {
		http.SetCookie(w, a.cookie)
	}
	if a.Location != "" {
		header.Set(echo.HeaderLocation, a.Location)
		w.WriteHeader(a.Status)
		return nil
	}
	header.Set(echo.HeaderContentSecurityPolicy, a.policy)
	header.Set(echo.HeaderXFrameOptions, "DENY")
	header.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	w.WriteHeader(a.Status)
	_, err := w.Write(a.html)
	return err
}

// VisitAuthorizeResponse and the methods after it are what the generated code calls.
func (a Answer) VisitAuthorizeResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitAuthorizeWithFormResponse answers POST /authorize.
func (a Answer) VisitAuthorizeWithFormResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitSignOutResponse answers GET /sign-out.
func (a Answer) VisitSignOutResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitSignOutWithFormResponse answers POST /sign-out.
func (a Answer) VisitSignOutWithFormResponse(w http.ResponseWriter) error { return a.write(w) }

// cookieName has the prefix that lets a cookie neither be set by another host nor over http (RFC 6265bis §4.1.3), where the
// server is reached by https.
func (p *Pages) cookieName() string {
	if p.secure() {
		return "__Host-sesame"
	}
	return "sesame"
}

func (p *Pages) secure() bool { return strings.HasPrefix(p.PublicURL, "https://") }

// cookie keeps the session of a browser. Lax: it is sent when a client sends the browser here, and with no other request of
// another site.
func (p *Pages) cookie(value secret.Text, until time.Time) *http.Cookie {
	return &http.Cookie{Name: p.cookieName(), Value: value.Reveal(), Path: "/", Expires: until, Secure: p.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

func (p *Pages) noCookie() *http.Cookie {
	c := p.cookie(secret.Text{}, time.Time{})
	c.MaxAge = -1
	return c
}

type cookiesKey struct{}

// WithCookies puts the cookies of a request into a context, for Authorize and SignOut.
func WithCookies(ctx context.Context, r *http.Request) context.Context {
	return context.WithValue(ctx, cookiesKey{}, r)
}

// browser returns the session of the browser that sent a request, or nil.
func (p *Pages) browser(ctx context.Context) (*identity.Browser, error) {
	r, _ := ctx.Value(cookiesKey{}).(*http.Request)
	if r == nil {
		return nil, nil
	}
	found := r.CookiesNamed(p.cookieName())
	if len(found) != 1 { // of two, one is not ours
		return nil, nil
	}
	return p.Identity.Browser(ctx, secret.New(found[0].Value))
}

// form reads the form of a page, and refuses one that a page of another origin sends.
func (p *Pages) form(c echo.Context) (url.Values, error) {
	r := c.Request()
	if err := p.guard.Check(r); err != nil {
		return nil, problem.Wrap(problem.BadRequest, "The form was sent by another website. Go back to the application and start again.", err)
	}
	r.Body = http.MaxBytesReader(c.Response(), r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, problem.New(problem.PayloadTooLarge, "The form is too large.")
		}
		return nil, problem.Wrap(problem.BadRequest, "The form cannot be read.", err)
	}
	return r.PostForm, nil
}

// maxForm bounds a form with an authorization request, in bytes.
const maxForm = 64 << 10

// Seconds formats a duration for Retry-After.
func Seconds(wait time.Duration) string { return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))) }

// refused answers a request that cannot be answered to the client.
func (p *Pages) refused(fault *problem.Error) Answer {
	return p.Site.answer(http.StatusBadRequest, page{Title: "This sign-in cannot continue", Text: []paragraph{{Before: fault.Detail}, {
		Before: "Go back to the application and try again. If that does not help, tell its operator what you read here.",
	}}})
}
