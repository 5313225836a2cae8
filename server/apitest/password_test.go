package apitest

import (
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sesame/gen/api"
)

// breachList writes a file in the format of Have I Been Pwned that has these passwords.
func breachList(t *testing.T, passwords ...string) (file string) {
	t.Helper()
	var lines []string
	for _, password := range passwords {
		lines = append(lines, fmt.Sprintf("%X:3\r\n", sha1.Sum([]byte(password))))
	}
	slices.Sort(lines)
	file = filepath.Join(t.TempDir(), "breached.txt")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// refusal is the one reason that an answer gives.
func refusal(t *testing.T, a *answer, pointer string) string {
	t.Helper()
	a.want(422, "validation_failed").pointsAt(pointer)
	reasons := decode[api.Problem](a).Errors
	if len(reasons) != 1 {
		t.Errorf("%d reasons: %s", len(reasons), a.body)
	}
	return reasons[0].Detail
}

// P2: registration, a change of password and the command line refuse what is guessed first, alike,
// and say why without repeating it.
func TestGuessablePasswordsAreRefused(t *testing.T) {
	list := breachList(t, "stolen but long", "Stolen with Capitals", "volé par é", "stolen 4", "stolen 5")
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "bartholomew").AccessToken
		for i, c := range []struct{ password, reason string }{
			{"password1", "most common"},
			{"PassWord1", "most common"},
			{"1q2w3e4r5t", "most common"},
			{"iloveyou", "most common"},
			{"bartholomew", "consists of"},
			{"Bartholomew-1!", "consists of"},
			{"2026.BARTHOLOMEW", "consists of"},
			{"sesame2026", "consists of"},
			{"Sesame, Bartholomew", "consists of"},
			{"open sesame!", "consists of"},
			{"stolen but long", "stolen"},
			{"STOLEN BUT LONG", "stolen"},
			{"Stolen with Capitals", "stolen"},
			{"vol\u00e9 par \u00e9", "stolen"},
			{"vole\u0301 par e\u0301", "stolen"},
		} {
			name := fmt.Sprintf("Bartholomew%d", i) // digits make no difference
			created := s.create(t, map[string]any{"username": name, "password": c.password})
			changed := s.do(t, changePassword(token, horse, c.password))
			_, stderr, code := s.sesameWith(t, list, c.password+"\n", "user", "create", name)
			reason := refusal(t, created, "/password")
			if !strings.Contains(reason, c.reason) || reason != refusal(t, changed, "/new_password") || code != 1 || !strings.Contains(stderr, reason) {
				t.Errorf("%q: %q, %d %s, %s", c.password, reason, code, stderr, changed.body)
			}
			if strings.Contains(string(created.body)+string(changed.body)+stderr, c.password) {
				t.Errorf("%q is repeated", c.password)
			}
		}
		local := map[string]any{"username": "cy", "email": "Bartholomew.Example@example.com", "password": "bartholomew-example1"}
		if reason := refusal(t, s.create(t, local), "/password"); !strings.Contains(reason, "consists of") {
			t.Error(reason)
		}
		both := s.create(t, map[string]any{"username": "\u0430nn", "password": "password1"}).want(422).pointsAt("/username")
		both.pointsAt("/password")
		for i, fine := range []string{demoPassword, horse, "a bigger wooden horse", "bartholomew has a horse", "sesame seeds", "Stolen but longer"} {
			s.create(t, map[string]any{"username": fmt.Sprintf("fine%d", i), "password": fine}).want(201)
			s.do(t, passwordGrant(fmt.Sprintf("fine%d", i), fine)).want(200)
		}
		if log := s.wholeLog(); strings.Contains(log, "holomew-1!") || strings.Contains(log, "1q2w3e4r5t") || strings.Contains(log, "stolen but long") {
			t.Errorf("the log has a password:\n%s", log)
		}
	}, "SESAME_PASSWORD_BREACH_LIST="+list)
}

// sesameWith is sesame with a breach list.
func (s *server) sesameWith(t *testing.T, list, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return command(t, stdin, map[string]string{
		"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey(), "SESAME_PASSWORD_BREACH_LIST": list,
	}, args...)
}

