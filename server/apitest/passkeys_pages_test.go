package apitest

import (
	"strings"
	"testing"
	"time"
)

// A new passkey needs a fresh sign-in, the challenge of its session, and the origin of the server.
func TestWrongRegistrationsOfAPasskey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b, other := s.newBrowser(), s.newBrowser()
		b.withPassword(t, "ann")
		other.withPassword(t, "ann")
		key := newSoftKey(t)
		for name, change := range map[string]func(*ceremony){
			"another origin":        func(c *ceremony) { c.origin = "https://evil.example" },
			"another relying party": func(c *ceremony) { c.host = "evil.example" },
			"nobody present":        func(c *ceremony) { c.flags &^= userPresent },
			"a sign-in":             func(c *ceremony) { c.kind = "webauthn.get" },
			"another challenge":     func(c *ceremony) { c.challenge = encode64(make([]byte, 52)) },
			"a frame":               func(c *ceremony) { c.crossOrigin = true },
			"impossible flags":      func(c *ceremony) { c.flags |= backedUp },
			"a long id":             func(c *ceremony) { c.id = make([]byte, 1024) },
		} {
			if a := b.addPasskey(t, key, change); a.status != 422 {
				t.Errorf("%s: %d", name, a.status)
			}
		}
		p, options := b.send(t, get("/account/passkeys")).passkeyForm()
		answer := key.create(t, options)
		other.submit(t, p, "name", "Key", "passkey", answer).want(422)
		b.submit(t, p, "name", "Key", "passkey", answer).want(200).shows("recovery codes")
		s.sql(t, `DELETE FROM factors`)
		b.submit(t, p, "name", "Key", "passkey", answer).want(422).shows("was not accepted") // again
		s.sql(t, `UPDATE users SET factors = ''`)
		p, options = b.send(t, get("/account/passkeys")).passkeyForm()
		s.clock.advance(11 * time.Minute)
		b.follows(t, b.submit(t, p, "name", "Key", "passkey", newSoftKey(t).create(t, options)), "/sign-in?request=passkey")
		again := b.follows(t, b.send(t, get("/account/passkeys")), "/sign-in?request=passkey").want(200).shows("Sign in again")
		b.follows(t, b.submit(t, again.formWith("", ""), "username", "ann", "password", horse), "/account/passkeys")
		b.addPasskey(t, newSoftKey(t)).want(200).shows("recovery codes")
		b.addPasskey(t, newSoftKey(t)).want(303) // the session has a second factor now
	}, withPasskeys)
}

// Texts that are no answer, and huge ones, are refused like wrong ones.
func TestTextsThatAreNoPasskeys(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := s.withKey(t, "ann")
		b := s.newBrowser()
		p, options := b.send(t, get("/sign-in")).passkeyForm()
		right := key.get(t, options)
		for _, text := range []string{
			"x", "{}", "null", "[]", `{"id":""}`, strings.Repeat("[", 5000), right[:len(right)-2], strings.ReplaceAll(right, `"id":"`, `"id":"AA`),
			strings.ReplaceAll(right, `"public-key"`, `"password"`), strings.ReplaceAll(right, `"userHandle":"`, `"userHandle":"`+strings.Repeat("A", 14000)),
			strings.ReplaceAll(right, `"authenticatorData":"`, `"authenticatorData":"AAAA`), strings.ReplaceAll(right, `"signature":"`, `"signature":"AAAA`),
			`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"bnVsbA","authenticatorData":"","signature":""}}`,
			right + strings.Repeat(" ", 17<<10),
		} {
			b.submit(t, p, "passkey", text).want(422).shows("was not accepted")
		}
		b.submit(t, p, "passkey", right+strings.Repeat(" ", 70<<10)).want(413)
		b.submit(t, p, "passkey", right).want(303)
		p, _ = b.send(t, get("/account/passkeys")).passkeyForm()
		b.submit(t, p, "name", "Key", "passkey", strings.Repeat("{", 2000)).want(422)
		b.submit(t, p, "name", "Key", "passkey", strings.Repeat("{", 20<<10)).want(413)
	}, withPasskeys)
}

// Only the pages that ask for a passkey have a script, which their policy allows by its hash, and no page of a server without
// passkeys has one.
func TestTheScriptOfPasskeys(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.withKey(t, "ann")
		b := s.newBrowser()
		second := b.submit(t, b.send(t, get("/sign-in")).formWith("", ""), "username", "ann", "password", horse).want(200)
		stranger := s.newBrowser()
		without := s.newBrowser()
		s.register(t, "bob")
		without.withPassword(t, "bob")
		for name, page := range map[string]*answer{"/sign-in": stranger.send(t, get("/sign-in")), "/second-factor": second, "/account/passkeys": without.send(t, get("/account/passkeys"))} {
			policy := page.header.Get("Content-Security-Policy")
			script := between(string(page.body), "<script>", "</script>")
			if script == "" || !strings.Contains(policy, "script-src 'sha256-"+sha256Base64(script)+"';") || strings.Contains(policy, "unsafe") || len(page.body) > 30<<10 {
				t.Errorf("%s: %d bytes, %s", name, len(page.body), policy)
			}
		}
		for _, path := range []string{"/account", "/account/sessions", "/account/events", "/sign-up", "/forgot-password", "/sign-out"} {
			page := without.send(t, get(path)).want(200)
			if strings.Contains(string(page.body), "<script") || strings.Contains(page.header.Get("Content-Security-Policy"), "script-src") {
				t.Errorf("%s has a script", path)
			}
		}
	}, withPasskeys)
	t.Run("an IP address", func(t *testing.T) {
		s := start(t, sqliteURL(t))
		s.register(t, "ann")
		b := s.newBrowser()
		if page := b.send(t, get("/sign-in")).want(200); strings.Contains(string(page.body), "<script") || len(b.others) > 0 {
			t.Errorf("%s %v", page.body, b.others)
		}
		b.signInHere(t, "ann")
		b.send(t, get("/account/passkeys")).want(404)
	})
}
