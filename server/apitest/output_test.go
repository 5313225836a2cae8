package apitest

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Every list prints one object with --json, {"items": […]}, and otherwise a table with headings in capitals; every other command
// that has --json prints one object. The names of fields are those of the HTTP API.
func TestEveryCommandPrintsOneShapeOfJSON(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.administrator(t, "root")
		ann := s.newcomer(t, "ann")
		userFields := decode[map[string]any](s.do(t, me(ann.AccessToken)).want(200))
		s.plantTOTP(t, "ann")
		c := s.makeClient(t, "billing")
		_, leaves := parser(t)
		commands := everyCommand(t)
		for _, command := range []string{"delete", "secret"} {
			commands["client "+command] = []string{"client", command, c.ID}
		}
		s.must(t, horse, "user", "create", "bea")
		commands["client update"] = []string{"client", "update", c.ID, "--name", "invoices"}
		commands["client create"] = []string{"client", "create", "shipping"}
		commands["user create"] = []string{"user", "create", "bob"}
		s.sql(t, `UPDATE users SET password_hash = NULL, email = 'bea@example.com', email_key = 'bea@example.com' WHERE username = 'bea'`)
		commands["user invite"] = []string{"user", "invite", "bea"}
		var hook struct{ ID string }
		if err := json.Unmarshal([]byte(s.must(t, "", "webhook", "add", "https://shop.example", "--disabled", "--json")), &hook); err != nil {
			t.Fatal(err)
		}
		var sent struct {
			EventID string `json:"event_id"`
		}
		if err := json.Unmarshal([]byte(s.must(t, "", "webhook", "test", hook.ID, "--json")), &sent); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"update", "secret", "show", "remove", "deliveries", "test"} {
			commands["webhook "+command] = []string{"webhook", command, hook.ID}
		}
		commands["webhook update"] = append(commands["webhook update"], "--description", "Orders")
		commands["webhook resend"] = []string{"webhook", "resend", hook.ID, sent.EventID}
		last := []string{"user delete", "client delete", "provider remove", "webhook remove"} // after the others have used what they delete
		lists := 0
		check := func(name string) {
			leaf := leaves[name]
			if !hasFlag(leaf, "json") || name == "user import" || name == "config" || name == "login" { // which waits for a person
				return
			}
			printed := s.must(t, horse, append(commands[name], "--json")...)
			var object map[string]any
			if err := json.Unmarshal([]byte(printed), &object); err != nil {
				t.Errorf("%s: %v\n%s", name, err, printed)
				return
			}
			items, isList := object["items"].([]any)
			if isList {
				lists++
				table := s.must(t, "", commands[name]...)
				if head, _, _ := strings.Cut(table, "\n"); head != strings.ToUpper(head) {
					t.Errorf("%s has the headings %s", name, head)
				}
				if len(items) > 0 {
					object, _ = items[0].(map[string]any)
				}
			}
			for field := range object {
				if !regexp.MustCompile(`^[a-z_]+$`).MatchString(field) {
					t.Errorf("%s has the field %s", name, field)
				}
				if _, isUser := object["updated_at"]; isUser && !hasKey(userFields, field) {
					t.Errorf("%s has the field %s, which GET /users/me has not", name, field)
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(commands)) {
			if !slices.Contains(last, name) {
				check(name)
			}
		}
		for _, name := range last {
			check(name)
		}
		if lists < 5 { // user list, user sessions, client list, keys list, keys rotate
			t.Errorf("only %d lists were seen", lists)
		}
	})
}

func hasKey(object map[string]any, name string) bool {
	_, ok := object[name]
	return ok
}

func hasFlag(node *kong.Node, name string) bool {
	for _, flag := range node.Flags {
		if flag.Name == name {
			return true
		}
	}
	return false
}

// A taken port names the setting, or the flag, and what to do.
func TestATakenPortNamesTheSetting(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	address := strings.TrimPrefix(s.url, "http://")
	const advice = ": another program uses this port; stop it, or choose another port, or port 0 for a free one, with "
	for _, name := range []string{"serve", "mock"} {
		e := environment{"SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_LISTEN": address}
		fails(t, "", e, "cannot listen on "+address+advice+"SESAME_LISTEN", name)
		delete(e, "SESAME_LISTEN")
		fails(t, "", e, "cannot listen on "+address+advice+"--listen", name, "--listen", address)
	}
	fails(t, "", environment{"SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_SMTP_URL": "log:", "SESAME_LISTEN": "192.0.2.1:0"},
		"the address is not one of this machine; choose another with SESAME_LISTEN", "serve")
}

var loggedMail = regexp.MustCompile(`(?m)^ {4}From: Sesame <no-reply@localhost>
 {4}To: ann@example.com
 {4}Subject: Choose a new password

( {4}.*\n|\n)*? {4}(http://\S+/reset-password\?code=\S+)
`)

// A mail that goes to the log is a block for people where the log is text, and one line where it is JSON.
func TestALoggedMailIsReadable(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		s := start(t, sqliteURL(t), "SESAME_LOG_FORMAT="+format)
		s.register(t, "ann")
		s.must(t, "", "user", "verify", "ann")
		s.do(t, requestReset("ann@example.com")).want(202)
		s.untilNoneWaits(t)
		log := s.wholeLog()
		m := loggedMail.FindStringSubmatch(log)
		if (m != nil) != (format == "text") {
			t.Errorf("the %s log:\n%s", format, log)
		}
		if format == "text" {
			continue
		}
		for line := range strings.Lines(log) {
			var record struct{ Subject, From, To, Text string }
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Errorf("%v: %s", err, line)
			}
			if record.Subject == "Choose a new password" && (record.To != "ann@example.com" || record.From == "" || !strings.Contains(record.Text, "/reset-password?code=")) {
				t.Errorf("a mail is %+v", record)
			}
		}
	}
}

// make install puts the program where PREFIX says, or where Go puts programs, and says where that is. The program knows its commit.
func TestMakeInstall(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip(err)
	}
	commit := "unknown commit"
	if info, err := os.Stat("../../.git"); err == nil && info.IsDir() { // Go stamps no linked work tree
		head, err := exec.CommandContext(t.Context(), "git", "-C", "../..", "rev-parse", "--short=12", "HEAD").Output()
		if err != nil {
			t.Fatal(err)
		}
		commit = "commit " + strings.TrimSpace(string(head))
	}
	prefix, bin := t.TempDir(), t.TempDir()
	for _, c := range []struct{ variable, folder string }{{"PREFIX=" + prefix, prefix + "/bin"}, {"", bin}} {
		install := exec.CommandContext(t.Context(), "make", "-C", "../..", "--no-print-directory", "install", c.variable)
		install.Env = append(os.Environ(), "GOBIN="+bin)
		if c.variable == "" {
			install.Args = install.Args[:len(install.Args)-1]
		}
		out, err := install.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Installed "+c.folder+"/sesame: sesame") || !strings.Contains(string(out), "not in your PATH") {
			t.Fatalf("%v\n%s", err, out)
		}
		said, err := exec.CommandContext(t.Context(), c.folder+"/sesame", "--version").CombinedOutput()
		if err != nil || !strings.Contains(string(said), ", "+commit) {
			t.Errorf("%v: it is %s, want %s", err, said, commit)
		}
	}
}
