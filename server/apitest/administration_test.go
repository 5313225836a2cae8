package apitest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// administrator makes an account with every scope of administrators, and gives it and a token with all scopes.
func (s *server) administrator(t *testing.T, username string) (id, token string) {
	t.Helper()
	if _, stderr, code := s.sesame(t, horse, "user", "create", username, "--administrator"); code != 0 {
		t.Fatal(stderr)
	}
	grant := passwordGrant(username, horse)
	grant.form.Set("scope", strings.Join(rules.Scopes().Declared, " "))
	token = decode[api.Token](s.do(t, grant).want(200)).AccessToken
	return decode[api.User](s.do(t, request{method: "GET", path: "/users/me", token: token}).want(200)).ID, token
}

func (s *server) change(t *testing.T, token, id string, fields map[string]any) *answer {
	t.Helper()
	return s.do(t, request{method: "PATCH", path: "/users/" + id, token: token, json: fields})
}

// list reads all pages of a list of accounts, and gives the usernames.
func (s *server) list(t *testing.T, token, query string, eachPage func()) (names []string) {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		page := decode[api.UserPage](s.do(t, request{method: "GET", path: "/users?" + values.Encode(), token: token}).want(200))
		for _, user := range page.Items {
			names = append(names, user.Username)
		}
		if page.NextCursor.IsNull() {
			return names
		}
		values.Set("cursor", page.NextCursor.MustGet())
		if eachPage != nil {
			eachPage()
		}
	}
	t.Fatal("the list has no end")
	return nil
}

func TestAccountsAreListed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s) // and "model"
		_, token := s.administrator(t, "root")
		for _, name := range []string{"Émile", "anna", "Ann", "b", "bob", "zoe"} {
			s.insert(t, c, name, strings.ToLower(name)+"@example.com", name == "bob")
		}
		s.insert(t, c, "x1", "annie@example.com", false)
		s.insert(t, c, "x2", "Annie@example.com", true)
		s.insert(t, c, "x3", "", false)
		for query, want := range map[string]string{
			"":                             "Ann anna b bob model root x1 x2 x3 zoe Émile",
			"q=&cursor=":                   "Ann anna b bob model root x1 x2 x3 zoe Émile",
			"limit=1":                      "Ann anna b bob model root x1 x2 x3 zoe Émile",
			"limit=100":                    "Ann anna b bob model root x1 x2 x3 zoe Émile",
			"limit=2&q=ann":                "Ann anna x1 x2",
			"limit=1&q=AN":                 "Ann anna x1 x2",
			"q=annie%40":                   "x1 x2",
			"q=É":                          "Émile",
			"q=E\u0301":                    "Émile",
			"q=an_":                        "",
			"q=%25":                        "",
			"q=x":                          "x1 x2 x3",
			"disabled=true":                "bob x2",
			"disabled=true&q=ann":          "x2",
			"disabled=false&q=b":           "b",
			"limit=1&q=ann&disabled=false": "Ann anna x1",
		} {
			if got := strings.Join(s.list(t, token, query, nil), " "); got != want {
				t.Errorf("%q gives %s, want %s", query, got, want)
			}
		}
	})
}

// insert makes an account without hashing a password.
func (s *server) insert(t *testing.T, c *seeder, username, email string, disabled bool) {
	t.Helper()
	err := c.db.CreateUser(t.Context(), store.User{
		ID: newID(), Username: username, UsernameKey: strings.ToLower(username), Email: email, EmailKey: strings.ToLower(email),
		PasswordHash: secret.New(c.hash), Disabled: disabled, CreatedAt: s.clock.now(), UpdatedAt: s.clock.now(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A client that reads page after page sees every account once that exists all the time, whatever accounts are created
// and deleted meanwhile.
func TestPagesAreStable(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		_, token := s.administrator(t, "root")
		for i := range 30 {
			s.insert(t, c, fmt.Sprintf("n%02d", i), "", false)
		}
		added := 0
		names := s.list(t, token, "limit=4", func() {
			for _, place := range []string{"a", "n05", "n1", "n22", "z"} {
				s.insert(t, c, fmt.Sprintf("%s-%02d", place, added), "", false)
				added++
			}
		})
		for i := range 30 {
			name := fmt.Sprintf("n%02d", i)
			if n := len(slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s != name })); n != 1 {
				t.Errorf("%s was there %d times", name, n)
			}
		}
		if !slices.IsSorted(names) {
			t.Errorf("not in order: %v", names)
		}
	})
}

