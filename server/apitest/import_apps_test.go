package apitest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sesame/gen/api"
)

// hashConfig is what Firebase's console shows for the project of the sample that github.com/firebase/scrypt publishes.
const hashConfig = `hash_config {
  algorithm: SCRYPT,
  base64_signer_key: jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==,
  base64_salt_separator: Bw==,
  rounds: 8,
  mem_cost: 14,
}
`

const (
	firebaseSum  = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
	firebaseSalt = "42xEC+ixf3L2lw=="
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Exports of Firebase, as JSON and as CSV without a header: people keep their passwords.
func TestExportsOfFirebase(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		config := writeFile(t, "hash_config.txt", hashConfig)
		document := fmt.Sprintf(`{"users": [
{
  "localId": "a1", "email": "ann@example.com", "emailVerified": true, "passwordHash": %q, "salt": %q, "displayName": "Ann; Lee",
  "createdAt": "1486324027000", "lastSignedInAt": "1486324027000", "disabled": false, "providerUserInfo": [{"providerId": "google.com"}]
},
{"localId": "b2", "email": "bob@example.com", "emailVerified": false, "displayName": "Bob", "createdAt": "1486324027000", "disabled": true},
{"localId": "c3", "phoneNumber": "+15550100", "createdAt": "1486324027000"}
]}`, firebaseSum, firebaseSalt)
		blank := strings.Repeat(",", 17)
		table := "a1,ann@example.com,true," + firebaseSum + "," + firebaseSalt + ",Ann; Lee" + blank + ",1486324027000,1486324027000,,false,\n" +
			"b2,bob@example.com,false,,,Bob" + blank + ",1486324027000,,,true,\n" + "c3,,false,,," + blank + ",1486324027000,,+15550100,,\n"
		for name, text := range map[string]string{"users.json": document, "users.csv": table} {
			s.sql(t, `DELETE FROM users`)
			result, stderr, code := s.importFile(t, name, text, "--from", "firebase", "--firebase-hash-config", config)
			if code != 1 || result.Created != 2 || result.Passwordless != 1 || result.Reasons["missing_field"] != 1 || result.Refused[0].Field != "email" || len(result.Usernames) != 2 {
				t.Fatalf("%s: %+v %s", name, result, stderr)
			}
			if stored := s.value(t, `SELECT email || ' ' || CASE WHEN disabled THEN 'disabled' ELSE 'enabled' END FROM users WHERE username = 'bob_at_example.com'`); stored != "bob@example.com disabled" {
				t.Errorf("%s: bob is %s", name, stored)
			}
			token := decode[api.Token](s.do(t, passwordGrant("ann@example.com", "user1password")).want(200)).AccessToken
			if u := s.me(t, token); u.FullName.MustGet() != "Ann; Lee" || u.CreatedAt.Year() != 2017 || !u.EmailVerified {
				t.Errorf("%s: %+v", name, u)
			}
			if stored := s.value(t, `SELECT password_hash FROM users WHERE username = 'ann_at_example.com'`); strings.HasPrefix(stored, "$fbscrypt$") {
				t.Errorf("%s: the login has not replaced the hash", name)
			}
			if again, _, _ := s.importFile(t, name, text, "--from", "firebase", "--firebase-hash-config", config); again.Present != 2 {
				t.Errorf("%s: again %+v", name, again)
			}
		}
		result, _, _ := s.importFile(t, "users.json", strings.ReplaceAll(document, "ann@", "new@"), "--from", "firebase")
		if result.Refused[0].Field != "passwordHash" || !strings.Contains(result.Refused[0].Reason, "--firebase-hash-config") || strings.Contains(fmt.Sprint(result), firebaseSum) {
			t.Errorf("without the parameters: %+v", result)
		}
		for replaced, reason := range map[[2]string]string{
			{"SCRYPT", "BCRYPT"}: "algorithm must be SCRYPT", {"rounds: 8", ""}: "rounds is missing", {"14", "x"}: "mem_cost is missing", {"jxspr8Ki", "!!"}: "base64_signer_key is missing or not base64",
		} {
			bad := writeFile(t, "bad.txt", strings.Replace(hashConfig, replaced[0], replaced[1], 1))
			if _, stderr, code := s.importFile(t, "users.json", document, "--from", "firebase", "--firebase-hash-config", bad); code != 1 || !strings.Contains(stderr, reason) || strings.Contains(stderr, "KbdLGj") {
				t.Errorf("code %d: %s, want %s", code, stderr, reason)
			}
		}
	})
}

