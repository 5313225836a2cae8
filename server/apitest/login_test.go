package apitest

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
)

func TestALoginGivesTokensThatWork(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		user := s.register(t, "Ann")
		a := s.do(t, passwordGrant("ann", horse)).want(200)
		if got := a.header.Get("Cache-Control"); got != "no-store" { // O1
			t.Errorf("Cache-Control is %q", got)
		}
		tokens := decode[api.Token](a)
		if tokens.Scope != defaultScopes() || tokens.ExpiresIn != 600 {
			t.Errorf("scope %q, expires in %d", tokens.Scope, tokens.ExpiresIn)
		}
		me := decode[api.User](s.do(t, request{method: "GET", path: "/users/me", token: tokens.AccessToken}).want(200))
		if me.ID != user.ID || me.Username != "Ann" || me.Email.MustGet() != "ann@example.com" || me.EmailVerified {
			t.Errorf("got %+v", me)
		}
	})
}

func TestNoAccountExistsOnAFreshInstall(t *testing.T) { // L8
	onEachEngine(t, func(t *testing.T, s *server) {
		s.do(t, passwordGrant(demoUsername, demoPassword)).want(400, "invalid_grant")
	})
}

// L1: an unknown user, a wrong password, a disabled account and one without a password are answered
// alike, but for the date and the request id.
func TestRefusedLoginsAreAlike(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for _, name := range []string{"ann", "disabled", "passwordless"} {
			s.register(t, name)
		}
		s.must(t, "", "user", "disable", "disabled")
		s.sql(t, `UPDATE users SET password_hash = NULL WHERE username_key = 'passwordless'`)
		first := s.do(t, passwordGrant("ann", "not the password")).want(400, "invalid_grant")
		for _, login := range []request{
			passwordGrant("nobody", horse), passwordGrant("nobody@example.com", horse),
			passwordGrant("ann@example.com", horse), // not verified, so not a login
			passwordGrant("disabled", horse), passwordGrant("passwordless", horse), passwordGrant("a b", horse),
		} {
			a := s.do(t, login)
			if a.status != first.status || string(a.body) != string(first.body) {
				t.Errorf("%s: %d %s", login.form.Get("username"), a.status, a.body)
			}
			for name := range first.header {
				if name != "Date" && name != "X-Request-Id" && a.header.Get(name) != first.header.Get(name) {
					t.Errorf("%s: header %s differs", login.form.Get("username"), name)
				}
			}
		}
	})
}

func TestScopesAreGrantedAsFarAsTheAccountHasThem(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		if _, stderr, code := s.sesame(t, horse+"\n", "user", "create", "root", "--scope", "users:write"); code != 0 {
			t.Fatal(stderr)
		}
		for _, c := range []struct{ user, asked, granted string }{
			{"ann", "", defaultScopes()},
			{"ann", "me:read", "me:read"},
			{"ann", "users:write me:read", "me:read"},
			{"ann", "me:read  me:read", "me:read"},
			{"root", "", defaultScopes()},
			{"root", "users:write", "users:write"},
			{"root", "users:write users:read", "users:write"},
			{"root", "invented me:write", "me:write"},
		} {
			login := passwordGrant(c.user, horse)
			login.form.Set("scope", c.asked)
			if got := decode[api.Token](s.do(t, login).want(200)).Scope; got != c.granted {
				t.Errorf("%s asked for %q and got %q, want %q", c.user, c.asked, got, c.granted)
			}
		}
		nothing := passwordGrant("ann", horse)
		nothing.form.Set("scope", "users:write")
		s.do(t, nothing).want(400, "invalid_scope")
	})
}

// The scope that an administrator takes away is gone at the next request (T7).
func TestAScopeThatIsTakenAwayIsGoneAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.sesame(t, horse+"\n", "user", "create", "root", "--scope", "users:write")
		login := passwordGrant("root", horse)
		login.form.Set("scope", "users:write")
		token := decode[api.Token](s.do(t, login).want(200)).AccessToken
		create := request{method: "POST", path: "/users", token: token}
		create.json = map[string]string{"username": "one", "password": horse}
		s.do(t, create).want(201)
		s.sql(t, `UPDATE users SET scopes = '' WHERE username_key = 'root'`)
		create.json = map[string]string{"username": "two", "password": horse}
		s.do(t, create).want(403, "registration_closed")
	}, "SESAME_REGISTRATION=closed")
}

