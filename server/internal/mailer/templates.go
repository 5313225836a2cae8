package mailer

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	text "text/template"
	"time"

	"sesame/server/internal/names"
	"sesame/server/secret"
)

//go:embed templates
var embedded embed.FS

// Templates render mails. Each kind has two files: KIND.txt, which begins with a line "Subject: …" and an empty line,
// and KIND.html.
type Templates struct {
	publicURL string
	kinds     map[Kind]pair
}

type pair struct {
	subject, text *text.Template
	html          *template.Template
}

// view is the data of a template.
type view struct {
	Username, FullName, Link, ExpiresIn, PublicURL, When, IPAddress, UserAgent, NewEmail, Provider, Factor, Token, Due string
	CodesLeft                                                                                                          int
}

// NewTemplates reads the built-in templates and those of a folder, unless it is "". A folder that has one file of a kind
// must have both: they replace the built-in pair. The error lists everything that is wrong with the folder.
func NewTemplates(folder, publicURL string) (*Templates, error) {
	own, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, err
	}
	t := &Templates{publicURL, map[Kind]pair{}}
	var faults []error
	var present []string
	if folder != "" {
		present, faults = list(folder)
	}
	for _, kind := range kinds {
		files := own
		if slices.ContainsFunc(present, func(name string) bool { return strings.HasPrefix(name, string(kind)+".") }) {
			files = os.DirFS(folder)
		}
		p, err := parse(files, kind)
		if err == nil {
			err = p.try()
		}
		if err != nil {
			faults = append(faults, err)
		}
		t.kinds[kind] = p
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("the mail templates in %s cannot be used:\n%w", folder, errors.Join(faults...))
	}
	return t, nil
}

// list returns the template files of a folder. Any other file is an error, since its name is probably mistyped.
func list(folder string) (names []string, faults []error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, []error{err}
	}
	for _, entry := range entries {
		kind, ending, _ := strings.Cut(entry.Name(), ".")
		switch {
		case strings.HasPrefix(entry.Name(), "."): // files of an editor, or of a mounted volume
		case slices.Contains(kinds, Kind(kind)) && (ending == "txt" || ending == "html"):
			names = append(names, entry.Name())
		default:
			faults = append(faults, fmt.Errorf("%s is not a template of any mail; the names are KIND.txt and KIND.html", entry.Name()))
		}
	}
	return names, faults
}

func parse(files fs.FS, kind Kind) (p pair, err error) {
	name := string(kind) + ".txt"
	plain, err := fs.ReadFile(files, name)
	rich, richErr := fs.ReadFile(files, string(kind)+".html")
	if err = errors.Join(err, richErr); err != nil {
		return p, err
	}
	// The subject is separated before the fields are filled in, so no field can begin another header.
	first, rest, _ := strings.Cut(strings.ReplaceAll(string(plain), "\r\n", "\n"), "\n\n")
	subject, ok := strings.CutPrefix(first, "Subject: ")
	if !ok || strings.Contains(subject, "\n") {
		return p, fmt.Errorf("%s must begin with a line \"Subject: …\" and an empty line", name)
	}
	var subjectErr, textErr, htmlErr error
	p.subject, subjectErr = text.New(name).Parse(subject)
	p.text, textErr = text.New(name).Parse(rest)
	p.html, htmlErr = template.New(string(kind) + ".html").Parse(string(rich))
	return p, errors.Join(subjectErr, textErr, htmlErr)
}

// try fills the templates in, with all fields and with none, so that a mistyped field name is found at start.
func (p pair) try() error {
	all := view{"ann", "Ann", "https://login.example/x?code=y", "2 hours", "https://login.example", "today", "192.0.2.1", "curl", "ann@example.org", "Example", "Phone", "Backup", "tomorrow", 9}
	_, err := p.fill(all)
	_, emptyErr := p.fill(view{})
	if err == nil {
		err = emptyErr
	}
	return err
}

func (p pair) fill(v view) (m Message, err error) {
	var subject, plain, rich bytes.Buffer
	err = errors.Join(p.subject.Execute(&subject, v), p.text.Execute(&plain, v), p.html.Execute(&rich, v))
	m.Subject = strings.Join(strings.Fields(clean(subject.String())), " ")
	m.Text, m.HTML = secret.New(plain.String()), secret.New(rich.String())
	return m, err
}

// Render renders a mail. The error is ErrPermanent when the code in it has expired.
func (t *Templates) Render(id string, m Mail, now time.Time) (Message, error) {
	p, ok := t.kinds[m.Kind]
	if !ok { // a newer version wrote it, and will send it
		return Message{}, fmt.Errorf("this version of sesame has no template for mails of kind %q", m.Kind)
	}
	v := view{
		Username: named(m.Username), FullName: named(m.FullName), Link: m.Link.Reveal(), PublicURL: t.publicURL,
		IPAddress: clean(m.IPAddress), UserAgent: unlinked(m.UserAgent), NewEmail: clean(m.NewEmail), Provider: unlinked(m.Provider),
		Factor: unlinked(m.Factor), Token: unlinked(m.Token), CodesLeft: m.CodesLeft,
	}
	if !m.ExpiresAt.IsZero() {
		left := m.ExpiresAt.Sub(now)
		if left <= 0 {
			return Message{}, fmt.Errorf("the code in the mail has expired: %w", ErrPermanent)
		}
		v.ExpiresIn = inWords(left)
	}
	const moment = "2 January 2006, 15:04 UTC"
	if !m.When.IsZero() {
		v.When = m.When.UTC().Format(moment)
	}
	if !m.Due.IsZero() {
		v.Due = m.Due.UTC().Format(moment)
	}
	message, err := p.fill(v)
	message.ID, message.To = id, m.To
	return message, err
}

// inWords rounds a duration to minutes, hours or days.
func inWords(d time.Duration) string {
	count, unit := int((d+time.Minute/2)/time.Minute), "minute"
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		count, unit = int((d+day/2)/day), "day"
	case d >= 2*time.Hour:
		count, unit = int((d+time.Hour/2)/time.Hour), "hour"
	}
	if count = max(count, 1); count > 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", count, unit)
}

// breaks reports whether a character could begin another line, reverse the direction of one, or is invisible.
func breaks(r rune) bool {
	return !names.Printable(r) && r != '\u200c' && r != '\u200d' // joiners, which some scripts require
}

// clean makes a single line of a text that another person has chosen.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if breaks(r) {
			return ' '
		}
		return r
	}, s)
}

// named is clean for a name. Names that an older version accepted may be web addresses; new ones hold no colon or slash.
func named(s string) string { return strings.ReplaceAll(clean(s), "://", " ") }

// linkParts are the parts of a text by which mail programs recognise a link: a scheme, and a dot before a letter.
var linkParts = regexp.MustCompile(`://|[.。．｡]+(\pL)`)

// unlinked is clean for a text from a request, which an attacker may have chosen: mail programs make no link of it.
func unlinked(s string) string { return linkParts.ReplaceAllString(clean(s), " $1") }
