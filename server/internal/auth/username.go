package auth

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"

	"sesame/server/internal/mailbox"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
)

// maxUsername counts code points. The contract bounds what is sent; some letters become two when
// they are normalised, and what is kept must fit too.
const maxUsername = 64

// foldUsername gives a username as it is shown and as it is compared: without differences of width
// and letter case (RFC 8265 §3). The reason that it may give is for the person who chose the name.
func foldUsername(name string) (shown, key string, err error) {
	name = width.Fold.String(name) // PRECIS does it too, but refuses a name that is all digits before it does
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

// newUsername is foldUsername for a name that is about to be taken. Accounts that have another are found all the same.
func newUsername(name string) (shown, key string, err error) {
	if shown, key, err = foldUsername(name); err == nil {
		err = names.CheckUsername(shown)
	}
	return shown, key, err
}

// eastAsian are the scripts that Chinese, Japanese and Korean write together, with Latin letters
// among them (Unicode TS #39 §5.2, "Highly Restrictive").
var eastAsian = [][]*unicode.RangeTable{
	{unicode.Latin, unicode.Han, unicode.Hiragana, unicode.Katakana},
	{unicode.Latin, unicode.Han, unicode.Bopomofo},
	{unicode.Latin, unicode.Han, unicode.Hangul},
}

// oneScript tells whether the letters of a name belong together: a Cyrillic а between Latin letters
// is there to deceive.
func oneScript(name string) bool {
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

// emailKey is what an address is compared by; that of no address, "", is "". The contract has checked the address
// already, wherever it came from. Errors: ValidationFailed.
func emailKey(address string) (string, error) {
	if address == "" {
		return "", nil
	}
	key, err := mailbox.Key(address)
	if err != nil {
		return "", problem.Wrap(problem.ValidationFailed, "The request does not fit the contract.", err).At("/email", "must be an e-mail address")
	}
	return key, nil
}

// namePrefix is what the keys of the usernames begin with that begin with a text.
func namePrefix(text string) string { return strings.ToLower(norm.NFKC.String(text)) }

// loginKey is a login as it is looked up and counted, whether or not there is such an account. A text that is
// neither an address nor a username is its own key: it finds nobody, but for an address that was stored by a version
// that accepted it.
func loginKey(login string) string {
	if isEmail(login) {
		if key, err := emailKey(login); err == nil {
			return key
		}
		return login
	}
	if _, key, err := foldUsername(login); err == nil {
		return key
	}
	return login
}

// isEmail tells an address from a username, which holds no @.
func isEmail(login string) bool { return strings.Contains(login, "@") }
