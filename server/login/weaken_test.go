package login_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"sesame/server/login"
	"sesame/server/login/logintest"
)

// A document cannot change who has a scope of Sesame's: with users:write in x-default, every person would be an
// administrator.
func TestADocumentCannotGiveSesamesScopes(t *testing.T) {
	const list = "x-default: ['things:read']"
	for name, c := range map[string]struct{ old, new, want string }{
		"x-default":     {list, "x-default: ['things:read', 'users:write']", "users:write"},
		"x-on-request":  {list, list + "\n          x-on-request: ['users:read']", "users:read"},
		"x-people-only": {list, "x-people-only: ['users:read']", "users:read"},
		"another scheme": {"securitySchemes:\n", `securitySchemes:
    Mine:
      type: oauth2
      flows: { implicit: { authorizationUrl: /x, scopes: { 'users:write': mine }, x-default: ['users:write'] } }
`, "users:write"},
		"another flow": {"flows:\n", `flows:
        clientCredentials: { tokenUrl: /token, scopes: { 'users:read': mine }, x-on-request: ['users:read'] }
`, "users:read"},
		"another type":      {"type: oauth2", "type: openIdConnect", "type"},
		"another token URL": {"tokenUrl: /token", "tokenUrl: https://evil.example/token", "tokenUrl"},
		"another text":      {"'things:read': Read things", "'users:write': harmless, 'things:read': Read things", "users:write"},
	} {
		t.Run(name, func(t *testing.T) {
			document := strings.Replace(things, c.old, c.new, 1)
			if document == things {
				t.Fatal("nothing is changed")
			}
			err := open(t).Mount(echo.New(), []byte(document))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	// What Sesame's own lists say may be said again.
	same := strings.Replace(things, list, "x-default: ['me:read', 'me:write', 'things:read']\n          x-on-request: ['me:delete']", 1)
	same = strings.Replace(same, "scopes: {", "scopes: { 'me:read': \"Read one's own account, sessions and events\", 'me:write': \"Change one's own account and end sessions\", 'me:delete': \"Delete one's own account\",", 1)
	if err := open(t).Mount(echo.New(), []byte(same)); err != nil {
		t.Error(err)
	}
}

// The default security of a document is for its own operations: Sesame's keep theirs.
func TestTheDefaultSecurityOfADocument(t *testing.T) {
	for _, security := range []string{"security: []", "security: [{}]", "security: [{}, { OAuth2Password: [] }]", "security: [{ ClientBasic: [] }]"} {
		document := strings.Replace(things, "paths:\n", security+"\npaths:\n", 1)
		address := raw(t, document, nil, func(e *echo.Echo) { handle(e, nothing) })
		for request, want := range map[string]int{
			"GET /users/me": 401, "GET /users": 401, "PATCH /users/1": 401, "DELETE /users/me": 401, "POST /token/introspect": 401,
			"GET /healthz": 200, "GET /open": 204, "GET /things/1": 401,
		} {
			if status := send(t, address, request); status != want {
				t.Errorf("%s: %s: %d, want %d", security, request, status, want)
			}
		}
	}
}

// An operation of theirs answers errors as problems, though its 400 is application/json: OAuth's errors are for Sesame's
// own operations.
func TestTheirErrorsAreNoOAuthErrors(t *testing.T) {
	document := strings.Replace(things, "        '401':", "        '400': { description: bad, content: { application/json: { schema: { type: object } } } }\n        '401':", 1)
	s := logintest.Start(t, func(_ context.Context, app *login.App) (*echo.Echo, error) {
		e := echo.New()
		err := app.Mount(e, []byte(document))
		handle(e, nothing)
		return e, err
	}, sqlite(t))
	r := s.Do(t, http.MethodGet, "/things/1", "", "").Want(t, 401)
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" || !strings.Contains(string(r.Body), `"unauthenticated"`) {
		t.Errorf("%s %s", got, r.Body)
	}
}
