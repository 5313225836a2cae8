package apitest

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"image"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sesame/gen/api"
)

func post(path, token string, body any) request {
	return request{method: "POST", path: path, token: token, json: body}
}

// startTOTP begins the set-up of an authenticator app.
func (s *server) startTOTP(t *testing.T, token string) (api.TotpSetup, totp) {
	t.Helper()
	setup := decode[api.TotpSetup](s.do(t, post("/users/me/totp", token, nil)).want(200))
	shared, err := base32.StdEncoding.DecodeString(setup.Secret)
	if err != nil || len(shared) != 20 {
		t.Fatalf("the secret is %q", setup.Secret)
	}
	return setup, totp{s, shared}
}

func confirmTOTP(token, setup, code string) request {
	return post("/users/me/totp/confirm", token, map[string]any{"setup": setup, "code": code, "name": "Phone"})
}

// enroll gives an account an authenticator app, and returns the recovery codes.
func (s *server) enroll(t *testing.T, token string) (app totp, f api.AddedFactor) {
	t.Helper()
	setup, app := s.startTOTP(t, token)
	return app, decode[api.AddedFactor](s.do(t, confirmTOTP(token, setup.Setup, app.code())).want(201))
}

// loginWith logs in with a code of the app.
func (a totp) loginWith(t *testing.T, username string) api.Token {
	t.Helper()
	a.s.clock.advance(31 * time.Second) // the code before may have been used
	return decode[api.Token](a.s.do(t, passwordGrantWith(username, horse, a.code())).want(200))
}

func (s *server) factors(t *testing.T, token string) api.FactorList {
	t.Helper()
	return decode[api.FactorList](s.do(t, request{method: "GET", path: "/users/me/factors", token: token}).want(200))
}

// F1, F6: everybody can set up an authenticator app. The server stores nothing before the code, and the secret sealed after it.
func TestAnAuthenticatorAppIsSetUp(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		setup, app := s.startTOTP(t, token)
		uri, err := url.Parse(setup.URI)
		if err != nil || uri.Scheme != "otpauth" || uri.Host != "totp" || uri.Path != "/Sesame:ann" || uri.Query().Get("secret") != setup.Secret || uri.Query().Get("issuer") != "Sesame" {
			t.Errorf("the URI is %s", setup.URI)
		}
		if len(s.factors(t, token).Items) != 0 || s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM factors`) != "0" {
			t.Error("something is stored before the confirmation")
		}
		s.do(t, confirmTOTP(token, setup.Setup, app.wrongCode())).want(422, "invalid_code")
		s.do(t, confirmTOTP(s.newcomer(t, "bob").AccessToken, setup.Setup, app.code())).want(422, "invalid_code")
		code := app.code()
		added := decode[api.AddedFactor](s.do(t, confirmTOTP(token, setup.Setup, code)).want(201))
		if len(added.RecoveryCodes) != 10 || added.Factor.Name != "Phone" || added.Factor.Disabled {
			t.Errorf("got %+v", added)
		}
		if stored := s.value(t, `SELECT secret FROM factors`); strings.Contains(stored, setup.Secret) || bytes.Contains([]byte(stored), app.shared) {
			t.Errorf("the secret is stored as %s", stored)
		}
		for _, code := range added.RecoveryCodes {
			if len(code) != 19 || s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM recovery_codes WHERE hash LIKE '%`+code[:4]+`%'`) != "0" {
				t.Errorf("the code %s is stored, or too short", code)
			}
		}
		s.do(t, confirmTOTP(token, setup.Setup, code)).want(401, "insufficient_user_authentication")
		s.do(t, passwordGrant("ann", horse)).want(400, "mfa_required")
		s.do(t, passwordGrantWith("ann", horse, code)).want(400, "invalid_grant") // used by the set-up
		fresh := app.loginWith(t, "ann").AccessToken
		s.do(t, confirmTOTP(fresh, setup.Setup, app.code())).want(422, "invalid_code") // the set-up is used
		list := s.factors(t, fresh)
		if len(list.Items) != 1 || list.RecoveryCodesLeft != 10 || !list.ResetAt.IsNull() || list.Items[0].LastUsedAt.IsNull() {
			t.Errorf("got %+v", list)
		}
		s.clock.advance(11 * time.Minute)
		late := app.loginWith(t, "ann").AccessToken
		setup, second := s.startTOTP(t, late)
		expired, third := s.startTOTP(t, late)
		s.clock.advance(9 * time.Minute)
		s.do(t, confirmTOTP(late, setup.Setup, second.code())).want(201)
		s.clock.advance(2 * time.Minute)
		s.do(t, confirmTOTP(app.loginWith(t, "ann").AccessToken, expired.Setup, third.code())).want(422, "invalid_code")
	})
}

