package apitest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"sesame/gen/api"
)

func (s *server) create(t *testing.T, fields map[string]any) *answer {
	t.Helper()
	return s.do(t, request{method: "POST", path: "/users", json: fields})
}

func TestRegisteringAnAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		before := s.clock.now()
		whole := decode[api.User](s.create(t, map[string]any{
			"username": "Ann", "password": horse, "email": "Ann@Example.com", "full_name": "Ann Example",
		}).want(201))
		if uuid.MustParse(whole.ID).Version() != 7 || whole.Username != "Ann" || whole.Email.MustGet() != "Ann@Example.com" || whole.EmailVerified ||
			whole.FullName.MustGet() != "Ann Example" || whole.Disabled || strings.Join(whole.Scopes, " ") != ownScopes() ||
			whole.CreatedAt.Before(before.Truncate(time.Microsecond)) || !whole.UpdatedAt.Equal(whole.CreatedAt) {
			t.Errorf("got %+v", whole)
		}
		least := decode[api.User](s.create(t, map[string]any{"username": "bob", "password": horse}).want(201))
		if !least.Email.IsNull() || !least.FullName.IsNull() {
			t.Errorf("got %+v", least)
		}
		s.create(t, map[string]any{"username": "cy", "password": horse, "full_name": nil}).want(201)
		s.create(t, map[string]any{"username": "dan"}).want(422, "validation_failed").pointsAt("/password")
		s.create(t, map[string]any{"password": horse}).want(422, "validation_failed").pointsAt("/username")
		s.create(t, map[string]any{}).want(422).pointsAt("/username").pointsAt("/password")
		s.create(t, map[string]any{"username": "dan", "password": horse, "email": ""}).want(422).pointsAt("/email")
	})
}

// L9: one name, however it is written, and no name that poses as another.
func TestUsernamesAreOneWhateverTheirCaseOrWidth(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "Ann")
		s.create(t, map[string]any{"username": "straße", "password": horse}).want(201)
		s.create(t, map[string]any{"username": "ren\u00e9", "password": horse}).want(201)
		s.create(t, map[string]any{"username": "123", "password": horse}).want(201)
		for _, same := range []string{"Ann", "ann", "ANN", "aNN", "ＡＮＮ", "ａｎｎ", "Ａnn", "STRAßE", "rene\u0301", "REN\u00c9", "１２３"} {
			s.create(t, map[string]any{"username": same, "password": horse}).want(409, "username_taken").pointsAt("/username")
		}
		for _, login := range []string{"ann", "ＡＮＮ", "ANN"} {
			s.do(t, passwordGrant(login, horse)).want(200)
		}
		for _, other := range []string{"anna", "a.nn", "анна", "安", "山田タロウ", "αννα", "ann_2", "ann-3"} {
			s.create(t, map[string]any{"username": other, "password": horse}).want(201)
		}
		for _, refused := range []string{
			"аnn", "аnnа", "annα", "ann\u0430", "pаypal", // letters of two scripts
			"ann@home", "@ann", "ann＠home", "ann@example.com", // an address
			"", " ", "ann lee", " ann", "ann ", "ann\u3000lee", "ann\tlee", "ann\u00a0lee",
			"ann\u0000", "ann\n", "ann\u007f", "ann\u200b", "ann\u202e", "ann\ufeff", "👩", "½",
			strings.Repeat("\u0958", 33), // 66 characters once it is normalised
		} {
			s.create(t, map[string]any{"username": refused, "password": horse}).want(422, "validation_failed").pointsAt("/username")
		}
	})
}

// L3: an address that is known already is no reason to refuse, for that would tell that it is.
func TestAnUnverifiedAddressIsAClaimThatManyMayMake(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		if _, stderr, code := s.sesame(t, horse, "user", "create", "owner", "--email", "owner@example.com", "--email-verified"); code != 0 {
			t.Fatal(stderr)
		}
		for _, name := range []string{"one", "two"} {
			s.create(t, map[string]any{"username": name, "password": "the password of " + name, "email": "ann@example.com"}).want(201)
			s.create(t, map[string]any{"username": name + "2", "password": "the password of " + name, "email": "OWNER@example.com"}).want(201)
		}
		s.do(t, passwordGrant("ann@example.com", "the password of one")).want(400, "invalid_grant")
		s.do(t, passwordGrant("owner@example.com", "the password of one")).want(400, "invalid_grant")
		s.do(t, passwordGrant("Owner@Example.com", horse)).want(200)
	})
}

