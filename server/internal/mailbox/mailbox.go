// Package mailbox parses e-mail addresses, and decides when two of them are one mailbox.
//
//	key, err := mailbox.Key("Ann@Bücher.example") // "ann@xn--bcher-kva.example"
//
// Accounts are compared only by Key. If two mailboxes had one key, the owner of the second could take over the account of
// the first; if one mailbox had two keys, two accounts could confirm it.
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
// It accepts labels such as ab--cd, which RFC 5891 reserves but registries have sold.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true), idna.CheckHyphens(false))

// Key returns the form in which an address is compared: the domain as A-labels (RFC 5890) in lower case, and the local part
// with the letters A to Z in lower case. RFC 5321 lets a mail server distinguish Ann from ann, but in practice none does,
// and people type either. Every other character of the local part is unchanged: a mail server that delivers to mİke need
// not deliver to mike. A key is its own key.
func Key(address string) (string, error) {
	local, domain, err := parse(address)
	return lowerASCII(local) + "@" + domain, err
}

// Deliverable returns an address in the form for a mail server: the domain as A-labels, the local part unchanged.
func Deliverable(address string) (string, error) {
	local, domain, err := parse(address)
	return local + "@" + domain, err
}

// Prefix returns the prefix of the keys of the addresses that begin with a text. A label with letters beyond ASCII must be
// complete, since the A-label of a part is unknown.
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

// parse accepts a bare address: no display name, comment, quoted local part or address literal. It refuses invisible
// characters, with which one address could pose as another, and local parts that are not in Unicode's normal form C, since
// many programs would change them into another address.
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

// invisible reports whether a character is invisible, or unassigned, so that its folding is unknown.
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
