package apitest

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/oauth"
)

const deviceGrantType = "urn:ietf:params:oauth:grant-type:device_code"

// asksAsDevice is the request of a device for its codes.
func (c serviceClient) asksAsDevice(more ...string) request {
	r := request{method: "POST", path: "/device_authorization", form: url.Values{"client_id": {c.ID}}}
	for i := 0; i < len(more); i += 2 {
		r.form.Set(more[i], more[i+1])
	}
	return c.authenticated(r)
}

// authenticated adds the credentials of a client to a form.
func (c serviceClient) authenticated(r request) request {
	if r.form.Set("client_id", c.ID); c.Secret != "" {
		r.form.Set("client_secret", c.Secret)
	}
	return r
}

// polls is the request of a device for its tokens.
func (c serviceClient) polls(codes api.DeviceAuthorization) request {
	return c.authenticated(request{method: "POST", path: "/token", form: url.Values{"grant_type": {deviceGrantType}, "device_code": {codes.DeviceCode}}})
}

// device makes a client for devices, and television asks for the codes of one.
func (s *server) device(t *testing.T, args ...string) serviceClient {
	t.Helper()
	return s.makeClient(t, "tv "+newID(), append([]string{"--device", "--no-password-grant"}, args...)...)
}

func (s *server) television(t *testing.T, c serviceClient, more ...string) api.DeviceAuthorization {
	t.Helper()
	return decode[api.DeviceAuthorization](s.do(t, c.asksAsDevice(more...)).want(200))
}

// enters types a user code, and returns the page that asks whether to allow the device.
func (b *browser) enters(t *testing.T, code string) *answer {
	t.Helper()
	return b.submit(t, b.send(t, get("/device")).want(200).form(), "user_code", code)
}

// signedIn is a browser in which somebody is signed in.
func (s *server) signedIn(t *testing.T, username string) *browser {
	t.Helper()
	b := s.newBrowser()
	b.signInHere(t, username)
	return b
}

// allow lets a device in.
func (b *browser) allow(t *testing.T, code string) {
	t.Helper()
	b.submit(t, b.enters(t, code).want(200).form(), "decision", "allow").want(200).shows("The device is signed in")
}

// D35: a person opens the link of a device, signs in, sees whom they are about to let in, and agrees; the device gets its tokens
// once. Its session outlives that of the browser.
func TestADeviceIsSignedIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		for _, args := range [][]string{{"--public"}, nil, {"--public", "--third-party"}} {
			tv := s.device(t, args...)
			codes := s.television(t, tv, "scope", "openid profile")
			if codes.VerificationURI != s.url+"/device" || codes.VerificationURIComplete != s.url+"/device?user_code="+codes.UserCode || codes.ExpiresIn != 600 || codes.Interval != 5 {
				t.Errorf("%+v", codes)
			}
			s.do(t, tv.polls(codes)).want(400, "authorization_pending")
			b := s.newBrowser()
			page := b.send(t, get("/device?user_code="+codes.UserCode)).want(200)
			back := b.submit(t, page.form(), "username", "ann", "password", horse).want(303).header.Get("Location")
			if back != codes.VerificationURIComplete {
				t.Fatalf("after the sign-in the browser is sent to %s", back)
			}
			// Opening the link lets nobody in, and neither does the code.
			form := b.send(t, get(strings.TrimPrefix(back, s.url))).want(200).shows(`value="` + codes.UserCode + `"`)
			page = b.submit(t, form.form(), "user_code", codes.UserCode).want(200)
			page.shows(codes.UserCode).shows("127.0.0.1").shows("<bdi>ann</bdi>").shows("Know your username and your full name")
			if strings.Contains(string(page.body), "e-mail address") {
				t.Error("the page names a scope that the device did not ask for")
			}
			s.clock.advance(5 * time.Second)
			s.do(t, tv.polls(codes)).want(400, "authorization_pending")
			b.submit(t, page.form(), "decision", "allow").want(200).shows("The device is signed in")

			tokens := decode[api.Token](s.do(t, tv.polls(codes)).want(200))
			if claims := s.idToken(t, tokens.IDToken); claims["sub"] != ann.ID || claims["aud"] == nil || tokens.Scope != "openid profile" {
				t.Errorf("%v, scope %q", claims, tokens.Scope)
			}
			s.do(t, tv.polls(codes)).want(400, "invalid_grant")
			b.submit(t, b.send(t, get("/sign-out")).want(200).form()).want(200)
			s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(200)
			s.do(t, tv.authenticated(refreshGrant(tokens.RefreshToken))).want(200)
		}
	})
}

