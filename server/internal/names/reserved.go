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

// reserved lists names that speak for the service. People would trust a stranger with such a name.
var reserved = strings.Fields(`
	admin admins administrator administrators root superuser sysadmin system sysop operator owner moderator moderators mod
	staff team official sesame

	help helpdesk support service contact billing payment payments account accounts

	info marketing sales abuse noc security
	postmaster hostmaster usenet news webmaster www uucp ftp
	noreply mailerdaemon daemon

	null undefined anonymous unknown nobody everyone everybody me`)

// The second block answers for the service. The third has the mailboxes of RFC 2142 and two that send: where a username
// becomes a mailbox, its holder could get a TLS certificate for the domain. Programs give the names of the last block a
// special meaning.

//go:embed confusables/confusables.txt
var confusables string

// lookAlikes maps characters to the ASCII letters or digits that they look like (Unicode TS #39 §4).
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

// oneShape replaces ASCII characters that look alike by one of them. It covers more than TS #39, which is possible because
// only a short list is compared.
var oneShape = strings.NewReplacer(
	"i", "l", "1", "l", "|", "l", "!", "l", "0", "o", "m", "rn", "w", "vv", "d", "cl",
	"3", "e", "4", "a", "5", "s", "$", "s", "7", "t", "8", "b",
)

// skeleton returns a text that is equal for names that look alike: without marks and invisible characters, in lower case.
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

// Reserved reports whether a username looks like a reserved name, or consists only of such names: "ɑdmin", "Adm1n",
// "ad.min", "sesame-support". Names that only contain one, such as "admin2" or "ann-admin", are not reserved.
//
// The capitals are compared too: many small letters of Cherokee, Cyrillic and Coptic look like capitals ("теам", "ꮪꭼꮪꭺꮇꭼ"),
// and only the capitals have prototypes.
func Reserved(name string) bool { return looksReserved(name) || looksReserved(strings.ToUpper(name)) }

// LookAlike reports whether two names look alike, regardless of spaces and punctuation.
func LookAlike(a, b string) bool {
	shape := func(name string) string {
		return strings.Map(func(r rune) rune {
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				return -1
			}
			return r
		}, skeleton(name))
	}
	return shape(a) == shape(b) || shape(strings.ToUpper(a)) == shape(strings.ToUpper(b))
}

func looksReserved(name string) bool {
	set := reservedSkeletons()
	parts := strings.FieldsFunc(skeleton(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return set[strings.Join(parts, "")] ||
		len(parts) > 0 && !slices.ContainsFunc(parts, func(part string) bool { return !set[part] })
}
