package apitest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// grantable are the scopes that an account has only if somebody grants them.
func grantable() []string {
	return beyond(slices.Concat(rules.Scopes().Default, rules.Scopes().OnRequest))
}

// An escalation is an operation of administration by which a caller would get scopes: their own, or those of what they change.
type escalation struct {
	name  string
	gives []string // the scopes that the caller would get
	sends func(t *testing.T, c *seeder) request
}

// escalations lists them by operation. Each operation of administration that changes something is in this list, or in givesNothing.
func escalations() map[string][]escalation {
	type object = map[string]any
	all := grantable()
	onAccount := func(method, path string, body object) func(*testing.T, *seeder) request {
		return func(t *testing.T, c *seeder) request {
			t.Helper()
			things := c.owned(c.powerful(t))
			at := "/users/" + things["user_id"] + path
			for name, id := range things {
				at = strings.ReplaceAll(at, "{"+name+"}", id)
			}
			return request{method: method, path: at, json: orNone(body)}
		}
	}
	onClient := func(method, path string, body object) func(*testing.T, *seeder) request {
		return func(t *testing.T, c *seeder) request {
			t.Helper()
			return request{method: method, path: "/clients/" + c.client(t, all) + path, json: body}
		}
	}
	list := map[string][]escalation{
		"deleteUser":         {{"an account with every scope", all, onAccount("DELETE", "", nil)}},
		"resetFactors":       {{"an account with every scope", all, onAccount("POST", "/factor-reset", nil)}},
		"startPasswordReset": {{"an account with every scope", all, onAccount("POST", "/password-reset", nil)}},
		"resendInvitation": {{"an account with every scope", all, func(t *testing.T, c *seeder) request {
			t.Helper()
			id := c.powerful(t).userID
			c.s.sql(t, `UPDATE users SET password_hash = NULL WHERE id = '`+id+`'`)
			return request{method: "POST", path: "/users/" + id + "/invitation"}
		}}},
		"unlockUser":          {{"an account with every scope", all, onAccount("POST", "/unlock", nil)}},
		"endUserSession":      {{"an account with every scope", all, onAccount("DELETE", "/sessions/{session_id}", nil)}},
		"endUserSessions":     {{"an account with every scope", all, onAccount("DELETE", "/sessions", nil)}},
		"deleteUserIdentity":  {{"an account with every scope", all, onAccount("DELETE", "/identities/{identity_id}", nil)}},
		"withdrawUserConsent": {{"an account with every scope", all, onAccount("DELETE", "/consents/{client_id}", nil)}},
		"revokeUserPersonalToken": {{"an account with every scope", all, func(t *testing.T, c *seeder) request {
			t.Helper()
			its := c.owned(c.powerful(t))
			return request{method: "DELETE", path: "/users/" + its["user_id"] + "/tokens/" + its["token_id"]}
		}}},
		"replaceClientSecret": {
			{"a client with every scope", all, onClient("POST", "/secret", object{"keep_old_for": 0})},
		},
		"createProvider": {{"which links by address", all, func(*testing.T, *seeder) request {
			return request{method: "POST", path: "/providers", json: object{
				"name": "p-" + newID(), "kind": "oidc", "issuer": "https://" + newID() + ".example.com", "client_id": "x", "link_verified_addresses": true,
			}}
		}}},
	}
	for field, value := range map[string]any{
		"full_name": "Eve", "email": "eve@example.com", "email_verified": true, "disabled": true, "scopes": []string{}, "user_metadata": object{},
	} {
		list["updateUser"] = append(list["updateUser"],
			escalation{field + " of an account with every scope", all, onAccount("PATCH", "", object{field: value})})
	}
	list["updateUser"] = append(list["updateUser"], escalation{"nothing of an account with every scope", all, onAccount("PATCH", "", object{})})
	for field, value := range map[string]any{
		"redirect_uris": []string{callback, "https://evil.example/"}, "password_grant": true, "device_grant": true, "require_pkce": false,
	} {
		list["updateClient"] = append(list["updateClient"], escalation{field + " of a client with every scope", all, onClient("PATCH", "", object{field: value})})
	}
	for field, value := range map[string]any{"link_verified_addresses": true, "client_id": "eve", "client_secret": "eve"} {
		list["updateProvider"] = append(list["updateProvider"], escalation{field, all, func(t *testing.T, c *seeder) request {
			t.Helper()
			name := c.owned(c.addUser(t))["provider"]
			c.s.sql(t, fmt.Sprintf(`UPDATE providers SET link_addresses = %t WHERE name = '%s'`, field != "link_verified_addresses", name))
			return request{method: "PATCH", path: "/providers/" + name, json: object{field: value}}
		}})
	}
	// Another account gets the address that an account with every scope has not confirmed, and which that account so loses.
	claimed := func(t *testing.T, c *seeder) (address string) {
		t.Helper()
		address = newID() + "@example.com"
		c.s.sql(t, fmt.Sprintf(`UPDATE users SET email = '%s', email_key = '%[1]s', email_verified = FALSE, email_claimed_at = 1 WHERE id = '%s'`, address, c.powerful(t).userID))
		return address
	}
	list["createUser"] = append(list["createUser"], escalation{"takes the address of an account with every scope", all, func(t *testing.T, c *seeder) request {
		t.Helper()
		return request{method: "POST", path: "/users", json: object{"username": newID(), "password": horse, "email": claimed(t, c), "email_verified": true}}
	}})
	list["updateUser"] = append(list["updateUser"], escalation{"takes the address of an account with every scope", all, func(t *testing.T, c *seeder) request {
		t.Helper()
		return request{method: "PATCH", path: "/users/" + c.granted(t, ""), json: object{"email": claimed(t, c), "email_verified": true}}
	}})
	for _, scope := range all {
		list["updateUser"] = append(list["updateUser"], escalation{"grants " + scope, []string{scope}, func(t *testing.T, c *seeder) request {
			t.Helper()
			return request{method: "PATCH", path: "/users/" + c.granted(t, ""), json: object{"scopes": []string{scope}}}
		}})
		list["createUser"] = append(list["createUser"], escalation{"with " + scope, []string{scope}, func(*testing.T, *seeder) request {
			return request{method: "POST", path: "/users", json: object{"username": newID(), "password": horse, "scopes": []string{scope}}}
		}})
		list["inviteUser"] = append(list["inviteUser"], escalation{"with " + scope, []string{scope}, func(*testing.T, *seeder) request {
			return request{method: "POST", path: "/invitations", json: object{"email": newID() + "@example.com", "scopes": []string{scope}}}
		}})
		list["createClient"] = append(list["createClient"], escalation{"with " + scope, []string{scope}, func(*testing.T, *seeder) request {
			return request{method: "POST", path: "/clients", json: object{"name": newID(), "scopes": []string{scope}}}
		}})
		list["updateClient"] = append(list["updateClient"], escalation{"gets " + scope, []string{scope}, func(t *testing.T, c *seeder) request {
			t.Helper()
			return request{method: "PATCH", path: "/clients/" + c.client(t, nil), json: object{"scopes": []string{scope}}}
		}})
	}
	return list
}

