package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
	"sesame/server/internal/store"
)

// onEachEngineTraced is onEachEngine with a collector for each server.
func onEachEngineTraced(t *testing.T, test func(t *testing.T, s *server, c *collector), settings ...string) {
	t.Helper()
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			c := startCollector(t)
			test(t, start(t, databaseURL(t), c.traced(settings...)...), c)
		})
	}
}

// inTrace makes a request part of a trace that its caller has begun.
func inTrace(id, flags string, r request) request {
	r.header = maps.Clone(r.header)
	if r.header == nil {
		r.header = map[string]string{}
	}
	r.header["traceparent"] = "00-" + id + "-00f067aa0ba902b7-" + flags
	return r
}

const someTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

func spanCalled(t *testing.T, spans []tracedSpan, name string) tracedSpan {
	t.Helper()
	var names []string
	for _, s := range spans {
		if s.Name == name {
			return s
		}
		names = append(names, s.Name)
	}
	t.Fatalf("no span is called %q, only %q", name, names)
	return tracedSpan{}
}

// A login is one trace, which its caller has begun: the request, the wait for a core, the hash and each statement.
func TestTheTraceOfALogin(t *testing.T) {
	onEachEngineTraced(t, func(t *testing.T, s *server, c *collector) {
		s.register(t, "ann")
		id := s.do(t, inTrace(someTrace, "01", passwordGrant("ann", horse))).want(200).header.Get("X-Request-ID")
		s.do(t, inTrace("4bf92f3577b34da6a3ce929d0e0e4737", "00", passwordGrant("ann", horse))).want(200) // not sampled
		log := s.wholeLog()                                                                               // the end of the server sends all
		var spans []tracedSpan
		for _, span := range c.received() {
			switch span.TraceID {
			case someTrace:
				spans = append(spans, span)
			case "4bf92f3577b34da6a3ce929d0e0e4737":
				t.Errorf("there is a span of a trace that is not sampled: %+v", span)
			}
		}
		request := spanCalled(t, spans, "POST /token")
		want := map[string]any{
			"http.request.method": "POST", "http.route": "/token", "http.response.status_code": int64(200), "url.scheme": "http", "server.address": "127.0.0.1",
			"sesame.request_id": id,
		}
		got := maps.Clone(request.Attributes)
		delete(got, "server.port")
		if request.Parent != "00f067aa0ba902b7" || request.Kind != 2 || request.Status != 0 || !maps.Equal(got, want) || request.Scope != "sesame" {
			t.Errorf("the span of the request is %+v", request)
		}
		if r := request.Resource; r["service.name"] != "sesame" || r["service.instance.id"] == "" || r["telemetry.sdk.name"] != "opentelemetry" {
			t.Errorf("the server is %v", r)
		}
		wait, verify := spanCalled(t, spans, "password queue"), spanCalled(t, spans, "password verify")
		if wait.Parent != request.SpanID || verify.Parent != request.SpanID || wait.Kind != 1 || wait.Start < request.Start || verify.Start < wait.End || verify.End > request.End {
			t.Errorf("the hash is\n%+v\n%+v\nin\n%+v", wait, verify, request)
		}
		system := "postgresql"
		if _, ok := store.SQLitePath(s.dbURL); ok {
			system = "sqlite"
		}
		written := false
		for _, span := range spans {
			if span.Name == "POST /token" || strings.HasPrefix(span.Name, "password ") {
				continue
			}
			if span.Kind != 3 || span.Parent != request.SpanID || span.Start < request.Start || span.Status != 0 || span.Attributes["db.system.name"] != system ||
				span.Attributes["db.query.summary"] != span.Name || span.Attributes["db.operation.name"] == "" {
				t.Errorf("a statement is %+v", span)
			}
			written = written || strings.Contains(span.Name, "INSERT") && strings.Contains(span.Name, "sessions")
		}
		if !written {
			t.Errorf("no statement has written the session; there are %+v", spans)
		}
		logIsOfSpans(t, log, c.received())
	})
}

// logIsOfSpans fails the test unless the line of each request has the trace of its span.
func logIsOfSpans(t *testing.T, log string, spans []tracedSpan) {
	t.Helper()
	traces := map[any]string{}
	for _, span := range spans {
		if id, ok := span.Attributes["sesame.request_id"]; ok {
			traces[id] = span.TraceID
		}
	}
	lines := 0
	for line := range strings.Lines(log) {
		var fields struct {
			Msg       string
			RequestID string `json:"request_id"`
			TraceID   string `json:"trace_id"`
		}
		if json.Unmarshal([]byte(line), &fields) != nil || fields.Msg != "request" {
			continue
		}
		lines++
		if want, ok := traces[fields.RequestID]; fields.TraceID == "" || ok && want != fields.TraceID {
			t.Errorf("the span is of %q: %s", want, line)
		}
	}
	if lines < 2 || len(traces) < 2 {
		t.Errorf("%d lines, %d spans of requests", lines, len(traces))
	}
}

