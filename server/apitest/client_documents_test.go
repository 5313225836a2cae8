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
