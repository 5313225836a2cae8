package apitest

import (
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/audit"
	"sesame/server/internal/cleanup"
	"sesame/server/internal/mailer"
	"sesame/server/internal/store"
)

// metered is a setting that serves metrics at a free port.
const metered = "SESAME_METRICS_LISTEN=127.0.0.1:0"

var metricsLine = regexp.MustCompile(`"serving metrics","address":"(http://[^"]+)/metrics"`)

// metricsURL is where a server serves metrics, without the path.
func (s *server) metricsURL(t *testing.T) (address string) {
	t.Helper()
	until(t, "the server says where its metrics are", func() bool {
		if m := metricsLine.FindStringSubmatch(s.log.String()); m != nil {
			address = m[1]
		}
		return address != ""
	})
	return address
}

func fetch(t *testing.T, address string) (status int, body string) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// metrics are the series of a server with their values.
func (s *server) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	status, text := fetch(t, s.metricsURL(t)+"/metrics")
	if status != 200 {
		t.Fatalf("got %d", status)
	}
	series := map[string]float64{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
		if err != nil {
			t.Fatal(err)
		}
		series[line[:i]] = value
	}
	return series
}

func TestMetricsCountWhatHappens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		before := s.metrics(t)
		for _, kind := range audit.Kinds { // the first event of a kind must be an increase
			if n, ok := before[fmt.Sprintf("sesame_events_total{kind=%q}", kind)]; !ok || n != 0 {
				t.Errorf("%s begins with %v", kind, n)
			}
		}
		s.register(t, "ann")
		s.do(t, passwordGrant("ann", wrong)).want(400)
		s.do(t, passwordGrant("nobody", horse)).want(400)
		s.do(t, withScope(passwordGrant("ann", horse), "users:write")).want(400, "invalid_scope")
		first := s.login(t, "ann")
		second := decode[api.Token](s.do(t, refreshGrant(first.RefreshToken)).want(200))
		s.do(t, refreshGrant(second.RefreshToken)).want(200)
		s.do(t, refreshGrant(first.RefreshToken)).want(400, "invalid_grant")
		c := s.makeClient(t, "shop", "--scope", "users:read")
		s.do(t, c.sends(clientGrant(""))).want(200)
		s.register(t, "bob")
		s.spend(t, "bob", home)
		for range 3 {
			s.do(t, from(home, passwordGrant("bob", horse))).want(429)
		}
		s.do(t, get("/nothing/here")).want(404)
		s.do(t, get("/docs/"))
		s.do(t, request{method: "BREW", path: "/token"})

		after := s.metrics(t)
		for series, want := range map[string]float64{
			`sesame_logins_total{outcome="success"}`:                 1,
			`sesame_logins_total{outcome="wrong_credentials"}`:       7,
			`sesame_logins_total{outcome="invalid_scope"}`:           1,
			`sesame_logins_total{outcome="throttled"}`:               3,
			`sesame_throttled_attempts_total{attempt="login"}`:       3,
			`sesame_tokens_issued_total{grant="password"}`:           1,
			`sesame_tokens_issued_total{grant="refresh_token"}`:      2,
			`sesame_tokens_issued_total{grant="client_credentials"}`: 1,
			`sesame_events_total{kind="refresh_reused"}`:             1,
			`sesame_events_total{kind="login_throttled"}`:            1, // once for the wait
			`sesame_events_total{kind="client_created"}`:             0, // by another process
			`http_server_request_duration_seconds_count{http_request_method="POST",http_route="/token",http_response_status_code="429"}`: 3,
			`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="404"}`:                      1,
			`http_server_request_duration_seconds_count{http_request_method="GET",http_route="/docs/",http_response_status_code="200"}`:  1,
			`sesame_hash_queue_depth`:             0,
			`sesame_hash_running`:                 0,
			`sesame_signing_key_rotation_seconds`: 2592000,
		} {
			if got, ok := after[series]; !ok || got != want {
				t.Errorf("%s is %v, want %v", series, got, want)
			}
		}
		// Two accounts, and each login that was not throttled.
		if n := after["sesame_hash_queue_wait_seconds_count"] - before["sesame_hash_queue_wait_seconds_count"]; n < 2+9 {
			t.Errorf("%v hashes have waited", n)
		}
		if age := after["sesame_signing_key_age_seconds"]; age < 0 || age > 3600 {
			t.Errorf("the signing key is %v s old", age)
		}
		s.clock.advance(90 * time.Minute)
		if age := s.metrics(t)["sesame_signing_key_age_seconds"]; age < 5400 || age > 9000 {
			t.Errorf("90 minutes later the signing key is %v s old", age)
		}
	}, metered, proxied)
}