// A2: no span has anything that a client sent, nor a secret of the server, whatever fails.
func TestTracesHoldNoSecrets(t *testing.T) {
	post := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{})
	onEachEngineTraced(t, func(t *testing.T, s *server, c *collector) {
		seeds := newSeeder(t, s)
		for _, op := range rules.Operations() {
			a := seeds.addUser(t)
			good := exampleOf(t, op, seeds.owned(a))
			good.token = seeds.token(t, a, rules.Scopes().Declared, s.clock.now().Add(1e9))
			for _, r := range append(canariesIn(t, good), good) {
				r.header = maps.Clone(r.header)
				if r.header == nil {
					r.header = map[string]string{}
				}
				for _, name := range []string{"tracestate", "baggage", "traceparent"} {
					r.header[name] = canary + "=" + canary
				}
				if _, err := s.try(r); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.sql(t, `DELETE FROM mails`) // those of the seeder are due later
		secrets := s.wholeLife(t)
		s.stop()
		all := c.everything()
		for name, secret := range secrets {
			if secret == "" || strings.Contains(all, secret) {
				t.Errorf("the traces have %s (%q)", name, secret)
			}
		}
		names := regexp.MustCompile(`^[A-Za-z_ /{}.*;?-]+[A-Za-z_}*/]$`)
		for _, span := range c.received() {
			if !names.MatchString(span.Name) || len(span.Name) > 255 {
				t.Errorf("a span is called %q", span.Name)
			}
		}
		spanCalled(t, c.received(), "mail send")
		failed := map[any]int{}
		for _, span := range c.received() {
			if kind := span.Attributes["error.type"]; (span.Status == 2) != (kind != nil) || span.Attributes["http.response.status_code"] == int64(500) && kind != "500" {
				t.Errorf("the status does not fit: %+v", span)
			} else if kind != nil {
				failed[kind]++
			}
		}
		missing := "42P01" // undefined_table
		if _, ok := store.SQLitePath(s.dbURL); ok {
			missing = "1" // SQLITE_ERROR
		}
		if failed["500"] < 2 || failed[missing] < 2 {
			t.Errorf("failed have %v", failed)
		}
	}, "SESAME_SMTP_URL="+post.URL, "OTEL_BSP_MAX_QUEUE_SIZE=100000")
}

// wholeLife does what a person does with an account, and ends with a fault of the database. It returns what must not be repeated.
func (s *server) wholeLife(t *testing.T) (secrets map[string]string) {
	t.Helper()
	next := "another " + horse
	tokens := s.newcomer(t, "penelope")
	newer := decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
	s.do(t, changePassword(newer.AccessToken, horse, next)).want(204)
	s.do(t, changePassword(newer.AccessToken, horse, next)).want(422, "wrong_password")
	s.do(t, passwordGrant("penelope", horse)).want(400)
	s.do(t, request{method: "POST", path: "/users", json: map[string]any{"username": "penelope", "password": horse}}).want(409)
	client := s.makeClient(t, "shop", "--scope", "users:read")
	s.do(t, client.sends(clientGrant(""))).want(200)
	s.untilNoneWaits(t)
	hash := s.value(t, `SELECT password_hash FROM users WHERE username = 'penelope'`)
	s.sql(t, `ALTER TABLE sessions RENAME TO hidden`)
	s.do(t, me(newer.AccessToken)).want(500, "internal_error")
	s.do(t, passwordGrant("penelope", next)).want(500, "server_error")
	s.sql(t, `ALTER TABLE hidden RENAME TO sessions`)
	return map[string]string{
		"the canary": canary, "a password": horse, "an access token": newer.AccessToken, "its signature": newer.AccessToken[strings.LastIndex(newer.AccessToken, ".")+1:],
		"a refresh token": newer.RefreshToken, "the first refresh token": tokens.RefreshToken, "a hash": hash, "an address": "example.com",
		"the master key": testKey(), "a client's secret": client.Secret, "a username": "penelope", "a user agent": "Go-http-client", "a client's id": client.ID,
	}
}

// Whatever strangers send, there are few different spans, and each is as small as any other.
func TestStrangersInventNoSpans(t *testing.T) {
	onEachEngineTraced(t, func(t *testing.T, s *server, c *collector) {
		random := func() string { return fmt.Sprintf("stranger%x", rand.Uint64()) }
		flood := func(n int) {
			for range n {
				for _, r := range []request{
					{method: strings.ToUpper(random()), path: "/" + random()},
					{method: strings.ToUpper(random()), path: "/users/me"},
					get("/" + random() + "?" + random()), get("/users/" + random()), get("/users/" + newID()), get("/docs/" + random()),
					{method: "GET", path: "/users/me", token: random()},
					passwordGrant(random(), random()), refreshGrant(random()),
				} {
					r = inTrace(fmt.Sprintf("%032x", rand.Uint64()|1), "01", r)
					r.header["tracestate"], r.header["baggage"], r.header["User-Agent"], r.header["Host"] = random()+"="+random(), random()+"="+random(), random(), random()
					if rand.IntN(2) == 0 {
						r.header["traceparent"] = "00-" + random()
					}
					if _, err := s.try(r); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		flood(20)
		s.stop()
		kinds := map[string]bool{}
		for _, span := range c.received() {
			kinds[span.Name+fmt.Sprint(slices.Sorted(maps.Keys(span.Attributes)))] = true
		}
		if len(kinds) < 8 || len(kinds) > 60 || strings.Contains(strings.ToLower(c.everything()), "stranger") {
			t.Errorf("there are %d kinds of spans, or what a stranger sent: %q", len(kinds), slices.Sorted(maps.Keys(kinds)))
		}
		spanCalled(t, c.received(), "HTTP")
	})
}
