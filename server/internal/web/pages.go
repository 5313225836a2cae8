package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/account"
	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/problem"
	"sesame/server/internal/upstream"
)

// Pages are the pages for people.
type Pages struct {
	Site      Site
	Identity  *identity.Service
	Accounts  *account.Service
	OAuth     *oauth.Service
	Upstream  *upstream.Service
	Audit     *audit.Log
	PublicURL string    // no trailing slash
	FirstRun  *FirstRun // nil for none
	// DescribeScope returns what the contract says of a scope.
	DescribeScope func(scope string) string
	guard         *http.CrossOriginProtection
	paths         []string
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
	for _, page := range p.all() {
		if page.show != nil {
			e.Match([]string{http.MethodGet, http.MethodHead}, page.path, page.show)
		}
		if page.send != nil {
			e.POST(page.path, page.send)
		}
		p.paths = append(p.paths, page.path)
	}
	return nil
}

// handled is a page: what shows it, and what its form is sent to. Either may be nil.
type handled struct {
	path       string
	show, send echo.HandlerFunc
}

// all are the pages but those of operations.
func (p *Pages) all() []handled {
	pages := []handled{
		{"/sign-in", p.opened(p.openSignIn), p.sent(p.signIn)},
		{"/sign-in/:provider", nil, p.sent(p.toProvider)},
		{"/sign-in/:provider/callback", p.fromProvider, nil},
		{secondFactorPath, p.opened(p.openSecondFactor), p.sent(p.secondFactor)},
		{enrollPath, nil, p.sent(p.enroll)},
		{continuePath, p.goOn, nil},
		{"/sign-up", p.opened(p.openSignUp), p.sent(p.signUp)},
		{"/forgot-password", p.opened(p.openForgotten), p.sent(p.forgotten)},
		{"/account", p.asOwner(p.showAccount), p.asOwner(p.changeAccount)},
		{securityPath, p.asOwner(p.showSecurity), nil},
		{authenticatorPath, p.asOwner(p.freshly("authenticator", p.showAuthenticator)), p.asOwner(p.freshly("authenticator", p.confirmAuthenticator))},
		{passkeysPath, p.asOwner(p.freshly("passkey", p.showNewPasskey)), p.asOwner(p.freshly("passkey", p.addPasskey))},
		{factorPath, p.asOwner(p.freshly("security", p.showFactor)), p.asOwner(p.freshly("security", p.changeFactor))},
		{recoveryPath, nil, p.asOwner(p.freshly("security", p.newRecoveryCodes))},
		{"/account/sessions", p.asOwner(p.showSessions), p.asOwner(p.endSessions)},
		{"/account/applications", p.asOwner(p.showApplications), p.asOwner(p.withdraw)},
		{identitiesPath, p.asOwner(p.showIdentities), p.asOwner(p.changeIdentities)},
		{tokensPath, p.asOwner(p.showTokens), p.asOwner(p.revokeToken)},
		{newTokenPath, p.asOwner(p.freshly("token", p.showNewToken)), p.asOwner(p.freshly("token", p.createToken))},
		{"/account/events", p.asOwner(p.showEvents), nil},
		{deletionPath, p.asOwner(p.showDeletion), p.asOwner(p.deleteAccount)},
		{changePasswordPath, p.toAccount, nil},
		{"/" + logoPath, p.Site.showLogo, nil},
		{"/sign-in/client-logo", p.showClientLogo, nil},
		{"/consent", nil, p.consent},
		{devicePath, p.openDevice, p.findDevice},
		{devicePath + "/decide", nil, p.decideDevice},
		{"/sign-out/confirm", nil, p.confirmSignOut},
	}
	if p.FirstRun != nil {
		pages = append(pages, handled{firstRunPath, p.openFirstRun, p.makeFirst})
	}
	if p.Accounts.HasMagicLinks() {
		pages = append(pages, handled{MagicLinkPath, p.openLink, p.sent(p.useLink)})
	}
	for _, code := range p.codePages() {
		pages = append(pages, handled{"/" + code.path, code.open, code.submit})
	}
	return pages
}

// changePasswordPath is where password managers look for the page that changes a password (W3C, A Well-Known URL for Changing
// Passwords).
const changePasswordPath = "/.well-known/change-password"

