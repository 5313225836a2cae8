package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame"
	"sesame/gen/api"
	"sesame/server/internal/contract"
)

// The matrix is made from the contract: every operation, called with what its examples say, by every
// kind of caller. An operation is covered the day it is written, if it has the examples that it must
// have anyway; one whose path names a new kind of thing is added to (*seeder).owned.

// document is the contract with its examples, which the compiled one does not keep.
var document = sync.OnceValue(func() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPI)
	if err != nil {
		panic(err)
	}
	return doc
})

// exampleOf writes the request that the examples of an operation make. owned are the values of path
// parameters.
func exampleOf(t *testing.T, op *contract.Operation, owned map[string]string) request {
	t.Helper()
	source := document().Paths.Value(op.Path).GetOperation(op.Method)
	r := request{method: op.Method, path: op.Path}
	for name, value := range owned {
		r.path = strings.ReplaceAll(r.path, "{"+name+"}", value)
	}
	if strings.Contains(r.path, "{") {
		t.Fatalf("%s: nobody knows a value for %s; add it to (*seeder).owned", op.ID, r.path)
	}
	if source.RequestBody == nil {
		return r
	}
	for mediaType, content := range source.RequestBody.Value.Content {
		example := content.Example
		if len(content.Examples) > 0 {
			example = content.Examples[slices.Sorted(maps.Keys(content.Examples))[0]].Value.Value
		}
		object, ok := example.(map[string]any)
		if !ok {
			t.Fatalf("%s: the request body has no example", op.ID)
		}
		if mediaType == "application/json" {
			r.json = object
			continue
		}
		r.form = url.Values{}
		for name, value := range object {
			r.form.Set(name, fmt.Sprint(value))
		}
	}
	return r
}

// beyond are all scopes of the contract but these.
func beyond(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(rules.Scopes().Declared), func(s string) bool { return slices.Contains(scopes, s) })
}

// callers are the kinds of caller. Each makes a token for an operation, and says with which status an operation that
// needs a caller answers it; 0 means that the request is accepted.
var callers = []struct {
	name  string
	token func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string
	// accepted says that the token is valid, or absent, so that an operation that needs none accepts the request.
	accepted bool
	status   int
	code     string
	// signedIn says that the person has signed in, which some operations demand.
	signedIn bool
}{
	{"no token", func(*testing.T, *seeder, seededUser, *contract.Operation) string { return "" }, true, 401, "unauthenticated", true},
	{"a garbage token", func(*testing.T, *seeder, seededUser, *contract.Operation) string { return "garbage" }, false, 401, "invalid_token", true},
	{"an expired token", func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string {
		return c.token(t, a, op.Scopes(), c.s.clock.now().Add(-31*time.Second))
	}, false, 401, "invalid_token", true},
	{"an ended session", func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string {
		if err := c.db.EndSession(t.Context(), a.sessionID); err != nil {
			t.Fatal(err)
		}
		return c.token(t, a, op.Scopes(), c.s.clock.now().Add(time.Minute))
	}, false, 401, "invalid_token", true},
	{"a disabled user", func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string {
		c.s.sql(t, `UPDATE users SET disabled = TRUE WHERE id = '`+a.userID+`'`)
		return c.token(t, a, op.Scopes(), c.s.clock.now().Add(time.Minute))
	}, false, 401, "invalid_token", true},
	{"too few scopes", func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string {
		return c.token(t, a, beyond(op.Scopes()), c.s.clock.now().Add(time.Minute))
	}, true, 403, "insufficient_scope", true},
	{"the right token", func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string {
		return c.token(t, a, op.Scopes(), c.s.clock.now().Add(time.Minute))
	}, true, 0, "", true},
	{"a personal access token with the right scopes", func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string {
		return c.personalToken(t, a, op.Scopes())
	}, true, 0, "", false},
	{"a personal access token with too few scopes", func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string {
		return c.personalToken(t, a, beyond(op.Scopes()))
	}, true, 403, "insufficient_scope", false},
	{"a personal access token of another scope than the account has", func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string {
		c.s.sql(t, `UPDATE users SET scopes = '' WHERE id = '`+a.userID+`'`)
		if scopes := op.Scopes(); len(scopes) > 0 && !slices.Contains(rules.Scopes().Administrative, scopes[0]) {
			return c.personalToken(t, a, beyond(scopes)) // everybody has the scope, so the token must lack it
		}
		return c.personalToken(t, a, op.Scopes())
	}, true, 403, "insufficient_scope", false},
	{"a revoked personal access token", func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string {
		text := c.personalToken(t, a, op.Scopes())
		c.s.sql(t, `DELETE FROM personal_tokens WHERE user_id = '`+a.userID+`'`)
		return text
	}, false, 401, "invalid_token", false},
	{"a personal access token of a disabled user", func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string {
		c.s.sql(t, `UPDATE users SET disabled = TRUE WHERE id = '`+a.userID+`'`)
		return c.personalToken(t, a, op.Scopes())
	}, false, 401, "invalid_token", false},
	{"a mistyped personal access token", func(t *testing.T, c *seeder, a seededUser, op *contract.Operation) string {
		text := c.personalToken(t, a, op.Scopes())
		return text[:len(text)-1] + "_"
	}, false, 401, "invalid_token", false},
}