// H6: a cursor cannot be forged, and is not valid for another list.
func TestForgedCursors(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.register(t, "anna")
		_, token := s.administrator(t, "root")
		get := func(query string) *answer {
			return s.do(t, request{method: "GET", path: "/users?" + query, token: token})
		}
		cursor := decode[api.UserPage](get("limit=1").want(200)).NextCursor.MustGet()
		get("limit=2&cursor=" + cursor).want(200)
		first := map[byte]string{'A': "B"}[cursor[0]]
		if first == "" {
			first = "A"
		}
		for _, query := range []string{
			"cursor=AAAA", "cursor=" + newID(), "cursor=" + cursor + "A", "cursor=" + first + cursor[1:], "cursor=%00", "cursor=..%2F",
			"q=ann&cursor=" + cursor, "disabled=false&cursor=" + cursor,
			"cursor=" + strings.Repeat("A", 600),
		} {
			get(query).want(400, "bad_request")
		}
		for _, query := range []string{"limit=0", "limit=101", "limit=x", "limit=1e1", "disabled=x", "disabled=", "q=%00", "cursor=" + strings.Repeat("A", 601)} {
			get(query).want(422, "validation_failed")
		}
	})
}

func TestAnAdministratorChangesAnAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.newcomer(t, "ann")
		_, token := s.administrator(t, "root")
		user := decode[api.User](s.do(t, request{method: "GET", path: "/users/me", token: ann.AccessToken}).want(200))
		id := user.ID
		s.sql(t, `UPDATE users SET email_verified = TRUE WHERE id = '`+id+`'`)
		see := func(a *answer) string {
			u := decode[api.User](a.want(200))
			if read := decode[api.User](s.do(t, request{method: "GET", path: "/users/" + id, token: token}).want(200)); fmt.Sprint(read) != fmt.Sprint(u) {
				t.Errorf("answered %v, but it is %v", u, read)
			}
			email, _ := u.Email.Get()
			name, _ := u.FullName.Get()
			return fmt.Sprintf("%s|%t|%s|%t|%v", email, u.EmailVerified, name, u.Disabled, u.Scopes)
		}
		for _, step := range []struct {
			fields map[string]any
			want   string
		}{
			{map[string]any{}, "ann@example.com|true||false|[" + ownScopes() + "]"},
			{map[string]any{"full_name": "Ann"}, "ann@example.com|true|Ann|false|[" + ownScopes() + "]"},
			{map[string]any{"email": "ANN@example.com"}, "ANN@example.com|false|Ann|false|[" + ownScopes() + "]"}, // to some mail servers another address
			{map[string]any{"email": "lee@example.com", "full_name": nil}, "lee@example.com|false||false|[" + ownScopes() + "]"},
			{map[string]any{"scopes": []string{"users:read", "me:read", "users:read"}}, "lee@example.com|false||false|[" + ownScopes() + " users:read]"},
			{map[string]any{"email": nil}, "|false||false|[" + ownScopes() + " users:read]"},
			{map[string]any{"scopes": []string{}}, "|false||false|[" + ownScopes() + "]"},
		} {
			if got := see(s.change(t, token, id, step.fields)); got != step.want {
				t.Errorf("%v gives %s, want %s", step.fields, got, step.want)
			}
		}
		for field, value := range map[string]any{
			"scopes": nil, "disabled": nil, "email": "ann", "full_name": "", "email_verified": false, "id": newID(), "username": "lee", "password": horse,
		} {
			s.change(t, token, id, map[string]any{field: value}).want(422, "validation_failed").pointsAt("/" + field)
		}
		s.change(t, token, id, map[string]any{"scopes": []string{"users:read", "root"}}).want(422, "validation_failed").pointsAt("/scopes/1")
		s.change(t, token, newID(), map[string]any{"full_name": "Ann"}).want(404, "not_found")
		s.change(t, token, newID(), map[string]any{"disabled": true}).want(404, "not_found")
	})
}

// T7: disabling an account ends its sessions at once, and enabling it does not restore them.
func TestDisablingEndsTheSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.newcomer(t, "ann")
		_, token := s.administrator(t, "root")
		me := request{method: "GET", path: "/users/me", token: ann.AccessToken}
		id := decode[api.User](s.do(t, me).want(200)).ID
		if !decode[api.User](s.change(t, token, id, map[string]any{"disabled": true}).want(200)).Disabled {
			t.Error("not disabled")
		}
		s.do(t, me).want(401, "invalid_token")
		s.do(t, refreshGrant(ann.RefreshToken)).want(400, "invalid_grant")
		s.do(t, passwordGrant("ann", horse)).want(400, "invalid_grant")
		s.change(t, token, id, map[string]any{"disabled": false}).want(200)
		s.do(t, me).want(401, "invalid_token")
		s.do(t, refreshGrant(ann.RefreshToken)).want(400, "invalid_grant")
		s.login(t, "ann")
	})
}

