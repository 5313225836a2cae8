package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/account"
	"sesame/server/internal/problem"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

const (
	firstRunPath = "/first-run"
	// firstRunTTL is how long a link to the first run works. Each start prints a new one.
	firstRunTTL = time.Hour
	// firstRunName binds the sealed text of a link to its purpose.
	firstRunName = "link"
)

// FirstRun is who may make the first administrator: a person at the machine itself, or one who has a link that the server has
// printed. A link is sealed with the master key, so it works at every replica, and holds only when it expires: there is nothing to
// claim but that there is no administrator yet.
type FirstRun struct {
	Sealer token.Sealer
	// Local says that only this machine can reach the server, without a proxy that connects to a socket. Then the person needs no link.
	Local bool
	Now   func() time.Time
}

// Address is where the first administrator is made: with a link, or without one where none is needed.
func (f *FirstRun) Address(publicURL string) string {
	if f.Local {
		return publicURL + firstRunPath
	}
	until := strconv.FormatInt(f.Now().Add(firstRunTTL).Unix(), 10)
	return publicURL + firstRunPath + "?code=" + f.Sealer.SealURL([]byte(until), firstRunName)
}

var errLinkExpired = errors.New("the link has expired")

// admits returns nil if the sender of a request may make the first administrator while there is none. Errors: NotFound, which tells a
// stranger nothing; errLinkExpired.
func (f *FirstRun) admits(r *http.Request, code string) error {
	switch {
	case f == nil:
	case code != "":
		plain, err := f.Sealer.OpenURL(code, firstRunName)
		if err != nil {
			break
		}
		until, err := strconv.ParseInt(string(plain), 10, 64)
		if err != nil {
			break
		}
		if f.Now().After(time.Unix(until, 0)) {
			return errLinkExpired
		}
		return nil
	case f.Local && isDirect(r):
		return nil
	}
	return problem.New(problem.NotFound, "There is nothing at this address.")
}

// isDirect reports whether a browser on this machine has sent a request, without a proxy in between. Its Host is an address of this
// machine: a page whose name resolves to 127.0.0.1 (DNS rebinding) has its own name there. A form comes from a page of the same host.
// Proxies name the client in a header, or speak HTTP/1.0, which no browser does. nginx, as it is without settings, does neither since
// version 1.29.7, and sends its own address as the Host. But browsers ask to keep a connection of HTTP/1.1, and no proxy may forward
// that (RFC 9110 §7.6.1), so a stranger cannot add it.
func isDirect(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() || !isLoopbackHost(r.Host) || !r.ProtoAtLeast(1, 1) {
		return false
	}
	if r.ProtoMajor == 1 && !strings.EqualFold(r.Header.Get("Connection"), "keep-alive") {
		return false
	}
	for name := range r.Header {
		if namesClient(name) {
			return false
		}
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return r.Header.Get(echo.HeaderOrigin) == scheme+r.Host
}

func isLoopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return strings.EqualFold(host, "localhost") || err == nil && address.Unmap().IsLoopback()
}