// T6: every operation, called by everyone.
func TestEveryOperationByEveryCaller(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		// Whom the example of createToken logs in.
		s.do(t, request{method: "POST", path: "/users", json: map[string]string{"username": demoUsername, "password": demoPassword}}).want(201)
		// The client of the examples.
		s.sql(t, `INSERT INTO clients (id, name, secret_hash, scopes, password_grant, created_at, public, device_grant, redirect_uris)
			VALUES ('019ad827-b3c1-7d21-9f60-5a4be3a2c7d9', 'example', '', '', FALSE, 0, TRUE, TRUE, 'https://app.example.com/callback')`)
		for _, op := range rules.Operations() {
			if needsClient(op) {
				continue // the matrix of clients, below, has it
			}
			for _, caller := range callers {
				t.Run(op.ID+"/"+caller.name, func(t *testing.T) {
					a := c.addUser(t)
					r := exampleOf(t, op, c.owned(c.subject(t, op, a)))
					r.token = caller.token(t, c, a, op)
					c.mailCodes(t, c.addUser(t), r)
					c.setUp(t, a, &r)
					got := s.do(t, r)
					accepted := caller.status == 0 || op.Public() || op.Anonymous() && caller.accepted ||
						caller.code == "insufficient_scope" && len(op.Scopes()) == 0
					switch {
					case accepted && !caller.signedIn && op.Demand != (contract.Demand{}):
						got.want(401, "insufficient_user_authentication")
						checkChallenge(t, op, "insufficient_user_authentication", got)
					case !accepted:
						got.want(caller.status, caller.code)
						checkChallenge(t, op, caller.code, got)
					case op.Pages && got.status < 500: // a page says what is wrong with the example: its client is not known
					case got.status/100 != 2 && got.status != 409: // 409: an earlier caller has used the example
						t.Errorf("got %d %s, want it to be accepted", got.status, got.body)
					}
				})
			}
		}
	}, "SESAME_DYNAMIC_REGISTRATION=open")
}

// N12: no response to a caller may be stored, whether the operation succeeds or refuses. The check itself is in do.
func TestResponsesToCallersAreNotStored(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		client := s.makeClient(t, "right", "--scope", "users:read")
		for _, op := range rules.Operations() {
			t.Run(op.ID, func(t *testing.T) {
				a := c.addUser(t)
				r := exampleOf(t, op, c.owned(a))
				s.do(t, r) // with no credentials
				r.header = map[string]string{"Authorization": "Bearer " + c.token(t, a, op.Scopes(), s.clock.now().Add(time.Minute))}
				if needsClient(op) {
					r = client.sends(r)
				}
				s.do(t, r)
				r.form, r.json, r.raw = nil, nil, strings.NewReader("{")
				r.header["Content-Type"] = "application/json"
				s.do(t, r) // with a body that is not valid
			})
		}
		for path, want := range map[string]string{"/openapi.yaml": "no-cache", "/docs/": "no-cache", "/docs/swagger-ui-bundle.js": "no-cache", "/nowhere": "no-store"} {
			a, err := s.try(request{method: "GET", path: path})
			if err != nil || a.header.Get("Cache-Control") != want {
				t.Errorf("%s: Cache-Control is %q, want %q (%v)", path, a.header.Get("Cache-Control"), want, err)
			}
		}
	})
}

// needsClient reports whether an operation is for service clients alone.
func needsClient(op *contract.Operation) bool {
	security := op.Document.Security
	return security != nil && slices.ContainsFunc(*security, func(r openapi3.SecurityRequirement) bool {
		_, ok := r["ClientBasic"]
		return ok
	})
}

// T6: every operation that is for service clients, called by everyone.
func TestEveryClientOperationByEveryCaller(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		right, deleted := s.makeClient(t, "right", "--scope", "users:read"), s.makeClient(t, "deleted")
		own := decode[api.Token](s.do(t, right.sends(clientGrant(""))).want(200)).AccessToken
		s.deleteClient(t, deleted)
		headers := map[string]string{
			"nobody": "", "garbage": "Basic garbage", "an empty Basic": "Basic Og==", "an unknown client": basicHeader(newID(), right.Secret),
			"a wrong secret": basicHeader(right.ID, deleted.Secret), "a deleted client": basicHeader(deleted.ID, deleted.Secret),
			"first-party": basicHeader("first-party", ""), "a client's own token": "Bearer " + own,
		}
		found := 0
		for _, op := range rules.Operations() {
			if !needsClient(op) {
				continue
			}
			found++
			a := c.addUser(t)
			call := func(authorization string) *answer {
				r := exampleOf(t, op, c.owned(a))
				r.header = map[string]string{"Authorization": authorization}
				return s.do(t, r)
			}
			for _, caller := range callers {
				headers["a person: "+caller.name] = "Bearer " + caller.token(t, c, c.addUser(t), op)
			}
			for name, authorization := range headers {
				t.Run(op.ID+"/"+name, func(t *testing.T) {
					if got := call(authorization).want(401, "invalid_client"); !strings.HasPrefix(got.header.Get("WWW-Authenticate"), `Basic realm="sesame"`) {
						t.Errorf("the challenge is %s", got.header.Get("WWW-Authenticate"))
					}
				})
			}
			call(basicHeader(right.ID, right.Secret)).want(200)
		}
		if found == 0 {
			t.Error("the contract has no such operation")
		}
	})
}

