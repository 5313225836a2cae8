package apitest

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
)

// A webhook receives the events that it has chosen, as GET /events shows them, with a signature by its secret.
func TestEventsAreDelivered(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		chosen, all := s.addHook(t, root, "account_created", "login"), s.addHook(t, root)
		s.register(t, "ann")
		created := chosen.next(t)
		payload := created.payload(t)
		events := decode[api.EventPage](s.do(t, request{method: "GET", path: "/events?kind=account_created&limit=1", token: root}).want(200)).Items
		if len(events) != 1 || !reflect.DeepEqual(payload.Data, events[0]) || string(payload.Type) != "account_created" || !payload.Timestamp.Equal(events[0].At) || created.id() != events[0].ID {
			t.Errorf("the webhook received %+v with the id %s, and the event is %+v", payload, created.id(), events)
		}
		at, err := strconv.ParseInt(created.header.Get("Webhook-Timestamp"), 10, 64)
		if age := s.clock.now().Unix() - at; err != nil || age < 0 || age > 60 || !created.signedBy(chosen.hook.Secret) || created.signedBy(all.hook.Secret) {
			t.Errorf("the headers are %v", created.header)
		}
		if got := created.header; got.Get("Content-Type") != "application/json" || got.Get("User-Agent") != "Sesame-Webhooks" || got.Get("Authorization") != "" {
			t.Errorf("the headers are %v", got)
		}
		s.login(t, "ann")
		if kind := chosen.next(t).payload(t).Type; kind != "login" {
			t.Errorf("the second event is %s", kind)
		}
		missing := map[string]bool{"webhook_created": true, "account_created": true, "login": true} // its own creation, too
		for len(missing) > 0 {
			delete(missing, string(all.next(t).payload(t).Type))
		}
		deliveries := s.settled(t, root, chosen, 2)
		if d := deliveries[0]; d.State != "delivered" || d.Status.MustGet() != 204 || d.Attempts != 1 || !d.Fault.IsNull() || !d.NextAttemptAt.IsNull() || d.AttemptedAt.IsNull() || d.Kind != "login" {
			t.Errorf("%+v", d)
		}
		details := decode[api.DeliveryDetails](s.do(t, request{method: "GET", path: chosen.path("/deliveries/", created.id()), token: root}).want(200))
		if !reflect.DeepEqual(*details.Payload, payload) || !reflect.DeepEqual(details.Delivery, deliveries[1]) {
			t.Errorf("the delivery is read as %+v", details)
		}
		test := decode[api.Delivery](s.do(t, request{method: "POST", path: chosen.path("/test"), token: root}).want(202))
		if got := chosen.next(t); got.id() != test.EventID || got.payload(t).Type != "webhook_tested" || !got.signedBy(chosen.hook.Secret) {
			t.Errorf("the test event is %v %s", got.header, got.body)
		}
		if len(chosen.messages) > 0 {
			t.Errorf("the webhook received what it has not chosen: %s", chosen.next(t).body)
		}
	}, privateWebhooks)
}

