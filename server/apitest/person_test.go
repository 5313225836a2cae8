package apitest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
	"sesame/server/internal/store"
)

// as returns a function that sends requests with a token.
func (s *server) as(t *testing.T, token string) func(method, path string) *answer {
	return func(method, path string) *answer {
		t.Helper()
		return s.do(t, request{method: method, path: path, token: token})
	}
}

// lastEvent is the latest event of an account.
func lastEvent(t *testing.T, s *server, token, userID string) api.Event {
	t.Helper()
	return eventPage(t, s, token, "/events?limit=1&user_id="+userID).Items[0]
}

// An administrator lists the sessions of a person and ends one, or all: at once, and with a record of who did it.
func TestAnAdministratorEndsSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		root, token := s.administrator(t, "root")
		send := s.as(t, token)
		first, second := s.newcomer(t, "ann"), s.login(t, "ann")
		bea := s.newcomer(t, "bea")
		ann, path := s.me(t, first.AccessToken), "/users/"+s.me(t, first.AccessToken).ID+"/sessions"
		page := decode[api.SessionPage](send("GET", path).want(200))
		own := decode[api.SessionPage](s.do(t, request{method: "GET", path: "/users/me/sessions", token: second.AccessToken}).want(200))
		if len(page.Items) != 2 || !page.NextCursor.IsNull() {
			t.Fatalf("%+v", page)
		}
		for i, session := range page.Items {
			if session.Current || session.ClientID != "first-party" || session.ID != own.Items[i].ID {
				t.Errorf("%+v, and to ann %+v", session, own.Items[i])
			}
		}
		ended, others := s.access(t, first.AccessToken).SessionID, s.access(t, bea.AccessToken).SessionID
		send("DELETE", path+"/"+others).want(404, "not_found")
		send("DELETE", path+"/"+strings.ToUpper(ended)).want(204)
		send("DELETE", path+"/"+ended).want(404, "not_found")
		s.do(t, me(first.AccessToken)).want(401)
		s.do(t, refreshGrant(first.RefreshToken)).want(400, "invalid_grant")
		s.do(t, me(second.AccessToken)).want(200)
		if e := lastEvent(t, s, token, ann.ID); e.Kind != "logout" || said(e.Actor) != root || said(e.SessionID) != ended {
			t.Errorf("%+v", e)
		}
		send("DELETE", path).want(204)
		s.do(t, me(second.AccessToken)).want(401)
		s.do(t, me(bea.AccessToken)).want(200)
		if e := lastEvent(t, s, token, ann.ID); e.Kind != "logout_everywhere" || said(e.Actor) != root {
			t.Errorf("%+v", e)
		}
		if left := decode[api.SessionPage](send("GET", path).want(200)); len(left.Items) != 0 {
			t.Errorf("left are %+v", left.Items)
		}
		s.login(t, "ann")
	})
}

// All sessions are listed, the latest login first, and the pages neither miss nor repeat one while others begin and end.
func TestAllSessionsAreListed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, token := s.administrator(t, "root")
		root := s.access(t, token).SessionID
		want := []string{root}
		for _, name := range []string{"ann", "bea", "carl", "dora", "eve"} {
			want = append(want, s.access(t, s.newcomer(t, name).AccessToken).SessionID)
		}
		slices.Reverse(want)
		read := func(p api.PersonSessionPage) (ids []string, next string) {
			for _, session := range p.Items {
				if ids = append(ids, session.ID); session.Current != (session.ID == root) || session.Username == "" || session.UserID == "" || session.ClientID != "first-party" {
					t.Errorf("%+v", session)
				}
			}
			return ids, said(p.NextCursor)
		}
		begun := 0
		got := pages(t, s, token, "/sessions", read, func() { // one begins, and one that was listed ends
			begun++
			later := s.access(t, s.newcomer(t, fmt.Sprint("later", begun)).AccessToken).Subject
			s.as(t, token)("DELETE", "/users/"+later+"/sessions").want(204)
		})
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		ended := s.login(t, "ann").AccessToken
		s.sql(t, `UPDATE sessions SET expires_at = 1 WHERE id = '`+s.access(t, ended).SessionID+`'`)
		if left := pages(t, s, token, "/sessions", read, nil); !slices.Equal(left, want) {
			t.Errorf("with an expired one: %v, want %v", left, want)
		}
	})
}