func TestClosedRegistrationRefusesStrangers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		create := request{method: "POST", path: "/users", json: map[string]string{"username": "eve", "password": horse}}
		a := s.do(t, create).want(403, "registration_closed")
		if !strings.Contains(a.header.Get("WWW-Authenticate"), `scope="users:write"`) {
			t.Error(a.header)
		}
	}, "SESAME_REGISTRATION=closed")
}

// A verified address logs in like the username; only an administrator can vouch for one yet.
func TestAVerifiedAddressLogsIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.createVerified(t, "Ann")
		for _, address := range []string{"Ann@example.com", "ann@example.com", "ANN@EXAMPLE.COM"} {
			s.do(t, passwordGrant(address, horse)).want(200)
		}
	})
}

// P3: two spellings of one password; every other character counts.
func TestPasswordsAreComparedInNFC(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		composed, decomposed := "caf\u00e9 au lait 👩‍🚀", "cafe\u0301 au lait 👩‍🚀"
		s.do(t, request{method: "POST", path: "/users", json: map[string]string{"username": "ann", "password": decomposed}}).want(201)
		s.do(t, passwordGrant("ann", composed)).want(200)
		s.do(t, passwordGrant("ann", decomposed)).want(200)
		for _, wrong := range []string{" " + composed, composed + " ", strings.ToUpper(composed), "cafe au lait 👩‍🚀"} {
			s.do(t, passwordGrant("ann", wrong)).want(400, "invalid_grant")
		}
	})
}

// P1 and P3: lengths count code points; NUL and what is not Unicode are refused.
func TestPasswordsThatAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		create := func(body string) *answer {
			return s.do(t, request{method: "POST", path: "/users", json: body})
		}
		create(`{"username":"a1","password":"1234567"}`).want(422, "validation_failed").pointsAt("/password")
		create(`{"username":"a2","password":"éééééééé"}`).want(201)
		create(`{"username":"a3","password":"` + strings.Repeat("é", 256) + `"}`).want(201)
		create(`{"username":"a4","password":"` + strings.Repeat("é", 257) + `"}`).want(422).pointsAt("/password")
		create(`{"username":"a5","password":"aaaaaaaa\u0000"}`).want(422).pointsAt("/password")
		create(`{"username":"a6","password":"aaaaaaaa\ud800"}`).want(400, "bad_request")
		create("{\"username\":\"a7\",\"password\":\"aaaaaaaa\xff\"}").want(400, "bad_request")
		// Eight code points that are four characters once composed are too few.
		create(`{"username":"a8","password":"e\u0301e\u0301e\u0301e\u0301"}`).want(422).pointsAt("/password")
		s.do(t, passwordGrant("a3", strings.Repeat("é", 256))).want(200)
		s.do(t, passwordGrant("a3", strings.Repeat("é", 255))).want(400, "invalid_grant")
		s.do(t, request{
			method: "POST", path: "/token", raw: strings.NewReader("grant_type=password&username=a&password=%ff"),
			header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		}).want(400, "invalid_request")
	})
}

// P4: bcrypt looks at 72 bytes only; a tail never verifies, and no longer password is taken.
func TestBcryptDoesNotIgnoreATail(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		create := func(name, plain string) *answer {
			return s.do(t, request{method: "POST", path: "/users", json: map[string]string{"username": name, "password": plain}})
		}
		whole := strings.Repeat("x", 72)
		create("ann", whole).want(201)
		create("bob", whole+"y").want(422).pointsAt("/password")
		s.do(t, passwordGrant("ann", whole)).want(200)
		s.do(t, passwordGrant("ann", whole+"y")).want(400, "invalid_grant")
	}, "SESAME_PASSWORD_HASH=bcrypt")
}

