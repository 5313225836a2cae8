package apitest

import (
	"net/url"
	"testing"
	"time"

	"sesame/gen/api"
)

// A client that revokes its tokens before it signs out, as mod_auth_openidc does, signs out of the browser that it signed in with,
// and of no other.
func TestSigningOutAfterRevoking(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client := s.publicClient(t, "--post-logout-redirect-uri", callback)
		b, f := s.newBrowser(), newFlow(client)
		tokens := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		s.clock.advance(time.Second)
		other := s.newBrowser()
		other.signIn(t, newFlow(client), "ann")
		s.do(t, request{method: "POST", path: "/token/revoke", form: url.Values{"token": {tokens.RefreshToken}, "client_id": {client.ID}}}).want(200)

		signOut := request{method: "GET", path: "/sign-out?" + url.Values{
			"id_token_hint": {tokens.IDToken}, "post_logout_redirect_uri": {callback}, "state": {"a state"},
		}.Encode()}
		if asked := other.send(t, signOut).want(200).form(); asked.action != "/sign-out/confirm" {
			t.Errorf("another browser of the person gets the form %s", asked.action)
		}
		if state := b.send(t, signOut).sentTo(callback).Get("state"); state != "a state" {
			t.Errorf("state is %q", state)
		}
		if fault := b.send(t, newFlow(client, "prompt", "none").request()).sentTo(callback).Get("error"); fault != "login_required" {
			t.Errorf("the browser is still signed in: %q", fault)
		}
		if fault := other.send(t, newFlow(client, "prompt", "none").request()).sentTo(callback).Get("error"); fault != "" {
			t.Errorf("the other browser is signed out: %s", fault)
		}
	})
}
