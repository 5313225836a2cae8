package apitest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

func passkeyGrant(answer string, more ...string) request {
	form := url.Values{"grant_type": {string(api.TokenRequestGrantTypePasskey)}, "passkey": {answer}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return request{method: "POST", path: "/token", form: form}
}

// startPasskeySignIn returns the options of a sign-in through a client, or through none.
func (s *server) startPasskeySignIn(t *testing.T, client ...string) string {
	t.Helper()
	body := map[string]any{}
	for _, id := range client {
		body["client_id"] = id
	}
	return string(s.do(t, request{method: "POST", path: "/passkeys/challenges", json: body}).want(200).body)
}

func startPasskey(token string) request {
	return request{method: "POST", path: "/users/me/passkeys/challenges", token: token}
}

func addPasskey(token, credential string) request {
	return request{method: "POST", path: "/users/me/passkeys", token: token, json: map[string]any{"name": "Phone", "credential": credential}}
}

// A front end of one's own adds a passkey and signs in with it.
func TestPasskeysOverTheAPI(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := newSoftKey(t)
		tokens := s.newcomer(t, "ann")
		options := s.do(t, startPasskey(tokens.AccessToken)).want(200)
		credential := key.create(t, string(options.body))
		made := decode[api.AddedFactor](s.do(t, addPasskey(tokens.AccessToken, credential)).want(201))
		if made.Factor.Kind != "passkey" || made.Factor.Name != "Phone" || len(made.RecoveryCodes) != 10 {
			t.Errorf("%+v", made)
		}
		s.do(t, addPasskey(tokens.AccessToken, credential)).want(422, "validation_failed") // again
		signedIn := decode[api.Token](s.do(t, passkeyGrant(key.get(t, s.startPasskeySignIn(t)), "scope", "me:read openid")).want(200))
		claims := s.accessClaims(t, signedIn)
		if got := fmt.Sprintf("%v %v %v", claims["amr"], claims["acr"], claims["scope"]); got != "[hwk user mfa] 2 me:read openid" {
			t.Error(got)
		}
		decode[api.Token](s.do(t, refreshGrant(signedIn.RefreshToken)).want(200))
		// The session has a second factor: it adds another passkey, but not the same one, and the options name the first.
		second := s.do(t, startPasskey(s.passkeyToken(t, key))).want(200)
		if !strings.Contains(string(second.body), encode64(key.id)) {
			t.Errorf("%s", second.body)
		}
		token := s.passkeyToken(t, key)
		s.do(t, addPasskey(token, key.create(t, string(s.do(t, startPasskey(token)).want(200).body)))).want(422, "validation_failed")
		again := decode[api.AddedFactor](s.do(t, addPasskey(token, newSoftKey(t).create(t, string(s.do(t, startPasskey(token)).body)))).want(201))
		if len(again.RecoveryCodes) > 0 {
			t.Errorf("%+v", again)
		}
		factors := decode[api.FactorList](s.do(t, request{method: "GET", path: "/users/me/factors", token: token}).want(200))
		if len(factors.Items) != 2 {
			t.Errorf("%+v", factors)
		}
		s.do(t, request{method: "DELETE", path: "/users/me/factors/" + made.Factor.ID, token: token}).want(204)
		s.do(t, passkeyGrant(key.get(t, s.startPasskeySignIn(t)))).want(400, "invalid_grant")
	}, withPasskeys)
}

// passkeyToken signs a person in with a passkey, and returns an access token.
func (s *server) passkeyToken(t *testing.T, key *softKey) string {
	t.Helper()
	answer := key.get(t, s.startPasskeySignIn(t, "first-party"))
	return decode[api.Token](s.do(t, passkeyGrant(answer)).want(200)).AccessToken
}

