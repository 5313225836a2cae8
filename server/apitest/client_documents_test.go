package apitest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
)

// documentHost serves client ID metadata documents.
type documentHost struct {
	*httptest.Server
	cert string // the file of its certificate

	mu       sync.Mutex
	answers  map[string]http.HandlerFunc // by path
	requests map[string]int
}

func newDocumentHost(t *testing.T) *documentHost {
	t.Helper()
	h := &documentHost{answers: map[string]http.HandlerFunc{}, requests: map[string]int{}, cert: filepath.Join(t.TempDir(), "cert.pem")}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.requests[r.URL.Path]++
		answer := h.answers[r.URL.Path]
		h.mu.Unlock()
		if answer == nil {
			answer = http.NotFound
		}
		answer(w, r)
	}))
	t.Cleanup(h.Close)
	h.Config.ErrorLog = nil
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	if err := os.WriteFile(h.cert, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// settings are those of a server that reads the documents, which are at a private network address.
func (h *documentHost) settings(more ...string) []string {
	return append([]string{
		"SESAME_CLIENT_DOCUMENTS=" + strings.TrimPrefix(h.URL, "https://"), "SESAME_PRIVATE_CLIENT_DOCUMENTS=on", trustedDocuments + "=" + h.cert,
		"SESAME_UNVERIFIED_CLIENT_SCOPES=me:read", "SESAME_AUDIENCES=" + mcpServer,
	}, more...)
}

func (h *documentHost) count(path string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests[path]
}

func (h *documentHost) serve(path string, answer http.HandlerFunc) (uri string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[path] = answer
	return h.URL + path
}

// describe serves a valid document, changed by more: nil removes a member.
func (h *documentHost) describe(path string, more map[string]any) (uri string) {
	document := map[string]any{
		"client_id": h.URL + path, "client_name": "Notes for agents", "redirect_uris": []string{agentPage}, "token_endpoint_auth_method": "none",
		"logo_uri": "https://evil.example/logo.png", "client_uri": "https://evil.example",
	}
	maps.Copy(document, more)
	maps.DeleteFunc(document, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	return h.serve(path, jsonText(string(text)))
}

func jsonText(text string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		_, _ = w.Write([]byte(text))
	}
}

// onEachEngineWithDocuments is onEachEngine with a host of documents for each server.
func onEachEngineWithDocuments(t *testing.T, test func(t *testing.T, s *server, h *documentHost), settings ...string) {
	t.Helper()
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			h := newDocumentHost(t)
			test(t, start(t, databaseURL(t), h.settings(settings...)...), h)
		})
	}
}