// orNone leaves out the body of a request that has none.
func orNone(body map[string]any) any {
	if body == nil {
		return nil
	}
	return body
}

// givesNothing are the operations that give their caller no scope, whatever they change.
var givesNothing = map[string]string{
	"deleteClient":         "what is deleted gives nobody a scope",
	"deleteProvider":       "what is deleted gives nobody a scope",
	"deleteMail":           "what is deleted gives nobody a scope",
	"deleteWebhook":        "what is deleted gives nobody a scope",
	"retryMail":            "the mail goes where it was to go anyway",
	"sendTestMail":         "the mail goes to the caller, and holds nothing of others",
	"rotateSigningKey":     "nobody reads a private key",
	"createWebhook":        "its events need events:read as well, which the contract demands",
	"updateWebhook":        "as for createWebhook",
	"replaceWebhookSecret": "the secret proves to a receiver that a delivery comes from this server, and opens nothing here",
	"testWebhook":          "the delivery holds nothing of others",
	"resendDelivery":       "the delivery goes where it went before",
}

// powerful makes an account with every scope.
func (c *seeder) powerful(t *testing.T) seededUser {
	t.Helper()
	a := c.addUser(t)
	c.s.sql(t, fmt.Sprintf(`UPDATE users SET scopes = '%s', email_verified = TRUE WHERE id = '%s'`, strings.Join(grantable(), " "), a.userID))
	return a
}

