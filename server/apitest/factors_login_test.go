package apitest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sesame/gen/api"
	"sesame/server/internal/identity"
	"sesame/server/internal/token"
)

// totp is the authenticator app of an account.
type totp struct {
	s      *server
	shared []byte
}

// plantTOTP gives an account an authenticator app.
func (s *server) plantTOTP(t *testing.T, username string) totp {
	t.Helper()
	master, err := token.ParseMasterKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	app, id := totp{s, []byte("twelve and eight bytes")}, "factor of "+username
	sealed := token.NewSealer(master, "second factors").Seal(app.shared, id)
	s.sql(t, fmt.Sprintf(`INSERT INTO factors (id, user_id, kind, name, secret, created_at)
		SELECT '%s', id, 'totp', 'Phone', '%s', 1 FROM users WHERE username = '%s'`, id, sealed, username))
	s.sql(t, `UPDATE users SET factors = 'totp' WHERE username = '`+username+`'`)
	return app
}

// accessClaims returns the claims of the access token.
func (s *server) accessClaims(t *testing.T, tokens api.Token) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(tokens.AccessToken, claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// code is what the app shows.
func (a totp) code() string { return identity.TOTP(a.shared, a.s.clock.now().Unix()/30) }

// wrongCode is none that the app shows now.
func (a totp) wrongCode() string {
	for n := 0; ; n++ {
		code := fmt.Sprintf("%06d", n)
		if _, ok := identity.MatchTOTP(a.shared, code, a.s.clock.now()); !ok {
			return code
		}
	}
}

func passwordGrantWith(username, password, code string) request {
	r := passwordGrant(username, password)
	r.form.Set("otp", code)
	return r
}

// RFC 6238, appendix B, with the last six digits.
func TestCodesOfAuthenticatorApps(t *testing.T) {
	shared := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := identity.TOTP(shared, at/30); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
		// A minute before the first code is before 1970, where the division rounds up.
		for seconds, valid := range map[int64]bool{-61: at < 100, -31: true, 0: true, 31: true, 61: false} {
			step, ok := identity.MatchTOTP(shared, want, time.Unix(at/30*30+15+seconds, 0))
			if ok != valid || ok && step != at/30 {
				t.Errorf("%d seconds after %d: %t, step %d", seconds, at, ok, step)
			}
		}
	}
}

// F2, F6: the password grant needs the code of the second factor, and each code is valid once.
func TestThePasswordGrantNeedsTheSecondFactor(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		if claims := s.accessClaims(t, s.login(t, "ann")); claims["acr"] != "1" || fmt.Sprint(claims["amr"]) != "[pwd]" {
			t.Errorf("acr %v, amr %v", claims["acr"], claims["amr"])
		}
		app := s.plantTOTP(t, "ann")
		s.do(t, passwordGrant("ann", horse)).want(400, "mfa_required")
		s.do(t, passwordGrant("ann", wrong)).want(400, "invalid_grant")
		s.do(t, passwordGrantWith("ann", wrong, app.code())).want(400, "invalid_grant")
		s.do(t, passwordGrantWith("ann", horse, app.wrongCode())).want(400, "invalid_grant")
		code := app.code()
		tokens := decode[api.Token](s.do(t, passwordGrantWith("ann", horse, code[:3]+" "+code[3:])).want(200))
		if claims := s.accessClaims(t, tokens); claims["acr"] != "2" || fmt.Sprint(claims["amr"]) != "[pwd otp mfa]" {
			t.Errorf("acr %v, amr %v", claims["acr"], claims["amr"])
		}
		refreshed := decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
		if claims := s.accessClaims(t, refreshed); claims["acr"] != "2" {
			t.Errorf("acr %v after a refresh", claims["acr"])
		}
		s.do(t, passwordGrantWith("ann", horse, code)).want(400, "invalid_grant")
		s.clock.advance(30 * time.Second)
		s.do(t, passwordGrantWith("ann", horse, app.code())).want(200)
		s.clock.advance(-30 * time.Second) // the clock of another replica
		s.do(t, passwordGrantWith("ann", horse, app.code())).want(400, "invalid_grant")
	})
}