func TestMetricsOfAFullQueueAndOfThrottling(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		s.spendCurrent(t, token)
		s.do(t, changePassword(token, horse, "a bigger wooden horse")).want(429)
		s.do(t, registration("bob")).want(429)
		n := s.metrics(t)
		for _, attempt := range []string{"password_check", "registration"} {
			if got := n[fmt.Sprintf("sesame_throttled_attempts_total{attempt=%q}", attempt)]; got != 1 {
				t.Errorf("%s: %v are counted", attempt, got)
			}
		}
		before := n["sesame_hash_queue_refused_total"]
		_, release := s.fillQueue(t, "203.0.113.1")
		s.do(t, from("203.0.113.1", passwordGrant("ann", horse))).want(503)
		n = s.metrics(t)
		if waiting, running := n["sesame_hash_queue_depth"], n["sesame_hash_running"]; int(waiting) != queueSize || int(running) != inProgress() {
			t.Errorf("%v hashes wait and %v run", waiting, running)
		}
		if refused := n["sesame_hash_queue_refused_total"] - before; refused != 2 || n[`sesame_logins_total{outcome="unavailable"}`] != 2 {
			t.Errorf("%v hashes were refused, and %v logins", refused, n[`sesame_logins_total{outcome="unavailable"}`])
		}
		release()
		if n = s.metrics(t); n["sesame_hash_queue_depth"] != 0 || n["sesame_hash_running"] != 0 {
			t.Errorf("afterwards %v hashes wait and %v run", n["sesame_hash_queue_depth"], n["sesame_hash_running"])
		}
	}, metered, proxied, "SESAME_REGISTRATION_LIMIT=1")
}