// A delivery that fails is tried again later with the same id, follows no redirect, and fails for good after days. It can be sent again.
func TestDeliveriesAreRetried(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		_, root := s.administrator(t, "root")
		h := s.addHook(t, root, "logout")
		id, timestamp := "", ""
		for i, status := range []int{500, 302, 404, 200} {
			if h.fails(status); i == 0 {
				s.addEvents(t, "logout", 1)
			}
			m := h.next(t)
			if id != "" && m.id() != id || m.header.Get("Webhook-Timestamp") == timestamp || !m.signedBy(h.hook.Secret) {
				t.Errorf("attempt %d: %v after %s at %s", i+1, m.header, id, timestamp)
			}
			id, timestamp = m.id(), m.header.Get("Webhook-Timestamp")
			d := s.settled(t, root, h, 1)[0]
			want := map[bool]api.DeliveryState{true: "delivered", false: "pending"}[status == 200]
			if d.State != want || d.Status.MustGet() != int32(status) || d.Attempts != int32(i+1) || d.Fault.IsNull() != (status == 200) {
				t.Errorf("after %d: %+v", status, d)
			}
			if status != 200 {
				pause, least := d.NextAttemptAt.MustGet().Sub(s.clock.now()), 5*time.Second<<i
				if pause < least || pause > least+least/5 {
					t.Errorf("after attempt %d it waits for %s", i+1, pause)
				}
				s.clock.advance(pause)
			}
		}
		resend := func() (a *answer) { // 503 while the queue is read, at the strictest isolation level
			until(t, "it is sent again", func() bool {
				a = s.do(t, request{method: "POST", path: h.path("/deliveries/", id, "/resend"), token: root})
				return a.status != 503
			})
			return a
		}
		h.fails(503)
		if d := decode[api.Delivery](resend().want(202)); d.State != "pending" || d.EventID != id || d.Attempts != 0 {
			t.Errorf("sent again: %+v", d)
		}
		if m := h.next(t); m.id() != id {
			t.Errorf("sent again with the id %s", m.id())
		}
		s.settled(t, root, h, 1)
		s.clock.advance(4 * 24 * time.Hour)
		h.next(t)
		root = s.manager(t)
		if d := s.settled(t, root, h, 1)[0]; d.State != "failed" || d.Status.MustGet() != 503 || d.Attempts != 2 || !d.NextAttemptAt.IsNull() {
			t.Errorf("after 4 days: %+v", d)
		}
		if len(decode[api.DeliveryPage](s.do(t, request{method: "GET", path: h.path("/deliveries?state=failed"), token: root}).want(200)).Items) != 1 ||
			len(decode[api.DeliveryPage](s.do(t, request{method: "GET", path: h.path("/deliveries?state=pending"), token: root}).want(200)).Items) != 0 {
			t.Error("the delivery is not listed by its state")
		}
		h.fails(200)
		resend().want(202)
		h.next(t)
		if d := s.settled(t, root, h, 1)[0]; d.State != "delivered" || d.Attempts != 1 {
			t.Errorf("sent again after it had failed: %+v", d)
		}
		if h.elsewhere > 0 || len(h.messages) > 0 {
			t.Errorf("%d requests elsewhere, %d more", h.elsewhere, len(h.messages))
		}
		if log := s.wholeLog(); strings.Contains(log, "the secret of the receiver") || strings.Contains(log, h.URL) {
			t.Error("the log has the answer or the address")
		}
	}, privateWebhooks)
}

// The longest pauses hold: the maintenance makes no delivery due that waits for its next attempt.
func TestTheLongestPausesOfDeliveriesHold(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		_, root := s.administrator(t, "root")
		h := s.addHook(t, root, "logout")
		h.fails(500)
		const events = 5
		s.addEvents(t, "logout", events)
		s.settled(t, root, h, events)
		s.sql(t, `UPDATE webhook_deliveries SET attempts = 20`)
		s.clock.advance(7 * time.Second)
		s.waitFor(t, `SELECT CAST(COUNT(*) AS TEXT) FROM webhook_deliveries WHERE attempts = 21 AND claimed_until = 0`, strconv.Itoa(events))
		s.sql(t, `UPDATE webhooks SET failing_since = NULL`) // the maintenance sets it again
		s.untilMaintained(t, `SELECT CASE WHEN failing_since IS NULL THEN 'no' ELSE 'yes' END FROM webhooks`, "yes")
		for _, d := range decode[api.DeliveryPage](s.do(t, request{method: "GET", path: h.path("/deliveries"), token: root}).want(200)).Items {
			if pause := d.NextAttemptAt.MustGet().Sub(d.AttemptedAt.MustGet()); pause < 5*time.Hour || pause > 6*time.Hour {
				t.Errorf("the next attempt is %s after the last one", pause)
			}
		}
	}, privateWebhooks)
}

