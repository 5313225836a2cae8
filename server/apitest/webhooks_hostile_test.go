package apitest

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

// Without the setting nothing is sent to a private address, whatever the name of the receiver resolves to.
func TestPrivateWebhooksAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		h := newHookServer(t)
		port := h.URL[strings.LastIndex(h.URL, ":"):]
		for i, address := range []string{"http://127.0.0.1" + port, "http://localhost" + port, "http://[::ffff:127.0.0.1]" + port, "http://2130706433" + port} {
			h.hook = decode[api.WebhookWithSecret](s.do(t, request{method: "POST", path: "/webhooks", token: root, json: map[string]any{"url": "https://shop.example", "kinds": []string{"logout"}}}).want(201))
			s.sql(t, `UPDATE webhooks SET url = '`+address+`/hook' WHERE id = '`+h.hook.ID+`'`) // as if its name had resolved elsewhere then
			test := decode[api.Delivery](s.do(t, request{method: "POST", path: h.path("/test"), token: root}).want(202))
			d := s.settled(t, root, h, 1)[0]
			if fault := d.Fault.MustGet(); d.EventID != test.EventID || d.State != "pending" || !d.Status.IsNull() || fault != "private_address" && (i < 3 || fault != "connection") {
				t.Errorf("%s: %+v", address, d)
			}
		}
		if len(h.messages) > 0 {
			t.Error("the receiver at the private address received something")
		}
	})
}

// A certificate that no authority has signed is refused.
func TestCertificatesOfReceivers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		h := newHookServer(t)
		h.Server = httptest.NewUnstartedServer(h.Config.Handler)
		h.Config.ErrorLog = log.New(io.Discard, "", 0) // it says that the client refuses the certificate
		h.StartTLS()
		t.Cleanup(h.Close)
		h.hook = decode[api.WebhookWithSecret](s.do(t, request{method: "POST", path: "/webhooks", token: root, json: map[string]any{"url": h.URL + "/hook", "kinds": []string{"logout"}}}).want(201))
		s.addEvents(t, "logout", 1)
		if d := s.settled(t, root, h, 1)[0]; d.Fault.MustGet() != "tls" || !d.Status.IsNull() {
			t.Errorf("%+v", d)
		}
		if len(h.messages) > 0 {
			t.Error("the receiver with the wrong certificate received something")
		}
	}, privateWebhooks)
}

// A receiver that never answers delays no other one, and the stop of the server is bounded.
func TestAReceiverThatHangsDelaysNoOther(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		hanging, quick := s.addHook(t, root, "logout"), s.addHook(t, root, "logout")
		release := make(chan struct{})
		hanging.answers(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})
		const events = 100
		s.addEvents(t, "logout", events)
		for range events {
			quick.next(t)
		}
		if len(hanging.messages) > 0 {
			t.Errorf("%d requests were answered by a receiver that hangs", len(hanging.messages))
		}
		close(release)
		for range events {
			hanging.next(t)
		}
	}, privateWebhooks)
}

// While a secret is replaced, each delivery is signed by the old one, too, until the overlap ends.
func TestWebhookSecretsOverlap(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		_, root := s.administrator(t, "root")
		h := s.addHook(t, root, "logout")
		secrets := []string{h.hook.Secret}
		replace := func(keep int) {
			t.Helper()
			replaced := decode[api.WebhookWithSecret](s.do(t, request{method: "POST", path: h.path("/secret"), token: root, json: map[string]any{"keep_old_for": keep}}).want(200))
			secrets = append(secrets, replaced.Secret)
			if replaced.OldSecretUntil.IsNull() != (keep == 0) {
				t.Errorf("%+v", replaced)
			}
		}
		signed := func(want string) {
			t.Helper()
			s.addEvents(t, "logout", 1)
			m, got := h.next(t), ""
			for _, secret := range secrets {
				got += map[bool]string{true: "1", false: "0"}[m.signedBy(secret)]
			}
			if signatures := strings.Fields(m.header.Get("Webhook-Signature")); got != want || len(signatures) != strings.Count(want, "1") {
				t.Errorf("signed by %s, want %s: %q", got, want, signatures)
			}
		}
		signed("1")
		replace(300)
		signed("11")
		replace(300) // the first ends at once
		signed("011")
		s.clock.advance(299 * time.Second)
		signed("011")
		s.clock.advance(2 * time.Second)
		signed("001")
		replace(0)
		signed("0001")
	}, privateWebhooks)
}

