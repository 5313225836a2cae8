package password

import (
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func check(t *testing.T, p *Policy, password string, names ...string) string {
	t.Helper()
	reason, err := p.Check(password, names...)
	if err != nil {
		t.Fatal(err)
	}
	if len(password) > 5 && strings.Contains(reason, password) {
		t.Errorf("the reason repeats %q: %s", password, reason)
	}
	return reason
}

// P2: the list is long enough, in the order that the search needs, and every line of it is found.
func TestEveryCommonPasswordIsFound(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(common, "\n"), "\n")
	if len(lines) < 3000 || !slices.IsSorted(lines) {
		t.Fatalf("%d lines, sorted: %t", len(lines), slices.IsSorted(lines))
	}
	for _, line := range lines {
		if !isCommon(line) || utf8.RuneCountInString(line) < 8 || fold(line) != line {
			t.Errorf("%q is not found, short, or not folded", line)
		}
		for _, other := range []string{line + "\n", line[1:] + "~~", line + "~~"} {
			if isCommon(other) != slices.Contains(lines, other) {
				t.Errorf("%q is found: %t", other, isCommon(other))
			}
		}
	}
	for _, absent := range []string{"", "\n", "a wooden horse", "knock-knock", "\xff\xff", "!"} {
		if isCommon(absent) {
			t.Errorf("%q is found", absent)
		}
	}
}

// P2: names, in any letter case and with a little around them, are no passwords.
func TestPasswordsMadeOfNames(t *testing.T) {
	p := NewPolicy(8, nil)
	for _, c := range []struct {
		password string
		names    []string
		refused  bool
	}{
		{"johanneson", []string{"Johanneson"}, true},
		{"JOHANNESON", []string{"johanneson"}, true},
		{"johanneson1!", []string{"johanneson"}, true},
		{"2026-Johanneson", []string{"johanneson"}, true},
		{"j.o.h.a.n.n.e.s.o.n", []string{"johanneson"}, true},
		{"annannann", []string{"ann"}, true},
		{"ann20011231", []string{"ann"}, true},
		{"annsesame", []string{"ann"}, true},
		{"ann.lee.1", []string{"x", "Ann.Lee@example.com"}, true},
		{"lee_ann_lee", []string{"x", "ann.lee@example.com"}, true},
		{"sesame123", nil, true},
		{"Sesame!!!", nil, true},
		{"OPEN SESAME", nil, true},
		{"sesamesesame", nil, true},
		{"ren\u00e9ren\u00e9", []string{"RENE\u0301"}, true},
		{"STRASSE99", []string{"straße"}, true},
		{"ИВАНИВАН1", []string{"Иван"}, true},
		{"8675309-", []string{"8675309"}, true},
		{"12345678999", []string{"123456789"}, true},
		{"ann has a wooden horse", []string{"ann"}, false},
		{"example.community", []string{"ann", "ann@example.com"}, false},
		{"ann 8271 9945 3304", []string{"ann"}, false},
		{"a wooden horse", []string{"ann", "ann@example.com"}, false},
		{"lililili88", []string{"li"}, true},
		{"li.wu.88", []string{"li.wu"}, true},
		{"8f3a07f9a1d26f5a", []string{"st-90f1a2d4c7ab"}, false}, // one letter is no name
		{"knock-knock", []string{"johndoe", "johndoe@example.com"}, false},
		{"9182731455", []string{"273", ""}, false},
		{"!#%&/()=?+", []string{"", "@"}, false},
		{"sesame seeds", nil, false},
	} {
		if reason := check(t, p, c.password, c.names...); strings.Contains(reason, "consists of") != c.refused {
			t.Errorf("%q of %q: %q", c.password, c.names, reason)
		}
	}
}

// hashLines are the lines of a breach list.
func hashLines(passwords []string, format string) []string {
	lines := make([]string, len(passwords))
	for i, password := range passwords {
		lines[i] = fmt.Sprintf(format, sha1.Sum([]byte(password)))
	}
	slices.Sort(lines)
	return lines
}

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "breached.txt")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func stolen(n int) []string {
	passwords := make([]string, n)
	for i := range passwords {
		passwords[i] = fmt.Sprint("stolen password ", i)
	}
	return passwords
}

// P2: the search finds the first line, the last and every one between, whatever its form.
func TestBreachListsAreSearched(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 2000} {
		for _, format := range []string{"%X:12\n", "%x:123456789\r\n", "%X\n", "%X:1\r\n"} {
			text := strings.Join(hashLines(stolen(n), format), "")
			for _, text := range []string{text, strings.TrimRight(text, "\r\n")} {
				list, err := OpenBreachList(write(t, text))
				if err != nil {
					t.Fatal(n, format, err)
				}
				for i, password := range stolen(n) {
					if found, err := list.Contains(password); !found || err != nil {
						t.Errorf("%d lines of %q: %d is found: %t %v", n, format, i, found, err)
					}
					if found, err := list.Contains("not " + password); found || err != nil {
						t.Errorf("%d lines of %q: a stranger is found: %t %v", n, format, found, err)
					}
				}
			}
		}
	}
}

// P2: lists grow to 40 GB. A search reads some lines and keeps nothing.
func TestABreachListNeedsNoMemory(t *testing.T) {
	list, err := OpenBreachList(write(t, strings.Join(hashLines(stolen(200_000), "%X:1\n"), "")))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if found, err := list.Contains("stolen password 7"); !found || err != nil {
		t.Error(found, err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
		t.Errorf("a search takes %d bytes", got)
	}
}

func TestABreachListThatIsNoneIsRefused(t *testing.T) {
	sorted := hashLines(stolen(5000), "%X:1\n")
	reversed := slices.Clone(sorted)
	slices.Reverse(reversed)
	for name, c := range map[string]struct{ text, reason string }{
		"empty":          {"", "is empty"},
		"plain words":    {"password\n12345678\n", "SHA-1"},
		"long lines":     {strings.Repeat("A", 5000), "SHA-1"},
		"SHA-256":        {strings.Repeat("A", 64) + "\n", "SHA-1"},
		"NTLM":           {strings.Repeat("A", 32) + ":3\n", "SHA-1"},
		"not hex":        {strings.Repeat("G", 40) + "\n", "SHA-1"},
		"reversed":       {strings.Join(reversed, ""), "not sorted"},
		"two swapped":    {sorted[1] + sorted[0], "not sorted"},
		"a short ending": {sorted[0] + "ABC", "SHA-1"},
	} {
		if _, err := OpenBreachList(write(t, c.text)); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := OpenBreachList(name); err == nil {
			t.Errorf("%s is opened", name)
		}
	}
}
