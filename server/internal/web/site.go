// Package web makes the pages that people see: sign in, agree, sign out, the pages behind mailed links, and errors. They are
// HTML without a script.
//
//	pages := &web.Pages{Site: web.Site{Name: "Example"}, Identity: id, Accounts: accounts, OAuth: oauth, PublicURL: "https://login.example.com"}
//	pages.Register(e)
//	answer, err := pages.Authorize(ctx, web.CookieOf(r), parameters) // GET /authorize
//
// site.go has the template and its policy; codes.go the pages behind mailed links; signin.go, consent.go and signout.go those
// of the authorization endpoint. The rules are in packages oauth, identity and account.
package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/names"
	"sesame/server/internal/problem"
)

// Site is what the pages for people say of the service. They need no script.
type Site struct {
	Name      string // of the service
	Home      string // the URL that its pages lead back to
	MinLength int    // of a new password, in characters
}

//go:embed templates/page.html
var pageHTML string

var (
	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"visible": names.Visible}).Parse(pageHTML))
	styleHash    = digest(regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(pageHTML)[1])
)

// policy allows a page its own style and sending its form to this server, and nothing else. target is an address that the server
// may redirect to after the form: browsers apply form-action to that, too.
func policy(target string) string {
	return fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; form-action 'self'%s; base-uri 'none'; frame-ancestors 'none'", styleHash, formTarget(target))
}

func formTarget(target string) string {
	u, err := url.Parse(target)
	switch {
	case target == "" || err != nil:
		return ""
	case u.Scheme != "http" && u.Scheme != "https" || strings.HasPrefix(u.Host, "["): // a policy cannot name an IPv6 address
		return " " + u.Scheme + ":"
	}
	return " " + u.Scheme + "://" + u.Host
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// page is the view of the template.
type page struct {
	Site
	Title string
	Text  []paragraph
	Fault string
	Form  *pageForm
	// The other forms.
	SignIn  *signInForm
	Consent *consentForm
	SignOut *signOutForm
	Link    *link  // where to go from here, in place of Site.Home
	Target  string // an address that the server may redirect to after the form
}

// link is an address with its text. The template would refuse the scheme of a native app. The address is a registered one.
type link struct {
	Address template.URL
	Text    string
}

// paragraph is a text around a username, which the template isolates from it, since a name may be written from right to left.
type paragraph struct{ Before, Name, After string }

// passwordRules says what a new password must be like, before one is refused.
func (s Site) passwordRules() string {
	return fmt.Sprintf("At least %d characters of any kind, spaces included. The most common passwords are refused, and those made of your name, your address or the name of this service.", s.MinLength)
}

// html renders a page.
func (s Site) html(p page) ([]byte, error) {
	p.Site = s
	var html bytes.Buffer
	err := pageTemplate.Execute(&html, p)
	return html.Bytes(), err
}

func (s Site) render(c echo.Context, status int, p page) error {
	return s.answer(status, p).write(c.Response())
}

// ShowError answers an error outside of all operations with a page, where a person reads it.
func (s Site) ShowError(c echo.Context, status int, p *problem.Error) error {
	shown := page{Title: http.StatusText(status), Text: []paragraph{{Before: p.Detail}}}
	switch p.Code {
	case problem.NotFound:
		shown.Title, shown.Text = "Page not found", []paragraph{{Before: "There is nothing at this address. Check the link that led here, or go back."}}
	case problem.MethodNotAllowed:
		allowed := strings.ReplaceAll(c.Response().Header().Get(echo.HeaderAllow), ", ", " or ")
		shown.Title, shown.Text = "This is not a page", []paragraph{{Before: "This address is for programs, which call it with " + allowed + "."}}
	case problem.Internal:
		shown.Text = append(shown.Text, paragraph{Before: "Request id: " + c.Response().Header().Get(echo.HeaderXRequestID)})
	}
	return s.render(c, status, shown)
}

// WantsPage reports whether a person reads the answer: a browser asks for HTML, and never for JSON.
func WantsPage(r *http.Request) bool {
	wanted := false
	for item := range strings.SplitSeq(strings.ToLower(strings.Join(r.Header.Values(echo.HeaderAccept), ",")), ",") {
		mediaType, weight, _ := strings.Cut(strings.TrimSpace(item), ";")
		switch strings.TrimSpace(mediaType) {
		case "application/json", "application/problem+json":
			return false
		case "text/html":
			wanted = strings.ReplaceAll(weight, " ", "") != "q=0"
		}
	}
	return wanted
}
