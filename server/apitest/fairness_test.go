package apitest

import (
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"sesame/server/internal/token"
)

// registered sends a registration from an address and wants this status, and with 429 this wait in seconds.
func (s *server) registered(t *testing.T, address string, r request, status, wait int) {
	t.Helper()
	a := s.do(t, from(address, r)).want(status)
	if got := a.header.Get("Retry-After"); status == 429 && got != strconv.Itoa(wait) {
		t.Errorf("Retry-After is %q, want %d", got, wait)
	}
}

// N2: a network may try to register so many times in an hour, whatever comes of it; a site may ten times as often. An
// administrator is not counted.
func TestRegistrationsOfANetworkAreCounted(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.clock.advance(40 * time.Minute) // the hour is not one of the clock
		n := 0
		next := func() request { n++; return registration(fmt.Sprint("person-", n)) }
		const here, neighbour = "203.0.113.7", "203.0.113.8"
		s.registered(t, here, next(), 201, 0)
		s.clock.advance(10 * time.Minute)
		s.registered(t, here, registration("PERSON-1"), 409, 0)
		s.registered(t, here, request{method: "POST", path: "/users", json: map[string]any{"username": "ann", "password": "password"}}, 422, 0)
		s.registered(t, here, next(), 201, 0)
		for _, r := range []request{next(), registration("person-1")} { // which would be a conflict
			s.registered(t, here, r, 429, 50*60)
		}
		s.registered(t, neighbour, next(), 201, 0)
		s.do(t, from(here, passwordGrant("person-1", horse))).want(200) // those who have an account are not concerned
		_, root := s.administrator(t, "root")
		byRoot := next()
		byRoot.token = root
		s.registered(t, here, byRoot, 201, 0)
		s.clock.advance(50*time.Minute - time.Microsecond)
		s.registered(t, here, next(), 429, 1)
		s.clock.advance(time.Microsecond)
		s.registered(t, here, next(), 201, 0)

		two := start(t, s.dbURL, proxied, "SESAME_REGISTRATION_LIMIT=4", "SESAME_PUBLIC_URL="+s.url)
		two.clock.follow(s.clock)
		s.sql(t, `DELETE FROM throttles`)
		many := make([]request, 20)
		for i := range many {
			many[i] = from("198.51.100.1", next())
		}
		if got, want := inParallel(t, []*server{s}, many), (map[int]int{201: 4, 429: 16}); !maps.Equal(got, want) {
			t.Errorf("the answers are %v, want %v", got, want)
		}
		if a := two.do(t, from("198.51.100.1", next())); a.status != 429 {
			t.Errorf("on another replica: got %d %s", a.status, a.body)
		}
	}, proxied, "SESAME_REGISTRATION_LIMIT=4")
}

// N2: an IPv6 customer has 2^64 addresses and no more tries than anybody else; one with 65,536 such subnets has ten
// times as many.
func TestRegistrationsOfASiteAreCounted(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		n := 0
		try := func(address string, status int) {
			t.Helper()
			n++
			s.registered(t, address, registration(fmt.Sprint("person-", n)), status, 3600)
		}
		try("2001:db8:1:1::1", 201)
		try("2001:db8:1:1:ffff::2", 429)
		for i := range 9 {
			try(fmt.Sprintf("2001:db8:1:%d::1", i+2), 201)
		}
		try("2001:db8:1:99::1", 429)
		try("2001:db8:2:1::1", 201)
		if rows := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM throttles`); rows != "13" {
			t.Errorf("%s counters, want those of 11 subnets and 2 sites", rows) // what is refused makes none
		}
	}, proxied, "SESAME_REGISTRATION_LIMIT=1")
}

// N2, L4: failed logins, and mails asked for, are counted for an IPv6 site beside its subnets.
func TestAnIPv6SiteIsSlowedDown(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		master, err := token.ParseMasterKey(testKey())
		if err != nil {
			t.Fatal(err)
		}
		preset := func(what string, count int) {
			t.Helper()
			s.sql(t, fmt.Sprintf(`INSERT INTO throttles (key, failures, free, blocked_until, clear_at) VALUES ('%s', %d, 1000, 0, %d)`,
				token.NewKeyedHash(master).Key(what, "2001:db8:1::/48"), count, s.clock.now().Add(time.Hour).UnixMicro()))
		}
		preset("address", 998)
		preset("mails from", 998)
		s.register(t, "ann")
		for i, status := range []int{400, 400, 429} {
			a := s.do(t, from(fmt.Sprintf("2001:db8:1:%d::1", i+1), passwordGrant(fmt.Sprint("nobody-", i), wrong)))
			if a.status != status {
				t.Errorf("failure %d: got %d %s", 998+i+1, a.status, a.body)
			}
		}
		s.do(t, from("2001:db8:1:ffff::1", passwordGrant("ann", horse))).throttled(1)
		s.do(t, from("2001:db8:2:1::1", passwordGrant("ann", horse))).want(200)
		throttles := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'login_throttled'`)
		if throttles != "1" {
			t.Errorf("%s of the site's blocks are recorded, want 1", throttles)
		}
		for i := range 3 {
			s.do(t, from(fmt.Sprintf("2001:db8:1:%d::1", i+1), requestReset(fmt.Sprintf("nobody-%d@example.com", i)))).want(202)
		}
		if codes := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM one_time_codes WHERE purpose = 'reset'`); codes != "2" {
			t.Errorf("%s mails were made, want 2", codes)
		}
	}, proxied)
}
