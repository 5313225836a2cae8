package personal

import (
	"regexp"
	"strings"
	"testing"
)

// The form is the one that docs/guides/tokens.md gives to secret scanners.
var personalForm = regexp.MustCompile(`^ssm_[0-9A-Za-z]{36}$`)

func TestPersonalTokens(t *testing.T) {
	seen, letters := map[string]bool{}, map[rune]bool{}
	for range 2000 {
		text := New().Reveal()
		if !personalForm.MatchString(text) || !Is(text) || !IsWellFormed(text) || seen[text] {
			t.Fatalf("%s is not well formed, or was made twice", text)
		}
		seen[text] = true
		for _, r := range text[len(Prefix) : len(Prefix)+randomLength] {
			letters[r] = true
		}
	}
	if len(letters) != 62 {
		t.Errorf("%d of 62 characters occur", len(letters))
	}
}

// The checksum of other programs, such as a secret scanner's: CRC-32 as in zlib, in base 62, six characters.
func TestTheChecksumIsTheOneThatIsDocumented(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "000000",
		"123456789":                      "3jZRME", // 0xcbf43926, the check value of CRC-32
		"000000000000000000000000000000": "2C8GjS",
	} {
		if got := Checksum(text); got != want {
			t.Errorf("the checksum of %q is %s, want %s", text, got, want)
		}
	}
}

// Every single mistyped character, and two that were exchanged, are noticed.
func TestMistypedTokensAreNotWellFormed(t *testing.T) {
	text := New().Reveal()
	for i := range text {
		for _, r := range base62 + "-_ é" {
			if mistyped := text[:i] + string(r) + text[i+1:]; mistyped != text && IsWellFormed(mistyped) {
				t.Errorf("%s is well formed, and so is %s", text, mistyped)
			}
		}
		if i > 0 && text[i] != text[i-1] && IsWellFormed(text[:i-1]+text[i:i+1]+text[i-1:i]+text[i+1:]) {
			t.Errorf("%s is well formed with the characters %d and %d exchanged", text, i-1, i)
		}
	}
	for _, other := range []string{"", "ssm_", text + "0", text[:len(text)-1], " " + text, strings.ToUpper(text), "ssm_" + strings.Repeat("0", 1<<20)} {
		if IsWellFormed(other) {
			t.Errorf("%.60q is well formed", other)
		}
	}
}