// A disabled webhook sends nothing, and what waits is sent when it is enabled. One that is deleted leaves nothing behind.
func TestDisabledAndDeletedWebhooks(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		_, root := s.administrator(t, "root")
		h := s.addHook(t, root, "logout")
		set := func(disabled bool) {
			t.Helper()
			s.do(t, request{method: "PATCH", path: h.path(), token: root, json: map[string]any{"disabled": disabled}}).want(200)
		}
		h.fails(500)
		s.addEvents(t, "logout", 1)
		first := h.next(t).id()
		s.settled(t, root, h, 1)
		set(true)
		h.answers(nil)
		s.clock.advance(time.Minute)
		s.addEvents(t, "logout", 1) // is not queued
		other := s.addHook(t, root, "logout")
		s.addEvents(t, "logout", 1)
		other.next(t) // by now the first webhook would have had its deliveries, too
		if deliveries := s.settled(t, root, h, 1); len(deliveries) != 1 || len(h.messages) > 0 {
			t.Errorf("a disabled webhook has %d deliveries, and received %d", len(deliveries), len(h.messages))
		}
		set(false)
		if m := h.next(t); m.id() != first {
			t.Errorf("after it was enabled it received %s, and %s waited", m.id(), first)
		}
		s.settled(t, root, h, 1)

		received, release := make(chan struct{}), make(chan struct{})
		h.answers(func(http.ResponseWriter, *http.Request) {
			close(received)
			<-release
		})
		s.addEvents(t, "logout", 1)
		<-received
		s.do(t, request{method: "DELETE", path: h.path(), token: root}).want(204)
		close(release)
		h.next(t)
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM webhook_deliveries WHERE webhook_id = '`+h.hook.ID+`'`); n != "0" {
			t.Errorf("the deleted webhook has %s deliveries", n)
		}
		if text := s.wholeLog(); strings.Contains(text, "ERROR") {
			t.Error(text)
		}
	}, privateWebhooks)
}

// A webhook whose deliveries have all failed for 5 days is disabled. One success begins the days anew.
func TestAWebhookThatFailsForDaysIsDisabled(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		_, root := s.administrator(t, "root")
		h, watcher := s.addHook(t, root, "logout"), s.addHook(t, root, "webhook_disabled")
		events := 0
		deliver := func(status int, failing bool) {
			t.Helper()
			h.fails(status)
			s.clock.advance(11 * time.Second)
			s.addEvents(t, "logout", 1)
			events++
			h.next(t)
			s.settled(t, s.manager(t), h, events)
			s.untilMaintained(t, `SELECT CASE WHEN failing_since IS NULL THEN 'no' ELSE 'yes' END FROM webhooks WHERE id = '`+h.hook.ID+`'`, map[bool]string{true: "yes", false: "no"}[failing])
			s.sql(t, `UPDATE webhook_deliveries SET state = 'failed'`) // no retry comes between
		}
		deliver(500, true)
		s.clock.advance(4 * 24 * time.Hour)
		deliver(204, false)
		deliver(500, true)
		s.clock.advance(5*24*time.Hour - time.Hour)
		s.addEvents(t, "logout", 1)
		h.next(t)
		s.settled(t, s.manager(t), h, events+1)
		if len(watcher.messages) > 0 {
			t.Error("the webhook was disabled too early")
		}
		s.clock.advance(2 * time.Hour)
		s.addEvents(t, "logout", 1)
		s.waitFor(t, `SELECT CASE WHEN disabled OR (SELECT COUNT(*) FROM webhook_deliveries WHERE attempts > 0 AND claimed_until = 0) > `+strconv.Itoa(events+1)+`
			THEN 'yes' ELSE 'no' END FROM webhooks WHERE id = '`+h.hook.ID+`'`, "yes")
		s.untilMaintained(t, `SELECT CASE WHEN disabled THEN 'yes' ELSE 'no' END FROM webhooks WHERE id = '`+h.hook.ID+`'`, "yes")
		if p := watcher.next(t).payload(t); p.Data.ClientID.MustGet() != h.hook.ID || p.Data.Actor.MustGet() != "schedule" {
			t.Errorf("%+v", p)
		}
		root = s.manager(t)
		w := decode[api.Webhook](s.do(t, request{method: "PATCH", path: h.path(), token: root, json: map[string]any{"disabled": false}}).want(200))
		if w.Disabled || !w.FailingSince.IsNull() {
			t.Errorf("enabled again: %+v", w)
		}
	}, privateWebhooks)
}

// The answer of a receiver says nothing about another address that the webhook has got meanwhile: neither a 410, nor days of failures.
func TestAnotherAddressOfAWebhookBeginsAnew(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		_, root := s.administrator(t, "root")
		h, next := s.addHook(t, root, "logout"), newHookServer(t)
		asked, release := make(chan struct{}), make(chan struct{})
		h.answers(func(w http.ResponseWriter, _ *http.Request) {
			close(asked)
			<-release
			w.WriteHeader(http.StatusGone)
		})
		s.addEvents(t, "logout", 1)
		<-asked
		s.sql(t, fmt.Sprintf(`UPDATE webhooks SET failing_since = %d`, s.clock.now().Add(-5*24*time.Hour).UnixMicro()))
		moved := decode[api.Webhook](s.do(t, request{method: "PATCH", path: h.path(), token: root, json: map[string]any{"url": next.URL + "/hook"}}).want(200))
		if !moved.FailingSince.IsNull() {
			t.Errorf("after the change it fails since %s", moved.FailingSince.MustGet())
		}
		close(release)
		h.next(t)
		s.settled(t, root, h, 1)
		s.clock.advance(11 * time.Second) // for the maintenance
		s.addEvents(t, "logout", 1)
		next.next(t)
		if w := decode[api.Webhook](s.do(t, request{method: "GET", path: h.path(), token: root}).want(200)); w.Disabled {
			t.Errorf("%+v", w)
		}
	}, privateWebhooks)
}

// The queue of a webhook whose receiver is down is bounded: events beyond it are not queued until there is room.
func TestTheQueueOfAWebhookIsBounded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		_, root := s.administrator(t, "root")
		h := s.addHook(t, root, "logout")
		h.fails(500)
		later := s.clock.now().Add(time.Hour).UnixMicro()
		s.sql(t, fmt.Sprintf(`INSERT INTO webhook_deliveries (webhook_id, event_id, kind, queued_at, due_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100001)
			SELECT '%s', 'e' || i, 'logout', %d, %d FROM n`, h.hook.ID, later, later))
		full := func(want string) {
			t.Helper()
			s.untilMaintained(t, `SELECT CASE WHEN full_since IS NULL THEN 'no' ELSE 'yes' END FROM webhooks`, want)
		}
		full("yes")
		s.addEvents(t, "logout", 10)
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM webhook_deliveries`); n != "100001" {
			t.Errorf("%s deliveries are queued", n)
		}
		s.sql(t, `UPDATE webhook_deliveries SET state = 'failed' WHERE LENGTH(event_id) > 5 OR event_id < 'e5'`)
		full("no")
		s.addEvents(t, "logout", 1)
		h.next(t)
	}, privateWebhooks)
}