// The QR code is an image of the URI alone: every module of the path is drawn, with a quiet zone.
func TestTheQRCode(t *testing.T) {
	s := start(t, emptySQLiteURL(t))
	setup, _ := s.startTOTP(t, s.newcomer(t, "ann").AccessToken)
	if !strings.HasPrefix(setup.QrCode, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 `) || strings.Contains(setup.QrCode, "<script") || strings.Contains(setup.QrCode, "style") {
		t.Fatalf("the image is %.200s", setup.QrCode)
	}
	var size int
	_, box, _ := strings.Cut(setup.QrCode, "viewBox=")
	_, _ = fmt.Sscanf(box, `"0 0 %d`, &size)
	drawn := image.NewGray(image.Rect(0, 0, size, size))
	path, _, _ := strings.Cut(setup.QrCode[strings.LastIndex(setup.QrCode, ` d="`)+4:], `"`)
	for _, part := range strings.SplitAfter(path, "z") {
		var x, y, run, back int
		if _, err := fmt.Sscanf(part, "M%d %dh%dv1h-%dz", &x, &y, &run, &back); err == nil {
			for i := range run {
				drawn.Pix[drawn.PixOffset(x+i, y)] = 1
			}
		}
	}
	for _, corner := range [][2]int{{4, 4}, {size - 11, 4}, {4, size - 11}} { // the finder patterns
		for i := range 49 {
			x, y := i%7, i/7
			ring := min(x, y, 6-x, 6-y)
			if want := ring != 1; (drawn.GrayAt(corner[0]+x, corner[1]+y).Y == 1) != want {
				t.Fatalf("the finder pattern at %v is wrong at %d, %d", corner, x, y)
			}
		}
	}
}

// F4, F10: what changes the factors needs a login within ten minutes, at the level of the account.
func TestFactorsChangeOnlyAfterAFreshLogin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		stale := s.newcomer(t, "ann").AccessToken
		app, added := s.enroll(t, stale)
		other := "/users/me/factors/" + added.Factor.ID
		changes := map[string]func(token string) request{
			"rename": func(token string) request {
				return request{method: "PATCH", path: other, token: token, json: map[string]any{"name": "Old"}}
			},
			"start": func(token string) request { return post("/users/me/totp", token, nil) },
			"codes": func(token string) request { return post("/users/me/recovery-codes", token, nil) },
			"remove": func(token string) request {
				return request{method: "DELETE", path: other, token: token}
			},
		}
		refused := func(token, level string) {
			t.Helper()
			for name, change := range changes {
				a := s.do(t, change(token)).want(401, "insufficient_user_authentication")
				if challenge := a.header.Get("WWW-Authenticate"); !strings.Contains(challenge, level) {
					t.Errorf("%s: the challenge is %s", name, challenge)
				}
			}
		}
		refused(stale, `acr_values="2"`) // only the password, when there was no factor
		fresh := app.loginWith(t, "ann").AccessToken
		s.clock.advance(10*time.Minute - 30*time.Second)
		for _, name := range []string{"rename", "start", "codes"} {
			if a := s.do(t, changes[name](fresh)); a.status != 200 {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
		old := app.loginWith(t, "ann")
		s.clock.advance(10*time.Minute + time.Second)
		fresh = decode[api.Token](s.do(t, refreshGrant(old.RefreshToken)).want(200)).AccessToken // a refresh is no login
		refused(fresh, `max_age="600"`)
		s.do(t, changes["remove"](app.loginWith(t, "ann").AccessToken)).want(204)
	})
}