func TestWhatIsAnAddress(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	for i, c := range []struct {
		address string
		status  int
	}{
		{"a@b.co", 201},
		{"first.last+tag@sub.example.com", 201},
		{"o'neil@example.com", 201},
		{"ann@exämple.com", 201},
		{strings.Repeat("a", 64) + "@example.com", 201},
		{strings.Repeat("a", 65) + "@example.com", 422},
		{"a@" + strings.Repeat("b.", 126) + "co", 422},
		{"", 422},
		{"ann", 422},
		{"@example.com", 422},
		{"ann@", 422},
		{"ann@localhost", 422},
		{"ann@.com", 422},
		{"ann@example..com", 422},
		{"ann@example.com.", 422},
		{".ann@example.com", 422},
		{"ann.@example.com", 422},
		{"a..b@example.com", 422},
		{"a@b@example.com", 422},
		{"a b@example.com", 422},
		{" ann@example.com", 422},
		{"ann@example.com ", 422},
		{"ann@example.com\n", 422},
		{"ann@example.com\r\nBcc: eve@example.com", 422},
		{"ann@example.com,eve@example.com", 422},
		{"Ann <ann@example.com>", 422},
		{"<ann@example.com>", 422},
		{"ann@example.com (Ann)", 422},
		{`"ann"@example.com`, 422},
		{`"a b"@example.com`, 422},
		{"ann@[127.0.0.1]", 422},
		{"ann\u0000@example.com", 422},
		{"mailto:ann@example.com", 422},
	} {
		a := s.create(t, map[string]any{"username": fmt.Sprintf("u%d", i), "password": horse, "email": c.address})
		if a.status != c.status {
			t.Errorf("%q: got %d %s", c.address, a.status, a.body)
		}
	}
}

func TestUpdatingTheProfile(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		update := func(body string) api.User { return decode[api.User](s.do(t, patch(token, body)).want(200)) }
		first := decode[api.User](s.do(t, me(token)).want(200))
		s.clock.advance(time.Second)
		named := update(`{"full_name":"Ann of Troy"}`)
		if named.FullName.MustGet() != "Ann of Troy" || !named.UpdatedAt.After(first.UpdatedAt) || !named.CreatedAt.Equal(first.CreatedAt) {
			t.Errorf("%+v after %+v", named, first)
		}
		s.clock.advance(time.Second)
		if same := update(`{}`); same.FullName.MustGet() != "Ann of Troy" || !same.UpdatedAt.Equal(named.UpdatedAt) {
			t.Errorf("an empty change made %+v of %+v", same, named)
		}
		if cleared := update(`{"full_name":null}`); !cleared.FullName.IsNull() || cleared.Email.MustGet() != "ann@example.com" {
			t.Errorf("got %+v", cleared)
		}
		s.do(t, patch(token, `{"full_name":""}`)).want(422, "validation_failed").pointsAt("/full_name")
		if now := decode[api.User](s.do(t, me(token)).want(200)); !now.FullName.IsNull() {
			t.Errorf("got %+v", now)
		}
	})
}

func changePassword(token, current, next string) request {
	return request{method: "PUT", path: "/users/me/password", token: token, json: map[string]string{"current_password": current, "new_password": next}}
}

// T7: a changed password ends every other session at once, and the old one opens nothing.
func TestChangingThePassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const next = "a bigger wooden horse"
		current, other := s.newcomer(t, "ann"), s.login(t, "ann")
		stranger := s.newcomer(t, "bob")
		token := current.AccessToken
		s.do(t, changePassword(token, "not "+horse, next)).want(422, "wrong_password").pointsAt("/current_password")
		s.do(t, changePassword(token, horse, "short")).want(422, "validation_failed").pointsAt("/new_password")
		s.do(t, changePassword(token, horse, "e\u0301e\u0301e\u0301e\u0301")).want(422, "validation_failed").pointsAt("/new_password")
		s.do(t, changePassword(token, "", next)).want(422, "validation_failed").pointsAt("/current_password")
		s.do(t, me(other.AccessToken)).want(200) // nothing has happened yet
		s.do(t, changePassword(token, horse, next)).want(204)
		s.refusesAll(t, other)
		s.do(t, me(token)).want(200)
		s.do(t, refreshGrant(current.RefreshToken)).want(200)
		s.do(t, me(stranger.AccessToken)).want(200)
		s.do(t, passwordGrant("ann", horse)).want(400, "invalid_grant")
		s.do(t, passwordGrant("ann", next)).want(200)
	})
}

