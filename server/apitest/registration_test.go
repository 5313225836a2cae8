package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sesame/gen/api"
)

// openRegistration are the settings of a server where clients register themselves.
var openRegistration = []string{"SESAME_DYNAMIC_REGISTRATION=open", "SESAME_UNVERIFIED_CLIENT_SCOPES=me:read", "SESAME_AUDIENCES=" + mcpServer}

const (
	mcpServer = "https://mcp.example/mcp"
	agentPage = "http://127.0.0.1:33418/callback" // where a program on the person's machine listens
)

func registerAgent(more map[string]any) request {
	metadata := map[string]any{"client_name": "Notes for agents", "redirect_uris": []string{agentPage}}
	maps.Copy(metadata, more)
	return request{method: "POST", path: "/register", json: metadata}
}

// agentFlow is an authorization request of a client that has registered itself, for the server of tools.
func agentFlow(id string, more ...string) flow {
	f := newFlow(serviceClient{ID: id}, append([]string{"redirect_uri", agentPage, "scope", "me:read", "resource", mcpServer}, more...)...)
	f.redirect = agentPage
	return f
}

// askedAbout signs ann in, unless she is, and returns the page that asks whether she agrees.
func (b *browser) askedAbout(t *testing.T, f flow) webPage {
	t.Helper()
	page := b.send(t, f.request()).want(200).form()
	if page.action == "/consent" {
		return page
	}
	return b.submit(t, page, "username", "ann", "password", horse).want(200).form()
}

// A client registers itself, a person is asked, and the token is for the server of tools alone.
func TestRegistrationOfClients(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		metadata := decode[api.Metadata](s.do(t, request{method: "GET", path: "/.well-known/oauth-authorization-server"}).want(200))
		if metadata.RegistrationEndpoint == nil || *metadata.RegistrationEndpoint != s.url+"/register" || metadata.ClientIDMetadataDocumentSupported != nil {
			t.Errorf("metadata: %v %v", metadata.RegistrationEndpoint, metadata.ClientIDMetadataDocumentSupported)
		}
		// What programs send: grants and methods that they do not get, and members that nobody knows.
		made := decode[api.RegisteredClient](s.do(t, registerAgent(map[string]any{
			"client_name": "Claude Code (plugin:notes)", "grant_types": []string{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code", "client_credentials"},
			"token_endpoint_auth_method": "client_secret_post", "client_uri": "https://evil.example", "logo_uri": "https://evil.example/logo.png", "scope": "users:write",
			"software_statement": map[string]any{"deep": []any{1}}, "jwks_uri": "https://evil.example/keys", "client_id": newID(), "third_party": false, "scopes": []string{"users:write"},
		})).want(201))
		if made.ClientName != "Claude Code (plugin notes)" || made.TokenEndpointAuthMethod != "none" || made.Scope != "email me:read openid profile" ||
			!slices.Equal(made.GrantTypes, []string{"authorization_code", "refresh_token"}) || !slices.Equal(made.RedirectUris, []string{agentPage}) {
			t.Errorf("registered: %+v", made)
		}
		b, f := s.newBrowser(), agentFlow(made.ClientID)
		page := b.askedAbout(t, f)
		for _, text := range []string{"Allow Claude Code (plugin notes)?", "Nobody here has verified this application", "a program on this computer", mcpServer} {
			if !strings.Contains(string(page.body), text) {
				t.Errorf("the page does not say %q:\n%s", text, page.body)
			}
		}
		tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, b.submit(t, page, "decision", "allow")))).want(200))
		if claims := claimsOf(t, tokens.AccessToken); fmt.Sprint(claims["aud"]) != "["+mcpServer+"]" || claims["client_id"] != made.ClientID || claims["scope"] != "me:read" || claims["sub"] != ann.ID {
			t.Errorf("claims: %v", claims)
		}
		s.do(t, request{method: "GET", path: "/users/me", token: tokens.AccessToken}).want(401)
		refresh := refreshGrant(tokens.RefreshToken)
		refresh.form.Set("client_id", made.ClientID)
		s.do(t, refresh).want(200)

		// The person sees it among the applications, and the operator among the clients.
		if page := b.send(t, request{method: "GET", path: "/account/applications"}).want(200); !strings.Contains(string(page.body), "it has registered itself and chosen its name") {
			t.Errorf("applications: %s", page.body)
		}
		var list struct{ Items []api.OAuthClient }
		if err := json.Unmarshal([]byte(s.must(t, "", "client", "list", "--json")), &list); err != nil || len(list.Items) != 1 {
			t.Fatalf("%v %+v", err, list)
		}
		if c := list.Items[0]; c.Registration != "dynamic" || !c.ThirdParty || !c.Public || !c.RequirePkce || c.PasswordGrant || c.DeviceGrant || !strings.HasPrefix(c.Name, "Claude Code (plugin notes) (") {
			t.Errorf("listed: %+v", c)
		}
		if plain := s.must(t, "", "client", "list"); !strings.Contains(plain, "REGISTRATION") || !strings.Contains(plain, "dynamic") {
			t.Error(plain)
		}
		if id := s.value(t, `SELECT client_id FROM events WHERE kind = 'client_created' AND actor = 'self-registration'`); id != made.ClientID {
			t.Errorf("the event names %s", id)
		}
	}, openRegistration...)
}

