package apitest

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/store"
)

// Clients are listed by name and found by a prefix of it in any letter case, a page at a time, and the pages neither miss nor repeat one.
func TestClientsAreListed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		db := s.open(t)
		create := func(name string) {
			err := db.CreateClient(t.Context(), store.Client{ID: newID(), Name: name, RedirectURIs: callback, CreatedAt: s.clock.now()})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"Webshop", "web", "WEB", "wiki", "Ärzte", "ärger", "apple", "Zoo", "we_b", "ｗebinar"} {
			create(name)
		}
		names := func(p api.OAuthClientPage) (all []string, next string) {
			for _, client := range p.Items {
				all = append(all, client.Name)
			}
			return all, said(p.NextCursor)
		}
		list := func(q string, more func()) []string {
			t.Helper()
			return pages(t, s, root, "/clients?q="+url.QueryEscape(q), names, more)
		}
		for q, want := range map[string][]string{
			"":      {"apple", "we_b", "web", "WEB", "ｗebinar", "Webshop", "wiki", "Zoo", "ärger", "Ärzte"},
			"WEB":   {"web", "WEB", "ｗebinar", "Webshop"},
			"we_":   {"we_b"},
			"%":     nil,
			"är":    {"ärger", "Ärzte"},
			"ÄRZ":   {"Ärzte"},
			"zoo":   {"Zoo"},
			"zoo x": nil,
		} {
			if got := list(q, nil); !slices.Equal(got, want) {
				t.Errorf("%q finds %q, want %q", q, got, want)
			}
		}
		before := list("", nil)
		got := list("", func() { create("a " + newID()) }) // which would come first
		if got = slices.DeleteFunc(got, func(name string) bool { return strings.HasPrefix(name, "a ") }); !slices.Equal(got, before) {
			t.Errorf("got %q, want %q", got, before)
		}
		_, next := names(decode[api.OAuthClientPage](s.as(t, root)("GET", "/clients?q=web&limit=1").want(200)))
		s.as(t, root)("GET", "/clients?q=WEB&cursor="+next).want(400, "bad_request").pointsAt("/cursor")
		s.as(t, root)("GET", "/clients?q=%00").want(422)
		id := decode[api.OAuthClientPage](s.as(t, root)("GET", "/clients?q=wiki").want(200)).Items[0].ClientID
		s.do(t, request{method: "PATCH", path: "/clients/" + id, token: root, json: map[string]any{"name": "Handbook"}}).want(200)
		if got := append(list("wiki", nil), list("HAND", nil)...); !slices.Equal(got, []string{"Handbook"}) {
			t.Errorf("after another name: %q", got)
		}
	})
}

// The key with the longest compatibility form still fits into a cursor.
func TestACursorAfterALongName(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		for _, last := range []string{"a", "b"} {
			s.do(t, request{method: "POST", path: "/clients", token: root, json: map[string]any{"name": strings.Repeat("ﷺ", 63) + last}}).want(201)
		}
		read := func(p api.OAuthClientPage) (ids []string, next string) {
			return []string{p.Items[0].ClientID}, said(p.NextCursor)
		}
		first, next := read(decode[api.OAuthClientPage](s.as(t, root)("GET", "/clients?limit=1").want(200)))
		second, end := read(decode[api.OAuthClientPage](s.as(t, root)("GET", "/clients?limit=1&cursor="+next).want(200)))
		if slices.Equal(first, second) || end != "" {
			t.Errorf("%v, then %v and %q", first, second, end)
		}
	})
}

// The command line lists every client, however many there are, and finds one by its name.
func TestTheCommandLineListsEveryClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		db, id := s.open(t), ""
		err := db.Tx(t.Context(), func(q *store.Queries) error {
			for range 1001 {
				id = newID()
				if err := q.CreateClient(t.Context(), store.Client{ID: id, Name: "c " + id, CreatedAt: s.clock.now()}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(s.must(t, "", "client", "list"), "\n"); n != 1002 {
			t.Errorf("%d lines, want 1002", n)
		}
		if _, stderr, _ := s.sesame(t, "", "client", "delete", "c "+id); !strings.Contains(stderr, "whose client_id is "+id) {
			t.Error(stderr)
		}
	})
}

// Providers are listed a page at a time, too, in the order of their buttons.
func TestPagesOfProviders(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		db := s.open(t)
		var want []string
		for _, name := range []string{"e", "d", "c", "b", "a"} { // two at the same moment
			if err := db.CreateProvider(t.Context(), store.Provider{Name: name, Kind: "oidc", Issuer: "https://" + name + ".example.com", CreatedAt: s.clock.now()}); err != nil {
				t.Fatal(err)
			}
			want = append(want, name)
		}
		s.sql(t, `UPDATE providers SET created_at = 1 WHERE name IN ('c', 'e')`)
		want = []string{"c", "e", "d", "b", "a"}
		names := func(p api.ProviderPage) (all []string, next string) {
			for _, provider := range p.Items {
				all = append(all, provider.Name)
			}
			return all, said(p.NextCursor)
		}
		if got := pages(t, s, root, "/providers", names, nil); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if all, next := names(decode[api.ProviderPage](s.as(t, root)("GET", "/providers").want(200))); !slices.Equal(all, want) || next != "" {
			t.Errorf("without a limit: %q %q", all, next)
		}
	})
}
