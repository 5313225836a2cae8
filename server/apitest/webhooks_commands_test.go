package apitest

import (
	"encoding/json"
	"strings"
	"testing"
)

// The commands do what the API does, and a running server delivers what they ask for.
func TestWebhookCommands(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		h := newHookServer(t)
		run := func(args ...string) (stdout, stderr string, code int) {
			t.Helper()
			return command(t, "", map[string]string{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey(), "SESAME_PRIVATE_WEBHOOKS": "on"}, append([]string{"webhook"}, args...)...)
		}
		must := func(args ...string) string {
			t.Helper()
			stdout, stderr, code := run(args...)
			if code != 0 {
				t.Fatalf("%v: code %d, %s", args, code, stderr)
			}
			return stdout
		}
		if err := json.Unmarshal([]byte(must("add", h.URL+"/hook", "--kind", "logout", "--description", "Orders", "--json")), &h.hook); err != nil || h.hook.Secret == "" {
			t.Fatalf("%v: %+v", err, h.hook)
		}
		must("test", h.hook.ID)
		sent := h.next(t)
		if p := sent.payload(t); p.Type != "webhook_tested" || p.Data.Actor.MustGet() != "command line" || !sent.signedBy(h.hook.Secret) {
			t.Errorf("%+v", p)
		}
		s.waitFor(t, `SELECT state FROM webhook_deliveries`, "delivered")
		if table := must("deliveries", h.hook.ID); !strings.Contains(table, sent.id()) || !strings.Contains(table, "204") || strings.Contains(must("deliveries", h.hook.ID, "--state", "failed"), sent.id()) {
			t.Error(table)
		}
		must("resend", h.hook.ID, sent.id())
		if again := h.next(t); again.id() != sent.id() {
			t.Errorf("sent again: %s", again.id())
		}
		if shown := must("update", h.hook.ID, "--kind", "all", "--disabled"); !strings.Contains(shown, "disabled") || !strings.Contains(shown, "all") {
			t.Error(shown)
		}
		if text := must("secret", h.hook.ID); !strings.Contains(text, "whsec_") || strings.Contains(must("show", h.hook.ID)+must("list"), "whsec_") {
			t.Error("the secret is not shown, or not only once")
		}
		must("remove", h.hook.ID)
		for _, c := range []struct{ args, says string }{
			{"show " + h.hook.ID, "unknown webhook"},
			{"add http://u:p@x", "<url>"},
			{"add https://shop.example --kind no_such_kind", "--kind"},
			{"deliveries " + h.hook.ID + " --state lost", "--state"},
			{"secret " + h.hook.ID + " --keep-old-for 1000h", "--keep-old-for"},
		} {
			if stdout, stderr, code := run(strings.Fields(c.args)...); code == 0 || !strings.Contains(stderr, c.says) {
				t.Errorf("%s: code %d, %s%s", c.args, code, stdout, stderr)
			}
		}
	}, privateWebhooks)
}
