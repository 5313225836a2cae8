package web

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/names"
	"sesame/server/internal/oauth"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// maxListed limits the entries of a page, so that it stays small.
const maxListed = 25

// showSessions is GET /account/sessions.
func (p *Pages) showSessions(o owner) error {
	ctx := o.Request().Context()
	sessions, err := p.Identity.Sessions(ctx, o.caller.User.ID)
	if err != nil {
		return err
	}
	shown := p.ownerPage(o, "account-sessions", "session", "others")
	if len(sessions) > 1 {
		shown.Text = []template.HTML{o.t.H("account-sessions.text")}
		shown.Forms = []*form{{Action: "../account/sessions", Hidden: []hidden{{"do", "others"}}, Buttons: []button{{Text: o.t.T("account-sessions.others")}}}}
	}
	for _, session := range sessions[:min(len(sessions), maxListed)] {
		name, err := p.clientName(ctx, o.t, session.ClientID)
		if err != nil {
			return err
		}
		if slices.Contains(identity.MethodsOf(session), identity.TwoFactors) {
			name += ", " + o.t.T("account-sessions.factor")
		}
		entry := item{Title: agent(o.t, session.UserAgent), Lines: []string{
			name + ", " + names.Visible(session.IPAddress),
			o.t.T("account-sessions.times", "begun", o.t.Time(session.CreatedAt), "used", o.t.Time(session.LastUsedAt)),
		}}
		if session.ID == o.browser.Session.ID {
			entry.Lines[0] += " – " + o.t.T("account-sessions.current")
		} else {
			entry.Form = &form{Action: "../account/sessions", Hidden: []hidden{{"session", session.ID}}, Buttons: []button{{Text: o.t.T("account-sessions.end"), Second: true}}}
		}
		shown.Items = append(shown.Items, entry)
	}
	if more := len(sessions) - maxListed; more > 0 {
		shown.Text = append(shown.Text, o.t.H("account-sessions.more", "n", strconv.Itoa(more)))
	}
	return p.Site.answer(http.StatusOK, shown).write(o.Response())
}

// endSessions is POST /account/sessions: it ends one session, or all others.
func (p *Pages) endSessions(o owner) error {
	ctx := o.Request().Context()
	if o.form.Get("do") == "others" {
		if err := p.Identity.EndOtherSessions(ctx, o.caller); err != nil {
			return err
		}
		return p.done(o, "/account/sessions", "others")
	}
	err := p.Identity.EndSession(ctx, o.caller, o.form.Get("session"))
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.NotFound { // it has ended by itself
		err = nil
	}
	if err != nil {
		return err
	}
	return p.done(o, "/account/sessions", "session")
}

// clientName is the name of a client for people.
func (p *Pages) clientName(ctx context.Context, t *texts, id string) (string, error) {
	switch id {
	case store.BrowserClient:
		return t.T("account-sessions.browser"), nil
	case "", token.FirstParty:
		return p.Site.Name, nil
	}
	name, err := p.OAuth.ClientName(ctx, id)
	return names.Visible(name), err
}