// The client_id is the URL of a document: the page names its host, tokens name the URL, and the token endpoint reads no document.
func TestClientsWithDocuments(t *testing.T) {
	onEachEngineWithDocuments(t, func(t *testing.T, s *server, h *documentHost) {
		ann := s.register(t, "ann")
		metadata := decode[api.Metadata](s.do(t, request{method: "GET", path: "/.well-known/oauth-authorization-server"}).want(200))
		if on := metadata.ClientIDMetadataDocumentSupported; on == nil || !*on || metadata.RegistrationEndpoint != nil {
			t.Errorf("metadata: %+v", metadata)
		}
		uri := h.describe("/notes/client.json", nil)
		b, f := s.newBrowser(), agentFlow(uri, "scope", "openid me:read")
		s.do(t, f.grant("x")).want(401, "invalid_client") // nobody has agreed to it
		if n := h.count("/notes/client.json"); n != 0 {
			t.Errorf("the token endpoint has read the document %d times", n)
		}
		page := b.askedAbout(t, f)
		for _, text := range []string{"Allow Notes for agents?", "The website <bdi>" + strings.TrimPrefix(h.URL, "https://") + "</bdi> describes it", "a program on this computer", mcpServer} {
			if !strings.Contains(string(page.body), text) {
				t.Errorf("the page does not say %q:\n%s", text, page.body)
			}
		}
		if n := s.count(t, "clients"); n != "0" {
			t.Errorf("%s clients are stored before a person has agreed", n)
		}
		code := codeOf(t, b.submit(t, page, "decision", "allow"))
		tokens := decode[api.Token](s.do(t, f.grant(code)).want(200))
		if c := claimsOf(t, tokens.AccessToken); fmt.Sprint(c["aud"]) != "["+mcpServer+"]" || c["client_id"] != uri || c["sub"] != ann.ID || c["scope"] != "openid me:read" {
			t.Errorf("claims: %v", c)
		}
		if c := s.idToken(t, tokens.IDToken); fmt.Sprint(c["aud"]) != "["+uri+"]" {
			t.Errorf("ID token: %v", c)
		}
		if n := h.count("/notes/client.json"); n != 1 {
			t.Errorf("the document was read %d times", n)
		}

		// Every other operation names the client by its stored id, which no person has and which is no client_id.
		id := s.value(t, `SELECT id FROM clients`)
		if s.value(t, `SELECT registration || ' ' || document_uri FROM clients`) != "document "+uri || id[14] != '8' {
			t.Errorf("stored as %s", id)
		}
		b.send(t, agentFlow(id).request()).want(400)
		refresh := refreshGrant(tokens.RefreshToken)
		refresh.form.Set("client_id", id)
		s.do(t, refresh).want(401, "invalid_client")
		refresh.form.Set("client_id", uri)
		tokens = decode[api.Token](s.do(t, refresh).want(200))
		gateway := s.makeClient(t, "gateway", "--scope", "users:read")
		found := decode[api.Introspection](s.do(t, gateway.sends(request{method: "POST", path: "/token/introspect", form: url.Values{"token": {tokens.AccessToken}}})).want(200))
		if !found.Active || *found.ClientID != uri {
			t.Errorf("introspection: %+v", found)
		}
		if page := b.send(t, request{method: "GET", path: "/account/applications"}).want(200); !strings.Contains(string(page.body), "describes it and has chosen its name") {
			t.Errorf("applications: %s", page.body)
		}
		if e := s.value(t, `SELECT actor || ' ' || client_id FROM events WHERE kind = 'client_created' AND actor = 'self-registration'`); e != "self-registration "+id {
			t.Errorf("the event is %s", e)
		}
		// A silent request with its ID token, and a revocation.
		hinted := agentFlow(uri, "prompt", "none", "id_token_hint", tokens.IDToken)
		b.send(t, hinted.request()).sentTo(agentPage)
		s.do(t, request{method: "POST", path: "/token/revoke", form: url.Values{"token": {tokens.AccessToken}, "client_id": {uri}}}).want(200)
		refresh = refreshGrant(tokens.RefreshToken)
		refresh.form.Set("client_id", uri)
		s.do(t, refresh).want(400, "invalid_grant")
		s.do(t, request{method: "POST", path: "/par", form: hinted.query}).want(201)
	})
}

