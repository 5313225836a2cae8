package apitest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sesame/gen/api"
)

// privateWebhooks is the setting of servers whose receivers are in the test.
const privateWebhooks = "SESAME_PRIVATE_WEBHOOKS=on"

// message is a request that a receiver has received.
type message struct {
	header http.Header
	body   []byte
}

func (m message) id() string { return m.header.Get("Webhook-Id") }

func (m message) payload(t *testing.T) api.WebhookPayload {
	t.Helper()
	var p api.WebhookPayload
	decoder := json.NewDecoder(bytes.NewReader(m.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("%v\n%s", err, m.body)
	}
	return p
}

// signedBy reports whether one of the signatures is that of a secret, as the specification of Standard Webhooks has it.
func (m message) signedBy(secret string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(m.id() + "." + m.header.Get("Webhook-Timestamp") + "." + string(m.body)))
	return slices.Contains(strings.Split(m.header.Get("Webhook-Signature"), " "), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// hookServer is the receiver of a webhook.
type hookServer struct {
	*httptest.Server
	hook     api.WebhookWithSecret
	messages chan message

	mu        sync.Mutex
	answer    func(w http.ResponseWriter, r *http.Request) // 204 if it is nil
	elsewhere int                                          // requests at another path
	inWork    map[string]int
	twice     []string // ids that were received while they were received already
}

func newHookServer(t *testing.T) *hookServer {
	t.Helper()
	h := &hookServer{messages: make(chan message, 10_000), inWork: map[string]int{}}
	h.Server = httptest.NewServer(http.HandlerFunc(h.receive))
	t.Cleanup(h.Close)
	return h
}

func (h *hookServer) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m := message{r.Header.Clone(), body}
	h.mu.Lock()
	if r.URL.Path != "/hook" || r.Method != http.MethodPost {
		h.elsewhere++
	}
	if h.inWork[m.id()]++; h.inWork[m.id()] > 1 {
		h.twice = append(h.twice, m.id())
	}
	answer := h.answer
	h.mu.Unlock()
	if answer != nil {
		answer(w, r)
	} else {
		w.WriteHeader(http.StatusNoContent)
	}
	h.mu.Lock()
	h.inWork[m.id()]--
	h.mu.Unlock()
	h.messages <- m
}

// answers sets how requests are answered from now on.
func (h *hookServer) answers(f func(w http.ResponseWriter, r *http.Request)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = f
}

// fails answers with a status.
func (h *hookServer) fails(status int) {
	h.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "the secret of the receiver")
	})
}

// next waits for a message.
func (h *hookServer) next(t *testing.T) message {
	t.Helper()
	select {
	case m := <-h.messages:
		return m
	case <-time.After(patience):
		t.Fatal("the receiver received nothing")
		return message{}
	}
}

// addHook makes a webhook for a new receiver.
func (s *server) addHook(t *testing.T, token string, kinds ...string) *hookServer {
	t.Helper()
	h, kinds := newHookServer(t), append([]string{}, kinds...)
	h.hook = decode[api.WebhookWithSecret](s.do(t, request{method: "POST", path: "/webhooks", token: token, json: map[string]any{"url": h.URL + "/hook", "kinds": kinds}}).want(201))
	return h
}

// manager logs root in, whose token may manage webhooks.
func (s *server) manager(t *testing.T) (token string) {
	t.Helper()
	return decode[api.Token](s.do(t, withScope(passwordGrant("root", horse), "settings:read settings:write events:read")).want(200)).AccessToken
}

// path is that of the webhook, or of something below it.
func (h *hookServer) path(below ...string) string {
	return "/webhooks/" + h.hook.ID + strings.Join(below, "")
}

// settled waits until no delivery of a webhook is in work, and returns them, the latest event first.
func (s *server) settled(t *testing.T, token string, h *hookServer, of int) []api.Delivery {
	t.Helper()
	s.waitFor(t, `SELECT CAST(COUNT(*) AS TEXT) FROM webhook_deliveries WHERE attempts > 0 AND claimed_until = 0 AND webhook_id = '`+h.hook.ID+`'`, strconv.Itoa(of))
	return decode[api.DeliveryPage](s.do(t, request{method: "GET", path: h.path("/deliveries?limit=100"), token: token}).want(200)).Items
}

// untilMaintained waits for what the maintenance of the queues does. A run that has failed, as it may at the strictest isolation level, is
// followed by another one ten seconds later.
func (s *server) untilMaintained(t *testing.T, query, want string) {
	t.Helper()
	failures := -1
	s.waitWhile(t, query, want, func() {
		if n := strings.Count(s.log.String(), "looking after the queues of webhooks failed"); n != failures {
			failures = n
			s.clock.advance(11 * time.Second)
		}
	})
}