func TestMetricsOfTheQueueOfMailsAndThePools(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		if n := s.metrics(t); n["sesame_mails_waiting"] != 0 || n["sesame_oldest_waiting_mail_age_seconds"] != 0 {
			t.Errorf("without mails: %v, %v", n["sesame_mails_waiting"], n["sesame_oldest_waiting_mail_age_seconds"])
		}
		if err := s.enqueue(t, nil, mailer.Mail{Kind: mailer.ConfirmEmail, To: "ann@example.com"}); err != nil {
			t.Fatal(err)
		}
		until(t, "the mail is sent", func() bool { return s.metrics(t)[`sesame_mail_attempts_total{outcome="sent"}`] == 1 })
		for i, hours := range []int{0, 48} { // which no key opens: one is tried again, and one too old for that
			s.sql(t, fmt.Sprintf(`INSERT INTO mails (id, kind, payload, attempts, next_try_at, claimed_until, created_at) VALUES ('x%d', 'x', '', 0, 0, 0, %d)`,
				i, time.Now().Add(-time.Duration(hours)*time.Hour).UnixMicro()))
		}
		until(t, "one is dropped and one is not", func() bool {
			n := s.metrics(t)
			return n[`sesame_mail_attempts_total{outcome="dropped"}`] == 1 && n[`sesame_mail_attempts_total{outcome="retried"}`] == 1 && n["sesame_mails_waiting"] == 1
		})
		s.sql(t, `DELETE FROM mails`)
		for i, minutes := range []int{10, 90} { // of failed attempts
			s.sql(t, fmt.Sprintf(`INSERT INTO mails (id, kind, payload, attempts, next_try_at, claimed_until, created_at) VALUES ('m%d', 'x', '', 3, %d, 0, %d)`,
				i, time.Now().Add(time.Hour).UnixMicro(), time.Now().Add(-time.Duration(minutes)*time.Minute).UnixMicro()))
		}
		n := s.metrics(t)
		if age := n["sesame_oldest_waiting_mail_age_seconds"]; n["sesame_mails_waiting"] != 2 || age < 5400 || age > 9000 {
			t.Errorf("%v mails wait, the oldest for %v s", n["sesame_mails_waiting"], age)
		}
		pools := map[string]bool{}
		for series, value := range n {
			if pool, ok := strings.CutPrefix(series, `sesame_db_connections_open{pool=`); ok {
				pools[pool] = value >= 1
			}
		}
		want := map[string]bool{`"all"}`: true}
		if _, ok := store.SQLitePath(s.dbURL); ok {
			want = map[string]bool{`"read"}`: true, `"write"}`: true}
		}
		if !maps.Equal(pools, want) {
			t.Errorf("the pools with connections are %v, want %v", pools, want)
		}
		s.sql(t, `ALTER TABLE mails RENAME TO hidden`) // a database that fails
		if n = s.metrics(t); !math.IsNaN(n["sesame_mails_waiting"]) || !math.IsNaN(n["sesame_oldest_waiting_mail_age_seconds"]) {
			t.Errorf("unread mails: %v, %v", n["sesame_mails_waiting"], n["sesame_oldest_waiting_mail_age_seconds"])
		}
		s.sql(t, `ALTER TABLE hidden RENAME TO mails`)
	}, metered)
}

func TestMetricsOfTheQueueOfLogoutTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const waiting, age = "sesame_logout_tokens_waiting", "sesame_oldest_waiting_logout_token_age_seconds"
		if n := s.metrics(t); n[waiting] != 0 || n[age] != 0 {
			t.Errorf("without logout tokens: %v, %v", n[waiting], n[age])
		}
		s.register(t, "ann")
		rp := s.relyingParty(t)
		signInAndOut := func(answer int32) {
			t.Helper()
			b, f := s.newBrowser(), newFlow(rp.serviceClient)
			s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200)
			rp.answers.Store(answer)
			b.submit(t, b.send(t, get("/sign-out")).want(200).form()).want(200)
			rp.next(t)
		}
		becomes := func(outcome string, wait float64) {
			t.Helper()
			until(t, "a token is "+outcome, func() bool {
				n := s.metrics(t)
				return n[fmt.Sprintf("sesame_logout_token_attempts_total{outcome=%q}", outcome)] == 1 && n[waiting] == wait
			})
		}
		signInAndOut(200)
		becomes("sent", 0)
		signInAndOut(503)
		becomes("retried", 1)
		if n := s.metrics(t); n[age] > 60 {
			t.Errorf("the token waits for %v s", n[age])
		}
		rp.answers.Store(400)
		s.sql(t, `UPDATE logouts SET next_try_at = next_try_at + 3000000000`) // 50 minutes
		s.clock.advance(45 * time.Minute)
		if n := s.metrics(t); n[age] < 2700 || n[age] > 2800 {
			t.Errorf("the token waits for %v s, want 45 minutes", n[age])
		}
		s.clock.advance(15 * time.Minute)
		becomes("dropped", 0)
		if n := s.metrics(t); n[age] != 0 {
			t.Errorf("without logout tokens the age is %v", n[age])
		}
		s.sql(t, `ALTER TABLE logouts RENAME TO hidden`) // a database that fails
		if n := s.metrics(t); !math.IsNaN(n[waiting]) || !math.IsNaN(n[age]) {
			t.Errorf("unread logout tokens: %v, %v", n[waiting], n[age])
		}
		s.sql(t, `ALTER TABLE hidden RENAME TO logouts`)
	}, metered)
}