// A document may change: it is read again after a while, and not before. While its host is away, what it has said before is used.
func TestDocumentsChange(t *testing.T) {
	onEachEngineWithDocuments(t, func(t *testing.T, s *server, h *documentHost) {
		s.register(t, "ann")
		const path = "/client.json"
		uri := h.describe(path, nil)
		b := s.newBrowser()
		b.submit(t, b.askedAbout(t, agentFlow(uri)), "decision", "allow").want(303)
		moved := "http://127.0.0.1/moved"
		h.describe(path, map[string]any{"redirect_uris": []string{moved}, "client_name": "Other notes"})
		codeOf(t, b.send(t, agentFlow(uri).request()))
		s.clock.advance(11 * time.Minute)
		b.send(t, agentFlow(uri).request()).want(400)
		f := agentFlow(uri, "redirect_uri", moved)
		f.redirect = moved
		s.do(t, f.grant(codeOf(t, b.send(t, f.request())))).want(200)
		if name := s.value(t, `SELECT name FROM clients`); !strings.HasPrefix(name, "Other notes (") {
			t.Errorf("the name is %s", name)
		}

		// The limits of caching: a minute and a day.
		for control, read := range map[string]time.Duration{"no-store": time.Minute, "max-age=0": time.Minute, "public, max-age=1200": 20 * time.Minute, "max-age=999999999": 24 * time.Hour} {
			fresh := h.serve("/"+strings.Trim(control, "=,- "), jsonText(`{"client_id":"`+h.URL+"/"+strings.Trim(control, "=,- ")+`","client_name":"N","redirect_uris":["`+agentPage+`"]}`, "Cache-Control", control))
			name := strings.TrimPrefix(fresh, h.URL)
			if strings.ContainsAny(name, " ,") {
				fresh = h.serve("/cached", jsonText(`{"client_id":"`+h.URL+`/cached","client_name":"N","redirect_uris":["`+agentPage+`"]}`, "Cache-Control", control))
				name = "/cached"
			}
			for _, wait := range []time.Duration{0, read - time.Second, 2 * time.Second} {
				s.clock.advance(wait)
				s.newBrowser().send(t, agentFlow(fresh).request()).want(200)
			}
			if n := h.count(name); n != 2 {
				t.Errorf("%s: read %d times", control, n)
			}
		}

		// The host fails, and then says that there is no such document.
		s.clock.advance(25 * time.Hour)
		b = s.newBrowser()
		h.serve(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		b.send(t, f.request()).want(200)
		s.clock.advance(11 * time.Second)
		h.serve(path, http.NotFound)
		b.send(t, f.request()).want(400)
		b.send(t, f.request()).want(400)
	})
}

// The table of documents that are refused. None is stored, and each is read once.
func TestHostileDocuments(t *testing.T) {
	onEachEngineWithDocuments(t, func(t *testing.T, s *server, h *documentHost) {
		valid := h.describe("/valid.json", nil)
		texts := func(members string) http.HandlerFunc { return jsonText(members) }
		for name, answer := range map[string]any{
			"missing":        http.NotFound,
			"moved":          func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, valid, http.StatusFound) },
			"moved-for-ever": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, valid, http.StatusPermanentRedirect) },
			"no-content":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
			"forbidden":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
			"html": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write([]byte("{}"))
			},
			"text": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				_, _ = w.Write([]byte("{}"))
			},
			"large":                     map[string]any{"x": strings.Repeat("a", 5<<10)},
			"another-client":            map[string]any{"client_id": valid},
			"almost-it":                 map[string]any{"client_id": h.URL + "/almost-it/"},
			"other-case":                map[string]any{"client_id": strings.ToUpper(h.URL) + "/other-case"},
			"no-id":                     map[string]any{"client_id": nil},
			"id-of-another-type":        map[string]any{"client_id": []string{h.URL + "/id-of-another-type"}},
			"secret":                    map[string]any{"client_secret": "s3cret"},
			"null-secret":               texts(`{"client_id":"` + h.URL + `/null-secret","client_name":"N","redirect_uris":["` + agentPage + `"],"client_secret":null}`),
			"secret-that-expires":       map[string]any{"client_secret_expires_at": 0},
			"basic":                     map[string]any{"token_endpoint_auth_method": "client_secret_basic"},
			"post":                      map[string]any{"token_endpoint_auth_method": "client_secret_post"},
			"jwt":                       map[string]any{"token_endpoint_auth_method": "client_secret_jwt"},
			"keys":                      map[string]any{"token_endpoint_auth_method": "private_key_jwt"},
			"no-addresses":              map[string]any{"redirect_uris": nil},
			"empty-addresses":           map[string]any{"redirect_uris": []string{}},
			"script":                    map[string]any{"redirect_uris": []string{"javascript:alert(1)"}},
			"plain-http":                map[string]any{"redirect_uris": []string{"http://app.example/"}},
			"many-addresses":            map[string]any{"redirect_uris": strings.Split(strings.Repeat(agentPage+" ", 21)[:21*len(agentPage)+20], " ")},
			"no-name":                   map[string]any{"client_name": nil},
			"authority":                 map[string]any{"client_name": "Sesame Support"},
			"direction":                 map[string]any{"client_name": "N\u202e"},
			"long-name":                 map[string]any{"client_name": strings.Repeat("n", 65)},
			"implicit":                  map[string]any{"grant_types": []string{"implicit"}},
			"token":                     map[string]any{"response_types": []string{"token"}},
			"twice":                     texts(`{"client_id":"` + h.URL + `/twice","client_name":"N","redirect_uris":["` + agentPage + `"],"redirect_uris":["https://evil.example/"]}`),
			"array":                     texts(`[]`),
			"null":                      texts(`null`),
			"nothing":                   texts(``),
			"two-values":                texts(`{"client_id":"` + h.URL + `/two-values","client_name":"N","redirect_uris":["` + agentPage + `"]} {}`),
			"deep":                      texts(strings.Repeat("[", 5000)),
			"compressed":                jsonText("\x1f\x8b\x08\x00", "Content-Encoding", "gzip"),
			"other-names":               texts(`{"Client_ID":"` + h.URL + `/other-names","client_name":"N","redirect_uris":["` + agentPage + `"]}`),
			"name-that-is-not-utf-8":    texts(`{"client_id":"` + h.URL + "/name-that-is-not-utf-8\",\"client_name\":\"\xff\",\"redirect_uris\":[\"" + agentPage + `"]}`),
			"addresses-of-another-type": map[string]any{"redirect_uris": agentPage},
			"address-with-a-line-break": map[string]any{"redirect_uris": []string{agentPage + "\nhttps://evil.example/"}},
			"everything-but-content-type": func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil
				_, _ = w.Write([]byte("{}"))
			},
		} {
			path := "/" + name
			uri := h.URL + path
			switch answer := answer.(type) {
			case map[string]any:
				h.describe(path, answer)
			case func(http.ResponseWriter, *http.Request):
				h.serve(path, answer)
			case http.HandlerFunc:
				h.serve(path, answer)
			}
			b := s.newBrowser()
			b.from = "192.0.2." + fmt.Sprint(len(h.requests)%200+1)
			for range 2 { // the second one reads nothing
				page := b.send(t, agentFlow(uri).request())
				if page.status != 400 || !strings.Contains(string(page.body), "finds no valid description") {
					t.Errorf("%s: %d %s", name, page.status, page.body)
				}
			}
			if n := h.count(path); n != 1 {
				t.Errorf("%s was read %d times", name, n)
			}
			s.clock.advance(time.Minute) // of the limit for a host
		}
		if n := h.count("/valid.json"); n != 0 {
			t.Errorf("a redirect was followed %d times", n)
		}
		if n := s.count(t, "clients"); n != "0" {
			t.Errorf("%s clients are stored", n)
		}
	}, "SESAME_TRUSTED_PROXIES=127.0.0.1/32")
}

