package account

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"sesame/server/internal/names"
)

// contractUsername is the pattern of a username in openapi.yaml.
var contractUsername = regexp.MustCompile(`^[^@/:\\\s\x00-\x1F\x7F-\x9F]+$`)

// Whatever people logged in with, there are usernames for them, which every rule accepts, and which are the same at each run.
func TestEveryLoginHasUsernames(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	pieces := []string{
		"a", "B", "7", ".", "-", "_", "+", "'", "/", ":", `\`, " ", "@", "\u0301", "\u200d", "\u202e", "\x00", "\xff", "и", "Ж", "é", "ß", "İ", "ſ", "ǰ", "ΐ",
		"ё", "山", "田", "か", "한", "ا", "ש", "न", "👩", "ﬁ", "ａ", "①", "½", "ﷺ", "\ufffd", "admin", "support", "иван", "petrov",
	}
	for range 3_000 {
		var b strings.Builder
		for range random.IntN(70) {
			b.WriteString(pieces[random.IntN(len(pieces))])
			if random.IntN(3) > 0 {
				b.WriteString(pieces[random.IntN(3)])
			}
		}
		login := b.String() + []string{"@example.com", "@пример.рф", "@a.b", ""}[random.IntN(4)]
		var made, again []string
		for name := range usernamesFor(login) {
			made = append(made, name.shown)
			if shown, key, err := names.NewUsername(name.shown); err != nil || shown != name.shown || key != name.key {
				t.Fatalf("%+q from %+q: %v", name.shown, login, err)
			}
			if !contractUsername.MatchString(name.shown) || utf8.RuneCountInString(name.shown) > 64 {
				t.Fatalf("the contract refuses %+q from %+q", name.shown, login)
			}
		}
		for name := range usernamesFor(login) {
			again = append(again, name.shown)
		}
		if len(made) < 2 || strings.Join(made, " ") != strings.Join(again, " ") || names.Reserved(made[len(made)-2]) {
			t.Fatalf("%+q makes %+q", login, made)
		}
	}
}

func TestUsernamesFor(t *testing.T) {
	t.Parallel()
	digits := regexp.MustCompile(`[0-9]{8,}$`)
	for login, want := range map[string]string{
		"ann@example.com":                        "ann_at_example.com",
		"a@b@example.com":                        "a_at_b_at_example.com",
		"иван@example.com":                       "иван-#",
		"иван@пример.рф":                         "иван-#", // "_at_" is Latin
		"山田@example.com":                         "山田_at_example.com",
		"иvан@example.com":                       "v-#", // letters of two scripts
		"a/b:c@example.com":                      "abc-#",
		"\u202e@example.com":                     "user-#",
		strings.Repeat("x", 62) + "@example.com": strings.Repeat("x", 48) + "-#",
		strings.Repeat("ж", 62) + "@example.com": strings.Repeat("ж", 48) + "-#",
	} {
		for name := range usernamesFor(login) {
			if got := digits.ReplaceAllString(name.shown, "#"); got != want {
				t.Errorf("%s: %s, want %s", login, got, want)
			}
			break
		}
	}
}
