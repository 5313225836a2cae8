package web

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"time"
)

// page is the data of a template. Its exported fields and methods are for operators' own templates, too.
type page struct {
	Site
	*texts
	Title string
	// ClientLogo is the address of the logo of the application that the page is about, from the root of the pages; "" for none.
	ClientLogo string
	Notice     string // what the person has just done
	Text       []template.HTML
	Fault      string // that concerns no single field
	Forms      []*form
	Scopes     []string      // of a consent, in words
	Nav        []link        // the other pages of an account
	Items      []item        // of a list
	Image      template.HTML // a QR code
	Secret     string        // of an authenticator app, or a personal access token
	Codes      []string      // recovery codes
	Links      []link        // where else to go from here
	Base       string        // leads from the address of the page to the root of the pages
	Wide       bool
	// Passkey is the one form that needs a script; nil on most pages.
	Passkey *passkeyForm
	Target  string // an address that the server may redirect to after the form

	template string
	style    template.CSS
}

// showsImages reports whether the page has a logo.
func (p page) showsImages() bool {
	return p.Logo() != "" || p.ClientLogo != "" || slices.ContainsFunc(p.Items, func(i item) bool { return i.Logo != "" })
}

// PageTitle begins with what has happened.
func (p page) PageTitle() string {
	failed := p.Fault != ""
	for _, f := range p.Forms {
		for _, field := range f.Fields {
			failed = failed || field.Fault != ""
		}
	}
	if failed {
		return p.T("fault.title", "title", p.Title)
	}
	if p.Notice != "" {
		return p.Notice + " – " + p.Title
	}
	return p.Title
}

// HomeText is the text of the link to Home.
func (p page) HomeText() string {
	key := "home.back"
	if p.template == codeTemplate && len(p.Forms) > 0 {
		key = "home.cancel"
	}
	if p.Name == "" {
		return p.T(key)
	}
	return p.T(key+"-to", "name", p.Name)
}

// Style is the style of every page.
func (p page) Style() template.CSS { return p.style }

// form is a form with its fields in order.
type form struct {
	Heading  string // where a page has several
	Text     string
	Action   string
	Hidden   []hidden
	Username string // for password managers, where no field asks for it
	Fields   []*field
	Buttons  []button
}

// hidden is a value that comes back with a form.
type hidden struct{ Name, Value string }

// button sends a form. Second is that of the lesser choice. Incomplete is one that needs no field but the first.
type button struct {
	Text, Name, Value  string
	Second, Incomplete bool
}

// field asks for one value.
type field struct {
	Name         string
	Type         string
	Label        string
	Hint         string // such as the rules, before a value is refused
	Value        string
	Autocomplete string
	Exact        bool // the keyboard of a phone must not change it
	Optional     bool
	Focus        bool
	Fault        string // why the value was refused
	FaultAbove   bool   // the fault of the page concerns this field
	Options      []option
	Multiple     bool // several of the options can be chosen
}

// option is one of several values to choose from.
type option struct {
	Value, Text string
	Checked     bool
}

// Invalid reports whether the value was refused.
func (f *field) Invalid() bool { return f.Fault != "" || f.FaultAbove }

// DescribedBy lists the elements that a screen reader reads with the field.
func (f *field) DescribedBy() (ids string) {
	for _, part := range []struct {
		id    string
		shown bool
	}{{"fault", f.FaultAbove}, {f.Name + "-fault", f.Fault != ""}, {f.Name + "-hint", f.Hint != "" && len(f.Options) == 0}} {
		switch {
		case !part.shown:
		case ids == "":
			ids = part.id
		default:
			ids += " " + part.id
		}
	}
	return ids
}

// focus puts the cursor into the first field that was refused, or else into the first empty one.
func (f *form) focus() *form {
	var first *field
	for _, field := range f.Fields {
		if len(field.Options) > 0 {
			continue
		}
		if field.Invalid() {
			first = field
			break
		}
		if first == nil && field.Value == "" && !field.Optional {
			first = field
		}
	}
	if first != nil {
		first.Focus = true
	}
	return f
}

// link is an address with its text.
type link struct {
	Address template.URL // a path of ours, or a registered address: the template would refuse the scheme of a native app
	Text    string
}

// item is an entry of a list.
type item struct {
	Title  string
	Logo   string // its address from the root of the pages; "" for none
	Lines  []string
	Scopes []string
	Form   *form // or nil
}

// passwordRules says what a new password must be like, before one is refused.
func (s Site) passwordRules(t *texts) string {
	return t.T("password.rules", "n", strconv.Itoa(s.MinLength))
}

// wait says how long to wait.
func (t *texts) wait(d time.Duration) string {
	switch {
	case d <= time.Second:
		return t.T("wait.second")
	case d < 2*time.Minute:
		return t.T("wait.seconds", "n", Seconds(d))
	}
	return t.T("wait.minutes", "n", fmt.Sprint(int(d.Round(time.Minute)/time.Minute)))
}

// newPasswordField asks for a new password, with the rules.
func (s Site) newPasswordField(t *texts, name, label string) *field {
	return &field{Name: name, Type: "password", Label: t.T(label), Hint: s.passwordRules(t), Autocomplete: "new-password"}
}

// currentPasswordField asks for the password of an account.
func currentPasswordField(t *texts, name, label string) *field {
	return &field{Name: name, Type: "password", Label: t.T(label), Autocomplete: "current-password"}
}
