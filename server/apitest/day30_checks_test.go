package apitest

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sesame/gen/api"
)

// day30Checks say, by section, what must be so when its commands have run.
var day30Checks = map[string]func(*testing.T, day30Run){
	"# Day 30": func(*testing.T, day30Run) {}, // the token is used below
	"What normal looks like": func(t *testing.T, d day30Run) {
		d.prints(t, "ready", `sesame_logins_total{outcome="success"} 2`, `sesame_logins_total{outcome="wrong_credentials"} 1`, "sesame_hash_queue_refused_total 0",
			"sesame_mails_waiting ", "sesame_signing_key_age_seconds ", "sesame_cleanup_last_success_timestamp_seconds ")
	},
	`"I cannot log in"`: func(t *testing.T, d day30Run) {
		d.prints(t, d.ann.ID, `"disabled":false`, `"email_verified":false`, "  login_failed  ")
		d.do(t, passwordGrant("ann@example.com", "correct horse battery")).want(200) // the address is verified, the password set
		d.untilLogged(t, "ann@example.com", 1)                                       // the mail of the reset
	},
	"A lost administrator": func(t *testing.T, d day30Run) {
		d.do(t, withScope(passwordGrant("bea", horse), "users:write")).want(200)
		d.do(t, passwordGrant("root2", "a new long password")).want(400, "invalid_grant") // disabled
	},
	"A person asks for their data, or to be deleted": func(t *testing.T, d day30Run) {
		d.prints(t, `"username":"ann"`, `"ip_address":"127.0.0.1"`, `"kind":"password_changed"`)
		if _, _, code := d.sesame(t, "", "user", "show", "ann"); code == 0 {
			t.Error("the account is still there")
		}
		d.do(t, request{method: "POST", path: "/users", json: map[string]any{"username": "ann", "password": horse}}).want(409, "username_taken")
		admin := decode[api.Token](d.do(t, withScope(passwordGrant("root", horse), "users:read events:read")).want(200)).AccessToken
		events := decode[api.EventPage](d.do(t, request{method: "GET", path: "/events?limit=100&user_id=" + d.ann.ID, token: admin}).want(200))
		if len(events.Items) < 4 || !slices.ContainsFunc(events.Items, func(e api.Event) bool { return e.Kind == api.EventKindEVENTACCOUNTDELETED }) {
			t.Errorf("%d events are left", len(events.Items))
		}
		for _, table := range []string{"sessions", "one_time_codes", "known_addresses"} {
			if got := d.value(t, "SELECT 'rows: ' || count(*) FROM "+table+" WHERE user_id = '"+d.ann.ID+"'"); got != "rows: 0" {
				t.Errorf("%s: %s", table, got)
			}
		}
	},
	"A refresh token or a password": func(t *testing.T, d day30Run) {
		d.prints(t, "127.0.0.1", "  account_disabled  ", "  login  ")
		d.do(t, refreshGrant(d.bea.RefreshToken)).want(400, "invalid_grant")
		d.do(t, request{method: "GET", path: "/users/me", token: d.bea.AccessToken}).want(401)
	},
	"A client secret": func(t *testing.T, d day30Run) {
		d.prints(t, "client_secret ")
		d.do(t, d.client.sends(clientGrant("users:read"))).want(401, "invalid_client")
	},
	"A signing key": func(t *testing.T, d day30Run) {
		if n := strings.Count(d.printed, "signing"); n < 1 || strings.Contains(d.printed, "retired") {
			t.Errorf("other keys are left:\n%s", d.printed)
		}
		session := decode[api.Token](d.do(t, passwordGrant("root", horse)).want(200))
		d.do(t, refreshGrant(session.RefreshToken)).want(200)
	},
	"A dump of the database": func(t *testing.T, d day30Run) {
		d.prints(t, "root", "bea")
		d.do(t, passwordGrant("root", horse)).want(400, "invalid_grant")
	},
	"The disk is filling": func(t *testing.T, d day30Run) { d.prints(t, "rows: 8") },
	"On the calendar": func(t *testing.T, d day30Run) {
		d.prints(t, "billing", "signing", "up to date")
		if strings.HasPrefix(d.dbURL, "sqlite:") {
			d.prints(t, "backups/")
		}
	},
	"From SQLite to PostgreSQL": func(t *testing.T, d day30Run) {
		moved := map[string]bool{}
		for _, databaseURL := range []string{d.dbURL, d.target} {
			stdout, stderr, _ := command(t, "", map[string]string{"SESAME_DATABASE_URL": databaseURL, "SESAME_MASTER_KEY": testKey()}, "user", "list", "--json")
			var list struct {
				Items []map[string]any `json:"items"`
			}
			if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list.Items) != 3 { // root, root2, bea
				t.Fatalf("%s: %v %s %s", databaseURL, err, stdout, stderr)
			}
			for _, account := range list.Items {
				if id, _ := account["id"].(string); moved[id] {
					t.Errorf("the id %s moves, too", id)
				} else {
					moved[id] = true
				}
				delete(account, "id")
				delete(account, "updated_at")
			}
			text, err := json.Marshal(list.Items)
			if err != nil {
				t.Fatal(err)
			}
			moved[string(text)] = true
		}
		if len(moved) != 2*3+1 {
			t.Errorf("the accounts differ: %v", moved)
		}
		for _, table := range []string{"sessions", "clients"} {
			var rows string
			if err := rawSQL(t.Context(), d.target, "SELECT 'rows: ' || count(*) FROM "+table, &rows); err != nil || rows != "rows: 0" {
				t.Errorf("%s: %v %s", table, err, rows)
			}
		}
	},
}

// The guide names every alert and no other, and panels, events and links that exist.
func TestDay30NamesWhatExists(t *testing.T) {
	t.Parallel()
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	guide, dashboard := read(day30), read("../../docs/monitoring/dashboard.json")
	named := func(pattern, text string) (names []string) {
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			names = append(names, match[1])
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	if got, want := named("(?m)^\\| `(Sesame\\w+)` \\|", guide), named(`- alert: (\w+)`, read("../../docs/monitoring/alerts.yml")); !slices.Equal(got, want) {
		t.Errorf("the guide has the alerts\n%v, want\n%v", got, want)
	}
	_, panels, _ := strings.Cut(guide, "| panel | normal |")
	panels, _, _ = strings.Cut(panels, "\n\n")
	for _, panel := range append(named(`(?m)^\| ([A-Z][^,|]*?)(?:,[^|]*)? \|`, panels), named(`\*([A-Z][^*]+)\*[^*]`, guide)...) {
		if !strings.Contains(dashboard, `"title": "`+panel+`"`) {
			t.Errorf("the dashboard has no panel %q", panel)
		}
	}
	kinds := read("../../openapi.yaml")
	for _, kind := range named("(?m)^\\| `((?:login|account|refresh)\\w*)`", guide) {
		if !strings.Contains(kinds, kind) {
			t.Errorf("there is no event %q", kind)
		}
	}
}