// What an administrator reads of a person is what the person reads, and none of it is a secret. An unknown account is 404.
func TestAnAdministratorReadsFactors(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, token := s.administrator(t, "root")
		ann := s.newcomer(t, "ann").AccessToken
		setup, app := s.startTOTP(t, ann)
		added := decode[api.AddedFactor](s.do(t, request{method: "POST", path: "/users/me/totp/confirm", token: ann, json: map[string]any{
			"setup": setup.Setup, "code": app.code(), "name": "Phone",
		}}).want(201))
		own := s.do(t, request{method: "GET", path: "/users/me/factors", token: ann}).want(200)
		read := s.as(t, token)("GET", "/users/"+s.me(t, ann).ID+"/factors").want(200)
		if string(read.body) != string(own.body) || decode[api.FactorList](read).Items[0].ID != added.Factor.ID {
			t.Errorf("read %s, and ann reads %s", read.body, own.body)
		}
		for _, secret := range append(added.RecoveryCodes, setup.Secret, setup.Setup) {
			if strings.Contains(string(read.body), secret) {
				t.Errorf("%s has %s", read.body, secret)
			}
		}
		for _, list := range []string{"sessions", "factors", "identities", "consents"} {
			s.as(t, token)("GET", "/users/"+newID()+"/"+list).want(404, "not_found")
		}
		for _, change := range []string{"DELETE sessions", "DELETE sessions/" + newID(), "DELETE identities/" + newID(), "POST unlock", "DELETE consents/" + newID()} {
			method, path, _ := strings.Cut(change, " ")
			s.as(t, token)(method, "/users/"+newID()+"/"+path).want(404, "not_found")
		}
	})
}

// F17, F18: an administrator removes an identity of a person, who is mailed, but not the last way into the account.
func TestAnAdministratorUnlinksAnIdentity(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		root, token := s.administrator(t, "root")
		s.createVerified(t, "ann")
		i, db := newIssuer(t, s.clock.now), s.open(t)
		s.addProvider(t, i)
		ann := s.me(t, s.login(t, "ann").AccessToken).ID
		link := func(userID string) (id string) {
			id = newID()
			if err := db.CreateIdentity(t.Context(), store.Identity{ID: id, UserID: userID, Issuer: i.URL, Subject: id, Label: "a", CreatedAt: s.clock.now()}); err != nil {
				t.Fatal(err)
			}
			return id
		}
		one, two, path := link(ann), link(ann), "/users/"+ann+"/identities"
		send := s.as(t, token)
		if page := decode[api.IdentityPage](send("GET", path).want(200)); len(page.Items) != 2 || page.Items[0].ID != one || said(page.Items[0].Provider) != "corp" {
			t.Errorf("%+v", page)
		}
		send("DELETE", path+"/"+one).want(204)
		send("DELETE", path+"/"+one).want(404, "not_found")
		if text := s.mailsTo(t, post, "ann@example.com", 1)[0].Text; !strings.Contains(text, "can no longer sign in") {
			t.Errorf("the mail is %s", text)
		}
		if e := lastEvent(t, s, token, ann); e.Kind != "identity_unlinked" || said(e.Actor) != root {
			t.Errorf("%+v", e)
		}
		s.sql(t, `UPDATE users SET password_hash = NULL WHERE id = '`+ann+`'`)
		send("DELETE", path+"/"+two).want(409, "last_way_in")

		// One's own account needs a fresh login, as without the rights of an administrator.
		own := "/users/" + root + "/identities/" + link(root)
		s.clock.advance(10*time.Minute + time.Second)
		stale := s.as(t, s.signed(t, s.issuer(t, s.url, s.url), s.access(t, token)))
		stale("DELETE", own).want(401, "insufficient_user_authentication")
		stale("DELETE", path+"/"+newID()).want(404, "not_found")
	}, privateProviders)
}

