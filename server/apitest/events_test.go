package apitest

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"sesame/gen/api"
	"sesame/server/internal/account"
)

const home = "198.51.100.9"

// here is a request from home, by a browser.
func here(r request) request {
	r.header = map[string]string{"X-Forwarded-For": home, "User-Agent": "browser/1 (é)"}
	return r
}

func eventPage(t *testing.T, s *server, token, path string) api.EventPage {
	t.Helper()
	r := get(path)
	r.token = token
	return decode[api.EventPage](s.do(t, r).want(200))
}

// kindsOf are the kinds of events, the latest first.
func kindsOf(events []api.Event) (kinds []string) {
	for _, e := range events {
		kinds = append(kinds, string(e.Kind))
	}
	return kinds
}

// said is what an event says of itself, where it says something.
func said[T any](n nullable.Nullable[T]) string {
	if value, err := n.Get(); err == nil {
		return fmt.Sprint(value)
	}
	return ""
}

// trace is what an event must say. About its address it must say home, or nothing at the command line.
type trace struct{ user, actor, client, session string }

// deeds are one or more for each kind of event. Each is done to an account of its own, and gives what must
// be recorded; root is an administrator.
var deeds = []struct {
	kind, name string
	do         func(t *testing.T, s *server, ann api.User, root string) trace
}{
	{"login", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		return own(ann, s.access(t, s.logInHere(t, ann).AccessToken).SessionID)
	}},
	{"login", "through a client", func(t *testing.T, s *server, ann api.User, _ string) trace {
		c := s.makeClient(t, "shop "+ann.Username)
		token := decode[api.Token](s.do(t, here(c.posts(passwordGrant(ann.Username, horse)))).want(200)).AccessToken
		return trace{ann.ID, ann.ID, c.ID, s.access(t, token).SessionID}
	}},
	{"login_failed", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.do(t, here(passwordGrant(ann.Username, wrong))).want(400)
		return trace{ann.ID, "", "first-party", ""}
	}},
	{"login_failed", "a disabled account", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.sql(t, `UPDATE users SET disabled = TRUE WHERE id = '`+ann.ID+`'`)
		s.do(t, here(passwordGrant(ann.Username, horse))).want(400)
		return trace{ann.ID, "", "first-party", ""}
	}},
	{"login_throttled", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.spend(t, ann.Username, home)
		s.do(t, here(passwordGrant(ann.Username, horse))).want(429)
		return trace{ann.ID, "", "first-party", ""}
	}},
	{"password_accepted", "a scope that the account lacks", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.do(t, here(withScope(passwordGrant(ann.Username, horse), "users:write"))).want(400, "invalid_scope")
		return trace{ann.ID, "", "first-party", ""}
	}},
	{"password_accepted", "another address is asked for", func(t *testing.T, s *server, ann api.User, _ string) trace {
		token := s.logInHere(t, ann).AccessToken
		s.do(t, here(changeEmail(token, ann.Username+"@example.org", horse))).want(202)
		return own(ann, s.access(t, token).SessionID)
	}},
	{"logout", "of one session", func(t *testing.T, s *server, ann api.User, _ string) trace {
		token, other := s.logInHere(t, ann).AccessToken, s.access(t, s.logInHere(t, ann).AccessToken).SessionID
		s.do(t, here(request{method: "DELETE", path: "/users/me/sessions/" + other, token: token})).want(204)
		return own(ann, other)
	}},
	{"logout", "with a refresh token", func(t *testing.T, s *server, ann api.User, _ string) trace {
		token := s.logInHere(t, ann)
		for range 2 { // the second ends nothing
			s.do(t, here(revocation(token.RefreshToken))).want(200)
		}
		return own(ann, s.access(t, token.AccessToken).SessionID)
	}},
	{"logout", "with an access token", func(t *testing.T, s *server, ann api.User, _ string) trace {
		token := s.logInHere(t, ann).AccessToken
		s.do(t, here(revocation(token))).want(200)
		return own(ann, s.access(t, token).SessionID)
	}},
	{"logout", "at the command line", func(t *testing.T, s *server, ann api.User, _ string) trace {
		session := s.access(t, s.logInHere(t, ann).AccessToken).SessionID
		s.must(t, "", "user", "sessions", ann.Username, "--end", session)
		return trace{ann.ID, "command line", "", session}
	}},
	{"logout_everywhere", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		token := s.logInHere(t, ann).AccessToken
		s.do(t, here(request{method: "DELETE", path: "/users/me/sessions", token: token})).want(204)
		return own(ann, s.access(t, token).SessionID)
	}},
	{"logout_everywhere", "at the command line", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.logInHere(t, ann)
		s.must(t, "", "user", "sessions", ann.Username, "--end-all")
		return trace{ann.ID, "command line", "", ""}
	}},
	{"refresh_reused", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		first := s.logInHere(t, ann)
		second := decode[api.Token](s.do(t, here(refreshGrant(first.RefreshToken))).want(200))
		s.do(t, here(refreshGrant(second.RefreshToken))).want(200)
		for range 2 { // the second finds no session
			s.do(t, here(refreshGrant(first.RefreshToken))).want(400, "invalid_grant")
		}
		return trace{ann.ID, "", "first-party", s.access(t, first.AccessToken).SessionID}
	}},
	{"code_reused", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		b, f := s.newBrowser(), newFlow(s.publicClient(t))
		grant := here(f.grant(b.signIn(t, f, ann.Username)))
		session := s.access(t, decode[api.Token](s.do(t, grant).want(200)).AccessToken).SessionID
		for range 2 { // the second finds no session
			s.do(t, grant).want(400, "invalid_grant")
		}
		return trace{ann.ID, "", f.client.ID, session}
	}},
	{"consent_granted", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		return trace{ann.ID, ann.ID, s.agrees(t, s.signedIn(t, ann.Username)).ID, ""}
	}},
	{"consent_granted", "to a device", func(t *testing.T, s *server, ann api.User, _ string) trace {
		tv, b := s.device(t, "--public", "--third-party"), s.signedIn(t, ann.Username)
		b.submitHere(t, b.enters(t, s.television(t, tv, "scope", "openid").UserCode).want(200).form(), "decision", "allow").want(200)
		return trace{ann.ID, ann.ID, tv.ID, ""}
	}},
	{"consent_withdrawn", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		b := s.signedIn(t, ann.Username)
		client := s.agrees(t, b)
		b.submitHere(t, b.send(t, get("/account/applications")).want(200).formWith("client", client.ID)).want(303)
		return trace{ann.ID, ann.ID, client.ID, ""}
	}},
	{"wrong_password", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		token := s.logInHere(t, ann).AccessToken
		s.do(t, here(changePassword(token, wrong, "a bigger wooden horse"))).want(422)
		return own(ann, s.access(t, token).SessionID)
	}},
	{"password_changed", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		token := s.logInHere(t, ann).AccessToken
		s.do(t, here(changePassword(token, horse, "a bigger wooden horse"))).want(204)
		return own(ann, s.access(t, token).SessionID)
	}},
	{"account_created", "by oneself", func(_ *testing.T, _ *server, ann api.User, _ string) trace {
		return trace{ann.ID, ann.ID, "", ""}
	}},
	{"account_created", "by an administrator", func(t *testing.T, s *server, ann api.User, root string) trace {
		r := request{method: "POST", path: "/users", token: root, json: map[string]string{"username": ann.Username + "-2", "password": horse}}
		made := decode[api.User](s.do(t, here(r)).want(201))
		who := s.access(t, root)
		return trace{made.ID, who.Subject, "first-party", who.SessionID}
	}},
	{"account_created", "by a client", func(t *testing.T, s *server, ann api.User, _ string) trace {
		c := s.makeClient(t, "importer", "--scope", "users:write")
		token := decode[api.Token](s.do(t, c.sends(clientGrant(""))).want(200)).AccessToken
		r := request{method: "POST", path: "/users", token: token, json: map[string]string{"username": ann.Username + "-2", "password": horse}}
		return trace{decode[api.User](s.do(t, here(r)).want(201)).ID, c.ID, c.ID, ""}
	}},
	{"account_created", "at the command line", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.sesame(t, horse, "user", "create", ann.Username+"-2")
		return trace{s.value(t, `SELECT id FROM users WHERE username = '`+ann.Username+`-2'`), "command line", "", ""}
	}},
	{"account_deleted", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		token := decode[api.Token](s.do(t, here(withScope(passwordGrant(ann.Username, horse), "me:delete"))).want(200)).AccessToken
		s.do(t, here(request{method: "DELETE", path: "/users/me", token: token})).want(204)
		return own(ann, s.access(t, token).SessionID)
	}},
	{"account_deleted", "by an administrator", func(t *testing.T, s *server, ann api.User, root string) trace {
		s.do(t, here(request{method: "DELETE", path: "/users/" + ann.ID, token: root})).want(204)
		return s.administers(t, root, ann)
	}},
	{"account_deleted", "at the command line", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.must(t, "", "user", "delete", ann.Username, "--yes")
		return trace{ann.ID, "command line", "", ""}
	}},
	{"account_disabled", "", func(t *testing.T, s *server, ann api.User, root string) trace {
		for range 2 { // the second changes nothing
			s.do(t, here(amend(root, ann, map[string]any{"disabled": true}))).want(200)
		}
		return s.administers(t, root, ann)
	}},
	{"account_enabled", "at the command line", func(t *testing.T, s *server, ann api.User, root string) trace {
		s.do(t, here(amend(root, ann, map[string]any{"disabled": true}))).want(200)
		s.sesame(t, "", "user", "enable", ann.Username)
		return trace{ann.ID, "command line", "", ""}
	}},
	{"account_unlocked", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.must(t, "", "user", "unlock", ann.Username)
		return trace{ann.ID, "command line", "", ""}
	}},
	{"scopes_changed", "", func(t *testing.T, s *server, ann api.User, root string) trace {
		s.do(t, here(amend(root, ann, map[string]any{"scopes": []string{"users:read"}, "full_name": nil}))).want(200)
		return s.administers(t, root, ann)
	}},
	{"profile_changed", "by an administrator", func(t *testing.T, s *server, ann api.User, root string) trace {
		s.do(t, here(amend(root, ann, map[string]any{"email": "lee@example.com"}))).want(200)
		return s.administers(t, root, ann)
	}},
	{"email_confirmed", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.sql(t, `UPDATE users SET email = 'ann@example.com', email_key = 'ann@example.com' WHERE id = '`+ann.ID+`'`)
		s.plantCode(t, ann.Username, account.ToConfirm, ann.ID, "ann@example.com")
		s.do(t, here(confirmEmail(ann.Username))).want(204)
		return trace{ann.ID, ann.ID, "", ""}
	}},
	{"email_confirmed", "at the command line", func(t *testing.T, s *server, ann api.User, root string) trace {
		s.do(t, here(amend(root, ann, map[string]any{"email": ann.Username + "@example.com"}))).want(200)
		for range 2 { // the second changes nothing
			s.must(t, "", "user", "verify", ann.Username)
		}
		return trace{ann.ID, "command line", "", ""}
	}},
	{"email_changed", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.plantCode(t, ann.Username, account.ToConfirm, ann.ID, "ann@example.org")
		s.do(t, here(confirmEmail(ann.Username))).want(204)
		return trace{ann.ID, ann.ID, "", ""}
	}},
	{"email_lost", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.sql(t, `UPDATE users SET email = 'ann@example.net', email_key = 'ann@example.net', email_claimed_at = 4000000000000000 WHERE id = '`+ann.ID+`'`)
		owner := decode[api.User](s.do(t, request{method: "POST", path: "/users", json: map[string]any{"username": "holder", "password": horse}}).want(201))
		s.plantCode(t, ann.Username, account.ToConfirm, owner.ID, "ann@example.net")
		s.do(t, here(confirmEmail(ann.Username))).want(204)
		return trace{ann.ID, "", "", ""}
	}},
	{"account_invited", "", func(t *testing.T, s *server, ann api.User, root string) trace {
		invited, by := s.invited(t, ann, root), s.by(t, root)
		return trace{invited.ID, by.actor, by.client, by.session}
	}},
	{"invitation_accepted", "", func(t *testing.T, s *server, ann api.User, root string) trace {
		invited, code := s.invited(t, ann, root), newID()
		s.plantCode(t, code, account.ToInvite, invited.ID, ann.Username+"@example.com")
		s.do(t, here(resetPassword(code, horse))).want(204)
		return trace{invited.ID, invited.ID, "", ""}
	}},
	{"password_reset_started", "", func(t *testing.T, s *server, ann api.User, root string) trace {
		address := ann.Username + "@example.com"
		s.sql(t, `UPDATE users SET email = '`+address+`', email_key = '`+address+`', email_verified = TRUE WHERE id = '`+ann.ID+`'`)
		s.do(t, here(request{method: "POST", path: "/users/" + ann.ID + "/password-reset", token: root})).want(202)
		by := s.by(t, root)
		return trace{ann.ID, by.actor, by.client, by.session}
	}},
	{"password_reset", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.sql(t, `UPDATE users SET email = username || '@example.com', email_key = username || '@example.com' WHERE id = '`+ann.ID+`'`)
		s.plantCode(t, ann.Username, account.ToReset, ann.ID, ann.Username+"@example.com")
		s.do(t, here(resetPassword(ann.Username, "a bigger wooden horse"))).want(204)
		return trace{ann.ID, ann.ID, "", ""}
	}},
	{"identity_linked", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		b := s.signedIn(t, ann.Username)
		s.linkHere(t, b, ann)
		return trace{ann.ID, ann.ID, "browser", s.value(t, `SELECT id FROM sessions WHERE client_id = 'browser' AND user_id = '`+ann.ID+`'`)}
	}},
	{"identity_unlinked", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		b := s.signedIn(t, ann.Username)
		form, id := s.linkHere(t, b, ann).unlinkForm()
		b.submitHere(t, form, "password-"+id, horse).want(303)
		return trace{ann.ID, ann.ID, "browser", s.value(t, `SELECT id FROM sessions WHERE client_id = 'browser' AND user_id = '`+ann.ID+`'`)}
	}},
	{"wrong_code", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		app := s.plantTOTP(t, ann.Username)
		s.do(t, here(passwordGrantWith(ann.Username, horse, app.wrongCode()))).want(400)
		return trace{ann.ID, "", "first-party", ""}
	}},
	{"factor_added", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		token := s.logInHere(t, ann).AccessToken
		setup, app := s.startTOTP(t, token)
		s.do(t, here(confirmTOTP(token, setup.Setup, app.code()))).want(201)
		return own(ann, s.access(t, token).SessionID)
	}},
	{"factor_removed", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		token, added := s.enrolledHere(t, ann)
		s.do(t, here(request{method: "DELETE", path: "/users/me/factors/" + added.Factor.ID, token: token})).want(204)
		return own(ann, s.access(t, token).SessionID)
	}},
	{"recovery_code_used", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		_, added := s.enroll(t, s.logInHere(t, ann).AccessToken)
		s.do(t, here(passwordGrantWith(ann.Username, horse, added.RecoveryCodes[0]))).want(200)
		return trace{ann.ID, ann.ID, "first-party", ""}
	}},
	{"recovery_codes_replaced", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		token, _ := s.enrolledHere(t, ann)
		s.do(t, here(replaceCodes(token))).want(200)
		return own(ann, s.access(t, token).SessionID)
	}},
	{"factors_reset_requested", "", func(t *testing.T, s *server, ann api.User, root string) trace {
		s.plantTOTP(t, ann.Username)
		s.do(t, here(post("/users/"+ann.ID+"/factor-reset", root, nil))).want(202)
		return s.administers(t, root, ann)
	}},
	{"factors_reset_requested", "at the command line", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.plantTOTP(t, ann.Username)
		s.must(t, "", "user", "reset-factors", ann.Username)
		return trace{ann.ID, "command line", "", ""}
	}},
	{"factors_reset_cancelled", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		app := s.plantTOTP(t, ann.Username)
		s.must(t, "", "user", "reset-factors", ann.Username)
		s.do(t, here(passwordGrantWith(ann.Username, horse, app.code()))).want(200)
		return trace{ann.ID, ann.ID, "first-party", ""}
	}},
	{"factors_reset", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.plantTOTP(t, ann.Username)
		s.sql(t, `UPDATE users SET factors_reset_at = 1 WHERE id = '`+ann.ID+`'`)
		s.completeResets(t)
		return trace{ann.ID, "schedule", "", ""}
	}},
	{"password_changed", "at the command line", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.sesame(t, "a bigger wooden horse", "user", "set-password", ann.Username)
		return trace{ann.ID, "command line", "", ""}
	}},
	{"account_created", "by import", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.sesame(t, `{"username":"`+ann.Username+`-2"}`, "user", "import", "-")
		return trace{s.value(t, `SELECT id FROM users WHERE username = '`+ann.Username+`-2'`), "command line", "", ""}
	}},
	{"passkey_copied", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		other := start(t, s.dbURL, proxied, withPasskeys)
		key, b, thief := newSoftKey(t), other.newBrowser(), other.newBrowser()
		key.counter = 7
		b.withPassword(t, ann.Username)
		b.addPasskey(t, key).want(200)
		p, options := thief.send(t, get("/sign-in")).want(200).passkeyForm()
		thief.submitHere(t, p, "passkey", key.get(t, options, func(c *ceremony) { c.counter = 3 })).want(422)
		return trace{ann.ID, "", "browser", ""}
	}},
	{"client_created", "", func(t *testing.T, s *server, _ api.User, _ string) trace {
		return trace{"", "command line", s.makeClient(t, "created").ID, ""}
	}},
	{"client_changed", "", func(t *testing.T, s *server, _ api.User, _ string) trace {
		c, manager := s.makeClient(t, "changed"), s.clientManager(t, "manager")
		s.do(t, here(request{method: "PATCH", path: "/clients/" + c.ID, token: manager, json: map[string]any{"name": "renamed"}})).want(200)
		by := s.access(t, manager)
		return trace{"", by.Subject, c.ID, by.SessionID}
	}},
	{"client_deleted", "", func(t *testing.T, s *server, _ api.User, _ string) trace {
		c := s.makeClient(t, "deleted")
		s.deleteClient(t, c)
		return trace{"", "command line", c.ID, ""}
	}},
	{"provider_created", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		s.addProviderNamed(t, "p-"+ann.Username, newIssuer(t, s.clock.now))
		return trace{"", "command line", "p-" + ann.Username, ""}
	}},
	{"provider_changed", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		name := "p-" + ann.Username
		s.addProviderNamed(t, name, newIssuer(t, s.clock.now))
		manager := s.clientManager(t, "manager"+ann.Username)
		s.do(t, here(request{method: "PATCH", path: "/providers/" + name, token: manager, json: map[string]any{"label": "Renamed"}})).want(200)
		by := s.access(t, manager)
		return trace{"", by.Subject, name, by.SessionID}
	}},
	{"provider_deleted", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		name := "p-" + ann.Username
		s.addProviderNamed(t, name, newIssuer(t, s.clock.now))
		if _, stderr, code := s.provider(t, "remove", name); code != 0 {
			t.Fatal(stderr)
		}
		return trace{"", "command line", name, ""}
	}},
	{"mail_deleted", "", func(t *testing.T, s *server, _ api.User, root string) trace {
		s.do(t, here(request{method: "DELETE", path: "/mails/" + s.waitingMail(t), token: root})).want(204)
		return s.by(t, root)
	}},
	{"key_published", "", func(t *testing.T, s *server, _ api.User, root string) trace {
		for range 2 { // the second finds it published
			s.do(t, here(request{method: "POST", path: "/keys/rotate", token: root, json: map[string]string{"signs": "access_tokens"}})).want(200)
		}
		return s.by(t, root)
	}},
	{"key_published", "at the command line", func(t *testing.T, s *server, _ api.User, _ string) trace {
		s.must(t, "", "keys", "rotate", "--id-tokens")
		return trace{"", "command line", "", ""}
	}},
	{"key_rotated", "at once", func(t *testing.T, s *server, _ api.User, _ string) trace {
		s.sesame(t, "", "keys", "rotate", "--now")
		return trace{"", "command line", "", ""}
	}},
	{"key_rotated", "and the others revoked", func(t *testing.T, s *server, _ api.User, _ string) trace {
		s.sesame(t, "", "keys", "rotate", "--now", "--revoke")
		return trace{"", "command line", "", ""}
	}},
	{"token_created", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		access := s.logInHere(t, ann).AccessToken
		s.do(t, here(newPersonalToken(access, "me:read"))).want(201)
		return own(ann, s.latestSession(t, ann.ID))
	}},
	{"token_revoked", "", func(t *testing.T, s *server, ann api.User, _ string) trace {
		access := s.logInHere(t, ann).AccessToken
		made := decode[api.PersonalTokenWithText](s.do(t, here(newPersonalToken(access, "me:read"))).want(201))
		s.do(t, here(request{method: "DELETE", path: "/users/me/tokens/" + made.ID, token: access})).want(204)
		return own(ann, s.latestSession(t, ann.ID))
	}},
	{"token_revoked", "by an administrator", func(t *testing.T, s *server, ann api.User, root string) trace {
		made := decode[api.PersonalTokenWithText](s.do(t, here(newPersonalToken(s.logInHere(t, ann).AccessToken, "me:read"))).want(201))
		s.do(t, here(request{method: "DELETE", path: "/users/" + ann.ID + "/tokens/" + made.ID, token: root})).want(204)
		id := s.idOf(t, "root")
		return trace{ann.ID, id, "first-party", s.latestSession(t, id)} // access does not know the keys of this moment
	}},
	{"token_revoked", "by its holder", func(t *testing.T, s *server, ann api.User, _ string) trace {
		made := decode[api.PersonalTokenWithText](s.do(t, here(newPersonalToken(s.logInHere(t, ann).AccessToken, "me:read"))).want(201))
		s.do(t, here(revocation(made.Token))).want(200)
		return trace{ann.ID, ann.ID, "", ""}
	}},
	{"webhook_created", "", func(t *testing.T, s *server, _ api.User, root string) trace {
		a := s.do(t, here(request{method: "POST", path: "/webhooks", token: root, json: map[string]any{"url": "https://shop.example", "disabled": true}})).want(201)
		return s.byOn(t, decode[api.WebhookWithSecret](a).ID)
	}},
	{"webhook_changed", "", func(t *testing.T, s *server, _ api.User, root string) trace {
		h := s.addHook(t, root, "logout")
		s.do(t, here(request{method: "PATCH", path: h.path(), token: root, json: map[string]any{"description": "changed"}})).want(200)
		return s.byOn(t, h.hook.ID)
	}},
	{"webhook_changed", "its secret", func(t *testing.T, s *server, _ api.User, root string) trace {
		h := s.addHook(t, root, "logout")
		s.do(t, here(request{method: "POST", path: h.path("/secret"), token: root, json: map[string]any{"keep_old_for": 0}})).want(200)
		return s.byOn(t, h.hook.ID)
	}},
	{"webhook_deleted", "", func(t *testing.T, s *server, _ api.User, root string) trace {
		h := s.addHook(t, root, "logout")
		s.do(t, here(request{method: "DELETE", path: h.path(), token: root})).want(204)
		return s.byOn(t, h.hook.ID)
	}},
	{"webhook_disabled", "", func(t *testing.T, s *server, _ api.User, root string) trace {
		h := s.addHook(t, root, "logout")
		h.fails(410)
		s.do(t, here(request{method: "POST", path: h.path("/test"), token: root})).want(202)
		return trace{"", "schedule", h.hook.ID, ""}
	}},
	{"webhook_tested", "", func(t *testing.T, s *server, _ api.User, root string) trace {
		h := s.addHook(t, root, "logout")
		s.do(t, here(request{method: "POST", path: h.path("/test"), token: root})).want(202)
		return s.byOn(t, h.hook.ID)
	}},
}