// Of several changes of the password at once one succeeds; the others get wrong_password.
func TestParallelPasswordChanges(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		sessions := [4]api.Token{s.login(t, "ann"), s.login(t, "ann"), s.login(t, "ann"), s.login(t, "ann")}
		var answers [len(sessions)]*answer
		var wait sync.WaitGroup
		for i, session := range sessions {
			wait.Go(func() {
				var err error
				if answers[i], err = s.try(changePassword(session.AccessToken, horse, fmt.Sprint("password of ", i))); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		winner := slices.IndexFunc(answers[:], func(a *answer) bool { return a != nil && a.status == 204 })
		if winner < 0 {
			t.Fatalf("none succeeded: %s", answers[0].body)
		}
		for i, a := range answers {
			// The winner's change has ended the others' sessions: they may learn of either.
			if i != winner && a.code() != "wrong_password" && a.code() != "invalid_token" {
				t.Errorf("%d and %d: got %d %s", winner, i, a.status, a.body)
			}
		}
		s.do(t, passwordGrant("ann", fmt.Sprint("password of ", winner))).want(200)
		s.do(t, me(sessions[winner].AccessToken)).want(200)
	})
}

// RFC 9470: what cannot be undone takes a login of the last ten minutes; a refresh is none.
func TestDeletingTheAccountTakesAFreshLogin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		remove := func(token string) *answer { return s.do(t, request{method: "DELETE", path: "/users/me", token: token}) }
		s.register(t, "ann")
		s.register(t, "bob")
		tokens, bob := s.loginToDelete(t, "ann"), s.loginToDelete(t, "bob")
		s.clock.advance(9 * time.Minute)
		refreshed := decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
		remove(bob.AccessToken).want(204)
		s.refusesAll(t, bob)
		s.clock.advance(time.Minute + time.Second)
		challenge := remove(refreshed.AccessToken).want(401, "insufficient_user_authentication").header.Get("WWW-Authenticate")
		if !strings.HasPrefix(challenge, `Bearer realm="sesame", error="insufficient_user_authentication"`) || !strings.Contains(challenge, `max_age="600"`) {
			t.Errorf("the challenge is %s", challenge)
		}
		s.do(t, me(refreshed.AccessToken)).want(200)
		again := s.loginToDelete(t, "ann")
		remove(again.AccessToken).want(204)
		s.refusesAll(t, again)
		s.refusesAll(t, refreshed)
		s.do(t, passwordGrant("ann", horse)).want(400, "invalid_grant")
		for _, table := range []string{"users", "sessions"} {
			if rows := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM `+table); rows != "0" {
				t.Errorf("%s rows are left in %s", rows, table)
			}
		}
	})
}

// O5: the metadata agrees with the tokens, and the key set verifies them offline.
func TestDiscovery(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		metadata := decode[api.Metadata](s.do(t, request{method: "GET", path: "/.well-known/oauth-authorization-server"}).want(200))
		if !slices.Equal(metadata.ScopesSupported, rules.Scopes().Declared) {
			t.Errorf("the scopes are %v", metadata.ScopesSupported)
		}
		for _, address := range []string{metadata.TokenEndpoint, metadata.RevocationEndpoint, metadata.JwksURI} {
			path, ours := strings.CutPrefix(address, metadata.Issuer)
			if !ours || findOperation("GET", path) == nil && findOperation("POST", path) == nil {
				t.Errorf("there is nothing at %s", address)
			}
		}
		jwk, key := s.publicKey(t)
		var members map[string]string
		if err := json.Unmarshal(jwk, &members); err != nil {
			t.Fatal(err)
		}
		for name := range members {
			if !slices.Contains([]string{"kty", "use", "alg", "kid", "crv", "x", "y"}, name) {
				t.Errorf("the key has the member %s", name)
			}
		}
		// RFC 7638 §3: the required members in this order.
		sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"%s","kty":"%s","x":"%s","y":"%s"}`, members["crv"], members["kty"], members["x"], members["y"]))
		if members["kid"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
			t.Errorf("the kid %s is not the thumbprint", members["kid"])
		}
		claims := jwt.MapClaims{}
		parsed, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key, nil }, jwt.WithValidMethods([]string{"ES256"}))
		if err != nil || parsed.Header["kid"] != members["kid"] || claims["iss"] != metadata.Issuer {
			t.Errorf("%v: header %v, claims %v; the issuer is %s", err, parsed.Header, claims, metadata.Issuer)
		}
	}, "SESAME_PUBLIC_URL=https://login.example/sso")
}
