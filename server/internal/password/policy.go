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
	// maxLength is the contract's bound too.
	maxLength = 256
	// maxFiller is how many digits and signs around a name are still "a few": a name, a date, a sign.
	maxFiller = 10
	// minPart is how many letters of a name between signs are a word of their own. Of the letters that
	// stand alone in a random name, many a random password is made.
	minPart = 3
)

// common is a sorted list, a password a line, in lower case; common/README.md says where it comes
// from. It stays in the program's file until it is searched, so it costs no memory while idle.
//
//go:embed common/common.txt
var common string

// Policy decides which new passwords are acceptable. It is safe for concurrent use.
type Policy struct {
	minLength int
	breached  *BreachList // or nil
}

// NewPolicy makes a Policy: minLength counts code points, breached may be nil.
func NewPolicy(minLength int, breached *BreachList) *Policy {
	return &Policy{minLength: minLength, breached: breached}
}

// Check says why a new password is not acceptable, or nothing. Names are what the account is known
// by: its username and its e-mail address. The reason never repeats the password. The error is that
// of reading the breach list.
func (p *Policy) Check(password string, names ...string) (reason string, err error) {
	normal := norm.NFC.String(password)
	folded := fold(normal)
	switch {
	case !utf8.ValidString(password): // JSON has none of that, but forms have
		return "must be text in UTF-8", nil
	case strings.ContainsRune(password, 0): // bcrypt would not see the rest
		return "must not hold a NUL", nil
	case utf8.RuneCountInString(normal) < p.minLength:
		return fmt.Sprintf("must have at least %d characters", p.minLength), nil
	case utf8.RuneCountInString(password) > maxLength:
		return fmt.Sprintf("must have at most %d characters", maxLength), nil
	case isCommon(folded):
		return "is one of the most common passwords, which are guessed first", nil
	case madeOf(folded, names):
		return "is made of the username, the e-mail address or the name of this service, which are guessed first", nil
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

// fold is what passwords and names are compared as: without differences of letter case.
func fold(text string) string { return norm.NFC.String(cases.Fold().String(norm.NFC.String(text))) }

// isCommon searches the list, which is sorted by its bytes, for a line.
func isCommon(folded string) bool {
	low, high := 0, len(common) // offsets at which a line begins
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

// madeOf tells whether a password is one of the names or several of them, with no more than a few
// digits and signs in between: ann-sesame-2026.
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

// isFilledNumber tells whether a password without letters is a name without letters, such as a
// number, and at most half as much around it.
func isFilledNumber(folded, name string) bool {
	at := strings.Index(folded, name)
	return name != "" && at >= 0 && 2*(len(folded)-len(name)) <= len(name)
}

// isConcatenation tells whether a text is made of those words alone, each as often as it likes.
func isConcatenation(text string, words []string) bool {
	reached := make([]bool, len(text)+1) // offsets that words lead to
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

// localPart is an address without its domain, and any other name as it is.
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