// The server heeds answers: 410 disables the webhook, and Retry-After makes the pause longer.
func TestAnswersOfReceivers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		_, root := s.administrator(t, "root")
		h, watcher := s.addHook(t, root, "logout"), s.addHook(t, root, "webhook_disabled")
		h.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3000")
			w.WriteHeader(429)
		})
		s.addEvents(t, "logout", 1)
		h.next(t)
		if d := s.settled(t, root, h, 1)[0]; d.NextAttemptAt.MustGet().Sub(s.clock.now()) != 3000*time.Second {
			t.Errorf("%+v", d)
		}
		h.fails(410)
		s.clock.advance(3000 * time.Second)
		h.next(t)
		disabled := watcher.next(t).payload(t)
		if disabled.Data.ClientID.MustGet() != h.hook.ID || disabled.Data.Actor.MustGet() != "schedule" {
			t.Errorf("%+v", disabled)
		}
		root = s.manager(t)
		if w := decode[api.Webhook](s.do(t, request{method: "GET", path: h.path(), token: root}).want(200)); !w.Disabled {
			t.Errorf("%+v", w)
		}
		if d := s.settled(t, root, h, 1)[0]; d.State != "failed" || d.Status.MustGet() != 410 {
			t.Errorf("%+v", d)
		}
	}, privateWebhooks)
}

// Replicas share the deliveries of a receiver that fails half of the time: none is lost, and none arrives twice at once.
func TestReplicasShareTheDeliveries(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		second := start(t, s.dbURL, privateWebhooks)
		s.clock.stop()
		second.clock.follow(s.clock)
		_, root := s.administrator(t, "root")
		h := s.addHook(t, root, "logout")
		var mu sync.Mutex
		attempts, accepted := map[string]int{}, map[string]int{}
		h.answers(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			id := r.Header.Get("Webhook-Id")
			if attempts[id]++; attempts[id] == 1 && len(attempts)%2 == 0 {
				w.WriteHeader(500)
				return
			}
			accepted[id]++
		})
		const events = 200
		s.addEvents(t, "logout", events)
		s.settled(t, root, h, events)
		s.clock.advance(6 * time.Second)
		second.clock.follow(s.clock)
		s.waitFor(t, `SELECT CAST(COUNT(*) AS TEXT) FROM webhook_deliveries WHERE state = 'delivered' AND webhook_id = '`+h.hook.ID+`'`, strconv.Itoa(events))
		mu.Lock()
		defer mu.Unlock()
		if len(accepted) != events || len(attempts) != events || len(h.messages) != events*3/2 {
			t.Errorf("%d of %d events were accepted, in %d requests", len(accepted), events, len(h.messages))
		}
		for id, times := range accepted {
			if times != 1 {
				t.Errorf("%s was accepted %d times", id, times)
			}
		}
		if len(h.twice) > 0 {
			t.Errorf("%d arrived twice at once", len(h.twice))
		}
	}, privateWebhooks)
}

// A server that is killed between the delivery and its record delivers again, with the same id.
func TestAKilledServerDeliversAgain(t *testing.T) {
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dbURL := databaseURL(t)
			s, kill := doomed(t, dbURL, privateWebhooks)
			_, root := s.administrator(t, "root")
			h := s.addHook(t, root, "logout")
			received, release := make(chan string, 1), make(chan struct{})
			h.answers(func(_ http.ResponseWriter, r *http.Request) {
				received <- r.Header.Get("Webhook-Id")
				<-release
			})
			s.addEvents(t, "logout", 1)
			id := <-received
			kill()
			close(release)
			if m := h.next(t); m.id() != id {
				t.Fatalf("the first request was %s", m.id())
			}
			h.answers(nil)
			next := start(t, dbURL, privateWebhooks)
			next.clock.advance(2 * time.Minute) // the lease of the killed server has ended
			if m := h.next(t); m.id() != id || !m.signedBy(h.hook.Secret) {
				t.Errorf("the event was delivered again as %v, and first as %s", m.header, id)
			}
		})
	}
}