// P4: where bcrypt is set, a password that is too long for it keeps its hash of another scheme.
func TestALongPasswordKeepsItsHash(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		tried := 0
		for _, v := range foreignHashes(t) {
			if v.Case != "73 bytes" && v.Case != "72 bytes" || !strings.HasPrefix(v.Hash, "$argon2") {
				continue
			}
			tried++
			s.sql(t, `UPDATE users SET password_hash = '`+v.Hash+`'`)
			s.do(t, passwordGrant("ann", v.Password)).want(200)
			if kept := s.value(t, `SELECT password_hash FROM users`) == v.Hash; kept != (len(v.Password) > 72) {
				t.Errorf("%s, %s: the hash is kept: %t", v.Maker, v.Case, kept)
			}
		}
		if tried != 8 {
			t.Errorf("%d hashes were tried", tried)
		}
	}, "SESAME_PASSWORD_HASH=bcrypt")
}

// P5: a bcrypt hash is read, and replaced by argon2id at the next login.
func TestAnOldHashIsReplacedAtLogin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		// The reference vector of bcrypt's own test suite, for the password U*U.
		s.sql(t, `UPDATE users SET password_hash = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'`)
		s.do(t, passwordGrant("ann", "U*V")).want(400, "invalid_grant")
		var wait sync.WaitGroup
		for range 8 { // at once: one replaces the hash, all succeed
			wait.Go(func() {
				if a, err := s.try(passwordGrant("ann", "U*U")); err != nil || a.status != 200 {
					t.Errorf("%v %+v", err, a)
				}
			})
		}
		wait.Wait()
		if hash := s.value(t, `SELECT password_hash FROM users`); !strings.HasPrefix(hash, newHash) {
			t.Errorf("the hash is still %s", hash)
		}
		s.do(t, passwordGrant("ann", "U*U")).want(200)
	})
}

// P6: a stored hash that asks for the impossible, or is none, fails like a wrong password.
func TestAbsurdHashesFailTheLogin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		for _, hash := range []string{
			"$argon2id$v=19$m=1073741824,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			"$argon2id$v=19$m=19456,t=1000000000,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			"$argon2id$v=19$m=19456,t=0,p=0$c2FsdHNhbHRzYWx0c2FsdA$AAAA", "$argon2id$v=19$m=8,t=1,p=1$$", "$argon2id$",
			"$argon2i$v=19$m=1073741824,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			"argon2$argon2id$v=19$m=1073741824,t=2,p=8$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			"$scrypt$ln=30,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			"scrypt$1073741824$salt$8$5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "scrypt$2$$1$1$", "$scrypt$",
			"$pbkdf2-sha256$1000000000$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			"$pbkdf2-sha512$1000000000$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			"pbkdf2_sha256$1000000000$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "pbkdf2_sha256$1$$", "bcrypt_sha256$$2b$31$" + strings.Repeat(".", 53),
			"bcrypt$$2b$", "$2a$31$" + strings.Repeat(".", 53), "$2a$", "plain", horse,
		} {
			s.sql(t, `UPDATE users SET password_hash = '`+hash+`'`)
			s.sql(t, `DELETE FROM throttles`)
			start := time.Now()
			s.do(t, passwordGrant("ann", horse)).want(400, "invalid_grant")
			if took := time.Since(start); took > 20*time.Second { // generous: it would take hours
				t.Errorf("%s took %v", hash, took)
			}
		}
	})
}