// F6: each recovery code is valid once, wherever a code is, in any spelling. New ones replace the old ones.
func TestRecoveryCodes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		app, added := s.enroll(t, token)
		codes := added.RecoveryCodes
		s.do(t, passwordGrantWith("ann", horse, strings.ToLower(codes[0]))).want(200)
		s.do(t, passwordGrantWith("ann", horse, codes[0])).want(400, "invalid_grant")
		typed := strings.NewReplacer("-", " ", "O", "0", "I", "1", "B", "8").Replace(codes[1])
		claims := s.accessClaims(t, decode[api.Token](s.do(t, passwordGrantWith("ann", horse, typed)).want(200)))
		if claims["acr"] != "2" || fmt.Sprint(claims["amr"]) != "[pwd otp mfa]" {
			t.Errorf("acr %v, amr %v", claims["acr"], claims["amr"])
		}
		s.register(t, "bob")
		bob, _ := s.enroll(t, s.login(t, "bob").AccessToken)
		s.do(t, passwordGrantWith("bob", horse, codes[2])).want(400, "invalid_grant")
		fresh := app.loginWith(t, "ann").AccessToken
		if left := s.factors(t, fresh).RecoveryCodesLeft; left != 8 {
			t.Errorf("%d are left", left)
		}
		next := decode[api.RecoveryCodes](s.do(t, post("/users/me/recovery-codes", fresh, nil)).want(200)).RecoveryCodes
		s.do(t, passwordGrantWith("ann", horse, codes[3])).want(400, "invalid_grant")
		s.do(t, passwordGrantWith("ann", horse, next[0])).want(200)
		s.do(t, request{method: "DELETE", path: "/users/me/factors/" + s.factors(t, fresh).Items[0].ID, token: fresh}).want(204)
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM recovery_codes r JOIN users u ON u.id = r.user_id WHERE u.username = 'ann'`); n != "0" {
			t.Errorf("%s codes are stored after the last factor", n)
		}
		s.do(t, post("/users/me/recovery-codes", fresh, nil)).want(409, "no_second_factor")
		s.do(t, passwordGrant("ann", horse)).want(200)
		bob.loginWith(t, "bob")
	})
}

// F6: of many logins at once with one recovery code, one succeeds.
func TestARecoveryCodeIsValidOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, added := s.enroll(t, s.newcomer(t, "ann").AccessToken)
		if n := s.atOnce(4, func() request { return passwordGrantWith("ann", horse, added.RecoveryCodes[0]) }, 200); n != 1 {
			t.Errorf("%d logins succeeded", n)
		}
	})
}

// atOnce sends a request several times at once, and returns how many answers have a status.
func (s *server) atOnce(times int, next func() request, status int) int32 {
	var n atomic.Int32
	var requests sync.WaitGroup
	all := make([]request, times)
	for i := range all {
		all[i] = next()
	}
	for _, r := range all {
		requests.Go(func() {
			if a, err := s.try(r); err == nil && a.status == status {
				n.Add(1)
			}
		})
	}
	requests.Wait()
	return n.Load()
}

// Of two enrolments at once one succeeds, since the other one would need a login with the factor of the first. Of two removals at once
// one succeeds.
func TestRacesOfFactors(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		var apps []totp
		enrol := func() request {
			setup, app := s.startTOTP(t, token)
			apps = append(apps, app)
			return confirmTOTP(token, setup.Setup, app.code())
		}
		if n := s.atOnce(3, enrol, 201); n != 1 {
			t.Errorf("%d enrolments succeeded", n)
		}
		if got := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM recovery_codes`); got != "10" {
			t.Errorf("there are %s recovery codes", got)
		}
		s.clock.advance(31 * time.Second)
		var fresh string
		for _, app := range apps {
			if a := s.do(t, passwordGrantWith("ann", horse, app.code())); a.status == 200 {
				fresh = decode[api.Token](a).AccessToken
			}
		}
		id := s.factors(t, fresh).Items[0].ID
		if n := s.atOnce(3, func() request { return request{method: "DELETE", path: "/users/me/factors/" + id, token: fresh} }, 204); n != 1 {
			t.Errorf("%d removals succeeded", n)
		}
		if got := s.value(t, `SELECT factors || '.' FROM users WHERE username = 'ann'`); got != "." {
			t.Errorf("the account has %s", got)
		}
	})
}

