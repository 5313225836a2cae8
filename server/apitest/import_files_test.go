package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"sesame/server/internal/cli"
)

// importResult is what `sesame user import --json` prints.
type importResult struct {
	Check, Incomplete      bool
	Read, Created, Present int
	Through                int `json:"through_line"`
	Passwordless           int `json:"without_password"`
	Reasons                map[string]int
	Refused                []struct {
		Line                int
		Code, Field, Reason string
	}
	Usernames []struct {
		Line            int
		Login, Username string
	}
}

// importFile imports a file of that name and content.
func (s *server) importFile(t *testing.T, name, content string, args ...string) (result importResult, stderr string, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := s.sesame(t, "", append([]string{"user", "import", "--json", file}, args...)...)
	if stdout != "" {
		if err := json.Unmarshal([]byte(stdout), &result); err != nil {
			t.Fatalf("%v: %s", err, stdout)
		}
	}
	return result, stderr, code
}

func (s *server) usernames(t *testing.T) string {
	t.Helper()
	out := s.must(t, "", "user", "export")
	var all []string
	for line := range strings.Lines(out) {
		var u struct{ Username string }
		if err := json.Unmarshal([]byte(line), &u); err != nil {
			t.Fatal(err)
		}
		all = append(all, u.Username)
	}
	return strings.Join(all, " ")
}

func utf16Text(text string, high, mark bool) string {
	units := utf16.Encode([]rune(text))
	if mark {
		units = append([]uint16{0xfeff}, units...)
	}
	var b strings.Builder
	for _, u := range units {
		bytes := []byte{byte(u), byte(u >> 8)}
		if high {
			bytes = []byte{byte(u >> 8), byte(u)}
		}
		b.Write(bytes)
	}
	return b.String()
}

const (
	annCSV   = "\"username\",\"full_name\"\nann,Ann Ex\u00e4mple\n"
	annLines = "{\"username\":\"ann\",\"full_name\":\"Ann Ex\u00e4mple\"}\n"
	annArray = "[\n {\"username\":\"ann\",\n  \"full_name\":\"Ann Ex\u00e4mple\"}\n]\n"
)

// A byte order mark changes nothing, wherever the file begins with quotes, a brace or a bracket.
func TestByteOrderMarks(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for name, text := range map[string]string{"users.csv": annCSV, "users.jsonl": annLines, "users.json": annArray, "users.txt": annCSV, "users": annLines} {
			for _, mark := range []string{"", "\ufeff"} {
				s.sql(t, `DELETE FROM users`)
				if result, stderr, code := s.importFile(t, name, mark+text); code != 0 || result.Created != 1 {
					t.Errorf("%s, %q: %+v %s", name, mark, result, stderr)
				}
				if name := s.value(t, `SELECT full_name FROM users`); name != "Ann Exämple" {
					t.Errorf("the full name is %q", name)
				}
			}
		}
	})
}

