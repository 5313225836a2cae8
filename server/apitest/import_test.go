package apitest

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"sesame/gen/api"
)

// importOutcome is what `sesame user import --json` prints.
type importOutcome struct {
	Read, Created, Present int
	Refused                []struct {
		Line   int
		Reason string
	}
}

// imports runs the import of some lines, and gives its outcome and the reasons of the lines that it refused.
func (s *server) imports(t *testing.T, lines ...string) (outcome importOutcome, refused map[int]string) {
	t.Helper()
	stdout, stderr, code := s.sesame(t, strings.Join(lines, "\n"), "user", "import", "-", "--json")
	if err := json.Unmarshal([]byte(stdout), &outcome); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	if want := map[bool]int{true: 1, false: 0}[len(outcome.Refused) > 0]; code != want {
		t.Errorf("the exit code is %d with %d refused lines", code, len(outcome.Refused))
	}
	refused = map[int]string{}
	for _, r := range outcome.Refused {
		refused[r.Line] = r.Reason
	}
	return outcome, refused
}

// N4: an account that a stranger registered before an import is not taken for the record of the same name, whatever
// the stranger claims. It is, if an address that its owner has confirmed, or the hash, agrees.
func TestAnImportTakesNobodyElsesAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		hash, _ := vectorHash(t, "$2b$")
		record := func(name string, more string) string {
			return fmt.Sprintf(`{"username":%q,"email":"%s@record.example"%s}`, name, name, more)
		}
		verified := `,"email_verified":true`
		claim := func(name, email string) {
			t.Helper()
			s.create(t, map[string]any{"username": name, "password": horse, "email": email}).want(201)
		}
		claim("other", "other@elsewhere.example")
		claim("claims", "claims@record.example") // and has not confirmed it
		claim("CAPITALS", "x@elsewhere.example")
		claim("without", "without@record.example")
		claim("confirmed", "Confirmed@Record.example")
		claim("wrongly", "wrongly@elsewhere.example")
		s.sql(t, `UPDATE users SET email_verified = TRUE WHERE username IN ('confirmed', 'wrongly')`)
		claim("hashed", "hashed@elsewhere.example")
		s.sql(t, `UPDATE users SET password_hash = '`+hash+`' WHERE username = 'hashed'`)
		before := s.value(t, `SELECT COUNT(*) FROM users`)

		outcome, refused := s.imports(t,
			record("other", verified), record("claims", verified), record("claims", ""), record("capitals", verified),
			`{"username":"without"}`, record("wrongly", verified), fmt.Sprintf(`{"username":"other","password_hash":%q}`, hash),
			record("confirmed", verified), fmt.Sprintf(`{"username":"hashed","password_hash":%q}`, hash), record("new", verified))
		for line := 1; line <= 7; line++ {
			if !strings.Contains(refused[line], "belongs to another account") {
				t.Errorf("line %d: %q", line, refused[line])
			}
		}
		if outcome.Read != 10 || outcome.Created != 1 || outcome.Present != 2 || len(refused) != 7 {
			t.Errorf("%+v", outcome)
		}
		if after := s.value(t, `SELECT COUNT(*) FROM users WHERE username <> 'new'`); after != before {
			t.Errorf("%s accounts, before %s", after, before)
		}
		s.do(t, passwordGrant("claims", horse)).want(200) // nobody else's account has changed either
	})
}

// N4: two lines of one file that collide are refused by number, also when they are far apart; the first one counts.
func TestLinesThatCollide(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		lines := []string{
			`{"username":"ann","email":"ann@example.com","email_verified":true}`,
			`{"username":"ANN"}`,
			`{"username":"ａｎｎ","email":"ann@example.com","email_verified":true}`,
			`{"username":"bob","email":"Ann@Example.com","email_verified":true}`,
			`{"username":"bob","email":"ann@example.com"}`, // a claim, which many may make
			`{"username":"eve","scopes":["invented"]}`,
			`{"username":"eve"}`, // the line before has taken nothing
		}
		for i := len(lines); i < 1000; i++ {
			lines = append(lines, fmt.Sprintf(`{"username":"u%d"}`, i))
		}
		lines = append(lines, `{"username":"Ann"}`, `{"username":"cy","email":"ANN@example.com","email_verified":true}`, lines[0])
		last := len(lines)
		want := map[int]string{2: "that of line 1", 3: "that of line 1", 4: "that of line 1", 6: "scopes", last - 2: "that of line 1", last - 1: "that of line 1", last: "that of line 1"}
		for _, again := range []bool{false, true} {
			outcome, refused := s.imports(t, lines...)
			for line, reason := range want {
				if !strings.Contains(refused[line], reason) {
					t.Errorf("again %t: line %d: %q", again, line, refused[line])
				}
			}
			if len(refused) != len(want) || outcome.Created+outcome.Present != last-len(want) || (outcome.Created == 0) != again {
				t.Errorf("again %t: %d created, %d present, refused %v", again, outcome.Created, outcome.Present, refused)
			}
		}
	})
}