// F6: of many logins at once with one code, one succeeds.
func TestACodeIsValidOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		code := s.plantTOTP(t, "ann").code()
		var n atomic.Int32
		var logins sync.WaitGroup
		for range 4 {
			logins.Go(func() {
				if s.do(t, passwordGrantWith("ann", horse, code)).status == 200 {
					n.Add(1)
				}
			})
		}
		logins.Wait()
		if n.Load() != 1 {
			t.Errorf("%d logins succeeded", n.Load())
		}
	})
}

// Guesses of a code share the counter of passwords, and the correct password does not clear it.
func TestGuessesOfACodeAreThrottled(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		app := s.plantTOTP(t, "ann")
		tries, throttled := 0, false
		for range 20 {
			s.do(t, passwordGrant("ann", horse))
			a := s.do(t, passwordGrantWith("ann", horse, app.wrongCode()))
			if throttled = a.status == 429; throttled {
				break
			}
			a.want(400, "invalid_grant")
			tries++
		}
		if !throttled || tries > 6 {
			t.Errorf("%d guesses before the throttle", tries)
		}
		s.do(t, passwordGrantWith("ann", horse, app.code())).want(429)
		s.clock.advance(time.Hour)
		s.do(t, passwordGrantWith("ann", horse, app.code())).want(200)
	})
}

// F11: a factor is disabled after a hundred consecutive failures, and a success begins the count again.
func TestAFactorIsDisabledAfterTooManyFailures(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		app := s.plantTOTP(t, "ann")
		s.sql(t, `UPDATE factors SET failures = 98`)
		s.do(t, passwordGrantWith("ann", horse, app.wrongCode())).want(400, "invalid_grant")
		s.do(t, passwordGrantWith("ann", horse, app.code())).want(200)
		if got := s.value(t, `SELECT CAST(failures AS TEXT) FROM factors`); got != "0" {
			t.Errorf("%s failures after a success", got)
		}
		s.sql(t, `UPDATE factors SET failures = 99`)
		s.do(t, passwordGrantWith("ann", horse, app.wrongCode())).want(400, "invalid_grant")
		s.clock.advance(time.Minute)
		s.do(t, passwordGrantWith("ann", horse, app.code())).want(400, "invalid_grant")
	})
}

// F2: the page asks for the second factor before there is a session, in the browser in which the password was given.
func TestThePagesAskForTheSecondFactor(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		app := s.plantTOTP(t, "ann")
		b, other, f := s.newBrowser(), s.newBrowser(), newFlow(s.publicClient(t), "scope", "openid")
		page := b.submit(t, b.send(t, f.request()).want(200).form(), "username", "ann", "password", horse).want(200).shows("authenticator app")
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions`); n != "0" {
			t.Fatalf("%s sessions after the password", n)
		}
		other.submit(t, page.form(), "code", app.code()).want(422).shows("took too long")
		b.submit(t, page.form(), "code", app.wrongCode()).want(422).shows("The code is wrong")
		tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, b.submit(t, page.form(), "code", app.code())))).want(200))
		if claims := s.idToken(t, tokens.IDToken); claims["acr"] != "2" || fmt.Sprint(claims["amr"]) != "[pwd otp mfa]" {
			t.Errorf("acr %v, amr %v", claims["acr"], claims["amr"])
		}
		if len(b.others) > 0 {
			t.Errorf("the browser still has %v", b.others)
		}
	})
}

// A sign-in that waits for its second factor ends after a while, and with the password.
func TestASignInThatWaitsEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s *server){
		"time":     func(_ *testing.T, s *server) { s.clock.advance(11 * time.Minute) },
		"password": func(t *testing.T, s *server) { s.must(t, "another wooden horse\n", "user", "set-password", "ann") },
		"disabled": func(t *testing.T, s *server) { s.must(t, "", "user", "disable", "ann") },
		"deleted":  func(t *testing.T, s *server) { s.must(t, "", "user", "delete", "ann", "--yes") },
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				s.register(t, "ann")
				app := s.plantTOTP(t, "ann")
				b := s.newBrowser()
				page := b.lands(t, b.send(t, get("/account")), "/sign-in").want(200)
				page = b.submit(t, page.formWith("", ""), "username", "ann", "password", horse).want(200)
				end(t, s)
				b.submit(t, page.form(), "code", app.code()).want(422).shows("took too long")
			})
		})
	}
}