// checkChallenge holds a 401 or 403 against RFC 6750 §3.
func checkChallenge(t *testing.T, op *contract.Operation, code string, a *answer) {
	t.Helper()
	challenge := a.header.Get("WWW-Authenticate")
	wanted := map[string]string{
		"unauthenticated":                  `Bearer realm="sesame"`,
		"invalid_token":                    `Bearer realm="sesame", error="invalid_token"`,
		"insufficient_scope":               `Bearer realm="sesame", error="insufficient_scope"`,
		"insufficient_user_authentication": `Bearer realm="sesame", error="insufficient_user_authentication"`,
	}[code]
	if !strings.HasPrefix(challenge, wanted) || code == "unauthenticated" && challenge != wanted {
		t.Errorf("the challenge is %s", challenge)
	}
	together := strings.Join(op.Scopes(), " ") // if it needs all of them
	if code == "insufficient_scope" && !slices.ContainsFunc(append(op.Scopes(), together), func(scope string) bool {
		return strings.Contains(challenge, `scope="`+scope+`"`)
	}) {
		t.Errorf("the challenge names no scope of the operation: %s", challenge)
	}
}

// T6: what belongs to another user is 404, and is not changed.
func TestOtherPeoplesThingsAreNotFound(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		for _, op := range rules.Operations() {
			if !strings.Contains(op.Path, "{") || !strings.HasPrefix(op.Scopes()[0], "me:") {
				continue // for administrators nothing is somebody else's
			}
			t.Run(op.ID, func(t *testing.T) {
				owner, stranger := c.addUser(t), c.addUser(t)
				r := exampleOf(t, op, c.owned(owner))
				r.token = c.token(t, stranger, op.Scopes(), s.clock.now().Add(time.Minute))
				theirs := s.do(t, r).want(404, "not_found")
				nowhere := c.owned(owner)
				for name := range nowhere {
					nowhere[name] = newID()
				}
				r = exampleOf(t, op, nowhere)
				r.token = c.token(t, stranger, op.Scopes(), s.clock.now().Add(time.Minute))
				if nothing := s.do(t, r).want(404, "not_found"); !sameButForID(t, theirs, nothing) {
					t.Error("somebody else's thing is answered otherwise than one that does not exist")
				}
				if left := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions WHERE user_id = '`+owner.userID+`'`); left != "2" {
					t.Errorf("%s sessions are left of 2", left)
				}
			})
		}
	})
}

// This list names the operations that only a person at a sign-in may call: those that change how the account is signed in to, that
// give somebody else a way into it, or that delete it. A new one of that kind must be added to it.
func TestOperationsOfAPersonAtASignIn(t *testing.T) {
	t.Parallel()
	var demanding []string
	for _, op := range rules.Operations() {
		if op.Demand != (contract.Demand{}) {
			demanding = append(demanding, op.ID)
		}
	}
	want := []string{
		"addPasskey", "changeEmail", "changePassword", "confirmTotp", "createPersonalToken", "deleteIdentity", "deleteMe", "removeFactor", "renameFactor",
		"replaceRecoveryCodes", "startPasskey", "startTotp",
	}
	if !slices.Equal(demanding, want) {
		t.Errorf("a sign-in is demanded by %v, want %v", demanding, want)
	}
}

// sameButForID compares two problems without their request ids.
func sameButForID(t *testing.T, a, b *answer) bool {
	t.Helper()
	var both [2]map[string]any
	for i, text := range [][]byte{a.body, b.body} {
		if err := json.Unmarshal(text, &both[i]); err != nil {
			t.Fatal(err)
		}
		delete(both[i], "request_id")
	}
	return fmt.Sprint(both[0]) == fmt.Sprint(both[1])
}

// This list names the operations that need no caller; a new one must be added to it.
func TestPublicOperations(t *testing.T) {
	t.Parallel()
	var public, either []string
	for _, op := range rules.Operations() {
		if op.Public() {
			public = append(public, op.ID)
		} else if op.Anonymous() {
			either = append(either, op.ID)
		}
	}
	want := []string{
		"authorize", "authorizeDevice", "authorizeWithForm", "confirmPasswordReset", "createToken", "getHealth", "getKeys", "getMetadata", "getOpenIDConfiguration", "getReadiness",
		"pushAuthorizationRequest", "registerClient", "requestPasswordReset", "revokeToken", "signOut", "signOutWithForm", "startPasskeySignIn",
	}
	if !slices.Equal(public, want) {
		t.Errorf("public are %v, want %v", public, want)
	}
	if want := []string{"confirmEmail", "createUser"}; !slices.Equal(either, want) {
		t.Errorf("with or without a caller go %v, want %v", either, want)
	}
}
