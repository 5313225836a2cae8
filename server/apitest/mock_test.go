package apitest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/golang-jwt/jwt/v5"

	"sesame/gen/api"
	"sesame/server/internal/contract"
)

func startMock(t *testing.T, args ...string) *server {
	t.Helper()
	database := filepath.Join(t.TempDir(), "sesame.db")
	t.Cleanup(func() {
		if _, err := os.Stat(database); err == nil {
			t.Error("the mock made a database")
		}
	})
	return launch(t, "sqlite:"+database, append([]string{"mock"}, args...))
}

// mockToken asks the mock for a token with these scopes.
func (s *server) mockToken(t *testing.T, scope string) api.Token {
	t.Helper()
	grant := passwordGrant("anyone", "anything")
	grant.form.Set("scope", scope)
	return decode[api.Token](s.do(t, grant).want(200))
}

// exampleRequest is the request that the contract shows for an operation.
func exampleRequest(t *testing.T, op *contract.Operation) request {
	t.Helper()
	r := request{method: op.Method, path: op.Path}
	item := document().Paths.Value(op.Path)
	for _, p := range slices.Concat(item.Parameters, op.Document.Parameters) {
		if p.Value.In == openapi3.ParameterInPath {
			r.path = strings.ReplaceAll(r.path, "{"+p.Value.Name+"}", p.Value.Example.(string))
		}
	}
	if op.Document.RequestBody == nil {
		return r
	}
	for mediaType, content := range op.Document.RequestBody.Value.Content {
		example := content.Example
		for _, name := range slices.Sorted(maps.Keys(content.Examples)) {
			example = content.Examples[name].Value.Value
		}
		if mediaType == "application/json" {
			r.json = example
			continue
		}
		r.form = url.Values{}
		for name, value := range example.(map[string]any) {
			r.form.Set(name, value.(string))
		}
	}
	return r
}

// Every operation of the contract answers its example, and asks for the token and the scopes that the
// contract asks for. What the mock answers is held against the contract by do.
func TestTheMockAnswersEveryOperation(t *testing.T) {
	t.Parallel()
	s := startMock(t)
	all := s.mockToken(t, strings.Join(rules.Scopes().Declared, " ")).AccessToken
	for _, op := range rules.Operations() {
		t.Run(op.ID, func(t *testing.T) {
			r := exampleRequest(t, op)
			if needsClient(op) { // any will do
				s.do(t, r).want(401, "invalid_client")
				s.do(t, serviceClient{"any", "secret"}.sends(r)).want(200)
				return
			}
			r.token = all
			if a := s.do(t, r); a.status >= 300 && (a.status != 303 || !op.Pages) {
				t.Errorf("the example of the contract gets %d %s", a.status, a.body)
			}
			if op.Anonymous() {
				return
			}
			r.token = ""
			s.do(t, r).want(401, "unauthenticated")
			r.token = all[:len(all)-4] + "AAAA"
			s.do(t, r).want(401, "invalid_token")
			for _, scope := range op.Scopes() {
				others := slices.DeleteFunc(slices.Clone(rules.Scopes().Declared), func(s string) bool { return s == scope })
				r.token = s.mockToken(t, strings.Join(others, " ")).AccessToken
				s.do(t, r).want(403, "insufficient_scope")
			}
		})
	}
}

// A request may choose any answer that the contract has, whatever else is in it.
func TestTheMockAnswersWhatIsPreferred(t *testing.T) {
	t.Parallel()
	s := startMock(t)
	prefer := func(op *contract.Operation, preference string) *answer {
		t.Helper()
		r := exampleRequest(t, op)
		r.header = map[string]string{"Prefer": preference}
		a, err := s.try(r)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, op := range rules.Operations() {
		for status := range op.Document.Responses.Map() {
			a := prefer(op, "code="+status)
			if strconv.Itoa(a.status) != status || a.header.Get("Preference-Applied") != "code="+status {
				t.Errorf("%s: %s was preferred, and got %d", op.ID, status, a.status)
			}
			if err := op.CheckResponse(a.status, a.header, a.body); err != nil {
				t.Error(err)
			}
		}
		// Something between client and server may answer so, too.
		if a := prefer(op, `code="429"`); a.status != 429 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: 429 was preferred, and got %d", op.ID, a.status)
		}
	}
	getMe := rules.Operation("getMe")
	if a := prefer(getMe, "respond-async, code=401; example=missing"); a.status != 401 || a.code() != "unauthenticated" {
		t.Errorf("the example by its name: got %d %s", a.status, a.body)
	}
	if a := prefer(getMe, "respond-async, wait=10"); a.status != 401 {
		t.Errorf("an unknown preference counts: got %d", a.status)
	}
	for _, bad := range []string{"code=302", "code=abc", "code=99", "code=600", "code=401, example=nobody", "example=nobody", "code=429, example=x"} {
		if a := prefer(getMe, bad); a.status != 400 || a.code() != "bad_request" || strings.Contains(string(a.body), "nobody") {
			t.Errorf("%s: got %d %s", bad, a.status, a.body)
		}
	}
}

