// Package mailbox says which e-mail addresses Sesame accepts, and when two of them name one mailbox.
//
//	key, err := mailbox.Key("Ann@Bücher.example") // "ann@xn--bcher-kva.example"
//
// Accounts are compared by Key and by nothing else: if it took two mailboxes for one, the owner of the second could
// take over the account of the first; if it took one mailbox for two, one person would own an address twice.
package mailbox

import (
	"errors"
	"net/mail"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// ErrInvalid is the one error of this package.
var ErrInvalid = errors.New("not an e-mail address that mail can be sent to")

const (
	maxLocal   = 64  // bytes (RFC 5321 §4.5.3.1.1)
	maxAddress = 254 // bytes, with the domain in ASCII: RFC 5321 §4.5.3.1.3 less the angle brackets
)

// domains converts domain names to the form that DNS and mail servers use (UTS #46, nontransitional: ß is not ss).
// It accepts labels such as ab--cd, which RFC 5891 reserves and registries have sold all the same.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true), idna.CheckHyphens(false))

// Key returns what an address is compared by: the domain as A-labels (RFC 5890) in lower case, and the local part with
// the letters A to Z in lower case. RFC 5321 lets a mail server distinguish Ann from ann, but none of note does, and
// people type either. Every other character of the local part counts as it is: a mail server that delivers to mİke need
// not deliver to mike. A key is its own key.
func Key(address string) (string, error) {
	local, domain, err := parse(address)
	return lowerASCII(local) + "@" + domain, err
}

// Deliverable returns an address as a mail server is given it: the domain as A-labels, the local part as it is.
func Deliverable(address string) (string, error) {
	local, domain, err := parse(address)
	return local + "@" + domain, err
}

// Prefix returns what the keys begin with of the addresses that begin with a text. A label that holds letters beyond
// ASCII must be complete: its A-label cannot be known before.
func Prefix(text string) string {
	text = norm.NFC.String(text)
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return lowerASCII(text)
	}
	labels := strings.Split(text[at+1:], ".")
	for i, label := range labels {
		if ascii, err := domains.ToASCII(label); err == nil {
			labels[i] = ascii
		}
	}
	return lowerASCII(text[:at]) + "@" + strings.ToLower(strings.Join(labels, "."))
}

// parse accepts a bare address as people have them: no display name, no comment, no quoted local part, no address
// literal. It refuses characters that cannot be seen, with which one address could pose as another, and local parts
// that are not in Unicode's normal form C, which many programs would change into another address.
func parse(address string) (local, domain string, err error) {
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address || strings.ContainsAny(address, `"[`) || strings.ContainsFunc(address, invisible) {
		return "", "", ErrInvalid
	}
	at := strings.LastIndexByte(address, '@')
	local = address[:at]
	if len(local) > maxLocal || !norm.NFC.IsNormalString(local) {
		return "", "", ErrInvalid
	}
	domain, err = domains.ToASCII(address[at+1:])
	// An ideographic full stop at the end becomes a dot, which would give the domain a second key.
	if err != nil || !strings.Contains(domain, ".") || strings.HasSuffix(domain, ".") || len(local)+1+len(domain) > maxAddress {
		return "", "", ErrInvalid
	}
	// An A-label must be the one that its own Unicode form gives, or one domain would have two keys.
	if readable, err := domains.ToUnicode(domain); err != nil {
		return "", "", ErrInvalid
	} else if again, err := domains.ToASCII(readable); err != nil || again != domain {
		return "", "", ErrInvalid
	}
	return local, domain, nil
}

// invisible reports whether a character cannot be seen, or is not assigned yet, so that nobody knows how it will fold.
func invisible(r rune) bool {
	return !unicode.IsPrint(r) || r == ' ' || r == '\u2800' ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}
