package apitest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"sesame/gen/api"
	"sesame/server/internal/account"
)

// N11, L9: the names that are refused, wherever a name is given.
func TestNamesThatAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		id, root := s.administrator(t, "root")
		token := s.newcomer(t, "ann").AccessToken
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		for _, name := range []string{
			"https://evil.example/reset", "evil.example/reset", `evil\reset`, "mailto:ann", "a／b", "a：b", "a\u202eb", "a\u2067b", "a\u009bb", "a\x1b[2Jb", "e" + strings.Repeat("\u0301", 9),
		} {
			s.create(t, map[string]any{"username": name, "password": horse}).want(422, "validation_failed").pointsAt("/username")
			create := request{method: "POST", path: "/users", token: root, json: map[string]any{"username": name, "password": horse}}
			s.do(t, create).want(422, "validation_failed").pointsAt("/username")
			full := map[string]any{"full_name": name}
			s.create(t, map[string]any{"username": "bob", "password": horse, "full_name": name}).want(422, "validation_failed").pointsAt("/full_name")
			s.do(t, request{method: "PATCH", path: "/users/me", token: token, json: full}).want(422, "validation_failed").pointsAt("/full_name")
			s.change(t, root, id, full).want(422, "validation_failed").pointsAt("/full_name")
			fails(t, horse, e, "<username> ", "user", "create", name)
			fails(t, horse, e, "--full-name ", "user", "create", "bob", "--full-name", name)
			record, err := json.Marshal(name)
			if err != nil {
				t.Fatal(err)
			}
			_, refused := s.imports(t, `{"username":`+string(record)+`}`, `{"username":"bob","full_name":`+string(record)+`}`)
			if !strings.Contains(refused[1], "the username") || !strings.Contains(refused[2], "the full_name") {
				t.Errorf("%q: an import refuses %v", name, refused)
			}
		}
		s.do(t, request{method: "PATCH", path: "/users/me", token: token, json: map[string]any{"full_name": "محمد\u200cرضا"}}).want(200)
		s.do(t, request{method: "PATCH", path: "/users/me", token: token, json: map[string]any{"full_name": nil}}).want(200)
		// An address is text that others see as well.
		for _, address := range []string{"a\u202eb@example.com", "a\u0085b@example.com", "ann@ex\u200bample.com"} {
			s.create(t, map[string]any{"username": "bob", "password": horse, "email": address}).want(422, "validation_failed").pointsAt("/email")
		}
	})
}

// N11: registration refuses names of authority and names that look like them; administrators and their programs can
// give them.
func TestNamesOfAuthorityAreNotForStrangers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root") // the command line may
		c := s.makeClient(t, "provisioning", "--scope", "users:write")
		program := decode[api.Token](s.do(t, c.sends(clientGrant(""))).want(200)).AccessToken
		person := s.newcomer(t, "ann").AccessToken
		for _, name := range []string{"admin", "Support", "admi\u0307n", "ɑdmin", "admın", "adm1n", "ADMlN", "r00t", "ad.min", "sesame-support", "ТЕАМ", "ａｄｍｉｎ", "postmaster"} {
			for caller, token := range map[string]string{"a stranger": "", "a person": person} {
				r := request{method: "POST", path: "/users", token: token, json: map[string]any{"username": name, "password": horse}}
				a := s.do(t, r).want(422, "validation_failed").pointsAt("/username")
				if !strings.Contains(string(a.body), "reserved") {
					t.Errorf("%s gets %s", caller, a.body)
				}
			}
		}
		for token, name := range map[string]string{root: "support", program: "admin"} {
			s.do(t, request{method: "POST", path: "/users", token: token, json: map[string]any{"username": name, "password": horse}}).want(201)
		}
		if outcome, refused := s.imports(t, `{"username":"postmaster"}`); outcome.Created != 1 {
			t.Errorf("an import refuses %v", refused)
		}
		s.do(t, passwordGrant("support", horse)).want(200)
		s.create(t, map[string]any{"username": "administer", "password": horse}).want(201)
	})
}

// N11: a name from before the rules still logs in, in any letter case.
func TestNamesFromBeforeStillLogIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for i, name := range []string{"ann:lee", "ann/lee", `ann\lee`, "admin"} {
			s.register(t, fmt.Sprint("u", i))
			s.sql(t, fmt.Sprintf(`UPDATE users SET username = '%s', username_key = '%[1]s' WHERE username = 'u%d'`, name, i))
			for _, login := range []string{name, strings.ToUpper(name)} {
				s.do(t, passwordGrant(login, horse)).want(200)
			}
		}
	})
}

// hostile is what a terminal must not be sent: escape sequences in seven and eight bits, a new line and column, DEL, and
// direction marks.
const hostile = "\x1b[2J\x1b]0;x\x07\u009b31m\nroot\tr\r\x7f\u202egpj\u2066\u200f\u2028"

// harmless fails the test if a text would do anything but be read.
func harmless(t *testing.T, where, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			t.Errorf("%s has %+q: %+q", where, r, text)
			return
		}
	}
	if !utf8.ValidString(text) {
		t.Errorf("%s is not valid UTF-8: %q", where, text)
	}
}