// People of other applications log in with the passwords that they had there.
func TestExportsOfOthers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		bcrypt, bcryptPlain := vectorHash(t, "$2b$")
		django, djangoPlain := vectorHash(t, "pbkdf2_sha256$")
		argon, argonPlain := vectorHash(t, "$argon2id$v=19$m=1024,t=1")
		parts := strings.Split(argon, "$")
		quoted := func(v any) string {
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			second, _ := json.Marshal(string(text))
			return string(second)
		}
		lanes := parts[3][strings.LastIndexByte(parts[3], '=')+1:]
		realm := fmt.Sprintf(`{"realm": "x", "roles": {"realm": [{"name": "users"}]}, "users": [
{"username": "ann", "email": "ann@example.com", "emailVerified": true, "firstName": "Ann", "lastName": "Lee", "enabled": true, "createdTimestamp": 1486324027000,
 "credentials": [{"type": "otp"}, {"type": "password", "secretData": %s, "credentialData": %s}]},
{"username": "bob@example.com", "email": "bob@example.com", "enabled": false, "credentials": []},
{"username": "service-account-x", "serviceAccountClientId": "x"},
{"username": "cy", "credentials": [{"type": "password", "secretData": "{\"value\":\"YQ==\",\"salt\":\"YQ==\"}", "credentialData": "{\"hashIterations\":27500,\"algorithm\":\"pbkdf2\"}"}]}
]}`, quoted(map[string]any{"value": parts[5] + "=", "salt": parts[4] + "=="}), quoted(map[string]any{
			"hashIterations": 1, "algorithm": "argon2",
			"additionalParameters": map[string][]string{"hashLength": {"32"}, "memory": {"1024"}, "type": {"id"}, "version": {"1.3"}, "parallelism": {lanes}},
		}))
		for _, c := range []struct{ from, name, text, login, plain, want string }{
			{
				"django", "dump.json", `[{"model": "auth.group", "pk": 1, "fields": {"name": "editors"}},
{"model": "auth.user", "pk": 1, "fields": {"password": "` + django + `", "is_superuser": true, "username": "ann", "first_name": "Ann", "last_name": "Lee",
 "email": "ann@example.com", "is_active": true, "date_joined": "2017-02-05T19:47:07.123Z", "groups": [1], "user_permissions": []}},
{"model": "auth.user", "pk": 2, "fields": {"password": "", "username": "bob", "first_name": "", "last_name": "", "email": "", "is_active": true}}]`,
				"ann", djangoPlain, "2 created, 1 without a password, 0 refused",
			},
			{
				"supabase", "users.csv", "id,email,encrypted_password,email_confirmed_at,raw_user_meta_data,created_at,banned_until\n" +
					"1,ann@example.com," + bcrypt + ",2017-02-05 19:47:07.123+00,\"{\"\"name\"\": \"\"Ann Lee\"\"}\",2017-02-05 19:47:07.123+00,\n" +
					"2,bob@example.com,,,,2017-02-05 19:47:07+00,2999-01-01 00:00:00+00\n" +
					"3,bobby@example.com,,,,2017-02-05 19:47:07+00,infinity\n4,carl@example.com,,,,2017-02-05 19:47:07+00,the end of time\n",
				"ann@example.com", bcryptPlain, "3 created, 2 without a password, 1 refused",
			},
			{
				"auth0", "users.json", `{"_id":{"$oid":"5f"},"email":"ann@example.com","email_verified":true,"passwordHash":"` + bcrypt + `","name":"Ann Lee","_tmp_is_unique":true}
{"_id":{"$oid":"60"},"email":"bob@example.com","email_verified":false,"name":"bob@example.com"}`,
				"ann@example.com", bcryptPlain, "2 created, 1 without a password, 0 refused",
			},
			{"keycloak", "realm.json", realm, "ann", argonPlain, "2 created, 1 without a password, 1 refused"},
		} {
			s.sql(t, `DELETE FROM users`)
			result, stderr, _ := s.importFile(t, c.name, c.text, "--from", c.from)
			if got := fmt.Sprintf("%d created, %d without a password, %d refused", result.Created, result.Passwordless, len(result.Refused)); got != c.want {
				t.Errorf("%s: %s: %+v %s", c.from, got, result, stderr)
				continue
			}
			token := decode[api.Token](s.do(t, passwordGrant(c.login, c.plain)).want(200)).AccessToken
			if c.from == "supabase" {
				if enabled := s.value(t, `SELECT CAST(count(*) AS text) FROM users WHERE NOT disabled AND username NOT LIKE 'ann%'`); enabled != "0" {
					t.Errorf("%s banned accounts are enabled", enabled)
				}
			}
			if u := s.me(t, token); u.FullName.MustGet() != "Ann Lee" || u.Email.MustGet() != "ann@example.com" || c.from != "auth0" && u.CreatedAt.Year() != 2017 {
				t.Errorf("%s: %+v", c.from, u)
			}
		}
	})
}