// A scope that is granted can be asked for, and one that is taken away is gone at once.
func TestScopesAreGranted(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		id := s.register(t, "ann").ID
		_, token := s.administrator(t, "root")
		grant := passwordGrant("ann", horse)
		grant.form.Set("scope", "users:read")
		s.do(t, grant).want(400, "invalid_scope")
		s.change(t, token, id, map[string]any{"scopes": []string{"users:read"}}).want(200)
		list := request{method: "GET", path: "/users", token: decode[api.Token](s.do(t, grant).want(200)).AccessToken}
		s.do(t, list).want(200)
		s.change(t, token, id, map[string]any{"scopes": []string{}}).want(200)
		s.do(t, list).want(403, "insufficient_scope")
	})
}

func TestTheLastAdministratorStays(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		root, token := s.administrator(t, "root")
		refused := func() {
			t.Helper()
			s.change(t, token, root, map[string]any{"disabled": true}).want(409, "last_administrator")
			s.change(t, token, root, map[string]any{"scopes": []string{"users:read"}}).want(409, "last_administrator")
			s.do(t, request{method: "DELETE", path: "/users/" + root, token: token}).want(409, "last_administrator")
			s.do(t, request{method: "DELETE", path: "/users/me", token: token}).want(409, "last_administrator")
			s.do(t, request{method: "GET", path: "/users", token: token}).want(200)
		}
		refused()
		reader := s.register(t, "reader").ID
		s.change(t, token, reader, map[string]any{"scopes": []string{"users:read"}}).want(200)
		refused() // who only reads is no administrator
		second, _ := s.administrator(t, "second")
		s.change(t, token, second, map[string]any{"disabled": true}).want(200)
		refused() // nor is one who cannot log in
		s.change(t, token, second, map[string]any{"disabled": false}).want(200)
		s.change(t, token, root, map[string]any{"scopes": []string{}}).want(200)
		s.change(t, token, root, map[string]any{"full_name": "Root"}).want(403, "insufficient_scope")
		other := decode[api.Token](s.do(t, adminGrant("second")).want(200)).AccessToken
		s.do(t, request{method: "DELETE", path: "/users/" + root, token: other}).want(204)
		s.do(t, request{method: "GET", path: "/users/" + root, token: other}).want(404, "not_found")
		s.do(t, request{method: "DELETE", path: "/users/" + root, token: other}).want(404, "not_found")
	})
}

func adminGrant(username string) request {
	grant := passwordGrant(username, horse)
	grant.form.Set("scope", "users:read users:write")
	return grant
}

// Two administrators who take each other's right away at the same moment: one of them succeeds.
func TestTwoAdministratorsDoNotRemoveEachOther(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ids, tokens := make([]string, 6), make([]string, 6)
		for i := range ids {
			ids[i], tokens[i] = s.administrator(t, fmt.Sprintf("root%d", i))
		}
		var wait sync.WaitGroup
		for i := range ids {
			wait.Go(func() {
				// Each removes its neighbour, in one of the three ways.
				r := request{method: "PATCH", path: "/users/" + ids[(i+1)%len(ids)], token: tokens[i], json: map[string]any{"scopes": []string{}}}
				switch i % 3 {
				case 1:
					r.json = map[string]any{"disabled": true}
				case 2:
					r = request{method: "DELETE", path: r.path, token: tokens[i]}
				}
				if a, err := s.try(r); err != nil || a.status >= 500 {
					t.Errorf("%v %v", a, err)
				}
			})
		}
		wait.Wait()
		if left := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE NOT disabled AND scopes LIKE '%users:write%'`); left == "0" {
			t.Error("no administrator is left")
		}
	})
}

// One's own account takes a fresh login, whichever way it is named.
func TestAnAdministratorsOwnAccountTakesAFreshLogin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.administrator(t, "second")
		root, _ := s.administrator(t, "root")
		ann := s.register(t, "ann").ID
		login := decode[api.Token](s.do(t, adminGrant("root")).want(200))
		s.clock.advance(11 * time.Minute)
		token := decode[api.Token](s.do(t, refreshGrant(login.RefreshToken)).want(200)).AccessToken
		s.do(t, request{method: "DELETE", path: "/users/" + root, token: token}).want(401, "insufficient_user_authentication")
		s.do(t, request{method: "DELETE", path: "/users/" + ann, token: token}).want(204)
	})
}

// A new account says where it is, and a service client may look there.
func TestTheLocationOfANewAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		created := s.create(t, map[string]any{"username": "ann", "password": horse}).want(201)
		path, ok := strings.CutPrefix(created.header.Get("Location"), s.url)
		client := s.makeClient(t, "directory", "--scope", "users:read")
		token := decode[api.Token](s.do(t, client.sends(clientGrant(""))).want(200)).AccessToken
		found := decode[api.User](s.do(t, request{method: "GET", path: path, token: token}).want(200))
		if !ok || found.ID != decode[api.User](created).ID {
			t.Errorf("%s is %v", created.header.Get("Location"), found)
		}
	})
}
