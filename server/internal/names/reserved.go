package names

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// reserved are the names that speak for the service and not for a person. A stranger who is called so is believed.
var reserved = strings.Fields(`
	admin admins administrator administrators root superuser sysadmin system sysop operator owner moderator moderators mod
	staff team official sesame

	help helpdesk support service contact billing payment payments account accounts

	info marketing sales abuse noc security
	postmaster hostmaster usenet news webmaster www uucp ftp
	noreply mailerdaemon daemon

	null undefined anonymous unknown nobody everyone everybody me`)

// The second block answers for the service. The third is RFC 2142's mailboxes, with two that send: where a username becomes
// a mailbox, whoever holds one of these can be given a certificate for the domain. The last is what programs read as nobody
// in particular, or as whoever asks.

//go:embed confusables/confusables.txt
var confusables string

// lookAlikes gives the ASCII letters or digits that another character looks like (Unicode TS #39 §4).
var lookAlikes = sync.OnceValue(func() map[rune]string {
	table := map[rune]string{}
	for line := range strings.Lines(confusables) {
		prototype, codes, _ := strings.Cut(strings.TrimSpace(line), " ")
		for code := range strings.FieldsSeq(codes) {
			if r, err := strconv.ParseInt(code, 16, 32); err == nil {
				table[rune(r)] = prototype
			}
		}
	}
	return table
})

// oneShape writes ASCII characters that look alike, or that people read for each other, as one. It is more than TS #39 has,
// for it is held against a short list alone.
var oneShape = strings.NewReplacer(
	"i", "l", "1", "l", "|", "l", "!", "l", "0", "o", "m", "rn", "w", "vv", "d", "cl",
	"3", "e", "4", "a", "5", "s", "$", "s", "7", "t", "8", "b",
)

// skeleton is the same for names that look alike: without marks and invisible characters, in one case.
func skeleton(name string) string {
	table := lookAlikes()
	var b strings.Builder
	for _, r := range norm.NFKD.String(name) {
		if prototype, ok := table[r]; ok {
			b.WriteString(prototype)
		} else if Printable(r) && !unicode.IsMark(r) {
			b.WriteRune(r)
		}
	}
	return oneShape.Replace(strings.ToLower(b.String()))
}

var reservedSkeletons = sync.OnceValue(func() map[string]bool {
	set := make(map[string]bool, len(reserved))
	for _, name := range reserved {
		set[skeleton(name)] = true
	}
	return set
})

// Reserved reports whether a username looks like a name of authority, or is made of nothing but such names: "ɑdmin",
// "Adm1n", "ad.min", "sesame-support". Names that only contain one, such as "admin2" or "ann-admin", are not reserved.
//
// The capitals count too: many small letters of Cherokee, Cyrillic and Coptic are small capitals ("теам", "ꮪꭼꮪꭺꮇꭼ"), and
// their prototypes are those of the capitals alone.
func Reserved(name string) bool { return looksReserved(name) || looksReserved(strings.ToUpper(name)) }

func looksReserved(name string) bool {
	set := reservedSkeletons()
	parts := strings.FieldsFunc(skeleton(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return set[strings.Join(parts, "")] ||
		len(parts) > 0 && !slices.ContainsFunc(parts, func(part string) bool { return !set[part] })
}