func (p *Pages) toAccount(c echo.Context) error {
	return Redirect(p.PublicURL + "/account").write(c.Response())
}

// Has reports whether a path is that of a page.
func (p *Pages) Has(path string) bool { return slices.Contains(p.paths, path) }

// Answer is the answer of a page: HTML, or a redirect where Location is set.
type Answer struct {
	Status   int
	Location string
	html     []byte
	policy   string
	referrer bool // whether its form sends an Origin
	cookies  []*http.Cookie
	refresh  string // an address that the page leads on to by itself
	err      error
}

// Redirect sends the browser to an address.
func Redirect(address string) Answer { return Answer{Status: http.StatusSeeOther, Location: address} }

// write answers a request.
func (a Answer) write(w http.ResponseWriter) error {
	if a.err != nil {
		return a.err
	}
	header := w.Header()
	for _, cookie := range a.cookies {
		http.SetCookie(w, cookie)
	}
	if a.Location != "" {
		header.Set(echo.HeaderLocation, a.Location)
		w.WriteHeader(a.Status)
		return nil
	}
	header.Set(echo.HeaderContentSecurityPolicy, a.policy)
	header.Set(echo.HeaderXFrameOptions, "DENY")
	if a.referrer { // no-referrer makes the Origin of a form null. Over http there is no Sec-Fetch-Site in its place.
		header.Set(echo.HeaderReferrerPolicy, "same-origin")
	}
	if a.refresh != "" {
		header.Set("Refresh", "0; url="+a.refresh)
	}
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

// form reads the form of a page, and refuses one that a page of another origin sends. limit is in bytes.
func (p *Pages) form(c echo.Context, limit int64) (url.Values, error) {
	r := c.Request()
	if err := p.guard.Check(r); err != nil {
		return nil, problem.Wrap(problem.BadRequest, "The form was sent by another website. Go back to the application and start again.", err)
	}
	r.Body = http.MaxBytesReader(c.Response(), r.Body, limit)
	if err := r.ParseForm(); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, problem.New(problem.PayloadTooLarge, "The form is too large.")
		}
		return nil, problem.Wrap(problem.BadRequest, "The form cannot be read.", err)
	}
	return r.PostForm, nil
}

// maxForm bounds a form with an authorization request, in bytes, and maxShortForm one without.
const (
	maxForm      = 64 << 10
	maxShortForm = 8 << 10
)

// Seconds formats a duration for Retry-After.
func Seconds(wait time.Duration) string { return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))) }

// texts returns the texts for the person who sent a request.
func (p *Pages) texts(ctx context.Context, uiLocales string) *texts {
	r, _ := ctx.Value(cookiesKey{}).(*http.Request)
	return p.Site.texts(uiLocales, r)
}

// refused answers a request that cannot be answered to the client.
func (p *Pages) refused(ctx context.Context, fault *problem.Error) Answer {
	t := p.texts(ctx, "")
	return p.Site.answer(http.StatusBadRequest, p.Site.message(t, t.T("refused.title"), escaped(t.Sentence(fault.Detail)), t.H("refused.text")))
}

// writeUnless writes an answer unless there is an error.
func (a Answer) writeUnless(err error, c echo.Context) error {
	if err != nil {
		return err
	}
	return a.write(c.Response())
}

// statusOf is the status of the page of a refused form.
func statusOf(fault *problem.Error) int {
	if fault.Code == problem.InvalidGrant {
		return http.StatusUnprocessableEntity
	}
	return fault.Code.Status()
}

// explain says to a person why a form was refused. It sets Retry-After where they have to wait.
func explain(c echo.Context, t *texts, fault *problem.Error) string {
	header := c.Response().Header()
	switch fault.Code {
	case problem.TooManyRequests:
		header.Set(echo.HeaderRetryAfter, Seconds(fault.RetryAfter))
		return t.T("fault.too-many", "wait", t.wait(fault.RetryAfter))
	case problem.Unavailable:
		header.Set(echo.HeaderRetryAfter, "1")
		return t.T("fault.busy")
	case problem.InvalidGrant:
		if errors.Is(fault, identity.ErrWrongPasskey) {
			return t.T("passkey.refused")
		}
		if !errors.Is(fault, identity.ErrUnconfirmed) {
			return t.T("fault.wrong-credentials")
		}
	}
	return t.Sentence(fault.Detail)
}
