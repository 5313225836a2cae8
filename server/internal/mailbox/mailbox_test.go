package mailbox_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"sesame/server/internal/mailbox"
)

// N5: spellings in one row are one mailbox, and no two rows are.
func TestSpellingsOfOneMailbox(t *testing.T) {
	t.Parallel()
	rows := map[string]int{}
	for i, row := range [][]string{
		{"mike@example.com", "MIKE@example.com", "Mike@EXAMPLE.Com", "mike@ｅxample.com", "mike@example。com"},
		{"mİke@example.com", "MİKE@EXAMPLE.COM"}, // a dotted capital I
		{"mıke@example.com"}, // a dotless i
		{"mike@exampl\u00e9.com", "mike@example\u0301.com", "mike@EXAMPLÉ.com", "mike@xn--exampl-gva.com", "mike@XN--EXAMPL-GVA.com"},
		{"ann@bücher.example", "ann@BÜCHER.example", "ann@xn--bcher-kva.example", "ANN@Xn--Bcher-Kva.example"},
		{"ann@straße.example", "ann@xn--strae-oqa.example"},
		{"ann@strasse.example"},
		{"straße@example.com"},
		{"strasse@example.com"},
		{"é@example.com"},
		{"É@example.com"},   // letter case beyond ASCII is the mail server's business
		{"ａnn@example.com"}, // fullwidth
		{"ann@example.com"},
		{"ann@mail.example.com"},
		{"ﬁn@example.com"}, // a ligature
		{"fin@example.com"},
		{"ann+x@example.com"},
		{"a.nn@example.com"},
		{"ſam@example.com"}, // a long s, which strings.ToLower(strings.ToUpper(…)) makes s
		{"sam@example.com"},
		{"аnn@example.com"}, // a Cyrillic a
		{"ann@ab--cd.example"},
	} {
		for _, address := range row {
			key, err := mailbox.Key(address)
			if err != nil {
				t.Errorf("%+q: %v", address, err)
				continue
			}
			if other, ok := rows[key]; ok && other != i {
				t.Errorf("%+q has the key of row %d", address, other)
			}
			rows[key] = i
			if first, _ := mailbox.Key(row[0]); key != first {
				t.Errorf("%+q has the key %+q, and %+q has %+q", address, key, row[0], first)
			}
			if again, err := mailbox.Key(key); err != nil || again != key {
				t.Errorf("the key %+q has the key %+q: %v", key, again, err)
			}
		}
	}
}

// N5: what cannot be seen, has no domain name, or has two forms is refused.
func TestAddressesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "ann", "@example.com", "ann@", "ann@localhost", "ann@example.com.", "ann@example.com。", "ann@example.com｡", "ann@.example.com", "ann@example..com",
		"Ann <ann@example.com>", "<ann@example.com>", "ann@example.com, bob@example.com", `"ann"@example.com`, "ann@[192.0.2.1]",
		"ann@example.com\n", "an\x00n@example.com", "an\tn@example.com", "an n@example.com", "ann@exam ple.com",
		"an\u00a0n@example.com", "an\u200bn@example.com", "an\u200dn@example.com", "an\u00adn@example.com", "ann\u202e@example.com",
		"ann@exam\u00adple.com", "ann@exam\u200bple.com", "ann\ufe0f@example.com", "ann\u3164@example.com", "ann\u2800@example.com",
		"ann\u034f@example.com", "ann\U000e0041@example.com", "ann\ue000@example.com", "ann\u0378@example.com", "ann\u2028@example.com",
		"ann\x85@example.com", "ann\xff@example.com", "\ufeffann@example.com",
		"ann@xn--a.example", "ann@xn--example-.com", "ann@xn--bcher-KVA9.example", "ann@exa_mple.com", "ann@exa%mple.com",
		"e\u0301@example.com", "\u212aim@example.com", // not in normal form C: the second is a Kelvin sign
		strings.Repeat("a", 65) + "@example.com", "ann@" + strings.Repeat("a", 64) + ".com",
		"ann@" + strings.Repeat(strings.Repeat("a", 60)+".", 4) + "example.com",
		"ann@" + strings.Repeat("ü", 60) + ".example",
	} {
		if key, err := mailbox.Key(address); err == nil {
			t.Errorf("%+q has the key %+q", address, key)
		}
		if to, err := mailbox.Deliverable(address); err == nil {
			t.Errorf("mail for %+q goes to %+q", address, to)
		}
	}
}

func TestMailGoesToALabels(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"Ann@Bücher.example": "Ann@xn--bcher-kva.example", "Ann@Example.COM": "Ann@example.com", "É@example.com": "É@example.com",
	} {
		if got, err := mailbox.Deliverable(address); err != nil || got != want {
			t.Errorf("%s goes to %s: %v", address, got, err)
		}
	}
}

// An address is found by its beginnings.
func TestPrefixesOfKeys(t *testing.T) {
	t.Parallel()
	key, err := mailbox.Key("Émile@Mail.Bücher.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "É", "E\u0301mil", "Émile@", "ÉMILE@mAi", "Émile@mail.bücher", "Émile@mail.bücher.ex", "Émile@mail.xn--b"} {
		if !strings.HasPrefix(key, mailbox.Prefix(prefix)) {
			t.Errorf("%q does not begin %s: %s", prefix, key, mailbox.Prefix(prefix))
		}
	}
	for _, prefix := range []string{"e", "émile@", "Émile@mail.bü", "mile"} {
		if strings.HasPrefix(key, mailbox.Prefix(prefix)) {
			t.Errorf("%q begins %s: %s", prefix, key, mailbox.Prefix(prefix))
		}
	}
}

// N5: whatever is accepted, its key is its own key, ASCII letter case makes no difference, and no character beyond ASCII
// becomes one of ASCII in the local part.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{"ann@example.com", "mİke@bücher.example", "a\u200b@x.y", "k\u212a@xn--bcher-kva.example", "e\u0301@a.b", "ſ@ß.example", "a@xn--a.b", "a@b.c。"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		key, err := mailbox.Key(address)
		if err != nil {
			return
		}
		if again, err := mailbox.Key(key); err != nil || again != key {
			t.Fatalf("the key of %+q is %+q, whose key is %+q: %v", address, key, again, err)
		}
		for name, fold := range map[string]func(rune) rune{"upper": upper, "lower": lower} {
			if other, err := mailbox.Key(strings.Map(fold, address)); err != nil || other != key {
				t.Fatalf("in %s case %+q has the key %+q, not %+q: %v", name, address, other, key, err)
			}
		}
		local, keyed := address[:strings.LastIndexByte(address, '@')], key[:strings.LastIndexByte(key, '@')]
		if len(local) != len(keyed) {
			t.Fatalf("the local part of %+q became %+q", address, keyed)
		}
		for i := range local {
			if (local[i] < utf8.RuneSelf) != (keyed[i] < utf8.RuneSelf) || local[i] >= utf8.RuneSelf && local[i] != keyed[i] {
				t.Fatalf("the local part of %+q became %+q", address, keyed)
			}
		}
		if domain := key[len(keyed)+1:]; strings.ContainsFunc(domain, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Fatalf("the domain of %+q is %+q", address, domain)
		}
		if to, err := mailbox.Deliverable(address); err != nil || to[:len(local)] != local {
			t.Fatalf("mail for %+q goes to %+q: %v", address, to, err)
		}
	})
}

func upper(r rune) rune {
	if 'a' <= r && r <= 'z' {
		return r - 'a' + 'A'
	}
	return r
}

func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r - 'A' + 'a'
	}
	return r
}