// batches numbers the calls of addEvents, so that their ids differ.
var batches atomic.Int64

// addEvents records events of a kind straight in the database, where the trigger queues them.
func (s *server) addEvents(t *testing.T, kind string, n int) {
	t.Helper()
	s.sql(t, fmt.Sprintf(`INSERT INTO events (id, at, kind, user_id, username, actor, client_id, session_id, ip_address, user_agent)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT '019ad827-a013-7b0e-8a64-%06d' || SUBSTR(CAST(1000000 + i AS TEXT), 2), %d + i, '%s', '', '', '', '', '', '', '' FROM n`,
		n, batches.Add(1), s.clock.now().UnixMicro()-int64(n), kind))
}

// An administrator makes, reads, changes and deletes webhooks. The secret is shown once, and every change is an event.
func TestManageWebhooks(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		send := func(method, path string, body any) *answer {
			return s.do(t, request{method: method, path: path, token: root, json: body})
		}
		made := decode[api.WebhookWithSecret](send("POST", "/webhooks", map[string]any{"url": "https://shop.example/hooks?key=1", "description": "Orders", "kinds": []string{"login", "logout", "login"}}).want(201))
		if key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(made.Secret, "whsec_")); err != nil || len(key) < 24 || len(key) > 64 || !strings.HasPrefix(made.Secret, "whsec_") {
			t.Errorf("the secret is %s", made.Secret)
		}
		if stored := s.value(t, `SELECT secret FROM webhooks`); strings.Contains(stored, strings.TrimPrefix(made.Secret, "whsec_")) {
			t.Error("the secret is stored as it is")
		}
		path := "/webhooks/" + made.ID
		shown := send("GET", path, nil).want(200)
		if got := decode[api.Webhook](shown); got.URL != "https://shop.example/hooks?key=1" || got.Description != "Orders" || !slices.Equal(got.Kinds, []api.EventKind{"login", "logout"}) || got.Disabled {
			t.Errorf("%+v", got)
		}
		for _, a := range []*answer{shown, send("GET", "/webhooks", nil).want(200), send("PATCH", path, map[string]any{"kinds": []string{}, "disabled": true}).want(200)} {
			if bytes.Contains(a.body, []byte("whsec_")) {
				t.Errorf("the secret is shown again: %s", a.body)
			}
		}
		if got := decode[api.Webhook](send("GET", path, nil).want(200)); len(got.Kinds) != 0 || !got.Disabled || got.Description != "Orders" {
			t.Errorf("after the change: %+v", got)
		}
		replaced := decode[api.WebhookWithSecret](send("POST", path+"/secret", map[string]any{"keep_old_for": 60}).want(200))
		if replaced.Secret == made.Secret || replaced.OldSecretUntil.IsNull() {
			t.Errorf("the new secret: %+v", replaced)
		}
		send("DELETE", path, nil).want(204)
		for _, r := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"POST", "/test"}, {"GET", "/deliveries"}, {"GET", "/deliveries/" + newID()}, {"POST", "/deliveries/" + newID() + "/resend"}} {
			send(r[0], path+r[1], nil).want(404, "not_found")
		}
		send("PATCH", path, map[string]any{"disabled": false}).want(404, "not_found")
		send("POST", path+"/secret", map[string]any{"keep_old_for": 0}).want(404, "not_found")
		for kind, times := range map[string]int{"webhook_created": 1, "webhook_changed": 2, "webhook_deleted": 1} {
			events := decode[api.EventPage](send("GET", "/events?kind="+kind, nil).want(200)).Items
			if len(events) != times || events[0].ClientID.MustGet() != made.ID || events[0].Actor.IsNull() {
				t.Errorf("%s: %+v", kind, events)
			}
		}
	})
}