// N4: an import that is run again finds its own accounts, whatever people have changed since; another file with a
// record of the same name does not find them.
func TestAnImportCanBeRunAgain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		hash, plain := vectorHash(t, "$2b$")
		lines := []string{
			fmt.Sprintf(`{"username":"ann","email":"ann@example.com","email_verified":true,"password_hash":%q}`, hash),
			fmt.Sprintf(`{"username":"bob","email":"bob@example.com","password_hash":%q}`, hash),
			fmt.Sprintf(`{"username":"cy","password_hash":%q}`, hash),
			`{"username":"dan"}`,
		}
		if outcome, refused := s.imports(t, lines...); outcome.Created != 4 {
			t.Fatalf("%+v %v", outcome, refused)
		}
		for _, name := range []string{"ann", "bob", "cy"} {
			s.do(t, passwordGrant(name, plain)).want(200) // which replaces the hash
		}
		s.sql(t, `UPDATE users SET email = 'moved@example.org', email_key = 'moved@example.org', email_verified = TRUE WHERE username = 'ann'`)
		s.sql(t, `UPDATE users SET email = NULL, email_key = NULL WHERE username = 'bob'`)
		token := decode[api.Token](s.do(t, passwordGrant("cy", plain)).want(200)).AccessToken
		s.do(t, request{method: "PUT", path: "/users/me/password", token: token, json: map[string]string{"current_password": plain, "new_password": plain + "!"}}).want(204)
		if outcome, refused := s.imports(t, lines...); outcome.Present != 4 {
			t.Errorf("%+v %v", outcome, refused)
		}
		outcome, refused := s.imports(t, `{"username":"ann","email":"ann@another-company.example","email_verified":true}`,
			fmt.Sprintf(`{"username":"cy","password_hash":%q}`, strings.Replace(hash, "$2b$", "$2y$", 1)), lines[1])
		if outcome.Present != 1 || len(refused) != 2 || outcome.Created != 0 {
			t.Errorf("others of the same names: %+v %v", outcome, refused)
		}
		// A name that is deleted and registered again is somebody else (T5).
		s.sql(t, `DELETE FROM users WHERE username = 'ann'`)
		s.register(t, "ann")
		if _, refused = s.imports(t, lines...); len(refused) != 1 || refused[1] == "" {
			t.Errorf("refused are %v", refused)
		}
	})
}

// N4: of an account that was imported before imports were noted, the record of events tells.
func TestImportsOfEarlierVersionsAreKnownAgain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const old = `{"username":"ann","email":"ann@example.com","created_at":"2020-01-02T03:04:05Z"}`
		s.imports(t, old)
		s.register(t, "bob")
		if _, stderr, code := s.sesame(t, horse, "user", "create", "cy"); code != 0 {
			t.Fatal(stderr)
		}
		s.sql(t, `UPDATE users SET imported_as = NULL`)
		migration, err := os.ReadFile("../internal/store/migrations/00011_imports.sql")
		if err != nil {
			t.Fatal(err)
		}
		s.sql(t, regexp.MustCompile(`(?s)UPDATE users.*?;`).FindString(string(migration)))
		outcome, refused := s.imports(t, old, `{"username":"bob"}`, `{"username":"cy"}`)
		if outcome.Present != 1 || refused[2] == "" || refused[3] == "" || len(refused) != 2 {
			t.Errorf("%+v %v", outcome, refused)
		}
	})
}
