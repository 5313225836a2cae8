package apitest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

// Administrators make, read, change and delete providers; nobody reads a secret.
func TestProvidersOverHTTP(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.clientManager(t, "carol", lacking([]string{"clients:read", "clients:write"}, grantable())...)
		send := func(method, path string, body any) *answer {
			t.Helper()
			return s.do(t, request{method: method, path: path, token: token, json: body})
		}
		type object = map[string]any
		google := object{"name": "google", "label": "Google", "kind": "oidc", "issuer": "https://accounts.google.com", "client_id": "sesame", "client_secret": "GOCSPX-1"}
		made := decode[api.Provider](send("POST", "/providers", google).want(201))
		if made.RedirectURI != s.url+"/sign-in/google/callback" || !made.HasSecret || strings.Join(made.Scopes, " ") != "openid email profile" || made.LinkVerifiedAddresses {
			t.Errorf("%+v", made)
		}
		github := decode[api.Provider](send("POST", "/providers", object{"name": "github", "kind": "github", "client_id": "x", "client_secret": "y"}).want(201))
		if github.Issuer != "https://github.com" || github.Label != "github" {
			t.Errorf("%+v", github)
		}
		send("POST", "/providers", google).want(409, "provider_taken")
		send("POST", "/providers", object{"name": "other", "kind": "oidc", "issuer": "https://accounts.google.com", "client_id": "x"}).want(409, "provider_taken")
		for pointer, change := range map[string]object{
			"/name": {"name": "logo"}, "/issuer": {"issuer": "http://accounts.google.com"}, "/scopes": {"scopes": []string{"email"}}, "/client_secret": {"kind": "github", "client_secret": nil},
			"/label": {"label": " Google"}, "/client_id": {"client_id": "ä"},
		} {
			body := object{"name": "next", "kind": "oidc", "issuer": "https://next.example.com", "client_id": "x", "client_secret": "y"}
			for name, value := range change {
				if body[name] = value; value == nil {
					delete(body, name)
				}
			}
			send("POST", "/providers", body).want(422, "validation_failed").pointsAt(pointer)
		}
		send("POST", "/providers", object{"name": "../x", "kind": "oidc", "client_id": "x"}).want(422).pointsAt("/name")
		send("POST", "/providers", object{"name": "next", "kind": "saml", "client_id": "x"}).want(422).pointsAt("/kind")
		send("POST", "/providers", object{"name": "next", "kind": "oidc", "client_id": "x"}).want(422).pointsAt("/issuer")

		if got := decode[api.Provider](send("GET", "/providers/google", nil).want(200)); got.Label != "Google" || !got.CreatedAt.Equal(made.CreatedAt) {
			t.Errorf("%+v", got)
		}
		changed := decode[api.Provider](send("PATCH", "/providers/google", object{"label": "Google Workspace", "scopes": []string{"openid"}, "link_verified_addresses": true}).want(200))
		if changed.Label != "Google Workspace" || len(changed.Scopes) != 1 || !changed.LinkVerifiedAddresses || !changed.HasSecret || changed.ClientID != "sesame" {
			t.Errorf("%+v", changed)
		}
		send("PATCH", "/providers/google", object{"issuer": "https://evil.example"}).want(422)
		send("PATCH", "/providers/google", object{"scopes": []string{"email"}}).want(422).pointsAt("/scopes")
		list := send("GET", "/providers", nil).want(200)
		if got := decode[api.ProviderPage](list); len(got.Items) != 2 || got.Items[0].Name != "google" || strings.Contains(string(list.body), "GOCSPX") {
			t.Errorf("%s", list.body)
		}
		// A provider that links by address is a way into accounts.
		weak := s.clientManager(t, "weak")
		for _, r := range []request{
			{method: "POST", path: "/providers", json: object{"name": "evil", "kind": "oidc", "issuer": "https://evil.example", "client_id": "x", "link_verified_addresses": true}},
			{method: "PATCH", path: "/providers/github", json: object{"link_verified_addresses": true}},
			{method: "PATCH", path: "/providers/google", json: object{"client_id": "evil"}},
		} {
			r.token = weak
			s.do(t, r).want(403, "insufficient_scope")
		}
		s.do(t, request{method: "PATCH", path: "/providers/google", token: weak, json: object{"link_verified_addresses": false}}).want(200)
		send("DELETE", "/providers/google", nil).want(204)
		for _, method := range []string{"GET", "DELETE"} {
			send(method, "/providers/google", nil).want(404, "not_found")
		}
		send("PATCH", "/providers/google", object{"label": "x"}).want(404, "not_found")
		for n := range 19 {
			send("POST", "/providers", object{"name": fmt.Sprint("p", n), "kind": "oidc", "issuer": fmt.Sprintf("https://p%d.example.com", n), "client_id": "x"}).want(201)
		}
		send("POST", "/providers", object{"name": "one-more", "kind": "oidc", "issuer": "https://more.example.com", "client_id": "x"}).want(422)
		for kind, n := range map[string]string{"provider_created": "21", "provider_changed": "2", "provider_deleted": "1"} {
			if got := s.count(t, `events WHERE actor IS NOT NULL AND client_id IS NOT NULL AND kind = '`+kind+`'`); got != n {
				t.Errorf("%s events %s", got, kind)
			}
		}
	})
}

