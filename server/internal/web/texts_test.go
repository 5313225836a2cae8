package web

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// readBuiltIn reads the built-in texts of a language, without what another language lends it.
func readBuiltIn(t *testing.T, tag string) *texts {
	t.Helper()
	files, err := fs.Sub(embeddedMessages, "messages")
	if err != nil {
		t.Fatal(err)
	}
	read, err := readFile(files, tag+".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// Every language has every text, with the same parameters.
func TestTextsAreComplete(t *testing.T) {
	t.Parallel()
	english := readBuiltIn(t, fallback)
	files, err := embeddedMessages.ReadDir("messages")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		other := readBuiltIn(t, strings.TrimSuffix(file.Name(), ".yaml"))
		for _, key := range slices.Sorted(maps.Keys(english.Texts)) {
			if other.Texts[key] == "" || !slices.Equal(placesOf(other.Texts[key]), placesOf(english.Texts[key])) {
				t.Errorf("%s: the text %q is missing or has other parameters: %q", file.Name(), key, other.Texts[key])
			}
		}
		if len(other.Texts) != len(english.Texts) {
			t.Errorf("%s has %d texts, and English has %d", file.Name(), len(other.Texts), len(english.Texts))
		}
	}
}

// Every text that the program names exists, and every text is used.
func TestTextsAreUsed(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`"([a-z]+(?:[.-][a-z-]+)+)"`)
	english, used, all := readBuiltIn(t, fallback), map[string]bool{}, ""
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	for _, found := range regexp.MustCompile(`\.[TH]\("([^"]+)"`).FindAllStringSubmatch(all, -1) {
		if english.Texts[found[1]] == "" && !strings.HasSuffix(found[1], ".") {
			t.Errorf("the program names the text %q, which does not exist", found[1])
		}
	}
	for _, found := range named.FindAllStringSubmatch(all, -1) {
		used[found[1]] = true
	}
	// Names that the program puts together.
	for _, page := range []string{"sign-in", "second-factor", "sign-up", "forgot-password", "confirm-email", "reset-password", "account", "account-sessions", "account-applications", "account-identities", "account-events", "account-tokens", "account-token", "account-token-made", "account-delete", "account-factor", "authenticator", "recovery-codes", "recovery-used"} {
		used[page+".title"] = true
	}
	for _, page := range []string{"confirm-email", "reset-password"} {
		used[page+".button"], used[page+".done"], used[page+".done.title"] = true, true, true
	}
	for _, key := range []string{"authenticator.qr", "authenticator.secret", "factor.totp", "factor.passkey"} { // of a template, and of a kind
		used[key] = true
	}
	for key := range english.Texts {
		part, _, _ := strings.Cut(key, ".")
		if !used[key] && part != "event" && part != "done" && key != "time" && key != "home.back-to" && key != "home.cancel-to" {
			t.Errorf("no page has the text %q", key)
		}
	}
}

// A text escapes and isolates the values of its parameters, which may have the form of a parameter themselves.
func TestParametersOfTexts(t *testing.T) {
	t.Parallel()
	text := &texts{Texts: map[string]string{"x": "<{a}> & {b}"}, Sentences: map[string]string{"has {n} of {n}": "{n}/{n}"}}
	if got := text.H("x", "a", "{b}<i>", "b", "\u202e"); got != `&lt;<bdi>{b}&lt;i&gt;</bdi>&gt; &amp; <bdi>\u202e</bdi>` {
		t.Errorf("got %s", got)
	}
	if got := text.Sentence("has 3 of 14"); got != "3/14" {
		t.Errorf("got %s", got)
	}
	if got := text.Sentence("unknown 3"); got != "unknown 3" {
		t.Errorf("got %s", got)
	}
}

func TestBuiltInLook(t *testing.T) {
	t.Parallel()
	if _, err := NewLook(LookOptions{}); err != nil {
		t.Fatal(err)
	}
}