// UTF-16 is named, with the command that converts it, and nothing is imported.
func TestUTF16IsRefusedByName(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for name, text := range map[string]string{"users.csv": annCSV, "users.jsonl": annLines} {
			for _, c := range []struct {
				high, mark bool
				iconv      string
			}{{false, true, "-f UTF-16 "}, {true, true, "-f UTF-16 "}, {false, false, "-f UTF-16LE "}, {true, false, "-f UTF-16BE "}} {
				_, stderr, code := s.importFile(t, name, utf16Text(text, c.high, c.mark))
				if code != 1 || !strings.Contains(stderr, name+" is UTF-16") || !strings.Contains(stderr, "iconv "+c.iconv+"-t UTF-8 ") || !strings.Contains(stderr, "/users.utf8.") || !strings.Contains(stderr, "nothing was imported") {
					t.Errorf("%s, %+v: code %d, %s", name, c, code, stderr)
				}
			}
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`); n != "0" {
			t.Errorf("%s accounts", n)
		}
	})
}

// A line that is not UTF-8 is refused on both engines, and the others are imported.
func TestLatin1IsRefusedByLine(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for name, text := range map[string]string{
			"users.csv":   "username,full_name\nann,Ann\nbob,Ren\xe9\ncy,Cy\n",
			"users.jsonl": "{\"username\":\"ann\"}\n{\"username\":\"bob\",\"full_name\":\"Ren\xe9\"}\n{\"username\":\"cy\"}\n",
			"users.json":  "[{\"username\":\"ann\"},\n{\"username\":\"bob\",\"full_name\":\"Ren\xe9\"},\n{\"username\":\"cy\"}]\n",
		} {
			s.sql(t, `DELETE FROM users`)
			result, _, code := s.importFile(t, name, text)
			if code != 1 || result.Created != 2 || len(result.Refused) != 1 || result.Reasons["not_utf8"] != 1 {
				t.Fatalf("%s: %+v", name, result)
			}
			line := map[string]int{"users.csv": 3, "users.jsonl": 2, "users.json": 2}[name]
			if r := result.Refused[0]; r.Line != line || !strings.Contains(r.Reason, "0xE9") || !strings.Contains(r.Reason, "iconv") || name == "users.csv" && r.Field != "full_name" {
				t.Errorf("%s: %+v", name, r)
			}
			if names := s.usernames(t); names != "ann cy" {
				t.Errorf("%s: %s", name, names)
			}
		}
		if _, stderr, code := s.importFile(t, "users.csv", "username,pr\xe9nom\nann,Ann\n"); code != 1 || !strings.Contains(stderr, "header is not UTF-8") {
			t.Errorf("code %d: %s", code, stderr)
		}
	})
}

// Files that are no lines of text are refused in one sentence that says what to do.
func TestFilesThatAreNoText(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for text, reason := range map[string]string{
			"PK\x03\x04\x14\x00":                                   "is a spreadsheet or another ZIP file; save the table as CSV in UTF-8",
			"\x1f\x8b\x08\x00":                                     "is compressed",
			"username\rann\rbob\r":                                 "end with CR alone",
			"\x00\x00\xfe\xff\x00\x00\x00u":                        "is UTF-32",
			"u\x00\x00\x00s\x00\x00\x00e\x00\x00\x00r\x00\x00\x00": "is UTF-32 (little-endian",
			"":       "users.csv is empty",
			"\ufeff": "users.csv is empty",
		} {
			if _, stderr, code := s.importFile(t, "users.csv", text); code != 1 || !strings.Contains(stderr, reason) || !strings.Contains(stderr, "nothing was imported") {
				t.Errorf("%q: code %d, %s", text, code, stderr)
			}
		}
		if _, stderr, code := s.sesame(t, "", "user", "import", t.TempDir()); code != 1 || strings.Count(stderr, "is a directory") != 1 {
			t.Errorf("a folder: %s", stderr)
		}
	})
}

func TestSeparators(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for _, c := range []struct{ text, names, refusal string }{
			{"username,full_name\nann,\"Lee; Ann\"\n", "ann", ""},
			{"username;full_name\nann;Lee, Ann\n", "ann", ""},
			{"username\tfull_name\r\nann\tLee, Ann;\r\n", "ann", ""},
			{"\"username\";\"full_name\"\n\"ann\";\"Lee\"\n", "ann", ""},
			{"username\nann\n", "ann", ""},
			{"username,email;full_name\nann,a@example.com;Ann\n", "", "line 1: the columns may be separated by comma or semicolon; choose one with --separator"},
			{"user;full_name\nann;Ann\n", "", "line 1: the header has no column username"},
			{"username;fullname\nann;Ann\n", "", `line 1: the header has the unknown column "fullname"; the columns are username, email,`},
			{"username;email;email\nann;;\n", "", "line 1: the header has the column email twice"},
			{"username|email\nann|\n", "", "line 1: the header has no column username"},
		} {
			s.sql(t, `DELETE FROM users`)
			_, stderr, code := s.importFile(t, "users.csv", c.text)
			if (code == 0) != (c.refusal == "") || !strings.Contains(stderr, c.refusal) {
				t.Errorf("%q: code %d, %s", c.text, code, stderr)
			}
			if names := s.usernames(t); names != c.names {
				t.Errorf("%q: %s", c.text, names)
			}
		}
		if _, stderr, code := s.importFile(t, "t.csv", "email,hashed_password;x\nann@example.com,;y\n", "--from", "fastapi-users"); code != 1 || !strings.Contains(stderr, "--separator") {
			t.Errorf("code %d: %s", code, stderr)
		}
		if result, stderr, code := s.importFile(t, "u.csv", "username,x;full_name\nann,b;Ann\n", "--separator", "semicolon"); code != 1 || result.Created != 0 || !strings.Contains(stderr, "no column username") {
			t.Errorf("code %d: %s", code, stderr)
		}
	})
}

// The numbers are those of the file, also after fields and objects of several lines.
func TestLineNumbersAreThoseOfTheFile(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for name, c := range map[string]struct {
			text  string
			lines []int
		}{
			"users.csv":   {"username,full_name\n\n\"a b\",x\n\"ann\",\"two\nlines\"\n\"bob\",\"\"\n\"c\nd\",\"y\"\n\"e f\",z\n\"eve\"x,\ng,h,i\nj\"k,l\n", []int{3, 4, 7, 9, 10, 11, 12}},
			"users.jsonl": {"\n{\"username\":\"a b\"}\n\n{\"username\":\"bob\"}\r\n{\"username\":\"c d\"}", []int{2, 5}},
			"users.json":  {"{\"realm\": {\n\"x\":[1,\n2]},\n\"users\":[\n{\"username\":\"bob\"},\n{\n\"username\":\"a b\"\n}, {\"username\":\"c d\"},\n5]}", []int{6, 8, 9}},
		} {
			s.sql(t, `DELETE FROM users`)
			result, stderr, code := s.importFile(t, name, c.text)
			lines := []int{}
			for _, r := range result.Refused {
				lines = append(lines, r.Line)
			}
			if code != 1 || fmt.Sprint(lines) != fmt.Sprint(c.lines) || result.Created != 1 {
				t.Errorf("%s: %+v\n%s", name, result, stderr)
			}
		}
	})
}

// A first line that is no header is not repeated, since it may contain a hash; nor is a hash anywhere else.
func TestNoErrorRepeatsAHash(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const hash = "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ0123"
		for name, text := range map[string]string{
			"a.csv":   "ann,ann@example.com," + hash + "\n",
			"b.csv":   "username," + hash + "\nann,x\n",
			"c.csv":   "username,email\nann,a@example.com," + hash + "\n\"" + hash + "\"x,\n",
			"d.jsonl": "{\"username\":\"ann\",\"" + hash + "\":1}\n{\"username\":\"" + hash + "\"\n{\"username\":\"bob\",\"password_hash\":\"" + hash + "!\"}\n",
			"e.json":  "[{\"username\":\"ann\",\"" + hash + "\":1},\n{\"username\":\"" + hash + "\"",
		} {
			result, stderr, code := s.importFile(t, name, text)
			if said := fmt.Sprintf("%+v %s", result, stderr); code != 1 || strings.Contains(said, hash[:20]) || strings.Contains(said, hash[40:]) {
				t.Errorf("%s: code %d, %s", name, code, said)
			}
		}
		console, stderr, _ := s.sesame(t, `{"username":"bob","password_hash":"$argon2d$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$YWFhYWFhYWFhYWFhYWFhYQ"}`, "user", "import", "-")
		if !strings.Contains(stderr, "line 1: the password_hash is argon2d, which is vulnerable to side channels, which Sesame does not verify") || !strings.Contains(console, "1 refused: 1 unknown hash.") {
			t.Errorf("%s%s", console, stderr)
		}
	})
}

// --check writes nothing, and what it reports is what the import then does.
func TestCheckReportsWhatAnImportDoes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		hash, _ := vectorHash(t, "$2b$")
		s.create(t, map[string]any{"username": "stranger", "password": horse, "email": "stranger@example.com"}).want(201)
		s.create(t, map[string]any{"username": "taken_at_example.com", "password": horse}).want(201)
		s.create(t, map[string]any{"username": "olga", "password": horse, "email": "owned@example.com"}).want(201)
		s.sql(t, `UPDATE users SET email_verified = TRUE WHERE username = 'olga'`)
		s.imports(t, `{"username":"present","email":"present@example.com","email_verified":true}`)
		own := strings.Join([]string{
			`{"username":"new","email":"new@example.com","email_verified":true,"password_hash":"` + hash + `"}`,
			`{"username":"present","email":"present@example.com","email_verified":true}`,
			`{"username":"stranger","email":"other@example.com","email_verified":true}`,
			`{"username":"NEW"}`, `{"username":"x","email":"owned@example.com","email_verified":true}`,
			`{"username":"y","email":"new@example.com","email_verified":true}`, `{"username":"z","email":"z"}`, `{"username":"z","password_hash":"?"}`, `{"username":"z"}`,
		}, "\n")
		table := "email,hashed_password,is_verified\ntaken@example.com,,1\nowned@example.com,,1\nиван@example.com,,0\nann@example.com,,t\nAnn@example.com,,t\nann@example.com,,f\n"
		for _, c := range []struct {
			name, text string
			args       []string
		}{{"own.jsonl", own, nil}, {"table.csv", table, []string{"--from", "fastapi-users"}}} {
			before := s.must(t, "", "user", "export") + s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events`)
			checked, _, code := s.importFile(t, c.name, c.text, append(c.args, "--check")...)
			if after := s.must(t, "", "user", "export") + s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events`); after != before || code != 1 || !checked.Check {
				t.Errorf("%s: code %d, the check changed\n%s\nto\n%s", c.name, code, before, after)
			}
			done, _, code := s.importFile(t, c.name, c.text, c.args...)
			checked.Check = false
			if fmt.Sprintf("%+v", done) != fmt.Sprintf("%+v", checked) || code != 1 || done.Created == 0 || done.Present == 0 {
				t.Errorf("%s: checked\n%+v\nand done\n%+v", c.name, checked, done)
			}
		}
		stdout, _, _ := s.sesame(t, `{"username":"later"}`, "user", "import", "-", "--check")
		if !strings.HasPrefix(stdout, "1 read: 1 would be created, 0 already present, 0 refused. 1 created account has no password") || !strings.Contains(stdout, "Nothing was written") {
			t.Error(stdout)
		}
	})
}

// A file that is damaged after some accounts is imported up to there, and the command says how far that is.
func TestAnInterruptedImportSaysHowFarItIs(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		text := "[\n{\"username\":\"ann\"},\n{\"username\":\"b b\"},\n{\"username\":\"cy\"},\n{\"username\":\"dan\""
		result, stderr, code := s.importFile(t, "users.json", text)
		if code != 1 || !result.Incomplete || result.Through != 4 || result.Created != 2 || len(result.Refused) != 1 {
			t.Errorf("code %d: %+v", code, result)
		}
		if !strings.Contains(stderr, "users.json, line 5: the JSON document is damaged") || !strings.Contains(stderr, "the lines up to 4 are done, none after it: 3 read: 2 created, 0 already present, 1 refused") {
			t.Error(stderr)
		}
		if names := s.usernames(t); names != "ann cy" {
			t.Error(names)
		}
		if result, stderr, code = s.importFile(t, "users.json", text+"}]"); code != 1 || result.Created != 1 || result.Present != 2 || result.Incomplete {
			t.Errorf("again: %+v %s", result, stderr)
		}
	})
}

// The database fails in the middle: the batches before are done, and no line of the batch at fault is.
func TestADatabaseFaultLeavesWholeBatches(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	s.sql(t, `CREATE TRIGGER fault BEFORE INSERT ON users WHEN NEW.username = 'u0700' BEGIN SELECT RAISE(ABORT, 'full'); END`)
	var b strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&b, "{\"username\":\"u%04d\"}\n", i)
	}
	result, stderr, code := s.importFile(t, "users.jsonl", b.String())
	if code != 1 || !result.Incomplete || result.Through != 500 || result.Created != 500 || !strings.Contains(stderr, "the lines up to 500 are done, none after it") {
		t.Errorf("code %d: %+v\n%s", code, result, stderr)
	}
	if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`); n != "500" {
		t.Errorf("%s accounts", n)
	}
}

