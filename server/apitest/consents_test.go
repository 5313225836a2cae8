package apitest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/store"
)

// A person, and an administrator for them, lists what they have agreed to and withdraws it: the client loses its sessions, and the
// person is asked again.
func TestConsentsOverHTTP(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		root, rootToken := s.administrator(t, "root")
		ann := s.me(t, s.newcomer(t, "ann").AccessToken)
		b := s.signedIn(t, "ann")
		client := s.agrees(t, b)
		token := s.login(t, "ann").AccessToken
		for path, by := range map[string]struct{ token, actor string }{
			"/users/me/consents":             {token, ann.ID},
			"/users/" + ann.ID + "/consents": {rootToken, root},
		} {
			f := newFlow(client)
			tokens := s.codeTokens(t, f, codeOf(t, b.send(t, f.request())))
			page := decode[api.ConsentPage](s.as(t, by.token)("GET", path).want(200))
			if len(page.Items) != 1 || page.Items[0].ClientID != client.ID || page.Items[0].ClientName == "" || strings.Join(page.Items[0].Scopes, " ") != "openid profile email" || !page.NextCursor.IsNull() {
				t.Fatalf("%+v", page)
			}
			s.as(t, by.token)("DELETE", path+"/"+newID()).want(404, "not_found")
			s.as(t, by.token)("DELETE", path+"/"+strings.ToUpper(client.ID)).want(204)
			s.as(t, by.token)("DELETE", path+"/"+client.ID).want(404, "not_found")
			s.do(t, me(tokens.AccessToken)).want(401)
			if page = decode[api.ConsentPage](s.as(t, by.token)("GET", path).want(200)); len(page.Items) != 0 {
				t.Errorf("%+v", page)
			}
			if e := lastEvent(t, s, rootToken, ann.ID); e.Kind != "consent_withdrawn" || said(e.Actor) != by.actor || said(e.ClientID) != client.ID {
				t.Errorf("%+v", e)
			}
			asked := b.send(t, newFlow(client).request()).want(200)
			b.submit(t, asked.form(), "decision", "allow").sentTo(callback)
		}
		s.do(t, me(token)).want(200)
	})
}

// The consents of a client are listed for those who read clients. Its people are ids, and names for those who read accounts.
func TestConsentsOfAClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.newcomer(t, "ann")
		client := s.agrees(t, s.signedIn(t, "ann"))
		path := "/clients/" + client.ID + "/consents"
		for token, name := range map[string]string{s.clientManager(t, "carol"): "", s.clientManager(t, "dave", "users:read"): "ann"} {
			page := decode[api.ClientConsentPage](s.as(t, token)("GET", path).want(200))
			if len(page.Items) != 1 || said(page.Items[0].Username) != name || len(page.Items[0].Scopes) != 3 || page.Items[0].CreatedAt.IsZero() {
				t.Errorf("%+v, want the name %q", page, name)
			}
			s.as(t, token)("GET", "/clients/"+newID()+"/consents").want(404, "not_found")
		}
		_, root := s.administrator(t, "root")
		if list := decode[api.ClientConsentPage](s.as(t, root)("GET", "/clients/"+s.publicClient(t).ID+"/consents").want(200)); len(list.Items) != 0 {
			t.Errorf("%+v", list)
		}
	})
}

// pages reads all pages of a list, and gives an id of each item. more is called between two pages.
func pages[P any](t *testing.T, s *server, token, path string, read func(P) (ids []string, next string), more func()) (all []string) {
	t.Helper()
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	for cursor := ""; ; {
		ids, next := read(decode[P](s.as(t, token)("GET", path+join+"limit=2&cursor="+url.QueryEscape(cursor)).want(200)))
		if all = append(all, ids...); next == "" {
			return all
		}
		if len(ids) != 2 || len(all) > 1000 {
			t.Fatalf("a page of %d, and then %q", len(ids), next)
		}
		if cursor = next; more != nil {
			more()
		}
	}
}

// Pages of consents neither miss nor repeat one while others are given and withdrawn, and no cursor works for another list.
func TestPagesOfConsents(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		token, ann := s.newcomer(t, "ann").AccessToken, ""
		ann = s.me(t, token).ID
		_, root := s.administrator(t, "root")
		var clients, people []string
		agree := func(user, client string) {
			if err := c.db.SetConsent(t.Context(), user, client, "openid", s.clock.now()); err != nil {
				t.Fatal(err)
			}
		}
		popular := c.client(t, nil)
		for range 7 {
			client, person := c.client(t, nil), c.addUser(t).userID
			agree(ann, client)
			agree(person, popular)
			clients, people = append(clients, client), append(people, person)
		}
		ofPerson := func(p api.ConsentPage) (ids []string, next string) {
			for _, consent := range p.Items {
				ids = append(ids, consent.ClientID)
			}
			return ids, said(p.NextCursor)
		}
		ofClient := func(p api.ClientConsentPage) (ids []string, next string) {
			for _, consent := range p.Items {
				ids = append(ids, consent.UserID)
			}
			return ids, said(p.NextCursor)
		}
		slices.Sort(clients)
		slices.Sort(people)
		more := func() { // the first in the list, which is past
			first := store.Client{ID: "00000000-0000-7000-8000-" + newID()[24:], Name: newID(), RedirectURIs: callback, CreatedAt: s.clock.now()}
			if err := c.db.CreateClient(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			agree(ann, first.ID)
		}
		if got := pages(t, s, token, "/users/me/consents", ofPerson, more); !slices.Equal(got, clients) {
			t.Errorf("got %v, want %v", got, clients)
		}
		path := "/users/" + ann + "/consents"
		if got := pages(t, s, root, path, ofPerson, nil); len(got) != 10 {
			t.Errorf("got %v", got)
		}
		if got := pages(t, s, root, "/clients/"+popular+"/consents", ofClient, nil); !slices.Equal(got, people) {
			t.Errorf("got %v, want %v", got, people)
		}
		_, next := ofPerson(decode[api.ConsentPage](s.as(t, root)("GET", path+"?limit=2").want(200)))
		for _, other := range []string{"/users/" + people[0] + "/consents", "/clients/" + popular + "/consents", "/clients", "/providers"} {
			s.as(t, root)("GET", fmt.Sprintf("%s?cursor=%s", other, next)).want(400, "bad_request").pointsAt("/cursor")
		}
		s.as(t, root)("GET", path+"?limit=101").want(422)

		b := s.signedIn(t, "ann") // the page of the person shows them all, too
		for range 20 {
			agree(ann, c.client(t, nil))
		}
		page := b.send(t, get("/account/applications")).want(200)
		shown := strings.Count(string(page.body), `name="client"`)
		page = b.send(t, get("/account/applications?cursor="+cursorIn(t, page))).want(200)
		if shown += strings.Count(string(page.body), `name="client"`); shown != 30 {
			t.Errorf("the page shows %d applications, want 30", shown)
		}
	})
}

// cursorIn is the cursor of the link to more.
func cursorIn(t *testing.T, page *answer) string {
	t.Helper()
	_, after, _ := strings.Cut(string(page.body), "account/applications?cursor=")
	cursor, _, found := strings.Cut(after, `"`)
	if !found {
		t.Fatalf("%s has no link to more", page.body)
	}
	return cursor
}