// P1: the length is the operator's to raise, and counts code points; nothing else about the characters matters.
func TestTheLeastLengthIsTheOperators(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for i, c := range []struct {
			password string
			status   int
		}{
			{strings.Repeat("🐎", 14), 422},
			{strings.Repeat("🐎", 15), 201},
			{"only lower case", 201},
			{"47 182 903 11 6", 201},
			{"14 characters!", 422},
			{strings.Repeat("e\u0301", 14), 422},
			{strings.Repeat("語", 256), 201},
			{strings.Repeat("語", 257), 422},
		} {
			a := s.create(t, map[string]any{"username": fmt.Sprintf("u%d", i), "password": c.password}).want(c.status)
			if c.status == 422 {
				a.pointsAt("/password")
			}
		}
	}, "SESAME_PASSWORD_MIN_LENGTH=15")
}

// P2: a list that cannot be read, or searched, is said at the start.
func TestABadBreachListStopsTheStart(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain.txt")
	if err := os.WriteFile(plain, []byte("password\n12345678\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, reason := range map[string]string{plain: "SHA-1", filepath.Join(t.TempDir(), "none"): "no such file", t.TempDir(): "not a file"} {
		e := environment{
			"SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_MASTER_KEY": testKey(), "SESAME_LISTEN": "127.0.0.1:0", "SESAME_PASSWORD_BREACH_LIST": file,
		}
		for _, args := range [][]string{{"serve"}, {"user", "create", "ann"}} {
			fails(t, horse, e, reason, args...)
		}
	}
}

// foreignHash is a hash that another library made; server/internal/password/testdata/README.md says how.
type foreignHash struct{ Maker, Case, Password, Hash string }

func foreignHashes(t *testing.T) (all []foreignHash) {
	t.Helper()
	text, err := os.ReadFile("../internal/password/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err = json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// P5, P8: whatever library has made a hash, its owner logs in, the hash is replaced, and the login
// still works; a wrong password changes nothing. P3: so does the other spelling of é.
func TestHashesOfOtherLibrariesAreReplacedAtLogin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		stored := func() string { return s.value(t, `SELECT password_hash FROM users`) }
		tried := map[string]bool{}
		for _, v := range foreignHashes(t) {
			typed := v.Password
			switch {
			case v.Case == "ASCII":
			case v.Case == "Unicode in NFD" && strings.HasPrefix(v.Maker, "Django"):
				typed = "caf\u00e9 au lait"
			default:
				continue // package password tries them all
			}
			tried[v.Maker] = true
			s.sql(t, `UPDATE users SET password_hash = '`+v.Hash+`'`)
			s.do(t, passwordGrant("ann", "not "+typed)).want(400, "invalid_grant")
			if stored() != v.Hash {
				t.Errorf("%s: a wrong password has replaced %s", v.Maker, v.Hash)
			}
			var wait sync.WaitGroup
			for range 2 { // at once: one replaces the hash, both succeed
				wait.Go(func() {
					if a, err := s.try(passwordGrant("ann", typed)); err != nil || a.status != 200 {
						t.Errorf("%s, %s: %v %+v", v.Maker, v.Case, err, a)
					}
				})
			}
			wait.Wait()
			if hash := stored(); !strings.HasPrefix(hash, newHash) {
				t.Errorf("%s, %s: the hash is still %s", v.Maker, v.Case, hash)
			}
			s.do(t, passwordGrant("ann", typed)).want(200)
		}
		if len(tried) != 26 {
			t.Errorf("%d makers were tried", len(tried))
		}
	})
}

// P4: bcrypt hashes of other libraries ignore what comes after 72 bytes; here no longer password verifies, and no
// hash of a password with a NUL does.
func TestForeignBcryptHashesVerifyNoTail(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		tried := 0
		for _, v := range foreignHashes(t) {
			if v.Case != "73 bytes" && v.Case != "72 bytes" || !strings.HasPrefix(v.Hash, "$2") && !strings.HasPrefix(v.Hash, "bcrypt$") {
				continue
			}
			tried++
			s.sql(t, `UPDATE users SET password_hash = '`+v.Hash+`'`)
			whole := strings.Repeat("x", 72)
			s.do(t, passwordGrant("ann", whole+"y")).want(400, "invalid_grant")
			s.do(t, passwordGrant("ann", whole+"z")).want(400, "invalid_grant")
			s.do(t, passwordGrant("ann", whole)).want(200)
		}
		if tried != 12 {
			t.Errorf("%d hashes were tried", tried)
		}
	})
}
