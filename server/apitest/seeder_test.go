package apitest

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/contract"
	"sesame/server/internal/identity"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/internal/token/personal"
	"sesame/server/secret"
)

// seeder writes users and their sessions straight into the database, for tests that need many
// and would otherwise register and log in each.
type seeder struct {
	s      *server
	db     *store.DB
	issuer *token.Issuer
	hash   string // of horse
}

func newSeeder(t *testing.T, s *server) *seeder {
	t.Helper()
	db, err := store.Open(t.Context(), s.dbURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	// Without an address, which would be mailed.
	model := decode[api.User](s.do(t, request{method: "POST", path: "/users", json: map[string]any{"username": "model", "password": horse}}).want(201))
	user, err := db.UserByID(t.Context(), model.ID)
	if err != nil {
		t.Fatal(err)
	}
	return &seeder{s, db, s.issuer(t, s.url, s.url), user.PasswordHash.Reveal()}
}

// seededUser is a user with two sessions: the one that calls, and another.
type seededUser struct {
	userID, sessionID, otherSessionID string
}

// addUser adds a user who may ask for every scope, and has two sessions.
func (c *seeder) addUser(t *testing.T) seededUser {
	t.Helper()
	a, now := seededUser{newID(), newID(), newID()}, c.s.clock.now()
	user := store.User{
		ID: a.userID, Username: a.userID, UsernameKey: a.userID, PasswordHash: secret.New(c.hash),
		Scopes: strings.Join(rules.Scopes().Administrative, " "), CreatedAt: now, UpdatedAt: now, Email: a.userID + "@example.com", EmailKey: a.userID + "@example.com",
	}
	if err := c.db.CreateUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{a.sessionID, a.otherSessionID} {
		err := c.db.CreateSession(t.Context(), store.Session{
			ID: id, UserID: a.userID, ClientID: "first-party", Scope: strings.Join(rules.Scopes().Declared, " "), SeedHash: "x",
			CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// subject is the account whose things an operation names: the caller's, or for an administrator that of somebody without granted
// scopes, since the token of the matrix has few.
func (c *seeder) subject(t *testing.T, op *contract.Operation, by seededUser) seededUser {
	t.Helper()
	if scopes := op.Scopes(); len(scopes) == 0 || strings.HasPrefix(scopes[0], "me:") {
		return by
	}
	a := c.addUser(t)
	c.s.sql(t, `UPDATE users SET scopes = '' WHERE id = '`+a.userID+`'`)
	return a
}

// token returns an access token of the user's first session.
func (c *seeder) token(t *testing.T, a seededUser, scopes []string, expires time.Time) string {
	t.Helper()
	return c.s.signed(t, c.issuer, token.Access{
		ID: newID(), Subject: a.userID, SessionID: a.sessionID, ClientID: "first-party",
		Scope: strings.Join(scopes, " "), AuthTime: c.s.clock.now(), Methods: []string{identity.ByPassword, identity.ByCode, identity.TwoFactors}, IssuedAt: c.s.clock.now(), ExpiresAt: expires,
	})
}

// personalToken returns a personal access token of a user.
func (c *seeder) personalToken(t *testing.T, a seededUser, scopes []string) string {
	t.Helper()
	text, now := personal.New(), c.s.clock.now()
	err := c.db.CreatePersonalToken(t.Context(), store.PersonalToken{
		ID: newID(), UserID: a.userID, Hash: token.HashSecret(text), Name: "seeded", Scope: strings.Join(scopes, " "), Methods: identity.TwoFactors,
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.Reveal()
}

// mailCodes makes the code in the examples valid for a user.
func (c *seeder) mailCodes(t *testing.T, a seededUser, r request) {
	t.Helper()
	body, _ := r.json.(map[string]any)
	code, ok := body["code"].(string)
	if !ok {
		return
	}
	c.s.sql(t, `DELETE FROM one_time_codes`)
	purpose := account.ToConfirm
	if body["new_password"] != nil {
		purpose = account.ToReset
	}
	c.s.plantCode(t, code, purpose, a.userID, a.userID+"@example.com")
}

// owned are the things of a user that a path can name.
func (c *seeder) owned(a seededUser) map[string]string {
	client := store.Client{ID: newID(), Name: newID(), SecretHash: secret.New("none"), RedirectURIs: callback, CreatedAt: c.s.clock.now()}
	if err := c.db.CreateClient(c.s.t.Context(), client); err != nil {
		c.s.t.Fatal(err)
	}
	c.s.sql(c.s.t, `DELETE FROM providers`) // there can be few
	provider := store.Provider{Name: "p-" + newID(), Kind: "oidc", Issuer: "https://" + newID() + ".example.com", ClientID: "x", Scopes: "openid", CreatedAt: c.s.clock.now()}
	identity := store.Identity{ID: newID(), UserID: a.userID, Issuer: provider.Issuer, Subject: "x", CreatedAt: c.s.clock.now()}
	if err := errors.Join(c.db.CreateProvider(c.s.t.Context(), provider), c.db.CreateIdentity(c.s.t.Context(), identity)); err != nil {
		c.s.t.Fatal(err)
	}
	if err := c.db.SetConsent(c.s.t.Context(), a.userID, client.ID, "openid", c.s.clock.now()); err != nil {
		c.s.t.Fatal(err)
	}
	factor := store.Factor{ID: newID(), UserID: a.userID, Kind: store.TOTP, Name: "Phone", CreatedAt: c.s.clock.now()}
	if err := c.db.CreateFactor(c.s.t.Context(), factor); err != nil {
		c.s.t.Fatal(err)
	}
	if err := c.db.SetFactorKinds(c.s.t.Context(), a.userID, c.s.clock.now()); err != nil {
		c.s.t.Fatal(err)
	}
	personal := store.PersonalToken{ID: newID(), UserID: a.userID, Hash: newID(), Name: "owned", CreatedAt: c.s.clock.now(), ExpiresAt: c.s.clock.now().Add(time.Hour)}
	if err := c.db.CreatePersonalToken(c.s.t.Context(), personal); err != nil {
		c.s.t.Fatal(err)
	}
	c.s.sql(c.s.t, `DELETE FROM webhooks`) // there can be few
	event, webhook := store.Event{ID: newID(), At: c.s.clock.now(), Kind: "login"}, store.Webhook{ID: newID(), URL: "https://shop.example", Disabled: true, CreatedAt: c.s.clock.now()}
	if err := errors.Join(c.db.CreateWebhook(c.s.t.Context(), webhook), c.db.RecordEvent(c.s.t.Context(), event), c.db.QueueDelivery(c.s.t.Context(), webhook.ID, event)); err != nil {
		c.s.t.Fatal(err)
	}
	return map[string]string{
		"webhook_id": webhook.ID, "event_id": event.ID,
		"token_id": personal.ID, "mail_id": c.s.waitingMail(c.s.t), "session_id": a.otherSessionID, "user_id": a.userID, "client_id": client.ID, "factor_id": factor.ID, "provider": provider.Name, "identity_id": identity.ID,
	}
}

// setUp puts a set-up of the user, or a passkey, in place of that in an example.
func (c *seeder) setUp(t *testing.T, a seededUser, r *request) {
	t.Helper()
	body, _ := r.json.(map[string]any)
	if body["credential"] != nil {
		if options := c.s.do(t, startPasskey(r.token)); options.status == 200 {
			r.json = map[string]any{"name": "Key", "credential": newSoftKey(t).create(t, string(options.body), c.s.onLoopback)}
		}
		return
	}
	if body["setup"] == nil {
		return
	}
	master, err := token.ParseMasterKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	shared := []byte("twelve and eight bytes")
	plain, err := json.Marshal(map[string]any{"id": newID(), "secret": shared, "at": c.s.clock.now().UnixMicro()})
	if err != nil {
		t.Fatal(err)
	}
	own := maps.Clone(body)
	own["setup"] = token.NewSealer(master, "sign-ins").SealURL(plain, "totp of "+a.userID)
	own["code"], r.json = identity.TOTP(shared, c.s.clock.now().Unix()/30), own
}