func TestMetricsOfTheQueueOfWebhooks(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const waiting, age = "sesame_webhook_deliveries_waiting", "sesame_oldest_waiting_webhook_delivery_age_seconds"
		s.clock.stop()
		_, root := s.administrator(t, "root")
		h := s.addHook(t, root, "logout")
		if n := s.metrics(t); n[waiting] != 0 || n[age] != 0 {
			t.Errorf("without deliveries: %v, %v", n[waiting], n[age])
		}
		send := func(status int, outcome string, wait, old float64) {
			t.Helper()
			h.fails(status)
			if outcome != "dropped" {
				s.addEvents(t, "logout", 1)
			}
			h.next(t)
			until(t, "a delivery is "+outcome, func() bool {
				n := s.metrics(t)
				return n[fmt.Sprintf("sesame_webhook_attempts_total{outcome=%q}", outcome)] == 1 && n[waiting] == wait && n[age] >= old
			})
		}
		send(200, "delivered", 0, 0)
		send(503, "retried", 1, 0)
		s.settled(t, root, h, 2)
		h.fails(410)
		s.clock.advance(6 * time.Second)
		send(410, "dropped", 0, 0)
		s.sql(t, `ALTER TABLE webhook_deliveries RENAME TO hidden`) // a database that fails
		if n := s.metrics(t); !math.IsNaN(n[waiting]) || !math.IsNaN(n[age]) {
			t.Errorf("unread deliveries: %v, %v", n[waiting], n[age])
		}
		s.sql(t, `ALTER TABLE hidden RENAME TO webhook_deliveries`)
	}, metered, privateWebhooks)
}

func TestMetricsOfTheCleanup(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann").ID
		fill(t, s, "00", ann, 3, time.UnixMicro(1))
		db, err := store.Open(t.Context(), s.dbURL)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		deleted, ended := map[string]int64{}, 0
		job := cleanupJob(db, time.Now)
		job.Deleted = func(table string, rows int64) { deleted[table] += rows }
		job.Ended = func(err error) {
			if ended++; err != nil {
				t.Error(err)
			}
		}
		if _, err = job.Cleanup(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, p := range perishable {
			if deleted[p.table] < 3 {
				t.Errorf("%s: %d rows are reported", p.table, deleted[p.table])
			}
		}
		if ended != 1 || len(deleted) != len(cleanup.Tables) {
			t.Errorf("%d runs, of the tables %v", ended, deleted)
		}
	})
}

