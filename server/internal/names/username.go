package names

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// maxUsername counts code points. The contract limits the name that is sent; some letters become two when they are
// normalised, and the result must fit too.
const maxUsername = 64

// FoldUsername returns a username as it is displayed and as it is compared: without differences of width and letter case
// (RFC 8265 §3). Its error follows the name of the field: "must …".
func FoldUsername(name string) (shown, key string, err error) {
	name = width.Fold.String(name) // PRECIS folds it too, but only after it has refused a name that is all digits
	if shown, err = precis.UsernameCasePreserved.String(name); err == nil {
		key, err = precis.UsernameCaseMapped.String(name)
	}
	if err != nil || strings.Contains(key, "@") {
		return "", "", errors.New("must be letters, digits and punctuation, without spaces or @")
	}
	if utf8.RuneCountInString(shown) > maxUsername || utf8.RuneCountInString(key) > maxUsername {
		return "", "", fmt.Errorf("must have at most %d characters in Unicode's normal form", maxUsername)
	}
	if !oneScript(key) {
		return "", "", errors.New("must not mix letters of different scripts")
	}
	return shown, key, nil
}

// NewUsername is FoldUsername for a new account. It refuses more names: accounts that have one keep it.
func NewUsername(name string) (shown, key string, err error) {
	if shown, key, err = FoldUsername(name); err == nil {
		err = check(shown)
	}
	return shown, key, err
}

// UsernamePrefix returns the prefix that the keys of the usernames have which begin with a text.
func UsernamePrefix(text string) string { return Fold(text) }

// Fold returns a text without differences of width and letter case.
func Fold(text string) string { return strings.ToLower(norm.NFKC.String(text)) }

// eastAsian lists the scripts that Chinese, Japanese and Korean mix, with Latin letters among them (Unicode TS #39 §5.2,
// "Highly Restrictive").
var eastAsian = [][]*unicode.RangeTable{
	{unicode.Latin, unicode.Han, unicode.Hiragana, unicode.Katakana},
	{unicode.Latin, unicode.Han, unicode.Bopomofo},
	{unicode.Latin, unicode.Han, unicode.Hangul},
}

// oneScript reports whether the letters of a name belong together: a Cyrillic а between Latin letters is there to
// deceive.
func oneScript(name string) bool {
	if !strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return true // the letters of ASCII are Latin; an import would spend a tenth of its time on the tables
	}
	allowed := make([][]*unicode.RangeTable, 0, len(unicode.Scripts)+len(eastAsian))
	allowed = append(allowed, eastAsian...)
	for _, table := range unicode.Scripts {
		allowed = append(allowed, []*unicode.RangeTable{table})
	}
	for _, r := range name {
		if unicode.In(r, unicode.Common, unicode.Inherited) {
			continue
		}
		fitting := allowed[:0]
		for _, tables := range allowed {
			if unicode.In(r, tables...) {
				fitting = append(fitting, tables)
			}
		}
		if allowed = fitting; len(allowed) == 0 {
			return false
		}
	}
	return true
}