// What can be seen to be wrong without a request causes none; nor does an address of a private network.
func TestDocumentsAtOtherAddressesAreNotRead(t *testing.T) {
	onEachEngineWithDocuments(t, func(t *testing.T, s *server, h *documentHost) {
		host := strings.TrimPrefix(h.URL, "https://")
		for _, uri := range []string{
			h.URL, h.URL + "/", h.URL + "/a?b", h.URL + "/a?", h.URL + "/a#b", h.URL + "/a/../b", h.URL + "/a/./b", h.URL + "/a/%2e%2e/b", h.URL + "/%2E/b", "https://user@" + host + "/a",
			"https://user:secret@" + host + "/a", "https://other.example/a", "https://" + host + ".example/a", "https://" + host + "@evil.example/a", "HTTPS://" + host + "/a", "http://" + host + "/a",
			h.URL + "/" + strings.Repeat("a", 235), h.URL + "/a b", h.URL + "/a\nb", h.URL + "/\u00e4", h.URL + "\\a", "https:" + host + "/a", "https:///a", "https://127.1/a", "https://[::1]/a", "https://*/a", "https://" + host + "./a",
		} {
			if page := s.newBrowser().send(t, agentFlow(uri).request()); page.status/100 != 4 {
				t.Errorf("%q: %d %s", uri, page.status, page.body)
			}
			s.do(t, agentFlow(uri).grant("x"))
		}
		if len(h.requests) != 0 {
			t.Errorf("requests: %v", h.requests)
		}
	})
	t.Run("private", func(t *testing.T) {
		h := newDocumentHost(t)
		name, err := os.Hostname() // which resolves to an address of this machine
		if err != nil {
			t.Fatal(err)
		}
		name = strings.ToLower(name)
		s := start(t, sqliteURL(t), "SESAME_CLIENT_DOCUMENTS=any", trustedDocuments+"="+h.cert)
		_, port, _ := strings.Cut(strings.TrimPrefix(h.URL, "https://"), ":")
		for _, uri := range []string{h.URL + "/a", "https://localhost:" + port + "/a", "https://a.localhost:" + port + "/a", "https://" + name + ":" + port + "/a", "https://[::ffff:127.0.0.1]:" + port + "/a"} {
			s.newBrowser().send(t, agentFlow(uri).request()).want(400)
		}
		if log := s.wholeLog(); len(h.requests) != 0 || !strings.Contains(log, "private network") {
			t.Errorf("requests: %v\n%s", h.requests, log)
		}
	})
}

