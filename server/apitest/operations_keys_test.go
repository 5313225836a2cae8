package apitest

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

func (s *server) signingKeys(t *testing.T, token string) (keys []api.SigningKey) {
	t.Helper()
	a := s.do(t, request{method: "GET", path: "/keys", token: token}).want(200)
	for _, private := range []string{`"d"`, `"private`, "PRIVATE", `"p"`} {
		if strings.Contains(string(a.body), private) {
			t.Errorf("the list has %s: %s", private, a.body)
		}
	}
	return decode[api.SigningKeys](a).Items
}

func rotateKeys(token, signs string) request {
	return request{method: "POST", path: "/keys/rotate", token: token, json: map[string]string{"signs": signs}}
}

// The keys are those of the key set and of the command line. A rotation publishes a key, which signs ten minutes later; no token is
// refused, and the log says who has asked for it.
func TestKeysAreRotatedOverHTTP(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		rootID, root := s.administrator(t, "root")
		ann := s.newcomer(t, "ann")
		before := s.signingKeys(t, root)
		if len(before) != 2 || before[0].Signs != "access_tokens" || before[1].Signs != "id_tokens" || before[0].State != "signing" || before[0].Alg != "ES256" || before[1].Alg != "RS256" {
			t.Fatalf("the keys are %+v", before)
		}
		published := s.do(t, get("/.well-known/jwks.json")).want(200)
		for _, k := range before {
			if !strings.Contains(string(published.body), k.Kid) {
				t.Errorf("the key set lacks %s", k.Kid)
			}
		}
		for range 3 { // a repeated request changes nothing
			if after := decode[api.SigningKeys](s.do(t, rotateKeys(root, "access_tokens")).want(200)).Items; len(after) != 3 || after[1].State != "published" ||
				!after[1].SignsFrom.Equal(after[1].CreatedAt.Add(10*time.Minute)) || said(after[0].RetiresAt) != fmt.Sprint(after[1].SignsFrom) {
				t.Fatalf("the keys are %+v", after)
			}
		}
		s.do(t, rotateKeys(root, "id_tokens")).want(200)
		events := eventPage(t, s, root, "/events?kind=key_published").Items
		if len(events) != 2 || said(events[0].Actor) != rootID || said(events[0].SessionID) == "" {
			t.Errorf("the log says %+v", events)
		}
		next := s.signingKeys(t, root)[1].Kid
		s.clock.advance(9 * time.Minute) // the token of ann is valid for ten
		s.do(t, request{method: "GET", path: "/users/me", token: ann.AccessToken}).want(200)
		s.clock.advance(70 * time.Second)
		reader := s.clientToken(t, "settings:read")
		until(t, "the key signs", func() bool { return s.signingKeys(t, reader)[0].Kid == next })
		s.do(t, rotateKeys(reader, "access_tokens")).want(403, "insufficient_scope")
	})
}

// There are at most 16 keys: after that a rotation waits until a retired one is removed, however often somebody asks.
func TestRotationsAreBounded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		writer := s.clientToken(t, "settings:read", "settings:write")
		for range 15 { // as fast as the command line can
			s.must(t, "", "keys", "rotate", "--now")
		}
		a := s.do(t, rotateKeys(writer, "access_tokens")).want(429, "too_many_requests")
		if after := a.header.Get("Retry-After"); after == "" || after == "0" {
			t.Errorf("Retry-After is %q", after)
		}
		states := map[string]int{}
		for _, k := range s.signingKeys(t, writer) {
			states[string(k.Signs)+" "+string(k.State)]++
		}
		if !maps.Equal(states, map[string]int{"access_tokens signing": 1, "access_tokens retired": 15, "id_tokens signing": 1}) {
			t.Errorf("the keys are %v", states)
		}
		for _, signs := range []string{"refresh_tokens", "", "ACCESS_TOKENS"} {
			s.do(t, rotateKeys(writer, signs)).want(422, "validation_failed").pointsAt("/signs")
		}
	}, idle+"=")
}
