// Package names checks usernames and full names: which characters they may contain, how usernames are compared, and which
// are reserved. Strangers choose these texts, and other people read them in mails, on pages and in terminals.
//
//	shown, key, err := names.NewUsername(username)          // "must …"
//	if err := names.CheckFullName(name); err != nil { … }   // "must not contain …"
//	if names.Reserved(username) { … }                        // "admin", and names that look like it
//	fmt.Fprintln(terminal, names.Visible(name))
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

// maxMarks limits how many nonspacing marks may follow each other (Unicode TS #39 §5.4): more of them would cover the lines
// above and below.
const maxMarks = 4

const (
	zwnj = '\u200c'
	zwj  = '\u200d'
)

// Printable reports whether a character is visible, or a space. Control characters, direction marks, line separators, and
// private and unassigned characters are not, nor are letters and marks that have no glyph.
func Printable(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// CheckFullName returns why a text cannot be a full name. Its error follows the name of the field: "must …".
func CheckFullName(name string) error {
	if !utf8.ValidString(name) {
		return errors.New("must be valid UTF-8")
	}
	joinable := false // whether a joiner may follow: Persian, Indic scripts and emoji need it between two characters
	for _, r := range name {
		joiner := r == zwnj || r == zwj
		if joiner && !joinable || !joiner && !Printable(r) {
			return errors.New("must not contain control characters, direction marks or other invisible characters")
		}
		joinable = !joiner
	}
	if name != "" && !joinable {
		return errors.New("must not end with an invisible character")
	}
	return check(name)
}

// check refuses characters from which mail programs make links, and long sequences of marks. Width and compatibility
// variants count as their base character: a fullwidth solidus is a solidus.
func check(name string) error {
	if strings.ContainsAny(norm.NFKC.String(name), `/:\`) {
		return errors.New(`must not contain /, : or \`)
	}
	marks := maxMarks // a mark at the beginning has no base character
	for _, r := range norm.NFD.String(name) {
		if !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
			continue
		}
		if marks++; marks > maxMarks {
			return fmt.Errorf("must not begin with a combining mark, or contain more than %d of them in a row", maxMarks)
		}
	}
	return nil
}

// Visible escapes a text for a terminal, so that the terminal shows control characters and does not obey them. Characters
// that are not Printable become escapes as in JSON, \u202e. Line feeds and tabs are escaped too, since they would begin
// another row or column.
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
	for _, r := range text { // invalid bytes become U+FFFD
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