// Every scheme, from the file to the login, which replaces the hash.
func TestImportedHashesLogIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		beginnings := []string{
			"$argon2id$", "$argon2i$", "argon2$argon2id$", "$2a$", "$2b$", "$2y$", "bcrypt$$2b$", "bcrypt_sha256$$2b$", "$scrypt$ln=8", "scrypt$", "scrypt:256",
			"$fbscrypt$v=1,n=8", "$pbkdf2-sha256$1000$", "$pbkdf2-sha256$i=1000,l=32$", "$pbkdf2-sha256$i=1000$", "$pbkdf2-sha512$i=1000$", "pbkdf2_sha256$", "pbkdf2:sha256:1000", "pbkdf2:sha512:1000",
		}
		var lines []string
		passwords := make([]string, len(beginnings))
		for i, beginning := range beginnings {
			hash, plain := vectorHash(t, beginning)
			lines, passwords[i] = append(lines, fmt.Sprintf(`{"username":"u%d","password_hash":%q}`, i, hash)), plain
		}
		if outcome, refused := s.imports(t, lines...); outcome.Created != len(beginnings) {
			t.Fatalf("%+v %v", outcome, refused)
		}
		for i, plain := range passwords {
			s.do(t, passwordGrant(fmt.Sprint("u", i), plain+"x")).want(400, "invalid_grant")
			s.do(t, passwordGrant(fmt.Sprint("u", i), plain)).want(200)
		}
		if old := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE password_hash NOT LIKE '$argon2id$v=19$m=8,t=1,p=1$%'`); old != "0" {
			t.Errorf("%s hashes are not replaced", old)
		}
	})
}

// An account without a password is imported as one, however its application writes that, and counted.
func TestUnusablePasswordsMeanNoPassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for i, hash := range []string{"", "!", "!abcdefghijklmnopqrstuvwxyz", "*", "*0", "*unusable"} {
			for from, text := range map[string]string{
				"django": "username,password\nann,%s\n", "fastapi-users": "email,hashed_password\nann@example.com,%s\n", "sesame": "username,password_hash\nann,%s\n",
			} {
				s.sql(t, `DELETE FROM users`)
				result, stderr, code := s.importFile(t, "users.csv", fmt.Sprintf(text, hash), "--from", from)
				if code != 0 || result.Created != 1 || result.Passwordless != 1 {
					t.Errorf("%d, %s, %q: %+v %s", i, from, hash, result, stderr)
				}
				if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE password_hash IS NULL`); n != "1" {
					t.Errorf("%s, %q: a hash is stored", from, hash)
				}
			}
		}
		result, _, code := s.importFile(t, "users.jsonl", `{"username":"bob"}`, "--from", "django")
		if code != 1 || result.Reasons["missing_field"] != 1 || result.Refused[0].Field != "password" {
			t.Errorf("a missing column: %+v", result)
		}
	})
}