// N11: whatever is stored, by an older version or by hand, no command sends it to a terminal as it is.
func TestATerminalGetsNoControlCharacters(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.administrator(t, "boss")
		ann := s.register(t, "ann")
		c := s.makeClient(t, "billing")
		text := strings.ReplaceAll(hostile, "'", "''")
		s.sql(t, `UPDATE users SET username = 'ann`+text+`', full_name = '`+text+`', email = '`+text+`@example.com' WHERE username = 'ann'`)
		s.sql(t, `UPDATE clients SET name = '`+text+`', scopes = 'x`+strings.ReplaceAll(text, " ", "")+`'`)
		file := filepath.Join(t.TempDir(), "export.jsonl")
		id := ann.ID
		record, err := json.Marshal(map[string]any{"username": "x" + hostile})
		if err != nil {
			t.Fatal(err)
		}
		lines := string(record) + "\n{\"" + strings.ReplaceAll(hostile, "\n", "") + "\":1}\n"
		for _, command := range []struct {
			stdin string
			args  []string
			lines int // that a person is shown; 0: however many
		}{
			{"", []string{"user", "list"}, 5},
			{"", []string{"user", "show", id}, 7},
			{"", []string{"user", "disable", id}, 7},
			{"", []string{"user", "enable", id}, 7},
			{"", []string{"user", "grant", id, "users:read"}, 7},
			{horse, []string{"user", "set-password", id}, 7},
			{horse, []string{"user", "create", "x" + hostile}, 0},
			{lines, []string{"user", "import", "-"}, 0},
			{"", []string{"user", "show", hostile}, 0},
			{"", []string{"client", "list"}, 2},
			{"", []string{"client", "create", hostile}, 0},
			{"", []string{"client", "delete", hostile}, 0},
			{"", []string{"client", "delete", c.ID}, 1},
			{"", []string{"keys", "list"}, 0},
			{"", []string{"migrate"}, 1},
			{"", []string{"config"}, 0},
			{"", []string{"user", "export"}, 0},
			{"", []string{"user", "export", file}, 0},
			{"", []string{"mock", hostile}, 0},
			{"", []string{"serve", "--listen", hostile}, 0},
			{"", []string{hostile}, 0},
		} {
			stdout, stderr, _ := s.sesame(t, command.stdin, command.args...)
			where := fmt.Sprintf("%.40q", command.args)
			harmless(t, where, stdout)
			harmless(t, where, stderr)
			if n := strings.Count(stdout, "\n"); command.lines > 0 && n != command.lines {
				t.Errorf("%s prints %d lines, want %d:\n%s\n%s", where, n, command.lines, stdout, stderr)
			}
		}
		exported, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		harmless(t, "the exported file", string(exported))

		// A script reads what is stored, from output that would do a terminal no harm either.
		stdout, _, _ := s.sesame(t, "", "user", "show", id, "--json")
		harmless(t, "user show --json", stdout)
		var shown struct {
			Username string `json:"username"`
		}
		if err = json.Unmarshal([]byte(stdout), &shown); err != nil || shown.Username != "ann"+hostile {
			t.Errorf("%v: %s", err, stdout)
		}
		stdout, _, _ = s.sesame(t, "", "user", "list", "--json")
		harmless(t, "user list --json", stdout)
	})
}

// N11: neither do the log, in either format, with the mails in it, and the pages.
func TestALogAndAPageShowNoControlCharacters(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				ann := s.register(t, "ann")
				s.sql(t, `UPDATE users SET username = 'ann`+hostile+`', full_name = '`+hostile+`', email_verified = TRUE`)
				s.do(t, request{method: "POST", path: "/password-resets", json: map[string]string{"email": "ann@example.com"}}).want(202)
				for path, purpose := range map[string]account.Purpose{confirmPage: account.ToConfirm, resetPage: account.ToReset} {
					s.plantCode(t, path, purpose, ann.ID, "ann@example.com")
					a := s.page(t, open(path, path)).want(200)
					text, _, _ := strings.Cut(string(a.body), "<form") // which has the name as it is, for password managers
					_, text, _ = strings.Cut(text, "<main>")
					harmless(t, path, text)
				}
				s.untilNoneWaits(t)
				log := s.wholeLog()
				harmless(t, "the log", log)
				if !strings.Contains(log, "gpj") {
					t.Errorf("no mail with the name is in the log:\n%s", log)
				}
			}, "SESAME_LOG_FORMAT="+format)
		})
	}
}

// N11: the user agent is stored without its invisible characters.
func TestUserAgentsAreKeptAsTheyCanBeSeen(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		login := passwordGrant("ann", horse)
		login.header = map[string]string{"User-Agent": "Bot\u202e\u009b31m\u200b 語/1"}
		token := decode[api.Token](s.do(t, login).want(200)).AccessToken
		list := decode[api.SessionPage](s.do(t, request{method: "GET", path: "/users/me/sessions", token: token}).want(200))
		if got := list.Items[0].UserAgent; got != "Bot31m 語/1" {
			t.Errorf("got %q", got)
		}
	})
}