// interruptedReader returns lines, and ends a context when it is asked for more.
type interruptedReader struct {
	parts  []string
	cancel context.CancelFunc
}

func (r *interruptedReader) Read(p []byte) (int, error) {
	if len(r.parts) == 0 {
		return 0, io.EOF
	}
	if len(r.parts) == 1 {
		r.cancel()
	}
	n := copy(p, r.parts[0])
	r.parts = r.parts[1:]
	return n, nil
}

// An interrupt by the keyboard is not success, and the command says how far it came.
func TestAnInterruptByTheKeyboard(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		lines := func(from, to int) string {
			var b strings.Builder
			for i := from; i < to; i++ {
				fmt.Fprintf(&b, "{\"username\":\"u%04d\"}\n", i)
			}
			return b.String()
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var stdout, stderr bytes.Buffer
		code := run(ctx, []string{"user", "import", "-"}, environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()},
			cli.Env{Stdin: &interruptedReader{[]string{lines(0, 1000), lines(1000, 1600)}, cancel}, Stdout: &stdout, Stderr: &stderr, Now: time.Now})
		if code != 1 || !strings.Contains(stderr.String(), "interrupted\n  the lines up to 1000 are done, none after it") {
			t.Errorf("code %d: %s%s", code, stdout.String(), stderr.String())
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`); n != "1000" {
			t.Errorf("%s accounts", n)
		}
	})
}

// The guide shows what --check prints.
func TestTheGuideShowsACheck(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	guide, err := os.ReadFile("../../docs/guides/administration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(guide), "conflicts with existing accounts included:\n\n```\n")
	shown, _, found := strings.Cut(shown, "```")
	if !found {
		t.Fatal("the guide has no such block")
	}
	hash, _ := vectorHash(t, "$2b$")
	rows := []string{"username,email,password_hash"}
	for i := range 1000 {
		rows = append(rows, fmt.Sprintf("u%d,,%s", i, hash))
	}
	rows[11], rows[39] = "bad,bad,", "old,,$6$salt$sum"
	s.imports(t, `{"username":"u0","password_hash":"`+hash+`"}`)
	file := writeFile(t, "users.csv", strings.Join(rows, "\n"))
	stdout, stderr, _ := s.sesame(t, "", "user", "import", "--check", file)
	stderr, _, _ = strings.Cut(strings.ReplaceAll(stderr, file, "users.csv"), "sesame: ")
	if stderr+stdout != shown {
		t.Errorf("--check prints\n%s%sand the guide shows\n%s", stderr, stdout, shown)
	}
}