// byOn is the trace of what root does to something that the event names in place of a client.
func (s *server) byOn(t *testing.T, id string) trace {
	t.Helper()
	root := s.idOf(t, "root")
	return trace{"", root, id, s.latestSession(t, root)} // access does not know the keys of this moment
}

// invited is an account that an administrator has just invited, with a name that begins with that of ann.
func (s *server) invited(t *testing.T, ann api.User, root string) api.User {
	t.Helper()
	return decode[api.User](s.do(t, here(invite(root, map[string]any{"username": ann.Username + "i", "email": ann.Username + "@example.com"}))).want(201))
}

// by is the trace of what an administrator does to no account.
func (s *server) by(t *testing.T, token string) trace {
	t.Helper()
	access := s.access(t, token)
	return trace{"", access.Subject, "first-party", access.SessionID}
}

// agrees makes a client of a third party, to which the person in a browser agrees, once more than the server must record.
func (s *server) agrees(t *testing.T, b *browser) serviceClient {
	t.Helper()
	client := s.publicClient(t, "--third-party")
	for range 2 {
		page := b.send(t, newFlow(client, "prompt", "consent").request()).want(200)
		b.submitHere(t, page.form(), "decision", "allow").sentTo(callback)
	}
	return client
}

// submitHere is submit from home.
func (b *browser) submitHere(t *testing.T, p webPage, fields ...string) *answer {
	t.Helper()
	for i := 0; i < len(fields); i += 2 {
		p.fields.Set(fields[i], fields[i+1])
	}
	return b.send(t, here(request{method: "POST", path: p.action, form: p.fields}))
}

