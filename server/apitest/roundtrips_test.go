package apitest

import (
	"fmt"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/smtptest"
)

// roundTrips returns what began each round trip since the last call.
func (r *relay) roundTrips() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	trips := r.trips
	r.trips = nil
	return trips
}

// N19: each operation waits for PostgreSQL a few times only, since a database may be a millisecond away. The least of
// many runs counts: the others may have prepared statements on another connection, or been counted together with
// something in the background.
func TestRoundTripsAreFew(t *testing.T) {
	t.Parallel()
	direct := postgresURL(t)
	proxied, network := relayed(t, direct)
	// The mail server keeps the first mails waiting, so that no others are claimed meanwhile.
	post := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{Sender: func(string) error { <-t.Context().Done(); return nil }})
	s := start(t, proxied, "SESAME_DATABASE_CONNECTIONS=2", "SESAME_SMTP_URL="+post.URL)
	s.dbURL = direct // for the test's own statements
	s.register(t, "ann")
	s.sql(t, `UPDATE users SET email_verified = TRUE`)
	root := s.clientToken(t, "users:write")
	key := newSoftKey(t)
	bob := s.newcomer(t, "bob").AccessToken
	s.do(t, addPasskey(bob, key.create(t, string(s.do(t, startPasskey(bob)).want(200).body), s.onLoopback))).want(201)
	var tokens api.Token
	passwords := []string{horse, "a bigger wooden horse"}
	code := 0
	for _, test := range []struct {
		name    string
		most    int
		request func(run int) request
	}{
		{"a reset", 6, func(int) request {
			code++
			s.plantCode(t, fmt.Sprint("reset", code), account.ToReset, "", "ann@example.com")
			return resetPassword(fmt.Sprint("reset", code), horse)
		}},
		{"a read", 1, func(run int) request {
			if run == 0 {
				tokens = s.login(t, "ann") // since each reset has ended all sessions
			}
			return me(tokens.AccessToken)
		}},
		{"a refresh", 1, func(int) request { return refreshGrant(tokens.RefreshToken) }},
		{"a login", 3, func(int) request { return passwordGrant("ann", horse) }},
		{"a login by address", 3, func(int) request { return passwordGrant("ann@example.com", horse) }},
		{"a sign-in with a passkey", 3, func(int) request { return passkeyGrant(key.get(t, s.startPasskeySignIn(t), s.onLoopback)) }},
		{"a change of the password", 4, func(run int) request {
			return changePassword(tokens.AccessToken, passwords[run%2], passwords[(run+1)%2])
		}},
		{"a change by an administrator", 6, func(run int) request {
			ann := s.value(t, `SELECT id FROM users WHERE username = 'ann'`)
			return request{method: "PATCH", path: "/users/" + ann, token: root, json: map[string]any{"disabled": run%2 == 0}}
		}},
	} {
		var least []string
		for run := 0; run < 60 && (least == nil || len(least) > test.most); run++ {
			r := test.request(run)
			network.roundTrips()
			a := s.do(t, r)
			if trips := network.roundTrips(); least == nil || len(trips) < len(least) {
				least = trips
			}
			if a.status >= 300 {
				t.Fatalf("%s: %d %s", test.name, a.status, a.body)
			}
			if test.name == "a refresh" {
				tokens = decode[api.Token](a)
			}
		}
		t.Logf("%s: %d round trips", test.name, len(least))
		if len(least) > test.most {
			t.Errorf("%s takes %d round trips, want at most %d:\n%s", test.name, len(least), test.most, strings.Join(least, "\n"))
		}
	}
}