// Strangers cannot make the server send many requests, and cannot keep others from clients that somebody here uses.
func TestReadingOfDocumentsIsBounded(t *testing.T) {
	onEachEngineWithDocuments(t, func(t *testing.T, s *server, h *documentHost) {
		s.register(t, "ann")
		s.clock.stop()
		used := h.describe("/used.json", nil)
		b := s.newBrowser()
		b.submit(t, b.askedAbout(t, agentFlow(used)), "decision", "allow").want(303)
		s.clock.advance(11 * time.Minute)

		visit := func(from, path string) string {
			stranger := s.newBrowser()
			stranger.from = from
			page := stranger.send(t, agentFlow(h.URL+path).request())
			switch {
			case page.status == 200:
				return "read"
			case strings.Contains(string(page.body), "cannot be read now"):
				return "busy"
			}
			return fmt.Sprint(page.status)
		}
		for i := range 30 { // of one network, in two minutes
			if i == 20 {
				s.clock.advance(time.Minute)
			}
			if got := visit("192.0.2.1", fmt.Sprint("/missing-", i)); got != "400" {
				t.Errorf("%d: %s", i, got)
			}
		}
		if got := visit("192.0.2.1", "/one-more"); got != "busy" {
			t.Errorf("the network can go on: %s", got)
		}
		h.describe("/fresh.json", nil)
		if got := visit("192.0.2.2", "/fresh.json"); got != "read" {
			t.Errorf("another network: %s", got)
		}
		for i := range 30 { // of many networks, at one host
			visit(fmt.Sprint("198.51.100.", i), fmt.Sprint("/flood-", i))
		}
		if got := visit("192.0.2.3", "/another"); got != "busy" {
			t.Errorf("the host gets more: %s", got)
		}
		if got := visit("192.0.2.3", "/fresh.json"); got != "read" {
			t.Errorf("what was read before: %s", got)
		}
		if got := visit("192.0.2.3", "/used.json"); got != "read" || h.count("/used.json") != 2 {
			t.Errorf("what somebody uses: %s, %d times", got, h.count("/used.json"))
		}
		total := 0
		for _, n := range h.requests {
			total += n
		}
		if total > 2+30+1+30 {
			t.Errorf("the host has got %d requests", total)
		}

		// Many at once, for one document: one request.
		s.clock.advance(time.Hour)
		begun, release := make(chan struct{}), make(chan struct{})
		text := `{"client_id":"` + h.URL + `/slow.json","client_name":"N","redirect_uris":["` + agentPage + `"]}`
		var once sync.Once
		h.serve("/slow.json", func(w http.ResponseWriter, r *http.Request) {
			once.Do(func() { close(begun) })
			<-release
			jsonText(text)(w, r)
		})
		var waiting sync.WaitGroup
		results := make([]string, 8)
		for i := range results {
			waiting.Go(func() { results[i] = visit(fmt.Sprint("203.0.113.", i), "/slow.json") })
		}
		<-begun
		close(release)
		waiting.Wait()
		if n := h.count("/slow.json"); n != 1 || strings.Join(results, " ") != strings.TrimSpace(strings.Repeat("read ", 8)) {
			t.Errorf("read %d times: %v", n, results)
		}
	}, "SESAME_TRUSTED_PROXIES=127.0.0.1/32")
}

// Documents that are turned off are as if they had never been read.
func TestDocumentsCanBeTurnedOff(t *testing.T) {
	onEachEngineWithDocuments(t, func(t *testing.T, s *server, h *documentHost) {
		s.register(t, "ann")
		uri := h.describe("/client.json", nil)
		b, f := s.newBrowser(), agentFlow(uri)
		tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, b.submit(t, b.askedAbout(t, f), "decision", "allow")))).want(200))
		for _, settings := range [][]string{nil, {"SESAME_CLIENT_DOCUMENTS=other.example"}} {
			off := start(t, s.dbURL, append(settings, "SESAME_PUBLIC_URL="+s.url, "SESAME_AUDIENCES="+mcpServer)...)
			refresh := refreshGrant(tokens.RefreshToken)
			refresh.form.Set("client_id", uri)
			off.do(t, refresh).want(401, "invalid_client")
			off.newBrowser().send(t, f.request()).want(400)
		}
	})
}