// client makes a client with scopes.
func (c *seeder) client(t *testing.T, scopes []string) (id string) {
	t.Helper()
	client := store.Client{
		ID: newID(), Name: newID(), SecretHash: secret.New("none"), RedirectURIs: callback, Scopes: strings.Join(scopes, " "), CreatedAt: c.s.clock.now(),
	}
	if err := c.db.CreateClient(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	return client.ID
}

// scopeSets are the sets of scopes that callers are tried with: each scope alone, each one missing, and all.
func scopeSets() (sets [][]string) {
	for _, scope := range grantable() {
		sets = append(sets, []string{scope}, beyond(slices.Concat(rules.Scopes().Default, rules.Scopes().OnRequest, []string{scope})))
	}
	return append(sets, grantable())
}

// No operation of administration gives its caller a scope that the caller's token does not have: not by a grant, and not by a
// change of an account or a client that has it. So a part of the administration can be handed out.
func TestNobodyGainsScopesByAdministering(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		c.powerful(t) // who stays the last administrator
		for _, scopes := range scopeSets() {
			account := c.powerful(t)
			token := c.token(t, account, append(scopes, rules.Scopes().Default...), s.clock.now().Add(time.Hour))
			client := s.makeClient(t, newID(), strings.Fields(" --scope "+strings.Join(scopes, " --scope "))...)
			clientToken := decode[api.Token](s.do(t, client.sends(clientGrant(""))).want(200)).AccessToken
			for operation, list := range escalations() {
				if len(lacking(scopes, rules.Operation(operation).Scopes())) > 0 {
					continue // TestEveryOperationByEveryCaller has it
				}
				for _, e := range list {
					name := strings.Join([]string{strings.Join(scopes, "+"), operation, e.name}, "/")
					t.Run(name+" by a person", func(t *testing.T) { c.tries(t, token, scopes, e) })
					t.Run(name+" by a client", func(t *testing.T) { c.tries(t, clientToken, scopes, e) })
				}
			}
			if slices.Contains(scopes, "users:write") {
				c.tries(t, token, scopes, escalation{"the account of the caller", grantable(), func(*testing.T, *seeder) request {
					return request{method: "PATCH", path: "/users/" + account.userID, json: map[string]any{"email": newID() + "@example.com"}}
				}})
			}
		}
	})
}

// tries checks that a caller can do something exactly if it gives them nothing.
func (c *seeder) tries(t *testing.T, token string, scopes []string, e escalation) {
	t.Helper()
	r := e.sends(t, c)
	r.token = token
	state := func() string {
		return c.s.value(t, `SELECT COALESCE(MAX(email || COALESCE(full_name, '') || scopes || CAST(disabled AS TEXT) || COALESCE(CAST(factors_reset_at AS TEXT), '')), '') ||
			CAST(COUNT(*) AS TEXT) FROM users WHERE '`+r.path+`' LIKE '/users/' || id || '%'`)
	}
	before := state()
	a := c.s.do(t, r)
	gains := lacking(scopes, e.gives)
	switch {
	case len(gains) == 0 && a.status/100 == 2:
		return
	case len(gains) == 0:
		t.Errorf("got %d %s, and it gives nothing", a.status, a.body)
	case a.status != 403 && a.status != 422:
		t.Errorf("got %d, and it gives %v", a.status, gains)
	case a.status == 403 && !slices.Equal(strings.Fields(challenged(a)), gains):
		t.Errorf("the challenge names %s, and the caller lacks %v", challenged(a), gains)
	}
	if now := state(); now != before {
		t.Errorf("it was refused, and changed\n%s to\n%s", before, now)
	}
}

// challenged are the scopes that a challenge asks for.
func challenged(a *answer) string {
	_, after, _ := strings.Cut(a.header.Get("WWW-Authenticate"), `scope="`)
	scopes, _, _ := strings.Cut(after, `"`)
	return scopes
}

// lacking are the wanted scopes that a caller does not have.
func lacking(scopes, wanted []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(scope string) bool { return slices.Contains(scopes, scope) })
}

// A new operation of administration is added to escalations, or to givesNothing with the reason.
func TestEveryOperationOfAdministrationIsTried(t *testing.T) {
	t.Parallel()
	known := slices.Concat(slices.Collect(maps.Keys(escalations())), slices.Collect(maps.Keys(givesNothing)))
	for _, op := range rules.Operations() {
		scopes := op.Scopes()
		if op.Method == "GET" || len(scopes) == 0 || len(lacking(grantable(), scopes)) > 0 || slices.Contains(known, op.ID) {
			continue
		}
		t.Errorf("%s changes something for administrators; add it to escalations, with what its caller could get by it", op.ID)
	}
}

// A scope that is granted while a change of the account is under way is seen by the change.
func TestAChangeSeesAGrantThatIsUnderWay(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		c.granted(t, "users:write")
		target, token := c.granted(t, ""), s.clientToken(t, "users:write")
		email := request{method: "PATCH", path: "/users/" + target, token: token, json: map[string]any{"email": "eve@example.com"}}
		grant := func(q *store.Queries) error {
			_, err := q.UpdateUser(t.Context(), target, store.UserChange{Scopes: new("clients:write")}, time.Now())
			return err
		}
		s.meanwhile(t, email, grant, nil).want(403, "insufficient_scope")
	})
}
