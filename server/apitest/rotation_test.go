package apitest

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sesame/server/internal/keys"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// These tests put replicas into moments that whole servers are rarely in.

// replica is what a server does with the keys, by a clock that moves with the test's.
type replica struct {
	*keys.Keys
	now func() time.Time
	log *lockedBuffer
}

// replica opens the keys as a server does that starts, and whose tokens live for ten minutes.
func (s *server) replica(t *testing.T, now func() time.Time) replica {
	t.Helper()
	db, err := store.Open(t.Context(), s.dbURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	master, err := token.ParseMasterKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := keys.Open(t.Context(), db, master, keys.Settings{
		Alg: token.ES256, Rotation: time.Hour, TokenTTL: 10 * time.Minute, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := replica{keyring, now, &lockedBuffer{}}
	if err = keyring.Start(t.Context(), slog.New(slog.NewTextHandler(r.log, nil))); err != nil {
		t.Fatal(err)
	}
	return r
}

// O6: when two replicas find a step due at once, one takes it. Both have read the keys before either can change the
// signing key, whose row the test has locked.
func TestTwoReplicasRotateAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.stop()
		c := &clock{}
		c.stop()
		both := []replica{s.replica(t, c.now), s.replica(t, c.now)}
		db, err := store.Open(t.Context(), s.dbURL)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, step := range []struct {
			after  time.Duration
			what   string
			states []string
		}{
			{2 * time.Hour, "published", []string{"published", "signing"}},
			{11 * time.Minute, "signs", []string{"retired", "signing"}},
			{13 * time.Minute, "removed", []string{"signing"}},
		} {
			c.advance(step.after)
			errs := make(chan error, len(both))
			err := db.Tx(t.Context(), func(q *store.Queries) error {
				if err := q.AccessTokenKeys().Lock(t.Context(), both[0].List()[0].ID); err != nil {
					return err
				}
				for _, r := range both {
					before := r.Current()
					go func() { errs <- r.Maintain(t.Context()) }()
					until(t, "a replica has read the keys", func() bool { return r.Current() != before })
				}
				return nil
			})
			for range both {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			taken := strings.Count(both[0].log.String()+both[1].log.String(), "signing key "+step.what)
			if states := slices.Sorted(maps.Values(s.states(t))); taken != 1 || !slices.Equal(states, step.states) {
				t.Errorf("%d replicas say that a key is %s: %v", taken, step.what, states)
			}
		}
	})
}

// O6: a key stays published as long as its last token is valid, even if that was signed by a clock half a minute
// ahead of the one that retired the key, and of the one by which the token is verified and the key removed.
func TestARetiredKeyOutlivesItsTokensWhereverTheClocksAre(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.stop()
		c := &clock{}
		c.stop()
		slow := s.replica(t, c.now)
		fast := s.replica(t, func() time.Time { return c.now().Add(30 * time.Second) })
		if err := slow.RotateNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.advance(59 * time.Second)
		expires := fast.now().Add(10 * time.Minute)
		last, err := token.NewIssuer(s.url, s.url, fast, fast.now).Sign(token.Access{
			ID: newID(), Subject: newID(), SessionID: newID(), ClientID: token.FirstParty, IssuedAt: fast.now(), ExpiresAt: expires,
		})
		if err != nil {
			t.Fatal(err)
		}
		if kid(t, last) == slow.List()[0].ID {
			t.Fatal("it is not signed with the retired key")
		}
		c.advance(expires.Add(29 * time.Second).Sub(slow.now()))
		for _, r := range []replica{fast, slow} {
			if err := r.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err = token.NewIssuer(s.url, s.url, slow, slow.now).Verify(last); err != nil {
			t.Error(err)
		}
	})
}

// T2: a database that answers late is not asked once more by each of those who wait for it. To look at
// the clock takes four seconds here, so a reading does.
func TestALateReadingServesThoseWhoWaited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.stop()
		c := &clock{}
		c.stop()
		r := s.replica(t, func() time.Time { c.advance(4 * time.Second); return c.now() })
		first, err := r.Refresh()
		if err != nil {
			t.Fatal(err)
		}
		if second, err := r.Refresh(); err != nil || second != first {
			t.Errorf("it has read again, %v", err)
		}
	})
}