// namesClient reports whether a header is one with which proxies name themselves or the client.
func namesClient(header string) bool {
	name := strings.ToLower(strings.ReplaceAll(header, "_", "-"))
	for _, part := range []string{"forwarded", "via", "client-ip", "connecting-ip", "real-ip", "x-original", "x-envoy", "cdn-loop", "external-address"} {
		if name == part || len(part) > 3 && strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// OffersFirstRun reports whether the sender of a request, who has no link and wants a page, may make the first administrator.
func (p *Pages) OffersFirstRun(r *http.Request) bool {
	if !WantsPage(r) || p.FirstRun.admits(r, "") != nil {
		return false
	}
	exists, err := p.Accounts.HasAdministrator(r.Context())
	return err == nil && !exists
}

// openFirstRun is GET /first-run.
func (p *Pages) openFirstRun(c echo.Context) error {
	code := c.QueryParam("code")
	answer, err := p.firstRunOr(c, code)
	if answer != nil || err != nil {
		return p.writeFirstRun(answer, err, c)
	}
	return p.askForFirst(WithCookies(c.Request().Context(), c.Request()), http.StatusOK, code, signUpForm{}).write(c.Response())
}

func (p *Pages) writeFirstRun(answer *Answer, err error, c echo.Context) error {
	if err != nil {
		return err
	}
	return answer.write(c.Response())
}

// firstRunOr returns nothing if the sender of a request may make the first administrator, or else the answer.
func (p *Pages) firstRunOr(c echo.Context, code string) (*Answer, error) {
	ctx := WithCookies(c.Request().Context(), c.Request())
	err := p.FirstRun.admits(c.Request(), code)
	if errors.Is(err, errLinkExpired) {
		t := p.texts(ctx, "")
		answer := p.Site.answer(http.StatusGone, p.Site.message(t, t.T("first-run.title"), t.H("first-run.expired")))
		return &answer, nil
	}
	if err != nil {
		return nil, err
	}
	exists, err := p.Accounts.HasAdministrator(ctx) // asked only for those who are admitted, since it reads the table
	if err == nil && exists {
		err = problem.New(problem.NotFound, "There is an administrator already.")
	}
	return nil, err
}

// askForFirst asks for the account of the first administrator.
func (p *Pages) askForFirst(ctx context.Context, status int, code string, entered signUpForm) Answer {
	t := p.texts(ctx, "")
	shown := p.Site.message(t, t.T("first-run.title"), t.H("first-run.text"))
	f := &form{Action: strings.TrimPrefix(firstRunPath, "/")}
	if code != "" {
		f.Hidden = []hidden{{"code", code}}
	}
	f.Fields = []*field{
		{Name: "username", Type: "text", Label: t.T("first-run.username"), Value: entered.username, Autocomplete: "username", Exact: true},
		{Name: "email", Type: "email", Label: t.T("first-run.email"), Hint: t.T("sign-up.email-hint"), Value: entered.email, Autocomplete: "email", Optional: true},
		p.Site.newPasswordField(t, "password", "sign-up.password"),
	}
	for _, field := range f.Fields {
		field.Fault = entered.faults[field.Name]
	}
	f.focus().Buttons = []button{{Text: t.T("first-run.button")}}
	shown.template, shown.Fault, shown.Forms = "sign-up", entered.fault, []*form{f}
	return p.Site.answer(status, shown)
}

// makeFirst is POST /first-run. It makes the account and signs its owner in, on the way to the administrator's page.
func (p *Pages) makeFirst(c echo.Context) error {
	form, err := p.form(c, maxShortForm)
	if err != nil {
		return err
	}
	code := form.Get("code")
	if answer, err := p.firstRunOr(c, code); answer != nil || err != nil {
		return p.writeFirstRun(answer, err, c)
	}
	ctx := WithCookies(c.Request().Context(), c.Request())
	entered := signUpForm{email: strings.TrimSpace(form.Get("email")), username: strings.TrimSpace(form.Get("username"))}
	password := secret.New(form.Get("password"))
	user, err := p.Accounts.CreateFirstAdministrator(ctx, account.Registration{Username: entered.username, Email: entered.email, Password: password})
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code != problem.NotFound {
		t := p.texts(ctx, "")
		if entered.faults = fieldFaults(t, fault); len(entered.faults) == 0 {
			entered.fault = explain(c, t, fault)
		}
		return p.askForFirst(ctx, statusOf(fault), code, entered).write(c.Response())
	}
	if err != nil {
		return err
	}
	return p.startFirst(ctx, c, user.Username, password)
}

// startFirst signs the first administrator in, or asks them to.
func (p *Pages) startFirst(ctx context.Context, c echo.Context, username string, password secret.Text) error {
	e := errand{path: "/admin/"}
	answer, err := p.startSession(ctx, e, username, password)
	if fault, ok := errors.AsType[*problem.Error](err); ok { // such as an address that has to be confirmed first
		return p.askToSignIn(ctx, statusOf(fault), e, username, explain(c, p.texts(ctx, ""), fault)).write(c.Response())
	}
	return answer.writeUnless(err, c)
}
