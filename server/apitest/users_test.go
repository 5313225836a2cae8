package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/password"
)

func TestUserCommands(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		ann := s.newcomer(t, "Ann")
		id := decode[api.User](s.do(t, me(ann.AccessToken)).want(200)).ID
		for _, account := range []string{"ann", "ANN", id} {
			if shown := succeeds(t, "", e, "user", "show", account); !strings.Contains(shown, id) || !regexp.MustCompile(`disabled +no`).MatchString(shown) {
				t.Errorf("%s shows %s", account, shown)
			}
		}
		s.sql(t, `UPDATE users SET email_verified = TRUE WHERE id = '`+id+`'`)
		if shown := succeeds(t, "", e, "user", "show", "Ann@Example.com"); !strings.Contains(shown, "ann@example.com (verified)") {
			t.Errorf("shown is %s", shown)
		}
		for _, args := range [][]string{{"show"}, {"disable"}, {"enable"}, {"grant", "users:read"}, {"set-password"}} {
			fails(t, horse, e, `unknown account "nobody"`, append([]string{"user", args[0], "nobody"}, args[1:]...)...)
		}

		if shown := succeeds(t, "", e, "user", "disable", "ann"); !regexp.MustCompile(`disabled +yes`).MatchString(shown) {
			t.Errorf("shown is %s", shown)
		}
		s.do(t, me(ann.AccessToken)).want(401, "invalid_token")
		succeeds(t, "", e, "user", "enable", "ann")
		session := s.login(t, "ann")

		fails(t, "", e, `unknown scope "users:destroy" in <scope>; the contract declares clients:read, clients:write, email, events:read, me:delete, me:read`, "user", "grant", "ann", "users:destroy")
		var shown struct{ Scopes []string }
		printed := succeeds(t, "", e, "user", "grant", "ann", "users:read", "users:write", "--json")
		if err := json.Unmarshal([]byte(printed), &shown); err != nil || strings.Join(shown.Scopes, " ") != ownScopes()+" users:read users:write" {
			t.Errorf("%v: %s", err, printed)
		}
		fails(t, "", e, "last administrator", "user", "disable", "ann")
		fails(t, "", e, "last administrator", "user", "grant", "ann", "users:write", "--revoke")
		if shown := succeeds(t, "", e, "user", "grant", "ann", "users:read", "--revoke"); !strings.Contains(shown, ownScopes()+" users:write") {
			t.Errorf("shown is %s", shown)
		}

		fails(t, "1234567\n", e, "the password", "user", "set-password", "ann")
		fails(t, "ann-2026!\n", e, "the password", "user", "set-password", "ann")
		s.do(t, me(session.AccessToken)).want(200)
		succeeds(t, "another wooden horse\n", e, "user", "set-password", "ann")
		s.do(t, me(session.AccessToken)).want(401, "invalid_token")
		s.do(t, passwordGrant("ann", horse)).want(400, "invalid_grant")
		s.do(t, passwordGrant("ann", "another wooden horse")).want(200)
	})
}

// userList is what user list --json prints.
type userList struct {
	Items     []struct{ Username string }
	OldHashes int64 `json:"old_hashes"`
}