// Every wrong answer is one refusal over the API, too.
func TestWrongAnswersOverTheAPI(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := s.withKey(t, "ann")
		wrongs := wrongAnswers(t)
		wrongs["a person who was not verified"] = func(c *ceremony) { c.flags &^= userVerified }
		var first string
		for name, change := range wrongs {
			s.sql(t, `DELETE FROM throttles`)
			a := s.do(t, passkeyGrant(key.get(t, s.startPasskeySignIn(t), change))).want(400, "invalid_grant")
			if first == "" {
				first = string(a.body)
			}
			if string(a.body) != first {
				t.Errorf("%s: %s, and not %s", name, a.body, first)
			}
		}
		s.sql(t, `DELETE FROM throttles`)
		answer := key.get(t, s.startPasskeySignIn(t))
		s.do(t, passkeyGrant(answer)).want(200)
		s.do(t, passkeyGrant(answer)).want(400, "invalid_grant")
		expired := key.get(t, s.startPasskeySignIn(t))
		s.clock.advance(5*time.Minute + time.Second)
		s.do(t, passkeyGrant(expired)).want(400, "invalid_grant")
		for _, text := range []string{"", "x", "{}", strings.Repeat("[", 10000)} {
			s.do(t, passkeyGrant(text)).wantOneOf(400)
		}
		s.do(t, passkeyGrant(strings.Repeat(" ", 17000))).want(400, "invalid_request")
		s.do(t, passkeyGrant(strings.Repeat(" ", 70000))).want(413, "invalid_request")
		s.do(t, request{method: "POST", path: "/token", form: url.Values{"grant_type": {string(api.TokenRequestGrantTypePasskey)}}}).want(400, "invalid_request")
		// The challenge of the page is none of the API.
		_, options := s.newBrowser().send(t, get("/sign-in")).passkeyForm()
		s.do(t, passkeyGrant(key.get(t, options))).want(400, "invalid_grant")
	}, withPasskeys)
}

// A client needs the password grant, and answers that were made for it.
func TestPasskeysOfClients(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := s.withKey(t, "ann")
		front, other, web := s.makeClient(t, "front", "--password-grant"), s.makeClient(t, "other", "--password-grant"), s.publicClient(t)
		answer := key.get(t, s.startPasskeySignIn(t, front.ID))
		s.do(t, passkeyGrant(answer)).want(400, "invalid_grant")
		s.do(t, passkeyGrant(answer, "client_id", other.ID, "client_secret", other.Secret)).want(400, "invalid_grant")
		s.do(t, passkeyGrant(answer, "client_id", front.ID, "client_secret", "wrong")).want(401, "invalid_client")
		tokens := decode[api.Token](s.do(t, passkeyGrant(answer, "client_id", front.ID, "client_secret", front.Secret)).want(200))
		if claims := s.accessClaims(t, tokens); claims["client_id"] != front.ID {
			t.Errorf("%v", claims)
		}
		answer = key.get(t, s.startPasskeySignIn(t, web.ID))
		s.do(t, passkeyGrant(answer, "client_id", web.ID)).want(400, "unauthorized_client")
	}, withPasskeys)
}

// A front end below the host, whose origin the operator has listed, may use passkeys, and no other.
func TestOriginsOfFrontEnds(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := s.withKey(t, "ann")
		for origin, status := range map[string]int{
			"https://app." + passkeyHost: 200, passkeyOrigin + ":8443": 200,
			"https://other." + passkeyHost: 400, "https://app.example": 400, "https://not" + passkeyHost: 400,
		} {
			a := s.do(t, passkeyGrant(key.get(t, s.startPasskeySignIn(t), func(c *ceremony) { c.origin = origin })))
			if a.status != status {
				t.Errorf("%s: %d %s", origin, a.status, a.body)
			}
		}
	}, withPasskeys, "SESAME_CORS_ORIGINS=https://app."+passkeyHost+",https://app.example,https://not"+passkeyHost+","+passkeyOrigin+":8443")
}

// onLoopback makes a ceremony with a server at a loopback address, at localhost.
func (s *server) onLoopback(c *ceremony) {
	c.host, c.origin = "localhost", strings.Replace(s.url, "127.0.0.1", "localhost", 1)
}

