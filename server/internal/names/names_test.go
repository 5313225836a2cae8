package names_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"sesame/server/internal/names"
)

// N11: what nobody may be called, and what people are called.
func TestFullNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "Ann Example", "O'Brien-Smith, Jr.", "J.R.R. Tolkien", "山田 太郎", "辻\U000e0100", "Nguyễn Thị Minh Khai", "Nguye\u0302\u0303n", "محمد\u200cرضا", "عبد الله",
		"श्री\u200dकान्त", "שָׁלוֹם", "👩\u200d🚀 Ann", "Ann\u00a0Lee", "འབྲུག་རྒྱལ་པོ", "Ⅷ", "½", "e" + strings.Repeat("\u0301", 4),
	} {
		if err := names.CheckFullName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"https://evil.example", "a/b", `a\b`, "a:b", "a／b", "a：b", "a＼b", "a﹕b", "℀", // which is a/c
		"a\x00", "a\x1b[31mb", "a\nb", "a\tb", "a\x7fb", "a\u0085b", "a\u009bb", // control characters
		"a\u202eb", "a\u2066b", "a\u200eb", "a\u061cb", // direction marks
		"a\u2028b", "a\u2029b", "a\u200bb", "a\ufeffb", "a\u00adb", "a\u2060b", "a\u3164b", "a\u034fb", "a\U000e0041b", "\ufff9a", // nothing to be seen
		"a\ue000b", "a\U0010ffffb", "a\u0378b", // private, no character, unassigned
		"\u0301a", "a\u200d", "\u200ca", "a\u200d\u200db", "e" + strings.Repeat("\u0301", 5), "e\u0301\u0301\u20dd\u0301\u0301", "\xff",
	} {
		if err := names.CheckFullName(name); err == nil || !strings.HasPrefix(err.Error(), "must ") {
			t.Errorf("%q is let through: %v", name, err)
		}
	}
}

// N11: names of authority and what looks like them.
func TestReservedNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"admin", "ADMIN", "Administrator", "root", "support", "postmaster", "sesame", "null", "me",
		"admi\u0307n", "ɑdmin", "admın", "аdmin", "аԁmіn", "adm1n", "admln", "ADMlN", "adrnin", "aclmin", "admín", "ⓐdmin", "ａｄｍｉｎ", "𝐚𝐝𝐦𝐢𝐧", "ᴀᴅᴍɪɴ", "ʀᴏᴏᴛ", "ꜱᴜᴘᴘᴏʀᴛ", "ꜱʏꜱᴛᴇᴍ", "ʜᴇʟᴘ", "hɛlp", "a\u200bdmin",
		"4dmin", "3veryone", "m0derat0r", "r00t", "rооt", "rοοt", "supp0rt", "5upport", "$upport", "suρρort", "ТЕАМ", "теам", "ѕуѕтем", "ꮪꭼꮪꭺꮇꭼ", "ⲛⲟⲥ", "vvebmaster", "he1p", "heIp", "hełp", "åðmin", "ǃnfo",
		"ad.min", "a-d-m-i-n", "_admin_", "admin.", "no-reply", "mailer-daemon", "sesame-support", "support.team", "Sesame_5upp0rt", "admi\u0307n-support", "a\u3164dmin", "!nfo",
	} {
		if !names.Reserved(name) {
			t.Errorf("%q is not reserved", name)
		}
	}
	for _, name := range []string{
		"ann", "johndoe", "admin2", "adminah", "ann-admin", "rooty", "mel", "meme", "infoo", "администратор", "маша", "иван", "νίκος", "山田", "...", "", "emil", "noor", "adam", "guest", "st-0123456789abcdef",
	} {
		if names.Reserved(name) {
			t.Errorf("%q is reserved", name)
		}
	}
}

// N11: whatever is put in the place of the letters of a reserved name, of all that the table has, and between them, the
// name stays reserved. The table is read here by other means than the package's own.
func TestEveryLookAlikeOfAReservedNameIsReserved(t *testing.T) {
	t.Parallel()
	alike := lookAlikes(t)
	random := rand.New(rand.NewPCG(1, 2))
	between := []string{"", "", "", "", "\u0307", "\u0301\u0323", ".", "-", "_", "\u200d", "\u00ad"}
	for _, name := range []string{"admin", "administrator", "root", "moderator", "support", "webmaster", "security", "sesame", "helpdesk", "postmaster"} {
		for range 2000 {
			var b strings.Builder
			for _, letter := range name {
				lower, upper := string(letter), strings.ToUpper(string(letter))
				choices := slices.Concat(alike[lower], alike[upper], []string{lower, upper})
				b.WriteString(choices[random.IntN(len(choices))])
				b.WriteString(between[random.IntN(len(between))])
			}
			for _, form := range []string{b.String(), norm.NFC.String(b.String()), norm.NFD.String(b.String())} {
				if !names.Reserved(form) {
					t.Fatalf("%+q, made of %s, is not reserved", form, name)
				}
			}
		}
	}
}

// lookAlikes gives what looks like each ASCII text, by the generated table.
func lookAlikes(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("confusables/confusables.txt")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		fields := strings.Split(line, " ")
		for _, field := range fields[1:] {
			code, err := strconv.ParseUint(field, 16, 21)
			if err != nil {
				t.Fatal(err)
			}
			table[fields[0]] = append(table[fields[0]], string(rune(code)))
		}
	}
	if len(table) < 80 {
		t.Fatalf("the table has %d lines", len(table))
	}
	return table
}

// unsafe reports whether a terminal, a mail program or a reader could be misled by a character.
func unsafe(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

// FuzzNames: no full name that is accepted holds a control character, a direction mark or what makes a link; and what a
// terminal is shown holds none either, whatever it is made of.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"Ann Example", "a\u202eb", "https://x", "a\x1b[2Jb", "\xff\xfe", "e\u0301\u0301", "a\u200db", "／", "\U000e0001"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if names.CheckFullName(name) == nil {
			if strings.ContainsFunc(name, unsafe) || !utf8.ValidString(name) || strings.ContainsAny(norm.NFKC.String(name), `/:\`) {
				t.Errorf("%q is accepted", name)
			}
			if names.Visible(name) != name {
				t.Errorf("%q is shown as %q", name, names.Visible(name))
			}
		}
		if shown := names.Visible(name); strings.ContainsFunc(shown, unsafe) || !utf8.ValidString(shown) {
			t.Errorf("%q is shown as %q", name, shown)
		}
		lines := strings.NewReplacer("\n", "", "\t", "").Replace(names.VisibleLines(name))
		if strings.ContainsFunc(lines, unsafe) {
			t.Errorf("%q is written as %q", name, lines)
		}
		if names.Reserved(name) != names.Reserved(norm.NFD.String(name)) {
			t.Errorf("%q is reserved in one normal form only", name)
		}
	})
}

// The escapes are those of JSON, so that the text can be read back.
func TestVisible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Ann": "Ann", "a\x1b[31m": `a\u001b[31m`, "a\u009b": `a\u009b`, "\u202e": `\u202e`, "\U000e0041": `\udb40\udc41`, "a\nb\tc": `a\u000ab\u0009c`,
		"\xff": "\ufffd", "محمد\u200cرضا": "محمد\u200cرضا", "\x7f": `\u007f`,
	} {
		if got := names.Visible(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	if got := names.VisibleLines("a\nb\tc\r\x1b"); got != "a\nb\tc\\u000d\\u001b" {
		t.Errorf("got %q", got)
	}
}