// showApplications is GET /account/applications.
func (p *Pages) showApplications(o owner) error {
	granted, next, err := p.OAuth.Consents(o.Request().Context(), o.caller.User.ID, o.QueryParam("cursor"), maxListed)
	if err != nil {
		return err
	}
	slices.SortStableFunc(granted, func(a, b store.GrantedConsent) int { return strings.Compare(a.ClientName, b.ClientName) })
	shown := p.ownerPage(o, "account-applications", "withdrawn")
	shown.Text = []template.HTML{o.t.H("account-applications.text")}
	if len(granted) == 0 {
		shown.Text = []template.HTML{o.t.H("account-applications.none")}
	}
	for _, consent := range granted {
		entry := item{
			Title: names.Visible(consent.ClientName), Logo: oauth.LogoAddress(consent.LogoHash), Lines: []string{o.t.T("account-applications.since", "time", o.t.Time(consent.UpdatedAt))},
			Form: &form{Action: "../account/applications", Hidden: []hidden{{"client", consent.ClientID}}, Buttons: []button{{Text: o.t.T("account-applications.withdraw"), Second: true}}},
		}
		switch consent.Registration {
		case store.ByItself:
			entry.Lines = append(entry.Lines, o.t.T("account-applications.unverified"))
		case store.ByDocument:
			entry.Lines = append(entry.Lines, o.t.T("account-applications.document", "host", hostOf(consent.DocumentURI)))
		}
		for scope := range strings.FieldsSeq(consent.Scope) {
			entry.Scopes = append(entry.Scopes, o.t.Sentence(p.DescribeScope(scope)))
		}
		shown.Items = append(shown.Items, entry)
	}
	if next != "" {
		shown.Links = append([]link{{"../account/applications?cursor=" + template.URL(url.QueryEscape(next)), o.t.T("account-applications.more")}}, shown.Links...) //nolint:gosec // escaped
	}
	return p.Site.answer(http.StatusOK, shown).write(o.Response())
}

// withdraw is POST /account/applications.
func (p *Pages) withdraw(o owner) error {
	err := p.OAuth.Withdraw(o.Request().Context(), o.caller, o.form.Get("client"))
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.NotFound { // it was withdrawn already
		err = nil
	}
	if err != nil {
		return err
	}
	return p.done(o, "/account/applications", "withdrawn")
}

// showEvents is GET /account/events.
func (p *Pages) showEvents(o owner) error {
	events, next, err := p.Audit.List(o.Request().Context(), audit.Query{UserID: o.browser.User.ID, Cursor: o.QueryParam("cursor"), Limit: maxListed})
	if err != nil {
		return err
	}
	shown := p.ownerPage(o, "account-events")
	shown.Text = []template.HTML{o.t.H("account-events.text")}
	for _, e := range events {
		entry := item{Title: o.t.Event(e.Kind), Lines: []string{o.t.Time(e.At)}}
		if e.IPAddress != "" {
			entry.Lines = append(entry.Lines, agent(o.t, e.UserAgent)+", "+names.Visible(e.IPAddress))
		}
		if e.Actor != "" && e.Actor != o.browser.User.ID {
			entry.Lines = append(entry.Lines, o.t.T("account-events.by-other"))
		}
		shown.Items = append(shown.Items, entry)
	}
	if next != "" {
		shown.Links = append([]link{{"../account/events?cursor=" + template.URL(url.QueryEscape(next)), o.t.T("account-events.older")}}, shown.Links...) //nolint:gosec // escaped
	}
	return p.Site.answer(http.StatusOK, shown).write(o.Response())
}

// Event says what an event was.
func (t *texts) Event(kind string) string {
	if text := t.Texts["event."+kind]; text != "" {
		return text
	}
	return kind // of a newer version
}

// agents are the names of programs, and systems those of operating systems, by what their User-Agent has: the first one counts,
// since many browsers also name the ones that they resemble.
var (
	agents = [][2]string{
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
	}
	systems = [][2]string{
		{"Windows", "Windows"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	}
)

// maxAgent bounds the name of a program that is not known, in bytes.
const maxAgent = 40

// agent makes a name of a User-Agent that a person recognizes.
func agent(t *texts, userAgent string) string {
	find := func(list [][2]string) string {
		for _, entry := range list {
			if strings.Contains(userAgent, entry[0]) {
				return entry[1]
			}
		}
		return ""
	}
	program, system := find(agents), find(systems)
	switch {
	case userAgent == "":
		return t.T("agent.unknown")
	case program == "":
		first, _, _ := strings.Cut(userAgent, " ")
		return names.Visible(strings.ToValidUTF8(first[:min(len(first), maxAgent)], ""))
	case system == "":
		return program
	}
	return t.T("agent.on", "program", program, "system", system)
}