// Nothing that a client sends adds a series.
func TestStrangersAddNoSeries(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.newcomer(t, "ann").AccessToken
		random := func() string { return fmt.Sprintf("stranger%x", rand.Uint64()) }
		flood := func(n int) {
			for range n {
				for _, r := range []request{
					{method: strings.ToUpper(random()), path: "/" + random()},
					{method: strings.ToUpper(random()), path: "/users/me"},
					{method: "GET", path: "/" + random() + "/" + random() + "?" + random() + "=" + random()},
					{method: "GET", path: "/users/" + newID(), token: ann},
					{method: "GET", path: "/users/" + random(), token: ann},
					{method: "GET", path: "/docs/" + random()},
					{method: "POST", path: "/docs/" + random()},
					{method: "GET", path: "/confirm-email?code=" + random()},
					{method: "GET", path: "/users/me", token: random()},
					{method: "GET", path: "/healthz", header: map[string]string{"Host": random(), "User-Agent": random(), "X-Request-ID": random()}},
					from(fmt.Sprintf("10.%d.%d.%d", rand.IntN(256), rand.IntN(256), rand.IntN(256)), passwordGrant(random(), random())),
					{method: "POST", path: "/token", form: url.Values{"grant_type": {random()}}},
					{method: "POST", path: "/token", form: url.Values{"grant_type": {"client_credentials"}, "client_id": {random()}, "client_secret": {random()}}},
					{method: "POST", path: "/token", form: url.Values{"grant_type": {"client_credentials"}, "client_id": {newID()}, "client_secret": {random()}}},
					refreshGrant(random()),
				} {
					if _, err := s.try(r); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		flood(1)
		before := slices.Sorted(maps.Keys(s.metrics(t)))
		flood(40)
		after := slices.Sorted(maps.Keys(s.metrics(t)))
		if !slices.Equal(before, after) {
			added := slices.DeleteFunc(slices.Clone(after), func(series string) bool { return slices.Contains(before, series) })
			t.Errorf("%d series have become %d; new are %v", len(before), len(after), added)
		}
		for _, series := range after {
			if strings.Contains(strings.ToLower(series), "stranger") || strings.Contains(series, "ann") {
				t.Errorf("a label has a value that a client has chosen: %s", series)
			}
		}
	}, metered, proxied)
}

// The metrics are on a listener of their own, which other machines can reach only if that is chosen, and then without
// profiles.
func TestTheListenerOfMetrics(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:9464", ":9464", "[::]:0", "192.0.2.1:9464", "example.com:9464"} {
		e := environment{"SESAME_LISTEN": "127.0.0.1:0", "SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_METRICS_LISTEN": address}
		fails(t, "", e, "SESAME_METRICS_REMOTE=on", "serve")
		e["SESAME_METRICS_REMOTE"] = "on"
		succeeds(t, "", e, "config")
	}
	for _, address := range []string{"9464", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999", "unix:/tmp/x"} {
		fails(t, "", environment{"SESAME_METRICS_LISTEN": address}, "SESAME_METRICS_LISTEN is ", "config")
	}
	local := start(t, sqliteURL(t), metered)
	for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/cmdline": 404, "/users/me": 404, "/healthz": 404} {
		if status, _ := fetch(t, local.metricsURL(t)+path); status != want {
			t.Errorf("%s: got %d, want %d", path, status, want)
		}
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		local.do(t, get(path)).want(404, "not_found")
	}
	taken := environment{"SESAME_LISTEN": "127.0.0.1:0", "SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_METRICS_LISTEN": strings.TrimPrefix(local.metricsURL(t), "http://")}
	fails(t, "", taken, "choose another address with SESAME_METRICS_LISTEN", "serve")
	remote := start(t, sqliteURL(t), "SESAME_METRICS_LISTEN=0.0.0.0:0", "SESAME_METRICS_REMOTE=on")
	_, port, _ := strings.Cut(strings.TrimPrefix(remote.metricsURL(t), "http://["), "]:")
	for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": 404, "/debug/pprof/heap": 404} {
		if status, _ := fetch(t, "http://127.0.0.1:"+port+path); status != want {
			t.Errorf("%s for other machines: got %d, want %d", path, status, want)
		}
	}
	off := start(t, sqliteURL(t))
	if off.newcomer(t, "ann"); strings.Contains(off.wholeLog(), "serving metrics") {
		t.Error("metrics are served although no address is set")
	}
}

// A program that mounts Sesame may serve http.DefaultServeMux to the internet, so no package may add a handler to it.
func TestNothingIsServedByTheDefaultMux(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/vars", "/debug/requests", "/metrics", "/"} {
		request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		if _, pattern := http.DefaultServeMux.Handler(request); pattern != "" {
			t.Errorf("a package has added %s to http.DefaultServeMux", pattern)
		}
	}
}

// The kinds that are counted are those of the contract.
func TestKindsOfEventsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	var kinds []any
	for _, kind := range audit.Kinds {
		kinds = append(kinds, string(kind))
	}
	enum := document().Components.Schemas["EventKind"].Value.Enum
	if len(kinds) != len(enum) || slices.ContainsFunc(enum, func(kind any) bool { return !slices.Contains(kinds, kind) }) {
		t.Errorf("audit.Kinds are %v, and the contract has %v", kinds, enum)
	}
}