// F10: a change of factors offers to end the other sessions.
func TestAChangeOfFactorsEndsOtherSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token, other := s.newcomer(t, "ann").AccessToken, s.login(t, "ann")
		setup, app := s.startTOTP(t, token)
		body := map[string]any{"setup": setup.Setup, "code": app.code(), "name": "Phone", "end_other_sessions": true}
		added := decode[api.AddedFactor](s.do(t, post("/users/me/totp/confirm", token, body)).want(201))
		s.do(t, refreshGrant(other.RefreshToken)).want(400, "invalid_grant")
		s.factors(t, token)
		first, second := app.loginWith(t, "ann"), app.loginWith(t, "ann")
		s.do(t, request{method: "DELETE", path: "/users/me/factors/" + added.Factor.ID + "?end_other_sessions=true", token: second.AccessToken}).want(204)
		s.do(t, refreshGrant(first.RefreshToken)).want(400, "invalid_grant")
		s.do(t, refreshGrant(second.RefreshToken)).want(200)
	})
}

// F7, F11: a factor that is disabled is shown as such. A recovery code lets its owner in, who removes it and sets up another one.
func TestADisabledFactorIsReplaced(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		app, added := s.enroll(t, s.newcomer(t, "ann").AccessToken)
		s.sql(t, `UPDATE factors SET failures = 99`)
		s.do(t, passwordGrantWith("ann", horse, app.wrongCode())).want(400, "invalid_grant")
		s.clock.advance(time.Minute)
		s.do(t, passwordGrantWith("ann", horse, app.code())).want(400, "invalid_grant")
		token := decode[api.Token](s.do(t, passwordGrantWith("ann", horse, added.RecoveryCodes[0])).want(200)).AccessToken
		if list := s.factors(t, token); !list.Items[0].Disabled {
			t.Errorf("the factor is %+v", list.Items[0])
		}
		second, replaced := s.enroll(t, token)
		if replaced.RecoveryCodes != nil {
			t.Error("a second factor brings recovery codes")
		}
		s.do(t, request{method: "DELETE", path: "/users/me/factors/" + added.Factor.ID, token: token}).want(204)
		second.loginWith(t, "ann")
	})
}

// The names of factors, and how many there are, have limits.
func TestNamesOfFactors(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		app, added := s.enroll(t, token)
		token = app.loginWith(t, "ann").AccessToken
		path := "/users/me/factors/" + added.Factor.ID
		for name, status := range map[string]int{"My phone (2)": 200, "  ": 422, "a\u202eb": 422, "https://evil.example": 422, strings.Repeat("ä", 64): 200, strings.Repeat("a", 65): 422} {
			a := s.do(t, request{method: "PATCH", path: path, token: token, json: map[string]any{"name": name}})
			if a.status != status {
				t.Errorf("%q: %d, want %d", name, a.status, status)
			}
		}
		s.do(t, request{method: "PATCH", path: "/users/me/factors/019ad82a-1c5e-7d0b-9a3f-5b8e2f6c7d01", token: token, json: map[string]any{"name": "x"}}).want(404)
		_, bob := s.enroll(t, s.newcomer(t, "bob").AccessToken)
		s.do(t, request{method: "DELETE", path: "/users/me/factors/" + bob.Factor.ID, token: token}).want(404)
		for i := range 19 {
			s.sql(t, fmt.Sprintf(`INSERT INTO factors (id, user_id, kind, name, secret, created_at) SELECT 'f%d', id, 'totp', 'Phone', '', 1 FROM users WHERE username = 'ann'`, i))
		}
		setup, more := s.startTOTP(t, token)
		s.do(t, confirmTOTP(token, setup.Setup, more.code())).want(http.StatusUnprocessableEntity, "validation_failed")
	})
}

// The session that has set up a factor counts as one with it, from its next refresh on.
func TestTheSessionOfAnEnrolment(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		tokens := s.newcomer(t, "ann")
		s.enroll(t, tokens.AccessToken)
		tokens = decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
		if claims := s.accessClaims(t, tokens); claims["acr"] != "2" {
			t.Errorf("acr %v", claims["acr"])
		}
		s.do(t, post("/users/me/recovery-codes", tokens.AccessToken, nil)).want(200)
	})
}
