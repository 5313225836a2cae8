package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"regexp"

	"github.com/labstack/echo/v4"

	"sesame/server/auth"
	"sesame/server/names"
	"sesame/server/problem"
	"sesame/server/secret"
)

// The pages that mailed links open. They are no operations: a person reads them, without any script. Opening
// one uses nothing, since scanners of mail open links too; its button does.

//go:embed pages/page.html
var pageHTML string

var (
	pageTemplate = template.Must(template.New("page").Parse(pageHTML))
	// pagePolicy lets a page have its own style and send its form here, and nothing else.
	pagePolicy = fmt.Sprintf(
		"default-src 'none'; style-src 'sha256-%s'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		digest(regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(pageHTML)[1]))
)

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// maxPageForm is more than a code and a password take.
const maxPageForm = 8 << 10

// page is what is shown.
type page struct {
	Title string
	Text  []paragraph
	Fault string
	Form  *pageForm
}

// paragraph is a text, around a name that somebody has chosen: it stands apart from the text, in whatever direction it is
// written.
type paragraph struct{ Before, Name, After string }

type pageForm struct {
	Action, Code, Button string
	AsksPassword         bool
	Username             string // for password managers
}

// codePage is a page for a code of some purpose.
type codePage struct {
	service *auth.Service
	path    string
	purpose auth.Purpose
	// ask is the page with the form, for the user whose code it is.
	ask func(username string) page
	// use uses the code.
	use  func(ctx context.Context, code secret.Text, form func(name string) string) error
	done page
}

func (s *Server) registerPages(e *echo.Echo) {
	for _, p := range []codePage{
		{
			path: "confirm-email", purpose: auth.ToConfirm,
			ask: func(username string) page {
				return page{
					Title: "Confirm your e-mail address",
					Text: []paragraph{{
						"Is this the address of your account ", username, "? Then press the button. If you have no such account, close this page.",
					}},
					Form: &pageForm{Button: "Confirm the address"},
				}
			},
			use: func(ctx context.Context, code secret.Text, _ func(string) string) error {
				return s.service.ConfirmEmail(ctx, code)
			},
			done: page{Title: "Your address is confirmed", Text: []paragraph{{Before: "You can close this page."}}},
		},
		{
			path: "reset-password", purpose: auth.ToReset,
			ask: func(username string) page {
				return page{
					Title: "Choose a new password",
					Text:  []paragraph{{"It is for your account ", username, ". You will have to log in again wherever you are logged in."}},
					Form:  &pageForm{Button: "Set the password", AsksPassword: true, Username: username},
				}
			},
			use: func(ctx context.Context, code secret.Text, form func(string) string) error {
				return s.service.ResetPassword(ctx, code, secret.New(form("new_password")))
			},
			done: page{Title: "Your password is changed", Text: []paragraph{{Before: "Log in with the new one. You can close this page."}}},
		},
	} {
		p.service = s.service
		e.Match([]string{http.MethodGet, http.MethodHead}, "/"+p.path, p.open)
		e.POST("/"+p.path, p.submit, withSender)
	}
}

// open shows the page of a code, and uses nothing.
func (p codePage) open(c echo.Context) error {
	return p.show(c, secret.New(c.QueryParam("code")), nil)
}

// submit is the button.
func (p codePage) submit(c echo.Context) error {
	r := c.Request()
	r.Body = http.MaxBytesReader(c.Response(), r.Body, maxPageForm)
	if err := r.ParseForm(); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return problem.New(problem.PayloadTooLarge, "The form is too large.")
		}
		return problem.Wrap(problem.BadRequest, "The form cannot be read.", err)
	}
	code := secret.New(r.PostForm.Get("code"))
	if err := p.use(r.Context(), code, r.PostForm.Get); err != nil {
		return p.show(c, code, err)
	}
	return render(c, http.StatusOK, p.done)
}

// show shows the form, with what was wrong with it, or says that the code is not good.
func (p codePage) show(c echo.Context, code secret.Text, fault error) error {
	user, err := p.service.CodeUser(c.Request().Context(), p.purpose, code)
	if err == nil {
		err = fault
	}
	if err == nil {
		return p.form(c, http.StatusOK, user.Username, code, "")
	}
	refused, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return err
	}
	status, text := answers[refused.Code].status, refused.Detail
	switch refused.Code {
	case problem.InvalidCode, problem.EmailTaken:
		return render(c, status, page{Title: "This link is no longer good", Text: []paragraph{{
			Before: "It was used already, is too old, or was not copied whole. If it was you who used it, all is done. If not, ask for another mail.",
		}}})
	case problem.Unavailable:
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter)
	case problem.ValidationFailed:
		text = "The password " + refused.Fields[0].Detail + "."
	}
	return p.form(c, status, user.Username, code, text)
}

func (p codePage) form(c echo.Context, status int, username string, code secret.Text, fault string) error {
	shown := p.ask(names.Visible(username))
	if username == "" { // the database cannot be asked whose it is
		shown.Text = nil
	}
	shown.Fault = fault
	shown.Form.Action, shown.Form.Code = p.path, code.Reveal()
	return render(c, status, shown)
}

func render(c echo.Context, status int, p page) error {
	var html bytes.Buffer
	if err := pageTemplate.Execute(&html, p); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderContentSecurityPolicy, pagePolicy)
	return c.HTMLBlob(status, html.Bytes())
}