// linkHere links a person to a provider of their own, and returns the page.
func (s *server) linkHere(t *testing.T, b *browser, who api.User) *answer {
	t.Helper()
	i, name := newIssuer(t, s.clock.now), "link-"+who.Username
	s.addProviderNamed(t, name, i)
	page := b.send(t, get(identitiesPage)).want(200)
	_, asked := b.submitHere(t, page.linkForm(name), "password-"+name, horse).leaves()
	b.send(t, here(get(i.consents(asked).RequestURI()))).want(303)
	return b.send(t, get(identitiesPage)).want(200)
}

func (s *server) logInHere(t *testing.T, who api.User) api.Token {
	t.Helper()
	return decode[api.Token](s.do(t, here(passwordGrant(who.Username, horse))).want(200))
}

// enrolledHere gives an account an authenticator app, and logs in with a recovery code.
func (s *server) enrolledHere(t *testing.T, who api.User) (token string, added api.AddedFactor) {
	t.Helper()
	_, added = s.enroll(t, s.logInHere(t, who).AccessToken)
	a := s.do(t, here(passwordGrantWith(who.Username, horse, added.RecoveryCodes[9]))).want(200)
	return decode[api.Token](a).AccessToken, added
}

func amend(token string, who api.User, fields map[string]any) request {
	return request{method: "PATCH", path: "/users/" + who.ID, token: token, json: fields}
}