// An administrator ends the waits of a person, as the command line does.
func TestAnAdministratorUnlocksAnAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		root, token := s.administrator(t, "root")
		s.createVerified(t, "ann")
		s.createVerified(t, "bea")
		ann := s.me(t, s.login(t, "ann").AccessToken).ID
		s.spend(t, "ann", "203.0.113.7")
		s.spend(t, "bea", "203.0.113.7")
		for _, name := range []string{"ann", "ann@example.com", "bea"} {
			s.do(t, from("203.0.113.7", passwordGrant(name, horse))).want(429)
		}
		s.as(t, token)("POST", "/users/"+ann+"/unlock").want(204)
		if e := lastEvent(t, s, token, ann); e.Kind != "account_unlocked" || said(e.Actor) != root {
			t.Errorf("%+v", e)
		}
		for _, name := range []string{"ann", "ann@example.com"} {
			s.do(t, from("203.0.113.7", passwordGrant(name, horse))).want(200)
		}
		s.do(t, from("203.0.113.7", passwordGrant("bea", horse))).want(429)
	}, proxied)
}

// A caller whose token lacks a scope of an account changes nothing of it: what was to end goes on.
func TestWhatIsRefusedGoesOn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		target := c.powerful(t)
		things := c.owned(target)
		token := c.token(t, target, rules.Scopes().Default, s.clock.now().Add(time.Hour))
		helper := s.as(t, s.clientToken(t, "users:read", "users:write"))
		path := "/users/" + target.userID
		for _, change := range []string{
			"DELETE /sessions", "DELETE /sessions/" + target.otherSessionID, "DELETE /identities/" + things["identity_id"],
			"DELETE /consents/" + things["client_id"], "POST /unlock",
		} {
			method, at, _ := strings.Cut(change, " ")
			a := helper(method, path+at).want(403, "insufficient_scope")
			if asked := challenged(a); !strings.Contains(asked, "clients:write") || strings.Contains(asked, "users:write") {
				t.Errorf("%s: the challenge asks for %s", change, asked)
			}
		}
		s.do(t, me(token)).want(200)
		left := []int{
			len(decode[api.SessionPage](helper("GET", path+"/sessions").want(200)).Items),
			len(decode[api.IdentityPage](helper("GET", path+"/identities").want(200)).Items),
			len(decode[api.ConsentPage](helper("GET", path+"/consents").want(200)).Items),
			len(eventPage(t, s, s.eventReader(t), "/events?user_id="+target.userID).Items),
		}
		if want := []int{2, 1, 1, 0}; !slices.Equal(left, want) {
			t.Errorf("sessions, identities, consents and events are %d, want %d", left, want)
		}
	})
}

// eventReader returns a token that reads events.
func (s *server) eventReader(t *testing.T) string {
	t.Helper()
	return decode[api.Token](s.do(t, s.makeClient(t, "reader", "--scope", "events:read").sends(clientGrant(""))).want(200)).AccessToken
}

// The bounds that make one page enough hold: of sessions, and of identities, whichever way they are linked.
func TestTheListsOfOnePersonAreBounded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, token := s.administrator(t, "root")
		s.createVerified(t, "ann")
		ann := s.me(t, s.login(t, "ann").AccessToken).ID
		for range 101 {
			s.login(t, "ann")
		}
		if n := len(decode[api.SessionPage](s.as(t, token)("GET", "/users/"+ann+"/sessions").want(200)).Items); n != 100 {
			t.Errorf("%d sessions are listed", n)
		}
		if n := s.count(t, `sessions WHERE user_id = '`+ann+`'`); n != "100" {
			t.Errorf("there are %s sessions", n)
		}
		i, db := newIssuer(t, s.clock.now), s.open(t)
		s.addProvider(t, i, "--link-verified-addresses")
		for n := range 50 {
			err := db.CreateIdentity(t.Context(), store.Identity{ID: newID(), UserID: ann, Issuer: i.URL, Subject: fmt.Sprint("s", n), CreatedAt: s.clock.now()})
			if err != nil {
				t.Fatal(err)
			}
		}
		i.is("another", "email", "ann@example.com", "email_verified", true)
		if at := s.newBrowser().signsIn(t, i).header.Get("Location"); !strings.HasSuffix(at, "/sign-in?fault=full") {
			t.Errorf("the browser is sent to %s", at)
		}
		if n := s.count(t, `identities WHERE user_id = '`+ann+`'`); n != "50" {
			t.Errorf("there are %s identities", n)
		}
	}, privateProviders)
}
