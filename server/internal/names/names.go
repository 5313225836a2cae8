// Package names decides which characters usernames and full names may hold, and which usernames only an administrator
// may give. People choose these texts, and others read them: in a mail, on a page, in a terminal.
//
//	if err := names.CheckFullName(name); err != nil { … }   // "must not hold …"
//	if names.Reserved(username) { … }                        // "admin", and what looks like it
//	fmt.Fprintln(terminal, names.Visible(name))
//
// How usernames are compared is the business of package auth.
package names

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxMarks is how many nonspacing marks may follow each other (Unicode TS #39 §5.4): more of them cover the lines above
// and below.
const maxMarks = 4

const (
	zwnj = '\u200c'
	zwj  = '\u200d'
)

// Printable reports whether a character can be seen, or is a space. Control characters, direction marks, line separators,
// private and unassigned characters are not, nor are letters and marks that leave nothing on the screen.
func Printable(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// CheckFullName says why a text may be nobody's full name. Its error follows the name of the field: "must …".
func CheckFullName(name string) error {
	if !utf8.ValidString(name) {
		return errors.New("must be valid UTF-8")
	}
	joinable := false // whether a joiner may come next: Persian, Indic scripts and emoji need it between two characters
	for _, r := range name {
		joiner := r == zwnj || r == zwj
		if joiner && !joinable || !joiner && !Printable(r) {
			return errors.New("must not hold control characters, direction marks or other invisible characters")
		}
		joinable = !joiner
	}
	if name != "" && !joinable {
		return errors.New("must not end with an invisible character")
	}
	return check(name)
}

// check refuses what a mail program makes a link of, and marks without an end. Width and compatibility variants count as
// what they stand for: a fullwidth solidus is a solidus.
func check(name string) error {
	if strings.ContainsAny(norm.NFKC.String(name), `/:\`) {
		return errors.New(`must not hold /, : or \`)
	}
	marks := maxMarks // a mark at the beginning has nothing to stand on
	for _, r := range norm.NFD.String(name) {
		if !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
			continue
		}
		if marks++; marks > maxMarks {
			return fmt.Errorf("must not begin with a combining mark, nor hold more than %d of them in a row", maxMarks)
		}
	}
	return nil
}

// Visible writes a text so that a terminal shows it and obeys nothing in it: what is not Printable becomes an escape as in
// JSON, \u202e. A line feed and a tab are escaped too, for they would begin another row or column.
func Visible(text string) string { return visible(text, false) }

// VisibleLines is Visible for whole lines: it keeps line feeds and tabs.
func VisibleLines(text string) string { return visible(text, true) }

func visible(text string, lines bool) string {
	shown := func(r rune) bool {
		return Printable(r) || r == zwnj || r == zwj || lines && (r == '\n' || r == '\t')
	}
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !shown(r) }) {
		return text
	}
	var b strings.Builder
	for _, r := range text { // an invalid byte is U+FFFD
		switch {
		case shown(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