// administers is what an administrator does to another account.
func (s *server) administers(t *testing.T, root string, who api.User) trace {
	t.Helper()
	by := s.access(t, root)
	return trace{who.ID, by.Subject, "first-party", by.SessionID}
}

// latestSession is the session of an account that began last.
func (s *server) latestSession(t *testing.T, userID string) string {
	t.Helper()
	return s.value(t, `SELECT id FROM sessions WHERE user_id = '`+userID+`' ORDER BY id DESC LIMIT 1`)
}

// own is what somebody does who is logged in.
func own(who api.User, session string) trace {
	return trace{who.ID, who.ID, "first-party", session}
}

// Every kind of event that the contract has is recorded, once for each deed: who, when, from where, by whom. R2:
// and so the reuse of a refresh token.
func TestEveryKindOfEventIsRecorded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		var kinds []any
		for i, deed := range deeds {
			if !slices.Contains(kinds, any(deed.kind)) {
				kinds = append(kinds, deed.kind)
			}
			t.Run(deed.kind+"/"+deed.name, func(t *testing.T) {
				before := len(eventPage(t, s, root, "/events?limit=100&kind="+deed.kind).Items)
				began := time.Now()
				ann := decode[api.User](s.do(t, here(request{method: "POST", path: "/users", json: map[string]string{
					"username": fmt.Sprintf("ann%d", i), "password": horse,
				}})).want(201))
				want := deed.do(t, s, ann, root)
				if strings.HasSuffix(deed.name, "revoked") {
					root = decode[api.Token](s.do(t, withScope(passwordGrant("root", horse), "me:read users:read users:write events:read settings:write")).want(200)).AccessToken
				}
				var page []api.Event
				until(t, "it is recorded", func() bool { // password_accepted comes after the answer
					page = eventPage(t, s, root, "/events?limit=100&kind="+deed.kind).Items
					page = page[:len(page)-before]
					page = slices.DeleteFunc(page, func(e api.Event) bool { return said(e.UserID) != want.user })
					return len(page) > 0
				})
				e := page[0]
				if got := (trace{said(e.UserID), said(e.Actor), said(e.ClientID), said(e.SessionID)}); got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				if e.At.Before(began.Truncate(time.Microsecond)) || e.At.After(time.Now()) {
					t.Errorf("it was at %v, not after %v", e.At, began)
				}
				address, agent := home, "browser/1 (é)"
				if actor := said(e.Actor); actor == "command line" || actor == "schedule" {
					address, agent = "", ""
				}
				if said(e.IPAddress) != address || said(e.UserAgent) != agent {
					t.Errorf("it came from %q, %q", said(e.IPAddress), said(e.UserAgent))
				}
				if name := said(e.Username); (name == "") != (want.user == "") || !strings.HasPrefix(name, fmt.Sprintf("ann%d", i)) && want.user != "" {
					t.Errorf("the name is %q", name)
				}
				if n := count(page, deed.kind); n != 1 && !strings.HasPrefix(deed.kind, "login") {
					t.Errorf("it is recorded %d times", n)
				}
			})
		}
		if enum := document().Components.Schemas["EventKind"].Value.Enum; !slices.Equal(kinds, enum) {
			t.Errorf("there are deeds of %v, and the contract has %v", kinds, enum)
		}
	}, proxied, privateProviders, privateWebhooks)
}