// The cleanup deletes deliveries after seven days, whatever became of them.
func TestOldDeliveriesAreDeleted(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		_, root := s.administrator(t, "root")
		h := s.addHook(t, root, "logout")
		s.addEvents(t, "logout", 5)
		s.settled(t, root, h, 5)
		clean := func(left string) {
			t.Helper()
			if _, err := cleanupJob(s.open(t), s.clock.now).Cleanup(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM webhook_deliveries`); n != left {
				t.Errorf("%s deliveries are left, want %s", n, left)
			}
		}
		s.clock.advance(7*24*time.Hour - time.Minute)
		clean("5")
		s.clock.advance(2 * time.Minute)
		clean("0")
	}, privateWebhooks)
}

// The secrets of webhooks are sealed again when the master key is replaced, and sign with the new key alone.
func TestWebhookSecretsAfterANewMasterKey(t *testing.T) {
	old, next := testKey(), newMasterKey()
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dbURL := databaseURL(t)
			settings := func(first, second string) []string { return append(keyed(first, second), privateWebhooks) }
			s := start(t, dbURL, settings(old, "")...)
			_, root := s.administrator(t, "root")
			h := s.addHook(t, root, "logout")
			replaced := decode[api.WebhookWithSecret](s.do(t, request{method: "POST", path: h.path("/secret"), token: root, json: map[string]any{"keep_old_for": 3600}}).want(200))
			for _, step := range [][]string{settings(old, next), settings(next, old), settings(next, "")} {
				s.stop()
				s = start(t, dbURL, step...)
				s.addEvents(t, "logout", 1)
				if m := h.next(t); !m.signedBy(h.hook.Secret) || !m.signedBy(replaced.Secret) {
					t.Errorf("the signatures are %s", m.header.Get("Webhook-Signature"))
				}
			}
		})
	}
}
