package login_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"sesame/server/login"
	"sesame/server/login/logintest"
)

// declaring is a document without operations that declares scopes, with these lines beside them.
func declaring(scopes string, lines ...string) string {
	return `openapi: 3.0.3
info: { title: Scopes, version: '1' }
paths: {}
components:
  securitySchemes:
    OAuth2Password:
      flows:
        password:
          scopes: { ` + scopes + ` }
          ` + strings.Join(lines, "\n          ") + "\n"
}

func mounting(document string) logintest.Mount {
	return func(_ context.Context, app *login.App) (*echo.Echo, error) {
		e := echo.New()
		return e, app.Mount(e, []byte(document))
	}
}

// tokens is an answer of the token endpoint.
type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Scope        string
	Error        string
}

// grantFor sends a form to the token endpoint.
func grantFor(t *testing.T, s *logintest.Server, form url.Values) (answer tokens) {
	t.Helper()
	response, err := http.PostForm(s.URL+"/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err = json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func passwordGrant(scope string) url.Values {
	return url.Values{"grant_type": {"password"}, "username": {"ann"}, "password": {logintest.Password}, "scope": {scope}}
}

// scopesOf returns what the server says about the scopes of ann.
func scopesOf(t *testing.T, s *logintest.Server, token string) (scopes []string) {
	t.Helper()
	var account struct{ Scopes []string }
	s.Do(t, "GET", "/users/me", token, "").Want(t, 200).JSON(t, &account)
	return account.Scopes
}

// A document alone decides who has a new scope. Nothing else knows of it, and nothing else changes.
func TestTheDocumentSaysWhoHasAScope(t *testing.T) {
	document := declaring("'notes:read': Read, 'notes:own': Own, 'notes:purge': Purge, 'notes:admin': Administer",
		"x-default: ['notes:read', 'notes:own']", "x-on-request: ['notes:purge']", "x-people-only: ['notes:own', 'notes:purge']")
	file := filepath.Join(t.TempDir(), "openapi.yaml")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	logintest.OnEachEngine(t, mounting(document), func(t *testing.T, s *logintest.Server) {
		s.Token(t, "ann")
		plain := grantFor(t, s, passwordGrant(""))
		if got := strings.Fields(plain.Scope); !slices.Equal(got[:2], []string{"notes:read", "notes:own"}) || slices.Contains(got, "notes:purge") || len(got) == 2 {
			t.Errorf("a login that requests no scope gets %v", got)
		}
		if got := scopesOf(t, s, plain.AccessToken); !slices.Contains(got, "notes:read") || !slices.Contains(got, "notes:purge") || slices.Contains(got, "notes:admin") {
			t.Errorf("a person has %v", got)
		}
		for asked, want := range map[string]tokens{
			"notes:purge":            {Scope: "notes:purge"},
			"notes:read notes:admin": {Scope: "notes:read"},
			"notes:admin":            {Error: "invalid_scope"},
		} {
			if got := grantFor(t, s, passwordGrant(asked)); got.Scope != want.Scope || got.Error != want.Error {
				t.Errorf("a login that requests %s gets %q %s", asked, got.Scope, got.Error)
			}
		}
		var metadata struct {
			Scopes []string `json:"scopes_supported"`
		}
		s.Do(t, "GET", "/.well-known/oauth-authorization-server", "", "").Want(t, 200).JSON(t, &metadata)
		if !slices.Contains(metadata.Scopes, "notes:admin") || !slices.Contains(metadata.Scopes, "me:read") {
			t.Errorf("the server supports %v", metadata.Scopes)
		}
		if out, err := s.Sesame(t, "user", "--contract", file, "grant", "ann", "notes:admin"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := grantFor(t, s, passwordGrant("notes:admin")); got.Scope != "notes:admin" {
			t.Errorf("an administrator of notes gets %q %s", got.Scope, got.Error)
		}
		clientsOfThatDocument(t, s, file)
	})
}

// clientsOfThatDocument checks that a service client can have a scope that every person has, unless it is for people only.
func clientsOfThatDocument(t *testing.T, s *logintest.Server, file string) {
	t.Helper()
	if out, err := s.Sesame(t, "client", "--contract", file, "create", "robot", "--scope", "notes:own"); err == nil {
		t.Errorf("a client has a scope for people: %s", out)
	}
	out, err := s.Sesame(t, "client", "--contract", file, "create", "robot", "--scope", "notes:read", "--scope", "notes:purge", "--password-grant", "--json")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err = json.Unmarshal([]byte(out), &client); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {client.ID}, "client_secret": {client.Secret}}
	for asked, want := range map[string]tokens{"": {Scope: "notes:read"}, "notes:purge": {Error: "invalid_scope"}} {
		form.Set("scope", asked)
		if got := grantFor(t, s, form); got.Scope != want.Scope || got.Error != want.Error {
			t.Errorf("a client that requests %q gets %q %s", asked, got.Scope, got.Error)
		}
	}
	through := passwordGrant("notes:purge")
	through.Set("client_id", client.ID)
	through.Set("client_secret", client.Secret)
	if got := grantFor(t, s, through); got.Scope != "notes:purge" {
		t.Errorf("a person gets %q %s through a client that may pass notes:purge on", got.Scope, got.Error)
	}
}

// A scope that is added to the document changes nothing for sessions and accounts that exist: their tokens keep their
// scopes, and the next login gets the new one.
func TestAScopeIsAddedToARunningService(t *testing.T) {
	database := sqlite(t)
	before := declaring("'notes:read': Read", "x-default: ['notes:read']")
	after := declaring("'notes:read': Read, 'notes:write': Write", "x-default: ['notes:read', 'notes:write']")
	var old tokens
	t.Run("before", func(t *testing.T) {
		s := logintest.Start(t, mounting(before), database)
		s.Token(t, "ann")
		old = grantFor(t, s, passwordGrant(""))
		if got := grantFor(t, s, passwordGrant("notes:write")); got.Error != "invalid_scope" {
			t.Errorf("an undeclared scope is granted: %+v", got)
		}
	})
	t.Run("after", func(t *testing.T) {
		s := logintest.Start(t, mounting(after), database)
		refreshed := grantFor(t, s, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.RefreshToken}})
		if refreshed.Scope != old.Scope {
			t.Errorf("a session with %q has %q now", old.Scope, refreshed.Scope)
		}
		fresh := grantFor(t, s, passwordGrant(""))
		if want := strings.Replace(old.Scope, "notes:read", "notes:read notes:write", 1); fresh.Scope != want {
			t.Errorf("a login gets %q, want %q", fresh.Scope, want)
		}
		if got := scopesOf(t, s, refreshed.AccessToken); !slices.Contains(got, "notes:write") {
			t.Errorf("ann has %v", got)
		}
	})
	t.Run("removed", func(t *testing.T) { // and a scope that is gone is in no token
		s := logintest.Start(t, mounting(declaring("'other': Other")), database)
		if got := grantFor(t, s, passwordGrant("")); strings.Contains(got.Scope, "notes") || got.Scope == "" {
			t.Errorf("a login gets %q", got.Scope)
		}
	})
}
