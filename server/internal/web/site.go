// Package web makes the pages that people see: sign in, sign up, a forgotten password, agree, sign out, the account, the pages
// behind mailed links, and errors. They are HTML, and only passkeys need a script (passkey.go).
//
//	pages := &web.Pages{Site: web.Site{Name: "Example"}, Identity: id, Accounts: accounts, OAuth: oauth, PublicURL: "https://login.example.com"}
//	pages.Register(e)
//	answer, err := pages.Authorize(ctx, parameters) // GET /authorize
//
// A page is built as a page (view.go) with texts in the language of the person (texts.go, messages), and rendered by the
// template of its kind (look.go, templates), which operators may replace. pages.go has what every page needs: the policy, the
// cookie and the reading of forms. Then one file for each page; those of the account begin with account. The rules are in
// packages oauth, identity, account and audit.
package web

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/problem"
)

// Site is what the pages for people say of the service. They need no script.
type Site struct {
	Name      string // of the service
	Home      string // the URL that its pages lead back to
	MinLength int    // of a new password, in characters
	Look      *Look  // nil for the built-in one
}

func (s Site) look() *Look {
	if s.Look != nil {
		return s.Look
	}
	return builtIn()
}

// Logo is the address of the logo of the operator, from the root of the pages; "" for none.
func (s Site) Logo() string {
	if s.look().logo == nil {
		return ""
	}
	return logoPath
}

// Colors is the style sheet with the colors that follow from the accent of the operator: custom properties of :root.
func (s Site) Colors() string { return s.look().colors }

// texts returns the texts for a person.
func (s Site) texts(uiLocales string, r *http.Request) *texts {
	return s.look().languages.choose(uiLocales, r)
}

// message is a page that only says something.
func (s Site) message(t *texts, title string, paragraphs ...template.HTML) page {
	return page{Site: s, texts: t, template: "message", Title: title, Text: paragraphs}
}

// policy allows a page the styles of its template, logos where it shows some, its script, and sending its form to this server, and
// nothing else. Browsers apply form-action also to the address that the server redirects to after the form.
func policy(styles string, p page) string {
	more := ""
	if p.Passkey != nil {
		more = passkeyPolicy
	}
	if p.showsImages() {
		more += "img-src 'self'; "
	}
	return fmt.Sprintf("default-src 'none'; style-src %s; %sform-action 'self'%s; base-uri 'none'; frame-ancestors 'none'", styles, more, formTarget(p.Target))
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

// answer renders a page.
func (s Site) answer(status int, p page) Answer {
	look := s.look()
	p.Site, p.style = s, look.style
	view := look.views[p.template]
	var html bytes.Buffer
	err := view.template.Execute(&html, p)
	return Answer{Status: status, html: html.Bytes(), policy: policy(view.styles, p), referrer: len(p.Forms) > 0 || p.Passkey != nil, err: err}
}

// ShowError answers an error outside of all operations with a page, where a person reads it.
func (s Site) ShowError(c echo.Context, status int, p *problem.Error) error {
	t := s.texts("", c.Request())
	shown := s.message(t, t.Sentence(http.StatusText(status)), escaped(t.Sentence(p.Detail)))
	switch p.Code {
	case problem.NotFound:
		shown = s.message(t, t.T("not-found.title"), t.H("not-found.text"))
	case problem.MethodNotAllowed:
		allowed := strings.ReplaceAll(c.Response().Header().Get(echo.HeaderAllow), ", ", " / ")
		shown = s.message(t, t.T("no-page.title"), escaped(t.T("no-page.text", "methods", allowed)))
	case problem.Internal:
		shown.Text = append(shown.Text, escaped(t.T("error.request-id", "id", c.Response().Header().Get(echo.HeaderXRequestID))))
	}
	shown.Base = strings.Repeat("../", max(0, strings.Count(c.Request().URL.Path, "/")-1))
	return s.answer(status, shown).write(c.Response())
}

// escaped is a plain text as HTML.
func escaped(text string) template.HTML {
	return template.HTML(template.HTMLEscapeString(text)) //nolint:gosec // it is escaped
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