func withScope(r request, scope string) request {
	r.form = maps.Clone(r.form)
	r.form.Set("scope", scope)
	return r
}

func count(events []api.Event, kind string) (n int) {
	for _, e := range events {
		if string(e.Kind) == kind {
			n++
		}
	}
	return n
}

// A key that begins to sign because its time has come is recorded as well, by the replica that lets it.
func TestARotationByScheduleIsRecorded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		s.sesame(t, "", "keys", "rotate")
		if page := eventPage(t, s, root, "/events?kind=key_rotated"); len(page.Items) > 0 {
			t.Errorf("a published key is recorded as one that signs: %v", page.Items)
		}
		s.clock.advance(9 * time.Minute)
		s.clock.advance(70 * time.Second)
		root = decode[api.Token](s.do(t, withScope(passwordGrant("root", horse), "events:read")).want(200)).AccessToken
		var events []api.Event
		until(t, "the key signs", func() bool {
			events = eventPage(t, s, root, "/events?kind=key_rotated").Items
			return len(events) > 0
		})
		if len(events) != 1 || said(events[0].Actor) != "schedule" || said(events[0].IPAddress) != "" {
			t.Errorf("%+v", events)
		}
	})
}

// People see their own events and no others, not even those of an earlier account with the same name.
func TestEventsOfOthersAreNotSeen(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		first := s.loginToDelete(t, "ann").AccessToken
		s.newcomer(t, "bob")
		s.do(t, request{method: "DELETE", path: "/users/me", token: first}).want(204)
		_, root := s.administrator(t, "root") // who may use the name at once
		s.do(t, request{method: "POST", path: "/users", token: root, json: map[string]string{"username": "ANN", "password": horse}}).want(201)
		second := s.login(t, "ANN").AccessToken
		mine := eventPage(t, s, second, "/users/me/events").Items
		if got, want := kindsOf(mine), []string{"login", "account_created"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		gone := s.access(t, first).Subject
		for _, e := range eventPage(t, s, root, "/events?user_id="+strings.ToUpper(gone)).Items {
			if said(e.UserID) != gone || said(e.Username) != "ann" {
				t.Errorf("%+v", e)
			}
		}
		if got, want := kindsOf(eventPage(t, s, root, "/events?user_id="+gone).Items), []string{"account_deleted", "login", "account_created"}; !slices.Equal(got, want) {
			t.Errorf("of the deleted account there are %v, want %v", got, want)
		}
		if got := eventPage(t, s, root, "/events?user_id="+uuid.NewString()).Items; len(got) > 0 {
			t.Errorf("of nobody there are %v", got)
		}
		for _, path := range []string{"/events", "/events?user_id=" + url.QueryEscape(s.access(t, second).Subject)} {
			r := get(path)
			r.token = second
			s.do(t, r).want(403, "insufficient_scope")
		}
	})
}