func TestTheMockRefusesWhatTheContractRefuses(t *testing.T) {
	t.Parallel()
	s := startMock(t)
	token := s.mockToken(t, "me:write").AccessToken
	s.do(t, request{method: "POST", path: "/users", json: map[string]any{"username": "ann"}}).want(422, "validation_failed").pointsAt("/password")
	s.do(t, request{method: "POST", path: "/users", json: `{"username":"ann","username":"bob","password":"a wooden horse"}`}).want(400, "bad_request")
	s.do(t, request{method: "PATCH", path: "/users/me", token: token, json: map[string]any{"full_name": 7}}).want(422).pointsAt("/full_name")
	s.do(t, request{method: "DELETE", path: "/users/me/sessions/no-uuid", token: token}).want(422).pointsAt("/session_id")
	s.do(t, request{method: "POST", path: "/token", form: url.Values{"grant_type": {"magic"}}}).want(400, "unsupported_grant_type")
	s.do(t, request{method: "POST", path: "/token", json: "{}"}).want(415, "invalid_request")
	s.do(t, request{method: "GET", path: "/nowhere"}).want(404, "not_found")
	if a := s.do(t, request{method: "PUT", path: "/users/me"}).want(405, "method_not_allowed"); a.header.Get("Allow") != "DELETE, GET, HEAD, PATCH" {
		t.Errorf("Allow is %q", a.header.Get("Allow"))
	}
}

// The tokens are real: anyone can verify them by the keys, they last as long as they say, and a
// refresh keeps their scopes.
func TestTheMockIssuesRealTokens(t *testing.T) {
	t.Parallel()
	s := startMock(t)
	pair := s.mockToken(t, "me:read users:read nothing:real")
	if pair.Scope != "me:read users:read" || pair.ExpiresIn != 600 {
		t.Errorf("got %q for %d seconds", pair.Scope, pair.ExpiresIn)
	}
	if plain := decode[api.Token](s.do(t, passwordGrant("x", "y")).want(200)); plain.Scope != defaultScopes() {
		t.Errorf("without scope, the token has %q", plain.Scope)
	}
	bad := passwordGrant("x", "y")
	bad.form.Set("scope", "nothing:real")
	s.do(t, bad).want(400, "invalid_scope")

	metadata := decode[api.Metadata](s.do(t, request{method: "GET", path: "/.well-known/oauth-authorization-server"}).want(200))
	if metadata.Issuer != s.url || metadata.TokenEndpoint != s.url+"/token" || metadata.RevocationEndpoint != s.url+"/token/revoke" {
		t.Errorf("the metadata leads elsewhere: %+v", metadata)
	}
	key := publicKey(t, decode[api.KeySet](s.do(t, request{method: "GET", path: "/.well-known/jwks.json"}).want(200)).Keys[0])
	claims := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(pair.AccessToken, claims, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithIssuer(metadata.Issuer), jwt.WithAudience(s.url), jwt.WithValidMethods([]string{"ES256"})); err != nil {
		t.Fatal(err)
	}
	again := decode[api.Token](s.do(t, passwordGrant("anyone", "else")).want(200)).AccessToken
	var second jwt.MapClaims
	if payload, err := base64.RawURLEncoding.DecodeString(strings.Split(again, ".")[1]); err != nil || json.Unmarshal(payload, &second) != nil || second["sub"] != claims["sub"] {
		t.Errorf("another login of the same name is somebody else: %v, %v, %v", second["sub"], claims["sub"], err)
	}

	s.clock.advance(11 * time.Minute)
	s.do(t, request{method: "GET", path: "/users/me", token: pair.AccessToken}).want(401, "invalid_token")
	next := decode[api.Token](s.do(t, refreshGrant(pair.RefreshToken)).want(200))
	if next.Scope != pair.Scope || next.RefreshToken == pair.RefreshToken {
		t.Errorf("the refreshed token has %q", next.Scope)
	}
	s.do(t, request{method: "GET", path: "/users/me", token: next.AccessToken}).want(200)
}

func publicKey(t *testing.T, k api.Key) *ecdsa.PublicKey {
	t.Helper()
	x, errX := base64.RawURLEncoding.DecodeString(*k.X)
	y, errY := base64.RawURLEncoding.DecodeString(*k.Y)
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A front end that is being built comes from another origin.
func TestTheMockLetsOtherOriginsIn(t *testing.T) {
	t.Parallel()
	s := startMock(t)
	preflight, err := s.try(request{method: "OPTIONS", path: "/users/me", header: map[string]string{
		"Origin": "http://localhost:5173", "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,content-type",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "PATCH", "Access-Control-Allow-Headers": "authorization",
	} {
		if !strings.Contains(preflight.header.Get(header), want) {
			t.Errorf("%s is %q", header, preflight.header.Get(header))
		}
	}
	refused := s.do(t, request{method: "GET", path: "/users/me", header: map[string]string{"Origin": "http://localhost:5173"}}).want(401)
	if refused.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("a script cannot read the refusal")
	}
}
