package mail

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

// Templates write mails. Each kind has two files: KIND.txt, whose first line is "Subject: …" and
// followed by an empty one, and KIND.html.
type Templates struct {
	publicURL string
	kinds     map[Kind]pair
}

type pair struct {
	subject, text *text.Template
	html          *template.Template
}

// view is what templates see.
type view struct {
	Username, FullName, Link, ExpiresIn, PublicURL, When, IPAddress, UserAgent, NewEmail string
}

// NewTemplates reads the templates: our own, and in their place those of a folder, unless it is "". A
// kind is replaced as a whole. Whatever is wrong with the folder is reported together.
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

// list gives the files of a folder. One that no mail is made of is a mistake in its name.
func list(folder string) (names []string, faults []error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, []error{err}
	}
	for _, entry := range entries {
		kind, ending, _ := strings.Cut(entry.Name(), ".")
		switch {
		case strings.HasPrefix(entry.Name(), "."): // an editor's, or a mounted volume's
		case slices.Contains(kinds, Kind(kind)) && (ending == "txt" || ending == "html"):
			names = append(names, entry.Name())
		default:
			faults = append(faults, fmt.Errorf("%s is not the template of any mail", entry.Name()))
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
	// The subject is cut off before anything is filled in, so nothing that is can begin another header.
	first, rest, _ := strings.Cut(strings.ReplaceAll(string(plain), "\r\n", "\n"), "\n\n")
	subject, ok := strings.CutPrefix(first, "Subject: ")
	if !ok || strings.Contains(subject, "\n") {
		return p, fmt.Errorf("%s must begin with a line \"Subject: …\" and an empty one", name)
	}
	var subjectErr, textErr, htmlErr error
	p.subject, subjectErr = text.New(name).Parse(subject)
	p.text, textErr = text.New(name).Parse(rest)
	p.html, htmlErr = template.New(string(kind) + ".html").Parse(string(rich))
	return p, errors.Join(subjectErr, textErr, htmlErr)
}

// try fills the templates in, with everything and with nothing, so that a name that they get wrong is
// found before a mail is due.
func (p pair) try() error {
	all := view{"ann", "Ann", "https://login.example/x?code=y", "2 hours", "https://login.example", "today", "192.0.2.1", "curl", "ann@example.org"}
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

// Render writes a mail. Its error is ErrPermanent when the code in it has expired.
func (t *Templates) Render(id string, m Mail, now time.Time) (Message, error) {
	p, ok := t.kinds[m.Kind]
	if !ok { // of a newer version, which will send it
		return Message{}, fmt.Errorf("this version has no mail %q", m.Kind)
	}
	v := view{
		Username: named(m.Username), FullName: named(m.FullName), Link: m.Link.Reveal(), PublicURL: t.publicURL,
		IPAddress: clean(m.IPAddress), UserAgent: unlinked(m.UserAgent), NewEmail: clean(m.NewEmail),
	}
	if !m.ExpiresAt.IsZero() {
		left := m.ExpiresAt.Sub(now)
		if left <= 0 {
			return Message{}, fmt.Errorf("the code in it has expired: %w", ErrPermanent)
		}
		v.ExpiresIn = inWords(left)
	}
	if !m.When.IsZero() {
		v.When = m.When.UTC().Format("2 January 2006, 15:04 UTC")
	}
	message, err := p.fill(v)
	message.ID, message.To = id, m.To
	return message, err
}

// inWords rounds a time to what a person plans by.
func inWords(d time.Duration) string {
	count, unit := int((d+time.Minute/2)/time.Minute), "minute"
	if d >= 2*time.Hour {
		count, unit = int((d+time.Hour/2)/time.Hour), "hour"
	}
	if count = max(count, 1); count > 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", count, unit)
}

// breaks reports whether a character could begin another line, turn the writing of one round, or cannot be seen.
func breaks(r rune) bool {
	return !names.Printable(r) && r != '\u200c' && r != '\u200d' // joiners, which some scripts need
}

// clean makes one line of a text that somebody else has chosen.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if breaks(r) {
			return ' '
		}
		return r
	}, s)
}

// named is clean for a name. One of an older version may be an address on the web; no name that is registered now has a
// colon or a slash.
func named(s string) string { return strings.ReplaceAll(clean(s), "://", " ") }

// linkParts are what mail programs go by when they make a link of a text: a scheme, and a dot before a letter.
var linkParts = regexp.MustCompile(`://|[.。．｡]+(\pL)`)

// unlinked is clean for a text of whoever sent a request, who may be an attacker: no mail program makes a link of it.
func unlinked(s string) string { return linkParts.ReplaceAllString(clean(s), " $1") }