// The server of a developer, at a loopback address, has the passkeys of localhost; one at another address has none.
func TestPasskeysOfAnIPAddress(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t), "SESAME_CORS_ORIGINS=http://localhost:5173")
	tokens, key := s.newcomer(t, "ann"), newSoftKey(t)
	local := func(c *ceremony) { c.host, c.origin = "localhost", "http://localhost:5173" }
	options := string(s.do(t, startPasskey(tokens.AccessToken)).want(200).body)
	s.do(t, addPasskey(tokens.AccessToken, key.create(t, options, local))).want(201)
	s.do(t, passkeyGrant(key.get(t, s.startPasskeySignIn(t), local))).want(200)
	s.do(t, passkeyGrant(key.get(t, s.startPasskeySignIn(t), s.onLoopback))).want(200)
	s = start(t, sqliteURL(t), "SESAME_PUBLIC_URL=https://192.0.2.1")
	token := s.newcomer(t, "ann").AccessToken
	s.do(t, request{method: "POST", path: "/passkeys/challenges", json: map[string]any{}}).want(404, "not_found")
	s.do(t, startPasskey(token)).want(404, "not_found")
	s.do(t, addPasskey(token, "{}")).want(404, "not_found")
	s.do(t, passkeyGrant("{}")).want(400, "invalid_grant")
}

// A new passkey needs a fresh login and the challenge of its session.
func TestWrongRegistrationsOverTheAPI(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token, key := s.newcomer(t, "ann").AccessToken, newSoftKey(t)
		other := s.login(t, "ann").AccessToken
		options := string(s.do(t, startPasskey(token)).want(200).body)
		s.do(t, addPasskey(other, key.create(t, options))).want(422, "validation_failed")
		s.do(t, addPasskey(token, key.create(t, options, func(c *ceremony) { c.origin = "https://evil.example" }))).want(422, "validation_failed")
		s.do(t, addPasskey(token, key.get(t, options))).want(422, "validation_failed")
		bad := addPasskey(token, key.create(t, options))
		bad.json.(map[string]any)["name"] = "a/b"
		s.do(t, bad).want(422, "validation_failed")
		s.do(t, addPasskey(token, key.create(t, options))).want(201) // no attempt has used the challenge
		s.sql(t, `DELETE FROM factors`)
		s.sql(t, `UPDATE users SET factors = ''`)
		options = string(s.do(t, startPasskey(token)).want(200).body)
		s.clock.advance(5*time.Minute + time.Second)
		s.do(t, addPasskey(token, key.create(t, options))).want(422, "validation_failed")
		s.clock.advance(4*time.Minute + 57*time.Second)
		options = string(s.do(t, startPasskey(token)).want(200).body)
		s.clock.advance(3 * time.Second)
		s.do(t, startPasskey(token)).want(401, "insufficient_user_authentication")
		s.do(t, addPasskey(token, key.create(t, options))).want(401, "insufficient_user_authentication")
	}, withPasskeys)
}

// The options are what browsers read (PublicKeyCredentialRequestOptionsJSON): the challenge has at least 128 random bits.
func TestOptionsOfPasskeys(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		seen := map[string]bool{}
		for range 3 {
			var o api.PasskeyRequestOptions
			if err := json.Unmarshal([]byte(s.startPasskeySignIn(t)), &o); err != nil {
				t.Fatal(err)
			}
			if o.RpID != passkeyHost || o.UserVerification != "required" || o.Timeout != 300000 || len(decode64(t, o.Challenge)) < 32 || seen[o.Challenge] {
				t.Errorf("%+v", o)
			}
			seen[o.Challenge] = true
		}
		ann := s.newcomer(t, "ann")
		created := decode[api.PasskeyCreationOptions](s.do(t, startPasskey(ann.AccessToken)).want(200))
		if created.Rp.ID != passkeyHost || created.User.Name != "ann" || created.Attestation != "none" || created.AuthenticatorSelection.ResidentKey != "preferred" ||
			string(decode64(t, created.User.ID)) != s.value(t, `SELECT id FROM users WHERE username = 'ann'`) {
			t.Errorf("%+v", created)
		}
	}, withPasskeys)
}
