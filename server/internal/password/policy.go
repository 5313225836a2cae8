package password

import (
	_ "embed" // for the list of common passwords
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// product is the name that people would think of first (NIST SP 800-63B calls it a context-specific word).
const product = "sesame"

const (
	// maxLength is the limit of the contract too.
	maxLength = 256
	// maxFiller is how many digits and signs around a name do not make a password hard to guess: a date and a sign.
	maxFiller = 10
	// minPart is the least number of letters between signs that count as a word of a name. Single letters of a random name
	// would match many random passwords.
	minPart = 3
)

// common is a sorted list of passwords in lower case, one a line; common/README.md names its source. It stays in the
// program's file until it is searched, so it costs no memory while idle.
//
//go:embed common/common.txt
var common string

// Policy checks new passwords. It is safe for concurrent use.
type Policy struct {
	minLength int
	breached  *BreachList // or nil
}

// NewPolicy makes a Policy: minLength counts code points, breached may be nil.
func NewPolicy(minLength int, breached *BreachList) *Policy {
	return &Policy{minLength: minLength, breached: breached}
}

// Check returns why a new password is not acceptable, or "". names are the username and the e-mail address of the account.
// The reason never repeats the password. The error is one of reading the breach list.
func (p *Policy) Check(password string, names ...string) (reason string, err error) {
	normal := norm.NFC.String(password)
	folded := fold(normal)
	switch {
	case !utf8.ValidString(password): // impossible in JSON, but not in forms
		return "must be text in UTF-8", nil
	case strings.ContainsRune(password, 0): // bcrypt would ignore the rest
		return "must not contain a NUL", nil
	case utf8.RuneCountInString(normal) < p.minLength:
		return fmt.Sprintf("must have at least %d characters", p.minLength), nil
	case utf8.RuneCountInString(password) > maxLength:
		return fmt.Sprintf("must have at most %d characters", maxLength), nil
	case isCommon(folded):
		return "is one of the most common passwords, which are guessed first", nil
	case madeOf(folded, names):
		return "consists of the username, the e-mail address or the name of this service, which are guessed first", nil
	case p.breached == nil:
		return "", nil
	}
	for _, spelling := range []string{normal, folded} {
		found, err := p.breached.Contains(spelling)
		if err != nil {
			return "", err
		}
		if found {
			return "is in a list of stolen passwords, which are guessed first", nil
		}
	}
	return "", nil
}

// fold returns the form in which passwords and names are compared: without differences of letter case.
func fold(text string) string { return norm.NFC.String(cases.Fold().String(norm.NFC.String(text))) }

// isCommon searches the list, which is sorted by bytes.
func isCommon(folded string) bool {
	low, high := 0, len(common) // offsets where a line begins
	for low < high {
		begin := strings.LastIndexByte(common[:(low+high)/2], '\n') + 1
		line, _, _ := strings.Cut(common[begin:], "\n")
		switch strings.Compare(line, folded) {
		case 0:
			return true
		case -1:
			low = begin + len(line) + 1
		default:
			high = begin
		}
	}
	return false
}

// madeOf reports whether a password consists of one or more of the names, with a few digits and signs between them:
// ann-sesame-2026.
func madeOf(folded string, names []string) bool {
	letters := onlyLetters(folded)
	if letters == "" {
		return slices.ContainsFunc(names, func(name string) bool { return isFilledNumber(folded, fold(localPart(name))) })
	}
	if utf8.RuneCountInString(folded)-utf8.RuneCountInString(letters) > maxFiller {
		return false
	}
	words := []string{product, "open" + product}
	for _, name := range names {
		name = fold(localPart(name))
		words = append(words, onlyLetters(name)) // ann.lee as annlee
		for _, part := range strings.FieldsFunc(name, func(r rune) bool { return !isLetter(r) }) {
			if utf8.RuneCountInString(part) >= minPart {
				words = append(words, part)
			}
		}
	}
	return isConcatenation(letters, words)
}

// isFilledNumber reports whether a password without letters consists of a name without letters, such as a number, and at
// most half as much around it.
func isFilledNumber(folded, name string) bool {
	at := strings.Index(folded, name)
	return name != "" && at >= 0 && 2*(len(folded)-len(name)) <= len(name)
}

// isConcatenation reports whether a text consists of the words only, each any number of times.
func isConcatenation(text string, words []string) bool {
	reached := make([]bool, len(text)+1) // the offsets where a sequence of words ends
	reached[0] = true
	for at := range text {
		for _, word := range words {
			if reached[at] && word != "" && strings.HasPrefix(text[at:], word) {
				reached[at+len(word)] = true
			}
		}
	}
	return reached[len(text)]
}

// localPart returns an address without its domain, and any other name unchanged.
func localPart(name string) string {
	local, _, _ := strings.Cut(name, "@")
	return local
}

func onlyLetters(text string) string {
	return strings.Map(func(r rune) rune {
		if isLetter(r) {
			return r
		}
		return -1
	}, text)
}

func isLetter(r rune) bool { return unicode.IsLetter(r) || unicode.IsMark(r) }