// The table of what is refused, and how.
func TestHostileRegistrations(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		long := func(n int) string { return strings.Repeat("a", n) }
		for name, c := range map[string]struct {
			body any
			code string
		}{
			"no addresses":                {registerAgent(map[string]any{"redirect_uris": []string{}}).json, "invalid_redirect_uri"},
			"addresses that are no list":  {registerAgent(map[string]any{"redirect_uris": agentPage}).json, "invalid_redirect_uri"},
			"too many addresses":          {registerAgent(map[string]any{"redirect_uris": slices.Repeat([]string{agentPage}, 21)}).json, "invalid_redirect_uri"},
			"a script":                    {registerAgent(map[string]any{"redirect_uris": []string{"javascript:alert(1)"}}).json, "invalid_redirect_uri"},
			"data":                        {registerAgent(map[string]any{"redirect_uris": []string{"data:text/html,x"}}).json, "invalid_redirect_uri"},
			"plain http":                  {registerAgent(map[string]any{"redirect_uris": []string{"http://app.example/callback"}}).json, "invalid_redirect_uri"},
			"a fragment":                  {registerAgent(map[string]any{"redirect_uris": []string{callback + "#x"}}).json, "invalid_redirect_uri"},
			"a wildcard":                  {registerAgent(map[string]any{"redirect_uris": []string{"https://*.example/callback"}}).json, "invalid_redirect_uri"},
			"a line break":                {registerAgent(map[string]any{"redirect_uris": []string{callback + "\nhttps://evil.example/"}}).json, "invalid_redirect_uri"},
			"a username":                  {registerAgent(map[string]any{"redirect_uris": []string{"https://app.example@evil.example/"}}).json, "invalid_redirect_uri"},
			"a scheme without a dot":      {registerAgent(map[string]any{"redirect_uris": []string{"cursor://callback"}}).json, "invalid_redirect_uri"},
			"one bad address of two":      {registerAgent(map[string]any{"redirect_uris": []string{callback, "ftp://app.example/"}}).json, "invalid_redirect_uri"},
			"addresses as long as a book": {registerAgent(map[string]any{"redirect_uris": []string{callback + long(1500), callback + "a" + long(1500), callback + "b" + long(1500)}}).json, "invalid_redirect_uri"},
			"a long address":              {registerAgent(map[string]any{"redirect_uris": []string{callback + long(2000)}}).json, "invalid_redirect_uri"},
			"a name of authority":         {registerAgent(map[string]any{"client_name": "Sesame Support"}).json, "invalid_client_metadata"},
			"one that looks like it":      {registerAgent(map[string]any{"client_name": "\u0405esame Аdmin"}).json, "invalid_client_metadata"},
			"one with slashes":            {registerAgent(map[string]any{"client_name": "ad/min"}).json, "invalid_client_metadata"},
			"the name of the service":     {registerAgent(map[string]any{"client_name": "Acme L0gin"}).json, "invalid_client_metadata"},
			"a direction mark":            {registerAgent(map[string]any{"client_name": "Notes \u202e"}).json, "invalid_client_metadata"},
			"a control character":         {registerAgent(map[string]any{"client_name": "Notes \x1b[31m"}).json, "invalid_client_metadata"},
			"a fullwidth solidus":         {registerAgent(map[string]any{"client_name": "evil.example／x"}).json, "invalid_client_metadata"},
			"a tower of marks":            {registerAgent(map[string]any{"client_name": "N" + strings.Repeat("\u0301", 20)}).json, "invalid_client_metadata"},
			"a long name":                 {registerAgent(map[string]any{"client_name": long(65)}).json, "invalid_client_metadata"},
			"a name that is a number":     {registerAgent(map[string]any{"client_name": 1}).json, "invalid_client_metadata"},
			"the implicit grant alone":    {registerAgent(map[string]any{"grant_types": []string{"implicit"}}).json, "invalid_client_metadata"},
			"the password grant alone":    {registerAgent(map[string]any{"grant_types": []string{"password"}}).json, "invalid_client_metadata"},
			"the client's own grant":      {registerAgent(map[string]any{"grant_types": []string{"client_credentials"}}).json, "invalid_client_metadata"},
			"a token in the address":      {registerAgent(map[string]any{"response_types": []string{"token"}}).json, "invalid_client_metadata"},
			"a method with keys":          {registerAgent(map[string]any{"token_endpoint_auth_method": "private_key_jwt"}).json, "invalid_client_metadata"},
			"a key twice":                 {`{"client_name":"a","redirect_uris":["https://a.example/"],"redirect_uris":["https://b.example/"]}`, "invalid_request"},
			"no object":                   {`[]`, "invalid_request"},
			"deep":                        {strings.Repeat("[", 100), "invalid_request"},
			"a name that is not UTF-8":    {"{\"client_name\":\"\xff\",\"redirect_uris\":[\"https://a.example/\"]}", "invalid_request"},
			"a lone surrogate in a name":  {`{"client_name":"\ud800","redirect_uris":["https://a.example/"]}`, "invalid_request"},
			"an array of nested unknowns": {`{"client_name":"` + long(30) + `","redirect_uris":["x"],"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "invalid_request"},
		} {
			got := s.do(t, request{method: "POST", path: "/register", json: c.body})
			if fault := decode[api.OAuthError](got.want(400)); string(fault.Error) != c.code {
				t.Errorf("%s: %s", name, got.body)
			}
		}
		s.do(t, request{method: "POST", path: "/register", json: registerAgent(map[string]any{"x": long(70_000)}).json}).want(413)
		s.do(t, request{method: "POST", path: "/register", form: url.Values{"redirect_uris": {agentPage}}}).want(415)
		if n := s.count(t, `clients`); n != "0" {
			t.Errorf("%s clients are registered", n)
		}
		if made := decode[api.RegisteredClient](s.do(t, request{method: "POST", path: "/register", json: map[string]any{"redirect_uris": []string{callback}}}).want(201)); made.ClientName != "Unnamed application" {
			t.Errorf("the name is %q", made.ClientName)
		}
	}, append(openRegistration, "SESAME_MAIL_FROM=Acme Login <no-reply@acme.example>")...)
}

// Off is the default, and no scope of an administrator can be offered.
func TestRegistrationIsOffByDefault(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.do(t, registerAgent(nil)).want(404)
		if text := s.do(t, request{method: "GET", path: "/.well-known/openid-configuration"}).want(200).body; strings.Contains(string(text), "registration_endpoint") || strings.Contains(string(text), "client_id_metadata") {
			t.Errorf("%s", text)
		}
	})
	for _, settings := range [][2]string{
		{"SESAME_UNVERIFIED_CLIENT_SCOPES", "me:read,users:read"},
		{"SESAME_UNVERIFIED_CLIENT_SCOPES", "me:reed"},
		{"SESAME_DYNAMIC_REGISTRATION", "on"},
		{"SESAME_CLIENT_DOCUMENTS", "any,app.example"},
		{"SESAME_CLIENT_DOCUMENTS", "https://app.example"},
		{"SESAME_CLIENT_DOCUMENTS", "*.example"},
		{"SESAME_CLIENT_DOCUMENTS", "App.example"},
	} {
		_, stderr, code := command(t, "", map[string]string{
			"SESAME_LISTEN": "127.0.0.1:0", "SESAME_DATABASE_URL": sqliteURL(t), "SESAME_MASTER_KEY": testKey(), settings[0]: settings[1],
		}, "serve")
		if code == 0 || !strings.Contains(stderr, settings[0]) {
			t.Errorf("%v: %d %s", settings, code, stderr)
		}
	}
}

// What nobody has verified never becomes more than that.
func TestAnUnverifiedClientStaysOne(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		_, root := s.administrator(t, "root")
		made := decode[api.RegisteredClient](s.do(t, registerAgent(nil)).want(201))
		path := "/clients/" + made.ClientID
		for _, change := range []map[string]any{{"third_party": false}, {"scopes": []string{"users:write"}}, {"name": "Shop"}, {"password_grant": true}, {"device_grant": true}} {
			s.do(t, request{method: "PATCH", path: path, token: root, json: change}).want(422, "validation_failed")
		}
		s.do(t, request{method: "POST", path: path + "/secret", token: root, json: map[string]any{"keep_old_for": 0}}).want(422)
		// Neither does it get what it was not offered, by any grant.
		b := s.newBrowser()
		for fault, f := range map[string]flow{
			"invalid_scope":   agentFlow(made.ClientID, "scope", "users:write me:write"),
			"invalid_request": agentFlow(made.ClientID, "code_challenge", "", "code_challenge_method", ""),
			"invalid_target":  agentFlow(made.ClientID, "resource", "https://other.example"),
		} {
			if page := b.send(t, f.request()); page.status == 200 || !strings.Contains(string(page.body), "error="+fault) {
				t.Errorf("%s: %d %s", fault, page.status, page.body)
			}
		}
		for _, form := range []url.Values{
			{"grant_type": {"password"}, "username": {"ann"}, "password": {horse}},
			{"grant_type": {"client_credentials"}},
			{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {"x"}},
		} {
			form.Set("client_id", made.ClientID)
			if a := s.do(t, request{method: "POST", path: "/token", form: form}); a.status != 400 && a.status != 401 {
				t.Errorf("%v: %d %s", form, a.status, a.body)
			}
		}
		s.do(t, request{method: "POST", path: "/device_authorization", form: url.Values{"client_id": {made.ClientID}}}).want(400)
		// A person who has agreed is asked again for more, and a silent request gets no code before.
		if fault := b.send(t, agentFlow(made.ClientID, "prompt", "none").request()).sentTo(agentPage).Get("error"); fault != "login_required" {
			t.Errorf("silently: %q", fault)
		}
		b.submit(t, b.askedAbout(t, agentFlow(made.ClientID)), "decision", "allow").want(303)
		if page := b.send(t, agentFlow(made.ClientID, "scope", "me:read openid").request()).want(200).form(); page.action != "/consent" {
			t.Errorf("more scopes lead to %s", page.action)
		}
		// Nor does what a person has allowed for one server hold for another, or for Sesame itself.
		codeOf(t, b.send(t, agentFlow(made.ClientID).request()))
		own := agentFlow(made.ClientID, "resource", "")
		if page := b.send(t, own.request()).want(200).form(); page.action != "/consent" || !strings.Contains(string(page.body), "The access is for <bdi>"+s.url) {
			t.Errorf("another resource leads to %s:\n%s", page.action, page.body)
		}
		own.query.Set("prompt", "none")
		if fault := b.send(t, own.request()).sentTo(agentPage).Get("error"); fault != "consent_required" {
			t.Errorf("silently for another resource: %q", fault)
		}
		own.query.Del("prompt")
		b.submit(t, b.send(t, own.request()).want(200).form(), "decision", "allow").want(303)
		for _, f := range []flow{own, agentFlow(made.ClientID), agentFlow(made.ClientID, "resource", s.url)} {
			codeOf(t, b.send(t, f.request())) // both hold now
		}
		if page := b.send(t, agentFlow(made.ClientID, "scope", "openid me:read", "resource", s.url).request()).want(200).form(); page.action != "/consent" {
			t.Errorf("more scopes for the other resource lead to %s", page.action)
		}
		s.do(t, request{method: "DELETE", path: path, token: root}).want(204)
		b.send(t, agentFlow(made.ClientID).request()).want(400)
	}, openRegistration...)
}

// The clients that nobody uses are few, and no network takes the place of others.
func TestUnusedClientsAreBounded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		from := func(address string) *answer {
			r := registerAgent(nil)
			r.header = map[string]string{"X-Forwarded-For": address}
			return s.do(t, r)
		}
		used := decode[api.RegisteredClient](from("192.0.2.1").want(201)).ClientID
		for range 19 {
			from("192.0.2.1").want(201)
		}
		if a := from("192.0.2.1").want(429); a.header.Get("Retry-After") == "" {
			t.Error("nothing says when to try again")
		}
		fresh := decode[api.RegisteredClient](from("192.0.2.2").want(201)).ClientID
		b := s.newBrowser()
		b.submit(t, b.askedAbout(t, agentFlow(used)), "decision", "allow").want(303)

		// With 10,000 unused ones, a new one takes the place of the oldest, and not within its first hour.
		s.sql(t, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
			INSERT INTO clients (id, name, secret_hash, scopes, password_grant, created_at, public, third_party, registration, check_at)
			SELECT 'flood ' || i, 'flood ' || i, '', '', FALSE, `+fmt.Sprint(s.clock.now().UnixMicro())+` + i, TRUE, TRUE, 'dynamic', 9000000000000000 FROM n`)
		from("192.0.2.3").want(429)
		s.clock.advance(time.Hour + time.Minute)
		from("192.0.2.3").want(201)
		if n := s.count(t, `clients WHERE registration = 'dynamic' AND NOT agreed`); n != "10020" {
			t.Errorf("there are %s unused clients", n)
		}
		s.sql(t, `DELETE FROM clients WHERE id LIKE 'flood %'`)

		// After a day the cleanup deletes those that nobody has agreed to, and after a withdrawal the others.
		s.clock.advance(24 * time.Hour)
		s.cleanUp(t)
		if left := s.count(t, `clients`); left != "1" {
			t.Errorf("%s clients are left", left)
		}
		b.send(t, agentFlow(fresh).request()).want(400)
		s.do(t, agentFlow(used).grant("x")).want(400, "invalid_grant") // it is known
		s.sql(t, `DELETE FROM consents`)
		s.clock.advance(25 * time.Hour)
		s.cleanUp(t)
		if left := s.count(t, `clients`); left != "0" {
			t.Errorf("%s clients are left", left)
		}
	}, append(openRegistration, "SESAME_TRUSTED_PROXIES=127.0.0.1/32")...)
}

func (s *server) cleanUp(t *testing.T) {
	t.Helper()
	if _, err := cleanupJob(s.open(t), s.clock.now).Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// claimsOf reads the claims of a token.
func claimsOf(t *testing.T, text string) (claims jwt.MapClaims) {
	t.Helper()
	if _, _, err := jwt.NewParser().ParseUnverified(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