func listed(t *testing.T, e environment, args ...string) (names string, old int64) {
	t.Helper()
	var list userList
	printed := succeeds(t, "", e, append([]string{"user", "list", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(printed), &list); err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	for _, user := range list.Items {
		names += user.Username + " "
	}
	return strings.TrimSpace(names), list.OldHashes
}

// vectorHash gives a hash that another program made, and its password.
func vectorHash(t *testing.T, beginning string) (hash, plain string) {
	t.Helper()
	text, err := os.ReadFile("../internal/password/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Hash, Password string }
	if err = json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		if strings.HasPrefix(v.Hash, beginning) && len(v.Password) >= 8 {
			return v.Hash, v.Password
		}
	}
	t.Fatalf("no vector begins with %s", beginning)
	return "", ""
}

func TestUserImport(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		hash, plain := vectorHash(t, "pbkdf2_sha256$")
		s.register(t, "present")
		lines := fmt.Sprintf(`{"username":"Ann","email":"ann@example.com","email_verified":true,"full_name":"Ann Example","password_hash":%q,"created_at":"2020-01-02T03:04:05Z"}
{"username":"bob","disabled":true,"scopes":["users:read"]}

{"username":"present"}
{"username":"eve home"}
{"username":"eve","email":"ANN@example.com","email_verified":true}
{"username":"eve","email":"eve"}
{"username":"eve","password_hash":"$argon2id$v=19$m=1099511627776,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"}
{"username":"eve","password_hash":"plain"}
{"username":"eve","created_at":"yesterday"}
{"username":"eve","disabled":"perhaps"}
{"username":"eve","scopes":["root"]}
{"username":"eve","user_name":"x"}
{"username":"eve","username":"eve"}
{"username":5}
{"email":"eve@example.com"}
eve
{"username":"%s"}
`, hash, strings.Repeat("e", 70_000))
		var outcome importOutcome
		stdout, stderr, code := s.sesame(t, lines, "user", "import", "-", "--json")
		if err := json.Unmarshal([]byte(stdout), &outcome); err != nil || code != 1 {
			t.Fatalf("code %d: %v: %s\n%s", code, err, stdout, stderr)
		}
		refused := map[int]string{}
		for _, r := range outcome.Refused {
			refused[r.Line] = r.Reason
		}
		for line, reason := range map[int]string{
			4: "belongs to another account", 5: "the username", 6: "that of line 1", 7: "the email", 8: "password_hash", 9: "password_hash",
			10: "created_at", 11: "disabled", 12: "scopes", 13: "user_name", 14: "duplicate key", 15: "username", 16: "username is missing", 17: "not a JSON object", 18: "too long",
		} {
			if !strings.Contains(refused[line], reason) {
				t.Errorf("line %d: %q, want %q", line, refused[line], reason)
			}
		}
		if outcome.Read != 17 || outcome.Created != 2 || outcome.Present != 0 || len(outcome.Refused) != 15 {
			t.Errorf("%+v", outcome)
		}
		if strings.Contains(stdout+stderr, hash) || strings.Contains(stdout+stderr, "plain") {
			t.Error("a hash is repeated")
		}
		if names, old := listed(t, e); names != "Ann bob present" || old != 1 {
			t.Errorf("%s, %d old hashes", names, old)
		}
		if names, _ := listed(t, e, "--disabled"); names != "bob" {
			t.Errorf("disabled are %s", names)
		}
		token := decode[api.Token](s.do(t, passwordGrant("ann@example.com", plain)).want(200)).AccessToken
		user := decode[api.User](s.do(t, me(token)).want(200))
		if user.FullName.MustGet() != "Ann Example" || user.CreatedAt.Year() != 2020 {
			t.Errorf("%+v", user)
		}
		if _, old := listed(t, e); old != 0 {
			t.Errorf("%d old hashes are left after the login", old)
		}
		// Again: nothing is created, and nothing is changed.
		stdout, _, _ = s.sesame(t, lines, "user", "import", "-", "--json")
		outcome = importOutcome{}
		if err := json.Unmarshal([]byte(stdout), &outcome); err != nil || outcome.Created != 0 || outcome.Present != 2 || len(outcome.Refused) != 15 {
			t.Errorf("%v: again %+v", err, outcome)
		}
	})
}

// An export can be imported, and nothing is lost.
func TestExportedAccountsAreImported(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.administrator(t, "root")
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		exported := succeeds(t, "", e, "user", "export")
		file := filepath.Join(t.TempDir(), "users.jsonl")
		succeeds(t, "", e, "user", "export", file)
		fails(t, "", e, "exists", "user", "export", file)
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v: the file's mode is %v", err, info.Mode())
		}
		other := environment{"SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_MASTER_KEY": testKey()}
		succeeds(t, "", other, "migrate")
		if said := succeeds(t, "", other, "user", "import", file); !strings.HasPrefix(said, "2 read: 2 created, 0 already present, 0 refused.") {
			t.Error(said)
		}
		if again := succeeds(t, "", other, "user", "export"); again != exported {
			t.Errorf("exported\n%s\nand from the copy\n%s", exported, again)
		}
	})
}

