package apitest

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/server/internal/token"
)

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

// Names of clients are unique, and a stranger who tries addresses until the short end of the id is that of another client takes its name
// from nobody.
func TestAStrangersDocumentKeepsNoOtherOut(t *testing.T) {
	onEachEngineWithDocuments(t, func(t *testing.T, s *server, h *documentHost) {
		s.register(t, "ann")
		b := s.newBrowser()
		seen := map[string]string{}
		for n := 0; ; n++ {
			path := fmt.Sprint("/", n)
			id := token.ClientKey(h.URL + path)
			other, ok := seen[id[len(id)-8:]]
			if !ok {
				seen[id[len(id)-8:]] = path
				continue
			}
			for _, path := range []string{other, path} {
				f := agentFlow(h.describe(path, nil))
				s.do(t, f.grant(codeOf(t, b.submit(t, b.askedAbout(t, f), "decision", "allow")))).want(200)
			}
			return
		}
	})
}
