package httpapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
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

//go:embed pages/page.html
var pageHTML string

var (
	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"visible": names.Visible}).Parse(pageHTML))
	// pagePolicy allows a page its own style and sending its form to this server, and nothing else.
	pagePolicy = fmt.Sprintf(
		"default-src 'none'; style-src 'sha256-%s'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		digest(regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(pageHTML)[1]))
)

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
}

// paragraph is a text around a username, which the template isolates from it, since a name may be written from right to left.
type paragraph struct{ Before, Name, After string }

// passwordRules says what a new password must be like, before one is refused.
func (s Site) passwordRules() string {
	return fmt.Sprintf("At least %d characters of any kind, spaces included. The most common passwords are refused, and those made of your name, your address or the name of this service.", s.MinLength)
}

func (s Site) render(c echo.Context, status int, p page) error {
	p.Site = s
	var html bytes.Buffer
	if err := pageTemplate.Execute(&html, p); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderContentSecurityPolicy, pagePolicy)
	return c.HTMLBlob(status, html.Bytes())
}

// showError answers an error outside of all operations with a page, where a person reads it.
func (s Site) showError(c echo.Context, status int, p *problem.Error) error {
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

// wantsPage reports whether a person reads the answer: a browser asks for HTML, and never for JSON.
func wantsPage(r *http.Request) bool {
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