// No address refuses a row: whatever it is, its account gets a valid, unique username, the same at the next run.
func TestEveryAddressGetsAUsername(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		random := rand.New(rand.NewPCG(5, 6))
		alphabets := []string{"abcdefghijklmnopqrstuvwxyz", "ABCxyz019.-+_'", "абвгдежзийклмнопрстуфхцчшщ", "αβγδεζηθ", "漢字仮名ひらがな", "éüßøñ", "אבגדה", "abcабв"}
		seen := map[string]bool{}
		var table strings.Builder
		table.WriteString("email,hashed_password,is_verified\n")
		for len(seen) < 400 {
			letters := []rune(alphabets[random.IntN(len(alphabets))])
			local := []rune{letters[random.IntN(len(letters))]}
			for len(string(local)) < 1+random.IntN(60) {
				local = append(local, letters[random.IntN(len(letters))])
			}
			email := strings.Trim(strings.ReplaceAll(string(local), "..", "."), ".'") + []string{"@example.com", "@a.example", "@пример.example", "@a-rather-long-name-of-a-company.example.com"}[random.IntN(4)]
			key := strings.ToLower(email)
			if seen[key] || strings.HasPrefix(email, "@") {
				continue
			}
			seen[key] = true
			fmt.Fprintf(&table, "%s,,t\n", email)
		}
		fmt.Fprintf(&table, "%s@example.com,,t\n", strings.Repeat("x", 62))
		table.WriteString("É@example.com,,t\né@example.com,,t\n") // two mailboxes, whose names are one
		result, stderr, code := s.importFile(t, "users.csv", table.String(), "--from", "fastapi-users")
		if code != 0 || result.Created != len(seen)+3 || len(result.Usernames) != result.Created {
			t.Fatalf("%d created of %d: %+v %s", result.Created, len(seen)+3, result.Refused, stderr)
		}
		again, _, _ := s.importFile(t, "users.csv", table.String(), "--from", "fastapi-users")
		if again.Present != result.Created || fmt.Sprint(again.Usernames) != fmt.Sprint(result.Usernames) {
			t.Errorf("again: %d present, %+v", again.Present, again.Refused)
		}
		for _, made := range result.Usernames[len(seen):] {
			if email := s.value(t, `SELECT email FROM users WHERE username = '`+made.Username+`'`); email != made.Login {
				t.Errorf("%s has the account of %s", made.Username, email)
			}
		}
		console, _, _ := s.sesame(t, "email,hashed_password\nиван@example.org,\nnew@example.org,\n", "user", "import", "--from", "fastapi-users", "-")
		if !strings.Contains(console, "line 2: the username of иван@example.org is иван-") || strings.Contains(console, "line 3") || !strings.Contains(console, "2 usernames were made from addresses") {
			t.Error(console)
		}
	})
}

// A made username that somebody else has is not taken for the record's: the account gets another one.
func TestAMadeUsernameOfAnotherAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.create(t, map[string]any{"username": "ann_at_example.com", "password": horse, "email": "ann@example.com"}).want(201) // a claim
		s.create(t, map[string]any{"username": "olga", "password": horse, "email": "olga@example.com"}).want(201)
		s.sql(t, `UPDATE users SET email_verified = TRUE WHERE username = 'olga'`)
		text := "email,hashed_password,is_verified\nann@example.com,,t\nolga@example.com,,t\nbob@example.com,,f\nBob@example.com,,f\nOlga@Example.com,,f\n"
		for _, again := range []bool{false, true} {
			result, stderr, code := s.importFile(t, "users.csv", text, "--from", "fastapi-users")
			if code != 1 || result.Created+result.Present != 3 || (result.Created == 0) != again || result.Reasons["duplicate"] != 2 || result.Refused[0].Line != 5 || result.Refused[1].Line != 6 {
				t.Fatalf("%+v %s", result, stderr)
			}
			for n, want := range []string{"ann-", "olga", "bob_at_example.com"} {
				if !strings.HasPrefix(result.Usernames[n].Username, want) {
					t.Errorf("%+v", result.Usernames[n])
				}
			}
		}
		s.do(t, passwordGrant("ann_at_example.com", horse)).want(200)
	})
}