// O2 and O3: what the token endpoint's form may be.
func TestTheTokenFormIsReadStrictly(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		form := "application/x-www-form-urlencoded"
		good := "grant_type=password&username=ann&password=" + url.QueryEscape(horse)
		for _, c := range []struct {
			name, path, body, contentType string
			status                        int
			code                          string
		}{
			{"good", "/token", good, form, 200, ""},
			{"charset", "/token", good, form + "; charset=UTF-8", 200, ""},
			{"unknown parameters are ignored", "/token", good + "&foo=bar", form, 200, ""},
			{"an empty parameter is none", "/token", good + "&scope=&client_id=&client_secret=&refresh_token=", form, 200, ""},
			{"repeated", "/token", good + "&username=bob", form, 400, "invalid_request"},
			{"repeated unknown", "/token", good + "&foo=1&foo=2", form, 400, "invalid_request"},
			{"repeated, by a name that no description can hold", "/token", good + "&%22%5C%C3%A9=1&%22%5C%C3%A9=2", form, 400, "invalid_request"},
			{"a character that is not allowed", "/token", "grant_type=password&username=%00&password=x", form, 400, "invalid_request"},
			{"in the query", "/token?" + good, "", form, 400, "invalid_request"},
			{"query and body", "/token?username=ann", good, form, 400, "invalid_request"},
			{"json", "/token", `{"grant_type":"password"}`, "application/json", 415, "invalid_request"},
			{"multipart without a boundary", "/token", "--b--", "multipart/form-data", 400, "invalid_request"},
			{"no media type", "/token", good, "", 415, "invalid_request"},
			{"bad escape", "/token", good + "&x=%zz", form, 400, "invalid_request"},
			{"semicolon", "/token", strings.ReplaceAll(good, "&", ";"), form, 400, "invalid_request"},
			{"no grant", "/token", "username=ann", form, 400, "invalid_request"},
			{"unknown grant", "/token", "grant_type=implicit", form, 400, "unsupported_grant_type"},
			{"no username", "/token", "grant_type=password&password=x", form, 400, "invalid_request"},
			{"no password", "/token", "grant_type=password&username=ann", form, 400, "invalid_request"},
			{"no refresh token", "/token", "grant_type=refresh_token", form, 400, "invalid_request"},
			{"bad scope", "/token", good + "&scope=%22", form, 400, "invalid_scope"},
			{"client in the form", "/token", good + "&client_id=x&client_secret=y", form, 401, "invalid_client"},
			{"first-party", "/token", good + "&client_id=first-party", form, 200, ""},
			{"first-party has no secret", "/token", good + "&client_id=first-party&client_secret=y", form, 401, "invalid_client"},
			{"a secret of nobody", "/token", good + "&client_secret=y", form, 401, "invalid_client"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := s.do(t, request{method: "POST", path: c.path, raw: strings.NewReader(c.body), header: map[string]string{"Content-Type": c.contentType}})
				if c.code == "" {
					a.want(c.status)
				} else {
					a.want(c.status, c.code)
				}
			})
		}
	})
}

// O3: client credentials in the header.
func TestAClientIsReadFromTheHeader(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		for _, c := range []struct {
			name, header, formID string
			status               int
			code                 string
		}{
			{"empty, as Swagger UI sends it", "Basic Og==", "", 200, ""},
			{"first-party", "Basic Zmlyc3QtcGFydHk6", "", 200, ""},
			{"first-party has no secret", "Basic Zmlyc3QtcGFydHk6Zm9v", "", 401, "invalid_client"},
			{"unknown", "Basic Zm9vOmJhcg==", "", 401, "invalid_client"},
			{"not base64", "Basic !!", "", 401, "invalid_client"},
			{"bad escape", "Basic JXp6Og==", "", 401, "invalid_client"},
			{"another id in the form", "Basic Zm9vOmJhcg==", "bar", 400, "invalid_request"},
			{"the same id in the form, and unknown", "Basic Zm9vOmJhcg==", "foo", 401, "invalid_client"},
			{"first-party in both", "Basic Zmlyc3QtcGFydHk6", "first-party", 200, ""},
			{"empty, with an id in the form", "Basic Og==", "first-party", 200, ""},
			{"a bearer token is not a client", "Bearer abc", "", 200, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				login := passwordGrant("ann", horse)
				login.header = map[string]string{"Authorization": c.header}
				if c.formID != "" {
					login.form.Set("client_id", c.formID)
				}
				a := s.do(t, login)
				if a.status != c.status || a.code() != c.code {
					t.Errorf("got %d %s", a.status, a.body)
				}
			})
		}
	})
}