// The tables of others, as COPY … TO … CSV HEADER and sqlite3 -csv -header write them.
func TestTablesOfOthers(t *testing.T) {
	t.Parallel()
	argon, plain := vectorHash(t, "$argon2id$")
	bcrypt, bcryptPlain := vectorHash(t, "$2b$")
	django, djangoPlain := vectorHash(t, "pbkdf2_sha256$")
	for from, c := range map[string]struct{ csv, login, plain, shown string }{
		"fastapi-template": {
			"email,is_active,is_superuser,full_name,id,hashed_password,created_at\n" +
				"ann@example.com,t,f,Ann Example,7c9e6679-7425-40de-944b-e07fc1f90ae7," + bcrypt + ",2024-01-02 03:04:05.123+00\n" +
				"bob@example.com,f,t,,7c9e6679-7425-40de-944b-e07fc1f90ae8," + bcrypt + ",\n",
			"ann@example.com", bcryptPlain, "ann_at_example.com ann@example.com true Ann Example 2024",
		},
		"fastapi-users": {
			"id,email,hashed_password,is_active,is_superuser,is_verified\n" +
				"7c9e6679742540de944be07fc1f90ae7,ann@example.com,\"" + argon + "\",1,0,1\n",
			"ann@example.com", plain, "ann_at_example.com ann@example.com true  ",
		},
		"django": {
			"id,password,last_login,is_superuser,username,last_name,email,is_staff,is_active,date_joined,first_name\n" +
				"1," + django + ",,0,ann,Example,ann@example.com,0,1,2024-01-02 03:04:05.678901,Ann\n" +
				"2,!unusable,,0,bob,,,0,1,2024-01-02 03:04:05,\n",
			"ann", djangoPlain, "ann ann@example.com false Ann Example 2024",
		},
	} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			s := start(t, sqliteURL(t))
			e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
			file := filepath.Join(t.TempDir(), "table.csv")
			if err := os.WriteFile(file, []byte("\ufeff"+c.csv), 0o600); err != nil {
				t.Fatal(err)
			}
			succeeds(t, "", e, "user", "import", "--from", from, file)
			if again := succeeds(t, "", e, "user", "import", "--from", from, file); !strings.Contains(again, ": 0 created") {
				t.Error(again)
			}
			token := decode[api.Token](s.do(t, passwordGrant(c.login, c.plain)).want(200)).AccessToken
			u := decode[api.User](s.do(t, me(token)).want(200))
			name, _ := u.FullName.Get()
			got := fmt.Sprintf("%s %s %t %s %d", u.Username, u.Email.MustGet(), u.EmailVerified, name, u.CreatedAt.Year())
			if !strings.HasPrefix(got, c.shown) {
				t.Errorf("got %s, want %s", got, c.shown)
			}
			fails(t, "username\nann\n", e, "no column", "user", "import", "--from", from, "--format", "csv", "-")
		})
	}
}

func TestTablesThatAreRefusedWhole(t *testing.T) {
	t.Parallel()
	e := environment{"SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_MASTER_KEY": testKey()}
	succeeds(t, "", e, "migrate")
	for reason, text := range map[string]string{
		"header cannot be read": "", "no column username": "email\nann@example.com\n", `unknown column "pasword_hash"`: "username,pasword_hash\nann,x\n",
	} {
		fails(t, text, e, reason, "user", "import", "--format", "csv", "-")
	}
	fails(t, "", e, "there is no file", "user", "import", filepath.Join(t.TempDir(), "nothing"))
	fails(t, "", e, "", "user", "import", "--from", "nobody", "-")
	stdout, stderr, code := command(t, "username,email\nann,ann@example.com\nbob\n\"eve\"x,\ncy,\"cy@example.com\"\n", e, "user", "import", "--format", "csv", "-")
	if code != 1 || !strings.Contains(stdout, "4 read: 2 created, 0 already present, 2 refused") ||
		!strings.Contains(stderr, "line 3: is not valid CSV") || !strings.Contains(stderr, "line 4: is not valid CSV") {
		t.Errorf("code %d: %s\n%s", code, stdout, stderr)
	}
}

// Whatever is known to be a hash at import can be verified at login.
func TestKnownHashes(t *testing.T) {
	t.Parallel()
	hash, _ := vectorHash(t, "$2b$")
	for text, known := range map[string]bool{hash: true, "": false, "x": false, hash[:20]: false} {
		if err := password.CheckStored(text); (err == nil) != known {
			t.Errorf("%q: %v, want it known: %t", text, err, known)
		}
	}
}

// A long import is in order and whole. Only a terminal is shown how far it is.
func TestALongImport(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		var b bytes.Buffer
		for i := range 10_001 {
			fmt.Fprintf(&b, "{\"username\":\"u%05d\",\"email\":\"u%05d@example.com\",\"email_verified\":true}\n", i, i)
		}
		stdout, stderr, code := s.sesame(t, b.String(), "user", "import", "-")
		if code != 0 || !strings.HasPrefix(stdout, "10001 read: 10001 created, 0 already present, 0 refused.") || stderr != "" {
			t.Errorf("code %d: %s\n%s", code, stdout, stderr)
		}
	})
}
