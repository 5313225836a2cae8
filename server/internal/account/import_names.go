package account

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"strings"

	"sesame/server/internal/mailbox"
	"sesame/server/internal/names"
)

// madeName is a username as it is displayed and as it is compared.
type madeName struct{ shown, key string }

// maxKept is how many characters of an address a username keeps, so that digits fit after them.
const maxKept = 48

// usernamesFor yields usernames for a person who logged in with an address, or with a name that contains an @, which a
// username must not. They are the same at every run, so that a second import finds the accounts of the first one. The first
// is the address with "_at_". An address that is too long, or has letters of another script than its domain, makes an invalid
// username, and two addresses can make the same one; so the next ones are the local part with digits of a hash of the address.
// The last consist of such digits, and are always valid.
//
// The digits are decimal: the letters of hexadecimal ones are Latin, and names must not mix scripts.
func usernamesFor(login string) iter.Seq[madeName] {
	return func(yield func(madeName) bool) {
		local := login
		if at := strings.LastIndexByte(login, '@'); at >= 0 {
			local = login[:at]
		}
		digits := func(n int) string { // computed only if the first name is not enough, which is rare
			text := fmt.Sprintf("%020d", loginDigest(login))
			return "-" + text[len(text)-n:]
		}
		for _, name := range []func() string{
			func() string { return strings.ReplaceAll(login, "@", "_at_") },
			func() string { return kept(local) + digits(8) },
			func() string { return kept(asciiOf(local)) + digits(8) },
			func() string { return "user" + digits(12) },
			func() string { return "user" + digits(18) },
		} {
			shown, key, err := names.NewUsername(name())
			if err == nil && shown != "" && !yield(madeName{shown, key}) {
				return
			}
		}
	}
}

// loginDigest returns a number that is the same for every spelling of an address.
func loginDigest(login string) uint64 {
	if key, err := mailbox.Key(login); err == nil {
		login = key
	}
	sum := sha256.Sum256([]byte(login))
	return binary.BigEndian.Uint64(sum[:])
}

// kept returns the beginning of a text.
func kept(text string) string {
	if runes := []rune(text); len(runes) > maxKept {
		text = string(runes[:maxKept])
	}
	return text
}

// asciiOf returns the letters, digits and dots of a text, and "user" if there are none.
func asciiOf(text string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return -1
	}, text)
	if plain == "" {
		return "user"
	}
	return plain
}