// A webhook has an address on the internet, and kinds that exist. There are few.
func TestWebhooksThatAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		create := func(fields map[string]any) *answer {
			return s.do(t, request{method: "POST", path: "/webhooks", token: root, json: fields})
		}
		for _, address := range []string{
			"http://shop.example", "https://127.0.0.1/", "https://localhost", "https://a.localhost.", "https://[::1]:8443", "https://10.0.0.1", "https://169.254.169.254/latest", "https://[fd00::1]",
			"https://[::ffff:127.0.0.1]", "https://user:password@shop.example", "https://shop.example/#a", "shop.example", "https://", "ftp://shop.example", "javascript:alert(1)", "https://shop.example/a b",
		} {
			create(map[string]any{"url": address}).want(422, "validation_failed").pointsAt("/url")
		}
		create(map[string]any{"url": "https://shop.example", "kinds": []string{"no_such_kind"}}).want(422, "validation_failed")
		create(map[string]any{"url": "https://shop.example", "description": "a\u202eb"}).want(422, "validation_failed").pointsAt("/description")
		ids := map[string]bool{}
		for range 20 {
			ids[decode[api.WebhookWithSecret](create(map[string]any{"url": "https://shop.example"}).want(201)).ID] = true
		}
		create(map[string]any{"url": "https://shop.example"}).want(422, "validation_failed")
		path, pages := "/webhooks?limit=7", 0
		for path != "" {
			page := decode[api.WebhookPage](s.do(t, request{method: "GET", path: path, token: root}).want(200))
			for _, w := range page.Items {
				if !ids[w.ID] {
					t.Errorf("%s is listed twice, or was not made", w.ID)
				}
				delete(ids, w.ID)
			}
			if path = ""; !page.NextCursor.IsNull() {
				path = "/webhooks?limit=7&cursor=" + page.NextCursor.MustGet()
			}
			pages++
		}
		if len(ids) != 0 || pages != 3 {
			t.Errorf("%d webhooks are not listed, on %d pages", len(ids), pages)
		}
		s.do(t, request{method: "GET", path: "/webhooks?cursor=forged", token: root}).want(400)
	})
}

// The maximum holds, also when several administrators make webhooks at once: the maintenance looks after that many.
func TestTheMaximumOfWebhooksHoldsInParallel(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		create := request{method: "POST", path: "/webhooks", token: root, json: map[string]any{"url": "https://shop.example"}}
		if got := inParallel(t, []*server{s}, slices.Repeat([]request{create}, 30)); got[201] != 20 || got[422] != 10 {
			t.Errorf("the answers are %v", got)
		}
	})
}

// So does the maximum of providers, which sign-in pages list.
func TestTheMaximumOfProvidersHoldsInParallel(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		var creates []request
		for i := range 30 {
			creates = append(creates, request{method: "POST", path: "/providers", token: root, json: map[string]any{
				"name": fmt.Sprintf("p%d", i), "label": "P", "kind": "oidc", "issuer": fmt.Sprintf("https://p%d.example", i), "client_id": "sesame", "client_secret": "a secret of the provider",
			}})
		}
		if got := inParallel(t, []*server{s}, creates); got[201] != 20 || got[422] != 10 {
			t.Errorf("the answers are %v", got)
		}
	})
}

// A token sends events away only if it may read them, whatever else it may do.
func TestWebhooksNeedTheScopeOfEvents(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		h := s.addHook(t, root, "login")
		s.addEvents(t, "login", 1)
		event := h.next(t).id()
		token := func(scopes string) string {
			return decode[api.Token](s.do(t, withScope(passwordGrant("root", horse), scopes)).want(200)).AccessToken
		}
		for scopes, wants := range map[string][]int{
			"settings:read":             {403, 403, 403, 403, 200, 403, 403},
			"settings:write":            {403, 403, 200, 202, 403, 403, 202},
			"events:read":               {403, 403, 403, 403, 403, 403, 403},
			"settings:read events:read": {403, 403, 403, 403, 200, 200, 403},
			"settings:read settings:write events:read":  {201, 200, 200, 202, 200, 200, 202},
			"users:read users:write clients:write":      {403, 403, 403, 403, 403, 403, 403},
			"settings:write events:read clients:write ": {201, 200, 200, 202, 403, 403, 202},
		} {
			bearer := token(strings.TrimSpace(scopes))
			for i, r := range []request{
				{method: "POST", path: "/webhooks", json: map[string]any{"url": "https://shop.example", "disabled": true}},
				{method: "PATCH", path: h.path(), json: map[string]any{"description": "changed"}},
				{method: "POST", path: h.path("/secret"), json: map[string]any{"keep_old_for": 0}},
				{method: "POST", path: h.path("/test")},
				{method: "GET", path: h.path("/deliveries")},
				{method: "GET", path: h.path("/deliveries/", event)},
				{method: "POST", path: h.path("/deliveries/", event, "/resend")},
			} {
				r.token = bearer
				if got := s.do(t, r); got.status != wants[i] {
					t.Errorf("%s: %s %s: %d, want %d", scopes, r.method, r.path, got.status, wants[i])
				}
			}
		}
	}, privateWebhooks)
}
