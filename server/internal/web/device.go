package web

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/problem"
)

// devicePath is the page at which a person signs a device in (RFC 8628 §3.3).
const devicePath = "/device"

// deviceErrandPrefix begins the errand of a person who signs in to go on to that page. The dot is in no sealed request.
const deviceErrandPrefix = "device."

// deviceErrand is an errand to the page for devices, with a user code or without.
func deviceErrand(typed string) errand {
	code, _ := oauth.ShowUserCode(typed)
	return errand{sealed: deviceErrandPrefix + code, path: devicePage(code)}
}

// devicePage is the path of the page for devices, with a user code or without.
func devicePage(code string) string {
	if code == "" {
		return devicePath
	}
	return devicePath + "?user_code=" + url.QueryEscape(code)
}

// DeviceAddresses are the addresses of the page for devices: without a user code, and with one.
func DeviceAddresses(publicURL, code string) (plain, complete string) {
	return publicURL + devicePath, publicURL + devicePage(code)
}

// openDevice is GET /device. With a code in the address it fills the code in, and does not look it up: opening a link signs no
// device in, and tries no code.
func (p *Pages) openDevice(c echo.Context) error {
	ctx := WithCookies(c.Request().Context(), c.Request())
	browser, err := p.browser(ctx)
	if err != nil {
		return err
	}
	e := deviceErrand(c.QueryParam("user_code"))
	if browser == nil {
		return p.askToSignIn(ctx, http.StatusOK, e, "", "").write(c.Response())
	}
	code, _ := oauth.ShowUserCode(c.QueryParam("user_code"))
	return p.askForCode(ctx, http.StatusOK, browser, code, "").write(c.Response())
}

// askForCode asks for a user code.
func (p *Pages) askForCode(ctx context.Context, status int, browser *identity.Browser, code, fault string) Answer {
	t := p.texts(ctx, "")
	shown := p.Site.message(t, t.T("device.title"), t.H("signed-in-as", "username", browser.User.Username), t.H("device.text"))
	f := &form{Action: "device", Buttons: []button{{Text: t.T("device.button")}}, Fields: []*field{
		{Name: "user_code", Type: "text", Label: t.T("device.code"), Value: code, Autocomplete: "off", Exact: true, Fault: fault},
	}}
	shown.template, shown.Forms = "device", []*form{f.focus()}
	return p.Site.answer(status, shown)
}

// deviceForm reads a form of the page for devices. Without a browser that is signed in, it has answered.
func (p *Pages) deviceForm(c echo.Context) (ctx context.Context, form url.Values, browser *identity.Browser, err error) {
	if form, err = p.form(c, maxShortForm); err != nil {
		return nil, nil, nil, err
	}
	ctx = WithCookies(c.Request().Context(), c.Request())
	if browser, err = p.browser(ctx); err == nil && browser == nil {
		err = Redirect(p.PublicURL + deviceErrand(form.Get("user_code")).path).write(c.Response())
	}
	return ctx, form, browser, err
}

// findDevice is POST /device: the code that the person has typed.
func (p *Pages) findDevice(c echo.Context) error {
	ctx, form, browser, err := p.deviceForm(c)
	if err != nil || browser == nil {
		return err
	}
	d, err := p.OAuth.FindDevice(ctx, browser, form.Get("user_code"))
	if fault, ok := errors.AsType[*problem.Error](err); ok {
		return p.refuseCode(ctx, c, browser, form.Get("user_code"), fault)
	}
	if err != nil {
		return err
	}
	return p.askToAllowDevice(ctx, d, browser).write(c.Response())
}

// refuseCode asks for a user code again.
func (p *Pages) refuseCode(ctx context.Context, c echo.Context, browser *identity.Browser, typed string, fault *problem.Error) error {
	t := p.texts(ctx, "")
	text := t.T("device.unknown")
	if fault.Code != problem.InvalidCode {
		text = explain(c, t, fault)
	}
	code, _ := oauth.ShowUserCode(typed) // of another text nothing comes back
	return p.askForCode(ctx, statusOf(fault), browser, code, text).write(c.Response())
}

// askToAllowDevice shows what a person is about to let in: the client, the code, and from where and when the device asked.
func (p *Pages) askToAllowDevice(ctx context.Context, d oauth.Device, browser *identity.Browser) Answer {
	t := p.texts(ctx, "")
	shown := p.Site.message(t, t.T("device-confirm.title", "client", d.Client.Title()))
	shown.Text = []template.HTML{
		t.H("signed-in-as", "username", browser.User.Username), t.H("device-confirm.code", "code", d.UserCode),
		t.H("device-confirm.from", "address", d.IPAddress, "time", t.Time(d.RequestedAt)), t.H("device-confirm.scopes", "client", d.Client.Title()),
	}
	for _, scope := range d.Scopes {
		shown.Scopes = append(shown.Scopes, t.Sentence(p.DescribeScope(scope)))
	}
	shown.template, shown.ClientLogo = "consent", d.Client.LogoAddress()
	shown.Forms = []*form{{
		Action: "device/decide", Hidden: []hidden{{"request", p.OAuth.SealDevice(d, browser)}},
		Buttons: []button{
			{Text: t.T("consent.allow"), Name: "decision", Value: "allow"},
			{Text: t.T("consent.deny"), Name: "decision", Value: "deny", Second: true},
		},
	}}
	return p.Site.answer(http.StatusOK, shown)
}

// decideDevice is POST /device/decide: what the person has decided.
func (p *Pages) decideDevice(c echo.Context) error {
	ctx, form, browser, err := p.deviceForm(c)
	if err != nil || browser == nil {
		return err
	}
	allow := form.Get("decision") == "allow"
	_, err = p.OAuth.DecideDevice(ctx, form.Get("request"), browser, allow)
	t := p.texts(ctx, "")
	var shown page
	switch fault, ok := errors.AsType[*problem.Error](err); {
	case ok && fault.Code == problem.InvalidCode:
		shown = p.Site.message(t, t.T("device-denied.title"), t.H("device.unknown"))
		shown.Base = "../"
		return p.Site.answer(statusOf(fault), shown).write(c.Response())
	case err != nil:
		answer, err := p.unsafe(ctx, err)
		return answer.writeUnless(err, c)
	case allow:
		shown = p.Site.message(t, t.T("device-allowed.title"), t.H("device-allowed.text"))
	default:
		shown = p.Site.message(t, t.T("device-denied.title"), t.H("device-denied.text"))
	}
	shown.Base = "../"
	return p.Site.answer(http.StatusOK, shown).write(c.Response())
}