// F17, F18: a person lists their identities and removes one with a token, after a login in the last ten minutes, and not the last way in.
func TestIdentitiesOverHTTP(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		client := s.publicClient(t)
		tokenOf := func() string {
			t.Helper()
			b, f := s.newBrowser(), newFlow(client, "scope", "me:read me:write")
			_, asked := b.submit(t, b.send(t, f.request()).want(200).providerForm("corp")).leaves()
			a := b.lands2(t, b.send(t, get(i.consents(asked).RequestURI())))
			return decode[api.Token](s.do(t, f.grant(codeOf(t, a))).want(200)).AccessToken
		}
		ann := tokenOf()
		list := func(token string) []api.Identity {
			t.Helper()
			return decode[api.IdentityPage](s.do(t, request{method: "GET", path: "/users/me/identities", token: token}).want(200)).Items
		}
		remove := func(token, id string) *answer {
			t.Helper()
			return s.do(t, request{method: "DELETE", path: "/users/me/identities/" + id, token: token})
		}
		found := list(ann)
		if len(found) != 1 || found[0].Provider.MustGet() != "corp" || found[0].Issuer != i.URL || found[0].Subject != i.person["sub"] || found[0].Label != "ann@example.com" || found[0].LastUsedAt.IsNull() {
			t.Fatalf("%+v", found)
		}
		remove(ann, found[0].ID).want(409, "last_way_in")
		eve := s.newcomer(t, "eve").AccessToken
		if len(list(eve)) != 0 {
			t.Error("eve has an identity")
		}
		remove(eve, found[0].ID).want(404, "not_found")
		remove(eve, newID()).want(404, "not_found")
		s.must(t, horse+"\n", "user", "set-password", "ann") // which ends the sessions
		ann = tokenOf()
		s.clock.advance(9 * time.Minute)
		if _, stderr, code := s.provider(t, "remove", "corp"); code != 0 {
			t.Fatal(stderr)
		}
		if found = list(ann); !found[0].Provider.IsNull() {
			t.Errorf("%+v", found)
		}
		remove(ann, found[0].ID).want(204)
		remove(ann, found[0].ID).want(404)
		s.addProvider(t, i)
		i.is("2", "email", "bea@example.com", "email_verified", true)
		bea := tokenOf()
		id := list(bea)[0].ID
		s.clock.advance(10*time.Minute + time.Second)
		bea = s.signed(t, s.issuer(t, s.url, s.url), s.access(t, bea))
		remove(bea, id).want(401)
	}, privateProviders)
}

// The commands print what an operator needs, and say what is wrong.
func TestProviderCommands(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		stdout, _, code := s.provider(t, "show", "corp", "--json")
		var shown map[string]any
		if err := json.Unmarshal([]byte(stdout), &shown); err != nil || code != 0 || shown["redirect_uri"] != s.url+"/sign-in/corp/callback" || shown["has_secret"] != true {
			t.Errorf("%d %v %s", code, err, stdout)
		}
		for _, c := range []struct {
			args []string
			want string // on standard error, or with code 0 on standard output
			code int
		}{
			{[]string{"list"}, "Corp corp", 0},
			{[]string{"update", "corp", "--label", "Corporation", "--no-link-verified-addresses"}, "Corporation", 0},
			{[]string{"update", "corp", "--client-secret-file", secretFile(t, "another")}, "set", 0},
			{[]string{"update", "nobody", "--label", "x"}, `unknown provider "nobody"`, 1},
			{[]string{"show", "nobody"}, `unknown provider "nobody"`, 1},
			{[]string{"add", "corp", "--issuer", "https://other.example.com", "--client-id", "x"}, "another provider has this name", 1},
			{[]string{"add", "other", "--issuer", i.URL, "--client-id", "x"}, "this issuer", 1},
			{[]string{"add", "Other", "--issuer", "https://other.example.com", "--client-id", "x"}, `<name> "Other" must have`, 1},
			{[]string{"add", "other", "--client-id", "x"}, "needs --issuer or --github", 80},
			{[]string{"add", "other", "--github", "--client-id", "x"}, "--client-secret-file is required", 1},
			{[]string{"add", "other", "--issuer", "https://other.example.com", "--client-id", "x", "--client-secret-file", "/none"}, "/none", 1},
			{[]string{"remove", "corp", "--json"}, `"deleted":true`, 0},
			{[]string{"remove", "corp"}, "unknown provider", 1},
		} {
			stdout, stderr, code := s.provider(t, c.args...)
			text := stderr
			if c.code == 0 {
				text = stdout
			}
			if (code == 0) != (c.code == 0) || !strings.Contains(text, c.want) {
				t.Errorf("%v: code %d, %s%s", c.args, code, stdout, stderr)
			}
		}
		i.Close()
		_, stderr, code := s.provider(t, "add", "gone", "--issuer", i.URL, "--client-id", "x")
		if code != 0 || !strings.Contains(stderr, "its discovery document cannot be read") {
			t.Errorf("code %d, %s", code, stderr)
		}
	})
}