// A device that polls too early waits longer; it learns what the person has decided, and that its codes have expired.
func TestHowADevicePolls(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.register(t, "ann")
		b, tv := s.signedIn(t, "ann"), s.device(t, "--public")
		codes := s.television(t, tv)
		poll := func(code string) {
			t.Helper()
			s.do(t, tv.polls(codes)).want(400, code)
		}
		poll("authorization_pending")
		poll("slow_down") // and from now on it is 10 s
		s.clock.advance(9 * time.Second)
		poll("slow_down") // 15 s
		s.clock.advance(15 * time.Second)
		poll("authorization_pending")
		for range 20 {
			poll("slow_down")
		}
		if wait := s.value(t, `SELECT CAST(wait AS TEXT) FROM device_requests`); wait != "60" {
			t.Errorf("the device has to wait %s seconds", wait)
		}
		b.submit(t, b.enters(t, codes.UserCode).want(200).form(), "decision", "deny").want(200).shows("The device is not signed in")
		poll("access_denied")
		poll("access_denied")
		b.enters(t, codes.UserCode).want(422)

		codes = s.television(t, tv)
		b.allow(t, codes.UserCode)
		s.clock.advance(oauth.DeviceTTL - time.Second)
		late := s.television(t, tv)
		s.clock.advance(time.Second)
		poll("expired_token")
		page := b.enters(t, late.UserCode).want(200).form()
		s.clock.advance(oauth.DeviceTTL)
		b.submit(t, page, "decision", "allow").want(422)
		b.enters(t, late.UserCode).want(422)
		s.clock.advance(oauth.DeviceMemory)
		if _, err := cleanupJob(s.open(t), s.clock.now).Cleanup(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM device_requests`); n != "0" {
			t.Errorf("%s requests are left", n)
		}
		poll("invalid_grant")
	})
}

// A user code can be typed in any way; the database knows neither code, and no page repeats another text.
func TestUserCodes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b, tv := s.signedIn(t, "ann"), s.device(t, "--public")
		codes := s.television(t, tv)
		if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`).MatchString(codes.UserCode) {
			t.Errorf("the user code is %s", codes.UserCode)
		}
		plain := strings.ReplaceAll(codes.UserCode, "-", "")
		for _, typed := range []string{codes.UserCode, plain, strings.ToLower(codes.UserCode), " " + plain + " ", plain[:2] + " " + plain[2:]} {
			b.enters(t, typed).want(200).shows("/decide")
		}
		for _, typed := range []string{"", "BCDF", plain + "B", "Canary7f3a9c", "<script>", "AEIO-UAEI", strings.Repeat("B", 3000)} {
			if page := b.enters(t, typed).want(422); strings.Contains(string(page.body), "Canary") || strings.Contains(string(page.body), "<script>") {
				t.Errorf("the page repeats %q", typed)
			}
		}
		if row := s.value(t, `SELECT hash || ' ' || user_code FROM device_requests`); strings.Contains(row, codes.DeviceCode) || strings.Contains(row, plain) || strings.Contains(row, codes.UserCode) {
			t.Errorf("the database has a code: %s", row)
		}
		if other := s.television(t, tv); other.UserCode == codes.UserCode || other.DeviceCode == codes.DeviceCode {
			t.Error("two devices have the same code")
		}
	})
}

// D35: guesses at user codes are counted for the account and for the network, concurrent ones exactly, before one is looked up.
func TestGuessesAtUserCodes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.register(t, "ann")
		b, tv := s.signedIn(t, "ann"), s.device(t, "--public")
		codes := s.television(t, tv)
		guess := func(address, code string) request {
			r := from(address, request{method: "POST", path: "/device", form: url.Values{"user_code": {code}}})
			r.header["Cookie"], r.header["Accept"] = b.cookie, "text/html"
			return r
		}
		var guesses []request
		for range 40 {
			guesses = append(guesses, guess("192.0.2.1", "BBBB-BBBB"))
		}
		if got := inParallel(t, []*server{s}, guesses); got[422] != 30 || got[429] != 10 {
			t.Errorf("of 40 guesses: %v", got)
		}
		a, err := s.try(guess("192.0.2.2", codes.UserCode)) // another network does not help
		if err != nil || a.status != 429 || a.header.Get("Retry-After") != "3600" || strings.Contains(string(a.body), "/decide") {
			t.Errorf("the correct code after too many: %d %v %v", a.status, a.header, err)
		}
		s.clock.advance(time.Hour)
		if a, err = s.try(guess("192.0.2.2", codes.UserCode)); err != nil || a.status != 422 { // it has expired
			t.Errorf("an hour later: %d %v", a.status, err)
		}
		// Accounts of one network share a counter.
		for i, name := range []string{"bob", "cid", "dan", "eve"} {
			s.register(t, name)
			b = s.signedIn(t, name)
			guesses = nil
			for range 30 {
				guesses = append(guesses, guess("198.51.100.1", "BBBB-BBBB"))
			}
			got := inParallel(t, []*server{s}, guesses)
			if want := map[bool]int{true: 30, false: 10}[i < 3]; got[422] != want {
				t.Errorf("%s: %v", name, got)
			}
		}
	}, proxied)
}

// One network cannot fill the table, and takes nothing from others.
func TestDevicesOfANetwork(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		tv := s.device(t, "--public")
		var requests []request
		for range 60 {
			requests = append(requests, from("2001:db8:1:2::3", tv.asksAsDevice()))
		}
		if got := inParallel(t, []*server{s}, requests); got[200] != 50 || got[429] != 10 {
			t.Errorf("of 60 requests: %v", got)
		}
		s.do(t, from("2001:db8:1:2::4", tv.asksAsDevice())).throttled(600)
		s.do(t, from("2001:db8:1:3::4", tv.asksAsDevice())).want(200)
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM device_requests`); n != "51" {
			t.Errorf("there are %s requests", n)
		}
		s.clock.advance(oauth.DeviceTTL)
		s.do(t, from("2001:db8:1:2::3", tv.asksAsDevice())).want(200)
	}, proxied)
}
