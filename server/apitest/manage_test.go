package apitest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/account"
)

// itemsOf reads what a list prints with --json: one object with the array items.
func itemsOf(t *testing.T, printed string) []map[string]any {
	t.Helper()
	var list struct {
		Items *[]map[string]any `json:"items"`
	}
	if err := json.Unmarshal([]byte(printed), &list); err != nil || list.Items == nil {
		t.Fatalf("%v: printed %s", err, printed)
	}
	return *list.Items
}

// A deletion at the command line obeys the rules of HTTP: the sessions end, the username is reserved, and the last
// administrator stays. A script has to confirm it.
func TestUserDelete(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		ann := s.newcomer(t, "ann")
		for _, stdin := range []string{"", "ann\n"} { // what a script sends is no confirmation
			fails(t, stdin, e, "confirm it with --yes", "user", "delete", "ann")
		}
		s.do(t, me(ann.AccessToken)).want(200)
		s.must(t, "", "user", "grant", "ann", "users:write")
		fails(t, "", e, "ann is the last administrator; grant users:write to another account first", "user", "delete", "ann", "--yes")
		s.administrator(t, "root")
		id := s.me(t, ann.AccessToken).ID

		var printed map[string]any
		if err := json.Unmarshal([]byte(succeeds(t, "", e, "user", "delete", "ANN", "--yes", "--json")), &printed); err != nil || printed["id"] != id || printed["deleted"] != true {
			t.Errorf("%v: printed %v", err, printed)
		}
		s.do(t, me(ann.AccessToken)).want(401, "invalid_token")
		s.create(t, map[string]any{"username": "ann", "password": horse}).want(409, "username_taken")
		fails(t, "", e, `unknown account "ann"`, "user", "delete", "ann", "--yes")
	})
}

// An operator who vouches for an address does what a code from a mail does: the address can be used to log in, other
// accounts lose their claim to it, and an address that somebody else has confirmed stays theirs.
func TestUserVerify(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		ann, rival := s.claims(t, "ann"), s.claims(t, "rival")
		s.do(t, passwordGrant(ownAddress, horse)).want(400, "invalid_grant")
		if shown := succeeds(t, "", e, "user", "verify", "ann"); !strings.Contains(shown, ownAddress+" (verified)") {
			t.Errorf("printed %s", shown)
		}
		if got := s.me(t, decode[api.Token](s.do(t, passwordGrant(ownAddress, horse)).want(200)).AccessToken); got.ID != ann.ID || !got.EmailVerified {
			t.Errorf("the address belongs to %+v", got)
		}
		if got := s.me(t, s.login(t, "rival").AccessToken); !got.Email.IsNull() {
			t.Errorf("the claim of %s is left: %+v", rival.ID, got)
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM one_time_codes WHERE email_key = '`+ownAddress+`'`); n != "0" {
			t.Errorf("%s codes for the address are left", n)
		}
		s.plantCode(t, ann.Username, account.ToReset, ann.ID, ownAddress)
		succeeds(t, "", e, "user", "verify", "ann") // again, which ends no code
		s.do(t, resetPassword(ann.Username, "a bigger wooden horse")).want(204)
		fails(t, "", e, "rival has no email address", "user", "verify", "rival")
		s.claims(t, "late")
		fails(t, "", e, "another account has verified the address "+ownAddress, "user", "verify", "late")
		bob := s.register(t, "bob")
		s.must(t, "", "user", "disable", "bob")
		fails(t, "", e, "bob is disabled; enable it first: sesame user enable bob", "user", "verify", bob.ID)
		fails(t, "", e, `unknown account "nobody"`, "user", "verify", "nobody")
	})
}

// Strangers choose usernames and addresses. The commands that an error suggests are there to be copied into a shell.
func TestSuggestedCommandsQuoteNames(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		for name, quoted := range map[string]string{"x;$(id)'`id`": `'x;$(id)'\''` + "`id`'", "--end-all": "-- --end-all", "-$x": "-- '-$x'"} {
			id := decode[api.User](s.create(t, map[string]any{"username": name, "password": horse}).want(201)).ID
			fails(t, "", e, "sesame user sessions "+quoted+"\n", "user", "sessions", id, "--end", "none")
			succeeds(t, "", e, "user", "disable", id)
			s.sql(t, `UPDATE users SET email = 'a@example.com', email_key = 'a@example.com' WHERE id = '`+id+`'`)
			fails(t, "", e, "sesame user enable "+quoted+"\n", "user", "verify", id)
		}
	})
}

// A scope that does not exist is refused before anybody types a password.
func TestAScopeIsCheckedBeforeThePassword(t *testing.T) {
	t.Parallel()
	fails(t, "", environment{}, `unknown scope "admin" in --scope`, "user", "create", "ann", "--scope", "admin")
}

func TestUserSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		first, bob := s.newcomer(t, "ann"), s.newcomer(t, "bob")
		second, third := s.login(t, "ann"), s.login(t, "ann")
		ids := func(printed string) (ids []string) {
			for _, item := range itemsOf(t, printed) {
				ids = append(ids, item["id"].(string))
			}
			slices.Sort(ids)
			return ids
		}
		idOf := func(tokens api.Token) string { return s.access(t, tokens.AccessToken).SessionID }
		all := []string{idOf(first), idOf(second), idOf(third)}
		slices.Sort(all)
		if got := ids(succeeds(t, "", e, "user", "sessions", "ann", "--json")); !slices.Equal(got, all) {
			t.Errorf("listed %v, want %v", got, all)
		}
		listed := decode[api.SessionPage](s.do(t, request{method: "GET", path: "/users/me/sessions", token: first.AccessToken}).want(200))
		raw, err := json.Marshal(listed.Items[0])
		if err != nil {
			t.Fatal(err)
		}
		var overHTTP map[string]any
		if err = json.Unmarshal(raw, &overHTTP); err != nil {
			t.Fatal(err)
		}
		item := itemsOf(t, succeeds(t, "", e, "user", "sessions", "ann", "--json"))[0]
		for name := range overHTTP {
			if _, ok := item[name]; !ok && name != "current" {
				t.Errorf("an item has no %s", name)
			}
		}

		fails(t, "", e, `unknown session "`+idOf(bob)+`" in --end; list those of ann with: sesame user sessions ann`, "user", "sessions", "ann", "--end", idOf(bob))
		fails(t, "", e, `unknown session "x" in --end`, "user", "sessions", "ann", "--end", "x")
		fails(t, "", e, "--end and --end-all", "user", "sessions", "ann", "--end", "x", "--end-all")
		left := ids(succeeds(t, "", e, "user", "sessions", "ann", "--end", strings.ToUpper(idOf(second)), "--json"))
		if len(left) != 2 || slices.Contains(left, idOf(second)) {
			t.Errorf("left are %v", left)
		}
		s.do(t, me(second.AccessToken)).want(401, "invalid_token")
		s.do(t, me(first.AccessToken)).want(200)
		if table := succeeds(t, "", e, "user", "sessions", "ann", "--end-all"); strings.Count(table, "\n") != 1 || !strings.HasPrefix(table, "ID ") {
			t.Errorf("printed %s", table)
		}
		for _, tokens := range []api.Token{first, third} {
			s.do(t, me(tokens.AccessToken)).want(401, "invalid_token")
			s.do(t, refreshGrant(tokens.RefreshToken)).want(400, "invalid_grant")
		}
		s.do(t, me(bob.AccessToken)).want(200)
	})
}
